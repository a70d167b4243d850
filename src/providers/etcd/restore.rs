use super::fetch::ObjectInput;
use super::inventory_judge::soundness;
use super::restore_judge::{self, Part};
use super::restore_version;
use super::source::{self, Platform, Seen, Source, look};
use super::trial_folder::{FolderName, TrialFolder};
use super::{by_hand, judge, notes, trial_by_hand};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Found, Given, Grant, HandInput, InputProblem,
    Phase, Probe, ProbeVerdict, ResourceKind, SiteUse, StepContext, StepError, own,
};
use crate::formats::etcd_snapshot::Soundness;
use crate::journal::{Check, ClockPoint, Event, ResourceKey};
use crate::outside::OutsideError;
use crate::outside::trial::{FolderState, FolderWork, TrialRequest, Tried};
use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// Restores a stored etcd snapshot into an etcd of its own, and removes that.
pub(super) struct Restore;

/// Which snapshot (a file or an object, not both), and how it is tried.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "not" = { "required": ["file", "object"] },
    "anyOf" = [
        { "required": ["file"], "description": "file: PATH" },
        { "required": ["object"], "description": "object: { bucket, key }" },
        {
            "required": ["platform"],
            "properties": { "platform": { "const": "eks" } },
            "description": "platform: eks"
        }
    ]
))]
pub(super) struct RestoreInput {
    /// Path of a snapshot on this machine.
    #[serde(default)]
    file: Option<String>,
    /// A snapshot in S3, at the site of the step.
    #[serde(default)]
    object: Option<ObjectInput>,
    /// Who runs etcd. On `eks` nobody can take a snapshot, so the step fails and says what to do instead.
    #[serde(default)]
    platform: Platform,
    /// How many members are restored: 1 (default) or 3.
    #[serde(default = "one")]
    #[schemars(extend("enum" = [1, 3]))]
    pub(super) members: u32,
    /// The folder of etcd's programs on this machine (etcd, etcdctl, and etcdutl from 3.5 on). Without it, they are looked for in
    /// the PATH. They should be of the version of the cluster's etcd.
    #[serde(default)]
    programs: Option<String>,
    /// The folder in which the step makes its own (default: that for temporary files). It needs room for the snapshot, and for
    /// as much again for each member.
    #[serde(default)]
    folder: Option<String>,
    /// Keys that must be there after the restore, such as `/registry/namespaces/payments`.
    #[serde(default)]
    pub(super) keys: Vec<String>,
    /// How long the members may take until they answer (default 2m).
    #[serde(default = "two_minutes")]
    ready_within: HumanDuration,
    /// Restores as a recovery would where anything goes on with what it remembers of the old cluster: with `--bump-revision` of so many
    /// revisions and `--mark-compacted`. More than the cluster makes between two snapshots: 1000000000 is usual. By 1 it would leave a mark
    /// that cannot be told from a change that has lost its value.
    #[serde(default)]
    #[schemars(range(min = 2, max = 1_000_000_000_000_u64))]
    pub(super) bump_revision: Option<u64>,
}

fn one() -> u32 {
    1
}

fn two_minutes() -> HumanDuration {
    HumanDuration(Duration::from_secs(120))
}

/// What a restore has shown.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct RestoreOutput {
    /// The version of etcd that was started.
    pub(super) etcd_version: String,
    /// The program that restored: `etcdutl`, or `etcdctl` before 3.5.
    pub(super) tool: String,
    /// Whether it knows `--bump-revision` and `--mark-compacted`.
    pub(super) knows_bump_revision: bool,
    /// The revision to which `bump_revision` has moved the members.
    pub(super) moved_to: Option<i64>,
    /// How many members were restored.
    pub(super) members: u32,
    /// The revision of the last change, or of the compaction that has thrown that change away.
    pub(super) revision: i64,
    /// Keys that the restored etcd counts.
    pub(super) keys: u64,
    /// HashKV of the members at that revision, or at that to which they were moved, in hexadecimal, where all agree.
    pub(super) hash_kv: Option<String>,
    /// How long restoring all members took.
    pub(super) restore_took: HumanDuration,
    /// How long starting them took, until each of them answered.
    pub(super) start_took: HumanDuration,
    /// Both together: what restoring this snapshot costs of the RTO, on this machine.
    pub(super) took: HumanDuration,
}

