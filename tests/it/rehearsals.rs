//! The shipped scenarios, rehearsed by the program in every estate that is shipped with them: what must be red is red,
//! and nothing else is. The same seed gives the same run, and hours of waiting take no time.

use crate::program::{Program, listed, repository};
use redrill::time::Clock;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// An estate, the exit code of a rehearsal in it, and everything that must not be green: steps, checks and findings.
struct Case {
    estate: &'static str,
    exit: i32,
    red: &'static [&'static str],
}

const fn case(estate: &'static str, exit: i32, red: &'static [&'static str]) -> Case {
    Case { estate, exit, red }
}

const CASES: &[Case] = &[
    case("orders-db", 0, &[]),
    case(
        "orders-db.empty",
        1,
        &[
            "check content: checksums failed",
            "check content: row counts failed",
            "check data: ledger balances inconclusive",
            "check hydrated: read latency inconclusive",
            "step content failed",
            "step data inconclusive",
            "step hydrated inconclusive",
        ],
    ),
    case(
        "orders-db.key-disabled",
        1,
        &[
            "check point: usable recovery point failed",
            "finding point: rds.no_usable_recovery_point",
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step point failed",
            "step restore not_run",
            "step write not_run",
        ],
    ),
    case(
        "orders-db.no-copies",
        1,
        &[
            "check point: usable recovery point failed",
            "finding point: rds.no_usable_recovery_point",
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step point failed",
            "step restore not_run",
            "step write not_run",
        ],
    ),
    case("orders-db.single-az", 1, &["check config: multi_az failed", "step config failed"]),
    case(
        "orders-db.stale",
        1,
        &[
            "check point: worst_gap failed",
            "finding point: rds.schedule_missed",
            "step point failed",
        ],
    ),
    case(
        "orders-db.stuck",
        1,
        &[
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step restore failed",
            "step write not_run",
        ],
    ),
    case(
        "orders-db.unbalanced",
        1,
        &[
            "check content: checksums failed",
            "check data: ledger balances failed",
            "step content failed",
            "step data failed",
        ],
    ),
    case("orders-db.cold", 1, &["check hydrated: read latency failed", "step hydrated failed"]),
    case(
        "orders-db.read-only",
        1,
        &[
            "check fidelity: parameters failed",
            "check write: write failed",
            "finding fidelity: rds.config_differs",
            "step fidelity failed",
            "step write failed",
        ],
    ),
    case("orders-db.rotated", 1, &["check data: login the application failed", "step data failed"]),
    case(
        "orders-db.secret-missing",
        1,
        &["check data: login the application failed", "step data failed"],
    ),
    case(
        "orders-db.settings-differ",
        1,
        &[
            "check content: setting log_min_duration_statement failed",
            "check fidelity: parameters failed",
            "finding fidelity: rds.config_differs",
            "step content failed",
            "step fidelity failed",
        ],
    ),
    case("orders-db-point-in-time", 0, &[]),
    case(
        "orders-db-point-in-time.drifted",
        1,
        &[
            "check fidelity: parameters failed",
            "finding fidelity: rds.config_differs",
            "step fidelity failed",
        ],
    ),
    case(
        "orders-db-point-in-time.engine-gone",
        1,
        &[
            "check backup: engine version offered failed",
            "check backup: usable recovery point failed",
            "finding backup: rds.no_usable_automated_backup",
            "step backup failed",
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step restore not_run",
            "step write not_run",
        ],
    ),
    case(
        "orders-db-point-in-time.key-disabled",
        1,
        &[
            "check backup: usable recovery point failed",
            "finding backup: rds.no_usable_automated_backup",
            "step backup failed",
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step restore not_run",
            "step write not_run",
        ],
    ),
    case(
        "orders-db-point-in-time.no-capacity",
        1,
        &[
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step restore failed",
            "step write not_run",
        ],
    ),
    case(
        "orders-db-point-in-time.no-parameter-group",
        1,
        &[
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step restore failed",
            "step write not_run",
        ],
    ),
    case(
        "orders-db-point-in-time.no-replication",
        1,
        &[
            "check backup: usable recovery point failed",
            "finding backup: rds.no_usable_automated_backup",
            "step backup failed",
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step restore not_run",
            "step write not_run",
        ],
    ),
    case(
        "orders-db-point-in-time.short-retention",
        1,
        &["check backup: retention failed", "step backup failed"],
    ),
    case(
        "orders-db-point-in-time.stalled",
        1,
        &[
            "check backup: age failed",
            "finding backup: rds.transaction_logs_behind",
            "step backup failed",
        ],
    ),
    case(
        "orders-db-point-in-time.stuck",
        1,
        &[
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step restore failed",
            "step write not_run",
        ],
    ),
    case(
        "orders-db-point-in-time.too-early",
        1,
        &[
            "check data: no row from after the point inconclusive",
            "check data: row from before the point failed",
            "step data failed",
        ],
    ),
    case(
        "orders-db-point-in-time.unbalanced",
        1,
        &[
            "check content: checksums failed",
            "check data: ledger balances failed",
            "step content failed",
            "step data failed",
        ],
    ),
    case(
        "orders-db.wrong-network",
        1,
        &[
            "check restore: vpc failed",
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step restore failed",
            "step write not_run",
        ],
    ),
    case(
        "orders-db-point-in-time.wrong-network",
        1,
        &[
            "check restore: vpc failed",
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step restore failed",
            "step write not_run",
        ],
    ),
    case(
        "orders-db-point-in-time.written-since",
        1,
        &[
            "check data: newest data is from the backup failed",
            "check data: no row from after the point failed",
            "finding data: sql.newer_than_the_backup",
            "step data failed",
        ],
    ),
    case(
        "orders-db-point-in-time.cold",
        1,
        &["check hydrated: read latency failed", "step hydrated failed"],
    ),
    case(
        "orders-db-point-in-time.index-damaged",
        1,
        &["check content: tables and indexes failed", "step content failed"],
    ),
    case(
        "orders-db-point-in-time.read-only",
        1,
        &[
            "check fidelity: parameters failed",
            "check write: write failed",
            "finding fidelity: rds.config_differs",
            "step fidelity failed",
            "step write failed",
        ],
    ),
    case(
        "orders-db-point-in-time.secret-behind",
        1,
        &["check data: login the application failed", "step data failed"],
    ),
    case("uploads-replication", 0, &[]),
    case(
        "uploads-replication.failing-prefix",
        1,
        &[
            "check replicas: behind failed",
            "check replicas: missing failed",
            "check replicas: versions at the replica failed",
            "finding replicas: s3.replication_failed",
            "step replicas failed",
        ],
    ),
    case("uploads-replication.not-answered", 2, &["step serving not_run"]),
    case(
        "uploads-replication.not-serving",
        1,
        &["check serving: body failed", "check serving: status failed", "step serving failed"],
    ),
    case(
        "uploads-replication.rule-disabled",
        1,
        &[
            "check canary: canary at the replica failed",
            "check replicas: behind failed",
            "check replicas: content inconclusive",
            "check replicas: missing failed",
            "check replicas: replication rule failed",
            "check replicas: sample inconclusive",
            "check replicas: versions at the replica failed",
            "finding replicas: s3.delete_markers_differ",
            "finding replicas: s3.never_replicated",
            "step canary failed",
            "step replicas failed",
        ],
    ),
    case(
        "uploads-replication.stalled",
        1,
        &[
            "check canary: canary at the replica failed",
            "check replicas: behind failed",
            "check replicas: missing failed",
            "check replicas: versions at the replica failed",
            "finding replicas: s3.replication_stalled",
            "step canary failed",
            "step replicas failed",
        ],
    ),
    case(
        "uploads-replication.versioning-suspended",
        1,
        &[
            "check canary: canary at the replica failed",
            "check replicas: behind failed",
            "check replicas: content inconclusive",
            "check replicas: missing failed",
            "check replicas: sample inconclusive",
            "check replicas: versioning of the replica failed",
            "check replicas: versions at the replica failed",
            "finding canary: s3.replication_failed",
            "finding replicas: s3.delete_markers_differ",
            "finding replicas: s3.replication_failed",
            "step canary failed",
            "step replicas failed",
        ],
    ),
    case("payments-aurora", 0, &[]),
    case(
        "payments-aurora.incompatible",
        1,
        &[
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step reader not_run",
            "step restore failed",
            "step write not_run",
        ],
    ),
    case(
        "payments-aurora.key-disabled",
        1,
        &[
            "check point: usable recovery point failed",
            "finding point: aurora.no_usable_recovery_point",
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step point failed",
            "step reader not_run",
            "step restore not_run",
            "step write not_run",
        ],
    ),
    case(
        "payments-aurora.never-joins",
        1,
        &[
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step reader not_run",
            "step restore failed",
            "step write not_run",
        ],
    ),
    case(
        "payments-aurora.no-copies",
        1,
        &[
            "check point: usable recovery point failed",
            "finding point: aurora.no_usable_recovery_point",
            "step content not_run",
            "step data not_run",
            "step fidelity not_run",
            "step hydrated not_run",
            "step point failed",
            "step reader not_run",
            "step restore not_run",
            "step write not_run",
        ],
    ),
    case(
        "payments-aurora.clock-ahead",
        1,
        &[
            "check data: newest data is from the backup failed",
            "finding data: sql.newer_than_the_backup",
            "step data failed",
        ],
    ),
    case(
        "payments-aurora.drifted",
        1,
        &[
            "check fidelity: cluster_parameters failed",
            "finding fidelity: aurora.config_differs",
            "step fidelity failed",
        ],
    ),
    case(
        "payments-aurora.no-reader",
        1,
        &[
            "check config: multi_az failed",
            "check config: readers failed",
            "check fidelity: multi_az failed",
            "check fidelity: readers failed",
            "check fidelity: tiers failed",
            "finding fidelity: aurora.config_differs",
            "finding fidelity: aurora.config_differs",
            "finding fidelity: aurora.config_differs",
            "step config failed",
            "step fidelity failed",
        ],
    ),
    // Every check is green, and the newest row is four days old: only the objective is missed.
    case("payments-aurora.old-data", 1, &[]),
    case(
        "payments-aurora.stale",
        1,
        &[
            "check point: worst_gap failed",
            "finding point: aurora.schedule_missed",
            "step point failed",
        ],
    ),
    case(
        "payments-aurora.unbalanced",
        1,
        &[
            "check content: row counts failed",
            "check data: ledger balances failed",
            "step content failed",
            "step data failed",
        ],
    ),
    case(
        "payments-aurora.untagged",
        2,
        &[
            "check point: retention inconclusive",
            "check point: time of the data inconclusive",
            "check point: usable recovery point inconclusive",
            "check point: worst_gap inconclusive",
            "finding point: aurora.time_of_data_unknown",
            "step point inconclusive",
        ],
    ),
    case("payments-aurora.migrated", 1, &["check content: schema failed", "step content failed"]),
    case(
        "payments-aurora.no-amcheck",
        2,
        &["check content: tables and indexes inconclusive", "step content inconclusive"],
    ),
    case(
        "payments-aurora.read-only",
        1,
        &[
            "check fidelity: cluster_parameters failed",
            "check write: write failed",
            "finding fidelity: aurora.config_differs",
            "step fidelity failed",
            "step write failed",
        ],
    ),
    case(
        "payments-aurora.rotated",
        1,
        &["check data: login the application failed", "step data failed"],
    ),
    case(
        "payments-aurora.sequence-behind",
        1,
        &["check data: sequences failed", "step data failed"],
    ),
    case("ledger-volume", 0, &[]),
    case(
        "ledger-volume.damaged",
        1,
        &["check file_system: exit status failed", "step file_system failed"],
    ),
    case(
        "ledger-volume.gap",
        1,
        &[
            "check point: worst_gap failed",
            "finding point: ebs.schedule_missed",
            "step point failed",
        ],
    ),
    case(
        "ledger-volume.key-disabled",
        1,
        &[
            "check point: usable recovery point failed",
            "finding point: ebs.no_usable_recovery_point",
            "step file_system not_run",
            "step point failed",
            "step restore not_run",
        ],
    ),
    case(
        "ledger-volume.no-copies",
        1,
        &[
            "check point: usable recovery point failed",
            "finding point: ebs.no_usable_recovery_point",
            "step file_system not_run",
            "step point failed",
            "step restore not_run",
        ],
    ),
    case(
        "ledger-volume.stale",
        1,
        &[
            "check point: age failed",
            "check point: worst_gap failed",
            "finding point: ebs.schedule_missed",
            "step point failed",
        ],
    ),
    case(
        "ledger-volume.untagged",
        2,
        &[
            "check point: age inconclusive",
            "check point: retention inconclusive",
            "check point: time of the data inconclusive",
            "check point: usable recovery point inconclusive",
            "check point: worst_gap inconclusive",
            "finding point: ebs.time_of_data_unknown",
            "step point inconclusive",
        ],
    ),
    case("cluster-state", 0, &[]),
    case(
        "cluster-state.does-not-start",
        1,
        &[
            "check trial: members answer failed",
            "finding trial: etcd.snapshot_not_restorable",
            "step forward not_run",
            "step ready not_run",
            "step restored not_run",
            "step trial failed",
        ],
    ),
    case(
        "cluster-state.empty",
        1,
        &[
            "check snapshot: age inconclusive",
            "check snapshot: complete failed",
            "check snapshot: live_keys inconclusive",
            "check snapshot: meta pages failed",
            "check snapshot: structure inconclusive",
            "check snapshot: trailing SHA-256 inconclusive",
            "finding snapshot: etcd.snapshot_damaged",
            "step forward not_run",
            "step objects not_run",
            "step ready not_run",
            "step restored not_run",
            "step snapshot failed",
            "step trial not_run",
        ],
    ),
    case(
        "cluster-state.flipped",
        1,
        &[
            "check snapshot: age inconclusive",
            "check snapshot: trailing SHA-256 failed",
            "finding snapshot: etcd.snapshot_damaged",
            "step forward not_run",
            "step objects not_run",
            "step ready not_run",
            "step restored not_run",
            "step snapshot failed",
            "step trial not_run",
        ],
    ),
    case(
        "cluster-state.gaps",
        1,
        &[
            "check objects: deployments payments/api exists failed",
            "check objects: encryption keys in the recovery kit failed",
            "check objects: secrets encrypted failed",
            "check trial: key /registry/deployments/payments/api failed",
            "finding objects: etcd.baseline_warning",
            "finding objects: etcd.baseline_warning",
            "finding objects: etcd.encryption_key_not_in_kit",
            "finding objects: etcd.secrets_not_encrypted",
            "step forward not_run",
            "step objects failed",
            "step ready not_run",
            "step restored not_run",
            "step trial failed",
        ],
    ),
    case(
        "cluster-state.lost-keys",
        1,
        &[
            "check trial: HashKV failed",
            "check trial: keys failed",
            "finding trial: etcd.restored_differs",
            "step forward not_run",
            "step ready not_run",
            "step restored not_run",
            "step trial failed",
        ],
    ),
    case(
        "cluster-state.member-differs",
        1,
        &[
            "check members: same data failed",
            "finding members: etcd.members_differ",
            "step members failed",
        ],
    ),
    case(
        "cluster-state.member-silent",
        2,
        &[
            "check members: every member inconclusive",
            "check members: same data inconclusive",
            "step members inconclusive",
        ],
    ),
    case(
        "cluster-state.missing",
        1,
        &[
            "step forward not_run",
            "step objects not_run",
            "step ready not_run",
            "step restored not_run",
            "step snapshot failed",
            "step trial not_run",
        ],
    ),
    case(
        "cluster-state.no-etcd",
        2,
        &[
            "step forward not_run",
            "step ready not_run",
            "step restored not_run",
            "step trial inconclusive",
        ],
    ),
    case(
        "cluster-state.not-ready",
        1,
        &["check ready: body failed", "check ready: status failed", "step ready failed"],
    ),
    case("cluster-state.not-restored", 1, &["step ready not_run", "step restored failed"]),
    case(
        "cluster-state.stale",
        1,
        &[
            "check snapshot: age failed",
            "step forward not_run",
            "step objects not_run",
            "step ready not_run",
            "step restored not_run",
            "step snapshot failed",
            "step trial not_run",
        ],
    ),
    case("cluster-state.torn", 2, &["step members not_run", "step taken inconclusive"]),
    case(
        "cluster-state.unreadable",
        1,
        &[
            "check objects: deployments payments/api exists failed",
            "check objects: objects readable failed",
            "finding objects: etcd.objects_unreadable",
            "step forward not_run",
            "step objects failed",
            "step ready not_run",
            "step restored not_run",
        ],
    ),
    case(
        "cluster-state.uploaded-again",
        1,
        &[
            "check snapshot: age inconclusive",
            "check snapshot: time of the data failed",
            "finding snapshot: etcd.snapshot_is_older",
            "step forward not_run",
            "step objects not_run",
            "step ready not_run",
            "step restored not_run",
            "step snapshot failed",
            "step trial not_run",
        ],
    ),
    case("k3s-server", 0, &["finding snapshot: etcd.snapshot_time_uncertain"]),
    case(
        "k3s-server.cut",
        1,
        &[
            "check snapshot: age inconclusive",
            "check snapshot: complete failed",
            "check snapshot: live_keys inconclusive",
            "check snapshot: packing failed",
            "check snapshot: structure inconclusive",
            "check snapshot: trailing SHA-256 inconclusive",
            "finding snapshot: etcd.snapshot_damaged",
            "finding snapshot: etcd.snapshot_packing_damaged",
            "step objects not_run",
            "step ready not_run",
            "step restored not_run",
            "step shop not_run",
            "step snapshot failed",
            "step trial not_run",
        ],
    ),
    case(
        "k3s-server.missing",
        1,
        &[
            "check newest: output failed",
            "step newest failed",
            "step objects not_run",
            "step ready not_run",
            "step restored not_run",
            "step shop not_run",
            "step snapshot not_run",
            "step trial not_run",
        ],
    ),
    case(
        "k3s-server.no-bootstrap",
        1,
        &[
            "check objects: bootstrap data failed",
            "check objects: server token inconclusive",
            "finding objects: etcd.bootstrap_needs_token",
            "finding objects: etcd.no_bootstrap_data",
            "finding snapshot: etcd.snapshot_time_uncertain",
            "step objects failed",
            "step ready not_run",
            "step restored not_run",
            "step shop not_run",
        ],
    ),
    case(
        "k3s-server.no-etcd",
        2,
        &[
            "finding snapshot: etcd.snapshot_time_uncertain",
            "step ready not_run",
            "step restored not_run",
            "step shop not_run",
            "step trial inconclusive",
        ],
    ),
    case(
        "k3s-server.no-namespace",
        1,
        &[
            "check objects: baseline failed",
            "check objects: deployments shop/api exists failed",
            "check objects: namespaces shop exists failed",
            "check objects: persistentvolumeclaims shop/orders exists failed",
            "check objects: pods in shop failed",
            "check objects: secret shop/api decrypts failed",
            "check trial: key /registry/deployments/shop/api failed",
            "check trial: key /registry/namespaces/shop failed",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding snapshot: etcd.snapshot_time_uncertain",
            "step objects failed",
            "step ready not_run",
            "step restored not_run",
            "step shop not_run",
            "step trial failed",
        ],
    ),
    case(
        "k3s-server.not-restored",
        1,
        &[
            "finding snapshot: etcd.snapshot_time_uncertain",
            "step ready not_run",
            "step restored failed",
            "step shop not_run",
        ],
    ),
    case(
        "k3s-server.not-serving",
        1,
        &[
            "check shop: body failed",
            "check shop: status failed",
            "finding snapshot: etcd.snapshot_time_uncertain",
            "step shop failed",
        ],
    ),
    case(
        "k3s-server.other-cluster",
        1,
        &[
            "check objects: baseline failed",
            "check objects: deployments shop/api exists failed",
            "check objects: namespaces shop exists failed",
            "check objects: persistentvolumeclaims shop/orders exists failed",
            "check objects: pods in shop failed",
            "check objects: secret shop/api decrypts failed",
            "check objects: server token failed",
            "check trial: key /registry/deployments/shop/api failed",
            "check trial: key /registry/namespaces/shop failed",
            "finding objects: etcd.bootstrap_needs_token",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.differs_from_baseline",
            "finding objects: etcd.server_token_differs",
            "finding snapshot: etcd.snapshot_time_uncertain",
            "step objects failed",
            "step ready not_run",
            "step restored not_run",
            "step shop not_run",
            "step trial failed",
        ],
    ),
    case(
        "k3s-server.sqlite",
        2,
        &[
            "check snapshot: age inconclusive",
            "check snapshot: complete inconclusive",
            "check snapshot: live_keys inconclusive",
            "check snapshot: meta pages inconclusive",
            "check snapshot: structure inconclusive",
            "check snapshot: trailing SHA-256 inconclusive",
            "finding snapshot: etcd.not_a_snapshot",
            "step objects not_run",
            "step ready not_run",
            "step restored not_run",
            "step shop not_run",
            "step snapshot inconclusive",
            "step trial not_run",
        ],
    ),
    case(
        "k3s-server.wrong-key",
        1,
        &[
            "check objects: secret shop/api decrypts failed",
            "finding objects: etcd.secret_not_decrypted",
            "finding snapshot: etcd.snapshot_time_uncertain",
            "step objects failed",
            "step ready not_run",
            "step restored not_run",
            "step shop not_run",
        ],
    ),
    case(
        "k3s-server.wrong-token",
        1,
        &[
            "check objects: server token failed",
            "finding objects: etcd.bootstrap_needs_token",
            "finding objects: etcd.server_token_differs",
            "finding snapshot: etcd.snapshot_time_uncertain",
            "step objects failed",
            "step ready not_run",
            "step restored not_run",
            "step shop not_run",
        ],
    ),
    case(
        "k3s-server.yesterday",
        1,
        &[
            "check snapshot: age failed",
            "finding snapshot: etcd.snapshot_time_uncertain",
            "step objects not_run",
            "step ready not_run",
            "step restored not_run",
            "step shop not_run",
            "step snapshot failed",
            "step trial not_run",
        ],
    ),
];

/// What of a report is not green, in the words of the table above.
pub(crate) fn red(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let step = |step: &Value| {
        let outcome = text(&step["outcome"]);
        (outcome != "passed").then(|| format!("step {} {outcome}", text(&step["id"])))
    };
    let check = |made: &Value| {
        let (name, outcome) = (text(&made["check"]["name"]), text(&made["check"]["outcome"]));
        (outcome != "passed").then(|| format!("check {}: {name} {outcome}", text(&made["step"])))
    };
    let finding = |found: &Value| {
        let code = text(&found["finding"]["code"]);
        Some(format!("finding {}: {code}", text(&found["step"])))
    };
    let mut all = listed(&report["timeline"]["steps"], step);
    all.extend(listed(&report["checks"], check));
    all.extend(listed(&report["findings"], finding));
    all.sort();
    all
}

/// Nothing that the run made is there any more, and nothing of it was kept.
pub(crate) fn assert_nothing_left(report: &Value) {
    assert_eq!(report["exit"]["left_behind"], 0);
    for resource in report["resources"].as_array().unwrap() {
        assert_eq!(resource["state"], "released", "{resource}");
    }
}

fn scenario_of(estate: &str) -> &str {
    estate.split('.').next().unwrap()
}

fn assert_table_of(scenario: &str) {
    let program = Program::new();
    let cases = CASES.iter().filter(|case| scenario_of(case.estate) == scenario);
    for (number, case) in (1..).zip(cases) {
        let file = format!("scenarios/estates/{}.yaml", case.estate);
        let (code, report) = program.rehearse(scenario, &["--estate", &file]);
        assert_eq!(red(&report), case.red, "{}", case.estate);
        assert_eq!(code, case.exit, "{}", case.estate);
        let verdict = ["passed", "failed", "inconclusive"][usize::try_from(case.exit).unwrap()];
        assert_eq!(report["verdict"]["outcome"], verdict, "{}", case.estate);
        assert_eq!(report["exit"]["unfinished"], false, "{}", case.estate);
        assert_nothing_left(&report);
        assert_says_rehearsal(&program, &format!("{scenario}-{number:04}"), &report);
    }
}

/// Every page of every report says that it was a rehearsal.
fn assert_says_rehearsal(program: &Program, run: &str, report: &Value) {
    assert_eq!(report["rehearsal"], true);
    assert_eq!(report["run"]["world"]["kind"], "rehearsal");
    let page = |name: &str| program.read(&format!("runs/{run}/{name}"));
    let written: Value = serde_json::from_str(&page("report.json")).unwrap();
    assert_eq!(&written, report);
    let notice = report["verdict"]["notice"].as_str().unwrap();
    assert!(notice.contains("nothing in here is evidence of recovery"), "{notice}");
    for name in ["report.html", "report.md"] {
        assert!(page(name).contains("REHEARSAL"), "{name} of {run}");
    }
    let verdict = report["verdict"]["text"].as_str().unwrap();
    assert!(verdict.starts_with("rehearsal: ") && page("junit.xml").contains(verdict), "{verdict}");
}

#[test]
fn orders_db_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("orders-db");
}

