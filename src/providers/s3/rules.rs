use aws_sdk_s3::types::{
    DeleteMarkerReplicationStatus, ReplicationRule, ReplicationRuleFilter, ReplicationRuleStatus,
    SseKmsEncryptedObjectsStatus,
};

/// A replication rule as `GetBucketReplication` gives it, both of its forms read alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) enabled: bool,
    /// Among rules with the same destination the highest wins.
    pub(super) priority: i32,
    /// Keys that begin with it are replicated; empty for all.
    pub(super) prefix: String,
    /// It selects by tags as well, so that its reach cannot be read from keys.
    pub(super) by_tags: bool,
    /// The bucket that it writes to.
    pub(super) target: String,
    /// Whether delete markers that people make are replicated.
    pub(super) delete_markers: bool,
    /// Whether objects encrypted with SSE-KMS are replicated.
    pub(super) encrypted_with_kms: bool,
}

impl Rule {
    /// Reads a rule. In the first form (`Prefix`, no `Filter`) delete markers made by people are replicated; in the second they
    /// are only when the rule says so, and never by a rule with tags (API reference, `DeleteMarkerReplication`).
    pub(super) fn read(rule: &ReplicationRule) -> Self {
        let filter = rule.filter();
        let tags = filter.is_some_and(selects_by_tags);
        let markers = rule.delete_marker_replication().and_then(|markers| markers.status());
        let kms = rule.source_selection_criteria().and_then(|c| c.sse_kms_encrypted_objects());
        let target = rule.destination().map(|d| d.bucket()).unwrap_or_default();
        Self {
            id: rule.id().unwrap_or("without an id").to_owned(),
            enabled: *rule.status() == ReplicationRuleStatus::Enabled,
            priority: rule.priority().unwrap_or(0),
            prefix: filter.map_or_else(|| first_form_prefix(rule), prefix_of),
            by_tags: tags,
            target: bucket_of(target).to_owned(),
            delete_markers: match filter {
                None => true,
                Some(_) => !tags && markers == Some(&DeleteMarkerReplicationStatus::Enabled),
            },
            encrypted_with_kms: kms
                .is_some_and(|kms| *kms.status() == SseKmsEncryptedObjectsStatus::Enabled),
        }
    }
}

#[expect(deprecated, reason = "buckets configured in the first form still have it here")]
fn first_form_prefix(rule: &ReplicationRule) -> String {
    rule.prefix().unwrap_or_default().to_owned()
}

fn prefix_of(filter: &ReplicationRuleFilter) -> String {
    let combined = filter.and().and_then(|and| and.prefix());
    filter.prefix().or(combined).unwrap_or_default().to_owned()
}

fn selects_by_tags(filter: &ReplicationRuleFilter) -> bool {
    filter.tag().is_some() || filter.and().is_some_and(|and| !and.tags().is_empty())
}

