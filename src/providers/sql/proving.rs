//! Whether what a statement gave was selected from tables of the database: as its text tells, and as the database does.

use super::asking::Asking;
use super::counted::{are_others, counted};
use super::input::PointInput;
use super::judge::NoValue;
use super::newest::{NO_TIME_OF_ROWS, tables_of_times};
use super::selecting::is_table;
use super::vacuous::{is_vacuous, tables_of};
use crate::action::StepError;
use crate::journal::FailureClass;
use crate::outside::SqlValue;

/// Why what an aggregate gives over nothing does not pass by itself.
const NEEDS_POPULATION: &str = "an empty table gives this value, too: add population:, a query that counts what it is taken over";

/// Why a number is no count of rows.
pub(super) const COUNTS_NOTHING: &str =
    "this counts no rows: no table is read, or it may give a number above zero where no row is";

/// How a count is written.
pub(super) const COUNT_HELP: &str =
    "count rows of a table, as select count(*) from orders does, without an outer join";

/// Why what is not there after a point in time means nothing.
pub(super) const NOTHING_AFTER: &str =
    "that no row is there says something only of tables of which before: has counted rows";

/// What is known of the names that a statement takes its rows from.
enum Sources {
    Tables,
    /// One is none.
    Other(String),
    Unknown(String),
}

impl Asking<'_> {
    async fn sources(&mut self, names: Vec<String>) -> Result<Sources, StepError> {
        if names.is_empty() {
            return Ok(Sources::Tables);
        }
        let structure = match self.structure().await {
            Ok(Ok(structure)) => structure,
            Ok(Err(NoValue { why, .. })) => return Ok(Sources::Unknown(why)),
            Err(error) if error.class() == FailureClass::NotRehearsed => {
                return Ok(Sources::Unknown(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        let other = names.into_iter().find(|name| !is_table(&structure, name));
        Ok(other.map_or(Sources::Tables, Sources::Other))
    }

    /// Why a value that was expected proves nothing without a population, if so: nothing at all gives it, too, or what it was
    /// selected from is no table, or that cannot be known.
    pub(super) async fn proves_nothing(
        &mut self,
        sql: &str,
        value: &SqlValue,
    ) -> Result<Option<String>, StepError> {
        if is_vacuous(sql, value) {
            return Ok(Some(NEEDS_POPULATION.to_owned()));
        }
        let Some(tables) = tables_of(sql) else { return Ok(None) };
        Ok(match self.sources(tables).await? {
            Sources::Tables => None,
            Sources::Other(name) => Some(format!(
                "{name} is no table of this database: a view, for one, may give this value over nothing, too; add \
                 population:, a query that counts what it is taken over"
            )),
            Sources::Unknown(why) => Some(format!(
                "whether it was selected from a table is not known ({why}): add population:, a query that counts what it is taken over"
            )),
        })
    }

    /// Why a count of rows above zero is none, if so.
    pub(super) async fn counts_nothing(&mut self, sql: &str) -> Result<Option<String>, StepError> {
        let Some(tables) = counted(sql) else {
            return Ok(Some(format!("{COUNTS_NOTHING}; {COUNT_HELP}")));
        };
        self.not_of_tables(tables, true).await
    }

    /// The same of the rows on both sides of a point in time, the side before it first.
    pub(super) async fn sides_prove_nothing(
        &mut self,
        point: &PointInput,
    ) -> Result<[Option<String>; 2], StepError> {
        let before = match counted(&point.before) {
            Some(tables) => self.not_of_tables(tables, false).await?,
            None => Some(format!("{COUNTS_NOTHING}; {COUNT_HELP}")),
        };
        let after = match counted(&point.after) {
            Some(_) if are_other_tables(&point.before, &point.after) => {
                Some(NOTHING_AFTER.to_owned())
            }
            Some(tables) => self.not_of_tables(tables, false).await?,
            None => Some(format!("{COUNTS_NOTHING}; {COUNT_HELP}")),
        };
        Ok([before, after])
    }

    /// Why a time is none of the rows of a table, if so.
    pub(super) async fn is_no_time_of_rows(
        &mut self,
        sql: &str,
    ) -> Result<Option<String>, StepError> {
        match tables_of_times(sql) {
            Some(tables) => self.not_of_tables(tables, false).await,
            None => Ok(Some(NO_TIME_OF_ROWS.to_owned())),
        }
    }

    /// Where it cannot be known, a scenario may be taken at its word.
    async fn not_of_tables(
        &mut self,
        tables: Vec<String>,
        believes: bool,
    ) -> Result<Option<String>, StepError> {
        Ok(match self.sources(tables).await? {
            Sources::Tables => None,
            Sources::Unknown(_) if believes => None,
            Sources::Other(name) => Some(format!(
                "{name} is no table of this database: a view, for one, may give a row over nothing; take the rows of tables"
            )),
            Sources::Unknown(why) => {
                Some(format!("whether it was selected from a table is not known: {why}"))
            }
        })
    }
}

/// Whether rows after the point are looked for where none were counted before it.
pub(super) fn are_other_tables(before: &str, after: &str) -> bool {
    counted(before).zip(counted(after)).is_some_and(|(before, after)| are_others(&before, &after))
}
