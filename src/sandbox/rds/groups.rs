//! Parameter groups and subnet groups.

use super::ask::{filters, paged};
use super::model::default_parameter_group;
use super::xml::View;
use crate::sandbox::estate::ParameterGroupEstate;
use crate::sandbox::services::Call;
use crate::sandbox::state::{PlaceKey, State};
use crate::sandbox::wire::{AwsError, Xml};
use std::collections::{BTreeMap, BTreeSet};

/// The parameter group of a name. Those called `default.…` exist for every family.
pub(super) fn parameter_group(
    state: &State,
    place: &PlaceKey,
    name: &str,
) -> Result<ParameterGroupEstate, AwsError> {
    let spec = state.places.get(place).and_then(|p| p.spec.as_ref());
    let own = spec.and_then(|s| s.parameter_groups.iter().find(|g| g.name == name));
    if let Some(group) = own {
        return Ok(group.clone());
    }
    match name.strip_prefix("default.") {
        Some(family) => Ok(ParameterGroupEstate {
            name: name.to_owned(),
            family: family.to_owned(),
            parameters: BTreeMap::new(),
        }),
        None => {
            let what = format!("DBParameterGroup not found: {name}");
            Err(AwsError::new(404, "DBParameterGroupNotFound", what))
        }
    }
}

/// The VPC of a subnet group. `default` exists everywhere.
pub(super) fn subnet_group_vpc(
    state: &State,
    place: &PlaceKey,
    name: &str,
) -> Result<String, AwsError> {
    let spec = state.places.get(place).and_then(|p| p.spec.as_ref());
    let known = spec.is_some_and(|s| s.subnet_groups.iter().any(|g| g.name == name));
    if !known && name != "default" {
        let what = format!("DB subnet group '{name}' does not exist.");
        return Err(AwsError::new(404, "DBSubnetGroupNotFoundFault", what));
    }
    Ok(state.vpc_of(place, name))
}

pub(super) fn parameters(call: Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params().need("DBParameterGroupName")?;
    let group = parameter_group(call.state, &call.place, name)?;
    set_by_hand(&call, &group)
}

/// The page of a group's parameters that a call asks for.
pub(super) fn set_by_hand(call: &Call<'_>, group: &ParameterGroupEstate) -> Result<Xml, AwsError> {
    let params = call.params();
    let source = params.get("Source");
    let own = group.parameters.iter().filter(|_| source.is_none_or(|s| s == "user"));
    let all = own.map(|(name, value)| (name.clone(), (name, value))).collect();
    let page = paged(params, all)?;
    let mut x = Xml::new();
    x.list("Parameters", "Parameter", page.items, |x, (name, value)| {
        x.text("ParameterName", name)
            .text("ParameterValue", value)
            .text("Source", "user")
            .text("ApplyType", "dynamic")
            .text("DataType", "string")
            .text("IsModifiable", true)
            .text("ApplyMethod", "immediate");
    });
    x.maybe("Marker", page.next);
    Ok(x)
}

pub(super) fn parameter_groups(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    filters(params, &[])?;
    let names: BTreeSet<String> = match params.get("DBParameterGroupName") {
        Some(name) => BTreeSet::from([name.to_owned()]),
        None => known_groups(call.state, &call.place),
    };
    let mut all = Vec::new();
    for name in names {
        all.push((name.clone(), parameter_group(call.state, &call.place, &name)?));
    }
    let page = paged(params, all)?;
    let mut x = Xml::new();
    x.maybe("Marker", page.next);
    x.list("DBParameterGroups", "DBParameterGroup", page.items, |x, group| {
        x.text("DBParameterGroupName", &group.name)
            .text("DBParameterGroupFamily", &group.family)
            .text("Description", &group.name)
            .text("DBParameterGroupArn", call.place.arn("rds", &format!("pg:{}", group.name)));
    });
    Ok(x)
}

/// The groups of the estate, and the default groups that something here uses.
fn known_groups(state: &State, place: &PlaceKey) -> BTreeSet<String> {
    let Some(here) = state.places.get(place) else { return BTreeSet::new() };
    let own = here.spec.iter().flat_map(|s| &s.parameter_groups).map(|g| g.name.clone());
    let used = here
        .instances
        .values()
        .map(|i| default_parameter_group(&i.settings.engine, &i.settings.version));
    own.chain(used).collect()
}

pub(super) fn subnet_groups(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    filters(params, &[])?;
    let spec = call.state.places.get(&call.place).and_then(|p| p.spec.as_ref());
    let names: BTreeSet<String> = match params.get("DBSubnetGroupName") {
        Some(name) => {
            subnet_group_vpc(call.state, &call.place, name)?;
            BTreeSet::from([name.to_owned()])
        }
        None => spec.iter().flat_map(|s| &s.subnet_groups).map(|g| g.name.clone()).collect(),
    };
    let page = paged(params, names.into_iter().map(|name| (name.clone(), name)).collect())?;
    let view = View { state: call.state, place: &call.place, now: call.now };
    let mut x = Xml::new();
    x.maybe("Marker", page.next);
    x.list("DBSubnetGroups", "DBSubnetGroup", page.items, |x, name| view.subnet_group(x, &name));
    Ok(x)
}
