//! Amazon S3: canaries, which are written among production data. Fields as in
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>.

use super::{
    ChangeRule, Claim, Input, Meaning, Role, Unclear, change_rule, required, typed, unclear,
};
use aws_sdk_s3::operation::delete_object::DeleteObjectInput;
use aws_sdk_s3::operation::delete_objects::DeleteObjectsInput;
use aws_sdk_s3::operation::put_object::PutObjectInput;
use std::collections::BTreeMap;

/// An object as the ledger names it.
fn object_name(bucket: Option<&str>, key: Option<&str>) -> Result<String, Unclear> {
    Ok(format!("{}/{}", required(bucket, "bucket")?, required(key, "key")?))
}

fn deleted(name: String) -> Claim {
    Claim::Object { name, written: None }
}

change_rule! {
    DELETE_OBJECT: DeleteObjectInput { bucket: Place, key: Place, version_id: Setting }
    |input| Ok(Meaning::Changes(vec![deleted(object_name(input.bucket(), input.key())?)]))
}

change_rule! {
    // Every key of the list counts.
    DELETE_OBJECTS: DeleteObjectsInput { bucket: Place, delete: Place, checksum_algorithm: Setting }
    |input| {
        let objects = input.delete().map(|delete| delete.objects()).unwrap_or_default();
        let claims = objects
            .iter()
            .map(|object| Ok(deleted(object_name(input.bucket(), Some(object.key()))?)));
        Ok(Meaning::Changes(claims.collect::<Result<_, _>>()?))
    }
}

/// Written by hand: the input holds a stream, which can neither be cloned nor compared. A test reads the SDK's source to see
/// that every field has a role or is refused.
pub(in crate::aws) static PUT_OBJECT: ChangeRule = ChangeRule {
    fields: &[
        ("bucket", Role::Place),
        ("key", Role::Place),
        ("metadata", Role::Tags),
        ("body", Role::Setting),
        ("content_type", Role::Setting),
        ("content_length", Role::Setting),
        ("checksum_algorithm", Role::Setting),
        ("checksum_sha256", Role::Setting),
        ("if_none_match", Role::Setting),
    ],
    read: put_object,
};

fn put_object(input: &Input) -> Result<Meaning, Unclear> {
    let input = typed::<PutObjectInput>(input)?;
    if let Some(field) = refused_field(input) {
        return unclear(format!("it sets {field}, which has no role in the guard's table"));
    }
    let name = object_name(input.bucket(), input.key())?;
    // Names of metadata have no colons: redrill-run is the tag redrill:run.
    let marks: BTreeMap<String, String> = input
        .metadata()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| {
            let rest = name.strip_prefix("redrill-")?;
            Some((format!("redrill:{rest}"), value.clone()))
        })
        .collect();
    Ok(Meaning::Changes(vec![Claim::Object { name, written: Some(marks) }]))
}

macro_rules! refused_fields {
    ($($field:ident),+ $(,)?) => {
        /// The fields of PutObject that must not be set.
        #[cfg(test)]
        pub(in crate::aws) const REFUSED_OF_PUT_OBJECT: &[&str] = &[$(stringify!($field)),+];

        /// The first field that is set and must not be.
        fn refused_field(input: &PutObjectInput) -> Option<&'static str> {
            $(if input.$field.is_some() {
                return Some(stringify!($field));
            })+
            None
        }
    };
}

refused_fields!(
    acl,
    cache_control,
    content_disposition,
    content_encoding,
    content_language,
    content_md5,
    checksum_crc32,
    checksum_crc32_c,
    checksum_crc64_nvme,
    checksum_sha1,
    checksum_sha512,
    checksum_md5,
    checksum_xxhash64,
    checksum_xxhash3,
    checksum_xxhash128,
    expires,
    if_match,
    grant_full_control,
    grant_read,
    grant_read_acp,
    grant_write_acp,
    write_offset_bytes,
    server_side_encryption,
    storage_class,
    website_redirect_location,
    sse_customer_algorithm,
    sse_customer_key,
    sse_customer_key_md5,
    ssekms_key_id,
    ssekms_encryption_context,
    bucket_key_enabled,
    request_payer,
    tagging,
    object_lock_mode,
    object_lock_retain_until_date,
    object_lock_legal_hold_status,
    object_lock_event_hold,
    object_lock_event_hold_duration_days,
    object_lock_event_hold_duration_years,
    expected_bucket_owner,
);
