//! Writes small etcd snapshots for tests: enough of bbolt to make every kind of page that the reader meets.

use super::bbolt::fnv1a;
use super::fault::OwnBucket;
use sha2::{Digest, Sha256};

pub(crate) const PAGE: usize = 1024;
const LEAF: u16 = 2;
const BRANCH: u16 = 1;

/// What stands in the snapshots that [`Snapshot::typical`] makes.
pub(crate) const LAST_REVISION: i64 = 61;
pub(crate) const LIVE_KEYS: u64 = 59;
/// 60 changes, one deletion, and what stands in `cluster`, `lease` and `meta`.
pub(crate) const ENTRIES: u64 = 64;
/// The page after the meta pages is the first leaf of the bucket `key`.
pub(crate) const FIRST_LEAF: usize = 2;

#[derive(Clone)]
pub(crate) struct Element {
    flags: u32,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Element {
    /// Whether it is the bucket of this name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.key == name.as_bytes()
    }
}

/// A database under construction: pages without trailer.
pub(crate) struct Snapshot {
    pub(crate) pages: Vec<u8>,
}

impl Snapshot {
    /// 60 keys with one change each, the last of them deleted, over several leaves; one value spans several pages.
    pub(crate) fn typical() -> Self {
        let mut entries: Vec<Element> = (1..=60).map(put).collect();
        entries.push(delete(60, LAST_REVISION));
        let mut snapshot = Self::empty();
        let leaves: Vec<(Vec<u8>, u64)> = entries
            .chunks(10)
            .map(|chunk| (chunk[0].key.clone(), snapshot.add_page(LEAF, &leaf(chunk), chunk.len())))
            .collect();
        let branch = snapshot.add_page(BRANCH, &branch(&leaves), leaves.len());
        let own = [entry(b"clusterVersion", b"3.5.0")];
        let buckets = vec![
            inline_bucket(b"cluster", &own),
            bucket(b"key", branch),
            inline_bucket(b"lease", &[entry(&7_u64.to_be_bytes(), b"\x08\x07\x10\x3c")]),
        ];
        snapshot.finish_with_root(&with_tables(buckets))
    }

    /// A bucket `key` that consists of one leaf with these entries, beside etcd's own tables.
    pub(crate) fn with_entries(entries: &[Element]) -> Self {
        Self::with_entries_and(entries, Vec::new())
    }

    /// The same, and these buckets.
    pub(crate) fn with_entries_and(entries: &[Element], mut buckets: Vec<Element>) -> Self {
        let mut snapshot = Self::empty();
        let page = snapshot.add_page(LEAF, &leaf(entries), entries.len());
        buckets.push(bucket(b"key", page));
        snapshot.finish_with_root(&with_tables(buckets))
    }

    /// These buckets, and those of etcd's own tables that are not among them.
    pub(crate) fn with_buckets(buckets: Vec<Element>) -> Self {
        Self::empty().finish_with_root(&with_tables(buckets))
    }

    /// These buckets and no other.
    pub(crate) fn with_only(buckets: &[Element]) -> Self {
        Self::empty().finish_with_root(buckets)
    }

    fn empty() -> Self {
        Self { pages: vec![0; 2 * PAGE] }
    }

    fn finish_with_root(mut self, buckets: &[Element]) -> Self {
        let root = self.add_page(LEAF, &leaf(buckets), buckets.len());
        self.write_metas(root, u64::MAX);
        self
    }

    pub(crate) fn add_page(&mut self, flags: u16, body: &[u8], count: usize) -> u64 {
        let number = (self.pages.len() / PAGE) as u64;
        let spanned = (16 + body.len()).div_ceil(PAGE);
        let page = [
            &number.to_le_bytes()[..],
            &flags.to_le_bytes(),
            &u16::try_from(count).unwrap().to_le_bytes(),
            &u32::try_from(spanned - 1).unwrap().to_le_bytes(),
            body,
        ];
        self.pages.extend(page.concat());
        self.pages.resize((number as usize + spanned) * PAGE, 0);
        number
    }

