//! Logging in with a token of IAM to a real PostgreSQL. It asks for the password in plain text over TLS, as RDS does, and lets a tiny
//! LDAP server judge it, which knows what AWS knows: the endpoint, the region, the keys, and who may connect as whom.
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.html>

use crate::server_databases::{Events, PASSWORD, Postgres, Stepped, certificates, context, step};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use redrill::aws::{GuardPolicy, Place, SiteSession};
use redrill::ids::SiteName;
use redrill::journal::{FailureClass, Outcome};
use redrill::providers;
use redrill::time::Clock;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

const KEY: &str = "AKIDOFTHETEST";
const SECRET_KEY: &str = "wJalrXUtnFEMI/of+the/test";
const REGION: &str = "eu-west-3";

/// What AWS knows of the instance, and everything that was asked of it.
struct Aws {
    region: &'static str,
    secret_key: &'static str,
    /// Host and port of the instance; the port is known once it runs.
    endpoint: Mutex<String>,
    /// For whom the role has `rds-db:connect`.
    allowed: &'static str,
    /// Every password that reached it, for whom, and why it was refused.
    asked: Mutex<Vec<(String, Result<(), String>)>>,
}

impl Aws {
    fn new() -> Self {
        Self {
            region: REGION,
            secret_key: SECRET_KEY,
            endpoint: Mutex::default(),
            allowed: "app",
            asked: Mutex::default(),
        }
    }

    /// Listens on loopback as an LDAP server, until the process ends.
    fn listen(self: &Arc<Self>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let aws = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (aws, stream) = (aws.clone(), stream.unwrap());
                std::thread::spawn(move || aws.answer(stream));
            }
        });
        port
    }

    /// Answers simple binds: <https://www.rfc-editor.org/rfc/rfc4511#section-4.2>.
    fn answer(&self, mut stream: TcpStream) {
        while let Some(message) = element(&mut stream) {
            let mut rest = &message.1[..];
            let (id, operation) = (element(&mut rest).unwrap(), element(&mut rest).unwrap());
            if operation.0 != BIND_REQUEST {
                return;
            }
            let mut rest = &operation.1[..];
            let _version = element(&mut rest).unwrap();
            let name = String::from_utf8(element(&mut rest).unwrap().1).unwrap();
            let (kind, password) = element(&mut rest).unwrap();
            assert_eq!(kind, SIMPLE, "a simple bind");
            let user = name.strip_prefix("uid=").and_then(|n| n.strip_suffix(",o=rds")).unwrap();
            let judged = self.judge(user, &String::from_utf8(password).unwrap());
            let code = if judged.is_ok() { SUCCESS } else { INVALID_CREDENTIALS };
            self.asked.lock().unwrap().push((user.to_owned(), judged));
            let result = [tlv(0x0a, &[code]), tlv(0x04, &[]), tlv(0x04, &[])].concat();
            let response = [tlv(0x02, &id.1), tlv(BIND_RESPONSE, &result)].concat();
            stream.write_all(&tlv(0x30, &response)).unwrap();
        }
    }

    /// Whether AWS would let this user in with this token.
    fn judge(&self, user: &str, token: &str) -> Result<(), String> {
        let (place, query) = token.split_once("/?").ok_or("it is no token")?;
        let fields: BTreeMap<&str, String> = query
            .split('&')
            .filter_map(|field| field.split_once('='))
            .map(|(name, value)| (name, decoded(value)))
            .collect();
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        let is = |name: &str, what: &str, wanted: &str| match what == wanted {
            true => Ok(()),
            false => Err(format!("{name} is {what}, not {wanted}")),
        };
        is("the endpoint", place, &self.endpoint.lock().unwrap())?;
        is("Action", field("Action"), "connect")?;
        is("DBUser", field("DBUser"), user)?;
        is("X-Amz-Expires", field("X-Amz-Expires"), "900")?;
        let at = NaiveDateTime::parse_from_str(field("X-Amz-Date"), "%Y%m%dT%H%M%SZ").unwrap();
        let at = at.and_utc();
        let day = at.format("%Y%m%d");
        let scope = format!("{day}/{}/rds-db/aws4_request", self.region);
        is("X-Amz-Credential", field("X-Amz-Credential"), &format!("{KEY}/{scope}"))?;
        let signed = self.signature(place, query, &scope, at);
        is("X-Amz-Signature", field("X-Amz-Signature"), &signed)?;
        if Clock::system().now() > at + TimeDelta::seconds(900) {
            return Err("it has expired".to_owned());
        }
        is("who may connect", self.allowed, user)
    }

    /// Signature Version 4 of a presigned request, worked out again:
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
    fn signature(&self, host: &str, query: &str, scope: &str, at: DateTime<Utc>) -> String {
        let signed = query.split('&').filter(|field| !field.starts_with("X-Amz-Signature="));
        let mut signed: Vec<&str> = signed.collect();
        signed.sort_unstable();
        let empty = hex::encode(Sha256::digest(b""));
        let request = format!("GET\n/\n{}\nhost:{host}\n\nhost\n{empty}", signed.join("&"));
        let request = hex::encode(Sha256::digest(request.as_bytes()));
        let at = at.format("%Y%m%dT%H%M%SZ");
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{request}");
        let key = format!("AWS4{}", self.secret_key).into_bytes();
        let key = scope.split('/').fold(key, |key, part| hmac(&key, part.as_bytes()));
        hex::encode(hmac(&key, text.as_bytes()))
    }

    /// What was asked since the last time: for whom, and why it was refused.
    fn asked(&self) -> Vec<(String, Result<(), String>)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const SIMPLE: u8 = 0x80;
