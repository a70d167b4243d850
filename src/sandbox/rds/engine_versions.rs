//! Versions of database engines.

use super::ask::{combination, filters, paged};
use super::model::family;
use crate::sandbox::services::Call;
use crate::sandbox::wire::{AwsError, Xml};
use std::collections::BTreeSet;

/// The engines that are simulated.
const ENGINES: [&str; 5] = ["aurora-mysql", "aurora-postgresql", "mariadb", "mysql", "postgres"];

/// True when this version has been taken away here.
fn gone(call: &Call<'_>, engine: &str, version: &str) -> bool {
    let spec = call.state.places.get(&call.place).and_then(|p| p.spec.as_ref());
    let named = format!("{engine} {version}");
    spec.is_some_and(|spec| spec.engine_versions_gone.contains(&named))
}

/// A version that is not offered any more cannot be restored. The code of the refusal is a guess: AWS documents none.
pub(super) fn offered(call: &Call<'_>, engine: &str, version: &str) -> Result<(), AwsError> {
    match gone(call, engine, version) {
        true => Err(combination(format!("Cannot find version {version} for {engine}"))),
        false => Ok(()),
    }
}

/// Every version that is asked for by name is offered, except those that the estate takes away. Without a name: the
/// versions in use here.
pub(super) fn describe(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    filters(params, &["status"])?;
    let place = call.state.places.get(&call.place);
    let in_use = place.iter().flat_map(|p| p.instances.values());
    let in_use = in_use.map(|i| (i.settings.engine.clone(), i.settings.version.clone()));
    let engine = params.get("Engine");
    let versions: BTreeSet<(String, String)> = match (engine, params.get("EngineVersion")) {
        (Some(engine), Some(version)) => BTreeSet::from([(engine.to_owned(), version.to_owned())]),
        _ => in_use.collect(),
    };
    let found: Vec<_> = versions
        .into_iter()
        .filter(|(name, _)| ENGINES.contains(&name.as_str()) && engine.is_none_or(|e| e == name))
        .filter(|(name, version)| !gone(&call, name, version))
        .map(|(name, version)| (format!("{name} {version}"), (name, version)))
        .collect();
    let page = paged(params, found)?;
    let mut x = Xml::new();
    x.maybe("Marker", page.next);
    x.list("DBEngineVersions", "DBEngineVersion", page.items, |x, (engine, version)| {
        x.text("Engine", &engine)
            .text("EngineVersion", &version)
            .text("DBParameterGroupFamily", family(&engine, &version))
            .text("Status", "available");
    });
    Ok(x)
}
