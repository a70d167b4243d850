//! For tests: files that are written from code and checked in.

use std::path::Path;

/// Fails when a file of the repository differs from what the code would write; with `REDRILL_UPDATE=1`, writes it.
pub(super) fn check(path: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::vars().any(|(n, v)| n == "REDRILL_UPDATE" && v == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run the tests with REDRILL_UPDATE=1", path.display());
}
