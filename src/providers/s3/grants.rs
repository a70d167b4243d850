//! On what the steps of S3 use their permissions, for least privilege
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>).

use super::canary_object::CanaryObjectKind;
use crate::action::{Given, Grant, Limit, Permission, ResourceKind as _};
use crate::ids::SiteName;

/// A bucket at a site.
struct Side {
    /// The input that names the bucket.
    input: &'static str,
    bucket: String,
    site: Option<SiteName>,
}

fn sides(given: &Given) -> [Side; 2] {
    let side = |input: &'static str, site| Side { input, bucket: given.pattern(input), site };
    [side("source", given.at.clone()), side("replica", given.site("replica_at"))]
}

pub(super) fn check_replication(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let prefix = given.text("prefix").map_or_else(String::new, |_| given.pattern("prefix"));
    let mut all = Vec::new();
    for (number, side) in sides(given).into_iter().enumerate() {
        let Side { bucket, site, .. } = side;
        for permission in permissions {
            let action = permission.action;
            // The rules are those of the source.
            if action == "s3:GetReplicationConfiguration" && number > 0 {
                continue;
            }
            let grant = given.grant_at(site.clone(), permissions, action);
            all.extend(grant.map(|grant| match action {
                "s3:GetObject" | "s3:GetObjectVersion" => {
                    grant.on("object", format!("{bucket}/{prefix}*"))
                }
                "s3:ListBucketVersions" => {
                    grant.on("bucket", &bucket).limited(Limit::Prefixes(vec![prefix.clone()]))
                }
                "kms:Decrypt" => grant.on("key", "*").limited(Limit::Via("s3")),
                _ => grant.on("bucket", &bucket),
            }));
        }
    }
    all
}

pub(super) fn replicate_canary(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let prefix = match given.has("prefix") {
        true => given.pattern("prefix"),
        false => super::replicate_canary::canary_prefix(),
    };
    let key = format!("{prefix}{}", given.own_names());
    let mut permissions = permissions.to_vec();
    for permission in CanaryObjectKind.permissions() {
        if !permissions.iter().any(|known| known.action == permission.action) {
            permissions.push(*permission);
        }
    }
    let mut all = Vec::new();
    for (number, side) in sides(given).into_iter().enumerate() {
        let Side { input, bucket, site } = side;
        let listed = given.canary_listings(input, &prefix);
        for permission in &permissions {
            let action = permission.action;
            // The replica is written by S3's own role.
            if matches!(action, "s3:PutObject" | "kms:GenerateDataKey") && number > 0 {
                continue;
            }
            let grant = given.grant_at(site.clone(), &permissions, action);
            all.extend(grant.map(|grant| match action {
                "s3:ListBucket" | "s3:GetBucketLocation" => grant.on("bucket", &bucket),
                "s3:ListBucketVersions" => {
                    grant.on("bucket", &bucket).limited(Limit::Prefixes(listed.clone()))
                }
                // An inventory asks every canary whose it is.
                "s3:GetObjectVersion" => listed.iter().fold(grant, |grant, place| {
                    grant.on("object", format!("{bucket}/{place}*redrill-*"))
                }),
                "kms:Decrypt" | "kms:GenerateDataKey" => {
                    grant.on("key", "*").limited(Limit::Via("s3"))
                }
                _ => grant.on("object", format!("{bucket}/{key}")),
            }));
        }
    }
    all
}
