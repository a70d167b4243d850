//! When something happened: RDS tells it in events, which narrow the bracket between two looks.

use crate::action::StepContext;
use crate::client;
use crate::providers::backups::time_of;
use aws_sdk_rds::types::{Event, SourceType};
use chrono::{DateTime, TimeDelta, Utc};

/// The looks between which something happened (UTC).
#[derive(Clone, Copy, Debug)]
pub(in crate::providers) struct Bracket {
    /// The last look before it; `None` when there was none.
    pub(in crate::providers) from: Option<DateTime<Utc>>,
    /// The first look after it.
    pub(in crate::providers) until: DateTime<Utc>,
}

impl Bracket {
    /// The look that noticed it, where nothing better is known.
    pub(in crate::providers) fn polled(self) -> (DateTime<Utc>, String) {
        (self.until, "polled".to_owned())
    }
}

/// When it happened (UTC), and where that is known from: the time of an RDS event where one lies in the bracket of looks, else
/// the look that found it done. `ends` are the beginnings of messages, in lower case. Events are told on a best-effort basis
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/working-with-events.html>), so that they only refine.
pub(in crate::providers) async fn moment_of(
    cx: &StepContext,
    source: SourceType,
    name: &str,
    bracket: Bracket,
    ends: &[&str],
) -> (DateTime<Utc>, String) {
    let (Some(from), Ok(site)) = (bracket.from, cx.site()) else { return bracket.polled() };
    let client = client!(site, aws_sdk_rds);
    // A minute of room: event times are whole seconds of another clock.
    let start = from - TimeDelta::minutes(1);
    let request = client
        .describe_events()
        .source_type(source)
        .source_identifier(name)
        .start_time(aws_smithy_types::DateTime::from_secs(start.timestamp()))
        .max_records(100);
    match cx.call("rds:DescribeEvents", || request.clone().send()).await {
        Ok(answer) => {
            refined(answer.events(), from, bracket.until, ends).unwrap_or_else(|| bracket.polled())
        }
        Err(error) => {
            cx.progress(&format!(
                "the RDS events could not be read ({error}); the polled time is used"
            ));
            bracket.polled()
        }
    }
}

/// The last of these events between the looks.
fn refined(
    events: &[Event],
    after: DateTime<Utc>,
    until: DateTime<Utc>,
    ends: &[&str],
) -> Option<(DateTime<Utc>, String)> {
    let is_end = |message: &&str| {
        let message = message.to_ascii_lowercase();
        ends.iter().any(|end| message.starts_with(end))
    };
    let candidates = events.iter().filter_map(|event| {
        let message = event.message().filter(is_end)?;
        let at = event.date().and_then(time_of)?;
        (after < at && at <= until).then(|| (at, format!("RDS event: {message}")))
    });
    candidates.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn event(seconds: i64, message: &str) -> Event {
        let date = aws_smithy_types::DateTime::from_secs(seconds);
        Event::builder().date(date).message(message).build()
    }

    #[test]
    fn an_event_counts_only_between_the_looks() {
        let events = [
            event(5, "Restored from snapshot a"),
            event(15, "Restored from snapshot a"),
            event(18, "Finished DB Instance backup"),
            event(19, "DB instance restarted"),
            event(30, "Finished DB Instance backup"),
        ];
        let ends = ["restored from", "finished db instance backup"];
        let found = refined(&events, at(10), at(20), &ends).unwrap();
        assert_eq!(found, (at(18), "RDS event: Finished DB Instance backup".to_owned()));
        assert_eq!(refined(&events, at(18), at(20), &ends), None);
        assert_eq!(refined(&events, at(10), at(20), &["promoted"]), None);
    }
}
