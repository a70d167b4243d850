use super::fetch::TIME_MARK;
use super::k3s_by_hand;
use crate::action::{ByHand, HandInput, HandSection};

/// How a person verifies a snapshot: the SHA-256 at its end by hand, the structure with etcd's own tool.
pub(super) fn verify_snapshot(input: &HandInput) -> ByHand {
    if is_eks(input) {
        return on_eks();
    }
    let mut if_it_fails = none_there(input);
    if_it_fails.extend(found_wrong());
    ByHand {
        commands: vec![fetch(input), judge(input)],
        expected: "SHA-256: the same. Table: shown. It shows the revision and number of keys that the backup job recorded."
            .to_owned(),
        verify: vec![
            "Do not trust the table alone: `etcdutl snapshot status` never reads the SHA-256 and shows a snapshot with \
             changed values as good; on a file that was cut it crashes."
                .to_owned(),
            "If there is time, restore it into an empty folder, which does check the SHA-256:".to_owned(),
            try_it(input),
        ],
        if_it_fails,
        needs: k3s_by_hand::needs(input).unwrap_or_else(needs),
        sections: k3s_by_hand::sections(input)
            .unwrap_or_else(|| super::restore_by_hand::sections(input)),
        ..ByHand::default()
    }
}

/// What must be there where the members of a cluster are restored.
fn needs() -> Vec<String> {
    [
            "On every host of the control plane that is restored: root, etcdutl of the version of the snapshot's etcd (etcdctl up \
             to 3.4), and a way to bring a file there",
            "On new hosts also etcd's own configuration (names, URLs, certificates), and the encryption configuration of the API \
             server where secrets are encrypted at rest: a snapshot holds neither",
    ]
    .map(str::to_owned)
    .into()
}

/// A file that was there before the step is not the step's to remove.
pub(super) fn removing(input: &HandInput) -> HandSection {
    let (file, tried) = (input.sets("file"), input.sets("tried"));
    let fetched = input.value("object").is_some();
    let copy = if fetched { format!("\"${{{file}:?}}\" ") } else { String::new() };
    HandSection {
        title: "Always, once every member is restored or the recovery is given up".to_owned(),
        parts: vec![
            "Copies hold every secret of the cluster: remove those of this step here, and each one that was brought to a member. In \
             a new shell, first paste the lines that were noted down."
                .to_owned(),
            format!(
                "if rm -rf {copy}${{{tried}:+\"${tried}\"}}; then echo REMOVED; else echo 'LEFT, as is said above' >&2; false; fi"
            ),
        ],
    }
}

/// Whether the step says that nobody can take a snapshot.
pub(super) fn is_eks(input: &HandInput) -> bool {
    input.value("platform").and_then(|platform| platform.as_str()) == Some("eks")
}

fn found_wrong() -> Vec<String> {
    [
        "UNKNOWN: the snapshot was not fetched, which says nothing about it. Correct the cause and paste the block again.",
        "NO SHA-256 at its end: a copy of a member's database, a packed file, or a file that was cut. Unpack it, or take an older \
         snapshot.",
        "NOT UNPACKED: the archive was cut or changed, and what is in it is not complete, unless unzip is not there. Take the snapshot \
         before it.",
        "DIFFERENT: the file was changed after it was written. Take the snapshot before it; do not use `--skip-hash-check` unless \
         there is nothing else.",
        "Table: UNKNOWN: etcdutl is not there, or could not read the file: install that of the version of the snapshot's etcd, and \
         paste the block again.",
    ]
    .map(str::to_owned)
    .into()
}

