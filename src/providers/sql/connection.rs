//! Where a database is, who asks, and waiting until it answers.

use super::credentials::Credentials;
use super::judge::shown;
use crate::action::{Look, StepContext, StepError, WaitPlan};
use crate::journal::{Check, Finding, Severity};
use crate::outside::{DatabaseEngine, DatabaseLogin, DatabaseSession, OutsideError, Tls};
use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the input of an action that asks a database: the fields of the connection stand beside those of the action.
macro_rules! input_with_connection {
    ($(#[$meta:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// The host name of the database, usually from an earlier step: `"{{steps.restore.endpoint}}"`.
            pub endpoint: String,
            /// The port; 5432 for postgres and 3306 for mysql when left out.
            #[serde(default)]
            pub port: Option<u16>,
            /// The kind of server: `postgres` (also Aurora PostgreSQL) or `mysql` (also MariaDB and Aurora MySQL).
            #[serde(default = "crate::providers::sql::connection::postgres")]
            pub engine: crate::outside::DatabaseEngine,
            /// The database in the server.
            pub database: String,
            /// The user, where the credentials do not name one. It should have rights to read only.
            #[serde(default)]
            pub user: Option<String>,
            /// Where the password comes from. It is never written down.
            pub credentials: crate::providers::sql::credentials::Credentials,
            /// How the connection is protected: `verify` (default), `{ca: FILE}`, `encrypt` or `off`. RDS and Aurora need
            /// `{ca: FILE}` with the bundle of Amazon's authorities, which has to be downloaded beforehand; without it their
            /// certificates are refused, and the step is inconclusive.
            #[serde(default)]
            pub tls: crate::providers::sql::connection::TlsInput,
            /// Connect here instead of the endpoint, `host:port`: the near end of a tunnel. The report shows both. A certificate
            /// for the endpoint does not fit another name: with `tls: verify` the connection will be refused.
            #[serde(default)]
            pub connect: Option<String>,
            /// How long the database may take until it answers a query, counted from the beginning of the step (default 5m).
            #[serde(default = "crate::providers::sql::connection::five_minutes")]
            pub ready_within: crate::time::HumanDuration,
            /// How long one statement may take, set in the server as well (default 60s).
            #[serde(default = "crate::providers::sql::connection::one_minute")]
            pub statement_timeout: crate::time::HumanDuration,
            $($fields)*
        }

        impl $name {
            /// The connection that it describes.
            pub(super) fn connection(&self) -> crate::providers::sql::connection::Connection {
                crate::providers::sql::connection::Connection {
                    endpoint: self.endpoint.clone(),
                    port: self.port,
                    engine: self.engine,
                    database: self.database.clone(),
                    user: self.user.clone(),
                    credentials: self.credentials.clone(),
                    tls: self.tls.clone(),
                    connect: self.connect.clone(),
                    ready_within: self.ready_within,
                    statement_timeout: self.statement_timeout,
                }
            }
        }
    };
}
pub(super) use input_with_connection;

pub(super) fn postgres() -> DatabaseEngine {
    DatabaseEngine::Postgres
}

pub(super) fn five_minutes() -> HumanDuration {
    Duration::from_secs(300).into()
}

pub(super) fn one_minute() -> HumanDuration {
    Duration::from_secs(60).into()
}

/// How the connection is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsInput {
    /// Encrypted; certificate and host name are verified by the public certificate authorities.
    #[default]
    Verify,
    /// As `verify`, also by the certificate authorities in this PEM file. RDS and Aurora need it: their certificates come
    /// from Amazon's own authorities. The file is downloaded beforehand from
    /// <https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem> (AWS: "Using SSL/TLS to encrypt a connection to a
    /// DB instance", <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html>).
    Ca(String),
    /// Encrypted; the certificate is not verified, so that anyone could answer.
    Encrypt,
    /// Not encrypted: for loopback addresses and tunnels only.
    Off,
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

/// A connection as an input describes it. See the fields of the inputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Connection {
    pub(super) endpoint: String,
    pub(super) port: Option<u16>,
    pub(super) engine: DatabaseEngine,
    pub(super) database: String,
    pub(super) user: Option<String>,
    pub(super) credentials: Credentials,
    pub(super) tls: TlsInput,
    pub(super) connect: Option<String>,
    pub(super) ready_within: HumanDuration,
    pub(super) statement_timeout: HumanDuration,
}

