use crate::action::{ByHand, HandInput, HandSection};
use crate::time::HumanDuration;
use std::time::Duration;

/// How often the replica is looked at by hand, in seconds.
const LOOK_SECONDS: u64 = 5;

/// The text of a region in which a bucket is; the location of us-east-1 is null.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html>
fn region_of(bucket: &str) -> String {
    format!(
        "REPLICA_REGION=$(aws s3api get-bucket-location --bucket {bucket} \\\n    \
         --query 'LocationConstraint || `us-east-1`' --output text)"
    )
}

/// How a person compares a bucket with its replica: settings, then the two listings with `sort` and `comm`.
pub(super) fn check_replication(input: &HandInput) -> ByHand {
    let word = |path: &str| input.word(path).unwrap_or_else(|| "''".to_owned());
    let (source, region) = (word("source"), input.region());
    ByHand {
        commands: vec![compare(input)],
        expected: "Both buckets say \"Enabled\". An Enabled rule names the replica bucket and covers the prefix. \
                   source.txt has lines; not-at-replica.txt holds nothing but versions of the last minutes."
            .to_owned(),
        verify: vec![
            format!(
                "while IFS= read -r KEY_VERSION; do\n  \
                 printf '%s\\n' \"$KEY_VERSION\" | cut -f 1,2\n  \
                 aws s3api head-object --region {region} --bucket {source} \\\n    \
                 --key \"$(printf '%s' \"$KEY_VERSION\" | cut -f 1)\" \
                 --version-id \"$(printf '%s' \"$KEY_VERSION\" | cut -f 2)\" \\\n    \
                 --query '[LastModified,ReplicationStatus]' --output text </dev/null\n\
                 done < not-at-replica.txt"
            ),
            "Each line of not-at-replica.txt is followed by when it was written, and by what S3 says of its replication."
                .to_owned(),
        ],
        if_it_fails: vec![
            "UNKNOWN is neither good nor bad: a listing was not answered, or is empty, and nothing was compared.".to_owned(),
            "FAILED is never tried again by S3: correct the cause, then run S3 Batch Replication.".to_owned(),
            "No status at all: the object is older than the rule or not covered by it; run S3 Batch Replication."
                .to_owned(),
            "PENDING for hours: check the role's permissions, the key of KMS at the replica and the service health."
                .to_owned(),
            "Different ETags with the same size (multipart, SSE-KMS) prove nothing: compare with aws s3api \
             head-object --checksum-mode ENABLED on both sides."
                .to_owned(),
        ],
        ..ByHand::default()
    }
}

/// A listing that was not answered, and one of nothing, are no comparison.
fn compare(input: &HandInput) -> String {
    let word = |path: &str| input.word(path).unwrap_or_else(|| "''".to_owned());
    let (source, replica, region) = (word("source"), word("replica"), input.region());
    let prefix = input.word("prefix").map(|p| format!(" --prefix {p}")).unwrap_or_default();
    let list = |bucket: &str, place: &str, file: &str| {
        format!(
            "aws s3api list-object-versions --region {place} --bucket {bucket}{prefix} \\\n    \
             --query 'Versions[].[Key,VersionId,Size,ETag]' --output text > {file}"
        )
    };
    // The CLI writes None for a page without versions.
    let sort = |from: &str, to: &str| format!("sed '/^None$/d' {from} | LC_ALL=C sort > {to}");
    format!(
        "rm -f source.list replica.list source.txt replica.txt not-at-replica.txt\n\
         aws s3api get-bucket-versioning --region {region} --bucket {source}\n\
         aws s3api get-bucket-replication --region {region} --bucket {source}\n\
         if {} &&\n  \
         aws s3api get-bucket-versioning --region \"$REPLICA_REGION\" --bucket {replica} &&\n  {} &&\n  {}; then\n  \
         {}\n  {}\n  \
         LC_ALL=C comm -23 source.txt replica.txt > not-at-replica.txt\n  \
         wc -l source.txt not-at-replica.txt\n  \
         [ -s source.txt ] || echo 'UNKNOWN: the source lists no versions, so nothing was compared' >&2\n\
         else\n  \
         echo 'UNKNOWN: a listing was not answered, as is said above, so nothing was compared' >&2\nfi\n\
         [ -s source.txt ]",
        region_of(&replica),
        list(&source, &region, "source.list"),
        list(&replica, "\"$REPLICA_REGION\"", "replica.list"),
        sort("source.list", "source.txt"),
        sort("replica.list", "replica.txt"),
    )
}

