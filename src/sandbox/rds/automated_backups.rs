//! Automated backups: those of the instances here, and those that are here without one, replicated or retained.
//!
//! Main type: [`AutomatedBackup`].

use super::ask::{filters, paged, passes};
use super::model::{Content, Instance, Settings};
use super::xml::View;
use crate::sandbox::services::Call;
use crate::sandbox::state::{PlaceKey, State, later};
use crate::sandbox::wire::{AwsError, Xml, timestamp};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use std::time::Duration;

/// Automated backups in a place where their instance is not.
#[derive(Clone, Debug)]
pub(crate) struct AutomatedBackup {
    /// `ab-` and what makes it unique.
    pub(crate) id: String,
    /// Where the instance is, or was.
    pub(crate) source: PlaceKey,
    pub(crate) instance: String,
    pub(crate) resource_id: String,
    pub(crate) instance_created: DateTime<Utc>,
    /// `replicating` or `retained`.
    pub(crate) status: &'static str,
    pub(crate) settings: Settings,
    pub(crate) kms_key: Option<String>,
    pub(crate) keep: Duration,
    pub(crate) lag: Duration,
    /// When the last transaction log came.
    pub(crate) stopped: Option<DateTime<Utc>>,
    pub(crate) content: Content,
}

impl AutomatedBackup {
    /// Nothing new comes from now on.
    pub(crate) fn stop(&mut self, now: DateTime<Utc>) {
        self.stopped = Some(self.stopped.map_or(now, |stopped| stopped.min(now)));
    }

    pub(crate) fn arn(&self, place: &PlaceKey) -> String {
        place.arn("rds", &format!("auto-backup:{}", self.id))
    }

    /// The span to which it can be restored. Logs come every five minutes.
    pub(super) fn window(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let end = self.stopped.unwrap_or(now).min(now);
        let end = end.checked_sub_signed(TimeDelta::from_std(self.lag).ok()?)?;
        let latest = end.duration_trunc(TimeDelta::minutes(5)).ok()?;
        let kept = now.checked_sub_signed(TimeDelta::from_std(self.keep).ok()?)?;
        let earliest = kept.max(self.instance_created);
        (earliest <= latest).then_some((earliest, latest))
    }

    /// The same, of an instance that is deleted.
    fn retained(state: &State, place: &PlaceKey, instance: &Instance, at: DateTime<Utc>) -> Self {
        let days = u64::from(instance.settings.backup_retention);
        Self {
            id: format!("ab-{}", state.digits(&format!("backup/{}", instance.resource_id), 26)),
            source: place.clone(),
            instance: instance.id.clone(),
            resource_id: instance.resource_id.clone(),
            instance_created: instance.created,
            status: "retained",
            settings: instance.settings.clone(),
            kms_key: instance.kms_key.clone(),
            keep: Duration::from_secs(days * 86_400),
            lag: Duration::ZERO,
            stopped: Some(at),
            content: instance.content.clone(),
        }
    }
}

impl State {
    /// The replicated and retained backups of a database of the estate.
    pub(crate) fn begin_automated_backups(&mut self, place: &PlaceKey, instance: &Instance) {
        let database = std::sync::Arc::clone(&instance.content.origin);
        let now = self.estate.now;
        let before = |age: Duration| now - TimeDelta::from_std(age).unwrap_or_default();
        let deleted = database.deleted.map(|age| before(age.0));
        if let Some(at) = deleted.filter(|_| instance.settings.backup_retention > 0) {
            let backup = AutomatedBackup::retained(self, place, instance, at);
            self.place(place).automated_backups.insert(backup.id.clone(), backup);
        }
        let Some(spec) = &database.replicated_backups else { return };
        let there = PlaceKey::new(&place.account, &spec.region);
        let mut backup = AutomatedBackup::retained(self, place, instance, now);
        let name = format!("replica/{}/{}", spec.region, instance.resource_id);
        backup.id = format!("ab-{}", self.digits(&name, 26));
        backup.status = if deleted.is_some() { "retained" } else { "replicating" };
        backup.kms_key = spec.kms_key.as_ref().map(|key| self.key_arn(&there, key));
        (backup.keep, backup.lag) = (spec.keep.0, spec.lag.0);
        backup.stopped = spec.stalled.map(|age| before(age.0)).or(deleted);
        backup.content.damage.extend(spec.damage.iter().cloned());
        self.place(&there).automated_backups.insert(backup.id.clone(), backup);
    }

    /// What becomes of the backups of an instance that is deleted: replicated ones are kept, its own if asked for.
    pub(super) fn instance_deleted(
        &mut self,
        place: &PlaceKey,
        instance: &Instance,
        keep: bool,
        now: DateTime<Utc>,
    ) {
        for elsewhere in self.places.values_mut() {
            let of_it = |b: &&mut AutomatedBackup| b.resource_id == instance.resource_id;
            for backup in elsewhere.automated_backups.values_mut().filter(of_it) {
                backup.status = "retained";
                backup.stop(now);
            }
        }
        if keep && instance.member.is_none() && instance.settings.backup_retention > 0 {
            let backup = AutomatedBackup::retained(self, place, instance, now);
            self.place(place).automated_backups.insert(backup.id.clone(), backup);
        }
    }
}

