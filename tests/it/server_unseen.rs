//! What a server hides from the user that asks, or was not asked, is no answer: against real servers.

use crate::server_databases::{PASSWORD, Postgres, Stepped, connected, open, step, value};
use crate::server_ladder::{COPY, FAILED, INCONCLUSIVE, Mariadb, climb, corrupted, swap_two_items};
use redrill::outside::{DatabaseLogin, SqlValue};
use serde_json::{Value, json};
use std::path::Path;

/// A server with this content, and a user `reader` who may read all of it that no policy hides.
async fn with_reader(content: &str) -> Postgres {
    let server = Postgres::start("-c autovacuum=off", |_| {});
    server.change(&format!("create database {COPY}")).await;
    let reader = "create role reader login password 'swordfish'; grant select on all tables in schema public to reader";
    server.change_in(COPY, &format!("{content}; {reader}")).await;
    std::fs::write(server.file("reader-password"), "swordfish").unwrap();
    server
}

/// A step that logs in as that user.
async fn as_reader(server: &Postgres, action: &str, more: Value) -> Stepped {
    let password = server.file("reader-password");
    let mut with = json!({ "credentials": { "password_file": password, "user": "reader" } });
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    step(server.folder.path(), action, connected(server, COPY, with)).await
}

#[tokio::test]
async fn server_postgres_regression_rows_that_a_policy_hides_are_no_answer_to_a_query() {
    let server = with_reader(
        "create table events (id int primary key, at timestamptz not null); \
         insert into events select i, '2026-11-22 03:00:00+00' from generate_series(1, 400) i; \
         alter table events enable row level security; create policy few on events using (id < 10)",
    )
    .await;
    let rungs = || {
        json!({
            "watermark": "select max(at) from events",
            "point_in_time": {
                "before": "select count(*) from events",
                "after": "select count(*) from events where id > 100",
            },
            "queries": [
                { "name": "some", "sql": "select count(*) from events", "expect": "> 0" },
                {
                    "name": "none is late", "sql": "select count(*) from events where id > 100", "expect": "= 0",
                    "population": "select count(*) from events",
                },
                {
                    "name": "counted over what is hidden", "sql": "select 0 + 0", "expect": "= 0",
                    "population": "select count(*) from events",
                },
            ],
        })
    };
    let hidden = as_reader(&server, "sql.check", rungs()).await;
    let names = [
        "counted over what is hidden",
        "newest data",
        "no row from after the point",
        "none is late",
        "row from before the point",
        "some",
    ];
    assert_eq!(hidden.red(), names.map(|name| (name.to_owned(), INCONCLUSIVE)));
    for name in names {
        let note = hidden.check(name).note.clone().unwrap();
        assert!(note.contains("row-level security"), "{name}: {note}");
    }
    // Who owns the table sees every row, and is answered.
    let owner = climb(&server, COPY, rungs()).await;
    let red = owner.red().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(red, ["no row from after the point", "none is late"]);
}

fn is_hydrated(read: &Stepped) -> bool {
    let point = |event| serde_json::to_value(event).is_ok_and(|event| event["point"] == "hydrated");
    read.events.iter().any(point)
}

#[tokio::test]
async fn server_postgres_regression_a_table_without_a_page_is_not_hydrated() {
    let server = with_reader(
        "create table orders (id int primary key); insert into orders select generate_series(1, 5000); \
         create table archive (id int primary key)",
    )
    .await;
    let read = async |tables: Value| {
        let with = json!({ "p95": "30s", "samples": 20, "tables": tables });
        as_reader(&server, "sql.hydrate", with).await
    };
    for named in [json!(["orders", "archive"]), json!(["archive"])] {
        let open = read(named.clone()).await;
        assert_eq!(open.red(), [("read latency".to_owned(), INCONCLUSIVE)], "{named}");
        let note = open.check("read latency").note.clone().unwrap();
        assert!(note.contains("public.archive: no page to read"), "{note}");
        assert!(!is_hydrated(&open));
        assert_eq!(open.output.unwrap()["hydrated_after"], Value::Null);
    }
    let all = read(Value::Null).await;
    assert_eq!(all.red(), []);
    let note = all.check("read latency").note.clone().unwrap();
    assert_eq!(note, "no page to read in public.archive");
    assert!(is_hydrated(&all));
}

