//! Whether a secret of a snapshot can be read with the keys of a recovery kit, as the API server would that starts from both.
//!
//! Main entries: [`EncryptionConfiguration`], the file that the API server is given, and [`prove_secret`], which decrypts one
//! secret with it and looks whether it is that secret. No value, no key and no piece of one leaves this module: what is told is
//! a [`SecretProof`]. Keys and decrypted values are wiped from memory when they are dropped; the copies that the reader of YAML
//! makes while it reads are not.
//!
//! Facts: <https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/> and
//! <https://kubernetes.io/docs/reference/config-api/apiserver-encryption.v1/> (the file), the packages
//! `pkg/storage/value/encrypt/aes` and `…/secretbox` of <https://github.com/kubernetes/apiserver> (how a value is stored), and
//! its `pkg/storage/etcd3/store.go` (AES-GCM authenticates the whole key of etcd with the value). AES-CBC authenticates nothing:
//! a value that was changed in the middle can be decrypted, and is not told from a good one as long as it is an object of that
//! name; only the SHA-256 of the snapshot tells.

mod cipher;
mod configuration;
mod proof;
mod subject;
#[cfg(test)]
mod tests;

pub use configuration::{ConfigurationFault, EncryptionConfiguration, KeyFault};
pub use proof::{SecretProof, prove_secret, prove_value};
pub use subject::{Mismatch, is_secret};
