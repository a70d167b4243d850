//! What is asked before the day of a drill: check, plan, permissions, runbook, reference.

use super::{Format, LimitsArgs, ScenarioArgs, TargetArgs, name_and_value};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `redrill check`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill check scenarios\n  redrill check drills/orders-db.yaml --format json\n  \
                  redrill check drills --limits limits.yaml"
)]
pub struct CheckArgs {
    /// Scenario files, or folders of them.
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub limits: LimitsArgs,
    /// How errors are written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill plan`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  redrill plan scenarios/orders-db.yaml\n  \
                  redrill plan scenarios/orders-db.yaml --mode recovery --format json\n  \
                  redrill plan drills/orders-db.yaml --limits limits.yaml")]
pub struct PlanArgs {
    /// The scenario file.
    pub scenario: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub values: ScenarioArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub limits: LimitsArgs,
    /// How the plan is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill iam`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  redrill iam scenarios/orders-db.yaml\n  \
                  redrill iam scenarios/orders-db.yaml --site dr --document policy > policy.json\n  \
                  redrill iam scenarios/orders-db.yaml --store s3://drill-evidence/redrill --document runner-policy\n  \
                  redrill iam scenarios/orders-db.yaml --runner arn:aws:iam::333333333333:role/drill-runner \\\n    \
                  --trust github --subject repo:example/drills:ref:refs/heads/main")]
pub struct IamArgs {
    /// The scenario file.
    pub scenario: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub values: ScenarioArgs,
    /// Only what is needed at this site.
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// Adds what `redrill preflight` reads beyond what the drill itself needs.
    #[arg(long)]
    pub preflight: bool,
    /// What `redrill reap` needs at the sites, in place of what the drill needs: to list all that drills make, and to remove it.
    #[arg(long, conflicts_with = "preflight")]
    pub reap: bool,
    /// Adds to the policy of the identity that starts redrill what `redrill run --store` (with `--reap`: `redrill reap --store`) needs
    /// there: s3://BUCKET/PREFIX.
    #[arg(long, value_name = "S3-URL")]
    pub store: Option<String>,
    /// The user or role that assumes the roles of the sites: the roles get a trust policy for it.
    #[arg(long, value_name = "ARN")]
    pub runner: Option<String>,
    /// Who may become the runner: a principal or account, a service account on EKS, or a GitHub workflow.
    #[arg(long, value_enum, value_name = "KIND")]
    pub trust: Option<TrustKind>,
    /// With `--trust account`: an ARN, or the number of an account.
    #[arg(long, value_name = "ARN|ACCOUNT", required_if_eq("trust", "account"))]
    pub principal: Option<String>,
    /// With `--trust irsa`: the OIDC provider of the cluster.
    #[arg(long, value_name = "HOST/PATH", required_if_eq("trust", "irsa"))]
    pub oidc_provider: Option<String>,
    /// With `--trust irsa` or `github`: `system:serviceaccount:NAMESPACE:NAME` or `repo:OWNER/NAME:…`.
    #[arg(long, value_name = "SUB", required_if_eq_any([("trust", "irsa"), ("trust", "github")]))]
    pub subject: Option<String>,
    /// Prints this document alone, as IAM takes it.
    #[arg(long, value_enum, conflicts_with = "format")]
    pub document: Option<IamDocument>,
    /// How it is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Who may become the identity that starts the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TrustKind {
    /// A user, a role, or a whole account.
    Account,
    /// A service account of a cluster on EKS (IAM roles for service accounts).
    Irsa,
    /// A workflow of GitHub Actions.
    Github,
}

/// One IAM document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IamDocument {
    /// The permissions of a site's role.
    Policy,
    /// Who may assume it.
    Trust,
    /// The permissions of the identity that starts the program.
    RunnerPolicy,
    /// Who may become that.
    RunnerTrust,
}

/// `redrill preflight`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  redrill preflight drills/orders-db.yaml\n  \
                        redrill preflight scenarios/orders-db.yaml --sandbox --estate key-disabled\n  \
                        redrill preflight drills/orders-db.yaml --limits limits.yaml \\\n    \
                        --store s3://drill-evidence/redrill --store-region ap-northeast-3\n\n\
                        Exit codes: 0 nothing that could be asked would fail · 1 something would fail · \
                        2 something could not be asked that should have been · \
                        4 it goes beyond a limit of the organisation.")]
pub struct PreflightArgs {
    /// The scenario file.
    pub scenario: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub values: ScenarioArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub target: TargetArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub limits: LimitsArgs,
    /// Also tries the store of `redrill run --store`: s3://BUCKET/PREFIX. It writes one small object there, below
    /// PREFIX/SCENARIO-preflight, which stays.
    #[arg(long, value_name = "S3-URL")]
    pub store: Option<String>,
    /// The region of the store's bucket; without it, that of the environment or the profile.
    #[arg(long, value_name = "REGION", requires = "store")]
    pub store_region: Option<String>,
    /// How it is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill runbook`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  redrill runbook scenarios/orders-db.yaml\n  \
                  redrill runbook scenarios/orders-db.yaml --output runbooks/orders-db.md")]
pub struct RunbookArgs {
    /// The scenario file.
    pub scenario: PathBuf,
    /// Gives an input of the scenario a value; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub set: Vec<(String, String)>,
    /// Writes to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `redrill actions`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill actions\n  redrill actions rds.restore_snapshot\n  redrill actions --format json"
)]
pub struct ActionsArgs {
    /// One action, such as `rds.restore_snapshot`; without it, all in a list.
    pub name: Option<String>,
    /// How it is written: text, or JSON.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill schema`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  redrill schema > scenario.schema.json\n\n\
                  A scenario then begins with: # yaml-language-server: $schema=scenario.schema.json")]
pub struct SchemaArgs {}
