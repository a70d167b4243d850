use super::bbolt::{Layout, MetaFault, MetaState, Metas, Walk};
use super::damage::{Damage, DamageLog, LostRevisions};
use super::foreign::Foreign;
use super::keys::walk_keys;
use super::later::not_understood;
use super::leases::StoredLeases;
use super::mvcc::{Compaction, Lives, read_compaction};
use super::note::Note;
use super::records::ClusterFacts;
use super::tally::{OtherPart, Tally};
use super::trailer::{Trailer, body_bytes};
use crate::formats::ReadAt;
use crate::formats::packed::{Packing, Unpacked};
use serde::Serialize;
use std::io;
use std::thread;

/// Everything that was found out about a snapshot file. Numbers are `None` where damage kept them from being known:
/// a count over half of the data would be a lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Bytes of the file, with its trailer.
    pub size_bytes: u64,
    /// The SHA-256 at the end, compared with the content. Of a file that was cut, or is something else, nothing is hashed: it counts
    /// as [`Trailer::Missing`].
    pub trailer: Trailer,
    /// Both meta pages.
    pub metas: [MetaState; 2],
    /// Bytes of a page; `None` when neither meta page is usable.
    pub page_size: Option<u32>,
    /// The first page that was never used; `None` when neither meta page is usable.
    pub high_water_mark: Option<u64>,
    /// Whether all pages are there.
    pub complete: Completeness,
    /// The revision of the last change (`revision` of `etcdctl snapshot status`); 0 when there is none.
    pub revision: Option<i64>,
    /// Entries of all buckets: `totalKey` as etcdctl up to 3.5 counts it, older revisions and etcd's own included.
    pub entries: Option<u64>,
    /// Keys that exist at [`Inspection::revision`]: `totalKey` as etcdutl from 3.6 counts it, without the nameless
    /// mark that `--bump-revision` leaves.
    pub live_keys: Option<u64>,
    /// CRC-32C over the names of the buckets and all their entries: `hash` of `etcdctl snapshot status`. It differs
    /// between members of a cluster at the same revision.
    pub hash: Option<u32>,
    /// What is wrong, in the order in which it was found; 100 at most.
    pub damage: Vec<Damage>,
    /// How many more things are wrong.
    pub damage_not_listed: u64,
    /// The changes that unreadable pages held, where that is known; 100 at most.
    pub lost_revisions: Vec<LostRevisions>,
    /// What etcd notes of itself: members, alarms, leases. `None` when not everything could be read.
    pub cluster: Option<ClusterFacts>,
    /// What a person who restores it should know, and is no damage.
    pub notes: Vec<Note>,
}

/// Whether the file is as long as the database in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    /// All pages are there.
    Complete,
    /// The file was cut.
    Truncated(Truncated),
    /// Neither meta page is usable, so that nobody knows how long the database is.
    Unknown,
}

/// How much of a database is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Truncated {
    /// Bytes up to the high-water mark.
    pub need_bytes: u64,
    /// Bytes in the file, without the trailer.
    pub have_bytes: u64,
}

/// What an inspection says in one word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Soundness {
    /// It is what etcd wrote, all of it could be read, and there is data in it.
    Sound,
    /// Nothing wrong was found, but it is not proven to be right, for these reasons.
    Unproven(Vec<&'static str>),
    /// Something is wrong: see [`Inspection::damage`].
    Damaged,
    /// It is no snapshot of etcd. As what it is it may be sound: nothing in it was looked at.
    Foreign(Foreign),
}

