//! How the result of `redrill reap` reads: a table for people, JSON for programs.

use crate::action::Expiry;
use crate::error::ExitCode;
use crate::ids::RunId;
use crate::reap::{Leftover, NotAsked, Sought, ToldBy};
use crate::time::HumanDuration;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// What became of something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A look-up said that it is gone; how, in words.
    Gone(String),
    /// It has expired, and nothing was to be removed this time.
    WouldBeRemoved,
    /// It stays, and should.
    Stays(String),
    /// It should go and is still there.
    Left { why: String, refused: bool },
}

/// Something that was found, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) leftover: Leftover,
    pub(super) outcome: Outcome,
}

/// The whole result.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) now: DateTime<Utc>,
    pub(super) sites: Vec<String>,
    pub(super) dry_run: bool,
    /// The one run that was asked for.
    pub(super) only: Option<RunId>,
    pub(super) rows: Vec<Row>,
    pub(super) not_asked: Vec<NotAsked>,
    pub(super) notes: Vec<String>,
}

const HEADINGS: [&str; 9] =
    ["KIND", "NAME", "SITE", "AGE", "RUN", "SCENARIO", "EXPIRES", "KNOWN BY", "NOW"];
/// Longer names are cut in the table, but not the last column, in which commands stand that are copied; JSON has them whole.
const LONGEST_CELL: usize = 64;

impl Summary {
    pub(super) fn exit_code(&self) -> ExitCode {
        let of_rows = self.rows.iter().map(|row| match row.outcome {
            Outcome::Left { refused: true, .. } => ExitCode::Refused,
            Outcome::Left { .. } => ExitCode::LeftBehind,
            Outcome::Gone(_) | Outcome::WouldBeRemoved | Outcome::Stays(_) => ExitCode::Passed,
        });
        let unknown = self.not_asked.first().map(|_| ExitCode::Inconclusive);
        ExitCode::worst(of_rows.chain(unknown).chain([ExitCode::Passed]))
    }

    pub(super) fn text(&self) -> String {
        let mut text = self.table();
        for row in &self.rows {
            if let Outcome::Left { why, .. } = &row.outcome {
                let _ = write!(
                    text,
                    "\nstill there: {}: {}\n  {}\n",
                    visible(&row.leftover.key.to_string()),
                    visible(why),
                    visible(&row.leftover.command)
                );
            }
        }
        if !self.not_asked.is_empty() {
            text.push_str("\nCould not be asked, so what is there is not known:\n");
        }
        for one in &self.not_asked {
            let (place, what, why) = (&one.place, one.what.to_string(), &one.why);
            let _ = writeln!(text, "  {}: {}: {}", visible(place), visible(&what), visible(why));
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {}", visible(note));
        }
        let _ = writeln!(text, "{}", self.closing());
        text
    }

    fn closing(&self) -> String {
        let count = |wanted: fn(&Outcome) -> bool| {
            self.rows.iter().filter(|row| wanted(&row.outcome)).count()
        };
        let counts = [
            (count(|o| matches!(o, Outcome::Gone(_))), "removed"),
            (count(|o| matches!(o, Outcome::WouldBeRemoved)), "would be removed"),
            (count(|o| matches!(o, Outcome::Stays(_))), "not touched"),
            (count(|o| matches!(o, Outcome::Left { .. })), "still there"),
        ];
        let parts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let found = match (parts.is_empty(), self.not_asked.is_empty(), &self.only) {
            (false, ..) => parts.join(", "),
            // Of other runs, nothing was looked for.
            (true, true, Some(run)) => {
                format!("nothing of the run {} was found", visible(run.as_str()))
            }
            (true, true, None) => "nothing of redrill's is left".to_owned(),
            (true, false, _) => "nothing was found where an answer came".to_owned(),
        };
        let is_asked = |site: &&String| {
            let not = |one: &NotAsked| one.place == **site && one.what == Sought::Everything;
            !self.not_asked.iter().any(not)
        };
        let asked: Vec<&str> = self.sites.iter().filter(is_asked).map(String::as_str).collect();
        if asked.is_empty() {
            return format!("{found}; no site could be looked at");
        }
        format!("{found}; looked at {}", asked.join(", "))
    }

