use super::{html, json, junit, markdown, terminal};
use crate::report::samples;

/// Writes the pages into the folder that `REDRILL_SAMPLES` names, for looking at them.
fn keep_for_looking(name: &str, text: &str) {
    if let Some(folder) = std::env::var_os("REDRILL_SAMPLES") {
        std::fs::write(std::path::Path::new(&folder).join(name), text).unwrap();
    }
}

#[test]
fn every_kind_of_report_reads_as_the_golden_files_do() {
    for (name, sample) in samples::all() {
        let report = sample.report();
        insta::assert_snapshot!(format!("{name}.md"), markdown(&report).unwrap());
        insta::assert_snapshot!(format!("{name}.xml"), junit(&report).unwrap());
        let shown = terminal(&report, false, Some("runs/orders-db-0007-3fa9/report.html"));
        insta::assert_snapshot!(format!("{name}.txt"), shown);
    }
    insta::assert_snapshot!("failed.json", json(&samples::failed().report()).unwrap());
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_no_script() {
    for (name, sample) in samples::all() {
        let page = html(&sample.report()).unwrap();
        keep_for_looking(&format!("{name}.html"), &page);
        for forbidden in ["<script", "<link", "<img", "@import", "src=", "http://", "https://"] {
            assert!(!page.contains(forbidden), "{name}: {forbidden}");
        }
    }
}

#[test]
fn the_page_says_everything_that_the_report_holds() {
    let report = samples::failed().report();
    let page = html(&report).unwrap();
    for text in [
        "3 of 90112 objects have no replica: &lt;invoices/2026-11-18.pdf&gt; and 2 more",
        "go &lt;ahead&gt; &amp; hurry",
        "The orders ledger &amp; its attachments",
        "missing objects",
        "90\u{202f}112",
        "files failed, and deep needs it",
        "rds:RestoreDBInstanceFromDBSnapshot",
        "orders-db-0002-00aa",
    ] {
        assert!(page.contains(text), "{text}");
    }
    for digest in [report.run.journal, report.run.plan, report.run.scenario] {
        assert!(page.contains(&digest.to_string()));
    }
    assert!(!page.contains("<invoices") && !page.contains("<ahead>"));
}

#[test]
fn the_verdict_stands_before_everything_else() {
    for (name, sample) in samples::all() {
        let report = sample.report();
        let page = html(&report).unwrap();
        let verdict = page.find("<div class=\"word\">").unwrap();
        let objectives = page.find("id=\"objectives\"").unwrap();
        let findings = page.find("id=\"findings\"").unwrap();
        assert!(verdict < objectives && objectives < findings, "{name}");
        let first = terminal(&report, false, None).lines().next().unwrap().to_lowercase();
        assert!(first.contains(&report.verdict.text), "{name}: {first}");
    }
}

#[test]
fn a_rehearsal_says_so_in_every_form_and_on_every_printed_page() {
    let report = samples::rehearsal().report();
    let page = html(&report).unwrap();
    assert!(page.contains("<div class=\"notice\" role=\"note\">REHEARSAL"));
    assert!(page.contains("@top-center { content: \"REHEARSAL"));
    assert!(page.contains("<div class=\"watermark\" aria-hidden=\"true\">REHEARSAL</div>"));
    assert!(markdown(&report).unwrap().starts_with("> **REHEARSAL"));
    let said = "rehearsal: passed, not evidence of recovery";
    assert!(junit(&report).unwrap().contains(said));
    assert!(terminal(&report, false, None).to_lowercase().contains(said));
    assert!(json(&report).unwrap().contains(said));
    let real = html(&samples::passed().report()).unwrap();
    assert!(!real.contains("REHEARSAL"));
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    for (_, sample) in samples::all() {
        let (first, second) = (sample.report(), sample.report());
        assert_eq!(html(&first).unwrap(), html(&second).unwrap());
        assert_eq!(junit(&first).unwrap(), junit(&second).unwrap());
        assert_eq!(json(&first).unwrap(), json(&second).unwrap());
    }
}

#[test]
fn colour_is_used_only_when_asked_for() {
    let report = samples::failed().report();
    assert!(!terminal(&report, false, None).contains('\u{1b}'));
    assert!(terminal(&report, true, None).contains("\u{1b}[1;31m"));
}

#[test]
fn data_cannot_write_to_the_terminal() {
    let mut report = samples::failed().report();
    report.checks[2].check.observed = "\u{1b}[2J\u{202e}gone".to_owned();
    report.checks[2].check.outcome = crate::journal::Outcome::Failed;
    let shown = terminal(&report, false, None);
    assert!(shown.contains("\\u{1b}[2J\\u{202e}gone"), "{shown}");
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
}

#[test]
fn junit_tells_failed_inconclusive_and_skipped_apart() {
    let failed = junit(&samples::failed().report()).unwrap();
    assert!(failed.contains("<failure message=\"failed: expected = 0, observed 3\""), "{failed}");
    let open = junit(&samples::inconclusive().report()).unwrap();
    assert!(open.contains("<error message=\"inconclusive: expected = 0, observed 0"), "{open}");
    let passed = junit(&samples::passed().report()).unwrap();
    assert!(
        !passed.contains("<failure") && !passed.contains("<error") && !passed.contains("<skipped")
    );
}
