//! Adding members to clusters. Deleting one is deleting an instance.

use super::model::Cluster;
use super::{cluster_not_found, wrong_state};
use crate::sandbox::rds::RdsEvent;
use crate::sandbox::rds::ask::{check_identifier, combination, invalid, tags as tags_of};
use crate::sandbox::rds::groups::parameter_group;
use crate::sandbox::rds::lifecycle::monitoring;
use crate::sandbox::rds::model::{Instance, Membership, Settings, family};
use crate::sandbox::rds::xml::View;
use crate::sandbox::services::Call;
use crate::sandbox::state::Timeline;
use crate::sandbox::wire::{AwsError, Xml};

/// The class of members whose size follows their load.
const SERVERLESS: &str = "db.serverless";

pub(super) fn create(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let id = params.need("DBInstanceIdentifier")?.to_lowercase();
    check_identifier("DBInstanceIdentifier", &id, 63)?;
    if call.here().instances.contains_key(&id) {
        return Err(AwsError::new(400, "DBInstanceAlreadyExists", "DB instance already exists"));
    }
    let Some(name) = params.get("DBClusterIdentifier") else {
        return Err(invalid("Only members of clusters are simulated: name DBClusterIdentifier."));
    };
    let now = call.now;
    let cluster = call.here().clusters.get(&name.to_lowercase());
    let cluster = cluster.filter(|c| c.timeline.state(now).is_some()).cloned();
    let cluster = cluster.ok_or_else(|| cluster_not_found(name))?;
    if !cluster.timeline.is(now, "available") {
        let state = cluster.timeline.state(now).unwrap_or("creating");
        return Err(wrong_state(format!("DBCluster {name} is in state {state}.")));
    }
    let settings = settings_of(&call, &cluster)?;
    let tier = params.number::<u32>("PromotionTier")?.unwrap_or(1);
    if tier > 15 {
        return Err(invalid("PromotionTier must be between 0 and 15."));
    }
    let timeline = Timeline::begin(now, "creating").then(cluster.member_takes, "available");
    let instance = Instance {
        id,
        created: now,
        timeline: call.marked(timeline, "incompatible-network"),
        settings,
        pending: None,
        kms_key: cluster.kms_key.clone(),
        resource_id: format!("db-{}", call.state.fresh_digits("db", 26).to_uppercase()),
        endpoint_code: cluster.endpoint_code.clone(),
        tags: tags_of(params)?,
        content: cluster.content.clone(),
        replica_of: None,
        promoted: None,
        member: Some(Membership { cluster: cluster.id.clone(), tier }),
    };
    if let Some(date) = instance.timeline.enters("available") {
        call.here().rds_events.push(RdsEvent {
            date,
            source_type: "db-instance",
            source: instance.id.clone(),
            category: "creation",
            message: "DB instance created".to_owned(),
        });
    }
    call.here().instances.insert(instance.id.clone(), instance.clone());
    let view = View { state: call.state, place: &call.place, now };
    let mut x = Xml::new();
    x.nest("DBInstance", |x| view.instance(x, &instance));
    Ok(x)
}

fn settings_of(call: &Call<'_>, cluster: &Cluster) -> Result<Settings, AwsError> {
    let params = call.params();
    let (engine, class) = (params.need("Engine")?, params.need("DBInstanceClass")?);
    if engine != cluster.settings.engine {
        return Err(combination(format!(
            "The engine name requested for your DB instance ({engine}) doesn't match the engine name of your DB cluster ({}).",
            cluster.settings.engine
        )));
    }
    if class == SERVERLESS && cluster.settings.scaling.is_none() {
        return Err(wrong_state(
            "Set the Serverless v2 scaling configuration on the parent DB cluster before creating a Serverless v2 DB instance.",
        ));
    }
    let own = cluster.settings.of_member(&call.place);
    let text = |name: &str, otherwise: &str| params.get(name).unwrap_or(otherwise).to_owned();
    let mut settings = Settings {
        class: class.to_owned(),
        certificate: text("CACertificateIdentifier", &own.certificate),
        zone: text("AvailabilityZone", &own.zone),
        parameter_group: text("DBParameterGroupName", &own.parameter_group),
        publicly_accessible: params.flag("PubliclyAccessible").unwrap_or(false),
        ..own
    };
    monitoring(params, &mut settings)?;
    let group = parameter_group(call.state, &call.place, &settings.parameter_group)?;
    let needed = family(&settings.engine, &settings.version);
    if group.family != needed {
        return Err(combination(format!(
            "The Parameter Group {} with DBParameterGroupFamily {} cannot be used for this instance. Please use a Parameter Group with DBParameterGroupFamily {needed}",
            group.name, group.family
        )));
    }
    Ok(settings)
}
