use super::rules::{Coverage, Rule};
use crate::journal::{Check, Finding, Severity};
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};

/// What the source says about the replication of a version (user guide, "Getting replication status information").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SourceStatus {
    /// Given up; S3 does not try again by itself.
    Failed,
    /// Still to be done.
    Pending,
    /// Said to be done.
    Completed,
    /// It is a replica itself, which is not replicated further.
    Replica,
    /// No rule took it up: it is older than the rule, or the rule does not cover it.
    Never,
}

/// Versions that are due and not at the replica, by what the source says about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) failed: u64,
    pub(super) pending: u64,
    pub(super) completed: u64,
    pub(super) replica: u64,
    pub(super) never: u64,
    /// Not asked, because there were too many.
    pub(super) not_asked: u64,
}

impl Missing {
    /// Counts one.
    pub(super) fn count(&mut self, status: SourceStatus) {
        *match status {
            SourceStatus::Failed => &mut self.failed,
            SourceStatus::Pending => &mut self.pending,
            SourceStatus::Completed => &mut self.completed,
            SourceStatus::Replica => &mut self.replica,
            SourceStatus::Never => &mut self.never,
        } += 1;
    }

    /// All of them.
    pub(super) fn total(&self) -> u64 {
        [self.failed, self.pending, self.completed, self.replica, self.never, self.not_asked]
            .iter()
            .sum()
    }
}

/// Whether two objects of the same size with different ETags hold the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Same,
    Different,
    Unknown,
}

/// What one HEAD tells about the content of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ContentMarks {
    pub(super) size: u64,
    pub(super) etag: String,
    /// Encrypted in a way that makes the ETag something else than an MD5 (SSE-KMS, DSSE-KMS, SSE-C).
    pub(super) etag_is_opaque: bool,
    /// Checksums over the full object: algorithm and value.
    pub(super) checksums: Vec<(&'static str, String)>,
}

/// Compares by size, then by a checksum over the full object that both sides carry, then by ETag, which says something
/// only where it is an MD5: neither multipart nor encrypted with a key of KMS or of the customer (API reference, `Object`).
pub(super) fn same_content(source: &ContentMarks, replica: &ContentMarks) -> Content {
    if source.size != replica.size {
        return Content::Different;
    }
    let judged = |same: bool| if same { Content::Same } else { Content::Different };
    for (algorithm, value) in &source.checksums {
        if let Some((_, copy)) = replica.checksums.iter().find(|(other, _)| other == algorithm) {
            return judged(value == copy);
        }
    }
    let is_md5 = |marks: &ContentMarks| {
        !marks.etag_is_opaque
            && marks.etag.len() == 32
            && marks.etag.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if source.etag == replica.etag && !source.etag.is_empty() {
        return Content::Same;
    }
    if is_md5(source) && is_md5(replica) { Content::Different } else { Content::Unknown }
}

/// Everything that was found out about a pair of buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Regions: the site's and the bucket's, for source and replica.
    pub(super) regions: [(String, String); 2],
    pub(super) versioning_source: String,
    pub(super) versioning_replica: String,
    pub(super) rules: Vec<Rule>,
    pub(super) source: String,
    pub(super) replica: String,
    pub(super) prefix: String,
    pub(super) grace: HumanDuration,
    /// When the listing of the source began (UTC).
    pub(super) began: DateTime<Utc>,
    /// Both listings were read to their end.
    pub(super) complete: bool,
    pub(super) max_versions: u64,
    pub(super) compared: u64,
    pub(super) due: u64,
    pub(super) same: u64,
    pub(super) missing: Missing,
    /// Not at the replica, but younger than the grace.
    pub(super) lagging: u64,
    /// When the oldest version that is due and missing was written (UTC).
    pub(super) oldest_missing: Option<DateTime<Utc>>,
    /// When the oldest version that is not at the replica was written, young ones and ones with other content included (UTC).
    pub(super) oldest_not_there: Option<DateTime<Utc>>,
    pub(super) differing: u64,
    pub(super) inconclusive: u64,
    pub(super) extra: u64,
    pub(super) markers: u64,
    pub(super) markers_absent: u64,
    pub(super) sample_asked: u32,
    pub(super) sampled: u64,
    /// What differed in the sample, as text without data.
    pub(super) sample_faults: Vec<String>,
}

impl Facts {
    /// The rule that covers the prefix, if one does.
    pub(super) fn rule(&self) -> Option<&Rule> {
        match self.coverage() {
            Coverage::Whole(rule) => Some(rule),
            _ => None,
        }
    }

