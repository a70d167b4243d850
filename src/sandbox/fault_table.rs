//! Which call meets which fault.
//!
//! Main type: [`FaultTable`]. Faults of different kinds apply to one call together ([`Met`]), so that none hides another: what
//! is refused is refused although the answer is lost, too.

use super::fault::{Fault, FaultEffect, matches_pattern};
use std::collections::VecDeque;
use std::time::Duration;

/// So many of the last requests are known again when they arrive once more.
const REMEMBERED: usize = 64;

/// A call that arrives, as far as faults are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arriving<'a> {
    /// Service and operation: `rds:CopyDBSnapshot`.
    pub(crate) call: &'a str,
    /// The region that is called.
    pub(crate) region: &'a str,
    /// What the client calls this attempt at the call: a request that arrives twice says the same both times.
    pub(crate) attempt: Option<&'a str>,
    /// How long ago the estate was opened.
    pub(crate) since_opened: Duration,
}

/// What goes wrong with a call: the first fault of each kind that it meets. They do not hide each other: what is stuck is
/// stuck although the answer was slow, and a refusal can come late or never.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Met {
    /// What refuses the call, so that it has no effect.
    pub(crate) refusal: Option<FaultEffect>,
    /// What becomes of the answer, whatever it says.
    pub(crate) reply: Option<FaultEffect>,
    /// With how long the answer takes.
    pub(crate) pace: Option<FaultEffect>,
    /// With how much of what was changed lately the call sees.
    pub(crate) sight: Option<FaultEffect>,
    /// With what the call creates.
    pub(crate) creation: Option<FaultEffect>,
}

/// The faults of a world, each with how much it has counted.
#[derive(Debug, Default)]
pub(crate) struct FaultTable {
    faults: Vec<(Fault, u32)>,
    /// What the last requests met.
    met: VecDeque<(String, Met)>,
}

impl FaultTable {
    pub(crate) fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let faults = faults.into_iter().map(|fault| (fault, 0)).collect();
        Self { faults, met: VecDeque::new() }
    }

    /// Counts a call, and says what goes wrong with it. A request that arrives again meets what it met before.
    pub(crate) fn meet(&mut self, arriving: Arriving<'_>) -> Met {
        if self.faults.is_empty() {
            return Met::default();
        }
        let again = self.met.iter().find(|(attempt, _)| Some(attempt.as_str()) == arriving.attempt);
        if let Some((_, met)) = again {
            return met.clone();
        }
        let met = self.meet_first(arriving);
        if let Some(attempt) = arriving.attempt {
            self.met.truncate(REMEMBERED - 1);
            self.met.push_front((attempt.to_owned(), met.clone()));
        }
        met
    }

    fn meet_first(&mut self, arriving: Arriving<'_>) -> Met {
        let mut met = Met::default();
        for (fault, seen) in &mut self.faults {
            if !concerns(fault, arriving) {
                continue;
            }
            let creates = is_of_creation(fault);
            let place = match &fault.effect {
                FaultEffect::LostReply | FaultEffect::Garbage => &mut met.reply,
                FaultEffect::Slow(_) => &mut met.pace,
                FaultEffect::Stale(_) => &mut met.sight,
                _ if creates => &mut met.creation,
                _ => &mut met.refusal,
            };
            let number = seen.saturating_add(1);
            match (is_meant(fault, number), place.is_some()) {
                (true, false) => *place = Some(fault.effect.clone()),
                // It waits for a call that gets as far as it, and is not used up.
                (true, true) => continue,
                (false, _) => {}
            }
            // Whether something is made is not known yet.
            if !creates {
                *seen = number;
            }
        }
        met
    }

    /// Counts that a call has made something.
    pub(crate) fn made(&mut self, arriving: Arriving<'_>) {
        for (fault, made) in &mut self.faults {
            if is_of_creation(fault) && concerns(fault, arriving) {
                *made = made.saturating_add(1);
            }
        }
    }
}

fn is_of_creation(fault: &Fault) -> bool {
    matches!(fault.effect, FaultEffect::Stuck | FaultEffect::Broken)
}

fn concerns(fault: &Fault, arriving: Arriving<'_>) -> bool {
    let elsewhere = fault.region.as_deref().is_some_and(|region| region != arriving.region);
    let at_another_time = matches!(&fault.effect,
        FaultEffect::ExpiredCredentials(period) if !period.holds(arriving.since_opened));
    !elsewhere && !at_another_time && matches_pattern(&fault.on, arriving.call)
}

