//! The rungs that compare with a reference, or with a database that is still there.

use super::asking::Asking;
use super::checksums::{self, Against, ChecksumsInput, Compared, sampled};
use super::input::{Input, SourceInput};
use super::judge::{NoValue, no_value};
use super::reference::{Reference, TableReference, Wanted, take};
use super::rows::{Counted, RowsInput, judge as judge_rows};
use super::schema;
use crate::action::{StepContext, StepError};
use crate::journal::Check;
use crate::outside::DatabaseSession;
use crate::outside::ladder::{KeyRange, Structure};

/// What the database is compared with.
pub(super) struct Original {
    pub(super) reference: Reference,
    /// The source and its tables, where it is still there: its checksums are read together with those of the restored
    /// database.
    live: Option<(Box<dyn DatabaseSession>, Vec<String>)>,
}

impl Original {
    /// Reads the reference, or what is needed of the source. `None` when no rung compares.
    pub(super) async fn of(
        context: &StepContext,
        input: &Input,
    ) -> Result<Option<Self>, StepError> {
        match (&input.reference, &input.source) {
            (None, None) if !input.compares() => Ok(None),
            (Some(reference), None) => {
                Ok(Some(Self { reference: reference.read(context)?, live: None }))
            }
            (None, Some(source)) => Ok(Some(Self::source(context, input, source).await?)),
            _ => Err(StepError::broken(
                "give exactly one of reference and source: schema, rows and checksums compare with it",
            )),
        }
    }

    async fn source(
        context: &StepContext,
        input: &Input,
        source: &SourceInput,
    ) -> Result<Self, StepError> {
        if context.site_named(&source.at)?.is_lost() {
            let text = format!(
                "the source is at {}, which is lost: a comparison with it proves nothing",
                source.at
            );
            return Err(StepError::broken(text)
                .help("take a reference of it before the disaster: sql.capture_reference"));
        }
        let (mut session, _) = source.connection().open(context, "the source").await?;
        let wanted = Wanted {
            rows: input.rows.clone(),
            checksums: None,
            without_keys: context.facts.withhold_data,
        };
        let progress = |text: &str| context.progress(&format!("source: {text}"));
        let now = context.clock.now();
        let reference = take(&mut *session, &wanted, now, &progress).await?;
        let structure = session.structure().await?;
        let tables = structure.tables.iter().map(|table| table.name.to_string()).collect();
        Ok(Self { reference, live: Some((session, tables)) })
    }
}