const ABOUT: &str = "\
Restores the snapshot with etcd's own programs into a folder of its own, starts an etcd of one or three members there, and asks it: \
every member's HashKV must be the one that is computed from the snapshot, the count of keys at its revision the same, and the keys that \
are named must be there. Then everything is stopped and removed. How long restoring and starting took is measured: that is \
this snapshot's part of the RTO, on this machine.

The snapshot is verified first, as `etcd.verify_snapshot` does; one that is damaged is not restored. The folder is private, stands in \
the ledger before it is made, and is removed in every mode, after a crash too: it holds every secret of the cluster. The members \
listen on sockets in that folder and on no port, so that no other user of the machine can ask them. They are killed when the step is \
given up, and when this program ends, however it does.

The restored members are those of the snapshot as it is, their whole history compared. A real recovery needs `--bump-revision` and \
`--mark-compacted` where anything goes on with what it remembers of the old cluster: with `bump_revision` the members are restored so. \
Then every member must be at the revision of the snapshot's last change and so many more, and call all before it compacted; what is \
compared is what that leaves: every living key with its value, its version, its lease, and the revisions at which it was made and last \
changed, in one hash that is computed from the snapshot. Whether the program knows both options, it is asked itself (`snapshot restore \
--help`): they came with 3.6, 3.5.10 and 3.4.27. One that does not know them is a finding; it restores the snapshot as it is, and with \
`bump_revision` the step is inconclusive. Where etcd asks for a password (authentication was enabled), nothing can be asked: that is \
inconclusive. So it is where a program is killed, as the system does when memory is short, or finds no room: that says nothing of the \
snapshot. Programs of another minor version than the snapshot names, of its cluster or of the layout of its data, are a finding: etcd \
starts from data of its own version or of the one before, so that a member of theirs that does not start is inconclusive, too.

What is not proven: that an API server starts from it, and that the hosts of the control plane are as fast as this machine. On Amazon EKS \
there is no snapshot, since AWS runs the control plane: restore the cluster's objects with Velero or GitOps instead, as a step of its own.";

const CHECKS: &[(&str, &str)] = &[
    ("packing", "what the snapshot is packed in ends where it should, with its checksum"),
    ("sound snapshot", "it is what etcd wrote, all of it could be read, and there is data in it"),
    ("restored", "etcd's own program restores it for every member, with its digest verified"),
    (
        "members answer",
        "every member starts, and answers a read to which a majority agrees; inconclusive where one does not, and the programs are of \
         another version than the snapshot",
    ),
    (
        "moved forward",
        "with bump_revision: every member is so many revisions behind the last one of the snapshot",
    ),
    ("history compacted", "with bump_revision: every member calls what was before that compacted"),
    ("HashKV", "every member has the number that is computed from the snapshot"),
    (
        "keys",
        "etcd counts as many keys as there are in the snapshot, at its revision: leases may run out meanwhile",
    ),
    ("key NAME", "the key is there, for each of keys"),
];

