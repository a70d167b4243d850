//! `--store` in rehearsals: what the program keeps in S3, and when it refuses to begin.

use crate::program::{Program, Ran};
use crate::resuming::{AT_A_SITE, killed, served, served_at, with_account};
use std::path::Path;

/// The estate of the orders database, with a bucket at its last place, the DR region.
fn with_bucket(program: &Program) {
    let estate = program.read("scenarios/estates/orders-db.yaml");
    program.write("estate.yaml", format!("{estate}    buckets: [{{ name: drill-evidence }}]\n"));
}

fn run(program: &Program, arguments: &[&str]) -> Ran {
    let fixed = ["run", "scenarios/orders-db.yaml", "--sandbox", "--estate", "estate.yaml"];
    program.run(&[&fixed[..], arguments].concat())
}

#[test]
fn a_run_with_a_store_passes_as_one_without_and_remembers_where_it_is() {
    let program = Program::new();
    with_bucket(&program);
    let kept = ["--store", "s3://drill-evidence/redrill", "--store-region", "ap-northeast-3"];
    let ran = run(&program, &kept);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let stored = program.read("runs/orders-db-0001/store.json");
    assert!(stored.contains("s3://drill-evidence/redrill"), "{stored}");
}

#[test]
fn a_store_that_is_not_there_or_would_be_lost_stops_the_run_before_anything_happens() {
    let program = Program::new();
    with_bucket(&program);
    for (store, region, code, why) in [
        ("s3://no-such-bucket/x", "ap-northeast-3", 2, "no-such-bucket"),
        ("drill-evidence", "ap-northeast-3", 3, "does not begin with s3://"),
        ("s3://drill-evidence/x", "eu-central-1", 3, "--store-region"),
    ] {
        let ran = run(&program, &["--store", store, "--store-region", region]);
        assert_eq!(ran.code, code, "{store}: {}", ran.stderr);
        assert!(ran.stderr.contains(why), "{store}: {}", ran.stderr);
        assert!(!Path::new(&program.path("runs/orders-db-0001/journal.jsonl")).exists(), "{store}");
    }
}

#[test]
fn when_the_store_fails_in_the_middle_the_run_stops_and_says_how_to_go_on() {
    let program = Program::new();
    with_bucket(&program);
    let kept = ["--store", "s3://drill-evidence/redrill", "--store-region", "ap-northeast-3"];
    let fault = ["--fault", "s3:PutObject#12=error:AccessDenied:403"];
    let ran = run(&program, &[&kept[..], &fault[..]].concat());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("the store: s3://drill-evidence/redrill/orders-db-0001-"));
    assert!(ran.stderr.contains("run it again"), "{}", ran.stderr);
}

#[test]
fn going_on_with_a_rehearsal_that_is_over_asks_no_store() {
    let program = Program::new();
    with_bucket(&program);
    let kept = ["--store", "s3://drill-evidence/redrill", "--store-region", "ap-northeast-3"];
    assert_eq!(run(&program, &kept).code, 0);
    let resumed = program.run(&["resume", "last"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(!resumed.stderr.contains("the journal in the store"), "{}", resumed.stderr);
}

#[test]
fn regression_whoever_goes_on_with_a_run_that_is_over_looks_whether_its_store_has_the_end() {
    let program = Program::new();
    program.write("asked.yaml", AT_A_SITE);
    let (first, url) = served(&program);
    let account = |arguments: &[&str]| with_account(program.command(arguments), "222222222222");
    let ran = |arguments: &[&str]| Ran::of(account(arguments).output().unwrap());
    let kept = ["--store", "s3://drill-evidence/x", "--store-region", "ap-northeast-3"];
    let begin = ["run", "asked.yaml", "--quiet", "--endpoint-url", &url];
    killed(&program, account(&[&begin[..], &kept[..]].concat()));
    ran(&["abort", "last"]).says(130, &[]);
    let whole = ran(&["resume", "last"]);
    whole.says(130, &[]);
    assert!(!whole.stderr.contains("the journal in the store"), "{}", whole.stderr);
    // Another estate takes the place of the first; its bucket is empty.
    drop(first);
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let _second = served_at(&program, address, &[]);
    let words = ["the journal in the store may end earlier", "nobody has ever claimed"];
    ran(&["resume", "last"]).says(130, &words);
}

/// The last place where a region may stand is the metadata service of the machine, which was asked without an HTTP client.
#[test]
fn regression_a_store_whose_region_nothing_names_is_bad_input_and_no_bug() {
    let program = Program::new();
    let nowhere = AT_A_SITE.replace("sites: { dr: { region: ap-northeast-3 } }\n", "");
    program.write("asked.yaml", nowhere.replace(", write: [dr]", ""));
    let store = ["--store", "s3://drill-evidence/x"];
    let mut run = program.command(&[&["run", "asked.yaml", "--quiet"][..], &store].concat());
    run.env_remove("AWS_EC2_METADATA_DISABLED")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
    let words = ["names a region for the store", "--store-region"];
    Ran::of(run.output().unwrap()).says(3, &words);
    assert!(!program.path("runs/asked-0001").exists(), "nothing was done");
}
