//! The contents of simulated databases, in SQLite.

use super::world::World;

/// Contents that have been opened.
#[derive(Default)]
pub(crate) struct Databases;

/// Where and as whom to connect to a simulated database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseLogin {
    /// The host name of the instance's endpoint.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The name of the database in the engine.
    pub database: String,
}

/// A value in a row.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// What a query gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each with a value for each column.
    pub rows: Vec<Vec<SqlValue>>,
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryRefused {
    /// The host name does not exist.
    #[error("no such host: {0}")]
    UnknownHost(String),
    /// Nothing listens: the instance is not available yet or no more, or the port is another.
    #[error("connection refused: {0}")]
    Refused(String),
    /// The place is lost.
    #[error("the connection timed out")]
    TimedOut,
    /// User, password or database are wrong.
    #[error("password authentication failed for user {0:?}")]
    Authentication(String),
    /// The database says no.
    #[error("{0}")]
    Sql(String),
}

impl World {
    /// Runs SQL in a simulated database, as one who logs in at its endpoint does.
    ///
    /// # Errors
    /// See [`QueryRefused`].
    pub fn query(&self, login: &DatabaseLogin, _sql: &str) -> Result<Rows, QueryRefused> {
        Err(QueryRefused::UnknownHost(login.host.clone()))
    }
}
