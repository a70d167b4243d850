//! Hostile bytes for every target of `hostile_targets.rs`: the seeds in `tests/it/seeds`, what seeds become when they are
//! changed at random places (from a fixed seed, so that every run is the same), and everything that a fuzzer once found.

use crate::hostile_targets::{
    TARGETS, Target, sandbox_answers, snapshot_of_records, with_fitting_checksums,
    with_fitting_signature,
};
use crate::program::repository;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use redrill::formats::etcd_snapshot::{Damage, MetaState, Trailer, hash_kv, inspect, kubernetes};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many times as many changed seeds there are: for long runs without a fuzzer. Another number is another sequence.
#[expect(clippy::disallowed_methods, reason = "a variable of the tests alone")]
fn times() -> u32 {
    std::env::var("REDRILL_TEST_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// How many changed seeds each target gets in a usual run; a fuzzer gives it millions.
const CASES: [(&str, u32); 10] = [
    ("scenario", 60),
    ("journal", 40),
    ("expression", 800),
    ("etcd_snapshot", 100),
    ("etcd_records", 400),
    ("etcd_packed", 200),
    ("etcd_secret", 400),
    ("estate", 60),
    ("sandbox_http", 100),
    ("words", 600),
];

/// Pieces that mean something to some reader.
const PIECES: [&str; 40] = [
    "{{",
    "}}",
    "{{steps.s.out}}",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\n",
    "\r\n",
    "\r\n\r\n",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "&a",
    "*a",
    "!!binary ",
    "null",
    "~",
    "-1",
    "0",
    "9223372036854775808",
    "1e400",
    "0x7fffffff",
    "10y",
    "3660d",
    "99999999999d",
    "+262142-12-31T23:59:59Z",
    "-262143-01-01T00:00:00Z",
    "1970-01-01T00:00:00Z",
    "2026-11-22T00:00:00+23:59",
    "((a{99}){99}){99}",
    "Content-Length: 99999999999999\r\n",
    "Transfer-Encoding: chunked\r\n\r\n",
    "%00%zz",
    "Action=",
    "é😀\u{202e}",
    "\u{0}",
];

/// Seeds of a target. The shipped files are seeds as well.
fn seeds(target: &str) -> BTreeMap<String, Vec<u8>> {
    let shipped = match target {
        "scenario" => Some(("scenarios", ".yaml")),
        "estate" => Some(("scenarios/estates", ".yaml")),
        "etcd_snapshot" => Some(("scenarios/estates/files", ".db")),
        "etcd_packed" => Some(("scenarios/estates/files", ".zip")),
        _ => None,
    };
    let own = format!("tests/it/seeds/{target}");
    let mut seeds = BTreeMap::new();
    for (folder, ending) in [(own.as_str(), "")].into_iter().chain(shipped) {
        for entry in std::fs::read_dir(repository(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.display().to_string().ends_with(ending) {
                seeds.insert(path.display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }
    assert!(!seeds.is_empty(), "no seeds for {target}");
    seeds
}

/// A change, with places in thousandths of the whole so that they fit every seed.
#[derive(Clone, Debug)]
enum Change {
    Replace(u16, u8),
    Insert(u16, usize),
    Remove(u16, u16),
    Repeat(u16, u16, u8),
    Cut(u16),
}

fn change() -> impl Strategy<Value = Change> {
    let place = || 0..1000_u16;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (place(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (place(), 1..60_u16).prop_map(|(at, length)| Change::Remove(at, length)),
        (place(), 1..100_u16, 1..30_u8)
            .prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        place().prop_map(Change::Cut),
    ]
}

fn changed(seed: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for change in changes {
        let at = |thousandth: u16| usize::from(thousandth) * bytes.len() / 1000;
        match *change {
            Change::Replace(place, byte) => {
                let at = at(place);
                if let Some(there) = bytes.get_mut(at) {
                    *there = byte;
                }
            }
            Change::Insert(place, piece) => {
                let at = at(place);
                bytes.splice(at..at, PIECES[piece].bytes());
            }
            Change::Remove(place, length) => {
                let at = at(place);
                let end = (at + usize::from(length)).min(bytes.len());
                bytes.drain(at..end);
            }
            Change::Repeat(place, length, times) => {
                let at = at(place);
                let end = (at + usize::from(length)).min(bytes.len());
                let more = bytes[at..end].repeat(times.into());
                bytes.splice(at..at, more);
            }
            Change::Cut(place) => bytes.truncate(at(place)),
        }
    }
    bytes
}

/// Calls a target, and shows the bytes when it panics.
fn survive(target: Target, bytes: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        eprintln!("these bytes made it panic: {}", bytes.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn every_seed_is_survived() {
    for (name, target) in TARGETS {
        for (file, bytes) in seeds(name) {
            eprintln!("{name}: {file}");
            survive(target, &bytes);
        }
    }
}

#[test]
fn changed_seeds_are_survived() {
    for (name, target) in TARGETS {
        let seeds: Vec<Vec<u8>> = seeds(name).into_values().collect();
        let cases = CASES.iter().find(|(of, _)| *of == name).unwrap().1 * times();
        let config =
            Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &times().to_le_bytes().repeat(8));
        let inputs = (any::<prop::sample::Index>(), prop::collection::vec(change(), 1..8));
        let ran = TestRunner::new_with_rng(config, rng).run(&inputs, |(seed, changes)| {
            survive(target, &changed(&seeds[seed.index(seeds.len())], &changes));
            Ok(())
        });
        ran.unwrap_or_else(|e| panic!("{name}: {e}"));
        eprintln!("{name}: {cases} changed seeds were survived");
    }
}

#[test]
fn checksums_that_fit_let_changed_bytes_of_a_snapshot_through() {
    let path = repository("scenarios/estates/files/cluster-state.snapshot.db");
    let mut bytes = std::fs::read(path).unwrap();
    // The number of the transaction that wrote the first meta page.
    bytes[64] ^= 1;
    let changed = inspect(&bytes[..], bytes.len() as u64).unwrap();
    assert!(matches!(changed.metas[0], MetaState::Damaged(_)), "{:?}", changed.metas);
    assert!(matches!(changed.trailer, Trailer::Differs { .. }));
    let fitting = with_fitting_checksums(&bytes);
    let fitting = inspect(&fitting[..], fitting.len() as u64).unwrap();
    let valid = |meta: &MetaState| matches!(meta, MetaState::Valid { .. });
    assert!(fitting.metas.iter().all(valid), "{:?}", fitting.metas);
    assert!(matches!(fitting.trailer, Trailer::Matches { .. }));
    assert!(fitting.live_keys.is_some_and(|keys| keys > 0));
}

#[test]
fn seeds_of_records_stand_in_snapshots_that_are_read_to_their_end() {
    let mut seeds = seeds("etcd_records");
    let mut snapshot = |name: &str| {
        let seed = repository(&format!("tests/it/seeds/etcd_records/{name}")).display().to_string();
        snapshot_of_records(&seeds.remove(&seed).unwrap()).unwrap()
    };
    let objects = snapshot("objects");
    let found = kubernetes::take_inventory(&objects[..], objects.len() as u64, &[]);
    let seen = inspect(&objects[..], objects.len() as u64).unwrap();
    let found = found.unwrap().unwrap_or_else(|why| panic!("{why}: {:?}", seen.damage));
    assert_eq!((found.objects, found.bootstrap_keys, found.secrets.plain), (8, 1, 0));
    let revisions = snapshot("revisions");
    let length = revisions.len() as u64;
    let seen = inspect(&revisions[..], length).unwrap();
    assert_eq!((seen.revision, seen.live_keys), (Some(9), Some(3)), "{:?}", seen.damage);
    assert!(hash_kv(&revisions[..], length, None, None).unwrap().is_ok());
    for name in ["users", "roles", "lease", "members", "meta", "cluster", "alarm", "auth"] {
        let bytes = snapshot(name);
        let seen = inspect(&bytes[..], bytes.len() as u64).unwrap();
        assert_eq!(seen.metas.map(|meta| matches!(meta, MetaState::Valid { .. })), [true; 2]);
        let bad_page = |damage: &Damage| matches!(damage, Damage::Page { .. });
        assert!(!seen.damage.iter().any(bad_page), "{name}: {:?}", seen.damage);
        assert_eq!(seen.entries, None, "without the bucket `key` nothing is counted");
    }
}

#[test]
fn seeds_for_the_sandbox_get_past_the_door_of_each_service() {
    let seeds = seeds("sandbox_http");
    let seed = |name: &str| {
        &seeds[&repository(&format!("tests/it/seeds/sandbox_http/{name}")).display().to_string()]
    };
    for (name, word) in [
        ("rds", "orders-db"),
        ("rds_restore", "<DBInstanceIdentifier>x<"),
        ("ec2", "snap-1"),
        ("kms", "KeyMetadata"),
        ("secrets", "SecretString"),
        ("alarms", "StateTransitionedTimestamp"),
        ("sts", "SessionToken"),
        ("two_requests", "<DBSnapshotIdentifier>y<"),
    ] {
        let answers = String::from_utf8_lossy(&sandbox_answers(seed(name))).into_owned();
        assert!(answers.contains(word), "{name}: {answers}");
    }
    for (name, word) in [
        ("s3_get", "hello"),
        ("s3_put", "200 OK"),
        ("s3_list", "<ListVersionsResult"),
        ("s3_delete", "<DeleteResult"),
    ] {
        let signed = with_fitting_signature(seed(name)).unwrap();
        let answers = String::from_utf8_lossy(&sandbox_answers(&signed)).into_owned();
        assert!(answers.contains(word), "{name}: {answers}");
    }
}

/// Each time, each number and each duration of a journal in turn becomes one that overflows where it is added to.
#[test]
fn extreme_times_and_numbers_in_a_journal_are_survived() {
    let seed =
        String::from_utf8(seeds("journal").remove(&shown("cluster-state")).unwrap()).unwrap();
    let patterns = [
        (
            r#"(?:at|deadline|expires|retry_at|first_ready|last_not_ready)":"([^"]+)""#,
            "+262142-12-31T23:59:59.999Z",
        ),
        (
            r#"(?:at|deadline|expires|retry_at|first_ready|last_not_ready)":"([^"]+)""#,
            "-262143-01-01T00:00:00Z",
        ),
        (r#"(?:elapsed_ms|attempt|number|seed|polls|count)":(\d+)"#, "18446744073709551615"),
        (r#""(\d+(?:ms|s|m|h|d))""#, "3660d"),
    ];
    let mut tried = 0;
    for (pattern, extreme) in patterns {
        for found in regex::Regex::new(pattern).unwrap().captures_iter(&seed) {
            let place = found.get(1).unwrap().range();
            let changed = [&seed[..place.start], extreme, &seed[place.end..]].concat();
            survive(crate::hostile_targets::journal, changed.as_bytes());
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}

fn shown(seed: &str) -> String {
    repository(&format!("tests/it/seeds/journal/{seed}")).display().to_string()
}
