use super::bootstrap::{self, WantedBootstrap};
use super::counts::WantedCount;
use super::decrypt::{self, DecryptInput};
use super::fetch::ObjectInput;
use super::inventory_judge::{Wanted, judged, soundness};
use super::inventory_output::{Counted, observed};
use super::source::{self, Platform, Seen, Source, compute, look};
use super::{by_hand, judge, trial_by_hand};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem, Phase,
    Probe, ProbeVerdict, SiteUse, StepContext, StepError,
};
use crate::expectation::{Expectation, ValueKind};
use crate::formats::etcd_snapshot::Soundness;
use crate::formats::etcd_snapshot::kubernetes::{
    KeptInventory, Tolerance, Tolerances, keys_of, take_inventory,
};
use crate::limits;
use crate::outside::{OutsideError, SecretFrom};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Counts what a stored etcd snapshot holds of a Kubernetes cluster.
pub(super) struct TakeInventory;

/// Which snapshot (a file or an object, not both), and what must be in it.
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
pub(super) struct InventoryInput {
    /// Path of a snapshot on this machine.
    #[serde(default)]
    file: Option<String>,
    /// A snapshot in S3, at the site of the step.
    #[serde(default)]
    object: Option<ObjectInput>,
    /// Who runs etcd. On `eks` nobody can take a snapshot, so the step fails and says what to do instead. On `k3s` and `rke2` the data from
    /// which servers start must be in it.
    #[serde(default)]
    platform: Platform,
    /// How many objects there must be of a resource.
    #[serde(default)]
    counts: Vec<CountInput>,
    /// Objects that must be there.
    #[serde(default)]
    exist: Vec<NamedInput>,
    /// An earlier inventory to compare with.
    #[serde(default)]
    baseline: Option<BaselineInput>,
    /// True when every secret must be encrypted at rest (default false).
    #[serde(default)]
    secrets_encrypted: bool,
    /// The encryption keys that the recovery kit holds, as `redrill etcd inventory` shows them (`aescbc:v1:key1`), or by their
    /// names alone (`key1`). Every key with which something is encrypted must be among them.
    #[serde(default)]
    recovery_kit: Option<Vec<String>>,
    /// A secret that the keys of the recovery kit must decrypt: the only proof that the key of that name is the right one.
    #[serde(default)]
    decrypt: Option<DecryptInput>,
    /// The file of the recovery kit with the server token of k3s or RKE2, on this machine: a copy of
    /// `/var/lib/rancher/k3s/server/token`. It must be the one with which the bootstrap data is encrypted. It is used in memory only, and
    /// never written down.
    #[serde(default)]
    #[schemars(extend("format" = SecretFrom::SERVER_TOKEN))]
    server_token: Option<String>,
}

/// How many objects there must be.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CountInput {
    /// The resource, in the plural, as `redrill etcd inventory` shows it: `pods`, `certificates.cert-manager.io`.
    resource: String,
    /// The namespace. Without it, all of them together.
    #[serde(default)]
    namespace: Option<String>,
    /// The number: `">= 3"`, `"10..20"`.
    expect: Value,
}

/// An object that must be there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedInput {
    /// The resource, in the plural: `deployments`, `certificates.cert-manager.io`.
    resource: String,
    /// The namespace; none for objects of the whole cluster.
    #[serde(default)]
    namespace: Option<String>,
    /// The name.
    name: String,
}

/// An earlier inventory, and how much may have changed since.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BaselineInput {
    /// The file that `redrill etcd inventory FILE --format json` has written.
    file: String,
    /// How much a count may change, for resources that `resources` does not name. Without it, nothing may.
    #[serde(default)]
    tolerance: ToleranceInput,
    /// How much the counts of certain resources may change, by their full names.
    #[serde(default)]
    resources: BTreeMap<String, ToleranceInput>,
    /// Resources that are not compared, such as `events`.
    #[serde(default)]
    ignore: Vec<String>,
    /// True when the snapshot must end at a later revision than the baseline (default false): at the same one it holds nothing new. At
    /// an earlier one the step fails in any case.
    #[serde(default)]
    moved_on: bool,
}

/// How much a count may change: by so many percent or so many objects, whichever allows more.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ToleranceInput {
    /// Percent of the earlier count.
    #[serde(default)]
    percent: u32,
    /// Objects.
    #[serde(default)]
    objects: u64,
}

impl From<ToleranceInput> for Tolerance {
    fn from(ToleranceInput { percent, objects }: ToleranceInput) -> Self {
        Self { percent, objects }
    }
}

impl BaselineInput {
    fn tolerances(&self) -> Tolerances {
        let resources = self.resources.iter().map(|(name, much)| (name.clone(), (*much).into()));
        Tolerances {
            default: self.tolerance.into(),
            resources: resources.collect(),
            ignored: self.ignore.iter().cloned().collect(),
        }
    }

