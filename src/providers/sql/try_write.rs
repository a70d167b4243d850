use super::connection::input_with_connection;
use super::own_schema::{OwnSchemaKind, SchemaName};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Found, Given, Grant, HandInput, Phase, Probe,
    ResourceKind, SiteUse, StepContext, StepError, own,
};
use crate::journal::{Check, Event};
use crate::outside::ladder::{SchemaState, SchemaWork};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// `sql.try_write`: writes into a schema of its own, and removes it.
pub struct TryWrite;

input_with_connection! {
    /// What a step of `sql.try_write` is given.
    pub struct TryWriteInput {
        /// Must be `own`: it says that the scenario allows a schema to be made in the restored database, and removed.
        #[schemars(extend("enum" = ["own"]))]
        pub effect: Effect,
    }
}

/// What a step of `sql.try_write` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TryWriteOutput {
    /// The schema that was made and is gone.
    pub schema: String,
}

const NAME: &str = "write";
const EXPECTED: &str = "a row that is written can be read back";

const ABOUT: &str = "\
Makes a schema in the restored database (for MySQL, a database), writes a row into a table of it, reads the row back, and removes \
the schema. A database that answers but takes no writes (a replica, a full disk, a user without rights) is found here, and not \
when the application comes back.

The schema has a name of the run and step, and says so in its comment; nothing else in the database is touched, and a schema of \
this name that says something else is left alone. It stands in the ledger before it is made: after a crash it is looked for and \
removed with the credentials that the step names. The user needs the right to create schemas.

`endpoint` (and `connect`) is an output of the step that makes the database, or a host that `guard.databases` names: without either, \
`redrill check` refuses the scenario (RD613).

Steps that compare the structure of the database leave such schemas out.";