    fn table(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        lines.extend(self.rows.iter().map(|row| self.cells(row)));
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
        let mut text = String::new();
        for line in &lines {
            let cells = line.iter().zip(&widths);
            let padded: Vec<String> =
                cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
            let _ = writeln!(text, "{}", padded.join("  ").trim_end());
        }
        text
    }

    fn cells(&self, row: &Row) -> [String; 9] {
        let leftover = &row.leftover;
        let age = leftover.made.map(|made| length(self.now - made));
        let now = match &row.outcome {
            Outcome::Gone(how) => how.clone(),
            Outcome::WouldBeRemoved => "would be removed".to_owned(),
            Outcome::Stays(why) => format!("stays: {why}"),
            Outcome::Left { .. } => "STILL THERE".to_owned(),
        };
        let cells = [
            leftover.key.kind.clone(),
            leftover.key.short_name().into_owned(),
            leftover.key.site.to_string(),
            age.unwrap_or_else(|| "not known".to_owned()),
            leftover.run.to_string(),
            leftover.scenario.clone().unwrap_or_else(|| "not known".to_owned()),
            self.expiry(leftover.expires),
            told_by(leftover.told_by).to_owned(),
        ];
        let [kind, name, site, age, run, scenario, expires, known_by] =
            cells.map(|cell| cut(&visible(&cell)));
        [kind, name, site, age, run, scenario, expires, known_by, visible(&now)]
    }

    fn expiry(&self, expires: Expiry) -> String {
        match expires {
            Expiry::At(time) if time <= self.now => format!("{} ago", length(self.now - time)),
            Expiry::At(time) => format!("in {}", length(time - self.now)),
            Expiry::Never => "never".to_owned(),
            Expiry::Unsaid => "not said".to_owned(),
        }
    }

    pub(super) fn json(&self) -> Value {
        let not_asked = self.not_asked.iter();
        let not_asked: Vec<Value> = not_asked
            .map(|one| json!({ "place": one.place, "what": one.what.to_string(), "why": one.why }))
            .collect();
        json!({
            "format": 1,
            "dry_run": self.dry_run,
            "at": self.now,
            "sites": self.sites,
            "found": self.rows.iter().map(|row| self.row_json(row)).collect::<Vec<_>>(),
            "not_asked": not_asked,
            "notes": self.notes,
            "exit_code": self.exit_code().number(),
        })
    }

    fn row_json(&self, row: &Row) -> Value {
        let leftover = &row.leftover;
        let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (outcome, why) = match &row.outcome {
            Outcome::Gone(how) => ("removed", Some(how)),
            Outcome::WouldBeRemoved => ("would_be_removed", None),
            Outcome::Stays(why) => ("stays", Some(why)),
            Outcome::Left { why, refused: true } => ("refused", Some(why)),
            Outcome::Left { why, refused: false } => ("still_there", Some(why)),
        };
        let (expires, expired) = match leftover.expires {
            Expiry::At(time) => (Some(written(time)), time <= self.now),
            Expiry::Never => (Some("never".to_owned()), false),
            Expiry::Unsaid => (None, false),
        };
        json!({
            "kind": leftover.key.kind,
            "name": leftover.key.name,
            "id": leftover.id,
            "state": leftover.state,
            "account": leftover.account,
            "region": leftover.region,
            "run": leftover.run,
            "scenario": leftover.scenario,
            "made": leftover.made.map(written),
            "expires": expires,
            "expired": expired,
            "known_by": told_by(leftover.told_by),
            "outcome": outcome,
            "why": why,
            "command": leftover.command,
        })
    }
}

fn told_by(told_by: ToldBy) -> &'static str {
    match told_by {
        ToldBy::Tags => "tags",
        ToldBy::Journal => "journal",
        ToldBy::Both => "tags and journal",
    }
}

/// A length of time, to the minute.
fn length(delta: TimeDelta) -> String {
    let seconds = delta.to_std().unwrap_or_default().as_secs();
    let minutes = Duration::from_secs(seconds / 60 * 60);
    if minutes.is_zero() { "less than 1m".to_owned() } else { HumanDuration(minutes).to_string() }
}

