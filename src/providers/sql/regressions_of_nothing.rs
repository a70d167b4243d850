//! Defects that were found once: what an empty table gives as well, and passed.

use super::tests::{input, world, written};
use super::*;
use crate::action::{Action, Given};
use crate::ids::{SiteName, StepId};
use crate::journal::{Check, Event, Outcome};
use crate::outside::fake::{FakeOutside, context};
use crate::outside::{OutsideError, SqlValue};
use serde_json::{Value, json};

type Told<'a> = (&'a str, Result<Vec<SqlValue>, OutsideError>);

fn number(value: i64) -> Result<Vec<SqlValue>, OutsideError> {
    Ok(vec![SqlValue::Integer(value)])
}

/// An hour before the fake time.
fn time() -> Result<Vec<SqlValue>, OutsideError> {
    Ok(vec![SqlValue::Time("2026-11-22T02:00:00Z".parse().unwrap())])
}

/// The checks of a step, and whether a recovery point was seen.
async fn checked(world: FakeOutside, more: Value, answers: &[Told<'_>]) -> (Vec<Check>, bool) {
    let (context, _, recorder) = context(world.with_database(answers));
    SqlCheck.run(&context, input(more)).await.unwrap();
    let mut events = recorder.events().into_iter();
    (recorder.checks(), events.any(|event| matches!(event, Event::RecoveryPointSeen { .. })))
}

fn of<'c>(checks: &'c [Check], name: &str) -> &'c Check {
    checks.iter().find(|check| check.name == name).unwrap()
}

/// What is found wrong before anybody is asked: where, and in which words.
fn problems(more: Value) -> Vec<(String, String)> {
    let given = Given::new("orders", StepId::new("data"), Some(SiteName::new("dr")), written(more));
    let found = SqlCheck.check_input(&given).into_iter();
    found.map(|problem| (problem.pointer, problem.message)).collect()
}

fn places(more: Value) -> Vec<String> {
    problems(more).into_iter().map(|(pointer, _)| pointer).collect()
}

#[tokio::test(start_paused = true)]
async fn regression_a_watermark_that_an_empty_table_gives_as_well_proves_nothing() {
    for sql in [
        "select now() - interval '10 minutes'",
        "select '2026-11-22T02:00:00Z'",
        "select coalesce(max(committed_at), date_trunc('hour', now())) from heartbeat",
        "select max('2026-11-22 02:00:00') from heartbeat",
        // Of a view: only the database can tell.
        "select max(committed_at) from newest_heartbeat",
    ] {
        let (checks, is_point) =
            checked(world(), json!({"watermark": sql}), &[(sql, time())]).await;
        let newest = of(&checks, "newest data");
        assert_eq!((newest.outcome, is_point), (Outcome::Inconclusive, false), "{sql}");
    }
    let sql = "select max(committed_at) from heartbeat";
    let (checks, is_point) = checked(world(), json!({"watermark": sql}), &[(sql, time())]).await;
    assert_eq!((of(&checks, "newest data").outcome, is_point), (Outcome::Passed, true));
    // Whether it is a table is not known.
    let unknown = FakeOutside { tables: Vec::new(), ..world() };
    let (checks, is_point) = checked(unknown, json!({"watermark": sql}), &[(sql, time())]).await;
    let newest = of(&checks, "newest data");
    assert_eq!((newest.outcome, is_point), (Outcome::Inconclusive, false));
    assert!(newest.note.as_ref().unwrap().contains("not known"), "{newest:?}");
}

#[test]
fn regression_a_watermark_over_nothing_is_found_before_the_day() {
    for sql in [
        "select now() - interval '10 minutes'",
        "select coalesce(max(committed_at), now()) from heartbeat",
        "select coalesce(max(committed_at), '2026-11-19T18:00:00Z') from heartbeat where 1 = 0",
    ] {
        let found = problems(json!({"watermark": sql}));
        let [(pointer, message)] = &found[..] else { panic!("{sql}: {found:?}") };
        assert_eq!(pointer, "/watermark");
        assert!(message.contains("stands in no row"), "{message}");
    }
    for sql in [
        json!("select max(committed_at) from heartbeat"),
        json!("select max(committed_at) from newest_heartbeat"),
        json!("select pg_last_xact_replay_timestamp()"),
        Given::later_mark(),
    ] {
        assert!(problems(json!({"watermark": sql})).is_empty(), "{sql}");
    }
}

const BEFORE: &str = "select count(*) from heartbeat where committed_at > '2026-11-22 01:55'";
const AFTER: &str = "select count(*) from heartbeat where committed_at > '2026-11-22 02:00'";

