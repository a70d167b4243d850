//! Secrets that an earlier process of a run has used: the one that goes on with it has to know them before it writes anything,
//! since steps that are over are not repeated, and what they were given may still be said again.
//!
//! They are found by the names that the inputs of all actions have for them, so no action has to do anything for it.

use crate::action::RunFacts;
use crate::engine::inputs;
use crate::formats::etcd_snapshot::kubernetes::at_rest::EncryptionConfiguration;
use crate::journal::{RunState, StepState};
use crate::limits;
use crate::outside::{Given, Outside, Secret, Secrets};
use crate::plan::Plan;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Learns what steps that have begun, and hooks, were given. What is not there any more cannot be learned; whoever needs it is
/// told so then.
pub(super) fn learn_again(
    outside: &dyn Outside,
    secrets: &Secrets,
    (plan, facts, state): (&Plan, &RunFacts, &RunState),
) {
    if state.head.is_none() {
        // The run is new.
        return;
    }
    let again = Again { outside, secrets };
    for step in &plan.steps {
        match state.steps.get(&step.id) {
            None | Some(StepState::LeftOut { .. }) => {}
            Some(_) => again.in_value(&inputs::given(plan, facts, state, step)),
        }
    }
    for hook in &plan.hooks {
        if let Some(name) = hook.post.as_ref().and_then(Given::variable) {
            again.variable(name);
        }
    }
}

struct Again<'a> {
    outside: &'a dyn Outside,
    secrets: &'a Secrets,
}

impl Again<'_> {
    fn in_value(&self, value: &Value) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| self.in_field(fields, name, value));
            }
            Value::Array(items) => items.iter().for_each(|item| self.in_value(item)),
            _ => {}
        }
    }

    fn in_field(&self, fields: &Map<String, Value>, name: &str, value: &Value) {
        let Some(from) = value.as_str() else { return self.in_value(value) };
        match name {
            "from_env" | "password_from_env" => self.variable(from),
            "password_file" => self.file(from, limits::CREDENTIAL_BYTES, |text| self.learn(text)),
            "server_token" => {
                self.file(from, limits::SERVER_TOKEN_BYTES, |text| self.server_token(text));
            }
            "encryption_config" => {
                self.file(from, limits::ENCRYPTION_CONFIG_BYTES, |text| self.keys(text));
            }
            // Keys of objects in buckets have no certificate beside them.
            "key" if fields.contains_key("certificate") => {
                self.file(from, limits::CERTIFICATE_BYTES, |text| self.learn(text));
            }
            _ => {}
        }
    }

    fn variable(&self, name: &str) {
        if let Ok(value) = self.outside.environment(name) {
            self.secrets.learn_again(&value);
        }
    }

    fn file(&self, path: &str, most: u64, learn: impl FnOnce(&str)) {
        let Ok(bytes) = self.outside.file(path, most).map(Zeroizing::new) else { return };
        if let Ok(text) = std::str::from_utf8(&bytes) {
            learn(text.trim_end_matches(['\n', '\r']));
        }
    }

    fn learn(&self, text: &str) {
        self.secrets.learn_again(&Secret::new(text));
    }

    /// `K10<hash>::<user>:<password>`, or a password alone. <https://docs.k3s.io/cli/token>
    fn server_token(&self, text: &str) {
        self.learn(text);
        let secure = text.strip_prefix("K10").and_then(|secure| secure.split_once("::"));
        if let Some((_, password)) = secure.and_then(|(_, login)| login.split_once(':')) {
            self.learn(password);
        }
    }

    fn keys(&self, text: &str) {
        if let Ok(configuration) = EncryptionConfiguration::read(text) {
            configuration.key_texts().iter().for_each(|key| self.learn(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::fake::FakeOutside;
    use serde_json::json;

    #[test]
    fn regression_every_way_in_which_a_step_names_a_secret_is_known_to_the_next_process() {
        let mut outside = FakeOutside::default();
        for (name, value) in [("TOKEN", "from-a-variable"), ("DB", "of-a-database")] {
            outside.environment.insert(name.into(), value.into());
        }
        for (path, text) in [
            ("pass", "of-a-second-database\n"),
            ("token", "K10abcdef::server:of-the-servers\n"),
            ("client.key", "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n-----END KEY-----\n"),
            ("object", "no secret at all"),
        ] {
            outside.files.insert(path.into(), text.into());
        }
        let secrets = Secrets::default();
        Again { outside: &outside, secrets: &secrets }.in_value(&json!({
            "env": { "A": { "from_env": "TOKEN" }, "B": { "from_env": "NOT_SET" }, "C": "plain" },
            "logins": [
                { "credentials": { "password_from_env": "DB" } },
                { "credentials": { "password_file": "pass" } },
                { "credentials": { "password_file": "gone" } },
            ],
            "server_token": "token",
            "tls": { "certificate": "client.crt", "key": "client.key" },
            "key": "object",
        }));
        for known in [
            "from-a-variable",
            "of-a-database",
            "of-a-second-database",
            "K10abcdef::server:of-the-servers",
            "of-the-servers",
            "MIIEvQIBADANBgkq",
        ] {
            assert_eq!(secrets.conceal(&format!("it is {known}")), "it is <secret>", "{known}");
        }
        for plain in ["plain", "no secret at all"] {
            assert_eq!(secrets.conceal(plain), plain);
        }
    }

    #[test]
    fn the_keys_of_an_encryption_configuration_are_known_again() {
        let text = "kind: EncryptionConfiguration\n\
                    apiVersion: apiserver.config.k8s.io/v1\n\
                    resources:\n  \
                    - resources: [secrets]\n    \
                    providers:\n      \
                    - secretbox: { keys: [{ name: one, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY= }] }\n";
        let mut outside = FakeOutside::default();
        outside.files.insert("kit".into(), text.into());
        let secrets = Secrets::default();
        let with = json!({ "decrypt": { "encryption_config": "kit" } });
        Again { outside: &outside, secrets: &secrets }.in_value(&with);
        let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        assert_eq!(secrets.conceal(key), "<secret>");
        assert_eq!(secrets.conceal("apiserver.config.k8s.io/v1"), "apiserver.config.k8s.io/v1");
    }
}
