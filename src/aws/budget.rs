//! How many retries a site's services are given: a bucket of tokens for each, as in the SDKs' standard mode.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tokens that a bucket holds at most, and at the beginning. Like the costs below it is that of the SDKs' standard mode:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>, and `token_bucket.rs` of
/// `aws-smithy-runtime` 1.16.
const CAPACITY: u32 = 500;
/// What a retry after an error of a moment costs.
const COST: u32 = 14;
/// What a retry after throttling costs.
const COST_WHEN_THROTTLED: u32 = 5;
/// What every call that succeeds gives back; one that was retried gives back the cost of its last retry, too.
const REWARD: u32 = 1;

/// The retries that a site's services are given, by the service's prefix in IAM (`rds`). A service that answers nothing
/// else than errors uses its tokens up; then calls to it are not retried until some succeed.
#[derive(Debug, Default)]
pub struct RetryBudget(Mutex<BTreeMap<String, u32>>);

impl RetryBudget {
    fn buckets(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pays for a retry. The price, to be given back with [`RetryBudget::refund`] when the retry succeeds; `None` when
    /// the tokens do not suffice.
    pub fn pay(&self, operation: &str, throttled: bool) -> Option<u32> {
        let cost = if throttled { COST_WHEN_THROTTLED } else { COST };
        let mut buckets = self.buckets();
        let bucket = buckets.entry(service_of(operation)).or_insert(CAPACITY);
        *bucket = bucket.checked_sub(cost)?;
        Some(cost)
    }

    /// Gives back what a retry cost that succeeded.
    pub fn refund(&self, operation: &str, price: u32) {
        let mut buckets = self.buckets();
        let bucket = buckets.entry(service_of(operation)).or_insert(CAPACITY);
        *bucket = (*bucket + price).min(CAPACITY);
    }

    pub(super) fn reward(&self, operation: &str) {
        self.refund(operation, REWARD);
    }
}

fn service_of(operation: &str) -> String {
    operation.split(':').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_only_fails_is_not_retried_for_ever_and_others_are_not_held_up() {
        let budget = RetryBudget::default();
        let retries = (0..1000).filter(|_| budget.pay("rds:DescribeDBInstances", false).is_some());
        assert_eq!(retries.count(), 35);
        assert_eq!(budget.pay("rds:DescribeDBInstances", false), None);
        assert!(budget.pay("ec2:DescribeVolumes", false).is_some());
    }

    #[test]
    fn success_gives_back_what_the_last_retry_cost_and_never_more_than_there_was() {
        let budget = RetryBudget::default();
        while budget.pay("rds:A", true).is_some() {}
        (0..4).for_each(|_| budget.reward("rds:B"));
        assert_eq!(budget.pay("rds:A", true), None);
        budget.reward("rds:B");
        assert_eq!(budget.pay("rds:A", true), Some(5));
        (0..10_000).for_each(|_| budget.reward("rds:A"));
        let retries = (0..1000).filter(|_| budget.pay("rds:A", true).is_some());
        assert_eq!(retries.count(), 100);
    }
}