impl Asking<'_> {
    pub(super) async fn compare_schema(
        &mut self,
        input: &schema::SchemaInput,
        reference: &Reference,
    ) -> Result<Check, StepError> {
        let (name, expected) = ("schema", "as in the reference");
        Ok(match self.structure().await? {
            Ok(structure) => schema::judge(input, &reference.schema, &structure.objects),
            Err(why) => why.check(name, expected),
        })
    }

    pub(super) async fn compare_rows(
        &mut self,
        input: &RowsInput,
        reference: &Reference,
    ) -> Result<Check, StepError> {
        let structure = match self.structure().await? {
            Ok(structure) => structure,
            Err(why) => return Ok(why.check("row counts", "those of the reference")),
        };
        let mut counted = Vec::new();
        for (table, known) in &reference.tables {
            let Some(expected) = known.rows.filter(|_| input.tables.mean_text(table)) else {
                continue;
            };
            self.context.progress(&format!("counting {table}"));
            let found = self.count(&structure, table).await?;
            counted.push(Counted { table: table.clone(), expected, found });
        }
        let named = input.tables.0.iter().flatten();
        let known = |name: &&String| {
            let mut tables = reference.tables.iter();
            tables.any(|(table, known)| known.rows.is_some() && named_so(table, name))
        };
        let unknown: Vec<_> = named.filter(|name| !known(name)).map(String::as_str).collect();
        let check = judge_rows(input, &counted);
        Ok(match unknown.is_empty() {
            true => check,
            false => {
                let why =
                    format!("the reference knows no number of rows of {}", unknown.join(", "));
                Check::not_made("row counts", check.expected, why)
            }
        })
    }

    /// A table that is not there has no rows: that is an observation.
    async fn count(
        &mut self,
        structure: &Structure,
        table: &str,
    ) -> Result<Result<u64, NoValue>, StepError> {
        let found = structure.tables.iter().find(|found| found.name.to_string() == table);
        let Some(found) = found else { return Ok(Ok(0)) };
        match self.session.count(found).await {
            Ok(count) => {
                self.note_readable().await?;
                Ok(Ok(count))
            }
            Err(error) => Ok(Err(no_value(error, self.context.facts.withhold_data)?)),
        }
    }

    pub(super) async fn compare_checksums(
        &mut self,
        input: &ChecksumsInput,
        original: &mut Original,
    ) -> Result<Check, StepError> {
        let structure = match self.structure().await? {
            Ok(structure) => structure,
            Err(why) => return Ok(why.check("checksums", "those of the reference")),
        };
        let (mut compared, mut missing) = (Vec::new(), Vec::new());
        if let Some((source, tables)) = &mut original.live {
            compared = self.compare_live(input, &mut **source, tables, &structure).await?;
            missing.extend(missing_of(input, tables, &structure));
        } else {
            for (name, known) in &original.reference.tables {
                if known.ranges.is_empty() || !input.tables.mean_text(name) {
                    continue;
                }
                match self.compare_known(input, name, known, &structure).await? {
                    Ok(ranges) => compared.extend(ranges),
                    Err(why) => missing.push(why),
                }
            }
            let unknown = unknown_of(input, &original.reference);
            if !unknown.is_empty() {
                let why = format!("the reference holds no checksums of {}", unknown.join(", "));
                return Ok(Check::not_made("checksums", "those of the reference", why));
            }
        }
        Ok(checksums::judge(input, &missing, &compared, |keys| self.keys(keys)))
    }

    /// Keys are data.
    fn keys(&self, keys: &KeyRange) -> String {
        match keys {
            KeyRange { from: None, to: None } => keys.to_string(),
            keys => self.data(&keys.to_string()),
        }
    }

    async fn compare_known(
        &mut self,
        input: &ChecksumsInput,
        name: &str,
        known: &TableReference,
        structure: &Structure,
    ) -> Result<Result<Vec<Compared>, String>, StepError> {
        let found = structure.tables.iter().find(|found| found.name.to_string() == name);
        let Some(table) = found else { return Ok(Err(format!("{name} is not there"))) };
        if input.only_of(&table.name) != known.only.as_deref() {
            let text = format!(
                "checksums: the reference was taken of {name} with another condition than only: says ({:?})",
                known.only.as_deref().unwrap_or("none")
            );
            return Err(StepError::broken(text));
        }
        self.context.progress(&format!("reading {name}"));
        let ranges = sampled(known.ranges.clone(), input.sample, self.context.facts.seed);
        let only = known.only.as_deref();
        let withhold = self.context.facts.withhold_data;
        let against = Against::Known(ranges);
        let all = checksums::compare(&mut *self.session, against, table, only, withhold).await?;
        self.note_readable().await?;
        Ok(Ok(all))
    }

    async fn compare_live(
        &mut self,
        input: &ChecksumsInput,
        source: &mut dyn DatabaseSession,
        tables: &[String],
        structure: &Structure,
    ) -> Result<Vec<Compared>, StepError> {
        let mut compared = Vec::new();
        let withhold = self.context.facts.withhold_data;
        for table in structure.tables.iter().filter(|table| input.tables.mean(&table.name)) {
            if !tables.contains(&table.name.to_string()) {
                continue;
            }
            self.context.progress(&format!("reading {}", table.name));
            // Keys by the source: what is beyond the copy's own would go unnoticed.
            let ranges = match checksums::ranges(&mut *source, table, input.ranges, false).await {
                Ok(ranges) => ranges,
                Err(error) => {
                    let why = no_value(error, withhold)?;
                    compared.push(Compared::without_keys(&table.name.to_string(), &why));
                    continue;
                }
            };
            let ranges = sampled(ranges, input.sample, self.context.facts.seed);
            let only = input.only_of(&table.name);
            let against = Against::Live(&mut *source, ranges);
            let all =
                checksums::compare(&mut *self.session, against, table, only, withhold).await?;
            self.note_readable().await?;
            compared.extend(all);
        }
        Ok(compared)
    }
}

fn named_so(table: &str, name: &str) -> bool {
    table == name || table.rsplit_once('.').is_some_and(|(_, alone)| alone == name)
}

/// Tables of the source that are not here, and tables that were asked for by name and are on neither side.
fn missing_of(input: &ChecksumsInput, of_source: &[String], structure: &Structure) -> Vec<String> {
    let here: Vec<_> = structure.tables.iter().map(|table| table.name.to_string()).collect();
    let meant = of_source.iter().filter(|table| input.tables.mean_text(table));
    let gone = meant.filter(|table| !here.contains(*table));
    let mut missing: Vec<String> = gone.map(|table| format!("{table} is not there")).collect();
    let nowhere = input.tables.0.iter().flatten().filter(|name| {
        let mut anywhere = here.iter().chain(of_source);
        !anywhere.any(|table| named_so(table, name))
    });
    missing.extend(nowhere.map(|name| format!("{name} is neither here nor in the source")));
    missing
}

/// Tables that were asked for by name, and of which the reference holds no checksums.
fn unknown_of<'i>(input: &'i ChecksumsInput, reference: &Reference) -> Vec<&'i str> {
    let named = input.tables.0.iter().flatten();
    let known = |name: &&String| {
        let mut tables = reference.tables.iter();
        tables.any(|(table, known)| !known.ranges.is_empty() && named_so(table, name))
    };
    named.filter(|name| !known(name)).map(String::as_str).collect()
}
