/// What a service makes beside a thing of a run by itself: no tags are on it, the ledger does not hold it, and it is not deleted
/// with that thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// What it is: `the log group /aws/rds/instance/NAME/postgresql`.
    pub what: String,
    /// Who makes it.
    pub service: &'static str,
    /// The command that deletes it.
    pub command: String,
}