impl Action for Restore {
    type Input = RestoreInput;
    type Output = RestoreOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "etcd.restore",
            title: "Restore a stored etcd snapshot into an etcd of its own, and remove it",
            about: ABOUT,
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(3600),
            effect: Effect::Own,
            creates: &["etcd.trial_folder"],
            permissions: super::verify_snapshot::PERMISSIONS,
            checks: CHECKS,
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["etcd 3.4 and 3.5, one and three members"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        context: &StepContext,
        input: RestoreInput,
    ) -> Result<RestoreOutput, StepError> {
        let source = Source {
            file: input.file.as_deref(),
            object: input.object.as_ref(),
            platform: input.platform,
        };
        let snapshot = source.open(context).await?;
        let seen = look(context, &snapshot).await?;
        let sound = verified(context, &seen).await?;
        let (name, key) = made(context, &input).await?;
        let request = TrialRequest {
            step: context.step.clone(),
            folder: name.folder(),
            snapshot: seen.content.clone(),
            length: seen.length,
            members: input.members,
            programs: input.programs.clone(),
            ready_within: input.ready_within.0,
            bump_revision: input.bump_revision,
        };
        let trial = Trial { context, input: &input, seen: &seen, sound };
        let tried = trial.run(&request).await;
        // Whatever came out: a copy of the cluster is not left lying until the run ends.
        let removed = removed(context, &key).await;
        let output = tried?;
        removed?;
        Ok(output)
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let mut found = source::problems(given);
        found.extend(InputProblem::empty(given, "programs"));
        let folder = given.text("folder").filter(|path| !Path::new(path).is_absolute());
        found.extend(folder.map(|_| {
            InputProblem::at("folder", "folder: must be an absolute path")
                .help("the folder stands in the ledger, and is found again from anywhere")
        }));
        found.extend(InputProblem::no_time(given, "ready_within"));
        found.extend(InputProblem::beyond_the_step(given, "ready_within"));
        found
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::before::grants(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        let mut probes = super::before::preflight(context, given).await;
        let path = given.text("programs");
        let program = |name: &str| {
            let verdict = match context.outside.program(name, path) {
                Ok(found) => ProbeVerdict::works(format!("{} may be run", found.display())),
                Err(OutsideError::NotRehearsed(_)) => {
                    ProbeVerdict::NotBefore("a rehearsal runs no program".to_owned())
                }
                Err(error) => ProbeVerdict::fails(error.to_string(), INSTALL),
            };
            Probe::new(format!("program {name}"), verdict)
        };
        probes.extend(["etcd", "etcdctl"].map(program));
        probes
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        if by_hand::is_eks(input) { by_hand::on_eks() } else { trial_by_hand::restore(input) }
    }
}

const INSTALL: &str = "install the programs of the cluster's version of etcd where the drill is started (Debian: etcd-server and \
                       etcd-client; or the release of etcd, https://github.com/etcd-io/etcd/releases), or name their folder in programs:";

/// Writes down what the snapshot is worth by itself; true when it is sound.
///
/// # Errors
/// When it is damaged: then nothing is restored.
async fn verified(context: &StepContext, seen: &Seen) -> Result<bool, StepError> {
    if let Some(check) = seen.unpacked.as_ref().and_then(judge::packing) {
        context.check(check).await?;
    }
    context.check(soundness(&seen.inspection)).await?;
    let broken = seen.unpacked.as_ref().and_then(judge::broken_packing);
    let is_whole = broken.is_none();
    let shown = |key: &str| context.data(key);
    let (found, notes) =
        (judge::findings(&seen.inspection, &shown), notes::notes(&seen.inspection));
    for finding in broken.into_iter().chain(found).chain(notes) {
        context.finding(finding).await?;
    }
    if let Soundness::Foreign(foreign) = seen.inspection.soundness() {
        return Err(StepError::broken(foreign.what()).help(foreign.help()));
    }
    match seen.inspection.soundness() {
        soundness if is_whole && soundness != Soundness::Damaged => {
            Ok(soundness == Soundness::Sound)
        }
        _ => Err(StepError::recovery("the snapshot is damaged: it was not restored")),
    }
}

/// Makes the folder, or makes an earlier attempt's anew.
async fn made(
    context: &StepContext,
    input: &RestoreInput,
) -> Result<(FolderName, ResourceKey), StepError> {
    let parent = input.folder.clone().unwrap_or_else(|| context.outside.temporary_folder());
    let folder = Path::new(&parent).join(context.name_of_mine(100)).to_string_lossy().into_owned();
    let (run, machine) = (context.facts.run.clone(), context.outside.machine());
    let name = FolderName { run, machine, folder };
    let (key, _) = own(context, &TrialFolder, name.written()?, || make(context, &name)).await?;
    // One that an earlier attempt has made may hold half a restore.
    make(context, &name).await?;
    Ok((name, key))
}

async fn make(context: &StepContext, name: &FolderName) -> Result<String, StepError> {
    match name.work(context, FolderWork::Make).await? {
        FolderState::Ours => Ok(name.folder.clone()),
        FolderState::Foreign(why) => Err(StepError::broken(format!(
            "there is something at {} that is not of this run: {why}",
            name.folder
        ))),
        FolderState::Gone => Err(StepError::broken("the folder was not made")),
    }
}

async fn removed(context: &StepContext, key: &ResourceKey) -> Result<(), StepError> {
    TrialFolder.remove(context, key, "").await?;
    if TrialFolder.find(context, key, None).await? == Found::Gone {
        let (how, calls) = ("deleted".to_owned(), Vec::new());
        let released = Event::ResourceReleased { key: key.clone(), how, calls };
        context.recorder.record(released).await?;
    }
    Ok(())
}

/// One restore.
pub(super) struct Trial<'a> {
    pub(super) context: &'a StepContext,
    pub(super) input: &'a RestoreInput,
    pub(super) seen: &'a Seen,
    sound: bool,
}

