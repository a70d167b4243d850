use crate::action::{Beside, HandInput};
use serde_json::Value;

/// The log groups of CloudWatch that what a step has restored sends the logs to that its input names under `log_exports`: of an
/// `instance` or a `cluster`. RDS makes them by its own role and keeps them for ever
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Procedural.UploadtoCloudWatch.html>).
pub(in crate::providers) fn log_groups(
    of: &str,
    name: &str,
    input: &Value,
    region: &str,
) -> Vec<Beside> {
    let logs = input["log_exports"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let group_of = |log: &str| {
        let group = format!("/aws/rds/{of}/{name}/{log}");
        let (word, region) = (HandInput::quote(&group), HandInput::quote(region));
        Beside {
            what: format!("the log group {group}"),
            service: "RDS",
            command: format!("aws logs delete-log-group --region {region} --log-group-name {word}"),
        }
    };
    logs.map(group_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SiteName;
    use crate::journal::ResourceKey;
    use serde_json::json;

    #[test]
    fn regression_the_log_groups_of_what_was_restored_are_known() {
        let registry = crate::providers::registry();
        let of = |kind: &str, input: Value| {
            let (name, site) = ("redrill-orders-1".to_owned(), SiteName::new("dr"));
            let key = ResourceKey { kind: kind.to_owned(), name, site };
            registry.resource_kind(kind).unwrap().beside(&key, &input, "eu-west-1")
        };
        let input = json!({ "snapshot": "x", "log_exports": ["postgresql", "upgrade"] });
        let of_instance = of("rds.db_instance", input.clone());
        assert_eq!(of_instance.len(), 2);
        assert_eq!(
            of_instance[1].command,
            "aws logs delete-log-group --region eu-west-1 --log-group-name /aws/rds/instance/redrill-orders-1/upgrade"
        );
        let of_cluster = of("aurora.cluster", input.clone());
        assert_eq!(
            of_cluster[0].what,
            "the log group /aws/rds/cluster/redrill-orders-1/postgresql"
        );
        // The members of a cluster write into its groups.
        assert!(of("aurora.instance", input).is_empty());
        assert!(of("rds.db_instance", json!({ "snapshot": "x" })).is_empty());
    }
}
