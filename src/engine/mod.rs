//! Making it happen.
//!
//! Main entry: [`drive`]. [`decide`] is pure (plan, state, now → moves); `drive` is the thin loop that writes events and
//! carries out moves. It owns time limits, retries, cancelling and releasing. It knows no provider and no AWS service.

mod attempt;
mod backup_point;
mod before;
mod conceal;
mod decide;
mod drive;
mod expect;
mod hooks;
mod inputs;
mod inventory;
mod recorder;
mod release;
#[cfg(test)]
mod tests;
mod watch;
mod world;

pub use before::look_at_hooks;
pub use decide::{Move, decide};
pub use drive::{Drive, DriveError, Opening, drive};
pub use hooks::{Due, Message, tell, unheard};
pub use release::{LONGEST_REMOVAL, LOOK_FIRST, Released, release};
pub use world::{Keep, Observer, OnLoss, Order, Orders, World};
