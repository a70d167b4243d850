use super::*;
use crate::scenario::testing::{GOOD, registry};
use proptest::prelude::*;

mod certificates;
mod effects;
mod references;
mod shape;
mod steps;

fn check(text: &str) -> Vec<Diagnostic> {
    load_text(Source::new("x.yaml", text), &registry()).diagnostics
}

/// What is found when one part of the good scenario is replaced: code, marked text, message and help.
fn changed(from: &str, to: &str) -> Vec<(&'static str, String, String)> {
    assert!(GOOD.contains(from), "{from:?} is not in the scenario");
    let text = GOOD.replacen(from, to, 1);
    check(&text)
        .into_iter()
        .map(|d| {
            let words = [Some(d.message), d.expected, d.help].into_iter().flatten();
            (d.code, text[d.span].to_owned(), words.collect::<Vec<_>>().join(" | "))
        })
        .collect()
}

/// Exactly one thing is found, at this place and with these words.
fn one(from: &str, to: &str, code: &str, marked: &str, words: &str) {
    let found = changed(from, to);
    let [(found_code, place, said)] = found.as_slice() else { panic!("{to}: {found:#?}") };
    assert_eq!((*found_code, place.as_str()), (code, marked), "{to}: {said}");
    assert!(said.contains(words), "{to}: {said}");
}

#[test]
fn a_good_scenario_has_no_diagnostics_and_can_be_read() {
    let loaded = load_text(Source::new("x.yaml", GOOD), &registry());
    assert_eq!(loaded.render(false), "");
    assert_eq!(loaded.scenario.unwrap().steps.len(), 6);
}

#[test]
fn every_error_is_reported_in_one_go_and_by_place() {
    let text = GOOD
        .replacen("tier: 1", "teir: 1", 1)
        .replacen("uses: db.find", "uses: db.fnd", 1)
        .replacen("{{vars.class}}", "{{vars.clas}}", 1)
        .replacen("needs: [ask]", "needs: [aks]", 1)
        .replacen("timeout: 3h", "timeout: soon", 1);
    let found = check(&text);
    let codes: Vec<_> = found.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["RD003", "RD202", "RD007", "RD206", "RD112"]);
    assert!(found.is_sorted_by_key(|d| (d.line, d.column)));
}

