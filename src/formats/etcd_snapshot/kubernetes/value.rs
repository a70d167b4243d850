use super::inventory::TimeSource;
use crate::formats::protobuf::{Wire, bytes_of, fields, varint_of};
use chrono::{DateTime, Utc};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// The envelope of objects in Protocol Buffers.
const PROTOBUF: &[u8] = b"k8s\0";
/// The tag that says "this is CBOR": RFC 8949, 3.4.6.
const CBOR: &[u8] = &[0xD9, 0xD9, 0xF7];
/// What encrypted values begin with; provider, version and name of the key follow, each with a colon.
pub(super) const ENCRYPTED: &[u8] = b"k8s:enc:";
/// How much of a value may be its prefix.
const PREFIX_BYTES: usize = 512;

/// How a value is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Encoding {
    Protobuf,
    Json,
    Cbor,
    /// Encrypted at rest: provider, version and name of the key, with colons between.
    Encrypted(String),
    Other,
}

impl Encoding {
    pub(super) fn of(value: &[u8]) -> Self {
        if let Some(rest) = value.strip_prefix(ENCRYPTED) {
            // Without the name of a key nobody can decrypt it: whatever it is, it is not encrypted as an API server does.
            return key_of(rest).map_or(Self::Other, Self::Encrypted);
        }
        match value {
            [b'{', ..] => Self::Json,
            _ if value.starts_with(PROTOBUF) => Self::Protobuf,
            _ if value.starts_with(CBOR) => Self::Cbor,
            _ => Self::Other,
        }
    }
}

/// `aescbc:v1:key1` of `aescbc:v1:key1:…`. No more than what precedes the third colon: the rest is the secret.
fn key_of(rest: &[u8]) -> Option<String> {
    let prefix = rest.get(..PREFIX_BYTES).unwrap_or(rest);
    let mut colons = prefix.iter().enumerate().filter(|(_, byte)| **byte == b':');
    let (end, _) = colons.nth(2)?;
    let name = std::str::from_utf8(prefix.get(..end)?).ok()?;
    name.chars().all(|c| c.is_ascii_graphic()).then(|| name.to_owned())
}

/// The newest time that an object says of itself.
pub(super) fn newest_time(value: &[u8]) -> Option<(DateTime<Utc>, TimeSource)> {
    match Encoding::of(value) {
        Encoding::Protobuf => newest_in_protobuf(value.get(PROTOBUF.len()..)?),
        Encoding::Json => newest_in_json(value),
        _ => None,
    }
}

fn newest_in_protobuf(envelope: &[u8]) -> Option<(DateTime<Utc>, TimeSource)> {
    let object = bytes_of(envelope, 2)?;
    let metadata = bytes_of(object, 1).unwrap_or_default();
    let mut newest: Option<(DateTime<Utc>, TimeSource)> = None;
    let mut note =
        |time: Option<DateTime<Utc>>, source| newest = newest.max(time.map(|at| (at, source)));
    for field in fields(metadata).map_while(|field| field) {
        match field {
            (8, Wire::Bytes(time)) => note(timestamp(time), TimeSource::Created),
            (17, Wire::Bytes(entry)) => {
                note(bytes_of(entry, 4).and_then(timestamp), TimeSource::Changed);
            }
            _ => {}
        }
    }
    let kind = bytes_of(envelope, 1).and_then(|meta| bytes_of(meta, 2));
    if kind == Some(b"Lease") {
        let renewed = bytes_of(object, 2).and_then(|spec| bytes_of(spec, 4));
        note(renewed.and_then(timestamp), TimeSource::Renewed);
    }
    newest
}

fn timestamp(message: &[u8]) -> Option<DateTime<Utc>> {
    // A time that was never set has no fields at all.
    let seconds = varint_of(message, 1)?.cast_signed();
    let nanos = u32::try_from(varint_of(message, 2).unwrap_or(0)).ok()?;
    plausible(DateTime::from_timestamp(seconds, nanos)?)
}

/// Kubernetes is of 2014, and RFC 3339 ends with the year 9999.
fn plausible(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (1_400_000_000..253_402_300_800).contains(&at.timestamp()).then_some(at)
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

/// Of its times no more is kept than the newest, however many entries there are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    creation_timestamp: Time,
    #[serde(default)]
    managed_fields: NewestOf,
}

#[derive(Deserialize)]
struct ManagedFields {
    #[serde(default)]
    time: Time,
}

/// A time as in RFC 3339, where there is one that can be right.
#[derive(Clone, Copy, Default)]
struct Time(Option<DateTime<Utc>>);

