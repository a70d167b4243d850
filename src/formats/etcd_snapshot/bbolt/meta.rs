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

/// Both meta pages, and the layout of the one in force.
#[derive(Debug)]
pub(in super::super) struct Metas {
    pub(in super::super) states: [MetaState; 2],
    pub(in super::super) layout: Option<Layout>,
}

type Meta = (u64, Layout);

impl Metas {
    /// Reads both from a database of `length` bytes.
    pub(in super::super) fn read<R: ReadAt + ?Sized>(file: &R, length: u64) -> io::Result<Self> {
        let first = read_one(file, length, 0, 0)?;
        let second = match first {
            Ok((_, layout)) => read_one(file, length, 1, layout.page_size)?,
            Err(_) => find_second(file, length)?,
        };
        let in_force = [first, second].into_iter().flatten().max_by_key(|(number, _)| *number);
        Ok(Self { states: [state(first), state(second)], layout: in_force.map(|(_, found)| found) })
    }
}

fn state(meta: Result<Meta, MetaFault>) -> MetaState {
    match meta {
        Ok((transaction, _)) => MetaState::Valid { transaction },
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
    Ok((u64_in_body(48), layout))
}

/// FNV-1a with 64 bits (IETF draft-eastlake-fnv), which bbolt uses for meta pages.
pub(in super::super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}
