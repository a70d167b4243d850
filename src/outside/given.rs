use super::{Outside, OutsideError, Secret, Secrets};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Text that a scenario gives, or the name of the environment variable that holds it: the way for credentials, which
/// must not stand in a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Given {
    /// The text itself. Not secret.
    Text(String),
    /// The name of an environment variable.
    FromEnvironment(FromEnvironment),
}

/// The name of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromEnvironment {
    /// The variable, as it is named where the program runs. Its value is never written down.
    from_env: String,
}

impl Given {
    /// Text that comes from a variable.
    pub fn from_environment(name: impl Into<String>) -> Self {
        Self::FromEnvironment(FromEnvironment { from_env: name.into() })
    }

    /// The variable that holds it, when it is not given as text.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::FromEnvironment(from) => Some(&from.from_env),
        }
    }

    /// The text.
    ///
    /// # Errors
    /// When the variable is not set.
    pub fn resolve(&self, outside: &dyn Outside) -> Result<Secret, OutsideError> {
        match self {
            Self::Text(text) => Ok(Secret::new(text)),
            Self::FromEnvironment(from) => outside.environment(&from.from_env),
        }
    }
}

/// A captured text in which secrets that it repeats are replaced. Programs echo what they are given.
pub fn conceal<'s>(text: &str, secrets: impl IntoIterator<Item = &'s Secret>) -> String {
    let known = Secrets::default();
    secrets.into_iter().for_each(|secret| known.learn(secret));
    known.conceal(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_variables_are_told_apart() {
        let text: Given = serde_json::from_str("\"plain\"").unwrap();
        assert_eq!(text.variable(), None);
        assert_eq!(text, Given::Text("plain".into()));
        let from: Given = serde_json::from_str(r#"{"from_env": "TOKEN"}"#).unwrap();
        assert_eq!(from.variable(), Some("TOKEN"));
        assert_eq!(serde_json::to_string(&from).unwrap(), r#"{"from_env":"TOKEN"}"#);
        assert!(serde_json::from_str::<Given>(r#"{"from_env": "A", "or": "b"}"#).is_err());
    }

    #[test]
    fn a_secret_that_is_echoed_is_concealed() {
        let secret = Secret::new("hunter2");
        assert_eq!(conceal("login with hunter2 failed", [&secret]), "login with <secret> failed");
        assert_eq!(conceal("as it was", [&Secret::new("")]), "as it was");
    }
}
