use super::RenderError;
use super::{LastDrill, runbook, runbook_after};
use crate::action::StepError;
use crate::ids::Digest;
use crate::journal::{Event, Outcome};
use crate::report::{DecidedBy, Report, Verdict, samples};
use crate::time::HumanDuration;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

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
    super::terminal(report, colour, Some(Path::new("runs/orders-db-0007-3fa9/report.html")))
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
fn regression_only_a_run_that_passed_leaves_nothing_to_act_on() {
    const NOTHING: &str = "Nothing was found that a person should act on.";
    for (name, sample) in samples::all() {
        let mut report = sample.report();
        report.findings.clear();
        for page in [html(&report), markdown(&report)] {
            let passed = report.verdict.outcome == Verdict::Passed;
            assert_eq!(page.contains(NOTHING), passed, "{name}");
            assert_eq!(page.contains("No step reported a finding"), !passed, "{name}");
        }
    }
    let mut failed = samples::failed().report();
    failed.findings.clear();
    assert!(markdown(&failed).contains("Act on: check "), "the checks that failed are named");
}

#[test]
fn regression_the_recovery_point_whose_worst_case_decided_is_said_to_count() {
    let mut report = samples::passed().report();
    let rpo = report.objectives.rpo.as_mut().unwrap();
    rpo.decided_by = Some(DecidedBy::Schedule);
    rpo.worst_case = Some(HumanDuration(Duration::from_secs(90_000)));
    let seen = report.recovery_points.first_mut().unwrap();
    seen.point.worst_case = rpo.worst_case;
    seen.does_not_count = Some("a backup's own description".to_owned());
    let page = markdown(&report);
    assert!(page.contains("its worst case decides; its time does not count: a backup"), "{page}");
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
    report.checks[2].check.outcome = Outcome::Failed;
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

fn recovery_plan() -> crate::plan::Plan {
    let mut plan = samples::plan();
    plan.mode = "recovery".to_owned();
    plan.vars = BTreeMap::from([
        ("class".to_owned(), json!("db.r6g.4xlarge")),
        ("multi_az".to_owned(), json!(true)),
    ]);
    plan
}

fn recovery_runbook(last: Option<&LastDrill>) -> String {
    let drill = BTreeMap::from([
        ("class".to_owned(), json!("db.r6g.large")),
        ("multi_az".to_owned(), json!(true)),
    ]);
    let (plan, registry) = (recovery_plan(), samples::registry());
    match last {
        Some(last) => runbook_after(&plan, &drill, &registry, last).unwrap(),
        None => runbook(&plan, &drill, &registry).unwrap(),
    }
}

#[test]
fn the_runbook_reads_as_the_golden_file_does() {
    let last = LastDrill::of(&samples::passed().report());
    let book = recovery_runbook(Some(&last));
    keep_for_looking("runbook.md", &book);
    insta::assert_snapshot!("runbook.md", book);
}

#[test]
fn the_runbook_says_what_drills_do_not_exercise() {
    let book = recovery_runbook(None);
    assert!(
        book.contains("| class | db.r6g.4xlarge | db.r6g.large | **not exercised by drills** |")
    );
    assert!(book.contains("| multi_az | true | true |  |"));
}

#[test]
fn a_runbook_of_a_changed_scenario_is_called_stale() {
    let mut last = LastDrill::of(&samples::passed().report());
    assert!(!recovery_runbook(Some(&last)).contains("STALE"));
    last.scenario = Digest::of(b"an older scenario");
    assert!(recovery_runbook(Some(&last)).contains("> **STALE"));
}

#[test]
fn steps_of_the_runbook_pass_values_on_in_shell_variables() {
    let book = recovery_runbook(None);
    assert!(book.contains("POINT_ARN=\"$(aws rds describe-db-snapshots"));
    assert!(book.contains("--db-snapshot-identifier \"${POINT_ARN:?}\""));
    assert!(!book.contains("{{") && !book.contains('\u{1}'));
}

/// All blocks for the shell, in order.
fn blocks(book: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in book.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

/// With programs that do nothing in place of the real ones: every variable is set before it is used.
#[test]
fn the_blocks_of_the_runbook_run_one_after_the_other_in_one_shell() {
    let stubs = "aws() { echo arn:aws:rds:x; }\npsql() { :; }\n";
    let script = format!("set -eu\n{stubs}{}", blocks(&recovery_runbook(None)));
    let ended = std::process::Command::new("sh").arg("-c").arg(&script).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}\n{script}");
    assert!(script.contains("set -u"));
}

#[test]
fn what_no_command_sets_is_filled_in_by_hand() {
    let mut plan = recovery_plan();
    plan.steps[3].with["snapshot"] = json!("{{steps.files.manifest}}");
    let book = runbook(&plan, &BTreeMap::new(), &samples::registry()).unwrap();
    let demand = ": \"${FILES_MANIFEST:?set it to this: manifest of step files}\"";
    assert!(book.contains(demand), "{book}");
    // What no later command uses need not be set.
    assert!(!recovery_runbook(None).contains("Set what later steps need"));
}

#[test]
fn a_step_of_an_unknown_action_makes_no_runbook() {
    let mut plan = recovery_plan();
    plan.steps[0].uses = "rds.teleport".to_owned();
    let made = runbook(&plan, &BTreeMap::new(), &samples::registry());
    assert!(made.unwrap_err().to_string().contains("rds.teleport"));
}

/// The shell of the responder has none of the variables: each is set in its own block or in one before, or has a default.
fn every_variable_is_set_before(name: &str, book: &str) {
    let uses = regex::Regex::new(r"\$\{?([A-Z][A-Z0-9_]*)\b(:-)?").unwrap();
    let mut before = String::new();
    for block in book.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next()) {
        before.push_str(block);
        before.push('\n');
        let set = super::shell::variables_set(std::slice::from_ref(&before));
        for used in uses.captures_iter(block).filter(|found| found.get(2).is_none()) {
            assert!(set.contains(&used[1]), "{name}: nothing sets {} in\n{block}", &used[1]);
        }
    }
}

