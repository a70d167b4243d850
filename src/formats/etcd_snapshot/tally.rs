use super::bbolt::{EntrySink, Place};
use super::damage::{Damage, DamageLog};
use super::fault::{OwnBucket, RevisionFault};
use super::leases::StoredLeases;
use super::mvcc::{Compaction, History, KEY_BUCKET, KeyName, KeyValue, Lives, Revision};
use super::note::Note;
use super::records::{AlarmKind, Records};
use crate::formats::crc32c::Crc32c;

/// What `etcdctl snapshot status` counts, and what etcd's layer says, gathered entry by entry.
pub(super) struct Tally {
    hash: Crc32c,
    pub(super) entries: u64,
    bucket: Bucket,
    pub(super) key_bucket_found: bool,
    own_found: Vec<OwnBucket>,
    unknown_buckets: u64,
    of_leases: Option<Note>,
    pub(super) history: History,
    pub(super) records: Records,
}

enum Bucket {
    Key,
    Own(OwnBucket),
    Unknown,
}

impl Tally {
    pub(super) fn new(compaction: Compaction, stored: StoredLeases) -> Self {
        Self {
            hash: Crc32c::new(),
            entries: 0,
            bucket: Bucket::Unknown,
            key_bucket_found: false,
            own_found: Vec::new(),
            unknown_buckets: 0,
            of_leases: None,
            history: History::new(compaction, stored),
            records: Records::default(),
        }
    }

    /// The entries that follow belong to this bucket.
    pub(super) fn begin_bucket(&mut self, name: &[u8]) {
        self.hash.update(name);
        self.bucket = match OwnBucket::named(name) {
            Some(own) => Bucket::Own(own),
            None if name == KEY_BUCKET => Bucket::Key,
            None => Bucket::Unknown,
        };
        if let Bucket::Own(own) = self.bucket {
            self.own_found.push(own);
        }
        self.key_bucket_found |= matches!(self.bucket, Bucket::Key);
        self.unknown_buckets += u64::from(matches!(self.bucket, Bucket::Unknown));
    }

    /// The CRC-32C over all names of buckets, keys and values so far.
    pub(super) fn hash(&self) -> u32 {
        self.hash.finish()
    }

    /// What only the whole tells, once all entries were read.
    pub(super) fn finish(&mut self, log: &mut DamageLog) {
        let leased = self.history.leased();
        self.records.facts.keys_with_lease = leased.keys();
        if log.everything_read() {
            self.of_leases = leased.note();
            self.tables(log);
        }
        // etcd never enables it before both are there (`AuthEnable` in
        // <https://github.com/etcd-io/etcd/blob/main/server/auth/store.go>), and never takes them away while it is enabled.
        if log.everything_read()
            && self.records.facts.auth.enabled == Some(true)
            && !self.records.root_has_its_role
        {
            log.wrong(Damage::AuthWithoutRoot);
        }
        for alarm in &self.records.facts.alarms {
            if alarm.kind == AlarmKind::Corrupt {
                log.wrong(Damage::CorruptAlarm { member: alarm.member });
            }
        }
    }

    /// What must be there whatever the cluster has been through: etcd makes its tables when it starts, and notes with each change how
    /// far it has come.
    fn tables(&self, log: &mut DamageLog) {
        for bucket in OwnBucket::ALL.into_iter().filter(|own| !self.own_found.contains(own)) {
            log.wrong(Damage::BucketMissing { bucket });
        }
        let facts = &self.records.facts;
        let Compaction { scheduled, finished } = facts.compaction;
        // A compaction to revision 1 comes before any change; etcd 3.4 notes none for it.
        let was_changed = !self.history.is_empty() || scheduled.is_some_and(|to| to > 1);
        if self.own_found.contains(&OwnBucket::Meta)
            && was_changed
            && facts.consistent_index.is_none()
        {
            log.wrong(Damage::NoConsistentIndex);
        }
        // It is noted when it begins, and then when it has ended.
        if let Some(finished) = finished.filter(|finished| scheduled < Some(*finished)) {
            log.wrong(Damage::CompactionContradicts { scheduled, finished });
        }
    }

