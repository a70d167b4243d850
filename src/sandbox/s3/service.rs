use super::state::Shared;
use super::store::{Bucket, Place, Store};
use super::upload::{claims_of, receive};
use chrono::{DateTime, Utc};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::*;
use s3s::host::{S3Host, VirtualHost};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// The secret of every access key in the sandbox.
pub(super) const SECRET: &str = "sandbox";

/// Access keys are this and the account's twelve digits.
const ACCESS_KEY_PREFIX: &str = "SANDBOX";

type Answer<'a, T> = Pin<Box<dyn Future<Output = S3Result<S3Response<T>>> + Send + 'a>>;

/// The `s3s` side of the store: one method for each operation.
pub(super) struct Frontend(pub(super) Arc<Shared>);

/// Who asks, from which region.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) account: String,
    /// The region of the signature.
    pub(super) region: String,
    /// The region that the endpoint's host names.
    endpoint_region: Option<String>,
}

/// One call at one moment, with the store locked.
pub(super) struct Call<'a> {
    pub(super) store: &'a mut Store,
    pub(super) caller: Caller,
    pub(super) now: DateTime<Utc>,
}

/// What a call wants to do with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Call<'_> {
    /// The bucket, if it exists, is in the caller's region and open to the caller.
    pub(super) fn bucket(
        &self,
        name: &str,
        expected_owner: Option<&String>,
        access: Access,
    ) -> S3Result<&Bucket> {
        let bucket = self.bucket_anywhere(name, expected_owner, access)?;
        if bucket.place.region != self.caller.region {
            return Err(wrong_region(&bucket.place, &self.caller));
        }
        Ok(bucket)
    }

    /// The bucket, whatever its region.
    pub(super) fn bucket_anywhere(
        &self,
        name: &str,
        expected_owner: Option<&String>,
        access: Access,
    ) -> S3Result<&Bucket> {
        let bucket = self
            .store
            .buckets
            .get(name)
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))?;
        let account = &self.caller.account;
        let owns = bucket.place.account == *account;
        let may_read = access == Access::Read && bucket.readers.contains(account);
        let as_expected = expected_owner.is_none_or(|owner| *owner == bucket.place.account);
        if as_expected && (owns || may_read) {
            return Ok(bucket);
        }
        Err(s3_error!(AccessDenied, "Access Denied"))
    }

    /// As [`Call::bucket`], for changing it.
    pub(super) fn bucket_mut(
        &mut self,
        name: &str,
        expected_owner: Option<&String>,
    ) -> S3Result<&mut Bucket> {
        self.bucket(name, expected_owner, Access::Write)?;
        self.store.buckets.get_mut(name).ok_or_else(|| s3_error!(NoSuchBucket))
    }
}

/// With the endpoint of the wrong region: a redirect. With the right (or no particular) endpoint and a signature for
/// another region: a malformed header. Both name the region in `x-amz-bucket-region`.
fn wrong_region(place: &Place, caller: &Caller) -> S3Error {
    let region = &place.region;
    let mut error = if caller.endpoint_region.as_ref() == Some(&caller.region) {
        s3_error!(
            PermanentRedirect,
            "The bucket you are attempting to access must be addressed using the specified endpoint. \
             Please send all future requests to this endpoint."
        )
    } else {
        s3_error!(
            AuthorizationHeaderMalformed,
            "The authorization header is malformed; the region '{}' is wrong; expecting '{region}'",
            caller.region
        )
    };
    error.set_headers(xml_headers([("x-amz-bucket-region", region.clone())]));
    error
}