/// Where the database is said to be, and where we connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// As the report shows it.
    pub(super) shown: String,
}

impl Connection {
    pub(super) fn target(&self) -> Result<Target, StepError> {
        let (host, port) = self.place();
        let endpoint = format!("{host}:{port}");
        let Some(connect) = &self.connect else {
            return Ok(Target { host, port, shown: endpoint });
        };
        let (host, port) = connect_address(connect).map_err(StepError::broken)?;
        Ok(Target { host, port, shown: format!("{connect} (for {endpoint})") })
    }

    /// Whether both lead to one database: by the endpoint, or by where they connect.
    pub(super) fn is_same_as(&self, other: &Self) -> Result<bool, StepError> {
        let target = |one: &Self| one.target().map(|target| (same_host(&target.host), target.port));
        let place = |one: &Self| {
            let (host, port) = one.place();
            (same_host(&host), port)
        };
        let is_one_server = place(self) == place(other) || target(self)? == target(other)?;
        Ok(is_one_server && self.database == other.database)
    }

    /// Host and port of the endpoint itself.
    pub(super) fn place(&self) -> (String, u16) {
        let usual = match self.engine {
            DatabaseEngine::Postgres => 5432,
            DatabaseEngine::Mysql => 3306,
        };
        (self.endpoint.clone(), self.port.unwrap_or(usual))
    }

    pub(super) async fn login(
        &self,
        context: &StepContext,
        target: &Target,
    ) -> Result<DatabaseLogin, StepError> {
        self.login_with(context, target, &self.credentials, self.user.as_deref()).await
    }

    /// As [`Connection::login`], with other credentials.
    pub(super) async fn login_with(
        &self,
        context: &StepContext,
        target: &Target,
        credentials: &Credentials,
        user: Option<&str>,
    ) -> Result<DatabaseLogin, StepError> {
        if let Some(why) = unfit_for_token(credentials.iam, self.engine, &self.tls) {
            return Err(StepError::broken(why).help(TOKEN_HELP));
        }
        let (host, port) = self.place();
        let user = credentials.fetch(context, user, (&host, port)).await?;
        Ok(DatabaseLogin {
            step: context.step.clone(),
            engine: self.engine,
            host: target.host.clone(),
            port: target.port,
            user: user.name,
            password: user.password,
            database: self.database.clone(),
            tls: Tls::from(&self.tls),
            connect_timeout: CONNECT_TIMEOUT,
            statement_timeout: self.statement_timeout.0,
        })
    }

    /// Waits until the database answers a query. What is read of it as `what` stands in errors.
    pub(super) async fn open(
        &self,
        context: &StepContext,
        what: &str,
    ) -> Result<(Box<dyn DatabaseSession>, Target), StepError> {
        let target = self.target()?;
        let login = self.login(context, &target).await?;
        let what = format!("an answer of {what} at {}", target.shown);
        let plan = WaitPlan::new(what, Duration::ZERO, self.ready_within.0);
        let look = || async {
            // A token is good for 15 minutes, which may be over before a server that starts takes it.
            match self.credentials.iam {
                true => self.look(context, &self.login(context, &target).await?).await,
                false => self.look(context, &login).await,
            }
        };
        let session = context.wait(&plan, look).await?;
        Ok((session, target))
    }

    /// As [`Connection::open`], with a check that says how long it took.
    pub(super) async fn open_checked(
        &self,
        context: &StepContext,
    ) -> Result<(Box<dyn DatabaseSession>, Target), StepError> {
        let began = context.clock.elapsed();
        let opened = self.open(context, "the database").await?;
        let took = HumanDuration(context.clock.elapsed().saturating_sub(began));
        let expected = format!("within {}", self.ready_within);
        let check = Check::made("database answers", expected, format!("after {took}"), true);
        let target = &opened.1;
        let mut note = format!("logged in with {}", self.credentials.source());
        if let Some(unprotected) = unprotected(&self.tls, &target.host) {
            note = format!("{note}; {unprotected}");
        }
        context.check(check.note(note)).await?;
        if self.tls == TlsInput::Off && !is_loopback(&target.host) {
            context.finding(exposed(&target.shown)).await?;
        }
        Ok(opened)
    }
}

