use super::convert::{owner_of, timestamp};
use super::estate::Versioning;
use super::replication::{DEFAULT_LAG, Rule};
use super::service::{Access, Call, xml_headers};
use super::store::{Bucket, Place};
use chrono::{DateTime, TimeDelta, Utc};
use s3s::dto::*;
use s3s::{S3Response, S3Result, s3_error};

const BUCKET_ARN: &str = "arn:aws:s3:::";

/// Operations on buckets and their configuration.
impl Call<'_> {
    pub(super) fn list_buckets(
        &mut self,
        input: ListBucketsInput,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let prefix = input.prefix.unwrap_or_default();
        let own = self.store.buckets.iter().filter(|(name, bucket)| {
            bucket.place.account == self.caller.account && name.starts_with(&prefix)
        });
        let buckets = own.map(|(name, bucket)| s3s::dto::Bucket {
            name: Some(name.clone()),
            creation_date: Some(timestamp(bucket.created)),
            bucket_region: Some(bucket.place.region.clone()),
        });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(owner_of(&self.caller.account)),
            ..ListBucketsOutput::default()
        }))
    }

    pub(super) fn create_bucket(
        &mut self,
        input: CreateBucketInput,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        if let Some(existing) = self.store.buckets.get(&input.bucket) {
            return Err(if existing.place.account == self.caller.account {
                s3_error!(BucketAlreadyOwnedByYou)
            } else {
                s3_error!(BucketAlreadyExists)
            });
        }
        let constraint = input.create_bucket_configuration.and_then(|c| c.location_constraint);
        let asked = constraint.as_ref().map_or("us-east-1", |c| c.as_str());
        if asked != self.caller.region {
            return Err(s3_error!(
                IllegalLocationConstraintException,
                "The {asked} location constraint is incompatible for the region specific endpoint this request was sent to."
            ));
        }
        let Place { account, region } =
            Place { account: self.caller.account.clone(), region: self.caller.region.clone() };
        let bucket = Bucket::new(Place { account, region }, self.now);
        self.store.buckets.insert(input.bucket.clone(), bucket);
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) }))
    }

    pub(super) fn delete_bucket(
        &mut self,
        input: DeleteBucketInput,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket(&input.bucket, owner, Access::Write)?;
        let has_content = bucket
            .keys_from("")
            .any(|(_, v)| self.store.versions(bucket, v, self.now).next().is_some());
        if has_content {
            return Err(s3_error!(
                BucketNotEmpty,
                "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
            ));
        }
        self.store.buckets.remove(&input.bucket);
        self.store.uploads.retain(|_, upload| upload.bucket != input.bucket);
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    pub(super) fn head_bucket(
        &mut self,
        input: HeadBucketInput,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket(&input.bucket, owner, Access::Read)?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(bucket.place.region.clone()),
            ..HeadBucketOutput::default()
        }))
    }

    /// Answers from every region. For us-east-1 the answer is empty (`API_GetBucketLocation.html`).
    pub(super) fn get_bucket_location(
        &mut self,
        input: GetBucketLocationInput,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket_anywhere(&input.bucket, owner, Access::Read)?;
        let region = Some(&bucket.place.region).filter(|region| *region != "us-east-1");
        let location_constraint = region.cloned().map(BucketLocationConstraint::from);
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }

    pub(super) fn get_bucket_versioning(
        &mut self,
        input: GetBucketVersioningInput,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let status = match self.bucket(&input.bucket, owner, Access::Read)?.versioning {
            Versioning::Off => None,
            Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
            Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
        };
        Ok(S3Response::new(GetBucketVersioningOutput {
            status: status.map(BucketVersioningStatus::from_static),
            ..GetBucketVersioningOutput::default()
        }))
    }

    pub(super) fn put_bucket_versioning(
        &mut self,
        input: PutBucketVersioningInput,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        let bucket = self.bucket_mut(&input.bucket, input.expected_bucket_owner.as_ref())?;
        let status = input.versioning_configuration.status;
        match status.as_ref().map(BucketVersioningStatus::as_str) {
            Some(BucketVersioningStatus::ENABLED) => bucket.versioning = Versioning::Enabled,
            Some(BucketVersioningStatus::SUSPENDED) if !bucket.rules.is_empty() => {
                return Err(s3_error!(
                    InvalidBucketState,
                    "A replication configuration is present on this bucket, so the versioning state cannot be changed."
                ));
            }
            Some(BucketVersioningStatus::SUSPENDED) => bucket.versioning = Versioning::Suspended,
            _ => return Err(s3_error!(MalformedXML, "The versioning status is missing.")),
        }
        Ok(S3Response::new(PutBucketVersioningOutput::default()))
    }

    pub(super) fn get_bucket_replication(
        &mut self,
        input: GetBucketReplicationInput,
    ) -> S3Result<S3Response<GetBucketReplicationOutput>> {
        let owner = input.expected_bucket_owner.as_ref();
        let bucket = self.bucket(&input.bucket, owner, Access::Read)?;
        if bucket.rules.is_empty() {
            return Err(s3_error!(
                ReplicationConfigurationNotFoundError,
                "The replication configuration was not found"
            ));
        }
        let role = format!("arn:aws:iam::{}:role/replication", bucket.place.account);
        let rules = bucket.rules.iter().map(rule_shown).collect();
        let replication_configuration = Some(ReplicationConfiguration { role, rules });
        Ok(S3Response::new(GetBucketReplicationOutput { replication_configuration }))
    }

    pub(super) fn put_bucket_replication(
        &mut self,
        input: PutBucketReplicationInput,
    ) -> S3Result<S3Response<PutBucketReplicationOutput>> {
        let now = self.now;
        let rules = input.replication_configuration.rules;
        let rules: Vec<Rule> =
            rules.into_iter().map(|rule| rule_read(rule, now)).collect::<S3Result<_>>()?;
        for rule in &rules {
            let destination = self.store.buckets.get(&rule.destination);
            if destination.is_none_or(|d| d.versioning != Versioning::Enabled) {
                return Err(s3_error!(
                    InvalidRequest,
                    "Destination bucket must exist and have versioning enabled."
                ));
            }
        }
        let bucket = self.bucket_mut(&input.bucket, input.expected_bucket_owner.as_ref())?;
        if bucket.versioning != Versioning::Enabled {
            return Err(s3_error!(
                InvalidRequest,
                "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
            ));
        }
        bucket.rules = rules;
        Ok(S3Response::new(PutBucketReplicationOutput::default()))
    }

    pub(super) fn delete_bucket_replication(
        &mut self,
        input: DeleteBucketReplicationInput,
    ) -> S3Result<S3Response<DeleteBucketReplicationOutput>> {
        let bucket = self.bucket_mut(&input.bucket, input.expected_bucket_owner.as_ref())?;
        bucket.rules.clear();
        let output = DeleteBucketReplicationOutput {};
        Ok(S3Response::with_headers(output, xml_headers([])))
    }
}

