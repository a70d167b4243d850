//! How people restore the members of a cluster from a snapshot that was verified.
//!
//! Every member is restored from the same snapshot under a new cluster token; the API servers are stopped before, so that none
//! of them serves what it remembers of the old cluster. <https://etcd.io/docs/latest/op-guide/recovery/>,
//! <https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#restoring-an-etcd-cluster>
//!
//! Restoring goes back in time. Clients that hold a newer revision would not notice what is missing; so the revision is moved
//! forward and all before it is called compacted (`--bump-revision`, `--mark-compacted`), which makes them list again.
//! <https://github.com/etcd-io/etcd/issues/16028>

use super::by_hand::removing;
use crate::action::{HandInput, HandSection};

/// More changes than any cluster makes between two snapshots.
const REVISIONS: u64 = 1_000_000_000;

/// Lets `$tool` move the revision forward, where it says that it can: the options for it are in `$forward`.
pub(super) fn forward(revisions: u64) -> String {
    format!(
        "forward=\n\
         if $tool snapshot restore --help 2>&1 | grep -q -e --mark-compacted; then\n  \
         forward='--bump-revision {revisions} --mark-compacted'\n\
         else\n  \
         echo \"this $tool knows no --bump-revision: restart every client of the API server afterwards\" >&2\n\
         fi"
    )
}

/// The parts of a runbook that say how to restore from the snapshot.
pub(super) fn sections(input: &HandInput) -> Vec<HandSection> {
    vec![restoring(input), starting(input), removing(input)]
}

fn restoring(input: &HandInput) -> HandSection {
    HandSection {
        title: "How to restore every member from it".to_owned(),
        parts: vec![
            "Do this only with a snapshot whose SHA-256 is the same, and on every host of the control plane: first the next two \
             blocks on all of them, then the third on all of them. Bring the snapshot there (scp), under the same name \
             everywhere."
                .to_owned(),
            "On each host, as root, in a shell of its own: write the values behind the equals signs, then paste. Names and peer \
             URLs are those of the options --name and --initial-advertise-peer-urls of etcd there."
                .to_owned(),
            values(input),
            "Stop API server, controllers, scheduler and etcd, on every host before any member is restored:".to_owned(),
            stop(input),
            "Restore the member. Every member is restored from the same file, with the same members and the same token:".to_owned(),
            restore(input),
        ],
    }
}

/// Variables of the step, none of which etcd's own programs read.
fn values(input: &HandInput) -> String {
    let names = ["host", "member", "peer_url", "members", "token", "data", "copy"];
    let [host, member, peer, members, token, data, copy] = names.map(|name| input.sets(name));
    format!(
        "{host}=        # what hostname says on this host: the blocks below do nothing on another one\n\
         {member}=      # the name of its member: etcd-1\n\
         {peer}=    # the peer URL of its member: https://10.0.0.1:2380\n\
         {members}=     # all members: etcd-1=https://10.0.0.1:2380,etcd-2=https://10.0.0.2:2380,etcd-3=https://10.0.0.3:2380\n\
         {token}=       # a new word, the same on every host, so that no member of the old cluster is met\n\
         {data}=/var/lib/etcd\n\
         {copy}=        # where the copy of the snapshot lies on this host, readable by nobody else"
    )
}

/// Ends the block on any other host than the one that was named.
pub(super) fn only_there(input: &HandInput) -> String {
    let host = input.sets("host");
    format!(
        "set -eu\n[ \"$(hostname)\" = \"${{{host}:?}}\" ] || {{ echo 'another host: nothing was done' >&2; exit 1; }}"
    )
}

