//! Where everything is in a snapshot of etcd: for tests that damage one. It reads good files only.
//!
//! The format: <https://github.com/etcd-io/bbolt/blob/main/internal/common/page.go>, and `bucket.go` and `meta.go` beside it.

/// Bytes of a page, where etcd runs on a machine with pages of that size.
pub(crate) const PAGE: usize = 4096;
const BRANCH: u8 = 1;

/// An entry of a bucket: places in the file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) bucket: Vec<u8>,
    /// The page of the leaf.
    pub(crate) page: usize,
    /// Its place in the leaf, from 0.
    pub(crate) index: usize,
    pub(crate) element: usize,
    pub(crate) key: usize,
    pub(crate) key_bytes: usize,
    pub(crate) value: usize,
    pub(crate) value_bytes: usize,
}

/// A bucket: where its element and its name are.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) name: Vec<u8>,
    pub(crate) element: usize,
    pub(crate) key: usize,
    value: usize,
}

/// The parts of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) entries: Vec<Entry>,
    /// Leaves of the bucket `key` of one page each, in order.
    pub(crate) leaves: Vec<usize>,
    /// Branches of the bucket `key`, from the root on.
    pub(crate) branches: Vec<usize>,
}

pub(crate) fn number_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
}

pub(crate) fn put_number(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

/// The checksum of a meta page: <http://www.isthe.com/chongo/tech/comp/fnv/>.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn small(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn count(bytes: &[u8], page: usize) -> usize {
    usize::from(u16::from_le_bytes(bytes[page + 10..page + 12].try_into().unwrap()))
}

impl Tree {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let newest = usize::from(number_at(bytes, PAGE + 16 + 48) > number_at(bytes, 16 + 48));
        let root = number_at(bytes, newest * PAGE + 16 + 16);
        let mut tree = Self::default();
        // The list of buckets of an etcd is one leaf.
        for found in leaf(bytes, root * PAGE, b"", root) {
            let name = bytes[found.key..][..found.key_bytes].to_vec();
            let Entry { element, key, value, .. } = found;
            tree.buckets.push(Bucket { name, element, key, value });
        }
        for bucket in tree.buckets.clone() {
            match number_at(bytes, bucket.value) {
                // It lies in the list of buckets itself.
                0 => tree.entries.extend(leaf(bytes, bucket.value + 16, &bucket.name, root)),
                page => tree.descend(bytes, page, &bucket.name),
            }
        }
        tree
    }

    fn descend(&mut self, bytes: &[u8], root: usize, bucket: &[u8]) {
        let mut open = vec![root];
        while let Some(page) = open.pop() {
            let at = page * PAGE;
            assert_eq!(number_at(bytes, at), page, "a good file has every page in its place");
            if bytes[at + 8] == BRANCH {
                let child = |index| number_at(bytes, at + 16 + 16 * index + 8);
                open.extend((0..count(bytes, at)).rev().map(child));
                self.branches.extend((bucket == b"key").then_some(page));
                continue;
            }
            self.leaves.extend((bucket == b"key" && small(bytes, at + 12) == 0).then_some(page));
            self.entries.extend(leaf(bytes, at, bucket, page));
        }
    }
}

/// The entries of the leaf that begins there.
fn leaf(bytes: &[u8], at: usize, bucket: &[u8], page: usize) -> Vec<Entry> {
    let entry = |index: usize| {
        let element = at + 16 + 16 * index;
        let [position, key_bytes, value_bytes] =
            [4, 8, 12].map(|field| small(bytes, element + field));
        let key = element + position;
        let value = key + key_bytes;
        let bucket = bucket.to_vec();
        Entry { bucket, page, index, element, key, key_bytes, value, value_bytes }
    };
    (0..count(bytes, at)).map(entry).collect()
}
