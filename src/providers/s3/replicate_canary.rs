use super::bucket::{Bucket, Head};
use super::by_hand;
use super::canary_object::{CanaryObjectKind, KIND, RUN_MARK, arn, resource_name};
use super::judge::SourceStatus;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem, Look,
    Permission, Phase, Probe, SiteUse, StepContext, StepError, WaitPlan, own,
};
use crate::aws::lies_in;
use crate::ids::{Digest, SiteName};
use crate::journal::{Check, Event, FailureClass, Finding, ResourceKey, Severity};
use crate::time::{ByteSize, HumanDuration};
use aws_sdk_s3::primitives::ByteStream;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::time::Duration;

/// Sends one object through the replication and measures how long it takes.
pub(super) struct ReplicateCanary;

/// Where the canary is written and where it must arrive.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplicateCanaryInput {
    /// The bucket that is replicated, at the site of the step.
    source: String,
    /// The bucket in which the canary must appear.
    replica: String,
    /// The site of the replica bucket.
    #[schemars(extend("format" = "redrill-site", "x-redrill-makes" = true))]
    replica_at: SiteName,
    /// What the canary's key begins with: one of the places that `guard.canaries` allows.
    #[serde(default = "canary_prefix")]
    prefix: String,
    /// The longest time that replication may take.
    #[serde(default = "fifteen_minutes")]
    within: HumanDuration,
}

pub(super) fn canary_prefix() -> String {
    "redrill-canary/".to_owned()
}

fn fifteen_minutes() -> HumanDuration {
    Duration::from_secs(900).into()
}

/// How the canary fared.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct ReplicateCanaryOutput {
    /// From the end of writing until the same bytes could be read at the replica, an upper bound by one pause between looks.
    /// Absent when an earlier process had written the canary and nobody looked in time.
    lag: Option<HumanDuration>,
    /// Bytes of the canary.
    bytes: ByteSize,
    /// Key of the canary in both buckets.
    key: String,
    /// Version of the canary at the source.
    version_id: Option<String>,
    /// Whether the replica has the same version id, as S3's own replication gives it.
    same_version: bool,
    /// Replication status at the source in the end: `COMPLETED`, `PENDING`; nothing when no rule took it up.
    status_source: Option<String>,
    /// Replication status at the replica: `REPLICA`.
    status_replica: Option<String>,
}

impl Action for ReplicateCanary {
    type Input = ReplicateCanaryInput;
    type Output = ReplicateCanaryOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "s3.replicate_canary",
            title: "Write a canary object and wait until the replica can be read",
            about: ABOUT,
            phase: Phase::Prepare,
            site: SiteUse::Required,
            timeout: Duration::from_secs(1800),
            effect: Effect::Own,
            creates: &[KIND],
            permissions: PERMISSIONS,
            checks: &[("canary at the replica", "the same bytes can be read there in time")],
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5, replication played by the test"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        context: &StepContext,
        input: ReplicateCanaryInput,
    ) -> Result<ReplicateCanaryOutput, StepError> {
        if input.source == input.replica {
            let message = format!(
                "{} is source and replica at once: nothing would be replicated",
                input.source
            );
            return Err(
                StepError::broken(message).help("name the bucket that the rule replicates to")
            );
        }
        let key = format!("{}{}", input.prefix, context.name_of_mine(200));
        let canary = Canary {
            context,
            source: Bucket::at(&context.site()?, &input.source),
            replica: Bucket::at(&context.site_named(&input.replica_at)?, &input.replica),
            body: body_of(context),
            key,
        };
        let copy = ResourceKey {
            kind: KIND.to_owned(),
            name: resource_name(&input.replica, &canary.key),
            site: input.replica_at.clone(),
        };
        // Before the object itself: replication makes the copy without asking. Released in the reverse order, the source
        // goes first, so that nothing is replicated any more when the copy is looked for.
        if !context.recorder.holds(&copy) {
            let step = context.step.clone();
            let intended = Event::ResourceIntended { step, key: copy.clone() };
            context.recorder.record(intended).await?;
        }
        let written = canary.write().await?;
        let arrived = canary.wait(&input, written).await?;
        let id = arn(&input.replica, &canary.key);
        context.recorder.record(Event::ResourceOwned { key: copy, id }).await?;
        canary.output(arrived).await
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let empty = ["source", "replica"].into_iter().filter_map(|p| InputProblem::empty(given, p));
        let within = InputProblem::no_time(given, "within");
        let within = within.or_else(|| InputProblem::beyond_the_step(given, "within"));
        empty.chain(within).chain(outside_of_the_guard(given)).collect()
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::replicate_canary(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::replicate_canary(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        by_hand::replicate_canary(input)
    }
}

/// Buckets in which the guard lets no canary be written.
fn outside_of_the_guard(given: &Given) -> Vec<InputProblem> {
    let Some(places) = &given.canaries else { return Vec::new() };
    let usual = canary_prefix();
    let prefix = match given.text("prefix") {
        Some(prefix) => prefix,
        None if given.has("prefix") => return Vec::new(),
        None => &usual,
    };
    let is_outside = |path: &&str| {
        // Any name will do: only its place is looked at.
        let name = given.text(path).map(|bucket| format!("{bucket}/{prefix}canary"));
        name.is_some_and(|name| !places.iter().any(|place| lies_in(&name, place)))
    };
    let problem = |path: &str| {
        let place = format!("{}/{prefix}", given.text(path).unwrap_or_default());
        InputProblem::at(path, format!("{path}: guard.canaries does not name {place}"))
            .help(format!("if a canary may be written there, add {place} to guard.canaries"))
    };
    ["source", "replica"].into_iter().filter(is_outside).map(problem).collect()
}

const ABOUT: &str = "\
Writes one object of a few kilobytes at the source, marked with the run, and reads the replica until the same bytes \
(by SHA-256) are there. That proves rule, role, permissions and keys of KMS end to end, and gives one measured lag. It \
says nothing about objects that were there before: that is s3.check_replication.

All versions of the object are removed on both sides at the end of the run. Permanent deletions are not replicated, so \
the replica's copy is a resource of its own. Buckets with Object Lock in compliance mode cannot be tried in this way.";

const PERMISSIONS: &[Permission] = &[
    Permission { action: "s3:PutObject", why: "to write the canary" },
    Permission { action: "s3:GetObject", why: "to read the canary and its replication status" },
    Permission { action: "s3:ListBucket", why: "to tell \"not there yet\" from \"forbidden\"" },
    Permission { action: "s3:ListBucketVersions", why: "to find every version of the canary" },
    Permission { action: "s3:DeleteObjectVersion", why: "to remove every version of the canary" },
    Permission {
        action: "kms:GenerateDataKey",
        why: "to write, where the source is encrypted with SSE-KMS",
    },
    Permission { action: "kms:Decrypt", why: "to read, where a bucket is encrypted with SSE-KMS" },
];

/// The canary during a run of the action.
struct Canary<'a> {
    context: &'a StepContext,
    source: Bucket,
    replica: Bucket,
    key: String,
    body: Vec<u8>,
}

