//! For tests: actions that do nothing, and a scenario that uses them.

use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, HandInput, Permission, Phase, Proof, Registry,
    SiteUse, StepContext, StepError,
};
use crate::time::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

fn facts(name: &'static str, title: &'static str, phase: Phase) -> ActionFacts {
    ActionFacts {
        name,
        title,
        about: "For tests.",
        phase,
        site: SiteUse::Required,
        timeout: Duration::from_secs(600),
        effect: Effect::None,
        creates: &[],
        permissions: &[],
        checks: &[],
        populations: &[],
        proves: &[],
        exercised: Exercised { sandbox: false, servers: &[], aws: None },
    }
}

macro_rules! test_action {
    ($name:ident, $input:ty, $output:ty, $facts:expr) => {
        struct $name;
        impl Action for $name {
            type Input = $input;
            type Output = $output;
            fn facts(&self) -> ActionFacts {
                $facts
            }
            async fn run(&self, _: &StepContext, _: $input) -> Result<$output, StepError> {
                Err(StepError::broken("for tests"))
            }
            fn by_hand(&self, _: &HandInput) -> ByHand {
                ByHand::default()
            }
        }
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct CaptureInput {
    /// The instance.
    instance: String,
}

#[derive(Serialize, JsonSchema)]
struct CaptureOutput {
    /// The port.
    port: u16,
    /// Several zones.
    multi_az: bool,
    /// Tags.
    tags: BTreeMap<String, String>,
    /// Security groups.
    security_groups: Vec<String>,
}

test_action!(
    Capture,
    CaptureInput,
    CaptureOutput,
    ActionFacts {
        permissions: &[Permission { action: "db:Describe", why: "to read" }],
        ..facts("db.capture", "Capture the configuration", Phase::Prepare)
    }
);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct FindInput {
    /// The instance.
    of: String,
    /// How often it is backed up.
    #[serde(default)]
    schedule: Option<HumanDuration>,
}

#[derive(Serialize, JsonSchema)]
struct FindOutput {
    /// The ARN.
    arn: String,
    /// The longest gap.
    worst_gap: Option<HumanDuration>,
    /// How many there are.
    usable: u32,
    /// The largest one.
    largest: ByteSize,
    /// The key can be used.
    key_usable: bool,
    /// The average size, of nobody knows how many.
    average: f64,
}

test_action!(
    Find,
    FindInput,
    FindOutput,
    ActionFacts {
        proves: &[Proof::RecoveryPointOfBackup { kept_at: "", unless: None }],
        populations: &[("worst_gap", "usable"), ("average", "nothing")],
        ..facts("db.find", "Find the snapshot", Phase::Recover)
    }
);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct RestoreInput {
    /// The snapshot.
    snapshot: String,
    /// The class.
    class: String,
    /// The groups.
    #[serde(default)]
    security_groups: Vec<String>,
    /// The port.
    #[serde(default)]
    port: Option<u16>,
    /// Several zones.
    #[serde(default)]
    multi_az: bool,
    /// The size.
    #[serde(default)]
    size: Option<ByteSize>,
    /// How long it should take.
    #[serde(default)]
    expected_duration: Option<HumanDuration>,
    /// Tags.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// The kind of storage.
    #[serde(default)]
    storage: Option<Storage>,
}

/// Kinds of storage.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Storage {
    /// General.
    Gp3,
    /// Fast.
    Io2,
}

#[derive(Serialize, JsonSchema)]
struct RestoreOutput {
    /// Where it answers.
    endpoint: String,
    /// When it was there.
    available_after: HumanDuration,
    /// The port.
    port: u16,
}

test_action!(
    Restore,
    RestoreInput,
    RestoreOutput,
    ActionFacts {
        effect: Effect::Own,
        creates: &["db.instance"],
        timeout: Duration::from_secs(3 * 3600),
        ..facts("db.restore", "Restore the snapshot", Phase::Recover)
    }
);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Credentials {
    /// A secret.
    Secret(SecretAt),
    /// The environment.
    FromEnvironment(FromEnvironment),
}

/// A secret at a site.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct SecretAt {
    /// Its name.
    secret: String,
    /// The site.
    #[schemars(extend("format" = "redrill-site"))]
    at: String,
}

/// A variable of the environment.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct FromEnvironment {
    /// The name.
    from_env: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct CheckInput {
    /// The host.
    endpoint: String,
    /// Who reads.
    credentials: Credentials,
    /// Gives the time of the newest data.
    #[serde(default)]
    watermark: Option<String>,
    /// Queries.
    #[serde(default)]
    queries: Vec<Query>,
}

/// A query.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Query {
    /// The text.
    sql: String,
    /// What is expected.
    #[serde(default)]
    expect: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct CheckOutput {
    /// Rows.
    rows: u64,
}

