use super::output::Output;
use crate::cli::{ActionsArgs, Cli, CompletionsArgs, Format};
use crate::error::{Error, ExitCode, Result};
use crate::providers;
use crate::render;
use clap::CommandFactory;

/// `redrill actions`
pub(super) fn actions(args: &ActionsArgs, output: &Output) -> Result<ExitCode> {
    let registry = providers::registry();
    let Some(name) = &args.name else {
        match args.format {
            Format::Json => output.json(&render::actions_json(&registry))?,
            Format::Text => {
                let longest = registry.actions().map(|entry| entry.facts.name.len()).max();
                let width = longest.unwrap_or_default();
                for entry in registry.actions() {
                    output.print(&format!("{:<width$} {}", entry.facts.name, entry.facts.title))?;
                }
            }
        }
        return Ok(ExitCode::Passed);
    };
    let entry = registry.get(name).ok_or_else(|| {
        Error::bad_input(format!("there is no action {name:?}")).help("redrill actions lists them")
    })?;
    match args.format {
        Format::Json => output.json(&render::action_json(entry))?,
        Format::Text => output.print(&render::action_text(entry, &registry)?)?,
    }
    Ok(ExitCode::Passed)
}

/// `redrill completions`
pub(super) fn completions(args: &CompletionsArgs, output: &Output) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "redrill", &mut script);
    output.print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Passed)
}
