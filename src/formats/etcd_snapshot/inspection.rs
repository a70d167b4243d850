use super::bbolt::{Layout, MetaFault, MetaState, Metas, Walk};
use super::damage::{Damage, DamageLog, Packing};
use super::mvcc::Tally;
use super::trailer::{Trailer, body_bytes};
use crate::formats::ReadAt;
use std::io;

/// Everything that was found out about a snapshot file. Numbers are `None` where damage kept them from being known:
/// a count over half of the data would be a lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Bytes of the file, with its trailer.
    pub size_bytes: u64,
    /// The SHA-256 at the end, compared with the content.
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
}

/// Whether the file is as long as the database in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// All pages are there.
    Complete,
    /// The file was cut.
    Truncated(Truncated),
    /// Neither meta page is usable, so that nobody knows how long the database is.
    Unknown,
}

/// How much of a database is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// Bytes up to the high-water mark.
    pub need_bytes: u64,
    /// Bytes in the file, without the trailer.
    pub have_bytes: u64,
}

/// What an inspection says in one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Soundness {
    /// It is what etcd wrote, all of it could be read, and there is data in it.
    Sound,
    /// Nothing wrong was found, but it is not proven to be right, for these reasons.
    Unproven(Vec<&'static str>),
    /// Something is wrong: see [`Inspection::damage`].
    Damaged,
}

impl Inspection {
    /// The sum of the findings. Only [`Soundness::Sound`] may count as passed.
    pub fn soundness(&self) -> Soundness {
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
        if self.live_keys.is_none_or(|count| count == 0) {
            reasons.push("the snapshot holds no keys: nothing was verified");
        }
        if reasons.is_empty() { Soundness::Sound } else { Soundness::Unproven(reasons) }
    }

    /// The size of the database in bytes, as `totalSize` of `etcdctl snapshot status`: without the trailer.
    pub fn database_bytes(&self) -> Option<u64> {
        self.high_water_mark?.checked_mul(u64::from(self.page_size?))
    }
}

/// Inspects an etcd snapshot of `length` bytes. Reads it twice, in blocks; blocks the thread while it does.
///
/// # Errors
/// When the file cannot be read, or is shorter than `length`. A damaged snapshot is not an error: see
/// [`Inspection::damage`].
pub fn inspect<R: ReadAt + ?Sized>(file: &R, length: u64) -> io::Result<Inspection> {
    if let Some(last) = length.checked_sub(1) {
        // Everything below trusts the length, so that nothing is reserved for what is not there.
        file.read_exact_at(&mut [0], last)?;
    }
    let mut log = DamageLog::default();
    let trailer = Trailer::check(file, length)?;
    if let Trailer::Differs { expected, found } = trailer {
        log.wrong(Damage::TrailerDiffers { expected, found });
    }
    let body = body_bytes(length);
    let metas = Metas::read(file, body)?;
    log_metas(file, length, &metas, &mut log)?;
    let mut inspection = Inspection {
        size_bytes: length,
        trailer,
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
    };
    match (inspection.complete, metas.layout) {
        (Completeness::Complete, Some(layout)) => count(file, layout, &mut inspection, &mut log)?,
        (Completeness::Truncated(Truncated { need_bytes, have_bytes }), _) => {
            log.lost(Damage::Truncated { need_bytes, have_bytes });
        }
        _ => {}
    }
    inspection.damage = log.listed;
    inspection.damage_not_listed = log.not_listed;
    Ok(inspection)
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
        let not_a_snapshot = match packing(file, length)? {
            _ if length == 0 => Damage::Empty,
            Some(packing) => Damage::Packed(packing),
            None => Damage::NoUsableMeta,
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
    Ok(())
}

fn packing<R: ReadAt + ?Sized>(file: &R, length: u64) -> io::Result<Option<Packing>> {
    let mut first = [0; 4];
    if length < 4 {
        return Ok(None);
    }
    file.read_exact_at(&mut first, 0)?;
    Ok(match first {
        [0x1F, 0x8B, ..] => Some(Packing::Gzip),
        [b'P', b'K', 3, 4] => Some(Packing::Zip),
        [0x28, 0xB5, 0x2F, 0xFD] => Some(Packing::Zstandard),
        _ => None,
    })
}

/// Walks the whole tree and fills in the numbers that are certain.
fn count<R: ReadAt + ?Sized>(
    file: &R,
    layout: Layout,
    inspection: &mut Inspection,
    log: &mut DamageLog,
) -> io::Result<()> {
    let mut walk = Walk::new(file, layout);
    let mut tally = Tally::new();
    for bucket in walk.buckets(log)? {
        tally.begin_bucket(&bucket.name);
        walk.entries(&bucket, &mut tally, log)?;
    }
    walk.free_list(log)?;
    if !tally.key_bucket_found {
        log.lost(Damage::NoKeyBucket);
    }
    if log.everything_read() {
        inspection.entries = Some(tally.entries);
        inspection.hash = Some(tally.hash());
        inspection.revision = tally.revision();
        inspection.live_keys = tally.live_keys();
    }
    Ok(())
}