/// Static pods of kubeadm are stopped by moving their manifests away; services of systemd by stopping them.
fn stop(input: &HandInput) -> String {
    format!(
        "(\n{}\n\
         mkdir -p /etc/kubernetes/stopped\n\
         for part in kube-apiserver kube-controller-manager kube-scheduler etcd; do\n  \
         if [ -e \"/etc/kubernetes/manifests/$part.yaml\" ]; then\n    \
         mv \"/etc/kubernetes/manifests/$part.yaml\" /etc/kubernetes/stopped/\n  \
         elif systemctl is-active --quiet \"$part\"; then\n    systemctl stop \"$part\"\n  fi\n\
         done\n\
         n=0\n\
         while pgrep -x 'etcd|kube-apiserver' && [ \"$n\" -lt 30 ]; do sleep 5; n=$((n + 1)); done\n\
         code=0; pgrep -x 'etcd|kube-apiserver' || code=$?\n\
         case $code in\n  1) echo STOPPED;;\n  0) echo 'STILL RUNNING: do not go on' >&2; exit 1;;\n  \
         *) echo 'UNKNOWN whether they run: do not go on' >&2; exit 1;;\nesac\n\
         ); echo \"exit status $?\"",
        only_there(input)
    )
}

/// What was there is moved aside and not deleted, within the folder of data, which may be a file system of its own. Done again
/// before etcd runs, it gives the same member again.
fn restore(input: &HandInput) -> String {
    let names = ["member", "peer_url", "members", "token", "data", "copy"];
    let [member, peer, members, token, data, copy] = names.map(|name| input.sets(name));
    format!(
        "(\n{}\n\
         code=0; pgrep -x 'etcd|kube-apiserver' || code=$?\n\
         [ \"$code\" -eq 1 ] || {{ echo 'etcd or the API server runs, or that is UNKNOWN: nothing was restored' >&2; exit 1; }}\n\
         if command -v etcdutl >/dev/null; then tool=etcdutl; else tool=etcdctl; export ETCDCTL_API=3; fi\n\
         {}\n\
         mkdir -p -m 700 \"${{{data}:?}}\"\n\
         rm -rf \"${{{data}:?}}/restored\"\n\
         # shellcheck disable=SC2086 # two options, or none\n\
         $tool snapshot restore \"${{{copy}:?}}\" --data-dir \"${data}/restored\" $forward \\\n  \
         --name \"${{{member}:?}}\" --initial-advertise-peer-urls \"${{{peer}:?}}\" \\\n  \
         --initial-cluster \"${{{members}:?}}\" --initial-cluster-token \"${{{token}:?}}\"\n\
         chown -R --reference=\"${data}\" \"${data}/restored\"\n\
         if [ -e \"${data}/member\" ]; then mv \"${data}/member\" \"${data}/before-$(date -u +%Y%m%dT%H%M%SZ)-$$\"; fi\n\
         mv \"${data}/restored/member\" \"${data}/member\"\n\
         rmdir \"${data}/restored\"\n\
         echo \"RESTORED ${member} into ${data}\"\n\
         ); echo \"exit status $?\"",
        only_there(input),
        forward(REVISIONS)
    )
}

fn starting(input: &HandInput) -> HandSection {
    let certificates = "--cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt \
                        --key /etc/kubernetes/pki/etcd/server.key";
    HandSection {
        title: "How to start it again, once RESTORED was said on every host".to_owned(),
        parts: vec![
            "On every host, etcd first; a member waits for the others:".to_owned(),
            start(input, &["etcd"]),
            "On one host, with the certificates of etcd there: every member must be listed, and all hashes must be the same.".to_owned(),
            format!(
                "ETCDCTL_API=3 etcdctl {certificates} endpoint status --cluster --write-out table\n\
                 ETCDCTL_API=3 etcdctl {certificates} endpoint hashkv --cluster --write-out table"
            ),
            "On every host, then, what reads from it:".to_owned(),
            start(input, &["kube-apiserver", "kube-controller-manager", "kube-scheduler"]),
            "kubectl get --raw /readyz".to_owned(),
            "Where no --bump-revision was known, and wherever something goes on with what it remembers: restart kubelets, \
             controllers and operators."
                .to_owned(),
            "Objects made after the snapshot are gone, while what they described may still run: compare nodes, volumes and \
             load balancers with what the cluster lists."
                .to_owned(),
        ],
    }
}

