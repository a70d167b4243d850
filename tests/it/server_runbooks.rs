//! The restore blocks of the shipped runbooks, pasted twice, in two shells, and against a region that is gone.

use crate::server_sandbox::{Responder, Sandbox, script};
use crate::server_support::repository;
use std::fs;

/// What one scenario makes, and how it is counted.
struct Making {
    scenario: &'static str,
    /// The variable that holds its name.
    name: &'static str,
    /// Prints the names of all that the step has made, a word each.
    list: &'static str,
}

const MAKING: [Making; 4] = [
    Making {
        scenario: "orders-db",
        name: "RESTORE_ID",
        list: "rds describe-db-instances --query \
               \"DBInstances[?starts_with(DBInstanceIdentifier,'restored-orders-db-restore-')].DBInstanceIdentifier\"",
    },
    Making {
        scenario: "orders-db-point-in-time",
        name: "RESTORE_ID",
        list: "rds describe-db-instances --query \"DBInstances[?starts_with(DBInstanceIdentifier,\
               'restored-orders-db-point-in-time-restore-')].DBInstanceIdentifier\"",
    },
    Making {
        scenario: "payments-aurora",
        name: "RESTORE_ID",
        list: "rds describe-db-clusters --query \
               \"DBClusters[?starts_with(DBClusterIdentifier,'restored-')].DBClusterIdentifier\"",
    },
    Making {
        scenario: "ledger-volume",
        name: "RESTORE_TOKEN",
        list: "ec2 describe-volumes --filters 'Name=tag:restored-as,Values=*' --query 'Volumes[].VolumeId'",
    },
];

/// A clock of which each look is a minute later: two pastes never fall into the same one.
const LATER: &str = "n=$(cat minutes 2>/dev/null || echo 0); echo $((n + 1)) > minutes\n\
                     exec /bin/date -d \"now + $n minutes\" \"$@\"";

fn names(responder: &Responder, list: &str) -> Vec<String> {
    let account = "222222222222 111111111111".split(' ').map(|account| {
        let ended = responder.end(&format!(
            "AWS_ACCESS_KEY_ID=SANDBOX{account} aws {list} --region ap-northeast-3 --output text"
        ));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    });
    account.flatten().collect()
}

fn pasted_again(making: &Making) {
    let sandbox = Sandbox::serve(&format!("scenarios/estates/{}.yaml", making.scenario));
    let responder = Responder::new(&sandbox);
    responder.replace("date", LATER);
    let page = repository(&format!("runbooks/{}.md", making.scenario));
    let runbook = fs::read_to_string(page).unwrap();
    let find = if runbook.contains("**backup** began") { "backup" } else { "point" };
    let commands = script(&runbook, &[find, "restore"]);
    let name = making.name;

    // Twice in one shell, more than a minute apart.
    let said = responder.end(&format!("{commands}\n{commands}\necho \"NAME ${name}\""));
    assert_eq!(said.code, Some(0), "{}\n{}", said.stderr, said.stdout);
    assert_eq!(said.stdout.matches("READY: ").count(), 2, "{}", said.stdout);
    let made = names(&responder, making.list);
    assert_eq!(made.len(), 1, "{made:?}");
    let kept = said.stdout.lines().find_map(|line| line.strip_prefix("NAME ")).unwrap();

    // In a new shell, without the name: it says what there is, and makes nothing.
    let lost = responder.end(&commands);
    assert_eq!(lost.code, Some(1), "{}\n{}", lost.stderr, lost.stdout);
    assert!(
        lost.stderr.contains(&format!("an earlier attempt has made {kept}")),
        "{}",
        lost.stderr
    );
    assert_eq!(names(&responder, making.list), made);

    // With the line that was noted down it goes on with what is there.
    let note = said.stdout.lines().find(|line| line.starts_with(&format!("{name}="))).unwrap();
    let found = responder.end(&format!("{note}\n{commands}"));
    assert_eq!(found.code, Some(0), "{}\n{}", found.stderr, found.stdout);
    assert!(found.stdout.contains("is there already"), "{}", found.stdout);
    assert_eq!(names(&responder, making.list), made);

    // The region is gone: nobody can know, and that is said.
    responder.replace("aws", "echo 'Could not connect to the endpoint URL' >&2; exit 255");
    let restore = script(&runbook, &["restore"]);
    let gone =
        responder.end(&format!("{note}\nPOINT_ARN=a POINT_ID=a BACKUP_BACKUP=db-A\n{restore}"));
    assert_ne!(gone.code, Some(0), "{}", gone.stdout);
    assert!(
        gone.stderr.contains("NOT READY: ") && gone.stderr.contains("UNKNOWN"),
        "{}",
        gone.stderr
    );
}

#[test]
fn server_the_restore_block_pasted_twice_makes_one_database() {
    pasted_again(&MAKING[0]);
    pasted_again(&MAKING[1]);
}

#[test]
fn server_the_restore_block_pasted_twice_makes_one_cluster() {
    pasted_again(&MAKING[2]);
}

#[test]
fn server_the_restore_block_pasted_twice_makes_one_volume() {
    pasted_again(&MAKING[3]);
}
