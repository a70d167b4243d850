//! Deterministic simulation of whole drills: real actions, real SDK clients and the real engine in a simulated estate, with
//! faults at the wire and processes that die at any place, judged by an oracle that looks at the estate.
//!
//! `cargo test --test it sim` runs a few seeds, `cargo bench --bench sim -- --seeds N` many. What is simulated and what
//! is checked is told in `docs/simulation.md`. Nothing in here may ask the engine what is right.

pub(crate) mod campaign;
pub(crate) mod coverage;
pub(crate) mod disk;
pub(crate) mod disturbance;
pub(crate) mod exhaustive;
pub(crate) mod generate;
pub(crate) mod model;
pub(crate) mod oracle;
pub(crate) mod random;
pub(crate) mod rig;
pub(crate) mod story;
pub(crate) mod subject;
pub(crate) mod watch;
