use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

/// Stands for a user's key, so that memory does not grow with the length of keys: 64 bits of a hash. That two of a million keys
/// share one has a probability of 3 in 100 million; they would then contradict each other, and be called damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct KeyMark(u64);

impl KeyMark {
    pub(in super::super) fn of(name: &[u8]) -> Self {
        // Always with the same seed: the same file gives the same result.
        let mut hasher = DefaultHasher::new();
        hasher.write(name);
        Self(hasher.finish())
    }

    /// Stands for several things together.
    pub(in super::super) fn of_all(parts: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self(hasher.finish())
    }

    fn bits(self, from: u32, count: u32) -> u64 {
        (self.0 >> from) & ((1 << count) - 1)
    }
}

impl Hash for KeyMark {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// Marks are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Shard<V> = HashMap<KeyMark, V, BuildHasherDefault<AsItIs>>;

/// A map grows by doubling, with the old one and the new one in memory: of several small ones only one grows at a time. So many that
/// each has room for its share of what is followed at a time before it would double the last time (14,336 of 16,384 places; see
/// `hashbrown`, by which the standard library has its maps): 33 MB for a million keys in place of 52 MB.
const SHARDS: u64 = 81;
/// The bits of a mark that choose the part; the table takes its own from both ends.
const PART_FROM: u32 = 28;
const MOST_PART_BITS: u32 = 20;

/// Something for each key.
pub(in super::super) struct ByKey<V> {
    shards: Vec<Shard<V>>,
    length: usize,
}

impl<V> Default for ByKey<V> {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), length: 0 }
    }
}

impl<V> ByKey<V> {
    fn shard(&mut self, mark: KeyMark) -> &mut Shard<V> {
        // An odd number of them: the rest depends on all bits, whichever are chosen for parts and tables.
        let place = mark.0 % SHARDS;
        &mut self.shards[usize::try_from(place).unwrap_or_default()]
    }

    pub(in super::super) fn insert(&mut self, mark: KeyMark, value: V) -> Option<V> {
        let before = self.shard(mark).insert(mark, value);
        self.length += usize::from(before.is_none());
        before
    }

    pub(in super::super) fn remove(&mut self, mark: KeyMark) -> Option<V> {
        let before = self.shard(mark).remove(&mark);
        self.length -= usize::from(before.is_some());
        before
    }

    pub(in super::super) fn len(&self) -> usize {
        self.length
    }

    pub(in super::super) fn values(&self) -> impl Iterator<Item = &V> {
        self.shards.iter().flat_map(HashMap::values)
    }

    /// Only what belongs to the part stays, and memory with it.
    pub(in super::super) fn keep_part(&mut self, part: Part) {
        for shard in &mut self.shards {
            shard.retain(|mark, _| part.has(*mark));
            shard.shrink_to_fit();
        }
        self.length = self.shards.iter().map(HashMap::len).sum();
    }
}

/// A part of all keys, taken as if at random: what is too much for one look is looked at part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Part {
    bits: u32,
    value: u64,
}

impl Part {
    pub(in super::super) const ALL: Self = Self { bits: 0, value: 0 };

    pub(in super::super) fn has(self, mark: KeyMark) -> bool {
        mark.bits(PART_FROM, self.bits) == self.value
    }

    /// Its two halves; `None` when it cannot be split any more.
    pub(in super::super) fn halves(self) -> Option<[Self; 2]> {
        let bits = self.bits + 1;
        let other = self.value | 1 << self.bits;
        (bits <= MOST_PART_BITS)
            .then_some([Self { bits, value: self.value }, Self { bits, value: other }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(count: u32) -> Vec<KeyMark> {
        (0..count).map(|n| KeyMark::of(format!("/registry/pods/{n}").as_bytes())).collect()
    }

    #[test]
    fn what_was_put_in_last_is_there_until_it_is_taken_out() {
        let mut map = ByKey::default();
        for (n, mark) in marks(5000).into_iter().enumerate() {
            assert_eq!(map.insert(mark, n), None);
        }
        let first = KeyMark::of(b"/registry/pods/0");
        assert_eq!((map.insert(first, 7), map.len()), (Some(0), 5000));
        assert_eq!((map.remove(first), map.remove(first), map.len()), (Some(7), None, 4999));
        assert_eq!(map.values().count(), 4999);
    }

    #[test]
    fn each_key_belongs_to_exactly_one_half_all_the_way_down() {
        let mut map = ByKey::default();
        for mark in marks(4000) {
            map.insert(mark, ());
        }
        let mut part = Part::ALL;
        while let Some([one, other]) = part.halves() {
            for mark in marks(4000).into_iter().filter(|mark| part.has(*mark)) {
                assert!(one.has(mark) != other.has(mark));
            }
            part = other;
            if part.bits == 3 {
                map.keep_part(part);
                assert!((300..700).contains(&map.len()), "{} of 4000 in an eighth", map.len());
                assert_eq!(map.values().count(), map.len());
            }
        }
        assert_eq!(part.bits, MOST_PART_BITS);
    }
}
