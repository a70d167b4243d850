use super::*;
use crate::plan::{self, Options, Plan, RunMode};
use crate::providers;
use crate::scenario;
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
    access(&plan, &plan::grants(&plan, &providers::registry()), None, None).unwrap()
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
            for statement in role.policy["Statement"].as_array().unwrap() {
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
            let statements = role.policy["Statement"].as_array().unwrap();
            let sids: std::collections::BTreeSet<&str> =
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
    let error = access(&plan, &grants, None, None).unwrap_err();
    assert!(error.to_string().contains("redrill-drill"), "{error}");
    plan.sites.values_mut().for_each(|site| site.role = None);
    let access = access(&plan, &grants, None, None).unwrap();
    assert_eq!(access.runner.policy, None);
    assert!(access.roles[0].notes[0].contains("names no account"), "{:?}", access.roles[0].notes);
}

#[test]
fn other_partitions_have_their_own_arns_and_hosts() {
    let mut plan = plan_of("orders-db");
    plan.sites.values_mut().for_each(|site| site.region = "cn-north-1".to_owned());
    let grants = plan::grants(&plan, &providers::registry());
    let text = serde_json::to_string(&access(&plan, &grants, None, None).unwrap()).unwrap();
    assert!(!text.contains("arn:aws:"), "{text}");
    assert!(text.contains("arn:aws-cn:rds:cn-north-1:222222222222:db:redrill-orders-db-*"));
    assert!(text.contains("rds.cn-north-1.amazonaws.com.cn"));
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
    let of = |trust: &Trust| access(&plan, &grants, Some(trust), Some(runner)).unwrap();
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
    let runner = access(&plan, &grants, None, None).unwrap().keeping_journals_in(&store).runner;
    let statements = runner.policy.unwrap()["Statement"].as_array().unwrap().clone();
    assert_eq!(statements.len(), 3);
    let on = |one: &serde_json::Value| one["Resource"][0].as_str().unwrap().to_owned();
    assert!(statements.iter().all(|one| on(one).starts_with("arn:aws-cn:s3:::drill-evidence")));
}
