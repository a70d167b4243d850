use super::load;
use super::output::Output;
use crate::cli::{CheckArgs, Format};
use crate::error::{ExitCode, Result};
use crate::providers;
use crate::scenario;
use serde_json::json;

/// `redrill check`
pub(super) fn check(args: &CheckArgs, output: &Output) -> Result<ExitCode> {
    let registry = providers::registry();
    let mut all = Vec::new();
    let mut files = 0;
    for path in load::scenario_files(&args.scenarios)? {
        let loaded = scenario::load(&path, &registry);
        files += 1;
        if args.format == Format::Text && !loaded.diagnostics.is_empty() {
            output.print(&loaded.render(output.color))?;
        }
        all.extend(loaded.diagnostics);
    }
    let errors = all.iter().filter(|d| d.is_error()).count();
    let warnings = all.len() - errors;
    match args.format {
        Format::Json => output.json(&json!({
            "format": 1, "files": files, "errors": errors, "warnings": warnings, "diagnostics": all,
        }))?,
        Format::Text => {
            let plural =
                |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
            let summary =
                [plural(errors, "error"), plural(warnings, "warning"), plural(files, "scenario")];
            output.print(&format!("{}, {} in {}", summary[0], summary[1], summary[2]))?;
        }
    }
    Ok(if errors == 0 { ExitCode::Passed } else { ExitCode::BadInput })
}

/// `redrill schema`
pub(super) fn schema(output: &Output) -> Result<ExitCode> {
    output.json(&scenario::schema(&providers::registry()))?;
    Ok(ExitCode::Passed)
}
