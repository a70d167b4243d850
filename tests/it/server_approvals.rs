//! Approvals that must be signed, with keys and signatures of a real OpenSSH.

use chrono::TimeDelta;
use redrill::error::Result;
use redrill::ids::{Digest, RunId, StepId};
use redrill::journal::Approval;
use redrill::outside::real::{GivenAnswer, RealOutside, ShownBy, answer_approval};
use redrill::outside::{ApprovalRequest, Outside, OutsideError};
use redrill::time::Clock;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Keys made by OpenSSH, and a file of allowed signers that names some of them.
struct Keys(tempfile::TempDir);

impl Keys {
    fn made(names: &[&str], allowed: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut signers = String::new();
        for name in names {
            let path = folder.path().join(name);
            let mut make = Command::new("ssh-keygen");
            make.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path);
            assert!(make.status().expect("ssh-keygen, of openssh-client").success());
            if allowed.contains(name) {
                let public = fs::read_to_string(path.with_extension("pub")).unwrap();
                signers.push_str(&format!("{name}@example.com {public}"));
            }
        }
        fs::write(folder.path().join("signers"), signers).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The file of allowed signers, in which `KEY` stands for the public key of a name.
    fn allow(&self, lines: &str, name: &str) {
        let public = fs::read_to_string(self.path(name).with_extension("pub")).unwrap();
        let key: Vec<&str> = public.split(' ').take(2).collect();
        fs::write(self.path("signers"), lines.replace("KEY", &key.join(" "))).unwrap();
    }
}

fn question(keys: &Keys, not: Option<&str>) -> ApprovalRequest {
    ApprovalRequest {
        run: RunId::new("orders-0001-abcdef"),
        plan: Digest::of(b"plan"),
        step: StepId::new("cut-over"),
        text: "Cut over?".to_owned(),
        deadline: Clock::system().now() + TimeDelta::seconds(3),
        told: None,
        signed_by: Some(keys.path("signers").display().to_string()),
        signed_before: None,
        identified_by: None,
        not: not.map(str::to_owned).into_iter().collect(),
        run_by: None,
        ran_as: Vec::new(),
    }
}

/// What the run gets, and what those who answer one after the other are told.
async fn answered(
    keys: &Keys,
    not: Option<&str>,
    who: &[Option<&str>],
) -> (std::result::Result<Approval, OutsideError>, Vec<Result<()>>) {
    decided(keys, not, who, true).await
}

async fn decided(
    keys: &Keys,
    not: Option<&str>,
    who: &[Option<&str>],
    approved: bool,
) -> (std::result::Result<Approval, OutsideError>, Vec<Result<()>>) {
    let folder = tempfile::tempdir().unwrap();
    let outside = RealOutside::new(folder.path());
    let request = question(keys, not);
    let answers = async {
        while !folder.path().join("approvals/cut-over.request.json").exists() {
            tokio::task::yield_now().await;
        }
        let mut told = Vec::new();
        for who in who {
            let key = who.map(|who| keys.path(who));
            let shown_by = key.as_deref().map_or(ShownBy::Name, ShownBy::Key);
            let given = GivenAnswer { approved, comment: None, by: "x", shown_by };
            told.push(answer_approval(folder.path(), &request.step, given).await.map(|_| ()));
        }
        told
    };
    tokio::join!(outside.approval(&request), answers)
}

#[tokio::test]
async fn server_openssh_a_signed_answer_counts_and_can_be_verified_again_by_anyone() {
    let keys = Keys::made(&["anna"], &["anna"]);
    let (approval, told) = answered(&keys, Some("bert"), &[Some("anna")]).await;
    assert!(told[0].is_ok(), "{told:?}");
    let approval = approval.unwrap();
    assert_eq!(approval.by, "anna@example.com");
    assert!(approval.identified_by.starts_with("SSH key SHA256:"), "{}", approval.identified_by);
    let proof = approval.proof.unwrap();
    let signature = keys.path("signature");
    fs::write(&signature, &proof.signature).unwrap();
    let verify = ["-Y", "verify", "-n", "approval@redrill", "-I", "anna@example.com", "-f"];
    let mut verify = Command::new("ssh-keygen")
        .args(verify)
        .arg(keys.path("signers"))
        .arg("-s")
        .arg(&signature)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    verify.stdin.take().unwrap().write_all(proof.statement.as_bytes()).unwrap();
    assert!(verify.wait().unwrap().success());
}

#[tokio::test]
async fn server_openssh_answers_of_strangers_and_of_the_operator_are_refused_and_silence_is_not_approval()
 {
    let keys = Keys::made(&["anna", "eve"], &["anna"]);
    let (approval, told) = answered(&keys, Some("Anna"), &[None, Some("eve"), Some("anna")]).await;
    assert_eq!(approval, Err(OutsideError::NoAnswer));
    let told: Vec<String> = told.into_iter().map(|told| told.unwrap_err().to_string()).collect();
    assert!(told[0].contains("must be signed"), "{told:?}");
    assert!(told[1].contains("none of the allowed signers"), "{told:?}");
    assert!(told[2].contains("is an operator of the run"), "{told:?}");
}

