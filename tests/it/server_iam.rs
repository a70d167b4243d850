//! The policies that `redrill iam` prints, attached to users and a role of a moto that enforces IAM: with exactly them
//! nothing is denied, and with any one action taken away something is, by an error that names it.
//!
//! moto checks actions (and the resources of S3), no conditions: see `tests/servers/moto_with_iam.py`.

use crate::server_support::{Drill, Drills, Ended, Started, end, poll, repository, variable};
use redrill::iam::{actions_of, never_called};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

/// IAM actions whose absence no drill against moto notices, and why.
const NOT_NOTICED: &[(&str, &str)] = &[
    ("kms:DescribeKey", "moto's snapshots are not encrypted"),
    ("rds:DescribeEvents", "events only refine a time, and are best effort"),
    ("rds:ListTagsForResource", "moto describes instances with their tags"),
];

/// `redrill iam … --document`.
fn document(drills: &Drills, scenario: &str, more: &[&str]) -> Value {
    let mut command = drills.program();
    command.arg("iam").arg(repository(&format!("tests/it/scenarios/{scenario}.yaml"))).args(more);
    let ended = end(&mut command);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

fn actions(policy: &Value) -> Vec<String> {
    let statements = policy["Statement"].as_array().unwrap();
    let all = statements.iter().flat_map(|s| s["Action"].as_array().unwrap());
    let mut all: Vec<String> = all.map(|action| action.as_str().unwrap().to_owned()).collect();
    all.sort();
    all.dedup();
    all
}

/// A policy without one action.
fn without(policy: &Value, action: &str) -> Value {
    let mut policy = policy.clone();
    let statements = policy["Statement"].as_array_mut().unwrap();
    for statement in statements.iter_mut() {
        statement["Action"].as_array_mut().unwrap().retain(|one| one != action);
    }
    statements.retain(|statement| !statement["Action"].as_array().unwrap().is_empty());
    policy
}

/// moto with IAM enforced, and the keys of its users.
pub(crate) struct Enforced {
    pub(crate) address: String,
    pub(crate) keys: BTreeMap<String, [String; 2]>,
    _server: Started,
}

impl Enforced {
    pub(crate) fn start(drills: &Drills, users: &BTreeMap<String, Value>, roles: &Value) -> Self {
        let python = variable("REDRILL_TEST_PYTHON");
        let file = drills.path("moto.address");
        let mut command = Command::new(&python);
        command.arg(repository("tests/servers/moto_with_iam.py")).arg("--address-file").arg(&file);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let server = Started::start(&mut command);
        let address =
            poll("moto answers", Duration::from_secs(60), || std::fs::read_to_string(&file).ok());
        let address = address.trim().to_owned();
        let mut command = Command::new(python);
        command.arg(repository("tests/servers/iam_users.py")).arg(&address);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
        let snapshot = repository("scenarios/estates/files/cluster-state.snapshot.db");
        let wanted = json!({ "users": users, "roles": roles, "snapshot": snapshot });
        child.stdin.take().unwrap().write_all(wanted.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "iam_users.py failed");
        Self { address, keys: serde_json::from_slice(&output.stdout).unwrap(), _server: server }
    }

    /// The program as a user.
    pub(crate) fn program(&self, drills: &Drills, user: &str) -> Command {
        let [key, secret] = &self.keys[user];
        let mut command = drills.program();
        command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret);
        command
    }

    fn run(&self, drills: &Drills, user: &str, scenario: &str) -> Ended {
        let mut command = self.program(drills, user);
        command.arg("run").arg(scenario);
        command.args(["--quiet", "--format", "json", "--endpoint-url"]).arg(&self.address);
        end(&mut command)
    }
}

