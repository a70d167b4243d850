use super::super::super::bbolt::{EntrySink, Place};
use super::super::super::damage::DamageLog;
use super::super::super::keys::{complete_layout, walk_keys};
use super::super::super::mvcc::{KeyValue, Revision};
use super::super::key::keys_of;
use super::super::taking::NoInventory;
use super::super::value::{ENCRYPTED, Encoding};
use super::configuration::{EncryptionConfiguration, Provider, full_name};
use super::subject::{Mismatch, is_secret};
use crate::formats::ReadAt;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use zeroize::Zeroizing;

/// How many keys of the file are named.
const LISTED: usize = 10;

/// What came of decrypting a secret. It names keys, and nothing else of what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretProof {
    /// It was decrypted with this key, and is the secret that was asked for.
    Decrypted {
        /// Provider, version, name: `aescbc:v1:key1`.
        key: String,
    },
    /// The snapshot has no such secret.
    Missing,
    /// It is not encrypted: no key was tried.
    NotEncrypted {
        /// Whether an API server with this file reads it (`identity` is among the providers).
        is_read: bool,
    },
    /// A key management service holds the key: here is the ciphertext only.
    CiphertextOnly {
        /// The service: `kms:v2:vault`.
        service: String,
    },
    /// The file has no provider with this key.
    NoKey {
        /// With what it is encrypted.
        key: String,
        /// What the file has: the first ten.
        known: Vec<String>,
    },
    /// The key of that name does not decrypt it: it is another key, or the value was changed.
    Refused {
        /// The key.
        key: String,
    },
    /// It was decrypted, to something else.
    Other {
        /// With this key.
        key: String,
        /// To what.
        mismatch: Mismatch,
    },
    /// It was decrypted, to CBOR, which is not read here.
    NotCompared {
        /// With this key.
        key: String,
    },
}

impl SecretProof {
    /// Whether the secret can be read with the file; `None` when that is not known.
    pub fn is_readable(&self) -> Option<bool> {
        match self {
            Self::Decrypted { .. } => Some(true),
            Self::NotEncrypted { is_read: true }
            | Self::CiphertextOnly { .. }
            | Self::NotCompared { .. } => None,
            Self::NotEncrypted { is_read: false }
            | Self::Missing
            | Self::NoKey { .. }
            | Self::Refused { .. }
            | Self::Other { .. } => Some(false),
        }
    }
}

impl fmt::Display for SecretProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decrypted { key } => write!(f, "decrypted with {key}, to that secret"),
            Self::Missing => f.write_str("the snapshot has no such secret"),
            Self::NotEncrypted { is_read: true } => {
                f.write_str("it is not encrypted: no key was tried")
            }
            Self::NotEncrypted { is_read: false } => f.write_str(
                "it is not encrypted, and the file lets nothing be read that is not (no identity provider)",
            ),
            Self::CiphertextOnly { service } => write!(
                f,
                "ciphertext only: {service} holds the key, and is not asked; read the secret from a restored cluster"
            ),
            Self::NoKey { key, known } if known.is_empty() => {
                write!(f, "it is encrypted with {key}; the file has no key for secrets")
            }
            Self::NoKey { key, known } => {
                write!(f, "it is encrypted with {key}; the file has {}", known.join(", "))
            }
            Self::Refused { key } => write!(
                f,
                "{key} of the file does not decrypt it: it is another key of that name, or the value was changed"
            ),
            Self::Other { key, mismatch } => write!(f, "decrypted with {key}, it is {mismatch}"),
            Self::NotCompared { key } => write!(
                f,
                "decrypted with {key}, to CBOR, which is not read: whether it is that secret is not known"
            ),
        }
    }
}

/// Decrypts a secret of a snapshot of `length` bytes with the keys of a file, and looks whether it is that secret.
///
/// Reads the bucket `key` once.
///
/// # Errors
/// When the file cannot be read. A snapshot that is not good is [`NoInventory`].
pub fn prove_secret<R: ReadAt + ?Sized>(
    file: &R,
    length: u64,
    namespace: &str,
    name: &str,
    configuration: &EncryptionConfiguration,
) -> io::Result<Result<SecretProof, NoInventory>> {
    let Some(layout) = complete_layout(file, length)? else {
        return Ok(Err(NoInventory::Damaged));
    };
    let places = keys_of("secrets", namespace, name);
    let mut finder = Finder { readable: true, found: BTreeMap::new() };
    finder.found.extend(places.into_iter().map(|place| (place.into_bytes(), None)));
    if !walk_keys(file, layout, &mut finder)? || !finder.readable {
        return Ok(Err(NoInventory::Damaged));
    }
    let found = finder.found.iter().find_map(|(place, value)| Some((place, value.as_ref()?)));
    Ok(Ok(match found {
        Some((place, value)) => prove_value(value, place, namespace, name, configuration),
        None => SecretProof::Missing,
    }))
}

/// The last value of each key that is looked for.
struct Finder {
    readable: bool,
    found: BTreeMap<Vec<u8>, Option<Zeroizing<Vec<u8>>>>,
}

impl EntrySink for Finder {
    fn entry(&mut self, _: Place, key: &[u8], value: &[u8], _: &mut DamageLog) {
        let (Some(revision), Some(stored)) = (Revision::parse(key), KeyValue::parse(value)) else {
            self.readable = false;
            return;
        };
        if let Some(found) = stored.key.and_then(|name| self.found.get_mut(name)) {
            *found = (!revision.deleted).then(|| Zeroizing::new(stored.value.to_vec()));
        }
    }
}

/// The same for a value that etcd stores under the key `place`, as the API server reads it: the first provider whose prefix it
/// has, and each of its keys of that name.
pub fn prove_value(
    value: &[u8],
    place: &[u8],
    namespace: &str,
    name: &str,
    configuration: &EncryptionConfiguration,
) -> SecretProof {
    let Encoding::Encrypted(key) = Encoding::of(value) else {
        let is_read = configuration.providers.contains(&Provider::Identity);
        return SecretProof::NotEncrypted { is_read };
    };
    let rest = value.get(ENCRYPTED.len()..).unwrap_or_default();
    let mut refused = None;
    for provider in &configuration.providers {
        let (cipher, keys) = match provider {
            Provider::Identity => continue,
            Provider::Kms(service) => match behind(rest, service) {
                Some(_) => return SecretProof::CiphertextOnly { service: key },
                None => continue,
            },
            Provider::Keys(cipher, keys) => (*cipher, keys),
        };
        for named in keys {
            let Some(data) = behind(rest, &format!("{}:v1:{}", cipher.name(), named.name)) else {
                continue;
            };
            let key = full_name(cipher, &named.name);
            let Some(decrypted) = cipher.decrypt(&named.bytes, data, place) else {
                refused = Some(SecretProof::Refused { key });
                continue;
            };
            return match is_secret(&decrypted, namespace, name) {
                Some(Ok(())) => SecretProof::Decrypted { key },
                Some(Err(mismatch)) => SecretProof::Other { key, mismatch },
                None => SecretProof::NotCompared { key },
            };
        }
    }
    let known = || configuration.key_names().into_iter().take(LISTED).collect();
    refused.unwrap_or_else(|| SecretProof::NoKey { key, known: known() })
}

/// What follows this name and a colon.
fn behind<'value>(rest: &'value [u8], name: &str) -> Option<&'value [u8]> {
    rest.strip_prefix(name.as_bytes())?.strip_prefix(b":")
}
