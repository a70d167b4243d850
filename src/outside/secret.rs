use serde_json::Value;
use std::fmt;

/// A value that must not be seen. It cannot be serialised, and prints as `<secret>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// How a text of an input leads to a secret. The input's schema says it, as `format`: so whoever reads inputs of any action knows
/// where their secrets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SecretFrom {
    /// It names an environment variable.
    Variable,
    /// It names a file that is secret as a whole: a password, a private key.
    File,
    /// It names a file with the server token of k3s or RKE2.
    ServerToken,
    /// It names a file with the encryption keys of a Kubernetes API server.
    EncryptionConfiguration,
}

impl SecretFrom {
    /// The `format` of [`Self::Variable`].
    pub(crate) const VARIABLE: &str = "redrill-secret-variable";
    /// The `format` of [`Self::File`].
    pub(crate) const FILE: &str = "redrill-secret-file";
    /// The `format` of [`Self::ServerToken`].
    pub(crate) const SERVER_TOKEN: &str = "redrill-server-token";
    /// The `format` of [`Self::EncryptionConfiguration`].
    pub(crate) const ENCRYPTION_CONFIGURATION: &str = "redrill-encryption-configuration";

    /// What the schema of a text says; nothing when the text leads to no secret.
    pub(crate) fn of(schema: &Value) -> Option<Self> {
        match schema.get("format")?.as_str()? {
            Self::VARIABLE => Some(Self::Variable),
            Self::FILE => Some(Self::File),
            Self::SERVER_TOKEN => Some(Self::ServerToken),
            Self::ENCRYPTION_CONFIGURATION => Some(Self::EncryptionConfiguration),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_does_not_print() {
        let login = Some(Secret::new("hunter2"));
        assert_eq!(format!("{login:?}"), "Some(<secret>)");
    }
}