#[test]
fn places_inside_folded_and_quoted_text_are_exact() {
    let text = GOOD.replacen(
        "question: \"Restore {{steps.point.arn}} in {{sites.dr.region}}?\" }",
        "question: \"a \\\"b\\\" \\u00e4 {{vars.class}}\n        and {{vars.nope}}\" }",
        1,
    );
    let found = check(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(&text[found[0].span.clone()], "vars.nope");
    let text = GOOD.replacen(
        "watermark: select max(committed_at) from heartbeat",
        "watermark: >\n        select {{vars.class}}\n        from {{vars.nope}}",
        1,
    );
    let found = check(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(&text[found[0].span.clone()], "vars.nope");
}

#[test]
fn a_diagnostic_is_drawn_with_line_mark_and_help() {
    let text = GOOD.replacen("tier: 1", "teir: 1", 1);
    let loaded = load_text(Source::new("orders.yaml", text), &registry());
    let drawn = loaded.render(false);
    for part in [
        "error[RD003]: unknown key teir",
        "orders.yaml:7:1",
        "teir: 1",
        "^^^^",
        "did you mean tier?",
        "1 error, 0 warnings",
    ] {
        assert!(drawn.contains(part), "{part}\n{drawn}");
    }
    let json = serde_json::to_value(&loaded.diagnostics[0]).unwrap();
    assert_eq!(
        (&json["code"], &json["line"], &json["severity"]),
        (&"RD003".into(), &7.into(), &"error".into())
    );
}

#[test]
fn regression_an_error_quotes_no_more_of_a_text_than_anybody_reads() {
    let text = GOOD.replacen("tier: 1", &format!("tier: {{{{{}}}}}", "x".repeat(50_000)), 1);
    let found = check(&text);
    assert_eq!(found[0].code, "RD010", "{}", found[0].message);
    let help = found[0].help.as_ref().unwrap();
    assert!(help.starts_with("write \"{{xx") && help.ends_with("bytes more)"), "{help}");
    assert!(help.len() < limits::DIAGNOSTIC_BYTES + 50, "{}", help.len());
}

#[test]
fn regression_the_name_of_a_file_cannot_write_over_the_terminal() {
    let text = GOOD.replacen("tier: 1", "teir: 1", 1);
    let loaded = load_text(Source::new("a\u{1b}]0;b\u{7}\n.yaml", text), &registry());
    for drawn in [loaded.render(false), loaded.diagnostics[0].to_string()] {
        assert!(drawn.contains("a\\u{1b}]0;b\\u{7}\\u{a}.yaml"), "{drawn}");
        assert!(!drawn.contains(['\u{1b}', '\u{7}']), "{drawn:?}");
    }
    let json = serde_json::to_value(&loaded.diagnostics[0]).unwrap();
    assert_eq!(json["file"], "a\u{1b}]0;b\u{7}\n.yaml", "for programs it is as it is");
}

#[test]
fn regression_a_pipe_among_scenarios_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let found = load(&pipe, &registry()).diagnostics;
    assert_eq!(found[0].code, "RD012");
    let message = &found[0].message;
    assert!(
        message.ends_with("cannot be read: it is a pipe or a device, and no file"),
        "{message}"
    );
}

/// One change to a text: characters removed at a place, and something put there.
fn mutation() -> impl Strategy<Value = (usize, usize, String)> {
    let piece = prop_oneof![
        "[ \n:{}\\[\\]\"'#|>&*!%@,a-z0-9.-]{0,12}",
        Just("{{steps.point.arn}}".to_owned()),
        Just("\"{{vars.class}}\"".to_owned()),
        Just("null".to_owned()),
        Just("\n  - ".to_owned()),
        Just("é\u{feff}".to_owned()),
    ];
    (0..GOOD.len(), 0..40usize, piece)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn no_text_makes_the_checker_panic_and_what_passes_can_be_planned(
        mutations in proptest::collection::vec(mutation(), 1..4),
    ) {
        let mut text = GOOD.to_owned();
        for (at, removed, piece) in mutations {
            let start = text.floor_char_boundary(at.min(text.len()));
            let end = text.floor_char_boundary((start + removed).min(text.len()));
            text.replace_range(start..end.max(start), &piece);
        }
        let loaded = load_text(Source::new("x.yaml", text), &registry());
        let _ = loaded.render(true);
        prop_assert_eq!(loaded.scenario.is_none(), loaded.has_errors());
        if let Some(scenario) = loaded.scenario {
            for mode in [crate::plan::RunMode::Drill, crate::plan::RunMode::Recovery] {
                let options = crate::plan::Options { mode, ..Default::default() };
                let digest = loaded.source.digest();
                if let Err(error) = crate::plan::compile(&scenario, digest, &registry(), options) {
                    // What is given on the command line is not part of the scenario.
                    prop_assert!(error.to_string().contains("RD701"), "{}\n{}", error, loaded.source.text);
                }
            }
        }
    }
}

#[test]
fn regression_positions_are_the_same_whatever_ends_the_lines() {
    let wrong = GOOD.replacen("{{vars.class}}", "{{vars.clas}}", 1);
    let plain = check(&wrong);
    let place = |found: &[Diagnostic]| {
        found.iter().map(|d| (d.code, d.line, d.column, d.length)).collect::<Vec<_>>()
    };
    assert_eq!(place(&plain).len(), 1);
    assert_eq!(place(&check(&wrong.replace('\n', "\r\n"))), place(&plain));
    let marked = format!("\u{feff}{wrong}");
    let found = check(&marked);
    assert_eq!(&marked[found[0].span.clone()], "vars.clas");
}
