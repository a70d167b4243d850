use super::RenderError;
use crate::report::{Report, samples};
use std::path::Path;

fn text(bytes: Result<Vec<u8>, RenderError>) -> String {
    String::from_utf8(bytes.unwrap()).unwrap()
}

fn html(report: &Report) -> String {
    text(super::html(report))
}

fn json(report: &Report) -> String {
    text(super::json(report))
}

fn junit(report: &Report) -> String {
    text(super::junit(report))
}

fn markdown(report: &Report) -> String {
    text(super::markdown(report))
}

fn terminal(report: &Report, colour: bool) -> String {
    super::terminal(report, colour, Path::new("runs/orders-db-0007-3fa9/report.html"))
}

/// Writes the pages into the folder that `REDRILL_SAMPLES` names, for looking at them.
fn keep_for_looking(name: &str, text: &str) {
    if let Some(folder) = std::env::var_os("REDRILL_SAMPLES") {
        std::fs::write(Path::new(&folder).join(name), text).unwrap();
    }
}

#[test]
fn every_kind_of_report_reads_as_the_golden_files_do() {
    for (name, sample) in samples::all() {
        let report = sample.report();
        insta::assert_snapshot!(format!("{name}.md"), markdown(&report));
        insta::assert_snapshot!(format!("{name}.xml"), junit(&report));
        let shown = terminal(&report, false);
        insta::assert_snapshot!(format!("{name}.txt"), shown);
    }
    insta::assert_snapshot!("failed.json", json(&samples::failed().report()));
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_no_script() {
    for (name, sample) in samples::all() {
        let page = html(&sample.report());
        keep_for_looking(&format!("{name}.html"), &page);
        for forbidden in ["<script", "<link", "<img", "@import", "src=", "http://", "https://"] {
            assert!(!page.contains(forbidden), "{name}: {forbidden}");
        }
    }
}

#[test]
fn the_page_says_everything_that_the_report_holds() {
    let report = samples::failed().report();
    let page = html(&report);
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
        let page = html(&report);
        let verdict = page.find("<div class=\"word\">").unwrap();
        let objectives = page.find("id=\"objectives\"").unwrap();
        let findings = page.find("id=\"findings\"").unwrap();
        assert!(verdict < objectives && objectives < findings, "{name}");
        let first = terminal(&report, false).lines().next().unwrap().to_lowercase();
        assert!(first.contains(&report.verdict.text), "{name}: {first}");
    }
}

#[test]
fn a_rehearsal_says_so_in_every_form_and_on_every_printed_page() {
    let report = samples::rehearsal().report();
    let page = html(&report);
    assert!(page.contains("<div class=\"notice\" role=\"note\">REHEARSAL"));
    assert!(page.contains("@top-center { content: \"REHEARSAL"));
    assert!(page.contains("<div class=\"watermark\" aria-hidden=\"true\">REHEARSAL</div>"));
    assert!(markdown(&report).starts_with("> **REHEARSAL"));
    let said = "rehearsal: passed, not evidence of recovery";
    assert!(junit(&report).contains(said));
    assert!(terminal(&report, false).to_lowercase().contains(said));
    assert!(json(&report).contains(said));
    let real = html(&samples::passed().report());
    assert!(!real.contains("REHEARSAL"));
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    for (_, sample) in samples::all() {
        let (first, second) = (sample.report(), sample.report());
        assert_eq!(html(&first), html(&second));
        assert_eq!(junit(&first), junit(&second));
        assert_eq!(json(&first), json(&second));
    }
}

#[test]
fn colour_is_used_only_when_asked_for() {
    let report = samples::failed().report();
    assert!(!terminal(&report, false).contains('\u{1b}'));
    assert!(terminal(&report, true).contains("\u{1b}[1;31m"));
}

#[test]
fn data_cannot_write_to_the_terminal() {
    let mut report = samples::failed().report();
    report.checks[2].check.observed = "\u{1b}[2J\u{202e}gone".to_owned();
    report.checks[2].check.outcome = crate::journal::Outcome::Failed;
    let shown = terminal(&report, false);
    assert!(shown.contains("\\u{1b}[2J\\u{202e}gone"), "{shown}");
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
}

#[test]
fn junit_tells_failed_inconclusive_and_skipped_apart() {
    let failed = junit(&samples::failed().report());
    assert!(failed.contains("<failure message=\"failed: expected = 0, observed 3\""), "{failed}");
    let open = junit(&samples::inconclusive().report());
    assert!(open.contains("<error message=\"inconclusive: expected = 0, observed 0"), "{open}");
    let passed = junit(&samples::passed().report());
    assert!(
        !passed.contains("<failure") && !passed.contains("<error") && !passed.contains("<skipped")
    );
}
