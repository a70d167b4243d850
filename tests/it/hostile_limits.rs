//! One above each limit of `redrill::limits` that can be reached from outside: a clear error, and nothing that hangs or grows.
//! Those that need an inner state are tested beside the code; `every_limit_has_a_test` knows where.

use crate::loopback::hostile_aws;
use crate::program::{Program, Ran};
use redrill::journal;
use redrill::limits;
use redrill::sandbox::Estate;
use redrill::scenario::expression::Template;
use redrill::scenario::{self, Source};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;

/// Where each limit is exceeded: a test's name, in this folder or in `src/`.
const TESTED: [(&str, &str); 59] = [
    ("SCENARIO_BYTES", "a_scenario_above_a_limit_is_refused_with_a_code"),
    ("SCENARIO_NODES", "a_scenario_above_a_limit_is_refused_with_a_code"),
    ("SCENARIO_DEPTH", "a_scenario_above_a_limit_is_refused_with_a_code"),
    ("SCENARIO_STEPS", "a_scenario_above_a_limit_is_refused_with_a_code"),
    (
        "SCENARIO_ERRORS",
        "regression_thousands_of_errors_are_neither_counted_for_minutes_nor_all_shown",
    ),
    ("ALLOWED_SIGNERS", "a_file_of_too_many_signers_is_not_judged"),
    ("EXPRESSION_BYTES", "an_expression_above_a_limit_is_refused"),
    ("EXPRESSIONS", "an_expression_above_a_limit_is_refused"),
    ("EXPRESSION_DEPTH", "an_expression_above_a_limit_is_refused"),
    ("INPUT_BYTES", "texts_and_inputs_above_the_limit_are_cut_or_not_used"),
    ("PLAN_VALUES_BYTES", "regression_a_scenario_whose_steps_together_are_too_large_is_refused"),
    ("DIAGNOSTIC_BYTES", "regression_an_error_quotes_no_more_of_a_text_than_anybody_reads"),
    ("PATTERN_BYTES", "a_pattern_that_would_grow_is_refused"),
    ("FILE_BYTES", "files_above_the_limit_are_refused_without_reading_them_whole"),
    ("ESTATE_NODES", "an_estate_above_a_limit_is_refused"),
    ("ESTATE_DEPTH", "an_estate_above_a_limit_is_refused"),
    ("ESTATE_SNAPSHOTS", "an_estate_above_a_limit_is_refused"),
    ("ESTATE_OBJECT_BYTES", "an_estate_above_a_limit_is_refused"),
    ("DURATION_DAYS", "a_duration_has_a_limit"),
    ("PLAN_BYTES", "files_above_the_limit_are_refused_without_reading_them_whole"),
    ("JOURNAL_BYTES", "a_journal_above_a_limit_is_refused"),
    ("STORE_OBJECT_BYTES", "a_store_that_never_ends_is_given_up"),
    ("STORE_PAGES", "a_store_that_never_ends_is_given_up"),
    ("RECORD_BYTES", "a_journal_above_a_limit_is_refused"),
    ("TEXT_BYTES", "texts_and_inputs_above_the_limit_are_cut_or_not_used"),
    ("OUTPUT_BYTES", "an_output_above_the_limit_makes_the_step_inconclusive"),
    ("APPROVAL_BYTES", "an_answer_above_the_limit_is_not_read"),
    ("EFFECT_NAME_BYTES", "longer than 4096 bytes"),
    ("PROGRAM_OUTPUT_BYTES", "input_is_given_and_output_is_cut_at_the_limit"),
    ("HTTP_BODY_BYTES", "a_request_carries_its_headers_and_a_body_is_cut_at_the_limit"),
    ("HTTP_REDIRECTS", "redirects_are_answers_unless_they_are_to_be_followed"),
    ("SQL_ROWS", "an_answer_that_is_too_long_is_an_error_and_not_cut"),
    ("SQL_ROW_BYTES", "a_row_and_a_file_of_certificates_have_a_limit"),
    ("SQL_OBJECTS", "a_database_with_too_many_objects_is_an_error_and_not_cut"),
    ("SQL_REFERENCE_BYTES", "a_reference_that_is_too_large_is_refused"),
    ("CREDENTIAL_BYTES", "files_are_read_up_to_a_limit_and_not_cut"),
    ("CERTIFICATE_BYTES", "a_row_and_a_file_of_certificates_have_a_limit"),
    ("AWS_ANSWER_BYTES", "an_endpoint_that_never_stops_talking_is_given_up"),
    ("LIST_PAGES", "a_list_that_never_ends_is_given_up"),
    ("OBJECT_PAGES", "a_listing_that_does_not_end_is_given_up"),
    ("KEY_VERSIONS", "a_listing_that_does_not_end_is_given_up"),
    (
        "PACKED_WINDOW_BYTES",
        "regression_a_window_that_takes_too_much_memory_is_refused_and_is_no_damage",
    ),
    ("ETCD_BYTES", "a_snapshot_above_the_limit_is_refused"),
    ("ETCD_INVENTORY_BYTES", "an_inventory_above_the_limit_is_refused"),
    ("ENCRYPTION_CONFIG_BYTES", "an_encryption_configuration_above_the_limit_is_refused"),
    ("SERVER_TOKEN_BYTES", "a_server_token_above_the_limit_is_refused"),
    ("ETCD_SPAN_BYTES", "a_page_that_claims_gigabytes_is_named"),
    ("ETCD_BRANCH_BYTES", "a_page_that_lists_more_than_any_is_not_checked"),
    ("ETCD_BUCKETS", "buckets_that_etcd_never_writes_are_named"),
    ("ETCD_BUCKET_NAME_BYTES", "buckets_that_etcd_never_writes_are_named"),
    ("ETCD_INLINE_BYTES", "buckets_that_etcd_never_writes_are_named"),
    ("ETCD_MEMBER_BYTES", "what_is_not_written_as_etcd_writes_it_is_told"),
    ("PACKED_IDLE_BYTES", "regression_packings_that_hold_nothing_for_ever_are_given_up"),
    ("ETCD_DEPTH", "a_chain_of_branches_is_not_followed_for_ever"),
    ("ETCD_MESSAGE_BYTES", "a_member_of_etcd_that_sends_too_much_is_not_listened_to"),
    ("SERVER_BODY_BYTES", "rubbish_is_refused_and_does_not_hurt_others"),
    ("SERVER_HEAD_BYTES", "rubbish_is_refused_and_does_not_hurt_others"),
    ("SERVER_HEADERS", "rubbish_is_refused_and_does_not_hurt_others"),
    ("SERVER_CONNECTIONS", "further_connections_wait_until_there_is_room"),
];

