use super::load;
use super::organisation::InForce;
use super::output::Output;
use crate::cli::{Format, PlanArgs};
use crate::error::{ExitCode, Result};
use crate::organisation::Asked;
use crate::plan;
use crate::providers;

/// `redrill plan`
pub(super) fn plan(args: &PlanArgs, output: &Output) -> Result<ExitCode> {
    let registry = providers::registry();
    let limits = InForce::of(&args.limits, output)?;
    let paths = [args.scenario.clone()];
    for ready in load::plans(&paths, &registry, args.values.mode(), &args.values, output)? {
        limits.hold(&ready.path.display().to_string(), Asked::by(&ready.plan))?;
        let outline = plan::outline(&ready.plan, &registry);
        match args.format {
            Format::Json => output.json(&outline)?,
            Format::Text => output.print(&outline.render())?,
        }
    }
    Ok(ExitCode::Passed)
}