#[test]
fn orders_db_point_in_time_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("orders-db-point-in-time");
}

#[test]
fn uploads_replication_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("uploads-replication");
}

#[test]
fn payments_aurora_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("payments-aurora");
}

#[test]
fn data_that_stands_still_misses_the_objective_although_every_check_is_green() {
    let (_, report) = Program::new().rehearse("payments-aurora", &["--estate", "old-data"]);
    let rpo = &report["objectives"]["rpo"];
    assert_eq!(
        (&rpo["outcome"], &rpo["measured_from"]),
        (&json!("missed"), &json!("data")),
        "{rpo}"
    );
    let (_, report) = Program::new().rehearse("payments-aurora", &[]);
    assert_eq!(report["objectives"]["rpo"]["outcome"], "met");
}

#[test]
fn an_instance_that_does_not_join_is_named_in_the_report() {
    for (estate, words) in [("never-joins", "-2 did not join"), ("incompatible", "-1 did not join")]
    {
        let (_, report) = Program::new().rehearse("payments-aurora", &["--estate", estate]);
        let steps = report["timeline"]["steps"].as_array().unwrap();
        let restore = steps.iter().find(|step| step["id"] == "restore").unwrap().to_string();
        assert!(
            restore.contains(words) && restore.contains("redrill-payments-aurora"),
            "{restore}"
        );
    }
}

