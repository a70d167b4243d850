//! A drill and those who steer it: run, resume, pause, abort, approve.

use super::{Format, LimitsArgs, ScenarioArgs, StoreArgs, TargetArgs, endpoint};
use crate::time::HumanDuration;
use clap::Args;
use std::path::PathBuf;

/// `redrill run`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  redrill run scenarios/orders-db.yaml --sandbox\n  \
                        redrill run scenarios --sandbox --jobs 4 --format json\n  \
                        redrill run drills/orders-db.yaml --set instance=orders-db --keep 2h\n  \
                        redrill run drills/orders-db.yaml --limits limits.yaml\n\n\
                        The first ^C removes what was made and writes the report; a second one leaves at once.")]
pub struct RunArgs {
    /// Scenario files, or folders of them.
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub scenario: ScenarioArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub target: TargetArgs,
    /// Seed of everything that looks random; without it, that of the estate or of the moment.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Leaves the resources for this long instead of removing them. It is a deviation and stands in the report.
    #[arg(long, value_name = "DURATION")]
    pub keep: Option<HumanDuration>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub store: StoreArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub limits: LimitsArgs,
    /// How many scenarios run at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// How the summary is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Shows no progress, only the summary.
    #[arg(long, short)]
    pub quiet: bool,
}

/// How a run is gone on with whose journal is in a store, too.
#[derive(Clone, Debug, Default, Args)]
pub struct InStoreArgs {
    /// The region of the store's bucket; without it, that of the environment or the profile.
    #[arg(long, value_name = "REGION")]
    pub store_region: Option<String>,
    /// Takes over a run that another process holds in the store. Make sure first that this process is dead.
    #[arg(long)]
    pub take_over: bool,
    /// Leaves out a store that does not answer, for a run that only gives back what it made: by the journal on this disk. Make sure
    /// first that no other machine works on it.
    #[arg(long, conflicts_with = "take_over")]
    pub without_store: bool,
}

/// `redrill resume`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill resume last\n  redrill resume orders-db-0003 --format json\n  \
                  redrill resume s3://drills/journals/orders-db-0003-1f2e3d --take-over"
)]
pub struct ResumeArgs {
    /// The run: its id, its folder, `last`, or its address in a store: s3://BUCKET/PREFIX/RUN.
    pub run: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub in_store: InStoreArgs,
    /// Sends every AWS call to this address, which is that of the run: a test server, on whatever machine.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub endpoint_url: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub limits: LimitsArgs,
    /// How the summary is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill pause`, `redrill continue`
#[derive(Debug, Args)]
#[command(
    after_help = "The process of the run must be at work. Its clock goes on: time in which it is halted counts for \
                        the RTO, as time spent waiting for people.\n\n\
                        Examples:\n  redrill pause orders-db-0003\n  redrill continue orders-db-0003"
)]
pub struct SteerArgs {
    /// The run: its id, its folder, or `last`.
    pub run: String,
}

/// `redrill abort`
#[derive(Debug, Args)]
#[command(
    after_help = "When the process of the run is gone, this one takes over and removes what was made.\n\n\
                        Examples:\n  redrill abort orders-db-0003\n  redrill abort last --incident\n  \
                        redrill abort s3://drills/journals/orders-db-0003-1f2e3d --take-over\n  \
                        redrill abort orders-db-0003 --without-store"
)]
pub struct AbortArgs {
    /// The run: its id, its folder, `last`, or its address in a store: s3://BUCKET/PREFIX/RUN.
    pub run: String,
    /// A real incident needs the capacity: keep nothing of a drill, whatever --keep said, and remove everything at once.
    #[arg(long)]
    pub incident: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub in_store: InStoreArgs,
    /// Sends every AWS call to this address, which is that of the run, when this process takes over: a test server, on whatever machine.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub endpoint_url: Option<String>,
    /// How the end is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill approve`, `redrill reject`
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// The run: its id, its folder, or `last`.
    pub run: String,
    /// The step that asks.
    pub step: String,
    /// A comment, for the journal.
    #[arg(long, short = 'm')]
    pub comment: Option<String>,
    /// Signs the answer with this SSH key: a private key, or the public one of a key that your agent holds.
    #[arg(long, value_name = "KEY")]
    pub sign_with: Option<PathBuf>,
    /// Shows by your AWS credentials (environment, profile, SSO) who you are: a request to STS is signed for this answer, and the
    /// run asks STS whose it is.
    #[arg(long, conflicts_with = "sign_with")]
    pub with_aws_identity: bool,
    /// Asks STS at this address, which is that of the run: a test server, on whatever machine.
    #[arg(long, value_name = "URL", requires = "with_aws_identity", value_parser = endpoint)]
    pub endpoint_url: Option<String>,
}
