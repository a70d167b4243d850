use crate::action::{
    Found, HandInput, Listing, Permission, Reach, ResourceContext, ResourceKind, StepError,
};
use crate::ids::RunId;
use crate::journal::ResourceKey;
use crate::limits::EFFECT_NAME_BYTES;
use crate::outside::is_same_machine;
use crate::outside::trial::{FolderState, FolderWork, OwnFolder};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// The folder on this machine in which a run has restored an etcd: it holds every secret of the cluster. The ledger keeps its
/// path in the name.
pub(super) struct TrialFolder;

/// What stands in the ledger, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FolderName {
    pub(super) run: RunId,
    /// On which machine it is.
    pub(super) machine: String,
    pub(super) folder: String,
}

impl FolderName {
    /// As in the ledger.
    pub(super) fn written(&self) -> Result<String, StepError> {
        let text = serde_json::to_string(self).map_err(|e| StepError::broken(e.to_string()))?;
        if text.len() > EFFECT_NAME_BYTES {
            let text = format!("the path of the folder takes more than {EFFECT_NAME_BYTES} bytes");
            return Err(StepError::broken(text));
        }
        Ok(text)
    }

    fn read(key: &ResourceKey) -> Result<Self, StepError> {
        serde_json::from_str(&key.name)
            .map_err(|e| StepError::broken(format!("the ledger's entry cannot be read: {e}")))
    }

    pub(super) fn folder(&self) -> OwnFolder {
        OwnFolder::of(&self.folder, &self.run)
    }

    /// Does something with the folder.
    pub(super) async fn work(
        &self,
        context: &ResourceContext,
        work: FolderWork,
    ) -> Result<FolderState, StepError> {
        let here = context.outside.machine();
        if !is_same_machine(&self.machine, &here) {
            let text = format!("the folder is on the machine {}; this is {here}", self.machine);
            return Err(StepError::broken(text).help("remove it there"));
        }
        Ok(context.outside.own_folder(&self.folder(), work).await?)
    }
}

impl ResourceKind for TrialFolder {
    fn kind(&self) -> &'static str {
        "etcd.trial_folder"
    }

    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        Box::pin(async move {
            let name = FolderName::read(key)?;
            Ok(match name.work(context, FolderWork::Find).await? {
                FolderState::Gone => Found::Gone,
                FolderState::Ours => Found::Ours { id: name.folder, state: "there".to_owned() },
                FolderState::Foreign(why) => Found::Foreign { why, claimed: false },
            })
        })
    }

    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            match FolderName::read(key)?.work(context, FolderWork::Remove).await? {
                FolderState::Foreign(why) => {
                    Err(StepError::broken(format!("the folder is not of this run: {why}")))
                }
                FolderState::Ours | FolderState::Gone => Ok(()),
            }
        })
    }

    fn list<'a>(
        &'a self,
        _context: &'a ResourceContext,
        _place: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        let why = "folders of a machine are known to the journal of their run only";
        Box::pin(std::future::ready(Ok(Listing::Impossible(why))))
    }

    fn command(&self, key: &ResourceKey, _id: Option<&str>, _region: &str) -> String {
        match FolderName::read(key) {
            Ok(name) => format!(
                "rm -rf -- {}    # on the machine {}",
                HandInput::quote(&name.folder),
                name.machine
            ),
            Err(_) => format!("# remove the folder that the journal names: {}", key.name),
        }
    }

    fn is_temporary(&self) -> bool {
        true
    }

    fn reach(&self) -> Reach {
        Reach::Folder
    }

    fn permissions(&self) -> &'static [Permission] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SiteName;
    use crate::outside::fake::{FakeOutside, context};

    #[tokio::test(start_paused = true)]
    async fn a_folder_of_another_machine_is_not_called_gone() {
        let (context, ..) = context(FakeOutside::default());
        let of = |machine: &str| {
            let (run, folder) = (RunId::new("orders-0001"), "/tmp/redrill-a".to_owned());
            let name = FolderName { run, machine: machine.to_owned(), folder }.written().unwrap();
            ResourceKey { kind: TrialFolder.kind().to_owned(), name, site: SiteName::new("dr") }
        };
        let error = TrialFolder.find(&context, &of("host-b"), None).await.unwrap_err();
        assert!(error.to_string().contains("on the machine host-b; this is this machine"));
        let command = TrialFolder.command(&of("host-b"), None, "");
        assert_eq!(command, "rm -rf -- /tmp/redrill-a    # on the machine host-b");
        // Here, it is looked for, by a world that knows nothing of folders.
        let error = TrialFolder.find(&context, &of("this machine"), None).await.unwrap_err();
        assert_eq!(error.class(), crate::journal::FailureClass::NotRehearsed);
    }
}
