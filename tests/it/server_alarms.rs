//! Alarms against moto, over the wire of the SDK: CBOR, which `tests/servers/rpc_v2_cbor.py` reads and writes with botocore's own
//! means and puts before moto, that answers in JSON.

use crate::server_support::{Aws, Drill, Drills, end, poll};
use std::time::Duration;

const REGION: &str = "eu-west-2";

struct Alarms {
    aws: Aws,
}

impl Alarms {
    /// A metric alarm and a composite one of these names, both OK. Each test has an account of its own, all of the scenario's.
    fn create(metric: &str, composite: &str) -> Self {
        let alarms = Self { aws: Aws::assume("210987654331", REGION) };
        alarms.aws.json(&format!(
            "cloudwatch put-metric-alarm --alarm-name {metric} --namespace Orders --metric-name Errors \
             --comparison-operator GreaterThanThreshold --evaluation-periods 1 --period 60 --threshold 5 --statistic Sum"
        ));
        let rule = format!("ALARM({metric})");
        let put =
            ["cloudwatch", "put-composite-alarm", "--alarm-name", composite, "--alarm-rule", &rule];
        alarms.aws.json_of(&put);
        alarms.set(metric, "OK", "nothing has happened");
        alarms.set(composite, "OK", "nothing has happened");
        alarms
    }

    fn set(&self, name: &str, state: &str, reason: &str) {
        let words = ["cloudwatch", "set-alarm-state", "--alarm-name", name];
        let to = ["--state-value", state, "--state-reason", reason];
        self.aws.json_of(&[&words[..], &to].concat());
    }

    fn inputs<'a>(
        &self,
        metric: &'a str,
        composite: &'a str,
        seconds: &'a str,
    ) -> [(&'a str, &'a str); 3] {
        [("metric", metric), ("composite", composite), ("seconds", seconds)]
    }
}

#[test]
fn server_quiet_alarms_are_watched_to_the_end() {
    let alarms = Alarms::create("orders-errors", "orders-any");
    let inputs = alarms.inputs("orders-errors", "orders-any", "3");
    let drills = Drills::new();
    let drill = Drill::of(&end(&mut drills.run("alarms-watched", &inputs)));
    drill.expect(0, "passed");
    let (outcome, observed) = drill.check("stop", "alarm orders-errors");
    assert_eq!(outcome, "passed");
    assert!(observed.starts_with("OK since 20") && observed.ends_with("nothing has happened"));
    assert_eq!(drill.check("stop", "alarm orders-any").0, "passed");
}

#[test]
fn server_an_alarm_that_goes_off_meanwhile_cancels_the_drill() {
    let alarms = Alarms::create("stock-errors", "stock-any");
    let inputs = alarms.inputs("stock-errors", "stock-any", "600");
    let drills = Drills::new();
    let mut command = drills.run("alarms-watched", &inputs);
    let ended = std::thread::scope(|scope| {
        let running = scope.spawn(|| end(&mut command));
        poll("the first look", Duration::from_secs(60), || {
            let journal =
                std::fs::read_to_string(drills.path("runs/alarms-watched-0001/journal.jsonl"));
            journal.is_ok_and(|text| text.contains("\"checked\"")).then_some(())
        });
        alarms.set("stock-errors", "ALARM", "7 errors <above> 5: 在庫");
        running.join().unwrap()
    });
    let drill = Drill::of(&ended);
    assert_eq!(drill.code, 130, "{:#}", drill.at("/verdict/rules"));
    assert_eq!(drill.outcome("stop"), "failed");
    let text = drill.report.to_string();
    assert!(text.contains("7 errors <above> 5: 在庫"), "{text}");
    assert_ne!(drill.outcome("work"), "passed");
}

#[test]
fn server_an_alarm_without_data_or_one_that_is_not_there_is_never_passed() {
    let alarms = Alarms::create("mail-errors", "mail-any");
    alarms.set("mail-any", "INSUFFICIENT_DATA", "no data yet");
    let drills = Drills::new();
    let inputs = alarms.inputs("mail-errors", "mail-any", "1");
    let drill = Drill::of(&end(&mut drills.run("alarms-watched", &inputs)));
    assert_eq!(drill.code, 130, "{:#}", drill.at("/verdict/rules"));
    assert_eq!(drill.outcome("stop"), "inconclusive");
    assert_eq!(drill.check("stop", "alarm mail-any").0, "inconclusive");
    let inputs = alarms.inputs("mail-errors", "mail-all", "1");
    let drill = Drill::of(&end(&mut drills.run("alarms-watched", &inputs)));
    assert_eq!(drill.outcome("stop"), "inconclusive");
    assert!(drill.report.to_string().contains("in eu-west-2: mail-all"));
}
