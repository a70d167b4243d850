//! How long waits took, from a journal alone.

use super::{Event, Record};
use crate::ids::StepId;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long something was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepWait {
    /// The step that waited.
    pub step: StepId,
    /// What for, as in its record: `instance available`.
    pub what: String,
    /// From the step's record before it to the middle of the bracket in which it ended.
    pub took: Duration,
}

/// The waits of a run whose length is known. Left out is what was ready at the first look, since it may have been so
/// before, what credentials were waited for meanwhile, and what began in a process that died.
pub fn waits(records: &[Record]) -> Vec<StepWait> {
    let mut began: BTreeMap<&StepId, DateTime<Utc>> = BTreeMap::new();
    let mut found = Vec::new();
    for record in records {
        match &record.event {
            Event::RunResumed { .. } => began.clear(),
            Event::CredentialsExpired { step, .. } | Event::CredentialsWaited { step, .. } => {
                began.remove(step);
            }
            event => {
                let Some(step) = event.step() else { continue };
                if let (Event::Waited { wait, .. }, Some(began)) = (event, began.get(step))
                    && let Some(not_ready) = wait.last_not_ready
                {
                    let bracket = wait.first_ready.signed_duration_since(not_ready);
                    let ended = not_ready + bracket / 2;
                    if let Ok(took) = ended.signed_duration_since(*began).to_std() {
                        found.push(StepWait { step: step.clone(), what: wait.what.clone(), took });
                    }
                }
                began.insert(step, record.at);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Digest, SiteName};
    use crate::journal::{Outcome, StepResult, Wait};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn record(seconds: i64, event: Event) -> Record {
        Record { seq: 0, at: at(seconds), elapsed_ms: 0, prev: Digest::of(b""), event }
    }

    fn step() -> StepId {
        StepId::new("restore")
    }

    fn started(seconds: i64) -> Record {
        let input = serde_json::Value::Null;
        record(seconds, Event::StepStarted { step: step(), attempt: 1, input })
    }

    fn waited(not_ready: Option<i64>, ready: i64) -> Record {
        let wait = Wait {
            what: "instance available".into(),
            last_not_ready: not_ready.map(at),
            first_ready: at(ready),
            polls: 9,
        };
        record(ready, Event::Waited { step: step(), wait })
    }

    fn seconds(records: &[Record]) -> Vec<u64> {
        waits(records).iter().map(|wait| wait.took.as_secs()).collect()
    }

    #[test]
    fn a_wait_lasts_from_the_record_before_it_to_the_middle_of_its_bracket() {
        let result = StepResult {
            outcome: Outcome::Passed,
            output: serde_json::Value::Null,
            failure: None,
            calls: vec![],
        };
        let journal = [
            started(0),
            waited(Some(1190), 1210),
            waited(Some(1310), 1310),
            record(1400, Event::StepFinished { step: step(), result }),
        ];
        assert_eq!(seconds(&journal), [1200, 100]);
    }

    #[test]
    fn a_wait_of_unknown_length_does_not_count() {
        assert_eq!(
            seconds(&[started(0), waited(None, 0)]),
            [0; 0],
            "it may have been ready before"
        );
        let resumed = Event::resumed(0);
        let crashed = [started(0), record(600, resumed), waited(Some(700), 710)];
        assert_eq!(seconds(&crashed), [0; 0], "nobody knows how long nobody looked");
        let expired = Event::CredentialsWaited {
            step: step(),
            site: SiteName::new("dr"),
            renewed: true,
            waited_ms: 900,
        };
        let expired = [started(0), record(500, expired), waited(Some(700), 710)];
        assert_eq!(seconds(&expired), [0; 0], "people were waited for");
    }
}
