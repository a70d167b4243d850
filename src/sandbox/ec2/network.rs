//! Security groups and availability zones.

use super::ask::{Filters, dry_run, paged, tag_set};
use crate::sandbox::estate::SecurityGroupEstate;
use crate::sandbox::services::Call;
use crate::sandbox::wire::{AwsError, Xml};
use std::collections::BTreeMap;

pub(super) fn security_groups(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let filters = Filters::read(params, &["group-id", "group-name", "vpc-id", "owner-id"])?;
    dry_run(params)?;
    let (ids, names) = (params.list("GroupId"), params.list("GroupName"));
    let default = SecurityGroupEstate {
        id: "sg-default".to_owned(),
        name: Some("default".to_owned()),
        vpc: crate::sandbox::rds::DEFAULT_VPC.to_owned(),
        tags: BTreeMap::new(),
    };
    let spec = call.state.places.get(&call.place).and_then(|p| p.spec.clone());
    let mut all = vec![default];
    all.extend(spec.iter().flat_map(|s| s.security_groups.clone()));
    let name_of = |g: &SecurityGroupEstate| g.name.clone().unwrap_or_else(|| g.id.clone());
    if let Some(id) = ids.iter().find(|id| !all.iter().any(|g| &g.id == *id)) {
        let what = format!("The security group '{id}' does not exist");
        return Err(AwsError::new(400, "InvalidGroup.NotFound", what));
    }
    if let Some(name) = names.iter().find(|name| !all.iter().any(|g| &name_of(g) == *name)) {
        let what = format!("The security group '{name}' does not exist");
        return Err(AwsError::new(400, "InvalidGroup.NotFound", what));
    }
    let found: Vec<_> = all
        .into_iter()
        .filter(|g| ids.is_empty() || ids.contains(&g.id))
        .filter(|g| names.is_empty() || names.contains(&name_of(g)))
        .filter(|g| {
            filters.pass(&g.tags, |filter| {
                Some(match filter {
                    "group-id" => g.id.clone(),
                    "group-name" => name_of(g),
                    "vpc-id" => g.vpc.clone(),
                    "owner-id" => call.place.account.clone(),
                    _ => return None,
                })
            })
        })
        .map(|g| (g.id.clone(), g))
        .collect();
    let page = paged(params, found, !ids.is_empty())?;
    let mut x = Xml::new();
    x.list("securityGroupInfo", "item", page.items, |x, g| {
        x.text("ownerId", &call.place.account)
            .text("groupId", &g.id)
            .text("groupName", name_of(&g))
            .text("groupDescription", name_of(&g))
            .text("vpcId", &g.vpc);
        tag_set(x, &g.tags);
    });
    x.maybe("nextToken", page.next);
    Ok(x)
}

/// Every simulated region has the three zones a, b and c.
pub(super) fn availability_zones(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let filters = Filters::read(params, &["region-name", "state", "zone-name", "zone-type"])?;
    dry_run(params)?;
    let region = &call.place.region;
    let named = params.list("ZoneName");
    let zones: Vec<String> = ["a", "b", "c"].iter().map(|l| format!("{region}{l}")).collect();
    if let Some(name) = named.iter().find(|name| !zones.contains(name)) {
        let what = format!("Invalid availability zone: [{name}]");
        return Err(AwsError::new(400, "InvalidParameterValue", what));
    }
    let no_tags = BTreeMap::new();
    let wanted =
        zones.iter().filter(|zone| named.is_empty() || named.contains(zone)).filter(|zone| {
            filters.pass(&no_tags, |filter| {
                Some(match filter {
                    "region-name" => region.clone(),
                    "state" => "available".to_owned(),
                    "zone-name" => (*zone).clone(),
                    "zone-type" => "availability-zone".to_owned(),
                    _ => return None,
                })
            })
        });
    let mut x = Xml::new();
    x.list("availabilityZoneInfo", "item", wanted, |x, zone| {
        x.text("zoneName", zone)
            .text("zoneState", "available")
            .text("regionName", region)
            .text("zoneType", "availability-zone")
            .text("optInStatus", "opt-in-not-required");
    });
    Ok(x)
}
