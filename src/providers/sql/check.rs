use super::input::{Input, QueryInput, Target};
use super::judge::{NoValue, json, one_value, population, shown, vacuous, watermark};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem, Look,
    Permission, Phase, Probe, Proof, SiteUse, StepContext, StepError, WaitPlan,
};
use crate::expectation::{Expectation, ValueKind};
use crate::journal::{Check, ClockPoint, Measure, Outcome, RecoveryPoint};
use crate::outside::{DatabaseEngine, DatabaseLogin, DatabaseSession, OutsideError, SqlValue, Tls};
use crate::time::HumanDuration;
use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why what an aggregate gives over nothing does not pass by itself.
const NEEDS_POPULATION: &str = "an empty table gives this value, too: add population:, a query that counts what it is taken over";

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
    /// The newest committed time in the data (UTC); null without a watermark, or when it gave none.
    pub newest_data: Option<DateTime<Utc>>,
    /// Where the connection went; with `connect:`, for which endpoint.
    pub connected_to: String,
    /// Time from the beginning of the step to the first answer that came from the data; null when none came.
    pub readable_after: Option<HumanDuration>,
}

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

With `watermark`, the newest committed time in the data is the recovery point: the measure of RPO. Values that were read are \
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
            permissions: &[
                Permission {
                    action: "secretsmanager:GetSecretValue",
                    why: "read the password of the database, when credentials name a secret",
                },
                // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
                Permission {
                    action: "kms:Decrypt",
                    why: "read it, where the secret is encrypted with a key of your own",
                },
            ],
            checks: &[
                ("database answers", "a query is answered within ready_within"),
                ("newest data", "the watermark gives a time, and not one ahead of now"),
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
        let target = input.target()?;
        let expectations = expectations(&input.queries)?;
        let login = login(context, &input, &target).await?;
        let mut asking = Asking {
            context,
            began,
            readable_after: None,
            session: connect(context, &login, input.ready_within, &target).await?,
        };
        let server_version = asking.version(input.engine).await?;
        let newest_data = match &input.watermark {
            Some(sql) => asking.newest(sql, &input.database, &target).await?,
            None => None,
        };
        let mut queries_passed = 0;
        for (query, expected) in input.queries.iter().zip(&expectations) {
            context.progress(&format!("asking: {}", query.name));
            let check = asking.judge(query, expected).await?;
            queries_passed += u64::from(check.outcome == Outcome::Passed);
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

/// Read before anything is waited for.
fn expectations(queries: &[QueryInput]) -> Result<Vec<Expectation>, StepError> {
    let read = queries.iter().map(|query| {
        Expectation::parse(&query.expect, ValueKind::Any)
            .map_err(|e| StepError::broken(format!("queries: {}: expect: {e}", query.name)))
    });
    read.collect()
}

async fn login(
    context: &StepContext,
    input: &Input,
    target: &Target,
) -> Result<DatabaseLogin, StepError> {
    let user = input.credentials.fetch(context, input.user.as_deref()).await?;
    Ok(DatabaseLogin {
        step: context.step.clone(),
        engine: input.engine,
        host: target.host.clone(),
        port: target.port,
        user: user.name,
        password: user.password,
        database: input.database.clone(),
        tls: Tls::from(&input.tls),
        connect_timeout: CONNECT_TIMEOUT,
        statement_timeout: input.statement_timeout.0,
    })
}

/// Waits until the database answers a query.
async fn connect(
    context: &StepContext,
    login: &DatabaseLogin,
    within: HumanDuration,
    target: &Target,
) -> Result<Box<dyn DatabaseSession>, StepError> {
    let began = context.clock.elapsed();
    let what = format!("an answer of the database at {}", target.shown);
    let plan = WaitPlan::new(what, Duration::ZERO, within.0);
    let session = context.wait(&plan, || look(context, login)).await?;
    let took = HumanDuration(context.clock.elapsed().saturating_sub(began));
    let expected = format!("within {within}");
    context.check(Check::made("database answers", expected, format!("after {took}"), true)).await?;
    Ok(session)
}

async fn look(
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
        Err(error) => Err(explained(error, login)),
    }
}

/// Certificates are what goes wrong most often with a restored RDS instance.
fn explained(error: OutsideError, login: &DatabaseLogin) -> StepError {
    let about_tls = matches!(&error, OutsideError::Failed(text) if text.starts_with("TLS"));
    let is_denied = matches!(error, OutsideError::Denied(_));
    let error = StepError::from(error);
    if about_tls {
        error.help(
            "RDS certificates are signed by Amazon's own authorities: download global-bundle.pem \
             (https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem) and give it as tls: {ca: FILE}; \
             through a tunnel the name in the certificate does not fit, use tls: encrypt there",
        )
    } else if is_denied {
        error.help(format!(
            "check that {} may log in to {}: a restored database has the users and passwords of its recovery point",
            login.user, login.database
        ))
    } else {
        error
    }
}

/// A session, and what is noted while it is asked.
struct Asking<'c> {
    context: &'c StepContext,
    began: Duration,
    readable_after: Option<Duration>,
    session: Box<dyn DatabaseSession>,
}