    fn read(&self, context: &StepContext) -> Result<KeptInventory, StepError> {
        let bytes = context.outside.file(&self.file, limits::ETCD_INVENTORY_BYTES)?;
        KeptInventory::read(&bytes).map_err(|why| {
            StepError::broken(format!("baseline: {} is no inventory: {why}", self.file))
                .help("write one with redrill etcd inventory FILE --format json")
        })
    }
}

const ABOUT: &str = "\
Counts the Kubernetes objects in a snapshot by resource, group and namespace, and compares the counts with what the scenario \
expects, and with an earlier inventory of the same cluster: the best sign that a backup is of the right cluster and has what it \
should have. The snapshot is verified first, as `etcd.verify_snapshot` does: what is damaged is not counted, and a snapshot \
without objects is inconclusive.

It says how secrets are stored. A snapshot with encrypted secrets is worth nothing without the key that encrypted them: name those \
that the recovery kit holds (`recovery_kit`), and a key that is missing there fails the step. Servers of k3s and RKE2 \
start from data that lies beside the objects, encrypted with the server token: the authorities of the cluster, and the keys of its \
secrets. With `platform: k3s` or `rke2` it must be there, and not empty; with `server_token`, a file of the recovery kit, that token must \
be the one that it needs, as the name of the entry tells. It is not decrypted.

A name is no proof that the key is the right one: `decrypt` names a secret and the encryption configuration of the recovery kit, and \
the secret is decrypted with its keys in memory, as an API server would (`aescbc`, `aesgcm`, `secretbox`). The step fails when no key \
of the file decrypts it, or to something else than that secret. What a key management service has encrypted (`kms`) is ciphertext only, \
and inconclusive, as is a secret that is not encrypted. With `aescbc`, which authenticates nothing, a changed value is noticed by the \
SHA-256 of the snapshot only.

No value leaves the reader. Names of namespaces are withheld where the data class asks for it; those of objects are written down \
only as far as the scenario names them.";

