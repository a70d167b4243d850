use crate::ids::StepId;
use crate::journal::StepWait;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long waits are expected to take, from earlier runs: so that looks are rare until then, and close together near it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedTimes(BTreeMap<StepId, BTreeMap<String, Duration>>);

impl ExpectedTimes {
    /// The medians of waits that took place, each by step and by what was waited for: one that took exceptionally long does
    /// not move them.
    pub fn of(waits: impl IntoIterator<Item = StepWait>) -> Self {
        let mut all: BTreeMap<StepId, BTreeMap<String, Vec<Duration>>> = BTreeMap::new();
        for StepWait { step, what, took } in waits {
            all.entry(step).or_default().entry(what).or_default().push(took);
        }
        let medians = |times: BTreeMap<String, Vec<Duration>>| {
            times.into_iter().map(|(what, times)| (what, median(times))).collect()
        };
        Self(all.into_iter().map(|(step, times)| (step, medians(times))).collect())
    }

    /// How long a wait of a step is expected to take, if it has taken place before.
    pub fn time(&self, step: &StepId, what: &str) -> Option<Duration> {
        self.0.get(step)?.get(what).copied()
    }
}

/// Of an even number, the middle between the two in the middle.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    let middle = times.len() / 2;
    match (times.get(middle), middle.checked_sub(1).and_then(|before| times.get(before))) {
        (Some(one), Some(before)) if times.len().is_multiple_of(2) => (*one + *before) / 2,
        (Some(one), _) => *one,
        (None, _) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(seconds: &[u64]) -> Vec<StepWait> {
        let wait = |seconds: &u64| StepWait {
            step: StepId::new("restore"),
            what: "instance available".into(),
            took: Duration::from_secs(*seconds),
        };
        seconds.iter().map(wait).collect()
    }

    #[test]
    fn the_median_of_earlier_waits_is_expected_and_nothing_without_them() {
        for (seconds, expected) in [
            (&[1200][..], Some(1200)),
            (&[9000, 1100, 1300], Some(1300)),
            (&[1100, 1300], Some(1200)),
            (&[], None),
        ] {
            let times = ExpectedTimes::of(waits(seconds));
            let time = times.time(&StepId::new("restore"), "instance available");
            assert_eq!(time.map(|time| time.as_secs()), expected, "{seconds:?}");
        }
    }

    #[test]
    fn another_step_and_another_wait_say_nothing() {
        let times = ExpectedTimes::of(waits(&[1200]));
        assert_eq!(times.time(&StepId::new("other"), "instance available"), None);
        assert_eq!(times.time(&StepId::new("restore"), "endpoint answers"), None);
    }
}
