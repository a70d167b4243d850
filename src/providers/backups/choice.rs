use super::{KeyCondition, Spacing, loss};
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// A backup as its service shows it.
pub(in crate::providers) trait Backup {
    /// What people call it.
    fn id(&self) -> &str;
    /// The KMS key that it needs.
    fn key(&self) -> Option<&str>;
    /// When the service made it here (UTC), whatever the age of its data.
    fn made(&self) -> Option<DateTime<Utc>>;
    /// Whether the service says that it is encrypted.
    fn encrypted(&self) -> Option<bool>;
    /// The identity of what it was taken of, where names can be given again.
    fn taken_of(&self) -> Option<&str> {
        None
    }
}

/// What a service's own rules say of a backup, apart from keys and wanted times.
#[derive(Clone, Debug, Default)]
pub(in crate::providers) struct Seen {
    /// Why it cannot serve.
    pub(in crate::providers) obstacle: Option<Obstacle>,
    /// The time of its data (UTC) and where that comes from; `None` when nobody knows.
    pub(in crate::providers) time: Option<(DateTime<Utc>, String)>,
    /// From the time of the data until its copy was here; `None` when it is no copy.
    pub(in crate::providers) copy_lag: Option<TimeDelta>,
    /// Whether that reaches to when the copy was complete, and not only to when it began.
    pub(in crate::providers) copy_complete: bool,
    /// What is wrong with the tag that should tell the time of its data.
    pub(in crate::providers) wrong_tag: Option<String>,
    /// Made by a call, and no copy: beside others it says nothing about a schedule.
    pub(in crate::providers) by_hand: bool,
    /// Made by a drill: it says nothing about a schedule, and is not there in a disaster.
    pub(in crate::providers) of_a_drill: bool,
}

/// Why a backup cannot serve, as its service says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::providers) enum Obstacle {
    /// Of another type or origin than wanted.
    NotWanted,
    /// A drill has made it, and nobody asked for it.
    OfADrill,
    /// It has to be brought back first.
    Archived,
    /// Another account shares it, and it is encrypted: its service restores it only from a copy.
    OnlyToBeCopied,
    /// Its service does not offer the version of its engine here any more; the text names engine and version.
    VersionGone(String),
    /// It is not ready.
    NotReady {
        /// The service's word for its state, and why.
        state: String,
        /// Every backup passes through that state: it needs nobody's attention.
        passing: bool,
    },
}

/// Whether a backup can serve as the recovery point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::providers) enum Standing {
    /// It can; the time of its data (UTC) and where that comes from.
    Usable { at: DateTime<Utc>, source: String },
    /// It can, but nobody knows how old its data is.
    Undated,
    /// Its data is newer than wanted.
    TooNew,
    /// Its key cannot be used here.
    KeyUnusable(String),
    /// Its service says why not.
    Hindered(Obstacle),
}

/// A backup and what it is good for.
#[derive(Debug)]
pub(in crate::providers) struct Judged<'a, B> {
    pub(in crate::providers) backup: &'a B,
    pub(in crate::providers) standing: Standing,
    /// What is known of its key: `None` when it names none.
    pub(in crate::providers) key: Option<&'a KeyCondition>,
    copy_lag: Option<TimeDelta>,
    copy_complete: bool,
    pub(super) wrong_tag: Option<String>,
    by_hand: bool,
    of_a_drill: bool,
}

impl<B> Judged<'_, B> {
    pub(in crate::providers) fn is_usable(&self) -> bool {
        matches!(self.standing, Standing::Usable { .. })
    }
}

/// Up to when backups are looked at (UTC).
#[derive(Clone, Copy, Debug)]
pub(in crate::providers) struct Until {
    /// Newer data is not wanted.
    pub(in crate::providers) wanted: DateTime<Utc>,
    /// The schedule is looked at up to here: no later than the disaster, after which nothing more can come.
    pub(in crate::providers) counted: DateTime<Utc>,
}

/// All backups that were found, each with what it is good for.
#[derive(Debug)]
pub(in crate::providers) struct Candidates<'a, B> {
    judged: Vec<Judged<'a, B>>,
    until: Until,
}

