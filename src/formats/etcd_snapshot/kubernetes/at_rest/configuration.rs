use super::cipher::Cipher;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fmt;
use zeroize::Zeroizing;

/// How many places and levels the file may have: one of a large company has some hundreds.
const NODES: usize = 100_000;
const DEPTH: usize = 32;
/// How much of a name is shown.
const NAME_CHARS: usize = 253;

/// What an API server is given with `--encryption-provider-config`, as far as it is about secrets.
///
/// It is read as the API server reads it: the first entry that names secrets counts, and of several keys with one name each is
/// tried. Keys never print.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionConfiguration {
    pub(super) providers: Vec<Provider>,
}

/// A provider, in the order of the file.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Provider {
    Keys(Cipher, Vec<NamedKey>),
    /// A key management service, which holds the key: `kms:v2:vault`.
    Kms(String),
    /// Values are not encrypted.
    Identity,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct NamedKey {
    pub(super) name: String,
    pub(super) bytes: Zeroizing<Vec<u8>>,
    written: Zeroizing<String>,
}

/// Why a file is no encryption configuration. It tells places and names of keys, never a piece of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationFault {
    /// It cannot be read as YAML or JSON, or lacks fields.
    #[error("line {line}, column {column} cannot be read")]
    Unreadable {
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
    },
    /// It is something else.
    #[error("its kind is not EncryptionConfiguration")]
    Kind,
    /// An API server refuses it.
    #[error(
        "provider {number} for secrets is not one of aescbc, aesgcm, secretbox, kms and identity"
    )]
    Provider {
        /// Its place among the providers, from 1.
        number: usize,
    },
    /// An API server refuses it.
    #[error("key {name:?} of {provider}: {fault}")]
    Key {
        /// The provider, as in the file.
        provider: &'static str,
        /// The key's name.
        name: String,
        /// What is wrong with it.
        fault: KeyFault,
    },
}

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Nothing says which one it is.
    #[error("it has no name")]
    NoName,
    /// It is not written as it must be.
    #[error("its secret is not base64")]
    NoBase64,
    /// The cipher takes no key of this length.
    #[error("it has {bytes} bytes, and {expected} are needed")]
    Length {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        expected: String,
    },
    /// The provider has none.
    #[error("there is none")]
    Missing,
}

/// The file, as it is written.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    providers: Vec<WrittenProvider>,
}

#[derive(Deserialize)]
struct WrittenProvider {
    aescbc: Option<WrittenKeys>,
    aesgcm: Option<WrittenKeys>,
    secretbox: Option<WrittenKeys>,
    kms: Option<WrittenKms>,
    identity: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct WrittenKeys {
    #[serde(default)]
    keys: Vec<WrittenKey>,
}

#[derive(Deserialize)]
struct WrittenKey {
    #[serde(default)]
    name: String,
    #[serde(default)]
    secret: WrittenSecret,
}

/// Wiped when it is dropped.
#[derive(Default, Deserialize)]
#[serde(from = "String")]
struct WrittenSecret(Zeroizing<String>);

impl From<String> for WrittenSecret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

#[derive(Deserialize)]
struct WrittenKms {
    #[serde(default)]
    name: String,
    #[serde(default = "first_version", rename = "apiVersion")]
    version: String,
}

fn first_version() -> String {
    "v1".to_owned()
}

impl EncryptionConfiguration {
    /// Reads the file, YAML or JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, ConfigurationFault> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_aliases: 0,
                max_anchors: 0,
                max_nodes: NODES,
                max_depth: DEPTH,
            },
        };
        let document: Document =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| {
                let place = error.location().map(|at| (at.line(), at.column()));
                let (line, column) = place.unwrap_or((1, 1));
                ConfigurationFault::Unreadable { line, column }
            })?;
        // `EncryptionConfig` is its name up to Kubernetes 1.12.
        if !["EncryptionConfiguration", "EncryptionConfig"].contains(&document.kind.as_str()) {
            return Err(ConfigurationFault::Kind);
        }
        let names_secrets = |entry: &Entry| {
            entry.resources.iter().any(|one| ["secrets", "*.", "*.*"].contains(&one.as_str()))
        };
        let Some(entry) = document.resources.into_iter().find(names_secrets) else {
            // An API server stores and reads what the file does not name as it is.
            return Ok(Self { providers: vec![Provider::Identity] });
        };
        let providers =
            (1..).zip(entry.providers).map(|(number, written)| provider(number, written));
        Ok(Self { providers: providers.collect::<Result<_, _>>()? })
    }

    /// The keys of the file as they can stand in a text, so that they can be taken out of everything that is written down.
    pub fn key_texts(&self) -> Vec<Zeroizing<String>> {
        let texts = |key: &NamedKey| {
            let hexadecimal = Zeroizing::new(hex::encode(&key.bytes));
            let capital = Zeroizing::new(hex::encode_upper(&key.bytes));
            let plain =
                std::str::from_utf8(&key.bytes).ok().map(|text| Zeroizing::new(text.to_owned()));
            [key.written.clone(), hexadecimal, capital].into_iter().chain(plain).collect::<Vec<_>>()
        };
        self.keys().flat_map(|(_, key)| texts(key)).collect()
    }

    /// The names of its keys and services as they stand in the prefix of values (`aescbc:v1:key1`, `kms:v2:vault`), in the order
    /// of the file.
    pub fn key_names(&self) -> Vec<String> {
        let names = |provider: &Provider| match provider {
            Provider::Keys(cipher, keys) => {
                keys.iter().map(|key| full_name(*cipher, &key.name)).collect()
            }
            Provider::Kms(name) => vec![shown(name)],
            Provider::Identity => Vec::new(),
        };
        self.providers.iter().flat_map(names).collect()
    }

    fn keys(&self) -> impl Iterator<Item = (Cipher, &NamedKey)> {
        self.providers.iter().flat_map(|provider| match provider {
            Provider::Keys(cipher, keys) => keys.iter().map(|key| (*cipher, key)).collect(),
            Provider::Kms(_) | Provider::Identity => Vec::new(),
        })
    }
}

