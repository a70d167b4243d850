//! A session, what is noted while it is asked, and the rungs that need nothing but the database itself.

use super::input::{PointInput, QueryInput};
use super::judge::{
    NoValue, from_the_backup, json, no_value, one_value, population, shown, watermark,
};
use super::soundness::{InspectInput, judge_inspection, judge_sequences};
use crate::action::{StepContext, StepError};
use crate::expectation::Expectation;
use crate::journal::{Check, ClockPoint, Measure, Outcome, RecoveryPoint};
use crate::outside::ladder::{Structure, Table};
use crate::outside::{DatabaseEngine, DatabaseSession, OutsideError, SqlValue};
use chrono::{DateTime, SecondsFormat, Utc};
use std::time::Duration;

/// A session, and what is noted while it is asked.
pub(super) struct Asking<'c> {
    pub(super) context: &'c StepContext,
    pub(super) began: Duration,
    pub(super) readable_after: Option<Duration>,
    pub(super) session: Box<dyn DatabaseSession>,
    /// Read once, when the first rung needs it.
    structure: Option<Structure>,
}

impl<'c> Asking<'c> {
    pub(super) fn new(
        context: &'c StepContext,
        began: Duration,
        session: Box<dyn DatabaseSession>,
    ) -> Self {
        Self { context, began, readable_after: None, session, structure: None }
    }

    fn withholds(&self) -> bool {
        self.context.facts.withhold_data
    }

    /// What a number or key of the data looks like in the journal.
    pub(super) fn data(&self, value: &str) -> String {
        self.context.data(value)
    }

