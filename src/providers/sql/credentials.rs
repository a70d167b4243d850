use crate::action::{StepContext, StepError};
use crate::aws::SiteSession;
use crate::client;
use crate::ids::SiteName;
use crate::limits;
use crate::outside::{Secret, SecretFrom};
use aws_sdk_rds::auth_token::{AuthTokenGenerator, Config};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a database's password comes from: exactly one of `secret`, `password_from_env`, `password_file` and `iam`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    { "required": ["secret"] },
    { "required": ["password_from_env"] },
    { "required": ["password_file"] },
    { "required": ["iam"] }
]))]
pub struct Credentials {
    /// Name or ARN of a secret in AWS Secrets Manager: JSON with `username` and `password`, as RDS writes it, or the
    /// password as plain text. Its host is not used: that would be production's.
    #[serde(default)]
    pub secret: Option<String>,
    /// The site whose Secrets Manager is asked; the step's own when left out. It must not be a lost one.
    #[serde(default)]
    #[schemars(extend("format" = "redrill-site"))]
    pub at: Option<SiteName>,
    /// The environment variable that holds the password.
    #[serde(default)]
    #[schemars(extend("format" = SecretFrom::VARIABLE))]
    pub password_from_env: Option<String>,
    /// The file that holds the password and nothing else; a line break at its end is dropped. A regular file: a pipe can be read only
    /// once, and a step that is tried again reads it anew.
    #[serde(default)]
    #[schemars(extend("format" = SecretFrom::FILE))]
    pub password_file: Option<String>,
    /// `true`: log in with a token in place of a password. It is signed on this machine with the credentials of the site
    /// (nothing is sent to AWS), for the endpoint itself and not for a tunnel, and may be used for 15 minutes. The user must
    /// be one for IAM authentication (PostgreSQL: granted `rds_iam`), the instance must have it switched on, and the
    /// connection must be encrypted.
    // https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
    #[serde(default)]
    pub iam: bool,
    /// The user.
    #[serde(default)]
    pub user: Option<String>,
}

/// Who logs in.
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: Secret,
}

impl Credentials {
    /// Fetches the password, or makes a token for an endpoint. `user` is the one that the step names beside the credentials.
    pub(super) async fn fetch(
        &self,
        context: &StepContext,
        user: Option<&str>,
        endpoint: (&str, u16),
    ) -> Result<User, StepError> {
        let mut named = user.or(self.user.as_deref()).map(str::to_owned);
        let from = (&self.secret, &self.password_from_env, &self.password_file, self.iam);
        let password = match from {
            (Some(secret), None, None, false) => {
                let text = self.read_secret(context, secret).await?;
                context.outside.secrets().learn(&Secret::new(&text));
                let (in_secret, password) = parse_secret(&text, secret)?;
                named = named.or(in_secret);
                password
            }
            (None, Some(name), None, false) => context.outside.environment(name)?,
            (None, None, Some(path), false) => {
                let content = context.outside.file(path, limits::CREDENTIAL_BYTES)?;
                let text = String::from_utf8(content)
                    .map_err(|_| StepError::broken(format!("{path} is not text")))?;
                Secret::new(text.trim_end_matches(['\n', '\r']))
            }
            (None, None, None, true) => {
                let user = named.as_deref().ok_or_else(nobody)?;
                token(&self.session(context)?, user, endpoint).await?
            }
            _ => {
                let text = "credentials: give exactly one of secret, password_from_env, password_file and iam";
                return Err(StepError::broken(text));
            }
        };
        context.outside.secrets().learn(&password);
        Ok(User { name: named.ok_or_else(nobody)?, password })
    }

    /// Where the password comes from, in words that may be written down.
    pub(super) fn source(&self) -> String {
        let at = self.at.as_ref().map(|site| format!(" at {site}")).unwrap_or_default();
        match (&self.secret, &self.password_from_env, &self.password_file) {
            (Some(secret), ..) => format!("the secret {secret}{at}"),
            (_, Some(name), _) => format!("the environment variable {name}"),
            (.., Some(path)) => format!("the file {path}"),
            _ => format!("a token of IAM{at}"),
        }
    }

    fn session(&self, context: &StepContext) -> Result<SiteSession, StepError> {
        match &self.at {
            Some(site) => context.site_named(site),
            None => context.site(),
        }
    }

    async fn read_secret(&self, context: &StepContext, name: &str) -> Result<String, StepError> {
        let session = self.session(context)?;
        let client = client!(session, aws_sdk_secretsmanager);
        let send = || client.get_secret_value().secret_id(name).send();
        let answer = context.call("secretsmanager:GetSecretValue", send).await?;
        answer.secret_string.ok_or_else(|| {
            StepError::broken(format!("the secret {name} is binary; text or JSON is needed"))
        })
    }
}

fn nobody() -> StepError {
    StepError::broken("there is no user to log in with: add user: to the credentials")
}

/// A token is signed here, so that no call tells the guard: what is lost is looked at by hand.
async fn token(
    session: &SiteSession,
    user: &str,
    (host, port): (&str, u16),
) -> Result<Secret, StepError> {
    let site = &session.place().site;
    if session.is_lost() {
        let text = format!("the site {site} is lost: a token of it proves nothing");
        return Err(StepError::broken(text));
    }
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        let text = format!("a token is for a host name of RDS, not for {host:?}");
        return Err(StepError::broken(text));
    }
    let made = async {
        let config = Config::builder().hostname(host).port(port.into()).username(user).build()?;
        AuthTokenGenerator::new(config).auth_token(session.config()).await
    };
    let token = made.await.map_err(|why| {
        StepError::denied(format!("no token could be signed with the credentials of {site}: {why}"))
    })?;
    Ok(Secret::new(token.as_str()))
}

/// JSON as RDS writes it (`{"username": …, "password": …, …}`), or the password alone. The text must not get into errors.
fn parse_secret(text: &str, name: &str) -> Result<(Option<String>, Secret), StepError> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        return Ok((None, Secret::new(text)));
    };
    let field = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let password = field("password").ok_or_else(|| {
        StepError::broken(format!("the secret {name} is JSON without the text field password"))
    })?;
    Ok((field("username"), Secret::new(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_in_both_forms() {
        let json = r#"{"username":"ro","password":"hunter2","host":"prod","port":5432}"#;
        let (user, password) = parse_secret(json, "s").unwrap();
        assert_eq!((user.as_deref(), password.reveal()), (Some("ro"), "hunter2"));
        let (user, password) = parse_secret("hunter2", "s").unwrap();
        assert_eq!((user, password.reveal()), (None, "hunter2"));
    }

    #[test]
    fn an_unusable_secret_is_not_shown() {
        let error = parse_secret(r#"{"pass":"hunter2"}"#, "orders/ro").unwrap_err();
        assert!(error.to_string().contains("orders/ro"));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
