use super::checksums::ChecksumsInput;
use super::connection::input_with_connection;
use super::reference::{Reference, Wanted, take};
use super::rows::RowsInput;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, Phase, Probe, SiteUse,
    StepContext, StepError,
};
use crate::ids::Digest;
use crate::journal::Check;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// `sql.capture_reference`: takes down how a database is built and what it holds, while it is still there.
pub struct CaptureReference;

input_with_connection! {
    /// What a step of `sql.capture_reference` is given.
    pub struct CaptureReferenceInput {
        /// Takes down the numbers of rows. `{}` counts all tables.
        #[serde(default)]
        pub rows: Option<RowsInput>,
        /// Takes down ordered checksums of ranges of keys. `{}` reads all tables as a whole.
        #[serde(default)]
        pub checksums: Option<ChecksumsInput>,
    }
}

/// What a step of `sql.capture_reference` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CaptureReferenceOutput {
    /// What was taken down: give it to `reference` of `sql.check`.
    pub reference: Reference,
    /// Digest of the schema.
    pub fingerprint: Digest,
    /// How many objects the schema has.
    pub objects: u64,
    /// How many tables were counted or read.
    pub tables: u64,
}

const ABOUT: &str = "\
Takes down how the database is built, and if asked for, the numbers of rows and ordered checksums of ranges of keys, so that \
the restored copy can be compared with it after the disaster, when the source must not be asked any more. The same can be kept \
in a file, with `redrill sql fingerprint`.

A table that goes on changing is not as it was in an older recovery point: give `only` for its checksums, and a tolerance for \
its rows. Where the data class withholds values, ranges of keys stand on round numbers, and a table whose key is no whole \
number is read as one. A table that is named and is not there leaves the step inconclusive.";

impl Action for CaptureReference {
    type Input = CaptureReferenceInput;
    type Output = CaptureReferenceOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "sql.capture_reference",
            title: "Take down what the database holds, to compare the restored one with it",
            about: ABOUT,
            phase: Phase::Prepare,
            site: SiteUse::Optional,
            timeout: Duration::from_secs(60 * 60),
            effect: Effect::None,
            creates: &[],
            permissions: super::check::PERMISSIONS,
            checks: &[
                ("database answers", "a query is answered within ready_within"),
                (
                    "reference",
                    "there is something to compare with: objects, and rows where asked for, of every table that is named",
                ),
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
        input: CaptureReferenceInput,
    ) -> Result<CaptureReferenceOutput, StepError> {
        let (mut session, _) = input.connection().open_checked(context).await?;
        let wanted = Wanted {
            rows: input.rows.clone(),
            checksums: input.checksums.clone(),
            without_keys: context.facts.withhold_data,
        };
        let now = context.clock.now();
        let progress = |text: &str| context.progress(text);
        let structure = session.structure().await?;
        let not_there = wanted.not_there(&structure);
        let reference = take(&mut *session, &structure, &wanted, now, &progress).await?;
        let reference = reference.of_database(&input.endpoint, &input.database);
        context.check(judge(&input, &reference, &not_there)).await?;
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        Ok(CaptureReferenceOutput {
            fingerprint: reference.fingerprint,
            objects: count(reference.schema.len()),
            tables: count(reference.tables.len()),
            reference,
        })
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::before::grants(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::before::preflight_of_source(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::by_hand_ladder::capture_reference(input)
    }
}

/// A reference of nothing would let everything pass, and so would one without a table that was asked for by its name.
fn judge(input: &CaptureReferenceInput, reference: &Reference, not_there: &[String]) -> Check {
    const NAME: &str = "reference";
    let rows: u64 = reference
        .tables
        .values()
        .map(|table| {
            table.rows.unwrap_or_else(|| table.ranges.iter().map(|range| range.rows).sum())
        })
        .fold(0, u64::saturating_add);
    let objects = u64::try_from(reference.schema.len()).unwrap_or(u64::MAX);
    let with_rows = input.rows.is_some() || input.checksums.is_some();
    let (expected, population) = match with_rows {
        true => ("objects and rows", rows),
        false => ("objects", objects),
    };
    let observed = format!("{objects} objects, {} tables with {rows} rows", reference.tables.len());
    let check = match not_there {
        [] => Check::made(NAME, expected, observed, true).over(population),
        names => {
            let names = names.join(", ");
            let why =
                format!("no such table is there: {names}; taken down of the others: {observed}");
            Check::not_made(NAME, expected, why)
        }
    };
    match reference.what_was_not_seen() {
        None => check,
        Some(unseen) => {
            let taken = check.note.as_ref().map(|note| format!("{note}; ")).unwrap_or_default();
            check.note(format!("{taken}{unseen}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference::TableReference;
    use super::super::tests::written;
    use super::*;
    use crate::journal::Outcome;
    use crate::outside::ladder::fingerprint;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn regression_a_named_table_that_is_not_there_does_not_let_the_capture_pass() {
        let rows = json!({"rows": {"tables": ["orders", "heartbeet"]}});
        let input: CaptureReferenceInput = serde_json::from_value(written(rows)).unwrap();
        let schema = BTreeMap::from([("column public.orders.id".to_owned(), "integer".to_owned())]);
        let orders = TableReference { rows: Some(3), ..TableReference::default() };
        let reference = Reference {
            redrill_sql_reference: 3,
            version: "15.4".into(),
            endpoint: None,
            database: None,
            taken: chrono::DateTime::UNIX_EPOCH,
            fingerprint: fingerprint(&schema),
            schema,
            not_seen: BTreeMap::new(),
            tables: BTreeMap::from([("public.orders".to_owned(), orders)]),
        };
        let whole = judge(&input, &reference, &[]);
        assert_eq!((whole.outcome, whole.population), (Outcome::Passed, Some(3)));
        let check = judge(&input, &reference, &["heartbeet".to_owned()]);
        assert_eq!(check.outcome, Outcome::Inconclusive);
        let note = check.note.unwrap();
        assert!(note.contains("heartbeet") && note.contains("1 tables with 3 rows"), "{note}");
    }
}
