use super::*;

fn text(value: &str) -> SqlValue {
    SqlValue::Text(value.to_owned())
}

#[test]
fn a_zero_of_an_aggregate_proves_nothing_by_itself() {
    let zero = SqlValue::Integer(0);
    assert!(is_vacuous("select count(*) from orders where customer is null", &zero));
    assert!(is_vacuous("SELECT SUM (debit - credit) FROM ledger", &text("0.00")));
    assert!(is_vacuous("select count(*) filter (where total < 0)::bigint as bad from a", &zero));
    assert!(is_vacuous("select coalesce(max(late), 0) from orders", &zero));
    assert!(!is_vacuous("select count(*) from orders", &SqlValue::Integer(3)));
    assert!(!is_vacuous("select sum(total) from orders", &text("12.50")));
    assert!(!is_vacuous("select max(version) from migrations -- count(*)", &text("v42")));
    assert!(!is_vacuous("select balance from accounts where id = 1", &zero));
}

#[test]
fn an_answer_of_yes_or_no_over_an_empty_table_proves_nothing_by_itself() {
    for (sql, answer) in [
        ("select count(*) = 0 from orders where customer is null", true),
        ("select not exists (select 1 from orders where total < 0)", true),
        ("select exists (select 1 from orders where total < 0)", false),
    ] {
        assert!(is_vacuous(sql, &SqlValue::Bool(answer)), "{sql}");
        assert!(is_vacuous(sql, &SqlValue::Integer(i64::from(answer))), "{sql}, as MySQL");
    }
    let some = "select count(*) from orders where total > 0";
    assert!(!is_vacuous(some, &SqlValue::Integer(1)));
    assert!(!is_vacuous("select closed from accounts where id = 1", &SqlValue::Bool(true)));
}

#[test]
fn regression_whatever_is_made_of_an_aggregate_asks_for_a_population() {
    for (sql, value) in [
        ("select case when count(*) = 0 then 'ok' else 'bad' end from orders", text("ok")),
        ("select max(amount) is null from orders", SqlValue::Bool(true)),
        ("select max(amount) isnull from orders", SqlValue::Bool(true)),
        ("select count(*) || ' bad' from orders", text("0 bad")),
        ("select 100 - count(*) from orders", SqlValue::Integer(100)),
        ("select if(count(*) = 0, 1, 0) from orders", SqlValue::Integer(1)),
        ("select count(*)::bool from orders", SqlValue::Bool(false)),
        ("select count(*)::text::money from orders", text("$0.00")),
        ("select bit_and(flags) from orders", text("18446744073709551615")),
        ("select coalesce((select id from orders limit 1), 7)", SqlValue::Integer(7)),
        ("select 'ok' where not exists (select 1 from orders)", text("ok")),
        ("select 'ok' where 5 not in (select id from orders)", text("ok")),
        ("select max(v) from (select case when count(*) = 0 then 'ok' end v from a) x", text("ok")),
        ("select count(*) from (select count(*) from orders) x", SqlValue::Integer(1)),
        ("with x as (select count(*) n from orders) select n = 0 from x", SqlValue::Bool(true)),
        ("select n = 0 from (select count(*) n from orders) x", SqlValue::Bool(true)),
        ("/* all */ select\n1 - Count ( * ) from a", SqlValue::Integer(1)),
    ] {
        assert!(is_vacuous(sql, &value), "{sql}");
    }
    // What needs rows to be there at all.
    for (sql, value) in [
        ("select \"count\" from orders where id = 1", SqlValue::Integer(0)),
        ("select 'count(*)' from orders where id = 1", text("count(*)")),
        ("select bool_and(total > 0) from orders", SqlValue::Bool(true)),
        ("select version()", text("PostgreSQL 15.4")),
        ("select count(*) from a where exists (select 1 from b)", SqlValue::Integer(2)),
        ("select total from a where id in (select id from b) limit 1", SqlValue::Integer(0)),
    ] {
        assert!(!is_vacuous(sql, &value), "{sql}");
    }
}

