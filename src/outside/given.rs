use super::{Outside, OutsideError, Secret, SecretFrom, Secrets};
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
    #[schemars(extend("format" = SecretFrom::VARIABLE))]
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
///
/// Where the text was cut at a limit, the beginning of a secret at its end is taken out, too.
pub fn conceal<'s>(
    text: &str,
    truncated: bool,
    secrets: impl IntoIterator<Item = &'s Secret>,
) -> String {
    let known = Secrets::default();
    secrets.into_iter().for_each(|secret| known.learn(secret));
    if truncated { known.conceal_beginning(text) } else { known.conceal(text) }
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
        let text = conceal("login with hunter2 failed", false, [&secret]);
        assert_eq!(text, "login with <secret> failed");
        assert_eq!(conceal("as it was", false, [&Secret::new("")]), "as it was");
    }

    #[test]
    fn a_secret_that_holds_another_leaves_no_rest() {
        let (short, long) = (Secret::new("hunter"), Secret::new("hunter-two"));
        assert_eq!(conceal("hunter-two hunter", false, [&short, &long]), "<secret> <secret>");
    }

    #[test]
    fn a_secret_that_was_cut_with_the_output_leaves_no_beginning() {
        let secret = Secret::new("h\u{fc}nter2");
        assert_eq!(conceal("token h\u{fc}nte", true, [&secret]), "token <secret>");
        assert_eq!(conceal("token h\u{fffd}", true, [&secret]), "token <secret>");
        assert_eq!(conceal("token h\u{fc}nte", false, [&secret]), "token h\u{fc}nte");
        assert_eq!(conceal("all is well", true, [&secret]), "all is well");
    }
}