/// A moment by our clocks.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: DateTime<Utc>,
    /// Monotonic; `None` when the object was written by an earlier process.
    elapsed: Option<Duration>,
}

/// What was seen when the canary had arrived.
struct Arrived {
    lag: HumanDuration,
    copy: Head,
    /// False when `lag` is only the time until somebody looked again.
    measured: bool,
}

/// Of so many looks at the replica, one is followed by a look at the source.
const ASKS_THE_SOURCE_EVERY: u32 = 4;

const NOBODY_LOOKED: &str = "an earlier process wrote the canary, and nobody looked until";

impl Canary<'_> {
    /// Writes the canary, or finds the one that an earlier attempt has written. Gives when that was.
    async fn write(&self) -> Result<Moment, StepError> {
        let context = self.context;
        let clock = &context.clock;
        let name = resource_name(&self.source.name, &self.key);
        let mut elapsed = None;
        own(context, &CanaryObjectKind, name, || async {
            let put = || {
                let request = self.source.client.put_object().bucket(&self.source.name);
                let request = request.key(&self.key).content_type("application/octet-stream");
                let request = request.metadata(RUN_MARK, context.facts.run.as_str());
                let marks =
                    context.tags_of_canary().into_iter().filter(|(tag, _)| tag != "redrill:run");
                let request = marks.fold(request, |request, (tag, value)| {
                    request.metadata(tag.replace(':', "-"), value)
                });
                request.body(ByteStream::from(self.body.clone())).send()
            };
            context.call("s3:PutObject", put).await?;
            elapsed = Some(clock.elapsed());
            Ok(arn(&self.source.name, &self.key))
        })
        .await?;
        if elapsed.is_some() {
            return Ok(Moment { at: clock.now(), elapsed });
        }
        let head = self.source.head(context, &self.key, None).await?;
        let at = head.and_then(|head| head.modified);
        let at = at.ok_or_else(|| StepError::broken("the canary is gone from the source"))?;
        Ok(Moment { at, elapsed })
    }

    async fn wait(
        &self,
        input: &ReplicateCanaryInput,
        written: Moment,
    ) -> Result<Arrived, StepError> {
        const NAME: &str = "canary at the replica";
        let context = self.context;
        let expected = format!("the same bytes within {}", input.within);
        let mut plan = WaitPlan::new(NAME, Duration::from_secs(15), input.within.0);
        plan.shortest = Duration::from_secs(1);
        let mut looks = 0_u32;
        let look = || {
            looks += 1;
            self.look(written, looks)
        };
        match context.wait(&plan, look).await {
            Ok(arrived) => {
                let in_time = arrived.lag <= input.within;
                let observed = format!("after {}", arrived.lag);
                // Written by an earlier process: it may have arrived while nobody looked.
                let unknown = written.elapsed.is_none() && !in_time;
                context
                    .check(match unknown {
                        false => Check::made(NAME, expected, observed, in_time),
                        true => {
                            Check::not_made(NAME, expected, format!("{NOBODY_LOOKED} {observed}"))
                        }
                    })
                    .await?;
                Ok(Arrived { measured: !unknown, ..arrived })
            }
            Err(error) => {
                let error = self.at_the_limit(error).await;
                let check = match error.class() {
                    FailureClass::Recovery | FailureClass::TimedOut => {
                        Check::made(NAME, expected, error.to_string(), false)
                    }
                    _ => Check::not_made(NAME, expected, error.to_string()),
                };
                context.check(check).await?;
                Err(error)
            }
        }
    }

    /// The n-th look at the replica, and at what the source says while it is not there: not every time, since only a
    /// failure, which lasts, is learnt from it.
    async fn look(&self, written: Moment, nth: u32) -> Result<Look<Arrived>, StepError> {
        let context = self.context;
        if let Some(bytes) = self.read_copy().await? {
            if Digest::of(&bytes) != Digest::of(&self.body) {
                return Err(StepError::recovery(
                    "the object at the replica has other bytes than the canary",
                ));
            }
            let lag = match written.elapsed {
                Some(then) => context.clock.elapsed().saturating_sub(then).into(),
                None => HumanDuration::from(context.clock.now() - written.at),
            };
            let copy = self.replica.head(context, &self.key, None).await?;
            return Ok(copy.map_or_else(
                || Look::NotYet("gone again at the replica".to_owned()),
                |copy| Look::Ready(Arrived { lag, copy, measured: true }),
            ));
        }
        if nth % ASKS_THE_SOURCE_EVERY != 1 {
            return Ok(Look::NotYet("not at the replica".to_owned()));
        }
        let status = self.status().await?;
        Ok(Look::NotYet(format!("not at the replica; the source says {status}")))
    }

    /// What the source says of the replication, while it has not failed.
    async fn status(&self) -> Result<String, StepError> {
        let Some(head) = self.source.head(self.context, &self.key, None).await? else {
            return Err(StepError::broken("the canary is gone from the source"));
        };
        if head.source_status() == SourceStatus::Failed {
            self.context.finding(failed()).await?;
            return Err(StepError::recovery("the replication status of the canary is FAILED")
                .help("check the replication role, the rule and the key of KMS at the replica"));
        }
        Ok(head.replication.unwrap_or_else(|| "no replication status".to_owned()))
    }

    /// It took too long: the source may say why.
    async fn at_the_limit(&self, error: StepError) -> StepError {
        if error.class() != FailureClass::TimedOut {
            return error;
        }
        match self.status().await {
            Err(failed) if failed.class() == FailureClass::Recovery => failed,
            _ => error,
        }
    }

    /// The bytes at the replica; `None` when there are none yet.
    async fn read_copy(&self) -> Result<Option<Vec<u8>>, StepError> {
        let ask = || {
            let request = self.replica.client.get_object().bucket(&self.replica.name);
            request.key(&self.key).send()
        };
        let answer = match self.context.call("s3:GetObject", ask).await {
            Ok(answer) => answer,
            // A missing bucket is no reason to wait.
            Err(error) if error.code() == Some("NoSuchBucket") => return Err(error),
            Err(error) if error.class() == FailureClass::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if answer.content_length() != i64::try_from(self.body.len()).ok() {
            // Not ours: not worth reading, whatever its size.
            return Ok(Some(Vec::new()));
        }
        let bytes = answer.body.collect().await;
        let bytes = bytes.map_err(|e| StepError::transient(format!("s3:GetObject: {e}")))?;
        Ok(Some(bytes.to_vec()))
    }

    async fn output(&self, arrived: Arrived) -> Result<ReplicateCanaryOutput, StepError> {
        let source = self.source.head(self.context, &self.key, None).await?;
        let source =
            source.ok_or_else(|| StepError::broken("the canary is gone from the source"))?;
        Ok(ReplicateCanaryOutput {
            lag: arrived.measured.then_some(arrived.lag),
            bytes: ByteSize(self.body.len() as u64),
            key: self.key.clone(),
            same_version: source.version.is_some() && source.version == arrived.copy.version,
            version_id: source.version,
            status_source: source.replication,
            status_replica: arrived.copy.replication,
        })
    }
}

fn failed() -> Finding {
    Finding {
        severity: Severity::Critical,
        code: "s3.replication_failed".to_owned(),
        what: "the replication status of a freshly written object is FAILED".to_owned(),
        why: "nothing that is written now reaches the replica".to_owned(),
        action:
            "correct role, rule or key, then replicate what was missed with S3 Batch Replication: \
                 S3 does not try again by itself"
                .to_owned(),
    }
}

/// The least size of a canary, in bytes.
const BODY_BYTES: usize = 2048;

/// What is written: the same in every attempt of a step, different in every run.
fn body_of(context: &StepContext) -> Vec<u8> {
    let mut text = format!("redrill canary\nrun {}\nstep {}\n", context.facts.run, context.step);
    let mut line = Digest::of(text.as_bytes());
    while text.len() < BODY_BYTES {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
        line = Digest::of(line.as_bytes());
    }
    text.into_bytes()
}
