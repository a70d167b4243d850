//! Damage among a million rows: a database of twenty tables from a seeded generator, a logical copy of it that plays the
//! restored side, and each kind of damage done to the copy alone. PostgreSQL.

use crate::server_databases::{Postgres, Stepped, connected, open, value};
use crate::server_ladder::{
    COPY, FAILED, INCONCLUSIVE, SEED, SOURCE, TWENTY_TABLES, climb, corrupted_in, every_rung,
    generated, source_and_copy, swap_two_items,
};
use redrill::journal::Outcome;
use redrill::outside::{DatabaseLogin, SqlValue};
use serde_json::json;

/// In each of fourteen tables, and a tenth of it in two: more than a million in all.
pub(crate) const ROWS: u32 = 72_000;

/// The row of the table `detail_7` whose one byte is changed.
pub(crate) const ROW: u32 = 54_321;

/// The range of keys that it lies in, as checksums name it.
pub(crate) const ROW_SAYS: &str = "keys from 50000 to before 55000: other content in 5000 rows";

/// What the generator gives as the account of a row of a table of details.
pub(crate) fn account_of(row: u32) -> u32 {
    row * 31 % 1009
}

/// What must come of a damage.
pub(crate) struct Named {
    /// The checks that do not pass. All others do.
    pub(crate) red: &'static [(&'static str, Outcome)],
    /// What some of them say: the table, the rows, the index.
    pub(crate) says: &'static [(&'static str, &'static str)],
}

impl Named {
    /// Asserts that exactly these checks are red, and that they name what is damaged.
    pub(crate) fn expect(&self, damage: &str, climbed: &Stepped) {
        let mut expected: Vec<_> =
            self.red.iter().map(|(name, outcome)| ((*name).to_owned(), *outcome)).collect();
        expected.sort();
        assert_eq!(climbed.red(), expected, "{damage}: {:?}", climbed.events);
        assert!(!self.says.is_empty(), "{damage}");
        for (name, says) in self.says {
            let check = climbed.check(name);
            let said = format!("{} {}", check.observed, check.note.as_deref().unwrap_or_default());
            assert!(said.contains(says), "{damage}: {name}: {said}");
        }
    }
}

enum How {
    Sql(&'static str),
    /// The file of a relation is edited while the server is down.
    File(&'static str, fn(&mut [u8])),
}

const KINDS: [(&str, How, Named); 6] = [
    (
        "rows deleted",
        How::Sql("delete from lines where order_id = 7"),
        Named {
            red: &[("checksums", FAILED), ("row counts", FAILED)],
            says: &[
                ("row counts", "public.lines has 71997 instead of 72000"),
                ("checksums", "public.lines, keys before 2000"),
            ],
        },
    ),
    (
        "one byte changed",
        How::File("detail_7", change_one_byte),
        Named {
            red: &[("checksums", FAILED)],
            says: &[("checksums", "public.detail_7, "), ("checksums", ROW_SAYS)],
        },
    ),
    (
        "sequence set back",
        How::Sql("select setval('orders_id_seq', 10)"),
        Named {
            red: &[("sequences", FAILED)],
            says: &[(
                "sequences",
                "public.orders_id_seq gives 11 next, but public.orders.id holds 72000",
            )],
        },
    ),
    (
        "index corrupted",
        How::File("detail_3_pkey", swap_two_items),
        Named {
            red: &[("tables and indexes", FAILED)],
            says: &[("tables and indexes", "index public.detail_3_pkey: SQLSTATE XX002")],
        },
    ),
    (
        "table emptied",
        How::Sql("truncate detail_11"),
        Named {
            red: &[("checksums", FAILED), ("row counts", FAILED)],
            says: &[
                ("row counts", "public.detail_11 has 0 instead of 72000"),
                ("checksums", "public.detail_11"),
            ],
        },
    ),
    (
        "heartbeat of a clock that is ahead",
        How::Sql("update heartbeat set committed_at = now() + interval '9 hours'"),
        Named {
            red: &[
                ("newest data", INCONCLUSIVE),
                ("no row from after the point", FAILED),
                ("row from before the point", FAILED),
                ("checksums", FAILED),
            ],
            says: &[("newest data", "lies ahead of now"), ("checksums", "public.heartbeat")],
        },
    ),
];

/// In the heap: the row is found by its first two columns, and the least byte of the third is another one.
fn change_one_byte(heap: &mut [u8]) {
    let row = [ROW, account_of(ROW)].map(u32::to_le_bytes).concat();
    let found: Vec<_> =
        (0..heap.len() - row.len()).filter(|at| heap[*at..].starts_with(&row)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    heap[found[0] + row.len()] ^= 1;
}

#[tokio::test]
async fn server_postgres_each_kind_of_damage_among_a_million_rows_is_named() {
    let server = source_and_copy(ROWS).await;
    let login = DatabaseLogin { database: COPY.to_owned(), ..server.login() };
    let mut session = open(&login).await.unwrap();
    let tables = "select count(*) from pg_catalog.pg_tables where schemaname = 'public'";
    assert_eq!(value(&mut session, tables).await, SqlValue::Integer(20));
    drop(session);
    let healthy = climb(&server, COPY, every_rung(&server)).await;
    assert_eq!(healthy.red(), []);
    let rows = healthy.check("row counts").population.unwrap();
    assert!(rows >= 1_000_000, "{rows}");
    assert_eq!(healthy.check("checksums").population, Some(rows));
    for (kind, how, named) in KINDS {
        server.change(&format!("create database damaged template {COPY}")).await;
        match how {
            How::Sql(sql) => server.change_in("damaged", sql).await,
            How::File(relation, write) => {
                corrupted_in(&server, "damaged", relation, write).await;
            }
        }
        named.expect(kind, &climb(&server, "damaged", every_rung(&server)).await);
        server.change("drop database damaged").await;
    }
}

#[tokio::test]
async fn server_postgres_the_generator_gives_the_same_for_the_same_seed_only() {
    let server = Postgres::start("-c autovacuum=off", |_| {});
    for (database, seed) in [(SOURCE, SEED), ("again", SEED), ("other", SEED + 1)] {
        server.change(&format!("create database {database}")).await;
        server.change_in(database, &generated(TWENTY_TABLES, 200, seed)).await;
    }
    let rungs = || {
        let source = connected(&server, SOURCE, json!({"at": "home"}));
        json!({"source": source, "rows": {}, "checksums": {}})
    };
    assert_eq!(climb(&server, "again", rungs()).await.red(), []);
    let other = climb(&server, "other", rungs()).await;
    assert_eq!(other.red(), [("checksums".to_owned(), FAILED)]);
}
