//! What a search for the recovery point writes down: checks, findings, and the recovery point itself.

use super::choice::{Backup, Candidates, Judged, Obstacle, Standing, Summary, Until};
use super::key_conditions;
use crate::action::{StepContext, StepError};
use crate::journal::{Check, Finding, Severity};
use crate::providers::backups::{KeyCondition, choice::count};
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};

mod summed;
#[cfg(test)]
mod tests;

pub(in crate::providers) use summed::DATABASE_TIME;
use summed::{OFFERED, USABLE};

/// How a service's backups are called, and what helps with them.
pub(in crate::providers) struct Words {
    /// Codes of findings begin with it.
    pub(in crate::providers) code: &'static str,
    /// The service whose calls tell of keys and times.
    pub(in crate::providers) service: &'static str,
    /// One of the backups that are looked for.
    pub(in crate::providers) thing: String,
    /// The same in the plural.
    pub(in crate::providers) things: String,
    /// Their state when they can be restored.
    pub(in crate::providers) ready: &'static str,
    /// What to do about those that failed.
    pub(in crate::providers) failed: &'static str,
    /// What to do so that there are any here.
    pub(in crate::providers) none_here: &'static str,
    /// What to do about backups of an engine's version that is gone.
    pub(in crate::providers) version_gone: &'static str,
    /// Why the time of the data is not known.
    pub(in crate::providers) no_time: &'static str,
    /// What to do about that.
    pub(in crate::providers) tell_time: &'static str,
    /// What they are taken of, in the plural, and the field that tells one from another.
    pub(in crate::providers) sources: Option<(&'static str, &'static str)>,
}

/// What the steps of all services ask for.
pub(in crate::providers) struct Wish {
    /// The data must not be newer than this (UTC).
    pub(in crate::providers) not_after: Option<DateTime<Utc>>,
    /// The oldest that the data may be.
    pub(in crate::providers) max_age: Option<HumanDuration>,
    /// How often a recovery point is due.
    pub(in crate::providers) schedule: HumanDuration,
}

impl Wish {
    /// The interval of the schedule.
    pub(in crate::providers) fn interval(&self) -> TimeDelta {
        TimeDelta::from_std(self.schedule.0).unwrap_or(TimeDelta::MAX)
    }

    /// Up to when backups are looked at.
    pub(in crate::providers) fn until(&self, cx: &StepContext) -> Until {
        let limited = |end: DateTime<Utc>| self.not_after.map_or(end, |limit| limit.min(end));
        Until { wanted: limited(cx.clock.now()), counted: limited(cx.until_the_loss()) }
    }
}

/// What is known of the keys of these backups.
///
/// # Errors
/// When KMS does not answer.
pub(in crate::providers) async fn keys_of(
    cx: &StepContext,
    backups: &[impl Backup],
) -> Result<BTreeMap<String, KeyCondition>, StepError> {
    let keys = backups.iter().filter_map(|backup| backup.key().map(str::to_owned)).collect();
    key_conditions(cx, keys).await
}

