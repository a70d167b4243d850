mod catalog;
mod ladder;
mod reading;
mod rights;

use super::database::{
    Stop, answering, certificates, closed, meaning, milliseconds, opening, push,
};
use super::values::{TextKind, from_bytes, from_text};
use crate::outside::ladder::{Inspection, Reading, RowsOf, RowsSum, Sequence, Structure, Table};
use crate::outside::{Answer, DatabaseLogin, DatabaseSession, OutsideError, Rows, SqlValue, Tls};
use futures_util::TryStreamExt;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Executor, Row, SqlSafeStr, TypeInfo, ValueRef, raw_sql,
};
use std::time::Duration;

/// A session whose every query is one statement in a read-only transaction of its own.
struct MysqlSession {
    /// `None` after a failure that leaves the connection in an unknown state.
    connection: Option<MySqlConnection>,
    limit: Duration,
    /// The server's own limit, in its dialect; set again before each query.
    set_limit: String,
}

/// Connects, and makes sure that the server takes the session for read-only.
pub(super) async fn open(login: &DatabaseLogin) -> Result<Box<dyn DatabaseSession>, OutsideError> {
    opening(login.connect_timeout, async {
        let connection = options(login)?.connect().await.map_err(|e| meaning(&e))?;
        let mut session = MysqlSession {
            connection: Some(connection),
            limit: login.statement_timeout,
            set_limit: "DO 0".to_owned(),
        };
        session.prepare().await?;
        Ok(Box::new(session) as Box<dyn DatabaseSession>)
    })
    .await
}

/// sqlx adds the certificates of a file to the public ones that it brings along (Mozilla's). It sets the session's time
/// zone to UTC and the character set to utf8mb4.
pub(super) fn options(login: &DatabaseLogin) -> Result<MySqlConnectOptions, OutsideError> {
    if login.host.is_empty() || login.host.starts_with('/') {
        return Err(OutsideError::Failed(format!("{:?} is not a host name", login.host)));
    }
    let options = MySqlConnectOptions::new()
        .host(&login.host)
        .port(login.port)
        .username(&login.user)
        .password(login.password.reveal())
        .database(&login.database)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .disable_statement_logging();
    Ok(match &login.tls {
        // Tokens of IAM are sent as they are, so only to who is known.
        // https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.AWSCLI.html
        Tls::Verify => options.ssl_mode(MySqlSslMode::VerifyIdentity).enable_cleartext_plugin(true),
        Tls::VerifyWith(file) => options
            .ssl_mode(MySqlSslMode::VerifyIdentity)
            .enable_cleartext_plugin(true)
            .ssl_ca_from_pem(certificates(file)?),
        Tls::Encrypt => options.ssl_mode(MySqlSslMode::Required),
        Tls::Off => options.ssl_mode(MySqlSslMode::Disabled),
    })
}

impl MysqlSession {
    async fn prepare(&mut self) -> Result<(), OutsideError> {
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        command(connection, "SET SESSION TRANSACTION READ ONLY").await?;
        let version = self.one("SELECT VERSION()").await?;
        let is_mariadb =
            matches!(version.single(), Some(SqlValue::Text(text)) if text.contains("MariaDB"));
        let limit = milliseconds(self.limit);
        // MariaDB limits every statement, in seconds; MySQL limits SELECT, in milliseconds.
        self.set_limit = if is_mariadb {
            format!("SET SESSION max_statement_time = {}.{:03}", limit / 1000, limit % 1000)
        } else {
            format!("SET SESSION max_execution_time = {limit}")
        };
        // MySQL 8 knows the one name only, MariaDB 10 the other.
        let sql = "SHOW SESSION VARIABLES WHERE Variable_name IN ('tx_read_only', 'transaction_read_only')";
        let rows = self.one(sql).await?;
        let is_on = |row: &Vec<SqlValue>| row.get(1) == Some(&SqlValue::Text("ON".to_owned()));
        if rows.rows.is_empty() || !rows.rows.iter().all(is_on) {
            let text = "the server did not make the session read-only: tx_read_only is not ON";
            return Err(OutsideError::Failed(text.to_owned()));
        }
        Ok(())
    }

    /// One statement in a read-only transaction. Preparing it first lets the server refuse several statements at once,
    /// by which a query could leave the transaction. The text protocol then gives every type as text.
    async fn one(&mut self, sql: &str) -> Result<Rows, OutsideError> {
        if !reads(sql) {
            let words = READING.join(", ");
            let text = format!("only statements that read may be sent to this server: {words}");
            return Err(OutsideError::Failed(text));
        }
        let mut connection = self.begin().await?;
        let answer = read(&mut connection, sql).await;
        self.end(connection, answer).await
    }

    /// Begins a read-only transaction. The connection is taken, so that a failure or a cancelled future cannot leave a
    /// half-used one behind.
    async fn begin(&mut self) -> Result<MySqlConnection, OutsideError> {
        let mut connection = self.connection.take().ok_or_else(closed)?;
        command(&mut connection, &self.set_limit).await?;
        command(&mut connection, "START TRANSACTION READ ONLY").await?;
        Ok(connection)
    }

    /// Ends the transaction, and keeps the connection if it can be used again.
    async fn end<T>(
        &mut self,
        mut connection: MySqlConnection,
        answer: Result<T, Stop>,
    ) -> Result<T, OutsideError> {
        let over = matches!(&answer, Err(Stop::Session(_)));
        if !over && command(&mut connection, "ROLLBACK").await.is_ok() {
            self.connection = Some(connection);
        }
        answer.map_err(Stop::into_error)
    }
}

