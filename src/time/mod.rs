//! Time: the one clock, durations as people write them, and the retry policy.
//!
//! Main type: [`Clock`]. Nothing else in the program asks the system what time it is (a lint sees to it).

mod clock;
mod human;
mod retry;

pub use clock::Clock;
pub use human::{ByteSize, HumanDuration};
pub use retry::{RetryPolicy, RetrySchedule};
