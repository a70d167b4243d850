//! On what the steps of EBS use their permissions, for least privilege. EC2's describing actions cannot be limited to
//! resources
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>).

use super::volume::VolumeKind;
use crate::action::{Given, Grant, Limit, Permission, ResourceKind as _};
use crate::providers::backups::on_keys;

pub(super) fn find_snapshot(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let grant = |action| given.grant(permissions, action);
    let keys = grant("kms:DescribeKey").map(|g| g.on("key", "*"));
    grant("ec2:DescribeSnapshots").into_iter().chain(keys).collect()
}

pub(super) fn restore_volume(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let grant = |action| given.grant(permissions, action);
    // EC2 chooses the id of a volume: what narrows these is the tag that the table of conditions asks for.
    let mut all = vec![
        grant("ec2:DescribeSnapshots"),
        grant("ec2:CreateVolume")
            .map(|g| g.on("volume", "*").on("snapshot", given.pattern("snapshot"))),
        grant("ec2:CreateTags").map(|g| g.on("volume", "*")),
        grant("ec2:DescribeVolumes"),
        grant("kms:DescribeKey").map(|g| on_keys(g, given, "kms_key")),
    ];
    let of_keys = permissions.iter().filter(|permission| permission.action.starts_with("kms:"));
    let used = of_keys.filter(|permission| permission.action != "kms:DescribeKey");
    let by_ec2 = |g: Grant| on_keys(g, given, "kms_key").limited(Limit::Via("ec2"));
    all.extend(used.map(|p| grant(p.action).map(by_ec2)));
    let kind = VolumeKind.permissions();
    all.push(given.grant(kind, "ec2:DescribeVolumes"));
    all.push(given.grant(kind, "ec2:DeleteVolume").map(|g| g.on("volume", "*")));
    all.into_iter().flatten().collect()
}

/// What only the look before the day of the drill reads.
const PREFLIGHT: &[Permission] =
    &[Permission { action: "ec2:DescribeAvailabilityZones", why: "preflight: the zone is there" }];

pub(super) fn preflight_of_restore(given: &Given) -> Vec<Grant> {
    given.grant(PREFLIGHT, "ec2:DescribeAvailabilityZones").into_iter().collect()
}