    pub(crate) fn write_metas(&mut self, root: u64, free_list: u64) {
        for number in 0..2_u64 {
            self.write_meta(number, root, free_list, 9 - number);
        }
    }

    /// One of the two meta pages.
    pub(crate) fn write_meta(&mut self, number: u64, root: u64, free_list: u64, transaction: u64) {
        let high_water_mark = (self.pages.len() / PAGE) as u64;
        let mut body = [0xED0C_DAED_u32, 2, PAGE as u32, 0].map(u32::to_le_bytes).concat();
        for field in [root, 0, free_list, high_water_mark, transaction] {
            body.extend(field.to_le_bytes());
        }
        body.extend(fnv1a(&body).to_le_bytes());
        let start = number as usize * PAGE;
        self.pages[start..start + 8].copy_from_slice(&number.to_le_bytes());
        self.pages[start + 8] = 4;
        self.pages[start + 16..start + 80].copy_from_slice(&body);
    }

    /// Lets an element of a leaf that is a page of its own have a value of so many bytes, and leaves the bytes where they are.
    pub(crate) fn cut_value(&mut self, page: usize, index: usize, bytes: u32) {
        let length = 16 + 16 * index + 12;
        self.page(page)[length..length + 4].copy_from_slice(&bytes.to_le_bytes());
    }

    /// The root page of the list of buckets, as the meta pages say.
    pub(crate) fn root(&self) -> u64 {
        u64::from_le_bytes(self.pages[32..40].try_into().unwrap())
    }

    pub(crate) fn page(&mut self, number: usize) -> &mut [u8] {
        &mut self.pages[number * PAGE..][..PAGE]
    }

    /// The file with a trailer that belongs to it.
    pub(crate) fn sealed(&self) -> Vec<u8> {
        [&self.pages[..], &Sha256::digest(&self.pages)].concat()
    }
}

/// Adds those of the tables that every etcd makes which are not there, and sorts all by name.
pub(crate) fn with_tables(mut buckets: Vec<Element>) -> Vec<Element> {
    for own in OwnBucket::ALL {
        let name = own.to_string().into_bytes();
        if !buckets.iter().any(|bucket| bucket.key == name) {
            let own = if own == OwnBucket::Meta { meta(&[]) } else { inline_bucket(&name, &[]) };
            buckets.push(own);
        }
    }
    buckets.sort_by(|one, other| one.key.cmp(&other.key));
    buckets
}

/// The bucket `meta` as every etcd has it, and these entries of it: name and value.
pub(crate) fn meta(more: &[(&[u8], &[u8])]) -> Element {
    let index = (&b"consistent_index"[..], &9_u64.to_be_bytes()[..]);
    let mut entries: Vec<_> = more.iter().chain([&index]).copied().collect();
    entries.sort_unstable();
    let entries: Vec<Element> = entries.into_iter().map(|(key, value)| entry(key, value)).collect();
    inline_bucket(b"meta", &entries)
}

/// The bucket `meta` of an etcd that has begun to compact, and has ended compacting, up to these revisions.
pub(crate) fn compacted(scheduled: i64, finished: Option<i64>) -> Element {
    let (scheduled, finished) =
        (revision(scheduled, false), finished.map(|main| revision(main, false)));
    let mut more = vec![(&b"scheduledCompactRev"[..], &scheduled[..])];
    more.extend(finished.as_deref().map(|finished| (&b"finishedCompactRev"[..], finished)));
    meta(&more)
}

pub(crate) fn revision(main: i64, deleted: bool) -> Vec<u8> {
    let mark: &[u8] = if deleted { b"t" } else { b"" };
    [&main.to_be_bytes()[..], b"_", &[0; 8], mark].concat()
}

/// A new key that belongs to revision `main`. Every twentieth has a value of three pages.
pub(crate) fn put(main: i64) -> Element {
    let value = vec![b'v'; if main % 20 == 0 { 3 * PAGE } else { 20 }];
    let number = u8::try_from(main).unwrap();
    let mut stored = key_value(main);
    stored.extend([0x10, number, 0x18, number, 0x20, 1, 0x2A]);
    let length = value.len();
    stored.extend([(length % 128) as u8 | 0x80, (length / 128) as u8]);
    stored.extend(value);
    entry(&revision(main, false), &stored)
}