/// Where another snapshot may be: under another name, or an older version of this one.
pub(super) fn none_there(input: &HandInput) -> Vec<String> {
    let (Some(bucket), Some(key)) = (input.word("object.bucket"), input.word("object.key")) else {
        return Vec::new();
    };
    let (object, version) = (input.sets("object_key"), input.sets("object_version"));
    let region = input.region();
    let named = input.value("object.key").and_then(|key| key.as_str()).unwrap_or_default();
    let folder = named.rsplit_once('/').map(|(folder, _)| format!("{folder}/"));
    let folder = folder.filter(|folder| !folder.contains('\u{1}'));
    let folder = folder.map(|folder| format!(" --prefix {}", HandInput::quote(&folder)));
    vec![
        "NONE: no snapshot is there under this name; that of another name, or an older version, may be. These list them, the \
         newest last (your role needs s3:ListBucket, and s3:ListBucketVersions for the second; a version of size None was the \
         deletion):"
            .to_owned(),
        format!(
            "aws s3api list-objects-v2 --region {region} --bucket {bucket}{} \\\n  \
             --query 'Contents[].[LastModified,Size,Key]' --output text | sort\n\
             aws s3api list-object-versions --region {region} --bucket {bucket} --prefix {key} \\\n  \
             --query '[Versions,DeleteMarkers][].[LastModified,Size,VersionId,Key]' --output text | sort",
            folder.unwrap_or_default()
        ),
        format!(
            "To take one of them, set {object} to its key, and {version} to its version where that is an older one, and paste the \
             block again. Say to who decides how old it is."
        ),
    ]
}

/// One file for all attempts, which holds every secret of the cluster. That there is no such object is an answer.
pub(super) fn fetch(input: &HandInput) -> String {
    let names = ["file", "went", "object_key", "object_version", "said"];
    let [file, went, object, version, said] = names.map(|output| input.sets(output));
    let (Some(bucket), Some(key)) = (input.word("object.bucket"), input.word("object.key")) else {
        let named = input.word("file").unwrap_or_else(|| "snapshot.db".to_owned());
        return format!("{file}={named}; {went}=fetched");
    };
    let wanted = input.word("object.version_id").unwrap_or_default();
    format!(
        "umask 077; {file}=${{{file}:-$(mktemp)}}; {went}=fetched\n\
         echo \"{file}=${file}   # note this line down: it will hold every secret of the cluster, and is removed at the end\"\n\
         {object}=${{{object}:-{key}}}; {version}=${{{version}:-{wanted}}}\n\
         if {said}=$(aws s3api get-object --region {} --bucket {bucket} --key \"${object}\" \\\n    \
         ${{{version}:+--version-id \"${version}\"}} \"${file}\" \\\n    \
         --query '[LastModified,VersionId,Metadata.\"{TIME_MARK}\"]' 2>&1); then\n  printf '%s\\n' \"${said}\"\n\
         else\n  printf '%s\\n' \"${said}\" >&2\n  \
         case \"${said}\" in\n    \
         *NoSuchKey*|*NoSuchVersion*) {went}=\"NONE: no snapshot is there under the name ${object}\";;\n    \
         *) {went}='UNKNOWN: not fetched, as is said above';;\n  esac\nfi{}",
        input.region(),
        unpack(input, &file, &went)
    )
}

/// Unpacks what was fetched, where it may be packed: k3s and RKE2 do that when they are told to compress, and other jobs give such
/// names. What is packed is known by its first bytes, as the step does it. A file of people's own is left as it is.
fn unpack(input: &HandInput, file: &str, went: &str) -> String {
    let key = input.value("object.key").and_then(|key| key.as_str()).unwrap_or_default();
    let named = [".zip", ".gz"].iter().any(|ending| key.ends_with(ending));
    if !named && k3s_by_hand::needs(input).is_none() {
        return String::new();
    }
    format!(
        "\nif [ \"${went}\" = fetched ]; then\n  \
         case $(head -c 2 \"${file}\" | od -An -tx1 | tr -d ' \\n') in\n    \
         504b) unzip -p \"${file}\" > \"${file}.unpacked\" && mv \"${file}.unpacked\" \"${file}\" ||\n      \
         {went}='NOT UNPACKED: the archive is damaged, or unzip is not there, as is said above';;\n    \
         1f8b) gzip -dc \"${file}\" > \"${file}.unpacked\" && mv \"${file}.unpacked\" \"${file}\" ||\n      \
         {went}='NOT UNPACKED: the archive is damaged, as is said above';;\n  \
         esac\n  \
         rm -f \"${file}.unpacked\"\nfi"
    )
}