fn rule_shown(rule: &Rule) -> ReplicationRule {
    let switch = |on| if on { "Enabled" } else { "Disabled" };
    let encrypted = SseKmsEncryptedObjects {
        status: SseKmsEncryptedObjectsStatus::from_static(SseKmsEncryptedObjectsStatus::ENABLED),
    };
    let criteria = SourceSelectionCriteria {
        replica_modifications: None,
        sse_kms_encrypted_objects: Some(encrypted),
    };
    let key = rule.kms_key.clone();
    ReplicationRule {
        delete_marker_replication: Some(DeleteMarkerReplication {
            status: Some(DeleteMarkerReplicationStatus::from_static(switch(rule.delete_markers))),
        }),
        destination: Destination {
            access_control_translation: None,
            account: rule.destination_account.clone(),
            bucket: format!("{BUCKET_ARN}{}", rule.destination),
            encryption_configuration: key
                .clone()
                .map(|key| EncryptionConfiguration { replica_kms_key_id: Some(key) }),
            metrics: None,
            replication_time: None,
            storage_class: None,
        },
        existing_object_replication: None,
        filter: Some(ReplicationRuleFilter {
            and: None,
            prefix: Some(rule.prefix.clone()),
            tag: None,
        }),
        id: Some(rule.id.clone()),
        prefix: None,
        priority: Some(rule.priority),
        source_selection_criteria: key.map(|_| criteria),
        status: ReplicationRuleStatus::from_static(switch(rule.enabled)),
    }
}

/// A rule that a client sets. It concerns what is written from now on.
fn rule_read(rule: ReplicationRule, now: DateTime<Utc>) -> S3Result<Rule> {
    let filter = rule.filter;
    if filter.as_ref().is_some_and(|filter| filter.tag.is_some() || filter.and.is_some()) {
        return Err(s3_error!(NotImplemented, "The sandbox knows no replication rules by tag."));
    }
    let destination = rule.destination.bucket;
    let Some(bucket) = destination.strip_prefix(BUCKET_ARN) else {
        return Err(s3_error!(InvalidArgument, "Invalid bucket ARN"));
    };
    let markers = rule.delete_marker_replication.and_then(|markers| markers.status);
    let enabled = DeleteMarkerReplicationStatus::ENABLED;
    Ok(Rule {
        id: rule.id.unwrap_or_default(),
        destination: bucket.to_owned(),
        destination_account: rule.destination.account,
        prefix: filter.and_then(|filter| filter.prefix).or(rule.prefix).unwrap_or_default(),
        priority: rule.priority.unwrap_or_default(),
        lag: TimeDelta::from_std(DEFAULT_LAG.0).unwrap_or(TimeDelta::zero()),
        delete_markers: markers.is_some_and(|status| status.as_str() == enabled),
        enabled: rule.status.as_str() == ReplicationRuleStatus::ENABLED,
        kms_key: rule.destination.encryption_configuration.and_then(|e| e.replica_kms_key_id),
        since: now,
        stalled_since: None,
        failing: Vec::new(),
    })
}
