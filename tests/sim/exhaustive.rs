//! Not at random: every place at which a shipped scenario can be cut or disturbed, one at a time.

use super::disk::{self, Written};
use super::disturbance::{Disturbance, Kill, PASSING, fault, passes};
use super::oracle::{compare, judge};
use super::rig::{Ran, run};
use super::subject::Subject;
use super::watch::Death;
use redrill::action::Registry;
use std::time::Duration;

/// One disturbance at a time.
fn try_one(
    subject: &Subject,
    calm: &Ran,
    disturbance: &Disturbance,
    registry: &Registry,
) -> Option<String> {
    let ran = run(subject, disturbance, registry);
    let mut wrong = judge(subject, &ran);
    wrong.extend(compare(subject, calm, &ran, disturbance));
    let text = format!("{}: {disturbance}\n  {}", subject.name, wrong.join("\n  "));
    (!wrong.is_empty()).then_some(text)
}

fn killed(kill: Kill) -> Disturbance {
    let gap = Duration::from_secs(30);
    Disturbance { kills: vec![kill], gap, mild: true, ..Disturbance::default() }
}

/// Every disturbance of a scenario, each by itself; or at most so many of them, evenly spread. Gives the number of runs, and
/// what went wrong.
pub(crate) fn exhaust(subject: &Subject, registry: &Registry, most: usize) -> (usize, Vec<String>) {
    let calm = run(subject, &Disturbance { mild: true, ..Disturbance::default() }, registry);
    let extent = calm.extent;
    let mut all = Vec::new();
    for nth in 1..=extent.writes {
        for written in [Written::Nothing, Written::Torn(500), Written::Whole] {
            all.push(killed(Kill::Write(disk::Death::Write(nth, written))));
        }
    }
    for nth in 1..=extent.records {
        all.push(killed(Kill::Write(disk::Death::Record(nth))));
    }
    for nth in 1..=extent.requests {
        for after in [false, true] {
            all.push(killed(Kill::Request(Death { nth, after })));
        }
        let operation = &calm.requests[nth - 1].operation;
        for effect in PASSING.into_iter().filter(|effect| passes(effect, operation)) {
            let faults = vec![fault(&format!("*#{nth}={effect}"))];
            all.push(Disturbance { faults, mild: true, ..Disturbance::default() });
        }
        let faults = vec![fault(&format!("*#{nth}=error:AccessDenied:403"))];
        all.push(Disturbance { faults, ..Disturbance::default() });
    }
    for twice in 1..=extent.changes {
        all.push(Disturbance { twice: Some(twice), mild: true, ..Disturbance::default() });
    }
    let chosen: Vec<&Disturbance> =
        all.iter().step_by(all.len().div_ceil(most.max(1)).max(1)).collect();
    let wrong = chosen.iter().filter_map(|one| try_one(subject, &calm, one, registry));
    (chosen.len(), wrong.collect())
}