impl fmt::Debug for EncryptionConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.key_names()).finish()
    }
}

/// `aescbc:v1:key1`
pub(super) fn full_name(cipher: Cipher, key: &str) -> String {
    format!("{}:v1:{}", cipher.name(), shown(key))
}

/// Safe to show, and not longer than anybody wants to read.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect()
}

fn provider(number: usize, written: WrittenProvider) -> Result<Provider, ConfigurationFault> {
    let WrittenProvider { aescbc, aesgcm, secretbox, kms, identity } = written;
    match (aescbc, aesgcm, secretbox, kms, identity) {
        (Some(keys), None, None, None, None) => with_keys(Cipher::AesCbc, keys),
        (None, Some(keys), None, None, None) => with_keys(Cipher::AesGcm, keys),
        (None, None, Some(keys), None, None) => with_keys(Cipher::Secretbox, keys),
        (None, None, None, Some(kms), None) => {
            Ok(Provider::Kms(format!("kms:{}:{}", kms.version, kms.name)))
        }
        (None, None, None, None, Some(_)) => Ok(Provider::Identity),
        _ => Err(ConfigurationFault::Provider { number }),
    }
}

fn with_keys(cipher: Cipher, written: WrittenKeys) -> Result<Provider, ConfigurationFault> {
    let fault = |name: &str, fault: KeyFault| ConfigurationFault::Key {
        provider: cipher.name(),
        name: shown(name),
        fault,
    };
    if written.keys.is_empty() {
        return Err(fault("", KeyFault::Missing));
    }
    let keys = written.keys.into_iter().map(|WrittenKey { name, secret }| {
        let bytes = key_bytes(cipher, &name, &secret.0).map_err(|why| fault(&name, why))?;
        Ok(NamedKey { name, bytes, written: secret.0 })
    });
    Ok(Provider::Keys(cipher, keys.collect::<Result<_, _>>()?))
}

fn key_bytes(cipher: Cipher, name: &str, written: &str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    if name.is_empty() {
        return Err(KeyFault::NoName);
    }
    // Go's decoder skips line breaks, which a folded text of YAML has.
    let text: Zeroizing<String> =
        Zeroizing::new(written.chars().filter(|c| !['\r', '\n'].contains(c)).collect());
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| KeyFault::NoBase64)?;
    let bytes = Zeroizing::new(bytes);
    if cipher.key_bytes().contains(&bytes.len()) {
        return Ok(bytes);
    }
    let expected = cipher.key_bytes().iter().map(ToString::to_string).collect::<Vec<_>>();
    Err(KeyFault::Length { bytes: bytes.len(), expected: expected.join(" or ") })
}
