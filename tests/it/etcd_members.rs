//! A drill that takes a snapshot of a running cluster and compares its members with it, rehearsed in estates in which something is
//! wrong.

use crate::program::{Program, Ran};

const SCENARIO: &str = "\
redrill: 1
name: members
title: The members of the cluster agree
owner: platform
disaster: { kind: corruption }
sites: { dr: { account: \"222222222222\", region: ap-northeast-3, role: drill } }
objectives: { rto: { target: 1h, from: declared } }
guard: { write: [dr], canaries: [backups/redrill-canary/] }
steps:
  - id: take
    at: dr
    uses: etcd.take_snapshot
    with: { endpoint: \"https://etcd-1.test:2379\", tls: { ca: ca.crt }, object: { bucket: backups } }
  - id: members
    at: dr
    uses: etcd.compare_members
    gate: acceptance
    needs: [take]
    with:
      endpoints: [\"https://etcd-1.test:2379\"]
      all_members: true
      tls: { ca: ca.crt }
      object: { bucket: backups, key: \"{{steps.take.key}}\" }
";

/// Rehearses it with members that are different in this.
fn rehearsed(different: [&str; 3]) -> (Program, Ran) {
    let program = Program::new();
    let member = |(n, more): (usize, &str)| {
        let file = if more.contains("differs") { "differs" } else { "snapshot" };
        let more = more.replace("differs", "silent: false");
        format!(
            "    \"https://etcd-{n}.test:2379\": {{ name: n{n}, file: scenarios/estates/files/cluster-of-three.{file}.db{}{more} }}\n",
            if more.is_empty() { "" } else { ", " }
        )
    };
    let members: String = (1..).zip(different).map(member).collect();
    program.write("members.yaml", SCENARIO);
    program.write(
        "estate.yaml",
        format!(
            "estate: 1\nnow: 2026-11-20T02:00:00Z\naccounts: {{ \"222222222222\": {{ roles: [drill] }} }}\nplaces:\n  \
             - {{ account: \"222222222222\", region: ap-northeast-3, buckets: [{{ name: backups, versioning: enabled }}] }}\n\
             answers:\n  etcd:\n{members}"
        ),
    );
    let ran = program.run(&[
        "run",
        "members.yaml",
        "--sandbox",
        "--estate",
        "estate.yaml",
        "--format",
        "json",
        "--quiet",
    ]);
    (program, ran)
}

fn journal(program: &Program) -> String {
    let files = program.files_of_runs();
    let journal = files.iter().find(|name| name.ends_with("journal.jsonl"));
    program.read(journal.unwrap_or_else(|| panic!("no journal in {files:?}")))
}

#[test]
fn members_that_agree_pass_with_the_snapshot_that_the_drill_took() {
    let (program, ran) = rehearsed(["", "", ""]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let journal = journal(&program);
    assert!(
        journal.contains("resource_intended") && journal.contains("resource_released"),
        "{journal}"
    );
}

#[test]
fn a_member_that_differs_fails_the_drill_and_one_that_is_silent_leaves_it_open() {
    let (program, ran) = rehearsed(["", "differs", ""]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(journal(&program).contains("n2 stores other data"), "the member is named");
    let (_, ran) = rehearsed(["", "", "silent: true"]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_snapshot_that_was_torn_or_changed_on_its_way_leaves_nothing_behind() {
    for (what, code) in [("breaks_off_at: 12KiB", 2), ("garbles: true", 1)] {
        let (program, ran) = rehearsed([what, "", ""]);
        assert_eq!(ran.code, code, "{what}: {}{}", ran.stdout, ran.stderr);
        assert!(!journal(&program).contains("resource_intended"), "{what}");
    }
}