#[test]
fn regression_what_stands_there_because_another_table_is_empty_asks_for_a_population() {
    for sql in [
        "select coalesce(e.amount, 0) from one left join e on true",
        "select e.amount is null from one natural left outer join e",
        "select e.amount is null from e right join one on true",
        "select coalesce(e.amount, 0) from e full join one on true",
        "select 'ok' from one where not exists (select 1 from e where amount < 0)",
        "select 1 from one where id not in (select id from e)",
        "select 1 from one where not id in (select id from e)",
        "select count(*) from one where id not in (select id from e)",
        "select 0 from one join one two on not exists (select 1 from e)",
        "select 1 from one where id <> all (select id from e)",
        "select 1 from one where id in (select id from e) is false",
        "select 1 from one where not (id = 1 and exists (select 1 from e))",
        "select 1 from one where id = 1 or exists (select 1 from e)",
        "select 1 from one where id between 0 and exists (select 1 from e)",
        "select x from (select 1 as x from one where not exists (select 1 from e)) y",
        "explain select 1 from one",
        "(table orders)",
    ] {
        assert!(is_vacuous(sql, &SqlValue::Integer(7)), "{sql}");
    }
    for sql in [
        "select left(name, 2) from one join two on left(name, 1) = letter where one.id = 1",
        "select 1 from one where a is not null and one.id in (select id from e) and b = 1 limit 1",
        "select 1 from one where exists (select 1 from e) order by id limit 1",
        "table orders",
        "table orders order by id limit 1",
    ] {
        assert!(!is_vacuous(sql, &SqlValue::Integer(7)), "{sql}");
    }
    // Whether it is a table, only the database can tell.
    assert_eq!(tables_of("table v").unwrap_or_default(), ["v"]);
}

#[test]
fn a_function_that_is_not_known_may_be_an_aggregate() {
    for sql in [
        "select hll_cardinality(hll_add_agg(id)) from orders",
        "select stats.damaged(total) from orders",
        "select \"Damaged\"(total) from orders",
    ] {
        assert!(is_vacuous(sql, &SqlValue::Integer(7)), "{sql}");
    }
    for sql in [
        "select coalesce(round(total, 2), 0) from orders where id = 1",
        "select cast(total as decimal(10, 2)) from orders where id = 1",
        "select damaged(total) from orders group by id limit 1",
        "select pg_is_in_recovery()",
        "select total in (1, 2) from orders where id = 1",
    ] {
        assert!(!is_vacuous(sql, &SqlValue::Integer(7)), "{sql}");
    }
}

#[test]
fn regression_what_is_selected_from_no_table_asks_for_a_population() {
    for sql in [
        "select 1",
        "select 1 as version",
        "select 'ok' where 1 = 1",
        "select iif(1, 0, 0)",
        "select coalesce(null, 0)",
        "select audit.count_orphans()",
        "select count_orphans(version())",
        "select now() > '2026-01-01'",
        "values (0)",
        "select 0 from dual",
        "select bad from audit.count_orphans() bad",
        "select n from (select 0 as n) x",
        "select id from orders where id = 1 union all select 0",
    ] {
        assert!(is_vacuous(sql, &SqlValue::Integer(7)), "{sql}");
    }
    for sql in [
        "select current_user::text",
        "select current_setting('server_version_num')::int / 10000",
        "select @@global.read_only",
        "select pg_is_in_recovery()",
        "show data_checksums",
        "select total from (select total from orders where id = 1) x",
        "select total from orders o join customers c on c.id = o.customer_id where o.id = 1",
    ] {
        assert!(!is_vacuous(sql, &SqlValue::Integer(7)), "{sql}");
    }
}

#[test]
fn what_can_never_pass_without_a_population_is_known_before_it_is_asked() {
    let zero = |value: &SqlValue| *value == SqlValue::Integer(0);
    let some = |value: &SqlValue| *value == SqlValue::Integer(1_000_000);
    let nothing = |_: &SqlValue| false;
    assert!(needs_population("select count(*) from orders where customer is null", zero));
    assert!(needs_population("select sum(debit - credit) from ledger", zero));
    assert!(needs_population("select max(late) is null from orders", nothing));
    assert!(needs_population("select coalesce(max(late), 0) from orders", some));
    assert!(!needs_population("select count(*) from orders", some));
    assert!(!needs_population("select count(*) from orders", nothing));
    assert!(!needs_population("select max(version) from migrations", zero));
    assert!(!needs_population("select balance from accounts where id = 1", zero));
}
