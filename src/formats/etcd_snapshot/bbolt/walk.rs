use super::super::damage::{Damage, DamageLog};
use super::super::fault::BucketFault;
use super::ahead::Ahead;
use super::bytes::u64_at;
use super::meta::Layout;
use super::page::{Content, Elements, HEADER_BYTES, Header, Kind, PageFault, Place};
use crate::formats::ReadAt;
use crate::formats::read_buffer::ReadBuffer;
use crate::limits;
use std::io;
use std::rc::Rc;

/// The first page that is not a meta page.
const FIRST_PAGE: u64 = 2;
/// Up to here a page with its overflow pages is loaded without asking for room.
const SMALL_BYTES: usize = 256 << 10;
/// How much of a list of free pages is loaded at once. Little in unit tests, so that the lists there have several blocks.
const BLOCK_BYTES: u64 = if cfg!(test) { 64 } else { 1 << 20 };
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

    /// A page of so many bytes is about to be loaded: whoever holds much memory gives up as much.
    fn make_room(&mut self, _bytes: usize) {}

    /// Whether a page is read whose keys are all below this one; nothing, where no key is above it.
    fn wants(&self, _below: Option<&[u8]>) -> bool {
        true
    }
}

/// Takes the elements of leaf pages.
trait Visitor {
    fn element(&mut self, place: Place, key: &[u8], content: Content<'_>, log: &mut DamageLog);

    /// As [`EntrySink::make_room`].
    fn make_room(&mut self, _bytes: usize) {}

    /// As [`EntrySink::wants`].
    fn wants(&self, _below: Option<&[u8]>) -> bool {
        true
    }
}

/// Takes the list of buckets.
struct BucketList {
    buckets: Vec<Bucket>,
    /// bbolt keeps a bucket in place up to a quarter of a page.
    most_in_place: usize,
}

impl Visitor for BucketList {
    fn element(&mut self, place: Place, key: &[u8], content: Content<'_>, log: &mut DamageLog) {
        let lost = |fault| Damage::Bucket { page: place.page, index: place.index, fault };
        let Content::Bucket(value) = content else {
            return log.lost(lost(BucketFault::NotABucket));
        };
        if self.buckets.len() == limits::ETCD_BUCKETS {
            return log.lost(lost(BucketFault::TooMany));
        }
        if key.len() > limits::ETCD_BUCKET_NAME_BYTES {
            return log.lost(lost(BucketFault::Name { bytes: key.len() }));
        }
        let root = match (u64_at(value, 0), value.get(BUCKET_HEADER_BYTES..)) {
            (Some(0), Some(inline)) if inline.len() <= self.most_in_place => {
                BucketRoot::Inline(inline.to_vec())
            }
            (Some(page), Some(_)) if page != 0 => BucketRoot::Page(page),
            _ => return log.lost(lost(BucketFault::Length { bytes: value.len() })),
        };
        self.buckets.push(Bucket { name: key.to_vec(), root, place });
    }
}

/// Takes the entries of a bucket, and hands them on.
struct Entries<'sink> {
    sink: &'sink mut dyn EntrySink,
}

impl Visitor for Entries<'_> {
    fn element(&mut self, place: Place, key: &[u8], content: Content<'_>, log: &mut DamageLog) {
        let Place { page, index } = place;
        match content {
            Content::Value(value) => self.sink.entry(place, key, value, log),
            _ => log.lost(Damage::Bucket { page, index, fault: BucketFault::Nested }),
        }
    }

    fn make_room(&mut self, bytes: usize) {
        self.sink.make_room(bytes);
    }

    fn wants(&self, below: Option<&[u8]>) -> bool {
        self.sink.wants(below)
    }
}

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
    buffer: ReadBuffer,
    ahead: Ahead,
}

impl<'file, R: ReadAt + ?Sized> Walk<'file, R> {
    /// The caller has made sure that `file` is as long as `layout` needs.
    pub(in super::super) fn new(file: &'file R, layout: Layout) -> Self {
        let used = PageSet::new(layout.high_water_mark);
        Self { file, layout, used, buffer: ReadBuffer::default(), ahead: Ahead::default() }
    }

