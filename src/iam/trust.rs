use crate::error::{Error, Result};
use crate::visible::is_hidden;
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
            Self::Principal(principal) if is_group(principal) => Some((
                format!("{principal:?} is a group, which IAM takes in no trust policy"),
                "name a role or a user: arn:aws:iam::333333333333:role/NAME",
            )),
            Self::Principal(principal) if !is_of_one_account(principal) => Some((
                format!("{principal:?} is neither an ARN of an account nor the number of one"),
                "write arn:aws:iam::333333333333:role/NAME, or the twelve digits of the account",
            )),
            Self::Irsa { provider, .. } if !is_provider(provider) => Some((
                format!("{provider:?} is no OIDC provider"),
                "write --oidc-provider oidc.eks.REGION.amazonaws.com/id/ID, as `aws eks describe-cluster` tells it, behind https://",
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
    if !principal.starts_with("arn:") {
        return is_account(principal);
    }
    let parts: Vec<&str> = principal.splitn(6, ':').collect();
    let [_, _, service, "", account, resource] = parts.as_slice() else { return false };
    let is_one = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '*' | '?'))
    };
    let is_identity = match (*service, resource.split_once('/')) {
        ("iam", None) => *resource == "root",
        ("iam", Some(("user" | "role", name)))
        | ("sts", Some(("assumed-role" | "federated-user", name))) => is_one(name),
        _ => false,
    };
    is_account(account) && is_identity
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())
}

fn is_group(principal: &str) -> bool {
    principal.splitn(6, ':').nth(5).is_some_and(|resource| resource.starts_with("group/"))
}

/// A host and a path, as a provider is named in an ARN: neither a port nor another scheme than HTTPS can be (CreateOpenIDConnectProvider,
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html>).
fn is_provider(text: &str) -> bool {
    let text = without_scheme(text);
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let in_path = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    host.contains('.') && host.split('.').all(is_label) && path.chars().all(in_path)
}

fn without_scheme(provider: &str) -> &str {
    provider.strip_prefix("https://").unwrap_or(provider).trim_end_matches('/')
}

fn is_one_service_account(subject: &str) -> bool {
    let names = subject.strip_prefix("system:serviceaccount:").and_then(|s| s.split_once(':'));
    names.is_some_and(|(namespace, name)| is_name(namespace) && is_name(name))
}

/// What comes behind the repository may hold `*`, but no variable of IAM's (`${…}`): it would stand for something else.
fn is_of_one_repository(subject: &str) -> bool {
    let parts = subject.strip_prefix("repo:").and_then(|rest| rest.split_once(':'));
    let Some((repository, what)) = parts else { return false };
    let names = repository.split_once('/');
    names.is_some_and(|(owner, name)| is_name(owner) && is_name(name))
        && !what.is_empty()
        && !what.contains("${")
        && !what.contains(is_hidden)
}

/// A name that stands for one thing. GitHub puts the number behind a name with `@`.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c))
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
    let provider = without_scheme(provider);
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
    fn regression_a_principal_a_provider_and_a_repository_are_what_iam_and_github_know() {
        let principal = |text: &str| Trust::Principal(text.to_owned()).checked();
        for one in [
            "iam::333333333333:root",
            "iam::333333333333:user/drills/ann",
            "sts::333333333333:assumed-role/a/b",
        ] {
            assert!(principal(&format!("arn:aws:{one}")).is_ok(), "{one}");
        }
        for none in [
            "iam::333333333333:role/",
            "s3::333333333333:role/a",
            "iam::333333333333:policy/a",
            "iam:x:333333333333:root",
            "iam::333333333333:role/a b",
        ] {
            assert!(principal(&format!("arn:aws:{none}")).is_err(), "{none}");
        }
        let group = principal("arn:aws:iam::333333333333:group/g").unwrap_err().to_string();
        assert!(group.contains("is a group, which IAM takes in no trust policy"), "{group}");
        let pod = |provider: &str| {
            let subject = "system:serviceaccount:drills:redrill".to_owned();
            Trust::Irsa { provider: provider.to_owned(), subject }.checked()
        };
        for one in ["oidc.example.com/id/1", "https://oidc.example.com/id/1/", "oidc.example.com"] {
            assert!(pod(one).is_ok(), "{one}");
        }
        for none in [
            "*",
            "",
            "http://oidc.example.com/id/1",
            "oidc.example.com/id 1",
            "oidc.example.com:8443/id/1",
            "https://https://oidc.example.com",
            "oidc",
            "oidc..com",
            "oidc.example.com/*",
        ] {
            let error = pod(none).unwrap_err();
            assert!(error.to_string().contains("is no OIDC provider"), "{none}: {error}");
        }
        let workflow = |subject: &str| Trust::GitHub { subject: subject.to_owned() }.checked();
        assert!(workflow("repo:example@1/drills.x@2:environment:the day").is_ok());
        for none in ["a/b/c:*", "a/${x}:*", "a/b:${aws:username}", "a/b:", "a/b c:*", "a/b:x\ny"] {
            assert!(workflow(&format!("repo:{none}")).is_err(), "{none}");
        }
    }

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
