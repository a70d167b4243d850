//! The command line as types: what all commands share, and the list of them.

mod after;
mod before;
mod drill;
mod tools;

pub use after::{ReapArgs, ReportArgs, ReportFormat, RunsArgs, ShowArgs};
pub use before::{
    ActionsArgs, CheckArgs, IamArgs, IamDocument, PlanArgs, PreflightArgs, RunbookArgs, SchemaArgs,
    TrustKind,
};
pub use drill::{AbortArgs, AnswerArgs, InStoreArgs, ResumeArgs, RunArgs, SteerArgs};
pub use tools::{
    CompletionsArgs, EtcdCommand, EtcdDiffArgs, EtcdInventoryArgs, EtcdVerifyArgs, FingerprintArgs,
    OperationsArgs, SandboxCommand, ServeArgs, SqlCommand,
};

use crate::plan::RunMode;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Rehearses disasters: runs restore drills from declarative scenarios, times them against RTO and RPO, and leaves
/// evidence that can be checked.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 passed · 1 failed · 2 inconclusive · 3 bad scenario or command line · 4 refused by the guard · \
                  5 resources left behind · 130 cancelled. Where several apply, the first of 4, 3, 130, 1, 5, 2, 0; leftovers also \
                  stand in the JSON as exit.left_behind.\n\n\
                  Try it, with no account and no server:\n  redrill run scenarios/orders-db.yaml --sandbox"
)]
pub struct Cli {
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
    /// Where runs are kept.
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        default_value = "runs",
        env = "REDRILL_RUNS"
    )]
    pub runs_dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On terminals, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How output is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios, and write a report of each.
    Run(RunArgs),
    /// Go on with a run whose process ended early.
    Resume(ResumeArgs),
    /// Halt a run that is under way: nothing more is started or removed.
    Pause(SteerArgs),
    /// Let a halted run go on.
    Continue(SteerArgs),
    /// End a run early, and remove what it made.
    Abort(AbortArgs),
    /// Find what runs have left behind, and remove what has expired.
    Reap(ReapArgs),
    /// Report everything that is wrong with scenarios, without any network.
    Check(CheckArgs),
    /// Show what a run would do, in which order. Nothing is called.
    Plan(PlanArgs),
    /// Print the least-privilege IAM policies of a scenario, and who may assume its roles. Nothing is called.
    Iam(IamArgs),
    /// Ask, before the day of the drill, whether a scenario could run: read-only.
    Preflight(PreflightArgs),
    /// List runs.
    Runs(RunsArgs),
    /// Show a run as it happened.
    Show(ShowArgs),
    /// Write the reports of a run again, from its journal alone.
    Report(ReportArgs),
    /// Write the runbook by which people do the same by hand.
    Runbook(RunbookArgs),
    /// Approve what a step of a run asks.
    #[command(
        after_help = "Examples:\n  redrill approve orders-db-0003 cut-over --comment 'agreed with the owner'\n  \
                      redrill approve last cut-over --sign-with ~/.ssh/id_ed25519.pub"
    )]
    Approve(AnswerArgs),
    /// Reject what a step of a run asks.
    #[command(after_help = "Examples:\n  redrill reject last cut-over\n  \
                      redrill reject orders-db-0003 cut-over --comment 'the owner needs another day'")]
    Reject(AnswerArgs),
    /// Describe what steps can do: inputs, outputs, checks, permissions.
    Actions(ActionsArgs),
    /// Print the JSON Schema of scenarios, for editors.
    Schema(SchemaArgs),
    /// Snapshots of etcd, read without restoring them.
    #[command(subcommand)]
    Etcd(EtcdCommand),
    /// References of databases, which restored copies are compared with.
    #[command(subcommand)]
    Sql(SqlCommand),
    /// The simulated estate behind rehearsals.
    #[command(
        subcommand,
        after_help = "Examples:\n  redrill sandbox serve --estate scenarios/estates/orders-db.yaml\n  redrill sandbox operations"
    )]
    Sandbox(SandboxCommand),
    /// Print completions for a shell.
    Completions(CompletionsArgs),
}

