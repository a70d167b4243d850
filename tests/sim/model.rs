//! The reference model: which verdicts a scenario may end in, from what its generator knows, without any engine.
//!
//! Main function: [`allowed`]. It knows nothing of time: where the order of events decides which steps still begin, it
//! allows what either order gives.

use redrill::report::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// `guard.max_duration` of a scenario that is not meant to be cut short.
pub(crate) const LONGEST: &str = "20d";

/// How a step ends when it runs in a healthy world, by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Design {
    /// It passes.
    Passes,
    /// It does its work, and what comes out is not what was expected.
    FallsShort,
    /// The recovery does not work: it fails without an output.
    Fails,
    /// It does its work, and whether what comes out is as expected cannot be told.
    Unclear,
    /// It cannot do its work, which says nothing about the recovery.
    Breaks,
    /// It watches, and what it sees ends the run.
    Alarm,
    /// Nobody answers in the rehearsal: it is not run.
    Unanswered,
    /// Its condition is false.
    LeftOut,
}

/// A step, as the generator made it.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) uses: &'static str,
    pub(crate) phase: &'static str,
    pub(crate) at: Option<&'static str>,
    /// Its `with:`, in YAML's flow style.
    pub(crate) with: String,
    pub(crate) expect: Vec<(&'static str, String)>,
    /// Needs that are written out.
    pub(crate) needs: BTreeSet<String>,
    /// Steps whose outputs it refers to.
    pub(crate) refers: BTreeSet<String>,
    pub(crate) required: bool,
    /// `on_failure: continue`.
    pub(crate) goes_on: bool,
    pub(crate) gate: bool,
    pub(crate) attempts: Option<u64>,
    /// Its limit in seconds, where that is a little shorter than what it waits for takes.
    pub(crate) too_short: Option<u64>,
    /// How often it looks, where it is a watch.
    pub(crate) watch: Option<&'static str>,
    pub(crate) design: Design,
}

impl Draft {
    pub(crate) fn new(id: String, uses: &'static str, phase: &'static str, with: String) -> Self {
        Self {
            id,
            uses,
            phase,
            at: None,
            with,
            expect: Vec::new(),
            needs: BTreeSet::new(),
            refers: BTreeSet::new(),
            required: true,
            goes_on: false,
            gate: false,
            attempts: None,
            too_short: None,
            watch: None,
            design: Design::Passes,
        }
    }

    pub(crate) fn creates(&self) -> bool {
        let words = ["restore_", "copy_snapshot", "replicate_canary", "take_snapshot", "try_write"];
        words.iter().any(|word| self.uses.contains(word))
    }

    /// True when its end stops the starting of steps.
    fn stops(&self) -> bool {
        let ends_badly = [Design::FallsShort, Design::Fails, Design::Unclear, Design::Breaks];
        !self.goes_on && ends_badly.contains(&self.design)
    }

    /// Everything that must have ended before it begins.
    pub(crate) fn waits_for(&self) -> impl Iterator<Item = &String> {
        self.needs.iter().chain(&self.refers)
    }
}

/// How a step may end, were there nobody to stop it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Passed,
    /// With or without an output that others can use.
    Failed {
        usable: bool,
    },
    /// As above, and nobody can tell whether it is as expected.
    Unclear {
        usable: bool,
    },
    Nothing,
}

impl End {
    /// Whether a step that needs it begins.
    fn serves(self) -> bool {
        matches!(
            self,
            Self::Passed | Self::Failed { usable: true } | Self::Unclear { usable: true }
        )
    }
}

/// The verdicts that a run in a healthy world may end in. `drafts` stand in an order in which each comes after those that
/// it waits for; at most one of them stops the others. `cut_short` is true when the guard may end the run early.
pub(crate) fn allowed(drafts: &[Draft], cut_short: bool) -> BTreeSet<Verdict> {
    let ends = ends(drafts);
    let ended = |draft: &Draft| ends.get(draft.id.as_str()).is_some_and(|e| *e != End::Nothing);
    let mut alarms = drafts.iter().filter(|d| d.design == Design::Alarm && ended(d));
    let alarm = alarms.next();
    if alarm.is_some() && !cut_short && !drafts.iter().any(Draft::stops) {
        // It cancels the run, which cannot pass; whether a step had failed by then is a matter of moments.
        return BTreeSet::from([Verdict::Failed, Verdict::Inconclusive]);
    }
    let mut allowed = to_the_end(drafts, &ends);
    if cut_short || alarm.is_some() {
        allowed.extend([Verdict::Inconclusive, Verdict::Failed]);
    }
    allowed
}

/// How each step ends, were there nobody to stop it.
fn ends(drafts: &[Draft]) -> BTreeMap<&str, End> {
    let mut ends: BTreeMap<&str, End> = BTreeMap::new();
    for draft in drafts {
        let met = draft.waits_for().all(|need| ends.get(need.as_str()).is_some_and(|e| e.serves()));
        let end = match draft.design {
            _ if !met => End::Nothing,
            Design::Passes => End::Passed,
            Design::FallsShort => End::Failed { usable: draft.goes_on },
            Design::Fails | Design::Alarm => End::Failed { usable: false },
            Design::Unclear => End::Unclear { usable: draft.goes_on },
            Design::Breaks => End::Unclear { usable: false },
            Design::Unanswered | Design::LeftOut => End::Nothing,
        };
        ends.insert(&draft.id, end);
    }
    ends
}

/// The verdicts of a run that nobody ends early.
fn to_the_end(drafts: &[Draft], ends: &BTreeMap<&str, End>) -> BTreeSet<Verdict> {
    let stops = drafts.iter().find(|d| d.stops() && ends.get(d.id.as_str()) != Some(&End::Nothing));
    let certain = stops.map(|stop| certain(drafts, stop));
    let verdict_of = |draft: &Draft| match ends.get(draft.id.as_str()) {
        Some(End::Passed) => Verdict::Passed,
        Some(End::Failed { .. }) => Verdict::Failed,
        _ => Verdict::Inconclusive,
    };
    let is_certain = |id: &str| certain.as_ref().is_none_or(|certain| certain.contains(id));
    // A watch ends a run or does not; whether it could watch at all is no part of the verdict.
    let required = || drafts.iter().filter(|draft| draft.required && draft.watch.is_none());
    let sure = required().filter(|d| is_certain(&d.id)).map(verdict_of);
    let sure = sure.max().unwrap_or(Verdict::Passed);
    let perhaps: Vec<Verdict> = required().filter(|d| !is_certain(&d.id)).map(verdict_of).collect();
    let mut allowed = BTreeSet::new();
    if perhaps.is_empty() {
        allowed.insert(sure);
        return allowed;
    }
    // All of the others may still run, or none of them, or any.
    for verdict in perhaps.iter().copied().chain([Verdict::Inconclusive]) {
        allowed.insert(sure.max(verdict));
    }
    if perhaps.iter().any(|verdict| *verdict != Verdict::Passed) {
        allowed.remove(&Verdict::Passed);
    }
    allowed
}

/// The steps that run to their end although `stop` stops the others: what it waits for, and what must end before it by its
/// phase.
fn certain(drafts: &[Draft], stop: &Draft) -> BTreeSet<String> {
    let mut certain = BTreeSet::from([stop.id.clone()]);
    for draft in drafts.iter().rev() {
        let before = draft.phase == "prepare" && stop.phase != "prepare";
        if before || certain.contains(&draft.id) {
            certain.insert(draft.id.clone());
            certain.extend(draft.waits_for().cloned());
        }
    }
    certain
}
