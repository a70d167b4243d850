use super::key_probe;
use crate::action::{Probe, ProbeVerdict, StepContext, StepError};
use chrono::{DateTime, Utc};

/// The newest recovery point of a service, as a look before the day of the drill finds it.
pub(in crate::providers) struct Newest {
    /// The snapshot.
    pub(in crate::providers) id: String,
    /// The time of its data (UTC), where it is known.
    pub(in crate::providers) at: Option<DateTime<Utc>>,
    /// How many snapshots can be restored.
    pub(in crate::providers) usable: u64,
    /// Of how many.
    pub(in crate::providers) considered: u64,
    /// The key that it is encrypted with.
    pub(in crate::providers) key: Option<String>,
}

/// Looks at what was found, and at its key. `what` names the snapshots that were looked for, `needs` the permissions.
pub(in crate::providers) async fn newest_probes(
    cx: &StepContext,
    what: String,
    needs: &[&'static str],
    found: Result<Newest, StepError>,
) -> Vec<Probe> {
    let key = found.as_ref().ok().and_then(|found| found.key.clone());
    let mut probes = vec![Probe::of(what, needs, found, |found| match found.at {
        Some(at) => ProbeVerdict::works(format!(
            "{} of {} can be restored; the newest data is of {at} ({})",
            found.usable, found.considered, found.id
        )),
        None => ProbeVerdict::Unknown(format!(
            "{} is there, but the time of its data is not known",
            found.id
        )),
    })];
    if let Some(key) = key {
        probes.push(key_probe(cx, &key).await);
    }
    probes
}

/// What only an earlier step of the drill can tell.
pub(in crate::providers) fn later(what: impl Into<String>) -> Probe {
    Probe::not_before(what, "an earlier step tells it")
}
