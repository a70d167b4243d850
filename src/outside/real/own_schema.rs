//! The one way in which a database is changed: a schema of a run's own is made, looked for, and removed.

use super::database::{answering, meaning, opening};
use super::{mysql, postgres};
use crate::outside::ladder::{OwnSchema, SchemaState, SchemaWork};
use crate::outside::{DatabaseEngine, DatabaseLogin, OutsideError};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, PgConnection, raw_sql};
use std::time::Duration;

/// What is written and read back.
const WRITTEN: &str = "written by a drill";

pub(super) async fn work(
    login: &DatabaseLogin,
    schema: &OwnSchema,
    work: SchemaWork,
) -> Result<SchemaState, OutsideError> {
    schema.verify()?;
    match login.engine {
        DatabaseEngine::Postgres => {
            let connecting = async {
                postgres::options(login)?.connect().await.map_err(|error| meaning(&error))
            };
            let mut connection = opening(login.connect_timeout, connecting).await?;
            let limit = login.statement_timeout;
            let done = answering(whole(limit), in_postgres(&mut connection, schema, work)).await;
            drop(connection.close().await);
            done
        }
        DatabaseEngine::Mysql => {
            let connecting =
                async { mysql::options(login)?.connect().await.map_err(|error| meaning(&error)) };
            let mut connection = opening(login.connect_timeout, connecting).await?;
            let limit = login.statement_timeout;
            let done = answering(whole(limit), in_mysql(&mut connection, schema, work)).await;
            drop(connection.close().await);
            done
        }
    }
}

/// A handful of statements, each of which has the limit.
fn whole(limit: Duration) -> Duration {
    limit.saturating_mul(5)
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

async fn in_postgres(
    connection: &mut PgConnection,
    schema: &OwnSchema,
    work: SchemaWork,
) -> Result<SchemaState, OutsideError> {
    let name = &schema.name;
    let find = format!(
        "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = {}",
        literal(name)
    );
    let found: Option<String> = sqlx::query_scalar(AssertSqlSafe(find))
        .fetch_optional(&mut *connection)
        .await
        .map_err(|error| meaning(&error))?;
    let state = schema.judge(found.as_deref());
    let sql = match (work, &state) {
        (SchemaWork::Find, _) | (_, SchemaState::Foreign(_)) => return Ok(state),
        (SchemaWork::Remove, SchemaState::Gone) => return Ok(state),
        (SchemaWork::Remove, SchemaState::Ours) => format!("DROP SCHEMA \"{name}\" CASCADE"),
        (SchemaWork::Try, _) => format!(
            "BEGIN; CREATE SCHEMA IF NOT EXISTS \"{name}\"; COMMENT ON SCHEMA \"{name}\" IS {}; \
             CREATE TABLE IF NOT EXISTS \"{name}\".trial (id int PRIMARY KEY, content text NOT NULL); \
             INSERT INTO \"{name}\".trial VALUES (1, {}) ON CONFLICT (id) DO NOTHING; COMMIT",
            literal(&schema.mark),
            literal(WRITTEN)
        ),
    };
    let sent = raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
    sent.map_err(|error| meaning(&error))?;
    if work == SchemaWork::Remove {
        return Ok(SchemaState::Gone);
    }
    let read = format!("SELECT content FROM \"{name}\".trial WHERE id = 1");
    let read = sqlx::query_scalar(AssertSqlSafe(read)).fetch_one(&mut *connection).await;
    read_back(read.map_err(|error| meaning(&error))?)
}

fn read_back(content: String) -> Result<SchemaState, OutsideError> {
    if content == WRITTEN {
        Ok(SchemaState::Ours)
    } else {
        Err(OutsideError::Failed("the row that was written was read back differently".to_owned()))
    }
}

/// A database stands for the schema, and the comment of its table for that of the schema. Without a table it was made a
/// moment before a crash: the name alone tells.
async fn in_mysql(
    connection: &mut MySqlConnection,
    schema: &OwnSchema,
    work: SchemaWork,
) -> Result<SchemaState, OutsideError> {
    let name = &schema.name;
    let find = format!(
        "SELECT CAST(coalesce((SELECT table_comment FROM information_schema.tables WHERE table_schema = schema_name \
         ORDER BY table_name = 'trial' DESC LIMIT 1), {mark}) AS CHAR) FROM information_schema.schemata \
         WHERE schema_name = {name}",
        mark = literal(&schema.mark),
        name = literal(name)
    );
    let found: Option<String> = sqlx::query_scalar(AssertSqlSafe(find))
        .fetch_optional(&mut *connection)
        .await
        .map_err(|error| meaning(&error))?;
    let state = schema.judge(found.as_deref());
    let sql = match (work, &state) {
        (SchemaWork::Find, _) | (_, SchemaState::Foreign(_)) => return Ok(state),
        (SchemaWork::Remove, SchemaState::Gone) => return Ok(state),
        (SchemaWork::Remove, SchemaState::Ours) => format!("DROP DATABASE `{name}`"),
        (SchemaWork::Try, _) => format!(
            "CREATE DATABASE IF NOT EXISTS `{name}`; \
             CREATE TABLE IF NOT EXISTS `{name}`.trial (id int PRIMARY KEY, content varchar(100) NOT NULL) COMMENT {}; \
             INSERT IGNORE INTO `{name}`.trial VALUES (1, {})",
            literal(&schema.mark),
            literal(WRITTEN)
        ),
    };
    let sent = raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
    sent.map_err(|error| meaning(&error))?;
    if work == SchemaWork::Remove {
        return Ok(SchemaState::Gone);
    }
    let read = format!("SELECT content FROM `{name}`.trial WHERE id = 1");
    let read = sqlx::query_scalar(AssertSqlSafe(read)).fetch_one(&mut *connection).await;
    read_back(read.map_err(|error| meaning(&error))?)
}