/// How a person sends a canary object through the replication.
pub(super) fn replicate_canary(input: &HandInput) -> ByHand {
    let word = |path: &str| input.word(path).unwrap_or_else(|| "''".to_owned());
    let (source, region, key) = (word("source"), input.region(), input.sets("key"));
    let head = format!(
        "aws s3api head-object --region {region} --bucket {source} --key \"${{{key}:?}}\" \\\n  \
         --query ReplicationStatus --output text"
    );
    let remove = remove_command(input);
    ByHand {
        commands: vec![send_command(input), wait_command(input)],
        expected: "The object can be read at the replica within minutes; the time between both dates is the lag. The last \
                   line is READY."
            .to_owned(),
        verify: vec!["cmp canary.bin canary.copy && echo equal".to_owned(), head],
        if_it_fails: vec![
            "NOT READY: UNKNOWN: the replica was not asked with success: a bucket or a key of KMS that is not there, or may not \
             be used, is no slow replication. Correct what is said above and paste the block again: the canary stays the same."
                .to_owned(),
            "Status FAILED: check the replication role, the rule and the key of KMS at the replica.".to_owned(),
            format!(
                "The shell is gone: aws s3api list-object-versions --region {region} --bucket {source} --prefix {} --query \
                 'Versions[].Key' --output text lists the canaries; set {key} to the one of this step.",
                prefix(input)
            ),
        ],
        sections: vec![HandSection {
            title: "Always, whether it has passed or not: remove the canary on both sides".to_owned(),
            parts: vec![
                remove.clone(),
                "Permanent deletions are not replicated, so both sides are needed. Nothing is listed any more.".to_owned(),
            ],
        }],
        remove: vec![remove],
        ..ByHand::default()
    }
}

fn prefix(input: &HandInput) -> String {
    input.word("prefix").unwrap_or_else(|| "redrill-canary/".to_owned())
}

/// The canary holds its own name, so that a second attempt writes the same.
fn send_command(input: &HandInput) -> String {
    let word = |path: &str| input.word(path).unwrap_or_else(|| "''".to_owned());
    let (source, replica, region) = (word("source"), word("replica"), input.region());
    let (key, went, prefix) = (input.sets("key"), input.sets("went"), prefix(input));
    format!(
        "# Pasted again, this writes no other canary. In a new shell, first paste the line {key}=… that was noted down.\n\
         {key}=${{{key}:-{prefix}redrill-by-hand-{}-$(date -u +%Y%m%dT%H%M%SZ)}}\n\
         echo \"{key}=${key}   # note this line down: a new shell needs it\"\n\
         {went}=asked; rm -f canary.copy; printf '%s\\n' \"${key}\" > canary.bin\n\
         if ! {}; then\n  \
         {went}='UNKNOWN where the replica is: nothing was written. Correct the cause and paste this block again'\n\
         elif aws s3api head-object --region {region} --bucket {source} --key \"${key}\" \\\n    \
         --query LastModified --output text 2>/dev/null; then\n  \
         echo 'it was written before, at the time above: the lag counts from then'\n\
         elif ! aws s3api put-object --region {region} --bucket {source} --key \"${key}\" --body canary.bin; then\n  \
         {went}='failed: S3 has not taken the canary, as is said above. Correct the cause and paste this block again'\n\
         else date -u; fi",
        input.slug(),
        region_of(&replica)
    )
}

