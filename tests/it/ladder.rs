//! The rungs of `sql.check` in rehearsals of the shipped orders-db: every kind of damage turns its check red.

use crate::program::Program;
use crate::rehearsals::red;
use serde_json::Value;

/// What is red in the shipped estate, with this damage in the copies.
fn rehearsed(damage: &str, answers: &str) -> Vec<String> {
    red(&report(damage, answers))
}

fn report(damage: &str, answers: &str) -> Value {
    let program = Program::new();
    let estate = program.read("scenarios/estates/orders-db.yaml");
    let copies = "lag: 50m }";
    assert_eq!(estate.matches(copies).count(), 1);
    let estate = estate.replace(copies, &format!("lag: 50m, damage: [{damage:?}] }}"));
    let heartbeat = "          heartbeat:";
    assert_eq!(estate.matches(heartbeat).count(), 1);
    let estate = estate.replace(heartbeat, &format!("{answers}{heartbeat}"));
    program.write("estate.yaml", estate);
    program.rehearse("orders-db", &["--estate", "estate.yaml"]).1
}

#[test]
fn damage_of_every_kind_is_named_by_its_check() {
    for (damage, named_by) in [
        (
            "delete from customers",
            &[
                "check content: checksums failed",
                "check content: row counts failed",
                "check data: every order has a customer failed",
                "step content failed",
                "step data failed",
            ][..],
        ),
        (
            "update customers set name = 'Babe' where id = 2",
            &["check content: checksums failed", "step content failed"],
        ),
        (
            "alter table orders add column extra text",
            &[
                "check content: checksums failed",
                "check content: schema failed",
                "step content failed",
            ],
        ),
        (
            "update sqlite_sequence set seq = 1 where name = 'orders'",
            &["check data: sequences failed", "step data failed"],
        ),
        ("drop index ledger_order", &["check content: schema failed", "step content failed"]),
    ] {
        assert_eq!(rehearsed(damage, ""), named_by, "{damage}");
    }
}

#[test]
fn a_corrupted_index_is_damage_and_a_missing_extension_is_nothing_seen() {
    let answer = |error: &str| {
        format!(
            "          answers:\n            - sql: select bt_index_check('public.ledger_order')\n              error: {error:?}\n"
        )
    };
    let corrupted =
        answer("SQLSTATE XX002: item order invariant violated for index \"ledger_order\"");
    let red = rehearsed("select 1", &corrupted);
    assert_eq!(red, ["check content: tables and indexes failed", "step content failed"]);
    let missing = answer("SQLSTATE 42883: function bt_index_check(unknown) does not exist");
    let red = rehearsed("select 1", &missing);
    assert_eq!(
        red,
        ["check content: tables and indexes inconclusive", "step content inconclusive"]
    );
}

#[test]
fn a_watermark_that_is_too_old_misses_the_objective_and_none_at_all_is_no_answer() {
    let objective = |damage: &str| {
        let report = report(damage, "");
        report["objectives"]["rpo"]["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(objective("select 1"), "met");
    assert_eq!(objective("update heartbeat set committed_at = '2026-11-18T00:00:00Z'"), "missed");
    let red = rehearsed("delete from heartbeat", "");
    assert_eq!(red, ["check data: newest data inconclusive", "step data inconclusive"]);
}
