use super::judge::{ContentMarks, SourceStatus};
use super::rules::Rule;
use crate::action::{StepContext, StepError};
use crate::aws::SiteSession;
use crate::ids::SiteName;
use crate::journal::FailureClass;
use crate::providers::backups::time_of;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType, ReplicationStatus, ServerSideEncryption};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// A bucket and the way to it.
pub(super) struct Bucket {
    pub(super) name: String,
    /// The site at which it is asked for.
    pub(super) site: SiteName,
    /// The region of the site at which it is asked for.
    pub(super) site_region: String,
    pub(super) client: Client,
}

/// What HEAD says about one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// As S3 writes it: `COMPLETED`, `REPLICA`; `None` when no rule took the object up.
    pub(super) replication: Option<String>,
    pub(super) version: Option<String>,
    /// To the second (UTC).
    pub(super) modified: Option<DateTime<Utc>>,
    pub(super) content: ContentMarks,
    pub(super) content_type: Option<String>,
    /// User metadata, names in lower case.
    pub(super) metadata: BTreeMap<String, String>,
}

impl Bucket {
    /// A bucket at a site.
    pub(super) fn at(session: &SiteSession, name: &str) -> Self {
        let client = crate::client!(session, aws_sdk_s3);
        let place = session.place();
        let (site, site_region) = (place.site.clone(), place.region.clone());
        Self { name: name.to_owned(), site, site_region, client }
    }

    /// The region it is in. An empty answer means `us-east-1`, `EU` means `eu-west-1` (API reference, `GetBucketLocation`).
    ///
    /// # Errors
    /// Those of the call.
    pub(super) async fn region(&self, context: &StepContext) -> Result<String, StepError> {
        let ask = || self.client.get_bucket_location().bucket(&self.name).send();
        let answer = context.call("s3:GetBucketLocation", ask).await?;
        let name = answer.location_constraint().map_or("", |constraint| constraint.as_str());
        Ok(match name {
            "" | "null" => "us-east-1",
            "EU" => "eu-west-1",
            other => other,
        }
        .to_owned())
    }

    /// `Enabled`, `Suspended` or `never enabled`.
    ///
    /// # Errors
    /// Those of the call.
    pub(super) async fn versioning(&self, context: &StepContext) -> Result<String, StepError> {
        let ask = || self.client.get_bucket_versioning().bucket(&self.name).send();
        let answer = context.call("s3:GetBucketVersioning", ask).await?;
        Ok(answer.status().map_or("never enabled", |status| status.as_str()).to_owned())
    }

    /// Its replication rules; none when it has no replication configuration.
    ///
    /// # Errors
    /// Those of the call.
    pub(super) async fn rules(&self, context: &StepContext) -> Result<Vec<Rule>, StepError> {
        let ask = || self.client.get_bucket_replication().bucket(&self.name).send();
        match context.call("s3:GetBucketReplication", ask).await {
            Ok(answer) => {
                let configuration = answer.replication_configuration();
                Ok(configuration.map_or(&[][..], |c| c.rules()).iter().map(Rule::read).collect())
            }
            Err(error) if error.code() == Some("ReplicationConfigurationNotFoundError") => {
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// What it says about one version of a key, or about the current one. `None` when it is not there.
    ///
    /// # Errors
    /// Those of the call. Without `s3:ListBucket` S3 says "denied" where it would say "not found".
    pub(super) async fn head(
        &self,
        context: &StepContext,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<Head>, StepError> {
        let ask = || {
            self.client
                .head_object()
                .bucket(&self.name)
                .key(key)
                .set_version_id(version.map(str::to_owned))
                .checksum_mode(ChecksumMode::Enabled)
                .send()
        };
        match context.call("s3:HeadObject", ask).await {
            Ok(answer) => Ok(Some(read(&answer))),
            Err(error) if error.class() == FailureClass::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Head {
    /// What the source says about replicating it.
    pub(super) fn source_status(&self) -> SourceStatus {
        match self.replication.as_deref() {
            Some("FAILED") => SourceStatus::Failed,
            Some("PENDING") => SourceStatus::Pending,
            Some("COMPLETED" | "COMPLETE") => SourceStatus::Completed,
            Some("REPLICA") => SourceStatus::Replica,
            _ => SourceStatus::Never,
        }
    }
}

fn read(answer: &HeadObjectOutput) -> Head {
    let opaque = answer.server_side_encryption().is_some_and(|encryption| {
        matches!(encryption, ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
    }) || answer.sse_customer_algorithm().is_some();
    // A composite checksum depends on how the upload was cut into parts.
    let comparable = answer.checksum_type() != Some(&ChecksumType::Composite);
    let checksums = [
        ("sha256", answer.checksum_sha256()),
        ("sha1", answer.checksum_sha1()),
        ("crc64nvme", answer.checksum_crc64_nvme()),
        ("crc32c", answer.checksum_crc32_c()),
        ("crc32", answer.checksum_crc32()),
    ];
    let checksums = checksums
        .into_iter()
        .filter(|_| comparable)
        .filter_map(|(algorithm, value)| Some((algorithm, value?.to_owned())))
        .collect();
    Head {
        replication: answer.replication_status().map(ReplicationStatus::as_str).map(str::to_owned),
        version: answer.version_id().map(str::to_owned),
        modified: answer.last_modified().and_then(time_of),
        content: ContentMarks {
            size: answer.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            etag: answer.e_tag().unwrap_or_default().trim_matches('"').to_owned(),
            etag_is_opaque: opaque,
            checksums,
        },
        content_type: answer.content_type().map(str::to_owned),
        metadata: answer
            .metadata()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect(),
    }
}
