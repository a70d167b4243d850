//! Approvals by AWS identity, against a moto that verifies signatures (SigV4) as AWS does.

use crate::server_iam::Enforced;
use crate::server_support::{Drills, Ended, end, poll};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SCENARIO: &str = r#"
redrill: 1
name: decided
title: A decision of somebody whom AWS knows
owner: tests
disaster: { kind: corruption }
sites: { home: { account: "123456789012", region: eu-west-3 } }
objectives: { rto: { target: 1h, authority: test, from: declared } }
steps:
  - id: decide
    uses: control.approve
    with:
      ask: "Cut over?"
      within: 10m
      second_person: true
      identified_by:
        principals:
          - arn:aws:iam::123456789012:user/approver
          - arn:aws:iam::123456789012:user/operator
          - arn:aws:sts::123456789012:assumed-role/commander/*
        region: "{{sites.home.region}}"
  - id: answers
    phase: verify
    gate: acceptance
    needs: [decide]
    uses: exec.run
    with: { argv: [sh, -c, "until test -e go; do sleep 0.1; done"], effect: none }
"#;

/// A run that waits for its answer, in a moto with an operator, an approver, a stranger, and a role.
struct Waiting {
    drills: Drills,
    moto: Enforced,
    run: Option<Child>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(mut run) = self.run.take() {
            let _gone = run.kill();
            let _reaped = run.wait();
        }
    }
}

impl Waiting {
    fn start() -> Self {
        let drills = Drills::new();
        std::fs::write(drills.path("decided.yaml"), SCENARIO).unwrap();
        let statement = |effect: Value| json!({ "Version": "2012-10-17", "Statement": [effect] });
        let assume = json!({ "Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": "*" });
        let names = ["operator", "approver", "stranger"];
        let users: BTreeMap<String, Value> =
            names.map(|name| (name.to_owned(), statement(assume.clone()))).into();
        let trust = statement(json!({ "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": { "AWS": "arn:aws:iam::123456789012:user/approver" } }));
        let roles = json!({ "commander": { "policy": statement(assume.clone()), "trust": trust } });
        let moto = Enforced::start(&drills, &users, &roles);
        let mut command = moto.program(&drills, "operator");
        command.arg("run").arg(drills.path("decided.yaml"));
        command.args(["--quiet", "--format", "json", "--endpoint-url", &moto.address]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = Some(command.spawn().unwrap());
        let waiting = Self { drills, moto, run };
        poll("the question is open", Duration::from_secs(60), || {
            let runs = std::fs::read_dir(waiting.drills.path("runs")).ok()?;
            let mut runs = runs.filter_map(|run| Some(run.ok()?.path()));
            runs.any(|run| run.join("approvals/decide.request.json").exists()).then_some(())
        });
        waiting
    }

    fn answer(&self, user: &str, change: impl FnOnce(&mut Command)) -> Ended {
        let mut command = self.moto.program(&self.drills, user);
        command.args(["approve", "last", "decide", "--with-aws-identity"]);
        command.args(["--endpoint-url", &self.moto.address]);
        change(&mut command);
        end(&mut command)
    }

    fn journal(&self) -> PathBuf {
        let runs = std::fs::read_dir(self.drills.path("runs")).unwrap();
        let mut journals = runs.map(|run| run.unwrap().path().join("journal.jsonl"));
        journals.find(|journal| journal.exists()).unwrap()
    }

    /// The journal as text, and the approval in it, once the run has ended with this code.
    fn ended(mut self, code: i32) -> (String, Value) {
        std::fs::write(self.drills.path("go"), "").unwrap();
        let output = self.run.take().unwrap().wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{told}{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let journal = self.journal();
        let run = journal.parent().unwrap();
        let journal = std::fs::read_to_string(&journal).unwrap();
        let given = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let given: Vec<Value> =
            given.filter(|record| record.to_string().contains("approval_given")).collect();
        let given = given.last().cloned();
        let answer = std::fs::read_to_string(run.join("approvals/decide.answer.json")).unwrap();
        (format!("{journal}{answer}{}", String::from_utf8_lossy(&output.stdout)), given.unwrap())
    }
}

#[test]
fn server_identity_only_another_person_who_may_answer_does_and_no_signature_stays() {
    let waiting = Waiting::start();
    let stranger = waiting.answer("stranger", |_| {});
    assert!(stranger.stderr.contains("user/stranger is none of the principals"), "{stranger:?}");
    let operator = waiting.answer("operator", |_| {});
    assert!(operator.stderr.contains("has started the run, who may not answer"), "{operator:?}");
    // A wrong secret key: signed, but not by the approver.
    let forged = waiting.answer("approver", |command| {
        command.env("AWS_SECRET_ACCESS_KEY", "forged-forged-forged-forged-forged-forge");
    });
    assert!(forged.stderr.contains("SignatureDoesNotMatch"), "{forged:?}");
    let approver = waiting.answer("approver", |_| {});
    assert_eq!(approver.code, Some(0), "{approver:?}");
    assert!(approver.stdout.contains("by arn:aws:iam::123456789012:user/approver"), "{approver:?}");
    let secret = waiting.moto.keys["approver"][1].clone();
    let (written, given) = waiting.ended(0);
    assert!(!written.contains(&secret) && !written.contains("\"signature\""), "{written}");
    let text = given.to_string();
    assert!(text.contains("\"arn\":\"arn:aws:iam::123456789012:user/approver\""), "{text}");
    assert!(text.contains("AWS STS in eu-west-3"), "{text}");
}

#[test]
fn server_identity_a_session_of_a_role_answers_and_its_token_is_not_written_down() {
    let waiting = Waiting::start();
    let [key, secret] = &waiting.moto.keys["approver"];
    let profiles = format!(
        "[profile approver]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n\
         [profile commander]\nrole_arn = arn:aws:iam::123456789012:role/commander\n\
         role_session_name = hanako\nsource_profile = approver\nregion = eu-west-3\n"
    );
    let file = waiting.drills.path("aws-config");
    std::fs::write(&file, profiles).unwrap();
    let sts = waiting.moto.address.clone();
    let answer = waiting.answer("approver", |command| {
        // Keys in the environment would come first.
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command.env("AWS_CONFIG_FILE", &file).env("AWS_PROFILE", "commander");
        command.env("AWS_ENDPOINT_URL_STS", sts);
    });
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let (written, given) = waiting.ended(0);
    let text = given.to_string();
    assert!(text.contains("assumed-role/commander/hanako"), "{text}");
    assert!(!written.contains("session_token"), "{written}");
}

#[test]
fn server_identity_regression_who_has_approved_does_not_go_on_with_the_run() {
    let mut waiting = Waiting::start();
    let approver = waiting.answer("approver", |_| {});
    assert_eq!(approver.code, Some(0), "{approver:?}");
    let journal = waiting.journal();
    let is_answered = r#""type":"approval_given","step":"decide""#;
    poll("the question is answered", Duration::from_secs(60), || {
        std::fs::read_to_string(&journal).unwrap().contains(is_answered).then_some(())
    });
    let mut run = waiting.run.take().unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    std::fs::write(waiting.drills.path("go"), "").unwrap();
    // Both are the same user of the system: only AWS knows that they are two.
    let resumed = |user: &str| {
        let mut command = waiting.moto.program(&waiting.drills, user);
        command.args(["resume", "last", "--endpoint-url", &waiting.moto.address]);
        end(&mut command)
    };
    let refused = resumed("approver");
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.stderr.contains("has approved decide as the second person"), "{refused:?}");
    let unknown = {
        let mut command = waiting.moto.program(&waiting.drills, "operator");
        command.env("AWS_SECRET_ACCESS_KEY", "forged-forged-forged-forged-forged-forge");
        command.args(["resume", "last", "--endpoint-url", &waiting.moto.address]);
        end(&mut command)
    };
    assert_eq!(unknown.code, Some(4), "{unknown:?}");
    assert!(unknown.stderr.contains("whether that is who goes on now is not known"), "{unknown:?}");
    let operator = resumed("operator");
    assert_eq!(operator.code, Some(0), "{operator:?}");
}
