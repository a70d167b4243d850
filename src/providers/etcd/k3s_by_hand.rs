//! How people restore a server of k3s or RKE2 from a snapshot that was verified: the program does it by itself, on one server, and all
//! others join that one anew. <https://docs.k3s.io/cli/etcd-snapshot>, <https://docs.rke2.io/datastore/backup_restore>

use super::by_hand::removing;
use super::restore_by_hand::only_there;
use crate::action::{HandInput, HandSection};

/// What differs between the two.
struct Names {
    /// The program, which is also the name of its folder.
    program: &'static str,
    /// The service of the servers.
    service: &'static str,
    /// What asks the API server, on a server.
    kubectl: &'static str,
    /// The variable that names the file of the token.
    token_file: &'static str,
}

const K3S: Names =
    Names { program: "k3s", service: "k3s", kubectl: "k3s kubectl", token_file: "K3S_TOKEN_FILE" };
const RKE2: Names = Names {
    program: "rke2",
    service: "rke2-server",
    kubectl: "/var/lib/rancher/rke2/bin/kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml",
    token_file: "RKE2_TOKEN_FILE",
};

fn names_of(input: &HandInput) -> Option<Names> {
    match input.value("platform")?.as_str()? {
        "k3s" => Some(K3S),
        "rke2" => Some(RKE2),
        _ => None,
    }
}

/// The parts of a runbook that say how to restore from the snapshot; `None` on another platform.
pub(super) fn sections(input: &HandInput) -> Option<Vec<HandSection>> {
    let names = names_of(input)?;
    Some(vec![restoring(input, &names), starting(input, &names), removing(input)])
}

/// What must be there before the first step; `None` on another platform.
pub(super) fn needs(input: &HandInput) -> Option<Vec<String>> {
    let Names { program, .. } = names_of(input)?;
    Some(vec![
        format!(
            "On the host that becomes the first server: root, {program} of the version of the cluster (installed, not started), its \
             configuration (/etc/rancher/{program}/config.yaml), and a way to bring a file there"
        ),
        format!(
            "The server token of the time of the snapshot, in a file (/var/lib/rancher/{program}/server/token of a server): the \
             authorities of the cluster and the keys of its secrets are in the snapshot, and encrypted with it"
        ),
    ])
}

fn restoring(input: &HandInput, names: &Names) -> HandSection {
    let Names { program, service, token_file, .. } = names;
    let [host, token, copy] = ["host", "token_file", "copy"].map(|name| input.sets(name));
    let values = format!(
        "{host}=          # what hostname says on this host: the blocks below do nothing on another one\n\
         {token}=    # where the server token lies on this host, readable by nobody else\n\
         {copy}=          # where the copy of the snapshot lies on this host, unpacked, readable by nobody else"
    );
    // Done again, it restores the same snapshot: what was there is moved aside by the program itself.
    let restore = format!(
        "(\n{}\n\
         [ -s \"${{{token}:?}}\" ] && [ -s \"${{{copy}:?}}\" ] || {{ echo 'no token or no snapshot there: nothing was restored' >&2; exit 1; }}\n\
         if systemctl is-active --quiet {service}; then systemctl stop {service}; fi\n\
         if command -v {program}-killall.sh >/dev/null; then {program}-killall.sh >/dev/null 2>&1; fi\n\
         code=0; pgrep -f '^(/[^ ]*/)?{program} server' || code=$?\n\
         [ \"$code\" -eq 1 ] || {{ echo '{program} runs, or that is UNKNOWN: nothing was restored' >&2; exit 1; }}\n\
         {token_file}=\"${token}\" {program} server --etcd-s3=false --cluster-reset --cluster-reset-restore-path=\"${copy}\"\n\
         echo \"RESTORED on ${host}\"\n\
         ); echo \"exit status $?\"",
        only_there(input)
    );
    HandSection {
        title: format!("How to restore the first server of {program} from it"),
        parts: vec![
            format!(
                "Do this only with a snapshot whose SHA-256 is the same, and on one host. On every other server {program} is stopped \
                 before, and stays stopped."
            ),
            "On that host, as root, in a shell of its own: bring snapshot and token there (scp), write the values behind the equals \
             signs, then paste."
                .to_owned(),
            values,
            format!(
                "It ends by itself, and says that it is to be started again without --cluster-reset. With another token than that of \
                 the snapshot it says so, and has restored nothing that starts: take the token of that time."
            ),
            restore,
        ],
    }
}