impl Inspection {
    /// The sum of the findings. Only [`Soundness::Sound`] may count as passed.
    pub fn soundness(&self) -> Soundness {
        if let Some(Damage::NotASnapshot(foreign)) = self.damage.first() {
            return Soundness::Foreign(*foreign);
        }
        if !self.damage.is_empty() {
            return Soundness::Damaged;
        }
        let mut reasons = Vec::new();
        if !matches!(self.trailer, Trailer::Matches { .. }) {
            reasons.push(
                "the file has no SHA-256 at its end, so that changed values cannot be noticed: it is \
                 a copy of a member's database, or was cut",
            );
        }
        if self.notes.iter().any(|note| matches!(note, Note::PageNotChecked { .. })) {
            reasons.push("a page is larger than this program loads: what it holds was not checked");
        } else if self.live_keys.is_none_or(|count| count == 0) {
            reasons.push("the snapshot holds no keys: nothing was verified");
        }
        if self.is_not_understood() {
            reasons.push(
                "the snapshot is of an etcd later than 3.6, and entries in it are not as those before write them: they were not judged",
            );
        }
        if self.notes.iter().any(|note| matches!(note, Note::LeasesMissing { .. })) {
            reasons.push(
                "keys hang on leases that are not there, and etcd removes both or none: records of leases are lost or damaged, or \
                 keys stand that had ended",
            );
        }
        if self.notes.iter().any(|note| matches!(note, Note::LeasesNotCompared { .. })) {
            reasons.push("there are more leases than this program holds against those of keys");
        }
        if self.compaction_is_in_doubt() {
            reasons.push(
                "a compaction is noted beyond the last change, and only once: if that note is damaged, nothing tells which older \
                 changes must be there",
            );
        }
        if reasons.is_empty() { Soundness::Sound } else { Soundness::Unproven(reasons) }
    }

    /// Whether a later etcd has written it, and more in it than this reader knows.
    pub fn is_not_understood(&self) -> bool {
        self.notes.iter().any(|note| matches!(note, Note::NotUnderstood { .. }))
    }

    /// Whether history may have been thrown away up to a revision of which only one of etcd's two notes tells, and no change. Where
    /// both tell it, the changes up to it were deletions and what they deleted: these a compaction leaves out.
    fn compaction_is_in_doubt(&self) -> bool {
        let Some((last, facts)) = self.revision.zip(self.cluster.as_ref()) else { return false };
        let compaction = facts.compaction;
        compaction.revision() > last.max(1) && compaction.scheduled != compaction.finished
    }

    /// The revision at which an etcd is that starts from it: that of the last change, or of the compaction that has thrown that one
    /// away (`restore` in <https://github.com/etcd-io/etcd/blob/main/server/storage/mvcc/kvstore.go>).
    pub fn current_revision(&self) -> Option<i64> {
        let finished = self.cluster.as_ref().and_then(|facts| facts.compaction.finished);
        self.revision.map(|last| last.max(finished.unwrap_or(last)))
    }

    /// `totalKey` as etcdutl from 3.6 counts it: keys that exist, the nameless mark of `--bump-revision` included.
    pub fn total_key_from_3_6(&self) -> Option<u64> {
        let mark = self.notes.contains(&Note::RevisionBumped);
        self.live_keys.map(|keys| keys.saturating_add(u64::from(mark)))
    }

    /// The size of the database in bytes, as `totalSize` of `etcdctl snapshot status`: without the trailer.
    pub fn database_bytes(&self) -> Option<u64> {
        self.high_water_mark?.checked_mul(u64::from(self.page_size?))
    }
}

