use super::format::{count, duration, margin, moment, objective_class, sign, verdict_class};
use crate::journal::Outcome;
use crate::report::{Report, Verdict};
use std::fmt::Write as _;
use std::path::Path;

/// How the last lines of a run are written.
struct Paint {
    colour: bool,
}

impl Paint {
    /// Text in the colour of a class; as it is when colour was not asked for.
    fn class(&self, class: &str, text: &str) -> String {
        let code = match class {
            "pass" => "32",
            "fail" => "31",
            "open" => "33",
            _ => "2",
        };
        if self.colour { format!("\u{1b}[1;{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn strong(&self, text: &str) -> String {
        if self.colour { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The summary after a run. `place` says where the whole report lies; `None` when it could not be written. Colour only when asked for; control characters in
/// observed values are made visible, so that data cannot write to the terminal.
pub fn terminal(report: &Report, colour: bool, place: Option<&Path>) -> String {
    let paint = Paint { colour };
    let mut text = String::new();
    headline(report, &paint, &mut text);
    objectives(report, &paint, &mut text);
    depth(report, &mut text);
    if report.verdict.outcome != Verdict::Passed {
        list(&mut text, &paint.strong("Why it did not pass"), report.verdict.reasons());
    }
    checks(report, &paint, &mut text);
    findings(report, &paint, &mut text);
    leftovers(report, &paint, &mut text);
    list(&mut text, &paint.strong("Deviations"), report.deviations.iter().map(String::as_str));
    let missing = report.omissions.len();
    if missing > 0 {
        let _ = writeln!(
            text,
            "\n{} {} not done or not verified; the report lists them.",
            count(missing as u64),
            if missing == 1 { "thing was" } else { "things were" }
        );
    }
    if let Some(place) = place {
        let place = visible(&place.to_string_lossy());
        let _ = writeln!(text, "\nReport: {place} (open it in a browser)");
    }
    text
}

/// Text that cannot write to the terminal.
fn visible(text: &str) -> String {
    crate::visible::visible(text, &[])
}

fn headline(report: &Report, paint: &Paint, text: &mut String) {
    let class = verdict_class(report.verdict.outcome);
    let verdict = format!("{} {}", sign(class), report.verdict.text.to_uppercase());
    let run = &report.run;
    let _ = writeln!(text, "{}", paint.class(class, &visible(&verdict)));
    if let Some(by) = &report.exit.cancelled_by {
        let why = if report.exit.incident { ": a real incident needed the capacity" } else { "" };
        let _ = writeln!(text, "Cancelled by {}{why}", visible(by));
    }
    if report.exit.unfinished {
        let what_now = match report.rehearsal {
            true => "it was a rehearsal, which ended with its process: run it again",
            false => "redrill show tells whether its process is at work, and how it goes on",
        };
        let _ = writeln!(text, "The journal does not end: {what_now}");
    }
    let _ = writeln!(text, "{}", visible(&report.scenario.title));
    let _ = writeln!(
        text,
        "Run {} ({}), {}, started {}, took {}",
        run.number,
        run.id,
        visible(&run.mode),
        moment(run.started),
        duration(run.duration)
    );
}

/// Name, sign, class, outcome, target, actual, margin.
type Row = [String; 5];

fn objectives(report: &Report, paint: &Paint, text: &mut String) {
    let objectives = &report.objectives;
    let mut rows: Vec<(Row, &'static str)> = Vec::new();
    let shown = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    if let Some(rto) = &objectives.rto {
        let bound =
            if rto.actual.is_some() && rto.lower_bound.is_some() { " (lower bound)" } else { "" };
        let actual = rto.actual.map(|actual| format!("{}{bound}", duration(actual)));
        let margin = shown(rto.margin.map(margin));
        let outcome = rto.outcome.to_string();
        let row = ["RTO".to_owned(), duration(rto.target), shown(actual), margin, outcome];
        rows.push((row, objective_class(rto.outcome)));
    }
    if let Some(rpo) = &objectives.rpo {
        let actual = shown(rpo.actual.map(duration));
        let margin = shown(rpo.margin.map(margin));
        let outcome = rpo.outcome.to_string();
        let row = ["RPO".to_owned(), duration(rpo.target), actual, margin, outcome];
        rows.push((row, objective_class(rpo.outcome)));
    }
    if let Some(rlo) = &objectives.rlo {
        let dash = || "–".to_owned();
        let row = ["RLO".to_owned(), dash(), dash(), dash(), rlo.outcome.to_string()];
        rows.push((row, objective_class(rlo.outcome)));
    }
    if rows.is_empty() {
        return;
    }
    let head = ["", "target", "actual", "margin", "outcome"].map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows.iter().map(|(row, _)| row));
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..5).map(width).collect();
    let line = |row: &Row| {
        let cells = row[..4].iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    let _ = writeln!(text, "\n  {}  {}", line(&head), head[4]);
    for (row, class) in &rows {
        let outcome = paint.class(class, &format!("{} {}", sign(class), row[4]));
        let _ = writeln!(text, "  {}  {outcome}", line(row));
    }
}

fn depth(report: &Report, text: &mut String) {
    for (index, ladder) in report.depth.iter().enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        let _ = writeln!(text, "{gap}{}", super::depth::claim(report, ladder));
        if let Some(missing) = super::depth::missing(ladder) {
            let _ = writeln!(text, "  {}", visible(&missing));
        }
    }
}

fn list<'a>(text: &mut String, title: &str, entries: impl IntoIterator<Item = &'a str>) {
    let mut entries = entries.into_iter().peekable();
    if entries.peek().is_some() {
        let _ = writeln!(text, "\n{title}");
    }
    for entry in entries {
        let _ = writeln!(text, "  - {}", visible(entry));
    }
}

fn checks(report: &Report, paint: &Paint, text: &mut String) {
    let bad = report.checks.iter().filter(|check| {
        !check.superseded && !matches!(check.check.outcome, Outcome::Passed | Outcome::Skipped)
    });
    let mut bad = bad.peekable();
    if bad.peek().is_some() {
        let _ = writeln!(text, "\n{}", paint.strong("Checks that did not hold"));
    }
    for check in bad {
        let seen = &check.check;
        let class = super::format::outcome_class(seen.outcome);
        let head = paint.class(class, &format!("{} {}", sign(class), seen.outcome));
        let _ = writeln!(text, "  {head}  {}: {}", check.step, visible(&seen.name));
        let _ = writeln!(text, "      expected {}", visible(&seen.expected));
        let over = seen.population.map(|population| format!(", over {}", count(population)));
        let _ = writeln!(
            text,
            "      observed {}{}",
            visible(&seen.observed),
            over.unwrap_or_default()
        );
        if let Some(note) = &seen.note {
            let _ = writeln!(text, "      {}", visible(note));
        }
    }
}

fn findings(report: &Report, paint: &Paint, text: &mut String) {
    if !report.findings.is_empty() {
        let _ = writeln!(text, "\n{}", paint.strong("Findings"));
    }
    for entry in &report.findings {
        let finding = &entry.finding;
        let severity = format!("{:?}", finding.severity).to_lowercase();
        let class = match severity.as_str() {
            "critical" | "serious" => "fail",
            "warning" => "open",
            _ => "none",
        };
        let _ = writeln!(text, "  {}  {}", paint.class(class, &severity), visible(&finding.what));
        let _ = writeln!(text, "      why: {}", visible(&finding.why));
        let _ = writeln!(text, "      do:  {}", visible(&finding.action));
    }
}

fn leftovers(report: &Report, paint: &Paint, text: &mut String) {
    let left = report.resources.iter().filter(|resource| resource.state.is_left_behind());
    let mut left = left.peekable();
    if left.peek().is_some() {
        let _ = writeln!(text, "\n{}", paint.class("fail", "Left behind"));
    }
    for resource in left {
        let why = resource.how.as_deref().unwrap_or_else(|| resource.state.as_str());
        let _ = writeln!(text, "  {}: {}", visible(&resource.key.to_string()), visible(why));
        // What was made in a rehearsal is in its process, and nowhere else.
        let nowhere = "nothing: it was in the memory of the rehearsal's process";
        let otherwise =
            if report.rehearsal { nowhere } else { "redrill reap finds it by its tags" };
        let command = resource.command.as_deref().unwrap_or(otherwise);
        let _ = writeln!(text, "      {}", visible(command));
    }
    for line in report.inventory.lines.iter().filter(|line| !line.unexpected.is_empty()) {
        let _ = writeln!(text, "\n{}", paint.class("fail", "Left behind, by inventory"));
        let site = &line.site;
        let _ = writeln!(text, "  {} at {site}: {}", line.kind, visible(&line.said));
        let _ = writeln!(text, "      redrill reap finds it by its tags");
    }
}