#[test]
fn every_limit_has_a_test() {
    let mut sources = String::new();
    let mut folders =
        vec![crate::program::repository("src"), crate::program::repository("tests/it")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let tested: BTreeMap<_, _> = TESTED.into_iter().collect();
    for limit in limits::ALL {
        let test = tested.get(limit.name).unwrap_or_else(|| panic!("no test of {}", limit.name));
        let is_there = sources.contains(&format!("fn {test}(")) || test.contains(' ');
        assert!(is_there, "{}: there is no test {test}", limit.name);
    }
    assert_eq!(tested.len(), limits::ALL.len(), "a test of a limit that does not exist");
}

/// The table of all limits in docs/security.md.
#[test]
fn the_table_of_limits_is_current() {
    let mut table = String::from("| limit | most | of | above |\n|---|---|---|---|\n");
    for limit in limits::ALL {
        table.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            limit.name, limit.most, limit.of, limit.above
        ));
    }
    let (start, end) = ("<!-- limits -->\n", "<!-- end of limits -->");
    let page = std::fs::read_to_string(crate::program::repository("docs/security.md")).unwrap();
    let (before, rest) = page.split_once(start).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    crate::generated::assert_fresh(
        "docs/security.md",
        &format!("{before}{start}{table}{end}{after}"),
    );
}

