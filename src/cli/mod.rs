//! What was asked: arguments become a [`Command`] value. Data only; nothing is done here.

mod args;

pub use args::{
    AbortArgs, ActionsArgs, AnswerArgs, CheckArgs, Cli, ColorChoice, Command, CompletionsArgs,
    EtcdCommand, EtcdDiffArgs, EtcdInventoryArgs, EtcdVerifyArgs, FingerprintArgs, Format, IamArgs,
    IamDocument, InStoreArgs, LimitsArgs, OperationsArgs, PlanArgs, PreflightArgs, ReapArgs,
    ReportArgs, ReportFormat, ResumeArgs, RunArgs, RunbookArgs, RunsArgs, SandboxCommand,
    ScenarioArgs, SchemaArgs, ServeArgs, ShowArgs, SqlCommand, SteerArgs, TargetArgs, TrustKind,
};
