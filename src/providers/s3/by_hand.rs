use crate::action::{ByHand, HandInput, HandSection};
use crate::time::HumanDuration;
use std::time::Duration;

/// How often the replica is looked at by hand, in seconds.
const LOOK_SECONDS: u64 = 5;

/// A bucket, and where it is; the credentials of one site may be nothing at the other.
struct Side {
    bucket: String,
    region: String,
    /// The sentence that stands before what is done there.
    credentials: String,
}

fn source(input: &HandInput) -> Side {
    let site = input.site().unwrap_or("the source");
    side(input, "source", input.region(), site)
}

fn replica(input: &HandInput) -> Side {
    let site = input.value("replica_at").and_then(|site| site.as_str()).unwrap_or("the replica");
    let region =
        input.region_of("replica_at").unwrap_or_else(|| "\"${REPLICA_REGION:?}\"".to_owned());
    side(input, "replica", region, site)
}

fn side(input: &HandInput, what: &str, region: String, site: &str) -> Side {
    let bucket = input.word(what).unwrap_or_else(|| "''".to_owned());
    let credentials = format!("Use the credentials of {site} for this (the {what} bucket):");
    Side { bucket, region, credentials }
}

/// How a person compares a bucket with its replica: settings, then the two listings with `sort` and `comm`.
pub(super) fn check_replication(input: &HandInput) -> ByHand {
    let (from, to) = (source(input), replica(input));
    let Side { bucket, region, .. } = &from;
    let settings = format!(
        "aws s3api get-bucket-replication --region {region} --bucket {bucket}\n{}",
        list(input, &from, "source.list")
    );
    ByHand {
        commands: vec![settings],
        then: vec![
            to.credentials.clone(),
            list(input, &to, "replica.list"),
            "Then, with any credentials:".to_owned(),
            compare(),
        ],
        expected: "Both buckets say \"Enabled\". An Enabled rule names the replica bucket and covers the prefix. \
                   The last line is COMPARED; not-at-replica.txt holds nothing but versions of the last minutes."
            .to_owned(),
        verify: vec![
            from.credentials.clone(),
            format!(
                "while IFS= read -r KEY_VERSION; do\n  \
                 printf '%s\\n' \"$KEY_VERSION\" | cut -f 1,2\n  \
                 aws s3api head-object --region {region} --bucket {bucket} \\\n    \
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
            "Different ETags with the same size (multipart, SSE-KMS) prove nothing: compare with `aws s3api \
             head-object --checksum-mode ENABLED` on both sides."
                .to_owned(),
        ],
        ..ByHand::default()
    }
}

/// Only a listing that was answered becomes the file: one of an earlier attempt must not pass for it.
fn list(input: &HandInput, side: &Side, file: &str) -> String {
    let Side { bucket, region, .. } = side;
    let prefix = input.word("prefix").map(|p| format!(" --prefix {p}")).unwrap_or_default();
    format!(
        "rm -f {file} {file}.new\n\
         if aws s3api get-bucket-versioning --region {region} --bucket {bucket} &&\n  \
         aws s3api list-object-versions --region {region} --bucket {bucket}{prefix} \\\n    \
         --query 'Versions[].[Key,VersionId,Size,ETag]' --output text > {file}.new; then\n  \
         mv {file}.new {file}; wc -l {file}\n\
         else\n  \
         echo 'UNKNOWN: the listing was not answered, as is said above' >&2\nfi\n\
         [ -e {file} ]"
    )
}

/// A listing that was not answered, and one of nothing, are no comparison.
fn compare() -> String {
    // The CLI writes None for a page without versions.
    let sort = |from: &str, to: &str| format!("sed '/^None$/d' {from} | LC_ALL=C sort > {to}");
    format!(
        "rm -f source.txt replica.txt not-at-replica.txt\n\
         if [ -e source.list ] && [ -e replica.list ]; then\n  \
         {}\n  {}\n  \
         LC_ALL=C comm -23 source.txt replica.txt > not-at-replica.txt\n  \
         wc -l source.txt not-at-replica.txt\nfi\n\
         if [ -s source.txt ]; then echo COMPARED\n\
         else echo 'UNKNOWN: a listing is missing, or the source lists no versions: nothing was compared' >&2; fi\n\
         [ -s source.txt ]",
        sort("source.list", "source.txt"),
        sort("replica.list", "replica.txt"),
    )
}

/// How a person sends a canary object through the replication.
pub(super) fn replicate_canary(input: &HandInput) -> ByHand {
    let (from, to) = (source(input), replica(input));
    let Side { bucket, region, .. } = &from;
    let (key, version) = (input.sets("key"), input.sets("version"));
    let head = format!(
        "aws s3api head-object --region {region} --bucket {bucket} --key \"${{{key}:?}}\" --version-id \"${{{version}:?}}\" \\\n  \
         --query ReplicationStatus --output text"
    );
    let mut removing = remove(input);
    let remove = removing.clone();
    removing.push(
        "Permanent deletions are not replicated, so both sides are needed. Each says REMOVED; LEFT names what is still there: \
         correct the cause, and paste the block again."
            .to_owned(),
    );
    ByHand {
        commands: vec![send_command(input)],
        then: vec![to.credentials.clone(), wait_command(input)],
        expected: "The version that was written can be read at the replica within minutes, with the same content; the time between \
                   both dates is the lag. The last line is READY."
            .to_owned(),
        verify: vec![from.credentials.clone(), head, "COMPLETED is what S3 says of a version that has arrived.".to_owned()],
        if_it_fails: vec![
            "NOT READY: UNKNOWN: the replica was not asked with success: a bucket or a key of KMS that is not there, or may not \
             be used, is no slow replication. Correct what is said above and paste the second block again: it goes on waiting for \
             the same version."
                .to_owned(),
            "Status FAILED: check the replication role, the rule and the key of KMS at the replica.".to_owned(),
            format!("The shell is gone, and {key} was not noted down. This lists the canaries; set {key} to the one of this step:"),
            format!(
                "aws s3api list-object-versions --region {region} --bucket {bucket} --prefix {} \\\n  \
                 --query 'Versions[].[LastModified,Key,VersionId]' --output text",
                prefix(input)
            ),
        ],
        needs: vec![format!(
            "s3:GetObjectVersion on the canaries in {bucket} and {}: by hand, a certain version is asked for",
            to.bucket
        )],
        sections: vec![HandSection {
            title: "Always, whether it has passed or not: remove the canary on both sides".to_owned(),
            parts: removing,
        }],
        remove,
    }
}

fn prefix(input: &HandInput) -> String {
    input.word("prefix").unwrap_or_else(|| "redrill-canary/".to_owned())
}

/// New content at each attempt, and the version that S3 gave it: what an earlier attempt has left at the replica is neither.
/// Replicas keep the version id. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication.html>
fn send_command(input: &HandInput) -> String {
    let Side { bucket, region, .. } = source(input);
    let names = ["key", "version", "went"].map(|output| input.sets(output));
    let ([key, version, went], prefix) = (names, prefix(input));
    format!(
        "# Each time this writes a new version of one object. In a new shell, first paste the lines {key}=… that were noted down.\n\
         {key}=${{{key}:-{prefix}redrill-by-hand-{}-$(date -u +%Y%m%dT%H%M%SZ)}}\n\
         echo \"{key}=${key}   # note this line down: a new shell needs it\"\n\
         {version}=; {went}=; rm -f canary.bin canary.copy\n\
         head -c 32 /dev/urandom | od -An -v -tx1 > canary.bin\n\
         if ! [ -s canary.bin ]; then\n  \
         {went}='failed: nothing random could be written into canary.bin'\n\
         elif ! {version}=$(aws s3api put-object --region {region} --bucket {bucket} --key \"${key}\" --body canary.bin \\\n    \
         --query VersionId --output text); then\n  \
         {version}=; {went}='failed: S3 has not taken the canary, as is said above. Correct the cause and paste this block again'\n\
         else\n  \
         case \"${version}\" in ''|None|null)\n    \
         {version}=; {went}='stopped: it has no version, so that nothing is replicated: is versioning enabled at the source?';;\n  \
         esac\nfi\n\
         if [ -n \"${version}\" ]; then date -u; echo \"{version}=${version}   # note this line down as well\"\n\
         else echo \"NOT WRITTEN: ${went}\" >&2; fi\n\
         [ -n \"${version}\" ]",
        input.slug()
    )
}

/// Not there is "not yet"; any other error is that of asking. Only this version with this content is ready.
fn wait_command(input: &HandInput) -> String {
    let Side { bucket, region, .. } = replica(input);
    let names = ["key", "version", "went", "said"].map(|output| input.sets(output));
    let [key, version, went, said] = names;
    let within = input.value("within").and_then(|within| within.as_str()?.parse().ok());
    let within = within.unwrap_or(HumanDuration(Duration::from_secs(900))).min(input.limit());
    // A look takes about two seconds itself.
    let looks = (within.0.as_secs() / (LOOK_SECONDS + 2)).max(1);
    format!(
        "n=0; lost=0; rm -f canary.copy\n\
         if [ -n \"${{{key}:-}}\" ] && [ -n \"${{{version}:-}}\" ]; then {went}=asked\n\
         else {went}='stopped: no version of a canary is known. Paste the block above, or the lines that were noted down'; fi\n\
         while [ \"${went}\" = asked ]; do\n  \
         if {said}=$(aws s3api get-object --region {region} --bucket {bucket} --key \"${key}\" --version-id \"${version}\" canary.copy \\\n    \
         --cli-connect-timeout 10 --cli-read-timeout 30 2>&1); then\n    \
         {went}=ready; date -u\n    cmp canary.bin canary.copy ||\n      \
         {went}='UNKNOWN: this version is at the replica, and its content is not that of canary.bin here, as is said above'\n  else\n    \
         case \"${said}\" in\n      *NoSuchVersion*|*NoSuchKey*|*'Not Found'*) lost=0;;\n      \
         *) lost=$((lost + 1)); printf '%s\\n' \"${said}\" >&2;;\n    esac\n    \
         [ \"$lost\" -lt 3 ] || {went}='UNKNOWN: three looks in a row were not answered, as is said above'\n  fi\n  \
         n=$((n + 1))\n  \
         [ \"${went}\" != asked ] || [ \"$n\" -lt {looks} ] || {went}='stopped: not at the replica after {within}'\n  \
         [ \"${went}\" != asked ] || sleep {LOOK_SECONDS}\ndone\n\
         if [ \"${went}\" = ready ]; then echo \"READY: ${key}, version ${version}\"; else echo \"NOT READY: ${went}\" >&2; fi\n\
         [ \"${went}\" = ready ]"
    )
}

/// The source first: what is gone there is not replicated any more.
fn remove(input: &HandInput) -> Vec<String> {
    let sides = [source(input), replica(input)];
    sides.iter().flat_map(|side| [side.credentials.clone(), remove_at(input, side)]).collect()
}

/// Removes every version of the canary, and of nothing else: an empty key would be that of every object. A version that is still
/// listed, and a listing that is not answered, is LEFT.
fn remove_at(input: &HandInput, side: &Side) -> String {
    let Side { bucket, region, .. } = side;
    let names = ["key", "one", "list", "left"].map(|output| input.sets(output));
    let ([key, one, listed, left], prefix) = (names, prefix(input));
    let list = format!(
        "{listed}=$(aws s3api list-object-versions --region {region} --bucket {bucket} --prefix \"${key}\" \\\n    \
         --query '[Versions,DeleteMarkers][].VersionId' --output text)"
    );
    format!(
        "{left}='what could not be listed'\n\
         case \"${{{key}:-}}\" in\n\
         {prefix}redrill-by-hand-?*)\n  \
         if {list}; then\n    \
         for {one} in ${listed}; do\n      \
         [ \"${one}\" = None ] || aws s3api delete-object --region {region} --bucket {bucket} --key \"${key}\" \\\n        \
         --version-id \"${one}\" || echo \"not removed: ${one}, as is said above\" >&2\n    done\n  fi\n  \
         if {list}; then\n    {left}=\n    \
         for {one} in ${listed}; do [ \"${one}\" = None ] || {left}=\"${left} ${one}\"; done\n  fi\n  \
         if [ -z \"${left}\" ]; then echo \"REMOVED: no version of ${key} is listed in \"{bucket}\n  \
         else echo \"LEFT of ${key} in \"{bucket}\": ${left}\" >&2; fi\n  ;;\n\
         *) echo '{key} is not set to a canary of this step: nothing is removed' >&2;;\nesac\n\
         [ -z \"${left}\" ]"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::process::Command;

    fn input(with: Value) -> HandInput {
        let regions = [("primary", "eu-west-1"), ("dr", "eu-west-3")];
        let regions = regions.map(|(name, region)| (name.to_owned(), region.to_owned()));
        HandInput::new("canary", Some("eu-west-1"), with, BTreeMap::new())
            .among(Some("primary"), BTreeMap::from(regions))
    }

    fn usual() -> HandInput {
        input(json!({ "source": "a", "replica": "b", "replica_at": "dr" }))
    }

    /// Runs text in `sh` and `bash`; `aws` is a case of the second word. Both streams, and the exit status.
    fn run(folder: &Path, aws: &str, text: &str) -> Vec<(String, i32)> {
        let script = format!(
            "set -u\nexec 2>&1\naws() {{ echo \"aws $*\" >> calls; case $2 in {aws} esac; }}\nsleep() {{ :; }}\n{text}"
        );
        let ended = ["sh", "bash"].map(|shell| {
            let mut command = Command::new(shell);
            let ended = command.arg("-c").arg(&script).current_dir(folder).output().unwrap();
            (String::from_utf8(ended.stdout).unwrap(), ended.status.code().unwrap())
        });
        ended.to_vec()
    }

    #[test]
    fn by_hand_the_canary_is_written_where_the_step_writes_it_and_waited_for_with_a_limit() {
        let commands = |with| {
            let hand = replicate_canary(&input(with));
            [hand.commands, hand.then].concat().join("\n")
        };
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

    #[test]
    fn by_hand_each_side_is_asked_in_its_region_behind_the_name_of_its_site() {
        for hand in [replicate_canary(&usual()), check_replication(&usual())] {
            assert!(hand.then[0].contains("credentials of dr"), "{:?}", hand.then);
            assert!(hand.then[1].contains("--region eu-west-3 --bucket b"), "{:?}", hand.then);
            assert!(hand.verify[0].contains("credentials of primary"), "{:?}", hand.verify);
            let first = hand.commands.join("\n");
            assert!(first.contains("--region eu-west-1 --bucket a"), "{first}");
            assert!(!first.contains("--bucket b"), "{first}");
        }
        let remove = replicate_canary(&usual()).remove;
        assert!(remove[0].contains("of primary") && remove[2].contains("of dr"), "{remove:?}");
    }

    #[test]
    fn regression_by_hand_an_old_copy_at_the_replica_is_no_replication() {
        let both = format!("{}\n{}", send_command(&usual()), wait_command(&usual()));
        // Without a version any copy would do, and there is one.
        let old = "put-object) echo v2;; \
                   get-object) case \"$*\" in *--version-id*) echo '(NoSuchVersion)'; false;; *) cp canary.bin canary.copy;; esac;;";
        let folder = tempfile::tempdir().unwrap();
        for (said, code) in run(folder.path(), old, &both) {
            assert!(code == 1 && said.contains("NOT READY: stopped: not at the replica"), "{said}");
        }
        let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
        assert!(
            calls.contains("--bucket b --key redrill-canary/")
                && calls.contains("--version-id v2 canary.copy")
        );
        // Its content must be that which was written.
        let other = "put-object) echo v2;; get-object) echo old > canary.copy;;";
        for (said, code) in run(folder.path(), other, &both) {
            assert!(code == 1 && said.contains("NOT READY: UNKNOWN: this version"), "{said}");
        }
        let arrived = "put-object) echo v2;; get-object) cp canary.bin canary.copy;;";
        for (said, code) in run(folder.path(), arrived, &both) {
            assert!(code == 0 && said.contains(", version v2"), "{said}");
        }
        for unversioned in ["put-object) echo None;;", "put-object) false;;"] {
            for (said, code) in run(folder.path(), unversioned, &both) {
                assert!(code == 1 && said.contains("NOT READY: stopped: no version"), "{said}");
            }
        }
    }

    #[test]
    fn by_hand_each_attempt_writes_new_content() {
        let folder = tempfile::tempdir().unwrap();
        let twice =
            format!("{0}\ncp canary.bin first\n{0}\ncmp first canary.bin", send_command(&usual()));
        for (said, code) in run(folder.path(), "*) echo v1;;", &twice) {
            assert!(code == 1 && said.contains("differ"), "{said}");
        }
    }

    #[test]
    fn regression_by_hand_a_canary_that_is_left_is_never_called_removed() {
        let folder = tempfile::tempdir().unwrap();
        let block =
            |key: &str| format!("CANARY_KEY={key}\n{}", remove_at(&usual(), &replica(&usual())));
        let mine = block("redrill-canary/redrill-by-hand-canary-1");
        let gone =
            "list-object-versions) [ -e gone ] || echo 'v1 v2';; delete-object) touch gone;;";
        for (said, code) in run(folder.path(), gone, &mine) {
            assert!(
                code == 0 && said.starts_with("REMOVED: no version of redrill-canary/"),
                "{said}"
            );
        }
        let kept = "list-object-versions) echo 'v1 v2';; delete-object) false;;";
        for (said, code) in run(folder.path(), kept, &mine) {
            assert!(code == 1 && said.contains("LEFT of ") && said.contains("b:  v1 v2"), "{said}");
        }
        for (said, code) in run(folder.path(), "list-object-versions) false;;", &mine) {
            assert!(code == 1 && said.contains("what could not be listed"), "{said}");
        }
        std::fs::remove_file(folder.path().join("calls")).unwrap();
        for other in ["", "redrill-canary/", "uploads/a"] {
            for (said, code) in run(folder.path(), "*) ;;", &block(other)) {
                assert!(code == 1 && said.contains("nothing is removed"), "{said}");
            }
        }
        assert!(!folder.path().join("calls").exists());
    }
}
