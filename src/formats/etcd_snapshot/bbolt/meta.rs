use super::bytes::{u32_at, u64_at};
use super::page::{HEADER_BYTES, Header};
use crate::formats::ReadAt;
use serde::Serialize;
use std::fmt;
use std::io;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// bbolt reads no further for a meta page: header and body.
const META_BYTES: usize = HEADER_BYTES + 64;
/// bytes of the body that its checksum covers.
const CHECKED_BYTES: usize = 56;
/// A meta page that names this as the free list has none: etcd rebuilds it when it opens the file.
const NO_FREE_LIST: u64 = u64::MAX;
/// Page sizes are powers of two; bbolt looks for the second meta page at each of these when the first is ruined.
const SMALLEST_PAGE: u32 = 1024;
const LARGEST_PAGE: u32 = 1024 << 14;

/// The state of one of the two meta pages, which say where everything else is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaState {
    /// Usable.
    Valid {
        /// The number of the transaction that wrote it. The page with the higher number is in force.
        transaction: u64,
    },
    /// Ruined.
    Damaged(MetaFault),
}

/// What can be wrong with a meta page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaFault {
    /// The file ends before it, or its place is unknown because the other page is ruined too.
    Absent,
    /// It does not begin as a meta page does.
    Magic {
        /// The four bytes in the magic number's place.
        found: u32,
    },
    /// A version of the format that is not 2, the only one there is.
    Version {
        /// The version it names.
        found: u32,
    },
    /// Its FNV-1a checksum does not belong to its content.
    Checksum,
    /// A page size that is not a power of two from 1 KiB to 16 MiB, or not that of the other meta page.
    PageSize {
        /// The size it names, in bytes.
        found: u32,
    },
    /// Its page header names another page or kind of page.
    Header,
}

impl fmt::Display for MetaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("not found"),
            Self::Magic { found } => {
                write!(f, "begins with {found:#010x}, a meta page with {MAGIC:#010x}")
            }
            Self::Version { found } => write!(f, "names version {found}; only {VERSION} exists"),
            Self::Checksum => f.write_str("its checksum does not belong to its content"),
            Self::PageSize { found } => write!(f, "names an impossible page size, {found} bytes"),
            Self::Header => f.write_str("its header names another page or kind of page"),
        }
    }
}

/// Where the database is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Layout {
    /// Bytes of a page.
    pub(in super::super) page_size: u32,
    /// The first page that was never used: the database is as long as this many pages.
    pub(in super::super) high_water_mark: u64,
    /// The page at the root of the list of buckets.
    pub(in super::super) root: u64,
    /// The first page of the list of free pages, if it is kept in the file. etcd on Linux keeps none.
    pub(in super::super) free_list: Option<u64>,
}

impl Layout {
    /// How many bytes the database needs.
    pub(in super::super) fn bytes(&self) -> u64 {
        self.high_water_mark.saturating_mul(u64::from(self.page_size))
    }
}

/// A field in which the two meta pages of a snapshot contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaField {
    /// The number of the transaction. It is one lower in the second page.
    Transaction,
    /// The page at the root of everything.
    Root,
    /// The list of free pages.
    FreeList,
    /// The first page that was never used.
    HighWaterMark,
    /// Flags or sequence number, which etcd never uses.
    Unused,
}

impl fmt::Display for MetaField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transaction => "the number of the transaction",
            Self::Root => "the root page",
            Self::FreeList => "the list of free pages",
            Self::HighWaterMark => "the first unused page",
            Self::Unused => "an unused field",
        })
    }
}

/// Both meta pages, and the layout of the one in force.
#[derive(Debug)]
pub(in super::super) struct Metas {
    pub(in super::super) states: [MetaState; 2],
    pub(in super::super) layout: Option<Layout>,
    both: Option<(Meta, Meta)>,
}

#[derive(Clone, Copy, Debug)]
struct Meta {
    transaction: u64,
    layout: Layout,
    flags: u32,
    sequence: u64,
}

impl Metas {
    /// Reads both from a database of `length` bytes.
    pub(in super::super) fn read<R: ReadAt + ?Sized>(file: &R, length: u64) -> io::Result<Self> {
        let first = read_one(file, length, 0, 0)?;
        let second = match first {
            Ok(first) => read_one(file, length, 1, first.layout.page_size)?,
            Err(_) => find_second(file, length)?,
        };
        let both = first.ok().zip(second.ok());
        let in_force = match both {
            // The second one only where its number is higher (`meta` in <https://github.com/etcd-io/bbolt/blob/main/db.go>).
            Some((first, second)) if second.transaction <= first.transaction => Some(first),
            _ => second.ok().or(first.ok()),
        };
        let states = [state(first), state(second)];
        Ok(Self { states, layout: in_force.map(|found| found.layout), both })
    }

