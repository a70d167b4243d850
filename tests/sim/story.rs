//! What a journal says, read as text: the digests and the chain, and the events gathered plainly.

use serde_json::Value;
use sha2::Digest as _;
use std::collections::{BTreeMap, BTreeSet};

/// The events of a journal whose numbers, digests and chain hold.
pub(crate) fn chain(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let text =
        std::str::from_utf8(bytes).map_err(|why| format!("the journal is no text: {why}"))?;
    let mut events = Vec::new();
    let mut head = format!("sha256:{}", "0".repeat(64));
    for (seq, line) in text.split_terminator('\n').enumerate() {
        let wrong = |what: &str| format!("record {seq}: {what}");
        let (covered, rest) = line.rsplit_once(",\"digest\":\"").ok_or(wrong("no digest"))?;
        let stated = rest.strip_suffix("\"}").ok_or(wrong("no end"))?;
        let digest = format!("sha256:{}", hex::encode(sha2::Sha256::digest(covered.as_bytes())));
        if digest != stated {
            return Err(wrong("the digest does not fit"));
        }
        let value: Value = serde_json::from_str(line).map_err(|why| wrong(&why.to_string()))?;
        if value["prev"] != head.as_str() || value["seq"] != seq {
            return Err(wrong("it does not follow the one before"));
        }
        head = digest;
        events.push(value["event"].clone());
    }
    if events.first().is_none_or(|first| first["type"] != "run_started") {
        return Err("the journal does not begin with the start of the run".to_owned());
    }
    Ok(events)
}

/// What the events say, gathered plainly.
#[derive(Default)]
pub(crate) struct Story {
    /// The outcome of each step.
    pub(crate) outcomes: BTreeMap<String, String>,
    /// The output of each step that came to its end.
    outputs: BTreeMap<String, Value>,
    pub(crate) failures: BTreeSet<String>,
    /// The checks of the last attempt.
    pub(crate) checks: BTreeMap<String, Vec<Value>>,
    /// Names of resources, as intended, without those that their steps have removed.
    pub(crate) intended: Vec<String>,
    /// Names of resources with what became of them, in this order.
    pub(crate) ended: Vec<(String, Value)>,
    /// Things are removed that the run has made, as opposed to those that a step removes again by itself.
    releasing: bool,
    pub(crate) cancelled: bool,
    /// An incident needs the capacity.
    pub(crate) urgent: bool,
    finished: usize,
    /// The outcome in the last record.
    pub(crate) at_the_end: String,
}

impl Story {
    pub(crate) fn of(events: &[Value], wrong: &mut Vec<String>) -> Self {
        let mut story = Self::default();
        let mut attempts: BTreeMap<String, u64> = BTreeMap::new();
        for (seq, event) in events.iter().enumerate() {
            let kind = event["type"].as_str().unwrap_or_default();
            let step = event["step"].as_str().unwrap_or_default().to_owned();
            let name = || event["key"]["name"].as_str().unwrap_or_default().to_owned();
            if story.finished > 0 {
                wrong.push(format!("record {seq}: {kind} after the end of the run"));
            }
            let of_step = matches!(
                kind,
                "step_started" | "checked" | "attempt_failed" | "step_finished" | "step_left_out"
            );
            if of_step && story.outcomes.contains_key(&step) {
                wrong.push(format!("record {seq}: {kind} of step {step}, which is over"));
            }
            match kind {
                "run_started" if seq > 0 => wrong.push("the run starts twice".to_owned()),
                "step_started" => {
                    story.checks.insert(step.clone(), Vec::new());
                    let last = attempts.entry(step.clone()).or_default();
                    if event["attempt"].as_u64() != Some(*last + 1) {
                        wrong.push(format!(
                            "record {seq}: attempt {} of {step} follows {last}",
                            event["attempt"]
                        ));
                    }
                    *last += 1;
                }
                "checked" => story.checks.entry(step).or_default().push(event["check"].clone()),
                "step_finished" => story.finish(step, &event["result"]),
                "step_left_out" => {
                    let outcome = event["outcome"].as_str().unwrap_or_default().to_owned();
                    story.outcomes.insert(step, outcome);
                }
                "resource_intended" if story.intended.contains(&name()) => {
                    wrong.push(format!("record {seq}: {} was intended twice", name()));
                }
                "resource_intended" => story.intended.push(name()),
                "release_started" => story.releasing = true,
                "resource_released" if !story.releasing => {
                    let before = story.intended.len();
                    story.intended.retain(|intended| *intended != name());
                    if story.intended.len() == before {
                        wrong.push(format!("record {seq}: {} is gone without an intent", name()));
                    }
                }
                "resource_released" | "resource_left" => {
                    // What was kept is removed after all when an incident needs the capacity.
                    if story.urgent {
                        story.ended.retain(|(ended, was)| *ended != name() || was["kept"] != true);
                    }
                    story.ended.push((name(), event.clone()));
                }
                "cancel_requested" => {
                    story.cancelled = true;
                    story.urgent |= event["incident"] == true;
                }
                "run_finished" => {
                    story.finished += 1;
                    story.at_the_end = event["outcome"].as_str().unwrap_or_default().to_owned();
                }
                _ => {}
            }
        }
        if story.finished != 1 {
            wrong.push(format!("the run ends {} times", story.finished));
        }
        story
    }

    fn finish(&mut self, step: String, result: &Value) {
        let outcome = result["outcome"].as_str().unwrap_or_default().to_owned();
        if !result["failure"].is_null() {
            self.failures.insert(step.clone());
        }
        self.outputs.insert(step.clone(), result["output"].clone());
        self.outcomes.insert(step, outcome);
    }

    pub(crate) fn left(&self) -> Vec<&(String, Value)> {
        self.ended.iter().filter(|(_, event)| event["type"] == "resource_left").collect()
    }
}
