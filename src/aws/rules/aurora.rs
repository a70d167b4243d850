//! Aurora: clusters and their members. Fields as in
//! <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Operations.html>.

use super::kinds::{AURORA_CLUSTER, AURORA_INSTANCE, AURORA_SNAPSHOT};
use super::rds::{named, tags};
use super::{Claim, Meaning, Unclear, change_rule, required};
use aws_sdk_rds::operation::copy_db_cluster_snapshot::CopyDbClusterSnapshotInput;
use aws_sdk_rds::operation::create_db_instance::CreateDbInstanceInput;
use aws_sdk_rds::operation::delete_db_cluster::DeleteDbClusterInput;
use aws_sdk_rds::operation::delete_db_cluster_snapshot::DeleteDbClusterSnapshotInput;
use aws_sdk_rds::operation::modify_db_cluster::ModifyDbClusterInput;
use aws_sdk_rds::operation::restore_db_cluster_from_snapshot::RestoreDbClusterFromSnapshotInput;
use aws_sdk_rds::operation::restore_db_cluster_to_point_in_time::RestoreDbClusterToPointInTimeInput;
use aws_sdk_rds::types::Tag;

/// A cluster that is to be made.
fn made(name: Option<&str>, with: &[Tag]) -> Result<Meaning, Unclear> {
    let name = required(name, "db_cluster_identifier")?;
    Ok(Meaning::Changes(vec![Claim::Made { kind: AURORA_CLUSTER, name, tags: tags(with)? }]))
}

change_rule! {
    COPY_DB_CLUSTER_SNAPSHOT: CopyDbClusterSnapshotInput {
        source_db_cluster_snapshot_identifier: Source,
        target_db_cluster_snapshot_identifier: Target,
        kms_key_id: Uses,
        tags: Tags,
    }
    |input| {
        let field = "target_db_cluster_snapshot_identifier";
        let name = required(input.target_db_cluster_snapshot_identifier(), field)?;
        let tags = tags(input.tags())?;
        Ok(Meaning::Changes(vec![Claim::Made { kind: AURORA_SNAPSHOT, name, tags }]))
    }
}

change_rule! {
    DELETE_DB_CLUSTER_SNAPSHOT: DeleteDbClusterSnapshotInput {
        db_cluster_snapshot_identifier: Target,
    }
    |input| named(
        AURORA_SNAPSHOT,
        input.db_cluster_snapshot_identifier(),
        "db_cluster_snapshot_identifier",
    )
}

change_rule! {
    // Both the member and the cluster that it joins must be the run's own. What would make an instance with data of its own
    // (a user, a password, a database, a storage) has no role.
    CREATE_DB_INSTANCE: CreateDbInstanceInput {
        db_instance_identifier: Target,
        db_cluster_identifier: Target,
        tags: Tags,
        db_parameter_group_name: Uses,
        monitoring_role_arn: Uses,
        monitoring_interval: Setting,
        ca_certificate_identifier: Setting,
        db_instance_class: Setting,
        engine: Setting,
        promotion_tier: Setting,
        availability_zone: Setting,
        publicly_accessible: Setting,
    }
    |input| {
        let cluster = required(input.db_cluster_identifier(), "db_cluster_identifier")?;
        let name = required(input.db_instance_identifier(), "db_instance_identifier")?;
        let tags = tags(input.tags())?;
        Ok(Meaning::Changes(vec![
            Claim::Made { kind: AURORA_INSTANCE, name, tags },
            Claim::Named { kind: AURORA_CLUSTER, name: cluster },
        ]))
    }
}

change_rule! {
    // A final snapshot would be a resource that no ledger holds: it has no role.
    DELETE_DB_CLUSTER: DeleteDbClusterInput {
        db_cluster_identifier: Target,
        skip_final_snapshot: Setting,
        delete_automated_backups: Setting,
    }
    |input| named(AURORA_CLUSTER, input.db_cluster_identifier(), "db_cluster_identifier")
}

change_rule! {
    MODIFY_DB_CLUSTER: ModifyDbClusterInput {
        db_cluster_identifier: Target,
        deletion_protection: Setting,
        apply_immediately: Setting,
    }
    |input| named(AURORA_CLUSTER, input.db_cluster_identifier(), "db_cluster_identifier")
}

change_rule! {
    RESTORE_DB_CLUSTER_FROM_SNAPSHOT: RestoreDbClusterFromSnapshotInput {
        db_cluster_identifier: Target,
        snapshot_identifier: Source,
        tags: Tags,
        db_subnet_group_name: Uses,
        vpc_security_group_ids: Uses,
        db_cluster_parameter_group_name: Uses,
        kms_key_id: Uses,
        engine: Setting,
        engine_version: Setting,
        engine_mode: Setting,
        port: Setting,
        deletion_protection: Setting,
        enable_iam_database_authentication: Setting,
        enable_cloudwatch_logs_exports: Setting,
        serverless_v2_scaling_configuration: Setting,
        storage_type: Setting,
        backup_retention_period: Setting,
    }
    |input| made(input.db_cluster_identifier(), input.tags())
}

change_rule! {
    RESTORE_DB_CLUSTER_TO_POINT_IN_TIME: RestoreDbClusterToPointInTimeInput {
        db_cluster_identifier: Target,
        source_db_cluster_identifier: Source,
        source_db_cluster_resource_id: Source,
        tags: Tags,
        db_subnet_group_name: Uses,
        vpc_security_group_ids: Uses,
        db_cluster_parameter_group_name: Uses,
        kms_key_id: Uses,
        restore_to_time: Setting,
        use_latest_restorable_time: Setting,
        restore_type: Setting,
        engine_mode: Setting,
        port: Setting,
        deletion_protection: Setting,
        enable_iam_database_authentication: Setting,
        enable_cloudwatch_logs_exports: Setting,
        serverless_v2_scaling_configuration: Setting,
        storage_type: Setting,
        backup_retention_period: Setting,
    }
    |input| made(input.db_cluster_identifier(), input.tags())
}
