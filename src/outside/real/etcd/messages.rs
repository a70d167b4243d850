//! The few messages of etcd that are sent and read, field by field, so that building needs no `protoc`. Numbers of fields:
//! <https://github.com/etcd-io/etcd/blob/main/api/etcdserverpb/rpc.proto>. What is not in here is passed over.

use crate::formats::protobuf::{Wire, fields};
use crate::outside::etcd::{EtcdHash, EtcdListed, EtcdStatus};
use bytes::{Buf as _, BufMut as _, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// How many members are read of a list: etcd itself advises against more than seven.
const LISTED: usize = 100;
/// How many alarms and addresses are read.
const TEXTS: usize = 20;
/// Bytes of a text.
const TEXT_BYTES: usize = 1024;

/// Messages as they are.
#[derive(Clone, Copy, Default)]
pub(super) struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// `HashKVRequest { int64 revision = 1 }`. A field of 0 is left out.
pub(super) fn hash_request(revision: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if revision != 0 {
        bytes.push(0x08);
        let mut rest = revision.cast_unsigned();
        while rest >= 0x80 {
            bytes.push((rest & 0x7F) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
    bytes
}

/// `ResponseHeader { cluster_id = 1, member_id = 2, revision = 3 }`.
#[derive(Default)]
struct Header {
    cluster: u64,
    member: u64,
    revision: i64,
}

fn header(bytes: &[u8]) -> Option<Header> {
    let mut read = Header::default();
    for field in fields(bytes) {
        match field? {
            (1, Wire::Varint(value)) => read.cluster = value,
            (2, Wire::Varint(value)) => read.member = value,
            (3, Wire::Varint(value)) => read.revision = value.cast_signed(),
            _ => {}
        }
    }
    Some(read)
}

/// `StatusResponse { header = 1, version = 2, dbSize = 3, errors = 8, isLearner = 10 }`. `None` when it is malformed or names
/// no member: a protocol buffer that says nothing is not the status of an etcd.
pub(super) fn status(bytes: &[u8]) -> Option<EtcdStatus> {
    let mut read = EtcdStatus::default();
    for field in fields(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => {
                let header = header(bytes)?;
                read.cluster = header.cluster;
                read.member = header.member;
                read.revision = header.revision;
            }
            (2, Wire::Bytes(bytes)) => read.version = text(bytes),
            (3, Wire::Varint(value)) => read.database_bytes = value,
            (8, Wire::Bytes(bytes)) if read.errors.len() < TEXTS => read.errors.push(text(bytes)),
            (10, Wire::Varint(value)) => read.learner = value != 0,
            _ => {}
        }
    }
    (read.member != 0 && read.cluster != 0 && read.revision > 0).then_some(read)
}

/// `MemberListResponse { header = 1, members = 2 }`. `None` when it is malformed, empty, or longer than any cluster.
pub(super) fn members(bytes: &[u8]) -> Option<Vec<EtcdListed>> {
    let mut read = Vec::new();
    for field in fields(bytes) {
        if let (2, Wire::Bytes(bytes)) = field? {
            read.push(member(bytes)?);
        }
    }
    (!read.is_empty() && read.len() <= LISTED).then_some(read)
}

/// `Member { ID = 1, name = 2, clientURLs = 4, isLearner = 5 }`.
fn member(bytes: &[u8]) -> Option<EtcdListed> {
    let mut read = EtcdListed::default();
    for field in fields(bytes) {
        match field? {
            (1, Wire::Varint(value)) => read.member = value,
            (2, Wire::Bytes(bytes)) => read.name = text(bytes),
            (4, Wire::Bytes(bytes)) if read.client_urls.len() < TEXTS => {
                read.client_urls.push(text(bytes));
            }
            (5, Wire::Varint(value)) => read.learner = value != 0,
            _ => {}
        }
    }
    (read.member != 0).then_some(read)
}

/// `HashKVResponse { header = 1, hash = 2, compact_revision = 3 }`. `None` when it is malformed.
pub(super) fn hash(bytes: &[u8]) -> Option<EtcdHash> {
    let (mut member_revision, mut hash, mut compact_revision) = (0, 0, 0);
    for field in fields(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => member_revision = header(bytes)?.revision,
            (2, Wire::Varint(value)) => hash = u32::try_from(value).ok()?,
            (3, Wire::Varint(value)) => compact_revision = value.cast_signed(),
            _ => {}
        }
    }
    (member_revision > 0).then_some(EtcdHash { member_revision, compact_revision, hash })
}

/// `SnapshotResponse { header = 1, remaining_bytes = 2, blob = 3 }`: the piece, and how many bytes are still to come. `None`
/// when it is malformed.
pub(super) fn piece(message: &Bytes) -> Option<(Bytes, u64)> {
    let (mut remaining, mut blob) = (0, Bytes::new());
    for field in fields(message) {
        match field? {
            (2, Wire::Varint(value)) => remaining = value,
            (3, Wire::Bytes(bytes)) => blob = message.slice_ref(bytes),
            _ => {}
        }
    }
    Some((blob, remaining))
}

/// What a stranger wrote, short and in one line.
fn text(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES)]);
    shown.chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // What an etcd 3.5.1 answered, its numbers made shorter.
    const STATUS: &[u8] =
        b"\x0a\x06\x08\x05\x10\x07\x18\x65\x12\x053.5.1\x18\x80\x40\x20\x07\x42\x02ab\x42\x02cd\x50\x01";

    #[test]
    fn a_status_is_read_field_by_field() {
        let read = status(STATUS).unwrap();
        assert_eq!((read.cluster, read.member, read.revision), (5, 7, 101));
        assert_eq!((read.version.as_str(), read.database_bytes), ("3.5.1", 8192));
        assert_eq!((read.errors, read.learner), (vec!["ab".to_owned(), "cd".to_owned()], true));
    }

    #[test]
    fn a_list_of_members_is_read_and_an_empty_one_is_none() {
        let list =
            b"\x0a\x02\x08\x05\x12\x0d\x08\x07\x12\x02n1\x22\x05h://a\x12\x04\x08\x09\x28\x01";
        let read = members(list).unwrap();
        assert_eq!((read[0].member, read[0].name.as_str(), read[0].learner), (7, "n1", false));
        assert_eq!(read[0].client_urls, ["h://a"]);
        assert_eq!((read[1].member, read[1].learner), (9, true));
        assert_eq!(members(b"\x0a\x02\x08\x05"), None);
        assert_eq!(
            members(&b"\x12\x02\x08\x07".repeat(LISTED + 1)),
            None,
            "no cluster has that many"
        );
    }

    #[test]
    fn a_hash_of_a_member_that_never_compacted_has_compact_revision_minus_one() {
        let minus_one = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let answer = [b"\x0a\x02\x18\x25\x10\x2a\x18".as_slice(), minus_one].concat();
        let expected = EtcdHash { member_revision: 37, compact_revision: -1, hash: 42 };
        assert_eq!(hash(&answer), Some(expected));
        assert_eq!(hash(b"\x10\x2a"), None, "without a header nobody knows of which revision");
    }

    #[test]
    fn a_request_for_a_revision_is_written_as_protocol_buffers_are() {
        assert_eq!(hash_request(0), b"");
        assert_eq!(hash_request(300), b"\x08\xac\x02");
        assert_eq!(
            fields(&hash_request(i64::MAX)).next(),
            Some(Some((1, Wire::Varint(i64::MAX as u64))))
        );
    }

    #[test]
    fn what_is_no_answer_of_etcd_is_none_and_never_an_empty_one() {
        for bytes in [&b""[..], b"\x08", b"\xff\xff", b"\x0a\x05\x08", &[7; 300]] {
            assert_eq!(
                (status(bytes), hash(bytes), members(bytes)),
                (None, None, None),
                "{bytes:?}"
            );
        }
        assert!(piece(&Bytes::from_static(b"\x1a\x05ab")).is_none());
        let (blob, remaining) = piece(&Bytes::from_static(b"\x10\x03\x1a\x02ab")).unwrap();
        assert_eq!((&blob[..], remaining), (&b"ab"[..], 3));
    }

    #[test]
    fn what_a_stranger_writes_is_short_and_has_no_control_characters() {
        assert_eq!(text(b"n1\x1b[2J\n"), "n1[2J");
        assert_eq!(text(&[b'x'; 5000]).len(), TEXT_BYTES);
    }
}
