use super::beside::Stays;
use super::critical::critical_path;
use super::depth::depth;
use super::fold::Fold;
use super::model::{ExitReport, Report, RunReport, ScenarioReport, Verdict, VerdictReport};
use super::objectives::objectives;
use super::parts::{EarlierRun, InventoryReport, ResourceReport, Timeline};
use super::{beside, inventory, omissions, rules, selfcheck, tables};
use crate::action::Registry;
use crate::error::{Error, ExitCode};
use crate::ids::{Digest, StepId};
use crate::journal::{Event, FailureClass, Record, WorldKind, digest_of};
use crate::plan::Plan;

/// Why there is no report. Never about the recovery: a bad backup makes a report, with the verdict `failed`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The journal has no records.
    #[error("the journal is empty")]
    Empty,
    /// The journal does not begin as one.
    #[error("the journal does not begin with the start of a run")]
    NoStart,
    /// The journal belongs to another plan.
    #[error("the journal was written for the plan {journal}, and this is the plan {plan}")]
    OtherPlan {
        /// The digest in the journal.
        journal: Digest,
        /// The digest of the plan that was handed in.
        plan: Digest,
    },
    /// A record is missing.
    #[error("record {found} of the journal stands where record {expected} should be")]
    Gap {
        /// The position in the journal.
        expected: u64,
        /// The position that the record gives.
        found: u64,
    },
    /// A record speaks of a step that the plan does not have.
    #[error("record {seq} of the journal is about step {step:?}, which the plan does not have", step = step.as_str())]
    UnknownStep {
        /// The step.
        step: StepId,
        /// The record.
        seq: u64,
    },
    /// The journal, or the report and the journal, contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

impl ReportError {
    pub(super) fn contradiction(seq: u64, what: impl std::fmt::Display) -> Self {
        Self::Contradiction(format!("record {seq} of the journal: {what}"))
    }
}

impl From<ReportError> for Error {
    fn from(error: ReportError) -> Self {
        Self::broken(format!("cannot make a report: {error}")).help(
            "check the journal with `redrill verify`; a journal that was changed is no evidence",
        )
    }
}

/// Says what a run means.
///
/// `history` are the earlier runs of the scenario, in any order; those that are not earlier are left out. `registry` says
/// which actions were never exercised against real AWS.
///
/// # Errors
/// A [`ReportError`] when the records are not the journal of a run of this plan, or when the report would contradict them.
pub fn report(
    plan: &Plan,
    records: &[Record],
    history: &[EarlierRun],
    registry: &Registry,
) -> Result<Report, ReportError> {
    let fold = Fold::of(plan, records)?;
    let run = run_report(plan, &fold, records)?;
    let critical_path = critical_path(plan, &fold);
    let objectives = objectives(plan, &fold, &critical_path);
    let resources = tables::resources(&fold, registry);
    let stays = beside::beside(plan, registry, (&run.world, records), &resources);
    let inventory = inventory::inventory(plan, registry, &fold, (&resources, &stays));
    let mut deviations = stated_deviations(&fold);
    for deviation in &plan.deviations {
        if !deviations.contains(deviation) {
            deviations.push(deviation.clone());
        }
    }
    deviations.extend(rules::resource_deviations(&resources));
    rules::of_an_incident(plan, &fold, &resources, &mut deviations);
    let rules = rules::rules(plan, &fold, &objectives, (&resources, &inventory));
    let verdict = rules.iter().map(|rule| rule.effect).max().unwrap_or(Verdict::Inconclusive);
    let mut history: Vec<_> =
        history.iter().filter(|earlier| earlier.number < run.number).cloned().collect();
    history.sort_by_key(|earlier| earlier.number);
    let mut report = Report {
        format: 1,
        verdict: verdict_report(verdict, rules, &run.world, !fold.cancelled.is_empty()),
        rehearsal: run.world.is_rehearsal(),
        exit: exit_report(&fold, verdict, &resources, &inventory),
        scenario: scenario_report(plan),
        sites: tables::sites(plan, &fold),
        objectives,
        depth: depth(plan, &fold),
        clock: tables::clock(plan, &fold),
        recovery_points: tables::recovery_points(plan, &fold),
        timeline: Timeline { steps: tables::steps(plan, &fold, &critical_path), critical_path },
        checks: tables::checks(plan, &fold),
        findings: tables::findings(&fold),
        resources,
        inventory,
        approvals: tables::approvals(&fold),
        calls: tables::calls(plan, &fold),
        deviations,
        omissions: Vec::new(),
        history,
        run,
    };
    report.exit.code = report.exit_code().number();
    report.omissions = omissions::omissions(plan, &report, registry);
    report.omissions.extend(omissions::of_the_journal(&fold));
    report.omissions.extend(stays.iter().map(Stays::omission));
    selfcheck::check(plan, records, &report)?;
    Ok(report)
}

