use super::choice::words;
use super::describing::snapshots;
use super::finding::{FindSnapshotInput, FindSnapshotOutput};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, Proof, SiteUse, StepContext, StepError,
};
use crate::providers::backups::search_problems;
use std::time::Duration;

/// `rds.find_snapshot`: the newest usable recovery point of an instance in the region of the step's site.
pub(super) struct FindSnapshot;

impl Action for FindSnapshot {
    type Input = FindSnapshotInput;
    type Output = FindSnapshotOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "rds.find_snapshot",
            title: "Find the newest usable snapshot of the instance",
            about: "Lists every snapshot of the instance in the region of the step's site (automated, manual, AWS Backup's, \
                    copies) and chooses the one with the newest data that is available and whose key is enabled. The \
                    source instance is never asked: it may be gone.\n\nThe time of a snapshot is the time of its data \
                    (`SnapshotDatabaseTime`, else `OriginalSnapshotCreateTime`, else what a tag says that was written \
                    before the loss), never the time of a copy. Gap and retention are judged without the snapshots \
                    that somebody took by hand, unless there are no others. Aurora cluster snapshots are not looked \
                    for. That a key is enabled does not prove that its policy allows the restore: only restoring does.",
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(300),
            effect: Effect::None,
            creates: &[],
            permissions: &[
                Permission { action: "rds:DescribeDBSnapshots", why: "list the snapshots" },
                Permission {
                    action: "rds:DescribeDBEngineVersions",
                    why: "see whether the engine version is still offered",
                },
                Permission { action: "kms:DescribeKey", why: "see whether their keys are enabled" },
            ],
            checks: &[
                ("usable recovery point", "at least one snapshot can be restored here"),
                ("time of the data", "RDS says how old the data in the chosen snapshot is"),
                ("encryption key", "the key of the chosen snapshot exists and is enabled here"),
                ("engine version offered", "RDS still offers the version of the engine here"),
                ("age", "the data is not older than max_age"),
            ],
            populations: &[
                ("copies", "usable_snapshots"),
                ("worst_gap", "usable_snapshots"),
                ("retention", "usable_snapshots"),
                ("copy_lag", "usable_snapshots"),
                ("worst_case", "usable_snapshots"),
            ],
            proves: &[Proof::RecoveryPointOfBackup { kept_at: "", unless: None }],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5 with PostgreSQL 15"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: FindSnapshotInput,
    ) -> Result<FindSnapshotOutput, StepError> {
        let sought = input.sought();
        let snapshots = snapshots(cx, &sought).await?;
        input.chosen(cx, &snapshots, &words(&sought)).await
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        search_problems(given, "of")
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::find_snapshot(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::find_snapshot(self, context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::find_snapshot_by_hand::by_hand(input)
    }
}
