use super::super::damage::{Damage, DamageLog};
use super::super::fault::BucketFault;
use super::bytes::u64_at;
use super::meta::Layout;
use super::page::{Content, Elements, HEADER_BYTES, Header, Kind, PageFault, Place};
use crate::formats::ReadAt;
use crate::limits;
use std::io;
use std::rc::Rc;

/// The first page that is not a meta page.
const FIRST_PAGE: u64 = 2;
/// Bytes of a bucket's header: root page, sequence.
const BUCKET_HEADER_BYTES: usize = 16;

/// A bucket in the list at the root of the database.
#[derive(Debug)]
pub(in super::super) struct Bucket {
    pub(in super::super) name: Vec<u8>,
    pub(in super::super) root: BucketRoot,
    pub(in super::super) place: Place,
}

/// Where the content of a bucket begins.
#[derive(Debug)]
pub(in super::super) enum BucketRoot {
    /// A page of its own.
    Page(u64),
    /// Small buckets lie inside the element that names them, as a leaf page.
    Inline(Vec<u8>),
}

/// Takes the entries of a tree, in the order of their keys.
pub(in super::super) trait EntrySink {
    /// One entry with its key and value. What is wrong with it goes to the log.
    fn entry(&mut self, place: Place, key: &[u8], value: &[u8], log: &mut DamageLog);
}

/// Takes the elements of leaf pages: where, key, content.
type Visit<'visitor> = dyn FnMut(Place, &[u8], Content<'_>, &mut DamageLog) + 'visitor;

/// A child page that has still to be read: its number, the range its keys must lie in, and its depth.
struct Pending {
    page: u64,
    at_least: Option<Rc<[u8]>>,
    below: Option<Rc<[u8]>>,
    depth: u8,
    in_place: bool,
}

impl Pending {
    /// The beginning of a tree: any key may stand there.
    fn anything(page: u64) -> Self {
        Self { page, at_least: None, below: None, depth: 0, in_place: false }
    }
}

/// Reads trees of pages, each page at most once over its whole life.
pub(in super::super) struct Walk<'file, R: ?Sized> {
    file: &'file R,
    layout: Layout,
    used: PageSet,
    buffer: Vec<u8>,
}

impl<'file, R: ReadAt + ?Sized> Walk<'file, R> {
    /// The caller has made sure that `file` is as long as `layout` needs.
    pub(in super::super) fn new(file: &'file R, layout: Layout) -> Self {
        let used = PageSet::new(layout.high_water_mark);
        Self { file, layout, used, buffer: Vec::new() }
    }

    /// The list of buckets at the root of the database, in the order of their names.
    pub(in super::super) fn buckets(&mut self, log: &mut DamageLog) -> io::Result<Vec<Bucket>> {
        let mut buckets = Vec::new();
        let inline_bytes = limits::ETCD_INLINE_BYTES.min(self.layout.page_size as usize);
        self.tree(self.layout.root, log, &mut |place, key, content, log| {
            let lost = |fault| Damage::Bucket { page: place.page, index: place.index, fault };
            let Content::Bucket(value) = content else {
                return log.lost(lost(BucketFault::NotABucket));
            };
            if buckets.len() == limits::ETCD_BUCKETS {
                return log.lost(lost(BucketFault::TooMany));
            }
            if key.len() > limits::ETCD_BUCKET_NAME_BYTES {
                return log.lost(lost(BucketFault::Name { bytes: key.len() }));
            }
            // bbolt keeps a bucket inline up to a quarter of a page.
            match (u64_at(value, 0), value.get(BUCKET_HEADER_BYTES..)) {
                (Some(0), Some(inline)) if inline.len() <= inline_bytes => {
                    let root = BucketRoot::Inline(inline.to_vec());
                    buckets.push(Bucket { name: key.to_vec(), root, place });
                }
                (Some(page), Some(_)) if page != 0 => {
                    buckets.push(Bucket { name: key.to_vec(), root: BucketRoot::Page(page), place })
                }
                _ => log.lost(lost(BucketFault::Length { bytes: value.len() })),
            }
        })?;
        Ok(buckets)
    }

