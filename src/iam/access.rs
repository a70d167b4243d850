use super::table::{Asked, Level, Tags, iam_action};
use super::trust::Trust;
use crate::action::{EXPIRES_TAG, Limit, Target};
use crate::error::{Error, Result};
use crate::ids::{Digest, SiteName, StepId};
use crate::partition::Partition;
use crate::plan::{Plan, StepGrant};
use crate::scenario::Site;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Who needs what in order to run a scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Access {
    /// Name of the scenario.
    pub scenario: String,
    /// `drill` or `recovery`.
    pub mode: String,
    /// Digest of the plan.
    pub plan: Digest,
    /// What the identity needs that starts the program, for assuming the roles of the sites.
    pub runner: RunnerAccess,
    /// The roles of the sites; sites that share a role come together.
    pub roles: Vec<RoleAccess>,
    /// What holds for all of it.
    pub notes: Vec<String>,
}

/// What the identity needs that starts the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunnerAccess {
    /// Its policy; nothing when no site names a role, and no journal is kept in a store.
    pub policy: Option<Value>,
    /// Who may become it, where that was asked for.
    pub trust: Option<Value>,
}

/// A role, and what it needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoleAccess {
    /// Its ARN; nothing for sites without a role, where the program's own identity is used.
    pub role: Option<String>,
    /// The account, if the scenario names it, with the site or in the ARN of the role.
    pub account: Option<String>,
    /// Its sites.
    pub sites: Vec<SiteName>,
    /// Its policy; nothing where no step needs anything, and the role is only asked who it is.
    pub policy: Option<Value>,
    /// Who may assume it, where that was asked for.
    pub trust: Option<Value>,
    /// Why each permission is there.
    pub needs: Vec<Need>,
    /// What cannot be narrowed, and what else should be known.
    pub notes: Vec<String>,
}

/// Why a permission is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The IAM action.
    pub action: String,
    /// The statement that holds it.
    pub statements: BTreeSet<String>,
    /// The steps that need it.
    pub steps: BTreeSet<StepId>,
    /// What for.
    pub why: BTreeSet<String>,
    /// When AWS asks for it, if not at a call of its own.
    pub besides: Option<String>,
}

/// A statement of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its name in the policy.
    pub sid: String,
    /// IAM actions.
    pub actions: BTreeSet<&'static str>,
    /// ARNs, or `*`.
    pub resources: BTreeSet<String>,
    /// Conditions, as in a policy; empty without any.
    pub condition: Map<String, Value>,
}

impl Statement {
    pub(super) fn json(&self) -> Value {
        let mut all = json!({
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": self.actions,
            "Resource": self.resources,
        });
        if !self.condition.is_empty() {
            all["Condition"] = Value::Object(self.condition.clone());
        }
        all
    }
}

/// The largest managed policy, in characters without white space
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
const LARGEST_POLICY: usize = 6144;

const NOTES: [&str; 3] = [
    "policies of the organisation, permission boundaries, and the policies of keys, buckets and secrets can still forbid \
     what stands here",
    "KMS keys are expected in the account of the site, unless the scenario names another account or uses what others share; any \
     other key needs its own ARN here, and that of another account must let the role in by its policy",
    "every run begins with sts:GetCallerIdentity at each site, in a recovery at each that is not lost, which needs no permission; the \
     role of the site is assumed for it, whether a step needs it or not, and must trust the runner",
];

/// What is asked for besides the permissions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The only site whose role is told; all without one. What the runner assumes are the roles of all sites, whatever this says.
    pub site: Option<&'a SiteName>,
    /// Who starts the program.
    pub trust: Option<&'a Trust>,
    /// The ARN of the identity by which the roles are assumed.
    pub runner: Option<&'a str>,
}

