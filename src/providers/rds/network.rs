//! Whether instances, also those of clusters, end up in the network in which they must be.

use crate::action::{StepContext, StepError};
use crate::client;
use crate::journal::{Check, Finding, Outcome, Severity};
use aws_sdk_rds::types::DbInstance;
use std::collections::BTreeSet;

/// The check of a restore that its instances cannot be reached from outside, or can.
const PUBLIC: &str = "publicly_accessible";

/// Looks, before anything is made, where the subnet group of the step is: data of production must not be in another VPC
/// for the minutes until somebody compares it.
///
/// # Errors
/// [`crate::journal::FailureClass::Recovery`] when it is in another VPC, or RDS does not say where.
pub(in crate::providers) async fn vpc_before(
    cx: &StepContext,
    vpc: Option<&str>,
    group: Option<&str>,
) -> Result<(), StepError> {
    let (Some(vpc), Some(group)) = (vpc, group) else { return Ok(()) };
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.describe_db_subnet_groups().db_subnet_group_name(group);
    let answer = cx.call("rds:DescribeDBSubnetGroups", || request.clone().send()).await?;
    let found = answer.db_subnet_groups().first().and_then(|group| group.vpc_id());
    match found {
        Some(found) => match in_another_vpc(&format!("subnet group {group}"), found, vpc) {
            None => Ok(()),
            Some(what) => {
                cx.check(Check::made("vpc", vpc, found, false)).await?;
                Err(StepError::recovery(what)
                    .help("nothing was made: name a subnet group of that VPC, or correct vpc:"))
            }
        },
        None => {
            let why = "RDS does not say in which VPC the subnet group is";
            cx.check(Check::not_made("vpc", vpc, why)).await?;
            Err(StepError::broken(format!("{why}: {group}")).help("nothing was made"))
        }
    }
}

/// Says that something is in another VPC than it must be.
pub(super) fn in_another_vpc(what: &str, found: &str, wanted: &str) -> Option<String> {
    (found != wanted).then(|| format!("the {what} is in {found} and not in {wanted}"))
}

/// Whether the instances are where they must be, all of them.
pub(in crate::providers) fn in_the_vpc(
    wanted: Option<&str>,
    instances: &[DbInstance],
) -> Option<Check> {
    let wanted = wanted?;
    let of = |instance: &DbInstance| Some(instance.db_subnet_group()?.vpc_id()?.to_owned());
    let found: Option<BTreeSet<String>> = instances.iter().map(of).collect();
    Some(match found.filter(|found| !found.is_empty()) {
        Some(found) => {
            let holds = found.iter().all(|vpc| vpc == wanted);
            Check::made("vpc", wanted, found.into_iter().collect::<Vec<_>>().join(", "), holds)
        }
        None => Check::not_made("vpc", wanted, "RDS does not say it of the instance"),
    })
}

/// In a drill nothing is reached from outside, also where the step asks for it: that a wish was granted does not pass.
pub(in crate::providers) fn closed_in_a_drill(
    cx: &StepContext,
    asked: bool,
    checks: Vec<Check>,
) -> Vec<Check> {
    let close = |check: Check| match cx.facts.is_drill && asked {
        true if check.name == PUBLIC && check.outcome != Outcome::Inconclusive => {
            let is_private = check.observed == "false";
            Check::made(PUBLIC, "false, in a drill", check.observed, is_private)
        }
        _ => check,
    };
    checks.into_iter().map(close).collect()
}

/// What a restore says about its network.
#[derive(Clone, Copy, Debug)]
pub(in crate::providers) struct NetworkOf {
    /// Codes of findings begin with it.
    pub(in crate::providers) code: &'static str,
    /// It names a subnet group.
    pub(in crate::providers) subnet_group: bool,
    /// It names security groups.
    pub(in crate::providers) security_groups: bool,
    /// It asks for an address that can be reached from outside.
    pub(in crate::providers) public: bool,
}

/// Writes down what a person should think about before data of production lies in that network.
///
/// # Errors
/// When the journal cannot be written.
pub(in crate::providers) async fn warn_of_network(
    cx: &StepContext,
    network: NetworkOf,
) -> Result<(), StepError> {
    for finding in doubts(network) {
        cx.finding(finding).await?;
    }
    Ok(())
}

