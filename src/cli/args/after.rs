//! What is asked afterwards: runs, reports, and what was left behind.

use super::{Format, LimitsArgs, TargetArgs};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `redrill runs`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  redrill runs\n  redrill runs orders-db --format json")]
pub struct RunsArgs {
    /// Only runs of this scenario.
    pub scenario: Option<String>,
    /// How the list is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill show`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill show last\n  redrill show orders-db-0003 --format json"
)]
pub struct ShowArgs {
    /// The run: its id, its folder, or `last`.
    pub run: String,
    /// How it is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Kinds of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One self-contained HTML file.
    Html,
    /// Markdown.
    Markdown,
    /// JSON, as described by `docs/schema/report.json`.
    Json,
    /// JUnit XML, for CI.
    Junit,
}

/// `redrill report`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill report last\n  redrill report orders-db-0003 --format markdown"
)]
pub struct ReportArgs {
    /// The run: its id, its folder, or `last`.
    pub run: String,
    /// Prints this format instead of writing all of them beside the journal.
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
}

/// `redrill reap`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill reap --dry-run scenarios\n  redrill reap scenarios/orders-db.yaml --format json\n  \
                        redrill reap --site ap-northeast-3=222222222222/redrill-drill --canaries uploads-prod-dr/redrill-canary/\n  \
                        redrill reap --run orders-db-0007 --all --yes\n  \
                        redrill reap --store s3://drill-evidence/redrill --store-region ap-northeast-3 --dry-run\n\n\
                        Exit codes: 0 nothing is left that should be gone · 2 something could not be asked · 4 refused by the guard · \
                        5 something could not be removed."
)]
pub struct ReapArgs {
    /// Scenario files, or folders of them, at whose sites is looked. Without any, and without --site, at the sites of the
    /// runs in the runs folder.
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// A further site to look at; may be repeated: `ap-northeast-3`, `ap-northeast-3=222222222222`,
    /// `ap-northeast-3=222222222222/redrill-drill` with the role that is assumed.
    #[arg(long = "site", value_name = "REGION[=ACCOUNT[/ROLE]]")]
    pub sites: Vec<String>,
    /// A further place to look for canaries in; may be repeated.
    #[arg(long = "canaries", value_name = "BUCKET[/PREFIX]")]
    pub canaries: Vec<String>,
    /// Only what this run has left: its id, its folder, or `last`.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// Also reads the journals that runs have kept in this store (`redrill run --store`): s3://BUCKET/PREFIX. For when the disk of
    /// the runner is gone, too. Nothing is written there.
    #[arg(long, value_name = "S3-URL", conflicts_with = "sandbox")]
    pub store: Option<String>,
    /// The region of the store's bucket; without it, that of the environment or the profile.
    #[arg(long, value_name = "REGION", requires = "store")]
    pub store_region: Option<String>,
    /// Shows what would be removed, and removes nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Also removes what has not expired; needs --yes. Nothing of a run that is at work, that can be resumed before it
    /// expires, or that was a recovery.
    #[arg(long)]
    pub all: bool,
    /// Confirms --all.
    #[arg(long, requires = "all")]
    pub yes: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub target: TargetArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub limits: LimitsArgs,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
