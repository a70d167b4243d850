//! Enhanced Monitoring: no restore can ask for it, so it is turned on afterwards.

use super::db_instance::INSTANCES;
use super::fidelity::{Progress, progress_of};
use super::restoring::ended;
use super::wishes::Wishes;
use crate::action::{Look, StepContext, StepError, WaitPlan};
use crate::client;
use aws_sdk_rds::types::DbInstance;
use std::time::Duration;

const EXPECTED: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(3600);

/// The instance with the monitoring that the step wishes for; as it is without a wish.
///
/// # Errors
/// Those of `rds:ModifyDBInstance` and of the wait.
pub(super) async fn turn_on(
    cx: &StepContext,
    name: &str,
    wishes: &Wishes,
    instance: DbInstance,
) -> Result<DbInstance, StepError> {
    let Some(monitoring) = &wishes.monitoring else { return Ok(instance) };
    let seconds = monitoring.seconds();
    if instance.monitoring_interval() == Some(seconds) {
        return Ok(instance);
    }
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client
        .modify_db_instance()
        .db_instance_identifier(name)
        .monitoring_interval(seconds)
        .monitoring_role_arn(&monitoring.role)
        .apply_immediately(true);
    cx.call("rds:ModifyDBInstance", || request.clone().send()).await?;
    let plan = WaitPlan::new("monitoring on", EXPECTED, LONGEST);
    let judge = |found: Option<DbInstance>, _| {
        let gone = || StepError::recovery(format!("the instance {name} disappeared"));
        let instance = found.ok_or_else(gone)?;
        let status = instance.db_instance_status().unwrap_or("no status").to_owned();
        match progress_of(&status) {
            Progress::Ready if instance.monitoring_interval() == Some(seconds) => {
                Ok(Look::Ready(instance))
            }
            Progress::Ready | Progress::UnderWay => Ok(Look::NotYet(status)),
            Progress::Ended => Err(ended(name, &status)),
        }
    };
    cx.wait_together(&plan, &INSTANCES, name, judge).await
}