/// What a login must be that was taken away, with this password.
fn taken_away(folder: &Path, user: &str, password: &str) -> Value {
    let file = folder.join("old-password");
    std::fs::write(&file, password).unwrap();
    let credentials = json!({ "password_file": file, "user": user });
    json!({ "logins": [{ "name": "of last year", "refused": true, "credentials": credentials }] })
}

#[tokio::test]
async fn server_postgres_regression_a_password_that_the_server_takes_is_not_refused() {
    let server = Postgres::start("", |_| {});
    server.change("create role old login password 'of-last-year'").await;
    server.change(&format!("create database {COPY}")).await;
    server.change(&format!("revoke connect on database {COPY} from public")).await;
    let with = |password: &str| taken_away(server.folder.path(), "old", password);
    let closed = climb(&server, COPY, with("of-last-year")).await;
    assert_eq!(closed.red(), [("login of last year".to_owned(), FAILED)]);
    let observed = &closed.check("login of last year").observed;
    assert!(observed.contains("took the password") && observed.contains("42501"), "{observed}");
    assert_eq!(climb(&server, COPY, with("another")).await.red(), []);
    server.change("alter role old nologin").await;
    assert_eq!(climb(&server, COPY, with("of-last-year")).await.red(), []);
}

#[tokio::test]
async fn server_mariadb_regression_a_password_that_the_server_takes_is_not_refused() {
    let both = Mariadb::make("taken").await;
    both.change("create or replace user redrill_taken@127.0.0.1 identified by 'of-last-year'")
        .await;
    let climbed = async |password: &str| {
        let with = taken_away(both.folder.path(), "redrill_taken", password);
        step(both.folder.path(), "sql.check", both.connected(&both.copy, with)).await
    };
    let closed = climbed("of-last-year").await;
    assert_eq!(closed.red(), [("login of last year".to_owned(), FAILED)]);
    let observed = &closed.check("login of last year").observed;
    assert!(observed.contains("took the password") && observed.contains("1044"), "{observed}");
    assert_eq!(climbed("another").await.red(), []);
    both.change("drop user redrill_taken@127.0.0.1").await;
    both.drop_both().await;
}

/// What gives zero over an empty table although no aggregate stands in the query: as its text tells, before anybody is asked.
const WITHOUT_FROM: [&str; 3] =
    ["select audit.count_orphans()", "select n from audit.count_orphans() n", "select 0"];

/// The same, as only the database can tell.
const OF_A_VIEW: [&str; 2] = ["select bad from orphans", "select bad from audit.totals"];

#[tokio::test]
async fn server_postgres_regression_an_empty_table_passes_neither_by_a_function_nor_by_a_view() {
    let server = with_reader(
        "create table orders (id int primary key, customer int); create table settings (name text primary key, value int); \
         insert into settings values ('orphans', 0); create schema audit; create function audit.count_orphans() returns bigint \
         language sql as 'select count(*) from public.orders where customer is null'; \
         create view orphans as select count(*) as bad from orders where customer is null; \
         create materialized view audit.totals as select count(*) as bad from orders",
    )
    .await;
    let judged = async |sql: &str, more: Value| {
        let mut query = json!({ "name": "rule", "sql": sql, "expect": "= 0" });
        query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        climb(&server, COPY, json!({ "queries": [query] })).await
    };
    for sql in WITHOUT_FROM {
        let refused = judged(sql, json!({})).await.output.unwrap_err();
        assert!(refused.to_string().contains("the check could never pass"), "{sql}: {refused}");
        let counted = judged(sql, json!({ "population": "select count(*) from settings" })).await;
        assert_eq!(counted.red(), [], "{sql}");
    }
    for sql in OF_A_VIEW {
        let open = judged(sql, json!({})).await;
        assert_eq!(open.red(), [("rule".to_owned(), INCONCLUSIVE)], "{sql}");
        let note = open.check("rule").note.clone().unwrap();
        assert!(note.contains("population:"), "{sql}: {note}");
        let counted = judged(sql, json!({ "population": "select count(*) from settings" })).await;
        assert_eq!(counted.red(), [], "{sql}");
    }
    // A row that stands in a table, and the server's own word, need none.
    assert_eq!(
        judged("select value from settings where name = 'orphans'", json!({})).await.red(),
        []
    );
    assert_eq!(judged("select pg_is_in_recovery()::int", json!({})).await.red(), []);
}

