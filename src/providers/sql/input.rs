use super::credentials::Credentials;
use crate::action::StepError;
use crate::outside::{DatabaseEngine, Tls};
use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// What a step of `sql.check` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The host name of the restored database, usually from an earlier step: `"{{steps.restore.endpoint}}"`.
    pub endpoint: String,
    /// The port; 5432 for postgres and 3306 for mysql when left out.
    #[serde(default)]
    pub port: Option<u16>,
    /// The kind of server: `postgres` (also Aurora PostgreSQL) or `mysql` (also MariaDB and Aurora MySQL).
    #[serde(default = "postgres")]
    pub engine: DatabaseEngine,
    /// The database in the server.
    pub database: String,
    /// The user, where the credentials do not name one. It should have rights to read only.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the password comes from. It is never written down.
    pub credentials: Credentials,
    /// How the connection is protected: `verify` (default), `{ca: FILE}`, `encrypt` or `off`.
    #[serde(default)]
    pub tls: TlsInput,
    /// Connect here instead of the endpoint, `host:port`: the near end of a tunnel. The report shows both. A certificate
    /// for the endpoint does not fit another name: with `tls: verify` the connection will be refused.
    #[serde(default)]
    pub connect: Option<String>,
    /// How long the database may take until it answers a query, counted from the beginning of the step (default 5m).
    #[serde(default = "five_minutes")]
    pub ready_within: HumanDuration,
    /// SQL that gives the newest committed time in the data, such as `select max(committed_at) from heartbeat`: one row
    /// with one column. Times without an offset are taken as UTC.
    #[serde(default)]
    pub watermark: Option<String>,
    /// Queries whose one value is checked.
    #[serde(default)]
    pub queries: Vec<QueryInput>,
    /// How long one statement may take, set in the server as well (default 60s).
    #[serde(default = "one_minute")]
    pub statement_timeout: HumanDuration,
}

/// A query and what is expected of its value.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryInput {
    /// What is asserted, in a few words: `ledger balances`.
    pub name: String,
    /// One statement that gives one row with one column.
    pub sql: String,
    /// What is expected of the value: `"= 0"`, `"> 1000"`, `"1..10"`, `"~ ^v[0-9]"`.
    pub expect: Value,
    /// SQL that counts what the value was taken over. Give it with every aggregate: an empty table has zero orphans. Zero
    /// makes the check inconclusive, and so does, without a population, an aggregate that gives zero, or true or false.
    #[serde(default)]
    pub population: Option<String>,
}

/// How the connection is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsInput {
    /// Encrypted; certificate and host name are verified by the public certificate authorities.
    #[default]
    Verify,
    /// As `verify`, also by the certificate authorities in this PEM file. RDS needs it: its certificates come from
    /// Amazon's own authorities, found in `global-bundle.pem`.
    Ca(String),
    /// Encrypted; the certificate is not verified, so that anyone could answer.
    Encrypt,
    /// Not encrypted: for loopback addresses and tunnels only.
    Off,
}

fn postgres() -> DatabaseEngine {
    DatabaseEngine::Postgres
}

fn five_minutes() -> HumanDuration {
    Duration::from_secs(300).into()
}

fn one_minute() -> HumanDuration {
    Duration::from_secs(60).into()
}

/// Where the database is said to be, and where we connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// As the report shows it.
    pub(super) shown: String,
}

impl Input {
    pub(super) fn target(&self) -> Result<Target, StepError> {
        let usual = match self.engine {
            DatabaseEngine::Postgres => 5432,
            DatabaseEngine::Mysql => 3306,
        };
        let (host, port) = (self.endpoint.clone(), self.port.unwrap_or(usual));
        let endpoint = format!("{host}:{port}");
        let Some(connect) = &self.connect else {
            return Ok(Target { host, port, shown: endpoint });
        };
        let (host, port) = connect_address(connect).map_err(StepError::broken)?;
        Ok(Target { host, port, shown: format!("{connect} (for {endpoint})") })
    }
}

/// Host and port of `connect:`.
pub(super) fn connect_address(written: &str) -> Result<(String, u16), String> {
    let parts = written.rsplit_once(':').and_then(|(host, port)| {
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        Some((host.to_owned(), port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
    });
    parts.ok_or_else(|| format!("connect: {written:?} is not an address"))
}

impl From<&TlsInput> for Tls {
    fn from(input: &TlsInput) -> Self {
        match input {
            TlsInput::Verify => Self::Verify,
            TlsInput::Ca(file) => Self::VerifyWith(file.clone()),
            TlsInput::Encrypt => Self::Encrypt,
            TlsInput::Off => Self::Off,
        }
    }
}
