//! Building a database as it was at a time.

use super::dialect::confined;
use crate::sandbox::estate::Cadence;
use crate::sandbox::estate::{DatabaseData, DatabaseEstate, Heartbeat};
use crate::sandbox::rds::{Content, Instance};
use crate::time::HumanDuration;
use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// How many of the newest beats exist.
const BEATS: i64 = 100;

/// The contents that somebody has looked at, and what was written to living databases.
#[derive(Default)]
pub(crate) struct Databases {
    opened: BTreeMap<String, Opened>,
    /// By the home of the database: what was written, and when. Later snapshots hold it.
    writes: BTreeMap<String, Vec<(DateTime<Utc>, String)>>,
    /// By instance and table: how much of it was read as a whole, in millionths.
    warmed: BTreeMap<String, BTreeMap<String, u32>>,
}

struct Opened {
    connection: Connection,
    /// The number of the newest beat.
    beat: i64,
}

fn home(content: &Content) -> String {
    format!("{}/{}/{}", content.home.account, content.home.region, content.origin.id)
}

impl Databases {
    /// The content of an instance. That of a restored one is built once, as of the time of its snapshot; that of a
    /// living one goes on.
    pub(super) fn open(
        &mut self,
        instance: &Instance,
        now: DateTime<Utc>,
    ) -> Result<&Connection, String> {
        let content = &instance.content;
        let data = &content.origin.data;
        let opened = match self.opened.remove(&instance.resource_id) {
            Some(opened) => opened,
            None => {
                let as_of = content.as_of.unwrap_or(now);
                let connection = build(data, as_of)?;
                let beat = add_beats(&connection, data, i64::MIN, as_of)?;
                for (time, sql) in self.writes.get(&home(content)).into_iter().flatten() {
                    if *time <= as_of {
                        run(&connection, sql, *time)?;
                    }
                }
                for sql in &content.damage {
                    run(&connection, sql, as_of)?;
                }
                Opened { connection, beat }
            }
        };
        let opened = self.opened.entry(instance.resource_id.clone()).or_insert(opened);
        if content.as_of.is_none() {
            opened.beat = add_beats(&opened.connection, data, opened.beat, now)?;
        }
        Ok(&opened.connection)
    }

    /// How much of the tables of an instance was read as a whole, in millionths.
    pub(super) fn warmed(&self, instance: &str) -> BTreeMap<String, u32> {
        self.warmed.get(instance).cloned().unwrap_or_default()
    }

    /// Remembers that a table was read up to there.
    pub(super) fn note_warmed(&mut self, instance: &str, table: &str, end: u32) {
        let tables = self.warmed.entry(instance.to_owned()).or_default();
        let known = tables.entry(table.to_owned()).or_default();
        *known = end.max(*known);
    }

    /// Remembers what was written to a living database.
    pub(super) fn note_write(&mut self, instance: &Instance, now: DateTime<Utc>, sql: &str) {
        if instance.content.as_of.is_none() {
            let writes = self.writes.entry(home(&instance.content)).or_default();
            writes.push((now, sql.to_owned()));
        }
    }
}

fn run(connection: &Connection, sql: &str, now: DateTime<Utc>) -> Result<(), String> {
    let confined = confined(sql, now)?;
    connection.execute_batch(&confined).map_err(|e| format!("{sql}: {e}"))
}

fn build(data: &DatabaseData, now: DateTime<Utc>) -> Result<Connection, String> {
    let connection = Connection::open_in_memory().map_err(|e| e.to_string())?;
    for sql in &data.sql {
        run(&connection, sql, now)?;
    }
    if let Some(Heartbeat { table, column, .. }) = &data.heartbeat {
        let sql = format!("create table if not exists {} ({} text)", name(table), name(column));
        run(&connection, &sql, now)?;
    }
    Ok(connection)
}

/// A name as an SQL identifier.
fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Inserts the beats after number `last` and up to `until`; the newest hundred if there are more. The number of the
/// newest.
fn add_beats(
    connection: &Connection,
    data: &DatabaseData,
    last: i64,
    until: DateTime<Utc>,
) -> Result<i64, String> {
    let Some(Heartbeat { table, column, every }) = &data.heartbeat else { return Ok(last) };
    let cadence = Cadence::new(*every, HumanDuration::default());
    let newest = cadence.slot_at(until);
    let first = last.saturating_add(1).max(newest - BEATS + 1);
    let sql = format!("insert into {} ({}) values (?1)", name(table), name(column));
    for beat in first..=newest {
        let time = cadence.time_of(beat).to_rfc3339_opts(SecondsFormat::Secs, true);
        connection.execute(&sql, [time]).map_err(|e| format!("heartbeat: {e}"))?;
    }
    Ok(newest.max(last))
}

/// Tries whether the content of a database can be built, and every kind of damage done to it. What fails is named by
/// its place below the database in the estate file.
pub(crate) fn try_out(
    database: &DatabaseEstate,
    now: DateTime<Utc>,
) -> Result<(), (Vec<String>, String)> {
    let at = |path: &[&str]| path.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let connection = Connection::open_in_memory().map_err(|e| (at(&["data"]), e.to_string()))?;
    for (index, sql) in database.data.sql.iter().enumerate() {
        run(&connection, sql, now).map_err(|e| (at(&["data", "sql", &index.to_string()]), e))?;
    }
    let build_all = || {
        let connection = build(&database.data, now)?;
        add_beats(&connection, &database.data, i64::MIN, now)?;
        Ok(connection)
    };
    build_all().map_err(|e: String| (at(&["data", "heartbeat"]), e))?;
    let mut damages: Vec<(Vec<String>, &Vec<String>)> = Vec::new();
    if let Some(schedule) = &database.schedule {
        damages.push((at(&["schedule", "damage"]), &schedule.damage));
        if let Some(copies) = &schedule.copies {
            damages.push((at(&["schedule", "copies", "damage"]), &copies.damage));
        }
    }
    if let Some(backups) = &database.replicated_backups {
        damages.push((at(&["replicated_backups", "damage"]), &backups.damage));
    }
    for (index, snapshot) in database.snapshots.iter().enumerate() {
        damages.push((at(&["snapshots", &index.to_string(), "damage"]), &snapshot.damage));
    }
    for (path, damage) in damages.into_iter().filter(|(_, damage)| !damage.is_empty()) {
        let connection = build_all().map_err(|e| (path.clone(), e))?;
        for sql in damage {
            run(&connection, sql, now).map_err(|e| (path.clone(), e))?;
        }
    }
    Ok(())
}
