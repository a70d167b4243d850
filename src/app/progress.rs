use super::output::Output;
use crate::engine::Observer;
use crate::ids::StepId;
use crate::journal::{Check, Event, Outcome, Record, RunState, StepResult};
use crate::plan::Plan;
use crate::scenario::{Gate, RtoFrom};
use crate::time::{Clock, HumanDuration};
use crate::visible::visible;
use chrono::{DateTime, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shows a run while it happens: a line for each step, and on terminals the RTO's budget running down.
pub(super) struct Progress {
    output: Output,
    quiet: bool,
    /// Stands before each line when several scenarios run at the same time.
    prefix: String,
    titles: BTreeMap<StepId, String>,
    clock: Option<Clock>,
    started: Option<DateTime<Utc>>,
    /// Acceptance gates that have not passed yet.
    gates: BTreeSet<StepId>,
    bar: ProgressBar,
    live: Arc<Mutex<Live>>,
    /// What is said when the next record is on disk.
    with_next_record: Vec<String>,
}

/// The line that is drawn again every second: what is left of the RTO, and what is being done.
struct Live {
    budget: Option<Budget>,
    declared: Option<DateTime<Utc>>,
    recovered: bool,
    doing: BTreeMap<StepId, String>,
    /// The time of a simulated clock, which moves with events only; the system's clock is asked for at each drawing.
    now: Option<DateTime<Utc>>,
}

impl Live {
    /// What of the RTO is spent: assumed and measured time together.
    fn spent(&self, now: DateTime<Utc>) -> Option<Duration> {
        Some(self.budget?.assumed + (now - self.declared?).to_std().unwrap_or_default())
    }

    /// What is left of the RTO.
    fn left(&self) -> String {
        let now = self.now.unwrap_or_else(|| Clock::system().now());
        match (self.budget, self.spent(now)) {
            (Some(budget), Some(spent)) if !self.recovered => {
                match budget.target.checked_sub(spent) {
                    Some(left) => format!("RTO {} left of {}  ", whole(left), whole(budget.target)),
                    None => format!("RTO missed by {}  ", whole(spent - budget.target)),
                }
            }
            _ => String::new(),
        }
    }

    /// What is being done.
    fn doing(&self) -> String {
        let doing: Vec<String> =
            self.doing.iter().map(|(step, text)| format!("{step}: {text}")).collect();
        one_line(&doing.join(" · "))
    }
}

/// The RTO's target, and what of it is assumed to be spent when the disaster is declared.
#[derive(Clone, Copy)]
struct Budget {
    target: Duration,
    assumed: Duration,
}

impl Progress {
    pub(super) fn new(plan: &Plan, output: Output, quiet: bool, several: bool) -> Self {
        let budget = plan.objectives.rto.as_ref().map(|rto| {
            let assumed = match rto.from {
                RtoFrom::Occurred => rto.assume.detect.0 + rto.assume.decide.0,
                RtoFrom::Detected => rto.assume.decide.0,
                RtoFrom::Declared => Duration::ZERO,
            };
            Budget { target: rto.target.0, assumed }
        });
        let (doing, now) = (BTreeMap::new(), None);
        let live = Live { budget, declared: None, recovered: false, doing, now };
        let live = Arc::new(Mutex::new(live));
        let drawn = output.live && !quiet && !several;
        let bar = match drawn {
            true => bar(&live, ProgressDrawTarget::stderr_with_hz(10)),
            false => ProgressBar::hidden(),
        };
        Self {
            output,
            quiet,
            prefix: if several { format!("{}: ", plan.name) } else { String::new() },
            titles: plan.steps.iter().map(|s| (s.id.clone(), s.title.clone())).collect(),
            clock: None,
            started: None,
            gates: gates_of(plan),
            bar,
            live,
            with_next_record: Vec::new(),
        }
    }

    /// Says something when the next record is on disk: what may still be refused has not happened.
    pub(super) fn say_with_next_record(&mut self, text: String) {
        self.with_next_record.push(text);
    }

    /// Says something that belongs to no step, from wherever.
    pub(super) fn notes(&self) -> Arc<dyn Fn(&str) + Send + Sync> {
        let (bar, output, prefix) = (self.bar.clone(), self.output, self.prefix.clone());
        Arc::new(move |text| bar.suspend(|| output.note(&remark(&prefix, text))))
    }

    /// Says what is done before there is a run, unless nobody wants to hear it.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            self.output.note(&remark(&self.prefix, text));
        }
    }

    /// The world is open; `state` is what an earlier process has done of the run.
    pub(super) fn begin(&mut self, clock: &Clock, state: &RunState) {
        self.clock = Some(clock.clone());
        self.started = state.head.as_ref().map(|head| head.started);
        self.gates.retain(|gate| state.outcome(gate) != Some(Outcome::Passed));
        let mut live = self.live();
        live.declared = state.disaster;
        live.recovered = state.releasing || (self.gates.is_empty() && state.disaster.is_some());
        drop(live);
        if !clock.is_simulated() {
            self.bar.enable_steady_tick(Duration::from_secs(1));
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run is over.
    pub(super) fn end(&mut self) {
        self.bar.finish_and_clear();
    }

    fn line(&self, at: DateTime<Utc>, text: &str) {
        self.write(&self.dated(at, "", text));
    }

    /// A line that begins with words in the colour of an outcome.
    fn outcome(&self, at: DateTime<Utc>, (outcome, words): (Outcome, &str), text: &str) {
        let word = self.paint(outcome, &format!("{words:<12}"));
        self.write(&self.dated(at, &format!("{word} "), text));
    }

    fn write(&self, line: &str) {
        if !self.quiet {
            self.bar.suspend(|| self.output.note(line));
        }
    }

    /// A line of the run. `head` is ours; what stands in the text may be data, and must not write over other lines.
    fn dated(&self, at: DateTime<Utc>, head: &str, text: &str) -> String {
        let since = self.started.map_or(TimeDelta::zero(), |started| at - started).num_seconds();
        format!(
            "{}{:02}:{:02}:{:02}  {head}{}",
            self.prefix,
            since / 3600,
            since / 60 % 60,
            since % 60,
            one_line(text)
        )
    }

    fn paint(&self, outcome: Outcome, text: &str) -> String {
        if !self.output.color_errors {
            return text.to_owned();
        }
        let color = match outcome {
            Outcome::Passed => "32",
            Outcome::Failed => "31",
            Outcome::Inconclusive => "33",
            Outcome::Skipped | Outcome::NotRun => "2",
        };
        format!("\u{1b}[{color}m{text}\u{1b}[0m")
    }

    fn finished(&mut self, at: DateTime<Utc>, step: &StepId, result: &StepResult) {
        self.live().doing.remove(step);
        let failure = result.failure.as_ref().map_or(String::new(), |f| format!(": {}", f.message));
        let word = result.outcome.to_string();
        self.outcome(at, (result.outcome, &word), &format!("{step}{failure}"));
        let last =
            result.outcome == Outcome::Passed && self.gates.remove(step) && self.gates.is_empty();
        let (spent, budget) = {
            let live = self.live();
            (live.spent(at), live.budget)
        };
        if let (true, Some(spent), Some(budget)) = (last, spent, budget) {
            self.live().recovered = true;
            let (spent, target) = (whole(spent), whole(budget.target));
            self.line(
                at,
                &format!("accepted     the clock of the RTO stops at {spent} of {target}"),
            );
        }
    }

    fn checked(&self, at: DateTime<Utc>, step: &StepId, check: &Check) {
        if check.outcome == Outcome::Passed {
            return;
        }
        let words = format!("  {}", check.outcome);
        let note = check.note.as_ref().map_or(String::new(), |n| format!(" ({n})"));
        let Check { name, expected, observed, .. } = check;
        let text = format!("{step}: {name}: expected {expected}, observed {observed}{note}");
        self.outcome(at, (check.outcome, &words), &text);
    }

    /// Draws the line again, at the time of the run.
    fn draw(&self, now: DateTime<Utc>) {
        let simulated = self.clock.as_ref().is_some_and(Clock::is_simulated);
        let doing = {
            let mut live = self.live();
            live.now = simulated.then_some(now);
            live.doing()
        };
        // Not while `live` is held: the drawing takes it.
        self.bar.set_message(doing);
        self.bar.tick();
    }
}

/// The line on a terminal. What is being done is its message, which is cut where the terminal ends: a line that wraps leaves its
/// remains behind. What is left of the RTO is asked for at each drawing.
fn bar(live: &Arc<Mutex<Live>>, target: ProgressDrawTarget) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {left}{wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let shown = live.clone();
    let left = move |_: &ProgressState, to: &mut dyn std::fmt::Write| {
        let live = shown.lock().unwrap_or_else(PoisonError::into_inner);
        // Where it cannot be drawn, nothing is lost.
        let _ = to.write_str(&live.left());
    };
    let bar = ProgressBar::with_draw_target(None, target);
    bar.set_style(style.with_key("left", left));
    bar
}

/// Text that stays on its line.
fn one_line(text: &str) -> String {
    visible(&text.trim_end().replace(['\n', '\t'], " "), &[])
}

/// Something that is said beside the lines of the run. It may be as long as an answer of a service, and have lines of its own.
fn remark(prefix: &str, text: &str) -> String {
    format!("{prefix}{}", visible(text, &['\n', '\t']))
}

fn gates_of(plan: &Plan) -> BTreeSet<StepId> {
    let gates = plan.steps.iter().filter(|step| step.gate == Some(Gate::Acceptance));
    gates.map(|step| step.id.clone()).collect()
}

/// To the nearest second, as in the report.
fn whole(duration: Duration) -> HumanDuration {
    HumanDuration(Duration::from_secs((duration + Duration::from_millis(500)).as_secs()))
}

impl Observer for Progress {
    fn recorded(&mut self, record: &Record) {
        let at = record.at;
        for text in std::mem::take(&mut self.with_next_record) {
            self.write(&remark(&self.prefix, &text));
        }
        match &record.event {
            Event::RunStarted { run, .. } => {
                self.started = Some(at);
                self.line(at, &format!("run {run}"));
            }
            Event::DisasterDeclared { kind, lost } => {
                self.live().declared = Some(at);
                let lost: Vec<&str> = lost.iter().map(|site| site.as_str()).collect();
                let lost = if lost.is_empty() {
                    String::new()
                } else {
                    format!(", lost: {}", lost.join(", "))
                };
                self.line(at, &format!("disaster     {kind}{lost}: the clock of the RTO runs"));
            }
            Event::StepStarted { step, attempt, .. } => {
                self.live().doing.insert(step.clone(), "started".to_owned());
                let title = self.titles.get(step).map_or("", String::as_str);
                let again =
                    if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                self.line(at, &format!("started      {step}: {title}{again}"));
            }
            Event::AttemptFailed { step, failure, .. } => {
                self.line(at, &format!("to be tried again: {step}: {}", failure.message));
            }
            Event::Checked { step, check } => self.checked(at, step, check),
            Event::StepFinished { step, result } => self.finished(at, step, result),
            Event::StepLeftOut { step, outcome, why } => {
                let word = outcome.to_string();
                self.outcome(at, (*outcome, &word), &format!("{step}: {why}"));
            }
            Event::ResourceOwned { key, id } => self.line(at, &format!("made         {key}: {id}")),
            Event::ResourceReleased { key, how, .. } => {
                self.line(at, &format!("released     {key}: {how}"))
            }
            Event::ResourceLeft { key, why, .. } => {
                self.line(at, &format!("left behind  {key}: {why}"))
            }
            Event::ApprovalRequested { step, text, .. } => {
                self.line(at, &format!("asks         {step}: {text}"));
            }
            Event::CredentialsExpired { site, message, .. } => self.line(
                at,
                &format!(
                    "credentials  of the site {site} are expired ({message}): renew them (aws sso login, or however you \
                     get them); the drill goes on by itself"
                ),
            ),
            Event::CredentialsWaited { site, renewed, waited_ms, .. } => {
                let waited = whole(Duration::from_millis(*waited_ms));
                let how = if *renewed { "work again" } else { "were not renewed" };
                self.line(at, &format!("credentials  of the site {site} {how} after {waited}"));
            }
            Event::CancelRequested { by, .. } => {
                self.line(at, &format!("cancelled    by {by}: releasing"))
            }
            Event::RunPaused { by } => {
                self.line(at, &format!("paused       by {by}: nothing more is started"))
            }
            Event::RunContinued { by } => self.line(at, &format!("goes on      by {by}")),
            Event::ReleaseStarted => self.live().recovered = true,
            _ => {}
        }
        self.draw(at);
    }

    fn progress(&mut self, step: &StepId, text: &str) {
        self.live().doing.insert(step.clone(), text.to_owned());
        if let Some(clock) = &self.clock {
            self.draw(clock.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use std::io;

    #[test]
    fn regression_data_cannot_write_over_the_lines_of_a_run() {
        let output = Output { color: true, color_errors: true, live: false };
        let progress = Progress::new(&samples::plan(), output, false, false);
        let head = progress.paint(Outcome::Failed, "failed");
        let data = "observed \u{1b}[2K\rPASSED\u{202e}\n00:00:09  passed\n";
        let line = progress.dated(DateTime::UNIX_EPOCH, &head, data);
        assert_eq!(
            line,
            "00:00:00  \u{1b}[31mfailed\u{1b}[0mobserved \\u{1b}[2K\\u{d}PASSED\\u{202e} 00:00:09  passed"
        );
        let step = StepId::new("data");
        progress.live().doing.insert(step, "asks \u{1b}[2K".to_owned());
        assert_eq!(progress.live().doing(), "data: asks \\u{1b}[2K");
        assert_eq!(remark("", "a\u{1b}b\nc"), "a\\u{1b}b\nc");
    }

    /// A terminal of 40 columns, and what was written to it.
    #[derive(Clone, Debug, Default)]
    struct Narrow(Arc<Mutex<Vec<String>>>);

    impl indicatif::TermLike for Narrow {
        fn width(&self) -> u16 {
            40
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push(text.to_owned());
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A line that wraps is not taken away as a whole.
    #[test]
    fn regression_the_line_of_progress_ends_where_the_terminal_does() {
        let output = Output { color: false, color_errors: false, live: false };
        let mut progress = Progress::new(&samples::plan(), output, false, false);
        let declared: DateTime<Utc> = "2026-11-22T03:00:00Z".parse().unwrap();
        let terminal = Narrow::default();
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        progress.bar = bar(&progress.live, target);
        progress.clock = Some(Clock::simulated(declared));
        progress.live().declared = Some(declared);
        let long = "waiting until the instance is available, which it was not yet";
        progress.live().doing.insert(StepId::new("restore"), long.to_owned());
        progress.draw(declared);
        let written = terminal.0.lock().unwrap().clone();
        let line = written.iter().rev().find(|text| text.contains("RTO")).unwrap();
        assert!(line.contains("left of 4h  restore: "), "{written:?}");
        assert!(line.chars().count() <= 40, "{written:?}");
    }

    #[test]
    fn the_budget_of_the_rto_runs_down_with_what_is_assumed_until_it_is_missed_or_recovered() {
        let declared: DateTime<Utc> = "2026-11-22T03:00:00Z".parse().unwrap();
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let budget = Budget { target: minutes(60), assumed: minutes(10) };
        let doing = BTreeMap::from([(StepId::new("restore"), "creating".to_owned())]);
        let mut live = Live {
            budget: Some(budget),
            declared: Some(declared),
            recovered: false,
            doing,
            now: None,
        };
        let mut at = |passed: i64, recovered: bool| {
            live.now = Some(declared + TimeDelta::minutes(passed));
            live.recovered = recovered;
            format!("{}{}", live.left(), live.doing())
        };
        assert_eq!(at(0, false), "RTO 50m left of 1h  restore: creating");
        assert_eq!(at(30, false), "RTO 20m left of 1h  restore: creating");
        assert_eq!(at(55, false), "RTO missed by 5m  restore: creating");
        assert_eq!(at(55, true), "restore: creating");
    }
}