/// Every shipped scenario, with the real actions: values of the scenario and words of the providers together.
#[test]
fn the_runbooks_of_the_shipped_scenarios_are_valid_shell_and_leave_no_expression() {
    use crate::plan::{Options, RunMode, compile};
    let registry = crate::providers::registry();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut written = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let loaded = crate::scenario::load(&path, &registry);
        let scenario =
            loaded.scenario.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
        let options = Options { mode: RunMode::Recovery, ..Options::default() };
        let plan = compile(scenario, loaded.source.digest(), &registry, options).unwrap();
        let book = runbook(&plan, &scenario.modes.drill.vars, &registry).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        keep_for_looking(&format!("runbook-{name}.md"), &book);
        assert!(!book.contains("{{") && !book.contains('\u{1}'), "{name}: {book}");
        let script = blocks(&book);
        let read = std::process::Command::new("sh").args(["-n", "-c", &script]).output().unwrap();
        assert!(read.status.success(), "{name}: {}", String::from_utf8_lossy(&read.stderr));
        every_variable_is_set_before(&name, &book);
        written += 1;
    }
    assert!(written > 0, "no scenario was found");
}

#[test]
fn regression_data_cannot_make_a_page_read_otherwise_than_it_is_written() {
    let mut report = samples::failed().report();
    report.checks[2].check.observed = "\u{202e}3\u{1b}[2J".to_owned();
    for text in [html(&report), markdown(&report)] {
        assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("u{202e}3"), "{text}");
    }
}

#[test]
fn regression_junit_tells_of_a_step_that_failed_although_its_checks_held() {
    let mut report = samples::passed().report();
    let step = report.timeline.steps.iter_mut().find(|step| step.id.as_str() == "deep").unwrap();
    step.outcome = Outcome::Inconclusive;
    step.why = Some("the connection was lost".to_owned());
    assert!(junit(&report).contains("<error message=\"inconclusive: the connection was lost\""));
}

