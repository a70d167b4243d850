//! Files that are written from the program and checked in are fresh. `REDRILL_UPDATE=1` writes them again.
//!
//! Tests of their own beside the code: `docs/schema/scenario.json` (src/scenario/schema.rs), `docs/errors.md`
//! (src/scenario/codes.rs), `docs/schema/report.json` (src/report/tests/mod.rs).

use crate::program::{Program, repository};
use redrill::aws::{OPERATIONS, OperationKind, Role};
use redrill::sandbox::{Operation, operations};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
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

/// What the guard lets pass, operation by operation and field by field.
fn guard_markdown() -> String {
    let mut page = String::from(GUARD_BEGINS);
    for (prefix, _, operations) in OPERATIONS {
        write!(page, "\n### {prefix}\n\n| operation | passes |\n|---|---|\n").unwrap();
        for (name, kind) in *operations {
            let how = match kind {
                OperationKind::Reads => "reads",
                OperationKind::Changes(_) => "changes: see below",
            };
            writeln!(page, "| `{name}` | {how} |").unwrap();
        }
    }
    page.push_str("\n## Roles of fields\n\nNames of fields are the SDK's. A field that is not listed must not be set.\n");
    for (prefix, _, operations) in OPERATIONS {
        for (name, kind) in *operations {
            let OperationKind::Changes(rule) = kind else { continue };
            write!(page, "\n### {prefix}:{name}\n\n| role | fields |\n|---|---|\n").unwrap();
            let mut by_role: BTreeMap<Role, Vec<String>> = BTreeMap::new();
            for (field, role) in rule.fields {
                by_role.entry(*role).or_default().push(format!("`{field}`"));
            }
            for (role, fields) in by_role {
                writeln!(page, "| {} | {} |", role.words(), fields.join(", ")).unwrap();
            }
        }
    }
    page
}

const GUARD_BEGINS: &str = "\
# What the guard lets pass

<!-- The tables are written from src/aws/operations.rs and src/aws/rules; a test keeps the page current. -->

Every client of AWS passes one guard, on the way out of the SDK. A call that it refuses never leaves the process: the step is
inconclusive, the run's exit code is 4, and the report names operation, site, resource and reason.

A call passes when all of this holds:

1. The operation is in the table below.
2. Its site is not lost. Between the declaration of the disaster and the end of the steps, reads at a lost site are refused, too.
3. It goes to the region of its site, and to a host of the run's world: an AWS endpoint of that service and region, or the
   endpoint that was given (`--endpoint-url`, the sandbox's).
4. It only reads; or everything that it would make, change or delete is the run's own.

What is the run's own is decided by the ledger *as it is on disk*: an intent that is only about to be written does not count.

| role | rule |
|---|---|
| own target | the name is an intent of the run at this site, of this kind; or the id (ARN) is bound to one. Not any more once the ledger says that it is gone or left |
| own target in a named place | the same, and it lies in a bucket and prefix of `guard.canaries` |
| token of an intent | AWS gives an id only in its answer: the client token is the name of the intent, and stands in the tag `redrill:name` |
| ownership tags | what is made carries `redrill:run` of this run, `redrill:step` of the step that intended it, and `redrill:expires`. New tags of what exists contradict none of these. S3: metadata `redrill-run` and so on |
| read source | is read, and stays as it is |
| used as it is | is used by what is made, and stays as it is |
| setting | no resource |
| dry run | with `true` EC2 only says whether it would: the call counts as one that reads |

A call that sets a field without a role is refused, whatever the field says: so no instance is renamed, no final snapshot is made
that no ledger knows, no password is changed. So is a call that names nothing, and one whose input is not of the type that the
table expects. `guard.write` must name the site of every change.

Before the first record and after the last one, only reading passes. `CopySnapshot` of EC2 has no client token: a copy whose
answer was lost is found by its tags.

Before the guard stand the limits of the organisation, if there are any (`--limits`, `REDRILL_LIMITS`): accounts, regions, modes, and
the most that `guard.max_duration` and `guard.max_resources` of a scenario may say. A scenario beyond one of them makes no call at all; an
account that it leaves open is held to the list when STS has named it, before anything is written.

Past the guard goes one call: when somebody answers an approval with their AWS identity, `sts:GetCallerIdentity` is sent with
their signature (`docs/security.md`).

What the guard cannot see: what AWS does on its own behalf (a replication rule copies what is written), and what programs,
databases and web servers do that `exec.run`, `sql.check` and `http.check` talk to. Those declare their effect, and are held to it
where that is possible: `http.check` sends GET and HEAD only, `sql.check` opens a session that the server confirms to be
read-only, `exec.run` with `effect: none` cannot write files where Linux offers Landlock, with `effect: own` it must bring `undo` and `find`, and with `effect: external` an entry in `guard.external` and
the approval of a second person. `sql.try_write` writes only into a database that a step of the run makes, or whose host
`guard.databases` names; `redrill check` refuses others (RD613).

## Operations
";

#[test]
fn the_page_of_what_the_guard_lets_pass_is_fresh() {
    let page = guard_markdown();
    for line in [
        "| `DescribeDBInstances` | reads |",
        "| `DeleteVolume` | changes: see below |",
        "| own target | `target_db_snapshot_identifier` |",
        "| read source | `source_db_snapshot_identifier` |",
    ] {
        assert!(page.contains(line), "{line}");
    }
    assert_fresh("docs/guard.md", &page);
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

/// The keys of a scenario, but for the inputs of actions, which have a page of their own.
fn keys_of_scenarios(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(parts) => {
            let properties = parts.get("properties").and_then(Value::as_object);
            for (key, within) in properties.into_iter().flatten().filter(|(key, _)| *key != "with")
            {
                keys.insert(key.clone());
                keys_of_scenarios(within, keys);
            }
            let others = parts.iter().filter(|(name, _)| {
                !["properties", "allOf", "if", "then"].contains(&name.as_str())
            });
            others.for_each(|(_, within)| keys_of_scenarios(within, keys));
        }
        Value::Array(all) => all.iter().for_each(|within| keys_of_scenarios(within, keys)),
        _ => {}
    }
}

#[test]
fn every_key_of_a_scenario_stands_on_the_page_of_the_language() {
    let read = |path: &str| std::fs::read_to_string(repository(path)).unwrap();
    let schema: Value = serde_json::from_str(&read("docs/schema/scenario.json")).unwrap();
    let mut keys = BTreeSet::new();
    keys_of_scenarios(&schema, &mut keys);
    let page = read("docs/language.md");
    let code = page.split('`').skip(1).step_by(2);
    let is_of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: BTreeSet<&str> = code.flat_map(|code| code.split(|c| !is_of_a_word(c))).collect();
    keys.retain(|key| !words.contains(key.as_str()));
    assert!(keys.is_empty(), "not in docs/language.md: {keys:?}");
    assert!(words.contains("databases") && words.contains("steps"));
}
