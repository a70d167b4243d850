//! Many seeds: each a subject, an undisturbed run, and a disturbed one beside it.

use super::coverage::Coverage;
use super::disturbance::Disturbance;
use super::generate::generate;
use super::oracle::{as_modelled, compare, judge};
use super::random::Random;
use super::rig::{Ran, run};
use super::subject::{Subject, recoveries, shipped};
use redrill::action::Registry;
use redrill::providers;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which seeds, of what.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    pub(crate) from: u64,
    pub(crate) seeds: u64,
    /// Only this scenario: `generated`, or the name of a shipped one. Every fifth seed is a shipped one otherwise.
    pub(crate) scenario: Option<String>,
    pub(crate) threads: usize,
    /// So many failing seeds end it: more say nothing new.
    pub(crate) enough: usize,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) coverage: Coverage,
    /// The seeds that went wrong, with what the oracle saw.
    pub(crate) wrong: Vec<(u64, String)>,
    /// The numbers of steps, and of those that make something, of the generated scenarios.
    pub(crate) sizes: Vec<(usize, usize)>,
}

impl Outcome {
    /// The median numbers of steps, and of steps that make something.
    pub(crate) fn medians(&self) -> (usize, usize) {
        let middle = |mut all: Vec<usize>| {
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or_default()
        };
        let steps = self.sizes.iter().map(|size| size.0).collect();
        let creating = self.sizes.iter().map(|size| size.1).collect();
        (middle(steps), middle(creating))
    }
}

/// Runs all seeds.
pub(crate) fn campaign(campaign: &Campaign, tell: &(dyn Fn(u64) + Sync)) -> Outcome {
    let next = AtomicU64::new(campaign.from);
    let end = campaign.from + campaign.seeds;
    let all = Mutex::new(Outcome::default());
    std::thread::scope(|scope| {
        for _ in 0..campaign.threads.max(1) {
            scope.spawn(|| {
                let registry = providers::registry();
                let shipped = [shipped(&registry), recoveries(&registry)].concat();
                let mut mine = Outcome::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= end || mine.wrong.len() >= campaign.enough {
                        break;
                    }
                    tell(seed);
                    one(seed, campaign.scenario.as_deref(), &shipped, &registry, &mut mine);
                }
                if let Ok(mut all) = all.lock() {
                    all.coverage.add(&mine.coverage);
                    all.wrong.extend(mine.wrong);
                    all.sizes.extend(mine.sizes);
                }
            });
        }
    });
    let mut outcome = all.into_inner().unwrap_or_default();
    outcome.wrong.sort();
    outcome
}

fn one(
    seed: u64,
    scenario: Option<&str>,
    shipped: &[Subject],
    registry: &Registry,
    outcome: &mut Outcome,
) {
    let mut random = Random::new(seed, "campaign");
    let wanted: Vec<&Subject> = match scenario {
        None if random.chance(20) => shipped.iter().collect(),
        None | Some("generated") => Vec::new(),
        Some(name) => shipped.iter().filter(|s| s.plan.name == name || s.name == name).collect(),
    };
    let made;
    let subject = if wanted.is_empty() {
        match generate(seed, registry) {
            Ok(subject) => made = subject,
            Err(why) => {
                outcome.wrong.push((seed, format!("the generated scenario is refused: {why}")));
                return;
            }
        }
        let drafts = made.drafts.as_deref().unwrap_or_default();
        outcome.sizes.push((drafts.len(), drafts.iter().filter(|d| d.creates()).count()));
        &made
    } else {
        *random.pick(&wanted)
    };
    let (mut orders, coverage) = (Random::new(seed, "orders"), &mut outcome.coverage);
    let (wrong, journal) = judge_subject(subject, (&mut random, &mut orders), registry, coverage);
    if !wrong.is_empty() {
        keep_journal(seed, &journal);
        outcome.wrong.push((seed, format!("{}\n{}", subject.name, wrong.join("\n"))));
    }
}

/// Writes the journal of a drill that went wrong into the folder that `REDRILL_SIM_JOURNALS` names, to be read by people.
fn keep_journal(seed: u64, journal: &[u8]) {
    if let Some(folder) = std::env::var_os("REDRILL_SIM_JOURNALS") {
        let path = std::path::Path::new(&folder).join(format!("{seed}.jsonl"));
        std::fs::write(&path, journal).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    }
}

fn first_difference(one: &Ran, other: &Ran) -> String {
    let text = |ran: &Ran| String::from_utf8_lossy(&ran.bytes).into_owned();
    let (one, other) = (text(one), text(other));
    let differing = one.lines().zip(other.lines()).find(|(a, b)| a != b);
    differing.map_or("one is longer".to_owned(), |(a, b)| format!("\n{a}\n{b}"))
}

/// An undisturbed run, a disturbed one, and one in eight times the disturbed one again: what went wrong, and the journal of the
/// last.
fn judge_subject(
    subject: &Subject,
    (random, orders): (&mut Random, &mut Random),
    registry: &Registry,
    coverage: &mut Coverage,
) -> (Vec<String>, Vec<u8>) {
    let calm_weather = Disturbance { mild: true, ..Disturbance::default() };
    let calm = run(subject, &calm_weather, registry);
    coverage.note(&calm_weather, &calm);
    let mut wrong = judge(subject, &calm);
    wrong.extend(as_modelled(subject, &calm));
    if !wrong.is_empty() {
        wrong.insert(0, "undisturbed".to_owned());
        return (wrong, calm.bytes);
    }
    let late = Disturbance::seen_late(subject, &calm.bytes).filter(|_| random.chance(50));
    let disturbance = late.unwrap_or_else(|| Disturbance::random(random, &calm.extent));
    let disturbance = disturbance.with_orders(orders, &calm.extent).with_roles(orders);
    let ran = run(subject, &disturbance, registry);
    coverage.note(&disturbance, &ran);
    wrong.extend(judge(subject, &ran));
    wrong.extend(compare(subject, &calm, &ran, &disturbance));
    if random.chance(12) {
        let again: Ran = run(subject, &disturbance, registry);
        coverage.note(&disturbance, &again);
        if again.bytes != ran.bytes {
            wrong.push(format!(
                "the same seed gives another journal: {}",
                first_difference(&ran, &again)
            ));
        }
    }
    if !wrong.is_empty() {
        wrong.insert(0, disturbance.to_string());
    }
    (wrong, ran.bytes)
}