    /// In what the two pages contradict each other. bbolt copies a database with the same page twice, in all but its place and its
    /// number, which is one lower in the second (`WriteTo` in <https://github.com/etcd-io/bbolt/blob/main/tx.go>). In the file of a
    /// running member, which is no copy, each page is of a transaction of its own.
    pub(in super::super) fn contradiction(&self, is_copy: bool) -> Option<MetaField> {
        let (first, second) = self.both?;
        if first.transaction == second.transaction {
            return Some(MetaField::Transaction);
        }
        let (one, other) = (first.layout, second.layout);
        let differing = [
            (MetaField::Transaction, second.transaction.checked_add(1) != Some(first.transaction)),
            (MetaField::Root, one.root != other.root),
            (MetaField::FreeList, one.free_list != other.free_list),
            (MetaField::HighWaterMark, one.high_water_mark != other.high_water_mark),
            (MetaField::Unused, (first.flags, first.sequence) != (second.flags, second.sequence)),
        ];
        let found = differing.into_iter().find(|(_, differs)| *differs);
        found.map(|(field, _)| field).filter(|_| is_copy)
    }
}

fn state(meta: Result<Meta, MetaFault>) -> MetaState {
    match meta {
        Ok(Meta { transaction, .. }) => MetaState::Valid { transaction },
        Err(fault) => MetaState::Damaged(fault),
    }
}

/// Looks for the second meta page at every page size; it must name the size at which it was found.
fn find_second<R: ReadAt + ?Sized>(file: &R, length: u64) -> io::Result<Result<Meta, MetaFault>> {
    let mut best = Err(MetaFault::Absent);
    let mut page_size = SMALLEST_PAGE;
    while page_size <= LARGEST_PAGE {
        match read_one(file, length, 1, page_size)? {
            Ok(meta) => return Ok(Ok(meta)),
            // Some other bytes, or a page that was one: the latter is worth telling.
            Err(MetaFault::Absent | MetaFault::Magic { .. }) => {}
            Err(fault) => best = Err(fault),
        }
        page_size *= 2;
    }
    Ok(best)
}

fn read_one<R: ReadAt + ?Sized>(
    file: &R,
    length: u64,
    number: u64,
    offset: u32,
) -> io::Result<Result<Meta, MetaFault>> {
    let mut bytes = [0; META_BYTES];
    if length < u64::from(offset) + META_BYTES as u64 {
        return Ok(Err(MetaFault::Absent));
    }
    file.read_exact_at(&mut bytes, u64::from(offset))?;
    let expected_page_size = (number == 1).then_some(offset);
    Ok(parse(&bytes, number, expected_page_size))
}

fn parse(
    bytes: &[u8; META_BYTES],
    number: u64,
    expected_page_size: Option<u32>,
) -> Result<Meta, MetaFault> {
    let (header, body) = bytes.split_at(HEADER_BYTES);
    let u32_in_body = |offset| u32_at(body, offset).unwrap_or_default();
    let u64_in_body = |offset| u64_at(body, offset).unwrap_or_default();
    let magic = u32_in_body(0);
    if magic != MAGIC {
        return Err(MetaFault::Magic { found: magic });
    }
    let version = u32_in_body(4);
    if version != VERSION {
        return Err(MetaFault::Version { found: version });
    }
    if fnv1a(&body[..CHECKED_BYTES]) != u64_in_body(CHECKED_BYTES) {
        return Err(MetaFault::Checksum);
    }
    let page_size = u32_in_body(8);
    let possible =
        page_size.is_power_of_two() && (SMALLEST_PAGE..=LARGEST_PAGE).contains(&page_size);
    if !possible || expected_page_size.is_some_and(|expected| expected != page_size) {
        return Err(MetaFault::PageSize { found: page_size });
    }
    if !Header::parse(header).is_some_and(|header| header.is_meta(number)) {
        return Err(MetaFault::Header);
    }
    let free_list = Some(u64_in_body(32)).filter(|page| *page != NO_FREE_LIST);
    let layout =
        Layout { page_size, high_water_mark: u64_in_body(40), root: u64_in_body(16), free_list };
    let (transaction, sequence) = (u64_in_body(48), u64_in_body(24));
    Ok(Meta { transaction, layout, flags: u32_in_body(12), sequence })
}

/// FNV-1a with 64 bits (IETF draft-eastlake-fnv), which bbolt uses for meta pages.
pub(in super::super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}
