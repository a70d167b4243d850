use super::place::StoreUrl;
use crate::app::interrupt::Hurry;
use crate::aws::{SiteSession, failure_of};
use crate::client;
use crate::error::{Error, Result};
use crate::ids::RunId;
use crate::journal::{Failure, FailureClass};
use crate::limits;
use crate::outside::Secrets;
use crate::time::{Clock, HumanDuration, RetryPolicy};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// The objects of one run in the store.
#[derive(Clone)]
pub(in crate::app) struct Objects {
    session: SiteSession,
    /// What the store may repeat: nothing of it gets into an error.
    secrets: Secrets,
    client: Client,
    url: StoreUrl,
    run: RunId,
    clock: Clock,
    tell: Tell,
    /// Ends the waiting for expired credentials.
    hurry: Hurry,
}

/// Tells whoever watches that the store keeps the run waiting.
pub(in crate::app) type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// What became of a write that replaces nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Created {
    /// It is there now, and was not before.
    New,
    /// Something of that name is there already; it stays as it is.
    Exists,
}

/// What came of reading an object.
enum Body {
    /// It, or that there is none.
    Whole(Option<Vec<u8>>),
    /// The connection ended in the middle; why.
    BrokenOff(String),
}

/// How often an object is read whose connection ends in the middle.
const READ_AT_MOST: u32 = 4;

/// Expired credentials of the store are waited for this long. Nothing is done meanwhile, since nothing could be written.
const CREDENTIALS_WAITED_FOR: Duration = Duration::from_secs(30 * 60);
const CREDENTIALS_TRIED_EVERY: Duration = Duration::from_secs(30);

impl Objects {
    /// `secrets` are those that know the credentials of the session.
    pub(in crate::app) fn new(
        session: SiteSession,
        secrets: Secrets,
        url: StoreUrl,
        run: RunId,
        clock: Clock,
        tell: Tell,
    ) -> Self {
        let client = client!(session, aws_sdk_s3);
        Self { session, secrets, client, url, run, clock, tell, hurry: Hurry::default() }
    }

    /// Waits for no credentials.
    #[must_use]
    pub(in crate::app) fn in_a_hurry(self) -> Self {
        let hurry = Hurry::default();
        hurry.tell();
        self.until(hurry)
    }

    /// Waits for no credentials from when that is told.
    #[must_use]
    pub(in crate::app) fn until(self, hurry: Hurry) -> Self {
        Self { hurry, ..self }
    }

    /// The objects of another run in the same store.
    pub(in crate::app) fn of_run(&self, run: RunId) -> Self {
        Self { run, ..self.clone() }
    }

    /// The run.
    pub(in crate::app) fn run(&self) -> &RunId {
        &self.run
    }

    /// Tells whoever watches.
    pub(in crate::app) fn say(&self, text: &str) {
        (self.tell)(text);
    }

    fn key(&self, name: &str) -> String {
        let run = &self.run;
        match self.url.prefix.as_str() {
            "" => format!("{run}/{name}"),
            prefix => format!("{prefix}/{run}/{name}"),
        }
    }

    /// The store, as people write it.
    pub(in crate::app) fn place(&self) -> String {
        self.url.to_string()
    }

    /// One object, as people write it.
    pub(in crate::app) fn shown(&self, name: &str) -> String {
        format!("s3://{}/{}", self.url.bucket, self.key(name))
    }

    /// The region that the bucket is in. Asked by `GetBucketLocation`, whose permission needs no listing: `HeadBucket` needs
    /// `s3:ListBucket`, and names no prefix by which that could be limited (API reference, `HeadBucket`). An empty answer means
    /// `us-east-1`, `EU` means `eu-west-1` (API reference, `GetBucketLocation`).
    pub(in crate::app) async fn region(&self) -> Result<String> {
        let request = self.client.get_bucket_location().bucket(&self.url.bucket);
        let answer = self.call("s3:GetBucketLocation", || request.clone().send()).await;
        let answer = answer.map_err(|failure| self.failed("be asked for", "", &failure))?;
        Ok(match answer.location_constraint().map(|place| place.as_str()) {
            None | Some("") => "us-east-1".to_owned(),
            Some("EU") => "eu-west-1".to_owned(),
            Some(region) => region.to_owned(),
        })
    }