/// Headers of an error reply: `s3s` replaces its own with them, so the content type is among them.
pub(super) fn xml_headers<const N: usize>(headers: [(&'static str, String); N]) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    map.insert("content-type", http::HeaderValue::from_static("application/xml"));
    for (name, value) in headers {
        if let Ok(value) = http::HeaderValue::from_str(&value) {
            map.insert(name, value);
        }
    }
    map
}

impl Frontend {
    fn answer<I, O>(
        &self,
        request: S3Request<I>,
        operation: impl FnOnce(&mut Call<'_>, I) -> S3Result<S3Response<O>>,
    ) -> S3Result<S3Response<O>> {
        let caller = caller_of(&request)?;
        let now = self.0.clock.now();
        let mut store = self.0.lock();
        operation(&mut Call { store: &mut store, caller, now }, request.input)
    }
}

fn caller_of<I>(request: &S3Request<I>) -> S3Result<Caller> {
    let credentials = request.credentials.as_ref();
    let account = credentials.and_then(|c| c.access_key.strip_prefix(ACCESS_KEY_PREFIX));
    let region = request.region.as_ref();
    let (Some(account), Some(region)) = (account, region) else {
        return Err(s3_error!(AccessDenied, "Access Denied"));
    };
    let host = request.headers.get("host").and_then(|host| host.to_str().ok());
    let endpoint_region = host.and_then(parse_host).and_then(|(_, region)| region);
    Ok(Caller {
        account: account.to_owned(),
        region: region.as_str().to_owned(),
        endpoint_region: endpoint_region.map(str::to_owned),
    })
}

/// Implements operations that need nothing but the store. (The trait's methods are written by a macro of another
/// crate; this is the form into which that macro turns them.)
macro_rules! answer_from_store {
    ($($operation:ident($input:ty) -> $output:ty;)*) => { $(
        fn $operation<'life0, 'async_trait>(
            &'life0 self,
            request: S3Request<$input>,
        ) -> Answer<'async_trait, $output>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(std::future::ready(self.answer(request, |call, input| call.$operation(input))))
        }
    )* };
}

impl S3 for Frontend {
    answer_from_store! {
        abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
        complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
        create_bucket(CreateBucketInput) -> CreateBucketOutput;
        create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
        delete_bucket(DeleteBucketInput) -> DeleteBucketOutput;
        delete_bucket_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput;
        delete_object(DeleteObjectInput) -> DeleteObjectOutput;
        delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
        get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
        get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput;
        get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput;
        get_object(GetObjectInput) -> GetObjectOutput;
        get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput;
        head_bucket(HeadBucketInput) -> HeadBucketOutput;
        head_object(HeadObjectInput) -> HeadObjectOutput;
        list_buckets(ListBucketsInput) -> ListBucketsOutput;
        list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput;
        list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
        put_bucket_replication(PutBucketReplicationInput) -> PutBucketReplicationOutput;
        put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput;
    }

    fn put_object<'life0, 'async_trait>(
        &'life0 self,
        mut request: S3Request<PutObjectInput>,
    ) -> Answer<'async_trait, PutObjectOutput>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let claims = claims_of!(request.input);
            let body = request.input.body.take();
            let upload = receive(body, claims, request.trailing_headers.take()).await?;
            self.answer(request, |call, input| call.put_object(input, upload))
        })
    }

    fn upload_part<'life0, 'async_trait>(
        &'life0 self,
        mut request: S3Request<UploadPartInput>,
    ) -> Answer<'async_trait, UploadPartOutput>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let claims = claims_of!(request.input);
            let body = request.input.body.take();
            let upload = receive(body, claims, request.trailing_headers.take()).await?;
            self.answer(request, |call, input| call.upload_part(input, upload))
        })
    }
}

/// Knows the one secret of all sandbox accounts.
pub(super) struct SandboxAuth;

impl S3Auth for SandboxAuth {
    fn get_secret_key<'life0, 'life1, 'async_trait>(
        &'life0 self,
        access_key: &'life1 str,
    ) -> Pin<Box<dyn Future<Output = S3Result<SecretKey>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        let digits = access_key.strip_prefix(ACCESS_KEY_PREFIX);
        let known = digits.is_some_and(|d| d.len() == 12 && d.bytes().all(|b| b.is_ascii_digit()));
        let answer = if known {
            Ok(SecretKey::from(SECRET))
        } else {
            Err(S3Error::with_message(
                S3ErrorCode::InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records.",
            ))
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Finds the bucket in hosts such as `orders.s3.ap-northeast-1.sandbox.invalid` and `orders.localhost`.
pub(super) struct SandboxHost;

impl S3Host for SandboxHost {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let Some((bucket, _)) = parse_host(host) else { return Ok(VirtualHost::new(host)) };
        let virtual_host = VirtualHost::new(host);
        Ok(match bucket {
            Some(bucket) => virtual_host.with_bucket(bucket),
            None => virtual_host,
        })
    }
}

/// Bucket and region of a host, each if it names one. `None`: a host of another kind, so the bucket is in the path.
pub(super) fn parse_host(host: &str) -> Option<(Option<&str>, Option<&str>)> {
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let (service, region) = if let Some(rest) = host.strip_suffix(".sandbox.invalid") {
        let (service, region) = rest.rsplit_once('.')?;
        (service, Some(region))
    } else {
        (host.strip_suffix(".localhost")?, None)
    };
    let bucket =
        if service == "s3" { None } else { Some(service.strip_suffix(".s3").unwrap_or(service)) };
    Some((bucket, region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_names_bucket_and_region() {
        let region = Some("ap-northeast-1");
        assert_eq!(parse_host("s3.ap-northeast-1.sandbox.invalid"), Some((None, region)));
        let bucket = Some("my.orders");
        assert_eq!(
            parse_host("my.orders.s3.ap-northeast-1.sandbox.invalid"),
            Some((bucket, region))
        );
        assert_eq!(parse_host("orders.localhost:4566"), Some((Some("orders"), None)));
        assert_eq!(parse_host("orders.s3.localhost:4566"), Some((Some("orders"), None)));
        assert_eq!(parse_host("s3.localhost:4566"), Some((None, None)));
        assert_eq!(parse_host("localhost:4566"), None);
    }
}
