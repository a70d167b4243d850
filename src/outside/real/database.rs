//! What both kinds of database have in common: limits and the meaning of errors.

use crate::limits::{self, SQL_ROWS};
use crate::outside::{OutsideError, Rows, SqlValue};
use crate::time::HumanDuration;
use sqlx::mysql::MySqlDatabaseError;
use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How much longer than the server's own limit a statement is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// Waits for opening a session, at most `limit`.
pub(super) async fn opening<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, OutsideError>>,
) -> Result<T, OutsideError> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let limit = HumanDuration(limit);
        Err(OutsideError::Unreachable(format!("the database did not let us in within {limit}")))
    })
}

/// Waits for a statement: the server should have stopped it at `limit`, but may have gone.
pub(super) async fn answering<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, OutsideError>>,
) -> Result<T, OutsideError> {
    let limit = limit.saturating_add(GRACE);
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let limit = HumanDuration(limit);
        Err(OutsideError::Unreachable(format!("the database did not answer within {limit}")))
    })
}

/// A statement limit in whole milliseconds, never 0 (which means "no limit" to the servers).
pub(super) fn milliseconds(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, 2_147_483_647)
}

/// Appends a row, unless the answer is too long.
pub(super) fn push(rows: &mut Rows, row: Vec<SqlValue>) -> Result<(), OutsideError> {
    if rows.rows.len() == SQL_ROWS {
        let text = format!("the answer has more than {SQL_ROWS} rows");
        return Err(OutsideError::Failed(text));
    }
    let bytes: usize = row.iter().map(SqlValue::bytes).sum();
    if bytes > limits::SQL_ROW_BYTES {
        return Err(OutsideError::Failed(format!("a row of the answer has {bytes} bytes")));
    }
    rows.rows.push(row);
    Ok(())
}

/// Takes one more row of a catalog, unless there are too many.
pub(super) fn push_object(
    rows: &mut Vec<Vec<Option<String>>>,
    row: Vec<Option<String>>,
) -> Result<(), OutsideError> {
    if rows.len() == limits::SQL_OBJECTS {
        let most = limits::SQL_OBJECTS;
        let text = format!("the database has more than {most} objects of one kind");
        return Err(OutsideError::Failed(text));
    }
    rows.push(row);
    Ok(())
}

/// Why a query has no answer.
pub(super) enum Stop {
    /// The statement is wrong; the session is not.
    Statement(OutsideError),
    /// The connection cannot be used any more.
    Session(OutsideError),
}

impl Stop {
    pub(super) fn into_error(self) -> OutsideError {
        match self {
            Self::Statement(error) | Self::Session(error) => error,
        }
    }

    pub(super) fn from(error: &sqlx::Error) -> Self {
        match (error, meaning(error)) {
            (sqlx::Error::Database(_), meaning @ OutsideError::Unreachable(_)) => {
                Self::Session(meaning)
            }
            (sqlx::Error::Database(_), meaning) => Self::Statement(meaning),
            (_, meaning) => Self::Session(meaning),
        }
    }
}

/// The answer of a session that cannot be used any more.
pub(super) fn closed() -> OutsideError {
    OutsideError::Unreachable("the connection was given up after a failure".to_owned())
}

/// The certificates in a PEM file. The driver would take a missing file for a failed connection, which is waited for, and
/// a file without certificates for one with none to add.
pub(super) fn certificates(file: &str) -> Result<Vec<u8>, OutsideError> {
    let content = limits::read_file(Path::new(file), limits::CERTIFICATE_BYTES)
        .map_err(|e| OutsideError::Failed(format!("TLS: {file}: {e}")))?;
    const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";
    if content.windows(MARK.len()).any(|window| window == MARK) {
        Ok(content)
    } else {
        Err(OutsideError::Failed(format!("TLS: {file} holds no certificate in PEM form")))
    }
}

