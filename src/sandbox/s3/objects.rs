use super::content::Content;
use super::convert::{checksum_of, encryption_of, metadata_of, parse_tagging, tag_set, timestamp};
use super::estate::{ReplicationFate, Versioning};
use super::service::{Access, Call, xml_headers};
use super::store::{Bucket, NULL_VERSION, Object, Version};
use super::upload::Upload;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Response, S3Result, s3_error};
use std::sync::Arc;

/// Takes the description out of the input of PutObject or CreateMultipartUpload.
macro_rules! description_of {
    ($input:expr) => {
        super::objects::Description {
            content_type: $input.content_type.take(),
            content_encoding: $input.content_encoding.take(),
            content_disposition: $input.content_disposition.take(),
            cache_control: $input.cache_control.take(),
            metadata: $input.metadata.take(),
            tagging: $input.tagging.take(),
            encryption: $input.server_side_encryption.take(),
            kms_key: $input.ssekms_key_id.take(),
        }
    };
}
pub(super) use description_of;

/// The most keys in one DeleteObjects (`API_DeleteObjects.html`).
const MOST_DELETIONS: usize = 1000;

/// Operations on objects.
impl Call<'_> {
    pub(super) fn put_object(
        &mut self,
        mut input: PutObjectInput,
        upload: Upload,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket(&input.bucket, owner, Access::Write)?;
        let conditions = (input.if_match.as_ref(), input.if_none_match.as_ref());
        self.check_write_conditions(bucket, &input.key, conditions)?;
        let object = Object {
            checksum: upload.checksum,
            ..new_object(bucket, Content::from_bytes(upload.bytes), description_of!(input))?
        };
        let (version, object) = self.write(&input.bucket, &input.key, object)?;
        let (server_side_encryption, ssekms_key_id) = encryption_of(&object);
        let checksum = checksum_of(&object);
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(object.etag())),
            version_id: (version.id != NULL_VERSION).then_some(version.id),
            server_side_encryption,
            ssekms_key_id,
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            ..PutObjectOutput::default()
        }))
    }

    /// Stores an object now. Returns the version and the object as stored.
    pub(super) fn write(
        &mut self,
        bucket: &str,
        key: &str,
        object: Object,
    ) -> S3Result<(Version, Arc<Object>)> {
        let written = self.store.put(bucket, key, object, self.now, ReplicationFate::ByRule);
        let version = written.ok_or_else(|| s3_error!(NoSuchBucket))?;
        let object = version.object().cloned().ok_or_else(|| s3_error!(InternalError))?;
        Ok((version, object))
    }

    /// `If-Match` and `If-None-Match` of a write.
    pub(super) fn check_write_conditions(
        &self,
        bucket: &Bucket,
        key: &str,
        (if_match, if_none_match): (Option<&ETagCondition>, Option<&ETagCondition>),
    ) -> S3Result {
        let current = self.store.find(bucket, key, None, self.now).and_then(Version::object);
        let current = current.map(|object| ETag::Strong(object.etag()));
        let holds = |condition: &ETagCondition, etag: &ETag| {
            condition.as_etag().is_none_or(|wanted| wanted.weak_cmp(etag))
        };
        match (if_none_match, &current) {
            (Some(condition), Some(etag)) if holds(condition, etag) => {
                return Err(precondition_failed());
            }
            _ => {}
        }
        match (if_match, &current) {
            (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
            (Some(condition), Some(etag)) if !holds(condition, etag) => Err(precondition_failed()),
            _ => Ok(()),
        }
    }

    pub(super) fn get_object(
        &mut self,
        input: GetObjectInput,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket(&input.bucket, owner, Access::Read)?;
        let (version, object) = self.readable(bucket, &input.key, input.version_id.as_deref())?;
        check_read_conditions(
            &Conditions {
                if_match: input.if_match.as_ref(),
                if_none_match: input.if_none_match.as_ref(),
                if_modified_since: input.if_modified_since.as_ref(),
                if_unmodified_since: input.if_unmodified_since.as_ref(),
            },
            version,
            &object.etag(),
        )?;
        refuse_part_number(input.part_number)?;
        check_kms(bucket, object.kms_key.as_deref())?;
        let size = object.content.size();
        let range = input.range.map(|range| range.check(size)).transpose()?;
        let part = range.clone().unwrap_or(0..size);
        let described = self.describe(bucket, version, object, with_checksum(&input.checksum_mode));
        let checksum = if range.is_none() { described.checksum } else { Checksum::default() };
        let content_range =
            range.map(|range| format!("bytes {}-{}/{size}", range.start, range.end - 1));
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(StreamingBlob::wrap(object.content.stream(part.clone()))),
            cache_control: object.cache_control.clone(),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            content_disposition: object.content_disposition.clone(),
            content_encoding: object.content_encoding.clone(),
            content_length: i64::try_from(part.end - part.start).ok(),
            content_range,
            content_type: Some(described.content_type),
            e_tag: Some(ETag::Strong(object.etag())),
            last_modified: Some(timestamp(version.modified)),
            metadata: metadata_of(object),
            replication_status: described.replication_status,
            server_side_encryption: described.encryption.0,
            ssekms_key_id: described.encryption.1,
            tag_count: described.tag_count,
            version_id: described.version_id,
            ..GetObjectOutput::default()
        }))
    }

    pub(super) fn head_object(
        &mut self,
        input: HeadObjectInput,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket(&input.bucket, owner, Access::Read)?;
        let (version, object) = self.readable(bucket, &input.key, input.version_id.as_deref())?;
        check_read_conditions(
            &Conditions {
                if_match: input.if_match.as_ref(),
                if_none_match: input.if_none_match.as_ref(),
                if_modified_since: input.if_modified_since.as_ref(),
                if_unmodified_since: input.if_unmodified_since.as_ref(),
            },
            version,
            &object.etag(),
        )?;
        refuse_part_number(input.part_number)?;
        let described = self.describe(bucket, version, object, with_checksum(&input.checksum_mode));
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: object.cache_control.clone(),
            checksum_crc32: described.checksum.checksum_crc32,
            checksum_crc32c: described.checksum.checksum_crc32c,
            checksum_crc64nvme: described.checksum.checksum_crc64nvme,
            checksum_sha1: described.checksum.checksum_sha1,
            checksum_sha256: described.checksum.checksum_sha256,
            checksum_type: described.checksum.checksum_type,
            content_disposition: object.content_disposition.clone(),
            content_encoding: object.content_encoding.clone(),
            content_length: i64::try_from(object.content.size()).ok(),
            content_type: Some(described.content_type),
            e_tag: Some(ETag::Strong(object.etag())),
            last_modified: Some(timestamp(version.modified)),
            metadata: metadata_of(object),
            replication_status: described.replication_status,
            server_side_encryption: described.encryption.0,
            ssekms_key_id: described.encryption.1,
            version_id: described.version_id,
            ..HeadObjectOutput::default()
        }))
    }

    pub(super) fn get_object_tagging(
        &mut self,
        input: GetObjectTaggingInput,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket(&input.bucket, owner, Access::Read)?;
        let (version, object) = self.readable(bucket, &input.key, input.version_id.as_deref())?;
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set: tag_set(&object.tags),
            version_id: shown_version_id(bucket, version),
        }))
    }

    pub(super) fn delete_object(
        &mut self,
        input: DeleteObjectInput,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        self.bucket(&input.bucket, owner, Access::Write)?;
        let deleted = self.delete_one(&input.bucket, &input.key, input.version_id.as_deref());
        let marker = deleted.as_ref().filter(|version| version.object().is_none());
        Ok(S3Response::new(DeleteObjectOutput {
            delete_marker: marker.map(|_| true),
            version_id: deleted.map(|version| version.id).or(input.version_id),
            ..DeleteObjectOutput::default()
        }))
    }

    pub(super) fn delete_objects(
        &mut self,
        input: DeleteObjectsInput,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        self.bucket(&input.bucket, owner, Access::Write)?;
        if input.delete.objects.is_empty() || input.delete.objects.len() > MOST_DELETIONS {
            return Err(s3_error!(
                MalformedXML,
                "The XML you provided was not well-formed or did not validate against our published schema"
            ));
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        let mut deleted = Vec::new();
        for object in input.delete.objects {
            let removed = self.delete_one(&input.bucket, &object.key, object.version_id.as_deref());
            let marker = removed.filter(|version| version.object().is_none());
            if quiet {
                continue;
            }
            deleted.push(DeletedObject {
                delete_marker: marker.as_ref().map(|_| true),
                delete_marker_version_id: marker.map(|version| version.id),
                key: Some(object.key),
                version_id: object.version_id,
            });
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            ..DeleteObjectsOutput::default()
        }))
    }

    /// Deletes a version, or the key. Returns the version that was removed or the delete marker that was made.
    fn delete_one(&mut self, bucket: &str, key: &str, id: Option<&str>) -> Option<Version> {
        match id {
            Some(id) => self.store.delete_version(bucket, key, id, self.now),
            None => self.store.delete(bucket, key, self.now),
        }
    }

    /// The version that a reader gets, with the errors that S3 has for keys and versions that cannot be read.
    fn readable<'b>(
        &'b self,
        bucket: &'b Bucket,
        key: &str,
        id: Option<&str>,
    ) -> S3Result<(&'b Version, &'b Arc<Object>)> {
        let Some(version) = self.store.find(bucket, key, id, self.now) else {
            return Err(match id {
                None => s3_error!(NoSuchKey, "The specified key does not exist."),
                Some(id) if is_version_id(id) => {
                    s3_error!(NoSuchVersion, "The specified version does not exist.")
                }
                Some(_) => s3_error!(InvalidArgument, "Invalid version id specified"),
            });
        };
        version.object().map(|object| (version, object)).ok_or_else(|| {
            let code = match id {
                None => S3ErrorCode::NoSuchKey,
                Some(_) => S3ErrorCode::MethodNotAllowed,
            };
            let mut error = S3Error::with_message(code, "The key is deleted.");
            error.set_headers(xml_headers([
                ("x-amz-delete-marker", "true".to_owned()),
                ("x-amz-version-id", version.id.clone()),
            ]));
            error
        })
    }

    fn describe(
        &self,
        bucket: &Bucket,
        version: &Version,
        object: &Object,
        with_checksum: bool,
    ) -> Described {
        let state = self.store.replication_state(bucket, version, self.now);
        Described {
            checksum: if with_checksum { checksum_of(object) } else { Checksum::default() },
            content_type: object
                .content_type
                .clone()
                .unwrap_or_else(|| "binary/octet-stream".to_owned()),
            encryption: encryption_of(object),
            replication_status: state.map(|state| ReplicationStatus::from_static(state.as_str())),
            tag_count: i32::try_from(object.tags.len()).ok().filter(|count| *count > 0),
            version_id: shown_version_id(bucket, version),
        }
    }
}

