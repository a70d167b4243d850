//! What can be looked at in S3 before the day of a drill. Only calls that read.

use super::bucket::Bucket;
use super::listing::first_key;
use crate::action::{Given, Probe, ProbeVerdict, StepContext, StepError};
use crate::ids::SiteName;

/// One side of a replication.
struct Side {
    name: String,
    site: Option<SiteName>,
    bucket: Result<Bucket, StepError>,
}

/// Both buckets of a replication, the source first.
fn sides(cx: &StepContext, given: &Given) -> Vec<Side> {
    let sides = [("source", given.at.clone()), ("replica", given.site("replica_at"))];
    let open = |name: &str, site: Option<SiteName>| {
        let site = site.ok_or_else(|| StepError::broken("the step has no site: add at:"))?;
        Ok(Bucket::at(&cx.site_named(&site)?, name))
    };
    let known = sides.into_iter().filter_map(|(input, site)| Some((given.text(input)?, site)));
    let side = |(name, site): (&str, Option<SiteName>)| Side {
        name: name.to_owned(),
        bucket: open(name, site.clone()),
        site,
    };
    known.map(side).collect()
}

fn buckets_told_later(given: &Given) -> Vec<Probe> {
    let later = ["source", "replica"].into_iter().filter(|input| given.comes_later(input));
    later
        .map(|input| Probe::not_before(format!("{input} bucket"), "an earlier step tells it"))
        .collect()
}

pub(super) async fn check_replication(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = buckets_told_later(given);
    for (number, Side { name, site, bucket }) in sides(cx, given).into_iter().enumerate() {
        let here = match bucket {
            Ok(bucket) => of_bucket(cx, given, &bucket, number == 0).await,
            Err(error) => vec![Probe::new(format!("bucket {name}"), ProbeVerdict::of(error))],
        };
        probes.extend(here.into_iter().map(|probe| probe.at(site.clone())));
    }
    probes
}

async fn of_bucket(cx: &StepContext, given: &Given, bucket: &Bucket, source: bool) -> Vec<Probe> {
    let mut probes = vec![region(cx, bucket).await, versioning(cx, bucket).await];
    if source {
        probes.push(rules(cx, bucket).await);
    }
    probes.extend(objects(cx, bucket, given.text("prefix").unwrap_or_default()).await);
    probes
}

async fn region(cx: &StepContext, bucket: &Bucket) -> Probe {
    let answer = bucket.region(cx).await;
    let wanted = &bucket.site_region;
    let judge = |region: String| match region == *wanted {
        true => ProbeVerdict::works(format!("in {region}")),
        false => ProbeVerdict::fails(
            format!("it is in {region}, its site is {wanted}"),
            "name the bucket of that region, or correct the site",
        ),
    };
    Probe::of(format!("region of bucket {}", bucket.name), &["s3:GetBucketLocation"], answer, judge)
}

async fn versioning(cx: &StepContext, bucket: &Bucket) -> Probe {
    let answer = bucket.versioning(cx).await;
    let judge = |status: String| match status.as_str() {
        "Enabled" => ProbeVerdict::works("enabled"),
        other => ProbeVerdict::fails(
            format!("it is {other}"),
            "enable versioning: replication needs it on both sides",
        ),
    };
    let what = format!("versioning of bucket {}", bucket.name);
    Probe::of(what, &["s3:GetBucketVersioning"], answer, judge)
}

async fn rules(cx: &StepContext, bucket: &Bucket) -> Probe {
    let answer = bucket.rules(cx).await;
    let judge = |rules: Vec<super::rules::Rule>| match rules.len() {
        0 => ProbeVerdict::fails("there are none", "set up the replication of the bucket"),
        n => ProbeVerdict::works(format!("{n} there; what they cover shows on the day")),
    };
    let what = format!("replication rules of bucket {}", bucket.name);
    Probe::of(what, &["s3:GetReplicationConfiguration"], answer, judge)
}

/// Lists one page, and reads what is said about the first object on it.
async fn objects(cx: &StepContext, bucket: &Bucket, prefix: &str) -> Vec<Probe> {
    let what = format!("objects of bucket {} under {prefix:?}", bucket.name);
    let listed = first_key(cx, bucket, prefix).await;
    let first = listed.as_ref().ok().cloned().flatten();
    let judge = |first: Option<_>| match first {
        Some(_) => ProbeVerdict::works("there are some"),
        None => ProbeVerdict::Unknown("there is nothing to compare".to_owned()),
    };
    let mut probes = vec![Probe::of(what, &["s3:ListBucketVersions"], listed, judge)];
    if let Some((key, version)) = first {
        let answer = bucket.head(cx, &key, Some(&version)).await;
        let judge = |head: Option<_>| match head {
            Some(_) => ProbeVerdict::works("readable"),
            None => ProbeVerdict::Unknown("it was gone when it was looked at".to_owned()),
        };
        let what = format!("first object of bucket {} under {prefix:?}", bucket.name);
        probes.push(Probe::of(what, &["s3:GetObjectVersion"], answer, judge));
    }
    probes
}

pub(super) async fn replicate_canary(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = buckets_told_later(given);
    let prefix = match given.has("prefix") {
        true => given.text("prefix").map(str::to_owned),
        false => Some(super::replicate_canary::canary_prefix()),
    };
    let Some(prefix) = prefix else {
        probes.push(Probe::not_before("place of the canary", "an earlier step tells it"));
        return probes;
    };
    let key = format!("{prefix}{}", cx.name_of_mine(200));
    for Side { name, site, bucket } in sides(cx, given) {
        let here = match bucket {
            Ok(bucket) => of_canary(cx, &bucket, &key).await,
            Err(error) => vec![Probe::new(format!("bucket {name}"), ProbeVerdict::of(error))],
        };
        probes.extend(here.into_iter().map(|probe| probe.at(site.clone())));
    }
    probes
}

async fn of_canary(cx: &StepContext, bucket: &Bucket, key: &str) -> Vec<Probe> {
    let name = &bucket.name;
    let listed = first_key(cx, bucket, key).await;
    let what = format!("place of the canary in bucket {name}");
    let judge = |_| ProbeVerdict::works("can be listed");
    let listing = Probe::of(what, &["s3:ListBucketVersions"], listed, judge);
    // Nothing of that name is there: "not found" says that reading is allowed, and listing, too.
    let answer = bucket.head(cx, key, None).await;
    let judge = |head: Option<_>| match head {
        None => ProbeVerdict::works("objects can be read; writing shows on the day"),
        Some(_) => ProbeVerdict::fails(
            format!("there is an object {key} already"),
            "remove it, or choose another prefix",
        ),
    };
    let needs = ["s3:GetObject", "s3:ListBucket"];
    vec![listing, Probe::of(format!("canary in bucket {name}"), &needs, answer, judge)]
}
