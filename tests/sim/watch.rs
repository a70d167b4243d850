//! The wire between the SDK's clients and the estate, watched: what is asked, by whom, of what; and the places at which a
//! process dies between an effect and its record.
//!
//! Main type: [`Watch`]. It judges while it looks: a changing request must name something of the run whose intent is on
//! disk already, and a lost site must not be called at all.

use super::disk::Disk;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use redrill::sandbox::World;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The first part of the name of everything that the simulated runs make.
pub(crate) const RUN: &str = "sim-0001-abcdef";

/// A run that asks more often than this does not end.
const TOO_MANY: usize = 20_000;

/// The operations that make something.
const MAKES: [&str; 11] = [
    "ec2:CopySnapshot",
    "ec2:CreateVolume",
    "rds:CopyDBClusterSnapshot",
    "rds:CopyDBSnapshot",
    "rds:CreateDBInstance",
    "rds:PromoteReadReplica",
    "rds:RestoreDBClusterFromSnapshot",
    "rds:RestoreDBClusterToPointInTime",
    "rds:RestoreDBInstanceFromDBSnapshot",
    "rds:RestoreDBInstanceToPointInTime",
    "s3:PUT",
];

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// As in IAM: `rds:DeleteDBInstance`; for S3 the method: `s3:PUT`.
    pub(crate) operation: String,
    /// What it names.
    pub(crate) target: String,
    pub(crate) changes: bool,
    /// The status of the answer; none when no answer arrived.
    pub(crate) status: Option<u16>,
    /// The id of the volume that was made.
    pub(crate) made: Option<String>,
}

/// Where the process dies at a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    /// The n-th request of the process, from 1.
    pub(crate) nth: usize,
    /// After the effect, before the answer arrives; else before the request leaves.
    pub(crate) after: bool,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    /// How many requests this process has made.
    of_process: usize,
    death: Option<Death>,
    /// The changing request (from 1) that arrives twice.
    twice: Option<usize>,
    changes: usize,
    /// The changing request (from 1) after which a person ends the run.
    cancel_at: Option<usize>,
    wrong: Vec<String>,
    died_at: Option<String>,
}