impl Action for TakeInventory {
    type Input = InventoryInput;
    type Output = Counted;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "etcd.inventory",
            title: "Count what a stored etcd snapshot holds of a cluster",
            about: ABOUT,
            phase: Phase::Verify,
            site: SiteUse::Optional,
            timeout: Duration::from_secs(3600),
            effect: Effect::None,
            creates: &[],
            permissions: super::verify_snapshot::PERMISSIONS,
            checks: &[
                (
                    "packing",
                    "what the snapshot is packed in ends where it should, with its checksum",
                ),
                (
                    "sound snapshot",
                    "it is what etcd wrote, all of it could be read, and there is data in it",
                ),
                ("objects of Kubernetes", "there are some"),
                (
                    "objects readable",
                    "every object has a value, and one that begins as an API server stores objects: Protocol Buffers, JSON, CBOR, or encrypted",
                ),
                (
                    "RESOURCE, RESOURCE in NAMESPACE",
                    "as many objects as expected, for each of counts; where there are none, it passes only for who wants none, as with `= 0`, of \
                     a resource of Kubernetes or one that the snapshot has a definition of: the name may be written wrong",
                ),
                (
                    "RESOURCE NAMESPACE/NAME exists",
                    "the object is there and readable, for each of exist",
                ),
                (
                    "revision",
                    "with baseline: it is not before that of the baseline, with moved_on not the same either",
                ),
                ("baseline", "the counts are those of the baseline, within the tolerances"),
                ("secrets encrypted", "every secret is encrypted at rest, with secrets_encrypted"),
                (
                    "encryption keys in the recovery kit",
                    "every key that encrypts something is, with recovery_kit",
                ),
                (
                    "bootstrap data",
                    "with platform k3s or rke2, or server_token: the data from which a server starts is there, and not empty",
                ),
                (
                    "server token",
                    "with server_token: it is the one with which that data is encrypted",
                ),
                (
                    "secret NAMESPACE/NAME decrypts",
                    "a key of the encryption configuration decrypts it, to that secret, with decrypt",
                ),
            ],
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["snapshots made by etcd 3.4 and 3.5"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        context: &StepContext,
        input: InventoryInput,
    ) -> Result<Counted, StepError> {
        let wanted = wanted(context, &input)?;
        let read = |asked: &DecryptInput| Ok::<_, StepError>((asked.clone(), asked.read(context)?));
        let decrypt = input.decrypt.as_ref().map(read).transpose()?;
        let source = Source {
            file: input.file.as_deref(),
            object: input.object.as_ref(),
            platform: input.platform,
        };
        let snapshot = source.open(context).await?;
        let Seen { inspection, unpacked, content, length } = look(context, &snapshot).await?;
        if let Some(check) = unpacked.as_ref().and_then(judge::packing) {
            context.check(check).await?;
        }
        let broken = unpacked.as_ref().and_then(judge::broken_packing);
        context.check(soundness(&inspection)).await?;
        let is_whole = broken.is_none();
        let shown = |key: &str| context.data(key);
        for finding in broken.into_iter().chain(judge::findings(&inspection, &shown)) {
            context.finding(finding).await?;
        }
        let damaged = || StepError::recovery("the snapshot is damaged: nothing was counted");
        if let Soundness::Foreign(foreign) = inspection.soundness() {
            return Err(StepError::broken(foreign.what()).help(foreign.help()));
        }
        if !is_whole || inspection.soundness() == Soundness::Damaged {
            return Err(damaged());
        }
        let keys = wanted.keys();
        let file = Arc::clone(&content);
        let taken = compute(context, move || take_inventory(&*file, length, &keys)).await?;
        let inventory = taken.map_err(|why| StepError::broken(why.to_string()))?;
        let withheld = |namespace: &str| context.data(namespace);
        let judged = judged(&wanted, &inventory, &withheld);
        for check in judged.checks {
            context.check(check).await?;
        }
        for finding in judged.findings {
            context.finding(finding).await?;
        }
        if let Some((asked, file)) = decrypt {
            decrypt::prove(context, asked, file, (content, length), &inventory).await?;
        }
        Ok(observed(&inventory, &withheld))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let mut found = source::problems(given);
        for index in 0..given.count("counts") {
            let path = |field: &str| format!("counts.{index}.{field}");
            found.extend(InputProblem::empty(given, &path("resource")));
            if let Some(written) = given.known(&path("expect"))
                && let Err(why) = Expectation::parse(written, ValueKind::Number)
            {
                found.push(InputProblem::at(&path("expect"), format!("counts: expect: {why}")));
            }
        }
        for index in 0..given.count("exist") {
            let path = |field: &str| format!("exist.{index}.{field}");
            found.extend(InputProblem::empty(given, &path("resource")));
            found.extend(InputProblem::empty(given, &path("name")));
        }
        found.extend(InputProblem::empty(given, "baseline.file"));
        found.extend(InputProblem::empty(given, "server_token"));
        found.extend(decrypt::problems(given));
        found
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::before::grants(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        let mut probes = super::before::preflight(context, given).await;
        probes.extend(given.text("baseline.file").map(|path| baseline(context, path)));
        let file = given.text("decrypt.encryption_config");
        probes.extend(file.map(|path| decrypt::probe(context, path)));
        probes.extend(given.text("server_token").map(|path| bootstrap::probe(context, path)));
        probes
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        if by_hand::is_eks(input) { by_hand::on_eks() } else { trial_by_hand::inventory(input) }
    }
}

fn baseline(context: &StepContext, path: &str) -> Probe {
    let verdict = match context.outside.file(path, limits::ETCD_INVENTORY_BYTES) {
        Ok(bytes) => match KeptInventory::read(&bytes) {
            Ok(kept) => ProbeVerdict::works(format!("there, {} objects", kept.inventory.objects)),
            Err(why) => ProbeVerdict::fails(
                format!("it is no inventory: {why}"),
                "write one with redrill etcd inventory FILE --format json",
            ),
        },
        Err(error @ OutsideError::NotRehearsed(_)) => ProbeVerdict::Unknown(error.to_string()),
        Err(error) => ProbeVerdict::fails(
            error.to_string(),
            "write one with redrill etcd inventory FILE --format json, and look from where the drill is started",
        ),
    };
    Probe::new(format!("baseline {path}"), verdict)
}

/// What the input asks for, with everything read that it names.
fn wanted(context: &StepContext, input: &InventoryInput) -> Result<Wanted, StepError> {
    let counts = input.counts.iter().map(|count| {
        let expected = Expectation::parse(&count.expect, ValueKind::Number)
            .map_err(|why| StepError::broken(format!("counts: expect: {why}")))?;
        let (resource, namespace) = (count.resource.clone(), count.namespace.clone());
        Ok(WantedCount { resource, namespace, expected })
    });
    let exist = input.exist.iter().map(|named| {
        let namespace = named.namespace.as_deref().unwrap_or_default();
        let slash = if namespace.is_empty() { "" } else { "/" };
        let name = format!("{} {namespace}{slash}{}", named.resource, named.name);
        (name, keys_of(&named.resource, namespace, &named.name))
    });
    let baseline = input
        .baseline
        .as_ref()
        .map(|baseline| Ok::<_, StepError>((baseline.read(context)?, baseline.tolerances())));
    let token = input.server_token.as_ref().map(|path| bootstrap::names(context, path));
    Ok(Wanted {
        counts: counts.collect::<Result<_, StepError>>()?,
        exist: exist.collect(),
        baseline: baseline.transpose()?,
        moved_on: input.baseline.as_ref().is_some_and(|baseline| baseline.moved_on),
        secrets_encrypted: input.secrets_encrypted,
        recovery_kit: input.recovery_kit.clone(),
        bootstrap: WantedBootstrap {
            needed: input.platform.starts_from_bootstrap_data(),
            names: token.transpose()?,
        },
    })
}
