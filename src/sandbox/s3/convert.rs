use super::store::{GivenChecksum, Object};
use chrono::{DateTime, Utc};
use s3s::dto;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// A time as S3 shows it: whole seconds.
pub(super) fn timestamp(time: DateTime<Utc>) -> dto::Timestamp {
    let seconds = DateTime::from_timestamp(time.timestamp(), 0).unwrap_or(time);
    dto::Timestamp::from(SystemTime::from(seconds))
}

/// The owner of everything in an account: S3's "canonical user id" is 64 hexadecimal digits.
pub(super) fn owner_of(account: &str) -> dto::Owner {
    let id = hex::encode(Sha256::digest(format!("canonical user {account}")));
    dto::Owner { display_name: None, id: Some(id) }
}

/// The checksum headers of an object: what the writer gave, else the CRC-64/NVME that S3 adds itself.
pub(super) fn checksum_of(object: &Object) -> dto::Checksum {
    let whole = dto::ChecksumType::from_static(dto::ChecksumType::FULL_OBJECT);
    let mut checksum = dto::Checksum { checksum_type: Some(whole), ..dto::Checksum::default() };
    match object.checksum.clone() {
        Some(GivenChecksum::Crc32(value)) => checksum.checksum_crc32 = Some(value),
        Some(GivenChecksum::Crc32c(value)) => checksum.checksum_crc32c = Some(value),
        Some(GivenChecksum::Crc64Nvme(value)) => checksum.checksum_crc64nvme = Some(value),
        Some(GivenChecksum::Sha1(value)) => checksum.checksum_sha1 = Some(value),
        Some(GivenChecksum::Sha256(value)) => checksum.checksum_sha256 = Some(value),
        None => checksum.checksum_crc64nvme = Some(object.content.crc64nvme()),
    }
    checksum
}

/// The algorithm that listings name.
pub(super) fn checksum_algorithm(object: &Object) -> dto::ChecksumAlgorithm {
    let name = match &object.checksum {
        Some(GivenChecksum::Crc32(_)) => dto::ChecksumAlgorithm::CRC32,
        Some(GivenChecksum::Crc32c(_)) => dto::ChecksumAlgorithm::CRC32C,
        Some(GivenChecksum::Sha1(_)) => dto::ChecksumAlgorithm::SHA1,
        Some(GivenChecksum::Sha256(_)) => dto::ChecksumAlgorithm::SHA256,
        Some(GivenChecksum::Crc64Nvme(_)) | None => dto::ChecksumAlgorithm::CRC64NVME,
    };
    dto::ChecksumAlgorithm::from_static(name)
}

/// The encryption headers of an object: kind and key.
pub(super) fn encryption_of(
    object: &Object,
) -> (Option<dto::ServerSideEncryption>, Option<String>) {
    let kind = match object.kms_key {
        Some(_) => dto::ServerSideEncryption::AWS_KMS,
        None => dto::ServerSideEncryption::AES256,
    };
    (Some(dto::ServerSideEncryption::from_static(kind)), object.kms_key.clone())
}

/// User metadata; `None` where there is none.
pub(super) fn metadata_of(object: &Object) -> Option<dto::Metadata> {
    (!object.metadata.is_empty()).then(|| object.metadata.clone().into_iter().collect())
}

/// Tags in order.
pub(super) fn tag_set(tags: &BTreeMap<String, String>) -> Vec<dto::Tag> {
    let tag = |(key, value): (&String, &String)| dto::Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    tags.iter().map(tag).collect()
}

/// Reads the `x-amz-tagging` header: `a=1&b=two%20words`.
pub(super) fn parse_tagging(header: &str) -> BTreeMap<String, String> {
    let pairs = header.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

/// Undoes percent encoding, with `+` for a space.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| hex::decode(after.get(..2)?).ok()).flatten();
        rest = match escaped {
            Some(byte) => {
                bytes.extend(byte);
                &after[2..]
            }
            None => {
                bytes.push(if first == b'+' { b' ' } else { first });
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tagging_header_is_read_with_its_escapes() {
        let tags = parse_tagging("run=a%2Fb&note=two+words&bad=%zz&empty");
        assert_eq!(tags["run"], "a/b");
        assert_eq!(tags["note"], "two words");
        assert_eq!(tags["bad"], "%zz");
        assert_eq!(tags["empty"], "");
    }
}
