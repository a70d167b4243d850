//! `HashKV` from snapshots against what real etcds answer, and what etcds note of themselves.

use crate::etcd_server::{Etcd, Programs, VERSIONS};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use redrill::formats::etcd_snapshot::{
    AlarmKind, HashKv, Inspection, NoHashKv, Note, Soundness, hash_kv, inspect,
};
use serde_json::{Value, json};

const KEYS: usize = 60;

fn etcds() -> impl Iterator<Item = (Programs, Etcd)> {
    VERSIONS.iter().map(|variable| {
        let programs = Programs::named_by(variable);
        let etcd = Etcd::start(&programs);
        (programs, etcd)
    })
}

fn put(number: usize, text: &str) -> Value {
    json!({ "key": BASE64.encode(key(number)), "value": BASE64.encode(text) })
}

fn key(number: usize) -> String {
    format!("/registry/configmaps/ns/{number:03}")
}

fn delete(etcd: &Etcd, number: usize) {
    etcd.call("/v3/kv/deleterange", &json!({ "key": BASE64.encode(key(number)) }));
}

fn compact(etcd: &Etcd, revision: i64) {
    etcd.call("/v3/kv/compaction", &json!({ "revision": revision, "physical": true }));
}

/// Changes one by one, so that there are many revisions: made, changed, deleted, made again.
fn live_through(etcd: &Etcd, text: &str) {
    for number in 0..KEYS {
        etcd.put(&[put(number, text)]);
    }
    for number in (0..KEYS).step_by(2) {
        etcd.put(&[put(number, "changed"), put(KEYS + number, "made beside it")]);
    }
    for number in (0..KEYS).step_by(3) {
        delete(etcd, number);
    }
    for number in (0..KEYS).step_by(6) {
        etcd.put(&[put(number, "made again")]);
    }
}

/// What the running etcd answers.
fn asked(etcd: &Etcd, programs: &Programs, revision: i64) -> HashKv {
    let answer = etcd.ask(programs, &["endpoint", "hashkv", "--rev", &revision.to_string()]);
    let number = |name: &str| answer[0]["HashKV"][name].as_i64();
    HashKv {
        revision,
        // What is 0 is left out of the JSON.
        compact_revision: number("compact_revision").unwrap_or(0),
        hash: u32::try_from(number("hash").unwrap_or(0)).unwrap(),
    }
}

fn computed(snapshot: &[u8], revision: i64, compacted: Option<i64>) -> Result<HashKv, NoHashKv> {
    hash_kv(snapshot, snapshot.len() as u64, Some(revision), compacted).unwrap()
}

fn look(snapshot: &[u8]) -> Inspection {
    inspect(snapshot, snapshot.len() as u64).unwrap()
}

#[test]
fn server_hash_kv_equals_that_of_the_server_before_and_after_compactions() {
    for (programs, etcd) in etcds() {
        live_through(&etcd, "first");
        let (_, last) = etcd.count();
        let before = etcd.snapshot(&programs);
        for revision in [last, last - 7, last / 2, 2] {
            let expected = asked(&etcd, &programs, revision);
            assert_eq!(computed(&before, revision, None), Ok(expected), "revision {revision}");
        }
        // Deletions are at last - 29 to last - 10: compactions among puts, right at a deletion, and behind them.
        for compacted in [last / 2, last - 15, last - 3] {
            compact(&etcd, compacted);
            let after = etcd.snapshot(&programs);
            assert_eq!(look(&after).soundness(), Soundness::Sound, "{:?}", look(&after).damage);
            for revision in [last, compacted + 1, compacted + 2] {
                let expected = asked(&etcd, &programs, revision);
                assert_eq!(expected.compact_revision, compacted);
                assert_eq!(computed(&after, revision, None), Ok(expected), "after {compacted}");
                let earlier = computed(&before, revision, Some(compacted));
                assert_eq!(earlier, Ok(expected), "from the snapshot before, after {compacted}");
            }
            let refused = Err(NoHashKv::Compacted { compact_revision: compacted });
            assert_eq!(computed(&after, compacted - 1, None), refused);
        }
        compact(&etcd, last);
        etcd.put(&[put(0, "after everything was compacted")]);
        let after = etcd.snapshot(&programs);
        assert_eq!(look(&after).soundness(), Soundness::Sound, "{:?}", look(&after).damage);
        assert_eq!(computed(&after, last + 1, None), Ok(asked(&etcd, &programs, last + 1)));
    }
}

