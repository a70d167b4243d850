//! The door to AWS: who we are where, what may leave the process, and what errors mean.
//!
//! Main types: [`SiteSession`] and the [`client!`](crate::client) macro, by which every client is built: with the
//! permanent [`Guard`] and the sealed HTTP client. A client built otherwise cannot send anything. This module names
//! services only in the guard's table of operations and its rules.

mod budget;
mod classify;
mod credentials;
mod guard;
mod hosts;
mod limited;
mod operations;
mod origin;
mod policy;
mod refused;
mod rules;
mod session;
#[cfg(test)]
mod tests;

pub use budget::RetryBudget;
pub use classify::{failure_of, is_expiry, site_of};
pub use credentials::{AccountOf, CredentialsSource, RenewingCredentials, SiteCredentials};
pub use guard::Guard;
pub use limited::limited;
pub use operations::{OPERATIONS, OperationKind, kind_of};
pub use policy::{GuardPolicy, RunLimits, lies_in};
pub use refused::Refused;
pub use rules::{ChangeRule, Role};
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
