//! Secrets that are known to the test go through rehearsals and through real drills in which everything repeats what it is
//! told, and fails; then every byte that was written is searched for them, in all the ways in which a byte can be written.

use crate::loopback::{Loopback, echoing_http, echoing_postgres, hostile_aws};
use crate::program::{Program, Ran};
use crate::resuming::Started;
use crate::server_support::poll;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

/// The ways in which a secret can be written. Made apart from the program's own ideas about them.
fn forms(secret: &str) -> BTreeMap<&'static str, Vec<u8>> {
    let bytes = secret.as_bytes();
    let mut forms = BTreeMap::new();
    let mut add = |name, form: String| forms.insert(name, form.into_bytes());
    add("plain", secret.to_owned());
    add("hexadecimal", hex::encode(bytes));
    add("hexadecimal in upper case", hex::encode_upper(bytes));
    let digits = hex::encode(bytes).into_bytes().into_iter().enumerate();
    let mixed = |(at, digit): (usize, u8)| match at % 3 {
        0 => char::from(digit.to_ascii_uppercase()),
        _ => char::from(digit),
    };
    add("hexadecimal in both cases", digits.map(mixed).collect());
    add("SQL", secret.replace('\'', "''"));
    add("CSV", secret.replace('"', "\"\""));
    add("bytes of Python", bytes.escape_ascii().to_string());
    add("words of a shell", bytes.iter().map(|byte| in_octal(*byte)).collect());
    add("percent-encoded", bytes.iter().map(|byte| percent(*byte, "")).collect());
    add("percent-encoded where needed", bytes.iter().map(|byte| percent(*byte, "-_.~")).collect());
    let quoted = serde_json::to_string(secret).unwrap();
    add("JSON", quoted[1..quoted.len() - 1].to_owned());
    let twice = serde_json::to_string(&quoted).unwrap();
    add("JSON in JSON", twice[3..twice.len() - 3].to_owned());
    let html = |names: [(&str, &str); 5]| {
        let mut text = secret.replace('&', "&amp;");
        for (from, to) in names {
            text = text.replace(from, to);
        }
        text
    };
    let common = [("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;")];
    let with = |quote, equals| html([common[0], common[1], common[2], ("'", quote), ("=", equals)]);
    add("HTML", with("&#39;", "="));
    add("HTML of handlebars", with("&#x27;", "&#x3D;"));
    add("XML", with("&apos;", "="));
    let debugged = format!("{secret:?}");
    add("Debug of Rust", debugged[1..debugged.len() - 1].to_owned());
    for (name, before) in [("base64", 0), ("base64, one off", 1), ("base64, two off", 2)] {
        let shifted = [&b"::"[..before], bytes].concat();
        // Only what the secret alone decides.
        let (first, end) = ([0, 2, 3][before], shifted.len() * 8 / 6);
        add(name, STANDARD_NO_PAD.encode(&shifted)[first..end].to_owned());
    }
    let url = URL_SAFE_NO_PAD.encode(bytes);
    add("base64 for addresses", url[..bytes.len() * 8 / 6].to_owned());
    let whole = &STANDARD_NO_PAD.encode(bytes)[..bytes.len() * 8 / 6];
    let starts = (0..whole.len()).step_by(20);
    let lines: Vec<&str> = starts.map(|at| &whole[at..whole.len().min(at + 20)]).collect();
    add("base64 in YAML", lines.join("\n    "));
    forms.retain(|_, form| form.len() >= 8);
    forms
}

