use crate::action::{ByHand, HandInput};
use crate::time::HumanDuration;
use std::time::Duration;

/// How often the replica is looked at by hand, in seconds.
const LOOK_SECONDS: u64 = 5;

/// How a person compares a bucket with its replica: settings, then the two listings with `sort` and `comm`.
pub(super) fn check_replication(input: &HandInput) -> ByHand {
    let word = |path: &str| input.word(path).unwrap_or_else(|| "''".to_owned());
    let (source, replica) = (word("source"), word("replica"));
    let prefix = input.word("prefix").map(|p| format!(" --prefix {p}")).unwrap_or_default();
    let region = input.region();
    let list = |bucket: &str, place: &str, file: &str| {
        format!(
            "aws s3api list-object-versions --region {place} --bucket {bucket}{prefix} \
             --query 'Versions[].[Key,VersionId,Size,ETag]' --output text | LC_ALL=C sort > {file}"
        )
    };
    ByHand {
        commands: vec![
            format!("aws s3api get-bucket-versioning --region {region} --bucket {source}"),
            format!(
                "REPLICA_REGION=$(aws s3api get-bucket-location --bucket {replica} \
                 --query 'LocationConstraint || `us-east-1`' --output text)"
            ),
            format!(
                "aws s3api get-bucket-versioning --region \"$REPLICA_REGION\" --bucket {replica}"
            ),
            format!("aws s3api get-bucket-replication --region {region} --bucket {source}"),
            list(&source, &region, "source.txt"),
            list(&replica, "\"$REPLICA_REGION\"", "replica.txt"),
            "LC_ALL=C comm -23 source.txt replica.txt > not-at-replica.txt".to_owned(),
            "wc -l source.txt not-at-replica.txt".to_owned(),
        ],
        expected: "Both buckets say \"Enabled\". An Enabled rule names the replica bucket and covers the prefix. \
                   source.txt is not empty; not-at-replica.txt holds nothing but versions of the last minutes."
            .to_owned(),
        verify: vec![format!(
            "For each line of not-at-replica.txt: aws s3api head-object --region {region} --bucket {source} \
             --key KEY --version-id VERSION --query '[LastModified,ReplicationStatus]' --output text"
        )],
        if_it_fails: vec![
            "FAILED is never tried again by S3: correct the cause, then run S3 Batch Replication.".to_owned(),
            "No status at all: the object is older than the rule or not covered by it; run S3 Batch Replication."
                .to_owned(),
            "PENDING for hours: check the role's permissions, the key of KMS at the replica and the service health."
                .to_owned(),
            "Different ETags with the same size (multipart, SSE-KMS) prove nothing: compare with aws s3api \
             head-object --checksum-mode ENABLED on both sides."
                .to_owned(),
        ],
    }
}

/// How a person sends a canary object through the replication.
pub(super) fn replicate_canary(input: &HandInput) -> ByHand {
    let word = |path: &str| input.word(path).unwrap_or_else(|| "''".to_owned());
    let (source, replica, region) = (word("source"), word("replica"), input.region());
    let prefix = input.word("prefix").unwrap_or_else(|| "redrill-canary/".to_owned());
    let key = input.sets("key");
    let within = input.value("within").and_then(|within| within.as_str()?.parse().ok());
    let within = within.unwrap_or(HumanDuration(Duration::from_secs(900)));
    let looks = within.0.as_secs().div_ceil(LOOK_SECONDS).max(1);
    let region_of_replica = format!(
        "REPLICA_REGION=$(aws s3api get-bucket-location --bucket {replica} \
         --query 'LocationConstraint || `us-east-1`' --output text)"
    );
    let head = format!(
        "aws s3api head-object --region {region} --bucket {source} --key \"${key}\" \
         --query ReplicationStatus --output text"
    );
    ByHand {
        commands: vec![
            region_of_replica,
            format!("{key}={prefix}redrill-by-hand-$(date -u +%Y%m%dT%H%M%SZ)"),
            "dd if=/dev/urandom of=canary.bin bs=1024 count=1".to_owned(),
            format!(
                "aws s3api put-object --region {region} --bucket {source} --key \"${key}\" --body canary.bin; date -u"
            ),
            format!(
                "rm -f canary.copy; n=0\nuntil aws s3api get-object --region \"$REPLICA_REGION\" --bucket {replica} \
                 --key \"${key}\" canary.copy >/dev/null 2>&1; do\n  n=$((n + 1))\n  \
                 if [ $n -ge {looks} ]; then echo \"not at the replica after {within}\" >&2; break; fi\n  \
                 sleep {LOOK_SECONDS}\ndone; date -u"
            ),
        ],
        expected: "The object can be read at the replica within minutes; the time between both dates is the lag."
            .to_owned(),
        verify: vec!["cmp canary.bin canary.copy && echo equal".to_owned(), head],
        if_it_fails: vec![
            "Not at the replica in time: run the get-object by itself and read its error; a bucket or a key of KMS that is not \
             there, or may not be used, looks like slow replication."
                .to_owned(),
            "Status FAILED: check the replication role, the rule and the key of KMS at the replica.".to_owned(),
            "Remove the canary on both sides: aws s3api list-object-versions --prefix KEY, then aws s3api \
             delete-object with each version id; permanent deletions are not replicated."
                .to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn commands(with: Value) -> String {
        let input = HandInput::new("canary", Some("eu-west-1"), with, BTreeMap::new());
        replicate_canary(&input).commands.join("\n")
    }

    #[test]
    fn by_hand_the_canary_is_written_where_the_step_writes_it_and_waited_for_with_a_limit() {
        let usual = commands(json!({ "source": "a", "replica": "b" }));
        assert!(usual.contains("CANARY_KEY=redrill-canary/redrill-by-hand-"), "{usual}");
        assert!(usual.contains("[ $n -ge 180 ]"), "{usual}");
        let given =
            json!({ "source": "a", "replica": "b", "prefix": "my canaries/", "within": "1m" });
        let given = commands(given);
        assert!(given.contains("CANARY_KEY='my canaries/'redrill-by-hand-"), "{given}");
        assert!(given.contains("[ $n -ge 12 ]"), "{given}");
    }
}