fn doubts(network: NetworkOf) -> Vec<Finding> {
    let finding = |severity, code: &str, what: &str, why: &str, action: &str| Finding {
        severity,
        code: format!("{}.{code}", network.code),
        what: what.to_owned(),
        why: why.to_owned(),
        action: action.to_owned(),
    };
    let subnets = finding(
        Severity::Warning,
        "default_subnet_group",
        "the step names no subnet group, so RDS takes the default VPC",
        "the restored database may lie in a network that is not meant for it",
        "name the DB subnet group in subnet_group:, and its VPC in vpc:",
    );
    let groups = finding(
        Severity::Warning,
        "default_security_group",
        "the step names no security group, so RDS takes the default group of the VPC",
        "the restored database may be unreachable for its clients, or reachable for others",
        "name the groups in security_groups:",
    );
    let public = finding(
        Severity::Serious,
        "publicly_accessible",
        "the step asks for an address that can be reached from outside the VPC",
        "a restored copy holds the data of production, and what watches production does not watch it",
        "leave out publicly_accessible:, and reach the database from within its VPC",
    );
    let all = [
        (!network.subnet_group).then_some(subnets),
        (!network.security_groups).then_some(groups),
        network.public.then_some(public),
    ];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::fake::{FakeOutside, context};
    use aws_sdk_rds::types::DbSubnetGroup;

    #[test]
    fn an_instance_in_another_vpc_fails_and_one_that_does_not_say_where_verifies_nothing() {
        let instance = |vpc: &Option<&str>| {
            let group = DbSubnetGroup::builder().set_vpc_id(vpc.map(str::to_owned)).build();
            DbInstance::builder().db_subnet_group(group).build()
        };
        let in_vpc = |vpcs: &[Option<&str>]| {
            let instances: Vec<_> = vpcs.iter().map(instance).collect();
            in_the_vpc(Some("vpc-1"), &instances).unwrap().outcome
        };
        assert_eq!(in_vpc(&[Some("vpc-1"), Some("vpc-1")]), Outcome::Passed);
        assert_eq!(in_vpc(&[Some("vpc-1"), Some("vpc-2")]), Outcome::Failed);
        assert_eq!(in_vpc(&[Some("vpc-1"), None]), Outcome::Inconclusive);
        assert_eq!(in_vpc(&[]), Outcome::Inconclusive);
        assert!(in_the_vpc(None, &[]).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn regression_a_public_address_never_passes_in_a_drill() {
        let (mut cx, ..) = context(FakeOutside::default());
        let asked = || {
            let said = |name| Check::made(name, "true", "true", true);
            vec![said("multi_az"), said(PUBLIC)]
        };
        let outcomes = |cx: &StepContext, public, checks| {
            let checks = closed_in_a_drill(cx, public, checks);
            checks.into_iter().map(|check| check.outcome).collect::<Vec<_>>()
        };
        assert!(cx.facts.is_drill);
        assert_eq!(outcomes(&cx, true, asked()), [Outcome::Passed, Outcome::Failed]);
        let unsaid = vec![Check::not_made(PUBLIC, "true", "RDS does not say it of the instance")];
        assert_eq!(outcomes(&cx, true, unsaid), [Outcome::Inconclusive]);
        let private = vec![Check::made(PUBLIC, "false", "false", true)];
        assert_eq!(outcomes(&cx, false, private), [Outcome::Passed]);
        cx.facts =
            std::sync::Arc::new(crate::action::RunFacts { is_drill: false, ..(*cx.facts).clone() });
        assert_eq!(outcomes(&cx, true, asked()), [Outcome::Passed, Outcome::Passed]);
    }

    #[test]
    fn regression_a_default_network_and_a_public_address_are_pointed_out() {
        let codes = |subnet_group, security_groups, public| {
            let network = NetworkOf { code: "aurora", subnet_group, security_groups, public };
            doubts(network).into_iter().map(|one| (one.code, one.severity)).collect::<Vec<_>>()
        };
        assert_eq!(codes(true, true, false), []);
        assert_eq!(
            codes(false, false, true),
            [
                ("aurora.default_subnet_group".to_owned(), Severity::Warning),
                ("aurora.default_security_group".to_owned(), Severity::Warning),
                ("aurora.publicly_accessible".to_owned(), Severity::Serious),
            ]
        );
    }
}