/// Watches the requests of a run, over all its processes. Clones share one state.
#[derive(Clone)]
pub(crate) struct Watch {
    state: Arc<Mutex<State>>,
    /// Told when the process dies at a request.
    pub(crate) died: Arc<Notify>,
    /// Told when a person ends the run.
    pub(crate) cancelled: Arc<Notify>,
    world: World,
    /// The same estate, untouched.
    twin: World,
    disk: Disk,
    /// Account and region of the sites that the plan loses.
    lost: Arc<BTreeSet<(String, String)>>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    pub(crate) fn new(
        (world, twin): (World, World),
        disk: Disk,
        lost: BTreeSet<(String, String)>,
        twice: Option<usize>,
        cancel_at: Option<usize>,
    ) -> Self {
        let state = Arc::new(Mutex::new(State { twice, cancel_at, ..State::default() }));
        let (died, cancelled) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        Self { state, died, cancelled, world, twin, disk, lost: Arc::new(lost) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new process begins, which may die at a request.
    pub(crate) fn begin_process(&self, death: Option<Death>) {
        let mut state = self.state();
        state.of_process = 0;
        state.death = death;
        state.died_at = None;
    }

    /// The operation at which the process has died, if it did.
    pub(crate) fn died_at(&self) -> Option<String> {
        self.state().died_at.clone()
    }

    /// All requests, and what was wrong with them.
    pub(crate) fn result(&self) -> (Vec<Seen>, Vec<String>) {
        let state = self.state();
        (state.seen.clone(), state.wrong.clone())
    }

    /// The client that the run uses.
    pub(crate) fn client(&self) -> SharedHttpClient {
        SharedHttpClient::new(Watched { inner: self.world.connector(), watch: self.clone() })
    }

    /// Notes a request. Gives its place, whether it arrives twice, and when the process dies at it (`true`: afterwards).
    fn note(&self, request: &HttpRequest) -> (usize, bool, Option<bool>) {
        let asked = Asked::read(request);
        let wrong = self.judge(&asked);
        let to_lost = self.lost.contains(&(asked.account.clone(), asked.region.clone()))
            && self.disk.disaster_lasts();
        let mut state = self.state();
        state.wrong.extend(wrong);
        if to_lost {
            let text = format!("{} was sent to the lost region {}", asked.operation, asked.region);
            state.wrong.push(text);
        }
        if MAKES.contains(&asked.operation.as_str()) && self.disk.steps_are_over() {
            let Asked { operation, target, .. } = &asked;
            state.wrong.push(format!("{operation} of {target} was sent when all steps were over"));
        }
        state.of_process += 1;
        let dies = state.death.filter(|death| death.nth == state.of_process).map(|d| d.after);
        let mut dies = dies;
        if state.seen.len() >= TOO_MANY {
            state.wrong.push(format!("more than {TOO_MANY} requests: the run does not end"));
            dies = Some(false);
        }
        if dies.is_some() {
            state.died_at = Some(asked.operation.clone());
        }
        state.changes += usize::from(asked.changes);
        let twice = asked.changes && state.twice == Some(state.changes);
        let Asked { operation, target, changes, .. } = asked;
        state.seen.push(Seen { operation, target, changes, status: None, made: None });
        (state.seen.len() - 1, twice, dies)
    }

    fn answered(&self, place: usize, status: u16, body: Option<&[u8]>) {
        let mut state = self.state();
        let changes = state.seen[..=place].iter().filter(|seen| seen.changes).count();
        if state.seen[place].changes && state.cancel_at == Some(changes) {
            self.cancelled.notify_one();
        }
        let seen = &mut state.seen[place];
        seen.status = Some(status);
        if seen.operation == "ec2:CreateVolume" {
            let text = String::from_utf8_lossy(body.unwrap_or_default());
            let id = text.split_once("<volumeId>").and_then(|(_, rest)| rest.split_once('<'));
            seen.made = id.map(|(id, _)| id.to_owned());
        }
    }

    /// What is wrong with a changing request: it names something that is not the run's, or was not intended on disk.
    fn judge(&self, asked: &Asked) -> Option<String> {
        if !asked.changes {
            return None;
        }
        let Asked { operation, target, .. } = asked;
        // Both name a volume by the id that EC2 gave it.
        if operation == "ec2:DeleteVolume" || operation == "ec2:CreateTags" {
            let is_it = |world: &World| {
                world.inventory().into_iter().find(|(name, _)| name.ends_with(target.as_str()))
            };
            if is_it(&self.twin).is_some() {
                return Some(format!("{operation} of {target}, which was there before the run"));
            }
            let mark = format!("redrill:run={RUN}");
            let ours = is_it(&self.world).is_none_or(|(_, line)| line.contains(&mark));
            return (!ours).then(|| format!("{operation} of {target}, which is not of the run"));
        }
        let mine = format!("redrill-{RUN}-");
        if let Some(cluster) = &asked.joins
            && !cluster.contains(&mine)
        {
            return Some(format!("{operation} joins {cluster}, which is not of the run"));
        }
        let Some(start) = target.find(&mine) else {
            return Some(format!("{operation} names {target}, which is not of the run"));
        };
        let name = target[start..].split(['/', '?', '&']).next().unwrap_or_default();
        if self.disk.intended().iter().any(|intended| intended.ends_with(name)) {
            return None;
        }
        Some(format!("{operation} of {name} was sent before its intent was on disk"))
    }
}

/// A request, as far as it has to be known. Read apart from the sandbox.
struct Asked {
    operation: String,
    target: String,
    /// The cluster that a new instance becomes a member of.
    joins: Option<String>,
    changes: bool,
    account: String,
    region: String,
}

impl Asked {
    fn read(request: &HttpRequest) -> Self {
        let authorization = request.headers().get("authorization").unwrap_or_default();
        let scope = authorization.split_once("Credential=").map_or("", |(_, rest)| rest);
        let parts: Vec<&str> = scope.split(['/', ',']).take(4).collect();
        let part = |n: usize| parts.get(n).copied().unwrap_or_default();
        let mut account = part(0).strip_prefix("SANDBOX").unwrap_or_default().to_owned();
        let (region, service) = (part(2).to_owned(), part(3));
        let body = request.body().bytes().unwrap_or_default();
        let mut joins = None;
        let (action, target, changes) = match service {
            "s3" => {
                let method = request.method().to_owned();
                let changes = !matches!(method.as_str(), "GET" | "HEAD");
                (method, request.uri().to_owned(), changes)
            }
            "monitoring" => {
                let action = request.uri().rsplit('/').next().unwrap_or_default().to_owned();
                let changes = !is_reading(&action);
                (action, String::new(), changes)
            }
            "kms" | "secretsmanager" => {
                let target = request.headers().get("x-amz-target").unwrap_or_default();
                let action = target.rsplit('.').next().unwrap_or_default().to_owned();
                let changes = !is_reading(&action);
                (action, String::new(), changes)
            }
            _ => {
                let form = form(body);
                let get = |name: &str| form.get(name).cloned().unwrap_or_default();
                let action = get("Action");
                // With a place goes the way to assume a role in it: arn:aws:iam::ACCOUNT:role/NAME.
                if let Some(of_role) = get("RoleArn").split(':').nth(4) {
                    account = of_role.to_owned();
                }
                let named = [
                    "DBInstanceIdentifier",
                    "TargetDBInstanceIdentifier",
                    "TargetDBSnapshotIdentifier",
                    "TargetDBClusterSnapshotIdentifier",
                    "DBClusterIdentifier",
                    "DBSnapshotIdentifier",
                    "DBClusterSnapshotIdentifier",
                    "ClientToken",
                    "VolumeId",
                    "ResourceId.1",
                    "ResourceName",
                ];
                let target = named.into_iter().map(get).find(|value| !value.is_empty());
                let changes = !is_reading(&action);
                joins = (action == "CreateDBInstance").then(|| get("DBClusterIdentifier"));
                (action, target.unwrap_or_default(), changes)
            }
        };
        let changes = changes && service != "sts";
        let service = if service == "monitoring" { "cloudwatch" } else { service };
        let operation = format!("{service}:{action}");
        Self { operation, target, joins, changes, account, region }
    }
}

fn is_reading(action: &str) -> bool {
    ["Describe", "List", "Get"].iter().any(|word| action.starts_with(word))
}

/// Names and values of a form. What the harness looks for needs no decoding but that of `:` and `/`.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let plain = |value: &str| value.replace("%3A", ":").replace("%2F", "/");
    pairs.map(|(name, value)| (name.to_owned(), plain(value))).collect()
}

/// The client of the estate, watched.
#[derive(Clone, Debug)]
struct Watched {
    inner: SharedHttpClient,
    watch: Watch,
}

impl HttpClient for Watched {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(WatchedConnector { inner, watch: self.watch.clone() })
    }
}

#[derive(Debug)]
struct WatchedConnector {
    inner: SharedHttpConnector,
    watch: Watch,
}

impl HttpConnector for WatchedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, watch) = (self.inner.clone(), self.watch.clone());
        HttpConnectorFuture::new(async move {
            let (place, twice, dies) = watch.note(&request);
            if dies == Some(false) {
                watch.died.notify_one();
                std::future::pending::<()>().await;
            }
            if let Some(again) = request.try_clone().filter(|_| twice) {
                // The first answer is the one that nobody hears.
                drop(inner.call(again).await);
            }
            let answer = inner.call(request).await;
            if dies == Some(true) {
                watch.died.notify_one();
                std::future::pending::<()>().await;
            }
            if let Ok(response) = &answer {
                watch.answered(place, response.status().as_u16(), response.body().bytes());
            }
            answer
        })
    }
}