    pub(super) async fn version(
        &mut self,
        engine: DatabaseEngine,
    ) -> Result<Option<String>, StepError> {
        let sql = match engine {
            DatabaseEngine::Postgres => "show server_version",
            DatabaseEngine::Mysql => "select version()",
        };
        match self.session.query(sql).await {
            Ok(rows) => Ok(rows.single().map(shown)),
            // Worth knowing, but only what was asked of it depends on it.
            Err(OutsideError::NotRehearsed(_) | OutsideError::Failed(_)) => {
                match self.session.setting("server_version").await {
                    Ok(version) => Ok(version),
                    Err(OutsideError::NotRehearsed(_) | OutsideError::Failed(_)) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn setting(
        &mut self,
        name: &str,
        expected: &Expectation,
    ) -> Result<Check, StepError> {
        let check = format!("setting {name}");
        match self.session.setting(name).await {
            Ok(Some(value)) => Ok(expected.judge(&check, &value.as_str().into(), value.clone())),
            Ok(None) => {
                let why = "the server has no setting of this name that it gives to every session";
                Ok(Check::not_made(check, expected.to_string(), why))
            }
            Err(error) => {
                Ok(no_value(error, self.withholds())?.check(&check, &expected.to_string()))
            }
        }
    }

    /// How the database is built, read once; an inner error is for the check that needed it.
    pub(super) async fn structure(&mut self) -> Result<Result<Structure, NoValue>, StepError> {
        if let Some(structure) = &self.structure {
            return Ok(Ok(structure.clone()));
        }
        match self.session.structure().await {
            Ok(structure) => {
                self.structure = Some(structure.clone());
                Ok(Ok(structure))
            }
            Err(error) => Ok(Err(no_value(error, self.withholds())?)),
        }
    }

    /// The first answer that came from the data is a moment of the recovery.
    pub(super) async fn note_readable(&mut self) -> Result<(), StepError> {
        if self.readable_after.is_none() {
            let elapsed = self.context.clock.elapsed().saturating_sub(self.began);
            self.readable_after = Some(elapsed);
            let now = self.context.clock.now();
            self.context.reached(ClockPoint::DataReadable, now, "first answer of a query").await?;
        }
        Ok(())
    }

    /// Asks for one value of the data. The outer error ends the step, the inner one is for the check.
    async fn value(&mut self, sql: &str) -> Result<Result<SqlValue, NoValue>, StepError> {
        let answer = self.session.query(sql).await;
        if answer.is_ok() {
            self.note_readable().await?;
        }
        match one_value(answer, self.withholds()) {
            Ok(value) => Ok(Ok(value)),
            Err(Ok(no_value)) => Ok(Err(no_value)),
            Err(Err(lost)) => Err(lost.into()),
        }
    }

    pub(super) async fn newest(
        &mut self,
        sql: &str,
        identity: String,
    ) -> Result<Option<DateTime<Utc>>, StepError> {
        const NAME: &str = "newest data";
        const EXPECTED: &str = "a committed time";
        let value = self.value(sql).await?;
        match value.and_then(|value| watermark(&value, self.context.clock.now())) {
            Ok(at) => {
                if let Some(why) = self.is_no_time_of_rows(sql).await? {
                    self.context.check(Check::not_made(NAME, EXPECTED, why)).await?;
                    return Ok(None);
                }
                let observed = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
                self.context.check(Check::made(NAME, EXPECTED, observed, true)).await?;
                if !self.comes_from_the_backup(at).await? {
                    return Ok(None);
                }
                let (source, measure) = (sql.to_owned(), Measure::Data);
                let point = RecoveryPoint {
                    at,
                    source,
                    measure,
                    identity,
                    worst_case: None,
                    not_newer_than: None,
                    kept_at: None,
                    goes_on: false,
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

    /// Whether data of this time can have come from the backup, as far as an earlier step has established its recovery point.
    async fn comes_from_the_backup(&mut self, newest: DateTime<Utc>) -> Result<bool, StepError> {
        let Some(backup) = self.context.recorder.backup_point("endpoint") else { return Ok(true) };
        let (check, finding) = from_the_backup(newest, &backup);
        let holds = finding.is_none();
        self.context.check(check).await?;
        if let Some(finding) = finding {
            self.context.finding(finding).await?;
        }
        Ok(holds)
    }

    /// A row from before the point must be there, and none from after it. What is not there after it means something only
    /// when something is there before it.
    pub(super) async fn point_in_time(
        &mut self,
        point: &PointInput,
    ) -> Result<[Check; 2], StepError> {
        const BEFORE: (&str, &str) = ("row from before the point", "at least one");
        const AFTER: (&str, &str) = ("no row from after the point", "none");
        let before = self.value(&point.before).await?.and_then(|value| population(&value));
        let after = self.value(&point.after).await?.and_then(|value| population(&value));
        let [no_before, no_after] = self.sides_prove_nothing(point).await?;
        let there = before.as_ref().ok().filter(|_| no_before.is_none()).copied().unwrap_or(0);
        let before = match (before, no_before) {
            (Ok(1..), Some(why)) => Check::not_made(BEFORE.0, BEFORE.1, why),
            (Ok(count), _) => Check::made(BEFORE.0, BEFORE.1, count.to_string(), count > 0),
            (Err(why), _) => why.check(BEFORE.0, BEFORE.1),
        };
        let after = match (after, no_after) {
            (Ok(0), Some(why)) => Check::not_made(AFTER.0, AFTER.1, why),
            (Ok(count), _) => {
                Check::made(AFTER.0, AFTER.1, count.to_string(), count == 0).over(there)
            }
            (Err(why), _) => why.check(AFTER.0, AFTER.1),
        };
        Ok([before, after])
    }

    pub(super) async fn sequences(&mut self) -> Result<Check, StepError> {
        self.context.progress("looking at sequences");
        match self.session.sequences().await {
            Ok(all) => {
                self.note_readable().await?;
                Ok(judge_sequences(&all, |number| self.data(number)))
            }
            Err(error) => {
                let why = no_value(error, self.withholds())?;
                Ok(why.check("sequences", "none behind its column"))
            }
        }
    }

    pub(super) async fn inspect(&mut self, input: &InspectInput) -> Result<Check, StepError> {
        self.context.progress("letting the server inspect tables and indexes");
        let structure = match self.structure().await? {
            Ok(structure) => structure,
            Err(why) => return Ok(why.check("tables and indexes", "no damage")),
        };
        let meant = structure.tables.iter().filter(|table| input.tables.mean(&table.name));
        let meant: Vec<Table> = meant.cloned().collect();
        let names: Vec<_> = structure.tables.iter().map(|table| &table.name).collect();
        let missing = input.tables.missing(&names);
        match self.session.inspect(&meant).await {
            Ok(inspection) => {
                // Rows of what was not inspected say nothing of what was.
                let inspected: Vec<&Table> = meant
                    .iter()
                    .filter(|one| !inspection.without.contains_key(&one.name))
                    .collect();
                let check = judge_inspection(&missing, input.tables.are_named(), inspection);
                if check.outcome != Outcome::Passed {
                    return Ok(check);
                }
                Ok(match self.no_row_in(&inspected).await? {
                    None => check,
                    Some(why) => Check::not_made(check.name, check.expected, why),
                })
            }
            Err(error) => {
                Ok(no_value(error, self.withholds())?.check("tables and indexes", "no damage"))
            }
        }
    }

    /// Why no row is known of in any of these tables, if so.
    async fn no_row_in(&mut self, tables: &[&Table]) -> Result<Option<String>, StepError> {
        let mut unread = None;
        for table in tables {
            match self.session.has_rows(table).await {
                Ok(true) => return Ok(None),
                Ok(false) => {}
                Err(error) => {
                    let why = no_value(error, self.withholds())?.why;
                    unread.get_or_insert_with(|| format!("{}: {why}", table.name));
                }
            }
        }
        Ok(Some(match unread {
            None => "none of the tables that were inspected holds a row".to_owned(),
            Some(why) => format!("whether they hold rows could not be read: {why}"),
        }))
    }

    pub(super) async fn judge(
        &mut self,
        query: &QueryInput,
        expected: &Expectation,
    ) -> Result<Check, StepError> {
        self.context.progress(&format!("asking: {}", query.name));
        let value = match self.value(&query.sql).await? {
            Ok(value) => value,
            Err(no_value) => return Ok(no_value.check(&query.name, &expected.to_string())),
        };
        let observed = self.context.data(&shown(&value));
        let check = expected.judge(&query.name, &json(&value), observed);
        let Some(sql) = &query.population else {
            if check.outcome != Outcome::Passed {
                return Ok(check);
            }
            return Ok(match self.proves_nothing(&query.sql, &value).await? {
                Some(why) => Check::not_made(&query.name, &check.expected, why),
                None => check,
            });
        };
        match self.value(sql).await?.and_then(|value| population(&value)) {
            Ok(count) if check.outcome == Outcome::Passed && count > 0 => {
                Ok(match self.counts_nothing(sql).await? {
                    Some(why) => {
                        let why = format!("population: {why}");
                        Check::not_made(&query.name, &check.expected, why)
                    }
                    None => check.over(count),
                })
            }
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