    /// What is worth knowing and no damage.
    pub(super) fn notes(&self) -> Vec<Note> {
        let facts = &self.records.facts;
        let mut notes = Vec::new();
        if facts.compaction.in_flight() {
            notes.push(Note::CompactionInFlight { to: facts.compaction.revision() });
        }
        let last = self.history.revision();
        let to = facts.compaction.finished.filter(|to| last.is_some_and(|last| *to > last.max(1)));
        notes.extend(last.zip(to).map(|(last, to)| Note::CompactedBeyond { last, to }));
        let full = facts.alarms.iter().filter(|alarm| alarm.kind == AlarmKind::NoSpace);
        notes.extend(full.map(|alarm| Note::NoSpaceAlarm { member: alarm.member }));
        match (facts.auth.enabled, facts.auth.users) {
            (Some(true), users) => notes.push(Note::AuthEnabled { users }),
            (None, users @ 1..) => notes.push(Note::AuthNotSaid { users }),
            _ => {}
        }
        if self.history.bumped() {
            notes.push(Note::RevisionBumped);
        }
        notes.extend(self.of_leases);
        if self.records.unknown > 0 {
            notes.push(Note::UnknownEntries { count: self.records.unknown });
        }
        if self.unknown_buckets > 0 {
            notes.push(Note::UnknownBuckets { count: self.unknown_buckets });
        }
        notes
    }

    fn revision_entry(&mut self, place: Place, key: &[u8], value: &[u8], log: &mut DamageLog) {
        let revision = Revision::parse(key);
        if let Err(fault) = self.history.entry(revision, value, log.unbroken()) {
            log.wrong(damaged(place, revision, value, fault));
        }
    }
}

fn damaged(place: Place, revision: Option<Revision>, value: &[u8], fault: RevisionFault) -> Damage {
    let stored = KeyValue::parse(value).and_then(|stored| stored.key);
    Damage::Revision {
        page: place.page,
        index: place.index,
        revision: revision.map(|revision| revision.number),
        key: stored.filter(|name| !name.is_empty()).map(KeyName::new),
        fault,
    }
}

/// Follows one of the parts of the keys that were too many to be followed at once. What each change says by itself has been
/// judged before.
pub(super) struct OtherPart<'log> {
    pub(super) lives: Lives,
    /// Where faults are told, when nothing was lost or out of order.
    pub(super) log: Option<&'log mut DamageLog>,
}

impl EntrySink for OtherPart<'_> {
    fn entry(&mut self, place: Place, key: &[u8], value: &[u8], _: &mut DamageLog) {
        let (Some(revision), Some(stored)) = (Revision::parse(key), KeyValue::parse(value)) else {
            return;
        };
        let Some(name) = stored.key.filter(|name| !name.is_empty()) else { return };
        let lived = match revision.deleted {
            true => self.lives.end(name, revision.number),
            false => self.lives.change(name, &stored),
        };
        if let (Err(fault), Some(log)) = (lived, self.log.as_mut()) {
            log.wrong(damaged(place, Some(revision), value, fault));
        }
    }

    fn make_room(&mut self, bytes: usize) {
        self.lives.make_room(bytes);
    }
}

impl EntrySink for Tally {
    fn make_room(&mut self, bytes: usize) {
        self.history.make_room(bytes);
    }

    fn entry(&mut self, place: Place, key: &[u8], value: &[u8], log: &mut DamageLog) {
        self.hash.update(key);
        self.hash.update(value);
        self.entries += 1;
        match self.bucket {
            Bucket::Key => self.revision_entry(place, key, value, log),
            Bucket::Own(bucket) => {
                if let Err(fault) = self.records.entry(bucket, key, value) {
                    let Place { page, index } = place;
                    log.wrong(Damage::Record { bucket, page, index, fault });
                }
            }
            Bucket::Unknown => {}
        }
    }
}