/// A change of a key of one letter, as etcd stores it: at revision `main`, made at `created`, its change number `version`.
pub(crate) fn change(letter: u8, main: u8, created: u8, version: u8) -> Element {
    let value = [0x0A, 1, letter, 0x10, created, 0x18, main, 0x20, version, 0x2A, 1, b'v'];
    entry(&revision(main.into(), false), &value)
}

/// A first change of a key at revision `main`, or without a value its deletion.
pub(crate) fn change_of(key: &[u8], main: u8, value: Option<&[u8]>) -> Element {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let mut stored = [&[0x0A, length(key)], key].concat();
    if let Some(value) = value {
        stored.extend([0x10, main, 0x18, main, 0x20, 1, 0x2A, length(value)]);
        stored.extend(value);
    }
    entry(&revision(main.into(), value.is_none()), &stored)
}

/// A first change of a key at revision `main`, with a value of any length.
pub(super) fn long_change_of(key: &[u8], main: u8, value: &[u8]) -> Element {
    let mut stored = [&[0x0A, u8::try_from(key.len()).unwrap()], key].concat();
    stored.extend([0x10, main, 0x18, main, 0x20, 1, 0x2A]);
    let mut length = value.len();
    while length >= 0x80 {
        stored.push(length as u8 | 0x80);
        length >>= 7;
    }
    stored.push(length as u8);
    stored.extend(value);
    entry(&revision(main.into(), false), &stored)
}

/// A change of a key of one letter that hangs on a lease.
pub(crate) fn leased(letter: u8, main: u8, lease: u8) -> Element {
    let mut element = change(letter, main, main, 1);
    element.value.extend([0x30, lease]);
    element
}

/// Puts `value` in the place of what is stored under the element's key.
pub(crate) fn with_value(element: Element, value: &[u8]) -> Element {
    Element { value: value.to_vec(), ..element }
}

pub(crate) fn delete(key_of: i64, main: i64) -> Element {
    entry(&revision(main, true), &key_value(key_of))
}

/// The beginning of a stored value: the name of the key that revision `main` made.
fn key_value(main: i64) -> Vec<u8> {
    let name = format!("/registry/pods/ns/pod-{main:02}");
    [&[0x0A, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat()
}

pub(crate) fn entry(key: &[u8], value: &[u8]) -> Element {
    Element { flags: 0, key: key.to_vec(), value: value.to_vec() }
}

pub(crate) fn bucket(name: &[u8], root: u64) -> Element {
    let value = [root.to_le_bytes(), [0; 8]].concat();
    Element { flags: 1, key: name.to_vec(), value }
}

pub(crate) fn inline_bucket(name: &[u8], entries: &[Element]) -> Element {
    let mut value = vec![0; 16 + 16];
    value[16 + 8] = LEAF as u8;
    value[16 + 10] = u8::try_from(entries.len()).unwrap();
    value.extend(leaf(entries));
    Element { flags: 1, key: name.to_vec(), value }
}

pub(crate) fn leaf(elements: &[Element]) -> Vec<u8> {
    let (mut table, mut data) = (Vec::new(), Vec::new());
    for (index, element) in elements.iter().enumerate() {
        let position = (elements.len() - index) * 16 + data.len();
        let lengths = [element.key.len(), element.value.len()].map(|length| length as u32);
        for field in [element.flags, position as u32, lengths[0], lengths[1]] {
            table.extend(field.to_le_bytes());
        }
        data.extend(&element.key);
        data.extend(&element.value);
    }
    [table, data].concat()
}

pub(crate) fn branch(children: &[(Vec<u8>, u64)]) -> Vec<u8> {
    let (mut table, mut data) = (Vec::new(), Vec::new());
    for (index, (key, page)) in children.iter().enumerate() {
        let position = (children.len() - index) * 16 + data.len();
        table.extend([position as u32, key.len() as u32].map(u32::to_le_bytes).concat());
        table.extend(page.to_le_bytes());
        data.extend(key);
    }
    [table, data].concat()
}
