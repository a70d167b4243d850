use serde::{Serialize, Serializer};
use std::fmt;

/// Bytes of a revision: 8, `_`, 8. A deletion has one more: `t`.
const REVISION_BYTES: usize = 17;
/// How much of a key is named.
const NAMED_BYTES: usize = 256;

/// The number of a change: that of its transaction, and its position among the changes of that transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RevisionNumber {
    /// The revision that etcd shows: one more with every transaction that changes something.
    pub main: i64,
    /// The position in the transaction, from 0.
    pub sub: i64,
}

impl RevisionNumber {
    /// The key of the entry of this change, where that is no deletion.
    pub(in super::super) fn to_key(self) -> [u8; REVISION_BYTES] {
        let mut key = [b'_'; REVISION_BYTES];
        key[..8].copy_from_slice(&self.main.to_be_bytes());
        key[9..].copy_from_slice(&self.sub.to_be_bytes());
        key
    }
}

impl fmt::Display for RevisionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sub {
            0 => write!(f, "{}", self.main),
            sub => write!(f, "{} (change {sub} of its transaction)", self.main),
        }
    }
}

/// The key of an entry of the bucket `key`: which change it is, and whether it was a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Revision {
    pub(in super::super) number: RevisionNumber,
    pub(in super::super) deleted: bool,
}

impl Revision {
    pub(in super::super) fn parse(key: &[u8]) -> Option<Self> {
        let (revision, mark) = key.split_at_checked(REVISION_BYTES)?;
        let (main, rest) = revision.split_first_chunk::<8>()?;
        let (separator, sub) = rest.split_first()?;
        let deleted = match mark {
            [] => false,
            [b't'] => true,
            _ => return None,
        };
        let main = i64::from_be_bytes(*main);
        let sub = i64::from_be_bytes(*sub.first_chunk()?);
        let number = RevisionNumber { main, sub };
        // No transaction makes billions of changes: the requests that etcd takes are smaller.
        let possible = main >= 0 && u32::try_from(sub).is_ok();
        (*separator == b'_' && possible).then_some(Self { number, deleted })
    }
}

/// The name of a user's key, made safe to show: what is not printable ASCII is escaped, and long ones are cut. It may still be
/// confidential: whoever writes it down decides that, which is why no message of this reader contains it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    pub(in super::super) fn new(key: &[u8]) -> Self {
        let shown = key.get(..NAMED_BYTES).unwrap_or(key);
        let mut name = shown.escape_ascii().to_string();
        if shown.len() < key.len() {
            name.push('…');
        }
        Self(name)
    }

    /// The name, escaped.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyName(..)")
    }
}

impl Serialize for KeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision_key(main: i64, sub: i64, mark: &[u8]) -> Vec<u8> {
        [&main.to_be_bytes()[..], b"_", &sub.to_be_bytes(), mark].concat()
    }

    #[test]
    fn a_revision_is_seventeen_bytes_and_a_deletion_one_more() {
        let parsed = |main, sub, mark| Revision::parse(&revision_key(main, sub, mark));
        let expected =
            |deleted| Some(Revision { number: RevisionNumber { main: 300, sub: 2 }, deleted });
        assert_eq!(parsed(300, 2, b""), expected(false));
        assert_eq!(parsed(300, 2, b"t"), expected(true));
        for (main, sub, mark) in
            [(300, 0, &b"x"[..]), (300, 0, b"tt"), (-1, 0, b""), (1, -1, b""), (1, 1 << 32, b"")]
        {
            assert_eq!(parsed(main, sub, mark), None, "{main} {sub} {mark:?}");
        }
        assert_eq!(Revision::parse(b"short"), None);
        assert_eq!(Revision::parse(&[0; 17]), None, "no underscore");
    }

    #[test]
    fn names_of_keys_are_escaped_and_cut() {
        assert_eq!(KeyName::new(b"/a\x1b[31m\xff\n").as_str(), "/a\\x1b[31m\\xff\\n");
        assert_eq!(KeyName::new(&[b'k'; 5000]).as_str().chars().count(), NAMED_BYTES + 1);
        assert!(!format!("{:?}", KeyName::new(b"/registry/x")).contains("registry"));
    }
}
