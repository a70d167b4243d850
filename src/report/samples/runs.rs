//! Runs, as the engine would have written them.

use super::planned::{plan, registry};
use crate::ids::{RunId, SiteName, StepId};
use crate::journal::{
    Approval, CallSeen, Check, ClockPoint, Event, Failure, FailureClass, Finding, Inventory,
    InventoryItem, InventoryTime, Measure, Outcome, Record, RecoveryPoint, ResourceKey, Severity,
    StepResult, Wait, WorldKind,
};
use crate::plan::Plan;
use crate::report::{EarlierRun, Report, Verdict, journal_digest, report};
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde_json::json;

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
        let prev = journal_digest(&self.records);
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
        limits: Vec::new(),
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
            not_newer_than: None,
            kept_at: None,
            goes_on: false,
        },
    });
    tape.finish("point", Outcome::Passed, &[("rds:DescribeDBSnapshots", 3, 1)]);
    tape.start("approve").add(Event::ApprovalRequested {
        step: StepId::new("approve"),
        text: "Restore orders-2026-11-19 at dr?".into(),
        deadline: Utc.with_ymd_and_hms(2026, 11, 20, 2, 0, 0).unwrap(),
        signed_by: None,
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
            identity: None,
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
            not_newer_than: None,
            kept_at: None,
            goes_on: false,
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
    tape.after("8m").add(Event::ResourceReleased {
        key: instance(),
        how: "deleted".into(),
        calls: Vec::new(),
    });
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
            identity: None,
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
        calls: Vec::new(),
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