impl<'a, B: Backup> Candidates<'a, B> {
    /// The recovery point. Without one, that is written down.
    ///
    /// # Errors
    /// There is none.
    pub(in crate::providers) async fn chosen(
        &self,
        cx: &StepContext,
        words: &Words,
    ) -> Result<&Judged<'a, B>, StepError> {
        if let Some(chosen) = self.choose() {
            return Ok(chosen);
        }
        let check = Check::made(USABLE, ">= 1", "0", false);
        cx.check(check.over(count(self.all().len()))).await?;
        if let Some(check) = self.version_gone() {
            cx.check(check).await?;
        }
        let finding = self.nothing_usable(words);
        let error = StepError::recovery(finding.what.clone()).help(finding.action.clone());
        cx.finding(finding).await?;
        Err(error)
    }

    /// Writes down what was found: checks (these, too), findings, and the recovery point under this identity.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub(in crate::providers) async fn write_down(
        &self,
        cx: &StepContext,
        words: &Words,
        wish: &Wish,
        (chosen, summary): (&Judged<'a, B>, &Summary),
        (identity, further): (&str, Vec<Check>),
    ) -> Result<(), StepError> {
        let checks = summary.checks(words, chosen.backup.encrypted(), chosen.key, wish.max_age);
        for check in checks.into_iter().chain(further) {
            cx.check(check).await?;
        }
        let schedule = wish.interval();
        for finding in self.blemishes(words, schedule) {
            cx.finding(finding).await?;
        }
        match summary.recovery_point(identity) {
            Some(point) => cx.recovery_point(point).await,
            None => Ok(()),
        }
    }

    /// The check that fails where there are backups, and all that could serve are of versions that are gone.
    fn version_gone(&self) -> Option<Check> {
        let gone = self.gone_versions();
        let what = format!("{gone} is not offered here");
        (!gone.is_empty()).then(|| Check::made(OFFERED, "offered here", what, false))
    }

    fn with(&self, fits: impl Fn(&Standing) -> bool) -> Vec<&str> {
        let those = self.all().iter().filter(|judged| fits(&judged.standing));
        those.map(|judged| judged.backup.id()).collect()
    }

    /// Why there is no recovery point, and what to do about it.
    fn nothing_usable(&self, words: &Words) -> Finding {
        let Words { code, things, ready, .. } = words;
        let count = |fits: fn(&Standing) -> bool| self.with(fits).len();
        let nothing = |what: String, action: &str| Finding {
            severity: Severity::Critical,
            code: format!("{code}.no_usable_recovery_point"),
            what,
            why: "nothing could be restored from here".to_owned(),
            action: action.to_owned(),
        };
        let locked = count(is_locked);
        if locked > 0 {
            return nothing(
                format!("{locked} {things} cannot be decrypted: {}", self.broken_keys()),
                "keep the key of the copies enabled in this region; name a key of this region when copying (KmsKeyId)",
            );
        }
        let gone = count(is_gone);
        if gone > 0 {
            return nothing(
                format!(
                    "{gone} {things} cannot be restored: {} is not offered here any more",
                    self.gone_versions()
                ),
                words.version_gone,
            );
        }
        let archived = count(is_archived);
        if archived > 0 {
            return nothing(
                format!("all {archived} {ready} {things} are in the archive"),
                "keep the newest ones in the standard tier; restore-snapshot-tier takes up to 72 hours",
            );
        }
        let shared = count(is_only_to_be_copied);
        if shared > 0 {
            return nothing(format!("all {shared} {ready} {things} are {SHARED}"), COPY_FIRST);
        }
        let too_new = count(|s| *s == Standing::TooNew);
        if too_new > 0 {
            return nothing(
                format!("all {too_new} usable {things} are newer than {}", self.not_after()),
                "keep recovery points longer, so that one from before the damage exists",
            );
        }
        let drills = count(is_of_a_drill);
        if drills > 0 {
            return nothing(
                format!("the only {things} that could be restored were made by drills: {drills}"),
                "let a schedule copy them here before the loss; the copy that this run has made is found when own_copy: names it",
            );
        }
        let unfinished = count(is_not_ready);
        if unfinished > 0 {
            return nothing(
                format!("none of {unfinished} {things} is {ready}: {}", self.states()),
                &format!("wait for those being created or copied; {}", words.failed),
            );
        }
        if !self.all().is_empty() {
            return nothing(
                format!("{} {things} exist here, none of the wanted types", self.all().len()),
                "check types: and resource_id: of the step",
            );
        }
        nothing(format!("there is no {} in this region", words.thing), words.none_here)
    }

    /// What a person should look at although there is a recovery point.
    fn blemishes(&self, words: &Words, schedule: TimeDelta) -> Vec<Finding> {
        let finding = |severity, code: &str, what: String, why: &str, action: &str| Finding {
            severity,
            code: format!("{}.{code}", words.code),
            what,
            why: why.to_owned(),
            action: action.to_owned(),
        };
        let mut found = Vec::new();
        let locked = self.with(is_locked);
        if !locked.is_empty() {
            found.push(finding(
                Severity::Serious,
                "snapshot_without_key",
                format!("{} cannot be decrypted: {}", locked.join(", "), self.broken_keys()),
                "these recovery points are lost, however many there seem to be",
                "enable the key, or copy the snapshots with a key that is usable here",
            ));
        }
        found.extend(self.versions_gone(words));
        let archived = self.with(is_archived);
        if !archived.is_empty() {
            found.push(finding(
                Severity::Warning,
                "snapshot_archived",
                format!("in the archive: {}", archived.join(", ")),
                "bringing a snapshot back from the archive takes 24 to 72 hours",
                "do not count on archived snapshots for recovery within a day",
            ));
        }
        found.extend(self.only_to_be_copied(words));
        let failed = self.with(|standing| is_not_ready(standing) && !is_passing(standing));
        if !failed.is_empty() {
            found.push(finding(
                Severity::Warning,
                &format!("snapshot_not_{}", words.ready),
                format!("not {} ({}): {}", words.ready, self.states(), failed.join(", ")),
                "they cannot be restored",
                words.failed,
            ));
        }
        found.extend(self.of_drills(words));
        found.extend(self.wrong_tags(words));
        let undated = self.with(|standing| *standing == Standing::Undated);
        if !undated.is_empty() {
            found.push(finding(
                Severity::Warning,
                "time_of_data_unknown",
                format!(
                    "{} does not say how old the data is in {}",
                    words.service,
                    undated.join(", ")
                ),
                words.no_time,
                words.tell_time,
            ));
        }
        let missed = format!("{}.schedule_missed", words.code);
        let spacing = self.spacing();
        found.extend(spacing.missed(schedule, &missed));
        found.extend(spacing.no_history(schedule, &format!("{}.history_too_short", words.code)));
        found.extend(self.several_sources(words));
        found
    }

    fn versions_gone(&self, words: &Words) -> Option<Finding> {
        let gone = self.with(is_gone);
        let (ids, versions) = (gone.join(", "), self.gone_versions());
        (!gone.is_empty()).then(|| Finding {
            severity: Severity::Serious,
            code: format!("{}.snapshot_version_gone", words.code),
            what: format!("{ids} cannot be restored: {versions} is not offered here any more"),
            why: "these recovery points are lost, however many there seem to be".to_owned(),
            action: words.version_gone.to_owned(),
        })
    }

    fn only_to_be_copied(&self, words: &Words) -> Option<Finding> {
        let ids = self.with(is_only_to_be_copied);
        (!ids.is_empty()).then(|| Finding {
            severity: Severity::Warning,
            code: format!("{}.snapshot_only_to_be_copied", words.code),
            what: format!("{SHARED}: {}", ids.join(", ")),
            why: "they are restored only from a copy, which takes its time in the disaster"
                .to_owned(),
            action: COPY_FIRST.to_owned(),
        })
    }

    fn of_drills(&self, words: &Words) -> Option<Finding> {
        let ids = self.with(is_of_a_drill);
        (!ids.is_empty()).then(|| Finding {
            severity: Severity::Note,
            code: format!("{}.made_by_a_drill", words.code),
            what: format!("left out, because drills made them: {}", ids.join(", ")),
            why: "what a drill makes is removed again: in a disaster it is not there, and it says nothing about the schedule"
                .to_owned(),
            action: "name the copy that this run has made with own_copy:, if it is meant; remove what earlier drills have left"
                .to_owned(),
        })
    }

    fn wrong_tags(&self, words: &Words) -> Option<Finding> {
        let wrong: Vec<_> = self
            .all()
            .iter()
            .filter(|judged| is_wanted(&judged.standing))
            .filter_map(|judged| Some((judged.backup.id(), judged.wrong_tag.as_ref()?)))
            .map(|(id, why)| format!("{id} ({why})"))
            .collect();
        (!wrong.is_empty()).then(|| Finding {
            severity: Severity::Warning,
            code: format!("{}.time_tag_wrong", words.code),
            what: format!("tags do not tell the time of the data: {}", wrong.join(", ")),
            why: "no data is newer than its backup; such a tag was left out of account".to_owned(),
            action: "correct what writes time_tag:, in RFC 3339 and with the right offset"
                .to_owned(),
        })
    }

    fn several_sources(&self, words: &Words) -> Option<Finding> {
        let (sources, field) = words.sources?;
        let wanted = self.all().iter().filter(|judged| is_wanted(&judged.standing));
        let ids: BTreeSet<_> = wanted.filter_map(|judged| judged.backup.taken_of()).collect();
        (ids.len() > 1).then(|| {
            let ids: Vec<_> = ids.into_iter().collect();
            Finding {
                severity: Severity::Warning,
                code: format!("{}.several_{sources}", words.code),
                what: format!("the snapshots come from different {sources}: {}", ids.join(", ")),
                why: "what was made again under an old name has other data than the old snapshots"
                    .to_owned(),
                action: format!("name the one that counts with resource_id: ({field})"),
            }
        })
    }

    fn broken_keys(&self) -> String {
        let keys = self.all().iter().filter_map(|judged| match &judged.standing {
            Standing::KeyUnusable(why) => {
                Some(format!("key {} {why}", judged.backup.key().unwrap_or("unknown")))
            }
            _ => None,
        });
        keys.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ")
    }

    fn gone_versions(&self) -> String {
        let versions = self.all().iter().filter_map(|judged| match &judged.standing {
            Standing::Hindered(Obstacle::VersionGone(version)) => Some(version.as_str()),
            _ => None,
        });
        versions.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
    }

    fn states(&self) -> String {
        let states = self.all().iter().filter_map(|judged| match &judged.standing {
            Standing::Hindered(Obstacle::NotReady { state, .. }) => Some(state.as_str()),
            _ => None,
        });
        states.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
    }
}

