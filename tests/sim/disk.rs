//! A disk in memory that outlives the simulated process, and the places at which the process dies while it writes.

use redrill::journal::Sink;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What of a write reaches the disk when the process dies in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written {
    /// Nothing.
    Nothing,
    /// A part: so many thousandths of the bytes.
    Torn(u64),
    /// Everything; only the process does not learn it.
    Whole,
}

/// Where the process dies while it writes. Counted from 1 since it began.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Death {
    /// In a write.
    Write(usize, Written),
    /// After a record, the last that reaches the disk, wherever in a write it stands.
    Record(usize),
    /// After the first record of this kind.
    After(&'static str),
}

impl Written {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "before the write",
            Self::Torn(_) => "torn write",
            Self::Whole => "after the write",
        }
    }
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// The ends of the writes of this process.
    appends: usize,
    records: usize,
    death: Option<Death>,
    /// The kinds of events in the write in which the process died.
    died_in: Option<Vec<String>>,
    intended: Vec<String>,
    declared: bool,
    cancelled: bool,
    releasing: bool,
}

impl State {
    fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.intended.extend(names_of_intents(bytes));
        for kind in kinds_of_events(bytes) {
            self.declared |= kind == "disaster_declared";
            self.cancelled |= kind == "cancel_requested";
            self.releasing |= kind == "release_started";
        }
    }
}

/// The journal's bytes. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new process begins.
    pub(crate) fn begin_process(&self, death: Option<Death>) {
        let mut state = self.state();
        (state.appends, state.records) = (0, 0);
        state.death = death;
        state.died_in = None;
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state().bytes.clone()
    }

    /// Puts bytes there: the journal of an earlier process, or what is left when a torn line was cut off.
    pub(crate) fn set(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.bytes.clear();
        state.intended.clear();
        (state.declared, state.cancelled, state.releasing) = (false, false, false);
        state.take(bytes);
    }

    /// How many writes the process has made.
    pub(crate) fn appends(&self) -> usize {
        self.state().appends
    }

    /// How many records the process has written.
    pub(crate) fn records(&self) -> usize {
        self.state().records
    }

    /// The kinds of events in the write in which the process died.
    pub(crate) fn died_in(&self) -> Option<Vec<String>> {
        self.state().died_in.clone()
    }

    /// True from the declaration of the disaster until the removal of resources begins, as it stands on disk.
    pub(crate) fn disaster_lasts(&self) -> bool {
        let state = self.state();
        state.declared && !state.releasing
    }

    /// True once no step may do anything any more, as it stands on disk.
    pub(crate) fn steps_are_over(&self) -> bool {
        let state = self.state();
        state.cancelled || state.releasing
    }

    /// The names of everything whose intent is on disk.
    pub(crate) fn intended(&self) -> Vec<String> {
        self.state().intended.clone()
    }
}

impl Sink for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.appends += 1;
        let before = state.records;
        let ends =
            || bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(n, _)| n + 1);
        state.records += ends().count();
        let lines = || bytes.split_inclusive(|byte| *byte == b'\n');
        let of_kind = |kind: &str| lines().position(|line| kinds_of_events(line) == [kind]);
        let kept = match state.death {
            Some(Death::After(kind)) if of_kind(kind).is_some() => {
                let upto = of_kind(kind).unwrap_or_default();
                lines().take(upto + 1).map(<[u8]>::len).sum()
            }
            Some(Death::Write(nth, Written::Nothing)) if nth == state.appends => 0,
            Some(Death::Write(nth, Written::Torn(thousandths))) if nth == state.appends => {
                bytes.len() * thousandths as usize / 1000
            }
            Some(Death::Write(nth, Written::Whole)) if nth == state.appends => bytes.len(),
            Some(Death::Record(nth)) if before < nth && nth <= state.records => {
                ends().nth(nth - before - 1).unwrap_or(0)
            }
            _ => {
                state.take(bytes);
                return Ok(());
            }
        };
        state.died_in = Some(kinds_of_events(bytes));
        state.take(&bytes[..kept]);
        Err(io::Error::other("the simulated process died"))
    }
}

/// The kinds of the events in some lines of a journal.
pub(crate) fn kinds_of_events(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let kinds = text.lines().filter_map(|line| after(line, "\"event\":{\"type\":\""));
    kinds.map(str::to_owned).collect()
}

fn names_of_intents(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let intents = text.lines().filter(|l| l.contains("\"type\":\"resource_intended\""));
    intents.filter_map(|line| after(line, "\"name\":\"")).map(str::to_owned).collect()
}

fn after<'l>(line: &'l str, mark: &str) -> Option<&'l str> {
    line.split_once(mark)?.1.split('"').next()
}

/// When the first thing of a step was made, on the clock of the process that made it.
pub(crate) fn made_after(bytes: &[u8], step: &str) -> Option<Duration> {
    let text = String::from_utf8_lossy(bytes);
    let of_step = format!("\"type\":\"resource_intended\",\"step\":\"{step}\"");
    let intent = text.lines().find(|line| line.contains(&of_step))?;
    let name = format!("\"name\":\"{}\"", after(intent, "\"name\":\"")?);
    let owned = |line: &&str| line.contains("\"type\":\"resource_owned\"") && line.contains(&name);
    let made = text.lines().find(owned)?;
    let elapsed = made.split_once("\"elapsed_ms\":")?.1.split(',').next()?;
    elapsed.parse().ok().map(Duration::from_millis)
}
