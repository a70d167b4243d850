use crate::action::{StepContext, StepError};
use crate::limits;
use crate::providers::backups::time_of;
use crate::time::ByteSize;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Write as _};

/// An object in S3.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectInput {
    /// The bucket, at the site of the step.
    pub(super) bucket: String,
    /// The key of the snapshot.
    pub(super) key: String,
    /// Its version. Without it the current one is taken.
    #[serde(default)]
    pub(super) version_id: Option<String>,
}

/// The metadata of an object in which a backup job may write when the snapshot was taken (RFC 3339):
/// `x-amz-meta-snapshot-time`.
pub(super) const TIME_MARK: &str = "snapshot-time";

/// A snapshot that can be read.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) file: File,
    /// Bytes.
    pub(super) length: u64,
    /// What it is, for the evidence: a path, or bucket, key and version.
    pub(super) identity: String,
    /// The version that was read, where there are versions.
    pub(super) version: Option<String>,
    /// `LastModified` of the object, or the file's time of modification (UTC).
    pub(super) modified: Option<DateTime<Utc>>,
    /// What the object's metadata says about when the snapshot was taken.
    pub(super) marked_time: Option<String>,
}

/// Opens a local file.
///
/// # Errors
/// [`crate::journal::FailureClass::NotFound`] never: a file that is not there or cannot be read is an error of the tool,
/// since nobody knows whether the backup exists elsewhere.
pub(super) fn open_file(path: &str) -> Result<Snapshot, StepError> {
    let failed = |e: io::Error| StepError::broken(format!("{path} cannot be read: {e}"));
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(StepError::broken(format!("{path} is not a file")));
    }
    check_size(path, about.len())?;
    Ok(Snapshot {
        length: about.len(),
        identity: path.to_owned(),
        version: None,
        modified: about.modified().ok().map(DateTime::<Utc>::from),
        marked_time: None,
        file,
    })
}

pub(super) fn check_size(what: &str, bytes: u64) -> Result<(), StepError> {
    if bytes > limits::ETCD_BYTES {
        let (size, limit) = (ByteSize(bytes), ByteSize(limits::ETCD_BYTES));
        let message = format!("{what} has {size}; more than {limit} is not taken for a snapshot");
        return Err(StepError::broken(message));
    }
    Ok(())
}

/// Copies an object into a file without a name: nobody else can open it, and the system removes it with the process,
/// however that ends.
///
/// # Errors
/// Those of the call; [`crate::journal::FailureClass::Transient`] when the transfer broke off.
pub(super) async fn download(
    context: &StepContext,
    object: &ObjectInput,
) -> Result<Snapshot, StepError> {
    let client = crate::client!(context.site()?, aws_sdk_s3);
    let ask = || {
        let request = client.get_object().bucket(&object.bucket).key(&object.key);
        request.set_version_id(object.version_id.clone()).send()
    };
    let answer = context.call("s3:GetObject", ask).await?;
    let size = answer.content_length().and_then(|length| u64::try_from(length).ok());
    let size = size.ok_or_else(|| StepError::broken("S3 does not say how long the object is"))?;
    check_size("the object", size)?;
    context.progress(&format!("reading {}", ByteSize(size)));
    let mut snapshot = describe(object, &answer, size)?;
    let mut body = answer.body;
    let mut received: u64 = 0;
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|e| StepError::transient(format!("s3:GetObject: {e}")))?;
        received += piece.len() as u64;
        snapshot.file.write_all(&piece).map_err(|e| no_room(&e))?;
    }
    if received != size {
        let message = format!("s3:GetObject: {received} of {size} bytes arrived");
        return Err(StepError::transient(message));
    }
    Ok(snapshot)
}

fn describe(
    object: &ObjectInput,
    answer: &GetObjectOutput,
    length: u64,
) -> Result<Snapshot, StepError> {
    let version = answer.version_id().filter(|id| *id != "null").map(str::to_owned);
    let suffix = version.as_ref().map(|id| format!("?versionId={id}")).unwrap_or_default();
    let marks = answer.metadata().into_iter().flatten();
    let mut marks = marks.filter(|(name, _)| name.eq_ignore_ascii_case(TIME_MARK));
    Ok(Snapshot {
        file: tempfile::tempfile().map_err(|e| no_room(&e))?,
        length,
        identity: format!("s3://{}/{}{suffix}", object.bucket, object.key),
        version,
        modified: answer.last_modified().and_then(time_of),
        marked_time: marks.next().map(|(_, value)| value.clone()),
    })
}

pub(super) fn no_room(error: &io::Error) -> StepError {
    StepError::broken(format!("the temporary copy cannot be written: {error}"))
        .help("set TMPDIR to a private folder with room for the snapshot")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_an_error_of_the_tool() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent.db");
        let error = open_file(path.to_str().unwrap()).unwrap_err();
        assert_eq!(error.class(), crate::journal::FailureClass::Broken);
        assert!(open_file(folder.path().to_str().unwrap()).is_err());
    }
}
