//! Reads of pages whose time is taken, and reads of whole tables.

use super::super::database::{Stop, answering};
use super::PostgresSession;
use super::catalog::files_sql;
use super::ladder::{CATALOG, literal, table_in_sql, text};
use crate::outside::OutsideError;
use crate::outside::ladder::{Reading, Table, TableName};
use sqlx::{AssertSqlSafe, raw_sql};
use std::time::Duration;

/// A file with rows of a table: the table itself, or one of its partitions.
#[derive(Debug, PartialEq)]
struct File {
    /// As it stands in SQL.
    from: String,
    pages: u64,
}

impl PostgresSession {
    /// A row by its place in the file: the page is read whether or not the row is there.
    pub(super) async fn time_reads(
        &mut self,
        reading: &Reading<'_>,
    ) -> Result<Vec<Duration>, OutsideError> {
        let files = self.files(reading.table).await?;
        let limit = self.limit;
        let mut connection = self.begin(CATALOG).await?;
        let mut took = Vec::with_capacity(reading.places.len());
        let mut answer = Ok(());
        for place in reading.places {
            let Some((file, page)) = page_at(&files, *place) else { break };
            let sql = format!("SELECT count(*) FROM {} WHERE ctid = '({page},1)'::tid", file.from);
            let began = reading.clock.elapsed();
            let reads = async {
                let read = raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
                Ok(read.map(drop).map_err(|error| Stop::from(&error)))
            };
            answer = answering(limit, reads).await.unwrap_or_else(|late| Err(Stop::Session(late)));
            if answer.is_err() {
                break;
            }
            took.push(reading.clock.elapsed().saturating_sub(began));
        }
        self.end(connection, answer.map(|()| took)).await
    }

    /// By pages: from PostgreSQL 14 on, only these are read.
    /// <https://www.postgresql.org/docs/14/release-14.html>, "TID range scans"
    pub(super) async fn read_part(
        &mut self,
        table: &Table,
        part: u32,
        parts: u32,
    ) -> Result<(), OutsideError> {
        for file in self.files(table).await? {
            let bound = |part: u32| file.pages * u64::from(part) / u64::from(parts.max(1));
            let sql = format!(
                "SELECT count(*) FROM {} WHERE ctid >= '({},0)'::tid AND ctid < '({},0)'::tid",
                file.from,
                bound(part),
                bound(part + 1)
            );
            self.catalog(&sql).await?;
        }
        Ok(())
    }

    /// The files of a table. Those of foreign partitions are on another server.
    async fn files(&mut self, table: &Table) -> Result<Vec<File>, OutsideError> {
        let name = literal(&table_in_sql(&table.name));
        let mut files = Vec::new();
        for row in self.catalog(&files_sql(&name)).await? {
            let name = TableName::in_schema(text(&row, 0), text(&row, 1));
            let Ok(pages) = text(&row, 3).parse() else {
                let text = format!("the pages of {name} are not in this database");
                return Err(OutsideError::Failed(text));
            };
            files.push(File { from: table_in_sql(&name), pages });
        }
        Ok(files)
    }
}

/// The page at a place of all files together, in millionths. `None` without pages.
fn page_at(files: &[File], place: u32) -> Option<(&File, u64)> {
    let all: u64 = files.iter().map(|file| file.pages).sum();
    let mut page = all.checked_sub(1)?.min(all * u64::from(place) / 1_000_000);
    for file in files {
        if page < file.pages {
            return Some((file, page));
        }
        page -= file.pages;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_places_are_spread_over_the_files_of_all_partitions() {
        let file = |from: &str, pages| File { from: from.to_owned(), pages };
        let files = [file("a", 2), file("empty", 0), file("b", 6)];
        let at = |place| page_at(&files, place).map(|(file, page)| (file.from.as_str(), page));
        assert_eq!(at(0), Some(("a", 0)));
        assert_eq!(at(249_999), Some(("a", 1)));
        assert_eq!(at(250_000), Some(("b", 0)));
        assert_eq!(at(1_000_000), Some(("b", 5)));
        assert_eq!(page_at(&[file("empty", 0)], 0), None);
        assert_eq!(page_at(&[], 0), None);
    }
}
