//! The `redrill` program: reads the arguments, calls [`redrill::app`], prints an error once, and exits with its code.

use clap::Parser;
use redrill::cli::Cli;
use redrill::visible::visible;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| say(&redrill::error::of_panic(panic))));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; everything else is bad input.
            return match (error.use_stderr(), error.print()) {
                (true, _) => redrill::error::ExitCode::BadInput.number().into(),
                (false, Ok(())) => ExitCode::SUCCESS,
                (false, Err(_)) => ExitCode::FAILURE,
            };
        }
    };
    match redrill::app::main(cli) {
        Ok(code) => code.number().into(),
        Err(error) => {
            say(&format!("error: {error}"));
            if let Some(help) = error.help_text() {
                say(&format!("help: {help}"));
            }
            error.exit_code().number().into()
        }
    }
}

/// The one place where an error is printed. It may hold what a service has answered, which must not write to the terminal. Where
/// nobody can read it, the exit code tells all the same: `eprintln!` would panic.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", visible(text, &['\n', '\t']));
}
