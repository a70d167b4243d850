//! Amazon RDS. Fields as in <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Operations.html>.

use super::kinds::{AURORA_CLUSTER, AURORA_SNAPSHOT, DB_INSTANCE, DB_SNAPSHOT, PROMOTED_REPLICA};
use super::{Claim, Meaning, Unclear, change_rule, required, tag_map, unclear};
use aws_sdk_rds::operation::add_tags_to_resource::AddTagsToResourceInput;
use aws_sdk_rds::operation::copy_db_snapshot::CopyDbSnapshotInput;
use aws_sdk_rds::operation::delete_db_instance::DeleteDbInstanceInput;
use aws_sdk_rds::operation::delete_db_snapshot::DeleteDbSnapshotInput;
use aws_sdk_rds::operation::modify_db_instance::ModifyDbInstanceInput;
use aws_sdk_rds::operation::promote_read_replica::PromoteReadReplicaInput;
use aws_sdk_rds::operation::restore_db_instance_from_db_snapshot::RestoreDbInstanceFromDbSnapshotInput;
use aws_sdk_rds::operation::restore_db_instance_to_point_in_time::RestoreDbInstanceToPointInTimeInput;
use aws_sdk_rds::types::Tag;
use std::collections::BTreeMap;

pub(super) fn tags(tags: &[Tag]) -> Result<BTreeMap<String, String>, Unclear> {
    tag_map(tags.iter().map(|tag| (tag.key(), tag.value())))
}

pub(super) fn named(
    kind: &'static str,
    name: Option<&str>,
    field: &str,
) -> Result<Meaning, Unclear> {
    Ok(Meaning::Changes(vec![Claim::Named { kind, name: required(name, field)? }]))
}

change_rule! {
    ADD_TAGS_TO_RESOURCE: AddTagsToResourceInput { resource_name: Target, tags: Tags }
    |input| {
        let id = required(input.resource_name(), "resource_name")?;
        // arn:aws:rds:REGION:ACCOUNT:db:NAME, …:cluster:NAME, …:snapshot:NAME or …:cluster-snapshot:NAME
        let kind = match id.split(':').nth(5) {
            Some("db") => DB_INSTANCE,
            Some("cluster") => AURORA_CLUSTER,
            Some("cluster-snapshot") => AURORA_SNAPSHOT,
            Some("snapshot") => DB_SNAPSHOT,
            _ => return unclear(format!("{id} is neither an instance nor a cluster nor a snapshot")),
        };
        Ok(Meaning::Changes(vec![Claim::Tagged { kind, id, tags: tags(input.tags())? }]))
    }
}

change_rule! {
    COPY_DB_SNAPSHOT: CopyDbSnapshotInput {
        source_db_snapshot_identifier: Source,
        target_db_snapshot_identifier: Target,
        kms_key_id: Uses,
        option_group_name: Uses,
        tags: Tags,
    }
    |input| {
        let field = "target_db_snapshot_identifier";
        let name = required(input.target_db_snapshot_identifier(), field)?;
        let tags = tags(input.tags())?;
        Ok(Meaning::Changes(vec![Claim::Made { kind: DB_SNAPSHOT, name, tags }]))
    }
}

change_rule! {
    // A final snapshot would be a resource that no ledger holds: it has no role.
    DELETE_DB_INSTANCE: DeleteDbInstanceInput {
        db_instance_identifier: Target,
        skip_final_snapshot: Setting,
        delete_automated_backups: Setting,
    }
    |input| named(DB_INSTANCE, input.db_instance_identifier(), "db_instance_identifier")
}

change_rule! {
    DELETE_DB_SNAPSHOT: DeleteDbSnapshotInput { db_snapshot_identifier: Target }
    |input| named(DB_SNAPSHOT, input.db_snapshot_identifier(), "db_snapshot_identifier")
}

change_rule! {
    MODIFY_DB_INSTANCE: ModifyDbInstanceInput {
        db_instance_identifier: Target,
        deletion_protection: Setting,
        apply_immediately: Setting,
        monitoring_interval: Setting,
        monitoring_role_arn: Uses,
    }
    |input| named(DB_INSTANCE, input.db_instance_identifier(), "db_instance_identifier")
}

change_rule! {
    // The replica is not of the run's making: its promotion is an intent of a kind of its own, which no run removes.
    PROMOTE_READ_REPLICA: PromoteReadReplicaInput {
        db_instance_identifier: Target,
        backup_retention_period: Setting,
    }
    |input| named(PROMOTED_REPLICA, input.db_instance_identifier(), "db_instance_identifier")
}

change_rule! {
    RESTORE_DB_INSTANCE_FROM_DB_SNAPSHOT: RestoreDbInstanceFromDbSnapshotInput {
        db_instance_identifier: Target,
        db_snapshot_identifier: Source,
        tags: Tags,
        db_subnet_group_name: Uses,
        vpc_security_group_ids: Uses,
        db_parameter_group_name: Uses,
        option_group_name: Uses,
        db_instance_class: Setting,
        multi_az: Setting,
        publicly_accessible: Setting,
        deletion_protection: Setting,
        storage_type: Setting,
        iops: Setting,
        storage_throughput: Setting,
        port: Setting,
        enable_iam_database_authentication: Setting,
        enable_cloudwatch_logs_exports: Setting,
        ca_certificate_identifier: Setting,
        backup_retention_period: Setting,
    }
    |input| {
        let name = required(input.db_instance_identifier(), "db_instance_identifier")?;
        let tags = tags(input.tags())?;
        Ok(Meaning::Changes(vec![Claim::Made { kind: DB_INSTANCE, name, tags }]))
    }
}

change_rule! {
    RESTORE_DB_INSTANCE_TO_POINT_IN_TIME: RestoreDbInstanceToPointInTimeInput {
        target_db_instance_identifier: Target,
        source_db_instance_identifier: Source,
        source_dbi_resource_id: Source,
        source_db_instance_automated_backups_arn: Source,
        tags: Tags,
        restore_time: Setting,
        use_latest_restorable_time: Setting,
        db_subnet_group_name: Uses,
        vpc_security_group_ids: Uses,
        db_parameter_group_name: Uses,
        option_group_name: Uses,
        db_instance_class: Setting,
        multi_az: Setting,
        publicly_accessible: Setting,
        deletion_protection: Setting,
        storage_type: Setting,
        iops: Setting,
        storage_throughput: Setting,
        port: Setting,
        enable_iam_database_authentication: Setting,
        enable_cloudwatch_logs_exports: Setting,
        ca_certificate_identifier: Setting,
        backup_retention_period: Setting,
    }
    |input| {
        let field = "target_db_instance_identifier";
        let name = required(input.target_db_instance_identifier(), field)?;
        let tags = tags(input.tags())?;
        Ok(Meaning::Changes(vec![Claim::Made { kind: DB_INSTANCE, name, tags }]))
    }
}
