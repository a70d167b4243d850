use super::orders;
use super::output::Output;
use super::report::earlier_runs;
use super::run_one::report_of;
use super::runs::{RunFolder, Store};
use crate::cli::{Format, RunsArgs, ShowArgs};
use crate::error::{ExitCode, Result};
use crate::journal::{Event, Record};
use crate::providers;
use crate::visible::visible;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `redrill runs`
pub(super) fn runs(args: &RunsArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folders = store.all()?;
    for folder in &folders {
        if let Some(said) = folder.lacks_its_journal() {
            output.note(&visible(&format!("{}: {said}", folder.name()), &[]));
        }
    }
    let folders = folders.iter().filter(|folder| folder.journal().exists());
    let all: Vec<Value> = folders.map(row).collect();
    let is_wanted =
        |row: &&Value| args.scenario.as_ref().is_none_or(|name| row["scenario"] == json!(name));
    let rows: Vec<&Value> = all.iter().filter(is_wanted).collect();
    if args.format == Format::Json {
        output.json(&json!({ "format": 1, "runs": rows }))?;
        return Ok(ExitCode::Passed);
    }
    if rows.is_empty() {
        output.note(&no_rows(args.scenario.as_deref(), &all));
    }
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let world = if row["rehearsal"] == json!(true) { "rehearsal" } else { "" };
        output.print(&format!(
            "{:<32} {:<21} {:<13} {world}",
            text("run"),
            text("started"),
            in_a_word(row),
        ))?;
    }
    Ok(ExitCode::Passed)
}

/// How a run ended. Of one that has not ended, how it stands says more; of one that was cancelled, that it has proven nothing.
fn in_a_word(row: &Value) -> &str {
    let (verdict, stands) = (row["verdict"].as_str(), row["stands"].as_str());
    match (verdict, stands) {
        (_, Some(stands)) => stands,
        (Some("inconclusive"), None) if row["cancelled"] == json!(true) => "cancelled",
        _ => verdict.unwrap_or_default(),
    }
}

/// Why nothing is listed. A run that cannot be read may be one of those that are looked for.
fn no_rows(scenario: Option<&str>, all: &[Value]) -> String {
    let (Some(scenario), false) = (scenario, all.is_empty()) else {
        return "there are no runs yet".to_owned();
    };
    let known: BTreeSet<&str> = all.iter().filter_map(|row| row["scenario"].as_str()).collect();
    let unreadable = all.iter().filter(|row| row["scenario"].is_null()).count();
    let mut text = format!("there is no run of {scenario}");
    if !known.is_empty() {
        let known: Vec<&str> = known.into_iter().collect();
        text.push_str(&format!("; there are runs of {}", known.join(", ")));
    }
    match unreadable {
        0 => {}
        1 => text.push_str("; one run cannot be read, and may be of any scenario"),
        many => text.push_str(&format!("; {many} runs cannot be read, and may be of any scenario")),
    }
    text
}

fn row(folder: &RunFolder) -> Value {
    match report_of(folder, &providers::registry(), &[]) {
        Ok(report) => {
            let mut row = json!({
                "run": folder.name(),
                "scenario": report.scenario.name,
                "started": report.run.started.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                "verdict": report.verdict.outcome.as_str(),
                "rehearsal": report.rehearsal,
            });
            if report.exit.cancelled_by.is_some() {
                row["cancelled"] = json!(true);
            }
            if report.exit.unfinished {
                row["verdict"] = json!("unfinished");
                row["stands"] = json!(stands(folder));
            }
            row
        }
        Err(error) => json!({
            "run": folder.name(), "verdict": "unreadable", "why": error.to_string(),
        }),
    }
}

/// How a run stands that has not ended.
fn stands(folder: &RunFolder) -> &'static str {
    match (orders::is_at_work(folder), folder.load()) {
        (Ok(is_at_work), Ok(stored)) => stored.in_a_word(is_at_work),
        _ => "not known",
    }
}

/// `redrill show`
pub(super) fn show(args: &ShowArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    let stored = folder.load()?;
    if args.format == Format::Json {
        output.json(&json!({
            "format": 1,
            "run": stored.folder.name(),
            "records": stored.contents.records,
            "digest": stored.contents.head,
            "torn_bytes": stored.contents.torn_bytes,
        }))?;
        return Ok(ExitCode::Passed);
    }
    for record in &stored.contents.records {
        output.print(&line(record))?;
    }
    if stored.contents.torn_bytes > 0 {
        output.print(&format!(
            "(a torn last line of {} bytes was left out)",
            stored.contents.torn_bytes
        ))?;
    }
    if let Some(said) = folder.scenario_differs(&stored.plan) {
        output.note(&said);
    }
    if stored.state.finished.is_none() {
        let said = match orders::is_at_work(&folder) {
            Ok(is_at_work) => stored.how_it_stands(is_at_work).join("\n"),
            Err(why) => {
                format!("the run has not ended; whether its process is at work is not known: {why}")
            }
        };
        output.print(&visible(&said, &['\n']))?;
    } else {
        let number = stored.state.head.as_ref().map_or(0, |head| head.number);
        let report = report_of(
            &folder,
            &providers::registry(),
            &earlier_runs(store, &stored.plan.name, number)?,
        )?;
        output.print(&format!("verdict: {}", report.verdict.outcome.as_str()))?;
    }
    Ok(ExitCode::Passed)
}

/// One record as one line: number, time, kind, and the rest as compact JSON.
fn line(record: &Record) -> String {
    let mut event = serde_json::to_value(&record.event).unwrap_or_default();
    let kind = event.as_object_mut().and_then(|fields| fields.remove("type"));
    let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
    let rest = match &record.event {
        Event::ReleaseStarted => String::new(),
        _ => event.to_string(),
    };
    let at = record.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    // JSON escapes nothing above U+001F by itself.
    format!("{:>4}  {at}  {kind:<20} {}", record.seq, visible(&rest, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_a_run_that_was_cancelled_is_listed_as_cancelled() {
        let word = |row: Value| in_a_word(&row).to_owned();
        assert_eq!(word(json!({ "verdict": "inconclusive", "cancelled": true })), "cancelled");
        assert_eq!(word(json!({ "verdict": "inconclusive" })), "inconclusive");
        assert_eq!(word(json!({ "verdict": "failed", "cancelled": true })), "failed");
        let under_way = json!({ "verdict": "unfinished", "cancelled": true, "stands": "ending" });
        assert_eq!(word(under_way), "ending");
    }
}
