//! Finding what runs of this program have left behind, from journals and from tags, and removing what has expired.
//!
//! Main functions: [`gather`] looks (reads only) and decides; [`remove`] removes what the decision says, and believes
//! that it is gone when a look-up says so. [`decide`] is pure. Which sites there are, where journals lie and how the
//! result is printed belong to `app`.

mod decide;
mod gather;
mod past;
mod remove;

pub use decide::{Decision, decide, expiry_of};
pub use gather::{Forbids, Gathered, Leftover, Lookout, NotAsked, Sought, ToldBy, gather};
pub use past::{Life, PastRun, PastThing};
pub use remove::{Removal, RunLock, remove};