fn percent(byte: u8, plain: &str) -> String {
    let is_plain = byte.is_ascii_alphanumeric() || plain.as_bytes().contains(&byte);
    if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

/// As `printf %q` of bash has it.
fn in_octal(byte: u8) -> String {
    match byte {
        b'\n' => "\\n".to_owned(),
        b'\\' | b'\'' => format!("\\{}", char::from(byte)),
        _ if byte.is_ascii() => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    }
}

/// Everything by which something could repeat the secret to us.
fn echo(secret: &str) -> String {
    let mut said = String::from("you said: ");
    for (name, form) in forms(secret) {
        said.push_str(&format!("{name}: [{}]\n", String::from_utf8(form).unwrap()));
    }
    let basic = STANDARD_NO_PAD.encode(format!("keeper:{secret}"));
    said + "Authorization: Basic " + &basic
}

/// Fails when one of the secrets stands in something that was written.
fn assert_nothing_leaks(program: &Program, ran: &[&Ran], secrets: &[&str]) {
    let mut written: BTreeMap<String, Vec<u8>> = program
        .files_of_runs()
        .into_iter()
        .map(|name| (name.clone(), program.bytes(&name)))
        .collect();
    for (number, ran) in ran.iter().enumerate() {
        written.insert(format!("standard output {number}"), ran.stdout.clone().into_bytes());
        written.insert(format!("standard error {number}"), ran.stderr.clone().into_bytes());
    }
    assert!(written.len() > 8, "{:?}", written.keys());
    for secret in secrets {
        let lines = secret.lines().filter(|line| line.len() >= 8);
        for part in lines.chain([*secret]) {
            for (form, bytes) in forms(part) {
                for (name, content) in &written {
                    let at = content.windows(bytes.len()).position(|window| window == bytes);
                    if let Some(at) = at {
                        let around =
                            &content[at.saturating_sub(200)..(at + 200).min(content.len())];
                        let around = String::from_utf8_lossy(around);
                        panic!("{part:?} stands in {name} as {form}: …{around}…");
                    }
                }
            }
        }
    }
}

/// How often the program has put something in the place of a secret in the journal.
fn concealed(program: &Program, run: &str) -> usize {
    program.read(&format!("runs/{run}/journal.jsonl")).matches("<secret>").count()
}

/// Secrets of all kinds: what generators make, what people make up, keys of several lines.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9]{12,40}",
        "[A-Za-z0-9+/]{20,40}={0,2}",
        "[ -~]{10,40}",
        r#"[a-z]{4}["'\\&<>%=+/ ]{2,6}[a-z]{6,9}"#,
        "[a-z]{3}[éßñ日本語😀]{2,4}[0-9a-z]{6,9}",
        "-----BEGIN KEY-----\n[A-Za-z0-9+/]{24}\n[A-Za-z0-9+/]{24}\n-----END KEY-----\n",
        "[0-9]{10,15}",
    ]
    .prop_filter("it must not stand anywhere by chance", |text| text.trim().len() >= 10)
}

fn check_cases(cases: u32, test: impl Fn([String; 3]) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let three = (secret(), secret(), secret()).prop_map(<[String; 3]>::from);
    TestRunner::new_with_rng(config, rng).run(&three, test).unwrap();
}

fn sql_step(id: &str, credentials: &Value) -> Value {
    json!({
        "id": id, "uses": "sql.check", "needs": ["restore"], "required": false, "on_failure": "continue",
        "with": {
            "endpoint": "{{steps.restore.endpoint}}", "port": "{{steps.restore.port}}", "database": "orders",
            "credentials": credentials, "ready_within": "10s",
            "queries": [
                { "name": "what is in it", "sql": "select value from tokens", "expect": "= nothing" },
                { "name": "no such table", "sql": "select * from nothing", "expect": "= 1" },
            ],
        },
    })
}

fn exec_step(id: &str, with: Value) -> Value {
    let mut step = json!({
        "id": id, "uses": "exec.run", "required": false, "on_failure": "continue",
        "with": { "argv": ["tell", id], "effect": "none", "env": { "TOKEN": { "from_env": "TOKEN" } } },
    });
    for (name, value) in with.as_object().unwrap() {
        step["with"][name] = value.clone();
    }
    step
}