/// The newest time in a list of managed fields.
#[derive(Clone, Copy, Default)]
struct NewestOf(Option<DateTime<Utc>>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

impl<'de> Deserialize<'de> for NewestOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NewestVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time")
    }

    fn visit_unit<E>(self) -> Result<Time, E> {
        Ok(Time(None))
    }

    fn visit_str<E>(self, text: &str) -> Result<Time, E> {
        let time = DateTime::parse_from_rfc3339(text).ok();
        Ok(Time(time.and_then(|time| plausible(time.to_utc()))))
    }
}

struct NewestVisitor;

impl<'de> Visitor<'de> for NewestVisitor {
    type Value = NewestOf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("managed fields")
    }

    fn visit_unit<E>(self) -> Result<NewestOf, E> {
        Ok(NewestOf(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<NewestOf, A::Error> {
        let mut newest: Option<DateTime<Utc>> = None;
        while let Some(ManagedFields { time: Time(time) }) = entries.next_element()? {
            newest = newest.max(time);
        }
        Ok(NewestOf(newest))
    }
}

fn newest_in_json(value: &[u8]) -> Option<(DateTime<Utc>, TimeSource)> {
    let Metadata { creation_timestamp: Time(created), managed_fields: NewestOf(changed) } =
        serde_json::from_slice::<Object>(value).ok()?.metadata;
    let created = created.map(|at| (at, TimeSource::Created));
    created.max(changed.map(|at| (at, TimeSource::Changed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    /// The field 17, whose tag takes two bytes.
    fn managed(content: &[u8]) -> Vec<u8> {
        [&[0x8A, 0x01, u8::try_from(content.len()).unwrap()], content].concat()
    }

    /// 1 700 000 000 seconds and so many more.
    fn time(more: u8) -> Vec<u8> {
        let seconds = 1_700_000_000_u64 + u64::from(more);
        let bytes = (0..5).map(|index| (seconds >> (7 * index)) as u8 & 0x7F);
        let mut bytes: Vec<u8> = bytes.collect();
        (0..4).for_each(|index| bytes[index] |= 0x80);
        [&[0x08], &bytes[..]].concat()
    }

    fn object(kind: &str, metadata: &[u8], spec: &[u8]) -> Vec<u8> {
        let envelope = [
            field(1, &field(2, kind.as_bytes())),
            field(2, &[field(1, metadata), field(2, spec)].concat()),
        ];
        [PROTOBUF, &envelope.concat()].concat()
    }

    fn at(more: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + more, 0).unwrap()
    }

    #[test]
    fn the_newest_time_of_an_object_is_found() {
        let metadata = [
            field(1, b"name"),
            field(8, &time(1)),
            managed(&field(4, &time(3))),
            managed(&field(4, &time(2))),
        ];
        let pod = object("Pod", &metadata.concat(), &field(4, &time(9)));
        assert_eq!(newest_time(&pod), Some((at(3), TimeSource::Changed)));
        let lease = object("Lease", &field(8, &time(1)), &field(4, &time(9)));
        assert_eq!(newest_time(&lease), Some((at(9), TimeSource::Renewed)));
        assert_eq!(newest_time(&object("Pod", &field(8, b""), b"")), None, "never set");
        let json = br#"{"kind":"X","metadata":{"creationTimestamp":"2023-11-14T22:13:21Z",
            "managedFields":[{"time":"2023-11-14T22:13:25Z"},{}]},"spec":{"time":"2030-01-01T00:00:00Z"}}"#;
        assert_eq!(newest_time(json), Some((at(5), TimeSource::Changed)));
        for other in [&b"k8s\0"[..], b"k8s\0\xff\xff", b"{", b"{}", b"", b"text"] {
            assert_eq!(newest_time(other), None);
        }
    }

    #[test]
    fn encodings_are_told_and_of_encrypted_values_no_more_than_the_name_of_the_key() {
        let key = |name: &str| Encoding::Encrypted(name.to_owned());
        for (value, expected) in [
            (&b"k8s\0\x0a"[..], Encoding::Protobuf),
            (b"{\"kind\":1}", Encoding::Json),
            (&[0xD9, 0xD9, 0xF7, 0xA0], Encoding::Cbor),
            (b"k8s:enc:aescbc:v1:key1:\x80secret", key("aescbc:v1:key1")),
            (b"k8s:enc:kms:v2:vault:\x0asecret", key("kms:v2:vault")),
            // Without the name of a key it is not encrypted.
            (b"k8s:enc:secretbox:v1:no end", Encoding::Other),
            (b"k8s:enc:\xff:v1:key:x", Encoding::Other),
            (b"text", Encoding::Other),
            (b"", Encoding::Other),
        ] {
            assert_eq!(Encoding::of(value), expected);
        }
    }
}
