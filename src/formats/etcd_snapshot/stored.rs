use crate::formats::protobuf::{Wire, fields};
use crate::limits;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// No lease is granted for longer (`MaxLeaseTTL` in <https://github.com/etcd-io/etcd/blob/main/server/lease/lessor.go>), in
/// seconds.
const LONGEST_LEASE: i64 = 9_000_000_000;

/// Hands out the fields of a message as etcd writes it: in ascending order, only those of the number `repeated` more than once, and
/// none that is 0. `None` where it is not like that, or `take` says so.
fn read<'bytes>(
    message: &'bytes [u8],
    repeated: Option<u64>,
    mut take: impl FnMut(u64, Wire<'bytes>) -> Option<()>,
) -> Option<()> {
    let mut before = 0;
    for field in fields(message) {
        let (number, wire) = field?;
        let in_order = number > before || (number == before && repeated == Some(number));
        if !in_order || wire == Wire::Varint(0) {
            return None;
        }
        before = number;
        take(number, wire)?;
    }
    Some(())
}

/// `leasepb.Lease` (<https://github.com/etcd-io/etcd/blob/main/server/lease/leasepb/lease.proto>).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StoredLease {
    pub(super) id: u64,
    seconds: i64,
    remaining_seconds: i64,
}

impl StoredLease {
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let mut lease = Self::default();
        read(message, None, |number, wire| {
            match (number, wire) {
                (1, Wire::Varint(id)) => lease.id = id,
                (2, Wire::Varint(seconds)) => lease.seconds = seconds.cast_signed(),
                (3, Wire::Varint(seconds)) => lease.remaining_seconds = seconds.cast_signed(),
                _ => return None,
            }
            Some(())
        })?;
        Some(lease).filter(|lease| lease.id != 0)
    }

    /// Whether it was granted for a time for which leases are granted. One for no time at all would end with the start of etcd, and
    /// its keys with it.
    pub(super) fn is_possible(&self) -> bool {
        (1..=LONGEST_LEASE).contains(&self.seconds) && self.remaining_seconds >= 0
    }
}

/// `etcdserverpb.AlarmMember` (<https://github.com/etcd-io/etcd/blob/main/api/etcdserverpb/rpc.proto>).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StoredAlarm {
    pub(super) member: u64,
    pub(super) kind: u64,
}

impl StoredAlarm {
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let mut alarm = Self::default();
        read(message, None, |number, wire| {
            match (number, wire) {
                (1, Wire::Varint(member)) => alarm.member = member,
                (2, Wire::Varint(kind)) => alarm.kind = kind,
                _ => return None,
            }
            Some(())
        })?;
        Some(alarm)
    }
}

/// `authpb.User` (<https://github.com/etcd-io/etcd/blob/main/api/authpb/auth.proto>). Its password is not looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StoredUser<'bytes> {
    pub(super) name: &'bytes [u8],
    pub(super) has_role_root: bool,
}

impl<'bytes> StoredUser<'bytes> {
    pub(super) fn parse(message: &'bytes [u8]) -> Option<Self> {
        let mut user = Self::default();
        read(message, Some(3), |number, wire| {
            match (number, wire) {
                (1, Wire::Bytes(name)) => user.name = name,
                (2, Wire::Bytes(_password)) => {}
                (3, Wire::Bytes(role)) => user.has_role_root |= role == b"root",
                // Whether there is no password: a message of one field.
                (4, Wire::Bytes(options)) => read(options, None, |number, wire| {
                    (number == 1 && wire == Wire::Varint(1)).then_some(())
                })?,
                _ => return None,
            }
            Some(())
        })?;
        Some(user).filter(|user| !user.name.is_empty())
    }
}

/// The name in an `authpb.Role`; `None` when it or one of its permissions cannot be read.
pub(super) fn role_name(message: &[u8]) -> Option<&[u8]> {
    let mut name = None;
    read(message, Some(2), |number, wire| {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => name = Some(bytes),
            (2, Wire::Bytes(permission)) => read(permission, None, |number, wire| {
                match (number, wire) {
                    // Reading is 0, and is not written.
                    (1, Wire::Varint(1 | 2)) | (2 | 3, Wire::Bytes(_)) => Some(()),
                    _ => None,
                }
            })?,
            _ => return None,
        }
        Some(())
    })?;
    name.filter(|name| !name.is_empty())
}

/// Whether a text is a version such as `3.5.0`, as etcd reads it (<https://semver.org>).
pub(super) fn is_version(text: &str) -> bool {
    let numbers = text.split(['-', '+']).next().unwrap_or_default().split('.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    numbers.clone().count() == 3 && numbers.clone().all(is_number)
}

/// Whether it is an object of JSON, and not longer than any that etcd writes.
pub(super) fn is_json_object(bytes: &[u8]) -> bool {
    bytes.len() <= limits::ETCD_MEMBER_BYTES
        && serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_granted_for_a_time() {
        let lease = |message: &[u8]| StoredLease::parse(message).map(|lease| lease.is_possible());
        assert_eq!(lease(b"\x08\x07\x10\x3c"), Some(true));
        assert_eq!(lease(b"\x08\x07\x10\x3c\x18\x05"), Some(true));
        assert_eq!(lease(b"\x08\x07"), Some(false), "for no time");
        assert_eq!(lease(b"\x08\x07\x10\xff\xff\xff\xff\xff\x01"), Some(false), "for ever");
        let negative = b"\x08\x07\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(lease(negative), Some(false));
        for message in [
            &b""[..],
            b"\x10\x3c",
            b"\x08\x07\x12\x01x",
            b"\x10\x3c\x08\x07",
            b"\x08\x07\x08\x07\x10\x3c",
            b"\x08\x07\x10\x00",
            b"\x08\x07\x10\x3c\x20\x01",
        ] {
            assert_eq!(lease(message), None, "{message:?}");
        }
    }

    #[test]
    fn users_and_roles_are_read_to_their_end() {
        let user = |message| StoredUser::parse(message).map(|user| user.name);
        assert_eq!(
            user(b"\x0a\x05alice\x12\x02pw\x1a\x01r\x1a\x01s\x22\x02\x08\x01"),
            Some(&b"alice"[..])
        );
        for message in [
            &b""[..],
            b"\x12\x02pw",
            b"\x0a\x05alice\x1a\x7fr",
            b"\x0a\x05alice\x22\x02\x08\x07",
            b"\x0a\x05alice\x0a\x05alice",
            b"\x0a\x05alice\x28\x01",
        ] {
            assert_eq!(user(message), None, "{message:?}");
        }
        assert_eq!(
            role_name(b"\x0a\x01r\x12\x03\x12\x01k\x12\x05\x08\x02\x1a\x01z"),
            Some(&b"r"[..])
        );
        for message in [
            &b""[..],
            b"\x12\x03\x12\x01k",
            b"\x0a\x01r\x12\x02\x08\x03",
            b"\x0a\x01r\x12\x02\x20\x01",
            b"\x0a\x01r\x12\x03\x12\x7fk",
        ] {
            assert_eq!(role_name(message), None, "{message:?}");
        }
    }

    #[test]
    fn versions_have_three_numbers() {
        for version in ["3.5.0", "3.10.21", "3.6.0-rc.1", "3.6.0+build.7"] {
            assert!(is_version(version), "{version}");
        }
        for text in ["", "3.5", "x.5.0", "3.5.0.1", "3..0", "3.5.-0", " 3.5.0"] {
            assert!(!is_version(text), "{text}");
        }
    }
}
