use crate::plan::RunMode;
use crate::time::HumanDuration;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Rehearses disasters: runs restore drills from declarative scenarios, times them against RTO and RPO, and leaves
/// evidence that can be checked.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 passed · 1 failed · 2 inconclusive · 3 bad scenario or command line · 4 refused by the guard · \
                  5 resources left behind · 130 cancelled.\n\n\
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
    Approve(AnswerArgs),
    /// Reject what a step of a run asks.
    Reject(AnswerArgs),
    /// Describe what steps can do: inputs, outputs, checks, permissions.
    Actions(ActionsArgs),
    /// Print the JSON Schema of scenarios, for editors.
    Schema(SchemaArgs),
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
    /// Sends every AWS call to this address: a test server on this machine.
    #[arg(long, value_name = "URL", conflicts_with = "sandbox", value_parser = endpoint)]
    pub endpoint_url: Option<String>,
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

/// `redrill run`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  redrill run scenarios/orders-db.yaml --sandbox\n  \
                        redrill run scenarios --sandbox --jobs 4 --format json\n  \
                        redrill run drills/orders-db.yaml --set instance=orders-db --keep 2h\n\n\
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

/// `redrill resume`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill resume last\n  redrill resume orders-db-0003 --format json\n  \
                  redrill resume s3://drills/journals/orders-db-0003-1f2e3d --take-over"
)]
pub struct ResumeArgs {
    /// The run: its id, its folder, `last`, or its address in a store: s3://BUCKET/PREFIX/RUN.
    pub run: String,
    /// The region of the store's bucket; without it, that of the environment or the profile.
    #[arg(long, value_name = "REGION")]
    pub store_region: Option<String>,
    /// Takes over a run that another process holds in the store. Make sure first that this process is dead.
    #[arg(long)]
    pub take_over: bool,
    /// Sends every AWS call to this address: a test server on this machine.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub endpoint_url: Option<String>,
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
                        Examples:\n  redrill abort orders-db-0003\n  redrill abort last --incident"
)]
pub struct AbortArgs {
    /// The run: its id, its folder, or `last`.
    pub run: String,
    /// A real incident needs the capacity: keep nothing of a drill, whatever --keep said, and remove everything at once.
    #[arg(long)]
    pub incident: bool,
    /// Sends every AWS call to this address when this process takes over: a test server on this machine.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub endpoint_url: Option<String>,
    /// How the end is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill reap`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill reap --dry-run scenarios\n  redrill reap scenarios/orders-db.yaml --format json\n  \
                        redrill reap --site ap-northeast-3=222222222222/redrill-drill --canaries uploads-prod-dr/redrill-canary/\n  \
                        redrill reap --run orders-db-0007 --all --yes\n\n\
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
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill check`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill check scenarios\n  redrill check drills/orders-db.yaml --format json"
)]
pub struct CheckArgs {
    /// Scenario files, or folders of them.
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// How errors are written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill plan`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  redrill plan scenarios/orders-db.yaml\n  \
                  redrill plan scenarios/orders-db.yaml --mode recovery --format json")]
pub struct PlanArgs {
    /// The scenario file.
    pub scenario: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub values: ScenarioArgs,
    /// How the plan is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill iam`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  redrill iam scenarios/orders-db.yaml\n  \
                  redrill iam scenarios/orders-db.yaml --site dr --document policy > policy.json\n  \
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
                        redrill preflight scenarios/orders-db.yaml --sandbox --estate key-disabled\n\n\
                        Exit codes: 0 nothing that could be asked would fail · 1 something would fail · \
                        2 something could not be asked that should have been.")]
pub struct PreflightArgs {
    /// The scenario file.
    pub scenario: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub values: ScenarioArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see the type")]
    pub target: TargetArgs,
    /// How it is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

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

/// `redrill approve`, `redrill reject`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill approve orders-db-0003 cut-over --comment 'agreed with the owner'\n  \
                  redrill reject last cut-over\n  redrill approve last cut-over --sign-with ~/.ssh/id_ed25519.pub"
)]
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
    /// Asks STS at this address, which is that of the run: a test server on this machine.
    #[arg(long, value_name = "URL", requires = "with_aws_identity", value_parser = endpoint)]
    pub endpoint_url: Option<String>,
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

/// `redrill sql …`
#[derive(Debug, Subcommand)]
pub enum SqlCommand {
    /// Take down how a database is built and, if asked for, what it holds, as a file that `sql.check` compares with.
    Fingerprint(FingerprintArgs),
}

/// `redrill sql fingerprint`
#[derive(Debug, Args)]
#[command(after_help = "It only reads. The password is never given on the command line.\n\n\
                        Examples:\n  redrill sql fingerprint --url postgres://ro@db.example.com/orders --ca global-bundle.pem \\\n    \
                        --password-env DB_PASSWORD > references/orders.json\n  \
                        redrill sql fingerprint --url mysql://ro@127.0.0.1:3306/orders --tls off --password-file secret \\\n    \
                        --rows --checksums --table orders --table ledger")]
pub struct FingerprintArgs {
    /// The database: `postgres://USER@HOST:PORT/DATABASE`, or `mysql://…` for MySQL and MariaDB; the port may be left out.
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// The environment variable that holds the password.
    #[arg(long, value_name = "NAME", required_unless_present = "password_file")]
    pub password_env: Option<String>,
    /// The file that holds the password and nothing else.
    #[arg(long, value_name = "FILE", conflicts_with = "password_env")]
    pub password_file: Option<String>,
    /// How the connection is protected. `encrypt` does not verify who answers; `off` is for loopback and tunnels.
    #[arg(long, value_parser = ["verify", "encrypt", "off"], default_value = "verify")]
    pub tls: String,
    /// Certificate authorities besides the public ones, as a PEM file. RDS needs it: global-bundle.pem.
    #[arg(long, value_name = "FILE", conflicts_with = "tls")]
    pub ca: Option<String>,
    /// Counts the rows of tables.
    #[arg(long)]
    pub rows: bool,
    /// Takes ordered checksums of ranges of keys.
    #[arg(long)]
    pub checksums: bool,
    /// A table for --rows and --checksums; may be repeated. All tables without it.
    #[arg(long = "table", value_name = "TABLE")]
    pub tables: Vec<String>,
    /// A condition in SQL on the rows of a table whose checksums are taken; may be repeated.
    #[arg(long = "only", value_name = "TABLE=CONDITION", value_parser = name_and_value)]
    pub only: Vec<(String, String)>,
    /// Into how many ranges of keys a table is cut at most.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub ranges: u32,
    /// Leaves keys out of the file: ranges stand on round numbers, or there is one.
    #[arg(long)]
    pub without_keys: bool,
    /// How long one statement may take.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub statement_timeout: HumanDuration,
}

/// `redrill sandbox …`
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Serve an estate over HTTP, for the AWS CLI, boto3 and Terraform.
    Serve(ServeArgs),
    /// List the operations that the sandbox simulates, and how faithfully.
    Operations(OperationsArgs),
}

/// `redrill sandbox operations`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill sandbox operations\n  redrill sandbox operations --format json"
)]
pub struct OperationsArgs {
    /// How the list is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill sandbox serve`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  redrill sandbox serve --estate scenarios/estates/orders-db.yaml --listen 127.0.0.1:4600\n  \
                        AWS_ACCESS_KEY_ID=SANDBOX222222222222 AWS_SECRET_ACCESS_KEY=sandbox \\\n    \
                        aws --endpoint-url http://127.0.0.1:4600 --region ap-northeast-3 rds describe-db-snapshots"
)]
pub struct ServeArgs {
    /// The estate file.
    #[arg(long, value_name = "FILE")]
    pub estate: PathBuf,
    /// The address to listen on: loopback only. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4600")]
    pub listen: SocketAddr,
    /// How many times faster than real time the estate's clock runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub speed: u32,
    /// Adds a fault to the estate; may be repeated.
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<String>,
}

/// `redrill completions`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  redrill completions bash > ~/.local/share/bash-completion/completions/redrill"
)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
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