fn is_meant(fault: &Fault, number: u32) -> bool {
    fault.nth.is_none_or(|n| n == number) && fault.times.is_none_or(|n| number <= n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(faults: &[&str]) -> FaultTable {
        FaultTable::new(faults.iter().map(|fault| fault.parse::<Fault>().unwrap()))
    }

    fn call<'a>(call: &'a str, region: &'a str) -> Arriving<'a> {
        Arriving { call, region, attempt: None, since_opened: Duration::ZERO }
    }

    fn sent<'a>(attempt: &'a str, name: &'a str) -> Arriving<'a> {
        Arriving { attempt: Some(attempt), ..call(name, "a") }
    }

    #[test]
    fn only_the_calls_that_a_fault_names_meet_it() {
        let mut table = table(&["rds:D*#2=slow:3s", "rds:*@a<1=reset"]);
        let mut meet = |name: &str, region: &str| table.meet(call(name, region));
        let slow = Some(FaultEffect::Slow("3s".parse().unwrap()));
        assert_eq!(meet("ec2:DescribeVolumes", "a"), Met::default());
        assert_eq!(meet("rds:DescribeDBInstances", "b"), Met::default());
        let both = Met { refusal: Some(FaultEffect::Reset), pace: slow, ..Met::default() };
        assert_eq!(meet("rds:DescribeDBInstances", "a"), both, "they do not hide each other");
        assert_eq!(meet("rds:CopyDBSnapshot", "a"), Met::default());
    }

    #[test]
    fn regression_a_slow_or_stale_answer_does_not_hide_an_error() {
        let mut table =
            table(&["*=stale:10s", "*=slow:20s", "rds:DescribeDBInstances=error:AccessDenied"]);
        let met = table.meet(call("rds:DescribeDBInstances", "a"));
        assert!(matches!(met.refusal, Some(FaultEffect::Error(_))), "{met:?}");
        assert!(met.pace.is_some() && met.sight.is_some(), "{met:?}");
    }

    #[test]
    fn regression_a_lost_or_garbled_answer_does_not_hide_a_refusal() {
        for reply in ["lost_reply", "garbage"] {
            let mut table = table(&[&format!("*#1={reply}"), "rds:CopyDBSnapshot=throttle"]);
            let met = table.meet(call("rds:CopyDBSnapshot", "a"));
            assert_eq!(met.refusal, Some(FaultEffect::Throttle));
            assert!(met.reply.is_some(), "{met:?}");
        }
    }

    #[test]
    fn regression_a_call_that_is_refused_does_not_use_up_another_refusal() {
        let mut table = table(&["*#1=throttle", "rds:CopyDBSnapshot#1=server_error"]);
        let mut refusal = || table.meet(call("rds:CopyDBSnapshot", "a")).refusal;
        assert_eq!(refusal(), Some(FaultEffect::Throttle));
        assert_eq!(refusal(), Some(FaultEffect::ServerError));
        assert_eq!(refusal(), None);
    }

    #[test]
    fn regression_a_request_that_arrives_twice_meets_the_same_and_counts_once() {
        let mut table = table(&["rds:*<2=throttle", "rds:*#3=lost_reply"]);
        let mut meet = |attempt: &str| {
            let met = table.meet(sent(attempt, "rds:CopyDBSnapshot"));
            (met.refusal.is_some(), met.reply.is_some())
        };
        assert_eq!(["1", "1", "2", "2"].map(&mut meet), [(true, false); 4]);
        assert_eq!(["3", "3", "4"].map(&mut meet), [(false, true), (false, true), (false, false)]);
    }

    #[test]
    fn regression_a_fault_of_what_is_made_counts_what_is_made() {
        let mut table = table(&["rds:CreateDBInstance#2=stuck"]);
        let create = call("rds:CreateDBInstance", "a");
        assert_eq!(table.meet(create).creation, None);
        assert_eq!(table.meet(create).creation, None, "nothing was made yet");
        table.made(create);
        table.made(call("rds:CopyDBSnapshot", "a"));
        assert_eq!(table.meet(create).creation, Some(FaultEffect::Stuck));
        table.made(create);
        assert_eq!(table.meet(create).creation, None);
    }

    #[test]
    fn requests_of_long_ago_are_forgotten() {
        let mut table = table(&["rds:*#1=throttle"]);
        for number in 0..=REMEMBERED {
            table.meet(sent(&number.to_string(), "rds:CopyDBSnapshot"));
        }
        assert_eq!(table.met.len(), REMEMBERED);
    }

    #[test]
    fn credentials_are_expired_for_the_period_that_the_fault_names() {
        let mut table = table(&["rds:*=expired_credentials:20m..50m"]);
        let mut meets = |minutes: u64| {
            let since_opened = Duration::from_secs(60 * minutes);
            table.meet(Arriving { since_opened, ..call("rds:X", "a") }).refusal.is_some()
        };
        assert_eq!(
            [0, 19, 20, 49, 50, 90].map(&mut meets),
            [false, false, true, true, false, false]
        );
        assert!("rds:*=expired_credentials:20m".parse::<Fault>().is_err());
    }
}