/// Puts the permissions of a plan together, by role.
///
/// # Errors
/// A role that is named without an account, or an OIDC provider whose account nothing says.
pub fn access(plan: &Plan, grants: &[StepGrant], wanted: Wanted<'_>) -> Result<Access> {
    let Wanted { site: only, trust, runner } = wanted;
    let mut roles: BTreeMap<Who, Vec<&SiteName>> = BTreeMap::new();
    let mut assumed = BTreeSet::new();
    for (name, site) in &plan.sites {
        let role = site.role.as_deref().map(|role| role_arn(role, name, site)).transpose()?;
        assumed.extend(role.clone());
        let needs_something = grants.iter().any(|needed| needed.grant.site == *name);
        // A role is assumed at a site without a step, too; the program's own identity needs nothing there.
        if only.is_none_or(|only| only == name) && (role.is_some() || needs_something) {
            let account = account_of(site).map(str::to_owned);
            roles.entry((role, account)).or_default().push(name);
        }
    }
    let of_role = |(who, sites): (Who, Vec<&SiteName>)| role_access(plan, grants, who, &sites);
    let mut own: Vec<RoleAccess> = roles.into_iter().map(of_role).collect();
    let mut runner_access = RunnerAccess { policy: runner_policy(assumed), trust: None };
    if let Some(trust) = trust {
        let (partition, account) = runner_home(runner, &own);
        runner_access.trust = Some(trust.policy(partition, account.as_deref())?);
    }
    if let Some(runner) = runner {
        let trust = Trust::Principal(runner.to_owned());
        for role in own.iter_mut().filter(|role| role.role.is_some()) {
            role.trust = Some(trust.policy("aws", None)?);
        }
    }
    Ok(Access {
        scenario: plan.name.clone(),
        mode: plan.mode.clone(),
        plan: plan.digest(),
        runner: runner_access,
        roles: own,
        notes: NOTES.map(str::to_owned).to_vec(),
    })
}

/// Where the runner's role lives: in its own account, else in that of the first role, before others one that a step needs.
fn runner_home(runner: Option<&str>, roles: &[RoleAccess]) -> (&'static str, Option<String>) {
    let needed = roles.iter().filter(|role| role.policy.is_some());
    let mut of_roles = needed.chain(roles);
    let arn = runner.or_else(|| of_roles.find_map(|role| role.role.as_deref()));
    let mut parts = arn.unwrap_or_default().split(':').skip(1);
    let partition = parts.next().and_then(Partition::named);
    let partition = partition.map_or("aws", |partition| partition.name);
    let account = parts.nth(2).filter(|account| !account.is_empty());
    let account = account.map(str::to_owned);
    let of_site = || roles.iter().find_map(|role| role.account.clone());
    (partition, account.or_else(of_site))
}

/// For assuming every role, also those of sites without a step: a run asks each site first who we are there. Nothing when there
/// is none.
fn runner_policy(roles: BTreeSet<String>) -> Option<Value> {
    let statement = Statement {
        sid: "StsAssumeSiteRoles".to_owned(),
        actions: BTreeSet::from(["sts:AssumeRole"]),
        resources: roles,
        condition: Map::new(),
    };
    (!statement.resources.is_empty()).then(|| document(&[statement]))
}

