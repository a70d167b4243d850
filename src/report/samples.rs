//! Hand-made runs for tests: what their reports must say is known.

use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, HandInput, Permission, Phase, Registry,
    SiteUse, StepContext, StepError,
};
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::journal::{
    Approval, CallSeen, Check, ClockPoint, Event, Failure, FailureClass, Finding, Inventory,
    InventoryItem, InventoryTime, Measure, Outcome, Record, RecoveryPoint, ResourceKey, Severity,
    StepResult, Wait, WorldKind,
};
use crate::plan::{Plan, PlannedStep};
use crate::report::{EarlierRun, Report, Verdict, report};
use crate::scenario::{
    Assumptions, DataClass, Disaster, DisasterKind, Gate, Guard, Objectives, OnFailure,
    RecoveryLevelObjective, RecoveryPointObjective, RecoveryTimeObjective, RtoFrom, Site,
};
use crate::time::{HumanDuration, RetryPolicy};
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// A plan, a journal of it, and what came before.
pub(crate) struct Sample {
    pub(crate) plan: Plan,
    pub(crate) tape: Tape,
    pub(crate) history: Vec<EarlierRun>,
}

impl Sample {
    pub(crate) fn report(&self) -> Report {
        report(&self.plan, &self.tape.records, &self.history, &registry()).unwrap()
    }
}

/// Writes records as the engine does.
pub(crate) struct Tape {
    pub(crate) records: Vec<Record>,
    now: DateTime<Utc>,
    elapsed_ms: u64,
}

pub(crate) fn human(text: &str) -> HumanDuration {
    text.parse().unwrap()
}

fn delta(text: &str) -> TimeDelta {
    TimeDelta::from_std(human(text).0).unwrap()
}

impl Tape {
    pub(crate) fn new() -> Self {
        let now = Utc.with_ymd_and_hms(2026, 11, 20, 1, 0, 0).unwrap();
        Self { records: Vec::new(), now, elapsed_ms: 0 }
    }

    pub(crate) fn after(&mut self, text: &str) -> &mut Self {
        self.now += delta(text);
        self.elapsed_ms += human(text).0.as_millis() as u64;
        self
    }

    pub(crate) fn add(&mut self, event: Event) -> &mut Self {
        let prev = super::journal_digest(&self.records);
        let seq = self.records.len() as u64;
        self.records.push(Record { seq, at: self.now, elapsed_ms: self.elapsed_ms, prev, event });
        self
    }

    pub(crate) fn start(&mut self, step: &str) -> &mut Self {
        self.add(Event::StepStarted { step: StepId::new(step), attempt: 1, input: json!({}) })
    }

    pub(crate) fn check(&mut self, step: &str, check: Check) -> &mut Self {
        self.add(Event::Checked { step: StepId::new(step), check })
    }

    pub(crate) fn finish(
        &mut self,
        step: &str,
        outcome: Outcome,
        calls: &[(&str, u32, u32)],
    ) -> &mut Self {
        let call = |(operation, count, failed): &(&str, u32, u32)| CallSeen {
            operation: (*operation).to_owned(),
            site: SiteName::new("dr"),
            count: *count,
            failed: *failed,
            last_request_id: Some(format!("5f2c-{}", operation.len())),
        };
        let calls = calls.iter().map(call).collect();
        let result = StepResult { outcome, output: json!({}), failure: None, calls };
        self.add(Event::StepFinished { step: StepId::new(step), result })
    }

    pub(crate) fn fail(&mut self, step: &str, class: FailureClass, message: &str) -> &mut Self {
        let failure = Failure { class, code: None, message: message.to_owned(), help: None };
        let outcome = class.outcome();
        let result =
            StepResult { outcome, output: json!({}), failure: Some(failure), calls: Vec::new() };
        self.add(Event::StepFinished { step: StepId::new(step), result })
    }

    pub(crate) fn leave_out(&mut self, step: &str, why: &str) -> &mut Self {
        let why = why.to_owned();
        self.add(Event::StepLeftOut { step: StepId::new(step), outcome: Outcome::NotRun, why })
    }
}

