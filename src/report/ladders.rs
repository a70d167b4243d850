//! The ladders of verification: what each rung means, and by which checks it is shown.
//!
//! One table. A test holds it complete against all actions: each shows a part of a rung, or [`SHOWS_NOTHING`] says why it does not.

/// How deep one kind of service can be verified.
pub(super) struct Ladder {
    /// A short word: `rds`.
    pub(super) id: &'static str,
    /// What it is about, for people.
    pub(super) service: &'static str,
    /// From the lowest to the highest.
    pub(super) rungs: &'static [Rung],
}

/// A rung is reached when all of its parts are shown.
pub(super) struct Rung {
    /// `R4`.
    pub(super) name: &'static str,
    /// A sentence without its full stop.
    pub(super) meaning: &'static str,
    pub(super) parts: &'static [Part],
}

/// One thing that has to be shown, by any of some checks. Without any, no action of this program shows it.
pub(super) struct Part {
    pub(super) what: &'static str,
    pub(super) proofs: &'static [Proof],
    /// Nobody has to ask; where somebody did, the answer counts.
    pub(super) where_asked: bool,
}

/// A check of an action that shows something when it passed over something.
pub(super) struct Proof {
    pub(super) action: &'static str,
    pub(super) check: Named,
    pub(super) besides: Besides,
    pub(super) early: Early,
}

/// Whether a step that runs before the disaster counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Early {
    /// It asks the original, which shows nothing of its recovery.
    Never,
    /// What it has found stays, where its site is not lost.
    WhereNothingIsLost,
    /// Only the living original can be asked.
    Always,
}

/// Which check of an action.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// The one that it calls so by itself.
    Its(&'static str),
    /// Those that the scenario names, below this input: `queries`.
    Each(&'static str),
    /// Those that begin with a word, and then have the name that the scenario gives below this input: `login`, `logins`.
    EachAs(&'static str, &'static str),
}

/// What else the same step must not have seen go wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Besides {
    Nothing,
    /// These checks, where they were made.
    Also(&'static [&'static str]),
    /// Any of its checks.
    All,
}

impl Proof {
    const fn besides(mut self, checks: &'static [&'static str]) -> Self {
        self.besides = Besides::Also(checks);
        self
    }

    const fn and_all_others(mut self) -> Self {
        self.besides = Besides::All;
        self
    }

    const fn also_before_the_loss(mut self) -> Self {
        self.early = Early::Always;
        self
    }

    const fn also_found_before_the_loss(mut self) -> Self {
        self.early = Early::WhereNothingIsLost;
        self
    }
}

const fn by(action: &'static str, check: &'static str) -> Proof {
    Proof { action, check: Named::Its(check), besides: Besides::Nothing, early: Early::Never }
}

const fn by_each(action: &'static str, input: &'static str) -> Proof {
    Proof { action, check: Named::Each(input), besides: Besides::Nothing, early: Early::Never }
}

const fn rung(name: &'static str, meaning: &'static str, parts: &'static [Part]) -> Rung {
    Rung { name, meaning, parts }
}

const fn by_each_as(action: &'static str, word: &'static str, input: &'static str) -> Proof {
    Proof { check: Named::EachAs(word, input), ..by_each(action, input) }
}

const fn part(what: &'static str, proofs: &'static [Proof]) -> Part {
    Part { what, proofs, where_asked: false }
}

const fn where_asked(what: &'static str, proofs: &'static [Proof]) -> Part {
    Part { what, proofs, where_asked: true }
}

/// A reference of another database, or of long ago, says nothing of this one.
const OF_THE_REFERENCE: &[&str] =
    &["source of the reference", "age of the reference", "evidence of the earlier run"];

/// Data of another database, or of another time than the point that was asked for, may be new, and is not what was to come back.
const OF_THE_POINT: &[&str] =
    &["newest data is from the backup", "row from before the point", "no row from after the point"];

/// All ladders.
pub(super) const LADDERS: &[Ladder] = &[
    Ladder { id: "rds", service: "databases of RDS and Aurora", rungs: DATABASES },
    Ladder { id: "etcd", service: "etcd", rungs: ETCD },
    Ladder { id: "ebs", service: "EBS volumes", rungs: VOLUMES },
    Ladder { id: "s3", service: "S3 buckets", rungs: BUCKETS },
];