#[tokio::test]
async fn server_postgres_regression_an_empty_table_passes_by_no_watermark_join_or_constant() {
    let server = with_reader(
        "create table heartbeat (committed_at timestamptz not null); create table e (id int primary key, amount int); \
         create table one (id int primary key); insert into one values (1); create view v as select count(*) c from e; \
         create view newest as select coalesce(max(committed_at), date_trunc('hour', now())) as at from heartbeat",
    )
    .await;
    let is_refused = async |with: Value, words: &str| {
        let refused = climb(&server, COPY, with.clone()).await.output.unwrap_err();
        assert!(refused.to_string().contains(words), "{with}: {refused}");
    };
    for sql in [
        "select coalesce(max(committed_at), date_trunc('hour', now())) from heartbeat",
        "select now() - interval '10 minutes'",
    ] {
        is_refused(json!({ "watermark": sql }), "stands in no row").await;
    }
    let sides = json!({ "point_in_time": { "before": "select 1", "after": "select 0" } });
    is_refused(sides, "counts no rows").await;
    for (sql, expect) in [
        ("select coalesce(e.amount, 0) from one left join e on true", "= 0"),
        ("select e.amount is null from e right join one on true", "= true"),
        ("select coalesce(e.amount, 0) from e full join one on true", "= 0"),
        ("select 0 from one natural left join e", "= 0"),
        ("select 'ok' from one where not exists (select 1 from e where amount < 0)", "= ok"),
        ("select 1 from one where id not in (select id from e)", "= 1"),
    ] {
        let query = json!({ "name": "rule", "sql": sql, "expect": expect });
        is_refused(json!({ "queries": [query] }), "the check could never pass").await;
    }
    // Whether it is a view, only the database can tell.
    let of_views = json!({
        "watermark": "select at from newest",
        "point_in_time": { "before": "select count(*) from v", "after": "select c from v" },
        "queries": [
            { "name": "of a view", "sql": "table v", "expect": "= 0" },
            { "name": "over a view", "sql": "select 0 from one", "expect": "= 0", "population": "select count(*) from v" },
        ],
    });
    let open = climb(&server, COPY, of_views).await;
    let names = [
        "newest data",
        "no row from after the point",
        "of a view",
        "over a view",
        "row from before the point",
    ];
    assert_eq!(open.red(), names.map(|name| (name.to_owned(), INCONCLUSIVE)));
    server.change_in(COPY, "insert into heartbeat values ('2026-01-02 03:04:05+00')").await;
    let healthy = json!({
        "watermark": "select max(committed_at) from heartbeat",
        "queries": [{ "name": "of a table", "sql": "table one", "expect": "= 1" }],
    });
    assert_eq!(climb(&server, COPY, healthy).await.red(), []);
}

/// Whatever it is called: the server's own tables have such names, and others may.
#[tokio::test]
async fn server_postgres_regression_a_foreign_table_that_is_called_like_a_catalog_needs_a_population()
 {
    let server = with_reader("create table pg_settled (id int primary key, value int); insert into pg_settled values (1, 0)").await;
    let far = "create table lost (id int); create view orphans as select count(*) as bad from lost";
    server.change(far).await;
    let (port, password) = (server.port, PASSWORD.replace('\'', "''"));
    let foreign = format!(
        "create extension postgres_fdw; \
         create server far foreign data wrapper postgres_fdw options (host 'localhost', port '{port}', dbname 'postgres'); \
         create user mapping for admin server far options (user 'admin', password '{password}'); \
         create foreign table pg_orphans (bad bigint) server far options (schema_name 'public', table_name 'orphans'); \
         create schema sys; create foreign table sys.orphans (bad bigint) server far options (schema_name 'public')"
    );
    server.change_in(COPY, &foreign).await;
    let judged = async |sql: &str| {
        let queries = json!([{ "name": "rule", "sql": sql, "expect": "= 0" }]);
        climb(&server, COPY, json!({ "queries": queries })).await
    };
    for name in ["pg_orphans", "public.pg_orphans", "sys.orphans"] {
        let open = judged(&format!("select bad from {name}")).await;
        assert_eq!(open.red(), [("rule".to_owned(), INCONCLUSIVE)], "{name}");
        let note = open.check("rule").note.clone().unwrap();
        assert!(note.contains(&format!("{name} is no table of this database")), "{note}");
        let counted = json!([{
            "name": "rule", "sql": format!("select bad from {name}"), "expect": "= 0",
            "population": "select count(*) from pg_settled",
        }]);
        assert_eq!(climb(&server, COPY, json!({ "queries": counted })).await.red(), [], "{name}");
    }
    // The server's own, and a table of this database whatever its name.
    for sql in [
        "select relnatts - relnatts from pg_class where relname = 'pg_settled'",
        "select value from pg_settled where id = 1",
    ] {
        assert_eq!(judged(sql).await.red(), [], "{sql}");
    }
}