/// Names and tags come from outside: nothing in them may move the cursor.
fn visible(text: &str) -> String {
    crate::visible::visible(text, &[])
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST_CELL {
        return text.to_owned();
    }
    let kept: String = text.chars().take(LONGEST_CELL - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SiteName;
    use crate::journal::ResourceKey;
    use crate::reap::Decision;

    fn not_asked(place: &str, what: Sought) -> NotAsked {
        NotAsked { place: place.to_owned(), what, why: "\u{1b}[2K".to_owned() }
    }

    /// It could not be copied.
    #[test]
    fn regression_the_command_by_which_a_run_goes_on_stands_whole_in_the_table() {
        let run = "orders-crashed-0001-2b7d4f8e90aa11bb22cc33dd44ee55ff66aa77bb88cc99dd00";
        let why = format!("its run can go on: redrill resume {run}; redrill abort {run} ends it");
        let key = ResourceKey {
            kind: "rds.db_instance".to_owned(),
            name: "x".repeat(2 * LONGEST_CELL),
            site: SiteName::new("dr"),
        };
        let leftover = Leftover {
            key,
            others: Vec::new(),
            id: "x".to_owned(),
            state: "available".to_owned(),
            account: "111111111111".to_owned(),
            region: "ap-northeast-3".to_owned(),
            run: RunId::new(run),
            scenario: None,
            made: None,
            expires: Expiry::Unsaid,
            told_by: ToldBy::Tags,
            decision: Decision::Stay(why.clone()),
            command: String::new(),
        };
        let row = Row { leftover, outcome: Outcome::Stays(why.clone()) };
        let summary = Summary {
            now: DateTime::UNIX_EPOCH,
            sites: Vec::new(),
            dry_run: true,
            only: None,
            rows: vec![row],
            not_asked: Vec::new(),
            notes: Vec::new(),
        };
        let table = summary.table();
        let mut lines = table.lines();
        assert!(lines.next().is_some_and(|line| line.ends_with("  NOW")), "{table}");
        assert!(
            lines.next().is_some_and(|line| line.ends_with(&format!("stays: {why}"))),
            "{table}"
        );
        assert!(!table.contains(&summary.rows[0].leftover.key.name), "names are cut: {table}");
    }

    #[test]
    fn regression_a_site_that_could_not_be_asked_was_not_looked_at() {
        let sites = ["ap-northeast-1", "ap-northeast-3"].map(str::to_owned).to_vec();
        let mut summary = Summary {
            now: DateTime::UNIX_EPOCH,
            sites,
            dry_run: true,
            only: None,
            rows: Vec::new(),
            not_asked: vec![
                not_asked("ap-northeast-1", Sought::Everything),
                not_asked("ap-northeast-3", Sought::One("rds.db_instance".to_owned())),
            ],
            notes: Vec::new(),
        };
        let found = "nothing was found where an answer came";
        assert_eq!(summary.closing(), format!("{found}; looked at ap-northeast-3"));
        assert!(summary.text().contains("ap-northeast-1: everything: \\u{1b}[2K\n"));
        let told = summary.json()["not_asked"].clone();
        assert_eq!(
            (&told[0]["what"], &told[1]["what"]),
            (&json!("everything"), &json!("rds.db_instance"))
        );
        summary.not_asked.push(not_asked("ap-northeast-3", Sought::Everything));
        assert_eq!(summary.closing(), format!("{found}; no site could be looked at"));
    }

    #[test]
    fn regression_that_nothing_of_one_run_was_found_says_nothing_of_others() {
        let mut summary = Summary {
            now: DateTime::UNIX_EPOCH,
            sites: vec!["dr".to_owned()],
            dry_run: false,
            only: Some(RunId::new("orders-db-0001-77aa01")),
            rows: Vec::new(),
            not_asked: Vec::new(),
            notes: Vec::new(),
        };
        let of_the_run = "nothing of the run orders-db-0001-77aa01 was found; looked at dr";
        assert_eq!(summary.closing(), of_the_run);
        summary.only = None;
        assert_eq!(summary.closing(), "nothing of redrill's is left; looked at dr");
    }
}