/// "Available" says that an instance exists; storage that was restored is loaded when it is first read:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_RestoreFromSnapshot.html>
const DATABASES: &[Rung] = &[
    rung(
        "R0",
        "a recovery point is there that can be restored, and it is known how old its data is",
        &[
            part(
                "a usable recovery point",
                &[
                    by("rds.find_snapshot", "usable recovery point").also_found_before_the_loss(),
                    by("rds.find_automated_backup", "usable recovery point")
                        .also_found_before_the_loss(),
                    by("rds.restore_point_in_time", "in the restore window"),
                    by("rds.promote_replica", "is a read replica"),
                    by("aurora.find_snapshot", "usable recovery point")
                        .also_found_before_the_loss(),
                    by("aurora.restore_cluster_point_in_time", "restorable time"),
                ],
            ),
            part(
                "the time of its data",
                &[
                    by("rds.find_snapshot", "time of the data").also_found_before_the_loss(),
                    // The restore window ends at the time of the newest transaction log.
                    by("rds.find_automated_backup", "usable recovery point")
                        .also_found_before_the_loss(),
                    by("rds.restore_point_in_time", "in the restore window"),
                    by("rds.copy_snapshot", "time of the data").also_found_before_the_loss(),
                    by("aurora.find_snapshot", "time of the data").also_found_before_the_loss(),
                    by("aurora.copy_snapshot", "time of the data").also_found_before_the_loss(),
                    by("aurora.restore_cluster_point_in_time", "restorable time"),
                    by("sql.check", "newest data").besides(&["newest data is from the backup"]),
                ],
            ),
        ],
    ),
    rung(
        "R1",
        "it was restored: the service calls it available, and it comes from that recovery point",
        &[part(
            "a restored database that is available",
            &[
                by("rds.restore_snapshot", "engine as in the snapshot"),
                by("rds.restore_point_in_time", "engine as in the backup"),
                by("rds.promote_replica", "stands alone"),
                by("aurora.restore_cluster", "engine as in the backup"),
                by("aurora.restore_cluster_point_in_time", "engine as in the backup"),
            ],
        )],
    ),
    rung(
        "R2",
        "somebody can log in, and queries are answered",
        &[part(
            "an answer to a query",
            &[
                by("sql.check", "database answers"),
                by("sql.hydrate", "database answers"),
                by("sql.try_write", "database answers"),
            ],
        )],
    ),
    rung(
        "R3",
        "it is configured as was written down of the original, but for what the scenario varies on purpose",
        &[part(
            "every item that was written down",
            &[
                by("rds.compare_config", "items compared").and_all_others(),
                by("aurora.compare_config", "items compared").and_all_others(),
            ],
        )],
    ),
    rung(
        "R4",
        "it is built as the original was, holds its rows, and how new they are was read from them",
        &[
            part(
                "the structure of the original",
                &[by("sql.check", "schema").besides(OF_THE_REFERENCE)],
            ),
            part(
                "the rows of the original",
                &[
                    by("sql.check", "row counts").besides(OF_THE_REFERENCE),
                    by("sql.check", "checksums").besides(OF_THE_REFERENCE),
                ],
            ),
            part("the newest data", &[by("sql.check", "newest data").besides(OF_THE_POINT)]),
        ],
    ),
    rung(
        "R5",
        "the server itself has inspected its tables and indexes, and found no damage",
        &[part("an inspection of tables and indexes", &[by("sql.check", "tables and indexes")])],
    ),
    rung(
        "R6",
        "an application could work with it: reads are fast, queries give what they should, and it can be written",
        &[
            part("fast reads", &[by("sql.hydrate", "read latency")]),
            part("queries that give what they should", &[by_each("sql.check", "queries")]),
            part("a write", &[by("sql.try_write", "write")]),
            where_asked(
                "logins, and sequences ahead of their columns",
                &[by_each_as("sql.check", "login", "logins"), by("sql.check", "sequences")],
            ),
        ],
    ),
];

/// A snapshot that is not whole, or whose content nobody vouches for, is not looked at any further: neither are its leases then.
const OF_THE_WHOLE: &[&str] = &["packing", "trailing SHA-256", "meta pages", "complete"];

/// Members that differ or are silent have no hash that is that of all of them, whatever most of them say.
const OF_ALL_MEMBERS: &[&str] =
    &["every member", "one cluster", "same data", "packing", "sound snapshot"];

/// Snapshots, and what restores one: <https://etcd.io/docs/latest/op-guide/recovery/>
const ETCD: &[Rung] = &[
    rung(
        "E0",
        "there is a snapshot, and it is as long as it says",
        &[part("a complete snapshot", &[by("etcd.verify_snapshot", "complete")])],
    ),
    rung(
        "E1",
        "the SHA-256 at its end is that of its content",
        &[part("the digest", &[by("etcd.verify_snapshot", "trailing SHA-256")])],
    ),
    rung(
        "E2",
        "all of it can be read: every page that is used is there once, and in order",
        &[
            part("its meta pages", &[by("etcd.verify_snapshot", "meta pages")]),
            part("its structure", &[by("etcd.verify_snapshot", "structure")]),
        ],
    ),
    rung(
        "E3",
        "it agrees with an inventory that was kept of the cluster: it does not end before it, and holds as many objects, within the tolerances",
        &[
            part("the revision of the inventory", &[by("etcd.inventory", "revision")]),
            part("the counts of the inventory", &[by("etcd.inventory", "baseline")]),
        ],
    ),
    rung(
        "E4",
        "its changes, leases and alarms are such as etcd writes, and nothing in it contradicts the time that is stated for it, if one is",
        &[
            part(
                "its changes, leases and alarms",
                &[by("etcd.verify_snapshot", "structure").besides(OF_THE_WHOLE)],
            ),
            where_asked(
                "the time that is stated for it",
                &[by("etcd.verify_snapshot", "time of the data")],
            ),
        ],
    ),
    rung(
        "E5",
        "it holds the objects of Kubernetes, with every secret encrypted by a key that is kept elsewhere",
        &[
            part(
                "objects of Kubernetes that can be read",
                &[by("etcd.inventory", "objects of Kubernetes").besides(&["objects readable"])],
            ),
            part("encrypted secrets", &[by("etcd.inventory", "secrets encrypted")]),
            part(
                "their keys in the recovery kit",
                &[by("etcd.inventory", "encryption keys in the recovery kit")],
            ),
        ],
    ),
    rung(
        "E6",
        "all running members store the same, and have the hash of the snapshot that they are compared with: one that was taken just now, unless the step names the stored backup",
        &[
            part(
                "the hash of all members",
                &[by("etcd.compare_members", "backup")
                    .besides(OF_ALL_MEMBERS)
                    .also_before_the_loss()],
            ),
            where_asked(
                "the hash of the member of which a snapshot was taken",
                &[by("etcd.take_snapshot", "as the member").also_before_the_loss()],
            ),
        ],
    ),
    rung(
        "E7",
        "it was restored into an etcd of its own, which answers, and has the hash of the snapshot",
        &[
            part("a restored etcd", &[by("etcd.restore", "restored")]),
            part("its hash", &[by("etcd.restore", "HashKV")]),
            part("an answer to a read", &[by("etcd.restore", "members answer")]),
        ],
    ),
];