#[tokio::test]
async fn server_openssh_a_refused_answer_does_not_take_the_place_of_a_good_one() {
    let keys = Keys::made(&["anna", "eve"], &["anna"]);
    let (approval, told) = answered(&keys, None, &[Some("eve"), Some("anna")]).await;
    assert!(told[0].is_err() && told[1].is_ok(), "{told:?}");
    assert_eq!(approval.unwrap().by, "anna@example.com");
}

#[tokio::test]
async fn server_openssh_without_the_file_of_allowed_signers_nobody_can_tell() {
    let keys = Keys::made(&["anna"], &["anna"]);
    let folder = tempfile::tempdir().unwrap();
    let outside = RealOutside::new(folder.path());
    let (request, key) = (question(&keys, None), keys.path("anna"));
    let answers = async {
        while !folder.path().join("approvals/cut-over.request.json").exists() {
            tokio::task::yield_now().await;
        }
        fs::remove_file(keys.path("signers")).unwrap();
        let shown_by = ShownBy::Key(&key);
        let given = GivenAnswer { approved: true, comment: None, by: "x", shown_by };
        answer_approval(folder.path(), &request.step, given).await
    };
    let (approval, told) = tokio::join!(outside.approval(&request), answers);
    assert!(told.is_err(), "{told:?}");
    assert_eq!(approval, Err(OutsideError::NoAnswer));
}

#[tokio::test]
async fn server_openssh_regression_the_operators_key_is_his_under_whichever_name_the_file_has_first()
 {
    let keys = Keys::made(&["bert"], &[]);
    for lines in [
        "oncall,bert KEY\n",
        "oncall KEY\nbert@example.com KEY\n",
        "oncall KEY\n# the night shift\n\nbert namespaces=\"git\" KEY\n",
        "oncall KEY\nbert valid-before=\"20200101\" KEY\n",
    ] {
        keys.allow(lines, "bert");
        let (approval, told) = answered(&keys, Some("bert"), &[Some("bert")]).await;
        let told = told[0].as_ref().unwrap_err().to_string();
        assert!(
            told.contains("oncall is bert") || told.contains("oncall, bert"),
            "{lines}: {told}"
        );
        assert!(told.contains("is an operator of the run"), "{lines}: {told}");
        assert_eq!(approval, Err(OutsideError::NoAnswer), "{lines}");
    }
}

#[tokio::test]
async fn server_openssh_regression_a_pattern_names_no_second_person() {
    let keys = Keys::made(&["anna"], &[]);
    for lines in ["*@example.com KEY\n", "anna KEY\n*@example.com KEY\n"] {
        keys.allow(lines, "anna");
        let (approval, told) = answered(&keys, Some("bert"), &[Some("anna")]).await;
        let told = told[0].as_ref().unwrap_err().to_string();
        for words in ["\"*@example.com\"", "a pattern and no name", "write the person's name"] {
            assert!(told.contains(words), "{lines}: {told}");
        }
        assert_eq!(approval, Err(OutsideError::NoAnswer), "{lines}");
    }
    // Where anybody of them may answer, it is enough; the name is written down where there is one.
    let (approval, _) = answered(&keys, None, &[Some("anna")]).await;
    assert_eq!(approval.unwrap().by, "anna");
}

#[tokio::test]
async fn server_openssh_every_name_of_the_key_is_written_down() {
    let keys = Keys::made(&["anna"], &[]);
    keys.allow("anna,oncall KEY\nanna@example.com KEY\nanna namespaces=\"git\" KEY\n", "anna");
    let (approval, told) = answered(&keys, Some("bert"), &[Some("anna")]).await;
    assert!(told[0].is_ok(), "{told:?}");
    assert_eq!(approval.unwrap().by, "anna, oncall, anna@example.com");
}

#[tokio::test]
async fn server_openssh_regression_names_of_expired_lines_are_written_down_too() {
    let keys = Keys::made(&["anna"], &[]);
    keys.allow("oncall KEY\nanna valid-before=\"20200101\" KEY\n", "anna");
    let (approval, told) = answered(&keys, Some("bert"), &[Some("anna")]).await;
    assert!(told[0].is_ok(), "{told:?}");
    assert_eq!(approval.unwrap().by, "oncall, anna");
}

#[tokio::test]
async fn server_openssh_regression_a_signed_no_of_the_operator_counts() {
    let keys = Keys::made(&["bert", "eve"], &["bert"]);
    let (approval, told) = decided(&keys, Some("bert"), &[Some("eve"), Some("bert")], false).await;
    assert!(told[0].is_err(), "whom nobody has listed stops nothing: {told:?}");
    assert!(told[1].is_ok(), "{told:?}");
    let approval = approval.unwrap();
    assert_eq!((approval.approved, approval.by.as_str()), (false, "bert@example.com"));
    keys.allow("*@example.com KEY\n", "bert");
    let (approval, _) = decided(&keys, Some("bert"), &[Some("bert")], false).await;
    assert!(!approval.unwrap().approved);
}
