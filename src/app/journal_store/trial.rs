use super::objects::Objects;
use super::{FIRST, honours_conditions, survives_the_disaster};
use crate::action::ProbeVerdict;
use crate::error::{Error, ExitCode};
use crate::journal::{Failure, FailureClass};
use crate::plan::Plan;
use chrono::{DateTime, Utc};

/// Tries, before the day of a drill, what a run does with its store: it writes an object, sees the second write of it refused,
/// reads it and lists it. `now` names the object, so that each look writes one of its own.
pub(in crate::app) async fn try_out(
    objects: &Objects,
    plan: &Plan,
    now: DateTime<Utc>,
) -> ProbeVerdict {
    let name = format!("self-test/{}", now.format("%Y%m%dT%H%M%S%.6fZ"));
    if let Err(failure) = objects.try_create(&name, FIRST).await {
        return denied_or_unknown(&failure);
    }
    if let Err(error) = as_in_a_run(objects, plan, &name).await {
        return verdict_of(&error);
    }
    ProbeVerdict::works(
        "written, the second write refused, read and listed, in a region that stays",
    )
}

async fn as_in_a_run(objects: &Objects, plan: &Plan, name: &str) -> Result<(), Error> {
    survives_the_disaster(objects, plan).await?;
    honours_conditions(objects, name).await?;
    // Whoever goes on with a run, or removes what it left, finds its journal by a list.
    let listed = objects.list("self-test/").await?;
    match listed.iter().any(|one| one == name) {
        true => Ok(()),
        false => {
            Err(Error::refused(format!("{} was written and is not listed", objects.shown(name)))
                .help("use a bucket of AWS, or a server whose lists tell what was written"))
        }
    }
}

fn denied_or_unknown(failure: &Failure) -> ProbeVerdict {
    match failure.class {
        FailureClass::Denied => ProbeVerdict::fails(
            failure.message.clone(),
            "give the identity that starts redrill the policy that redrill iam --store prints",
        ),
        FailureClass::NotFound => {
            ProbeVerdict::fails(failure.message.clone(), "make the bucket, or correct its name")
        }
        _ => ProbeVerdict::Unknown(failure.message.clone()),
    }
}

/// A refusal is what a run would meet; anything else says nothing about the day.
fn verdict_of(error: &Error) -> ProbeVerdict {
    let help = error.help_text().unwrap_or("choose another store").to_owned();
    match error.exit_code() {
        ExitCode::Refused => ProbeVerdict::fails(error.to_string(), help),
        _ => ProbeVerdict::Unknown(error.to_string()),
    }
}