#[track_caller]
fn assert_code(text: &str, code: &str) {
    let registry = redrill::providers::registry();
    let loaded = scenario::load_text(Source::new("a.yaml", text), &registry);
    assert!(loaded.scenario.is_none());
    assert_eq!(loaded.diagnostics.first().map(|one| one.code), Some(code));
    assert!(loaded.render(false).contains(code));
}

#[test]
fn a_scenario_above_a_limit_is_refused_with_a_code() {
    assert_code(&"#".repeat(limits::SCENARIO_BYTES + 1), "RD002");
    assert_code(&format!("a: [{}]", "1,".repeat(limits::SCENARIO_NODES)), "RD002");
    let deep = limits::SCENARIO_DEPTH + 1;
    assert_code(&format!("a: {}{}", "[".repeat(deep), "]".repeat(deep)), "RD002");
    assert_code(&format!("steps: [{}]", "{},".repeat(limits::SCENARIO_STEPS + 1)), "RD002");
}

/// 24,000 unknown keys, and 2,000 steps with a wrong key on one line, took minutes and megabytes.
#[test]
fn regression_thousands_of_errors_are_neither_counted_for_minutes_nor_all_shown() {
    let registry = redrill::providers::registry();
    let keys: String = (0..24_000).map(|number| format!("key{number}: 1\n")).collect();
    let line = format!("steps: [{}]", "{ide: a},".repeat(limits::SCENARIO_STEPS));
    for text in [keys, line] {
        let loaded = scenario::load_text(Source::new("a.yaml", text), &registry);
        assert!(loaded.scenario.is_none());
        assert_eq!(loaded.diagnostics.len(), limits::SCENARIO_ERRORS + 1);
        let last = loaded.diagnostics.last().unwrap();
        assert!(last.code == "RD002" && last.message.contains("more errors than these"));
        assert!(loaded.render(false).len() < 1_000_000);
    }
}

#[test]
fn an_expression_above_a_limit_is_refused() {
    let refused = |text: &str, words: &str| {
        let error = Template::parse(text).unwrap_err();
        assert!(error.message.contains(words), "{}", error.message);
    };
    refused(&format!("{{{{a}}}}{}", "x".repeat(limits::EXPRESSION_BYTES)), "64 KiB");
    refused(&"{{a}}".repeat(limits::EXPRESSIONS + 1), "200 expressions");
    let deep = limits::EXPRESSION_DEPTH * 2 + 1;
    refused(&format!("{{{{lower {}a{}}}}}", "(".repeat(deep), ")".repeat(deep)), "too deeply");
}

#[test]
fn a_duration_has_a_limit() {
    use redrill::time::HumanDuration;
    assert!("3660d".parse::<HumanDuration>().is_ok());
    assert!("3661d".parse::<HumanDuration>().unwrap_err().contains("ten years"));
    assert!("99999999999999999999d".parse::<HumanDuration>().is_err());
}