impl Command {
    /// True when what it prints on standard output is JSON.
    pub fn answers_in_json(&self) -> bool {
        let format = match self {
            Self::Run(args) => args.format,
            Self::Resume(args) => args.format,
            Self::Abort(args) => args.format,
            Self::Reap(args) => args.format,
            Self::Check(args) => args.format,
            Self::Plan(args) => args.format,
            Self::Iam(args) => args.format,
            Self::Preflight(args) => args.format,
            Self::Runs(args) => args.format,
            Self::Show(args) => args.format,
            Self::Actions(args) => args.format,
            Self::Sandbox(SandboxCommand::Operations(args)) => args.format,
            Self::Etcd(EtcdCommand::Verify(args)) => args.format,
            Self::Etcd(EtcdCommand::Inventory(args)) => args.format,
            Self::Etcd(EtcdCommand::Diff(args)) => args.format,
            Self::Report(args) => return args.format == Some(ReportFormat::Json),
            _ => return false,
        };
        format == Format::Json
    }
}

/// A scenario, made ready with values.
#[derive(Clone, Debug, Args)]
pub struct ScenarioArgs {
    /// `drill`: an isolated copy, removed afterwards. `recovery`: the real thing.
    #[arg(long, value_parser = ["drill", "recovery"], default_value = "drill")]
    pub mode: String,
    /// Gives an input of the scenario a value; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub set: Vec<(String, String)>,
    /// A YAML or JSON file with values of inputs; `--set` wins over it.
    #[arg(long, value_name = "FILE")]
    pub inputs: Option<PathBuf>,
}

impl ScenarioArgs {
    /// The mode, which the parser has checked.
    pub fn mode(&self) -> RunMode {
        if self.mode == "recovery" { RunMode::Recovery } else { RunMode::Drill }
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// In which world.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// Rehearse in the sandbox: simulated, takes seconds, needs nothing, proves nothing about real backups.
    #[arg(long)]
    pub sandbox: bool,
    /// The estate of the rehearsal: a file, or the name of a variant that lies beside the scenario's own
    /// (`no-copies` for `estates/orders-db.no-copies.yaml`).
    #[arg(long, value_name = "FILE|VARIANT", requires = "sandbox")]
    pub estate: Option<String>,
    /// Adds a fault to the estate, such as `rds:RestoreDBInstanceFromDBSnapshot#1=throttle`; may be repeated.
    #[arg(long = "fault", value_name = "FAULT", requires = "sandbox")]
    pub faults: Vec<String>,
    /// Sends every AWS call to this address: a test server, on whatever machine.
    #[arg(long, value_name = "URL", conflicts_with = "sandbox", value_parser = endpoint)]
    pub endpoint_url: Option<String>,
}

/// What the organisation allows.
#[derive(Clone, Debug, Default, Args)]
pub struct LimitsArgs {
    /// A file with limits of the organisation (accounts, regions, longest duration, resources, modes) that no scenario can widen;
    /// may be repeated: all of them hold, and the one that the environment variable REDRILL_LIMITS names.
    #[arg(long = "limits", value_name = "FILE")]
    pub limits: Vec<PathBuf>,
}

/// Where the journal is kept besides the disk.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// Keeps the journal in S3, too, before anything is done: s3://BUCKET/PREFIX. Another machine can then go on with
    /// `redrill resume s3://BUCKET/PREFIX/RUN`.
    #[arg(long, value_name = "S3-URL")]
    pub store: Option<String>,
    /// The region of the store's bucket; without it, that of the environment or the profile.
    #[arg(long, value_name = "REGION")]
    pub store_region: Option<String>,
}

/// An address stands in journals and reports: nothing secret can be in it.
fn endpoint(text: &str) -> Result<String, String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') || rest.contains(['?', '#']) {
        return Err(
            "a user, a password or a query must not stand in the address: it is written down"
                .into(),
        );
    }
    let is_address = reqwest::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match is_address {
        true => Ok(text.to_owned()),
        false => Err("that is not an address: write http://HOST:PORT or https://HOST".into()),
    }
}