fn starting(input: &HandInput, names: &Names) -> HandSection {
    let Names { program, service, kubectl, .. } = names;
    HandSection {
        title: "How to start it again, once RESTORED was said".to_owned(),
        parts: vec![
            "On that host:".to_owned(),
            format!(
                "(\n{}\nsystemctl start {service}\n\
                 n=0; until [ \"$({kubectl} get --raw /readyz 2>/dev/null)\" = ok ]; do\n  \
                 n=$((n + 1)); [ \"$n\" -lt 60 ] || {{ echo 'NOT READY after five minutes: journalctl --unit {service}' >&2; exit 1; }}\n  \
                 sleep 5\n\
                 done\n\
                 echo READY; {kubectl} get nodes\n\
                 ); echo \"exit status $?\"",
                only_there(input)
            ),
            "The nodes are those of the time of the snapshot: where the host has another name than the lost one, that stands there as \
             NotReady, with the pods that ran on it. Remove each that does not come back (write its name behind the equals sign):"
                .to_owned(),
            format!(
                "{node}=    # the name of the lost node\n{kubectl} delete node \"${{{node}:?}}\"",
                node = input.sets("lost_node")
            ),
            format!(
                "Further servers have the database of before: move /var/lib/rancher/{program}/server/db aside on each of them, and start \
                 {program} there with the address of this one and the same token. Agents find it by its address: keep it, or correct \
                 theirs."
            ),
            "Volumes of local paths were on the lost host, and are not in the snapshot. Objects made after the snapshot are gone, while \
             what they described may still run."
                .to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    fn input(platform: &str) -> HandInput {
        let with =
            json!({ "platform": platform, "object": { "bucket": "backups", "key": "latest.zip" } });
        HandInput::new("snapshot", Some("ap-northeast-3"), with, BTreeMap::new())
    }

    const VALUES: &str = "SNAPSHOT_HOST=this-host SNAPSHOT_TOKEN_FILE=token SNAPSHOT_COPY=snapshot.db SNAPSHOT_LOST_NODE=lost\n";

    /// Pastes the blocks of a section, with programs that write down what they are asked; `pgrep` finds what is said.
    fn pasted(folder: &Path, platform: &str, section: usize, values: &str, pgrep: &str) -> String {
        let section = sections(&input(platform)).unwrap().swap_remove(section);
        let is_block = |part: &&String| part.starts_with("(\n");
        let blocks: Vec<&String> = section.parts.iter().filter(is_block).collect();
        assert_eq!(blocks.len(), 1);
        let stubs = format!(
            "set -u\nexec 2>&1\nhostname() {{ echo this-host; }}\npgrep() {{ {pgrep}; }}\nsleep() {{ :; }}\n\
             systemctl() {{ echo \"systemctl $*\" >> done; }}\n\
             k3s() {{ echo \"token $K3S_TOKEN_FILE k3s $*\" >> done; echo ok; }}\n\
             rke2() {{ echo \"token $RKE2_TOKEN_FILE rke2 $*\" >> done; }}\n"
        );
        let script = format!("{stubs}{values}K3S_TOKEN_FILE=none\n{}", blocks[0]);
        let ended = Command::new("sh").arg("-c").arg(script).current_dir(folder).output().unwrap();
        String::from_utf8(ended.stdout).unwrap()
    }

    fn with_files() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["token", "snapshot.db"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        folder
    }

    #[test]
    fn the_program_restores_by_itself_with_the_token_that_is_on_no_command_line() {
        for (platform, service, asked) in [
            ("k3s", "k3s", "token token k3s server --etcd-s3=false"),
            ("rke2", "rke2-server", "token token rke2 server --etcd-s3=false"),
        ] {
            let folder = with_files();
            let said = pasted(folder.path(), platform, 0, VALUES, "return 1");
            assert!(said.contains("RESTORED on this-host\nexit status 0"), "{said}");
            let done = fs::read_to_string(folder.path().join("done")).unwrap();
            let asked = format!("{asked} --cluster-reset --cluster-reset-restore-path=snapshot.db");
            assert!(done.contains(&asked), "{done}");
            assert!(done.contains(&format!("systemctl stop {service}\n")), "{done}");
        }
    }

    #[test]
    fn nothing_is_restored_where_it_runs_or_nobody_can_know_or_on_another_host() {
        let other = VALUES.replace("this-host", "another");
        let without = VALUES.replace("=token", "=elsewhere");
        for (values, pgrep, why) in [
            (VALUES, "return 0", "or that is UNKNOWN: nothing was restored"),
            (VALUES, "return 3", "or that is UNKNOWN: nothing was restored"),
            (&*other, "return 1", "another host: nothing was done"),
            (&*without, "return 1", "no token or no snapshot there: nothing was restored"),
            ("SNAPSHOT_HOST=this-host\n", "return 1", "SNAPSHOT_TOKEN_FILE"),
        ] {
            let folder = with_files();
            let said = pasted(folder.path(), "k3s", 0, values, pgrep);
            assert!(said.contains(why) && !said.contains("RESTORED"), "{said}");
            let done = fs::read_to_string(folder.path().join("done")).unwrap_or_default();
            assert!(!done.contains("cluster-reset"), "{done}");
        }
    }

    #[test]
    fn it_is_started_and_waited_for() {
        let folder = with_files();
        let said = pasted(folder.path(), "k3s", 1, VALUES, "return 1");
        assert!(said.contains("READY\nok\nexit status 0"), "{said}");
        let done = fs::read_to_string(folder.path().join("done")).unwrap();
        assert!(done.starts_with("systemctl start k3s\n"), "{done}");
        // An API server that never answers is not ready.
        let said = pasted(folder.path(), "rke2", 1, VALUES, "return 1");
        assert!(said.contains("NOT READY") && said.contains("exit status 1"), "{said}");
    }

    #[test]
    fn on_another_platform_there_is_nothing_of_it() {
        let other = HandInput::new("s", None, json!({ "file": "a" }), BTreeMap::new());
        assert!(sections(&other).is_none() && needs(&other).is_none());
        assert!(sections(&input("self_managed")).is_none());
        assert_eq!(needs(&input("rke2")).unwrap().len(), 2);
    }
}