/// A table with large values, which lie apart, and whoever may ask amcheck.
const DOCUMENTS: &str = "create extension amcheck; create table documents (id int primary key, body text not null); \
     alter table documents alter body set storage external; \
     insert into documents select i, repeat(md5(i::text), 500) from generate_series(1, 20) i";

/// The name of a relation of the copy.
async fn name_of(server: &Postgres, relation: &str) -> String {
    let login = DatabaseLogin { database: COPY.to_owned(), ..server.login() };
    let mut session = open(&login).await.unwrap();
    let asked =
        format!("select ({relation})::regclass::text from pg_class where relname = 'documents'");
    let SqlValue::Text(name) = value(&mut session, &asked).await else { panic!("no name") };
    name
}

#[tokio::test]
async fn server_postgres_regression_damage_of_large_values_is_found() {
    let server = with_reader(DOCUMENTS).await;
    let inspected = async || climb(&server, COPY, json!({ "inspect": {} })).await;
    let healthy = inspected().await;
    assert_eq!(healthy.red(), []);
    // The table, its index, and the same of what holds its large values.
    assert_eq!(healthy.check("tables and indexes").population, Some(4));
    let toast = name_of(&server, "reltoastrelid").await;
    // A page of zeros is a page without rows: no checksum of a page, and no read of the other columns, sees it.
    corrupted(&server, &toast, |bytes| bytes.fill(0)).await;
    let damaged = inspected().await;
    assert_eq!(damaged.red(), [("tables and indexes".to_owned(), FAILED)]);
    let observed = &damaged.check("tables and indexes").observed;
    assert!(observed.contains("table public.documents: "), "{observed}");
    assert!(observed.contains("not found in toast table"), "{observed}");
}

#[tokio::test]
async fn server_postgres_regression_a_damaged_index_of_large_values_is_found() {
    let server = with_reader(DOCUMENTS).await;
    let index = "select indexrelid from pg_index where indrelid = reltoastrelid";
    let index = name_of(&server, index).await;
    corrupted(&server, &index, swap_two_items).await;
    let damaged = climb(&server, COPY, json!({ "inspect": {} })).await;
    assert_eq!(damaged.red(), [("tables and indexes".to_owned(), FAILED)]);
    let observed = &damaged.check("tables and indexes").observed;
    assert!(observed.contains("index public.documents (TOAST): SQLSTATE XX002"), "{observed}");
}

#[tokio::test]
async fn server_postgres_regression_tables_that_an_old_amcheck_leaves_out_leave_it_open() {
    // What a server that was upgraded from PostgreSQL 13 has, until somebody updates it.
    let old = "create extension amcheck version '1.2'";
    let server = with_reader(&DOCUMENTS.replace("create extension amcheck", old)).await;
    let inspected = async || climb(&server, COPY, json!({ "inspect": {} })).await;
    let open = inspected().await;
    assert_eq!(open.red(), [("tables and indexes".to_owned(), INCONCLUSIVE)]);
    let note = open.check("tables and indexes").note.clone().unwrap();
    assert!(note.contains("table public.documents: this version of the extension"), "{note}");
    assert!(note.contains("(1.2) inspects no tables: alter extension amcheck update"), "{note}");
    server.change_in(COPY, "alter extension amcheck update").await;
    let updated = inspected().await;
    assert_eq!(updated.red(), []);
    assert_eq!(updated.check("tables and indexes").population, Some(4));
}