fn http_step(id: &str, url: &str, follow: bool) -> Value {
    json!({
        "id": id, "uses": "http.check", "required": false, "on_failure": "continue",
        "with": {
            "url": url, "body_matches": "^fine$", "follow_redirects": follow, "attempt_timeout": "5s",
            "headers": { "authorization": { "from_env": "TOKEN" }, "x-kind": "drill" },
        },
    })
}

/// An estate that repeats three secrets: of the environment, of the secret store, of a file.
fn repeating_estate([token, stored, filed]: &[String; 3]) -> Value {
    let place = |more: Value| {
        let mut place = json!({ "account": "111111111111", "region": "eu-west-1" });
        place.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        place
    };
    let said = echo(token);
    json!({
        "estate": 1, "title": "Everything repeats what it is told", "now": "2026-11-20T02:00:00Z", "seed": 7,
        "accounts": { "111111111111": { "roles": ["drill"] } },
        "places": [place(json!({
            "secrets": [
                { "name": "orders/right", "value": { "username": "keeper", "password": stored } },
                { "name": "orders/wrong", "value": { "username": "keeper", "password": filed, "note": said } },
                { "name": "orders/plain", "value": filed },
                { "name": "orders/denied", "value": stored, "denied": true },
            ],
            "databases": [{
                "id": "orders", "database": "orders", "users": { "keeper": stored },
                "schedule": { "every": "6h", "keep": "1d" },
                "data": { "sql": [
                    "create table tokens (value text)",
                    format!("insert into tokens values ('{}')", stored.replace('\'', "''")),
                ] },
            }],
        }))],
        "answers": {
            "environment": { "TOKEN": token },
            "files": { "password": format!("{filed}\n") },
            "commands": {
                "tells": { "stdout": said, "stderr": said },
                "fails": { "status": 3, "stdout": said, "stderr": said },
                "lies": { "stdout": said },
                "structured": { "stdout": json!({ "token": token, "said": said }).to_string() },
                // The limit for output cuts the secret through.
                "long": { "stdout": format!("{}{token}", "x".repeat((64 << 10) - token.len() / 2)) },
            },
            "http": {
                "page": { "status": 500, "body": said },
                "moved": { "status": 302, "headers": { "location": format!("ftp://{token}@x/?t={token}") } },
                "circle": { "status": 302, "headers": { "location": format!("/again?t={}", token.len()) } },
                "gone": { "unreachable": true },
            },
            "approvals": { "asked": { "approved": false, "by": "tanaka", "comment": said } },
        },
    })
}

/// What uses the three secrets in all ways, and asks for what goes wrong.
fn leaky_scenario() -> Value {
    json!({
        "redrill": 1, "name": "leaky", "title": "Everything repeats what it is told", "owner": "tester",
        "disaster": { "kind": "corruption" },
        "sites": { "home": { "account": "111111111111", "region": "eu-west-1", "role": "drill" } },
        "objectives": { "rto": { "target": "1h", "from": "declared" } },
        "guard": { "write": ["home"] },
        "steps": [
            { "id": "point", "at": "home", "uses": "rds.find_snapshot", "with": { "of": "orders" } },
            { "id": "restore", "at": "home", "uses": "rds.restore_snapshot", "phase": "verify", "gate": "acceptance",
              "with": { "snapshot": "{{steps.point.arn}}", "class": "db.r6g.large" } },
            sql_step("right", &json!({ "secret": "orders/right", "at": "home" })),
            sql_step("wrong", &json!({ "secret": "orders/wrong", "at": "home" })),
            sql_step("plain", &json!({ "secret": "orders/plain", "at": "home", "user": "keeper" })),
            sql_step("denied", &json!({ "secret": "orders/denied", "at": "home" })),
            sql_step("by_env", &json!({ "user": "keeper", "password_from_env": "TOKEN" })),
            sql_step("by_file", &json!({ "user": "keeper", "password_file": "password" })),
            exec_step("tells", json!({})),
            exec_step("fails", json!({})),
            exec_step("lies", json!({ "stdout_matches": "^never$" })),
            exec_step("structured", json!({ "parse": "json" })),
            exec_step("long", json!({})),
            // What one step gives the next one says again.
            { "id": "again", "uses": "control.approve", "phase": "verify", "needs": ["structured", "tells"], "required": false,
              "on_failure": "continue",
              "with": { "ask": "Go on with {{steps.tells.stdout}}?", "within": "1m" } },
            http_step("page", "https://page.example.com/", false),
            http_step("moved", "https://moved.example.com/", true),
            http_step("circle", "https://circle.example.com/", true),
            http_step("gone", "https://gone.example.com/", false),
            { "id": "asked", "uses": "control.approve", "required": false, "on_failure": "continue",
              "with": { "ask": "Is it so?", "within": "1m" } },
        ],
    })
}