impl Trial<'_> {
    async fn run(&self, request: &TrialRequest) -> Result<RestoreOutput, StepError> {
        let context = self.context;
        let opened = context.outside.trial_etcd(request).await;
        let mut etcd = opened.map_err(|error| {
            let is_missing = !matches!(error, OutsideError::NotRehearsed(_));
            let error = StepError::from(error);
            if is_missing { error.help(INSTALL) } else { error }
        })?;
        let programs = etcd.programs().clone();
        let facts = self.seen.inspection.cluster.as_ref();
        let versions = restore_version::other_version(&programs, facts);
        let other = versions.clone().map(restore_version::finding);
        for finding in other.into_iter().chain(restore_judge::about(&programs)) {
            context.finding(finding).await?;
        }
        let versions = versions.as_deref();
        let began = context.clock.elapsed();
        context.progress(&format!("restoring {} members", self.input.members));
        self.went(Part::Restoring, etcd.restore().await, versions).await?;
        let restored = context.clock.elapsed();
        context.progress("waiting until the members answer");
        self.went(Part::Starting, etcd.start().await, versions).await?;
        let started = context.clock.elapsed();
        let now = context.clock.now();
        context.reached(ClockPoint::ResourceAvailable, now, "every member answers").await?;
        let output = self.ask(&mut *etcd, programs).await?;
        let now = context.clock.now();
        context.reached(ClockPoint::DataReadable, now, "etcd counts its keys").await?;
        etcd.stop().await?;
        Ok(RestoreOutput {
            restore_took: HumanDuration(restored.saturating_sub(began)),
            start_took: HumanDuration(started.saturating_sub(restored)),
            took: HumanDuration(started.saturating_sub(began)),
            ..output
        })
    }

    /// Writes down how a part of the work ended.
    async fn went(
        &self,
        part: Part,
        tried: Result<Tried, OutsideError>,
        versions: Option<&str>,
    ) -> Result<(), StepError> {
        let (name, expected) = (part.name(), part.expected());
        let shown = |said: &str| self.context.data(said);
        let tried = match tried {
            Ok(tried) => tried,
            Err(error) => {
                let why = shown(&error.to_string());
                self.context.check(Check::not_made(name, expected, why)).await?;
                return Err(error.into());
            }
        };
        let check = restore_judge::went(part, &tried, self.sound, versions, &shown);
        self.context.check(check).await?;
        let Tried::Refused(said) = tried else { return Ok(()) };
        if part.proves_nothing(self.sound, versions.is_some()) {
            let said = restore_judge::refused(&shown(&said), versions);
            let help = match part {
                Part::Starting => restore_version::HELP,
                Part::Restoring => {
                    "look for room in the folder, and at the version of the programs"
                }
            };
            return Err(StepError::broken(format!("{name}: no: {said}")).help(help));
        }
        let text = format!("{name}: no: {}", shown(&said));
        self.context.finding(restore_judge::not_restorable(name, &shown(&said))).await?;
        Err(StepError::recovery(text))
    }
}