/// The digest of the last line of a journal, from its records. [`Digest::ZERO`] when there are none.
pub fn journal_digest(records: &[Record]) -> Digest {
    records.last().map_or(Digest::ZERO, digest_of)
}

/// The JSON Schema of a report, published as `docs/schema/report.json`.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Report).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), "redrill report, format 1".into());
    }
    schema
}

fn run_report(plan: &Plan, fold: &Fold<'_>, records: &[Record]) -> Result<RunReport, ReportError> {
    let Event::RunStarted {
        run,
        number,
        plan: plan_digest,
        scenario_digest,
        mode,
        world,
        tool,
        operator,
        seed,
        expires,
        ..
    } = fold.started
    else {
        return Err(ReportError::NoStart);
    };
    let plan = plan.digest();
    if *plan_digest != plan {
        return Err(ReportError::OtherPlan { journal: *plan_digest, plan });
    }
    Ok(RunReport {
        id: run.clone(),
        number: *number,
        mode: mode.clone(),
        world: world.clone(),
        tool: tool.clone(),
        operator: operator.clone(),
        seed: *seed,
        started: fold.first.at,
        ended: fold.last.at,
        duration: fold.last.since(fold.first),
        resumed: fold.absences.len().try_into().unwrap_or(u32::MAX),
        standstills: tables::standstills(fold),
        expires: *expires,
        records: records.len() as u64,
        journal: journal_digest(records),
        plan,
        scenario: *scenario_digest,
        limits: fold.limits.iter().copied().cloned().collect(),
    })
}

fn stated_deviations(fold: &Fold<'_>) -> Vec<String> {
    match fold.started {
        Event::RunStarted { deviations, .. } => deviations.clone(),
        _ => Vec::new(),
    }
}

fn scenario_report(plan: &Plan) -> ScenarioReport {
    ScenarioReport {
        name: plan.name.clone(),
        title: plan.title.clone(),
        about: plan.about.clone(),
        system: plan.system.clone(),
        tier: plan.tier,
        owner: plan.owner.clone(),
        contacts: plan.contacts.clone(),
        disaster: plan.disaster.kind.as_str().to_owned(),
        lost: plan.disaster.lost.clone(),
        data_class: plan.data.class.clone(),
    }
}

fn verdict_report(
    verdict: Verdict,
    rules: Vec<super::model::Rule>,
    world: &WorldKind,
    cancelled: bool,
) -> VerdictReport {
    let said = match cancelled {
        true => format!("cancelled, {}", verdict.as_str()),
        false => verdict.as_str().to_owned(),
    };
    let (text, notice) = match world {
        WorldKind::Real => (said, None),
        WorldKind::Endpoint { url } => (
            format!("{said}, against {url}: not evidence of recovery on AWS"),
            Some(format!(
                "NOT AWS: every service was answered by {url}, so nothing in here is evidence of recovery"
            )),
        ),
        WorldKind::Rehearsal { estate } => (
            format!("rehearsal: {said}, not evidence of recovery"),
            Some(format!(
                "REHEARSAL in the sandbox ({estate}): everything was simulated, nothing in here is evidence of recovery"
            )),
        ),
    };
    VerdictReport { outcome: verdict, text, notice, rules }
}

fn exit_report(
    fold: &Fold<'_>,
    verdict: Verdict,
    resources: &[ResourceReport],
    inventory: &InventoryReport,
) -> ExitReport {
    let refused = rules::failures(fold, FailureClass::Refused);
    let left_behind = resources.iter().filter(|resource| resource.state.is_left_behind()).count()
        + inventory::unexpected(&inventory.lines).len();
    let cancelled_by = fold.cancelled.first().map(|(_, by)| (*by).to_owned());
    ExitReport {
        // Decided by the whole report, once there is one.
        code: ExitCode::Inconclusive.number(),
        verdict,
        left_behind,
        cancelled_by,
        incident: fold.incident.is_some(),
        unfinished: fold.finished.is_none(),
        refused: refused.into_iter().map(|(_, text)| text).collect(),
    }
}
