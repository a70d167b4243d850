use super::{DR, PRIMARY, Rig};
use crate::sandbox::{DatabaseLogin, Estate, QueryRefused, Rows, SqlValue};

const NEWEST: &str = "select max(committed_at) from heartbeat";
const COUNT: &str = "select count(*) from ledger";

async fn login(rig: &Rig, place: (&str, &str), id: &str) -> DatabaseLogin {
    let found = rig.rds(place).describe_db_instances().db_instance_identifier(id).send().await;
    let endpoint = found.unwrap().db_instances()[0].endpoint().cloned().unwrap();
    DatabaseLogin {
        host: endpoint.address().unwrap().to_owned(),
        port: u16::try_from(endpoint.port().unwrap()).unwrap(),
        user: "reader".to_owned(),
        password: "canary".to_owned(),
        database: "orders".to_owned(),
    }
}

async fn restored(rig: &Rig, place: (&str, &str), snapshot: &str) -> DatabaseLogin {
    let call = rig.rds(place).restore_db_instance_from_db_snapshot();
    let call = call.db_instance_identifier("drill-1").db_snapshot_identifier(snapshot);
    call.send().await.unwrap();
    rig.wait("15m").await;
    login(rig, place, "drill-1").await
}

fn one(rows: Rows) -> String {
    match &rows.rows[..] {
        [row] => match &row[..] {
            [SqlValue::Text(text)] => text.clone(),
            [SqlValue::Integer(number)] => number.to_string(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_restored_database_has_the_data_of_its_snapshot_and_the_living_one_goes_on() {
    let rig = Rig::open();
    let copy = restored(&rig, DR, "orders-db-2026-11-21-03-05-copy").await;
    let ask = |login: &DatabaseLogin, sql: &str| one(rig.world.query(login, sql).unwrap());
    assert_eq!(ask(&copy, NEWEST), "2026-11-21T03:05:00Z");
    assert_eq!(ask(&copy, COUNT), "2");
    let living = login(&rig, PRIMARY, "orders-db").await;
    let first = ask(&living, NEWEST);
    rig.wait("10m").await;
    let second = ask(&living, NEWEST);
    assert!(first < second, "{first} {second}");
    assert!(second.as_str() >= "2026-11-22T00:25:00Z");
    assert_eq!(ask(&copy, NEWEST), "2026-11-21T03:05:00Z");
    assert_eq!(ask(&copy, " select version() "), "PostgreSQL 16.4");
    assert!(ask(&copy, "select current_timestamp").starts_with("2026-11-22 00:25"));
}

#[tokio::test(start_paused = true)]
async fn damage_shows_after_restoring_only() {
    let rig = Rig::open();
    let login = restored(&rig, PRIMARY, "emptied").await;
    assert_eq!(one(rig.world.query(&login, COUNT).unwrap()), "0");
    let living = super::sql::login(&rig, PRIMARY, "orders-db").await;
    assert_eq!(one(rig.world.query(&living, COUNT).unwrap()), "2");
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_a_snapshot_is_in_it_and_what_came_later_is_not() {
    let rig = Rig::open();
    rig.until("2026-11-22T03:00:00Z").await;
    let living = login(&rig, PRIMARY, "orders-db").await;
    rig.world.query(&living, "insert into ledger (debit, credit) values (1, 1)").unwrap();
    rig.until("2026-11-22T03:07:00Z").await;
    rig.world.query(&living, "insert into ledger (debit, credit) values (2, 2)").unwrap();
    assert_eq!(one(rig.world.query(&living, COUNT).unwrap()), "4");
    rig.until("2026-11-22T04:00:00Z").await;
    let copy = restored(&rig, DR, "orders-db-2026-11-22-03-05-copy").await;
    assert_eq!(one(rig.world.query(&copy, COUNT).unwrap()), "3");
}

#[tokio::test(start_paused = true)]
async fn a_database_refuses_strangers_and_answers_only_when_it_is_there() {
    let rig = Rig::open();
    let living = login(&rig, PRIMARY, "orders-db").await;
    let refused = |change: fn(&mut DatabaseLogin)| {
        let mut login = living.clone();
        change(&mut login);
        rig.world.query(&login, COUNT).unwrap_err()
    };
    let not_here = refused(|l| l.host = "x.sandbox.invalid".into());
    assert!(matches!(not_here, QueryRefused::UnknownHost(_)));
    assert!(matches!(refused(|l| l.port = 1), QueryRefused::Refused(_)));
    assert!(matches!(refused(|l| l.password = "x".into()), QueryRefused::Authentication(_)));
    assert!(matches!(refused(|l| l.database = "x".into()), QueryRefused::Sql(_)));
    let wrong = rig.world.query(&living, "select nonsense from nowhere").unwrap_err();
    assert!(wrong.to_string().contains("no such table"), "{wrong}");
    let two = rig.world.query(&living, "select 1; select 2").unwrap_err();
    assert!(matches!(two, QueryRefused::Sql(_)));
    let early = rig.rds(DR).restore_db_instance_from_db_snapshot();
    let early = early.db_instance_identifier("drill-1");
    early.db_snapshot_identifier("orders-db-2026-11-21-03-05-copy").send().await.unwrap();
    let mut guessed = living.clone();
    rig.wait("13m").await;
    let known = login(&rig, DR, "drill-1").await;
    guessed.host.clone_from(&known.host);
    assert!(rig.world.query(&guessed, COUNT).is_ok());
    rig.world.lose(PRIMARY.0, PRIMARY.1);
    assert!(matches!(rig.world.query(&living, COUNT).unwrap_err(), QueryRefused::TimedOut(_)));
    assert!(rig.world.query(&known, COUNT).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_is_the_one_that_counts() {
    let rig = Rig::open();
    let mut login = restored(&rig, DR, "orders-db-2026-11-21-03-05-copy").await;
    login.user = "postgres".to_owned();
    login.password = "fresh".to_owned();
    assert!(rig.world.query(&login, COUNT).is_err());
    let change = rig.rds(DR).modify_db_instance().db_instance_identifier("drill-1");
    change.master_user_password("fresh").apply_immediately(true).send().await.unwrap();
    rig.wait("6m").await;
    assert!(rig.world.query(&login, COUNT).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_read_only_session_writes_nothing() {
    let rig = Rig::open();
    let living = login(&rig, PRIMARY, "orders-db").await;
    for sql in ["delete from ledger", "with x as (select 1) delete from ledger"] {
        let refused = rig.world.read(&living, sql).unwrap_err().to_string();
        assert!(refused.starts_with("SQLSTATE 25006"), "{refused}");
    }
    assert_eq!(one(rig.world.read(&living, COUNT).unwrap()), "2");
}

#[test]
fn sql_that_cannot_work_is_an_error_of_the_estate() {
    let broken = super::ESTATE.replace("delete from ledger", "delete from nowhere");
    let text = Estate::read("e.yaml", &broken).unwrap_err().to_string();
    assert!(text.starts_with("e.yaml:41:"), "{text}");
    assert!(text.contains("no such table: nowhere"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_login_does_not_show_its_password() {
    let rig = Rig::open();
    let living = login(&rig, PRIMARY, "orders-db").await;
    assert!(!format!("{living:?}").contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn a_token_of_iam_opens_what_allows_it_for_its_user_and_a_quarter_of_an_hour() {
    let rig = Rig::open();
    let mut login = restored(&rig, DR, "orders-db-2026-11-21-03-05-copy").await;
    let token = |login: &DatabaseLogin, user: &str| {
        let signed = rig.world.clock().now().format("%Y%m%dT%H%M%SZ");
        format!(
            "{}:{}/?Action=connect&DBUser={user}&X-Amz-Date={signed}&X-Amz-Expires=900&X-Amz-Signature=ab",
            login.host, login.port
        )
    };
    login.password = token(&login, "reader");
    assert!(rig.world.query(&login, COUNT).is_err(), "IAM authentication is not switched on");
    let change = rig.rds(DR).modify_db_instance().db_instance_identifier("drill-1");
    change.enable_iam_database_authentication(true).apply_immediately(true).send().await.unwrap();
    rig.wait("6m").await;
    login.password = token(&login, "reader");
    assert!(rig.world.query(&login, COUNT).is_ok());
    login.password = token(&login, "postgres");
    assert!(rig.world.query(&login, COUNT).is_err(), "it is another user's");
    login.password = token(&login, "reader");
    rig.wait("16m").await;
    assert!(rig.world.query(&login, COUNT).is_err(), "it is too old");
}
