use super::read::{Wrong, check_copies, check_length, key_exists, missing, wrong};
use super::{ClusterEstate, Estate, PlaceEstate};
use std::collections::BTreeSet;

/// Finds what is wrong with the clusters of a place.
pub(super) fn check_clusters(
    estate: &Estate,
    place: &PlaceEstate,
    at: &[&str],
) -> Result<(), Wrong> {
    let mut ids = BTreeSet::new();
    let mut members: BTreeSet<&str> = place.databases.iter().map(|d| d.id.as_str()).collect();
    for (index, cluster) in place.clusters.iter().enumerate() {
        let here = index.to_string();
        let at = [at, &["clusters", &here]].concat();
        let below = |key: &'static str| [&at[..], &[key]].concat();
        if !ids.insert(&cluster.id) {
            return Err(wrong(&below("id"), format!("cluster {} stands here twice", cluster.id)));
        }
        for member in &cluster.instances {
            if !members.insert(&member.id) {
                let what = format!("database {} stands here twice", member.id);
                return Err(wrong(&below("instances"), what));
            }
        }
        key_exists(Some(place), cluster.kms_key.as_ref(), &below("kms_key"))?;
        check_groups(place, cluster, &at)?;
        if let Err((path, what)) = crate::sandbox::sql::try_out(&cluster.as_database(), estate.now)
        {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            return Err(wrong(&[&at[..], &path].concat(), what));
        }
        let Some(schedule) = &cluster.schedule else { continue };
        check_length(schedule.every, schedule.keep, &below("schedule"))?;
        if let Some(copies) = &schedule.copies {
            let path = [&at[..], &["schedule", "copies"]].concat();
            let to = (copies.account.as_ref(), copies.region.as_str());
            let encrypted = cluster.kms_key.is_some();
            check_copies(estate, place, to, (encrypted, copies.kms_key.as_ref()), &path)?;
        }
    }
    Ok(())
}

fn check_groups(place: &PlaceEstate, cluster: &ClusterEstate, at: &[&str]) -> Result<(), Wrong> {
    let below = |key: &'static str| [at, &[key]].concat();
    let group = &cluster.subnet_group;
    if group != "default" && !place.subnet_groups.iter().any(|g| &g.name == group) {
        return Err(wrong(&below("subnet_group"), missing("subnet group", group)));
    }
    for group in &cluster.security_groups {
        if !place.security_groups.iter().any(|g| &g.id == group) {
            return Err(wrong(&below("security_groups"), missing("security group", group)));
        }
    }
    let kinds = [
        (
            "cluster_parameter_group",
            &cluster.cluster_parameter_group,
            &place.cluster_parameter_groups,
        ),
        ("instance_parameter_group", &cluster.instance_parameter_group, &place.parameter_groups),
    ];
    for (key, group, known) in kinds {
        if let Some(group) = group
            && !known.iter().any(|g| &g.name == group)
        {
            return Err(wrong(&below(key), missing("parameter group", group)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "estate: 1\nnow: 2026-11-22T00:00:00Z\naccounts: { 111111111111: {} }\nplaces:\n  - account: \
                        111111111111\n    region: a\n    databases: [{ id: one }]\n    clusters:\n";

    fn message(clusters: &str) -> String {
        Estate::read("e.yaml", &format!("{HEAD}{clusters}")).unwrap_err().to_string()
    }

    #[test]
    fn what_a_cluster_names_must_exist() {
        for (key, named) in [
            ("kms_key: nowhere", "no KMS key \"nowhere\""),
            ("subnet_group: nowhere", "no subnet group \"nowhere\""),
            ("security_groups: [sg-0]", "no security group \"sg-0\""),
            ("cluster_parameter_group: nowhere", "no parameter group \"nowhere\""),
            ("instance_parameter_group: nowhere", "no parameter group \"nowhere\""),
        ] {
            let text = message(&format!("      - id: payments\n        {key}\n"));
            assert!(text.starts_with("e.yaml:10:") && text.contains(named), "{text}");
        }
    }

    #[test]
    fn an_instance_has_one_name_and_one_cluster() {
        let text = message("      - { id: payments, instances: [{ id: one }] }\n");
        assert!(text.contains("database one stands here twice"), "{text}");
        let text = message("      - { id: payments }\n      - { id: payments }\n");
        assert!(text.contains("cluster payments stands here twice"), "{text}");
    }

    #[test]
    fn an_encrypted_cluster_needs_a_key_for_its_copies_and_sql_that_can_be_run() {
        let keyed = HEAD.replace("region: a\n", "region: a\n    kms_keys: [{ id: k }]\n");
        let copies = "      - id: payments\n        kms_key: k\n        schedule: { every: 1d, keep: 7d, copies: { region: b } }\n";
        let text = Estate::read("e.yaml", &format!("{keyed}{copies}")).unwrap_err().to_string();
        assert!(text.contains("needs a kms_key"), "{text}");
        let text = message("      - { id: payments, data: { sql: [select from] } }\n");
        assert!(text.contains("select from"), "{text}");
    }
}
