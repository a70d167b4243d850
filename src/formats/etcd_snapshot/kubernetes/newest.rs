use super::super::bbolt::{EntrySink, Place};
use super::super::damage::DamageLog;
use super::super::keys::{complete_layout, walk_keys};
use super::super::mvcc::{KeyValue, Revision, RevisionNumber};
use super::inventory::NewestTime;
use super::key::Key;
use super::taking::shortened_name;
use super::value::newest_time;
use crate::formats::ReadAt;
use std::io;

/// How many of the last revisions are looked at: in a cluster that runs, leases are renewed in some of every hundred.
const REVISIONS: i64 = 10_000;

/// The newest time that an object of Kubernetes says of itself in one of the last ten thousand revisions of a snapshot of `length` bytes
/// whose last one is `last`; `None` where none does. That of the whole snapshot is in [`super::Inventory::newest`]. Reads only the
/// pages with these revisions.
///
/// # Errors
/// When the file cannot be read.
pub fn newest_time_of_last_changes<R: ReadAt + ?Sized>(
    file: &R,
    length: u64,
    last: i64,
) -> io::Result<Option<NewestTime>> {
    let Some(layout) = complete_layout(file, length)? else { return Ok(None) };
    let main = last.saturating_sub(REVISIONS).max(0);
    let mut seen = LastChanges { behind: RevisionNumber { main, sub: 0 }.to_key(), newest: None };
    let all_read = walk_keys(file, layout, &mut seen)?;
    Ok(seen.newest.filter(|_| all_read))
}

struct LastChanges {
    behind: [u8; 17],
    newest: Option<NewestTime>,
}

impl EntrySink for LastChanges {
    fn entry(&mut self, _: Place, key: &[u8], value: &[u8], _: &mut DamageLog) {
        let (Some(revision), Some(stored)) = (Revision::parse(key), KeyValue::parse(value)) else {
            return;
        };
        let Key::Object(object) = Key::parse(stored.key.unwrap_or_default()) else { return };
        if let Some((at, source)) = newest_time(stored.value)
            && self.newest.as_ref().is_none_or(|newest| newest.at < at)
        {
            let resource = shortened_name(object.group, object.resource);
            let revision = revision.number.main;
            self.newest = Some(NewestTime { at, source, resource, revision });
        }
    }

    fn wants(&self, below: Option<&[u8]>) -> bool {
        below.is_none_or(|below| below > &self.behind[..])
    }
}

#[cfg(test)]
mod tests {
    use super::super::take_inventory;
    use super::*;

    const WITH_LEASES: &[u8] =
        include_bytes!("../../../../scenarios/estates/files/cluster-state.last-month.db");

    #[test]
    fn the_newest_time_of_the_last_changes_is_that_of_the_inventory() {
        let length = WITH_LEASES.len() as u64;
        let inventory = take_inventory(WITH_LEASES, length, &[]).unwrap().unwrap();
        let found = newest_time_of_last_changes(WITH_LEASES, length, inventory.revision).unwrap();
        assert_eq!(found, inventory.newest);
        assert_eq!(found.unwrap().at.to_rfc3339(), "2026-10-19T22:56:51+00:00");
    }

    #[test]
    fn pages_whose_revisions_lie_before_the_last_ones_are_not_read() {
        let length = WITH_LEASES.len() as u64;
        let far = newest_time_of_last_changes(WITH_LEASES, length, 1 << 40).unwrap();
        let all = newest_time_of_last_changes(WITH_LEASES, length, 0).unwrap();
        // The last page has no bound above: it is read whatever it holds.
        assert_eq!(far, all);
        let seen =
            LastChanges { behind: RevisionNumber { main: 9, sub: 0 }.to_key(), newest: None };
        let bound = |main| RevisionNumber { main, sub: 0 }.to_key();
        assert!(!seen.wants(Some(&bound(9))) && seen.wants(Some(&bound(10))) && seen.wants(None));
    }
}