/// Blocks of a restored volume are loaded when they are first read:
/// <https://docs.aws.amazon.com/ebs/latest/userguide/initalize-volume.html>
const VOLUMES: &[Rung] = &[
    rung(
        "B0",
        "a snapshot is there that can be restored, and it is known how old its data is",
        &[
            part(
                "a usable recovery point",
                &[by("ebs.find_snapshot", "usable recovery point").also_found_before_the_loss()],
            ),
            part(
                "the time of its data",
                &[by("ebs.find_snapshot", "time of the data").also_found_before_the_loss()],
            ),
        ],
    ),
    rung(
        "B1",
        "it is known which blocks it holds, and from which snapshots they come",
        &[part("a map of its blocks", &[])],
    ),
    rung(
        "B2",
        "partitions and the heads of file systems have the right checksums",
        &[part("partitions and heads of file systems", &[])],
    ),
    rung(
        "B3",
        "the files are there: the tree of a file system, and a file that is known",
        &[part("a tree of files", &[])],
    ),
    rung(
        "B4",
        "its blocks have the checksums of the original",
        &[part("checksums of blocks", &[])],
    ),
    rung(
        "B5",
        "it was restored as a volume, whose file systems are sound, and whose reads are fast",
        &[
            part("a restored volume", &[by("ebs.restore_volume", "snapshot")]),
            part("an inspection of its file systems", &[]),
            part("fast reads", &[]),
        ],
    ),
];

/// Of replication: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication.html>. The living source is asked, so that all
/// of it can be shown before the loss.
const BUCKETS: &[Rung] = &[
    rung(
        "S0",
        "replication is set up: versions are kept on both sides, and a rule replicates all that is meant",
        &[
            part(
                "versions at the source",
                &[by("s3.check_replication", "versioning of the source").also_before_the_loss()],
            ),
            part(
                "versions at the replica",
                &[by("s3.check_replication", "versioning of the replica").also_before_the_loss()],
            ),
            part(
                "a rule that replicates",
                &[by("s3.check_replication", "replication rule").also_before_the_loss()],
            ),
        ],
    ),
    rung(
        "S1",
        "the measures of the service say that nothing waits to be replicated",
        &[part("the service's own measures", &[])],
    ),
    rung(
        "S2",
        "every version is at the replica, with the same size and content",
        &[
            part(
                "every version",
                &[by("s3.check_replication", "versions at the replica").also_before_the_loss()],
            ),
            part("their content", &[by("s3.check_replication", "content").also_before_the_loss()]),
        ],
    ),
    rung(
        "S3",
        "a sample has the status of a replica, with the same checksums and metadata",
        &[part("a sample", &[by("s3.check_replication", "sample").also_before_the_loss()])],
    ),
    rung(
        "S4",
        "a new object was written, and arrived at the replica as it was",
        &[part(
            "a new object",
            &[by("s3.replicate_canary", "canary at the replica").also_before_the_loss()],
        )],
    ),
    rung(
        "S5",
        "the bytes of a sample were read on both sides, and are the same",
        &[part("bytes of a sample", &[])],
    ),
    rung(
        "S6",
        "an application has read its objects from the replica",
        &[part("reads of an application", &[])],
    ),
];

/// Actions that show no part of any rung, and why.
#[cfg(test)]
pub(super) const SHOWS_NOTHING: &[(&str, &str)] = &[
    ("aurora.capture_config", "it notes down what the original is like; comparing shows something"),
    ("cloudwatch.check_alarms", "an alarm may be of anything"),
    ("control.approve", "a person's word is no check"),
    ("exec.run", "what a program has looked at is not known"),
    ("http.check", "what is behind an address is not known"),
    ("rds.capture_config", "it notes down what the original is like; comparing shows something"),
    ("sql.capture_reference", "it notes down what the original holds; comparing shows something"),
];
