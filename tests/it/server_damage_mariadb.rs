//! Damage among a million rows, as in `server_damage`, in a MariaDB server of this test alone, whose files are edited while
//! it is down.

use crate::server_damage::{Named, ROW, ROW_SAYS, ROWS, account_of};
use crate::server_databases::{PASSWORD, Stepped, free_port, run, step, variable};
use crate::server_ladder::{FAILED, INCONCLUSIVE, SEED, generated};
use crate::server_support::poll;
use serde_json::{Value, json};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, raw_sql};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A MariaDB server on loopback, ended when dropped.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    user: Option<&'static str>,
    port: u16,
    child: Option<Child>,
}

impl Server {
    fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// `prepare` puts files into the server's folder, and gives further options of the server.
    pub(crate) fn start_with(prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let id = Command::new("id").arg("-u").output().unwrap();
        // MariaDB refuses to run as root.
        let user = (String::from_utf8_lossy(&id.stdout).trim() == "0").then_some("mysql");
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { folder, user, port: 0, child: None };
        let password = PASSWORD.replace('\'', "''");
        let users = format!(
            "create user admin@127.0.0.1 identified by '{password}';\ngrant all on *.* to admin@127.0.0.1;\n"
        );
        std::fs::write(server.path("first.sql"), users).unwrap();
        std::fs::write(server.path("password"), format!("{PASSWORD}\n")).unwrap();
        let more = prepare(server.folder.path());
        if let Some(user) = user {
            run(Command::new("chown").args(["-R", user]).arg(server.folder.path()));
        }
        let mut install = Command::new("mariadb-install-db");
        install.args([
            "--no-defaults",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]);
        run(install.args(server.common()));
        let first = format!("--init-file={}", server.path("first.sql").display());
        let more: Vec<&str> = more.iter().map(String::as_str).chain([first.as_str()]).collect();
        server.boot(&more);
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn common(&self) -> Vec<String> {
        let data = format!("--datadir={}", self.path("data").display());
        let user = self.user.map(|user| format!("--user={user}"));
        user.into_iter().chain([data, "--innodb-flush-method=nosync".to_owned()]).collect()
    }

    fn boot(&mut self, more: &[&str]) {
        // While it is down, somebody else may take its port.
        self.port = free_port();
        let log = std::fs::File::create(self.path("log")).unwrap();
        let mut start = Command::new(variable("REDRILL_TEST_MARIADBD"));
        start.arg("--no-defaults").args(self.common());
        start.args(["--bind-address=127.0.0.1", "--skip-name-resolve"]);
        start.args(["--innodb-buffer-pool-size=256M", "--innodb-log-file-size=256M"]);
        start.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"]);
        start.arg(format!("--port={}", self.port));
        start.arg(format!("--socket={}", self.path("data/socket").display()));
        // Of an option that is given twice, the last one counts.
        start.args(more);
        start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(start.spawn().unwrap());
        poll("MariaDB listens", Duration::from_secs(60), || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(ended.is_none(), "{}", log());
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// Ends it in order, so that everything is in the files.
    fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        run(Command::new("kill").args(["-TERM", &child.id().to_string()]));
        assert!(child.wait().unwrap().success());
    }

    pub(crate) async fn change(&self, sql: &str) {
        let options = MySqlConnectOptions::new().host("127.0.0.1").port(self.port);
        let options = options.username("admin").password(PASSWORD);
        let mut owner = options.connect().await.unwrap();
        raw_sql(AssertSqlSafe(sql))
            .execute(&mut owner)
            .await
            .unwrap_or_else(|e| panic!("{e}: {sql}"));
    }

    /// Writes into a page of a table's file, as a broken storage would, or somebody who knows the format: the checksum of
    /// the page is right again.
    fn edit(&mut self, table: &str, is_meant: fn(&[u8]) -> bool, write: fn(&mut [u8])) {
        self.stop();
        let file = self.path(&format!("data/restored/{table}.ibd"));
        let mut bytes = std::fs::read(&file).unwrap();
        let page = bytes.chunks_exact_mut(PAGE).find(|page| is_meant(page)).unwrap();
        assert_eq!(page[PAGE - 4..], crc32c(&page[..PAGE - 4]).to_be_bytes());
        write(page);
        let sum = crc32c(&page[..PAGE - 4]).to_be_bytes();
        page[PAGE - 4..].copy_from_slice(&sum);
        std::fs::write(&file, bytes).unwrap();
        self.boot(&[]);
    }

    pub(crate) fn connected(&self, database: &str, more: Value) -> Value {
        let mut with = json!({
            "endpoint": "127.0.0.1", "port": self.port, "engine": "mysql", "tls": "off", "database": database,
            "credentials": {"password_file": self.path("password"), "user": "admin"},
        });
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with
    }

    pub(crate) async fn step(&self, action: &str, with: Value) -> Stepped {
        step(self.folder.path(), action, with).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// Pages of InnoDB have 16 KiB, and since MariaDB 10.5 the last four bytes are CRC-32C of all before.
/// <https://mariadb.com/kb/en/innodb-system-variables/#innodb_checksum_algorithm>
const PAGE: usize = 16_384;

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

fn number(page: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(page[at..at + 4].try_into().unwrap())
}

/// A page of a B-tree, at this height: a leaf has none.
/// <https://github.com/MariaDB/server/blob/10.11/storage/innobase/include/page0types.h>
fn is_of_index(page: &[u8], height: u8) -> bool {
    page[24..26] == [0x45, 0xbf] && page[64..66] == [0, height]
}

/// The root of the primary key, whose header holds the last number that was given (page 3 of each file).
fn holds_the_counter(page: &[u8]) -> bool {
    number(page, 4) == 3
}

fn set_counter_back(page: &mut [u8]) {
    page[56..64].copy_from_slice(&10_u64.to_be_bytes());
}

/// The first leaf of the second index of a table: entries of two numbers of four bytes behind a header of five, from 120 on.
/// Page 3 is the root of the first index, page 4 that of the second.
fn is_first_leaf_of_second_index(page: &[u8]) -> bool {
    is_of_index(page, 0) && number(page, 8) == u32::MAX && number(page, 125) == SIGN
}

/// What whole numbers are written with: theirs is the other way round, so that bytes are in the order of the numbers.
const SIGN: u32 = 0x8000_0000;

/// The least account becomes another one, behind those that follow.
fn disorder(page: &mut [u8]) {
    page[128] ^= 1;
}

/// Columns of a row of details: the key, two of six and seven bytes that InnoDB keeps, the account, the amount.
fn place_of_row(page: &[u8]) -> Option<usize> {
    let key = (ROW | SIGN).to_be_bytes();
    let account = (account_of(ROW) | SIGN).to_be_bytes();
    let is_row =
        |at: &usize| page[*at..].starts_with(&key) && page[at + 17..].starts_with(&account);
    (120..PAGE - 40).find(is_row)
}

fn holds_the_row(page: &[u8]) -> bool {
    is_of_index(page, 0) && place_of_row(page).is_some()
}

fn change_one_byte(page: &mut [u8]) {
    let row = place_of_row(page).unwrap();
    page[row + 24] ^= 1;
}

enum How {
    Sql(&'static str),
    /// A page of a table's file is edited while the server is down.
    File(&'static str, fn(&[u8]) -> bool, fn(&mut [u8])),
}

/// The rows of every table: a million, one by one through this program, which takes its time in a build for tests.
const ALL: &[&str] = &[];

/// Each kind of damage, what mends it, the tables whose rows are read, and what comes of it. The other rungs look at all tables. The server remembers an index that it found broken: that is last.
const KINDS: [(&str, How, &str, &[&str], Named); 6] = [
    (
        "rows deleted",
        How::Sql("delete from restored.`lines` where order_id = 7"),
        "insert into restored.`lines` select * from shop.`lines` where order_id = 7",
        &["lines", "customers"],
        Named {
            red: &[("checksums", FAILED), ("row counts", FAILED)],
            says: &[
                ("row counts", "lines has 71997 instead of 72000"),
                ("checksums", "lines, keys before 2000"),
            ],
        },
    ),
    (
        "one byte changed",
        How::File("detail_7", holds_the_row, change_one_byte),
        "replace into restored.detail_7 select * from shop.detail_7 where id = 54321",
        ALL,
        Named {
            red: &[("checksums", FAILED)],
            says: &[("checksums", "detail_7, "), ("checksums", ROW_SAYS)],
        },
    ),
    (
        "counter set back",
        How::File("detail_5", holds_the_counter, set_counter_back),
        "alter table restored.detail_5 auto_increment = 72001",
        &["detail_5"],
        Named {
            red: &[("sequences", FAILED)],
            says: &[(
                "sequences",
                "auto_increment of detail_5 gives 11 next, but detail_5.id holds 72000",
            )],
        },
    ),
    (
        "table emptied",
        How::Sql("truncate table restored.detail_11"),
        "insert into restored.detail_11 select * from shop.detail_11",
        &["detail_11", "customers"],
        Named {
            red: &[("checksums", FAILED), ("row counts", FAILED)],
            says: &[("row counts", "detail_11 has 0 instead of 72000"), ("checksums", "detail_11")],
        },
    ),
    (
        "heartbeat of a clock that is ahead",
        How::Sql("update restored.heartbeat set committed_at = utc_timestamp() + interval 9 hour"),
        "update restored.heartbeat set committed_at = '2026-11-22 03:00:00'",
        &["heartbeat", "customers"],
        Named {
            red: &[
                ("newest data", INCONCLUSIVE),
                ("no row from after the point", FAILED),
                ("row from before the point", FAILED),
                ("checksums", FAILED),
            ],
            says: &[("newest data", "lies ahead of now"), ("checksums", "heartbeat")],
        },
    ),
    (
        "index corrupted",
        How::File("detail_3", is_first_leaf_of_second_index, disorder),
        "do 0",
        &["detail_3"],
        Named {
            red: &[("tables and indexes", FAILED)],
            says: &[
                ("tables and indexes", "table detail_3: "),
                ("tables and indexes", "index by_account is corrupted"),
            ],
        },
    ),
];

/// The content in `shop`, and row by row in `restored`.
async fn source_and_copy() -> Server {
    let server = Server::start();
    let sql = include_str!("../servers/twenty_tables.mariadb.sql");
    let parts = generated(sql, ROWS, SEED);
    let parts: Vec<_> = parts.split("\n-- Rows\n").collect();
    let [tables, some, others] = parts[..] else { panic!("{} parts", parts.len()) };
    for database in ["shop", "restored"] {
        server.change(&format!("create database {database}; use {database}; {tables}")).await;
    }
    let of_shop = |sql: &str| format!("use shop; {sql}");
    let (some, others) = (of_shop(some), of_shop(others));
    tokio::join!(server.change(&some), server.change(&others));
    let named = ["customers", "orders", "lines", "tokens", "countries", "log", "heartbeat"];
    let copied = |name: &str| format!("insert into restored.`{name}` select * from shop.`{name}`;");
    let details = (1..=12).map(|number| copied(&format!("detail_{number}")));
    let mut copies: Vec<String> = named.iter().map(|name| copied(name)).chain(details).collect();
    copies.insert(0, "set foreign_key_checks = 0, unique_checks = 0;".to_owned());
    server.change(&copies.concat()).await;
    server
}

/// Every rung, compared with what was taken down of the source. Rows are read of all tables, or of these.
fn every_rung(reference: &Value, read: &[&str]) -> Value {
    let checksums = match read {
        [] => json!({}),
        tables => json!({"tables": tables}),
    };
    json!({
        "reference": reference, "statement_timeout": "5m", "checksums": checksums,
        "version": "~ MariaDB", "settings": {"character_set_server": "~ ^(utf8mb4|latin1)$"},
        "schema": {}, "rows": {}, "sequences": true, "inspect": {},
        "watermark": "select max(committed_at) from heartbeat",
        "point_in_time": {
            "before": "select count(*) from heartbeat where committed_at <= '2026-11-22 03:00:00'",
            "after": "select count(*) from heartbeat where committed_at > '2026-11-22 03:00:00'",
        },
        "queries": [{
            "name": "no order without a customer",
            "sql": "select count(*) from orders where customer_id not in (select id from customers)",
            "expect": "= 0", "population": "select count(*) from orders",
        }],
    })
}

#[tokio::test]
async fn server_mariadb_each_kind_of_damage_among_a_million_rows_is_named() {
    let mut server = source_and_copy().await;
    let wanted = json!({"rows": {}, "checksums": {}, "statement_timeout": "5m"});
    let taken = server.step("sql.capture_reference", server.connected("shop", wanted)).await;
    assert_eq!(taken.red(), []);
    let reference = taken.output.unwrap()["reference"].clone();
    assert_eq!(reference["tables"].as_object().unwrap().len(), 20);
    let climb = async |server: &Server, read: &[&str]| {
        let with = server.connected("restored", every_rung(&reference, read));
        server.step("sql.check", with).await
    };
    let healthy = climb(&server, ALL).await;
    assert_eq!(healthy.red(), []);
    let rows = healthy.check("row counts").population.unwrap();
    assert!(rows >= 1_000_000, "{rows}");
    assert_eq!(healthy.check("checksums").population, Some(rows));
    for (kind, how, mend, read, named) in KINDS {
        match how {
            How::Sql(sql) => server.change(sql).await,
            How::File(table, is_meant, write) => server.edit(table, is_meant, write),
        }
        named.expect(kind, &climb(&server, read).await);
        server.change(mend).await;
    }
}