/// What a client says about an object that it writes, besides the content.
pub(super) struct Description {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) metadata: Option<Metadata>,
    pub(super) tagging: Option<String>,
    pub(super) encryption: Option<ServerSideEncryption>,
    pub(super) kms_key: Option<String>,
}

/// The object that a write to `bucket` makes.
pub(super) fn new_object(
    bucket: &Bucket,
    content: Content,
    description: Description,
) -> S3Result<Object> {
    let default_key = bucket.kms.as_ref().map(|kms| kms.key.clone());
    let kms_key = match description.encryption.as_ref().map(ServerSideEncryption::as_str) {
        None => default_key,
        Some(ServerSideEncryption::AWS_KMS) => {
            description.kms_key.or(default_key).or_else(|| Some("alias/aws/s3".to_owned()))
        }
        Some(_) => None,
    };
    check_kms(bucket, kms_key.as_deref())?;
    let encoding = description.content_encoding.map(|encoding| without_aws_chunked(&encoding));
    Ok(Object {
        content_type: description.content_type,
        content_encoding: encoding.filter(|encoding| !encoding.is_empty()),
        content_disposition: description.content_disposition,
        cache_control: description.cache_control,
        metadata: description.metadata.unwrap_or_default().into_iter().collect(),
        tags: description.tagging.as_deref().map(parse_tagging).unwrap_or_default(),
        kms_key,
        ..Object::new(content)
    })
}