/// Everything in a report that says that something was denied.
fn denials(drill: &Drill) -> String {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => {
                let signs = ["AccessDenied", "UnauthorizedOperation", "status 403"];
                if signs.iter().any(|sign| text.contains(sign)) {
                    found.push(text.clone());
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&drill.report, &mut found);
    found.join("\n")
}

/// True when a text names the action, or a call for which AWS asks for it.
fn names(text: &str, action: &str) -> bool {
    let calls = redrill::aws::OPERATIONS.iter().flat_map(|(prefix, _, operations)| {
        operations.iter().map(move |(name, _)| format!("{prefix}:{name}"))
    });
    let mut calls = calls.filter(|call| actions_of(call).contains(&action));
    text.contains(action) || calls.any(|call| text.contains(&call))
}

fn scenario_file(name: &str) -> String {
    repository(&format!("tests/it/scenarios/{name}.yaml")).display().to_string()
}

/// Runs a scenario as users of whom each lacks one action; several at a time, since they wait most of the time.
fn take_each_away(scenario: &str, policy: &Value, exit: i32) {
    let drills = Drills::new();
    let all = actions(policy);
    let noticed: Vec<&String> = all
        .iter()
        .filter(|a| !never_called(a) && !NOT_NOTICED.iter().any(|(known, _)| known == a))
        .collect();
    assert!(noticed.len() >= 6, "{noticed:?}");
    let name_of = |action: &str| format!("without-{}", action.replace(':', "-"));
    let mut users: BTreeMap<String, Value> =
        noticed.iter().map(|a| (name_of(a), without(policy, a))).collect();
    users.insert("exactly".to_owned(), policy.clone());
    let moto = Enforced::start(&drills, &users, &json!({}));
    let drill = Drill::of(&moto.run(&drills, "exactly", &scenario_file(scenario)));
    assert_eq!((denials(&drill), drill.code), (String::new(), exit), "{:#}", drill.report);
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let place = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let Some(action) = noticed.get(place) else { break };
                let folder = Drills::new();
                let ended = moto.run(&folder, &name_of(action), &scenario_file(scenario));
                let drill = Drill::of(&ended);
                let denied = denials(&drill);
                assert!(drill.code != 0, "{action} is not needed");
                assert!(
                    names(&denied, action),
                    "{action} is missing, and the report says: {denied}"
                );
            }
        };
        for _ in 0..6 {
            scope.spawn(work);
        }
    });
}

#[test]
fn server_iam_the_policy_of_a_site_is_enough_and_every_action_of_it_is_needed() {
    let drills = Drills::new();
    let policy = document(&drills, "everything-home", &["--document", "policy"]);
    take_each_away("everything-home", &policy, 0);
}

#[test]
fn server_iam_the_policy_of_a_site_is_enough_for_a_run_that_keeps_what_it_made() {
    let drills = Drills::new();
    let policy = document(&drills, "everything-home", &["--document", "policy"]);
    let moto =
        Enforced::start(&drills, &BTreeMap::from([("exactly".to_owned(), policy)]), &json!({}));
    let mut command = moto.program(&drills, "exactly");
    command.arg("run").arg(scenario_file("everything-home")).args(["--keep", "2h"]);
    command.args(["--quiet", "--format", "json", "--endpoint-url"]).arg(&moto.address);
    let drill = Drill::of(&end(&mut command));
    assert_eq!(denials(&drill), "", "{:#}", drill.report);
    let resources = drill.report["resources"].as_array().unwrap();
    let kept = resources.iter().filter_map(|one| one["how"].as_str());
    let kept: Vec<&str> = kept.filter(|why| why.starts_with("kept for 2h")).collect();
    assert!(kept.len() >= 2, "{:#}", drill.report);
    // That of each could be written on it, too, but for what has no place for it.
    let not_written = |why: &&str| why.contains("could not be changed");
    assert!(!kept.iter().any(not_written), "{kept:#?}");
}

#[test]
fn server_iam_preflight_names_the_action_that_is_missing() {
    let drills = Drills::new();
    let policy = document(&drills, "everything-home", &["--document", "policy", "--preflight"]);
    let action = "ec2:CreateVolume";
    let users = BTreeMap::from([
        ("enough".to_owned(), policy.clone()),
        ("missing".to_owned(), without(&policy, action)),
    ]);
    let moto = Enforced::start(&drills, &users, &json!({}));
    let look = |user: &str| {
        let ended = end(moto.program(&drills, user).args([
            "preflight",
            &scenario_file("everything-home"),
            "--format",
            "json",
            "--endpoint-url",
            &moto.address,
        ]));
        let found: Value = serde_json::from_str(&ended.stdout).unwrap();
        let permissions = found["sites"][0]["permissions"].as_array().unwrap();
        let one = permissions.iter().find(|one| one["what"] == action).unwrap();
        (ended.code, one["outcome"].as_str().unwrap().to_owned(), found)
    };
    let (code, outcome, found) = look("missing");
    assert_eq!((code, outcome.as_str()), (Some(1), "failed"), "{found:#}");
    let (_, outcome, found) = look("enough");
    assert_eq!((outcome.as_str(), &found["summary"]["failed"]), ("passed", &json!(0)), "{found:#}");
}