/// Whole pages of 512 bytes, and 32 bytes of SHA-256 behind them.
pub(super) fn judge(input: &HandInput) -> String {
    let names = ["file", "went", "size", "sum", "wanted", "table"].map(|output| input.sets(output));
    let [file, went, size, sum, wanted, table] = names;
    format!(
        "{table}='UNKNOWN: nothing was looked at'\n\
         if [ \"${went}\" = fetched ] && [ -s \"${file}\" ]; then\n  \
         {size}=$(wc -c < \"${file}\")\n  \
         {sum}=$(head -c \"$(({size} - 32))\" \"${file}\" | sha256sum | cut -d ' ' -f 1)\n  \
         {wanted}=$(tail -c 32 \"${file}\" | od -An -v -tx1 | tr -d ' \\n')\n  \
         if [ \"$(({size} % 512))\" -ne 32 ]; then {went}='NO SHA-256 at its end'\n  \
         elif [ \"${sum}\" = \"${wanted}\" ]; then {went}='the same'\n  \
         else {went}=\"DIFFERENT: ${sum} of the file, ${wanted} at its end\"; fi\n  \
         if etcdutl snapshot status \"${file}\" --write-out table; then {table}=shown\n  \
         else {table}='UNKNOWN: etcdutl has shown none, as is said above'; fi\nfi\n\
         echo \"SHA-256: ${went}\"\necho \"Table: ${table}\"\n\
         [ \"${went}\" = 'the same' ] && [ \"${table}\" = shown ]"
    )
}

/// Restores into a folder that has a name, so that the secrets in it can be removed, and removes it at once.
fn try_it(input: &HandInput) -> String {
    let names = ["file", "tried", "trial"].map(|output| input.sets(output));
    let [file, tried, trial] = names;
    format!(
        "umask 077; {trial}='UNKNOWN: there is no snapshot to try, or no etcdutl'\n\
         if [ -s \"${{{file}:-}}\" ] && command -v etcdutl >/dev/null; then\n  \
         {tried}=${{{tried}:-$(mktemp -d)}}\n  \
         echo \"{tried}=${tried}   # note this line down: it will hold every secret of the cluster, until it is removed\"\n  \
         if etcdutl snapshot restore \"${file}\" --data-dir \"${tried}/restored\"; then {trial}=restored\n  \
         else {trial}='NOT RESTORED, as is said above'; fi\n  \
         rm -rf \"${{{tried}:?}}\" || {trial}=\"LEFT: ${tried} holds every secret of the cluster: remove it\"\nfi\n\
         echo \"Trial: ${trial}\"\n[ \"${trial}\" = restored ]"
    )
}

