//! What is noted of a snapshot and is no damage, as findings. Pure.

use crate::formats::etcd_snapshot::{Inspection, Note};
use crate::journal::{Finding, Severity};

/// What whoever restores it must know, and is no damage.
pub(super) fn notes(inspection: &Inspection) -> Vec<Finding> {
    inspection.notes.iter().map(of_note).collect()
}

fn of_note(note: &Note) -> Finding {
    let (severity, code, why, action) = about(note);
    Finding {
        severity,
        code: code.to_owned(),
        what: note.to_string(),
        why: why.to_owned(),
        action: action.to_owned(),
    }
}

/// How severe it is, its code, what it means and what to do.
type About = (Severity, &'static str, &'static str, &'static str);

const UNKNOWN_ENTRIES: About = (
    Severity::Warning,
    "etcd.unknown_entries",
    "an etcd that does not find what it had noted under the right name goes on without it",
    "look whether a newer release of this program knows the version of the cluster's etcd; if not, compare with a member",
);

const NOT_UNDERSTOOD: About = (
    Severity::Serious,
    "etcd.later_version",
    "whether these entries are right or damaged is not known",
    "look whether a newer release of this program knows the version of the cluster's etcd; prove this backup by a restore (etcd.restore)",
);

const UNKNOWN_BUCKETS: About = (
    Severity::Note,
    "etcd.unknown_tables",
    "nobody knows whether what is in them is as it should be",
    "look whether a newer release of this program knows the version of the cluster's etcd",
);

const PAGE_NOT_CHECKED: About = (
    Severity::Serious,
    "etcd.page_not_checked",
    "what it holds may be damaged, and nothing in the snapshot was counted: memory is bounded, whatever a file claims",
    "look what has values of so many bytes: etcd is made for some kilobytes; prove this backup by a restore (etcd.restore)",
);

fn about(note: &Note) -> About {
    match note {
        Note::NoSpaceAlarm { .. } => (
            Severity::Serious,
            "etcd.alarm_nospace",
            "the alarm is part of the snapshot: a cluster that is restored from it answers reads and refuses every write",
            "after the restore make room (compact, defragment, or a greater --quota-backend-bytes), then etcdctl alarm disarm; \
             and do the same in the living cluster before the next snapshot",
        ),
        Note::LeasesMissing { .. } => (
            Severity::Serious,
            "etcd.leases_missing",
            "etcd starts from it and only logs that; what hangs on such a lease, a leader's or a lock, is never given up by itself",
            "after the restore delete these keys by hand, or let their holders write them anew",
        ),
        Note::LeasesNotCompared { .. } => (
            Severity::Serious,
            "etcd.leases_not_compared",
            "where a lease was lost, what hangs on it, a leader's or a lock, is never given up by itself",
            "find out who takes so many leases, and whether their holders write their keys anew after a restore",
        ),
        Note::AuthEnabled { .. } => (
            Severity::Warning,
            "etcd.auth_enabled",
            "users and passwords are part of the snapshot: without one of them nobody can use the restored cluster",
            "keep a password or a client certificate of root in the recovery kit, and try it in a drill",
        ),
        Note::AuthNotSaid { .. } => (
            Severity::Warning,
            "etcd.auth_not_said",
            "a cluster that is restored from it answers whoever reaches it, unless the living one does so too",
            "ask the living cluster with etcdctl auth status; if it says true, this snapshot is damaged",
        ),
        Note::CompactedBeyond { .. } => (
            Severity::Serious,
            "etcd.compacted_beyond_last_change",
            "what was lost with these changes, if they were no deletions, is missing after a restore",
            "compare with a member (etcd.compare_members) or with the inventory of the backup before",
        ),
        Note::LongerThanNeeded { .. } => (
            Severity::Warning,
            "etcd.trailing_bytes",
            "etcdctl snapshot save writes nothing there: the file was not written by it, or something was appended",
            "back up with etcdctl snapshot save, and keep the file as it is",
        ),
        Note::CompactionInFlight { .. } => (
            Severity::Note,
            "etcd.compaction_in_flight",
            "an etcd that starts from the snapshot throws away the history up to there",
            "nothing, unless that revision is far from the last one: then look whether the note of it was damaged",
        ),
        Note::RevisionBumped => (
            Severity::Note,
            "etcd.revision_bumped",
            "revisions below the mark do not go on without a gap",
            "nothing, if the cluster was restored with --bump-revision",
        ),
        Note::UnknownEntries { .. } => UNKNOWN_ENTRIES,
        Note::NotUnderstood { .. } => NOT_UNDERSTOOD,
        Note::UnknownBuckets { .. } => UNKNOWN_BUCKETS,
        Note::PageNotChecked { .. } => PAGE_NOT_CHECKED,
    }
}
