//! Read replicas.

use super::lifecycle::{existing, one_instance, wrong_state};
use super::model::RdsEvent;
use crate::sandbox::services::Call;
use crate::sandbox::state::{Timeline, later};
use crate::sandbox::wire::{AwsError, Xml};
use std::time::Duration;

/// How long a promoted replica still says `available`, and how long it is `modifying` then.
const PROMOTE_STARTS: Duration = Duration::from_secs(20);
const PROMOTE_TAKES: Duration = Duration::from_secs(4 * 60);

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
    let behind = instance.content.origin.replica_lag.0;
    let behind = chrono::TimeDelta::from_std(behind).unwrap_or_default();
    instance.content.as_of = Some(call.now - behind);
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
