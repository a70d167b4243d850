use super::asking::Asking;
use super::comparing::Comparison;
use super::connection::{Connection, Target};
use super::input::{Input, LoginInput, QueryInput};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, Proof, SiteUse, StepContext, StepError,
};
use crate::expectation::{Expectation, ValueKind};
use crate::journal::{Check, FailureClass, Outcome};
use crate::outside::OutsideError;
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// `sql.check`: asks a restored database.
pub struct SqlCheck;

/// What a step of `sql.check` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Output {
    /// The server's own version; null when it does not say.
    pub server_version: Option<String>,
    /// How many of the queries passed.
    pub queries_passed: u64,
    /// How many queries there are.
    pub queries: u64,
    /// The newest committed time in the data (UTC); null without a watermark, or when it gave none that can be from the backup.
    pub newest_data: Option<DateTime<Utc>>,
    /// Where the connection went; with `connect:`, for which endpoint.
    pub connected_to: String,
    /// Time from the beginning of the step to the first answer that came from the data; null when none came.
    pub readable_after: Option<HumanDuration>,
}

/// What reading the password of a database needs.
pub(super) const PERMISSIONS: &[Permission] = &[
    Permission {
        action: "secretsmanager:GetSecretValue",
        why: "read the password of the database, when credentials name a secret",
    },
    // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
    Permission {
        action: "kms:Decrypt",
        why: "read it, where the secret is encrypted with a key of your own",
    },
    // https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
    Permission {
        action: "rds-db:connect",
        why: "log in to the database with a token, when credentials say iam",
    },
];

const ABOUT: &str = "\
Connects to a database and checks what it holds. Ready means that it answers a query, not that a port is open: until then \
connections that are refused, and servers that are starting, are waited for (`ready_within`); a wrong password is an \
error at once.

Every query is one statement in a read-only transaction of its own, with a time limit in the server; several statements in \
one text are refused by the server. That protects the data from mistakes, not from intent: give a user with rights to read \
only. To MySQL and MariaDB only statements that read are sent (`select`, `with`, `show`, `check table` …), since procedures \
there can leave the transaction. Each query gives one row with one column, which is judged by `expect`. No row, null, more than one value, an error of \
the server or an empty `population` make the check inconclusive, never passed; an error by which the server says that its \
data is damaged makes it fail.

Further rungs, each a check of its own, are asked for by name. `schema`, `rows` and `checksums` compare with a `reference` (a \
committed file of `redrill sql fingerprint`, or what `sql.capture_reference` took down before the disaster, in this run or in an \
`earlier` one) or with a `source` that is still there, whose checksums are read at the same time. A checksum is SHA-256 over a range of keys in their order, as \
`copy (select …) to stdout | sha256sum` gives it; ranges that differ are named. `sequences`, `inspect` and `point_in_time` need \
nothing but the database. What cannot be looked at (a missing extension, a missing right, an empty table) is inconclusive.

With `watermark`, the newest committed time in the data is the recovery point: the measure of RPO. What is newer than the \
recovery point of the backup, as found by a step that this one waits for, was not restored from it: the database that was \
looked at is another one, or was written to since, and no recovery point is measured. 60 seconds are allowed for clocks that \
differ. Values that were read are \
withheld when the scenario's data class asks for it.";

