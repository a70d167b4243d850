//! What steps are given: values of steps that were skipped, and secrets that protect nothing.

use crate::program::Program;
use serde_json::Value;

const ESTATE: &str = r#"
estate: 1
now: 2026-11-22T10:00:00Z
accounts: { "222222222222": {} }
places: [{ account: "222222222222", region: ap-northeast-3 }]
answers:
  environment: { TOKEN: "ab", LONGER: "abcdef" }
  commands: { ask: { stdout: "5433" }, told: { status: 0 }, careless: { status: 0 } }
"#;

fn rehearsed(steps: &str) -> (i32, Value) {
    let program = Program::new();
    let scenario = format!(
        "redrill: 1\nname: values\ntitle: Values\nowner: tests\ndisaster: {{ kind: corruption }}\n\
         objectives: {{ rto: {{ target: 1h, from: declared }} }}\n\
         sites: {{ dr: {{ account: \"222222222222\", region: ap-northeast-3 }} }}\n\
         inputs: {{ deep: {{ type: bool, default: false }} }}\nsteps:\n{steps}"
    );
    program.write("values.yaml", scenario);
    program.write("estate.yaml", ESTATE);
    let fixed = ["run", "values.yaml", "--sandbox", "--estate", "estate.yaml"];
    let ran = program.run(&[&fixed[..], &["--format", "json", "--quiet"]].concat());
    assert!(ran.stdout.starts_with('{'), "{}", ran.stderr);
    (ran.code, ran.json()["runs"][0]["report"].clone())
}

fn outcomes(report: &Value) -> Vec<String> {
    let steps = report["timeline"]["steps"].as_array().unwrap().iter();
    let shown = |text: &Value| text.as_str().unwrap().to_owned();
    steps.map(|step| format!("{} {}", shown(&step["id"]), shown(&step["outcome"]))).collect()
}

#[test]
fn a_default_stands_for_the_value_of_a_skipped_step_and_without_one_the_step_is_skipped_too() {
    let steps = |port: &str| {
        format!(
            "  - {{ id: ask, uses: exec.run, required: false, when: '{{{{inputs.deep}}}}', with: {{ argv: [ask], effect: none }} }}\n  \
             - {{ id: told, uses: exec.run, phase: verify, gate: acceptance, with: {{ argv: [tell, '{port}'], effect: none }} }}\n"
        )
    };
    let (code, report) = rehearsed(&steps("{{default steps.ask.stdout \"5432\"}}"));
    assert_eq!(outcomes(&report), ["ask skipped", "told passed"]);
    assert_eq!(code, 0);
    let (code, report) = rehearsed(&steps("{{steps.ask.stdout}}"));
    assert_eq!(outcomes(&report), ["ask skipped", "told skipped"]);
    assert_eq!(code, 2);
}

#[test]
fn a_secret_that_is_too_short_to_be_concealed_is_a_finding() {
    let steps = |variable: &str| {
        format!(
            "  - {{ id: careless, uses: exec.run, phase: verify, gate: acceptance, with: {{ argv: [tell], effect: none, env: {{ T: {{ from_env: {variable} }} }} }} }}\n"
        )
    };
    let found = |variable: &str| {
        let (code, report) = rehearsed(&steps(variable));
        assert_eq!(code, 0, "it decides nothing");
        let findings = report["findings"].as_array().unwrap().iter();
        findings.map(|found| found["finding"]["code"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(found("TOKEN"), ["secrets.too_short"]);
    assert_eq!(found("LONGER"), [""; 0]);
}