/// The bucket's name in `arn:aws:s3:::name` (or another partition's).
fn bucket_of(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

/// How far the rules of a bucket reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Coverage<'r> {
    /// This rule replicates every key below the prefix to the replica bucket.
    Whole(&'r Rule),
    /// Only a rule that selects by tags fits: which objects it replicates is not known from their keys.
    ByTags(&'r Rule),
    /// Enabled rules to the replica bucket exist, but for these prefixes only.
    Partly(Vec<&'r str>),
    /// A rule that would cover it is disabled.
    Disabled(&'r Rule),
    /// No rule writes to the replica bucket.
    Nothing,
}

/// Finds the rule that replicates `prefix` to the bucket `replica`.
pub(super) fn coverage<'r>(rules: &'r [Rule], prefix: &str, replica: &str) -> Coverage<'r> {
    let to_replica: Vec<&Rule> = rules.iter().filter(|rule| rule.target == replica).collect();
    let covering = |rule: &&Rule| prefix.starts_with(&rule.prefix);
    let strongest = |wanted: &dyn Fn(&Rule) -> bool| {
        let found = to_replica.iter().copied().filter(covering).filter(|rule| wanted(rule));
        found.max_by_key(|rule| rule.priority)
    };
    if let Some(rule) = strongest(&|rule| rule.enabled && !rule.by_tags) {
        return Coverage::Whole(rule);
    }
    if let Some(rule) = strongest(&|rule| rule.enabled && rule.by_tags) {
        return Coverage::ByTags(rule);
    }
    let narrower: Vec<&str> =
        to_replica.iter().filter(|rule| rule.enabled).map(|rule| rule.prefix.as_str()).collect();
    if !narrower.is_empty() {
        return Coverage::Partly(narrower);
    }
    strongest(&|_| true).map_or(Coverage::Nothing, Coverage::Disabled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::types::{
        DeleteMarkerReplication, Destination, ReplicationRuleAndOperator, Tag,
    };

    fn rule(prefix: &str) -> Rule {
        Rule { enabled: true, prefix: prefix.into(), target: "dr".into(), ..Rule::default() }
    }

    fn destination() -> Destination {
        Destination::builder().bucket("arn:aws:s3:::uploads-dr").build().unwrap()
    }

    #[test]
    #[expect(deprecated, reason = "the first form is what is tested")]
    fn both_forms_of_a_rule_are_read() {
        let first = ReplicationRule::builder()
            .status(ReplicationRuleStatus::Enabled)
            .prefix("a/")
            .destination(destination())
            .build()
            .unwrap();
        let read = Rule::read(&first);
        assert_eq!((read.prefix.as_str(), read.target.as_str()), ("a/", "uploads-dr"));
        assert!(read.enabled && read.delete_markers && !read.by_tags);

        let tag = Tag::builder().key("keep").value("yes").build().unwrap();
        let and = ReplicationRuleAndOperator::builder().prefix("b/").tags(tag).build();
        let markers = DeleteMarkerReplication::builder()
            .status(DeleteMarkerReplicationStatus::Enabled)
            .build();
        let second = ReplicationRule::builder()
            .status(ReplicationRuleStatus::Disabled)
            .filter(ReplicationRuleFilter::builder().and(and).build())
            .delete_marker_replication(markers.clone())
            .destination(destination())
            .build()
            .unwrap();
        let read = Rule::read(&second);
        assert!(!read.enabled && read.by_tags && !read.delete_markers);
        assert_eq!(read.prefix, "b/");

        let plain = ReplicationRule::builder()
            .status(ReplicationRuleStatus::Enabled)
            .filter(ReplicationRuleFilter::builder().prefix("c/").build())
            .delete_marker_replication(markers)
            .destination(destination())
            .build()
            .unwrap();
        assert!(Rule::read(&plain).delete_markers);
    }

    #[test]
    fn a_rule_covers_the_prefix_only_from_above() {
        let rules = [rule("uploads/")];
        assert!(matches!(coverage(&rules, "uploads/2026/", "dr"), Coverage::Whole(_)));
        assert_eq!(coverage(&rules, "", "dr"), Coverage::Partly(vec!["uploads/"]));
        assert_eq!(coverage(&rules, "uploads/", "other"), Coverage::Nothing);
    }

    #[test]
    fn disabled_rules_and_rules_with_tags_cover_nothing() {
        let disabled = Rule { enabled: false, ..rule("") };
        let tagged = Rule { by_tags: true, ..rule("") };
        assert!(matches!(
            coverage(std::slice::from_ref(&disabled), "", "dr"),
            Coverage::Disabled(_)
        ));
        assert!(matches!(coverage(&[disabled.clone(), tagged], "", "dr"), Coverage::ByTags(_)));
        assert!(matches!(coverage(&[disabled, rule("")], "", "dr"), Coverage::Whole(_)));
    }

    #[test]
    fn the_highest_priority_wins() {
        let low = Rule { id: "low".into(), priority: 1, ..rule("") };
        let high = Rule { id: "high".into(), priority: 9, delete_markers: true, ..rule("") };
        let rules = [high, low];
        assert!(matches!(coverage(&rules, "", "dr"), Coverage::Whole(rule) if rule.id == "high"));
    }
}