#[tokio::test]
async fn server_postgres_regression_a_table_without_anything_to_inspect_is_named_and_no_pass() {
    let server = with_reader(&format!(
        "{DOCUMENTS}; create unlogged table scratch (id int); insert into scratch values (1); \
         create table events (id int, at int) partition by range (at)"
    ))
    .await;
    let inspected = async |tables: Value| {
        climb(&server, COPY, json!({ "inspect": { "tables": tables } })).await
    };
    let all = inspected(Value::Null).await;
    assert_eq!(all.red(), []);
    let check = all.check("tables and indexes");
    assert_eq!(check.population, Some(4));
    let note = check.note.clone().unwrap();
    let (unlogged, bare) = (
        "table public.scratch (unlogged: no backup holds it)",
        "table public.events (it has no partitions)",
    );
    assert!(note.contains(unlogged) && note.contains(bare), "{note}");
    for (names, why) in [
        (json!(["documents", "scratch"]), unlogged),
        (json!(["scratch"]), unlogged),
        (json!(["documents", "events"]), bare),
    ] {
        let open = inspected(names.clone()).await;
        assert_eq!(open.red(), [("tables and indexes".to_owned(), INCONCLUSIVE)], "{names}");
        let note = open.check("tables and indexes").note.clone().unwrap();
        assert!(note.contains(why), "{note}");
    }
    // The row of what was not inspected does not vouch for what was.
    server.change_in(COPY, "truncate documents").await;
    let empty = inspected(Value::Null).await;
    assert_eq!(empty.red(), [("tables and indexes".to_owned(), INCONCLUSIVE)]);
    let note = empty.check("tables and indexes").note.clone().unwrap();
    assert!(note.contains("none of the tables that were inspected holds a row"), "{note}");
}

#[tokio::test]
async fn server_mariadb_regression_what_a_reader_is_not_shown_is_not_the_same() {
    let both = Mariadb::make("unseen").await;
    let made = |database: &str, by: u32| {
        format!(
            "create or replace view {database}.recent as select id, total * {by} as total from {database}.orders; \
             create or replace trigger {database}.noted before insert on {database}.orders for each row set new.note = {by}; \
             create or replace function {database}.rate() returns int deterministic return {by}; \
             create or replace event {database}.nightly on schedule every {by} day do delete from {database}.codes"
        )
    };
    both.change(&made(&both.source, 1)).await;
    // Everything that is code differs.
    both.change(&made(&both.copy, 2)).await;
    both.change("create or replace user redrill_unseen@127.0.0.1 identified by 'swordfish'").await;
    for database in [&both.source, &both.copy] {
        both.change(&format!("grant select on {database}.* to redrill_unseen@127.0.0.1")).await;
    }
    let password = both.folder.path().join("reader-password");
    std::fs::write(&password, "swordfish").unwrap();
    let reader = json!({ "password_file": password, "user": "redrill_unseen" });
    let compared = async |ignore: Value| {
        let source = json!({ "at": "home", "credentials": reader });
        let source = both.connected(&both.source, source);
        let with =
            json!({ "source": source, "schema": { "ignore": ignore }, "credentials": reader });
        step(both.folder.path(), "sql.check", both.connected(&both.copy, with)).await
    };
    let open = compared(json!([])).await;
    assert_eq!(open.red(), [("schema".to_owned(), INCONCLUSIVE)]);
    let note = open.check("schema").note.clone().unwrap();
    for unseen in [
        "view here (grant show view",
        "trigger here",
        "event here",
        "function in the reference",
        "foreign key here",
    ] {
        assert!(note.contains(unseen), "{unseen}: {note}");
    }
    let code =
        ["view *", "trigger *", "function *", "procedure *", "event *", "foreign key *", "check *"];
    assert_eq!(compared(json!(code)).await.red(), []);

    // What a reader has taken down is no measure for who sees everything.
    let with = both.connected(&both.source, json!({ "credentials": reader }));
    let captured = step(both.folder.path(), "sql.capture_reference", with).await;
    assert_eq!(captured.red(), []);
    assert!(captured.check("reference").note.clone().unwrap().contains("trigger (grant trigger"));
    let reference = captured.output.unwrap()["reference"].clone();
    let with = both.connected(&both.copy, json!({ "reference": reference, "schema": {} }));
    let open = step(both.folder.path(), "sql.check", with).await;
    assert_eq!(open.red(), [("schema".to_owned(), INCONCLUSIVE)]);
    let seen = both.climb().await;
    assert_eq!(seen.check("schema").outcome, FAILED);
    let observed = &seen.check("schema").observed;
    for object in ["view recent", "trigger orders noted", "function rate", "event nightly"] {
        assert!(observed.contains(object), "{object}: {observed}");
    }
    both.change("drop user redrill_unseen@127.0.0.1").await;
    both.drop_both().await;
}

