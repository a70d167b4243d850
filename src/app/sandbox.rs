use super::estate;
use super::output::Output;
use crate::cli::{Format, SandboxCommand, ServeArgs};
use crate::error::{Error, ExitCode, Result};
use crate::sandbox::{self, World};
use crate::time::Clock;
use serde_json::json;

/// `redrill sandbox …`
pub(super) fn sandbox(command: SandboxCommand, output: &Output) -> Result<ExitCode> {
    match command {
        SandboxCommand::Serve(args) => serve(&args, output),
        SandboxCommand::Operations(args) if args.format == Format::Json => {
            let row = |operation: &sandbox::Operation| {
                json!({
                    "service": operation.service, "operation": operation.name,
                    "fidelity": operation.fidelity,
                })
            };
            let rows: Vec<_> = sandbox::operations().map(row).collect();
            output.json(&json!({ "format": 1, "operations": rows }))?;
            Ok(ExitCode::Passed)
        }
        SandboxCommand::Operations(_) => {
            for operation in sandbox::operations() {
                output.print(&format!(
                    "{:<16} {:<40} {}",
                    operation.service, operation.name, operation.fidelity
                ))?;
            }
            Ok(ExitCode::Passed)
        }
    }
}

fn serve(args: &ServeArgs, output: &Output) -> Result<ExitCode> {
    let estate = estate::read(&args.estate)?;
    let faults = estate::faults(&args.faults)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::broken(format!("the runtime cannot be started: {e}")))?;
    runtime.block_on(async {
        let clock = Clock::accelerated(estate.now, args.speed);
        let world = World::open(estate, clock, faults);
        let server = sandbox::Server::bind(world, args.listen, sandbox::Reach::Loopback).await?;
        output.note(&format!("the estate is served at http://{} until ^C", server.address()));
        let until = async {
            let _ = tokio::signal::ctrl_c().await;
        };
        server.run(until).await;
        Ok(ExitCode::Passed)
    })
}