#[test]
fn an_estate_above_a_limit_is_refused() {
    let refused = |text: &str, words: &str| {
        let error = Estate::read("estate.yaml", text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let accounts: String = (0..limits::ESTATE_NODES).map(|n| format!("'{n:012}': {{}},")).collect();
    refused(&format!("estate: 1\naccounts: {{{accounts}}}"), "nodes");
    // The deepest place that there is; anything deeper is of the wrong kind already.
    let deep = 100_000;
    refused(&format!("title: {}{}", "[".repeat(deep), "]".repeat(deep)), "estate.yaml:1:");
    let place = |what: &str| {
        format!(
            "estate: 1\nnow: 2026-11-20T02:00:00Z\naccounts: {{ '111111111111': {{}} }}\n\
             places: [{{ account: '111111111111', region: eu-west-1, {what} }}]\n"
        )
    };
    let schedule = "databases: [{ id: a, schedule: { every: 1h, keep: 300d } }]";
    refused(&place(schedule), "at most 5000 snapshots");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    File::create(&file).unwrap().set_len(limits::ESTATE_OBJECT_BYTES + 1).unwrap();
    let objects = format!("buckets: [{{ name: abc, objects: [{{ key: a, file: {file:?} }}] }}]");
    refused(&place(&objects), "an estate's file may have 268435456");
}

#[test]
fn files_above_the_limit_are_refused_without_reading_them_whole() {
    let program = Program::new();
    // What never ends, and whose length is said to be nothing.
    program.run(&["run", "/dev/zero", "--sandbox"]).says(3, &["/dev/zero", "larger than 16 MiB"]);
    let checked = program.run(&["check", "/dev/zero"]);
    assert_eq!(checked.code, 3);
    assert!(checked.stdout.contains("larger than 16 MiB"), "{}", checked.stdout);
    let with = |name, value| ["run", "scenarios/orders-db.yaml", "--sandbox", name, value];
    let estate = File::create(program.path("large.yaml")).unwrap();
    estate.set_len(limits::FILE_BYTES + 1).unwrap();
    program.run(&with("--estate", "large.yaml")).says(3, &["larger than 16 MiB"]);
    program.run(&with("--inputs", "/dev/zero")).says(3, &["larger than 16 MiB"]);
    let (code, _) = program.rehearse("orders-db", &[]);
    assert_eq!(code, 0);
    let plan = File::create(program.path("runs/orders-db-0001/plan.json")).unwrap();
    plan.set_len(limits::PLAN_BYTES + 1).unwrap();
    program.run(&["report", "last"]).says(2, &["plan.json", "larger than 64 MiB"]);
}

#[test]
fn a_journal_above_a_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    File::create(&path).unwrap().set_len(limits::JOURNAL_BYTES + 1).unwrap();
    let error = journal::read(&path).unwrap_err().to_string();
    assert!(error.contains("larger than 256 MiB"), "{error}");
    let line = "x".repeat(limits::RECORD_BYTES) + "\n";
    let error = journal::read_bytes(line.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("record 0") && error.contains("longer than 16 MiB"), "{error}");
}

#[test]
fn a_snapshot_above_the_limit_is_refused() {
    let program = Program::new();
    let file = File::create(program.path("snapshot.db")).unwrap();
    file.set_len(limits::ETCD_BYTES + 1).unwrap();
    let scenario = json!({
        "redrill": 1, "name": "large", "title": "A snapshot that is none", "owner": "tester",
        "disaster": { "kind": "corruption" },
        "objectives": { "rto": { "target": "1h", "from": "declared" } },
        "guard": { "max_duration": "10m" },
        "steps": [{ "id": "look", "uses": "etcd.verify_snapshot", "phase": "verify", "gate": "acceptance",
                    "with": { "file": "snapshot.db" } }],
    });
    program.write("large.yaml", scenario.to_string());
    let ran = program.run(&["run", "large.yaml"]);
    ran.says(2, &["not taken for a snapshot"]);
}

#[tokio::test]
async fn a_member_of_etcd_that_sends_too_much_is_not_listened_to() {
    let server = crate::loopback::endless_etcd(limits::ETCD_MESSAGE_BYTES as u32 + 1);
    let folder = tempfile::tempdir().unwrap();
    let outside = redrill::outside::real::RealOutside::new(folder.path());
    let login = redrill::outside::etcd::EtcdLogin {
        step: redrill::ids::StepId::new("step"),
        endpoint: server.url(""),
        tls: Default::default(),
        timeout: std::time::Duration::from_secs(30),
    };
    use redrill::outside::Outside as _;
    let mut member = outside.etcd(&login).await.unwrap();
    let error = member.status().await.unwrap_err().to_string();
    assert!(error.contains("4194305 bytes, the limit is: 4194304 bytes"), "{error}");
}

#[test]
fn an_inventory_above_the_limit_is_refused() {
    let program = Program::new();
    program.write("large.json", "{");
    let file = File::options().write(true).open(program.path("large.json")).unwrap();
    file.set_len(limits::ETCD_INVENTORY_BYTES + 1).unwrap();
    let ran = program.run(&["etcd", "diff", "large.json", "large.json"]);
    ran.says(3, &["is no inventory: it has 67108865 bytes"]);
}

#[test]
fn an_encryption_configuration_above_the_limit_is_refused() {
    let program = Program::new();
    program.write("large.yaml", "kind: EncryptionConfiguration");
    let file = File::options().write(true).open(program.path("large.yaml")).unwrap();
    file.set_len(limits::ENCRYPTION_CONFIG_BYTES + 1).unwrap();
    let asked = ["etcd", "inventory", "-", "--decrypt", "a/b", "--encryption-config", "large.yaml"];
    program.run(&asked).says(2, &["large.yaml cannot be read: it is larger than 1 MiB"]);
}

#[test]
fn texts_and_inputs_above_the_limit_are_cut_or_not_used() {
    let program = Program::new();
    let long = "x".repeat(60_000);
    let estate = json!({
        "estate": 1, "title": "Long texts", "now": "2026-11-20T02:00:00Z",
        "accounts": {}, "places": [],
        "answers": {
            "commands": { "first": { "stdout": long }, "second": {} },
            "approvals": { "asked": { "approved": true, "comment": long } },
        },
    });
    program.write("estate.yaml", estate.to_string());
    let exec = |id: &str, stdin: String| {
        json!({ "id": id, "uses": "exec.run", "gate": "acceptance",
                "with": { "argv": ["a"], "effect": "none", "stdin": stdin } })
    };
    let scenario = json!({
        "redrill": 1, "name": "long", "title": "Long texts", "owner": "tester",
        "disaster": { "kind": "corruption" },
        "objectives": { "rto": { "target": "1h", "from": "declared" } },
        "guard": { "max_duration": "10m" },
        "steps": [
            exec("first", String::new()),
            exec("second", "{{steps.first.stdout}}".repeat(20)),
            { "id": "asked", "uses": "control.approve", "phase": "verify", "with": { "ask": "Is it so?", "within": "1m" } },
        ],
    });
    program.write("long.yaml", scenario.to_string());
    let ran = program.run(&["run", "long.yaml", "--sandbox", "--estate", "estate.yaml"]);
    ran.says(2, &["second: with its expressions replaced", "the most is 1 MiB"]);
    let journal = program.read("runs/long-0001/journal.jsonl");
    assert!(journal.contains("… (43616 bytes more)"), "the comment was not cut");
    assert!(journal.len() < 200_000, "{}", journal.len());
}

/// A drill whose AWS is a server on loopback.
fn against(server: &crate::loopback::Loopback, token: &str) -> (Program, Ran) {
    let program = Program::new();
    let scenario = json!({
        "redrill": 1, "name": "endless", "title": "An endpoint that is not AWS", "owner": "tester",
        "disaster": { "kind": "corruption" },
        "sites": { "home": { "region": "eu-west-1" } },
        "objectives": { "rto": { "target": "1h", "from": "declared" } },
        "guard": { "max_duration": "10m" },
        "steps": [{ "id": "point", "at": "home", "uses": "rds.find_snapshot", "phase": "verify", "gate": "acceptance",
                    "retry": { "attempts": 1 }, "with": { "of": "orders" } }],
    });
    program.write("endless.yaml", scenario.to_string());
    let mut command = program.command(&["run", "endless.yaml", "--endpoint-url", &server.url("")]);
    command
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "never-sent-0123456789");
    command.env("AWS_SESSION_TOKEN", token);
    let ran = Ran::of(command.output().unwrap());
    (program, ran)
}

