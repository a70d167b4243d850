mod catalog;
mod inspecting;
mod ladder;
mod reading;

use super::database::{
    Stop, answering, certificates, closed, meaning, milliseconds, opening, push,
};
use super::values::{TextKind, from_bytes, from_text};
use crate::outside::ladder::{Inspection, Reading, RowsOf, RowsSum, Sequence, Structure, Table};
use crate::outside::{Answer, DatabaseLogin, DatabaseSession, OutsideError, Rows, SqlValue, Tls};
use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Executor, Row, SqlSafeStr, TypeInfo, ValueRef, raw_sql,
};
use std::time::Duration;

/// Rows that a policy would hide are an error instead: an answer over the others would look like one over all.
/// <https://www.postgresql.org/docs/current/runtime-config-client.html>, "row_security"
const HIDING_NOTHING: &str = "SET LOCAL row_security = off;";

/// Statements about the catalogs look so expensive that the server compiles them, which takes longer than to answer them:
/// a second of each server before a comparison. Servers before version 11 do not know the setting, and are left as they are.
/// <https://www.postgresql.org/docs/current/jit-decision.html>
const WITHOUT_COMPILING: &str = "SELECT pg_catalog.set_config('jit', 'off', false) FROM pg_catalog.pg_settings \
     WHERE name = 'jit'";

/// A session whose every query is one statement in a read-only transaction of its own.
struct PostgresSession {
    /// `None` after a failure that leaves the connection in an unknown state.
    connection: Option<PgConnection>,
    limit: Duration,
}

/// Connects, and makes sure that the server takes the session for read-only.
pub(super) async fn open(login: &DatabaseLogin) -> Result<Box<dyn DatabaseSession>, OutsideError> {
    opening(login.connect_timeout, async {
        let connection = options(login)?.connect().await.map_err(|e| meaning(&e))?;
        let limit = login.statement_timeout;
        let mut session = PostgresSession { connection: Some(connection), limit };
        session.prepare().await?;
        Ok(Box::new(session) as Box<dyn DatabaseSession>)
    })
    .await
}

/// sqlx adds the certificates of a file to the public ones that it brings along (Mozilla's), and reads variables such
/// as `PGSSLROOTCERT` and `PGPASSWORD` by itself: everything that matters is set here.
pub(super) fn options(login: &DatabaseLogin) -> Result<PgConnectOptions, OutsideError> {
    if login.host.is_empty() || login.host.starts_with('/') {
        // sqlx would use a socket file, where certificates mean nothing.
        return Err(OutsideError::Failed(format!("{:?} is not a host name", login.host)));
    }
    let options = PgConnectOptions::new_without_pgpass()
        .host(&login.host)
        .port(login.port)
        .username(&login.user)
        .password(login.password.reveal())
        .database(&login.database)
        .application_name("redrill")
        .ssl_root_cert_from_pem(Vec::new())
        .disable_statement_logging();
    Ok(match &login.tls {
        Tls::Verify => options.ssl_mode(PgSslMode::VerifyFull),
        Tls::VerifyWith(file) => {
            options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert_from_pem(certificates(file)?)
        }
        Tls::Encrypt => options.ssl_mode(PgSslMode::Require),
        Tls::Off => options.ssl_mode(PgSslMode::Disable),
    })
}

impl PostgresSession {
    async fn prepare(&mut self) -> Result<(), OutsideError> {
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        command(connection, "SET default_transaction_read_only = on").await?;
        command(connection, WITHOUT_COMPILING).await?;
        let rows = self.one("SHOW transaction_read_only").await?;
        match rows.single() {
            Some(SqlValue::Text(on)) if on == "on" => Ok(()),
            other => Err(OutsideError::Failed(format!(
                "the server did not make the session read-only: transaction_read_only is {other:?}"
            ))),
        }
    }

    /// One statement in a read-only transaction. Preparing it first lets the server refuse several statements at once,
    /// by which a query could leave the transaction. After its first query (`SELECT 1`) a transaction cannot be made
    /// read-write any more, not even from within a function. The simple protocol then gives every type as text.
    async fn one(&mut self, sql: &str) -> Result<Rows, OutsideError> {
        let mut connection = self.begin(HIDING_NOTHING).await?;
        let answer = read(&mut connection, sql).await;
        self.end(connection, answer).await
    }

    /// Begins a read-only transaction, with further settings for it. The connection is taken, so that a failure or a
    /// cancelled future cannot leave a half-used one behind.
    async fn begin(&mut self, settings: &str) -> Result<PgConnection, OutsideError> {
        let mut connection = self.connection.take().ok_or_else(closed)?;
        let limit = milliseconds(self.limit);
        let begin = format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}; SET LOCAL timezone = 'UTC'; \
             SET LOCAL datestyle = 'ISO, MDY'; {settings} SELECT 1"
        );
        command(&mut connection, &begin).await?;
        Ok(connection)
    }

    /// Ends the transaction, and keeps the connection if it can be used again.
    async fn end<T>(
        &mut self,
        mut connection: PgConnection,
        answer: Result<T, Stop>,
    ) -> Result<T, OutsideError> {
        let over = matches!(&answer, Err(Stop::Session(_)));
        if !over && command(&mut connection, "ROLLBACK").await.is_ok() {
            self.connection = Some(connection);
        }
        answer.map_err(Stop::into_error)
    }
}

impl DatabaseSession for PostgresSession {
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

async fn command(connection: &mut PgConnection, sql: &str) -> Result<(), OutsideError> {
    raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop).map_err(|e| meaning(&e))
}

async fn read(connection: &mut PgConnection, sql: &str) -> Result<Rows, Stop> {
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

fn value(row: &PgRow, index: usize) -> Result<SqlValue, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(SqlValue::Null);
    }
    let kind = match raw.type_info().name() {
        "INT2" | "INT4" | "INT8" | "OID" => TextKind::Integer,
        "FLOAT4" | "FLOAT8" => TextKind::Float,
        "BOOL" => TextKind::Bool,
        "TIMESTAMP" | "TIMESTAMPTZ" => TextKind::Time,
        _ => TextKind::Text,
    };
    Ok(match raw.as_str() {
        Ok(text) => from_text(text, kind),
        Err(_) => from_bytes(raw.as_bytes().map_err(sqlx::Error::Decode)?),
    })
}
