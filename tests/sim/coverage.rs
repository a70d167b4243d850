//! What the disturbances have met: kinds of events, faults, and places of death.

use super::disk::kinds_of_events;
use super::disturbance::Disturbance;
use super::rig::Ran;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The kinds of events that a run can write, as far as simulated drills can make them all.
pub(crate) const KINDS: [&str; 25] = [
    "approval_given",
    "approval_requested",
    "attempt_failed",
    "cancel_requested",
    "checked",
    "disaster_declared",
    "found",
    "inventory_taken",
    "notified",
    "reached",
    "recovery_point_seen",
    "release_started",
    "resource_intended",
    "resource_left",
    "resource_owned",
    "resource_released",
    "run_continued",
    "run_finished",
    "run_paused",
    "run_resumed",
    "run_started",
    "step_finished",
    "step_left_out",
    "step_started",
    "waited",
];

/// Counts of what was met.
#[derive(Clone, Default)]
pub(crate) struct Coverage {
    /// How often each kind of event was written.
    events: BTreeMap<String, u64>,
    /// Deaths in a write, by kind of event, place of death, and fault of the same run.
    deaths: BTreeMap<(String, String, String), u64>,
    /// Deaths at requests, by place of death and operation.
    requests: BTreeMap<String, u64>,
    /// Runs by kind of fault.
    faults: BTreeMap<String, u64>,
    runs: u64,
    processes: u64,
    /// Requests by operation, of all runs together.
    asked: BTreeMap<String, u64>,
}

/// The effect of a fault, without its parameters.
fn effect(fault: &redrill::sandbox::Fault) -> String {
    let text = fault.to_string();
    let effect = text.rsplit_once('=').map_or("", |(_, effect)| effect);
    effect.split(':').next().unwrap_or_default().to_owned()
}

impl Coverage {
    /// Takes a run into account.
    pub(crate) fn note(&mut self, disturbance: &Disturbance, ran: &Ran) {
        self.runs += 1;
        self.processes += 1 + ran.deaths.len() as u64;
        for request in &ran.requests {
            *self.asked.entry(request.operation.clone()).or_default() += 1;
        }
        for kind in kinds_of_events(&ran.bytes) {
            *self.events.entry(kind).or_default() += 1;
        }
        let mut faults: BTreeSet<String> = disturbance.faults.iter().map(effect).collect();
        for fault in &faults {
            *self.faults.entry(fault.clone()).or_default() += 1;
        }
        if faults.is_empty() {
            faults.insert("no fault".to_owned());
        }
        for death in &ran.deaths {
            let (place, what) = death.split_once(": ").unwrap_or((death, ""));
            if !place.contains("write") {
                *self.requests.entry(death.clone()).or_default() += 1;
                continue;
            }
            for kind in what.split(' ').collect::<BTreeSet<_>>() {
                for fault in &faults {
                    let key = (kind.to_owned(), place.to_owned(), fault.clone());
                    *self.deaths.entry(key).or_default() += 1;
                }
            }
        }
    }

    /// Adds what another thread has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        fn sum<K: Ord + Clone>(all: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
            for (key, count) in more {
                *all.entry(key.clone()).or_default() += count;
            }
        }
        sum(&mut self.events, &other.events);
        sum(&mut self.deaths, &other.deaths);
        sum(&mut self.requests, &other.requests);
        sum(&mut self.faults, &other.faults);
        sum(&mut self.asked, &other.asked);
        self.runs += other.runs;
        self.processes += other.processes;
    }

    /// Kinds of events in whose write no process has died.
    pub(crate) fn unkilled(&self) -> Vec<&'static str> {
        let killed: BTreeSet<&str> = self.deaths.keys().map(|(kind, ..)| kind.as_str()).collect();
        KINDS.into_iter().filter(|kind| !killed.contains(kind)).collect()
    }

    /// Of all kinds of events, places of death in a write, and faults that were met, the combinations that were not.
    pub(crate) fn unmet(&self) -> Vec<String> {
        let faults: BTreeSet<&String> = self.deaths.keys().map(|(.., fault)| fault).collect();
        let places: BTreeSet<&String> = self.deaths.keys().map(|(_, place, _)| place).collect();
        let mut unmet = Vec::new();
        for kind in KINDS {
            for (place, fault) in places.iter().flat_map(|p| faults.iter().map(move |f| (p, f))) {
                let key = (kind.to_owned(), (*place).clone(), (*fault).clone());
                if !self.deaths.contains_key(&key) {
                    unmet.push(format!("{kind}/{place}/{fault}"));
                }
            }
        }
        unmet
    }

    /// How many complete runs were made.
    pub(crate) fn runs(&self) -> u64 {
        self.runs
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked: u64 = self.asked.values().sum();
        let each = asked / self.runs.max(1);
        writeln!(f, "{} runs in {} processes, {each} requests each", self.runs, self.processes)?;
        writeln!(f, "requests: {:?}", self.asked)?;
        let faults: BTreeSet<&str> = self.deaths.keys().map(|(.., fault)| fault.as_str()).collect();
        let places: BTreeSet<&str> =
            self.deaths.keys().map(|(_, place, _)| place.as_str()).collect();
        writeln!(f, "deaths in a write, by kind of event, place and fault of the same run:")?;
        for (kind, written) in &self.events {
            writeln!(f, "  {kind} ({written} written)")?;
            for place in &places {
                write!(f, "    {place}:")?;
                for fault in &faults {
                    let key = ((*kind).clone(), (*place).to_owned(), (*fault).to_owned());
                    let count = self.deaths.get(&key).copied().unwrap_or_default();
                    write!(f, " {fault} {count}")?;
                }
                writeln!(f)?;
            }
        }
        writeln!(f, "not met: {}", self.unmet().join(", "))?;
        writeln!(f, "deaths at requests:")?;
        for (place, count) in &self.requests {
            writeln!(f, "  {place}: {count}")?;
        }
        writeln!(f, "runs by fault: {:?}", self.faults)
    }
}