#[test]
fn a_list_that_never_ends_is_given_up() {
    let server = hostile_aws(|_, _| {
        let list = "<DBSnapshots/><Marker>more</Marker>";
        (
            200,
            format!(
                "<DescribeDBSnapshotsResponse><DescribeDBSnapshotsResult>{list}</DescribeDBSnapshotsResult></DescribeDBSnapshotsResponse>"
            ),
        )
    });
    against(&server, "token").1.says(2, &["did not end after 100 pages"]);
}

#[test]
fn a_store_that_never_ends_is_given_up() {
    let fetched = |pages: bool| {
        let server = hostile_aws(move |head, _| match (head.contains("list-type=2"), pages) {
            (true, true) => (200, LIST_THAT_GOES_ON.to_owned()),
            (true, false) => (200, LIST_OF_ONE.to_owned()),
            (false, _) => (200, " ".repeat(limits::STORE_OBJECT_BYTES + 1)),
        });
        let program = Program::new();
        let address = format!("s3://bucket/{STORED}");
        let url = server.url("");
        let rest = ["--endpoint-url", &url, "--store-region", "eu-west-1"];
        let mut command = program.command(&[&["resume", &address][..], &rest].concat());
        command.env("AWS_ACCESS_KEY_ID", "AKIA").env("AWS_SECRET_ACCESS_KEY", "secret");
        Ran::of(command.output().unwrap())
    };
    fetched(true).says(2, &["did not end after 1000 pages"]);
    fetched(false).says(2, &["0000000000.jsonl is larger than anything of a journal"]);
}

