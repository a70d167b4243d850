use super::output::Output;
use super::run_one::{report_of, write_reports};
use super::runs::{RunFolder, Store};
use crate::cli::{ReportArgs, ReportFormat};
use crate::error::{Error, ExitCode, Result};
use crate::ids::RunId;
use crate::journal::WorldKind;
use crate::providers;
use crate::render;
use crate::report::EarlierRun;
use chrono::DateTime;

/// `redrill report`
pub(super) fn report(args: &ReportArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    let plan = folder.plan()?;
    let number = folder.load()?.state.head.map_or(0, |head| head.number);
    let earlier = earlier_runs(store, &plan.name, number)?;
    let Some(format) = args.format else {
        let ended = write_reports(&folder, &providers::registry(), &earlier)?;
        output.print(&ended.summary(output))?;
        return Ok(ExitCode::of_number(ended.report.exit.code));
    };
    let report = report_of(&folder, &providers::registry(), &earlier)?;
    let text = match format {
        ReportFormat::Html => render::html(&report)?,
        ReportFormat::Markdown => render::markdown(&report)?,
        ReportFormat::Json => render::json(&report)?,
        ReportFormat::Junit => render::junit(&report)?,
    };
    output.print(&text)?;
    Ok(ExitCode::of_number(report.exit.code))
}

/// The runs of a scenario before a number, for the report: failed, cancelled and unreadable ones included.
pub(super) fn earlier_runs(store: &Store, scenario: &str, number: u32) -> Result<Vec<EarlierRun>> {
    let earlier = store.earlier(scenario, number)?;
    Ok(earlier.into_iter().map(|(number, folder)| earlier_run(number, &folder)).collect())
}

fn earlier_run(number: u32, folder: &RunFolder) -> EarlierRun {
    match report_of(folder, &providers::registry(), &[]) {
        Ok(report) => EarlierRun {
            number,
            run: report.run.id,
            started: report.run.started,
            verdict: (!report.exit.unfinished).then_some(report.verdict.verdict),
            world: report.run.world,
            cancelled: report.exit.cancelled_by.is_some(),
        },
        Err(error) => unreadable(number, folder, &error),
    }
}

/// A run whose journal or plan does not verify is listed all the same, as one that never came to an end.
fn unreadable(number: u32, folder: &RunFolder, error: &Error) -> EarlierRun {
    let written = std::fs::metadata(&folder.path).and_then(|folder| folder.modified());
    EarlierRun {
        number,
        run: RunId::new(format!("{} ({error})", folder.name())),
        started: written.map_or(DateTime::UNIX_EPOCH, DateTime::from),
        verdict: None,
        world: WorldKind::Real,
        cancelled: false,
    }
}
