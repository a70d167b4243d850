use super::super::fault::RevisionFault;
use crate::formats::protobuf::{Wire, fields};

/// `mvccpb.KeyValue`; absent fields are 0 or empty, as Protocol Buffers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct KeyValue<'entry> {
    pub(in super::super) key: Option<&'entry [u8]>,
    pub(in super::super) create_revision: i64,
    pub(in super::super) mod_revision: i64,
    pub(in super::super) version: i64,
    pub(in super::super) value: &'entry [u8],
    pub(in super::super) lease: i64,
    /// The number of the first field that etcd would not have written so: one that it does not know, one behind those that it writes
    /// after it, or one that stands there although it is 0 or empty.
    pub(in super::super) strange: Option<u64>,
}

impl<'entry> KeyValue<'entry> {
    /// etcd 3.4 to 3.6 knows no field after this one (`lease`).
    const LAST_FIELD: u64 = 6;

    pub(in super::super) fn parse(message: &'entry [u8]) -> Option<Self> {
        let mut parsed = Self::default();
        let mut before = 0;
        for field in fields(message) {
            let (number, wire) = field?;
            let is_default = matches!(wire, Wire::Varint(0) | Wire::Bytes([]));
            if number <= before || number > Self::LAST_FIELD || is_default {
                parsed.strange.get_or_insert(number);
            }
            before = number;
            match (number, wire) {
                (1, Wire::Bytes(key)) => parsed.key = Some(key),
                (2, Wire::Varint(number)) => parsed.create_revision = number.cast_signed(),
                (3, Wire::Varint(number)) => parsed.mod_revision = number.cast_signed(),
                (4, Wire::Varint(number)) => parsed.version = number.cast_signed(),
                (5, Wire::Bytes(value)) => parsed.value = value,
                (6, Wire::Varint(number)) => parsed.lease = number.cast_signed(),
                // Each must have its own type.
                (1..=Self::LAST_FIELD, _) => return None,
                _ => {}
            }
        }
        Some(parsed)
    }

    /// What holds for every stored change by itself: it names its own revision, the key was created then or before, and
    /// the version counts the changes since, of which there is one per revision at most, the first one when it was created.
    pub(in super::super) fn check(&self, stored: i64) -> Result<(), RevisionFault> {
        if self.mod_revision != stored {
            return Err(RevisionFault::Modified { stored, named: self.mod_revision });
        }
        let created = (1..=stored).contains(&self.create_revision);
        let most = stored.saturating_sub(self.create_revision).saturating_add(1);
        let is_first = self.create_revision == stored;
        let possible =
            created && (1..=most).contains(&self.version) && (self.version == 1) == is_first;
        if possible { Ok(()) } else { Err(RevisionFault::Impossible) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_value_is_read_field_by_field_and_unknown_fields_are_told() {
        // key "k", create 5, mod 300, version 2, value "v", lease 7, then unknown fields 15 and 16.
        let bytes = b"\x0a\x01k\x10\x05\x18\xac\x02\x20\x02\x2a\x01v\x30\x07\x78\x01\x85\x01abcd";
        let parsed = KeyValue::parse(bytes).unwrap();
        let expected = KeyValue {
            key: Some(b"k"),
            create_revision: 5,
            mod_revision: 300,
            version: 2,
            value: b"v",
            lease: 7,
            strange: Some(15),
        };
        assert_eq!(parsed, expected);
        let known = KeyValue { strange: None, ..expected };
        assert_eq!(KeyValue::parse(&bytes[..15]), Some(known));
        for (bytes, number) in [
            (&b"\x0a\x01k\x18\x05\x10\x05"[..], 2),
            (b"\x0a\x01k\x18\x05\x18\x05", 3),
            (b"\x0a\x01k\x30\x00", 6),
            (b"\x0a\x01k\x2a\x00", 5),
        ] {
            let strange = KeyValue::parse(bytes).and_then(|parsed| parsed.strange);
            assert_eq!(strange, Some(number), "{bytes:?}");
        }
        for cut in [1, 2, 4, 7, 12] {
            assert_eq!(KeyValue::parse(&bytes[..cut]), None, "cut after {cut}");
        }
        assert_eq!(KeyValue::parse(b"\x08\x01"), None, "a key that is a number");
    }

    #[test]
    fn impossible_revisions_are_told() {
        let at = |create_revision, mod_revision, version| {
            KeyValue { create_revision, mod_revision, version, ..KeyValue::default() }.check(9)
        };
        assert_eq!(at(9, 9, 1), Ok(()));
        assert_eq!(at(2, 9, 5), Ok(()));
        assert_eq!(at(2, 8, 5), Err(RevisionFault::Modified { stored: 9, named: 8 }));
        for (create, version) in
            [(10, 1), (0, 1), (-3, 1), (3, 0), (9, 2), (8, 1), (i64::MIN, i64::MAX)]
        {
            assert_eq!(at(create, 9, version), Err(RevisionFault::Impossible));
        }
    }
}
