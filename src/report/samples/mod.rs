//! Hand-made runs for tests: what their reports must say is known.

mod planned;
mod runs;

pub(crate) use planned::{plan, registry};
pub(crate) use runs::{
    Sample, Tape, all, cancelled, failed, human, inconclusive, passed, rehearsal,
};
