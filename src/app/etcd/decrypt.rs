use super::open::Opened;
use super::unreadable;
use crate::cli::EtcdInventoryArgs;
use crate::error::{Error, Result};
use crate::formats::etcd_snapshot::kubernetes::at_rest::{
    EncryptionConfiguration, SecretProof, prove_secret,
};
use crate::limits;
use serde::{Serialize, Serializer};
use std::path::Path;
use zeroize::Zeroizing;

/// The secret that `--decrypt` names, and the keys of `--encryption-config`.
pub(super) struct Asked {
    namespace: String,
    name: String,
    file: EncryptionConfiguration,
}

/// What came of decrypting it.
#[derive(Serialize)]
pub(super) struct Decrypted {
    secret: String,
    /// `null` when that is not known.
    readable: Option<bool>,
    #[serde(rename = "why", serialize_with = "as_text")]
    proof: SecretProof,
}

fn as_text<S: Serializer>(
    proof: &SecretProof,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(proof)
}

impl Asked {
    /// What the command line asks for. Nothing of the file is shown, not even when it cannot be read.
    ///
    /// # Errors
    /// When the name is none, or the file is no encryption configuration.
    pub(super) fn of(args: &EtcdInventoryArgs) -> Result<Option<Self>> {
        let (Some(secret), Some(path)) = (&args.decrypt, &args.encryption_config) else {
            return Ok(None);
        };
        let named = secret.split_once('/').filter(|(namespace, name)| {
            !namespace.is_empty() && !name.is_empty() && !name.contains('/')
        });
        let Some((namespace, name)) = named else {
            return Err(Error::bad_input(format!("--decrypt {secret} names no secret"))
                .help("write its namespace and its name: --decrypt payments/api"));
        };
        let file = configuration(path)?;
        Ok(Some(Self { namespace: namespace.to_owned(), name: name.to_owned(), file }))
    }

    /// Decrypts the secret of a snapshot that was found to be good.
    ///
    /// # Errors
    /// When the snapshot cannot be read any more.
    pub(super) fn prove(&self, opened: &Opened, path: &Path) -> Result<Decrypted> {
        let Self { namespace, name, file } = self;
        let proof = prove_secret(&opened.file, opened.length, namespace, name, file);
        let proof = proof.map_err(|e| unreadable(path, &e))?;
        let proof = proof.map_err(|why| Error::broken(format!("{}: {why}", path.display())))?;
        let readable = proof.is_readable();
        Ok(Decrypted { secret: format!("{namespace}/{name}"), readable, proof })
    }
}

impl Decrypted {
    pub(super) fn readable(&self) -> Option<bool> {
        self.readable
    }

    /// As a line of text.
    pub(super) fn line(&self) -> String {
        let mark = match self.readable {
            Some(true) => "✓",
            Some(false) => "✗ NOT DECRYPTED:",
            None => "? not known:",
        };
        format!("{mark} {}: {}", self.secret, self.proof)
    }
}

fn configuration(path: &Path) -> Result<EncryptionConfiguration> {
    let bytes = limits::read_file(path, limits::ENCRYPTION_CONFIG_BYTES);
    let bytes = Zeroizing::new(bytes.map_err(|e| unreadable(path, &e))?);
    let read = match std::str::from_utf8(&bytes) {
        Ok(text) => EncryptionConfiguration::read(text).map_err(|fault| fault.to_string()),
        Err(_) => Err("it is not UTF-8".to_owned()),
    };
    read.map_err(|why| {
        Error::broken(format!("{} is no encryption configuration: {why}", path.display()))
            .help("name the file that the API server is given with --encryption-provider-config")
    })
}
