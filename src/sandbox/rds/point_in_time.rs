//! Restoring an instance to a point in time.

use super::ask::{check_identifier, combination, instance_not_found, invalid, key_not_accessible};
use super::automated_backups::not_found;
use super::describe::time;
use super::lifecycle::{Origin, bring_back};
use super::model::Content;
use super::xml::View;
use crate::sandbox::services::Call;
use crate::sandbox::wire::{AwsError, Xml};
use chrono::{DateTime, Utc};

/// What is restored, and to which times that is possible.
struct Source {
    name: String,
    origin: Origin,
    window: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

pub(super) fn restore(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let id = params.need("TargetDBInstanceIdentifier")?.to_lowercase();
    check_identifier("TargetDBInstanceIdentifier", &id, 63)?;
    if call.here().instances.contains_key(&id) {
        return Err(AwsError::new(400, "DBInstanceAlreadyExists", "DB instance already exists"));
    }
    let source = source(&call)?;
    let Some((earliest, latest)) = source.window else {
        let what = format!("Point in time restore is not enabled for {}.", source.name);
        return Err(AwsError::new(400, "PointInTimeRestoreNotEnabled", what));
    };
    let at = wanted_time(&call, latest)?;
    // The latest is asked for by UseLatestRestorableTime, other times lie before it.
    let is_latest = at == latest && params.get("RestoreTime").is_some();
    if at < earliest || at > latest || is_latest {
        let what = format!(
            "The specified instance cannot be restored to {at}: it can be restored to times from {earliest} to {latest}."
        );
        return Err(invalid(what));
    }
    let mut origin = source.origin;
    if let Some(key) = &origin.kms_key
        && !call.state.find_key(&call.place, key).is_some_and(|key| key.usable())
    {
        return Err(key_not_accessible("source", key));
    }
    origin.content.as_of = Some(origin.content.as_of.map_or(at, |as_of| as_of.min(at)));
    origin.announced = format!("Restored from DB instance {} to {id}", source.name);
    bring_back(call, id, origin)
}

fn wanted_time(call: &Call<'_>, latest: DateTime<Utc>) -> Result<DateTime<Utc>, AwsError> {
    let params = call.params();
    match (time(params, "RestoreTime")?, params.flag("UseLatestRestorableTime") == Some(true)) {
        (Some(_), true) => Err(combination(
            "RestoreTime can't be specified if UseLatestRestorableTime is enabled.",
        )),
        (Some(at), false) => Ok(at),
        (None, true) => Ok(latest),
        (None, false) => {
            Err(combination("Either RestoreTime or UseLatestRestorableTime must be specified."))
        }
    }
}

fn source(call: &Call<'_>) -> Result<Source, AwsError> {
    let params = call.params();
    let names = [
        "SourceDBInstanceIdentifier",
        "SourceDbiResourceId",
        "SourceDBInstanceAutomatedBackupsArn",
    ];
    let given: Vec<_> = names.iter().filter_map(|n| Some((*n, params.get(n)?))).collect();
    let [(by, name)] = given[..] else {
        return Err(combination(format!("Exactly one of {} must be specified.", names.join(", "))));
    };
    let view = View { state: call.state, place: &call.place, now: call.now };
    let here = call.state.places.get(&call.place);
    let instance = here.into_iter().flat_map(|p| p.instances.values()).find(|i| {
        let named = match by {
            "SourceDBInstanceIdentifier" => i.id.eq_ignore_ascii_case(name),
            "SourceDbiResourceId" => i.resource_id == name,
            _ => false,
        };
        named && i.timeline.state(call.now).is_some_and(|state| state != "creating")
    });
    if let Some(i) = instance {
        let origin = origin(&i.settings, i.kms_key.clone(), i.content.clone());
        return Ok(Source { name: i.id.clone(), origin, window: view.restore_window(i) });
    }
    let backup = here.into_iter().flat_map(|p| p.automated_backups.values()).find(|b| match by {
        "SourceDbiResourceId" => b.resource_id == name && b.source == call.place,
        "SourceDBInstanceAutomatedBackupsArn" => b.arn(&call.place) == name,
        _ => false,
    });
    let Some(b) = backup else {
        return Err(match by {
            "SourceDBInstanceIdentifier" => instance_not_found(name),
            _ => not_found(name),
        });
    };
    let origin = origin(&b.settings, b.kms_key.clone(), b.content.clone());
    Ok(Source { name: b.instance.clone(), origin, window: b.window(call.now) })
}

fn origin(settings: &super::model::Settings, kms_key: Option<String>, content: Content) -> Origin {
    Origin { settings: settings.clone(), kms_key, content, announced: String::new() }
}