#[test]
fn server_iam_the_policy_of_two_buckets_is_enough_and_every_action_of_it_is_needed() {
    let drills = Drills::new();
    let policy = document(&drills, "buckets-compared", &["--document", "policy"]);
    // moto does not replicate: the drill fails, but nothing is denied.
    take_each_away("buckets-compared", &policy, 1);
}

#[test]
fn server_iam_a_run_with_a_store_needs_exactly_what_is_printed_for_it() {
    let drills = Drills::new();
    let store = ["--store", "s3://uploads-iam/journals"];
    let of_site = document(&drills, "everything-home", &["--document", "policy"]);
    let of_store = [&store[..], &["--document", "runner-policy"]].concat();
    let of_store = document(&drills, "everything-home", &of_store);
    // The sites name no role: the identity that starts the program needs both.
    let both = |more: &Value| {
        let mut policy = of_site.clone();
        let statements = more["Statement"].as_array().unwrap().clone();
        policy["Statement"].as_array_mut().unwrap().extend(statements);
        policy
    };
    let needed = ["s3:GetBucketLocation", "s3:PutObject", "s3:GetObject"];
    assert!(needed.iter().all(|one| actions(&of_store).iter().any(|action| action == one)));
    let mut users: BTreeMap<String, Value> =
        needed.iter().map(|one| ((*one).to_owned(), both(&without(&of_store, one)))).collect();
    users.insert("exactly".to_owned(), both(&of_store));
    let moto = Enforced::start(&drills, &users, &json!({}));
    let run = |user: &str| {
        let folder = Drills::new();
        let mut command = moto.program(&folder, user);
        command.arg("run").arg(scenario_file("everything-home"));
        command.args(["--quiet", "--format", "json", "--endpoint-url"]).arg(&moto.address);
        end(command.args(store).args(["--store-region", "eu-west-3"]))
    };
    let drill = Drill::of(&run("exactly"));
    assert_eq!((denials(&drill), drill.code), (String::new(), 0), "{:#}", drill.report);
    for action in needed {
        let ended = run(action);
        assert_eq!(ended.code, Some(2), "{action}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains("s3://uploads-iam/journals"), "{action}: {}", ended.stderr);
    }
    // Lists are needed by whoever looks afterwards.
    let mut reap = moto.program(&drills, "exactly");
    reap.args(["reap", "--dry-run", "--format", "json", "--endpoint-url"]).arg(&moto.address);
    let ended = end(reap.args(store).args(["--store-region", "eu-west-3"]));
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    let unread: Vec<_> = found["not_asked"].as_array().unwrap().iter().collect();
    let of_the_store = |one: &Value| {
        let place = one["place"].as_str().unwrap();
        place == store[1] || place.starts_with("everything-home")
    };
    assert!(!unread.iter().any(|one| of_the_store(one)), "{unread:#?}");
}

#[test]
fn server_iam_the_runner_may_assume_the_role_of_a_site_and_nothing_else() {
    let drills = Drills::new();
    let text = std::fs::read_to_string(scenario_file("everything-home")).unwrap();
    let with_role = text.replace("region: eu-west-3 }", "region: eu-west-3, role: redrill-drill }");
    assert!(with_role != text);
    let scenario = drills.path("with-role.yaml");
    std::fs::write(&scenario, with_role).unwrap();
    let scenario = scenario.to_str().unwrap();
    let runner = "arn:aws:iam::123456789012:user/runner";
    let print = |document: &str| {
        let mut command = drills.program();
        command.args(["iam", scenario, "--runner", runner, "--document", document]);
        let ended = end(&mut command);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        serde_json::from_str::<Value>(&ended.stdout).unwrap()
    };
    let users = BTreeMap::from([
        ("runner".to_owned(), print("runner-policy")),
        ("stranger".to_owned(), print("runner-policy")),
    ]);
    let role = json!({ "redrill-drill": { "policy": print("policy"), "trust": print("trust") } });
    let moto = Enforced::start(&drills, &users, &role);
    let drill = Drill::of(&moto.run(&drills, "runner", scenario));
    assert_eq!((denials(&drill), drill.code), (String::new(), 0), "{:#}", drill.report);
    // The same policy, but the role does not trust this one.
    let ended = moto.run(&drills, "stranger", scenario);
    assert_eq!(ended.code, Some(2), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("the site home cannot be reached"), "{}", ended.stderr);
}