/// What GET and HEAD both say about a version.
struct Described {
    checksum: Checksum,
    content_type: String,
    encryption: (Option<ServerSideEncryption>, Option<String>),
    replication_status: Option<ReplicationStatus>,
    tag_count: Option<i32>,
    version_id: Option<String>,
}

/// Buckets that never kept versions do not mention them.
fn shown_version_id(bucket: &Bucket, version: &Version) -> Option<String> {
    (bucket.versioning != Versioning::Off).then(|| version.id.clone())
}

fn is_version_id(id: &str) -> bool {
    id == NULL_VERSION || id.len() == 32
}

fn with_checksum(mode: &Option<ChecksumMode>) -> bool {
    mode.as_ref().is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

fn without_aws_chunked(encoding: &str) -> String {
    let codings = encoding.split(',').map(str::trim);
    codings.filter(|coding| *coding != "aws-chunked").collect::<Vec<_>>().join(",")
}

fn refuse_part_number(part_number: Option<i32>) -> S3Result {
    match part_number {
        None => Ok(()),
        Some(_) => Err(s3_error!(NotImplemented, "The sandbox does not read objects by parts.")),
    }
}

fn check_kms(bucket: &Bucket, key: Option<&str>) -> S3Result {
    let Some(kms) = bucket.kms.as_ref().filter(|kms| !kms.usable && Some(kms.key.as_str()) == key)
    else {
        return Ok(());
    };
    let mut error = S3Error::with_message(
        S3ErrorCode::Custom("KMS.DisabledException".into()),
        format!("{} is disabled.", kms.key),
    );
    error.set_status_code(http::StatusCode::BAD_REQUEST);
    Err(error)
}

struct Conditions<'a> {
    if_match: Option<&'a ETagCondition>,
    if_none_match: Option<&'a ETagCondition>,
    if_modified_since: Option<&'a Timestamp>,
    if_unmodified_since: Option<&'a Timestamp>,
}

/// In the order of RFC 9110 section 13.2.2.
fn check_read_conditions(conditions: &Conditions<'_>, version: &Version, etag: &str) -> S3Result {
    let etag = ETag::Strong(etag.to_owned());
    let holds =
        |condition: &ETagCondition| condition.as_etag().is_none_or(|wanted| wanted.weak_cmp(&etag));
    let modified = timestamp(version.modified);
    match (conditions.if_match, conditions.if_unmodified_since) {
        (Some(condition), _) if !holds(condition) => return Err(precondition_failed()),
        (None, Some(time)) if modified > *time => return Err(precondition_failed()),
        _ => {}
    }
    match (conditions.if_none_match, conditions.if_modified_since) {
        (Some(condition), _) if holds(condition) => Err(s3_error!(NotModified)),
        (None, Some(time)) if modified <= *time => Err(s3_error!(NotModified)),
        _ => Ok(()),
    }
}

fn precondition_failed() -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}