/// What is told of one of them.
struct Told<'a> {
    arn: Option<String>,
    region: &'a str,
    instance_arn: String,
    instance: &'a str,
    resource_id: &'a str,
    created: DateTime<Utc>,
    status: &'static str,
    window: Option<(DateTime<Utc>, DateTime<Utc>)>,
    settings: &'a Settings,
    kms_key: Option<&'a String>,
    retention_days: u64,
}

fn all<'a>(call: &'a Call<'_>, view: &View<'a>) -> Vec<Told<'a>> {
    let Some(place) = call.state.places.get(&call.place) else { return Vec::new() };
    let of_instances = place.instances.values().filter(|i| {
        let state = i.timeline.state(call.now);
        i.member.is_none()
            && i.settings.backup_retention > 0
            && !matches!(state, None | Some("creating" | "deleting"))
    });
    let of_instances = of_instances.map(|i| Told {
        arn: None,
        region: &call.place.region,
        instance_arn: call.place.arn("rds", &format!("db:{}", i.id)),
        instance: &i.id,
        resource_id: &i.resource_id,
        created: i.created,
        status: "active",
        window: view.restore_window(i),
        settings: &i.settings,
        kms_key: i.kms_key.as_ref(),
        retention_days: u64::from(i.settings.backup_retention),
    });
    let others = place.automated_backups.values().map(|b| Told {
        arn: Some(b.arn(&call.place)),
        region: &b.source.region,
        instance_arn: b.source.arn("rds", &format!("db:{}", b.instance)),
        instance: &b.instance,
        resource_id: &b.resource_id,
        created: b.instance_created,
        status: b.status,
        window: b.window(call.now),
        settings: &b.settings,
        kms_key: b.kms_key.as_ref(),
        retention_days: b.keep.as_secs() / 86_400,
    });
    // What is retained ends when the last of it has expired.
    of_instances.chain(others.filter(|b| b.window.is_some() || b.status != "retained")).collect()
}

pub(super) fn describe(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let filters = filters(params, &["status", "db-instance-id", "dbi-resource-id"])?;
    let is = |name: &str, value: &str| params.get(name).is_none_or(|wanted| wanted == value);
    let view = View { state: call.state, place: &call.place, now: call.now };
    let found: Vec<_> = all(&call, &view)
        .into_iter()
        .filter(|b| is("DBInstanceIdentifier", b.instance))
        .filter(|b| is("DbiResourceId", b.resource_id))
        .filter(|b| is("DBInstanceAutomatedBackupsArn", b.arn.as_deref().unwrap_or_default()))
        .filter(|b| passes(&filters, "status", b.status))
        .filter(|b| passes(&filters, "db-instance-id", b.instance))
        .filter(|b| passes(&filters, "dbi-resource-id", b.resource_id))
        .map(|b| (format!("{} {} {}", b.instance, b.resource_id, b.status), b))
        .collect();
    if let (Some(arn), true) = (params.get("DBInstanceAutomatedBackupsArn"), found.is_empty()) {
        return Err(not_found(arn));
    }
    let page = paged(params, found)?;
    let mut x = Xml::new();
    x.maybe("Marker", page.next);
    x.list("DBInstanceAutomatedBackups", "DBInstanceAutomatedBackup", page.items, write);
    Ok(x)
}

pub(super) fn not_found(name: &str) -> AwsError {
    let what = format!("The automated backup {name} was not found.");
    AwsError::new(404, "DBInstanceAutomatedBackupNotFound", what)
}

fn write(x: &mut Xml, backup: Told<'_>) {
    let settings = backup.settings;
    x.text("DBInstanceArn", &backup.instance_arn)
        .text("DbiResourceId", backup.resource_id)
        .text("Region", backup.region)
        .text("DBInstanceIdentifier", backup.instance)
        .nest("RestoreWindow", |x| {
            if let Some((earliest, latest)) = backup.window {
                x.text("EarliestTime", timestamp(earliest)).text("LatestTime", timestamp(latest));
            }
        })
        .text("AllocatedStorage", settings.storage)
        .text("Status", backup.status)
        .text("Port", settings.port)
        .text("InstanceCreateTime", timestamp(later(backup.created, Duration::ZERO)))
        .text("MasterUsername", &settings.master)
        .text("Engine", &settings.engine)
        .text("EngineVersion", &settings.version)
        .text("Encrypted", backup.kms_key.is_some())
        .text("StorageType", &settings.storage_type)
        .maybe("KmsKeyId", backup.kms_key)
        .text("BackupRetentionPeriod", backup.retention_days)
        .maybe("DBInstanceAutomatedBackupsArn", backup.arn.as_ref())
        .text("BackupTarget", "region");
}
