//! Least privilege: the IAM policies that the roles of a scenario need, and who may assume them.
//!
//! Main function: [`access`], which gives an [`Access`]. What is known about IAM itself is in one table
//! ([`IAM_ACTIONS`], and [`actions_of`] for calls whose IAM action has another name). Which permissions a step needs, and
//! on what, is said by its action; nothing in here knows a provider. Pure: nothing is called.

mod access;
mod reaping;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod trust;

pub use access::{Access, Need, RoleAccess, RunnerAccess, Statement, Wanted, access};
pub use reaping::reaping;
pub use store::StorePlace;
pub use table::{
    Asked, IAM_ACTIONS, IamAction, Level, ResourceType, Tags, actions_of, iam_action, never_called,
};
pub use trust::Trust;
