use super::by_hand::{mysql_tls, psql_tls};
use super::connection::{Connection, TlsInput};
use crate::action::{
    Found, HandInput, Listing, Permission, Reach, ResourceContext, ResourceKind, StepError,
};
use crate::ids::RunId;
use crate::journal::ResourceKey;
use crate::limits::EFFECT_NAME_BYTES;
use crate::outside::DatabaseEngine;
use crate::outside::ladder::{OwnSchema, SchemaState, SchemaWork};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// A schema that a run has made in a restored database to write into (for MySQL, a database). There is no service that knows
/// of it: the ledger keeps in its name how the database is reached; the password stays where it was.
pub struct OwnSchemaKind;

/// What stands in the ledger, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SchemaName {
    pub(super) run: RunId,
    pub(super) schema: String,
    pub(super) connection: Connection,
}

impl SchemaName {
    /// As in the ledger.
    pub(super) fn written(&self) -> Result<String, StepError> {
        let text = serde_json::to_string(self).map_err(|e| StepError::broken(e.to_string()))?;
        if text.len() > EFFECT_NAME_BYTES {
            let text =
                format!("the connection takes more than {EFFECT_NAME_BYTES} bytes to write down");
            return Err(StepError::broken(text));
        }
        Ok(text)
    }

    fn read(key: &ResourceKey) -> Result<Self, StepError> {
        serde_json::from_str(&key.name)
            .map_err(|e| StepError::broken(format!("the ledger's entry cannot be read: {e}")))
    }

    /// Does something with the schema.
    pub(super) async fn work(
        &self,
        context: &ResourceContext,
        work: SchemaWork,
    ) -> Result<SchemaState, StepError> {
        let target = self.connection.target()?;
        let login = self.connection.login(context, &target).await?;
        let schema = OwnSchema::of(&self.schema, &self.run);
        let done = context.outside.own_schema(&login, &schema, work).await;
        done.map_err(|error| self.connection.explained(error, &login))
    }
}

impl ResourceKind for OwnSchemaKind {
    fn is_temporary(&self) -> bool {
        true
    }

    fn reach(&self) -> Reach {
        Reach::Login
    }

    fn kind(&self) -> &'static str {
        "sql.schema"
    }

    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        Box::pin(async move {
            let name = SchemaName::read(key)?;
            Ok(match name.work(context, SchemaWork::Find).await? {
                SchemaState::Gone => Found::Gone,
                SchemaState::Ours => Found::Ours { id: name.schema, state: "there".to_owned() },
                SchemaState::Foreign(why) => Found::Foreign { why, claimed: false },
            })
        })
    }

    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            let name = SchemaName::read(key)?;
            match name.work(context, SchemaWork::Remove).await? {
                SchemaState::Foreign(why) => {
                    Err(StepError::broken(format!("the schema is not of this run: {why}")))
                }
                SchemaState::Ours | SchemaState::Gone => Ok(()),
            }
        })
    }

    fn list<'a>(
        &'a self,
        _context: &'a ResourceContext,
        _place: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        let why = "schemas in databases carry no tags: only the journal of their run knows them";
        Box::pin(std::future::ready(Ok(Listing::Impossible(why))))
    }

    fn command(&self, key: &ResourceKey, _id: Option<&str>, _region: &str) -> String {
        let Ok(name) = SchemaName::read(key) else {
            return format!("# drop the schema of the step, as the journal names it: {}", key.name);
        };
        let (host, port) = name.connection.place();
        let (host, database) =
            (HandInput::quote(&host), HandInput::quote(&name.connection.database));
        let user = name.connection.user.or(name.connection.credentials.user);
        let user = user.map_or_else(|| "\"$DB_USER\"".to_owned(), |user| HandInput::quote(&user));
        let (tls, authorities) = match &name.connection.tls {
            TlsInput::Verify => (None, None),
            TlsInput::Ca(file) => (None, Some(HandInput::quote(file))),
            TlsInput::Encrypt => (Some("encrypt"), None),
            TlsInput::Off => (Some("off"), None),
        };
        // Both ask for the password.
        match name.connection.engine {
            DatabaseEngine::Postgres => format!(
                "{} psql --host {host} --port {port} --username {user} --dbname {database} --command {}",
                psql_tls(tls, authorities),
                HandInput::quote(&format!("drop schema \"{}\" cascade", name.schema))
            ),
            DatabaseEngine::Mysql => format!(
                "mysql --host={host} --port={port} --user={user} --password {} --execute {}",
                mysql_tls(tls, authorities),
                HandInput::quote(&format!("drop database `{}`", name.schema))
            ),
        }
    }

    fn permissions(&self) -> &'static [Permission] {
        super::check::PERMISSIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_the_command_asks_for_the_password_and_connects_as_the_step_did() {
        let command = |engine: &str, tls: serde_json::Value| {
            let connection = serde_json::json!({
                "endpoint": "orders.example", "port": null, "engine": engine, "database": "orders", "user": "app",
                "credentials": { "password_from_env": "PW" }, "tls": tls, "connect": null, "ready_within": "5m",
                "statement_timeout": "1m",
            });
            let name = SchemaName {
                run: RunId::new("orders-0001-abcdef"),
                schema: "redrill_x".to_owned(),
                connection: serde_json::from_value(connection).unwrap(),
            };
            let site = crate::ids::SiteName::new("dr");
            let (kind, name) = ("sql.schema".to_owned(), name.written().unwrap());
            OwnSchemaKind.command(&ResourceKey { kind, name, site }, None, "eu-west-1")
        };
        assert_eq!(
            command("mysql", serde_json::json!({ "ca": "rds bundle.pem" })),
            "mysql --host=orders.example --port=3306 --user=app --password --ssl-mode=VERIFY_IDENTITY \
             --ssl-ca='rds bundle.pem' --execute 'drop database `redrill_x`'"
        );
        assert_eq!(
            command("postgres", "verify".into()),
            "PGSSLMODE=verify-full PGSSLROOTCERT=system psql --host orders.example --port 5432 --username app \
             --dbname orders --command 'drop schema \"redrill_x\" cascade'"
        );
        assert!(command("mysql", "off".into()).contains("--password --ssl-mode=DISABLED "));
    }

    #[test]
    fn regression_a_recovery_does_not_keep_the_schema_of_a_trial_in_what_is_production_now() {
        assert!(OwnSchemaKind.is_temporary());
    }
}
