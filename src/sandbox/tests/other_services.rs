use super::{DR, PRIMARY, Rig, code, text};
use crate::sandbox::endpoint;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

fn kms(rig: &Rig, place: (&str, &str)) -> aws_sdk_kms::Client {
    let builder = aws_sdk_kms::config::Builder::from(&rig.config(place.0, place.1));
    aws_sdk_kms::Client::from_conf(builder.endpoint_url(endpoint("kms", place.1)).build())
}

fn sts(rig: &Rig, account: &str) -> aws_sdk_sts::Client {
    let builder = aws_sdk_sts::config::Builder::from(&rig.config(account, PRIMARY.1));
    aws_sdk_sts::Client::from_conf(builder.endpoint_url(endpoint("sts", PRIMARY.1)).build())
}

#[tokio::test(start_paused = true)]
async fn keys_are_found_by_every_name_and_say_their_state() {
    let rig = Rig::open();
    let here = kms(&rig, PRIMARY);
    let by_alias = here.describe_key().key_id("alias/orders").send().await.unwrap();
    let arn = by_alias.key_metadata().unwrap().arn().unwrap().to_owned();
    let id = by_alias.key_metadata().unwrap().key_id().to_owned();
    for name in [arn.as_str(), id.as_str()] {
        let found = here.describe_key().key_id(name).send().await.unwrap();
        assert_eq!(found.key_metadata().unwrap().arn(), Some(arn.as_str()));
    }
    let there = kms(&rig, DR);
    let elsewhere = there.describe_key().key_id(&arn).send().await;
    assert_eq!(code(elsewhere), "NotFoundException", "keys are bound to their region");
    let off = there.describe_key().key_id("off-key").send().await.unwrap();
    let off = off.key_metadata().unwrap();
    assert!(!off.enabled());
    assert_eq!(off.key_state().unwrap().as_str(), "Disabled");
    assert_eq!(code(there.describe_key().key_id("no-key").send().await), "AccessDeniedException");
    let managed = there.describe_key().key_id("alias/aws/rds").send().await.unwrap();
    assert_eq!(managed.key_metadata().unwrap().key_manager().unwrap().as_str(), "AWS");
}

/// Who shares an encrypted snapshot shares its key; of other keys of other accounts nobody is told whether they exist.
#[tokio::test(start_paused = true)]
async fn regression_the_key_of_a_shared_snapshot_may_be_asked_for_by_the_other_account() {
    let rig = Rig::open();
    let by_alias = kms(&rig, PRIMARY).describe_key().key_id("alias/orders").send().await.unwrap();
    let arn = by_alias.key_metadata().unwrap().arn().unwrap().to_owned();
    let other_account = kms(&rig, (DR.0, PRIMARY.1));
    let shared = other_account.describe_key().key_id(&arn).send().await.unwrap();
    let shared = shared.key_metadata().unwrap();
    assert_eq!((shared.arn(), shared.aws_account_id()), (Some(arn.as_str()), Some(PRIMARY.0)));
    let (place, _) = arn.rsplit_once('/').unwrap();
    let unknown = other_account.describe_key().key_id(format!("{place}/unknown")).send().await;
    assert_eq!(code(unknown), "AccessDeniedException");
}