fn rehearsal(program: &Program, secrets: &[String; 3]) -> Ran {
    program.write("estate.yaml", repeating_estate(secrets).to_string());
    program.write("leaky.yaml", leaky_scenario().to_string());
    program.run(&["run", "leaky.yaml", "--sandbox", "--estate", "estate.yaml"])
}

#[test]
fn no_secret_of_a_rehearsal_is_written_in_any_form() {
    check_cases(6, |secrets| {
        let program = Program::new();
        let ran = rehearsal(&program, &secrets);
        let journal = "runs/leaky-0001/journal.jsonl";
        prop_assert!(program.path(journal).exists(), "{}", ran.stderr);
        let shown = program.run(&["show", "last"]);
        let html = program.run(&["report", "last", "--format", "html"]);
        let all: Vec<&str> = secrets.iter().map(String::as_str).collect();
        assert_nothing_leaks(&program, &[&ran, &shown, &html], &all);
        // They were there, and every step has come to its end.
        prop_assert!(concealed(&program, "leaky-0001") > 60, "{}", ran.stderr);
        let text = program.read(journal);
        prop_assert_eq!(text.matches("\"type\":\"step_finished\"").count(), 19);
        Ok(())
    });
}

/// A real drill against servers on loopback and programs that repeat a token and a password.
fn real_drill(program: &Program, [token, password, other]: &[String; 3]) -> Ran {
    let http = echoing_http();
    let postgres = echoing_postgres();
    let script = |script: &str| json!({ "argv": ["sh", "-c", script] });
    let scenario = json!({
        "redrill": 1, "name": "loud", "title": "Everything repeats what it is told", "owner": "tester",
        "disaster": { "kind": "corruption" },
        "objectives": { "rto": { "target": "1h", "from": "declared" } },
        "guard": { "max_duration": "10m" },
        "steps": [
            exec_step("plain", script("printf '%s' \"$TOKEN\"; printf '%s' \"$TOKEN\" >&2; exit 1")),
            exec_step("base64", script("printf 'keeper:%s' \"$TOKEN\" | base64 | tee /dev/stderr; exit 1")),
            exec_step("digits", script("printf '%s' \"$TOKEN\" | od -An -v -tx1 | tr -d ' \\n' | tee /dev/stderr; exit 1")),
            exec_step("cut", script("head -c 65530 /dev/zero | tr '\\0' x; printf '%s' \"$TOKEN\"")),
            exec_step("traced", script("set -x; : \"$TOKEN\"; exit 7")),
            { "id": "signalled", "uses": "exec.run", "on_failure": "continue", "gate": "acceptance",
              "with": { "argv": ["sh", "-c", "echo \"$TOKEN\" >&2; kill -9 $$"], "effect": "none",
                        "env": { "TOKEN": { "from_env": "TOKEN" }, "PLAIN": "not secret" } } },
            http_step("page", &http.url("/echo"), false),
            http_step("moved", &http.url("/moved"), true),
            http_step("strange", &http.url("/strange"), true),
            http_step("broken", &http.url("/broken"), false),
            database_step("database", &postgres, &json!({ "user": "keeper", "password_from_env": "PASSWORD" })),
            database_step("filed", &postgres, &json!({ "user": "keeper", "password_file": "password" })),
        ],
    });
    program.write("loud.yaml", scenario.to_string());
    program.write("password", format!("{other}\n"));
    let mut command = program.command(&["run", "loud.yaml"]);
    command.env("TOKEN", token).env("PASSWORD", password);
    Ran::of(command.output().unwrap())
}

