//! What the backups of every service have in common: which of them is the recovery point, keys that must be usable, and the
//! spacing of recovery points.
//!
//! Main types: [`Candidates`] (what was found, judged), [`KeyCondition`] and [`Spacing`]. No service but KMS belongs in here, and nothing that a provider could
//! keep to itself.

mod checks;
mod choice;
mod choosing_by_hand;
mod found;
mod keys;
mod probes;
#[cfg(test)]
pub(super) mod rehearsal;
mod spacing;
mod tagged;

pub(super) use checks::{age_check, lines_in_time, loss, search_problems};
pub(super) use choice::{Backup, Candidates, Obstacle, Seen, Summary, count};
pub(super) use choosing_by_hand::{Choosing, key_state, lost_by_it};
pub(super) use found::{DATABASE_TIME, Wish, Words, keys_of};
pub(super) use keys::{KeyCondition, key_check, key_conditions, key_probe, on_keys};
pub(super) use probes::{Newest, later, newest_probes};
pub(super) use spacing::{Spacing, time_of};
pub(super) use tagged::{TimeTag, is_of_a_drill};