/// What an error of the driver means. Texts of the server begin with its code: `SQLSTATE 42P01: …`.
pub(super) fn meaning(error: &sqlx::Error) -> OutsideError {
    match error {
        sqlx::Error::Database(said) => {
            let state = said.code().unwrap_or_default().into_owned();
            let number = said.try_downcast_ref::<MySqlDatabaseError>().map(|e| e.number());
            let text = match number {
                Some(number) => {
                    format!("SQLSTATE {state}, error {number}: {}", said.message())
                }
                None => format!("SQLSTATE {state}: {}", said.message()),
            };
            match number.map_or_else(|| of_postgres(&state), of_mysql) {
                Said::NotNow => OutsideError::Unreachable(text),
                Said::NotYou => OutsideError::Denied(text),
                Said::No => OutsideError::Failed(text),
            }
        }
        // Certificates that cannot be verified come as an input/output error of this kind (rustls).
        sqlx::Error::Io(e) if e.kind() == io::ErrorKind::InvalidData => {
            OutsideError::Failed(format!("TLS: {e}"))
        }
        sqlx::Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            OutsideError::Unreachable("the server closed the connection".to_owned())
        }
        sqlx::Error::Io(e) => OutsideError::Unreachable(e.to_string()),
        sqlx::Error::Tls(e) => OutsideError::Failed(format!("TLS: {e}")),
        other => OutsideError::Failed(other.to_string()),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    NotNow,
    NotYou,
    No,
}

/// Source: PostgreSQL documentation, appendix A "PostgreSQL Error Codes".
fn of_postgres(state: &str) -> Said {
    match state {
        // cannot_connect_now (starting up, recovering), admin_shutdown, crash_shutdown, too_many_connections.
        "57P03" | "57P01" | "57P02" | "53300" => Said::NotNow,
        _ if state.starts_with("08") => Said::NotNow,
        // invalid_authorization_specification, invalid_password, insufficient_privilege.
        "28000" | "28P01" | "42501" => Said::NotYou,
        _ => Said::No,
    }
}

/// Source: MySQL reference manual, "Server Error Message Reference".
fn of_mysql(number: u16) -> Said {
    match number {
        // ER_CON_COUNT_ERROR, ER_SERVER_SHUTDOWN, ER_TOO_MANY_USER_CONNECTIONS, ER_CONNECTION_KILLED.
        1040 | 1053 | 1203 | 1927 => Said::NotNow,
        // ER_DBACCESS_DENIED, ER_ACCESS_DENIED, ER_HOST_IS_BLOCKED, ER_HOST_NOT_PRIVILEGED, ER_TABLEACCESS_DENIED,
        // ER_COLUMNACCESS_DENIED, ER_SPECIFIC_ACCESS_DENIED, ER_NOT_SUPPORTED_AUTH_MODE, ER_ACCESS_DENIED_NO_PASSWORD.
        1044 | 1045 | 1129 | 1130 | 1142 | 1143 | 1227 | 1251 | 1698 => Said::NotYou,
        _ => Said::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_up_is_not_yet_and_a_wrong_password_is_final() {
        assert_eq!(of_postgres("57P03"), Said::NotNow);
        assert_eq!(of_postgres("28P01"), Said::NotYou);
        assert_eq!(of_postgres("42P01"), Said::No);
        assert_eq!(of_mysql(1040), Said::NotNow);
        assert_eq!(of_mysql(1045), Said::NotYou);
        assert_eq!(of_mysql(1146), Said::No);
    }

    #[test]
    fn an_answer_that_is_too_long_is_an_error_and_not_cut() {
        let mut rows = Rows::default();
        for _ in 0..SQL_ROWS {
            push(&mut rows, vec![SqlValue::Null]).unwrap();
        }
        assert!(matches!(push(&mut rows, vec![]), Err(OutsideError::Failed(_))));
    }

    #[test]
    fn a_row_and_a_file_of_certificates_have_a_limit() {
        let mut rows = Rows::default();
        let text = |bytes| vec![SqlValue::Null, SqlValue::Text("x".repeat(bytes))];
        push(&mut rows, text(limits::SQL_ROW_BYTES)).unwrap();
        let error = push(&mut rows, text(limits::SQL_ROW_BYTES + 1)).unwrap_err();
        assert!(error.to_string().contains("a row of the answer has 1048577 bytes"), "{error}");
        let error = certificates("/dev/zero").unwrap_err();
        assert!(error.to_string().contains("larger than 4 MiB"), "{error}");
    }

    #[test]
    fn a_database_with_too_many_objects_is_an_error_and_not_cut() {
        let mut rows = vec![Vec::new(); limits::SQL_OBJECTS - 1];
        push_object(&mut rows, Vec::new()).unwrap();
        let error = push_object(&mut rows, Vec::new()).unwrap_err();
        assert!(error.to_string().contains("more than 200000 objects"), "{error}");
    }

    #[test]
    fn the_servers_limit_is_never_no_limit() {
        assert_eq!(milliseconds(Duration::ZERO), 1);
        assert_eq!(milliseconds(Duration::from_secs(60)), 60_000);
        assert_eq!(milliseconds(Duration::MAX), 2_147_483_647);
    }
}
