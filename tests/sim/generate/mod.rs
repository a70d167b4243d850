//! Random valid scenarios from the real actions, each with the estate that it needs.
//!
//! Main function: [`generate`]. Every step is made together with the part of the estate that decides how it ends, so that
//! the reference model knows it without running anything. The texts go through the same reading, checking and compiling
//! as those that people write.

mod alarms;
mod clusters;
mod data;
mod databases;
mod files;
mod outside;
mod write;

use super::model::{Design, Draft};
use super::random::Random;
use super::subject::Subject;
use redrill::action::Registry;
use redrill::plan::RunMode;
use std::collections::BTreeSet;

/// A scenario and its estate under construction.
struct Workshop {
    random: Random,
    /// Decides about alarms apart from the rest, so that a seed without one stays what it was before there were any.
    for_alarms: Random,
    drafts: Vec<Draft>,
    primary: Places,
    dr: Places,
    /// True when something comes back in the other region of the same account.
    near: bool,
    /// The most minutes that the run may take, where its guard cuts it short.
    limit: Option<u64>,
    commands: String,
    http: String,
    approvals: String,
    etcds: String,
    etcd: String,
    /// How many steps may still be made to fall short.
    bad: u64,
    /// One of them already stops the others.
    stopped: bool,
    /// How the program ends that people hear by, if there is one.
    hook: Option<u8>,
}

/// The parts of a place, as items of YAML lists.
#[derive(Default)]
struct Places {
    databases: String,
    clusters: String,
    volumes: String,
    buckets: String,
    alarms: String,
}

/// The scenario and the estate of a seed.
pub(crate) fn texts(seed: u64) -> (String, String, Vec<Draft>) {
    let mut random = Random::new(seed, "scenario");
    let bad = *random.pick(&[0, 0, 0, 1, 1, 2]);
    let mut shop = Workshop {
        random,
        for_alarms: Random::new(seed, "alarms"),
        drafts: Vec::new(),
        primary: Places::default(),
        dr: Places::default(),
        near: false,
        limit: None,
        commands: String::new(),
        http: String::new(),
        approvals: String::new(),
        etcds: String::new(),
        etcd: String::new(),
        bad,
        stopped: false,
        hook: None,
    };
    shop.fill();
    shop.finish();
    let mut hooks = Random::new(seed, "hooks");
    shop.hook = hooks.chance(25).then(|| *hooks.pick(&[0, 0, 1]));
    (shop.scenario(), shop.estate(), shop.drafts)
}

/// The subject of a seed.
///
/// # Errors
/// When the checker refuses it: then the generator, or the checker, is wrong.
pub(crate) fn generate(seed: u64, registry: &Registry) -> Result<Subject, String> {
    let (scenario, estate, drafts) = texts(seed);
    let estate_file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/estates/generated.yaml");
    let name = format!("generated {seed}");
    let subject = Subject::read(&name, &scenario, (estate_file, &estate), RunMode::Drill, registry);
    let subject = subject.map_err(|why| format!("{why}\n{scenario}\n{estate}"))?;
    Ok(Subject { drafts: Some(drafts), ..subject })
}

impl Workshop {
    fn fill(&mut self) {
        // Few databases: they take long, and each look at them is a call.
        let databases = *self.random.pick(&[0, 1, 1, 1, 1, 2]);
        let volumes = *self.random.pick(&[1, 1, 2, 2, 3]);
        for n in 0..databases {
            self.database(n);
        }
        for n in 0..volumes {
            self.volume(n);
        }
        if self.random.chance(30) {
            self.bucket();
        }
        let etcd = self.random.chance(8);
        if etcd {
            self.etcd();
        }
        if self.random.chance(15) {
            self.cluster();
        }
        for n in 0..self.random.between(0, 2) {
            self.approval(n);
        }
        for n in 0..self.random.between(1, 2) {
            self.http(n);
        }
        if self.random.chance(20) {
            self.watch();
        }
        self.limit = self.random.chance(5).then(|| self.random.between(10, 400));
        if etcd {
            self.members();
        }
        if self.for_alarms.chance(12) {
            self.alarm();
        }
        if self.for_alarms.chance(8) {
            self.stop_condition();
        }
    }

    /// Adds a step, which may need others by chance.
    fn add(&mut self, mut draft: Draft) -> String {
        if self.random.chance(20) {
            let others = self.up_to(draft.phase);
            if !others.is_empty() {
                draft.needs.insert(self.random.pick(&others).clone());
            }
        }
        draft.attempts = self.random.chance(20).then(|| self.random.between(2, 5));
        draft.goes_on = self.random.chance(15);
        draft.required = !self.random.chance(8);
        if draft.design != Design::Passes {
            draft.goes_on = self.stopped || self.random.chance(60);
            self.stopped |= !draft.goes_on;
            draft.required = !self.random.chance(15);
        }
        let id = draft.id.clone();
        self.drafts.push(draft);
        id
    }

    /// The steps that a step of this phase may need.
    fn up_to(&self, phase: &str) -> Vec<String> {
        let rank = |phase: &str| ["prepare", "recover", "verify"].iter().position(|p| *p == phase);
        let fits = |other: &&Draft| rank(other.phase) <= rank(phase) && other.watch.is_none();
        self.drafts.iter().filter(fits).map(|other| other.id.clone()).collect()
    }

    /// True for one of the steps that end badly.
    fn goes_wrong(&mut self) -> bool {
        let wrong = self.bad > 0 && self.random.chance(15);
        self.bad -= u64::from(wrong);
        wrong
    }

    /// Things that concern the whole: gates, conditions.
    fn finish(&mut self) {
        if self.bad > 0 && self.random.chance(30) {
            let plain = |d: &&mut Draft| {
                d.design == Design::Passes && d.phase == "verify" && d.watch.is_none()
            };
            if let Some(draft) = self.drafts.iter_mut().find(plain) {
                draft.design = Design::LeftOut;
            }
        }
        // A scenario in which nothing is required is refused.
        if self.drafts.iter().all(|draft| !draft.required || draft.watch.is_some())
            && let Some(draft) = self.drafts.iter_mut().find(|draft| draft.watch.is_none())
        {
            draft.required = true;
        }
        let gate = |d: &&mut Draft| {
            let proves = d.phase == "verify" && d.watch.is_none();
            proves && d.required && d.design != Design::LeftOut
        };
        if let Some(draft) = self.drafts.iter_mut().rev().find(gate) {
            draft.gate = true;
        }
        if let Some(place) = self.drafts.iter().position(|draft| draft.gate) {
            self.let_it_wait(place);
        }
    }

    /// The gate proves the recovery: it waits for all of it. What comes later and does not follow from it is optional.
    fn let_it_wait(&mut self, gate: usize) {
        let id = self.drafts[gate].id.clone();
        let recovers = |d: &Draft| d.required && d.phase == "recover" && d.watch.is_none();
        let earlier = self.drafts[..gate].iter().filter(|d| recovers(d));
        let earlier: Vec<String> = earlier.map(|d| d.id.clone()).collect();
        self.drafts[gate].needs.extend(earlier);
        let mut after = BTreeSet::from([id]);
        for draft in &mut self.drafts[gate + 1..] {
            if draft.waits_for().any(|need| after.contains(need)) {
                after.insert(draft.id.clone());
            } else if recovers(draft) {
                draft.required = false;
            }
        }
    }
}

/// A reference to an output of a step, in quotes.
fn output(step: &str, name: &str) -> String {
    format!("\"{{{{steps.{step}.{name}}}}}\"")
}
