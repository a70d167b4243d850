use super::*;
use crate::action::{ActionEntry, Given, Reach};
use crate::ids::{SiteName, StepId};
use crate::plan::{self, Options, Plan, RunMode, StepGrant};
use crate::providers;
use crate::scenario;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const SCENARIOS: [&str; 7] = [
    "orders-db",
    "orders-db-point-in-time",
    "payments-aurora",
    "ledger-volume",
    "uploads-replication",
    "cluster-state",
    "k3s-server",
];

fn plan_of(scenario: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{scenario}.yaml"));
    let registry = providers::registry();
    let loaded = scenario::load(&path, &registry);
    let options = Options { mode: RunMode::Drill, ..Options::default() };
    plan::compile(&loaded.scenario.unwrap(), loaded.source.digest(), &registry, options).unwrap()
}

fn access_of(scenario: &str) -> Access {
    let plan = plan_of(scenario);
    access(&plan, &plan::grants(&plan, &providers::registry()), Wanted::default()).unwrap()
}

fn statements_in(role: &RoleAccess) -> &[Value] {
    role.policy.as_ref().map_or(&[], |policy| policy["Statement"].as_array().unwrap())
}

/// As the program prints it, without the digest, which changes with every word of the scenario.
fn golden(scenario: &str) -> String {
    let mut value = serde_json::to_value(access_of(scenario)).unwrap();
    value.as_object_mut().unwrap().remove("plan");
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn the_table_is_sorted_and_names_nothing_twice() {
    assert!(IAM_ACTIONS.is_sorted_by(|a, b| a.name < b.name));
}

#[test]
fn every_permission_that_is_declared_is_in_the_table() {
    let registry = providers::registry();
    let actions = registry.actions().flat_map(|entry| entry.facts.permissions);
    let kinds = registry.resource_kinds().flat_map(|kind| kind.permissions());
    for permission in actions.chain(kinds) {
        assert!(iam_action(permission.action).is_some(), "{}", permission.action);
    }
}

#[test]
fn every_call_that_the_guard_knows_as_used_by_an_action_leads_to_actions_of_the_table() {
    // Calls that no action makes yet have no row: what is in the guard's table and never used.
    let unused = ["ec2:CopySnapshot", "ec2:DescribeTags", "sts:AssumeRole"];
    for (prefix, _, operations) in crate::aws::OPERATIONS {
        for (name, _) in *operations {
            let call = format!("{prefix}:{name}");
            let known = actions_of(&call).iter().any(|action| iam_action(action).is_some());
            let needs_none = actions_of(&call).is_empty();
            let listed = unused.contains(&call.as_str());
            assert!(known || needs_none || listed, "{call} has no IAM action in the table");
        }
    }
}

/// What an action needs at the site dr of a plan.
fn needed_by(entry: &ActionEntry, with: Value, canaries: &[&str]) -> Vec<StepGrant> {
    let (step, site) = (StepId::new("step"), SiteName::new("dr"));
    let given = Given::new("orders-db", step.clone(), Some(site), with);
    let given = given.with_canaries(canaries.iter().map(|place| (*place).to_owned()));
    let grants = entry.grants(&given).into_iter().chain(entry.preflight_grants(&given));
    grants.map(|grant| StepGrant { grant, step: step.clone() }).collect()
}

/// Inputs with nothing in them, with everything left to the day, and with what else asks for permissions.
fn inputs_of(entry: &ActionEntry) -> [Value; 3] {
    let fields = entry.input["properties"].as_object().into_iter().flatten();
    let later: Value = fields.map(|(name, _)| (name.clone(), Given::later_mark())).collect();
    let some = json!({
        "object": { "bucket": "uploads", "key": "latest.db" },
        "credentials": { "secret": "app" },
        "monitoring": { "role": "rds-monitoring" },
        "instead": { "kms_key": "alias/dr" },
        "prefix": "uploads/",
        "subnet_group": "drill",
        "security_groups": ["sg-1"],
        "parameter_group": "mine",
        "cluster_parameter_group": "mine",
        "instance_parameter_group": "mine",
        "logins": [{ "credentials": { "iam": true, "user": "app" } }],
    });
    [json!({}), later, some]
}

#[test]
fn regression_nothing_that_an_action_declares_is_left_out_of_its_policy() {
    let (plan, registry) = (plan_of("orders-db"), providers::registry());
    let mut seen = BTreeSet::new();
    for entry in registry.actions() {
        let name = entry.facts.name;
        for grant in inputs_of(entry).into_iter().flat_map(|with| needed_by(entry, with, &[])) {
            let action = grant.grant.action;
            let types = iam_action(action).unwrap().resources;
            for target in &grant.grant.on {
                let fits = types.iter().any(|known| known.kind == target.kind);
                assert!(fits, "{name}: {action} is not used on a {}", target.kind);
            }
            let found = access(&plan, &[grant], Wanted::default()).unwrap();
            let needs: Vec<&Need> = found.roles.iter().flat_map(|role| &role.needs).collect();
            assert_eq!(needs.len(), 1, "{name}: {action}");
            assert!(!needs[0].statements.is_empty(), "{name}: {action} is in no statement");
            seen.insert(action);
        }
    }
    assert!(seen.len() > 50, "{seen:?}");
}

/// The statements with an IAM action, of those that an action of this program needs at the site dr of a plan.
fn statements_of(plan: &Plan, grants: &[StepGrant], wanted: &str) -> Vec<Value> {
    let found = access(plan, grants, Wanted::default()).unwrap();
    let all = found.roles.iter().flat_map(statements_in);
    let holds = |one: &&Value| one["Action"].as_array().unwrap().contains(&wanted.into());
    all.filter(holds).cloned().collect()
}

/// The one statement with an IAM action, of those that an action of this program needs.
fn statement_with(action: &str, with: &Value, canaries: &[&str], wanted: &str) -> Value {
    let (plan, registry) = (plan_of("orders-db"), providers::registry());
    let grants = needed_by(registry.get(action).unwrap(), with.clone(), canaries);
    let all = statements_of(&plan, &grants, wanted);
    assert_eq!(all.len(), 1, "{wanted}: {all:#?}");
    all[0].clone()
}

#[test]
fn regression_a_canary_alone_may_be_looked_for_where_its_buckets_are() {
    let with = json!({ "source": "uploads", "replica": "uploads-dr", "replica_at": "dr" });
    let statement =
        statement_with("s3.replicate_canary", &with, &["uploads"], "s3:GetBucketLocation");
    assert_eq!(statement["Resource"], json!(["arn:aws:s3:::uploads", "arn:aws:s3:::uploads-dr"]));
}

#[test]
fn regression_a_snapshot_that_an_earlier_step_tells_may_be_one_that_another_account_shares() {
    let resources = |action: &str, snapshot: Value, wanted: &str| {
        let with = json!({ "snapshot": snapshot });
        let statement = statement_with(action, &with, &[], wanted);
        let resources = statement["Resource"].as_array().unwrap().clone();
        let snapshots = resources.iter().filter_map(Value::as_str).map(str::to_owned);
        snapshots.filter(|arn| arn.contains("snapshot:")).collect::<Vec<_>>()
    };
    for (action, kind, calls) in [
        (
            "rds.restore_snapshot",
            "snapshot",
            ["rds:DescribeDBSnapshots", "rds:RestoreDBInstanceFromDBSnapshot"],
        ),
        (
            "aurora.restore_cluster",
            "cluster-snapshot",
            ["rds:DescribeDBClusterSnapshots", "rds:RestoreDBClusterFromSnapshot"],
        ),
    ] {
        for call in calls {
            let later = resources(action, Given::later_mark(), call);
            assert_eq!(later, [format!("arn:aws:rds:ap-northeast-3:*:{kind}:*")], "{call}");
            let named = resources(action, "nightly".into(), call);
            let own = format!("arn:aws:rds:ap-northeast-3:222222222222:{kind}:nightly");
            assert_eq!(named, [own], "{call}");
            let arn = format!("arn:aws:rds:ap-northeast-3:111111111111:{kind}:theirs");
            assert_eq!(resources(action, arn.as_str().into(), call), [arn], "{call}");
        }
    }
}

#[test]
fn regression_the_keys_of_what_others_share_may_be_looked_at_where_that_is_looked_for() {
    for action in ["rds.find_snapshot", "aurora.find_snapshot"] {
        let keys = |shared: Value| {
            let with = json!({ "of": "orders", "shared": shared, "to_copy": true });
            statement_with(action, &with, &[], "kms:DescribeKey")["Resource"].clone()
        };
        let own = json!(["arn:aws:kms:ap-northeast-3:222222222222:key/*"]);
        assert_eq!((keys(false.into()), keys(Value::Null)), (own.clone(), own));
        for shared in [Value::Bool(true), Given::later_mark()] {
            assert_eq!(keys(shared), json!(["arn:aws:kms:ap-northeast-3:*:key/*"]), "{action}");
        }
    }
}

#[test]
fn regression_a_copy_may_use_the_key_of_its_original_in_the_originals_account_and_region() {
    let (plan, registry) = (plan_of("orders-db"), providers::registry());
    for (action, kind) in
        [("rds.copy_snapshot", "snapshot"), ("aurora.copy_snapshot", "cluster-snapshot")]
    {
        let entry = registry.get(action).unwrap();
        let of = |snapshot: Value, wanted: &str| {
            let with = json!({ "snapshot": snapshot, "kms_key": "alias/dr" });
            statements_of(&plan, &needed_by(entry, with, &[]), wanted)
        };
        let via = |operator: &str, region: &str| json!({ operator: { "kms:ViaService": format!("rds.{region}.amazonaws.com") } });
        let own = "arn:aws:kms:ap-northeast-3:222222222222:key/*";
        let arn = format!("arn:aws:rds:ap-northeast-1:111111111111:{kind}:theirs");
        let theirs = "arn:aws:kms:ap-northeast-1:111111111111:key/*";
        for (snapshot, keys, condition) in [
            (json!(arn), theirs, via("StringEquals", "ap-northeast-1")),
            (Given::later_mark(), "arn:aws:kms:*:*:key/*", via("StringLike", "*")),
        ] {
            let decrypt = of(snapshot.clone(), "kms:Decrypt");
            assert_eq!(decrypt.len(), 1, "{decrypt:#?}");
            assert_eq!(decrypt[0]["Resource"], json!([keys]), "{action}");
            assert_eq!(decrypt[0]["Condition"], condition, "{action}");
            let describe = of(snapshot.clone(), "kms:DescribeKey");
            let looked_at: Vec<&Value> =
                describe.iter().flat_map(|one| one["Resource"].as_array().unwrap()).collect();
            assert!(looked_at.contains(&&json!(own)), "{looked_at:?}");
            assert!(looked_at.contains(&&json!(keys)), "{looked_at:?}");
            let grants = of(snapshot, "kms:CreateGrant");
            let on = |keys: &str| grants.iter().find(|one| one["Resource"] == json!([keys]));
            assert!(on(own).is_some(), "{grants:#?}");
            let foreign = &on(keys).unwrap()["Condition"];
            assert_eq!(foreign["Bool"]["kms:GrantIsForAWSResource"], "true");
            for (operator, wanted) in condition.as_object().unwrap() {
                assert_eq!(&foreign[operator], wanted);
            }
        }
        // What is named by its identifier is of the step's own place, and so is its key.
        assert!(of("nightly".into(), "kms:Decrypt").is_empty());
        let grants = of("nightly".into(), "kms:CreateGrant");
        assert_eq!(grants.len(), 1);
        assert_eq!(grants[0]["Resource"], json!([own]));
        // Also without a key of its own, under that of the original.
        let without = needed_by(entry, json!({ "snapshot": "nightly" }), &[]);
        assert_eq!(statements_of(&plan, &without, "kms:DescribeKey")[0]["Resource"], json!([own]));
    }
}

#[test]
fn regression_an_original_of_any_place_is_one_of_the_sites_partition() {
    let (mut plan, registry) = (plan_of("orders-db"), providers::registry());
    plan.sites.values_mut().for_each(|site| site.region = "cn-north-1".to_owned());
    let with = json!({ "snapshot": Given::later_mark() });
    let grants = needed_by(registry.get("rds.copy_snapshot").unwrap(), with, &[]);
    let decrypt = statements_of(&plan, &grants, "kms:Decrypt");
    assert_eq!(decrypt[0]["Resource"], json!(["arn:aws-cn:kms:*:*:key/*"]));
    let host = &decrypt[0]["Condition"]["StringLike"]["kms:ViaService"];
    assert_eq!(host, "rds.*.amazonaws.com.cn");
    let copy = statements_of(&plan, &grants, "rds:CopyDBSnapshot")[0]["Resource"].to_string();
    assert!(copy.contains("arn:aws-cn:rds:*:*:snapshot:*") && !copy.contains("arn:*"), "{copy}");
}

#[test]
fn regression_a_key_that_is_named_by_an_arn_may_be_another_accounts() {
    let other = "arn:aws:kms:ap-northeast-3:333333333333";
    for (action, input, wanted) in [
        ("rds.copy_snapshot", json!({ "snapshot": "nightly" }), "kms:CreateGrant"),
        ("aurora.copy_snapshot", json!({ "snapshot": "nightly" }), "kms:DescribeKey"),
        ("aurora.restore_cluster", json!({ "snapshot": "nightly" }), "kms:CreateGrant"),
        ("ebs.restore_volume", json!({ "snapshot": "snap-1" }), "kms:ReEncryptTo"),
    ] {
        let keys = |key: &str| {
            let mut with = input.clone();
            with["kms_key"] = key.into();
            statement_with(action, &with, &[], wanted)["Resource"].clone()
        };
        let own = "arn:aws:kms:ap-northeast-3:222222222222:key/*";
        assert_eq!(keys("alias/dr"), json!([own]), "{action}");
        assert_eq!(keys(&format!("{other}:key/1")), json!([own, format!("{other}:key/1")]));
        assert_eq!(keys(&format!("{other}:alias/dr")), json!([own, format!("{other}:key/*")]));
    }
    for action in ["rds.compare_config", "aurora.compare_config"] {
        let with = json!({ "instead": { "kms_key": format!("{other}:key/1") } });
        let keys = statement_with(action, &with, &[], "kms:DescribeKey")["Resource"].to_string();
        assert!(keys.contains(&format!("{other}:key/1")), "{keys}");
    }
}

#[test]
fn regression_the_key_of_another_accounts_secret_is_that_accounts() {
    for (secret, account) in [
        ("orders/readonly", "222222222222"),
        ("arn:aws:secretsmanager:ap-northeast-3:333333333333:secret:orders", "333333333333"),
    ] {
        let with = json!({ "credentials": { "secret": secret } });
        let keys = statement_with("sql.check", &with, &[], "kms:Decrypt")["Resource"].clone();
        assert_eq!(keys, json!([format!("arn:aws:kms:ap-northeast-3:{account}:key/*")]));
    }
}

#[test]
fn regression_the_role_of_a_site_without_a_step_is_assumed_as_well() {
    // A run asks each site who we are there, and no step of this scenario is at the site that is lost.
    let found = access_of("ledger-volume");
    assert_eq!(found.roles.iter().filter(|role| role.policy.is_some()).count(), 1);
    let assumed = &found.runner.policy.unwrap()["Statement"][0]["Resource"];
    let role = |account: &str| format!("arn:aws:iam::{account}:role/redrill-drill");
    assert_eq!(*assumed, json!([role("111111111111"), role("222222222222")]));
}

#[test]
fn regression_every_role_that_the_runner_assumes_has_a_trust_policy_that_lets_it_in() {
    let runner = "arn:aws:iam::333333333333:role/drill-runner";
    for scenario in SCENARIOS {
        let plan = plan_of(scenario);
        for grants in [plan::grants(&plan, &providers::registry()), Vec::new()] {
            let named = Wanted { runner: Some(runner), ..Wanted::default() };
            let found = access(&plan, &grants, named).unwrap();
            let assumed = match found.runner.policy {
                Some(policy) => policy["Statement"][0]["Resource"].clone(),
                None => json!([]),
            };
            let trusting = |role: &RoleAccess| {
                let lets_in = &role.trust.as_ref()?["Statement"][0]["Principal"]["AWS"];
                (lets_in == runner).then(|| role.role.clone())?
            };
            let trusting: BTreeSet<String> = found.roles.iter().filter_map(trusting).collect();
            assert_eq!(json!(trusting), assumed, "{scenario}");
        }
    }
}

#[test]
fn regression_sites_with_the_same_role_come_together_though_only_one_names_the_account() {
    let mut plan = plan_of("ledger-volume");
    let role = "arn:aws:iam::222222222222:role/redrill-drill";
    for (name, site) in &mut plan.sites {
        site.role = Some(role.to_owned());
        site.account = (name.as_str() == "primary").then(|| "222222222222".to_owned());
    }
    let grants = plan::grants(&plan, &providers::registry());
    let found = access(&plan, &grants, Wanted::default()).unwrap();
    assert_eq!(found.roles.len(), 1);
    assert_eq!(found.roles[0].sites.len(), 2);
    assert_eq!(found.roles[0].account.as_deref(), Some("222222222222"));
    // A role is used in its own account, also where the site does not say it.
    plan.sites.values_mut().for_each(|site| site.account = None);
    let narrow = access(&plan, &grants, Wanted::default()).unwrap();
    assert_eq!(narrow.roles[0].policy, found.roles[0].policy);
}

#[test]
fn regression_one_site_is_told_of_alone_though_the_runner_assumes_the_roles_of_all() {
    let plan = plan_of("ledger-volume");
    let grants = plan::grants(&plan, &providers::registry());
    for site in plan.sites.keys() {
        let found =
            access(&plan, &grants, Wanted { site: Some(site), ..Wanted::default() }).unwrap();
        assert_eq!(found.roles.len(), 1);
        assert_eq!(found.roles[0].sites, std::slice::from_ref(site));
        assert_eq!(found.roles[0].policy.is_some(), site.as_str() == "dr");
        assert_eq!(
            found.runner.policy.unwrap()["Statement"][0]["Resource"].as_array().unwrap().len(),
            2
        );
    }
}

#[test]
fn regression_places_of_canaries_may_be_listed_as_the_guard_writes_them() {
    let canary = ("s3.replicate_canary", json!({ "source": "uploads", "replica": "uploads" }));
    let snapshot = ("etcd.take_snapshot", json!({ "object": { "bucket": "uploads" } }));
    for (action, with) in [canary, snapshot] {
        let of = |canaries: &[&str], wanted| statement_with(action, &with, canaries, wanted);
        let listing = |canaries: &[&str]| {
            let listing = of(canaries, "s3:ListBucketVersions");
            assert_eq!(listing["Resource"], json!(["arn:aws:s3:::uploads"]));
            listing["Condition"]["StringLike"]["s3:prefix"].clone()
        };
        assert_eq!(listing(&["uploads/redrill-canary/"]), "redrill-canary/*");
        assert_eq!(listing(&["uploads/redrill-canary"]), "redrill-canary*");
        assert_eq!(
            listing(&["uploads/redrill-canary/", "uploads/other/", "elsewhere"]),
            json!(["other/*", "redrill-canary/*"])
        );
        // A listing without a prefix has no s3:prefix that a condition could ask for.
        assert_eq!(listing(&["uploads/redrill-canary/", "uploads"]), Value::Null);
        // Which run a version in a place is of can be read, and of nothing else.
        let read = |canaries: &[&str]| of(canaries, "s3:GetObjectVersion")["Resource"].clone();
        assert_eq!(
            read(&["uploads/redrill-canary"]),
            json!(["arn:aws:s3:::uploads/redrill-canary*redrill-*"])
        );
        assert_eq!(read(&["uploads"]), json!(["arn:aws:s3:::uploads/*redrill-*"]));
    }
}

#[test]
fn the_plan_tells_its_steps_where_the_guard_lets_canaries_be_written() {
    let mut plan = plan_of("cluster-state");
    plan.guard.canaries = vec!["platform-etcd".to_owned()];
    let grants = plan::grants(&plan, &providers::registry());
    let listings = grants.iter().filter(|one| one.grant.action == "s3:ListBucketVersions");
    let limits: Vec<_> = listings.flat_map(|one| &one.grant.limits).collect();
    assert_eq!(limits, [&crate::action::Limit::Prefixes(vec![String::new()])]);
}

#[test]
fn the_policy_of_the_database_scenario_is_as_narrow_as_aws_allows() {
    insta::assert_snapshot!(golden("orders-db"));
}

#[test]
fn the_policy_of_the_point_in_time_scenario_is_as_narrow_as_aws_allows() {
    insta::assert_snapshot!(golden("orders-db-point-in-time"));
}

#[test]
fn the_policy_of_the_aurora_scenario_is_as_narrow_as_aws_allows() {
    insta::assert_snapshot!(golden("payments-aurora"));
}

#[test]
fn the_policy_of_the_volume_scenario_is_as_narrow_as_aws_allows() {
    insta::assert_snapshot!(golden("ledger-volume"));
}

#[test]
fn the_policy_of_the_bucket_scenario_is_as_narrow_as_aws_allows() {
    insta::assert_snapshot!(golden("uploads-replication"));
}

#[test]
fn the_policy_of_the_cluster_scenario_is_as_narrow_as_aws_allows() {
    insta::assert_snapshot!(golden("cluster-state"));
}

#[test]
fn the_policy_of_the_k3s_scenario_is_as_narrow_as_aws_allows() {
    insta::assert_snapshot!(golden("k3s-server"));
}

#[test]
fn what_changes_something_never_stands_on_everything_and_asks_for_tags_where_aws_can() {
    for scenario in SCENARIOS {
        for role in access_of(scenario).roles {
            for statement in statements_in(&role) {
                let text = statement.to_string();
                let sid = statement["Sid"].as_str().unwrap();
                if sid.contains("Write") || sid.contains("Tag") {
                    let resources = statement["Resource"].as_array().unwrap();
                    assert!(!resources.contains(&"*".into()), "{scenario}: {text}");
                    let tagged = text.contains("redrill:run") && text.contains("redrill:scenario");
                    // EC2 evaluates the snapshot that is read apart from the volume that is made, RDS the backup apart from
                    // the instance.
                    let reads = text.contains(":snapshot/") && !text.contains(":volume/")
                        || text.contains(":auto-backup:") && !text.contains(":db:");
                    let others = sid.starts_with("S3") || sid.starts_with("Kms");
                    assert!(tagged || reads || others, "{scenario}: {text}");
                }
            }
        }
    }
}

#[test]
fn names_of_sids_are_letters_and_digits_and_unique() {
    for scenario in SCENARIOS {
        for role in access_of(scenario).roles {
            let statements = statements_in(&role);
            let sids: BTreeSet<&str> =
                statements.iter().map(|s| s["Sid"].as_str().unwrap()).collect();
            assert_eq!(sids.len(), statements.len());
            assert!(sids.iter().all(|sid| sid.chars().all(|c| c.is_ascii_alphanumeric())));
        }
    }
}

#[test]
fn a_role_without_an_account_is_refused_with_what_to_do() {
    let mut plan = plan_of("orders-db");
    plan.sites.values_mut().for_each(|site| site.account = None);
    let grants = plan::grants(&plan, &providers::registry());
    let error = access(&plan, &grants, Wanted::default()).unwrap_err();
    assert!(error.to_string().contains("redrill-drill"), "{error}");
    plan.sites.values_mut().for_each(|site| site.role = None);
    let access = access(&plan, &grants, Wanted::default()).unwrap();
    assert_eq!(access.runner.policy, None);
    assert!(access.roles[0].notes[0].contains("names no account"), "{:?}", access.roles[0].notes);
}

#[test]
fn other_partitions_have_their_own_arns_and_hosts() {
    let mut plan = plan_of("orders-db");
    plan.sites.values_mut().for_each(|site| site.region = "cn-north-1".to_owned());
    let grants = plan::grants(&plan, &providers::registry());
    let text = serde_json::to_string(&access(&plan, &grants, Wanted::default()).unwrap()).unwrap();
    assert!(!text.contains("arn:aws:"), "{text}");
    assert!(text.contains("arn:aws-cn:rds:cn-north-1:222222222222:db:redrill-orders-db-*"));
    assert!(text.contains("rds.cn-north-1.amazonaws.com.cn"));
}

#[test]
fn regression_keys_are_used_through_the_host_names_of_their_partition() {
    let mut plan = plan_of("orders-db");
    let grants = plan::grants(&plan, &providers::registry());
    for (region, host) in [
        ("us-gov-west-1", "rds.us-gov-west-1.amazonaws.com"),
        ("us-isob-east-1", "rds.us-isob-east-1.sc2s.sgov.gov"),
        ("eusc-de-east-1", "rds.eusc-de-east-1.amazonaws.eu"),
    ] {
        plan.sites.values_mut().for_each(|site| site.region = region.to_owned());
        let text =
            serde_json::to_string(&access(&plan, &grants, Wanted::default()).unwrap()).unwrap();
        assert!(text.contains(&format!("\"kms:ViaService\":\"{host}\"")), "{text}");
    }
}

#[test]
fn regression_the_account_of_an_oidc_provider_is_asked_for_where_nothing_says_it() {
    let mut plan = plan_of("orders-db");
    for site in plan.sites.values_mut() {
        (site.account, site.role) = (None, None);
    }
    let grants = plan::grants(&plan, &providers::registry());
    let github = Trust::GitHub { subject: "repo:example/drills:*".to_owned() };
    let (provider, subject) = ("oidc.example.com/id/1".to_owned(), "system:x".to_owned());
    for trust in [github, Trust::Irsa { provider, subject }] {
        let error = access(&plan, &grants, Wanted { trust: Some(&trust), ..Wanted::default() })
            .unwrap_err();
        let help = error.help_text().unwrap();
        assert!(help.contains("--runner") && help.contains("account:"), "{help}");
        let runner = "arn:aws:iam::333333333333:role/drill-runner";
        let found = access(
            &plan,
            &grants,
            Wanted { trust: Some(&trust), runner: Some(runner), ..Wanted::default() },
        )
        .unwrap();
        let statement = &found.runner.trust.unwrap()["Statement"][0];
        let federated = statement["Principal"]["Federated"].as_str().unwrap();
        assert!(federated.starts_with("arn:aws:iam::333333333333:oidc-provider/"), "{federated}");
    }
    let account = Trust::Principal("333333333333".to_owned());
    let found =
        access(&plan, &grants, Wanted { trust: Some(&account), ..Wanted::default() }).unwrap();
    let who = &found.runner.trust.unwrap()["Statement"][0]["Principal"]["AWS"];
    assert_eq!(who, "arn:aws:iam::333333333333:root");
}

#[test]
fn the_trust_policies_name_exactly_who_was_asked_for() {
    let plan = plan_of("orders-db");
    let grants = plan::grants(&plan, &providers::registry());
    let runner = "arn:aws:iam::333333333333:role/drill-runner";
    let irsa = Trust::Irsa {
        provider: "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF".to_owned(),
        subject: "system:serviceaccount:drills:redrill".to_owned(),
    };
    let github = Trust::GitHub { subject: "repo:example/drills:*".to_owned() };
    let account = Trust::Principal("333333333333".to_owned());
    let of = |trust: &Trust| {
        access(
            &plan,
            &grants,
            Wanted { trust: Some(trust), runner: Some(runner), ..Wanted::default() },
        )
        .unwrap()
    };
    let all = [irsa, github, account].map(|trust| of(&trust).runner.trust);
    let of_role = of(&Trust::Principal("333333333333".into())).roles[0].trust.clone();
    insta::assert_snapshot!(serde_json::to_string_pretty(&(all, of_role)).unwrap());
}

/// The access that a scenario needs with a store.
fn keeping_in(scenario: &str, prefix: &str) -> Access {
    let (partition, bucket) = ("aws", "drill-evidence".to_owned());
    let store = StorePlace { partition, bucket, prefix: prefix.to_owned() };
    access_of(scenario).keeping_journals_in(&store)
}

#[test]
fn the_runner_may_keep_journals_below_the_prefix_of_the_store_and_nowhere_else() {
    let runner = keeping_in("orders-db", "redrill/orders").runner;
    insta::assert_snapshot!(serde_json::to_string_pretty(&runner).unwrap());
}

#[test]
fn a_store_that_is_a_whole_bucket_has_no_prefix_to_limit_lists_by() {
    let runner = keeping_in("orders-db", "").runner;
    let statements = runner.policy.unwrap()["Statement"].as_array().unwrap().clone();
    let of = |sid: &str| statements.iter().find(|one| one["Sid"] == sid).unwrap().clone();
    assert_eq!(of("StoreObjects")["Resource"][0], "arn:aws:s3:::drill-evidence/*");
    assert!(of("StoreList").get("Condition").is_none());
}

#[test]
fn without_roles_the_runner_still_needs_its_store() {
    let mut plan = plan_of("orders-db");
    plan.sites.values_mut().for_each(|site| site.role = None);
    let grants = plan::grants(&plan, &providers::registry());
    let (partition, bucket) = ("aws-cn", "drill-evidence".to_owned());
    let store = StorePlace { partition, bucket, prefix: "x".to_owned() };
    let runner =
        access(&plan, &grants, Wanted::default()).unwrap().keeping_journals_in(&store).runner;
    let statements = runner.policy.unwrap()["Statement"].as_array().unwrap().clone();
    assert_eq!(statements.len(), 3);
    let on = |one: &Value| one["Resource"][0].as_str().unwrap().to_owned();
    assert!(statements.iter().all(|one| on(one).starts_with("arn:aws-cn:s3:::drill-evidence")));
}

#[test]
fn reaping_may_list_whatever_drills_make_and_remove_what_bears_a_mark() {
    let (plan, registry) = (plan_of("uploads-replication"), providers::registry());
    let found = access(&plan, &reaping(&plan, &registry), Wanted::default()).unwrap();
    assert_eq!(found.roles.iter().map(|role| role.sites.len()).sum::<usize>(), plan.sites.len());
    let kinds = || registry.resource_kinds().filter(|kind| kind.reach() == Reach::Service);
    for role in &found.roles {
        for permission in kinds().flat_map(|kind| kind.permissions()) {
            let is_there = role.needs.iter().any(|need| need.action == permission.action);
            let is_tag = iam_action(permission.action).unwrap().level == Level::Tag;
            assert_eq!(is_there, !is_tag, "{}", permission.action);
        }
        for statement in statements_in(role) {
            let (text, sid) = (statement.to_string(), statement["Sid"].as_str().unwrap());
            assert!(!text.contains("redrill:scenario"), "{text}");
            let (writes, in_s3) = (sid.contains("Write"), sid.starts_with("S3"));
            assert!(!writes || in_s3 || text.contains("aws:ResourceTag/redrill:run"), "{text}");
            // EC2 gives ids in place of names.
            let resources = statement["Resource"].as_array().unwrap();
            let named = |one: &Value| one.as_str().unwrap().contains("redrill-");
            assert!(!writes || sid.starts_with("Ec2") || resources.iter().all(named), "{text}");
        }
    }
}

#[test]
fn a_reaper_reads_the_store_and_writes_nothing_there() {
    let (partition, bucket) = ("aws", "drill-evidence".to_owned());
    let store = StorePlace { partition, bucket, prefix: "redrill".to_owned() };
    let runner = access_of("orders-db").reading_journals_in(&store).runner;
    let text = runner.policy.unwrap().to_string();
    assert!(text.contains("s3:GetObject") && text.contains("s3:ListBucket"), "{text}");
    assert!(!text.contains("s3:PutObject"), "{text}");
}