fn database_step(id: &str, server: &Loopback, credentials: &Value) -> Value {
    json!({
        "id": id, "uses": "sql.check", "required": false, "on_failure": "continue",
        "with": {
            "endpoint": "127.0.0.1", "port": server.port(), "database": "orders", "tls": "off",
            "credentials": credentials, "ready_within": "5s",
            "queries": [{ "name": "one", "sql": "select version()", "expect": "~ ." }],
        },
    })
}

#[test]
fn no_secret_of_a_real_drill_is_written_in_any_form() {
    check_cases(4, |secrets| {
        let program = Program::new();
        let ran = real_drill(&program, &secrets);
        prop_assert!(
            program.path("runs/loud-0001/report.json").exists(),
            "{}: {}{}",
            ran.code,
            ran.stdout,
            ran.stderr
        );
        let shown = program.run(&["show", "last"]);
        let all: Vec<&str> = secrets.iter().map(String::as_str).collect();
        assert_nothing_leaks(&program, &[&ran, &shown], &all);
        prop_assert!(concealed(&program, "loud-0001") > 10, "{}", ran.stderr);
        Ok(())
    });
}

/// Uses a token and a password, asks, and lets a program that was given neither of them repeat both.
fn interrupted_scenario(postgres: &Loopback) -> Value {
    let by_file = json!({ "user": "keeper", "password_file": "password" });
    json!({
        "redrill": 1, "name": "interrupted", "title": "Secrets outlive a process", "owner": "tester",
        "disaster": { "kind": "corruption" },
        "objectives": {},
        "guard": { "max_duration": "10m" },
        "steps": [
            exec_step("uses", json!({ "argv": ["true"] })),
            database_step("filed", postgres, &by_file),
            { "id": "ask", "uses": "control.approve", "phase": "verify", "needs": ["uses"],
              "with": { "ask": "Go on?", "within": "5m" } },
            { "id": "shows", "uses": "exec.run", "needs": ["ask"],
              "with": { "argv": ["cat", "token", "password"], "effect": "none" } },
        ],
    })
}

/// The process that resumed knew only the secrets that it used itself.
#[test]
fn regression_the_process_that_resumes_knows_the_secrets_of_the_steps_before_it() {
    let (token, password) = ("hunter2-swordfish-42", "correct horse battery");
    let program = Program::new();
    let postgres = echoing_postgres();
    program.write("interrupted.yaml", interrupted_scenario(&postgres).to_string());
    program.write("token", format!("{token}\n"));
    program.write("password", format!("{password}\n"));
    let mut run = program.command(&["run", "interrupted.yaml", "--quiet"]);
    run.env("TOKEN", token).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Started::of(&mut run);
    let question = program.path("runs/interrupted-0001/approvals/ask.request.json");
    let over = || {
        let journal = program.read("runs/interrupted-0001/journal.jsonl");
        journal.matches("\"type\":\"step_finished\"").count() == 2
    };
    poll("the question after two steps", Duration::from_secs(60), || {
        (question.exists() && over()).then_some(())
    });
    drop(process);
    program.run(&["approve", "last", "ask"]).says(0, &[]);
    let mut resume = program.command(&["resume", "last"]);
    let resumed = Ran::of(resume.env("TOKEN", token).output().unwrap());
    let shown = program.run(&["show", "last"]);
    let html = program.run(&["report", "last", "--format", "html"]);
    let journal = program.read("runs/interrupted-0001/journal.jsonl");
    let shows = journal.lines().find(|line| {
        line.contains("\"type\":\"step_finished\"") && line.contains("\"step\":\"shows\"")
    });
    let shows = shows.unwrap_or_else(|| panic!("{}", resumed.stderr));
    assert!(shows.contains("<secret>\\n<secret>"), "{shows}");
    assert_nothing_leaks(&program, &[&resumed, &shown, &html], &[token, password]);
}

