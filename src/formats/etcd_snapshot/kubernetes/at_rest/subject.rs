use super::super::value::Encoding;
use crate::formats::protobuf::{bytes_of, fields};
use serde::Deserialize;
use std::fmt;

/// In what a decrypted value is not the secret that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It is nothing that an API server writes.
    NoObject,
    /// It is an object of another kind.
    Kind,
    /// It has another namespace.
    Namespace,
    /// It has another name.
    Name,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoObject => "no object of Kubernetes",
            Self::Kind => "no secret, but an object of another kind",
            Self::Namespace => "a secret of another namespace",
            Self::Name => "a secret of another name",
        })
    }
}

/// What an object says of itself.
#[derive(PartialEq, Eq)]
struct Subject<'value> {
    version: &'value str,
    kind: &'value str,
    namespace: &'value str,
    name: &'value str,
}

/// Whether a decrypted value is the secret of this namespace and name. `None` for CBOR, which is not read.
///
/// # Errors
/// In what it is not.
pub fn is_secret(value: &[u8], namespace: &str, name: &str) -> Option<Result<(), Mismatch>> {
    Some(match Encoding::of(value) {
        Encoding::Protobuf => protobuf(value)
            .ok_or(Mismatch::NoObject)
            .and_then(|subject| compare(&subject, namespace, name)),
        Encoding::Json => match serde_json::from_slice::<Object>(value) {
            Ok(object) => compare(&object.subject(), namespace, name),
            Err(_) => Err(Mismatch::NoObject),
        },
        Encoding::Cbor => return None,
        Encoding::Encrypted(_) | Encoding::Other => Err(Mismatch::NoObject),
    })
}

fn compare(subject: &Subject<'_>, namespace: &str, name: &str) -> Result<(), Mismatch> {
    match subject {
        Subject { version, kind, .. } if (*version, *kind) != ("v1", "Secret") => {
            Err(Mismatch::Kind)
        }
        Subject { namespace: found, .. } if *found != namespace => Err(Mismatch::Namespace),
        Subject { name: found, .. } if *found != name => Err(Mismatch::Name),
        _ => Ok(()),
    }
}

/// The envelope with the object in it, every field of both, and of the metadata, well formed: of what was decrypted with a wrong
/// key, nothing is.
fn protobuf(value: &[u8]) -> Option<Subject<'_>> {
    let envelope = value.get(4..)?;
    let object = bytes_of(envelope, 2)?;
    let metadata = bytes_of(object, 1)?;
    let well_formed = |message: &[u8]| fields(message).all(|field| field.is_some());
    if ![envelope, object, metadata].into_iter().all(well_formed) {
        return None;
    }
    let types = bytes_of(envelope, 1)?;
    let text =
        |message, number| std::str::from_utf8(bytes_of(message, number).unwrap_or_default()).ok();
    Some(Subject {
        version: text(types, 1)?,
        kind: text(types, 2)?,
        namespace: text(metadata, 3)?,
        name: text(metadata, 1)?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
}

impl Object {
    fn subject(&self) -> Subject<'_> {
        let Self { api_version, kind, metadata: Metadata { namespace, name } } = self;
        Subject { version: api_version, kind, namespace, name }
    }
}