/// Inspects an etcd snapshot of `length` bytes. Reads it twice, in blocks, at once: one thread hashes it, the calling one walks
/// the tree. Blocks the calling thread until both are done. A file that was cut, or is something else, is refused before that.
///
/// # Errors
/// When the file cannot be read, or is shorter than `length`. A damaged snapshot is not an error: see
/// [`Inspection::damage`].
pub fn inspect<R: ReadAt + Sync + ?Sized>(file: &R, length: u64) -> io::Result<Inspection> {
    if let Some(last) = length.checked_sub(1) {
        // Everything below trusts the length, so that nothing is reserved for what is not there.
        file.read_exact_at(&mut [0], last)?;
    }
    let mut log = DamageLog::default();
    let body = body_bytes(length);
    let metas = Metas::read(file, body)?;
    log_metas(file, length, &metas, &mut log)?;
    let mut inspection = unread(length, &metas, body);
    let is_worth_reading = match inspection.complete {
        Completeness::Complete => true,
        Completeness::Truncated(_) => false,
        Completeness::Unknown => matches!(log.listed.first(), Some(Damage::NoUsableMeta)),
    };
    if is_worth_reading {
        inspection.trailer = thread::scope(|scope| {
            let name = "snapshot-sha256".to_owned();
            let hashing = thread::Builder::new().name(name);
            let hashing = hashing.spawn_scoped(scope, || Trailer::check(file, length))?;
            let examined = examine(file, body, &metas, &mut inspection, &mut log);
            let ended =
                hashing.join().map_err(|_| io::Error::other("the hashing thread broke off"))?;
            examined?;
            ended
        })?;
    } else if let Completeness::Truncated(Truncated { need_bytes, have_bytes }) =
        inspection.complete
    {
        log.lost(Damage::Truncated { need_bytes, have_bytes });
    }
    if let Trailer::Differs { expected, found } = inspection.trailer {
        log.first(Damage::TrailerDiffers { expected, found });
    }
    let not_checked = log.not_checked;
    inspection.notes.extend(not_checked.map(|(page, bytes)| Note::PageNotChecked { page, bytes }));
    inspection.notes.extend(not_understood(inspection.cluster.as_ref(), &mut log));
    inspection.damage = log.listed;
    inspection.damage_not_listed = log.not_listed;
    inspection.lost_revisions = log.lost_revisions;
    Ok(inspection)
}

/// As [`inspect`], of what came out of a packing. Where this reader could not take it off, nothing is looked at, and that is no damage.
/// One that is damaged stands beside this, in [`Unpacked::fault`].
///
/// # Errors
/// As [`inspect`].
pub fn inspect_unpacked<R: ReadAt + Sync + ?Sized>(
    file: &R,
    unpacked: &Unpacked,
) -> io::Result<Inspection> {
    let Some(foreign) = unpacked.fault.and_then(Foreign::of_packing) else {
        return inspect(file, unpacked.bytes);
    };
    let nothing: &[u8] = &[];
    let seen = unread(unpacked.bytes, &Metas::read(nothing, 0)?, 0);
    Ok(Inspection { damage: vec![Damage::NotASnapshot(foreign)], ..seen })
}

/// What is known before anything but the meta pages was read.
fn unread(length: u64, metas: &Metas, body: u64) -> Inspection {
    Inspection {
        size_bytes: length,
        trailer: Trailer::Missing,
        metas: metas.states,
        page_size: metas.layout.map(|layout| layout.page_size),
        high_water_mark: metas.layout.map(|layout| layout.high_water_mark),
        complete: completeness(metas.layout, body),
        revision: None,
        entries: None,
        live_keys: None,
        hash: None,
        damage: Vec::new(),
        damage_not_listed: 0,
        lost_revisions: Vec::new(),
        cluster: None,
        notes: Vec::new(),
    }
}

/// Everything but the trailer, where all pages are there.
fn examine<R: ReadAt + ?Sized>(
    file: &R,
    body: u64,
    metas: &Metas,
    inspection: &mut Inspection,
    log: &mut DamageLog,
) -> io::Result<()> {
    let Some(layout) = metas.layout else { return Ok(()) };
    count(file, layout, inspection, log)?;
    if let Some(bytes) = body.checked_sub(layout.bytes()).filter(|bytes| *bytes > 0) {
        inspection.notes.push(Note::LongerThanNeeded { bytes });
    }
    Ok(())
}

fn completeness(layout: Option<Layout>, have_bytes: u64) -> Completeness {
    match layout.map(|layout| layout.bytes()) {
        None => Completeness::Unknown,
        Some(need_bytes) if need_bytes > have_bytes => {
            Completeness::Truncated(Truncated { need_bytes, have_bytes })
        }
        Some(_) => Completeness::Complete,
    }
}