impl Action for TryWrite {
    type Input = TryWriteInput;
    type Output = TryWriteOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "sql.try_write",
            title: "Write into a schema of its own in the restored database",
            about: ABOUT,
            phase: Phase::Verify,
            site: SiteUse::Required,
            timeout: Duration::from_secs(10 * 60),
            effect: Effect::Own,
            creates: &["sql.schema"],
            permissions: super::check::PERMISSIONS,
            checks: &[
                ("database answers", "a query is answered within ready_within"),
                ("write", "a row that is written can be read back"),
            ],
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["PostgreSQL 15", "MariaDB 10.11"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        context: &StepContext,
        input: TryWriteInput,
    ) -> Result<TryWriteOutput, StepError> {
        if input.effect != Effect::Own {
            let text = "effect: must be own: it says that a schema may be made, and removed";
            return Err(StepError::broken(text));
        }
        let connection = input.connection();
        let (session, _) = connection.open_checked(context).await?;
        drop(session);
        // Names in PostgreSQL have at most 63 bytes, in MySQL 64 characters.
        let schema = context.name_of_mine(60).replace('-', "_");
        let name =
            SchemaName { run: context.facts.run.clone(), schema: schema.clone(), connection };
        let written = name.written()?;
        let made = own(context, &OwnSchemaKind, written, || name.try_once(context)).await;
        // An adopted schema may be without its row: writing again is harmless.
        let made = match made {
            Ok(made) => name.try_once(context).await.map(|_| made),
            Err(error) => Err(error),
        };
        let (key, id) = match made {
            Ok(made) => made,
            Err(error) if takes_no_writes(&error) => {
                let check = Check::made(NAME, EXPECTED, error.to_string(), false);
                context.check(check).await?;
                return Ok(TryWriteOutput { schema });
            }
            Err(error) => return Err(error),
        };
        context.check(Check::made(NAME, EXPECTED, "the row that was written", true)).await?;
        OwnSchemaKind.remove(context, &key, &id).await?;
        if OwnSchemaKind.find(context, &key, Some(&id)).await? == Found::Gone {
            let (how, calls) = ("deleted".to_owned(), Vec::new());
            let released = Event::ResourceReleased { key, how, calls };
            context.recorder.record(released).await?;
        }
        Ok(TryWriteOutput { schema })
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::before::grants(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::before::preflight(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        let (mut commands, ask) = super::by_hand::asking(input);
        let is_mysql = input.value("engine").and_then(Value::as_str) == Some("mysql");
        let word = if is_mysql { "database" } else { "schema" };
        if is_mysql {
            let writing = ask.replace(" --init-command='SET SESSION TRANSACTION READ ONLY'", "");
            commands.push(write_by_hand(&writing, word));
        } else {
            commands.push("export PGOPTIONS='-c timezone=UTC'    # this step writes".to_owned());
            commands.push(write_by_hand(&ask, word));
        }
        ByHand {
            commands: super::by_hand::alone(&commands),
            expected: "The row is read back, and what was made is gone again.".to_owned(),
            verify: Vec::new(),
            if_it_fails: vec![
                format!("The {word} redrill_by_hand exists: an earlier attempt was cut off; drop it, and paste the block again."),
                "Read-only transaction: it is a replica, or its storage is full; look at its state and its free storage."
                    .to_owned(),
                format!("Permission denied: the user must be allowed to create a {word}; use another one."),
            ],
            ..ByHand::default()
        }
    }
}

impl SchemaName {
    /// Writes a row and reads it back; gives the name of the schema that it stands in.
    async fn try_once(&self, context: &StepContext) -> Result<String, StepError> {
        match self.work(context, SchemaWork::Try).await? {
            SchemaState::Ours => Ok(self.schema.clone()),
            SchemaState::Foreign(why) => Err(StepError::broken(format!(
                "there is a schema {} that is not of this run: {why}",
                self.schema
            ))),
            SchemaState::Gone => Err(StepError::broken("the schema was not made")),
        }
    }
}

fn write_by_hand(ask: &str, word: &str) -> String {
    let cascade = if word == "schema" { " cascade" } else { "" };
    let sql = format!(
        "create {word} redrill_by_hand; create table redrill_by_hand.trial (content varchar(100)); \
         insert into redrill_by_hand.trial values ('written by hand'); select content from redrill_by_hand.trial; \
         drop {word} redrill_by_hand{cascade}"
    );
    format!("{ask} {}", HandInput::quote(&sql))
}

/// SQLSTATE 25006 read_only_sql_transaction, 53100 disk_full; MySQL 1290 (--read-only), 1836 and 1792 (read-only mode),
/// 1021 (disk full). <https://www.postgresql.org/docs/current/errcodes-appendix.html>,
/// <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>
fn takes_no_writes(error: &StepError) -> bool {
    const SAID: [&str; 6] = [
        "SQLSTATE 25006:",
        "SQLSTATE 53100:",
        "error 1290:",
        "error 1836:",
        "error 1792:",
        "error 1021:",
    ];
    let text = error.to_string();
    SAID.iter().any(|said| text.contains(said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;
    use crate::outside::OutsideError;
    use crate::outside::fake::{FakeOutside, context};

    #[test]
    fn a_server_that_takes_no_writes_is_an_observation_and_missing_rights_are_not() {
        let says = |text: &str| takes_no_writes(&StepError::broken(text));
        assert!(says("SQLSTATE 25006: cannot execute CREATE SCHEMA in a read-only transaction"));
        assert!(says("SQLSTATE HY000, error 1290: running with the --read-only option"));
        assert!(!says("SQLSTATE 42501: permission denied for database orders"));
    }

    #[tokio::test(start_paused = true)]
    async fn regression_a_row_is_read_back_at_the_second_time_too_or_nothing_passes() {
        let read_only = "SQLSTATE 25006: cannot execute INSERT in a read-only transaction";
        let foreign = SchemaState::Foreign("its comment is \"reporting\"".to_owned());
        for (second, outcome) in [
            (Ok(SchemaState::Ours), Some(Outcome::Passed)),
            (Ok(foreign), None),
            (Ok(SchemaState::Gone), None),
            (Err(OutsideError::Failed(read_only.to_owned())), Some(Outcome::Failed)),
        ] {
            let outside = FakeOutside::default().with_database(&[]);
            // Made, written again, removed, and looked for.
            let answers =
                [Ok(SchemaState::Ours), second, Ok(SchemaState::Gone), Ok(SchemaState::Gone)];
            outside.schemas.lock().unwrap().extend(answers);
            let (context, _, recorder) = context(FakeOutside {
                environment: [("PASSWORD".to_owned(), "hunter2".to_owned())].into(),
                ..outside
            });
            let with = serde_json::json!({
                "endpoint": "db.test", "database": "orders", "effect": "own",
                "credentials": { "password_from_env": "PASSWORD", "user": "rw" },
            });
            let ran = TryWrite.run(&context, serde_json::from_value(with).unwrap()).await;
            let checks = recorder.checks();
            let check = checks.iter().find(|check| check.name == NAME);
            assert_eq!(check.map(|check| check.outcome), outcome, "{ran:?}");
            assert_eq!(ran.is_ok(), outcome.is_some(), "{ran:?}");
        }
    }
}