    /// Hands every entry of a bucket to `sink`.
    pub(in super::super) fn entries(
        &mut self,
        bucket: &Bucket,
        sink: &mut dyn EntrySink,
        log: &mut DamageLog,
    ) -> io::Result<()> {
        let mut visit =
            |place: Place, key: &[u8], content: Content<'_>, log: &mut DamageLog| match content {
                Content::Value(value) => sink.entry(place, key, value, log),
                _ => log.lost(Damage::Bucket {
                    page: place.page,
                    index: place.index,
                    fault: BucketFault::Nested,
                }),
            };
        match &bucket.root {
            BucketRoot::Page(page) => self.tree(*page, log, &mut visit),
            BucketRoot::Inline(bytes) => {
                inline_page(bytes, bucket.place.page, log, &mut visit);
                Ok(())
            }
        }
    }

    /// Compares the list of free pages, if there is one, with the pages that the trees use. Call it last.
    pub(in super::super) fn free_list(&mut self, log: &mut DamageLog) -> io::Result<()> {
        let Some(page) = self.layout.free_list else { return Ok(()) };
        let header = match self.load(page, Header::is_free_list)? {
            Ok(header) => header,
            Err(fault) => {
                log.wrong(Damage::Page { page, fault });
                return Ok(());
            }
        };
        // A count of 65 535 means that the real one is in the first eight bytes.
        let body = self.buffer.get(HEADER_BYTES..).unwrap_or_default();
        let (numbers, _) = body.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let count = match header.count {
            u16::MAX => numbers.next().unwrap_or(u64::MAX),
            count => u64::from(count),
        };
        if count > numbers.len() as u64 {
            log.wrong(Damage::Page { page, fault: PageFault::FreeList });
            return Ok(());
        }
        let mut before = None;
        for free in numbers.take(usize::try_from(count).unwrap_or(usize::MAX)) {
            if !(FIRST_PAGE..self.layout.high_water_mark).contains(&free) {
                log.wrong(Damage::Page { page, fault: PageFault::FreeList });
                return Ok(());
            }
            // They are sorted: <https://github.com/etcd-io/bbolt/blob/main/internal/freelist/shared.go>.
            if before.replace(free) == Some(free) {
                let fault = PageFault::FreeTwice { number: free };
                log.wrong(Damage::Page { page, fault });
            }
            if self.used.contains(free) {
                log.wrong(Damage::FreePageInUse { page: free });
            }
        }
        Ok(())
    }

    fn tree(&mut self, root: u64, log: &mut DamageLog, visit: &mut Visit<'_>) -> io::Result<()> {
        let mut waiting = vec![Pending::anything(root)];
        while let Some(pending) = waiting.pop() {
            let page = pending.page;
            if pending.depth > limits::ETCD_DEPTH {
                log.lost(Damage::Page { page, fault: PageFault::TooDeep });
                continue;
            }
            let loaded = self.load(page, |header| header.kind().is_some())?;
            let parsed = loaded.and_then(|header| {
                let kind = header.kind().ok_or(PageFault::Kind { flags: header.flags })?;
                Elements::new(&self.buffer, kind, header.count)
            });
            match parsed {
                Ok(elements) => {
                    let first_child = waiting.len();
                    read_page(elements, &pending, &mut waiting, log, visit);
                    close_ranges(waiting.get_mut(first_child..).unwrap_or_default(), &pending);
                }
                Err(fault) => {
                    let (from, below) = (pending.at_least.as_deref(), pending.below.as_deref());
                    log.lost_page(page, fault, from, below);
                }
            }
        }
        Ok(())
    }

    /// Loads a page with its overflow pages into the buffer, and marks them used.
    fn load(
        &mut self,
        page: u64,
        belongs: impl Fn(&Header) -> bool,
    ) -> io::Result<Result<Header, PageFault>> {
        let high_water_mark = self.layout.high_water_mark;
        if !(FIRST_PAGE..high_water_mark).contains(&page) {
            return Ok(Err(PageFault::OutOfRange { high_water_mark }));
        }
        if !self.used.insert(page) {
            return Ok(Err(PageFault::ReachedTwice));
        }
        let page_size = self.layout.page_size as usize;
        let offset = page * u64::from(self.layout.page_size);
        self.buffer.resize(page_size, 0);
        self.file.read_exact_at(&mut self.buffer, offset)?;
        let header = match Header::parse(&self.buffer) {
            Some(header) if header.number != page => {
                return Ok(Err(PageFault::Number { found: header.number }));
            }
            Some(header) if belongs(&header) => header,
            other => {
                let flags = other.map_or(0, |header| header.flags);
                return Ok(Err(PageFault::Kind { flags }));
            }
        };
        if let Err(fault) = self.claim_overflow(page, header.overflow) {
            return Ok(Err(fault));
        }
        let rest = header.overflow as usize * page_size;
        self.buffer.resize(page_size + rest, 0);
        let tail = self.buffer.get_mut(page_size..).unwrap_or_default();
        self.file.read_exact_at(tail, offset + page_size as u64)?;
        Ok(Ok(header))
    }

    fn claim_overflow(&mut self, page: u64, overflow: u32) -> Result<(), PageFault> {
        if page + u64::from(overflow) >= self.layout.high_water_mark {
            return Err(PageFault::Overflow { pages: overflow });
        }
        let bytes = (u64::from(overflow) + 1) * u64::from(self.layout.page_size);
        if bytes > limits::ETCD_SPAN_BYTES {
            return Err(PageFault::TooLarge { bytes });
        }
        for claimed in page + 1..=page + u64::from(overflow) {
            if !self.used.insert(claimed) {
                return Err(PageFault::ReachedTwice);
            }
        }
        Ok(())
    }
}

