//! Whether what was made in two worlds is the same: AWS, a test server, an estate of a rehearsal.

use crate::journal::WorldKind;

/// Whether what was made in one of these worlds is seen in the other one.
pub(in crate::app) fn is_same_world(one: &WorldKind, other: &WorldKind) -> bool {
    match (one, other) {
        (WorldKind::Endpoint { url: one }, WorldKind::Endpoint { url: other }) => {
            one == other || address(one).is_some_and(|one| address(other) == Some(one))
        }
        _ => one == other,
    }
}

/// What an address says, however it is written: the case of the host, the port that goes without saying and a slash at the end are no
/// difference.
fn address(url: &str) -> Option<(String, String, Option<u16>, String)> {
    let url = reqwest::Url::parse(url).ok()?;
    let path = url.path().trim_end_matches('/').to_owned();
    Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default(), path))
}

/// What was made there, in words that follow the name of a run.
pub(in crate::app) fn in_words(world: &WorldKind) -> String {
    match world {
        WorldKind::Real => "made in AWS".to_owned(),
        WorldKind::Endpoint { url } => format!("made against {url}"),
        WorldKind::Rehearsal { .. } => "a rehearsal".to_owned(),
    }
}
