use crate::sandbox::Operation;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

const fn operation(name: &'static str, fidelity: &'static str) -> Operation {
    Operation { service: "s3", name, fidelity }
}

/// The operations of S3 that the sandbox simulates, and how far.
pub const FIDELITY: &[Operation] = &[
    operation("AbortMultipartUpload", "complete"),
    operation(
        "CompleteMultipartUpload",
        "parts, their order and sizes; checksum of the whole object only",
    ),
    operation("CreateBucket", "name and region; no ACL, ownership or object lock"),
    operation("CreateMultipartUpload", "as PutObject"),
    operation("DeleteBucket", "refused while versions are left"),
    operation("DeleteBucketReplication", "complete"),
    operation("DeleteObject", "versions and delete markers; no conditions, MFA or object lock"),
    operation("DeleteObjects", "as DeleteObject, up to 1,000 keys"),
    operation("GetBucketLocation", "complete"),
    operation("GetBucketReplication", "rules by prefix; no metrics or time control"),
    operation("GetBucketVersioning", "complete, without MFA delete"),
    operation("GetObject", "versions, ranges, conditions, checksums; not by part number"),
    operation("GetObjectTagging", "complete"),
    operation("HeadBucket", "complete"),
    operation("HeadObject", "as GetObject, with the replication status"),
    operation("ListBuckets", "in one page"),
    operation("ListObjectVersions", "complete"),
    operation("ListObjectsV2", "complete"),
    operation(
        "PutBucketReplication",
        "rules by prefix; replicas appear after one minute; role unchecked",
    ),
    operation("PutBucketVersioning", "complete, without MFA delete"),
    operation("PutObject", "one part; metadata, tags, conditions, checksums, SSE-S3 and SSE-KMS"),
    operation("UploadPart", "not by copying"),
];

/// The name of the S3 operation that a request asks for, such as `PutObject`: for faults and logs. `None` where it is
/// none that the sandbox knows.
pub fn operation_name(request: &HttpRequest) -> Option<&'static str> {
    let uri: http::Uri = request.uri().parse().ok()?;
    let in_host = uri.host().is_some_and(host_names_bucket)
        || request.headers().get("host").is_some_and(host_names_bucket);
    let path = uri.path().trim_start_matches('/');
    let level = match (in_host, path.split_once('/')) {
        (true, _) if path.is_empty() => Level::Bucket,
        (true, _) => Level::Object,
        (false, _) if path.is_empty() => Level::Service,
        (false, None | Some((_, ""))) => Level::Bucket,
        (false, Some(_)) => Level::Object,
    };
    let query = uri.query().unwrap_or_default();
    let asks = |name: &str| {
        query.split('&').any(|pair| pair.split_once('=').map_or(pair, |(key, _)| key) == name)
    };
    // `?acl`, `?policy` and the like ask for something else than the plain operation.
    let plain = query
        .split('&')
        .all(|p| p.is_empty() || p.split_once('=').is_some_and(|v| !v.1.is_empty()));
    name_of(level, request.method(), asks, plain)
}

#[derive(Clone, Copy)]
enum Level {
    Service,
    Bucket,
    Object,
}

fn host_names_bucket(host: &str) -> bool {
    super::service::parse_host(host).is_some_and(|(bucket, _)| bucket.is_some())
}

fn name_of(
    level: Level,
    method: &str,
    asks: impl Fn(&str) -> bool,
    plain: bool,
) -> Option<&'static str> {
    Some(match (level, method) {
        (Level::Service, "GET") => "ListBuckets",
        (Level::Bucket, "HEAD") if plain => "HeadBucket",
        (Level::Bucket, "GET") if asks("location") => "GetBucketLocation",
        (Level::Bucket, "GET") if asks("versioning") => "GetBucketVersioning",
        (Level::Bucket, "GET") if asks("replication") => "GetBucketReplication",
        (Level::Bucket, "GET") if asks("versions") => "ListObjectVersions",
        (Level::Bucket, "GET") if asks("list-type") => "ListObjectsV2",
        (Level::Bucket, "PUT") if asks("versioning") => "PutBucketVersioning",
        (Level::Bucket, "PUT") if asks("replication") => "PutBucketReplication",
        (Level::Bucket, "PUT") if plain => "CreateBucket",
        (Level::Bucket, "DELETE") if asks("replication") => "DeleteBucketReplication",
        (Level::Bucket, "DELETE") if plain => "DeleteBucket",
        (Level::Bucket, "POST") if asks("delete") => "DeleteObjects",
        (Level::Object, "POST") if asks("uploads") => "CreateMultipartUpload",
        (Level::Object, "POST") if asks("uploadId") => "CompleteMultipartUpload",
        (Level::Object, "PUT") if asks("uploadId") => "UploadPart",
        (Level::Object, "DELETE") if asks("uploadId") => "AbortMultipartUpload",
        (Level::Object, "GET") if asks("tagging") => "GetObjectTagging",
        (Level::Object, "GET") if plain => "GetObject",
        (Level::Object, "HEAD") => "HeadObject",
        (Level::Object, "PUT") if plain => "PutObject",
        (Level::Object, "DELETE") if plain => "DeleteObject",
        _ => return None,
    })
}