#[test]
fn regression_an_earlier_run_that_was_no_evidence_does_not_wear_green() {
    let page = html(&samples::passed().report());
    assert!(page.contains("<span class=\"tag none\">✓ rehearsal: passed</span>"), "{page}");
}

#[test]
fn regression_limits_of_steps_at_the_same_time_are_not_added_up() {
    let book = recovery_runbook(None);
    // 30m of decision are assumed; the restore waits for point (30m) and the approval (1h), and not for the files.
    assert!(book.contains("Limits of the longest chain up to here: 5h of an RTO of 4h"), "{book}");
}

#[test]
fn regression_how_long_a_step_ran_that_failed_is_not_how_long_it_takes() {
    let last = LastDrill::of(&samples::failed().report());
    let took = |step: &str| last.took.keys().any(|id| id.as_str() == step);
    assert!(took("restore") && !took("files"));
}

#[test]
fn regression_what_a_helper_computes_is_not_computed_of_the_name_of_a_variable() {
    let mut plan = recovery_plan();
    let book = |plan: &crate::plan::Plan| runbook(plan, &BTreeMap::new(), &samples::registry());
    plan.steps[3].with["snapshot"] = json!("{{lower steps.point.arn}}");
    let said = book(&plan).unwrap();
    let demand = "${COMPUTED_LOWER_STEPS_POINT_ARN:?set it to this: lower steps.point.arn}";
    assert!(said.contains(demand) && !said.contains("${point_arn"), "{said}");
    assert!(said.contains("--db-snapshot-identifier \"${COMPUTED_LOWER_STEPS_POINT_ARN:?}\""));
    plan.steps[3].with["snapshot"] = json!("{{not steps.point.usable}}");
    assert!(book(&plan).unwrap().contains("\"${COMPUTED_NOT_STEPS_POINT_USABLE:?}\""));
    plan.steps[3].with["snapshot"] = json!("{{concat steps.point.arn \"-x\"}}");
    assert!(book(&plan).unwrap().contains("${POINT_ARN:?}"));
}

#[test]
fn what_is_noted_down_before_the_disaster_is_printed_for_the_shell_of_the_recovery() {
    let scenario = "redrill: 1\nname: kept\ntitle: Kept\nowner: me\ndisaster: { kind: region_loss, lost: [primary] }\n\
        sites:\n  primary: { account: \"111111111111\", region: eu-west-1 }\n  dr: { account: \"111111111111\", region: eu-west-3 }\n\
        objectives: {}\ndata: { class: internal }\nguard: { write: [dr] }\n\
        modes: { drill: {}, recovery: {} }\nsteps:\n  \
        - { id: config, phase: prepare, at: primary, uses: rds.capture_config, with: { instance: orders } }\n  \
        - { id: restore, at: dr, uses: rds.restore_snapshot, with: { snapshot: s, class: db.r6g.large, parameter_group: \"{{steps.config.parameter_group}}\" } }\n";
    let registry = crate::providers::registry();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.yaml");
    std::fs::write(&path, scenario).unwrap();
    let loaded = crate::scenario::load(&path, &registry);
    let scenario = loaded.scenario.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    let options =
        crate::plan::Options { mode: crate::plan::RunMode::Recovery, ..Default::default() };
    let plan = crate::plan::compile(scenario, loaded.source.digest(), &registry, options).unwrap();
    let book = runbook(&plan, &BTreeMap::new(), &registry).unwrap();
    let line = "```sh\necho \"CONFIG_PARAMETER_GROUP='${CONFIG_PARAMETER_GROUP:-}'\"\n```";
    assert!(book.contains(line), "{book}");
}