/// Says what is wrong with the meta pages; without any, says what the file seems to be instead.
fn log_metas<R: ReadAt + ?Sized>(
    file: &R,
    length: u64,
    metas: &Metas,
    log: &mut DamageLog,
) -> io::Result<()> {
    if metas.layout.is_none() {
        let not_a_snapshot = match beginning(file, length)? {
            Beginning::Nothing => Damage::Empty,
            Beginning::Packed(packing) => Damage::Packed(packing),
            Beginning::ListOfChanges => Damage::Incremental,
            Beginning::Other(foreign) => Damage::NotASnapshot(foreign),
            Beginning::Unknown => Damage::NoUsableMeta,
        };
        log.lost(not_a_snapshot);
    }
    for (index, state) in (0_u8..).zip(metas.states) {
        match state {
            MetaState::Valid { .. } => {}
            // Nothing in the file looks like a meta page: that has been said.
            MetaState::Damaged(MetaFault::Absent | MetaFault::Magic { .. })
                if metas.layout.is_none() => {}
            MetaState::Damaged(fault) => log.wrong(Damage::Meta { index, fault }),
        }
    }
    // What has a digest at its end is a copy that etcd wrote, and not a file that a member works with.
    let is_copy = body_bytes(length) < length;
    if let Some(field) = metas.contradiction(is_copy) {
        log.wrong(Damage::MetasDiffer { field });
    }
    Ok(())
}

/// What a file without a usable meta page seems to be.
enum Beginning {
    Nothing,
    Packed(Packing),
    /// An incremental snapshot of Gardener (`pkg/snapshot/snapshotter` of github.com/gardener/etcd-backup-restore).
    ListOfChanges,
    Other(Foreign),
    Unknown,
}

fn beginning<R: ReadAt + ?Sized>(file: &R, length: u64) -> io::Result<Beginning> {
    const CHANGES: &[u8] = br#"[{"etcdevent""#;
    let mut first = [0; Foreign::BEGINNING];
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(first.len());
    let first = first.get_mut(..length).unwrap_or_default();
    file.read_exact_at(first, 0)?;
    let start = first.get(..CHANGES.len()).unwrap_or_default();
    Ok(match Packing::of(first) {
        _ if first.is_empty() => Beginning::Nothing,
        Some(packing) => Beginning::Packed(packing),
        None if start.eq_ignore_ascii_case(CHANGES) => Beginning::ListOfChanges,
        None => Foreign::of(first).map_or(Beginning::Unknown, Beginning::Other),
    })
}

/// Follows the keys that were too many to be followed at once, part by part.
fn follow_other_parts<R: ReadAt + ?Sized>(
    file: &R,
    layout: Layout,
    compaction: Compaction,
    (tally, log): (&mut Tally, &mut DamageLog),
) -> io::Result<()> {
    let mut waiting = tally.history.put_off();
    while let Some(part) = waiting.pop() {
        let lives = Lives::new(compaction, part);
        let unbroken = log.unbroken();
        let mut following = OtherPart { lives, log: unbroken.then_some(&mut *log) };
        walk_keys(file, layout, &mut following)?;
        let mut lives = following.lives;
        waiting.extend(lives.put_off());
        tally.history.add(&lives);
    }
    Ok(())
}

/// Walks the whole tree and fills in the numbers that are certain.
fn count<R: ReadAt + ?Sized>(
    file: &R,
    layout: Layout,
    inspection: &mut Inspection,
    log: &mut DamageLog,
) -> io::Result<()> {
    let mut walk = Walk::new(file, layout);
    let compaction = read_compaction(file, layout)?;
    let mut tally = Tally::new(compaction, StoredLeases::read(file, layout)?);
    for bucket in walk.buckets(log)? {
        tally.begin_bucket(&bucket.name);
        walk.entries(&bucket, &mut tally, log)?;
    }
    walk.free_list(log)?;
    if !tally.key_bucket_found {
        log.lost(Damage::NoKeyBucket);
    }
    follow_other_parts(file, layout, compaction, (&mut tally, log))?;
    tally.finish(log);
    if log.everything_read() {
        inspection.entries = Some(tally.entries);
        inspection.hash = Some(tally.hash());
        inspection.revision = tally.history.revision();
        inspection.live_keys = tally.history.live_keys();
        inspection.notes = tally.notes();
        inspection.cluster = Some(tally.records.facts);
    }
    Ok(())
}
