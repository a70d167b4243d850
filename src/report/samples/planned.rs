//! What the hand-made runs are runs of: a plan, and actions that say of themselves what a runbook needs.

use super::runs::human;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, HandInput, Permission, Phase, Registry,
    SiteUse, StepContext, StepError,
};
use crate::ids::{Digest, SiteName, StepId};
use crate::journal::Measure;
use crate::plan::{Plan, PlannedStep};
use crate::scenario::{
    Assumptions, DataClass, Disaster, DisasterKind, Gate, Guard, Objectives, OnFailure,
    RecoveryLevelObjective, RecoveryPointObjective, RecoveryTimeObjective, RtoFrom, Site,
};
use crate::time::RetryPolicy;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

fn step(id: &str, uses: &str, phase: Phase, needs: &[&str]) -> PlannedStep {
    PlannedStep {
        id: StepId::new(id),
        title: String::new(),
        at: Some(SiteName::new("dr")),
        uses: uses.to_owned(),
        with: json!({}),
        needs: needs.iter().map(|need| StepId::new(*need)).collect::<BTreeSet<_>>(),
        may_be_skipped: BTreeSet::new(),
        phase,
        gate: None,
        timeout: human("30m"),
        retry: RetryPolicy::default(),
        on_failure: OnFailure::Stop,
        when: None,
        required: true,
        expect: BTreeMap::new(),
        creates: Vec::new(),
        watch: None,
    }
}

pub(crate) fn steps() -> Vec<PlannedStep> {
    let mut config = step("config", "rds.capture_config", Phase::Prepare, &[]);
    config.title = "Record what the restored instance should look like".into();
    config.at = Some(SiteName::new("primary"));
    config.with = json!({ "instance": "orders-db" });
    let mut point = step("point", "rds.find_snapshot", Phase::Recover, &[]);
    point.title = "Find the newest copied snapshot".into();
    point.with = json!({ "of": "orders-db" });
    point.expect = BTreeMap::from([("worst_gap".to_owned(), json!("<= 26h"))]);
    let mut approve = step("approve", "control.approve", Phase::Recover, &["point"]);
    approve.title = "Ask the incident commander for the restore".into();
    approve.at = None;
    approve.timeout = human("1h");
    let mut restore =
        step("restore", "rds.restore_snapshot", Phase::Recover, &["approve", "point"]);
    restore.title = "Restore the snapshot as a new instance".into();
    restore.timeout = human("3h");
    restore.creates = vec!["rds.db_instance".to_owned()];
    restore.with = json!({ "snapshot": "{{steps.point.arn}}", "class": "db.r6g.4xlarge",
        "security_groups": ["sg-orders"], "subnet_group": "prod-dr" });
    let mut files = step("files", "s3.compare_replica", Phase::Verify, &[]);
    files.title = "Compare the replica bucket with the manifest".into();
    files.with = json!({ "bucket": "orders-attachments-dr" });
    let mut data = step("data", "sql.check", Phase::Verify, &["restore"]);
    data.title = "Read the ledger and its newest row".into();
    data.gate = Some(Gate::Acceptance);
    data.with = json!({ "endpoint": "{{steps.restore.endpoint}}", "label": "db {{steps.restore.endpoint}}" });
    let mut deep = step("deep", "sql.check", Phase::Verify, &["data", "files"]);
    deep.title = "Reconcile orders with attachments".into();
    deep.gate = Some(Gate::Assurance);
    deep.with = json!({ "endpoint": "{{steps.restore.endpoint}}" });
    vec![config, point, approve, restore, files, data, deep]
}

pub(crate) fn plan() -> Plan {
    let site = |account: &str, region: &str| Site {
        account: Some(account.to_owned()),
        region: region.to_owned(),
        role: Some("redrill-drill".to_owned()),
    };
    let authority = Some("BIA-2026-014 §3".to_owned());
    Plan {
        format: 1,
        name: "orders-db".into(),
        title: "Orders database, restored in the DR region from its copied snapshot".into(),
        about: Some("The orders ledger & its attachments, without the search index.".into()),
        system: Some("orders".into()),
        tier: Some(1),
        owner: "payments-sre".into(),
        contacts: BTreeMap::from([
            ("incident commander".to_owned(), "ic@example.com".to_owned()),
            ("database on call".to_owned(), "+81 3 0000 0000".to_owned()),
        ]),
        scenario_digest: Digest::of(b"scenario"),
        mode: "drill".into(),
        disaster: Disaster { kind: DisasterKind::RegionLoss, lost: vec![SiteName::new("primary")] },
        sites: BTreeMap::from([
            (SiteName::new("primary"), site("111111111111", "ap-northeast-1")),
            (SiteName::new("dr"), site("222222222222", "ap-northeast-3")),
        ]),
        objectives: Objectives {
            rto: Some(RecoveryTimeObjective {
                target: human("4h"),
                authority: authority.clone(),
                from: RtoFrom::Detected,
                assume: Assumptions { detect: human("15m"), decide: human("30m") },
            }),
            rpo: Some(RecoveryPointObjective {
                target: human("26h"),
                authority: authority.clone(),
                measure: Measure::Data,
            }),
            rlo: Some(RecoveryLevelObjective {
                target: "Orders can be taken and paid; search is unavailable.".into(),
                proven_by: vec![StepId::new("data"), StepId::new("deep")],
                authority,
            }),
        },
        data: DataClass { class: "internal".into() },
        guard: Guard::default(),
        hooks: Vec::new(),
        vars: BTreeMap::new(),
        inputs: BTreeMap::from([("ticket".to_owned(), json!("CHG-4711"))]),
        steps: steps(),
        deviations: Vec::new(),
    }
}