const STORED: &str = "endless-0001-abcdef";

const LIST_THAT_GOES_ON: &str = "<ListBucketResult><IsTruncated>true</IsTruncated>\
    <NextContinuationToken>more</NextContinuationToken></ListBucketResult>";

const LIST_OF_ONE: &str = "<ListBucketResult><IsTruncated>false</IsTruncated>\
    <Contents><Key>endless-0001-abcdef/journal/0000000000.jsonl</Key></Contents></ListBucketResult>";

#[test]
fn an_endpoint_that_never_stops_talking_is_given_up() {
    let server =
        hostile_aws(|_, _| (200, "<a>".to_owned() + &" ".repeat(limits::AWS_ANSWER_BYTES)));
    let (program, ran) = against(&server, "token");
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(program.read("runs/endless-0001/journal.jsonl").contains("length limit exceeded"));
}

#[test]
fn regression_a_session_token_that_the_endpoint_repeats_is_not_written() {
    let server = hostile_aws(|headers, _| {
        let told =
            headers.lines().find(|line| line.starts_with("x-amz-security-token")).unwrap_or("none");
        let error = format!(
            "<Code>AccessDenied</Code><Message>you said {told} {}</Message>",
            "y".repeat(100_000)
        );
        (403, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"))
    });
    let token = "IQoJb3JpZ2luX2VjEXAMPLE/token+that=is//long==";
    let (program, ran) = against(&server, token);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let journal = program.read("runs/endless-0001/journal.jsonl");
    assert!(journal.contains("you said x-amz-security-token: <secret> yyy"));
    for file in program.files_of_runs() {
        assert!(!program.read(&file).contains("IQoJb3JpZ2luX2"), "{file}");
    }
    assert!(!ran.stderr.contains("IQoJb3JpZ2luX2") && !ran.stdout.contains("IQoJb3JpZ2luX2"));
    // A message of 100 KB is not worth a place in the journal.
    assert!(journal.len() < 100_000, "{}", journal.len());
}

#[test]
fn an_address_with_a_password_is_refused_before_it_is_written_down() {
    let program = Program::new();
    for url in
        ["http://user:pass@127.0.0.1:1", "http://token@127.0.0.1:1/", "http://127.0.0.1:1/?token=x"]
    {
        let ran = program.run(&["run", "scenarios/orders-db.yaml", "--endpoint-url", url]);
        ran.says(3, &["must not stand in the address"]);
    }
    assert!(!program.path("runs").exists());
}