const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE/token+that=is//long";

/// Knows everybody, and refuses everything but that with the session token in the message.
fn refusing_aws() -> Loopback {
    hostile_aws(|head, _| {
        let token = head.lines().find_map(|line| line.strip_prefix("x-amz-security-token: "));
        let said = format!("token {} is not allowed here", token.unwrap_or("none"));
        let error = format!("<Error><Code>AccessDenied</Code><Message>{said}</Message></Error>");
        let is_for = |service: &str| head.contains(&format!("/{service}/aws4_request"));
        let answer = match (is_for("s3"), is_for("ec2")) {
            (true, _) => error,
            (_, true) => format!("<Response><Errors>{error}</Errors></Response>"),
            _ => format!("<ErrorResponse>{error}</ErrorResponse>"),
        };
        (403, answer)
    })
}

/// What a command says whose AWS is such a server, with a scenario at this site.
fn refused(site: &Value, arguments: &[&str]) -> String {
    let (program, server) = (Program::new(), refusing_aws());
    let scenario = json!({
        "redrill": 1, "name": "refused", "title": "Everything is refused", "owner": "tester",
        "disaster": { "kind": "corruption" },
        "sites": { "dr": site },
        "objectives": { "rto": { "target": "1h", "from": "declared" } },
        "guard": { "max_duration": "10m" },
        "steps": [{ "id": "point", "at": "dr", "uses": "rds.find_snapshot", "phase": "verify", "gate": "acceptance",
                    "retry": { "attempts": 1 }, "with": { "of": "orders" } }],
    });
    program.write("refused.yaml", scenario.to_string());
    let url = server.url("");
    let mut command = program.command(&[arguments, &["--endpoint-url", &url]].concat());
    command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SESSION_TOKEN", TOKEN);
    command.env("AWS_SECRET_ACCESS_KEY", "never-sent-0123456789");
    let ran = Ran::of(command.output().unwrap());
    let written = program.files_of_runs().into_iter().map(|file| program.read(&file));
    [ran.stdout, ran.stderr].into_iter().chain(written).collect()
}

/// They were known only to a run that had begun, and there not those of its store, nor those by which a role is assumed.
#[test]
fn regression_credentials_of_aws_are_taken_out_of_whatever_a_command_says() {
    let own = json!({ "region": "eu-west-1" });
    let role = json!({ "account": "111111111111", "region": "eu-west-1", "role": "drill" });
    let store = ["--store", "s3://evidence/x", "--store-region", "eu-west-1"];
    let stored = "s3://evidence/x/refused-0001-abcdef";
    for (site, arguments) in [
        (&role, vec!["run", "refused.yaml"]),
        (&own, [&["run", "refused.yaml"][..], &store].concat()),
        (&own, vec!["resume", stored, "--store-region", "eu-west-1"]),
        (&own, vec!["preflight", "refused.yaml"]),
        (&own, vec!["preflight", "refused.yaml", "--format", "json"]),
        (&own, [&["preflight", "refused.yaml"][..], &store].concat()),
        (&role, vec!["preflight", "refused.yaml"]),
        (&own, vec!["reap", "--dry-run", "--site=eu-west-1"]),
        (&own, vec!["reap", "--dry-run", "--site=eu-west-1", "--format", "json"]),
        (&role, vec!["reap", "--dry-run", "refused.yaml"]),
        (&own, [&["reap", "--dry-run", "--site=eu-west-1"][..], &store].concat()),
    ] {
        let said = refused(site, &arguments);
        assert!(said.contains("token <secret> is not allowed here"), "{arguments:?}: {said}");
        assert!(!said.contains(&TOKEN[..12]), "{arguments:?}: {said}");
    }
}