impl DatabaseSession for MysqlSession {
    fn query<'a>(&'a mut self, sql: &'a str) -> Answer<'a, Rows> {
        Box::pin(async move { answering(self.limit, self.one(sql)).await })
    }

    fn structure(&mut self) -> Answer<'_, Structure> {
        Box::pin(self.read_structure())
    }

    fn setting<'a>(&'a mut self, name: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(self.read_setting(name))
    }

    fn count<'a>(&'a mut self, table: &'a Table) -> Answer<'a, u64> {
        Box::pin(self.count_rows(table))
    }

    fn has_rows<'a>(&'a mut self, table: &'a Table) -> Answer<'a, bool> {
        Box::pin(self.look_for_a_row(table))
    }

    fn boundaries<'a>(&'a mut self, table: &'a Table, parts: u32) -> Answer<'a, Vec<String>> {
        Box::pin(self.find_boundaries(table, parts))
    }

    fn checksum<'a>(&'a mut self, rows: &'a RowsOf<'a>) -> Answer<'a, RowsSum> {
        Box::pin(async move { answering(self.limit, self.sum(rows)).await })
    }

    fn sequences(&mut self) -> Answer<'_, Vec<Sequence>> {
        Box::pin(self.read_sequences())
    }

    fn latencies<'a>(&'a mut self, reading: &'a Reading<'a>) -> Answer<'a, Vec<Duration>> {
        Box::pin(self.time_reads(reading))
    }

    fn warm<'a>(&'a mut self, table: &'a Table, part: u32, parts: u32) -> Answer<'a, ()> {
        Box::pin(self.read_part(table, part, parts))
    }

    fn inspect<'a>(&'a mut self, tables: &'a [Table]) -> Answer<'a, Inspection> {
        Box::pin(self.inspect_tables(tables))
    }
}

/// How statements that only read begin. Others can leave the read-only transaction within one statement: procedures
/// (CALL), compound statements (BEGIN NOT ATOMIC) and everything that commits by itself.
const READING: [&str; 10] = [
    "SELECT", "WITH", "TABLE", "VALUES", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "CHECK", "CHECKSUM",
];

/// Whether a statement only reads, as far as its beginning tells: the first word, behind comments and parentheses. Others are
/// not sent to MySQL and MariaDB.
pub fn reads(sql: &str) -> bool {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        // The server runs what stands in a comment of this kind.
        if rest.starts_with("/*!") || rest.starts_with("/*M!") {
            return false;
        }
        let behind = if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/")
        } else if rest.starts_with("--") || rest.starts_with('#') {
            rest.split_once('\n')
        } else {
            break;
        };
        let Some((_, behind)) = behind else { return false };
        rest = behind;
    }
    let word = rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    READING.iter().any(|reading| reading.eq_ignore_ascii_case(word))
}

async fn command(connection: &mut MySqlConnection, sql: &str) -> Result<(), OutsideError> {
    raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop).map_err(|e| meaning(&e))
}

async fn read(connection: &mut MySqlConnection, sql: &str) -> Result<Rows, Stop> {
    let statement = AssertSqlSafe(sql).into_sql_str();
    (&mut *connection).prepare(statement).await.map_err(|e| Stop::from(&e))?;
    let mut rows = Rows::default();
    let mut answer = raw_sql(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = answer.try_next().await.map_err(|e| Stop::from(&e))? {
        if rows.columns.is_empty() {
            rows.columns = row.columns().iter().map(|c| c.name().to_owned()).collect();
        }
        let values = (0..row.len()).map(|i| value(&row, i)).collect::<Result<_, _>>();
        let values = values.map_err(|e| Stop::Session(meaning(&e)))?;
        push(&mut rows, values).map_err(Stop::Session)?;
    }
    Ok(rows)
}

fn value(row: &MySqlRow, index: usize) -> Result<SqlValue, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(SqlValue::Null);
    }
    let kind = match raw.type_info().name() {
        // BOOLEAN is the driver's name for TINYINT(1), which holds more than two values.
        "BOOLEAN" | "YEAR" => TextKind::Integer,
        name if name.contains("INT") => TextKind::Integer,
        "FLOAT" | "DOUBLE" => TextKind::Float,
        "TIMESTAMP" | "DATETIME" => TextKind::Time,
        _ => TextKind::Text,
    };
    Ok(match row.try_get_unchecked::<&str, _>(index) {
        Ok(text) => from_text(text, kind),
        Err(_) => from_bytes(row.try_get_unchecked::<&[u8], _>(index)?),
    })
}

#[cfg(test)]
mod tests {
    use super::reads;

    #[test]
    fn only_statements_that_read_are_sent() {
        for sql in [
            "select 1",
            "  -- the sum\n# of all\n/* accounts */ ((SELECT 1) UNION (SELECT 2))",
            "with x as (select 1) select * from x",
            "CHECK TABLE ledger",
            "show(1)",
        ] {
            assert!(reads(sql), "{sql}");
        }
        for sql in [
            "",
            "-- select",
            "/* select",
            "call writes()",
            "begin not atomic commit; end",
            "/*!50000 call writes() */",
            "/*M! call writes() */ select 1",
            "set session transaction read write",
            "selection",
        ] {
            assert!(!reads(sql), "{sql}");
        }
    }
}
