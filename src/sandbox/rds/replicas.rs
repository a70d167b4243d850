//! Read replicas.

use super::lifecycle::{existing, one_instance, wrong_state};
use super::model::RdsEvent;
use crate::sandbox::services::Call;
use crate::sandbox::state::{PlaceKey, State, Timeline, later};
use crate::sandbox::wire::{AwsError, Xml};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// How long a promoted replica still says `available`, and how long it is `modifying` then.
const PROMOTE_STARTS: Duration = Duration::from_secs(20);
const PROMOTE_TAKES: Duration = Duration::from_secs(4 * 60);

impl State {
    /// How far the replica of the estate of that name is behind.
    pub(crate) fn replica_lag(&self, place: &PlaceKey, id: &str) -> Duration {
        let spec = self.places.get(place).and_then(|p| p.spec.as_ref());
        let database = spec.and_then(|spec| spec.databases.iter().find(|d| d.id == id));
        let lag = database.and_then(|d| d.replica_of.as_ref()).map(|of| of.lag.0);
        lag.unwrap_or_default()
    }

    /// Replicas elsewhere whose source is in a lost place receive nothing any more.
    pub(crate) fn cut_off_replicas(&mut self, lost: &PlaceKey, now: DateTime<Utc>) {
        let prefix = lost.arn("rds", "db:");
        let keys: Vec<PlaceKey> = self.places.keys().cloned().collect();
        for key in keys {
            let of_it: Vec<String> = self.places.get(&key).map_or_else(Vec::new, |place| {
                let replicas = place.instances.values().filter(|i| {
                    i.replica_of.as_ref().is_some_and(|source| source.starts_with(&prefix))
                });
                replicas.map(|i| i.id.clone()).collect()
            });
            for id in of_it {
                let lag = self.replica_lag(&key, &id);
                if let Some(instance) = self.place(&key).instances.get_mut(&id) {
                    instance.cut_off(lag, now);
                }
            }
        }
    }
}

/// What the replica has received until now is what it has from then on.
pub(super) fn promote(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let mut instance = existing(&mut call)?;
    let state = instance.timeline.state(call.now).unwrap_or("creating");
    if instance.replica_of.is_none() || state != "available" {
        let what = format!("DB instance {} is not a read replica that is available.", instance.id);
        return Err(wrong_state(what));
    }
    if let Some(days) = call.params().number("BackupRetentionPeriod")? {
        instance.settings.backup_retention = days;
    }
    let lag = call.state.replica_lag(&call.place, &instance.id);
    instance.cut_off(lag, call.now);
    let timeline = Timeline::begin(call.now, "available")
        .then(PROMOTE_STARTS, "modifying")
        .then(PROMOTE_TAKES, "available");
    instance.timeline = call.marked(timeline, "failed");
    let date = later(call.now, PROMOTE_STARTS + PROMOTE_TAKES);
    instance.promoted = call.mark.is_none().then_some(date);
    let event = RdsEvent {
        date,
        source_type: "db-instance",
        source: instance.id.clone(),
        category: "notification",
        message: "Promoted Read Replica instance to stand-alone database instance.".to_owned(),
    };
    call.here().rds_events.push(event);
    call.here().instances.insert(instance.id.clone(), instance.clone());
    Ok(one_instance(&call, &instance))
}