fn is_locked(standing: &Standing) -> bool {
    matches!(standing, Standing::KeyUnusable(_))
}

fn is_archived(standing: &Standing) -> bool {
    *standing == Standing::Hindered(Obstacle::Archived)
}

/// What RDS restores nothing from.
const SHARED: &str = "shared by another account and encrypted";

const COPY_FIRST: &str = "copy it into this account with a key of its own (rds.copy_snapshot, aurora.copy_snapshot) and restore the copy; \
     to_copy: true of the step finds what is to be copied";

fn is_only_to_be_copied(standing: &Standing) -> bool {
    *standing == Standing::Hindered(Obstacle::OnlyToBeCopied)
}

fn is_gone(standing: &Standing) -> bool {
    matches!(standing, Standing::Hindered(Obstacle::VersionGone(_)))
}

fn is_wanted(standing: &Standing) -> bool {
    !matches!(standing, Standing::Hindered(Obstacle::NotWanted | Obstacle::OfADrill))
}

fn is_of_a_drill(standing: &Standing) -> bool {
    *standing == Standing::Hindered(Obstacle::OfADrill)
}

fn is_not_ready(standing: &Standing) -> bool {
    matches!(standing, Standing::Hindered(Obstacle::NotReady { .. }))
}

fn is_passing(standing: &Standing) -> bool {
    matches!(standing, Standing::Hindered(Obstacle::NotReady { passing: true, .. }))
}
