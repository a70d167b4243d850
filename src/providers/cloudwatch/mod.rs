//! Amazon CloudWatch: whether alarms are quiet, once or while a drill is under way.
//!
//! Main type: `CheckAlarms`. Decisions are functions over plain data in `judge`. It changes nothing. Alarms are asked as they
//! are: metrics, logs and what an alarm does to others do not belong in here.

mod by_hand;
mod check_alarms;
mod judge;
#[cfg(test)]
mod pages;
mod preflight;
#[cfg(test)]
mod rehearsals;

use crate::action::Registry;
use check_alarms::CheckAlarms;

/// Adds what this program knows about CloudWatch.
pub fn register(registry: &mut Registry) {
    registry.action(CheckAlarms);
}
