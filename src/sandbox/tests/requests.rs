//! Requests that no SDK would send.

use super::{PRIMARY, Rig};
use crate::sandbox::wire::Reply;
use crate::sandbox::{FIDELITY, Operation, endpoint};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use proptest::prelude::*;

fn request(operation: &Operation, fields: &[(&str, &str)]) -> HttpRequest {
    let body = match operation.service {
        "kms" | "secretsmanager" | "cloudwatch" => {
            let object = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
            serde_json::Value::Object(object).to_string()
        }
        _ => {
            let pairs: String = fields.iter().map(|(k, v)| format!("&{k}={v}")).collect();
            format!("Action={}{pairs}", operation.name)
        }
    };
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST").unwrap();
    request.set_uri(endpoint(operation.service, PRIMARY.1)).unwrap();
    // CloudWatch signs by another name.
    let signed_for =
        if operation.service == "cloudwatch" { "monitoring" } else { operation.service };
    let scope = format!("SANDBOX{}/20261122/{}/{signed_for}/aws4_request", PRIMARY.0, PRIMARY.1);
    let headers = request.headers_mut();
    headers.insert("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=x"));
    headers.insert("x-amz-target", format!("Service.{}", operation.name));
    request
}

async fn answer(rig: &Rig, request: HttpRequest) -> HttpResponse {
    match rig.world.handle(request).await {
        Reply::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

fn body(response: &HttpResponse) -> String {
    String::from_utf8_lossy(response.body().bytes().unwrap()).into_owned()
}

#[tokio::test(start_paused = true)]
async fn every_operation_of_the_table_is_routed() {
    let rig = Rig::open();
    for operation in FIDELITY {
        let response = answer(&rig, request(operation, &[])).await;
        let text = body(&response);
        assert!(!text.contains("InvalidAction"), "{operation:?}: {text}");
        assert!(response.headers().get("x-amzn-requestid").is_some());
    }
    let other = Operation { service: "rds", name: "RebootDBInstance", fidelity: "" };
    let response = answer(&rig, request(&other, &[])).await;
    assert!(body(&response).contains("<Code>InvalidAction</Code>"));
}

#[tokio::test(start_paused = true)]
async fn an_unsigned_request_and_an_unknown_service_are_refused() {
    let rig = Rig::open();
    let response = answer(&rig, HttpRequest::new(SdkBody::empty())).await;
    assert_eq!(response.status().as_u16(), 403);
    assert!(body(&response).contains("MissingAuthenticationToken"));
    let other = Operation { service: "lambda", name: "Invoke", fidelity: "" };
    let response = answer(&rig, request(&other, &[])).await;
    assert!(body(&response).contains("InvalidAction"));
}

const NAMES: &[&str] = &[
    "DBInstanceIdentifier",
    "DBSnapshotIdentifier",
    "SourceDBSnapshotIdentifier",
    "ResourceName",
    "TargetDBSnapshotIdentifier",
    "DBSubnetGroupName",
    "DBParameterGroupName",
    "MaxRecords",
    "Marker",
    "SkipFinalSnapshot",
    "FinalDBSnapshotIdentifier",
    "BackupRetentionPeriod",
    "AllocatedStorage",
    "Port",
    "MultiAZ",
    "AvailabilityZone",
    "Duration",
    "StartTime",
    "EndTime",
    "SnapshotType",
    "KmsKeyId",
    "Encrypted",
    "Filters.Filter.1.Name",
    "Filters.Filter.1.Values.Value.1",
    "Tags.Tag.1.Key",
    "Tags.Tag.1.Value",
    "SnapshotId",
    "SnapshotId.1",
    "SourceSnapshotId",
    "SourceRegion",
    "VolumeId",
    "VolumeId.1",
    "Size",
    "VolumeType",
    "ClientToken",
    "DryRun",
    "MaxResults",
    "NextToken",
    "Filter.1.Name",
    "Filter.1.Value.1",
    "ResourceId.1",
    "Tag.1.Key",
    "Owner.1",
    "RoleArn",
    "RoleSessionName",
    "DurationSeconds",
    "KeyId",
    "SecretId",
    "AlarmNames",
    "AlarmNamePrefix",
    "StateValue",
    "ApplyImmediately",
    "MasterUserPassword",
    "DeletionProtection",
    "VpcSecurityGroupIds.VpcSecurityGroupId.1",
];

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "20",
    "100",
    "-1",
    "4294967295",
    "18446744073709551615",
    "true",
    "false",
    "orders-db",
    "hourly",
    "drill-1",
    "rds:orders-db-2026-11-21-03-05",
    "before-migration",
    "emptied",
    "prod",
    "pg16",
    "sg-orders",
    "%",
    "%zz",
    "%F0%9F%92%A5",
    "<a>",
    "\u{0}",
    "after-",
    "after-zz",
    "after-ff",
    "arn:aws:rds:",
    "arn:aws:kms:::key/",
    "arn:aws:rds:ap-northeast-1:111111111111:snapshot:before-migration",
    "arn:aws:iam::111111111111:role/redrill-drill",
    "arn:aws:rds:ap-northeast-1:111111111111:db:orders-db",
    "2026-11-22T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z",
    "ap-northeast-1",
    "ap-northeast-1a",
    "ap-northeast-3",
    "vol-0aaaaaaaaaaaaaaa1",
    "vol-0aaaaaaaaaaaaaaa2",
    "snap-x",
    "tag:system",
    "tag:",
    "status",
    "*",
    "??",
    "self",
    "alias/orders",
    "gp3",
    "alias/aws/ebs",
    "automated",
    "manual",
    "db-instance-id",
    "db-instance",
    "orders/readonly",
    "run-1",
    "901",
];

type Sent = (usize, Vec<(usize, usize)>, u64);

fn calls() -> impl Strategy<Value = Vec<Sent>> {
    let fields = proptest::collection::vec((0..NAMES.len(), 0..VALUES.len()), 0..6);
    proptest::collection::vec((0..FIDELITY.len(), fields, 0_u64..20_000), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_is_asked_there_is_an_answer_and_the_same_one_each_time(calls in calls()) {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let rig = Rig::open();
                let mut told = Vec::new();
                for (operation, fields, pause) in &calls {
                    let fields: Vec<_> =
                        fields.iter().map(|(n, v)| (NAMES[*n], VALUES[*v])).collect();
                    let response = answer(&rig, request(&FIDELITY[*operation], &fields)).await;
                    let status = response.status().as_u16();
                    assert!(matches!(status, 200 | 400 | 403 | 404 | 412 | 503), "{status}");
                    assert!(response.headers().get("x-amzn-requestid").is_some());
                    told.push(body(&response));
                    rig.clock.sleep(std::time::Duration::from_secs(*pause)).await;
                }
                told.push(format!("{:?}", rig.world.inventory()));
                told
            })
        };
        prop_assert_eq!(run(), run());
    }
}