#[test]
fn ledger_volume_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("ledger-volume");
}

#[test]
fn cluster_state_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("cluster-state");
}

#[test]
fn k3s_server_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("k3s-server");
}

#[test]
fn each_broken_estate_of_k3s_says_in_words_what_is_wrong() {
    for (estate, words) in [
        ("missing", "check output of step newest: expected ~ ^[0-9]{10}"),
        ("cut", "zip: it ends before its end: the upload or the write broke off"),
        ("sqlite", "this is a database of SQLite, and no snapshot of etcd"),
        ("yesterday", "expected <= 2h, observed 1d 1h"),
        ("other-cluster", "the server token of the recovery kit is not the one"),
        ("no-bootstrap", "it is empty: a server had begun to write it, and not ended"),
        ("no-namespace", "gone: deployments in shop, 2 before, 0 now"),
        ("wrong-key", "aescbc:v1:aescbckey of the file does not decrypt it"),
        ("wrong-token", "snapshots from before need the old one"),
        ("no-etcd", "there is no program \\\"etcd\\\" in the PATH"),
        ("not-restored", "k3s ends with an error of its certificates"),
        ("not-serving", "lost"),
    ] {
        let (_, report) = Program::new().rehearse("k3s-server", &["--estate", estate]);
        let text = report.to_string();
        assert!(text.contains(words), "{estate}: {words} is not in {text}");
        assert!(!text.contains("not-a-real-token"), "{estate}: {text}");
    }
}