#[test]
fn what_to_do_about_a_step_that_failed_stands_beside_why() {
    let mut sample = samples::passed();
    let ends = sample.tape.records.iter_mut().filter_map(|record| match &mut record.event {
        Event::StepFinished { result, .. } => Some(result),
        _ => None,
    });
    let last = ends.last().unwrap();
    last.outcome = Outcome::Inconclusive;
    let failure = StepError::broken("no route to the instance");
    let failure = failure.help("redrill preflight orders-db.yaml").into_failure();
    last.failure = Some(failure);
    let report = sample.report();
    let told = "What to do: redrill preflight orders-db.yaml.";
    assert!(html(&report).contains(told) && markdown(&report).contains(told));
    assert!(json(&report).contains("\"help\": \"redrill preflight orders-db.yaml\""));
}

#[test]
fn regression_junit_holds_nothing_that_xml_does_not_allow() {
    let mut report = samples::failed().report();
    report.checks[2].check.observed = "\u{ffff}\u{fffe}\u{202e}\u{1b}[2K".to_owned();
    report.checks[2].check.outcome = Outcome::Failed;
    let xml = junit(&report);
    assert!(xml.contains("observed \\u{ffff}\\u{fffe}\\u{202e}\\u{1b}[2K"), "{xml}");
    assert!(holds_nothing_hidden(&xml), "{xml:?}");
}

fn holds_nothing_hidden(text: &str) -> bool {
    !text.chars().any(|c| crate::visible::is_hidden(c) && !['\n', '\t'].contains(&c))
}

#[test]
fn regression_people_and_addresses_are_written_as_they_are_known() {
    let mut report = samples::passed().report();
    let step = report.timeline.steps.iter_mut().find(|step| step.id.as_str() == "approve").unwrap();
    step.why = Some("root rejected it: wrong region".to_owned());
    report.approvals[0].approval.as_mut().unwrap().by = "root".to_owned();
    for page in [html(&report), markdown(&report)] {
        assert!(page.contains(" root rejected it: wrong region."), "{page}");
    }
    for (text, sentence) in [
        ("root@example.jp rejected it", "root@example.jp rejected it."),
        (
            "arn:aws:iam::111111111111:role/ops rejected it",
            "arn:aws:iam::111111111111:role/ops rejected it.",
        ),
        ("max_connections: it was 100", "max_connections: it was 100."),
        ("nobody answered.", "Nobody answered."),
        ("note: it is late", "Note: it is late."),
    ] {
        assert_eq!(super::view::sentence(text), sentence);
    }
}

#[test]
fn regression_one_thing_is_counted_as_one() {
    let mut report = samples::passed().report();
    report.run.resumed = 1;
    report.exit.left_behind = 1;
    report.timeline.steps.iter_mut().flat_map(|s| &mut s.waits).for_each(|wait| wait.polls = 1);
    let (page, text) = (html(&report), markdown(&report));
    assert!(page.contains("resumed 1 time<") && text.contains("resumed 1 time\n"), "{text}");
    assert!(text.contains("**1 resource**"), "{text}");
    assert!(page.contains(", 1 look.") && text.contains(", 1 look."), "{text}");
    report.timeline.steps.truncate(1);
    assert!(html(&report).contains("Timeline of 1 step;"));
}

#[test]
fn regression_what_is_pasted_from_a_runbook_is_what_is_read() {
    let mut plan = recovery_plan();
    plan.title = "Orders\u{1b}[2K\r\u{202e}".to_owned();
    plan.about = Some("For\u{2066} people".to_owned());
    plan.steps[3].title = "Restore\u{1b}[201~ it".to_owned();
    plan.steps[3].with["snapshot"] = json!("snap\u{1b}[201~\rrm -r x\u{202e}");
    let book = runbook(&plan, &BTreeMap::new(), &samples::registry()).unwrap();
    assert!(holds_nothing_hidden(&book), "{book:?}");
    assert!(book.contains("# Runbook: Orders\\u{1b}\\[2K \\u{202e}\n"), "{book}");
    assert!(book.contains("For\\u{2066} people"), "{book}");
    let word = "'snap'\"$(printf '\\033')\"'[201~'\"$(printf '\\015')\"'rm -r x'\"$(printf '\\342\\200\\256')\"''";
    assert!(book.contains(word), "{book}");
}
