//! The timeline as a drawing: one bar per step, with gates, waits and the critical path.

use super::format::{counted, duration, outcome_class, sign};
use crate::report::{Moment, Report, StepReport};
use crate::scenario::Gate;
use crate::time::HumanDuration;
use std::fmt::Write as _;
use std::time::Duration;

const WIDTH: f64 = 1000.0;
const LABELS: f64 = 210.0;
const RIGHT: f64 = 96.0;
const ROW: f64 = 30.0;
const TOP: f64 = 46.0;

/// From time to place.
struct Scale {
    total_ms: f64,
    zero_ms: f64,
}

impl Scale {
    fn x(&self, ms: f64) -> f64 {
        LABELS + (WIDTH - LABELS - RIGHT) * (ms / self.total_ms).clamp(0.0, 1.0)
    }
}

/// The drawing, as an `svg` element. Colours come from the page's style; every text is escaped.
pub(super) fn timeline(report: &Report) -> String {
    let run = &report.run;
    let from_start = |at: chrono::DateTime<chrono::Utc>| millis((at - run.started).into());
    let moment =
        |wanted| report.clock.iter().find(|entry| entry.moment == wanted).map(|entry| entry.at);
    let declared = moment(Moment::Declared).map(from_start);
    let scale = Scale {
        total_ms: millis(run.duration).max(from_start(run.ended)).max(1.0),
        zero_ms: declared.unwrap_or(0.0),
    };
    let height = TOP + ROW * count(report.timeline.steps.len()) + 14.0;
    let mut svg = format!(
        "<svg class=\"timeline\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"timeline-title\">\n\
         <title id=\"timeline-title\">Timeline of {}; the table below holds the same in words</title>\n\
         <defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect class=\"hatch-ground\" width=\"6\" height=\"6\"/><rect class=\"hatch-line\" width=\"2.4\" height=\"6\"/></pattern></defs>\n",
        counted(report.timeline.steps.len() as u64, "step", "steps")
    );
    axis(&mut svg, &scale, height);
    let accepted = moment(Moment::Accepted).map(from_start);
    for (label, at) in [("declared", declared), ("accepted", accepted)] {
        if let Some(at) = at {
            moment_line(&mut svg, scale.x(at), label, height);
        }
    }
    for (row, step) in report.timeline.steps.iter().enumerate() {
        bar(&mut svg, report, step, &scale, TOP + ROW * count(row));
    }
    svg.push_str("</svg>\n");
    svg
}

fn millis(duration: HumanDuration) -> f64 {
    duration.0.as_secs_f64() * 1000.0
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Distances between ticks that people count in, in seconds.
const TICKS: [f64; 15] = [
    1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 21_600.0,
    43_200.0, 86_400.0,
];

fn axis(svg: &mut String, scale: &Scale, height: f64) {
    let wanted = scale.total_ms / 1000.0 / 8.0;
    let last = wanted.max(86_400.0);
    let every = 1000.0 * TICKS.into_iter().find(|tick| *tick >= wanted).unwrap_or(last);
    let mut tick = scale.zero_ms % every;
    while tick <= scale.total_ms {
        let x = scale.x(tick);
        let from_zero = tick - scale.zero_ms;
        let ms = Duration::from_secs_f64((from_zero.abs() / 1000.0).round()).into();
        let sign = if from_zero < -0.5 { "−" } else { "+" };
        // At zero stands the line of the declaration, which says so itself.
        let at_zero = from_zero.abs() < 0.5;
        let text = if at_zero { String::new() } else { format!("{sign}{}", duration(ms)) };
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
            TOP - 8.0,
            height - 8.0,
            TOP - 14.0
        );
        tick += every;
    }
}

fn moment_line(svg: &mut String, x: f64, label: &str, height: f64) {
    let _ = writeln!(
        svg,
        "<line class=\"moment\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\"/>\
         <text class=\"moment-label\" x=\"{x:.1}\" y=\"12\" text-anchor=\"{}\">{label}</text>",
        TOP - 8.0,
        height - 8.0,
        if x < LABELS + 60.0 { "start" } else { "middle" }
    );
}

fn bar(svg: &mut String, report: &Report, step: &StepReport, scale: &Scale, y: f64) {
    let class = outcome_class(step.outcome);
    let critical = if step.critical { " critical" } else { "" };
    let marker = if step.critical { "● " } else { "" };
    let _ = write!(
        svg,
        "<g class=\"step {class}{critical}\"><title>{}: {}</title>\
         <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{marker}{}</text>",
        escape(step.id.as_str()),
        step.outcome,
        LABELS - 12.0,
        y + 17.0,
        escape(&shortened(step.id.as_str(), 24)),
    );
    let middle = y + 17.0;
    let Some(offset) = step.offset else {
        let why = format!("{} {}", sign(class), step.outcome);
        let _ = writeln!(
            svg,
            "<text class=\"value\" x=\"{:.1}\" y=\"{middle:.1}\">{why}</text></g>",
            LABELS + 14.0
        );
        return;
    };
    let start = millis(offset);
    let length = step.duration.map_or(scale.total_ms - start, millis);
    let (x, end) = (scale.x(start), scale.x(start + length));
    let width = (end - x).max(3.0);
    let _ = write!(
        svg,
        "<rect class=\"bar\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"16\" rx=\"3\"/>",
        y + 5.0
    );
    waits(svg, report, step, scale, y);
    let mut after = x + width;
    if let Some(gate) = step.gate {
        let filled = if gate == Gate::Acceptance { "gate" } else { "gate assurance" };
        let (x, y) = (after + 10.0, y + 13.0);
        let _ = write!(
            svg,
            "<path class=\"{filled}\" d=\"M{:.1} {y:.1} L{x:.1} {:.1} L{:.1} {y:.1} L{x:.1} {:.1} Z\"/>",
            x - 7.0,
            y - 7.0,
            x + 7.0,
            y + 7.0
        );
        after += 18.0;
    }
    let took = step.duration.map_or_else(|| "no end".to_owned(), duration);
    let _ = writeln!(
        svg,
        "<text class=\"value\" x=\"{:.1}\" y=\"{middle:.1}\">{} {took}</text></g>",
        after + 6.0,
        sign(class)
    );
}

/// Waiting for people as a hatched part of the bar; the end of a wait for a service as a notch.
fn waits(svg: &mut String, report: &Report, step: &StepReport, scale: &Scale, y: f64) {
    let from_start = |at: chrono::DateTime<chrono::Utc>| millis((at - report.run.started).into());
    for approval in report.approvals.iter().filter(|approval| approval.step == step.id) {
        let start = from_start(approval.asked);
        let (x, end) = (scale.x(start), scale.x(start + approval.waited.map_or(0.0, millis)));
        let width = (end - x).max(2.0);
        let _ = write!(
            svg,
            "<rect class=\"person\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"16\" rx=\"3\"/>",
            y + 5.0
        );
    }
    for wait in &step.waits {
        let x = scale.x(from_start(wait.first_ready));
        let _ = write!(
            svg,
            "<line class=\"notch\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\"/>",
            y + 1.0,
            y + 25.0
        );
    }
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

/// Text for HTML and XML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            other => escaped.push(other),
        }
    }
    escaped
}
