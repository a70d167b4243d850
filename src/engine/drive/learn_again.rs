//! Secrets that an earlier process of a run has used: the one that goes on with it has to know them before it writes anything,
//! since steps that are over are not repeated, and what they were given may still be said again.
//!
//! They are found by what the schemas of inputs say ([`SecretFrom`]), so no action has to do anything more for it.

use crate::action::{Registry, RunFacts};
use crate::engine::inputs;
use crate::formats::etcd_snapshot::kubernetes::at_rest::EncryptionConfiguration;
use crate::journal::{RunState, StepState};
use crate::limits;
use crate::outside::{Given, Outside, Secret, SecretFrom, Secrets};
use crate::plan::Plan;
use crate::scenario::each_text;
use serde_json::Value;
use zeroize::Zeroizing;

/// Learns what steps that have begun, and hooks, were given. What is not there any more cannot be learned; whoever needs it is
/// told so then.
pub(super) fn learn_again(
    outside: &dyn Outside,
    secrets: &Secrets,
    registry: &Registry,
    (plan, facts, state): (&Plan, &RunFacts, &RunState),
) {
    if state.head.is_none() {
        // The run is new.
        return;
    }
    let again = Again { outside, secrets };
    for step in &plan.steps {
        match (state.steps.get(&step.id), registry.get(&step.uses)) {
            (None | Some(StepState::LeftOut { .. }), _) | (_, None) => {}
            (Some(_), Some(action)) => {
                again.in_input(&inputs::given(plan, facts, state, step), &action.input);
            }
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
    fn in_input(&self, input: &Value, schema: &Value) {
        each_text(input, schema, &mut |text, schema| match SecretFrom::of(schema) {
            None => {}
            Some(SecretFrom::Variable) => self.variable(text),
            Some(SecretFrom::File) => {
                self.file(text, limits::CERTIFICATE_BYTES, |secret| self.learn(secret));
            }
            Some(SecretFrom::ServerToken) => {
                self.file(text, limits::SERVER_TOKEN_BYTES, |token| self.server_token(token));
            }
            Some(SecretFrom::EncryptionConfiguration) => {
                self.file(text, limits::ENCRYPTION_CONFIG_BYTES, |keys| self.keys(keys));
            }
        });
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
        let again = Again { outside: &outside, secrets: &secrets };
        let registry = crate::providers::registry();
        let step = |action: &str, input: Value| {
            again.in_input(&input, &registry.get(action).unwrap().input);
        };
        step(
            "exec.run",
            json!({ "env": {
                "A": { "from_env": "TOKEN" }, "B": { "from_env": "NOT_SET" }, "C": "plain",
            } }),
        );
        step(
            "sql.check",
            json!({
                "credentials": { "password_from_env": "DB" },
                "logins": [
                    { "credentials": { "password_file": "pass" } },
                    { "credentials": { "password_file": "gone" } },
                ],
            }),
        );
        step("etcd.inventory", json!({ "server_token": "token" }));
        let tls = json!({ "certificate": "client.crt", "key": "client.key" });
        step("etcd.compare_members", json!({ "tls": tls }));
        step("etcd.verify_snapshot", json!({ "key": "object" }));
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
        let schema = crate::providers::registry().get("etcd.inventory").unwrap().input.clone();
        Again { outside: &outside, secrets: &secrets }.in_input(&with, &schema);
        let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        assert_eq!(secrets.conceal(key), "<secret>");
        assert_eq!(secrets.conceal("apiserver.config.k8s.io/v1"), "apiserver.config.k8s.io/v1");
    }
}