fn step(id: &str, uses: &str, phase: Phase, needs: &[&str]) -> PlannedStep {
    PlannedStep {
        id: StepId::new(id),
        title: String::new(),
        at: Some(SiteName::new("dr")),
        uses: uses.to_owned(),
        with: json!({}),
        needs: needs.iter().map(|need| StepId::new(*need)).collect::<BTreeSet<_>>(),
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
    let mut files = step("files", "s3.compare_replica", Phase::Recover, &[]);
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

fn run_started(plan: &Plan, world: WorldKind, deviations: &[&str]) -> Event {
    Event::RunStarted {
        format: 1,
        run: RunId::new("orders-db-0007-3fa9"),
        number: 7,
        scenario: plan.name.clone(),
        plan: plan.digest(),
        scenario_digest: plan.scenario_digest,
        mode: plan.mode.clone(),
        world,
        tool: "redrill 0.1.0".into(),
        operator: "sre@bastion".into(),
        seed: 42,
        expires: Utc.with_ymd_and_hms(2026, 11, 20, 13, 0, 0).unwrap(),
        keep: None,
        deviations: deviations.iter().map(|text| (*text).to_owned()).collect(),
    }
}

pub(crate) fn instance() -> ResourceKey {
    ResourceKey {
        kind: "rds.db_instance".into(),
        name: "redrill-orders-db-3fa9".into(),
        site: SiteName::new("dr"),
    }
}

fn earlier(number: u32, verdict: Option<Verdict>, world: WorldKind, cancelled: bool) -> EarlierRun {
    EarlierRun {
        number,
        run: RunId::new(format!("orders-db-{number:04}-00aa")),
        started: Some(Utc.with_ymd_and_hms(2026, 5 + number, 3, 1, 0, 0).unwrap()),
        verdict,
        world: Some(world),
        cancelled,
        unreadable: None,
    }
}

fn history() -> Vec<EarlierRun> {
    vec![
        earlier(1, Some(Verdict::Passed), WorldKind::Rehearsal { estate: "orders".into() }, false),
        earlier(2, Some(Verdict::Failed), WorldKind::Real, false),
        earlier(3, None, WorldKind::Real, false),
        earlier(4, Some(Verdict::Inconclusive), WorldKind::Real, true),
        earlier(5, Some(Verdict::Passed), WorldKind::Real, false),
    ]
}

/// Everything up to the restored instance.
fn recover(plan: &Plan, world: WorldKind, deviations: &[&str]) -> Tape {
    let mut tape = Tape::new();
    tape.add(run_started(plan, world, deviations));
    for (site, account, region) in
        [("primary", "111111111111", "ap-northeast-1"), ("dr", "222222222222", "ap-northeast-3")]
    {
        tape.after("300ms").add(Event::SiteIdentified {
            site: SiteName::new(site),
            account: account.into(),
            region: region.into(),
            identity: format!(
                "arn:aws:sts::{account}:assumed-role/redrill-drill/orders-db-0007-3fa9"
            ),
        });
    }
    tape.add(inventory(InventoryTime::Before, 12, &[]));
    tape.after("1s").start("config").after("20s");
    tape.check("config", Check::made("deletion protection", "= true", "true", true));
    tape.finish("config", Outcome::Passed, &[("rds:DescribeDBInstances", 1, 0)]);
    tape.after("2s").add(Event::DisasterDeclared {
        kind: "region_loss".into(),
        lost: vec![SiteName::new("primary")],
    });
    tape.after("1s").start("point").start("files").after("14s");
    tape.check("point", Check::made("worst gap", "<= 26h", "24h 12m", true).over(35));
    tape.add(Event::RecoveryPointSeen {
        step: StepId::new("point"),
        point: RecoveryPoint {
            at: Utc.with_ymd_and_hms(2026, 11, 19, 17, 2, 11).unwrap(),
            source: "SnapshotDatabaseTime".into(),
            measure: Measure::Backup,
            identity: "arn:aws:rds:ap-northeast-3:222222222222:snapshot:orders-2026-11-19".into(),
            worst_case: Some(human("25h 40m")),
        },
    });
    tape.finish("point", Outcome::Passed, &[("rds:DescribeDBSnapshots", 3, 1)]);
    tape.start("approve").add(Event::ApprovalRequested {
        step: StepId::new("approve"),
        text: "Restore orders-2026-11-19 at dr?".into(),
        deadline: Utc.with_ymd_and_hms(2026, 11, 20, 2, 0, 0).unwrap(),
    });
    tape
}

fn restore(tape: &mut Tape) {
    tape.after("6m 30s").add(Event::ApprovalGiven {
        step: StepId::new("approve"),
        approval: Approval {
            approved: true,
            by: "mori".into(),
            identified_by: "terminal user".into(),
            comment: Some("go <ahead> & hurry".into()),
            proof: None,
        },
    });
    tape.finish("approve", Outcome::Passed, &[]);
    tape.after("1s").start("restore");
    tape.add(Event::ResourceIntended { step: StepId::new("restore"), key: instance() });
    tape.after("2s").add(Event::ResourceOwned {
        key: instance(),
        id: "arn:aws:rds:ap-northeast-3:222222222222:db:redrill-orders-db-3fa9".into(),
    });
    let restore = StepId::new("restore");
    tape.after("47m");
    let ready = tape.now;
    tape.add(Event::Waited {
        step: restore.clone(),
        wait: Wait {
            what: "instance available".into(),
            last_not_ready: Some(ready - TimeDelta::seconds(30)),
            first_ready: ready,
            polls: 95,
        },
    });
    tape.add(Event::Reached {
        step: restore,
        point: ClockPoint::ResourceAvailable,
        at: ready - TimeDelta::seconds(12),
        source: "RDS event".into(),
    });
    tape.check("restore", Check::made("class", "= db.r6g.large", "db.r6g.large", true));
    tape.finish(
        "restore",
        Outcome::Passed,
        &[("rds:DescribeDBInstances", 96, 0), ("rds:RestoreDBInstanceFromDBSnapshot", 2, 1)],
    );
}

fn query(tape: &mut Tape) {
    tape.after("1s").start("data").after("40s");
    tape.add(Event::Reached {
        step: StepId::new("data"),
        point: ClockPoint::DataReadable,
        at: tape.now,
        source: "first query".into(),
    });
    tape.add(Event::RecoveryPointSeen {
        step: StepId::new("data"),
        point: RecoveryPoint {
            at: Utc.with_ymd_and_hms(2026, 11, 19, 17, 1, 58).unwrap(),
            source: "max(committed_at) from heartbeat".into(),
            measure: Measure::Data,
            identity: "orders".into(),
            worst_case: None,
        },
    });
    tape.check("data", Check::made("ledger balances", "= 0", "0", true).over(18_204_311));
}

/// The instances of the DR site, and which of them are the run's.
fn inventory(when: InventoryTime, total: u64, ours: &[&str]) -> Event {
    let arn = "arn:aws:rds:ap-northeast-3:222222222222:db:";
    let item = |name: &&str| InventoryItem { name: (*name).to_owned(), id: format!("{arn}{name}") };
    Event::InventoryTaken {
        when,
        seen: vec![Inventory {
            kind: "rds.db_instance".into(),
            site: SiteName::new("dr"),
            place: None,
            total: Some(total),
            ours: ours.iter().map(item).collect(),
            not_listed: None,
        }],
    }
}

fn release(tape: &mut Tape, outcome: Outcome) {
    tape.after("1s").add(Event::ReleaseStarted);
    tape.after("8m").add(Event::ResourceReleased { key: instance(), how: "deleted".into() });
    tape.add(inventory(InventoryTime::After, 12, &[]));
    tape.after("1s").add(Event::RunFinished { outcome });
}

fn compare_files(tape: &mut Tape) {
    tape.check("files", Check::made("missing objects", "= 0", "0", true).over(90_112));
    tape.finish("files", Outcome::Passed, &[("s3:ListBucketVersions", 91, 0)]);
}

fn passing(world: WorldKind, deviations: &[&str]) -> Sample {
    let plan = plan();
    let mut tape = recover(&plan, world, deviations);
    tape.after("4m");
    compare_files(&mut tape);
    restore(&mut tape);
    query(&mut tape);
    tape.finish("data", Outcome::Passed, &[]);
    tape.after("1s").start("deep").after("12m");
    tape.check("deep", Check::made("orders without attachment", "= 0", "0", true).over(40_001));
    tape.finish("deep", Outcome::Passed, &[]);
    release(&mut tape, Outcome::Passed);
    Sample { plan, tape, history: history() }
}

/// Everything verified and met, by real services.
pub(crate) fn passed() -> Sample {
    passing(WorldKind::Real, &[])
}

/// The same in the sandbox.
pub(crate) fn rehearsal() -> Sample {
    passing(WorldKind::Rehearsal { estate: "orders & co".into() }, &["--set ticket=CHG-1"])
}

/// Objects are missing in the replica, and the restore took too long.
pub(crate) fn failed() -> Sample {
    let mut plan = plan();
    plan.objectives.rto.as_mut().unwrap().target = human("1h");
    let mut tape = recover(&plan, WorldKind::Real, &[]);
    tape.after("4m");
    let files = StepId::new("files");
    tape.check("files", Check::made("missing objects", "= 0", "3", false).over(90_112));
    tape.add(Event::Found {
        step: files.clone(),
        finding: Finding {
            severity: Severity::Warning,
            code: "s3.rule_without_delete_markers".into(),
            what: "The replication rule does not copy delete markers".into(),
            why: "Deleted objects come back after a recovery".into(),
            action: "Turn on DeleteMarkerReplication, or accept it in writing".into(),
        },
    });
    tape.add(Event::Found {
        step: files,
        finding: Finding {
            severity: Severity::Critical,
            code: "s3.missing_copies".into(),
            what: "3 of 90112 objects have no replica: <invoices/2026-11-18.pdf> and 2 more".into(),
            why: "They are lost with the primary region".into(),
            action: "Run S3 Batch Replication for the failed objects".into(),
        },
    });
    tape.finish("files", Outcome::Failed, &[("s3:ListBucketVersions", 91, 0)]);
    restore(&mut tape);
    query(&mut tape);
    tape.finish("data", Outcome::Passed, &[]);
    tape.leave_out("deep", "files failed, and deep needs it");
    release(&mut tape, Outcome::Failed);
    Sample { plan, tape, history: history() }
}

/// A query ran over an empty table, and another could not be made.
pub(crate) fn inconclusive() -> Sample {
    let plan = plan();
    let mut tape = recover(&plan, WorldKind::Real, &[]);
    tape.after("4m");
    compare_files(&mut tape);
    restore(&mut tape);
    tape.after("1s").start("data").after("40s");
    tape.check("data", Check::made("ledger balances", "= 0", "0", true).over(0));
    tape.check("data", Check::not_made("newest row", "present", "permission denied for heartbeat"));
    tape.finish("data", Outcome::Inconclusive, &[]);
    tape.leave_out("deep", "data did not pass, and deep needs it");
    release(&mut tape, Outcome::Inconclusive);
    Sample { plan, tape, history: Vec::new() }
}

/// Cancelled while the instance was being made; it could not be removed.
pub(crate) fn cancelled() -> Sample {
    let plan = plan();
    let mut tape = recover(&plan, WorldKind::Real, &["--keep rds.db_instance"]);
    tape.after("4m");
    compare_files(&mut tape);
    tape.after("6m 30s").add(Event::ApprovalGiven {
        step: StepId::new("approve"),
        approval: Approval {
            approved: true,
            by: "mori".into(),
            identified_by: "terminal user".into(),
            comment: None,
            proof: None,
        },
    });
    tape.finish("approve", Outcome::Passed, &[]);
    tape.after("1s").start("restore");
    tape.add(Event::ResourceIntended { step: StepId::new("restore"), key: instance() });
    tape.after("9m")
        .add(Event::CancelRequested { by: "sre@bastion (interrupt)".into(), incident: false });
    tape.leave_out("data", "the run was cancelled");
    tape.leave_out("deep", "the run was cancelled");
    tape.fail("restore", FailureClass::Broken, "cancelled while waiting for the instance");
    tape.add(Event::ReleaseStarted).after("15m").add(Event::ResourceLeft {
        key: instance(),
        why: "still creating after 15m: InvalidDBInstanceState".into(),
        kept: false,
        command: "aws rds delete-db-instance --region ap-northeast-3 --db-instance-identifier redrill-orders-db-3fa9 --skip-final-snapshot".into(),
    });
    tape.add(inventory(InventoryTime::After, 13, &["redrill-orders-db-3fa9"]));
    tape.after("1s").add(Event::RunFinished { outcome: Outcome::Inconclusive });
    Sample { plan, tape, history: history() }
}

/// All samples, by name.
pub(crate) fn all() -> Vec<(&'static str, Sample)> {
    vec![
        ("passed", passed()),
        ("failed", failed()),
        ("inconclusive", inconclusive()),
        ("cancelled", cancelled()),
        ("rehearsal", rehearsal()),
    ]
}
