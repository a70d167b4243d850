//! Reads of rows whose time is taken, and reads of whole tables.

use super::super::database::{Stop, answering};
use super::MysqlSession;
use super::ladder::{quoted, text, texts};
use crate::outside::OutsideError;
use crate::outside::ladder::{Reading, Table};
use std::collections::BTreeSet;
use std::time::Duration;

impl MysqlSession {
    /// A row by its key: the page of the table that holds it is read. The time of a row that came before says nothing, and is
    /// left out: where keys are uneven, many places lead to the same one.
    pub(super) async fn time_reads(
        &mut self,
        reading: &Reading<'_>,
    ) -> Result<Vec<Duration>, OutsideError> {
        let table = reading.table;
        let Some((key, least, most)) = self.ends(table).await? else { return Ok(Vec::new()) };
        let from = quoted(&table.name.name);
        let limit = self.limit;
        let mut connection = self.begin().await?;
        let mut took = Vec::with_capacity(reading.places.len());
        let (mut seen, mut answer) = (BTreeSet::new(), Ok(()));
        for place in reading.places {
            let value = least + (most - least) * i128::from(*place) / 1_000_000;
            let sql = format!(
                "SELECT {key}, {from}.* FROM {from} WHERE {key} >= {value} ORDER BY {key} LIMIT 1"
            );
            let began = reading.clock.elapsed();
            let reads = async { Ok(texts(&mut connection, &sql).await) };
            let read =
                answering(limit, reads).await.unwrap_or_else(|late| Err(Stop::Session(late)));
            let passed = reading.clock.elapsed().saturating_sub(began);
            match read {
                Ok(rows) => {
                    let new = rows.first().is_some_and(|row| seen.insert(text(row, 0).to_owned()));
                    took.extend(new.then_some(passed));
                }
                Err(stop) => {
                    answer = Err(stop);
                    break;
                }
            }
        }
        let took = self.end(connection, answer.map(|()| took)).await?;
        let places = reading.places.len();
        match are_uneven(took.len(), self.rows_up_to(table, places).await?) {
            false => Ok(took),
            true => Err(OutsideError::Failed(format!(
                "its keys are too uneven to choose pages by: {places} places between the first and the last key led to \
                 {} of its rows; measure other tables",
                took.len()
            ))),
        }
    }

    /// How many rows a table has, counted up to a limit.
    async fn rows_up_to(&mut self, table: &Table, most: usize) -> Result<usize, OutsideError> {
        let from = quoted(&table.name.name);
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {from} LIMIT {most}) x");
        let rows = self.catalog(&sql).await?;
        let count = rows.first().and_then(|row| text(row, 0).parse().ok());
        count.ok_or_else(|| OutsideError::Failed(format!("{} was not counted", table.name)))
    }

    pub(super) async fn read_part(
        &mut self,
        table: &Table,
        part: u32,
        parts: u32,
    ) -> Result<(), OutsideError> {
        let Some((key, least, most)) = self.ends(table).await? else { return Ok(()) };
        let span = most - least + 1;
        let bound = |part: u32| least + span * i128::from(part) / i128::from(parts.max(1));
        let sql = format!(
            "SELECT count(*) FROM {} FORCE INDEX (PRIMARY) WHERE {key} >= {} AND {key} < {}",
            quoted(&table.name.name),
            bound(part),
            bound(part + 1)
        );
        self.catalog(&sql).await.map(drop)
    }

    /// The key of a table, quoted, and its ends. `None` for an empty table.
    async fn ends(&mut self, table: &Table) -> Result<Option<(String, i128, i128)>, OutsideError> {
        let Some(key) = table.key.first().filter(|_| table.whole_number_key) else {
            return Err(OutsideError::Failed(format!(
                "{} has no key of whole numbers, by which pages could be chosen",
                table.name
            )));
        };
        let key = quoted(key);
        let sql = format!("SELECT min({key}), max({key}) FROM {}", quoted(&table.name.name));
        let rows = self.catalog(&sql).await?;
        let ends = rows.first().map(|row| (text(row, 0).parse(), text(row, 1).parse()));
        Ok(match ends {
            Some((Ok(least), Ok(most))) => Some((key, least, most)),
            _ => None,
        })
    }
}

/// Whether places that were chosen at random led to fewer rows than chance explains: of as many even rows as places, about 63 of
/// 100 are met.
fn are_uneven(met: usize, rows: usize) -> bool {
    met.saturating_mul(3) < rows
}

#[cfg(test)]
mod tests {
    use super::are_uneven;

    #[test]
    fn regression_places_that_lead_to_the_same_row_are_uneven_and_a_small_table_is_not() {
        assert!(are_uneven(1, 200) && are_uneven(66, 200));
        assert!(!are_uneven(67, 200) && !are_uneven(126, 200));
        assert!(!are_uneven(3, 3) && !are_uneven(1, 1) && !are_uneven(0, 0));
    }
}
