use super::store::GivenChecksum;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use s3s::crypto::{Checksum, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::PutObjectInput;
use s3s::{S3Request, S3Result, s3_error};

/// The body of an upload, complete and checked.
pub(super) struct Upload {
    pub(super) bytes: Bytes,
    pub(super) checksum: Option<GivenChecksum>,
}

/// Reads the body and compares it with the length and the digests that the client gave, in headers or in the trailer.
pub(super) async fn receive(request: &mut S3Request<PutObjectInput>) -> S3Result<Upload> {
    let mut bytes = BytesMut::new();
    if let Some(mut body) = request.input.body.take() {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|e| s3_error!(IncompleteBody, "The body broke off: {e}"))?;
            bytes.extend_from_slice(&chunk);
        }
    }
    let bytes = bytes.freeze();
    let announced = request.input.content_length.and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length != bytes.len()) {
        return Err(s3_error!(
            IncompleteBody,
            "You did not provide the number of bytes specified by the Content-Length HTTP header"
        ));
    }
    if let Some(given) = &request.input.content_md5
        && *given != STANDARD.encode(Md5::checksum(&bytes))
    {
        return Err(s3_error!(
            BadDigest,
            "The Content-MD5 you specified did not match what we received."
        ));
    }
    let checksum = given_checksum(request);
    if let Some(checksum) = &checksum {
        verify(checksum, &bytes)?;
    }
    Ok(Upload { bytes, checksum })
}

fn given_checksum(request: &S3Request<PutObjectInput>) -> Option<GivenChecksum> {
    let trailer = |name: &str| {
        let trailers = request.trailing_headers.as_ref()?;
        let read = |headers: &http::HeaderMap| {
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        trailers.read(read).flatten()
    };
    let input = &request.input;
    let given = |header: &Option<String>, name| header.clone().or_else(|| trailer(name));
    None.or_else(|| given(&input.checksum_crc32, "x-amz-checksum-crc32").map(GivenChecksum::Crc32))
        .or_else(|| {
            given(&input.checksum_crc32c, "x-amz-checksum-crc32c").map(GivenChecksum::Crc32c)
        })
        .or_else(|| {
            given(&input.checksum_crc64nvme, "x-amz-checksum-crc64nvme")
                .map(GivenChecksum::Crc64Nvme)
        })
        .or_else(|| given(&input.checksum_sha1, "x-amz-checksum-sha1").map(GivenChecksum::Sha1))
        .or_else(|| {
            given(&input.checksum_sha256, "x-amz-checksum-sha256").map(GivenChecksum::Sha256)
        })
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