/// What is left of all rights when one is taken away, as this server writes it down.
#[tokio::test]
async fn server_mariadb_regression_a_right_that_was_taken_away_is_not_believed() {
    let both = Mariadb::make("revoked").await;
    let user = "redrill_revoked@127.0.0.1";
    both.change(&format!("create or replace user {user} identified by 'swordfish'")).await;
    let password = both.folder.path().join("reader-password");
    std::fs::write(&password, "swordfish").unwrap();
    let credentials = json!({ "password_file": password, "user": "redrill_revoked" });
    let compared = async || {
        let source = both.connected(&both.source, json!({ "at": "home" }));
        let with = json!({ "source": source, "schema": {}, "credentials": credentials });
        step(both.folder.path(), "sql.check", both.connected(&both.copy, with)).await
    };
    let copy = &both.copy;
    both.change(&format!("grant all on {copy}.* to {user}; grant select on mysql.proc to {user}"))
        .await;
    assert_eq!(compared().await.red(), []);
    for (right, unseen) in [("select", "table"), ("show view", "view"), ("trigger", "trigger")] {
        both.change(&format!("revoke {right} on {copy}.* from {user}")).await;
        let open = compared().await;
        assert_eq!(open.red(), [("schema".to_owned(), INCONCLUSIVE)], "{right}");
        let note = open.check("schema").note.clone().unwrap();
        assert!(note.contains(&format!("{unseen} here (grant {right}")), "{right}: {note}");
        both.change(&format!("grant {right} on {copy}.* to {user}")).await;
    }
    both.change(&format!("drop user {user}")).await;
    both.drop_both().await;
}

/// Of what is granted on patterns of names, the server goes by the most specific one alone.
#[tokio::test]
async fn server_mariadb_regression_of_several_grants_that_mean_a_database_one_counts() {
    let both = Mariadb::make("narrow").await;
    let (user, copy) = ("redrill_narrow@127.0.0.1", &both.copy);
    both.change(&format!("create or replace user {user} identified by 'swordfish'")).await;
    both.change(&format!(
        "grant select, show view, trigger, event on `redrill\\_narrow%`.* to {user}; \
         grant select on mysql.proc to {user}"
    ))
    .await;
    let password = both.folder.path().join("reader-password");
    std::fs::write(&password, "swordfish").unwrap();
    let credentials = json!({ "password_file": password, "user": "redrill_narrow" });
    let compared = async || {
        let source = both.connected(&both.source, json!({ "at": "home" }));
        let with = json!({ "source": source, "schema": {}, "credentials": credentials });
        step(both.folder.path(), "sql.check", both.connected(copy, with)).await
    };
    assert_eq!(compared().await.red(), []);
    // A difference that is seen, until a grant on the database alone takes the place of the other one.
    both.change(&format!(
        "create trigger {copy}.noted before insert on {copy}.orders for each row set new.note = 1"
    ))
    .await;
    assert_eq!(compared().await.red(), [("schema".to_owned(), FAILED)]);
    let narrow = copy.replace('_', "\\_");
    both.change(&format!("grant select, show view on `{narrow}`.* to {user}")).await;
    let open = compared().await;
    assert_eq!(open.red(), [("schema".to_owned(), INCONCLUSIVE)]);
    let note = open.check("schema").note.clone().unwrap();
    for unseen in ["trigger here (grant trigger", "event here (grant event"] {
        assert!(note.contains(unseen), "{unseen}: {note}");
    }
    both.change(&format!("drop user {user}")).await;
    both.drop_both().await;
}

