//! A snapshot as an object of the run's own: written where the guard allows canaries, removed as they are.

use super::fetch::TIME_MARK;
use super::live_snapshot::Taken;
use crate::action::{Given, Grant, InputProblem, Limit, Permission, StepContext, StepError};
use crate::aws::lies_in;
use crate::formats::ReadAt as _;
use crate::journal::{Event, ResourceKey};
use crate::time::ByteSize;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::File;
use std::sync::Arc;

/// The kind of what a run writes into buckets, and removes with all its versions. The provider of S3 knows it.
pub(super) const KIND: &str = "s3.canary_object";

/// The most that one call writes: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>.
const MOST: u64 = 5 << 30;
/// How much is read and sent at once, in bytes.
const PIECE: u64 = 256 << 10;

/// Where a snapshot is written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotPlace {
    /// The bucket, at the site of the step.
    pub(super) bucket: String,
    /// What its key begins with: one of the places that `guard.canaries` allows (default `redrill-canary/`).
    #[serde(default = "usual_prefix")]
    prefix: String,
}

fn usual_prefix() -> String {
    "redrill-canary/".to_owned()
}

/// Where it was written.
pub(super) struct Stored {
    pub(super) key: String,
    pub(super) version_id: Option<String>,
}

/// Whether one call can write so many bytes.
///
/// # Errors
/// When it cannot: the snapshot is too large for this action.
pub(super) fn room_for(bytes: u64) -> Result<(), StepError> {
    if bytes <= MOST {
        return Ok(());
    }
    let (has, most) = (ByteSize(bytes), ByteSize(MOST));
    let message = format!("the snapshot has {has}: one call to S3 writes {most} at most");
    let help = "take it into a file, and upload that in parts: aws s3 cp does";
    Err(StepError::broken(message).help(help))
}

/// Writes the snapshot, with the intent in the ledger before. Again after a crash: the object is then this snapshot, and no
/// earlier one.
///
/// # Errors
/// Those of the journal and of the call.
pub(super) async fn put(
    context: &StepContext,
    place: &SnapshotPlace,
    taken: &Taken,
    taken_at: DateTime<Utc>,
) -> Result<Stored, StepError> {
    room_for(taken.length)?;
    let session = context.site()?;
    let client = crate::client!(session, aws_sdk_s3);
    let key = format!("{}{}", place.prefix, context.name_of_mine(200));
    let resource = ResourceKey {
        kind: KIND.to_owned(),
        name: format!("{}/{key}", place.bucket),
        site: session.place().site.clone(),
    };
    if !context.recorder.holds(&resource) {
        let step = context.step.clone();
        context.recorder.record(Event::ResourceIntended { step, key: resource.clone() }).await?;
    }
    let file =
        Arc::new(taken.file.try_clone().map_err(|e| {
            StepError::broken(format!("the temporary copy cannot be read again: {e}"))
        })?);
    let length = i64::try_from(taken.length).unwrap_or(i64::MAX);
    let send = || {
        let request = client.put_object().bucket(&place.bucket).key(&key);
        let request = request.content_type("application/octet-stream").content_length(length);
        let request = request.checksum_sha256(BASE64.encode(taken.sha256));
        let time = taken_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let marks = context.tags_of_canary().into_iter();
        let marks = marks.map(|(tag, value)| (tag.replace(':', "-"), value));
        let marks = marks.chain([(TIME_MARK.to_owned(), time)]);
        let request = marks.fold(request, |request, (name, value)| request.metadata(name, value));
        request.body(body(&file, taken.length)).send()
    };
    let answer = context.call("s3:PutObject", send).await?;
    let id = format!("arn:aws:s3:::{}/{key}", place.bucket);
    context.recorder.record(Event::ResourceOwned { key: resource, id }).await?;
    let version_id = answer.version_id().filter(|id| *id != "null").map(str::to_owned);
    Ok(Stored { key, version_id })
}

/// The file, read piece by piece as it is sent.
fn body(file: &Arc<File>, length: u64) -> ByteStream {
    let file = Arc::clone(file);
    let pieces = (0..length.div_ceil(PIECE)).map(move |number| {
        let at = number * PIECE;
        let mut bytes = vec![0; usize::try_from(PIECE.min(length - at)).unwrap_or_default()];
        file.read_exact_at(&mut bytes, at)?;
        Ok::<_, std::io::Error>(Frame::data(Bytes::from(bytes)))
    });
    ByteStream::new(SdkBody::from_body_1_x(StreamBody::new(stream::iter(pieces))))
}

/// A place in which the guard lets nothing be written.
pub(super) fn outside_of_the_guard(given: &Given) -> Option<InputProblem> {
    let (places, bucket) = (given.canaries.as_ref()?, given.text("object.bucket")?);
    let usual = usual_prefix();
    let prefix = match given.text("object.prefix") {
        Some(prefix) => prefix,
        None if given.has("object.prefix") => return None,
        None => &usual,
    };
    // Any name will do: only its place is looked at.
    let name = format!("{bucket}/{prefix}snapshot");
    let place = format!("{bucket}/{prefix}");
    let problem = || {
        InputProblem::at("object", format!("object: guard.canaries does not name {place}"))
            .help(format!("if a snapshot may be written there, add {place} to guard.canaries"))
    };
    (!places.iter().any(|allowed| lies_in(&name, allowed))).then(problem)
}

/// On what a step uses its permissions.
pub(super) fn grants(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    if !given.has("object") {
        return Vec::new();
    }
    let bucket = given.pattern("object.bucket");
    let prefix = match given.has("object.prefix") {
        true => given.pattern("object.prefix"),
        false => usual_prefix(),
    };
    let object = format!("{bucket}/{prefix}{}", given.own_names());
    let listed = given.canary_listings("object.bucket", &prefix);
    let grant = |permission: &Permission| {
        let grant = given.grant(permissions, permission.action)?;
        Some(match permission.action {
            "s3:GetBucketLocation" => grant.on("bucket", &bucket),
            "s3:ListBucketVersions" => {
                grant.on("bucket", &bucket).limited(Limit::Prefixes(listed.clone()))
            }
            // An inventory asks every canary whose it is.
            "s3:GetObjectVersion" => listed.iter().fold(grant, |grant, place| {
                grant.on("object", format!("{bucket}/{place}*redrill-*"))
            }),
            "kms:GenerateDataKey" => grant.on("key", "*").limited(Limit::Via("s3")),
            _ => grant.on("object", &object),
        })
    };
    permissions.iter().filter_map(grant).collect()
}