    /// Writes an object unless it is there.
    pub(in crate::app) async fn create(&self, name: &str, bytes: &[u8]) -> Result<Created> {
        let created = self.try_create(name, bytes).await;
        created.map_err(|failure| self.failed("be written", name, &failure))
    }

    /// As [`Self::create`], for who wants to know what kind of failure it was.
    pub(in crate::app) async fn try_create(
        &self,
        name: &str,
        bytes: &[u8],
    ) -> Result<Created, Box<Failure>> {
        let request = || {
            self.client
                .put_object()
                .bucket(&self.url.bucket)
                .key(self.key(name))
                .if_none_match("*")
                .body(ByteStream::from(bytes.to_vec()))
                .send()
        };
        match self.call("s3:PutObject", request).await {
            Ok(_) => Ok(Created::New),
            Err(failure) if failure.code.as_deref() == Some("PreconditionFailed") => {
                Ok(Created::Exists)
            }
            Err(failure) => Err(failure),
        }
    }

    /// An object; `None` when there is none of that name.
    pub(in crate::app) async fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.read_once(name).await? {
                Body::Whole(bytes) => return Ok(bytes),
                // The connection is gone; the next one may be good.
                Body::BrokenOff(_) if tries < READ_AT_MOST => {}
                Body::BrokenOff(why) => {
                    let text = format!("{} cannot be read: {why}", self.shown(name));
                    return Err(Error::broken(text).help("check the way to the store"));
                }
            }
        }
    }

    async fn read_once(&self, name: &str) -> Result<Body> {
        let request = self.client.get_object().bucket(&self.url.bucket).key(self.key(name));
        let answer = match self.call("s3:GetObject", || request.clone().send()).await {
            Ok(answer) => answer,
            Err(failure) if failure.class == FailureClass::NotFound => {
                return Ok(Body::Whole(None));
            }
            Err(failure) => return Err(self.failed("be read", name, &failure)),
        };
        // What the server says of the length may not be true.
        let (mut body, mut bytes) = (answer.body, Vec::new());
        while let Some(piece) = body.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(why) => return Ok(Body::BrokenOff(self.secrets.conceal(&why.to_string()))),
            };
            bytes.extend_from_slice(&piece);
            if bytes.len() > limits::STORE_OBJECT_BYTES {
                let shown = self.shown(name);
                return Err(Error::broken(format!("{shown} is larger than anything of a journal")));
            }
        }
        Ok(Body::Whole(Some(bytes)))
    }

    /// The names that begin with `folder`, in order.
    pub(in crate::app) async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let first = self.client.list_objects_v2().bucket(&self.url.bucket).prefix(self.key(folder));
        let own = self.key("");
        let mut names = Vec::new();
        let mut token = None;
        for _ in 0..limits::STORE_PAGES {
            let request = first.clone().set_continuation_token(token);
            let answer = self.call("s3:ListObjectsV2", || request.clone().send()).await;
            let answer = answer.map_err(|failure| self.failed("be listed", folder, &failure))?;
            let keys = answer.contents().iter().filter_map(|object| object.key());
            names.extend(keys.filter_map(|key| key.strip_prefix(&own)).map(str::to_owned));
            match answer.next_continuation_token() {
                Some(next) if answer.is_truncated() == Some(true) => token = Some(next.to_owned()),
                _ => {
                    names.sort();
                    return Ok(names);
                }
            }
        }
        let (shown, most) = (self.shown(folder), limits::STORE_PAGES);
        Err(Error::broken(format!("the list of {shown} did not end after {most} pages")))
    }

    /// The folders of the store, in order: each run has one, and others may have some, too.
    pub(in crate::app) async fn folders(&self) -> Result<Vec<RunId>> {
        let above = match self.url.prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let request = self.client.list_objects_v2().bucket(&self.url.bucket);
        let first = request.prefix(&above).delimiter("/");
        let mut folders = Vec::new();
        let mut token = None;
        for _ in 0..limits::STORE_PAGES {
            let request = first.clone().set_continuation_token(token);
            let answer = self.call("s3:ListObjectsV2", || request.clone().send()).await;
            let answer = answer.map_err(|failure| self.failed("be listed", "", &failure))?;
            let below = answer.common_prefixes().iter().filter_map(|folder| folder.prefix());
            let names = below.filter_map(|key| key.strip_prefix(&above)?.strip_suffix('/'));
            folders.extend(names.filter(|name| !name.is_empty()).map(RunId::new));
            match answer.next_continuation_token() {
                Some(next) if answer.is_truncated() == Some(true) => token = Some(next.to_owned()),
                _ => {
                    folders.sort();
                    return Ok(folders);
                }
            }
        }
        let (place, most) = (self.place(), limits::STORE_PAGES);
        Err(Error::broken(format!("the list of runs in {place} did not end after {most} pages")))
    }

    fn failed(&self, what: &str, name: &str, failure: &Failure) -> Error {
        let shown = if name.is_empty() { self.place() } else { self.shown(name) };
        // The store is reached with the credentials of whoever starts the program, and not by the role of a site.
        let help = failure.help.clone().filter(|_| failure.class != FailureClass::Denied);
        let help = help.unwrap_or_else(|| {
            "check the store's bucket, and the permissions of the credentials that the program is started with".to_owned()
        });
        Error::broken(format!("{shown} cannot {what}: {}", failure.message)).help(help)
    }

    fn without_secrets(&self, mut failure: Failure) -> Failure {
        let texts = [Some(&mut failure.message), failure.code.as_mut(), failure.help.as_mut()];
        for text in texts.into_iter().flatten() {
            *text = self.secrets.conceal(text);
        }
        failure
    }

    /// As the retry layer of the steps does it: what may pass is tried again, expired credentials are waited for.
    async fn call<T, E, F>(
        &self,
        operation: &str,
        mut send: impl FnMut() -> F,
    ) -> Result<T, Box<Failure>>
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let policy = RetryPolicy {
            attempts: 6,
            pause: Duration::from_secs(1).into(),
            longest: Duration::from_secs(20).into(),
        };
        let seed = crate::ids::Digest::of(self.run.as_str().as_bytes()).as_bytes()[0];
        let mut schedule = policy.schedule(u64::from(seed), operation).full_jitter();
        let mut waited = Duration::ZERO;
        loop {
            let failure = match send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => Box::new(self.without_secrets(failure_of(operation, &error))),
            };
            // Two conditional writes at the same time: "you should retry the upload" (API reference of PutObject).
            let conflict = failure.code.as_deref() == Some("ConditionalRequestConflict");
            let pause = match failure.class {
                FailureClass::CredentialsExpired
                    if waited < CREDENTIALS_WAITED_FOR && !self.hurry.is_told() =>
                {
                    self.session.renew_credentials();
                    (self.tell)(&format!(
                        "the credentials for the store {} are expired, for {} now: renew them (aws sso login, or however \
                         you get them); until then nothing is done{}",
                        self.url,
                        HumanDuration(waited),
                        self.hurry.noticed()
                    ));
                    waited += CREDENTIALS_TRIED_EVERY;
                    Some(CREDENTIALS_TRIED_EVERY)
                }
                class if class.may_pass() || conflict => schedule.next_pause(),
                _ => None,
            };
            let Some(pause) = pause else { return Err(failure) };
            self.clock.sleep(pause).await;
        }
    }
}
