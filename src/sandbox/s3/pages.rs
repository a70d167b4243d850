use super::convert::{checksum_algorithm, owner_of, timestamp};
use super::listing::{Entry, LARGEST_PAGE, Marker, Query, encode_key, list_current, list_versions};
use super::service::{Access, Call};
use super::store::Object as StoredObject;
use s3s::dto::*;
use s3s::{S3Response, S3Result, s3_error};

/// Listings.
impl Call<'_> {
    pub(super) fn list_objects_v2(
        &mut self,
        input: ListObjectsV2Input,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket(&input.bucket, owner, Access::Read)?;
        let text = text_form(input.encoding_type.as_ref())?;
        let after = match &input.continuation_token {
            Some(token) => read_token(token)?,
            None => input.start_after.clone().unwrap_or_default(),
        };
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            after: Marker { key: after, version: None },
            max: page_size(input.max_keys)?,
        };
        let page = list_current(self.store, bucket, &query, self.now);
        let fetch_owner = input.fetch_owner.unwrap_or(false);
        let owner = fetch_owner.then(|| owner_of(&bucket.place.account));
        let entries =
            page.entries.iter().filter_map(|entry| Some((entry, entry.version.object()?)));
        let contents: Vec<Object> = entries
            .map(|(entry, object)| Object {
                key: Some(text(entry.key)),
                owner: owner.clone(),
                ..object_shown(entry, object)
            })
            .collect();
        let count = contents.len() + page.common_prefixes.len();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(text(&query.prefix)),
            max_keys: i32::try_from(query.max).ok(),
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|marker| hex::encode(marker.key)),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes(&page.common_prefixes, text)),
            delimiter: input.delimiter.filter(|d| !d.is_empty()).as_deref().map(text),
            encoding_type: input.encoding_type,
            start_after: input.start_after.as_deref().map(text),
            request_charged: None,
        }))
    }

    pub(super) fn list_object_versions(
        &mut self,
        input: ListObjectVersionsInput,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket(&input.bucket, owner, Access::Read)?;
        let text = text_form(input.encoding_type.as_ref())?;
        let version_marker = input.version_id_marker.clone().filter(|id| !id.is_empty());
        if version_marker.is_some() && input.key_marker.is_none() {
            return Err(s3_error!(
                InvalidArgument,
                "A version-id marker cannot be specified without a key marker."
            ));
        }
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            after: Marker {
                key: input.key_marker.clone().unwrap_or_default(),
                version: version_marker,
            },
            max: page_size(input.max_keys)?,
        };
        let page = list_versions(self.store, bucket, &query, self.now);
        let owner = owner_of(&bucket.place.account);
        let mut versions = Vec::new();
        let mut delete_markers = Vec::new();
        for entry in &page.entries {
            match entry.version.object() {
                Some(object) => versions.push(ObjectVersion {
                    key: Some(text(entry.key)),
                    owner: Some(owner.clone()),
                    ..version_shown(entry, object)
                }),
                None => delete_markers.push(DeleteMarkerEntry {
                    is_latest: Some(entry.is_latest),
                    key: Some(text(entry.key)),
                    last_modified: Some(timestamp(entry.version.modified)),
                    owner: Some(owner.clone()),
                    version_id: Some(entry.version.id.clone()),
                }),
            }
        }
        Ok(S3Response::new(ListObjectVersionsOutput {
            common_prefixes: Some(common_prefixes(&page.common_prefixes, text)),
            delete_markers: Some(delete_markers),
            delimiter: input.delimiter.filter(|d| !d.is_empty()).as_deref().map(text),
            encoding_type: input.encoding_type,
            is_truncated: Some(page.next.is_some()),
            key_marker: Some(text(&query.after.key)),
            max_keys: i32::try_from(query.max).ok(),
            name: Some(input.bucket),
            next_key_marker: page.next.as_ref().map(|marker| text(&marker.key)),
            next_version_id_marker: page.next.and_then(|marker| marker.version),
            prefix: Some(text(&query.prefix)),
            request_charged: None,
            version_id_marker: Some(query.after.version.unwrap_or_default()),
            versions: Some(versions),
        }))
    }
}

/// How keys are written in the answer: as they are, or escaped.
fn text_form(encoding: Option<&EncodingType>) -> S3Result<fn(&str) -> String> {
    match encoding.map(EncodingType::as_str) {
        None => Ok(str::to_owned),
        Some(EncodingType::URL) => Ok(encode_key),
        Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
    }
}

fn page_size(max_keys: Option<i32>) -> S3Result<usize> {
    let asked = max_keys.map_or(Ok(LARGEST_PAGE), usize::try_from);
    asked.map(|asked| asked.min(LARGEST_PAGE)).map_err(|_| {
        s3_error!(InvalidArgument, "Argument max-keys must be an integer between 0 and 2147483647")
    })
}

fn read_token(token: &str) -> S3Result<String> {
    let key = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

fn common_prefixes(prefixes: &[String], text: fn(&str) -> String) -> Vec<CommonPrefix> {
    prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(text(prefix)) }).collect()
}

fn object_shown(entry: &Entry<'_>, object: &StoredObject) -> Object {
    Object {
        checksum_algorithm: Some(vec![checksum_algorithm(object)]),
        checksum_type: Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
        e_tag: Some(ETag::Strong(object.etag())),
        last_modified: Some(timestamp(entry.version.modified)),
        size: i64::try_from(object.content.size()).ok(),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Object::default()
    }
}

fn version_shown(entry: &Entry<'_>, object: &StoredObject) -> ObjectVersion {
    ObjectVersion {
        checksum_algorithm: Some(vec![checksum_algorithm(object)]),
        checksum_type: Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
        e_tag: Some(ETag::Strong(object.etag())),
        is_latest: Some(entry.is_latest),
        last_modified: Some(timestamp(entry.version.modified)),
        size: i64::try_from(object.content.size()).ok(),
        storage_class: Some(ObjectVersionStorageClass::from_static(
            ObjectVersionStorageClass::STANDARD,
        )),
        version_id: Some(entry.version.id.clone()),
        ..ObjectVersion::default()
    }
}
