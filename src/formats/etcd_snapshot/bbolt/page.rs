use super::bytes::{u16_at, u32_at, u64_at};
use serde::Serialize;
use std::fmt;

/// Bytes before the elements of a page.
pub(super) const HEADER_BYTES: usize = 16;
/// Bytes of an entry in the table of elements, in branch and leaf pages alike.
const ELEMENT_BYTES: usize = 16;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META: u16 = 0x04;
const FREE_LIST: u16 = 0x10;

/// The flag of a leaf element whose value is a bucket.
const BUCKET_ELEMENT: u32 = 1;

/// Where an element was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Place {
    pub(in super::super) page: u64,
    pub(in super::super) index: u16,
}

/// What can be wrong with a page of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PageFault {
    /// A page points to it, but it lies outside of the database.
    OutOfRange {
        /// The first page that was never used.
        high_water_mark: u64,
    },
    /// Its header names another page: it was overwritten, zeroed, or written to the wrong place.
    Number {
        /// The page that the header names.
        found: u64,
    },
    /// It is not of a kind that belongs in its place.
    Kind {
        /// The flags in its header: 1 branch, 2 leaf, 4 meta, 16 free list.
        flags: u16,
    },
    /// It claims more pages after itself than the database has.
    Overflow {
        /// How many pages it claims after itself.
        pages: u32,
    },
    /// It is longer than this reader loads at once.
    TooLarge {
        /// Its length with its overflow pages.
        bytes: u64,
    },
    /// It is reached on two ways, or overlaps another page. It was not read again.
    ReachedTwice,
    /// It lies deeper in the tree than any real database grows.
    TooDeep,
    /// Its table of elements does not fit into it.
    ElementTable {
        /// How many elements the header claims.
        count: u16,
    },
    /// An element lies outside of the page or over another one.
    Extent {
        /// The element's position, from 0.
        index: u16,
    },
    /// Bytes lie between an element and what comes before it. bbolt leaves none: there an element was, or a part of one.
    Gap {
        /// The element's position, from 0.
        index: u16,
    },
    /// Bytes follow the last element. bbolt leaves nothing there but zeros, and nothing at all in a bucket stored in place.
    Leftover,
    /// An element has flags that do not exist.
    Flags {
        /// The element's position, from 0.
        index: u16,
    },
    /// A branch page with no children.
    NoChildren,
    /// An element's key is empty, or not greater than the one before it.
    Order {
        /// The element's position, from 0.
        index: u16,
    },
    /// A key does not belong into the range that the page above gives.
    Range {
        /// The element's position, from 0.
        index: u16,
    },
    /// The list of free pages names a page that cannot be free.
    FreeList,
    /// The list of free pages names a page twice.
    FreeTwice {
        /// The page that it names.
        number: u64,
    },
}

impl fmt::Display for PageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { high_water_mark } => write!(
                f,
                "pointed to, but the database ends before page {high_water_mark}; what it held is lost"
            ),
            Self::Number { found } => write!(
                f,
                "its header says that it is page {found}: it was overwritten, zeroed or misplaced; \
                 what it held is lost"
            ),
            Self::Kind { flags } => write!(
                f,
                "its flags are {flags:#x}, which does not belong here; what it held is lost"
            ),
            Self::Overflow { pages } => {
                write!(f, "claims {pages} more pages, past the end; what it held is lost")
            }
            Self::TooLarge { bytes } => {
                write!(f, "is {bytes} bytes long, more than this reader loads; it was not checked")
            }
            Self::ReachedTwice => f.write_str(
                "reached on two ways, or it overlaps another page: one of them is overwritten",
            ),
            Self::TooDeep => {
                f.write_str("deeper in the tree than any database grows; it was not followed")
            }
            Self::ElementTable { count } => {
                write!(f, "claims {count} elements, which do not fit; what it held is lost")
            }
            Self::Extent { index } => write!(
                f,
                "element {index} lies outside of the page or over another; it and the rest are lost"
            ),
            Self::Gap { index } => write!(
                f,
                "bytes lie between element {index} and what comes before it, where there are never any: an element is lost, or \
                 a part of one"
            ),
            Self::Leftover => f.write_str(
                "bytes follow its last element, where there are never any: elements are lost, or a part of the last one",
            ),
            Self::Flags { index } => write!(f, "element {index} has flags that do not exist"),
            Self::NoChildren => f.write_str("a branch with no children; what it held is lost"),
            Self::Order { index } => {
                write!(f, "the key of element {index} is out of order; lookups miss data")
            }
            Self::Range { index } => write!(
                f,
                "the key of element {index} does not belong into this page: it is an old or misplaced \
                 one; lookups miss data"
            ),
            Self::FreeList => {
                f.write_str("the list of free pages names pages that do not exist or are in use")
            }
            Self::FreeTwice { number } => write!(
                f,
                "the list of free pages names page {number} twice: it would be given to two owners, and one of them overwritten"
            ),
        }
    }
}

/// The kinds of page that a tree consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Branch,
    Leaf,
}

