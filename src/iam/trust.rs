use crate::error::{Error, Result};
use serde_json::{Value, json};

/// Who may become the identity that runs drills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A user or role of AWS, by its ARN, or a whole account by its number.
    Principal(String),
    /// A service account of a Kubernetes cluster on EKS
    /// (<https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html>).
    Irsa {
        /// The cluster's OIDC provider, without `https://`: `oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE`.
        provider: String,
        /// `system:serviceaccount:NAMESPACE:NAME`
        subject: String,
    },
    /// A workflow of GitHub Actions
    /// (<https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws>).
    GitHub {
        /// `repo:OWNER/NAME:ref:refs/heads/main`; `*` stands for anything in it.
        subject: String,
    },
}

/// GitHub's OIDC provider.
const GITHUB: &str = "token.actions.githubusercontent.com";

impl Trust {
    /// The same, if it names whom it lets in: one account, one service account, one repository.
    ///
    /// # Errors
    /// It lets in more than anybody means, or nobody.
    pub fn checked(self) -> Result<Self> {
        let problem = match &self {
            Self::Principal(principal) if !is_of_one_account(principal) => Some((
                format!("{principal:?} is neither an ARN of an account nor the number of one"),
                "write arn:aws:iam::333333333333:role/NAME, or the twelve digits of the account",
            )),
            Self::Irsa { subject, .. } if !is_one_service_account(subject) => Some((
                format!("{subject:?} is no service account"),
                "write --subject system:serviceaccount:NAMESPACE:NAME, without * in it",
            )),
            Self::GitHub { subject } if !is_of_one_repository(subject) => Some((
                format!("{subject:?} is no repository"),
                "write --subject repo:OWNER/NAME:ref:refs/heads/main; * may stand only behind OWNER/NAME:",
            )),
            _ => None,
        };
        match problem {
            None => Ok(self),
            Some((what, help)) => Err(Error::bad_input(what).help(help)),
        }
    }

    /// The trust policy of a role in an account, which holds the OIDC provider where there is one.
    ///
    /// # Errors
    /// An OIDC provider without an account: IAM takes no `*` for it.
    pub fn policy(&self, partition: &str, account: Option<&str>) -> Result<Value> {
        let (provider, subject) = match self {
            Self::Principal(principal) => return Ok(assumed_by(partition, principal)),
            Self::Irsa { provider, subject } => (provider.as_str(), subject),
            Self::GitHub { subject } => (GITHUB, subject),
        };
        let account = account.ok_or_else(|| {
            Error::bad_input("nothing says in which account the OIDC provider of the runner is")
                .help("name the runner's role with --runner ARN, or add account: to the sites")
        })?;
        Ok(web_identity(partition, account, provider, subject))
    }
}

fn is_of_one_account(principal: &str) -> bool {
    let account = match principal.starts_with("arn:") {
        true => principal.split(':').nth(4).unwrap_or_default(),
        false => principal,
    };
    let is_number = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
    is_number && !principal.contains(['*', '?'])
}

fn is_one_service_account(subject: &str) -> bool {
    let names = subject.strip_prefix("system:serviceaccount:").and_then(|s| s.split_once(':'));
    names.is_some_and(|(namespace, name)| is_name(namespace) && is_name(name))
}

fn is_of_one_repository(subject: &str) -> bool {
    let parts = subject.strip_prefix("repo:").and_then(|rest| rest.split_once(':'));
    let names = parts.and_then(|(repository, _)| repository.split_once('/'));
    names.is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

/// A name that stands for one thing.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['*', '?', ':'])
}

/// Only sessions with the names that this program gives are let in, so that CloudTrail tells them apart.
fn assumed_by(partition: &str, principal: &str) -> Value {
    let arn = match principal.starts_with("arn:") {
        true => principal.to_owned(),
        false => format!("arn:{partition}:iam::{principal}:root"),
    };
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "RedrillRunner",
            "Effect": "Allow",
            "Principal": { "AWS": arn },
            "Action": "sts:AssumeRole",
            "Condition": { "StringLike": { "sts:RoleSessionName": "redrill-*" } },
        }],
    })
}

fn web_identity(partition: &str, account: &str, provider: &str, subject: &str) -> Value {
    let provider = provider.trim_start_matches("https://").trim_end_matches('/');
    let (audience_key, subject_key) = (format!("{provider}:aud"), format!("{provider}:sub"));
    let mut condition = json!({ "StringEquals": { audience_key: "sts.amazonaws.com" } });
    let operator = if subject.contains(['*', '?']) { "StringLike" } else { "StringEquals" };
    condition[operator][subject_key] = Value::from(subject);
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "RedrillRunner",
            "Effect": "Allow",
            "Principal": {
                "Federated": format!("arn:{partition}:iam::{account}:oidc-provider/{provider}"),
            },
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": condition,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_who_is_let_in_is_named() {
        let principal = |text: &str| Trust::Principal(text.to_owned()).checked().is_ok();
        assert!(principal("333333333333"));
        assert!(principal("arn:aws-cn:iam::333333333333:role/drills/runner"));
        for wide in ["12", "*", "3333333333333", "arn:aws:iam::*:root", "arn:aws:iam::12:root", ""]
        {
            assert!(!principal(wide), "{wide}");
        }
        let pod = |subject: &str| {
            let (provider, subject) = ("oidc.example.com/id/1".to_owned(), subject.to_owned());
            Trust::Irsa { provider, subject }.checked().is_ok()
        };
        assert!(pod("system:serviceaccount:drills:redrill"));
        for wide in ["*:*", "drills:*", "dr*:redrill", "drills", "drills:", ":redrill", "a:b:c"] {
            assert!(!pod(&format!("system:serviceaccount:{wide}")), "{wide}");
        }
        let workflow = |subject: &str| Trust::GitHub { subject: subject.to_owned() }.checked();
        for narrow in ["repo:example/drills:*", "repo:example/drills:ref:refs/heads/release-*"] {
            assert!(workflow(narrow).is_ok(), "{narrow}");
        }
        for wide in ["*", "repo:*", "repo:example/*", "repo:example/*:ref:refs/heads/main", "main"]
            .into_iter()
            .chain(["repo:example/drills", "repo:*/drills:*", "repo:example/dr?lls:*", "repo:/x:*"])
        {
            let error = workflow(wide).unwrap_err();
            assert!(error.help_text().unwrap().contains("repo:OWNER/NAME"), "{wide}");
        }
    }
}
