use super::StepError;
use crate::ids::SiteName;
use crate::journal::FailureClass;
use crate::outside::{Outside, OutsideError};

/// What a look before the day of the drill has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What was looked at: `DB subnet group drill-isolated`.
    pub what: String,
    /// The site that was asked, if it is not the step's own.
    pub site: Option<SiteName>,
    /// IAM actions that the look needs. That they are there, only calls that were answered show: a look vouches for none.
    pub permissions: Vec<&'static str>,
    /// What came out.
    pub verdict: ProbeVerdict,
}

/// What came out of a look. Only [`ProbeVerdict::Works`] is good news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// It is as the drill needs it; the text says what was seen.
    Works(String),
    /// The drill would fail there.
    Fails {
        /// Why.
        why: String,
        /// What to do about it.
        action: String,
    },
    /// AWS said that this may not be done.
    Denied(String),
    /// It should have been found out and was not: no answer, throttled, no credentials.
    Unknown(String),
    /// It is known only on the day, or can be tried only by doing it.
    NotBefore(String),
}

impl Probe {
    /// A look that needed nothing of AWS, or could not be made before the day.
    pub fn new(what: impl Into<String>, verdict: ProbeVerdict) -> Self {
        Self { what: what.into(), site: None, permissions: Vec::new(), verdict }
    }

    /// What is known only on the day.
    pub fn not_before(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(what, ProbeVerdict::NotBefore(why.into()))
    }

    /// A look by calls that need these permissions. `judge` says what an answer means.
    pub fn of<T>(
        what: impl Into<String>,
        permissions: &[&'static str],
        answer: Result<T, StepError>,
        judge: impl FnOnce(T) -> ProbeVerdict,
    ) -> Self {
        let verdict = match answer {
            Ok(answer) => judge(answer),
            Err(error) => ProbeVerdict::of(error),
        };
        Self { permissions: permissions.to_vec(), ..Self::new(what, verdict) }
    }

    /// A look for a program that is found by this `PATH`, or by that of this process. Nothing is started. `help` says what to do
    /// where it is not there.
    pub fn of_program(outside: &dyn Outside, name: &str, path: Option<&str>, help: &str) -> Self {
        let verdict = match outside.program(name, path) {
            Ok(found) => ProbeVerdict::works(format!("{} may be run", found.display())),
            Err(OutsideError::NotRehearsed(_)) => {
                ProbeVerdict::NotBefore("a rehearsal runs no program".to_owned())
            }
            Err(error) => ProbeVerdict::fails(error.to_string(), help),
        };
        Self::new(format!("program {name}"), verdict)
    }

    /// A look for a variable that holds a credential.
    pub fn of_variable(outside: &dyn Outside, name: &str) -> Self {
        let verdict = match outside.environment(name) {
            Ok(_) => ProbeVerdict::works("set"),
            Err(error @ OutsideError::NotRehearsed(_)) => ProbeVerdict::NotBefore(format!(
                "a rehearsal reads no variable of this machine, and {error}"
            )),
            Err(error) => ProbeVerdict::fails(
                error.to_string(),
                "set it where the drill is started, and look from there",
            ),
        };
        Self::new(format!("environment variable {name}"), verdict)
    }

    /// The same look, asked at another site than the step's own.
    #[must_use]
    pub fn at(mut self, site: Option<SiteName>) -> Self {
        self.site = site;
        self
    }
}

impl ProbeVerdict {
    /// It is as the drill needs it.
    pub fn works(seen: impl Into<String>) -> Self {
        Self::Works(seen.into())
    }

    /// The drill would fail there.
    pub fn fails(why: impl Into<String>, action: impl Into<String>) -> Self {
        Self::Fails { why: why.into(), action: action.into() }
    }

    /// What an error means for the day of the drill: what is not there, or not usable, makes it fail; what could not be asked
    /// is not known.
    pub fn of(error: StepError) -> Self {
        let failure = error.into_failure();
        match failure.class {
            FailureClass::Denied => Self::Denied(failure.message),
            FailureClass::NotFound | FailureClass::Recovery => Self::Fails {
                why: failure.message,
                action: failure.help.unwrap_or_else(|| {
                    "make it, or correct its name, account or region in the scenario".to_owned()
                }),
            },
            _ => Self::Unknown(failure.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_tool_is_never_good_news_nor_a_verdict_about_the_backup() {
        let of = |error| ProbeVerdict::of(error);
        assert!(matches!(of(StepError::denied("no")), ProbeVerdict::Denied(_)));
        assert!(matches!(of(StepError::recovery("gone")), ProbeVerdict::Fails { .. }));
        for error in
            [StepError::transient("later"), StepError::broken("odd"), StepError::timed_out("slow")]
        {
            let verdict = of(error);
            assert!(matches!(verdict, ProbeVerdict::Unknown(_)), "{verdict:?}");
        }
    }
}
