//! redrill rehearses disasters.
//!
//! ```text
//! scenario.yaml ─load→ Scenario ─compile→ Plan ─drive→ Journal ─fold→ Report ─render→ html md json junit
//!                                   │                  │  ▲            ▲
//!                                   └─render→ runbook  └──┘ resume     └─ history: earlier journals
//!                       actions ─→ AWS / etcd / SQL / HTTP: the real thing, or the sandbox's estate behind the same SDK clients
//! ```
//!
//! The modules stand below in the order in which data flows through them; the leaves, which know nobody, come last.
//! `docs/architecture.md` says what may use what, and where to put a new thing.

pub mod action;
pub mod app;
pub mod aws;
pub mod cli;
pub mod engine;
pub mod error;
pub mod expectation;
pub mod formats;
pub mod iam;
pub mod ids;
pub mod journal;
pub mod limits;
pub mod organisation;
pub mod outside;
pub mod partition;
pub mod plan;
pub mod preflight;
pub mod providers;
pub mod reap;
pub mod render;
pub mod report;
pub mod sandbox;
pub mod scenario;
pub mod time;
pub mod visible;
