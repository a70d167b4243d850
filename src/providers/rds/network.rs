//! Whether an instance ends up in the network in which it must be.

use super::wishes::Wishes;
use crate::action::{StepContext, StepError};
use crate::client;
use crate::journal::Check;
use aws_sdk_rds::types::DbInstance;

/// Looks, before anything is made, where the subnet group of the step is: data of production must not be in another VPC
/// for the minutes until somebody compares it.
///
/// # Errors
/// [`crate::journal::FailureClass::Recovery`] when it is in another VPC, or RDS does not say where.
pub(super) async fn vpc_before(cx: &StepContext, wishes: &Wishes) -> Result<(), StepError> {
    let (Some(vpc), Some(group)) = (&wishes.vpc, &wishes.subnet_group) else { return Ok(()) };
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.describe_db_subnet_groups().db_subnet_group_name(group);
    let answer = cx.call("rds:DescribeDBSubnetGroups", || request.clone().send()).await?;
    let found = answer.db_subnet_groups().first().and_then(|group| group.vpc_id());
    match found {
        Some(found) if found == vpc => Ok(()),
        Some(found) => {
            cx.check(Check::made("vpc", vpc, found, false)).await?;
            let what = format!("the subnet group {group} is in {found} and not in {vpc}");
            Err(StepError::recovery(what)
                .help("nothing was made: name a subnet group of that VPC, or correct vpc:"))
        }
        None => {
            let why = "RDS does not say in which VPC the subnet group is";
            cx.check(Check::not_made("vpc", vpc, why)).await?;
            Err(StepError::broken(format!("{why}: {group}")).help("nothing was made"))
        }
    }
}

/// Whether the instance is where it must be.
pub(super) fn in_the_vpc(wishes: &Wishes, instance: &DbInstance) -> Option<Check> {
    let wanted = wishes.vpc.as_ref()?;
    let found = instance.db_subnet_group().and_then(|group| group.vpc_id());
    Some(match found {
        Some(found) => Check::made("vpc", wanted, found, found == wanted),
        None => Check::not_made("vpc", wanted, "RDS does not say it of the instance"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;
    use aws_sdk_rds::types::DbSubnetGroup;
    use serde_json::json;

    #[test]
    fn an_instance_in_another_vpc_fails_and_one_that_does_not_say_where_verifies_nothing() {
        let wishes: Wishes =
            serde_json::from_value(json!({ "class": "c", "vpc": "vpc-1" })).unwrap();
        let in_vpc = |vpc: Option<&str>| {
            let group = DbSubnetGroup::builder().set_vpc_id(vpc.map(str::to_owned)).build();
            let instance = DbInstance::builder().db_subnet_group(group).build();
            in_the_vpc(&wishes, &instance).unwrap().outcome
        };
        assert_eq!(in_vpc(Some("vpc-1")), Outcome::Passed);
        assert_eq!(in_vpc(Some("vpc-2")), Outcome::Failed);
        assert_eq!(in_vpc(None), Outcome::Inconclusive);
        let without: Wishes = serde_json::from_value(json!({ "class": "c" })).unwrap();
        assert!(in_the_vpc(&without, &DbInstance::builder().build()).is_none());
    }
}
