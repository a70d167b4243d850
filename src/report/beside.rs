//! What services make beside the things of a run, and keep: nothing lists it, so the run's inputs tell.

use super::parts::{Omission, OmissionKind, ResourceReport, ResourceState};
use crate::action::{Beside, Registry};
use crate::ids::StepId;
use crate::journal::{Event, Record, WorldKind};
use crate::plan::Plan;
use serde_json::Value;

/// What stays beside a thing of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stays {
    /// The thing: its kind and name.
    of: String,
    beside: Beside,
}

impl Stays {
    /// What it is.
    pub(super) fn what(&self) -> &str {
        &self.beside.what
    }

    /// That nobody deletes it, with the command.
    pub(super) fn omission(&self) -> Omission {
        let Self { of, beside: Beside { what, service, command } } = self;
        Omission {
            kind: OmissionKind::Run,
            what: format!("deleting {what}"),
            why: format!(
                "{service} makes it by itself for {of}, where there is something to write, and keeps it: no tag tells whose it \
                 is, so neither a run nor redrill reap deletes it. When {of} is gone: {command}"
            ),
        }
    }
}

/// What stays beside the things that the run made, the sandbox apart, where nothing is made. Beside what a recovery has brought
/// back it belongs there.
pub(super) fn beside(
    plan: &Plan,
    registry: &Registry,
    (world, records): (&WorldKind, &[Record]),
    resources: &[ResourceReport],
) -> Vec<Stays> {
    if world.is_rehearsal() {
        return Vec::new();
    }
    let was_made = |resource: &&ResourceReport| {
        let was_removed = resource.state == ResourceState::Released;
        (plan.is_drill() || was_removed) && resource.how.as_deref() != Some("never made")
    };
    let of_one = |resource: &ResourceReport| {
        let kind = registry.resource_kind(&resource.key.kind)?;
        let input = input_of(records, resource.step.as_ref()?)?;
        let region = &plan.sites.get(&resource.key.site)?.region;
        let of = format!("{} {}", resource.key.kind, resource.key.short_name());
        let all = kind.beside(&resource.key, input, region).into_iter();
        Some(all.map(move |beside| Stays { of: of.clone(), beside }).collect::<Vec<_>>())
    };
    resources.iter().filter(was_made).filter_map(of_one).flatten().collect()
}

/// The input of the last attempt at a step.
fn input_of<'a>(records: &'a [Record], wanted: &StepId) -> Option<&'a Value> {
    records.iter().rev().find_map(|record| match &record.event {
        Event::StepStarted { step, input, .. } if step == wanted => Some(input),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{self, Sample};
    use crate::report::{Report, report};
    use serde_json::json;

    /// The good run, whose restore has asked for logs in CloudWatch.
    fn with_logs() -> Sample {
        let mut sample = samples::passed();
        for record in &mut sample.tape.records {
            if let Event::StepStarted { step, input, .. } = &mut record.event
                && step.as_str() == "restore"
            {
                *input = json!({ "log_exports": ["postgresql"] });
            }
        }
        sample
    }

    fn reported(sample: &Sample) -> Report {
        report(&sample.plan, &sample.tape.records, &[], &crate::providers::registry()).unwrap()
    }

    fn deletions(report: &Report) -> Vec<&Omission> {
        report.omissions.iter().filter(|one| one.what.starts_with("deleting ")).collect()
    }

    #[test]
    fn regression_log_groups_that_stay_are_told_with_their_command() {
        let before = reported(&samples::passed());
        assert!(before.inventory.claim.starts_with("Nothing of this run is left: "));
        assert_eq!((before.inventory.verified, deletions(&before).len()), (true, 0));
        let after = reported(&with_logs());
        let group = "/aws/rds/instance/redrill-orders-db-3fa9/postgresql";
        let told = deletions(&after);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].what, format!("deleting the log group {group}"));
        let command =
            format!("aws logs delete-log-group --region ap-northeast-3 --log-group-name {group}");
        assert!(told[0].why.ends_with(&command), "{}", told[0].why);
        let claim = &after.inventory.claim;
        assert!(!claim.contains("Nothing of this run is left"), "{claim}");
        assert!(claim.contains(group) && !after.inventory.verified, "{claim}");
        // It costs a little, and says nothing about the recovery.
        assert_eq!((after.verdict.outcome, after.exit.code), (before.verdict.outcome, 0));
    }

    #[test]
    fn where_nothing_was_made_nothing_stays() {
        let mut rehearsal = with_logs();
        if let Event::RunStarted { world, .. } = &mut rehearsal.tape.records[0].event {
            *world = WorldKind::Rehearsal { estate: "orders".to_owned() };
        }
        assert!(deletions(&reported(&rehearsal)).is_empty());
        let mut none = with_logs();
        for record in &mut none.tape.records {
            if let Event::ResourceReleased { how, .. } = &mut record.event {
                *how = "never made".to_owned();
            }
        }
        assert!(deletions(&reported(&none)).is_empty());
    }
}
