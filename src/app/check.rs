use super::load;
use super::organisation::InForce;
use super::output::Output;
use crate::cli::{CheckArgs, Format};
use crate::error::{ExitCode, Result};
use crate::organisation::{Asked, Exceeded};
use crate::providers;
use crate::scenario;
use crate::visible::visible;
use serde_json::json;
use std::path::Path;

/// `redrill check`
pub(super) fn check(args: &CheckArgs, output: &Output) -> Result<ExitCode> {
    let registry = providers::registry();
    let limits = InForce::of(&args.limits, output)?;
    let mut all = Vec::new();
    let mut exceeded: Vec<Exceeded> = Vec::new();
    let mut files = 0;
    let mut names = load::Names::default();
    for path in load::scenario_files(&args.scenarios)? {
        let mut loaded = scenario::load(&path, &registry);
        names.hold(&path, &mut loaded);
        files += 1;
        if args.format == Format::Text && !loaded.diagnostics.is_empty() {
            output.print(&loaded.render(output.color))?;
        }
        if let Some(scenario) = &loaded.scenario {
            let beyond = limits.exceeded(Asked::by_scenario(scenario));
            if args.format == Format::Text && !beyond.is_empty() {
                output.print(&beyond_limits(&path, &beyond))?;
            }
            exceeded.extend(beyond);
        }
        all.extend(loaded.diagnostics);
    }
    let errors = all.iter().filter(|d| d.is_error()).count();
    let warnings = all.len() - errors;
    match args.format {
        Format::Json => output.json(&json!({
            "format": 1, "files": files, "errors": errors, "warnings": warnings, "diagnostics": all,
            "beyond_limits": exceeded,
        }))?,
        Format::Text => {
            let plural =
                |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
            let summary =
                [plural(errors, "error"), plural(warnings, "warning"), plural(files, "scenario")];
            output.print(&format!("{}, {} in {}", summary[0], summary[1], summary[2]))?;
        }
    }
    let wrong = (errors > 0).then_some(ExitCode::BadInput);
    let refused = exceeded.first().map(|_| ExitCode::Refused);
    Ok(ExitCode::worst(wrong.into_iter().chain(refused).chain([ExitCode::Passed])))
}

/// What of a scenario goes beyond the limits of the organisation, where that does not depend on the mode.
fn beyond_limits(path: &Path, beyond: &[Exceeded]) -> String {
    let lines: String = beyond.iter().map(|one| format!("  {one}\n")).collect();
    let path = visible(&path.display().to_string(), &[]);
    format!("{path} goes beyond the limits of the organisation:\n{lines}")
}

/// `redrill schema`
pub(super) fn schema(output: &Output) -> Result<ExitCode> {
    output.json(&scenario::schema(&providers::registry()))?;
    Ok(ExitCode::Passed)
}