impl Connection {
    async fn look(
        &self,
        context: &StepContext,
        login: &DatabaseLogin,
    ) -> Result<Look<Box<dyn DatabaseSession>>, StepError> {
        let asked = async {
            let mut session = context.outside.database(login).await?;
            let rows = session.query("select 1").await?;
            let answered = rows.single().is_some_and(|value| shown(value) == "1");
            let odd = || OutsideError::Failed("select 1 was not answered with 1".to_owned());
            if answered { Ok(session) } else { Err(odd()) }
        };
        match asked.await {
            Ok(session) => Ok(Look::Ready(session)),
            Err(OutsideError::Unreachable(why)) => Ok(Look::NotYet(why)),
            Err(error) => Err(self.explained(error, login)),
        }
    }

    /// Certificates are what goes wrong most often with a restored RDS instance.
    pub(super) fn explained(&self, error: OutsideError, login: &DatabaseLogin) -> StepError {
        let about_tls = matches!(&error, OutsideError::Failed(text) if text.starts_with("TLS"));
        let is_denied = matches!(error, OutsideError::Denied(_));
        let error = StepError::from(error);
        let (user, database) = (&login.user, &login.database);
        if about_tls {
            error.help(
                "RDS certificates are signed by Amazon's own authorities: download global-bundle.pem \
                 (https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem) and give it as tls: {ca: FILE}; \
                 through a tunnel the name in the certificate does not fit, use tls: encrypt there",
            )
        } else if is_denied && self.credentials.iam {
            let (host, port) = self.place();
            // https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
            error.help(format!(
                "a token of IAM was refused: it is good for {user} at {host}:{port} in the region of the site only; the instance \
                 must have IAM authentication switched on, {user} must be made for it (PostgreSQL: granted rds_iam), and the role \
                 needs rds-db:connect for {user} of this instance, whose resource id is another one than the original's"
            ))
        } else if is_denied {
            error.help(format!(
                "check that {user} may log in to {database}: a restored database has the users and passwords of its recovery point"
            ))
        } else {
            error
        }
    }
}

pub(super) const TOKEN_HELP: &str = "use tls: { ca: FILE } with global-bundle.pem of RDS; through a tunnel to PostgreSQL, tls: encrypt";

/// Why a token of IAM is not sent over such a connection: who reads it can log in with it, for 15 minutes. PostgreSQL asks for it in
/// plain text, and so does MySQL, whose clients send it only to who is known.
pub(super) fn unfit_for_token(
    is_token: bool,
    engine: DatabaseEngine,
    tls: &TlsInput,
) -> Option<&'static str> {
    match (engine, tls) {
        _ if !is_token => None,
        (_, TlsInput::Off) => {
            Some("credentials.iam: a token is not sent over a connection without TLS (tls: off)")
        }
        (DatabaseEngine::Mysql, TlsInput::Encrypt) => Some(
            "credentials.iam: to MySQL a token is sent as it is, and not to a server whose certificate is not verified (tls: encrypt)",
        ),
        _ => None,
    }
}

/// A host as one that is written in another way is compared with it.
fn same_host(written: &str) -> String {
    if is_loopback(written) {
        return "localhost".to_owned();
    }
    written.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether what is sent there stays on this machine.
fn is_loopback(host: &str) -> bool {
    let address: Option<std::net::IpAddr> = host.parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

/// What the reader should know of how a connection is protected.
fn unprotected(tls: &TlsInput, host: &str) -> Option<&'static str> {
    match tls {
        TlsInput::Encrypt => Some("the certificate was not verified: anyone could have answered"),
        TlsInput::Off if !is_loopback(host) => {
            Some("the connection was not encrypted, although it left this machine")
        }
        _ => None,
    }
}

fn exposed(shown: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        code: "sql.connection_not_encrypted".to_owned(),
        what: format!("the connection to {shown} was not encrypted"),
        why: "data went over the network in plain text, and anyone on the way could have answered in its place".to_owned(),
        action: "use tls: verify, or tls: { ca: FILE } for RDS; off is for loopback addresses and tunnels".to_owned(),
    }
}

/// Host and port of `connect:`.
pub(super) fn connect_address(written: &str) -> Result<(String, u16), String> {
    let parts = written.rsplit_once(':').and_then(|(host, port)| {
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        Some((host.to_owned(), port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
    });
    parts.ok_or_else(|| format!("connect: {written:?} is not an address such as 127.0.0.1:5433"))
}