#[tokio::test(start_paused = true)]
async fn regression_constants_are_no_sides_of_a_point_in_time() {
    use Outcome::{Inconclusive, Passed};
    let orders = "select count(*) from orders where placed > '2026-11-22 02:00'";
    let of_a_view = "select count(*) from late_heartbeats";
    let outer = "select count(*) from heartbeat left join late on true";
    for (before, after, outcomes) in [
        (BEFORE, AFTER, (Passed, Passed)),
        ("select 1", "select 0", (Inconclusive, Inconclusive)),
        ("select 1", AFTER, (Inconclusive, Inconclusive)),
        (outer, AFTER, (Inconclusive, Inconclusive)),
        (of_a_view, AFTER, (Inconclusive, Inconclusive)),
        (BEFORE, "select 0", (Passed, Inconclusive)),
        (BEFORE, of_a_view, (Passed, Inconclusive)),
        (BEFORE, orders, (Passed, Inconclusive)),
    ] {
        let with = json!({"point_in_time": {"before": before, "after": after}});
        let (checks, _) = checked(world(), with, &[(before, number(1)), (after, number(0))]).await;
        let [before_it, after_it] = ["row from before the point", "no row from after the point"]
            .map(|name| of(&checks, name).outcome);
        assert_eq!((before_it, after_it), outcomes, "{before}; {after}");
    }
}

#[test]
fn regression_sides_that_would_hold_whatever_was_restored_are_found_before_the_day() {
    let sides = |before: Value, after: Value| {
        places(json!({"point_in_time": {"before": before, "after": after}}))
    };
    let both = ["/point_in_time/before", "/point_in_time/after"];
    assert_eq!(sides(json!("select 1"), json!("select 0")), both);
    assert_eq!(sides(json!(BEFORE), json!("select 0")), both[1..]);
    let other = json!("select count(*) from orders where placed > '2099-01-01'");
    assert_eq!(sides(json!(BEFORE), other), both[1..]);
    assert!(sides(json!(BEFORE), json!(AFTER)).is_empty());
    assert!(sides(Given::later_mark(), Given::later_mark()).is_empty());
}

/// The outcome of a query that gives what is expected, and of one with this population.
async fn judged(sql: &str, population: Option<&str>) -> Outcome {
    let mut query = json!({"name": "rule", "sql": sql, "expect": "= 0"});
    let mut answers = vec![(sql, number(0))];
    if let Some(population) = population {
        query["population"] = json!(population);
        answers.push((population, number(1)));
    }
    let (checks, _) = checked(world(), json!({"queries": [query]}), &answers).await;
    of(&checks, "rule").outcome
}

#[tokio::test(start_paused = true)]
async fn regression_what_stands_there_because_a_table_is_empty_needs_a_population() {
    for sql in [
        "table damaged_orders",
        "select coalesce(l.amount, 0) from orders left join ledger l on true",
        "select 0 from orders where not exists (select 1 from ledger where amount < 0)",
        "select 0 from orders where id not in (select id from ledger)",
    ] {
        assert_eq!(judged(sql, None).await, Outcome::Inconclusive, "{sql}");
        let counted = judged(sql, Some("select count(*) from ledger")).await;
        assert_eq!(counted, Outcome::Passed, "{sql}");
    }
    assert_eq!(judged("table orders", None).await, Outcome::Passed);
    assert_eq!(judged("select bad from orders where id = 1", None).await, Outcome::Passed);
}

#[tokio::test(start_paused = true)]
async fn regression_a_population_counts_rows_of_tables() {
    let sql = "select count(*) from orders where false";
    for population in [
        "select 1",
        "select count(*) + 1 from orders",
        "select count(*) from (values (1)) v",
        "select count(*) from orders_per_day",
        "select count(*) from orders right join ledger on true",
    ] {
        assert_eq!(judged(sql, Some(population)).await, Outcome::Inconclusive, "{population}");
    }
    assert_eq!(judged(sql, Some("select count(*) from orders")).await, Outcome::Passed);
}

#[test]
fn regression_a_population_of_no_table_is_found_before_the_day() {
    let query = |sql: &str, population: Value| {
        let query = json!({"name": "rule", "sql": sql, "expect": "= 0", "population": population});
        places(json!({"queries": [query]}))
    };
    let sql = "select count(*) from orders where total < 0";
    assert_eq!(query(sql, json!("select 1")), ["/queries/0/population"]);
    assert!(query(sql, json!("select count(*) from orders")).is_empty());
    assert!(query(sql, Given::later_mark()).is_empty());
    for sql in [
        "select coalesce(l.amount, 0) from orders left join ledger l on true",
        "select 0 from orders where not exists (select 1 from ledger)",
    ] {
        assert_eq!(query(sql, Value::Null), ["/queries/0/sql"], "{sql}");
    }
}

#[test]
fn regression_a_version_or_a_setting_that_everything_meets_is_found_before_the_day() {
    assert_eq!(places(json!({"version": "~ .*"})), ["/version"]);
    let settings = json!({"settings": {"fsync": "= on", "rds.log": "~ ", "work_mem": "~ .*"}});
    let found = problems(settings);
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/settings/rds.log", "/settings/work_mem"]);
    assert!(found[1].1.starts_with("settings: work_mem: "), "{found:?}");
    let fine =
        json!({"version": "~ ^16", "settings": {"fsync": "= on", "work_mem": Given::later_mark()}});
    assert!(places(fine).is_empty());
    assert!(
        places(json!({"version": Given::later_mark(), "settings": Given::later_mark()})).is_empty()
    );
}