fn start(input: &HandInput, parts: &[&str]) -> String {
    format!(
        "(\n{}\n\
         for part in {}; do\n  \
         if [ -e \"/etc/kubernetes/stopped/$part.yaml\" ]; then\n    \
         mv \"/etc/kubernetes/stopped/$part.yaml\" /etc/kubernetes/manifests/\n  \
         elif [ ! -e \"/etc/kubernetes/manifests/$part.yaml\" ]; then\n    systemctl start \"$part\"\n  fi\n\
         done\n\
         ); echo \"exit status $?\"",
        only_there(input),
        parts.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    fn input() -> HandInput {
        let with = json!({ "object": { "bucket": "backups", "key": "latest.db" } });
        HandInput::new("snapshot", Some("ap-northeast-3"), with, BTreeMap::new())
    }

    const VALUES: &str = "SNAPSHOT_HOST=this-host SNAPSHOT_MEMBER=etcd-1 SNAPSHOT_PEER_URL=https://10.0.0.1:2380\n\
                          SNAPSHOT_MEMBERS=etcd-1=https://10.0.0.1:2380 SNAPSHOT_TOKEN=new SNAPSHOT_DATA=data\n\
                          SNAPSHOT_COPY=snapshot.db\n";

    /// Restores in a folder, with an etcdutl that makes a folder and writes down what it was asked; `pgrep` finds what is said.
    fn restored(folder: &Path, values: &str, pgrep: &str) -> String {
        let stubs = format!(
            "set -u\nexec 2>&1\nhostname() {{ echo this-host; }}\npgrep() {{ {pgrep}; }}\n\
             etcdutl() {{ case \"$*\" in *--help*) echo --bump-revision --mark-compacted;; *) mkdir -p data/restored/member; echo \"$*\" > data/restored/member/asked;; esac; }}\n"
        );
        let script = format!("{stubs}{values}{}", restore(&input()));
        let ended = Command::new("sh").arg("-c").arg(&script).current_dir(folder).output().unwrap();
        String::from_utf8(ended.stdout).unwrap()
    }

    #[test]
    fn a_member_is_restored_under_its_name_and_what_was_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/member")).unwrap();
        fs::write(folder.path().join("data/member/old"), "").unwrap();
        let said = restored(folder.path(), VALUES, "return 1");
        assert!(said.contains("RESTORED etcd-1 into data\nexit status 0"), "{said}");
        let asked = fs::read_to_string(folder.path().join("data/member/asked")).unwrap();
        for part in [
            "snapshot restore snapshot.db --data-dir data/restored --bump-revision 1000000000 --mark-compacted",
            "--name etcd-1 --initial-advertise-peer-urls https://10.0.0.1:2380",
            "--initial-cluster etcd-1=https://10.0.0.1:2380 --initial-cluster-token new",
        ] {
            assert!(asked.contains(part), "{part} is missing in {asked}");
        }
        let kept =
            fs::read_dir(folder.path().join("data")).unwrap().map(|entry| entry.unwrap().path());
        let kept: Vec<_> = kept.collect();
        assert!(kept.iter().any(|path| path.join("old").exists()), "{kept:?}");
        assert_eq!(kept.len(), 2, "{kept:?}");
    }

    #[test]
    fn nothing_is_restored_where_etcd_runs_or_nobody_can_know_or_on_another_host() {
        let other = VALUES.replace("this-host", "another");
        let cases = [
            (VALUES, "return 0", "or that is UNKNOWN: nothing was restored"),
            (VALUES, "return 3", "or that is UNKNOWN: nothing was restored"),
            (&*other, "return 1", "another host: nothing was done"),
            ("SNAPSHOT_HOST=this-host\n", "return 1", "SNAPSHOT_DATA"),
        ];
        for (values, pgrep, why) in cases {
            let folder = tempfile::tempdir().unwrap();
            let said = restored(folder.path(), values, pgrep);
            assert!(said.contains(why) && !said.contains("RESTORED"), "{said}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{said}");
        }
    }

    #[test]
    fn the_parts_come_in_the_order_in_which_they_are_done() {
        let text: String = sections(&input()).iter().map(|one| one.parts.join("\n")).collect();
        let order = [
            "SNAPSHOT_MEMBERS=",
            "echo STOPPED",
            "snapshot restore",
            "hashkv",
            "/readyz",
            "echo REMOVED",
        ];
        let places: Vec<_> = order.iter().map(|part| text.find(part).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
    }
}
