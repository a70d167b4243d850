use super::store::GivenChecksum;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use s3s::crypto::{Checksum, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::StreamingBlob;
use s3s::{S3Result, TrailingHeaders, s3_error};

/// The body of an upload, complete and checked.
pub(super) struct Upload {
    pub(super) bytes: Bytes,
    pub(super) checksum: Option<GivenChecksum>,
}

/// What a client says about the body it sends, in headers.
pub(super) struct Claims {
    pub(super) length: Option<i64>,
    pub(super) md5: Option<String>,
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) crc64nvme: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
}

/// Takes the claims out of the input of PutObject or UploadPart.
macro_rules! claims_of {
    ($input:expr) => {
        super::upload::Claims {
            length: $input.content_length,
            md5: $input.content_md5.take(),
            crc32: $input.checksum_crc32.take(),
            crc32c: $input.checksum_crc32c.take(),
            crc64nvme: $input.checksum_crc64nvme.take(),
            sha1: $input.checksum_sha1.take(),
            sha256: $input.checksum_sha256.take(),
        }
    };
}
pub(super) use claims_of;

/// Reads the body and compares it with the length and the digests that the client gave, in headers or in the trailer.
pub(super) async fn receive(
    body: Option<StreamingBlob>,
    claims: Claims,
    trailers: Option<TrailingHeaders>,
) -> S3Result<Upload> {
    let mut bytes = BytesMut::new();
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|e| s3_error!(IncompleteBody, "The body broke off: {e}"))?;
            bytes.extend_from_slice(&chunk);
        }
    }
    let bytes = bytes.freeze();
    let announced = claims.length.and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length != bytes.len()) {
        return Err(s3_error!(
            IncompleteBody,
            "You did not provide the number of bytes specified by the Content-Length HTTP header"
        ));
    }
    if claims.md5.as_ref().is_some_and(|given| *given != checksum::<Md5>(&bytes)) {
        return Err(s3_error!(
            BadDigest,
            "The Content-MD5 you specified did not match what we received."
        ));
    }
    let checksum = given_checksum(claims, trailers.as_ref());
    if let Some(checksum) = &checksum {
        verify(checksum, &bytes)?;
    }
    Ok(Upload { bytes, checksum })
}

fn given_checksum(claims: Claims, trailers: Option<&TrailingHeaders>) -> Option<GivenChecksum> {
    let trailer = |name: &str| {
        let read = |headers: &http::HeaderMap| {
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        trailers?.read(read).flatten()
    };
    let given = |header: Option<String>, name| header.or_else(|| trailer(name));
    let crc32 = given(claims.crc32, "x-amz-checksum-crc32").map(GivenChecksum::Crc32);
    let crc32c = given(claims.crc32c, "x-amz-checksum-crc32c").map(GivenChecksum::Crc32c);
    let crc64nvme =
        given(claims.crc64nvme, "x-amz-checksum-crc64nvme").map(GivenChecksum::Crc64Nvme);
    let sha1 = given(claims.sha1, "x-amz-checksum-sha1").map(GivenChecksum::Sha1);
    let sha256 = given(claims.sha256, "x-amz-checksum-sha256").map(GivenChecksum::Sha256);
    crc32.or(crc32c).or(crc64nvme).or(sha1).or(sha256)
}

fn verify(given: &GivenChecksum, bytes: &[u8]) -> S3Result {
    let (name, given, actual) = match given {
        GivenChecksum::Crc32(given) => ("CRC32", given, checksum::<Crc32>(bytes)),
        GivenChecksum::Crc32c(given) => ("CRC32C", given, checksum::<Crc32c>(bytes)),
        GivenChecksum::Crc64Nvme(given) => ("CRC64NVME", given, checksum::<Crc64Nvme>(bytes)),
        GivenChecksum::Sha1(given) => ("SHA1", given, checksum::<Sha1>(bytes)),
        GivenChecksum::Sha256(given) => ("SHA256", given, checksum::<Sha256>(bytes)),
    };
    if *given == actual {
        return Ok(());
    }
    Err(s3_error!(BadDigest, "The {name} you specified did not match the calculated checksum."))
}

fn checksum<C: Checksum>(bytes: &[u8]) -> String {
    STANDARD.encode(C::checksum(bytes))
}
