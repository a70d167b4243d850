use super::RenderError;
use crate::journal::Outcome;
use crate::report::{CheckReport, ObjectiveOutcome, Report};
use crate::visible::visible;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

/// The report as `JUnit` XML: one test case for each check that counts, for each step that did not end as one of its checks
/// did, for each objective and for each other rule of the verdict. Failed is a failure, inconclusive and not run are errors, skipped is skipped.
///
/// # Errors
/// A [`RenderError`], which a report made by this program does not cause.
pub fn junit(report: &Report) -> Result<Vec<u8>, RenderError> {
    let run = &report.run;
    let mut output =
        quick_junit::Report::new(format!("{} ({})", report.scenario.name, report.verdict.text));
    output.set_timestamp(run.started);
    output.set_time(run.duration.0);
    let mut checks = TestSuite::new("checks");
    checks.set_timestamp(run.started);
    checks.add_property(("run", run.id.as_str()));
    checks.add_property(("verdict", report.verdict.text.as_str()));
    for ladder in &report.depth {
        let reached = ladder.reached.as_deref().unwrap_or("none");
        checks.add_property((format!("depth.{}", ladder.ladder).as_str(), reached));
    }
    checks.add_property(("journal", run.journal.to_string().as_str()));
    for check in report.checks.iter().filter(|check| !check.superseded) {
        checks.add_test_case(check_case(report, check));
    }
    for step in &report.timeline.steps {
        let of_step = |check: &&CheckReport| check.step == step.id && !check.superseded;
        let mut checks_of_step = report.checks.iter().filter(of_step);
        if !checks_of_step.any(|check| check.check.outcome == step.outcome) {
            let why = step.why.clone().unwrap_or_default();
            let mut case =
                TestCase::new(step.id.as_str(), status(step.outcome, step.required, &why));
            case.set_classname(class(report, step.id.as_str()));
            case.set_time(step.duration.unwrap_or_default().0);
            checks.add_test_case(case);
        }
    }
    output.add_test_suite(checks);
    output.add_test_suite(objectives(report));
    let mut text = output.to_string().map_err(|why| RenderError::new("JUnit report", why))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text.into_bytes())
}

/// Text as it can stand in XML, where some characters are not allowed at all.
fn shown(text: &str) -> String {
    visible(text, &['\n', '\t'])
}

fn class(report: &Report, part: &str) -> String {
    format!("{}.{part}", report.scenario.name)
}

fn check_case(report: &Report, check: &CheckReport) -> TestCase {
    let seen = &check.check;
    let mut text = format!("expected {}, observed {}", seen.expected, seen.observed);
    if let Some(note) = &seen.note {
        text.push_str(&format!(": {note}"));
    }
    let status = status(seen.outcome, check.required, &text);
    let mut case = TestCase::new(shown(&seen.name), status);
    case.set_classname(class(report, check.step.as_str()));
    case.set_timestamp(check.at);
    case
}

/// What is not required is told as skipped when it did not pass: a CI system would turn the build red, and the verdict is
/// not.
fn status(outcome: Outcome, required: bool, text: &str) -> TestCaseStatus {
    let mut status = match outcome {
        Outcome::Passed => return TestCaseStatus::success(),
        Outcome::Skipped => TestCaseStatus::skipped(),
        _ if !required => TestCaseStatus::skipped(),
        Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::Inconclusive | Outcome::NotRun => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
    };
    status.set_message(format!("{outcome}: {}", shown(text)));
    status
}

fn objectives(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new("objectives");
    suite.set_timestamp(report.run.started);
    for (name, outcome) in report.objectives.outcomes() {
        let mut status = match outcome {
            ObjectiveOutcome::Met => TestCaseStatus::success(),
            ObjectiveOutcome::Missed => TestCaseStatus::non_success(NonSuccessKind::Failure),
            ObjectiveOutcome::NotMeasured => TestCaseStatus::non_success(NonSuccessKind::Error),
        };
        let rule = report.verdict.rules.iter().find(|rule| rule.id == "objectives");
        let because =
            rule.iter().flat_map(|rule| &rule.because).find(|text| text.starts_with(name));
        if outcome != ObjectiveOutcome::Met {
            status.set_message(shown(because.map_or("no value", String::as_str)));
        }
        let mut case = TestCase::new(name, status);
        case.set_classname(class(report, "objectives"));
        suite.add_test_case(case);
    }
    for rule in report.verdict.rules.iter().filter(|rule| rule.id != "objectives") {
        let mut status = match rule.effect {
            _ if rule.holds => TestCaseStatus::success(),
            crate::report::Verdict::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
            _ => TestCaseStatus::non_success(NonSuccessKind::Error),
        };
        if !rule.holds {
            status.set_message(shown(&rule.because.join("; ")));
        }
        let mut case = TestCase::new(rule.statement.as_str(), status);
        case.set_classname(class(report, "verdict"));
        suite.add_test_case(case);
    }
    suite
}