test_action!(
    Check,
    CheckInput,
    CheckOutput,
    ActionFacts {
        site: SiteUse::None,
        proves: &[Proof::RecoveryPointOfData { when: "watermark" }],
        ..facts("sql.check", "Check the data", Phase::Verify)
    }
);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct ApproveInput {
    /// What is asked.
    question: String,
    /// Who is asked.
    #[serde(default)]
    approver: Option<Approver>,
    /// It must be another person than the operator.
    #[serde(default)]
    second_person: bool,
    /// Who may sign.
    #[serde(default)]
    signed_by: Option<String>,
}

/// A person or a team.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
#[schemars(extend("oneOf" = [{ "required": ["person"] }, { "required": ["team"] }]))]
struct Approver {
    /// One.
    #[serde(default)]
    person: Option<String>,
    /// Many.
    #[serde(default)]
    team: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct ApproveOutput {
    /// Who agreed.
    by: String,
}

test_action!(
    Approve,
    ApproveInput,
    ApproveOutput,
    ActionFacts {
        site: SiteUse::Optional,
        ..facts("control.approve", "Ask a person", Phase::Recover)
    }
);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct RunInput {
    /// What it changes.
    effect: Effect,
}

#[derive(Serialize, JsonSchema)]
struct RunOutput {
    /// How it ended.
    status: u16,
}

test_action!(
    Run,
    RunInput,
    RunOutput,
    ActionFacts {
        site: SiteUse::Optional,
        effect: Effect::Own,
        ..facts("exec.run", "Run a program", Phase::Recover)
    }
);

/// The actions.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.action(Capture);
    registry.action(Find);
    registry.action(Restore);
    registry.action(Check);
    registry.action(Approve);
    registry.action(Run);
    registry
}

/// A scenario without mistakes that uses all of the language.
pub(crate) const GOOD: &str = r#"redrill: 1
name: orders-db
title: Orders database, restored in the DR region from its copied snapshot
about: |
  For {{nobody}}.
system: orders
tier: 1
owner: payments-sre
contacts: { "Incident lead": "+81 3 0000 0000" }
disaster: { kind: region_loss, lost: [primary] }
sites:
  primary: { account: "111111111111", region: ap-northeast-1, role: redrill-drill }
  dr:      { account: "222222222222", region: ap-northeast-3, role: redrill-drill }
objectives:
  rto: { target: 4h, authority: "BIA-2026-014 §3", from: detected, assume: { detect: 15m, decide: 30m } }
  rpo: { target: 26h, authority: "BIA-2026-014 §3", measure: data }
  rlo: { target: Orders can be placed, proven_by: [data] }
data: { class: cardholder }
guard: { write: [dr], ttl: 12h, max_duration: 6h, max_resources: 2 }
modes:
  drill:
    vars: { class: db.r6g.large, groups: [sg-drill], size: 20 GiB, name: "drill-{{inputs.suffix}}" }
  recovery:
    vars: { class: db.r6g.4xlarge, groups: [sg-orders], size: 40 GiB, name: orders }
inputs:
  suffix: { type: text, default: x, about: Part of names }
  deep: { type: bool, default: false }
  wait: { type: duration, default: 20m }
steps:
  - id: config
    phase: prepare
    at: primary
    uses: db.capture
    with: { instance: orders-db }
  - id: point
    at: dr
    uses: db.find
    with: { of: orders-db, schedule: 24h }
    expect: { worst_gap: "<= 26h", key_usable: true, usable: ">= 2" }
  - id: ask
    uses: control.approve
    with: { question: "Restore {{steps.point.arn}} in {{sites.dr.region}}?" }
  - id: restore
    at: dr
    uses: db.restore
    timeout: 3h
    needs: [ask]
    retry: { attempts: 2 }
    with:
      snapshot: "{{steps.point.arn}}"
      class: "{{vars.class}}"
      security_groups: "{{vars.groups}}"
      port: "{{default steps.config.port 5432}}"
      multi_az: true
      size: "{{vars.size}}"
      expected_duration: "{{inputs.wait}}"
      tags: { name: "{{vars.name}}-{{run.id}}" }
      storage: gp3
    expect: { available_after: "<= {{inputs.wait}}" }
  - id: data
    phase: verify
    gate: acceptance
    uses: sql.check
    with:
      endpoint: "{{steps.restore.endpoint}}"
      credentials: { secret: orders/readonly, at: dr }
      watermark: select max(committed_at) from heartbeat
      queries:
        - sql: select 1
  - id: deeper
    phase: verify
    uses: sql.check
    when: "{{inputs.deep}}"
    with:
      endpoint: "{{steps.restore.endpoint}}"
      credentials: { from_env: PASSWORD }
"#;
