use super::load;
use super::output::Output;
use super::run_one::report_of;
use super::runs::Store;
use crate::action::Registry;
use crate::cli::{RunbookArgs, ScenarioArgs};
use crate::error::{Error, ExitCode, Result};
use crate::plan::RunMode;
use crate::providers;
use crate::render::{self, LastDrill};

/// `redrill runbook`
pub(super) fn runbook(args: &RunbookArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let registry = providers::registry();
    let values =
        |mode: &str| ScenarioArgs { mode: mode.to_owned(), set: args.set.clone(), inputs: None };
    let paths = [args.scenario.clone()];
    let recovery = load::plans(&paths, &registry, RunMode::Recovery, &values("recovery"), output)?;
    let drill = load::plans(&paths, &registry, RunMode::Drill, &values("drill"), output)?;
    for (recovery, drill) in recovery.iter().zip(&drill) {
        let last = last_drill(&recovery.plan.name, &registry, store)?;
        let vars = &drill.plan.vars;
        let text = match last {
            Some(last) => render::runbook_after(&recovery.plan, vars, &registry, &last)?,
            None => render::runbook(&recovery.plan, vars, &registry)?,
        };
        match &args.output {
            None => output.print(&text)?,
            Some(file) => std::fs::write(file, text)
                .map_err(|e| Error::broken(format!("{} cannot be written: {e}", file.display())))?,
        }
    }
    Ok(ExitCode::Passed)
}

/// The newest drill of a scenario that came to its end. Rehearsals do not count: they prove nothing about a recovery.
fn last_drill(scenario: &str, registry: &Registry, store: &Store) -> Result<Option<LastDrill>> {
    for (_, folder) in store.earlier(scenario, u32::MAX)?.iter().rev() {
        let Ok(report) = report_of(folder, registry, &[]) else { continue };
        if !report.rehearsal && !report.exit.unfinished && report.run.mode == "drill" {
            return Ok(Some(LastDrill::of(&report)));
        }
    }
    Ok(None)
}