/// Not there is "not yet"; any other error is that of asking.
fn wait_command(input: &HandInput) -> String {
    let (key, went, said) = (input.sets("key"), input.sets("went"), input.sets("said"));
    let replica = input.word("replica").unwrap_or_else(|| "''".to_owned());
    let within = input.value("within").and_then(|within| within.as_str()?.parse().ok());
    let within = within.unwrap_or(HumanDuration(Duration::from_secs(900))).min(input.limit());
    // A look takes about two seconds itself.
    let looks = (within.0.as_secs() / (LOOK_SECONDS + 2)).max(1);
    format!(
        "n=0; lost=0\n\
         while [ \"${went}\" = asked ]; do\n  \
         if {said}=$(aws s3api get-object --region \"$REPLICA_REGION\" --bucket {replica} --key \"${key}\" canary.copy \\\n    \
         --cli-connect-timeout 10 --cli-read-timeout 30 2>&1); then\n    {went}=ready; date -u\n  else\n    \
         case \"${said}\" in\n      *NoSuchKey*|*'Not Found'*) lost=0;;\n      \
         *) lost=$((lost + 1)); printf '%s\\n' \"${said}\" >&2;;\n    esac\n    \
         [ \"$lost\" -lt 3 ] || {went}='UNKNOWN: three looks in a row were not answered, as is said above'\n  fi\n  \
         n=$((n + 1))\n  \
         [ \"${went}\" != asked ] || [ \"$n\" -lt {looks} ] || {went}='stopped: not at the replica after {within}'\n  \
         [ \"${went}\" != asked ] || sleep {LOOK_SECONDS}\ndone\n\
         if [ \"${went}\" = ready ]; then echo \"READY: ${key}\"; else echo \"NOT READY: ${went}\" >&2; fi\n\
         [ \"${went}\" = ready ]"
    )
}

/// Removes every version of the canary, and of nothing else: an empty key would be that of every object.
fn remove_command(input: &HandInput) -> String {
    let word = |path: &str| input.word(path).unwrap_or_else(|| "''".to_owned());
    let (source, replica, region) = (word("source"), word("replica"), input.region());
    let (key, prefix, version) = (input.sets("key"), prefix(input), input.sets("version"));
    let remove = |bucket: &str, place: &str| {
        let list = format!(
            "aws s3api list-object-versions --region {place} --bucket {bucket} --prefix \"${key}\" \\\n    \
             --query '[Versions,DeleteMarkers][].VersionId' --output text"
        );
        format!(
            "for {version} in $({list}); do\n    \
             [ \"${version}\" = None ] || aws s3api delete-object --region {place} --bucket {bucket} --key \"${key}\" \
             --version-id \"${version}\"\n  done\n  {list}"
        )
    };
    format!(
        "case \"${{{key}:-}}\" in\n{prefix}redrill-by-hand-?*)\n  \
         {}\n  {} &&\n  {}\n  ;;\n\
         *) echo '{key} is not set to a canary of this step: nothing is removed' >&2; false;;\nesac",
        remove(&source, &region),
        region_of(&replica),
        remove(&replica, "\"$REPLICA_REGION\"")
    )
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
        assert!(
            usual.contains("CANARY_KEY=${CANARY_KEY:-redrill-canary/redrill-by-hand-"),
            "{usual}"
        );
        // 15m, at 7 s a look.
        assert!(usual.contains("[ \"$n\" -lt 128 ]"), "{usual}");
        let given =
            json!({ "source": "a", "replica": "b", "prefix": "my canaries/", "within": "1m" });
        let given = commands(given);
        assert!(
            given.contains("CANARY_KEY=${CANARY_KEY:-'my canaries/'redrill-by-hand-"),
            "{given}"
        );
        assert!(given.contains("[ \"$n\" -lt 8 ]"), "{given}");
    }
}
