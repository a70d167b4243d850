//! Where and when calls may be made at all.

use super::*;
use crate::aws::failure_of;
use crate::journal::FailureClass;
use aws_sdk_ec2::types::ResourceType;
use aws_sdk_s3::primitives::ByteStream;

#[tokio::test(start_paused = true)]
async fn a_client_that_was_built_without_the_guard_cannot_send() {
    let rig = Rig::new();
    let client = aws_sdk_rds::Client::new(rig.session.config());
    let error = client.describe_db_instances().send().await.unwrap_err();
    assert_eq!(rig.sent(), 0);
    assert!(format!("{error:?}").contains("did not pass the guard"), "{error:?}");
    passes!(rig, rig.rds().describe_db_instances());
}

#[tokio::test(start_paused = true)]
async fn an_intent_counts_only_once_it_is_on_disk() {
    let rig = Rig::new();
    let rds = rig.rds();
    let restore = || {
        rds.restore_db_instance_from_db_snapshot()
            .db_instance_identifier("redrill-orders")
            .db_snapshot_identifier("before-migration")
            .set_tags(rds_tags(&TAGS))
    };
    refused!(rig, restore());
    rig.on_disk(&[intended("rds.db_instance", "redrill-orders")]);
    passes!(rig, restore());
}

#[tokio::test(start_paused = true)]
async fn an_intent_of_another_site_another_kind_or_beside_guard_write_does_not_count() {
    let rig = Rig::new();
    let rds = rig.rds();
    let delete = || {
        let delete = rds.delete_db_instance().db_instance_identifier("redrill-orders");
        delete.skip_final_snapshot(true)
    };
    let mut elsewhere = key("rds.db_instance", "redrill-orders");
    elsewhere.site = SiteName::new("dr");
    let step = StepId::new(STEP);
    rig.on_disk(&[
        Event::ResourceIntended { step, key: elsewhere },
        intended("rds.db_snapshot", "redrill-orders"),
    ]);
    let said = refused!(rig, delete());
    assert!(said.contains("is not in the ledger"), "{said}");
    let unwritable = RunLimits { write: vec![SiteName::new("dr")], ..limits() };
    rig.policy.begin_run(unwritable, Ledger::default());
    rig.on_disk(&[intended("rds.db_instance", "redrill-orders")]);
    let said = refused!(rig, delete());
    assert!(said.contains("guard.write does not name primary"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn before_and_after_a_run_calls_only_read_and_dry_runs_count_as_reading() {
    let rig = Rig::with(GuardPolicy::read_only());
    let ec2 = rig.ec2();
    passes!(rig, ec2.describe_volumes());
    let delete = || ec2.delete_volume().volume_id("vol-0prod");
    let said = refused!(rig, delete());
    assert_eq!(said, "ec2:DeleteVolume at primary was refused: only reading is allowed here");
    refused!(rig, delete().dry_run(false));
    let sent = rig.sent();
    let asked = delete().dry_run(true).send().await.unwrap_err();
    assert_eq!(rig.sent(), sent + 1, "{asked:?}");
    assert_eq!(refusal(&asked), None);

    rig.policy.begin_run(limits(), Ledger::default());
    rig.on_disk(&[intended("ebs.volume", "n"), owned("ebs.volume", "n", "vol-0aaaaaaaaaaaaaaa2")]);
    rig.policy.end_run();
    let said = refused!(rig, ec2.delete_volume().volume_id("vol-0aaaaaaaaaaaaaaa2"));
    assert!(said.contains("only reading is allowed"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_site_is_refused_for_reads_too() {
    let rig = Rig::new();
    rig.policy.set_lost(&[SiteName::new(SITE)]);
    let lost = "the site is lost since the disaster was declared";
    assert!(refused!(rig, rig.rds().describe_db_instances()).contains(lost));
    assert!(refused!(rig, rig.ec2().delete_volume().volume_id("v").dry_run(true)).contains(lost));
    assert!(refused!(rig, rig.s3().head_bucket().bucket("uploads")).contains(lost));
    rig.policy.set_lost(&[]);
    passes!(rig, rig.rds().describe_db_instances());
}

#[tokio::test(start_paused = true)]
async fn what_the_table_does_not_know_is_refused() {
    let rig = Rig::new();
    let said = refused!(rig, rig.rds().reboot_db_instance().db_instance_identifier("orders-db"));
    assert_eq!(said, "rds:RebootDBInstance was refused: the guard does not know this operation");
    let said = refused!(rig, rig.s3().list_buckets());
    assert_eq!(said, "s3:ListBuckets was refused: the guard does not know this operation");
}

#[tokio::test(start_paused = true)]
async fn a_call_to_another_region_or_host_is_refused_reads_included() {
    let rig = Rig::new();
    let mut elsewhere = aws_sdk_rds::config::Builder::from(rig.session.config());
    elsewhere.push_interceptor(rig.session.guard());
    let region = elsewhere.clone().region(Region::new("us-east-1"));
    let region = aws_sdk_rds::Client::from_conf(region.build());
    let said = refused!(rig, region.describe_db_instances());
    assert!(said.ends_with("it would go to us-east-1, the site is ap-northeast-1"), "{said}");
    // As AWS_ENDPOINT_URL_RDS would have it.
    let host = elsewhere.endpoint_url("https://rds.example.com");
    let host = aws_sdk_rds::Client::from_conf(host.build());
    let said = refused!(rig, host.describe_db_instances());
    assert!(
        said.contains("rds.example.com is no host of the endpoint s3.ap-northeast-1"),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_an_endpoint_calls_go_to_aws_and_nowhere_else() {
    let rig = Rig::new();
    let config = Rig::config(&rig.world, &rig.clock, &rig.sent, "https://unused.invalid");
    let mut config = config.into_builder();
    config.set_endpoint_url(None);
    let session = SiteSession::new(place(), &config.build(), rig.policy.clone());
    // The sandbox stands behind the connector, whatever the host: it is reached as AWS would be.
    passes!(rig, crate::client!(session, aws_sdk_rds).describe_db_instances());
    let said = refused!(
        rig,
        crate::client!(session, aws_sdk_rds)
            .delete_db_instance()
            .db_instance_identifier("orders-db")
            .skip_final_snapshot(true)
    );
    assert!(said.contains("is not in the ledger"), "a real account, too: {said}");
    let mut other = aws_sdk_rds::config::Builder::from(session.config());
    other.push_interceptor(session.guard());
    let other = aws_sdk_rds::Client::from_conf(other.endpoint_url("http://127.0.0.1:1").build());
    let said = refused!(rig, other.describe_db_instances());
    assert!(said.ends_with("127.0.0.1 is no host of AWS for this service and region"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn removing_what_was_left_touches_exactly_what_was_listed() {
    let rig = Rig::with(GuardPolicy::removing([
        (key("rds.db_instance", "redrill-old"), None),
        (key("ebs.volume", "redrill-disk"), Some("vol-0aaaaaaaaaaaaaaa2".to_owned())),
        (key("s3.canary_object", "uploads/redrill-canary/old"), None),
    ]));
    let (rds, ec2, s3) = (rig.rds(), rig.ec2(), rig.s3());
    for name in ["orders-db", "redrill-disk", "vol-0aaaaaaaaaaaaaaa2"] {
        let delete = rds.delete_db_instance().db_instance_identifier(name);
        let said = refused!(rig, delete.skip_final_snapshot(true));
        assert!(said.contains("is not among what may be removed"), "{said}");
    }
    let reaches = rig.sent();
    let delete = rds.delete_db_instance().db_instance_identifier("redrill-old");
    assert_eq!(refusal(&delete.skip_final_snapshot(true).send().await.unwrap_err()), None);
    let delete = ec2.delete_volume().volume_id("vol-0aaaaaaaaaaaaaaa2").send().await.unwrap_err();
    assert_eq!(refusal(&delete), None);
    assert_eq!(rig.sent(), reaches + 2);
    refused!(rig, ec2.delete_volume().volume_id("vol-0prod"));
    refused!(rig, s3.delete_object().bucket("uploads").key("invoices/1.pdf"));
    passes!(rig, s3.delete_object().bucket("uploads").key("redrill-canary/old"));
    let put = s3.put_object().bucket("uploads").key("redrill-canary/old");
    let said = refused!(rig, put.body(ByteStream::from_static(b"x")));
    assert!(said.contains("may not be made or tagged here, only removed"), "{said}");
    let volume = specification(ResourceType::Volume, &TAGS, "redrill-disk");
    let create = ec2.create_volume().client_token("redrill-disk").tag_specifications(volume);
    refused!(rig, create.size(8).availability_zone("ap-northeast-1a"));

    refused!(rig, ec2.delete_volume().volume_id("vol-0new"));
    let id = Some("vol-0new".to_owned());
    rig.policy.also_remove(key("ebs.volume", "redrill-new"), id);
    let tried = ec2.delete_volume().volume_id("vol-0new").send().await.unwrap_err();
    assert_eq!(refusal(&tried), None);
}

#[tokio::test(start_paused = true)]
async fn a_store_of_journals_is_written_below_its_place_and_nothing_else() {
    let rig = Rig::with(GuardPolicy::storing("uploads/journals"));
    let s3 = rig.s3();
    let put = |key: &str| {
        let body = ByteStream::from_static(b"{}");
        s3.put_object().bucket("uploads").key(key).body(body).if_none_match("*")
    };
    passes!(rig, put("journals/run-1/0.jsonl"));
    for key in ["invoices/1.pdf", "journals", "journals-2/0.jsonl", "invoices/journals/0.jsonl"] {
        let said = refused!(rig, put(key));
        assert!(said.contains("only objects below uploads/journals are written"), "{said}");
    }
    refused!(rig, s3.delete_object().bucket("uploads").key("journals/run-1/0.jsonl"));
    refused!(rig, rig.ec2().delete_volume().volume_id("vol-0prod"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_as_one_whatever_the_sdk_wraps_around_it() {
    let rig = Rig::new();
    let delete = rig.rds().delete_db_instance().db_instance_identifier("orders-db");
    let error = delete.skip_final_snapshot(true).send().await.unwrap_err();
    let failure = failure_of("rds:DeleteDBInstance", &error);
    assert_eq!(failure.class, FailureClass::Refused);
    assert_eq!(
        failure.message,
        "rds:DeleteDBInstance at primary was refused: rds.db_instance orders-db is not in the ledger of the run"
    );
    assert!(failure.help.unwrap().contains("docs/guard.md"));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_cannot_be_presigned() {
    let rig = Rig::new();
    let within = std::time::Duration::from_secs(60);
    let within = aws_sdk_s3::presigning::PresigningConfig::expires_in(within).unwrap();
    let delete = rig.s3().delete_object().bucket("uploads").key("invoices/1.pdf");
    let error = delete.presigned(within).await.unwrap_err();
    assert!(refusal(&error).is_some(), "{error:?}");
}
