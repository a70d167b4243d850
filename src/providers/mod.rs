//! One folder per service: everything that this program knows about it (actions, kinds of resources, runbook words).
//!
//! Providers never use each other, nor the engine.

pub mod aurora;
mod backups;
pub mod cloudwatch;
pub mod control;
mod earlier;
pub mod ebs;
pub mod etcd;
pub mod exec;
pub mod http;
pub mod rds;
pub mod s3;
pub mod sql;
#[cfg(test)]
mod stand;
#[cfg(test)]
mod trial;

use crate::action::Registry;

/// All that there is.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    aurora::register(&mut registry);
    cloudwatch::register(&mut registry);
    control::register(&mut registry);
    ebs::register(&mut registry);
    etcd::register(&mut registry);
    exec::register(&mut registry);
    http::register(&mut registry);
    rds::register(&mut registry);
    s3::register(&mut registry);
    sql::register(&mut registry);
    registry
}

#[cfg(test)]
mod tests {
    use crate::outside::SecretFrom;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// Texts of inputs whose words speak of secrets, and that lead to none by themselves.
    const NO_SECRETS: &[(&str, &str)] = &[
        (
            "secret",
            "an entry of Secrets Manager: to learn it again would be a call (docs/security.md)",
        ),
        ("url", "an address with a password is refused"),
    ];

    /// Every text of a schema, by the name of the field that it is in.
    fn texts(schema: &Value, name: &str, see: &mut dyn FnMut(&str, &Value)) {
        match schema {
            Value::Object(fields) => {
                if schema["type"] == "string" {
                    see(name, schema);
                }
                for (key, value) in fields {
                    match (key.as_str(), value) {
                        ("properties", Value::Object(named)) => {
                            named.iter().for_each(|(name, field)| texts(field, name, see));
                        }
                        _ => texts(value, name, see),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| texts(item, name, see)),
            _ => {}
        }
    }

    /// A process that goes on with a run knows secrets by what schemas say: a field that does not say it would let one be written.
    #[test]
    fn every_input_that_leads_to_a_secret_says_so_in_its_schema() {
        let mut known = BTreeSet::new();
        let mut silent = BTreeSet::new();
        for action in super::registry().actions() {
            texts(&action.input, "", &mut |name, schema| {
                let about = schema["description"].as_str().unwrap_or_default().to_lowercase();
                let words = ["never written down", "password", "private key", "token of"];
                let names = ["password", "token", "secret", "_env", "encryption_config"];
                let speaks = words.iter().any(|word| about.contains(word))
                    || names.iter().any(|part| name.contains(part));
                match SecretFrom::of(schema) {
                    Some(from) => drop(known.insert((from, name.to_owned()))),
                    None if speaks && !NO_SECRETS.iter().any(|(except, _)| *except == name) => {
                        silent.insert(format!("{} {name}: {about}", action.facts.name));
                    }
                    None => {}
                }
            });
        }
        assert!(silent.is_empty(), "give it a format of SecretFrom, or a reason: {silent:#?}");
        let known: Vec<(SecretFrom, &str)> = known.iter().map(|(f, n)| (*f, n.as_str())).collect();
        assert_eq!(
            known,
            [
                (SecretFrom::Variable, "from_env"),
                (SecretFrom::Variable, "password_from_env"),
                (SecretFrom::File, "key"),
                (SecretFrom::File, "password_file"),
                (SecretFrom::ServerToken, "server_token"),
                (SecretFrom::EncryptionConfiguration, "encryption_config"),
            ]
        );
    }
}
