use super::access::{Access, Statement, document};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Where `redrill run --store` keeps journals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePlace {
    /// The partition, as ARNs name it: `aws`.
    pub partition: &'static str,
    /// The bucket.
    pub bucket: String,
    /// Without slashes at its ends; empty for none.
    pub prefix: String,
}

const NOTE: &str = "the journal's store is reached with the identity that starts redrill, not with the sites' roles; nothing is ever deleted \
     there. A bucket that is encrypted with a KMS key of yours needs kms:GenerateDataKey and kms:Decrypt on it, too";

impl StorePlace {
    /// What keeping and resuming need: `PutObject` and `GetObject` below the prefix, lists of it, and the bucket's region, which must
    /// not be one that is lost. Reaping only reads. A condition on `s3:prefix` limits lists only
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html>).
    fn statements(&self, objects: &[&'static str]) -> [Statement; 3] {
        let Self { partition, bucket, prefix } = self;
        let bucket = format!("arn:{partition}:s3:::{bucket}");
        let below = if prefix.is_empty() { "*".to_owned() } else { format!("{prefix}/*") };
        let statement = |sid: &str, actions: &[&'static str], on: String| Statement {
            sid: sid.to_owned(),
            actions: actions.iter().copied().collect(),
            resources: BTreeSet::from([on]),
            condition: Map::new(),
        };
        let mut list = statement("StoreList", &["s3:ListBucket"], bucket.clone());
        if !prefix.is_empty() {
            list.condition.insert("StringLike".to_owned(), json!({ "s3:prefix": below }));
        }
        [
            statement("StoreObjects", objects, format!("{bucket}/{below}")),
            list,
            statement("StoreRegion", &["s3:GetBucketLocation"], bucket),
        ]
    }
}

impl Access {
    /// Adds what the identity that starts the program needs of the store in which journals are kept.
    #[must_use]
    pub fn keeping_journals_in(self, store: &StorePlace) -> Self {
        self.using(store, &["s3:GetObject", "s3:PutObject"])
    }

    /// The same, where they are read and none is kept.
    #[must_use]
    pub fn reading_journals_in(self, store: &StorePlace) -> Self {
        self.using(store, &["s3:GetObject"])
    }

    fn using(mut self, store: &StorePlace, objects: &[&'static str]) -> Self {
        let more = store.statements(objects);
        let policy = self.runner.policy.get_or_insert_with(|| document(&[]));
        if let Some(statements) = policy["Statement"].as_array_mut() {
            statements.extend(more.iter().map(Statement::json).collect::<Vec<Value>>());
        }
        self.notes.push(NOTE.to_owned());
        self
    }
}