impl Action for SqlCheck {
    type Input = Input;
    type Output = Output;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "sql.check",
            title: "Check the data of the restored database",
            about: ABOUT,
            phase: Phase::Verify,
            site: SiteUse::Optional,
            timeout: Duration::from_secs(30 * 60),
            effect: Effect::None,
            creates: &[],
            permissions: PERMISSIONS,
            checks: &[
                ("database answers", "a query is answered within ready_within"),
                crate::providers::earlier::CHECK,
                super::origin::SOURCE,
                super::origin::AGE,
                ("each login, by its name", "further credentials are let in, or refused, as said"),
                ("server version", "the server says a version as in version"),
                ("each setting, by its name", "the server's setting is as in settings"),
                ("newest data", "the watermark gives a time of rows, and not one ahead of now"),
                (
                    "newest data is from the backup",
                    "the watermark is no more than 60 seconds later than the recovery point that an earlier step found",
                ),
                ("schema", "every object is defined as in the reference or the source"),
                (
                    "row counts",
                    "each table holds as many rows as the reference says, within the tolerance",
                ),
                ("checksums", "every range of keys that was read holds the same rows"),
                ("row from before the point", "the data reaches the point in time"),
                ("no row from after the point", "the data does not go past the point in time"),
                ("sequences", "no sequence is behind the column that it numbers"),
                ("tables and indexes", "the server's own inspection finds no damage"),
                ("each query, by its name", "its one value is as expected"),
            ],
            populations: &[("queries_passed", "queries")],
            proves: &[Proof::RecoveryPointOfData { when: "watermark" }],
            exercised: Exercised {
                sandbox: true,
                servers: &["PostgreSQL 15", "MariaDB 10.11"],
                aws: None,
            },
        }
    }

    async fn run(&self, context: &StepContext, input: Input) -> Result<Output, StepError> {
        let began = context.clock.elapsed();
        let expected = Expected::of(&input)?;
        let connection = input.connection();
        connection.target()?;
        let comparison = Comparison::of(context, &input).await?;
        let (session, target) = connection.open_checked(context).await?;
        try_logins(context, &input, &connection, &target).await?;
        let mut asking = Asking::new(context, began, session);
        let server_version = asking.version(input.engine).await?;
        if let Some(expected) = &expected.version {
            context.check(version_check(expected, server_version.as_deref())).await?;
        }
        for (name, expected) in &expected.settings {
            let check = asking.setting(name, expected).await?;
            context.check(check).await?;
        }
        let newest_data = match &input.watermark {
            Some(sql) => {
                let identity = format!("{} at {}", input.database, target.shown);
                asking.newest(sql, identity).await?
            }
            None => None,
        };
        if let Some(comparison) = comparison {
            climb_compared(&mut asking, &input, comparison).await?;
        }
        climb_alone(&mut asking, &input).await?;
        let mut queries_passed = 0;
        for (query, expected) in input.queries.iter().zip(&expected.queries) {
            let check = asking.judge(query, expected).await?;
            queries_passed += u64::from(check.outcome == Outcome::Passed);
            context.check(check).await?;
        }
        // Last, since it reads everything.
        if let Some(inspect) = &input.inspect {
            let check = asking.inspect(inspect).await?;
            context.check(check).await?;
        }
        Ok(Output {
            server_version,
            queries_passed,
            queries: u64::try_from(input.queries.len()).unwrap_or(u64::MAX),
            newest_data,
            connected_to: target.shown,
            readable_after: asking.readable_after.map(HumanDuration),
        })
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        super::problems::problems(given)
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::before::grants(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::before::preflight(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::by_hand::by_hand(input)
    }
}

/// Which credentials work in a restored database is not known from those of production: it has the users and passwords of
/// its recovery point.
async fn try_logins(
    context: &StepContext,
    input: &Input,
    connection: &Connection,
    target: &Target,
) -> Result<(), StepError> {
    for login in &input.logins {
        let user = login.credentials.user.as_deref();
        let check = match connection.login_with(context, target, &login.credentials, user).await {
            Ok(with) => login_check(login, context.outside.database(&with).await.map(drop))?,
            Err(error) => without_credentials(login, error)?,
        };
        context.check(check.note(format!("with {}", login.credentials.source()))).await?;
    }
    Ok(())
}

/// Credentials that could not be fetched. That they are not there is an observation, where they should let in.
fn without_credentials(login: &LoginInput, error: StepError) -> Result<Check, StepError> {
    let name = format!("login {}", login.name);
    let expected = if login.refused { "is refused" } else { "is let in" };
    match error.class() {
        FailureClass::NotFound if !login.refused => {
            Ok(Check::made(name, expected, format!("there are no credentials: {error}"), false))
        }
        FailureClass::NotFound | FailureClass::Denied | FailureClass::Broken => {
            Ok(Check::not_made(name, expected, error.to_string()))
        }
        _ => Err(error),
    }
}

fn login_check(login: &LoginInput, answer: Result<(), OutsideError>) -> Result<Check, StepError> {
    let name = format!("login {}", login.name);
    let expected = if login.refused { "is refused" } else { "is let in" };
    match answer {
        Ok(()) => Ok(Check::made(name, expected, "is let in", !login.refused)),
        Err(OutsideError::Denied(why)) => Ok(match refusal(&why) {
            _ if !login.refused => Check::made(name, expected, format!("is refused: {why}"), false),
            Refusal::OfTheLogin => Check::made(name, expected, format!("is refused: {why}"), true),
            Refusal::Later => {
                let observed =
                    format!("the server took the password, and refused what came then: {why}");
                Check::made(name, expected, observed, false)
            }
            Refusal::Otherwise => {
                let why =
                    format!("the server did not say that it refuses these credentials: {why}");
                Check::not_made(name, expected, why)
            }
        }),
        Err(OutsideError::Failed(why)) => Ok(Check::not_made(name, expected, why)),
        Err(error) => Err(error.into()),
    }
}

/// What a server refused.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The credentials.
    OfTheLogin,
    /// Something after it had taken the password.
    Later,
    /// Something else: the host, or the way of logging in.
    Otherwise,
}