    /// The list of buckets at the root of the database, in the order of their names.
    pub(in super::super) fn buckets(&mut self, log: &mut DamageLog) -> io::Result<Vec<Bucket>> {
        let most_in_place = limits::ETCD_INLINE_BYTES.min(self.layout.page_size as usize);
        let mut list = BucketList { buckets: Vec::new(), most_in_place };
        self.tree(self.layout.root, log, &mut list)?;
        Ok(list.buckets)
    }

    /// Hands every entry of a bucket to `sink`.
    pub(in super::super) fn entries(
        &mut self,
        bucket: &Bucket,
        sink: &mut dyn EntrySink,
        log: &mut DamageLog,
    ) -> io::Result<()> {
        let mut entries = Entries { sink };
        match &bucket.root {
            BucketRoot::Page(page) => self.tree(*page, log, &mut entries),
            BucketRoot::Inline(bytes) => {
                inline_page(bytes, bucket.place.page, log, &mut entries);
                Ok(())
            }
        }
    }

    /// Compares the list of free pages, if there is one, with the pages that the trees use. Call it last.
    pub(in super::super) fn free_list(&mut self, log: &mut DamageLog) -> io::Result<()> {
        let Some(page) = self.layout.free_list else { return Ok(()) };
        let header = match self.open(page, |header| header.is_free_list().then_some(u64::MAX))? {
            Ok(header) => header,
            Err(fault) => {
                log.wrong(Damage::Page { page, fault });
                return Ok(());
            }
        };
        let mut numbers = Numbers::behind(self.file, self.layout, page, &header);
        // A count of 65 535 means that the real one is in the first eight bytes.
        let count = match header.count {
            u16::MAX => numbers.next()?.unwrap_or(u64::MAX),
            count => u64::from(count),
        };
        if count > numbers.left() {
            log.wrong(Damage::Page { page, fault: PageFault::FreeList });
            return Ok(());
        }
        let mut before = None;
        for _ in 0..count {
            let Some(free) = numbers.next()? else { break };
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

    fn tree(
        &mut self,
        root: u64,
        log: &mut DamageLog,
        visitor: &mut dyn Visitor,
    ) -> io::Result<()> {
        let mut waiting = vec![Pending::anything(root)];
        while let Some(pending) = waiting.pop() {
            let page = pending.page;
            if !visitor.wants(pending.below.as_deref()) {
                continue;
            }
            if pending.depth > limits::ETCD_DEPTH {
                log.lost(Damage::Page { page, fault: PageFault::TooDeep });
                continue;
            }
            let loaded = self.load(page, visitor)?;
            let parsed = loaded.and_then(|header| {
                let kind = header.kind().ok_or(PageFault::Kind { flags: header.flags })?;
                Elements::new(&self.buffer, kind, header.count)
            });
            match parsed {
                Ok(elements) => {
                    let first_child = waiting.len();
                    read_page(elements, &pending, &mut waiting, log, visitor);
                    close_ranges(waiting.get_mut(first_child..).unwrap_or_default(), &pending);
                }
                Err(PageFault::TooLarge { bytes }) => log.not_checked(page, bytes),
                Err(fault) => {
                    let (from, below) = (pending.at_least.as_deref(), pending.below.as_deref());
                    log.lost_page(page, fault, from, below);
                }
            }
        }
        Ok(())
    }

    /// Loads a page of a tree with its overflow pages into the buffer, and marks them used.
    fn load(
        &mut self,
        page: u64,
        visitor: &mut dyn Visitor,
    ) -> io::Result<Result<Header, PageFault>> {
        let most = |header: &Header| match header.kind()? {
            Kind::Branch => Some(limits::ETCD_BRANCH_BYTES),
            Kind::Leaf => Some(limits::ETCD_SPAN_BYTES),
        };
        let header = match self.open(page, most)? {
            Ok(header) => header,
            fault => return Ok(fault),
        };
        let bytes = (u64::from(header.overflow) + 1) * u64::from(self.layout.page_size);
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        if bytes > SMALL_BYTES {
            visitor.make_room(bytes);
        }
        let loaded = self.buffer.len();
        self.buffer.resize(bytes);
        let tail = self.buffer.get_mut(loaded..).unwrap_or_default();
        let offset = page * u64::from(self.layout.page_size);
        self.ahead.read(self.file, tail, offset + loaded as u64, self.layout.bytes())?;
        Ok(Ok(header))
    }

    /// Loads the first of a page and its overflow pages into the buffer, and marks all of them used. `most` says how many bytes such
    /// a page may have; nothing, when it does not belong here.
    fn open(
        &mut self,
        page: u64,
        most: impl Fn(&Header) -> Option<u64>,
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
        if self.buffer.capacity() > SMALL_BYTES {
            self.buffer = ReadBuffer::default();
        }
        self.buffer.resize(page_size);
        self.ahead.read(self.file, &mut self.buffer, offset, self.layout.bytes())?;
        let header = match Header::parse(&self.buffer) {
            Some(header) if header.number != page => {
                return Ok(Err(PageFault::Number { found: header.number }));
            }
            Some(header) => header,
            None => return Ok(Err(PageFault::Kind { flags: 0 })),
        };
        let Some(most) = most(&header) else {
            return Ok(Err(PageFault::Kind { flags: header.flags }));
        };
        Ok(self.claim_overflow(page, header.overflow, most).map(|()| header))
    }

    fn claim_overflow(&mut self, page: u64, overflow: u32, most: u64) -> Result<(), PageFault> {
        if page + u64::from(overflow) >= self.layout.high_water_mark {
            return Err(PageFault::Overflow { pages: overflow });
        }
        let bytes = (u64::from(overflow) + 1) * u64::from(self.layout.page_size);
        if bytes > most {
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

/// The numbers behind the header of a page and in its overflow pages, block by block: a list of free pages may be longer than what
/// is loaded at once.
struct Numbers<'file, R: ?Sized> {
    file: &'file R,
    /// Where the next block begins in the file, and how many bytes are left there.
    offset: u64,
    beyond: u64,
    block: Vec<u8>,
    taken: usize,
}

impl<'file, R: ReadAt + ?Sized> Numbers<'file, R> {
    fn behind(file: &'file R, layout: Layout, page: u64, header: &Header) -> Self {
        let page_size = u64::from(layout.page_size);
        let offset = page * page_size + HEADER_BYTES as u64;
        let beyond = (u64::from(header.overflow) + 1) * page_size - HEADER_BYTES as u64;
        Self { file, offset, beyond, block: Vec::new(), taken: 0 }
    }

    /// How many are left.
    fn left(&self) -> u64 {
        (self.beyond + (self.block.len() - self.taken) as u64) / 8
    }

    fn next(&mut self) -> io::Result<Option<u64>> {
        if self.taken == self.block.len() {
            let bytes = self.beyond.min(BLOCK_BYTES);
            self.block.resize(usize::try_from(bytes).map_err(io::Error::other)?, 0);
            self.file.read_exact_at(&mut self.block, self.offset)?;
            (self.offset, self.beyond, self.taken) = (self.offset + bytes, self.beyond - bytes, 0);
        }
        let number = u64_at(&self.block, self.taken);
        self.taken += 8;
        Ok(number)
    }
}

/// An inline bucket: a leaf page without a place of its own. Its elements are reported at the page that holds it.
fn inline_page(bytes: &[u8], page: u64, log: &mut DamageLog, visitor: &mut dyn Visitor) {
    let elements = match Header::parse(bytes) {
        Some(header) if header.is_leaf_in_place() => Elements::new(bytes, Kind::Leaf, header.count),
        header => Err(PageFault::Kind { flags: header.map_or(0, |header| header.flags) }),
    };
    match elements {
        Ok(elements) => {
            let nowhere = Pending { in_place: true, ..Pending::anything(page) };
            read_page(elements, &nowhere, &mut Vec::new(), log, visitor);
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
    visitor: &mut dyn Visitor,
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
            content => visitor.element(Place { page, index }, element.key, content, log),
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