/// The names of the YAML files of a folder of the repository, without the ending.
pub(crate) fn yaml_files(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(repository(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned)).collect()
}

#[test]
fn every_shipped_estate_is_rehearsed_and_says_what_it_is() {
    let listed: BTreeSet<String> = CASES.iter().map(|case| case.estate.to_owned()).collect();
    assert_eq!(listed, yaml_files("scenarios/estates"));
    for scenario in yaml_files("scenarios") {
        let of = |exit: i32| {
            CASES
                .iter()
                .filter(move |c| scenario_of(c.estate) == scenario && c.exit == exit)
                .count()
        };
        let scenario_cases = [of.clone()(0), of.clone()(1) + of(2)];
        assert!(scenario_cases[0] >= 1 && scenario_cases[1] >= 2, "{scenario_cases:?}");
    }
    for estate in listed {
        let text = std::fs::read_to_string(repository(&format!("scenarios/estates/{estate}.yaml")));
        let name = scenario_of(&estate).to_owned();
        let start = format!("# An estate to rehearse ../{name}.yaml in: ");
        assert!(text.unwrap().starts_with(&start), "{estate}");
    }
}

#[test]
fn every_shipped_scenario_passes_the_check_without_warnings() {
    let program = Program::new();
    let ran = program.run(&["check", "scenarios", "--format", "json"]);
    let found = ran.json();
    assert_eq!(found["files"], yaml_files("scenarios").len());
    assert_eq!((&found["errors"], &found["warnings"]), (&json!(0), &json!(0)), "{found}");
    assert_eq!(ran.code, 0);
    for scenario in yaml_files("scenarios") {
        let text = std::fs::read_to_string(repository(&format!("scenarios/{scenario}.yaml")));
        let first = text.unwrap().lines().next().unwrap().to_owned();
        assert_eq!(first, "# yaml-language-server: $schema=../docs/schema/scenario.json");
    }
}