/// By its code. PostgreSQL: invalid_authorization_specification, invalid_password, insufficient_privilege (no right to connect to
/// the database). MySQL: ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR, ER_DBACCESS_DENIED_ERROR,
/// ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>,
/// <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>
fn refusal(why: &str) -> Refusal {
    let code = why.strip_prefix("SQLSTATE ").and_then(|said| Some(said.split_once(": ")?.0));
    // Numbers of MySQL say more than its states: `28000, error 1045`.
    match code.and_then(|code| code.rsplit(", error ").next()).unwrap_or_default() {
        "28P01" | "28000" | "1045" | "1698" => Refusal::OfTheLogin,
        "42501" | "1044" | "1142" | "1143" | "1227" => Refusal::Later,
        _ => Refusal::Otherwise,
    }
}

/// The rungs that compare with the original.
async fn climb_compared(
    asking: &mut Asking<'_>,
    input: &Input,
    comparison: Comparison,
) -> Result<(), StepError> {
    let context = asking.context;
    let mut original = match comparison {
        Comparison::With(original) => original,
        Comparison::Without(why) => {
            let asked = [
                ("schema", input.schema.is_some()),
                ("row counts", input.rows.is_some()),
                ("checksums", input.checksums.is_some()),
            ];
            for (name, _) in asked.into_iter().filter(|(_, asked)| *asked) {
                context.check(Check::not_made(name, "as in the reference", &why)).await?;
            }
            return Ok(());
        }
    };
    if let Some(schema) = &input.schema {
        let check = asking.compare_schema(schema, &original.reference).await?;
        context.check(check).await?;
    }
    if let Some(rows) = &input.rows {
        let check = asking.compare_rows(rows, &original.reference).await?;
        context.check(check).await?;
    }
    if let Some(checksums) = &input.checksums {
        let check = asking.compare_checksums(checksums, &mut original).await?;
        context.check(check).await?;
    }
    Ok(())
}

/// The rungs that need nothing but the database.
async fn climb_alone(asking: &mut Asking<'_>, input: &Input) -> Result<(), StepError> {
    let context = asking.context;
    if let Some(point) = &input.point_in_time {
        for check in asking.point_in_time(point).await? {
            context.check(check).await?;
        }
    }
    if input.sequences {
        let check = asking.sequences().await?;
        context.check(check).await?;
    }
    Ok(())
}

fn version_check(expected: &Expectation, version: Option<&str>) -> Check {
    const NAME: &str = "server version";
    match version {
        Some(version) => expected.judge(NAME, &Value::from(version), version),
        None => Check::not_made(NAME, expected.to_string(), "the server does not say its version"),
    }
}

/// What is expected, read before anything is waited for.
struct Expected {
    version: Option<Expectation>,
    settings: Vec<(String, Expectation)>,
    queries: Vec<Expectation>,
}

impl Expected {
    fn of(input: &Input) -> Result<Self, StepError> {
        let version = input.version.as_ref().map(|value| expectation("version", value));
        let settings = input.settings.iter().map(|(name, value)| {
            Ok((name.clone(), expectation(&format!("settings: {name}"), value)?))
        });
        let of_query = |query: &QueryInput| {
            expectation(&format!("queries: {}: expect", query.name), &query.expect)
        };
        Ok(Self {
            version: version.transpose()?,
            settings: settings.collect::<Result<_, StepError>>()?,
            queries: input.queries.iter().map(of_query).collect::<Result<_, _>>()?,
        })
    }
}

fn expectation(place: &str, value: &Value) -> Result<Expectation, StepError> {
    Expectation::parse(value, ValueKind::Any)
        .map_err(|e| StepError::broken(format!("{place}: {e}")))
}
