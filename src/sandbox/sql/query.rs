//! Logging in and asking.

use super::dialect::{confined, folded};
use crate::sandbox::estate::{CannedAnswer, ParameterGroupEstate};
use crate::sandbox::rds::Instance;
use crate::sandbox::state::{PlaceKey, State};
use crate::sandbox::world::World;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::types::ValueRef;
use std::collections::BTreeMap;

/// Where and as whom to connect to a simulated database.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseLogin {
    /// The host name of the instance's endpoint.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The name of the database in the engine. Empty for the user's default.
    pub database: String,
}

impl std::fmt::Debug for DatabaseLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseLogin")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
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
    /// The host name does not exist: there is no such instance, or it is still being created.
    #[error("no such host: {0}")]
    UnknownHost(String),
    /// Nothing listens: the instance is not available any more, or the port is another.
    #[error("connection refused: {0}")]
    Refused(String),
    /// The place is lost.
    #[error("the connection to {0} timed out")]
    TimedOut(String),
    /// User or password are wrong.
    #[error("password authentication failed for user {0:?}")]
    Authentication(String),
    /// The database says no.
    #[error("{0}")]
    Sql(String),
}

/// The content of a simulated database, open to be looked at.
pub(crate) struct Contents<'s> {
    pub(super) connection: &'s rusqlite::Connection,
    pub(super) instance: &'s Instance,
    /// How much of its tables was read as a whole, in millionths.
    pub(super) warmed: BTreeMap<String, u32>,
    /// What its parameter groups set.
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) now: DateTime<Utc>,
}

impl World {
    /// Runs one SQL statement in a simulated database, as one who logs in at its endpoint does. What is written to a
    /// database of the estate is in its later snapshots.
    ///
    /// # Errors
    /// See [`QueryRefused`].
    pub fn query(&self, login: &DatabaseLogin, sql: &str) -> Result<Rows, QueryRefused> {
        self.run_sql(login, sql, false)
    }

    /// As [`World::query`], in a read-only transaction: what would write is refused, as by a real server.
    ///
    /// # Errors
    /// See [`QueryRefused`].
    pub fn read(&self, login: &DatabaseLogin, sql: &str) -> Result<Rows, QueryRefused> {
        self.run_sql(login, sql, true)
    }

    /// Looks at the content of a simulated database, as one who logs in at its endpoint.
    pub(crate) fn with_contents<T>(
        &self,
        login: &DatabaseLogin,
        look: impl FnOnce(&Contents<'_>) -> Result<T, QueryRefused>,
    ) -> Result<T, QueryRefused> {
        let now = self.clock().now();
        let mut state = self.state();
        state.advance(now);
        let instance = state.log_in(login, now)?;
        let parameters = state.parameters_of(&login.host, &instance, now);
        let warmed = state.databases.warmed(&instance.resource_id);
        let connection = state.databases.open(&instance, now).map_err(QueryRefused::Sql)?;
        look(&Contents { connection, instance: &instance, warmed, parameters, now })
    }

    fn run_sql(
        &self,
        login: &DatabaseLogin,
        sql: &str,
        only_read: bool,
    ) -> Result<Rows, QueryRefused> {
        let now = self.clock().now();
        let mut state = self.state();
        state.advance(now);
        let instance = state.log_in(login, now)?;
        let data = &instance.content.origin.data;
        if let Some(answer) = data.answers.iter().find(|a| folded(&a.sql) == folded(sql)) {
            return canned(answer);
        }
        let confined = confined(sql, now).map_err(QueryRefused::Sql)?;
        let parameters = state.parameters_of(&login.host, &instance, now);
        let only_read = only_read || begins_read_only(&parameters);
        let connection = state.databases.open(&instance, now).map_err(QueryRefused::Sql)?;
        let (rows, wrote) = ask(connection, &confined, only_read)?;
        if wrote {
            state.databases.note_write(&instance, now, &confined);
        }
        Ok(rows)
    }
}

impl State {
    /// The instance whose endpoint the login names, if it listens and lets the user in.
    fn log_in(&self, login: &DatabaseLogin, now: DateTime<Utc>) -> Result<Instance, QueryRefused> {
        let (place, instance) = self
            .at_host(&login.host)
            .or_else(|| self.behind_endpoint(&login.host, now))
            .ok_or_else(|| QueryRefused::UnknownHost(login.host.clone()))?;
        if self.lost.contains_key(place) {
            return Err(QueryRefused::TimedOut(login.host.clone()));
        }
        match instance.timeline.state(now) {
            Some("available" | "backing-up" | "modifying") => {}
            None | Some("creating" | "incompatible-restore" | "incompatible-network") => {
                return Err(QueryRefused::UnknownHost(login.host.clone()));
            }
            Some(state) => {
                return Err(QueryRefused::Refused(format!("{} is {state}", instance.id)));
            }
        }
        let settings = &instance.settings;
        if settings.port != login.port {
            return Err(QueryRefused::Refused(format!("{}:{}", login.host, login.port)));
        }
        let has_token = settings.iam_authentication
            && settings.users.contains_key(&login.user)
            && is_token(login, now);
        if settings.users.get(&login.user) != Some(&login.password) && !has_token {
            return Err(QueryRefused::Authentication(login.user.clone()));
        }
        let always = ["", "postgres", "mysql", login.user.as_str()];
        let known = settings.database.as_deref().is_none_or(|d| d == login.database);
        if !known && !always.contains(&login.database.as_str()) {
            let what = format!("database {:?} does not exist", login.database);
            return Err(QueryRefused::Sql(what));
        }
        Ok(self.with_storage(place, instance))
    }

