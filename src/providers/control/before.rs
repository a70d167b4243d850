//! What can be looked at before the day of a drill: whether a signature could count.

use crate::action::{Given, Probe, ProbeVerdict, StepContext};
use crate::outside::OutsideError;

/// Looks at what verifies signatures. Nobody is asked, and neither is AWS.
pub(super) fn preflight(context: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = Vec::new();
    if let Some(file) = given.text("signed_by") {
        probes.push(signers(context, given, file));
        let help = "install OpenSSH where the drill is run: it verifies the signatures";
        probes.push(Probe::of_program(&*context.outside, "ssh-keygen", None, help));
    } else if given.comes_later("signed_by") {
        probes.push(Probe::not_before("file of allowed signers", "an earlier step tells it"));
    }
    probes.push(Probe::not_before("the approval", "a person is asked on the day only"));
    probes
}

fn signers(context: &StepContext, given: &Given, file: &str) -> Probe {
    let verdict = match context.outside.signers(file) {
        Ok(1) => ProbeVerdict::works("it can be read, and has one line"),
        Ok(lines) => ProbeVerdict::works(format!("it can be read, and has {lines} lines")),
        Err(OutsideError::NotRehearsed(_)) => {
            ProbeVerdict::NotBefore("a rehearsal verifies no signature".to_owned())
        }
        Err(error) => {
            let who = match given.has("identified_by") {
                true => "only those of identified_by could answer",
                false => "nobody could answer",
            };
            let help = "write a line for each person who may sign (man ssh-keygen, ALLOWED SIGNERS), or correct signed_by; look from the \
                folder and as the user of the drill";
            ProbeVerdict::fails(format!("{error}: {who}"), help)
        }
    };
    Probe::new(format!("file of allowed signers {file}"), verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StepId;
    use crate::outside::fake::{FakeOutside, context};
    use crate::outside::real::RealOutside;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn given(with: Value) -> Given {
        Given::new("orders", StepId::new("decide"), None, with)
    }

    /// What the look at the file says; why nobody could sign, where it would fail.
    fn look(context: &StepContext, with: Value) -> (String, Option<String>) {
        let probes = preflight(context, &given(with));
        assert_eq!(probes.last().map(|last| last.what.as_str()), Some("the approval"));
        assert!(probes.iter().any(|probe| probe.what == "program ssh-keygen"), "{probes:?}");
        let first = probes.first().unwrap();
        match &first.verdict {
            ProbeVerdict::Fails { why, .. } => (first.what.clone(), Some(why.clone())),
            ProbeVerdict::Works(_) => (first.what.clone(), None),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn regression_signers_who_are_not_there_are_missed_before_the_day() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("approvers");
        let path = file.to_str().unwrap().to_owned();
        let (mut context, ..) = context(FakeOutside::default());
        context.outside = Arc::new(RealOutside::new("unused"));
        let look = |with: Value| look(&context, with).1.map(|why| why.replace(&path, "approvers"));
        let by_key = || json!({ "ask": "Go on?", "signed_by": &path });
        let missing = look(by_key()).unwrap();
        assert!(missing.starts_with("approvers: No such file"), "{missing}");
        assert!(missing.ends_with(": nobody could answer"), "{missing}");
        std::fs::write(&file, "# nobody yet\n\n").unwrap();
        let empty = "approvers: nobody stands in it: nobody could answer".to_owned();
        assert_eq!(look(by_key()), Some(empty));
        let by_both = json!({ "ask": "Go on?", "signed_by": &path, "identified_by": {} });
        let half = look(by_both).unwrap();
        assert!(half.ends_with(": only those of identified_by could answer"), "{half}");
        std::fs::write(&file, "anna@example.com ssh-ed25519 AAAA\n").unwrap();
        assert_eq!(look(by_key()), None);
    }

    #[test]
    fn a_rehearsal_looks_at_no_signers_of_this_machine() {
        let (context, ..) = context(FakeOutside::default());
        let signed = preflight(&context, &given(json!({ "ask": "Go on?", "signed_by": "x" })));
        assert_eq!(signed.len(), 3);
        let later = json!({ "ask": "Go on?", "signed_by": Given::later_mark() });
        let later = preflight(&context, &given(later));
        assert_eq!(later.len(), 2);
        let plain = preflight(&context, &given(json!({ "ask": "Go on?" })));
        assert_eq!(plain.len(), 1);
        for probe in signed.iter().chain(&later).chain(&plain) {
            assert!(matches!(probe.verdict, ProbeVerdict::NotBefore(_)), "{probe:?}");
        }
    }
}
