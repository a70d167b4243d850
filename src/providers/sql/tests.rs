use super::*;
use crate::action::{Action, HandInput, Registry, StepError};
use crate::journal::{Check, ClockPoint, Event, FailureClass, Measure, Outcome};
use crate::outside::fake::{FakeOutside, FakeRecorder, context, context_with, withholding};
use crate::outside::{DatabaseEngine, OutsideError, SqlValue, Tls};
use aws_credential_types::Credentials as AwsCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SUM: &str = "select sum(debit - credit) from ledger";
const COUNT: &str = "select count(*) from ledger";
const NEWEST: &str = "select max(committed_at) from heartbeat";

pub(super) fn written(more: Value) -> Value {
    let mut input = json!({"endpoint": "db.test", "database": "orders",
        "credentials": {"password_from_env": "PASSWORD", "user": "ro"}});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

pub(super) fn input(more: Value) -> Input {
    serde_json::from_value(written(more)).unwrap()
}

fn ledger(expect: &str) -> Value {
    json!({"queries": [{"name": "ledger balances", "sql": SUM, "expect": expect, "population": COUNT}]})
}

pub(super) fn world() -> FakeOutside {
    let tables = vec!["heartbeat", "ledger", "orders"];
    let mut outside = FakeOutside { tables, ..FakeOutside::default() };
    outside.environment.insert("PASSWORD".into(), "hunter2".into());
    outside
}

fn text(value: &str) -> Result<Vec<SqlValue>, OutsideError> {
    Ok(vec![SqlValue::Text(value.to_owned())])
}

fn count(value: i64) -> Result<Vec<SqlValue>, OutsideError> {
    Ok(vec![SqlValue::Integer(value)])
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_that_gives_zero_without_a_population_never_passes() {
    let (context, _, recorder) = context(world().with_database(&[(SUM, text("0.00"))]));
    let without = json!({"queries": [{"name": "ledger balances", "sql": SUM, "expect": "= 0"}]});
    SqlCheck.run(&context, input(without)).await.unwrap();
    let check = recorder.checks().into_iter().find(|c| c.name == "ledger balances").unwrap();
    assert_eq!(check.outcome, Outcome::Inconclusive);
    assert!(check.note.unwrap().contains("population"));
}

/// Judges the ledger query over these answers.
async fn judged(
    expect: &str,
    sum: Result<Vec<SqlValue>, OutsideError>,
    population: Result<Vec<SqlValue>, OutsideError>,
) -> Check {
    let (context, _, recorder) = context(world().with_database(&[(SUM, sum), (COUNT, population)]));
    let output = SqlCheck.run(&context, input(ledger(expect))).await.unwrap();
    let check = recorder.checks().into_iter().find(|c| c.name == "ledger balances").unwrap();
    assert_eq!(output.queries_passed, u64::from(check.outcome == Outcome::Passed));
    check
}

#[tokio::test(start_paused = true)]
async fn a_query_passes_or_fails_by_its_value() {
    let good = judged("= 0", text("0.00"), count(12)).await;
    assert_eq!((good.outcome, good.population), (Outcome::Passed, Some(12)));
    let bad = judged("= 0", text("0.01"), count(12)).await;
    assert_eq!((bad.outcome, bad.observed.as_str()), (Outcome::Failed, "0.01"));
}

#[tokio::test(start_paused = true)]
async fn nothing_vacuous_passes() {
    assert_eq!(judged("= 0", text("0"), count(0)).await.outcome, Outcome::Inconclusive);
    assert_eq!(judged("= 0", Ok(vec![]), count(1)).await.outcome, Outcome::Inconclusive);
    assert_eq!(
        judged("= 0", Ok(vec![SqlValue::Null]), count(1)).await.outcome,
        Outcome::Inconclusive
    );
    assert_eq!(judged("= 0", text("0"), Ok(vec![])).await.outcome, Outcome::Inconclusive);
    let unknown = Err(OutsideError::Failed("SQLSTATE 42P01: no such relation".into()));
    assert_eq!(judged("= 0", text("0"), unknown.clone()).await.outcome, Outcome::Inconclusive);
    assert_eq!(judged("= 0", unknown.clone(), count(1)).await.outcome, Outcome::Inconclusive);
    assert_eq!(judged("= 0", text("1"), unknown).await.outcome, Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_over_an_empty_table_never_passes_by_itself() {
    for (sql, expect, answer) in [
        ("select max(total) from orders", "<= 100", Ok(vec![SqlValue::Null])),
        ("select bool_and(total > 0) from orders", "= true", Ok(vec![SqlValue::Null])),
        ("select damaged(total) from orders", "= 0", count(0)),
    ] {
        let (context, _, recorder) = context(world().with_database(&[(sql, answer)]));
        let query = json!({ "name": "rule", "sql": sql, "expect": expect });
        SqlCheck.run(&context, input(json!({ "queries": [query] }))).await.unwrap();
        assert_eq!(recorder.outcome("rule"), Outcome::Inconclusive, "{sql}");
    }
}

#[tokio::test(start_paused = true)]
async fn damaged_data_fails() {
    let damaged = Err(OutsideError::Failed("SQLSTATE XX001: invalid page in block 7".into()));
    assert_eq!(judged("= 0", damaged, count(1)).await.outcome, Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_lost_in_between_ends_the_step() {
    let lost = Err(OutsideError::Unreachable("reset".into()));
    let (context, ..) = context(world().with_database(&[(SUM, lost)]));
    let error = SqlCheck.run(&context, input(ledger("= 0"))).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Transient);
}

fn points(recorder: &FakeRecorder) -> Vec<crate::journal::RecoveryPoint> {
    let seen = recorder.events().into_iter().filter_map(|event| match event {
        Event::RecoveryPointSeen { point, .. } => Some(point),
        _ => None,
    });
    seen.collect()
}

#[tokio::test(start_paused = true)]
async fn the_newest_time_in_the_data_is_the_recovery_point() {
    let newest = "2026-11-22T01:30:00Z".parse().unwrap();
    let (context, _, recorder) =
        context(world().with_database(&[(NEWEST, Ok(vec![SqlValue::Time(newest)]))]));
    let output = SqlCheck.run(&context, input(json!({"watermark": NEWEST}))).await.unwrap();
    assert_eq!(output.newest_data, Some(newest));
    assert!(output.readable_after.is_some());
    let point = points(&recorder).remove(0);
    assert_eq!((point.at, point.measure), (newest, Measure::Data));
    let readable = |e: &Event| matches!(e, Event::Reached { point: ClockPoint::DataReadable, .. });
    assert_eq!(recorder.events().iter().filter(|e| readable(e)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn data_that_is_newer_than_the_backup_proves_no_recovery_point() {
    for (newest, outcome) in
        [("2026-11-22T01:00:30Z", Outcome::Passed), ("2026-11-22T01:30:00Z", Outcome::Failed)]
    {
        let newest = newest.parse().unwrap();
        let (context, _, recorder) =
            context(world().with_database(&[(NEWEST, Ok(vec![SqlValue::Time(newest)]))]));
        recorder.restored_from(crate::journal::RecoveryPoint {
            at: "2026-11-22T01:00:00Z".parse().unwrap(),
            source: "SnapshotDatabaseTime".to_owned(),
            measure: Measure::Backup,
            identity: "snapshot".to_owned(),
            worst_case: None,
            not_newer_than: None,
            kept_at: None,
            goes_on: false,
        });
        let output = SqlCheck.run(&context, input(json!({"watermark": NEWEST}))).await.unwrap();
        assert_eq!(recorder.outcome("newest data is from the backup"), outcome);
        let holds = outcome == Outcome::Passed;
        assert_eq!((output.newest_data.is_some(), points(&recorder).len() == 1), (holds, holds));
        let found = recorder.events().iter().any(|event| matches!(event, Event::Found { .. }));
        assert_eq!(found, !holds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watermark_without_a_plausible_time_is_no_recovery_point() {
    let ahead = "2026-11-22T12:00:00Z".parse().unwrap();
    for answer in [Ok(vec![SqlValue::Null]), Ok(vec![]), count(1), Ok(vec![SqlValue::Time(ahead)])]
    {
        let (context, _, recorder) = context(world().with_database(&[(NEWEST, answer)]));
        let output = SqlCheck.run(&context, input(json!({"watermark": NEWEST}))).await.unwrap();
        assert_eq!(output.newest_data, None);
        assert_eq!(recorder.outcome("newest data"), Outcome::Inconclusive);
        assert!(points(&recorder).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_alone_is_not_yet_readable_data() {
    let (context, _, recorder) = context(world().with_database(&[]));
    let output = SqlCheck.run(&context, input(json!({}))).await.unwrap();
    assert_eq!((output.readable_after, output.server_version), (None, None));
    assert!(!recorder.events().iter().any(|e| matches!(e, Event::Reached { .. })));
}

fn failing(outside: FakeOutside, error: OutsideError) -> FakeOutside {
    outside.databases.lock().unwrap().push_back(Err(error));
    outside
}

#[tokio::test(start_paused = true)]
async fn a_database_that_starts_is_waited_for() {
    let starting = OutsideError::Unreachable("starting up".into());
    let outside = failing(failing(world(), starting.clone()), starting).with_database(&[]);
    let (context, outside, recorder) = context(outside);
    SqlCheck.run(&context, input(json!({}))).await.unwrap();
    assert_eq!(outside.logins_seen.lock().unwrap().len(), 3);
    assert_eq!(recorder.outcome("database answers"), Outcome::Passed);
    assert!(
        recorder
            .events()
            .iter()
            .any(|e| matches!(e, Event::Waited { wait, .. } if wait.polls == 3))
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_at_its_limit_and_a_wrong_password_ends_it_at_once() {
    let mut outside = world();
    for _ in 0..100 {
        outside = failing(outside, OutsideError::Unreachable("refused".into()));
    }
    let (context_1, ..) = context(outside);
    let error = SqlCheck.run(&context_1, input(json!({"ready_within": "1m"}))).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::TimedOut);

    let denied = OutsideError::Denied("SQLSTATE 28P01: password authentication failed".into());
    let (context_2, outside, _) = context(failing(world(), denied));
    let error = SqlCheck.run(&context_2, input(json!({}))).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Denied);
    assert_eq!(outside.logins_seen.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn values_and_passwords_are_not_written_down() {
    let outside = world().with_database(&[(SUM, text("4111111111111111")), (COUNT, count(1))]);
    let (context, outside, recorder) = context(outside);
    let output = SqlCheck.run(&withholding(context), input(ledger("~ ^4"))).await.unwrap();
    assert_eq!(recorder.outcome("ledger balances"), Outcome::Passed);
    let written = format!("{}{}", recorder.written(), serde_json::to_string(&output).unwrap());
    assert!(!written.contains("41111111") && !written.contains("hunter2"), "{written}");
    assert_eq!(outside.logins_seen.lock().unwrap()[0].password.reveal(), "hunter2");
}

#[tokio::test(start_paused = true)]
async fn the_way_to_the_database_is_shown_whole() {
    let (context, outside, _) = context(world().with_database(&[]));
    let more = json!({"connect": "127.0.0.1:5433", "tls": {"ca": "rds.pem"}, "engine": "mysql"});
    let output = SqlCheck.run(&context, input(more)).await.unwrap();
    assert_eq!(output.connected_to, "127.0.0.1:5433 (for db.test:3306)");
    let login = outside.logins_seen.lock().unwrap()[0].clone();
    assert_eq!((login.host.as_str(), login.port), ("127.0.0.1", 5433));
    assert_eq!(
        (login.engine, login.tls),
        (DatabaseEngine::Mysql, Tls::VerifyWith("rds.pem".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn wrong_input_is_an_error_before_anything_is_asked() {
    async fn error(more: Value) -> (StepError, usize) {
        let (context, outside, _) = context(world());
        let mut registry = Registry::default();
        registry.action(SqlCheck);
        let action = registry.get("sql.check").unwrap();
        let error = action.run(&context, written(more)).await.unwrap_err();
        (error, outside.logins_seen.lock().unwrap().len())
    }
    for (more, why) in [
        (ledger("> soon"), "no order"),
        (json!({"connect": "127.0.0.1"}), "not an address"),
        (json!({"credentials": {"user": "ro"}}), "exactly one of"),
        (json!({"credentials": {"secret": "a", "password_file": "b"}}), "exactly one of"),
        (json!({"credentials": {"password_from_env": "PASSWORD"}}), "no user"),
        (json!({"credentials": {"password_from_env": "OTHER", "user": "ro"}}), "not set"),
    ] {
        let (error, logins) = error(more).await;
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(logins, 0);
    }
}

/// Answers every request with one secret, as Secrets Manager does.
#[derive(Debug, Clone)]
struct SecretsManager(&'static str);

impl HttpConnector for SecretsManager {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        let body = json!({"Name": "orders/ro", "SecretString": self.0}).to_string();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(
            200.try_into().unwrap(),
            SdkBody::from(body),
        )))
    }
}

impl HttpClient for SecretsManager {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_password_is_read_from_the_secret_of_the_site() {
    let secret = SecretsManager(r#"{"username":"from_secret","password":"hunter2"}"#);
    let keys = AwsCredentials::new("AKIDEXAMPLE", "key", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("ap-northeast-3"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .http_client(SharedHttpClient::new(secret))
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
            aws_smithy_async::rt::sleep::TokioSleep::new(),
        ))
        .build();
    let (context, outside, recorder) = context_with(world().with_database(&[]), config);
    let more = json!({"credentials": {"secret": "orders/ro", "at": "dr"}});
    SqlCheck.run(&context, input(more)).await.unwrap();
    let login = outside.logins_seen.lock().unwrap()[0].clone();
    assert_eq!((login.user.as_str(), login.password.reveal()), ("from_secret", "hunter2"));
    assert_eq!(context.calls.seen()[0].operation, "secretsmanager:GetSecretValue");
    assert!(!recorder.written().contains("hunter2"));
}

pub(super) fn signing() -> SdkConfig {
    let keys = AwsCredentials::new("AKIDEXAMPLE", "key", None, None, "test");
    let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_795_316_400);
    let clock = aws_smithy_async::time::StaticTimeSource::new(now);
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("ap-northeast-3"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .time_source(aws_smithy_async::time::SharedTimeSource::new(clock))
        .build()
}

#[tokio::test(start_paused = true)]
async fn a_token_of_iam_is_signed_for_the_endpoint_without_a_call_and_is_not_written_down() {
    let (context, outside, recorder) = context_with(world().with_database(&[]), signing());
    let more = json!({
        "credentials": {"iam": true, "user": "app", "at": "dr"}, "connect": "127.0.0.1:5433",
    });
    SqlCheck.run(&context, input(more)).await.unwrap();
    let login = outside.logins_seen.lock().unwrap()[0].clone();
    let token = login.password.reveal();
    let beginning = "db.test:5432/?Action=connect&DBUser=app&X-Amz-Algorithm=AWS4-HMAC-SHA256\
                     &X-Amz-Credential=AKIDEXAMPLE%2F20261122%2Fap-northeast-3%2Frds-db%2Faws4_request\
                     &X-Amz-Date=20261122T030000Z&X-Amz-Expires=900";
    assert!(token.starts_with(beginning), "{token}");
    assert_eq!((login.user.as_str(), login.host.as_str()), ("app", "127.0.0.1"));
    assert!(context.calls.seen().is_empty());
    assert!(!recorder.written().contains("X-Amz-Signature"));
    let check = recorder.checks().into_iter().find(|check| check.name == "database answers");
    assert_eq!(check.unwrap().note.as_deref(), Some("logged in with a token of IAM at dr"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_site_gives_neither_a_token_nor_a_source_to_compare_with() {
    use crate::aws::{GuardPolicy, Place, SiteSession};
    use crate::ids::SiteName;
    let (mut context, outside, _) = context_with(world().with_database(&[]), signing());
    let site = SiteName::new("dr");
    let place = Place { site: site.clone(), account: None, region: "ap-northeast-3".to_owned() };
    let policy = std::sync::Arc::new(GuardPolicy::default());
    policy.set_lost(std::slice::from_ref(&site));
    let session = SiteSession::new(place, &signing(), policy);
    context.sessions = std::sync::Arc::new(BTreeMap::from([(site, session)]));
    let source = json!({
        "at": "dr", "endpoint": "source.test", "database": "orders",
        "credentials": {"password_from_env": "PASSWORD", "user": "ro"},
    });
    for more in [
        json!({"credentials": {"iam": true, "user": "app", "at": "dr"}}),
        json!({"source": source, "schema": {}}),
    ] {
        let error = SqlCheck.run(&context, input(more)).await.unwrap_err();
        assert!(error.to_string().contains("lost"), "{error}");
    }
    assert!(outside.logins_seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_comparison_without_anything_to_compare_with_is_an_error_before_anything_is_asked() {
    let (context, outside, _) = context(world());
    for rung in ["schema", "rows", "checksums"] {
        let error = SqlCheck.run(&context, input(json!({rung: {}}))).await.unwrap_err();
        assert!(error.to_string().contains("exactly one of reference and source"), "{error}");
    }
    assert!(outside.logins_seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn credentials_that_should_be_refused_and_are_let_in_fail() {
    let login = |refused: bool| {
        json!({"logins": [{
            "name": "of last year", "refused": refused,
            "credentials": {"password_from_env": "PASSWORD", "user": "old"},
        }]})
    };
    let denied = || OutsideError::Denied("SQLSTATE 28P01: no".into());
    for (refused, answer, outcome) in [
        (true, Some(denied()), Outcome::Passed),
        (true, None, Outcome::Failed),
        (false, Some(denied()), Outcome::Failed),
        (false, None, Outcome::Passed),
    ] {
        let outside = world().with_database(&[]);
        let outside = match answer {
            Some(error) => failing(outside, error),
            None => outside.with_database(&[]),
        };
        let (context, _, recorder) = context(outside);
        SqlCheck.run(&context, input(login(refused))).await.unwrap();
        assert_eq!(recorder.outcome("login of last year"), outcome);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rung_that_the_estate_does_not_know_is_not_rehearsed_and_never_passed() {
    for rung in [json!({"sequences": true}), json!({"inspect": {}})] {
        let unknown = FakeOutside { tables: Vec::new(), ..world() };
        let (context, _, recorder) = context(unknown.with_database(&[]));
        let error = SqlCheck.run(&context, input(rung)).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::NotRehearsed);
        assert_eq!(recorder.checks().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_of_a_point_in_time_are_needed() {
    const BEFORE: &str = "select count(*) from heartbeat where committed_at > '2026-11-22 01:55'";
    const AFTER: &str = "select count(*) from heartbeat where committed_at > '2026-11-22 02:00'";
    let sides = json!({"point_in_time": {"before": BEFORE, "after": AFTER}});
    for (before, after, outcomes) in [
        (2, 0, (Outcome::Passed, Outcome::Passed)),
        (0, 0, (Outcome::Failed, Outcome::Inconclusive)),
        (2, 1, (Outcome::Passed, Outcome::Failed)),
    ] {
        let answers = [(BEFORE, count(before)), (AFTER, count(after))];
        let (context, _, recorder) = context(world().with_database(&answers));
        SqlCheck.run(&context, input(sides.clone())).await.unwrap();
        let found = (
            recorder.outcome("row from before the point"),
            recorder.outcome("no row from after the point"),
        );
        assert_eq!(found, outcomes);
    }
}

#[test]
fn permissions_are_asked_for_every_credential_of_a_step() {
    let with = json!({
        "credentials": {"iam": true, "at": "dr"}, "user": "app",
        "source": {"credentials": {"secret": "orders/source", "at": "primary"}},
        "logins": [{"name": "old", "credentials": {"secret": "orders/old"}}],
    });
    let at = Some(crate::ids::SiteName::new("dr"));
    let given = crate::action::Given::new("orders", crate::ids::StepId::new("data"), at, with);
    let grants = SqlCheck.grants(&given);
    let wanted: Vec<_> = grants
        .iter()
        .filter(|grant| grant.action != "kms:Decrypt")
        .map(|grant| (grant.action, grant.site.as_str(), grant.on[0].name.as_str()))
        .collect();
    assert_eq!(
        wanted,
        [
            ("rds-db:connect", "dr", "*/app"),
            ("secretsmanager:GetSecretValue", "primary", "orders/source"),
            ("secretsmanager:GetSecretValue", "dr", "orders/old"),
        ]
    );
}

#[test]
fn by_hand_a_responder_gets_the_same_queries() {
    let with = json!({
        "endpoint": HandInput::variable_mark("restore", "endpoint"), "database": "orders",
        "credentials": {"secret": "orders/ro"}, "watermark": NEWEST,
        "queries": [{"name": "ledger balances", "sql": SUM, "expect": "= 0", "population": COUNT}]
    });
    let input = HandInput::new("data", Some("ap-northeast-3"), with, BTreeMap::new());
    let hand = SqlCheck.by_hand(&input);
    let commands = hand.commands.join("\n");
    insta::assert_snapshot!(commands, @r#"
    (
    set -eu
    DB_SECRET="$(aws secretsmanager get-secret-value --region ap-northeast-3 --secret-id orders/ro --query SecretString --output text)"
    PGPASSWORD="$(printf '%s' "$DB_SECRET" | jq -r .password)"; export PGPASSWORD
    PGUSER="$(printf '%s' "${DB_SECRET:?}" | jq -r .username)"
    export PGUSER PGHOST="${RESTORE_ENDPOINT:?}" PGPORT=5432 PGDATABASE=orders PGSSLMODE=verify-full PGSSLROOTCERT=system
    export PGOPTIONS='-c default_transaction_read_only=on -c statement_timeout=60000ms -c timezone=UTC -c row_security=off'
    psql --no-psqlrc --tuples-only --no-align --command 'select 1'
    psql --no-psqlrc --tuples-only --no-align --command 'select max(committed_at) from heartbeat'    # the newest data: note the time; later than the backup, it is another database
    psql --no-psqlrc --tuples-only --no-align --command 'select count(*) from ledger'    # must not be 0, or the next query proves nothing
    psql --no-psqlrc --tuples-only --no-align --command 'select sum(debit - credit) from ledger'
    ); echo "exit status $?"
    "#);
    assert!(hand.expected.contains("ledger balances: = 0."));
}

#[test]
fn by_hand_every_further_login_is_named_with_where_its_secret_is() {
    let with = json!({
        "endpoint": "db.test", "database": "orders", "credentials": { "secret": "orders/readonly" },
        "logins": [
            { "name": "the application", "credentials": { "secret": "orders/app", "at": "dr" } },
            { "name": "who has left", "credentials": { "secret": "orders/left" }, "refused": true },
        ],
    });
    let hand = SqlCheck.by_hand(&HandInput::new("data", Some("eu-west-1"), with, BTreeMap::new()));
    for wanted in [
        "as the application, with user and password of the secret orders/app of the site dr: it must be let in.",
        "as who has left, with user and password of the secret orders/left: the server must refuse it.",
    ] {
        assert!(hand.verify.iter().any(|line| line.ends_with(wanted)), "{:?}", hand.verify);
    }
}
