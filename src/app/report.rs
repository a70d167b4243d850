use super::output::Output;
use super::run_one::{report_of, write_reports};
use super::runs::{RunFolder, Store};
use crate::cli::{ReportArgs, ReportFormat};
use crate::error::{ExitCode, Result};
use crate::providers;
use crate::render;
use crate::report::EarlierRun;

/// `redrill report`
pub(super) fn report(args: &ReportArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    let stored = folder.load()?;
    let plan = stored.plan;
    let number = stored.state.head.map_or(0, |head| head.number);
    let earlier = earlier_runs(store, &plan.name, number)?;
    if let Some(said) = folder.scenario_differs(&plan) {
        output.note(&said);
    }
    let Some(format) = args.format else {
        let ended = write_reports(&folder, &providers::registry(), &earlier)?;
        output.print(&ended.summary(output))?;
        ended.complain(output);
        return Ok(ended.exit_code());
    };
    let report = report_of(&folder, &providers::registry(), &earlier)?;
    let text = match format {
        ReportFormat::Html => render::html(&report)?,
        ReportFormat::Markdown => render::markdown(&report)?,
        ReportFormat::Json => render::json(&report)?,
        ReportFormat::Junit => render::junit(&report)?,
    };
    output.print(&String::from_utf8_lossy(&text))?;
    Ok(report.exit_code())
}

/// The runs of a scenario before a number, for the report: failed, cancelled and unreadable ones included.
pub(super) fn earlier_runs(store: &Store, scenario: &str, number: u32) -> Result<Vec<EarlierRun>> {
    let earlier = store.earlier(scenario, number)?;
    Ok(earlier.into_iter().map(|(number, folder)| earlier_run(number, &folder)).collect())
}

fn earlier_run(number: u32, folder: &RunFolder) -> EarlierRun {
    match folder.load() {
        Ok(stored) => EarlierRun::of(&stored.plan, &stored.contents.records),
        Err(error) => EarlierRun::unreadable(number, &folder.name(), &error.to_string()),
    }
}
