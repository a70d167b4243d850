use super::load;
use super::output::Output;
use crate::cli::{RunbookArgs, ScenarioArgs};
use crate::error::{Error, ExitCode, Result};
use crate::plan::RunMode;
use crate::providers;
use crate::render;

/// `redrill runbook`
pub(super) fn runbook(args: &RunbookArgs, output: &Output) -> Result<ExitCode> {
    let registry = providers::registry();
    let values =
        |mode: &str| ScenarioArgs { mode: mode.to_owned(), set: args.set.clone(), inputs: None };
    let paths = [args.scenario.clone()];
    let recovery = load::plans(&paths, &registry, RunMode::Recovery, &values("recovery"), output)?;
    let drill = load::plans(&paths, &registry, RunMode::Drill, &values("drill"), output)?;
    for (recovery, drill) in recovery.iter().zip(&drill) {
        let text = render::runbook(&recovery.plan, &drill.plan.vars, &registry)
            .map_err(|e| Error::broken(format!("the runbook cannot be written: {e}")))?;
        match &args.output {
            None => output.print(&text)?,
            Some(file) => std::fs::write(file, text)
                .map_err(|e| Error::broken(format!("{} cannot be written: {e}", file.display())))?,
        }
    }
    Ok(ExitCode::Passed)
}