impl Asking<'_> {
    async fn version(&mut self, engine: DatabaseEngine) -> Result<Option<String>, StepError> {
        let sql = match engine {
            DatabaseEngine::Postgres => "show server_version",
            DatabaseEngine::Mysql => "select version()",
        };
        match self.session.query(sql).await {
            Ok(rows) => Ok(rows.single().map(shown)),
            // Worth knowing, but nothing depends on it.
            Err(OutsideError::NotRehearsed(_) | OutsideError::Failed(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for one value of the data. The outer error ends the step, the inner one is for the check.
    async fn value(&mut self, sql: &str) -> Result<Result<SqlValue, NoValue>, StepError> {
        let answer = self.session.query(sql).await;
        if answer.is_ok() && self.readable_after.is_none() {
            let elapsed = self.context.clock.elapsed().saturating_sub(self.began);
            self.readable_after = Some(elapsed);
            let now = self.context.clock.now();
            self.context.reached(ClockPoint::DataReadable, now, "first answer of a query").await?;
        }
        match one_value(answer, self.context.facts.withhold_data) {
            Ok(value) => Ok(Ok(value)),
            Err(Ok(no_value)) => Ok(Err(no_value)),
            Err(Err(lost)) => Err(lost.into()),
        }
    }

    async fn newest(
        &mut self,
        sql: &str,
        database: &str,
        target: &Target,
    ) -> Result<Option<DateTime<Utc>>, StepError> {
        const NAME: &str = "newest data";
        const EXPECTED: &str = "a committed time";
        let value = self.value(sql).await?;
        match value.and_then(|value| watermark(&value, self.context.clock.now())) {
            Ok(at) => {
                let observed = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
                self.context.check(Check::made(NAME, EXPECTED, observed, true)).await?;
                let point = RecoveryPoint {
                    at,
                    source: sql.to_owned(),
                    measure: Measure::Data,
                    identity: format!("{database} at {}", target.shown),
                    worst_case: None,
                };
                self.context.recovery_point(point).await?;
                Ok(Some(at))
            }
            Err(no_value) => {
                self.context.check(no_value.check(NAME, EXPECTED)).await?;
                Ok(None)
            }
        }
    }

    async fn judge(
        &mut self,
        query: &QueryInput,
        expected: &Expectation,
    ) -> Result<Check, StepError> {
        let value = match self.value(&query.sql).await? {
            Ok(value) => value,
            Err(no_value) => return Ok(no_value.check(&query.name, &expected.to_string())),
        };
        let observed = self.context.data(&shown(&value));
        let check = expected.judge(&query.name, &json(&value), observed);
        let Some(sql) = &query.population else {
            return Ok(match vacuous(&query.sql, &value) && check.outcome == Outcome::Passed {
                true => Check::not_made(&query.name, &check.expected, NEEDS_POPULATION),
                false => check,
            });
        };
        match self.value(sql).await?.and_then(|value| population(&value)) {
            Ok(count) => Ok(check.over(count)),
            // What was seen to be wrong stays wrong; what seemed right is not known to be.
            Err(_) if check.outcome == Outcome::Failed => Ok(check),
            Err(no_value) => {
                let why = format!("population: {}", no_value.why);
                Ok(NoValue { why, ..no_value }.check(&query.name, &expected.to_string()))
            }
        }
    }
}
