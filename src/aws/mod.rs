//! The door to AWS: who we are where, what may leave the process, and what errors mean.
//!
//! Main types: [`SiteSession`] and the [`client!`](crate::client) macro, by which every client is built: with the
//! permanent [`Guard`] and the sealed HTTP client. A client built otherwise cannot send anything. This module names
//! services only in the guard's table of operations.

mod classify;
mod guard;
mod limited;
mod operations;
mod session;

pub use classify::failure_of;
pub use guard::{Guard, GuardPolicy, Refused};
pub use limited::limited;
pub use operations::{OPERATIONS, OperationKind, kind_of};
pub use session::{CallLog, Place, SiteSession};

/// Builds a client of an SDK crate for a site: `client!(session, aws_sdk_rds)`. The only way to get one that can send.
#[macro_export]
macro_rules! client {
    ($session:expr, $sdk:ident) => {{
        let mut builder = $sdk::config::Builder::from($session.config());
        builder.push_interceptor($session.guard());
        $sdk::Client::from_conf(builder.build())
    }};
}
