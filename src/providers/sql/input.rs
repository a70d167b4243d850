use super::checksums::ChecksumsInput;
use super::connection::input_with_connection;
use super::credentials::Credentials;
use super::origin::ReferenceOf;
use super::reference::ReferenceInput;
use super::rows::RowsInput;
use super::schema::SchemaInput;
use super::soundness::InspectInput;
use crate::ids::SiteName;
use crate::providers::earlier::EarlierRun;
use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

input_with_connection! {
    /// What a step of `sql.check` is given.
    pub struct Input {
        /// Further credentials that are tried, each a check: which of them work in a restored database, and from which
        /// region's secret, is known only then.
        #[serde(default)]
        pub logins: Vec<LoginInput>,
        /// What the server's version must be: `"~ ^16"`.
        #[serde(default)]
        pub version: Option<Value>,
        /// What settings of the server must be, by their names: `{ data_checksums: "= on" }`.
        #[serde(default)]
        pub settings: BTreeMap<String, Value>,
        /// What the database is compared with: a file that `redrill sql fingerprint` has written, or what a step of
        /// `sql.capture_reference` gives. `schema`, `rows` and `checksums` need it, or `source`.
        #[serde(default)]
        pub reference: Option<ReferenceInput>,
        /// What the database is compared with, as a step of an earlier run has taken it down with `sql.capture_reference`. It is
        /// read only when `reference` gives nothing: `"{{default steps.baseline.reference null}}"`, where that step could not be run
        /// because its site is lost. With it go `reference_of` and `max_age`.
        #[serde(default)]
        pub earlier: Option<EarlierRun>,
        /// Of which database the reference must have been taken, whether this run has taken it or an `earlier` one: what another one
        /// was like says nothing of this.
        #[serde(default)]
        pub reference_of: Option<ReferenceOf>,
        /// How old the reference may be: what has changed since then, it does not know.
        #[serde(default)]
        pub max_age: Option<HumanDuration>,
        /// A database that is still there to compare with, in place of `reference`. It is not asked once its site is lost.
        #[serde(default)]
        pub source: Option<SourceInput>,
        /// Compares every table, column, index, constraint, view, function and trigger. `{}` ignores nothing.
        #[serde(default)]
        pub schema: Option<SchemaInput>,
        /// Compares the numbers of rows. `{}` compares all tables of the reference (or the source) exactly; a note names those
        /// that are here and not in it.
        #[serde(default)]
        pub rows: Option<RowsInput>,
        /// Compares rows by ordered checksums of ranges of keys. `{}` reads all tables of the reference (or the source) as a
        /// whole; a note names those that are here and not in it.
        #[serde(default)]
        pub checksums: Option<ChecksumsInput>,
        /// Checks that no sequence (or `auto_increment`) is behind the column that it numbers (default false).
        #[serde(default)]
        pub sequences: bool,
        /// Lets the server inspect tables and indexes for damage: PostgreSQL by the extension amcheck, MySQL by `check
        /// table`. `{}` inspects all tables. It reads everything, so give it time: `statement_timeout`.
        #[serde(default)]
        pub inspect: Option<InspectInput>,
        /// Rows on both sides of the point in time that was recovered to.
        #[serde(default)]
        pub point_in_time: Option<PointInput>,
        /// SQL that gives the newest committed time in the data, such as `select max(committed_at) from heartbeat`: one row
        /// with one column. Times without an offset are taken as UTC. It gives a time of rows in tables, and none where there is no
        /// row: not the server's clock, and no `coalesce(max(committed_at), now())`.
        #[serde(default)]
        pub watermark: Option<String>,
        /// Queries whose one value is checked.
        #[serde(default)]
        pub queries: Vec<QueryInput>,
    }
}

input_with_connection! {
    /// A database to compare with.
    pub struct SourceInput {
        /// The site where it is. Once this site is lost, comparing with it is refused.
        #[schemars(extend("format" = "redrill-site"))]
        pub at: SiteName,
    }
}

/// Credentials that are tried.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginInput {
    /// Whose login it is, in a few words: `the application`.
    pub name: String,
    /// The credentials. Without `user`, that of the secret.
    pub credentials: Credentials,
    /// True when the database must refuse them: those that were taken away (default false).
    #[serde(default)]
    pub refused: bool,
}

/// Rows on both sides of a point in time.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PointInput {
    /// SQL that counts rows written just before the point: at least one must be there. It counts rows of tables.
    pub before: String,
    /// SQL that counts rows written after the point: none may be there. It counts rows of tables of `before`.
    pub after: String,
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
    /// makes the check inconclusive, and so does, without a population, an aggregate that gives zero, and whatever else is made
    /// of an aggregate, of `exists` or of a query within, or selected from no table (a function, a view), behind an outer join or because of
    /// `not exists` or `not in`: an empty table gives a value there, too. It counts rows of tables: `select count(*) from orders`.
    #[serde(default)]
    pub population: Option<String>,
}

impl Input {
    /// True when a rung compares with another database.
    pub(super) fn compares(&self) -> bool {
        self.schema.is_some() || self.rows.is_some() || self.checksums.is_some()
    }
}
