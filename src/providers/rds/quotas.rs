//! Whether what a run makes fits into the quotas of RDS, those of Aurora included: they are the same service's.

use crate::action::{Given, Probe, ProbeVerdict, StepContext, StepError};
use crate::client;
use aws_sdk_rds::types::AccountQuota;

/// A quota of an account in a region, and the kinds of resources that count in it
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_AccountQuota.html>).
struct Quota {
    name: &'static str,
    kinds: &'static [&'static str],
}

const QUOTAS: [Quota; 4] = [
    Quota { name: "DBInstances", kinds: &["rds.db_instance", "aurora.instance"] },
    Quota { name: "DBClusters", kinds: &["aurora.cluster"] },
    Quota { name: "ManualSnapshots", kinds: &["rds.db_snapshot"] },
    Quota { name: "ManualClusterSnapshots", kinds: &["aurora.cluster_snapshot"] },
];

/// The permission that asking needs.
const NEEDS: &str = "rds:DescribeAccountAttributes";

/// Whether all that the run makes at the place of the step fits into the quotas. All of it is counted, since nobody knows
/// before the day what is there at the same time; what is removed meanwhile only leaves more room.
pub(in crate::providers) async fn quotas(cx: &StepContext, given: &Given) -> Probe {
    let answer = async {
        let client = client!(cx.site()?, aws_sdk_rds);
        let request = client.describe_account_attributes();
        let answer = cx.call(NEEDS, || request.clone().send()).await?;
        Ok::<_, StepError>(answer.account_quotas.unwrap_or_default())
    };
    let needed = needed(given);
    let names: Vec<&str> = needed.iter().map(|(name, _)| *name).collect();
    let what = format!("quotas of RDS: {}", names.join(", "));
    Probe::of(what, &[NEEDS], answer.await, |quotas| room(&quotas, &needed))
}

/// The total storage of instances is a quota, too, and how much a backup needs is told with the backup.
pub(in crate::providers) fn storage() -> Probe {
    Probe::not_before(
        "quota of RDS: AllocatedStorage",
        "how large the backup is, RDS tells with it",
    )
}

/// How much of each quota the run needs at the place of the step.
fn needed(given: &Given) -> Vec<(&'static str, u64)> {
    let count = |quota: &Quota| quota.kinds.iter().map(|kind| given.run_makes(kind)).sum::<u64>();
    let all = QUOTAS.iter().map(|quota| (quota.name, count(quota)));
    all.filter(|(_, needed)| *needed > 0).collect()
}

/// What the quotas mean for what is needed of them.
fn room(quotas: &[AccountQuota], needed: &[(&str, u64)]) -> ProbeVerdict {
    let (mut seen, mut full, mut untold) = (Vec::new(), Vec::new(), Vec::new());
    for (name, needed) in needed {
        let quota = quotas.iter().find(|quota| quota.account_quota_name() == Some(name));
        let Some((used, max)) = quota.and_then(|quota| quota.used().zip(quota.max())) else {
            untold.push(*name);
            continue;
        };
        let needed = i64::try_from(*needed).unwrap_or(i64::MAX);
        let text = format!("{name}: {used} of {max} are used, and the run makes {needed}");
        match used.saturating_add(needed) <= max {
            true => seen.push(text),
            false => full.push(text),
        }
    }
    if !full.is_empty() {
        let action = "ask AWS for a higher quota in this region, or delete some";
        return ProbeVerdict::fails(format!("there is no room: {}", full.join("; ")), action);
    }
    if !untold.is_empty() {
        return ProbeVerdict::Unknown(format!("RDS does not tell the quota {}", untold.join(", ")));
    }
    ProbeVerdict::works(seen.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StepId;
    use serde_json::Value;

    fn quota(name: &str, used: i64, max: i64) -> AccountQuota {
        AccountQuota::builder().account_quota_name(name).used(used).max(max).build()
    }

    fn given(makes: &[(&str, u64)]) -> Given {
        let makes = makes.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        Given::new("orders", StepId::new("restore"), None, Value::Null).in_a_run_that_makes(makes)
    }

    #[test]
    fn a_quota_that_is_used_up_fails_and_one_that_is_not_told_is_unknown() {
        let one = [("DBInstances", 1)];
        assert!(matches!(room(&[quota("DBInstances", 39, 40)], &one), ProbeVerdict::Works(_)));
        let full = [quota("DBInstances", 40, 40)];
        assert!(matches!(room(&full, &one), ProbeVerdict::Fails { .. }));
        assert!(matches!(room(&[], &one), ProbeVerdict::Unknown(_)));
        // As RDS answers when it tells a name alone.
        let bare = [AccountQuota::builder().account_quota_name("DBInstances").build()];
        assert!(matches!(room(&bare, &one), ProbeVerdict::Unknown(_)));
    }

    #[test]
    fn each_of_two_restores_has_room_for_itself_and_both_together_have_none() {
        let almost_full = [quota("DBInstances", 39, 40), quota("DBClusters", 0, 40)];
        let alone = needed(&given(&[("rds.db_instance", 1)]));
        assert!(matches!(room(&almost_full, &alone), ProbeVerdict::Works(_)));
        // An instance of RDS and one of Aurora count in the same quota.
        let together = [("rds.db_instance", 1), ("aurora.instance", 1), ("aurora.cluster", 1)];
        let both = needed(&given(&together));
        assert_eq!(both, [("DBInstances", 2), ("DBClusters", 1)]);
        let ProbeVerdict::Fails { why, .. } = room(&almost_full, &both) else { panic!() };
        assert!(why.contains("39 of 40 are used, and the run makes 2"), "{why}");
        assert!(!why.contains("DBClusters"), "{why}");
    }

    #[test]
    fn copies_count_in_the_quotas_of_manual_snapshots() {
        let copies = needed(&given(&[("rds.db_snapshot", 2), ("aurora.cluster_snapshot", 1)]));
        assert_eq!(copies, [("ManualSnapshots", 2), ("ManualClusterSnapshots", 1)]);
        let told =
            |used| [quota("ManualSnapshots", used, 100), quota("ManualClusterSnapshots", 99, 100)];
        assert!(matches!(room(&told(98), &copies), ProbeVerdict::Works(_)));
        assert!(matches!(room(&told(99), &copies), ProbeVerdict::Fails { .. }));
        // A quota that is full is told although another one is not.
        let half = [quota("ManualSnapshots", 100, 100)];
        assert!(matches!(room(&half, &copies), ProbeVerdict::Fails { .. }));
    }

    #[test]
    fn a_promoted_replica_is_there_already_and_needs_no_room() {
        assert!(needed(&given(&[("rds.promoted_replica", 1), ("etcd.snapshot", 1)])).is_empty());
    }
}