#[test]
fn server_hash_kv_is_that_of_other_data_when_the_data_differs() {
    for (programs, etcd) in etcds() {
        live_through(&etcd, "first");
        let other = Etcd::start(&programs);
        live_through(&other, "other");
        let (_, last) = etcd.count();
        assert_eq!(other.count().1, last);
        let snapshot = etcd.snapshot(&programs);
        assert_ne!(computed(&snapshot, last, None), Ok(asked(&other, &programs, last)));
    }
}

#[test]
fn server_members_alarms_leases_and_versions_are_those_of_the_server() {
    for (programs, etcd) in etcds() {
        live_through(&etcd, "first");
        let lease = etcd.call("/v3/lease/grant", &json!({ "TTL": 3600 }));
        let mut leased = put(1, "leased");
        leased["lease"] = lease["ID"].clone();
        etcd.put(&[leased]);
        // The keys of a lease go together, in one revision.
        let revoked = etcd.call("/v3/lease/grant", &json!({ "TTL": 3600 }));
        let mut together = [put(200, "x"), put(201, "x"), put(202, "x")];
        together.iter_mut().for_each(|put| put["lease"] = revoked["ID"].clone());
        etcd.put(&together);
        etcd.call("/v3/lease/revoke", &json!({ "ID": revoked["ID"] }));
        compact(&etcd, 50);
        let snapshot = etcd.snapshot(&programs);
        let found = look(&snapshot);
        assert_eq!(found.soundness(), Soundness::Sound, "{:?}", found.damage);
        assert_eq!(found.notes, []);
        let facts = found.cluster.unwrap();
        let status = etcd.ask(&programs, &["endpoint", "status"]);
        let header = &status[0]["Status"]["header"];
        let [member] = &facts.members[..] else { panic!("{:?}", facts.members) };
        assert_eq!(Some(member.id.0), header["member_id"].as_u64());
        assert_eq!(member.name, "n1");
        assert_eq!(
            facts.cluster_id_of_first_members().unwrap().0,
            header["cluster_id"].as_u64().unwrap()
        );
        assert_eq!((facts.leases, facts.keys_with_lease), (1, 1));
        assert_eq!(facts.compaction.finished, Some(50));
        assert_eq!(facts.alarms, []);
        let version = status[0]["Status"]["version"].as_str().unwrap();
        let minor = version.rsplit_once('.').unwrap().0;
        assert!(facts.cluster_version.unwrap().starts_with(minor), "{version}");
    }
}

#[test]
fn server_full_etcd_leaves_its_alarm_in_the_snapshot_and_auth_is_seen() {
    for (programs, etcd) in etcds() {
        live_through(&etcd, "first");
        let header = etcd.ask(&programs, &["endpoint", "status"])[0]["Status"]["header"].clone();
        let member = header["member_id"].as_u64().unwrap();
        let raise =
            json!({ "action": "ACTIVATE", "memberID": member.to_string(), "alarm": "NOSPACE" });
        etcd.call("/v3/maintenance/alarm", &raise);
        etcd.call("/v3/auth/user/add", &json!({ "name": "root", "password": "root" }));
        etcd.call("/v3/auth/user/grant", &json!({ "user": "root", "role": "root" }));
        let snapshot = etcd.snapshot(&programs);
        let found = look(&snapshot);
        assert_eq!(found.soundness(), Soundness::Sound, "{:?}", found.damage);
        let facts = found.cluster.unwrap();
        assert_eq!(facts.alarms[0].kind, AlarmKind::NoSpace);
        assert_eq!(facts.alarms[0].member.0, member);
        // Nobody has enabled it: then etcd says nothing of it.
        let [Note::NoSpaceAlarm { .. }, Note::AuthNotSaid { users: 1 }] = found.notes[..] else {
            panic!("{:?}", found.notes)
        };
        assert_eq!(facts.auth.users, 1);
        assert_ne!(facts.auth.enabled, Some(true));
    }
}

#[test]
fn server_restored_etcd_has_the_hash_kv_of_its_snapshot_and_gives_a_sound_one() {
    for (programs, etcd) in etcds() {
        live_through(&etcd, "first");
        compact(&etcd, 100);
        let (_, last) = etcd.count();
        let snapshot = etcd.snapshot(&programs);
        let restored = Etcd::restored(&programs, &snapshot);
        assert_eq!(computed(&snapshot, last, None), Ok(asked(&restored, &programs, last)));
        restored.put(&[put(0, "after the restore")]);
        let next = restored.snapshot(&programs);
        let found = look(&next);
        assert_eq!(found.soundness(), Soundness::Sound, "{:?}", found.damage);
        assert_eq!(found.revision, Some(last + 1));
        assert_eq!(computed(&next, last, None), computed(&snapshot, last, None));
    }
}
