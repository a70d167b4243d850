//! What a step needs of IAM, and what can be looked at before the day of a drill.

use super::fetch::open_file;
use super::live::{TlsInput, login, ten_seconds};
use crate::action::{Given, Grant, Limit, Permission, Probe, ProbeVerdict, StepContext, StepError};
use crate::client;
use crate::outside::OutsideError;
use crate::time::ByteSize;

pub(super) fn grants(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    if !given.has("object") {
        return Vec::new();
    }
    let bucket = given.pattern("object.bucket");
    let key = format!("{bucket}/{}", given.pattern("object.key"));
    let read = if given.has("object.version_id") { "s3:GetObjectVersion" } else { "s3:GetObject" };
    let grant = |action| given.grant(permissions, action);
    let all = [
        grant(read).map(|g| g.on("object", &key)),
        grant("s3:ListBucket").map(|g| g.on("bucket", &bucket)),
        grant("kms:Decrypt").map(|g| g.on("key", "*").limited(Limit::Via("s3"))),
    ];
    all.into_iter().flatten().collect()
}

pub(super) async fn preflight(cx: &StepContext, given: &Given) -> Vec<Probe> {
    if let Some(path) = given.text("file") {
        let judge = |size| ProbeVerdict::works(format!("there, {}", ByteSize(size)));
        let answer = open_file(path).map(|snapshot| snapshot.length);
        return vec![Probe::of(format!("snapshot {path}"), &[], answer, judge)];
    }
    let (Some(bucket), Some(key)) = (given.text("object.bucket"), given.text("object.key")) else {
        let named = given.has("object") || given.has("file");
        let later = Probe::not_before("etcd snapshot", "an earlier step tells it");
        return named.then_some(later).into_iter().collect();
    };
    let version = given.text("object.version_id");
    let answer = async {
        let client = client!(cx.site()?, aws_sdk_s3);
        let request = client.head_object().bucket(bucket).key(key);
        let request = request.set_version_id(version.map(str::to_owned));
        let answer = cx.call("s3:HeadObject", || request.clone().send()).await?;
        Ok::<_, StepError>(answer.content_length().and_then(|size| u64::try_from(size).ok()))
    };
    let judge = |size: Option<u64>| match size {
        Some(0) => ProbeVerdict::fails("it is empty", "look into the backup job"),
        Some(size) => ProbeVerdict::works(format!("there, {}", ByteSize(size))),
        None => ProbeVerdict::Unknown("S3 does not say how long it is".to_owned()),
    };
    let needs = if version.is_some() { ["s3:GetObjectVersion"] } else { ["s3:GetObject"] };
    vec![Probe::of(format!("s3://{bucket}/{key}"), &needs, answer.await, judge)]
}

/// Asks each member that the input names how it is.
pub(super) async fn members(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut endpoints = given.texts("endpoints");
    endpoints.extend(given.text("endpoint"));
    if endpoints.is_empty() || given.comes_later("tls") {
        return vec![Probe::not_before(
            "members of the running etcd",
            "an earlier step tells them",
        )];
    }
    let tls = given.known("tls").cloned().unwrap_or_default();
    let tls: TlsInput = serde_json::from_value(tls).unwrap_or_default();
    let mut probes = Vec::new();
    for endpoint in endpoints {
        let limit = given.duration("answer_within").unwrap_or_else(ten_seconds);
        let login = login(cx, endpoint, &tls, limit);
        let answer = async { cx.outside.etcd(&login).await?.status().await };
        let verdict = match answer.await {
            Ok(status) if status.learner => ProbeVerdict::fails(
                "it is a learner",
                "name a member that votes: a learner tells no hash and gives no snapshot",
            ),
            Ok(status) => ProbeVerdict::works(format!(
                "etcd {} at revision {}",
                status.version, status.revision
            )),
            Err(OutsideError::Failed(why)) if why.starts_with("TLS") => {
                ProbeVerdict::fails(why, "correct tls: or the endpoint")
            }
            Err(error) => ProbeVerdict::of(error.into()),
        };
        probes.push(Probe::new(format!("etcd at {endpoint}"), verdict));
    }
    probes
}