#[tokio::test(start_paused = true)]
async fn secrets_are_read_unless_denied_locked_or_missing() {
    let rig = Rig::open();
    let client = |rig: &Rig| {
        let builder =
            aws_sdk_secretsmanager::config::Builder::from(&rig.config(PRIMARY.0, PRIMARY.1));
        let builder = builder.endpoint_url(endpoint("secretsmanager", PRIMARY.1));
        aws_sdk_secretsmanager::Client::from_conf(builder.build())
    };
    let secrets = client(&rig);
    let found = secrets.get_secret_value().secret_id("orders/readonly").send().await.unwrap();
    assert_eq!(found.secret_string(), Some(r#"{"password":"canary","username":"reader"}"#));
    let by_arn = secrets.get_secret_value().secret_id(found.arn().unwrap()).send().await.unwrap();
    assert_eq!(by_arn.name(), Some("orders/readonly"));
    let get = |name: &str| secrets.get_secret_value().secret_id(name).send();
    assert_eq!(code(get("x").await), "ResourceNotFoundException");
    assert_eq!(code(get("closed").await), "AccessDeniedException");
    get("locked").await.unwrap();
    let text =
        super::ESTATE.replace("{ id: alias/orders }", "{ id: alias/orders, state: disabled }");
    let locked = client(&Rig::of(&text, &[]));
    let locked = locked.get_secret_value().secret_id("locked").send().await;
    assert_eq!(code(locked), "DecryptionFailure");
}

#[tokio::test(start_paused = true)]
async fn roles_are_assumed_and_their_sessions_end() {
    let rig = Rig::open();
    let caller = sts(&rig, "000000000000");
    let me = caller.get_caller_identity().send().await.unwrap();
    assert_eq!(me.account(), Some("000000000000"));
    let assume = |arn: &str| caller.assume_role().role_arn(arn).role_session_name("run-1");
    for bad in [
        "arn:aws:iam::222222222222:role/admin",
        "arn:aws:iam::999999999999:role/redrill-drill",
        "x",
    ] {
        assert_eq!(code(assume(bad).send().await), "AccessDenied", "{bad}");
    }
    let role = "arn:aws:iam::222222222222:role/redrill-drill";
    assert_eq!(code(assume(role).duration_seconds(1).send().await), "ValidationError");
    let session = assume(role).duration_seconds(900).send().await.unwrap();
    let given = session.credentials().unwrap();
    assert_eq!(text(Some(given.expiration())), "2026-11-22T00:15:00.1Z");
    let credentials = Credentials::new(
        given.access_key_id(),
        given.secret_access_key(),
        Some(given.session_token().to_owned()),
        None,
        "test",
    );
    let config = rig.config_with(SharedCredentialsProvider::new(credentials), DR.1);
    let builder = aws_sdk_sts::config::Builder::from(&config).endpoint_url(endpoint("sts", DR.1));
    let inside = aws_sdk_sts::Client::from_conf(builder.build());
    let me = inside.get_caller_identity().send().await.unwrap();
    assert_eq!(me.arn(), Some("arn:aws:sts::222222222222:assumed-role/redrill-drill/run-1"));
    let builder = aws_sdk_rds::config::Builder::from(&config).endpoint_url(endpoint("rds", DR.1));
    let rds = aws_sdk_rds::Client::from_conf(builder.build());
    rds.describe_db_instances().send().await.unwrap();
    rig.wait("15m").await;
    assert_eq!(code(rds.describe_db_instances().send().await), "ExpiredToken");
}

#[tokio::test(start_paused = true)]
async fn a_lost_place_takes_the_way_to_its_roles_with_it() {
    let rig = Rig::open();
    let caller = sts(&rig, "000000000000");
    let assume = |account: &str| {
        let arn = format!("arn:aws:iam::{account}:role/redrill-drill");
        caller.assume_role().role_arn(arn).role_session_name("run-1").send()
    };
    rig.world.lose(PRIMARY.0, PRIMARY.1);
    let lost = assume(PRIMARY.0).await.unwrap_err();
    assert!(lost.as_service_error().is_none(), "no answer at all: {lost:?}");
    assume(DR.0).await.unwrap();
    rig.world.regain(PRIMARY.0, PRIMARY.1);
    let refused = assume(PRIMARY.0).await;
    assert!(refused.is_ok() || code(refused) == "AccessDenied", "it answers again");
}

#[tokio::test(start_paused = true)]
async fn strangers_and_the_caller_himself_have_nothing() {
    let rig = Rig::open();
    let stranger = rig.rds(("999999999999", PRIMARY.1)).describe_db_instances().send().await;
    assert_eq!(code(stranger), "InvalidClientTokenId");
    let caller = rig.rds(("000000000000", PRIMARY.1)).describe_db_instances().send().await;
    assert_eq!(code(caller), "AccessDenied");
    let unknown = rig.rds(PRIMARY).describe_db_proxies().send().await;
    assert_eq!(code(unknown), "InvalidAction");
}