pub(super) fn document(statements: &[Statement]) -> Value {
    let statements: Vec<Value> = statements.iter().map(Statement::json).collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn role_arn(role: &str, name: &SiteName, site: &Site) -> Result<String> {
    if role.starts_with("arn:") {
        return Ok(role.to_owned());
    }
    let account = site.account.as_deref().ok_or_else(|| {
        let what = format!("the role {role:?} of the site {name} has no account");
        Error::bad_input(what).help("add account: to the site, or write the whole ARN of the role")
    })?;
    Ok(format!("arn:{}:iam::{account}:role/{role}", Partition::of(&site.region).name))
}

/// The account of a site: that of its role, where the site names none.
fn account_of(site: &Site) -> Option<&str> {
    let of_role = || site.role.as_deref()?.strip_prefix("arn:")?.split(':').nth(3);
    site.account.as_deref().or_else(of_role).filter(|account| !account.is_empty())
}

/// An action under a condition, before statements are put together. The condition is its JSON text, for its order.
type Piece = (&'static str, String);

/// A role, if one is assumed, and its account, if that is known.
type Who = (Option<String>, Option<String>);

fn role_access(
    plan: &Plan,
    grants: &[StepGrant],
    (role, account): Who,
    sites: &[&SiteName],
) -> RoleAccess {
    let mut pieces: BTreeMap<Piece, BTreeSet<String>> = BTreeMap::new();
    let mut needs: BTreeMap<&str, Need> = BTreeMap::new();
    for StepGrant { step, grant } in grants.iter().filter(|g| sites.contains(&&g.grant.site)) {
        let Some(site) = plan.sites.get(&grant.site) else { continue };
        let need = needs.entry(grant.action).or_default();
        need.action = grant.action.to_owned();
        need.steps.insert(step.clone());
        need.why.insert(grant.why.to_owned());
        for (resources, condition) in narrowed(plan, grant.action, &grant.on, &grant.limits, site) {
            let condition = Value::Object(condition).to_string();
            pieces.entry((grant.action, condition)).or_default().extend(resources);
        }
    }
    let statements = statements(pieces);
    for need in needs.values_mut() {
        let holds = |s: &&Statement| s.actions.contains(need.action.as_str());
        need.statements = statements.iter().filter(holds).map(|s| s.sid.clone()).collect();
        need.besides = iam_action(&need.action).and_then(|action| match action.asked {
            Asked::AtCall => None,
            Asked::Besides(when) => Some(when.to_owned()),
        });
    }
    let policy = (!statements.is_empty()).then(|| document(&statements));
    let notes = policy.iter().flat_map(|policy| notes(account.as_deref(), &statements, policy));
    let notes = notes.collect();
    RoleAccess {
        role,
        account,
        sites: sites.iter().map(|site| (*site).clone()).collect(),
        policy,
        trust: None,
        needs: needs.into_values().collect(),
        notes,
    }
}

fn notes(account: Option<&str>, statements: &[Statement], policy: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    if account.is_none() {
        notes.push(
            "the scenario names no account for these sites, so the ARNs hold for any account: add account:"
                .to_owned(),
        );
    }
    let anywhere = statements.iter().filter(|s| s.resources.contains("*"));
    let anywhere: BTreeSet<&str> = anywhere.flat_map(|s| s.actions.iter().copied()).collect();
    if !anywhere.is_empty() {
        let list = anywhere.into_iter().collect::<Vec<_>>().join(", ");
        notes.push(format!("AWS has no resource-level permission for {list}: they stand on \"*\""));
    }
    let size = policy.to_string().len();
    if size > LARGEST_POLICY {
        notes.push(format!(
            "the policy has {size} characters, a managed policy at most {LARGEST_POLICY}: make one for each site (--site)"
        ));
    }
    notes
}

/// Actions that stand on the same resources under the same condition become one statement.
fn statements(pieces: BTreeMap<Piece, BTreeSet<String>>) -> Vec<Statement> {
    let mut together: BTreeMap<(&str, Level, BTreeSet<String>, String), BTreeSet<&'static str>> =
        BTreeMap::new();
    for ((action, condition), resources) in pieces {
        let service = action.split(':').next().unwrap_or_default();
        let level = iam_action(action).map_or(Level::Write, |known| known.level);
        together.entry((service, level, resources, condition)).or_default().insert(action);
    }
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let made = together.into_iter().map(|((service, level, resources, condition), actions)| {
        let name = sid(service, level);
        let number = numbers.entry(name.clone()).or_default();
        *number += 1;
        let sid = if *number > 1 { format!("{name}{number}") } else { name };
        let condition = serde_json::from_str(&condition).unwrap_or_default();
        Statement { sid, actions, resources, condition }
    });
    made.collect()
}

/// Letters and digits, as a `Sid` must be.
fn sid(service: &str, level: Level) -> String {
    let service = match service {
        "cloudwatch" => "CloudWatch",
        "ec2" => "Ec2",
        "iam" => "Iam",
        "kms" => "Kms",
        "rds" => "Rds",
        "rds-db" => "RdsDb",
        "s3" => "S3",
        "secretsmanager" => "SecretsManager",
        _ => "Other",
    };
    let level = match level {
        Level::Read => "Read",
        Level::Write => "Write",
        Level::Tag => "Tag",
    };
    format!("{service}{level}")
}

/// Resources and the condition under which an action may be used on them.
type Narrowed = (BTreeSet<String>, Map<String, Value>);

fn narrowed(
    plan: &Plan,
    action: &str,
    on: &[Target],
    limits: &[Limit],
    site: &Site,
) -> Vec<Narrowed> {
    let service = action.split(':').next().unwrap_or_default();
    let types = iam_action(action).map_or(&[][..], |known| known.resources);
    let is_known = |target: &Target| types.iter().any(|known| known.kind == target.kind);
    // It would be left out of the policy without a word.
    debug_assert!(on.iter().all(is_known), "{action} is not used on one of {on:?}");
    let mut common = conditions(action, limits, site);
    if types.is_empty() {
        add(&mut common, "StringEquals", "aws:RequestedRegion", site.region.clone().into());
        return vec![(BTreeSet::from(["*".to_owned()]), common)];
    }
    let scenario = (!limits.contains(&Limit::AnyScenario)).then_some(plan.name.as_str());
    let mut all: Vec<Narrowed> = Vec::new();
    for kind in types {
        let all_of_kind = Target { kind: kind.kind, name: "*".to_owned(), shared: false };
        let targets = if on.is_empty() { std::slice::from_ref(&all_of_kind) } else { on };
        let targets = targets.iter().filter(|target| target.kind == kind.kind);
        let resources: BTreeSet<String> =
            targets.flat_map(|target| arns(service, target, site)).collect();
        if resources.is_empty() {
            continue;
        }
        let mut condition = common.clone();
        tag_condition(&mut condition, kind.tags, scenario);
        match all.iter_mut().find(|(_, known)| *known == condition) {
            Some((known, _)) => known.extend(resources),
            None => all.push((resources, condition)),
        }
    }
    all
}

/// What is asked for whatever the permission is used on.
fn conditions(action: &str, limits: &[Limit], site: &Site) -> Map<String, Value> {
    let mut common = Map::new();
    for limit in limits {
        match limit {
            Limit::Via(service) => via(&mut common, service, &site.region, site),
            Limit::ViaIn { service, region } => via(&mut common, service, region, site),
            Limit::To(service) => {
                let service = (*service).into();
                add(&mut common, "StringEquals", "iam:PassedToService", service);
            }
            Limit::AnyScenario => {}
            Limit::Prefixes(all) if all.iter().any(String::is_empty) => {}
            Limit::Prefixes(all) => {
                let patterns: Vec<String> = all.iter().map(|prefix| format!("{prefix}*")).collect();
                let patterns: Value = match patterns.as_slice() {
                    [one] => one.as_str().into(),
                    several => several.into(),
                };
                add(&mut common, "StringLike", "s3:prefix", patterns);
            }
        }
    }
    if action == "kms:CreateGrant" {
        add(&mut common, "Bool", "kms:GrantIsForAWSResource", "true".into());
    }
    common
}

/// A region with `*` is a pattern. Services work across regions only within a partition.
fn via(condition: &mut Map<String, Value>, service: &str, region: &str, site: &Site) {
    let operator = if region.contains('*') { "StringLike" } else { "StringEquals" };
    let Partition { suffix, .. } = Partition::of(&site.region);
    add(condition, operator, "kms:ViaService", format!("{service}.{region}.{suffix}").into());
}

fn add(condition: &mut Map<String, Value>, operator: &str, key: &str, value: Value) {
    let keys = condition.entry(operator).or_insert_with(|| json!({}));
    keys[key] = value;
}

/// Everything that a run makes carries `redrill:run` and the scenario's name as `redrill:scenario`; without one, of any scenario.
fn tag_condition(condition: &mut Map<String, Value>, tags: Tags, scenario: Option<&str>) {
    let from = match tags {
        Tags::None => return,
        Tags::InRequest => "aws:RequestTag",
        Tags::OnResource => "aws:ResourceTag",
        Tags::Expiry => {
            let written = json!([EXPIRES_TAG]);
            add(condition, "ForAllValues:StringEquals", "aws:TagKeys", written);
            "aws:ResourceTag"
        }
        Tags::WhenCreating(call) => {
            add(condition, "StringEquals", "ec2:CreateAction", call.into());
            "aws:RequestTag"
        }
    };
    if let Some(scenario) = scenario {
        add(condition, "StringEquals", &format!("{from}/redrill:scenario"), scenario.into());
    }
    add(condition, "Null", &format!("{from}/redrill:run"), "false".into());
}

/// The ARNs of a resource, by the formats of the Service Authorization Reference.
fn arns(service: &str, Target { kind, name, shared }: &Target, site: &Site) -> Vec<String> {
    let account = account_of(site).filter(|_| !shared).unwrap_or("*");
    let (partition, region) = (Partition::of(&site.region).name, &site.region);
    let at = format!("arn:{partition}:{service}:{region}");
    // Where an ARN leaves the partition open, it is the site's: nothing is used across partitions.
    if let Some(rest) = name.strip_prefix("arn:*:") {
        return vec![format!("arn:{partition}:{rest}")];
    }
    if name.starts_with("arn:") {
        // A secret's ARN may be written without the six characters that Secrets Manager adds.
        let suffixed = (*kind == "Secret").then(|| format!("{name}-??????"));
        return [name.clone()].into_iter().chain(suffixed).collect();
    }
    vec![match (service, *kind) {
        ("iam", _) => format!("arn:{partition}:iam::{account}:{kind}/{name}"),
        ("s3", _) => format!("arn:{partition}:s3:::{name}"),
        // EC2's snapshots belong to no account in their ARN.
        ("ec2", "snapshot") => format!("{at}::snapshot/{name}"),
        ("ec2" | "kms", _) => format!("{at}:{account}:{kind}/{name}"),
        ("rds-db", _) => format!("{at}:{account}:dbuser:{name}"),
        ("secretsmanager", _) if name == "*" => format!("{at}:{account}:secret:*"),
        ("secretsmanager", _) => format!("{at}:{account}:secret:{name}-??????"),
        _ => format!("{at}:{account}:{kind}:{name}"),
    }]
}
