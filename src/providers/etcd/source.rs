//! Where the snapshot of a step is, and the first look into it: the same for every action that reads one.

use super::fetch::{ObjectInput, Snapshot, download, open_file};
use crate::action::{Given, InputProblem, StepContext, StepError};
use crate::formats::etcd_snapshot::{Inspection, inspect, inspect_unpacked};
use crate::formats::packed::{Unpacked, packing_of, unpack_into_file};
use crate::journal::{Finding, Severity};
use crate::limits;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;

/// Who runs the cluster's etcd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Platform {
    /// You do: kubeadm, kOps, OpenShift, or etcd by itself.
    #[default]
    SelfManaged,
    /// k3s does, with its embedded etcd.
    K3s,
    /// RKE2 does, as k3s.
    Rke2,
    /// Amazon EKS does.
    Eks,
}

impl Platform {
    /// Whether servers start from what stands in the snapshot beside its objects, and are restored by a program of their own.
    pub(super) fn starts_from_bootstrap_data(self) -> bool {
        matches!(self, Self::K3s | Self::Rke2)
    }
}

/// What a step says of its snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) file: Option<&'a str>,
    pub(super) object: Option<&'a ObjectInput>,
    pub(super) platform: Platform,
}

impl Source<'_> {
    /// Opens the file, or copies the object.
    ///
    /// # Errors
    /// Those of the file or the call; [`crate::journal::FailureClass::Recovery`], with a finding, where nobody can take a
    /// snapshot.
    pub(super) async fn open(self, context: &StepContext) -> Result<Snapshot, StepError> {
        if self.platform == Platform::Eks {
            context.finding(no_snapshots_on_eks()).await?;
            return Err(StepError::recovery("Amazon EKS gives nobody access to etcd: there is no snapshot to read or restore")
                .help("verify a restore of the cluster's objects instead: Velero, or GitOps into a new cluster"));
        }
        match (self.file, self.object) {
            (Some(path), None) => open_file(path),
            (None, Some(object)) => download(context, object).await,
            _ => Err(StepError::broken("give either file: or object:")),
        }
    }
}

/// The control plane of Amazon EKS, etcd with it, is in an account of AWS:
/// <https://docs.aws.amazon.com/eks/latest/userguide/eks-architecture.html>
fn no_snapshots_on_eks() -> Finding {
    Finding {
        severity: Severity::Critical,
        code: "etcd.no_snapshot_on_eks".to_owned(),
        what: "the cluster runs on Amazon EKS, whose etcd nobody can take a snapshot of: control plane and etcd run in an \
               account of AWS"
            .to_owned(),
        why: "a recovery plan that counts on an etcd snapshot cannot be carried out".to_owned(),
        action: "back up the cluster's objects with Velero, or keep all of them in git, and drill \
                 the restore into a new cluster"
            .to_owned(),
    }
}

/// What is wrong with the place of a snapshot.
pub(super) fn problems(given: &Given) -> Vec<InputProblem> {
    let nowhere = given.has("object") && given.at.is_none();
    let problem = InputProblem::at("object", "object: no site says where the bucket is")
        .help("add at: with a site to the step");
    nowhere.then_some(problem).into_iter().chain(InputProblem::empty(given, "file")).collect()
}

/// What was seen of a snapshot, and its content, which lies in a file without a name where it had to be unpacked.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) inspection: Inspection,
    /// How it was unpacked, if it had to be.
    pub(super) unpacked: Option<Unpacked>,
    pub(super) content: Arc<File>,
    /// Bytes of the content.
    pub(super) length: u64,
}

/// Unpacks a snapshot where it is packed, and inspects it.
///
/// # Errors
/// When it cannot be read. What is wrong with its content stands in the inspection.
pub(super) async fn look(context: &StepContext, snapshot: &Snapshot) -> Result<Seen, StepError> {
    let length = snapshot.length;
    let file = snapshot.file.try_clone().map_err(|error| unreadable(&error))?;
    compute(context, move || {
        let mut file = file;
        if packing_of(&file, length)?.is_none() {
            let inspection = inspect(&file, length)?;
            return Ok(Seen { inspection, unpacked: None, content: Arc::new(file), length });
        }
        file.seek(SeekFrom::Start(0))?;
        let (content, unpacked) = unpack_into_file(&file, limits::ETCD_BYTES)?;
        let (inspection, length) = (inspect_unpacked(&content, &unpacked)?, unpacked.bytes);
        Ok(Seen { inspection, unpacked: Some(unpacked), content: Arc::new(content), length })
    })
    .await
}

/// Reads a snapshot. In a real run on a thread of its own, since it computes for seconds; in a rehearsal in place, since paused
/// time does not wait for threads.
///
/// # Errors
/// When it cannot be read.
pub(super) async fn compute<T: Send + 'static>(
    context: &StepContext,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StepError> {
    if context.clock.is_simulated() {
        return work().map_err(|error| unreadable(&error));
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StepError::broken(format!("the inspection did not end: {error}")))?
        .map_err(|error| unreadable(&error))
}

fn unreadable(error: &io::Error) -> StepError {
    StepError::broken(format!("the snapshot cannot be read: {error}"))
}