/// The 16 bytes at the start of each page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) number: u64,
    pub(super) flags: u16,
    pub(super) count: u16,
    pub(super) overflow: u32,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            number: u64_at(bytes, 0)?,
            flags: u16_at(bytes, 8)?,
            count: u16_at(bytes, 10)?,
            overflow: u32_at(bytes, 12)?,
        })
    }

    pub(super) fn is_meta(&self, number: u64) -> bool {
        self.flags == META && self.number == number
    }

    /// Whether it is the page of a bucket that is stored in place: a leaf without a number, and without pages after it.
    pub(super) fn is_leaf_in_place(&self) -> bool {
        self.flags == LEAF && self.number == 0 && self.overflow == 0
    }

    pub(super) fn is_free_list(&self) -> bool {
        self.flags == FREE_LIST
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        match self.flags {
            BRANCH => Some(Kind::Branch),
            LEAF => Some(Kind::Leaf),
            _ => None,
        }
    }
}

/// One element of a branch or leaf page, within its bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'page> {
    pub(super) index: u16,
    pub(super) key: &'page [u8],
    pub(super) content: Content<'page>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'page> {
    Child(u64),
    Value(&'page [u8]),
    Bucket(&'page [u8]),
    UnknownFlags,
}

/// The elements of a page, each checked to lie behind the one before. That keeps the work on a hostile page linear: 65 535
/// elements over the same megabytes are refused.
///
/// bbolt packs them: the table of elements, then key, value, key, value, without a gap (`Write` of a node), into a page that was
/// zeroed before (`allocate`), or for a bucket stored in place into just as many bytes (`write` of a bucket): see
/// <https://github.com/etcd-io/bbolt/blob/main/node.go>, `tx.go`, `db.go` and `bucket.go`. So what lies elsewhere was an element.
pub(super) struct Elements<'page> {
    bytes: &'page [u8],
    kind: Kind,
    count: u16,
    next: u16,
    free_from: usize,
    gap: Option<u16>,
}

impl<'page> Elements<'page> {
    /// `bytes` is the page with its header and its overflow pages.
    pub(super) fn new(bytes: &'page [u8], kind: Kind, count: u16) -> Result<Self, PageFault> {
        let free_from = HEADER_BYTES + ELEMENT_BYTES * usize::from(count);
        if free_from > bytes.len() {
            return Err(PageFault::ElementTable { count });
        }
        if count == 0 && kind == Kind::Branch {
            return Err(PageFault::NoChildren);
        }
        Ok(Self { bytes, kind, count, next: 0, free_from, gap: None })
    }

    fn parse(&mut self, index: u16) -> Option<Element<'page>> {
        let start = HEADER_BYTES + ELEMENT_BYTES * usize::from(index);
        let field = |number: usize| u32_at(self.bytes, start + 4 * number);
        let (flags, position, key_bytes, value_bytes) = match self.kind {
            Kind::Branch => (0, field(0)?, field(1)?, 0),
            Kind::Leaf => (field(0)?, field(1)?, field(2)?, field(3)?),
        };
        let key_start = start.checked_add(usize::try_from(position).ok()?)?;
        let key_end = key_start.checked_add(usize::try_from(key_bytes).ok()?)?;
        let end = key_end.checked_add(usize::try_from(value_bytes).ok()?)?;
        if key_start < self.free_from {
            return None;
        }
        let key = self.bytes.get(key_start..key_end)?;
        let value = self.bytes.get(key_end..end)?;
        if key_start > self.free_from && self.gap.is_none() {
            self.gap = Some(index);
        }
        self.free_from = end;
        let content = match (self.kind, flags) {
            (Kind::Branch, _) => Content::Child(u64_at(self.bytes, start + 8)?),
            (Kind::Leaf, 0) => Content::Value(value),
            (Kind::Leaf, BUCKET_ELEMENT) => Content::Bucket(value),
            (Kind::Leaf, _) => Content::UnknownFlags,
        };
        Some(Element { index, key, content })
    }
}

impl Elements<'_> {
    /// What lies beside the elements, once all of them were read. `in_place`: the page is a bucket stored in place.
    pub(super) fn remains(&self, in_place: bool) -> Option<PageFault> {
        if let Some(index) = self.gap {
            return Some(PageFault::Gap { index });
        }
        let behind = self.bytes.get(self.free_from..).unwrap_or_default();
        // Block by block, since most of the pages of a database are not full.
        let is_something = |block: &[u8]| block.iter().fold(0, |all, byte| all | byte) != 0;
        let left = if in_place { !behind.is_empty() } else { behind.chunks(64).any(is_something) };
        left.then_some(PageFault::Leftover)
    }
}

impl<'page> Iterator for Elements<'page> {
    type Item = Result<Element<'page>, PageFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        if index >= self.count {
            return None;
        }
        if let Some(element) = self.parse(index) {
            self.next += 1;
            Some(Ok(element))
        } else {
            self.next = self.count;
            Some(Err(PageFault::Extent { index }))
        }
    }
}
