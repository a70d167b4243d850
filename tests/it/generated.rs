//! Files that are written from the program and checked in are fresh. `REDRILL_UPDATE=1` writes them again.
//!
//! Tests of their own beside the code: `docs/schema/scenario.json` (src/scenario/schema.rs), `docs/errors.md`
//! (src/scenario/codes.rs), `docs/schema/report.json` (src/report/tests.rs).

use crate::program::{Program, repository};
use redrill::sandbox::{Operation, operations};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Fails when a file of the repository differs from what the program writes; with `REDRILL_UPDATE=1`, writes it.
#[expect(clippy::disallowed_methods, reason = "the variable is of the tests alone")]
pub(crate) fn assert_fresh(path: &str, wanted: &str) {
    let file = repository(path);
    if std::env::var("REDRILL_UPDATE").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is stale: run tests/run quick generated with REDRILL_UPDATE=1"
    );
}

#[test]
fn the_reference_of_actions_is_fresh() {
    let registry = redrill::providers::registry();
    let page = redrill::render::actions_markdown(&registry).unwrap();
    for name in ["rds.restore_snapshot", "s3.check_replication", "etcd.verify_snapshot"] {
        assert!(page.contains(name), "{name}");
    }
    assert_fresh("docs/actions.md", &page);
}

/// What the sandbox simulates, service by service.
fn fidelity_markdown() -> String {
    let mut by_service: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations() {
        by_service.entry(operation.service).or_default().push(operation);
    }
    let mut page = String::from(
        "# What the sandbox simulates\n\n\
         <!-- Written from sandbox::FIDELITY and sandbox::s3::FIDELITY; a test keeps it current. -->\n\n\
         Behind a rehearsal, and behind `redrill sandbox serve`, stands a simulation of what drills touch, not an emulator of\n\
         AWS. An operation that is not listed is refused as one that does not exist. `redrill sandbox operations` prints\n\
         the same list. Nothing of it has been compared with real AWS accounts.\n",
    );
    for (service, mut operations) in by_service {
        operations.sort_by_key(|operation| operation.name);
        write!(page, "\n## {service}\n\n| operation | how far |\n|---|---|\n").unwrap();
        for Operation { name, fidelity, .. } in operations {
            writeln!(page, "| `{name}` | {} |", fidelity.replace('|', "\\|")).unwrap();
        }
    }
    page
}

#[test]
fn the_page_of_what_the_sandbox_simulates_is_fresh() {
    let page = fidelity_markdown();
    for operation in ["RestoreDBInstanceFromDBSnapshot", "CreateVolume", "PutObject", "AssumeRole"]
    {
        assert!(page.contains(&format!("| `{operation}` |")), "{operation}");
    }
    assert_fresh("docs/sandbox-fidelity.md", &page);
}

#[test]
fn the_runbooks_of_the_shipped_scenarios_are_fresh() {
    let program = Program::new();
    let mut scenarios = Vec::new();
    for entry in std::fs::read_dir(repository("scenarios")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        scenarios.extend(name.strip_suffix(".yaml").map(str::to_owned));
    }
    assert!(scenarios.len() >= 4, "{scenarios:?}");
    for scenario in scenarios {
        let ran = program.run(&["runbook", &format!("scenarios/{scenario}.yaml")]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_fresh(&format!("runbooks/{scenario}.md"), &ran.stdout);
    }
}
