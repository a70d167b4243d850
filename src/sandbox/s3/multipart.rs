use super::content::Content;
use super::convert::encryption_of;
use super::objects::{description_of, new_object};
use super::service::{Access, Call};
use super::store::{NULL_VERSION, PendingUpload};
use super::upload::Upload;
use bytes::Bytes;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::*;
use s3s::{S3Response, S3Result, s3_error};
use std::collections::BTreeMap;

/// The smallest part, except the last (S3 user guide, `qfacts.html`), in bytes.
const SMALLEST_PART: usize = 5 * 1024 * 1024;

/// Uploads in parts.
impl Call<'_> {
    pub(super) fn create_multipart_upload(
        &mut self,
        mut input: CreateMultipartUploadInput,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket(&input.bucket, owner, Access::Write)?;
        let nothing = Content::from_bytes(Bytes::new());
        let object = new_object(bucket, nothing, description_of!(input))?;
        let (server_side_encryption, ssekms_key_id) = encryption_of(&object);
        let id = self.store.begin_upload(PendingUpload {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            object,
            parts: BTreeMap::new(),
        });
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            server_side_encryption,
            ssekms_key_id,
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(super) fn upload_part(
        &mut self,
        input: UploadPartInput,
        upload: Upload,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        self.bucket(&input.bucket, owner, Access::Write)?;
        if !(1..=10_000).contains(&input.part_number) {
            return Err(s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive"
            ));
        }
        let pending = self.pending(&input.upload_id, &input.bucket, &input.key)?;
        let e_tag = Some(part_etag(&upload.bytes));
        pending.parts.insert(input.part_number, upload.bytes);
        Ok(S3Response::new(UploadPartOutput { e_tag, ..UploadPartOutput::default() }))
    }

    pub(super) fn complete_multipart_upload(
        &mut self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket(&input.bucket, owner, Access::Write)?;
        let conditions = (input.if_match.as_ref(), input.if_none_match.as_ref());
        self.check_write_conditions(bucket, &input.key, conditions)?;
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let pending = self.pending(&input.upload_id, &input.bucket, &input.key)?;
        let parts = chosen_parts(pending, &named)?;
        let content = std::sync::Arc::new(Content::from_parts(&parts));
        let object = super::store::Object { content, ..pending.object.clone() };
        self.store.uploads.remove(&input.upload_id);
        let (version, object) = self.write(&input.bucket, &input.key, object)?;
        let (server_side_encryption, ssekms_key_id) = encryption_of(&object);
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(object.etag())),
            version_id: (version.id != NULL_VERSION).then_some(version.id),
            server_side_encryption,
            ssekms_key_id,
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    pub(super) fn abort_multipart_upload(
        &mut self,
        input: AbortMultipartUploadInput,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        self.bucket(&input.bucket, owner, Access::Write)?;
        self.pending(&input.upload_id, &input.bucket, &input.key)?;
        self.store.uploads.remove(&input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    fn pending(&mut self, id: &str, bucket: &str, key: &str) -> S3Result<&mut PendingUpload> {
        let pending = self.store.uploads.get_mut(id);
        pending.filter(|upload| upload.bucket == bucket && upload.key == key).ok_or_else(|| {
            s3_error!(
                NoSuchUpload,
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
            )
        })
    }
}

fn part_etag(bytes: &[u8]) -> ETag {
    ETag::Strong(hex::encode(Md5::checksum(bytes)))
}

/// The parts that the client names, checked as `API_CompleteMultipartUpload.html` says.
fn chosen_parts(pending: &PendingUpload, named: &[CompletedPart]) -> S3Result<Vec<Bytes>> {
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    if !named.is_sorted_by(|a, b| a.part_number < b.part_number) {
        return Err(s3_error!(
            InvalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number."
        ));
    }
    let mut parts: Vec<Bytes> = Vec::new();
    for part in named {
        let stored = part.part_number.and_then(|number| pending.parts.get(&number));
        let same = |bytes: &&Bytes| {
            part.e_tag.as_ref().is_none_or(|etag| etag.weak_cmp(&part_etag(bytes)))
        };
        let Some(bytes) = stored.filter(same) else {
            return Err(s3_error!(
                InvalidPart,
                "One or more of the specified parts could not be found. The part may not have been uploaded, \
                 or the specified entity tag may not match the part's entity tag."
            ));
        };
        parts.push(bytes.clone());
    }
    let all_but_last = &parts[..parts.len() - 1];
    if all_but_last.iter().any(|part| part.len() < SMALLEST_PART) {
        return Err(s3_error!(
            EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed object size."
        ));
    }
    Ok(parts)
}
