use super::PlaceEstate;
use super::read::{Wrong, wrong};
use crate::sandbox::state::later;
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// An alarm of CloudWatch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlarmEstate {
    /// Its name.
    pub name: String,
    /// Whether it follows a metric or other alarms.
    #[serde(default)]
    pub kind: AlarmKind,
    /// Its state when the simulation starts.
    #[serde(default)]
    pub state: AlarmState,
    /// Why it is in this state.
    #[serde(default)]
    pub reason: String,
    /// How long it has been in this state when the simulation starts.
    #[serde(default = "a_day")]
    pub since: HumanDuration,
    /// What becomes of it, in order of time.
    #[serde(default)]
    pub turns: Vec<AlarmTurn>,
}

fn a_day() -> HumanDuration {
    Duration::from_secs(86_400).into()
}

/// A change of an alarm's state.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlarmTurn {
    /// How long after the start of the simulation.
    pub after: HumanDuration,
    /// The new state.
    pub to: AlarmState,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// What an alarm follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// A metric.
    #[default]
    Metric,
    /// Other alarms.
    Composite,
}

impl AlarmKind {
    /// As CloudWatch writes it.
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Metric => "MetricAlarm",
            Self::Composite => "CompositeAlarm",
        }
    }
}

/// The states of an alarm:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricAlarm.html>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// What it follows is well.
    #[default]
    Ok,
    /// It is not.
    Alarm,
    /// Nobody knows.
    InsufficientData,
}

impl AlarmState {
    /// As CloudWatch writes it.
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

impl AlarmEstate {
    /// Its state, since when it is in it, and why, in a simulation that started at `start`.
    pub(crate) fn at(
        &self,
        start: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> (AlarmState, DateTime<Utc>, &str) {
        let turned = |turn: &&AlarmTurn| later(start, turn.after.0) <= now;
        match self.turns.iter().rfind(turned) {
            Some(turn) => (turn.to, later(start, turn.after.0), &turn.reason),
            None => {
                let before = TimeDelta::from_std(self.since.0).unwrap_or(TimeDelta::MAX);
                let since = start.checked_sub_signed(before).unwrap_or(DateTime::<Utc>::MIN_UTC);
                (self.state, since, &self.reason)
            }
        }
    }
}

/// # Errors
/// Two alarms of one name, or turns that are not in order of time.
pub(super) fn check_alarms(place: &PlaceEstate, at: &[&str]) -> Result<(), Wrong> {
    let mut names = BTreeSet::new();
    for (index, alarm) in place.alarms.iter().enumerate() {
        let here = index.to_string();
        let at = [at, &["alarms", &here]].concat();
        if !names.insert(&alarm.name) {
            let what = format!("alarm {} stands here twice", alarm.name);
            return Err(wrong(&[&at[..], &["name"]].concat(), what));
        }
        if alarm.name.is_empty() || alarm.name.chars().count() > 255 {
            let what = "the name of an alarm has 1 to 255 characters";
            return Err(wrong(&[&at[..], &["name"]].concat(), what));
        }
        let mut last = None;
        for (number, turn) in alarm.turns.iter().enumerate() {
            if last.is_some_and(|last| turn.after.0 <= last) {
                let number = number.to_string();
                let what = "the turns of an alarm stand in order of time";
                return Err(wrong(&[&at[..], &["turns", &number, "after"]].concat(), what));
            }
            last = Some(turn.after.0);
        }
    }
    Ok(())
}