#[test]
fn the_same_seed_gives_the_same_journal_byte_for_byte() {
    for scenario in yaml_files("scenarios") {
        let journal = |arguments: &[&str]| {
            let program = Program::new();
            program.rehearse(&scenario, arguments);
            program.bytes(&format!("runs/{scenario}-0001/journal.jsonl"))
        };
        let first = journal(&[]);
        assert!(first.len() > 1000);
        assert!(first == journal(&[]), "{scenario}");
        assert!(first != journal(&["--seed", "7"]), "{scenario}: the seed decides nothing");
    }
}

#[test]
fn hours_of_waiting_are_simulated() {
    let program = Program::new();
    let clock = Clock::system();
    let (_, report) = program.rehearse("orders-db", &["--estate", "stuck"]);
    let took = clock.elapsed();
    assert!(report["run"]["duration"].as_str().unwrap().starts_with("3h"), "{}", report["run"]);
    assert!(took < Duration::from_secs(120), "{took:?} of real time");
}

#[test]
fn regression_a_service_that_never_answers_says_nothing_about_the_backup() {
    let program = Program::new();
    let scenario = repository("scenarios/orders-db.yaml").display().to_string();
    let silent = "--fault=rds:DescribeDBInstances@ap-northeast-1=lost_reply";
    let ran = program.run(&["run", &scenario, "--sandbox", silent, "--quiet"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("no call was answered"), "{}", ran.stdout);
}

#[test]
fn regression_a_recovery_begins_at_once_whatever_the_lost_region_does() {
    // It answers who we are, and then nothing else: the worst that a region can do.
    let half_dead = "--fault=rds:*@ap-northeast-1=lost_reply";
    let down = "--fault=*@ap-northeast-1=server_error";
    let tried = [("orders-db", half_dead), ("orders-db", down), ("payments-aurora", down)];
    for (scenario, down) in tried {
        let program = Program::new();
        let arguments = ["--mode", "recovery", down];
        let (code, report) = program.rehearse(scenario, &arguments);
        let outcome = |step: &str| {
            let steps = report["timeline"]["steps"].as_array().unwrap();
            let found = steps.iter().find(|s| s["id"] == step);
            found.map(|step| step["outcome"].as_str().unwrap().to_owned())
        };
        assert_eq!(outcome("restore").as_deref(), Some("passed"), "{scenario}");
        assert!(outcome("config").is_none_or(|outcome| outcome == "not_run"), "{scenario}");
        let steps = report["timeline"]["steps"].as_array().unwrap();
        assert!(steps.iter().all(|step| step["at"] != "primary" || step["outcome"] == "not_run"));
        let healthy = Program::new().rehearse(scenario, &["--mode", "recovery"]).1;
        let measured = |report: &Value| report["objectives"]["rto"]["measured"].clone();
        assert!(measured(&report).is_string(), "{scenario}");
        assert_eq!(measured(&report), measured(&healthy), "{scenario}: nothing waited for it");
        // Nothing was captured in this run, and no earlier one is named.
        assert_eq!(code, 2, "{scenario}");
    }
}

#[test]
fn a_drill_does_not_begin_while_a_site_that_is_to_be_lost_does_not_say_who_we_are() {
    let program = Program::new();
    let file = repository("scenarios/orders-db.yaml").display().to_string();
    let ran = program.run(&["run", &file, "--sandbox", "--fault=*@ap-northeast-1=server_error"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("nothing has happened yet"), "{}", ran.stderr);
}

#[test]
fn regression_a_restore_outlives_minutes_of_throttled_looks() {
    let program = Program::new();
    let throttled = "--fault=rds:DescribeDBInstances@ap-northeast-3<40=throttle";
    let (code, _) = program.rehearse("orders-db", &[throttled]);
    assert_eq!(code, 0);
}

#[test]
fn regression_a_restore_that_is_stuck_says_in_which_state_it_was_seen_last() {
    let program = Program::new();
    let (code, report) = program.rehearse("orders-db", &["--estate", "stuck"]);
    assert_eq!(code, 1);
    assert!(report.to_string().contains("last seen: creating"), "{report}");
}

#[test]
fn regression_a_lost_region_cannot_be_read_under_another_name() {
    let program = Program::new();
    let text = std::fs::read_to_string(repository("scenarios/orders-db.yaml")).unwrap();
    let site = "  primary: ";
    assert!(text.contains(site) && text.contains("    at: dr\n    uses: rds.find_snapshot"));
    let line = text.lines().find(|line| line.starts_with(site)).unwrap();
    let alias = line.replacen("primary:", "alias:", 1);
    let text = text.replacen(line, &format!("{line}\n{alias}"), 1);
    let text =
        text.replacen("    at: dr\n    uses: rds.find", "    at: alias\n    uses: rds.find", 1);
    program.write("alias.yaml", text);
    let ran = program.run(&["check", "alias.yaml"]);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    assert!(ran.stdout.contains("RD210"), "{}", ran.stdout);
}

#[test]
fn regression_a_role_that_the_estate_does_not_know_is_refused_before_anything_happens() {
    let program = Program::new();
    let text = std::fs::read_to_string(repository("scenarios/orders-db.yaml")).unwrap();
    assert!(text.contains("role: redrill-drill"));
    program.write("role.yaml", text.replace("role: redrill-drill", "role: no-such-role"));
    let estate = repository("scenarios/estates/orders-db.yaml").display().to_string();
    let ran = program.run(&["run", "role.yaml", "--sandbox", "--estate", &estate]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    for said in
        ["the site dr cannot be reached", "has no role no-such-role", "nothing has happened"]
    {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
}