#[tokio::test]
async fn server_mariadb_regression_one_row_that_is_read_again_and_again_is_not_hydrated() {
    let both = Mariadb::make("uneven").await;
    let copy = &both.copy;
    both.change(&format!(
        "create table {copy}.uneven (id bigint primary key, note varchar(20)); \
         insert into {copy}.uneven select seq, 'n' from seq_1_to_5000; insert into {copy}.uneven values (9000000000000000, 'far'); \
         create table {copy}.few (id bigint primary key); insert into {copy}.few values (1), (2), (3)"
    ))
    .await;
    let read = async |table: &str| {
        let with = json!({ "p95": "30s", "samples": 100, "tables": [table] });
        step(both.folder.path(), "sql.hydrate", both.connected(copy, with)).await
    };
    let uneven = read("uneven").await;
    assert_eq!(uneven.red(), [("read latency".to_owned(), INCONCLUSIVE)]);
    let note = uneven.check("read latency").note.clone().unwrap();
    assert!(
        note.contains("uneven: its keys are too uneven to choose pages by: 100 places"),
        "{note}"
    );
    assert!(!is_hydrated(&uneven));
    // Each row counts once; a small table is not uneven for that.
    let few = read("few").await;
    assert_eq!(few.red(), []);
    assert!(few.output.unwrap()["reads"].as_u64().unwrap() <= 3);
    let even = read("orders").await;
    assert_eq!(even.red(), []);
    assert!(even.output.unwrap()["reads"].as_u64().unwrap() > 60);
    both.drop_both().await;
}

/// `sql.check` makes its sessions read-only, in UTC, and does not have its statements compiled: that says nothing of the server.
#[tokio::test]
async fn server_postgres_regression_settings_are_those_of_the_server_not_of_the_session_that_asks()
{
    let server = Postgres::start("-c autovacuum=off -c jit=on -c statement_timeout=7min", |_| {});
    server.change(&format!("create database {COPY}")).await;
    let settings = json!({ "settings": {
        "default_transaction_read_only": "= off", "statement_timeout": "= 7min", "jit": "= on", "row_security": "= on",
        "Search_Path": "~ public", "autovacuum": "= off", "server_encoding": "= UTF8",
    } });
    assert_eq!(climb(&server, COPY, settings).await.red(), []);
    let asked_for = json!({ "settings": {
        "timezone": "= UTC", "datestyle": "= ISO, MDY", "transaction_read_only": "= on", "application_name": "= redrill",
    } });
    let climbed = climb(&server, COPY, asked_for).await;
    let names = ["application_name", "datestyle", "timezone", "transaction_read_only"];
    assert_eq!(climbed.red(), names.map(|name| (format!("setting {name}"), INCONCLUSIVE)));
}

#[tokio::test]
async fn server_mariadb_regression_settings_are_those_of_the_server_not_of_the_session_that_asks() {
    let both = Mariadb::make("settings").await;
    let settings = json!({ "settings": {
        "tx_read_only": "= OFF", "time_zone": "= SYSTEM", "sql_mode": "~ STRICT_TRANS_TABLES", "max_statement_time": "= 0",
    } });
    let with = both.connected(&both.copy, settings);
    let climbed = step(both.folder.path(), "sql.check", with).await;
    both.drop_both().await;
    let red: Vec<_> =
        climbed.red().into_iter().filter(|(name, _)| name.starts_with("setting")).collect();
    assert_eq!(red, []);
}

/// MariaDB lists tables that keep their history, and sequences, as another type of table.
#[tokio::test]
async fn server_mariadb_regression_versioned_tables_and_sequences_are_looked_at() {
    let both = Mariadb::make("versioned").await;
    let copy = &both.copy;
    for database in [&both.source, copy] {
        both.change(&format!(
            "create sequence {database}.numbers; create table {database}.rates (id bigint primary key default \
             nextval({database}.numbers), rate int not null) with system versioning; \
             insert into {database}.rates (rate) values (7), (8), (9)"
        ))
        .await;
    }
    assert_eq!(both.climb().await.red(), []);
    for (damage, repair, named_by) in [
        (
            format!("delete from {copy}.rates where id = 2"),
            format!("insert into {copy}.rates values (2, 8)"),
            &["checksums", "row counts"][..],
        ),
        (
            format!("alter sequence {copy}.numbers restart 1"),
            format!("alter sequence {copy}.numbers restart 1001"),
            &["sequences"],
        ),
        (
            format!("alter table {copy}.rates drop system versioning"),
            format!("alter table {copy}.rates add system versioning"),
            &["schema"],
        ),
        (
            format!("alter table {copy}.rates alter id drop default; drop sequence {copy}.numbers"),
            "do 0".to_owned(),
            &["schema"],
        ),
    ] {
        both.change(&damage).await;
        let red: Vec<_> = both.climb().await.red().into_iter().map(|(name, _)| name).collect();
        assert_eq!(red, named_by, "{damage}");
        both.change(&repair).await;
    }
    both.drop_both().await;
}