impl<'a, B: Backup> Candidates<'a, B> {
    /// Judges every backup by its key, the time that is wanted (UTC), and the rules of its service.
    pub(in crate::providers) fn judge(
        backups: &'a [B],
        keys: &'a BTreeMap<String, KeyCondition>,
        until: Until,
        look: impl Fn(&B) -> Seen,
    ) -> Self {
        let one = |backup: &'a B| {
            let key = backup.key().and_then(|key| keys.get(key));
            let mut seen = look(backup);
            let (copy_lag, copy_complete) = (seen.copy_lag, seen.copy_complete);
            let wrong_tag = seen.wrong_tag.take();
            let (by_hand, of_a_drill) = (seen.by_hand, seen.of_a_drill);
            let standing = standing(seen, key, until.wanted);
            Judged {
                backup,
                standing,
                key,
                copy_lag,
                copy_complete,
                wrong_tag,
                by_hand,
                of_a_drill,
            }
        };
        Self { judged: backups.iter().map(one).collect(), until }
    }

    /// The newest usable backup; without one, the latest made of those whose data has no known time.
    pub(in crate::providers) fn choose(&self) -> Option<&Judged<'a, B>> {
        let rank = |candidate: &&Judged<'a, B>| match candidate.standing {
            Standing::Usable { at, .. } => Some((true, Some(at), candidate.backup.made())),
            Standing::Undated => Some((false, None, candidate.backup.made())),
            _ => None,
        };
        self.judged.iter().filter(|candidate| rank(candidate).is_some()).max_by_key(rank)
    }

    /// How the usable ones lie in time. Those that somebody took by hand count only where there are no others: one that is
    /// kept for a year makes no gap of a year in a schedule. Those that a drill made never count.
    pub(in crate::providers) fn spacing(&self) -> Spacing {
        let scheduled = self.lasting().any(|judged| !judged.by_hand);
        let counting = self.lasting().filter(|judged| !(scheduled && judged.by_hand));
        let times = counting.filter_map(|judged| match judged.standing {
            Standing::Usable { at, .. } => Some(at),
            _ => None,
        });
        Spacing::of(times, self.until.counted)
    }

    /// Those that are there without a drill.
    fn lasting(&self) -> impl Iterator<Item = &Judged<'a, B>> {
        self.usable().filter(|judged| !judged.of_a_drill)
    }

    pub(in crate::providers) fn usable(&self) -> impl Iterator<Item = &Judged<'a, B>> {
        self.judged.iter().filter(|judged| judged.is_usable())
    }

    pub(super) fn all(&self) -> &[Judged<'a, B>] {
        &self.judged
    }

    pub(super) fn not_after(&self) -> DateTime<Utc> {
        self.until.wanted
    }

    /// What the chosen one and the others come to, at this time (UTC) of the loss, under a schedule.
    pub(in crate::providers) fn summary(
        &self,
        chosen: &Judged<'a, B>,
        loss_at: DateTime<Utc>,
        schedule: TimeDelta,
    ) -> Summary {
        let (at, source) = match &chosen.standing {
            Standing::Usable { at, source } => (Some(*at), Some(source.clone())),
            _ => (None, None),
        };
        let spacing = self.spacing();
        let worst_gap = spacing.worst_gap(schedule).map(|gap| gap.length());
        let copy_lag = self.lasting().filter_map(|judged| judged.copy_lag).max();
        Summary {
            at,
            source,
            age: at.map(|at| loss(loss_at - at)),
            considered: count(self.judged.len()),
            usable: count(self.usable().count()),
            retention: spacing
                .oldest()
                .map(|oldest| HumanDuration::from(loss_at - oldest).rounded_down()),
            worst_gap: worst_gap.map(loss),
            copy_lag: copy_lag.map(loss),
            worst_case: worst_gap.map(|gap| loss(gap + copy_lag.unwrap_or_default())),
            lacks: self.lasting().any(only_began).then_some(COPYING),
        }
    }
}

/// A copy of which it is not known when it was complete.
fn only_began<B>(judged: &Judged<'_, B>) -> bool {
    judged.copy_lag.is_some() && !judged.copy_complete
}

/// What the worst case of copies leaves out: a copy that has only begun is of no use after the loss.
const COPYING: &str = "the worst case is longer by the time that a copy takes: the service tells when it began, and not when it was \
                       complete";

impl Summary {
    /// With the time that a copy takes to be complete, as somebody who has seen it says.
    pub(in crate::providers) fn with_copying(mut self, takes: Option<HumanDuration>) -> Self {
        if let Some(takes) = takes.filter(|_| self.lacks.is_some()) {
            self.worst_case =
                self.worst_case.map(|worst| HumanDuration(worst.0.saturating_add(takes.0)));
            self.lacks = None;
        }
        self
    }
}

fn standing(seen: Seen, key: Option<&KeyCondition>, not_after: DateTime<Utc>) -> Standing {
    if let Some(obstacle) = seen.obstacle {
        return Standing::Hindered(obstacle);
    }
    if let Some(KeyCondition::Unusable(why)) = key {
        return Standing::KeyUnusable(why.clone());
    }
    match seen.time {
        None => Standing::Undated,
        Some((at, _)) if at > not_after => Standing::TooNew,
        Some((at, source)) => Standing::Usable { at, source },
    }
}

/// What is told of a recovery point, whatever the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::providers) struct Summary {
    /// The time of the newest data in it (UTC); absent when nobody knows.
    pub(in crate::providers) at: Option<DateTime<Utc>>,
    /// Where that time comes from.
    pub(in crate::providers) source: Option<String>,
    /// How old the data was at the loss.
    pub(in crate::providers) age: Option<HumanDuration>,
    /// How many backups were looked at.
    pub(in crate::providers) considered: u64,
    /// How many of these could be restored, and their data has a known time.
    pub(in crate::providers) usable: u64,
    /// The age of the oldest usable one; of those that a schedule made, where there are any.
    pub(in crate::providers) retention: Option<HumanDuration>,
    /// The longest time without a recovery point.
    pub(in crate::providers) worst_gap: Option<HumanDuration>,
    /// The longest time from the data until its copy was here.
    pub(in crate::providers) copy_lag: Option<HumanDuration>,
    /// Both together: the longest loss that they allow.
    pub(in crate::providers) worst_case: Option<HumanDuration>,
    /// What `worst_case` leaves out.
    pub(in crate::providers) lacks: Option<&'static str>,
}

pub(in crate::providers) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
