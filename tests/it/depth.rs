//! How deep the shipped scenarios verify, as their reports say it.

use crate::program::Program;
use serde_json::Value;

/// Scenario, estate, and for each ladder the rung that was reached without a gap, and those above one.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

const CASES: &[Case] = &[
    ("orders-db", "", &[("rds", "R6", "")]),
    ("orders-db", "cold", &[("rds", "R5", "")]),
    ("orders-db", "rotated", &[("rds", "R5", "")]),
    ("orders-db", "secret-missing", &[("rds", "R5", "")]),
    ("orders-db", "read-only", &[("rds", "R2", "R4 R5")]),
    ("orders-db", "settings-differ", &[("rds", "R2", "R4 R5 R6")]),
    ("orders-db", "unbalanced", &[("rds", "R3", "R5")]),
    ("orders-db", "stuck", &[("rds", "R0", "")]),
    ("orders-db", "no-copies", &[("rds", "", "")]),
    ("orders-db-point-in-time", "", &[("rds", "R6", "")]),
    ("orders-db-point-in-time", "cold", &[("rds", "R5", "")]),
    ("orders-db-point-in-time", "drifted", &[("rds", "R2", "R4 R5 R6")]),
    ("orders-db-point-in-time", "index-damaged", &[("rds", "R4", "R6")]),
    ("orders-db-point-in-time", "read-only", &[("rds", "R2", "R4 R5")]),
    ("orders-db-point-in-time", "secret-behind", &[("rds", "R5", "")]),
    ("orders-db-point-in-time", "too-early", &[("rds", "R3", "R5 R6")]),
    ("payments-aurora", "", &[("rds", "R6", "")]),
    ("payments-aurora", "migrated", &[("rds", "R3", "R5 R6")]),
    ("payments-aurora", "no-amcheck", &[("rds", "R4", "R6")]),
    ("payments-aurora", "rotated", &[("rds", "R5", "")]),
    ("payments-aurora", "sequence-behind", &[("rds", "R5", "")]),
    ("payments-aurora", "settings-differ", &[("rds", "R2", "R4 R5 R6")]),
    ("payments-aurora", "untagged", &[("rds", "", "R1 R2 R3 R4 R5 R6")]),
    ("cluster-state", "", &[("etcd", "E7", "")]),
    ("cluster-state", "flipped", &[("etcd", "E0", "E2 E6")]),
    ("cluster-state", "gaps", &[("etcd", "E4", "E6 E7")]),
    ("cluster-state", "lost-keys", &[("etcd", "E6", "")]),
    ("cluster-state", "member-differs", &[("etcd", "E5", "E7")]),
    ("cluster-state", "member-silent", &[("etcd", "E5", "E7")]),
    ("cluster-state", "missing", &[("etcd", "", "E6")]),
    ("cluster-state", "stale", &[("etcd", "E2", "E4 E6")]),
    ("cluster-state", "torn", &[("etcd", "E5", "E7")]),
    ("cluster-state", "unreadable", &[("etcd", "E4", "E6 E7")]),
    ("cluster-state", "uploaded-again", &[("etcd", "E2", "E6")]),
    ("k3s-server", "", &[("etcd", "E5", "E7")]),
    ("k3s-server", "other-cluster", &[("etcd", "E2", "E4 E5 E7")]),
    ("k3s-server", "yesterday", &[("etcd", "E2", "E4")]),
    ("ledger-volume", "", &[("ebs", "B0", "")]),
    ("uploads-replication", "", &[("s3", "S0", "S2 S3 S4")]),
    ("uploads-replication", "stalled", &[("s3", "S0", "S3")]),
];

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> String {
    value.as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_report_says_which_rungs_its_run_has_reached() {
    let mut wrong = Vec::new();
    for (scenario, estate, expected) in CASES {
        let program = Program::new();
        let options: &[&str] = if estate.is_empty() { &[] } else { &["--estate", estate] };
        let (_, report) = program.rehearse(scenario, options);
        let ladders = report["depth"].as_array().unwrap().iter().map(|ladder| {
            (text(&ladder["ladder"]), text(&ladder["reached"]), list(&ladder["above_a_gap"]))
        });
        let told: Vec<_> = ladders.collect();
        let expected: Vec<_> = expected.iter().map(|(l, r, a)| (*l, *r, (*a).to_owned())).collect();
        if told != expected {
            wrong.push(format!("{scenario} {estate}: {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_form_of_a_report_says_in_words_what_was_reached_and_what_is_missing() {
    let program = Program::new();
    let run = ["run", "scenarios/orders-db.yaml", "--sandbox", "--estate", "cold"];
    let shown = program.run(&run).stdout;
    let folder = "runs/orders-db-0001";
    let html = program.read(&format!("{folder}/report.html"));
    let markdown = program.read(&format!("{folder}/report.md"));
    for page in [&html, &markdown, &shown] {
        for words in [
            "Rehearsed depth, databases of RDS and Aurora: R5 of R6, ",
            "the server itself has inspected its tables and indexes, and found no damage",
            "Missing for R6: fast reads: failed: read latency in step hydrated",
        ] {
            assert!(page.contains(words), "{words} is missing in {page}");
        }
    }
    for page in [&html, &markdown] {
        assert!(page.contains("An application could work with it"), "{page}");
    }
    let junit = program.read(&format!("{folder}/junit.xml"));
    assert!(junit.contains("name=\"depth.rds\" value=\"R5\""), "{junit}");
    let json: Value =
        serde_json::from_str(&program.read(&format!("{folder}/report.json"))).unwrap();
    let depth = &json["depth"][0];
    assert_eq!((&depth["reached"], &depth["rungs"][6]["reached"]), (&"R5".into(), &false.into()));
    assert!(list(&depth["missing"]).contains("read latency"), "{depth}");
}
