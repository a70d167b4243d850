//! What a person should act on when members were asked.

use super::live_judge::{Answered, Names, Round, differing, hashes};
use crate::journal::{Finding, Severity};

/// Members that differ, and what members report of themselves.
pub(super) fn findings(
    answered: &[Answered],
    round: Option<&Round>,
    names: &Names<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(round) = round {
        let those = differing(round);
        if !those.is_empty() {
            findings.push(diverged(&those, round, names));
        }
    }
    for answered in answered {
        for error in &answered.status.errors {
            findings.push(reported(&names.of(answered.status.member), error));
        }
    }
    findings
}

fn diverged(differing: &[u64], round: &Round, names: &Names<'_>) -> Finding {
    let all = round.hashes().count();
    let (who, how) = (names.all(differing.iter().copied()), hashes(round, names));
    let what = match differing.len() == all {
        true => format!(
            "the members store different data at revision {}, and no majority tells which is right: {how}",
            round.revision
        ),
        false => format!(
            "{who} stores other data than the other members at revision {}: {how}",
            round.revision
        ),
    };
    Finding {
        severity: Severity::Critical,
        code: "etcd.members_differ".to_owned(),
        what,
        why: "what a client reads depends on whom it asks, and a snapshot of the wrong member is a wrong backup".to_owned(),
        action: "take snapshots from the members that agree; remove the other one from the cluster and let it join again with an \
                 empty folder (https://etcd.io/docs/latest/op-guide/data_corruption/)"
            .to_owned(),
    }
}

fn reported(name: &str, error: &str) -> Finding {
    Finding {
        severity: if error.contains("CORRUPT") { Severity::Critical } else { Severity::Serious },
        code: "etcd.member_reports".to_owned(),
        what: format!("{name} reports: {error}"),
        why: "a member with an alarm takes no writes, or stores what the others do not".to_owned(),
        action: "look at etcdctl alarm list and at the member's log before the next backup is taken from it".to_owned(),
    }
}

/// Connections that anyone on the way can read.
pub(super) fn exposed(endpoints: &[String]) -> Finding {
    Finding {
        severity: Severity::Warning,
        code: "etcd.connection_not_encrypted".to_owned(),
        what: format!("the connection to {} was not encrypted", endpoints.join(", ")),
        why: "anyone on the way could have answered in its place, and a snapshot holds every secret of the cluster".to_owned(),
        action: "use the https client URLs and tls: { ca: FILE }; http is for loopback addresses and tunnels".to_owned(),
    }
}