    fn coverage(&self) -> Coverage<'_> {
        super::rules::coverage(&self.rules, &self.prefix, &self.replica)
    }

    /// Up to when everything that was written is at the replica (UTC), and why that is so. `None` where nothing can be said:
    /// nothing was compared, or not everything.
    ///
    /// A version that is not there bounds it by the time at which it was written, young ones included: were the source lost
    /// now, it would be lost with it. Without any, the bound is the beginning of the source's listing: what was written
    /// later was not looked at. Listings are consistent (user guide, "Amazon S3 data consistency model"), so nothing written
    /// before is left out. Versions whose content could not be compared count as there; the check on content says so.
    pub(super) fn proven_up_to(&self) -> Option<(DateTime<Utc>, &'static str)> {
        if !self.complete || self.compared == 0 {
            return None;
        }
        Some(match self.oldest_not_there {
            Some(written) => {
                (written.min(self.began), "LastModified of the oldest version not at the replica")
            }
            None => (self.began, "beginning of the source's listing, all of it at the replica"),
        })
    }

    /// The checks.
    pub(super) fn checks(&self) -> Vec<Check> {
        let [source, replica] = &self.regions;
        let place = |name: &str, (site, bucket): &(String, String)| {
            Check::made(name, site.as_str(), bucket.as_str(), site == bucket)
        };
        let versioning =
            |name: &str, state: &str| Check::made(name, "Enabled", state, state == "Enabled");
        vec![
            place("region of the source", source),
            place("region of the replica", replica),
            versioning("versioning of the source", &self.versioning_source),
            versioning("versioning of the replica", &self.versioning_replica),
            self.rule_check(),
            self.presence_check(),
            self.content_check(),
            self.sample_check(),
        ]
    }

    fn rule_check(&self) -> Check {
        const NAME: &str = "replication rule";
        let below =
            if self.prefix.is_empty() { "all keys".to_owned() } else { self.prefix.clone() };
        let expected = format!("an enabled rule for {below} to {}", self.replica);
        let not = |observed: String| Check::made(NAME, expected.as_str(), observed, false);
        match self.coverage() {
            Coverage::Whole(rule) => {
                let markers = if rule.delete_markers { "with" } else { "without" };
                let observed = format!("rule {}, {markers} delete markers", rule.id);
                Check::made(NAME, expected, observed, true)
            }
            Coverage::ByTags(rule) => Check::not_made(
                NAME,
                expected,
                format!("rule {} selects by tags, which a listing does not show", rule.id),
            ),
            Coverage::Partly(prefixes) => not(format!("only for {}", prefixes.join(", "))),
            Coverage::Disabled(rule) => not(format!("rule {} is disabled", rule.id)),
            Coverage::Nothing => not("no rule to this bucket".to_owned()),
        }
    }

    fn presence_check(&self) -> Check {
        const NAME: &str = "versions at the replica";
        let expected = format!("every version older than {}", self.grace);
        let missing = self.missing.total();
        if missing == 0 && !self.complete {
            let why = format!(
                "only the first {} versions were listed: raise max_versions",
                self.max_versions
            );
            return Check::not_made(NAME, expected, why).over(self.due);
        }
        let observed = if missing == 0 {
            format!("all {} of them; {} younger ones on their way", self.due, self.lagging)
        } else {
            format!("{missing} of {} missing", self.due)
        };
        Check::made(NAME, expected, observed, missing == 0).over(self.due)
    }

    fn content_check(&self) -> Check {
        const NAME: &str = "content";
        const EXPECTED: &str = "size and ETag or checksum equal";
        let present = self.same + self.differing + self.inconclusive;
        if self.differing > 0 {
            let observed = format!("{} of {present} differ", self.differing);
            return Check::made(NAME, EXPECTED, observed, false).over(present);
        }
        if self.inconclusive > 0 {
            let why = format!(
                "{} of {present} have different ETags that are no MD5, and no checksum in common",
                self.inconclusive
            );
            return Check::not_made(NAME, EXPECTED, why).over(present);
        }
        if !self.complete {
            return Check::not_made(NAME, EXPECTED, "not everything was listed").over(present);
        }
        Check::made(NAME, EXPECTED, format!("equal for all {present}"), true).over(present)
    }

    fn sample_check(&self) -> Check {
        const NAME: &str = "sample";
        const EXPECTED: &str = "status REPLICA; size, type, metadata and checksums equal";
        if self.sample_asked == 0 {
            return Check::not_made(NAME, EXPECTED, "the scenario asks for no sample").over(0);
        }
        let observed = match self.sample_faults.len() {
            0 => format!("as expected for {}", self.sampled),
            faults => format!("{faults} of {} differ: {}", self.sampled, self.sample_faults[0]),
        };
        Check::made(NAME, EXPECTED, observed, self.sample_faults.is_empty()).over(self.sampled)
    }

    /// What a person should act on. `oldest` is the key of the oldest missing version, as it may be written down.
    pub(super) fn findings(&self, oldest: Option<&str>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let lost = "they would be lost together with the source";
        let example = oldest.map(|key| format!("; the oldest is {key}")).unwrap_or_default();
        let mut add = |count: u64, code: &str, what: &str, action: &str| {
            if count > 0 {
                findings.push(Finding {
                    severity: Severity::Serious,
                    code: code.to_owned(),
                    what: format!("{count} versions {what}{example}"),
                    why: lost.to_owned(),
                    action: action.to_owned(),
                });
            }
        };
        add(
            self.missing.failed,
            "s3.replication_failed",
            "have the replication status FAILED",
            "correct the cause (role, key of KMS, Object Lock), then replicate them with S3 Batch \
             Replication: S3 does not try again by itself",
        );
        add(
            self.missing.pending,
            "s3.replication_stalled",
            &format!("are PENDING for longer than {}", self.grace),
            "look at the replication metrics, the role's permissions and the destination's key; during \
             an outage of the destination it goes on by itself",
        );
        add(
            self.missing.never + self.missing.replica,
            "s3.never_replicated",
            "were never taken up by a rule: they are older than it, or it does not cover them",
            "replicate existing objects with S3 Batch Replication; cover SSE-KMS objects in the rule",
        );
        add(
            self.missing.completed,
            "s3.replica_removed",
            "are COMPLETED at the source and not at the replica: they were deleted there",
            "find out who or which lifecycle rule deletes at the replica, and take the permission away",
        );
        add(
            self.missing.not_asked,
            "s3.many_missing",
            "more are missing; their status was not asked for, because there are so many",
            "compare the bucket's inventories",
        );
        if self.differing > 0 {
            findings.push(Finding {
                severity: Severity::Critical,
                code: "s3.replica_differs".to_owned(),
                what: format!("{} versions have another content at the replica", self.differing),
                why: "what would be recovered is not what was written".to_owned(),
                action: "find out who writes to the replica bucket besides replication".to_owned(),
            });
        }
        if self.markers_absent > 0 {
            let set = self.rule().is_some_and(|rule| rule.delete_markers);
            findings.push(Finding {
                severity: if set { Severity::Warning } else { Severity::Note },
                code: "s3.delete_markers_differ".to_owned(),
                what: format!("{} delete markers are not at the replica", self.markers_absent),
                why: "objects that were deleted at the source appear again after recovery"
                    .to_owned(),
                action:
                    "decide whether that is wanted, and set DeleteMarkerReplication accordingly; \
                         markers that lifecycle rules make are never replicated"
                        .to_owned(),
            });
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_760_000_000 + seconds, 0).unwrap()
    }

    /// Ten versions, all of them at the replica.
    fn good() -> Facts {
        let rule =
            Rule { id: "dr".into(), enabled: true, target: "uploads-dr".into(), ..Rule::default() };
        let place = |region: &str| (region.to_owned(), region.to_owned());
        Facts {
            regions: [place("ap-northeast-1"), place("ap-northeast-3")],
            versioning_source: "Enabled".into(),
            versioning_replica: "Enabled".into(),
            rules: vec![rule],
            source: "uploads".into(),
            replica: "uploads-dr".into(),
            began: time(1000),
            complete: true,
            compared: 10,
            due: 10,
            same: 10,
            sample_asked: 2,
            sampled: 2,
            ..Facts::default()
        }
    }

    fn outcome(facts: &Facts, name: &str) -> Outcome {
        facts.checks().iter().find(|check| check.name == name).unwrap().outcome
    }

    #[test]
    fn a_complete_replica_passes_every_check() {
        for check in good().checks() {
            assert_eq!(check.outcome, Passed, "{}", check.name);
        }
        assert_eq!(good().findings(None), []);
    }

    #[test]
    fn every_check_can_fail() {
        let elsewhere = ("ap-northeast-1".to_owned(), "us-east-1".to_owned());
        let regions = good().regions;
        let cases = [
            (
                "region of the source",
                Facts { regions: [elsewhere.clone(), regions[1].clone()], ..good() },
            ),
            ("region of the replica", Facts { regions: [regions[0].clone(), elsewhere], ..good() }),
            ("versioning of the source", Facts { versioning_source: "Suspended".into(), ..good() }),
            (
                "versioning of the replica",
                Facts { versioning_replica: "never enabled".into(), ..good() },
            ),
            ("replication rule", Facts { rules: Vec::new(), ..good() }),
            (
                "versions at the replica",
                Facts { missing: Missing { pending: 1, ..Missing::default() }, ..good() },
            ),
            ("content", Facts { differing: 1, ..good() }),
            ("sample", Facts { sample_faults: vec!["type".into()], ..good() }),
        ];
        assert_eq!(cases.len(), good().checks().len());
        for (name, facts) in cases {
            assert_eq!(outcome(&facts, name), Failed, "{name}");
        }
    }

    #[test]
    fn what_was_not_looked_at_never_passes() {
        let cut = Facts { complete: false, ..good() };
        assert_eq!(outcome(&cut, "versions at the replica"), Inconclusive);
        assert_eq!(outcome(&cut, "content"), Inconclusive);
        assert_eq!(cut.proven_up_to(), None);
        let empty = Facts { compared: 0, due: 0, same: 0, sampled: 0, ..good() };
        for name in ["versions at the replica", "content", "sample"] {
            assert_eq!(outcome(&empty, name), Inconclusive, "{name}");
        }
        assert_eq!(empty.proven_up_to(), None);
        let doubtful = Facts { inconclusive: 1, ..good() };
        assert_eq!(outcome(&doubtful, "content"), Inconclusive);
        let no_sample = Facts { sample_asked: 0, sampled: 0, ..good() };
        assert_eq!(outcome(&no_sample, "sample"), Inconclusive);
        let mut tagged = good();
        tagged.rules[0].by_tags = true;
        assert_eq!(outcome(&tagged, "replication rule"), Inconclusive);
    }

    #[test]
    fn what_is_missing_is_said_even_when_not_everything_was_listed() {
        let missing = Missing { failed: 1, ..Missing::default() };
        let cut = Facts { complete: false, missing, ..good() };
        assert_eq!(outcome(&cut, "versions at the replica"), Failed);
    }

    #[test]
    fn the_recovery_point_is_the_oldest_version_that_is_not_there() {
        assert_eq!(good().proven_up_to().unwrap().0, time(1000));
        let lagging = Facts { lagging: 1, oldest_not_there: Some(time(900)), ..good() };
        assert_eq!(lagging.proven_up_to().unwrap().0, time(900));
        // A clock of S3 that is ahead of ours must not prove more than was looked at.
        let ahead = Facts { oldest_not_there: Some(time(1002)), ..good() };
        assert_eq!(ahead.proven_up_to().unwrap().0, time(1000));
    }

    #[test]
    fn each_reason_for_a_missing_version_has_its_own_finding() {
        let missing =
            Missing { failed: 1, pending: 2, completed: 3, replica: 1, never: 3, not_asked: 5 };
        let facts = Facts { missing, differing: 6, markers_absent: 7, ..good() };
        let codes: Vec<_> = facts.findings(Some("k")).into_iter().map(|f| f.code).collect();
        assert_eq!(
            codes,
            [
                "s3.replication_failed",
                "s3.replication_stalled",
                "s3.never_replicated",
                "s3.replica_removed",
                "s3.many_missing",
                "s3.replica_differs",
                "s3.delete_markers_differ",
            ]
        );
        assert_eq!(missing.total(), 15);
    }

    #[test]
    fn content_is_judged_only_by_marks_that_mean_something() {
        let marks =
            |etag: &str| ContentMarks { size: 1, etag: etag.into(), ..ContentMarks::default() };
        let (a, b) = (marks(&"a".repeat(32)), marks(&"b".repeat(32)));
        assert_eq!(same_content(&a, &a), Content::Same);
        assert_eq!(same_content(&a, &b), Content::Different);
        assert_eq!(same_content(&a, &ContentMarks { size: 2, ..a.clone() }), Content::Different);
        assert_eq!(same_content(&marks("a-2"), &marks("b-2")), Content::Unknown);
        let opaque = ContentMarks { etag_is_opaque: true, ..b.clone() };
        assert_eq!(same_content(&a, &opaque), Content::Unknown);
        let with = |marks: &ContentMarks, value: &str| ContentMarks {
            checksums: vec![("crc32", value.to_owned())],
            ..marks.clone()
        };
        assert_eq!(same_content(&with(&a, "x"), &with(&opaque, "x")), Content::Same);
        assert_eq!(same_content(&with(&a, "x"), &with(&a, "y")), Content::Different);
        assert_eq!(same_content(&with(&a, "x"), &opaque), Content::Unknown);
    }
}