/// A small action that says of itself what a runbook needs.
struct Stub {
    name: &'static str,
    title: &'static str,
    permissions: &'static [Permission],
    aws: bool,
}

impl Action for Stub {
    type Input = serde_json::Value;
    type Output = serde_json::Value;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: self.name,
            title: self.title,
            about: "",
            phase: Phase::Recover,
            site: SiteUse::Optional,
            timeout: std::time::Duration::from_secs(60),
            effect: Effect::None,
            creates: &[],
            permissions: self.permissions,
            checks: &[],
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5"],
                aws: self.aws.then(|| chrono::NaiveDate::from_ymd_opt(2026, 11, 1).unwrap()),
            },
        }
    }

    async fn run(&self, _: &StepContext, input: Self::Input) -> Result<Self::Output, StepError> {
        Ok(input)
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        match self.name {
            "rds.find_snapshot" => ByHand {
                commands: vec![format!(
                    "{}=\"$(aws rds describe-db-snapshots --region {} --db-instance-identifier {} --query 'max_by(DBSnapshots, &SnapshotCreateTime).DBSnapshotArn' --output text)\"",
                    input.sets("arn"),
                    input.region(),
                    input.word("of").unwrap_or_default()
                )],
                expected: "An ARN that ends in the name of the newest snapshot.".into(),
                verify: vec![format!("printf '%s\\n' \"${{{}}}\"", input.sets("arn"))],
                if_it_fails: vec![
                    "No snapshot is listed: ask the backup team for the vault.".into(),
                ],
                ..ByHand::default()
            },
            "rds.restore_snapshot" => ByHand {
                commands: vec![
                    format!(
                        "aws rds restore-db-instance-from-db-snapshot --region {} --db-instance-identifier orders-db-recovered --db-snapshot-identifier {} --db-instance-class {} --vpc-security-group-ids {}",
                        input.region(),
                        input.word("snapshot").unwrap_or_default(),
                        input.word("class").unwrap_or_default(),
                        input.words("security_groups").unwrap_or_default()
                    ),
                    format!("{}=orders-db-recovered.example", input.sets("endpoint")),
                ],
                expected: "The instance becomes `available`, with the class that was asked for."
                    .into(),
                verify: vec!["The console shows two Availability Zones.".into()],
                if_it_fails: vec![
                    "InsufficientDBInstanceCapacity: take the next larger class.".into(),
                ],
                ..ByHand::default()
            },
            "sql.check" => ByHand {
                commands: vec![format!(
                    "psql \"host={} dbname=orders\" -c 'select max(committed_at) from heartbeat'",
                    input.word("endpoint").unwrap_or_default().trim_matches('"')
                )],
                expected: "A time shortly before the disaster.".into(),
                ..ByHand::default()
            },
            _ => ByHand { expected: "It is done.".into(), ..ByHand::default() },
        }
    }
}

pub(crate) fn registry() -> Registry {
    const READ: &[Permission] =
        &[Permission { action: "rds:DescribeDBSnapshots", why: "to find the snapshot" }];
    const WRITE: &[Permission] = &[
        Permission { action: "rds:RestoreDBInstanceFromDBSnapshot", why: "to restore it" },
        Permission { action: "rds:DescribeDBInstances", why: "to wait for it" },
    ];
    let mut registry = Registry::default();
    for (name, title, permissions, aws) in [
        ("rds.capture_config", "Capture the configuration of an instance", READ, true),
        ("rds.find_snapshot", "Find the newest usable snapshot", READ, true),
        ("rds.restore_snapshot", "Restore the snapshot as a new instance", WRITE, true),
        ("control.approve", "Ask a person", &[][..], true),
        ("s3.compare_replica", "Compare a bucket with its replica", &[][..], false),
        ("sql.check", "Query the restored data", &[][..], true),
    ] {
        registry.action(Stub { name, title, permissions, aws });
    }
    registry
}