    /// What the parameter group of an instance sets, before that of its cluster.
    /// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_WorkingWithParamGroups.html>
    fn parameters_of(
        &self,
        host: &str,
        instance: &Instance,
        now: DateTime<Utc>,
    ) -> BTreeMap<String, String> {
        let found = self.at_host(host).or_else(|| self.behind_endpoint(host, now));
        let Some(place) = found.and_then(|(key, _)| self.places.get(key)) else {
            return BTreeMap::new();
        };
        let Some(spec) = &place.spec else { return BTreeMap::new() };
        let set_by = |groups: &[ParameterGroupEstate], name: &str| {
            let group = groups.iter().find(|group| group.name == name);
            group.map(|group| group.parameters.clone()).unwrap_or_default()
        };
        let cluster = instance.member.as_ref().and_then(|m| place.clusters.get(&m.cluster));
        let mut set = cluster.map_or_else(BTreeMap::new, |cluster| {
            set_by(&spec.cluster_parameter_groups, &cluster.settings.parameter_group)
        });
        set.extend(set_by(&spec.parameter_groups, &instance.settings.parameter_group));
        set
    }

    fn at_host(&self, host: &str) -> Option<(&PlaceKey, &Instance)> {
        let all = self
            .places
            .iter()
            .flat_map(|(key, place)| place.instances.values().map(move |instance| (key, instance)));
        all.into_iter().find(|(key, instance)| instance.host(&key.region) == host)
    }
}

/// Whether transactions are read-only unless a session says otherwise, which nobody does here.
/// <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-DEFAULT-TRANSACTION-READ-ONLY>
fn begins_read_only(parameters: &BTreeMap<String, String>) -> bool {
    let set = parameters.get("default_transaction_read_only");
    set.is_some_and(|set| matches!(set.as_str(), "1" | "on" | "true"))
}

/// Whether the password is a token of IAM for this login that is still good. Its signature is not verified.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.html>
fn is_token(login: &DatabaseLogin, now: DateTime<Utc>) -> bool {
    let place = format!("{}:{}/?", login.host, login.port);
    let Some(query) = login.password.strip_prefix(&place) else { return false };
    let field = |name: &str| {
        let mut fields = query.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(found, _)| *found == name).map(|(_, value)| value)
    };
    let signed = field("X-Amz-Date")
        .and_then(|date| chrono::NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ").ok());
    let age = signed.map(|signed| now - signed.and_utc());
    let is_fresh =
        age.is_some_and(|age| age <= TimeDelta::minutes(15) && age >= -TimeDelta::minutes(5));
    field("Action") == Some("connect")
        && field("DBUser") == Some(login.user.as_str())
        && field("X-Amz-Signature").is_some()
        && is_fresh
}

impl From<rusqlite::Error> for QueryRefused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error.to_string())
    }
}

/// The rows of one statement, and whether it changed anything.
fn ask(
    connection: &rusqlite::Connection,
    sql: &str,
    only_read: bool,
) -> Result<(Rows, bool), QueryRefused> {
    let mut statement = connection.prepare(sql)?;
    let wrote = !statement.readonly();
    if wrote && only_read {
        let what = "SQLSTATE 25006: cannot write in a read-only transaction";
        return Err(QueryRefused::Sql(what.to_owned()));
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = columns.len();
    let mut found = Rows { columns, rows: Vec::new() };
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let values = (0..width).map(|i| row.get_ref(i).map(value));
        found.rows.push(values.collect::<rusqlite::Result<_>>()?);
    }
    Ok((found, wrote))
}

fn value(value: ValueRef<'_>) -> SqlValue {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(i) => SqlValue::Integer(i),
        ValueRef::Real(r) => SqlValue::Real(r),
        ValueRef::Text(t) => SqlValue::Text(String::from_utf8_lossy(t).into_owned()),
        ValueRef::Blob(b) => SqlValue::Blob(b.to_vec()),
    }
}

fn canned(answer: &CannedAnswer) -> Result<Rows, QueryRefused> {
    if let Some(error) = &answer.error {
        return Err(QueryRefused::Sql(error.clone()));
    }
    let from_json = |json: &serde_json::Value| match json {
        serde_json::Value::Null => SqlValue::Null,
        serde_json::Value::Bool(b) => SqlValue::Integer(i64::from(*b)),
        serde_json::Value::Number(n) => match n.as_i64() {
            Some(i) => SqlValue::Integer(i),
            None => SqlValue::Real(n.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => SqlValue::Text(text.clone()),
        other => SqlValue::Text(other.to_string()),
    };
    let rows = answer.rows.iter().map(|row| row.iter().map(from_json).collect()).collect();
    Ok(Rows { columns: answer.columns.clone(), rows })
}
