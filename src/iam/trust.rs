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