/// An inline bucket: a leaf page without a place of its own. Its elements are reported at the page that holds it.
fn inline_page(bytes: &[u8], page: u64, log: &mut DamageLog, visit: &mut Visit<'_>) {
    let elements = match Header::parse(bytes) {
        Some(header) if header.is_leaf_in_place() => Elements::new(bytes, Kind::Leaf, header.count),
        header => Err(PageFault::Kind { flags: header.map_or(0, |header| header.flags) }),
    };
    match elements {
        Ok(elements) => {
            let nowhere = Pending { in_place: true, ..Pending::anything(page) };
            read_page(elements, &nowhere, &mut Vec::new(), log, visit);
        }
        Err(fault) => log.lost(Damage::Page { page, fault }),
    }
}

/// Checks the elements of a page, visits the entries of a leaf, and leaves the children of a branch in `waiting`,
/// still without their upper bounds.
fn read_page(
    mut elements: Elements<'_>,
    pending: &Pending,
    waiting: &mut Vec<Pending>,
    log: &mut DamageLog,
    visit: &mut Visit<'_>,
) {
    let page = pending.page;
    let mut previous: Option<&[u8]> = None;
    let mut reported = false;
    for element in elements.by_ref() {
        let element = match element {
            Ok(element) => element,
            Err(fault) => return log.lost(Damage::Page { page, fault }),
        };
        let index = element.index;
        // bbolt refuses empty keys, so that one has lost its length.
        let in_order =
            !element.key.is_empty() && previous.is_none_or(|before| before < element.key);
        let in_range = pending.at_least.as_deref().is_none_or(|bound| bound <= element.key)
            && pending.below.as_deref().is_none_or(|bound| element.key < bound);
        let out_of_place = !in_order || !in_range;
        if out_of_place && !reported {
            // One misplaced element puts its neighbours out of order too: the first is told.
            reported = true;
            let fault =
                if in_order { PageFault::Range { index } } else { PageFault::Order { index } };
            log.wrong(Damage::Page { page, fault });
        }
        previous = Some(element.key);
        match element.content {
            Content::Child(child) => waiting.push(Pending {
                page: child,
                at_least: Some(element.key.into()),
                below: None,
                depth: pending.depth + 1,
                in_place: false,
            }),
            Content::UnknownFlags => {
                log.lost(Damage::Page { page, fault: PageFault::Flags { index } });
            }
            content => visit(Place { page, index }, element.key, content, log),
        }
    }
    if let Some(fault) = elements.remains(pending.in_place) {
        log.beside(page, fault);
    }
}

/// Gives each child the key of the next one as its upper bound, and turns them round so that the first is read next.
fn close_ranges(children: &mut [Pending], parent: &Pending) {
    children.reverse();
    let mut below = parent.below.clone();
    for child in children {
        let next = child.at_least.clone();
        child.below = below;
        below = next;
    }
}

/// A set of page numbers below a limit, one bit each.
struct PageSet {
    words: Vec<u64>,
}

impl PageSet {
    fn new(limit: u64) -> Self {
        Self { words: vec![0; usize::try_from(limit.div_ceil(64)).unwrap_or(0)] }
    }

    /// Adds a page; `false` when it was there already or is beyond the limit.
    fn insert(&mut self, page: u64) -> bool {
        let Some(word) = self.words.get_mut(word_of(page)) else { return false };
        let bit = 1_u64 << (page % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn contains(&self, page: u64) -> bool {
        self.words.get(word_of(page)).is_some_and(|word| word & (1 << (page % 64)) != 0)
    }
}

fn word_of(page: u64) -> usize {
    usize::try_from(page / 64).unwrap_or(usize::MAX)
}