const SUCCESS: u8 = 0;
const INVALID_CREDENTIALS: u8 = 49;

/// The next element in the encoding of LDAP: its tag and its content. `None` at the end.
fn element(from: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    from.read_exact(&mut head).ok()?;
    let length = match head[1] {
        short @ 0..=127 => usize::from(short),
        long => {
            let mut bytes = vec![0; usize::from(long & 0x7f)];
            from.read_exact(&mut bytes).ok()?;
            bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
        }
    };
    let mut content = vec![0; length];
    from.read_exact(&mut content).ok()?;
    Some((head[0], content))
}

/// An element of at most 127 bytes.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).ok().filter(|length| *length < 128).unwrap();
    [&[tag, length], content].concat()
}

/// <https://www.rfc-editor.org/rfc/rfc2104>
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    match key.len() > block.len() {
        true => block[..32].copy_from_slice(&Sha256::digest(key)),
        false => block[..key.len()].copy_from_slice(key),
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// Percent-encoding undone.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.extend(hex::decode(code).unwrap());
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

/// A PostgreSQL whose users but the administrator log in as with RDS, with or without TLS: it is for us not to send a token.
fn start(aws: &Arc<Aws>) -> Postgres {
    let ldap = aws.listen();
    let rules = format!(
        "host all admin all scram-sha-256\n\
         host all all all ldap ldapserver=127.0.0.1 ldapport={ldap} ldapprefix=\"uid=\" ldapsuffix=\",o=rds\"\n"
    );
    let settings = "-c ssl=on -c ssl_cert_file=../server.pem -c ssl_key_file=../server.key";
    let server = Postgres::start(settings, certificates);
    server.stop();
    std::fs::write(server.file("data/pg_hba.conf"), rules).unwrap();
    server.boot(settings);
    *aws.endpoint.lock().unwrap() = format!("localhost:{}", server.port);
    server
}

/// The site `home`, with keys and perhaps another region or clock.
fn site(region: &'static str, ago: TimeDelta) -> SiteSession {
    let home = SiteName::new("home");
    let keys = aws_credential_types::Credentials::new(KEY, SECRET_KEY, None, None, "test");
    let now = SystemTime::from(Clock::system().now() - ago);
    let clock = aws_smithy_async::time::StaticTimeSource::new(now);
    let provider = aws_credential_types::provider::SharedCredentialsProvider::new(keys);
    let config = aws_types::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new(region))
        .credentials_provider(provider)
        .time_source(aws_smithy_async::time::SharedTimeSource::new(clock))
        .build();
    let place = Place { site: home, account: None, region: region.to_owned() };
    SiteSession::new(place, &config, Arc::new(GuardPolicy::default()))
}

/// A check of the database with a token, and further or other input.
async fn check(server: &Postgres, session: SiteSession, more: Value) -> Stepped {
    let recorder = Arc::new(Events::default());
    let mut context = context(server.folder.path(), recorder.clone());
    let home = SiteName::new("home");
    context.sessions = Arc::new(BTreeMap::from([(home, session)]));
    let mut with = json!({
        "endpoint": "localhost", "port": server.port, "database": "postgres", "tls": { "ca": server.file("ca.pem") },
        "credentials": { "iam": true, "user": "app" }, "ready_within": "20s",
        "queries": [{ "name": "who", "sql": "select current_user::text", "expect": "app" }],
    });
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let output = providers::registry().get("sql.check").unwrap().run(&context, with).await;
    let events = recorder.0.lock().unwrap().clone();
    Stepped { output, events }
}