pub(super) fn on_eks() -> ByHand {
    ByHand {
        commands: vec!["velero backup get".to_owned()],
        expected: "A recent backup of the cluster's objects, Completed. Amazon EKS gives no access to etcd."
            .to_owned(),
        verify: vec!["velero backup describe NAME --details".to_owned()],
        if_it_fails: vec![
            "Create a new cluster from code and let GitOps (Argo CD, Flux) bring its objects back; restore volumes \
             from their own snapshots."
                .to_owned(),
        ],
            ..ByHand::default()
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn the_commands_fetch_the_version_that_was_named() {
        let with =
            json!({ "object": { "bucket": "backups", "key": "a b.db", "version_id": "v1" } });
        let input = HandInput::new("snapshot", Some("ap-northeast-3"), with, BTreeMap::new());
        let commands = verify_snapshot(&input).commands.join("\n");
        for part in [
            "SNAPSHOT_OBJECT_KEY=${SNAPSHOT_OBJECT_KEY:-'a b.db'}; SNAPSHOT_OBJECT_VERSION=${SNAPSHOT_OBJECT_VERSION:-v1}",
            "--key \"$SNAPSHOT_OBJECT_KEY\" \\\n    ${SNAPSHOT_OBJECT_VERSION:+--version-id \"$SNAPSHOT_OBJECT_VERSION\"} \"$SNAPSHOT_FILE\"",
        ] {
            assert!(commands.contains(part), "{part} is missing in {commands}");
        }
        assert!(commands.contains("--region ap-northeast-3"), "{commands}");
    }

    /// A file of so many pages with a digest behind them, judged by the commands.
    fn judged(content: &[u8], digest: &[u8]) -> (String, bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a file.db");
        std::fs::write(&path, [content, digest].concat()).unwrap();
        let with = json!({ "file": path.to_str().unwrap() });
        let hand = verify_snapshot(&HandInput::new("snapshot", None, with, BTreeMap::new()));
        let script = format!("set -u\netcdutl() {{ :; }}\n{}", hand.commands.join("\n"));
        let ended = std::process::Command::new("sh").arg("-c").arg(&script).output().unwrap();
        (String::from_utf8(ended.stdout).unwrap(), ended.status.success())
    }

    #[test]
    fn the_commands_tell_a_whole_snapshot_from_others() {
        use sha2::Digest as _;
        let content = [7_u8; 1024];
        let digest = sha2::Sha256::digest(content);
        let good = "SHA-256: the same\nTable: shown\n".to_owned();
        assert_eq!(judged(&content, &digest), (good, true));
        let (said, passed) = judged(&[8_u8; 1024], &digest);
        assert!(said.contains("SHA-256: DIFFERENT: ") && !passed, "{said}");
        let (said, passed) = judged(&content, b"");
        assert!(said.contains("SHA-256: NO SHA-256 at its end") && !passed, "{said}");
    }

    /// Runs text in a folder, in `sh` and `bash`. Both streams, and the exit status.
    fn run(folder: &std::path::Path, text: &str) -> Vec<(String, Option<i32>)> {
        let ended = ["sh", "bash"].map(|shell| {
            let mut command = std::process::Command::new(shell);
            command.arg("-c").arg(format!("set -u\nexec 2>&1\n{text}")).current_dir(folder);
            let ended = command.env("TMPDIR", folder).output().unwrap();
            (String::from_utf8(ended.stdout).unwrap(), ended.status.code())
        });
        ended.to_vec()
    }

    fn of_object() -> HandInput {
        let with = json!({ "object": { "bucket": "backups", "key": "cluster/latest.db" } });
        HandInput::new("snapshot", Some("ap-northeast-3"), with, BTreeMap::new())
    }

    #[test]
    fn regression_a_snapshot_that_does_not_exist_is_none_and_not_unknown() {
        let hand = verify_snapshot(&of_object());
        let commands = hand.commands.join("\n");
        let folder = tempfile::tempdir().unwrap();
        let none =
            "aws() { echo 'An error occurred (NoSuchKey)' >&2; return 254; }\netcdutl() { :; }\n";
        for (said, code) in run(folder.path(), &format!("{none}{commands}")) {
            assert!(code == Some(1) && said.contains("SHA-256: NONE: no snapshot"), "{said}");
            assert!(said.contains("under the name cluster/latest.db"), "{said}");
        }
        let denied = none.replace("NoSuchKey", "AccessDenied");
        for (said, code) in run(folder.path(), &format!("{denied}{commands}")) {
            assert!(code == Some(1) && said.contains("SHA-256: UNKNOWN: not fetched"), "{said}");
        }
        let ways = hand.if_it_fails.join("\n");
        assert!(
            ways.contains(
                "list-objects-v2 --region ap-northeast-3 --bucket backups --prefix cluster/ "
            ),
            "{ways}"
        );
        assert!(ways.contains("list-object-versions --region ap-northeast-3 --bucket backups --prefix cluster/latest.db "));
    }

    #[test]
    fn what_is_packed_is_unpacked_before_it_is_judged() {
        use sha2::Digest as _;
        use std::io::Write as _;
        let content = [7_u8; 1024];
        let whole = [&content[..], &sha2::Sha256::digest(content)].concat();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(&whole).unwrap();
        let packed = packed.finish().unwrap();
        let with = json!({ "object": { "bucket": "backups", "key": "cluster/latest.db.gz" } });
        let input = HandInput::new("snapshot", Some("ap-northeast-3"), with, BTreeMap::new());
        let commands = verify_snapshot(&input).commands.join("\n");
        for (stored, said_of_it) in [
            (&packed[..], "SHA-256: the same"),
            (&whole[..], "SHA-256: the same"),
            (&packed[..packed.len() - 9], "SHA-256: NOT UNPACKED"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("stored"), stored).unwrap();
            let aws = "aws() { for last; do case $last in */tmp.*) cp stored \"$last\";; esac; done; }\netcdutl() { :; }\n";
            for (said, _) in run(folder.path(), &format!("{aws}{commands}")) {
                assert!(said.contains(said_of_it), "{said}");
                assert!(!said.contains("unpacked"), "{said}");
            }
            let names = std::fs::read_dir(folder.path()).unwrap();
            let names: Vec<_> = names.map(|one| one.unwrap().file_name()).collect();
            assert!(
                names.iter().all(|name| !name.to_string_lossy().contains("unpacked")),
                "{names:?}"
            );
        }
        // Nothing of it where no packing is to be expected.
        assert!(!verify_snapshot(&of_object()).commands.join("\n").contains("unzip"));
    }

    #[test]
    fn regression_without_an_etcdutl_that_works_no_block_ends_well() {
        use sha2::Digest as _;
        let folder = tempfile::tempdir().unwrap();
        let content = [7_u8; 1024];
        let whole = [&content[..], &sha2::Sha256::digest(content)].concat();
        std::fs::write(folder.path().join("good.db"), whole).unwrap();
        let with = HandInput::new("snapshot", None, json!({ "file": "good.db" }), BTreeMap::new());
        let fetched = fetch(&with);
        for broken in
            ["PATH=/nonexistent-for-etcdutl:$PATH", "etcdutl() { echo no >&2; return 2; }"]
        {
            for (said, code) in
                run(folder.path(), &format!("{broken}\n{fetched}\n{}", judge(&with)))
            {
                assert!(code == Some(1) && said.contains("Table: UNKNOWN"), "{said}");
            }
            for (said, code) in
                run(folder.path(), &format!("{broken}\n{fetched}\n{}", try_it(&with)))
            {
                assert!(code == Some(1) && !said.contains("Trial: restored"), "{said}");
            }
        }
    }

    #[test]
    fn regression_the_trial_leaves_no_secrets_behind_and_names_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("good.db"), "x").unwrap();
        let text = format!(
            "SNAPSHOT_FILE=good.db\netcdutl() {{ mkdir -p \"$5/member\" && echo secret > \"$5/member/db\"; echo \"INTO $5\"; }}\n{}",
            try_it(&of_object())
        );
        for (said, code) in run(folder.path(), &text) {
            assert!(code == Some(0) && said.contains("Trial: restored"), "{said}");
            let noted = said.lines().find_map(|line| line.strip_prefix("SNAPSHOT_TRIED="));
            let noted = noted.and_then(|line| line.split_whitespace().next()).unwrap();
            assert!(said.contains(&format!("INTO {noted}/restored")), "{said}");
            assert!(!std::path::Path::new(noted).exists(), "{said}");
        }
        // Cut off before it was removed: the folder is known, and the last block of the step removes it.
        let always = super::super::restore_by_hand::sections(&of_object());
        let always = always.last().unwrap().parts.last().unwrap();
        let tried = folder.path().join("tried");
        std::fs::create_dir(&tried).unwrap();
        let text = format!("SNAPSHOT_FILE=good.db SNAPSHOT_TRIED={}\n{always}", tried.display());
        for (said, code) in run(folder.path(), &text) {
            assert!(code == Some(0) && said.contains("REMOVED"), "{said}");
        }
        assert!(!tried.exists() && !folder.path().join("good.db").exists());
    }

    #[test]
    fn on_eks_nobody_is_sent_to_a_snapshot() {
        let input = HandInput::new("s", None, json!({ "platform": "eks" }), BTreeMap::new());
        assert!(verify_snapshot(&input).commands.iter().all(|c| !c.contains("etcdutl")));
    }
}
