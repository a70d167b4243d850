//! Whether a restored volume is what was asked for: pure.

use super::restore_volume::RestoreVolumeInput;
use super::snapshot::{Snapshot, gibibytes};
use crate::journal::Check;
use aws_sdk_ec2::types::Volume;
use std::fmt::Display;

/// Compares what was restored with what was asked for and with the snapshot. What the answer does not say is not
/// verified; what was not asked for is not compared.
pub(super) fn compare(
    asked: &RestoreVolumeInput,
    snapshot: &Snapshot,
    volume: &Volume,
) -> Vec<Check> {
    let kind = volume.volume_type().map(|kind| kind.as_str());
    let mut checks = vec![
        same(
            "snapshot",
            &asked.snapshot.as_str(),
            volume.snapshot_id().filter(|id| !id.is_empty()),
        ),
        size(asked, snapshot, volume),
        same("volume_type", &asked.volume_type.as_str(), kind),
        same("availability_zone", &asked.availability_zone.as_str(), volume.availability_zone()),
        encrypted(asked, snapshot, volume),
    ];
    if let Some(key) = &asked.kms_key {
        checks.push(key_check(key, volume.kms_key_id()));
    }
    if let Some(iops) = asked.iops {
        checks.push(same("iops", &iops, volume.iops()));
    }
    if let Some(throughput) = asked.throughput {
        checks.push(same("throughput", &throughput, volume.throughput()));
    }
    checks
}

/// Equal, if it is known.
fn same<T: PartialEq + Display>(name: &str, expected: &T, observed: Option<T>) -> Check {
    match observed {
        Some(observed) => {
            let holds = *expected == observed;
            Check::made(name, expected.to_string(), observed.to_string(), holds)
        }
        None => Check::not_made(name, expected.to_string(), "EC2 does not say it of the volume"),
    }
}

/// A volume smaller than its snapshot cannot hold it.
fn size(asked: &RestoreVolumeInput, snapshot: &Snapshot, volume: &Volume) -> Check {
    let observed = gibibytes(volume.size());
    let least = asked.size.or(snapshot.size);
    match (least, observed) {
        (Some(least), Some(observed)) => {
            let holds = observed >= least && snapshot.size.is_none_or(|size| observed >= size);
            Check::made("size", format!(">= {least}"), observed.to_string(), holds)
        }
        (Some(least), None) => {
            Check::not_made("size", format!(">= {least}"), "EC2 does not say it of the volume")
        }
        (None, _) => {
            Check::not_made("size", "as the snapshot", "EC2 does not say it of the snapshot")
        }
    }
}

/// An encrypted snapshot makes an encrypted volume; an unencrypted one does when the step or the account asks for it.
fn encrypted(asked: &RestoreVolumeInput, snapshot: &Snapshot, volume: &Volume) -> Check {
    let wanted = asked.encrypted == Some(true) || asked.kms_key.is_some();
    let expected = if wanted { Some(true) } else { snapshot.encrypted };
    match (expected, volume.encrypted()) {
        (Some(true), Some(observed)) => {
            Check::made("encrypted", "true", observed.to_string(), observed)
        }
        // Encryption by default may have been switched on for the account: better than asked for.
        (Some(false), Some(observed)) => {
            Check::made("encrypted", "false or true", observed.to_string(), true)
        }
        (Some(expected), None) => {
            Check::not_made("encrypted", expected.to_string(), "EC2 does not say it of the volume")
        }
        (None, _) => {
            Check::not_made("encrypted", "as the snapshot", "EC2 does not say it of the snapshot")
        }
    }
}

/// EC2 answers with the ARN; an alias cannot be compared with it.
fn key_check(asked: &str, observed: Option<&str>) -> Check {
    let Some(observed) = observed else {
        return Check::not_made("kms_key", asked, "EC2 does not say it of the volume");
    };
    if asked.contains("alias/") {
        let why = format!("an alias cannot be compared with {observed}: give the key's ARN");
        return Check::not_made("kms_key", asked, why);
    }
    let holds = observed == asked || observed.ends_with(&format!("key/{asked}"));
    Check::made("kms_key", asked, observed, holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};
    use crate::time::ByteSize;
    use aws_sdk_ec2::types::VolumeType;
    use serde_json::json;
    use std::collections::BTreeMap;

    const KEY: &str = "arn:aws:kms:eu-west-1:111111111111:key/1234";

    fn asked() -> RestoreVolumeInput {
        serde_json::from_value(json!({
            "snapshot": "snap-1", "availability_zone": "eu-west-1a", "iops": 4000, "throughput": 250, "kms_key": "1234",
        }))
        .unwrap()
    }

    fn snapshot() -> Snapshot {
        Snapshot { size: Some(ByteSize(8 << 30)), encrypted: Some(true), ..Snapshot::default() }
    }

    fn restored() -> Volume {
        Volume::builder()
            .snapshot_id("snap-1")
            .size(8)
            .volume_type(VolumeType::Gp3)
            .availability_zone("eu-west-1a")
            .encrypted(true)
            .kms_key_id(KEY)
            .iops(4000)
            .throughput(250)
            .build()
    }

    fn outcomes(asked: &RestoreVolumeInput, volume: &Volume) -> BTreeMap<String, Outcome> {
        let checks = compare(asked, &snapshot(), volume);
        checks.into_iter().map(|check| (check.name, check.outcome)).collect()
    }

    #[test]
    fn a_volume_as_asked_for_passes_every_check() {
        let outcomes = outcomes(&asked(), &restored());
        assert_eq!(outcomes.len(), 8, "{outcomes:?}");
        assert!(outcomes.values().all(|outcome| *outcome == Passed), "{outcomes:?}");
    }

    #[test]
    fn every_kind_of_check_can_fail() {
        let other = Volume::builder()
            .snapshot_id("snap-2")
            .size(7)
            .volume_type(VolumeType::Gp2)
            .availability_zone("eu-west-1b")
            .encrypted(false)
            .kms_key_id("arn:aws:kms:eu-west-1:111111111111:key/5678")
            .iops(3000)
            .throughput(125)
            .build();
        let outcomes = outcomes(&asked(), &other);
        assert!(outcomes.values().all(|outcome| *outcome == Failed), "{outcomes:?}");
    }

    #[test]
    fn an_answer_that_says_nothing_verifies_nothing() {
        let outcomes = outcomes(&asked(), &Volume::builder().build());
        assert!(outcomes.values().all(|outcome| *outcome == Inconclusive), "{outcomes:?}");
    }

    #[test]
    fn a_larger_volume_is_fine_and_an_alias_is_not_taken_for_a_key() {
        let mut asked = asked();
        asked.size = Some(ByteSize(16 << 30));
        asked.kms_key = Some("alias/drill".into());
        let outcomes = outcomes(&asked, &restored());
        assert_eq!((outcomes["size"], outcomes["kms_key"]), (Failed, Inconclusive));
    }

    #[test]
    fn encryption_by_default_is_no_fault() {
        let mut asked = asked();
        asked.kms_key = None;
        let plain = Snapshot { encrypted: Some(false), ..snapshot() };
        assert_eq!(encrypted(&asked, &plain, &restored()).outcome, Passed);
        asked.encrypted = Some(true);
        let open = Volume::builder().encrypted(false).build();
        assert_eq!(encrypted(&asked, &plain, &open).outcome, Failed);
    }
}