/// Asserts that it was refused as a token, at once, and that nothing of the token is in what is told.
fn assert_refused(refused: &Stepped, why: &str) {
    let error = refused.output.as_ref().unwrap_err();
    assert_eq!(error.class(), FailureClass::Denied, "{error}");
    let told = format!("{error:?}");
    assert!(told.contains("a token of IAM was refused"), "{why}: {told}");
    assert!(!told.contains("X-Amz-Signature"), "{told}");
    assert!(refused.events.is_empty(), "nothing was verified: {:?}", refused.events);
}

#[tokio::test]
async fn server_a_token_of_iam_lets_its_user_in_over_tls() {
    let aws = Arc::new(Aws::new());
    let server = start(&aws);
    server.change("create user app").await;
    let checked = check(&server, site(REGION, TimeDelta::zero()), json!({})).await;
    assert_eq!(checked.red(), Vec::new());
    assert_eq!(checked.check("who").outcome, Outcome::Passed);
    let note = checked.check("database answers").note.clone();
    assert_eq!(note.as_deref(), Some("logged in with a token of IAM"));
    let asked = aws.asked();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|(user, judged)| user == "app" && judged.is_ok()), "{asked:?}");
}

#[tokio::test]
async fn server_a_token_for_another_user_region_host_or_key_is_refused_and_told_as_such() {
    let aws = Arc::new(Aws::new());
    let server = start(&aws);
    server.change("create user app; create user other").await;
    let home = || site(REGION, TimeDelta::zero());
    let tunnel = json!({
        "endpoint": "orders.test", "connect": format!("localhost:{}", server.port), "tls": "encrypt",
    });
    for (session, more, why) in [
        (
            home(),
            json!({ "credentials": { "iam": true, "user": "other" } }),
            "who may connect is app",
        ),
        (site("eu-north-1", TimeDelta::zero()), json!({}), "X-Amz-Credential is"),
        (home(), tunnel, "the endpoint is orders.test"),
        (site(REGION, TimeDelta::minutes(16)), json!({}), "it has expired"),
    ] {
        let refused = check(&server, session, more).await;
        assert_refused(&refused, why);
        let asked = aws.asked();
        let judged = asked[0].1.as_ref().unwrap_err();
        assert!(asked.len() == 1 && judged.contains(why), "{why}: {asked:?}");
    }
}

#[tokio::test]
async fn server_a_token_signed_with_the_keys_of_another_account_is_refused() {
    let aws = Arc::new(Aws { secret_key: "another/secret/key", ..Aws::new() });
    let server = start(&aws);
    server.change("create user app").await;
    let refused = check(&server, site(REGION, TimeDelta::zero()), json!({})).await;
    assert_refused(&refused, "the signature");
    let asked = aws.asked();
    assert!(asked[0].1.as_ref().unwrap_err().contains("X-Amz-Signature is"), "{asked:?}");
}

#[tokio::test]
async fn server_a_token_of_iam_is_not_sent_without_tls() {
    let aws = Arc::new(Aws::new());
    let server = start(&aws);
    server.change("create user app").await;
    let without = json!({ "tls": "off" });
    let refused = check(&server, site(REGION, TimeDelta::zero()), without).await;
    let error = refused.output.unwrap_err();
    assert!(error.to_string().contains("without TLS"), "{error}");
    assert_eq!(aws.asked(), Vec::new(), "nothing reached the server");
    // The server would have taken it: a password goes there.
    let password = server.file("step-password");
    std::fs::write(&password, PASSWORD).unwrap();
    let with = json!({
        "endpoint": "localhost", "port": server.port, "database": "postgres", "tls": "off",
        "credentials": { "password_file": password, "user": "app" },
    });
    let denied = step(server.folder.path(), "sql.check", with).await.output.unwrap_err();
    assert_eq!(denied.class(), FailureClass::Denied, "{denied}");
    assert_eq!(aws.asked(), [("app".to_owned(), Err("it is no token".to_owned()))]);
}
