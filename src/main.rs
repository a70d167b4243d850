//! The `redrill` program: reads the arguments, calls [`redrill::app`], prints an error once, and exits with its code.

use clap::Parser;
use redrill::cli::Cli;
use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "the one place where an error is printed")]
fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| eprintln!("{}", redrill::error::of_panic(panic))));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; everything else is bad input.
            let code =
                if error.use_stderr() { redrill::error::ExitCode::BadInput.number() } else { 0 };
            return if error.print().is_ok() { code.into() } else { ExitCode::FAILURE };
        }
    };
    match redrill::app::main(cli) {
        Ok(code) => code.number().into(),
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(help) = error.help_text() {
                eprintln!("help: {help}");
            }
            error.exit_code().number().into()
        }
    }
}
