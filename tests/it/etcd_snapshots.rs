//! The snapshot reader against snapshots of real etcds, with `etcdctl snapshot status` as an independent opinion.

use crate::etcd_server::{Etcd, Programs, VERSIONS};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use redrill::formats::etcd_snapshot::{
    Completeness, Damage, Inspection, MetaFault, MetaState, PageFault, Soundness, Trailer,
    Truncated, inspect,
};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

const PAGE: usize = 4096;
const PODS: usize = 3000;
const DELETED: usize = 100;
/// Stands in every pod, so that a byte of a value can be found.
const IMAGE: &[u8] = b"image: registry.example/app";

fn pod(number: usize, generation: usize) -> Value {
    let key = pod_key(number);
    let value = format!(
        "kind: Pod\nname: pod-{number:05}\ngeneration: {generation}\n{}:{generation}\n",
        String::from_utf8_lossy(IMAGE)
    )
    .repeat(4);
    json!({ "key": BASE64.encode(key), "value": BASE64.encode(value) })
}

fn pod_key(number: usize) -> String {
    format!("/registry/pods/ns-{:02}/pod-{number:05}", number % 20)
}

/// A life in short: pods, one huge object, a lease, rewrites, deletions, and a compaction that frees pages.
fn live_through(etcd: &Etcd) {
    let first: Vec<Value> = (0..PODS).map(|number| pod(number, 1)).collect();
    etcd.put(&first);
    let huge = BASE64.encode("x".repeat(300_000));
    etcd.put(&[json!({ "key": BASE64.encode("/registry/configmaps/ns/huge"), "value": huge })]);
    let lease = etcd.call("/v3/lease/grant", &json!({ "TTL": 3600 }));
    etcd.put(&[json!({ "key": BASE64.encode("/registry/masterleases/1"),
                       "value": BASE64.encode("x"), "lease": lease["ID"] })]);
    for generation in 2..5 {
        let again: Vec<Value> = (0..500).map(|number| pod(number, generation)).collect();
        etcd.put(&again);
    }
    for number in PODS - DELETED..PODS {
        etcd.call("/v3/kv/deleterange", &json!({ "key": BASE64.encode(pod_key(number)) }));
    }
    etcd.call("/v3/kv/compaction", &json!({ "revision": 45, "physical": true }));
}

/// What one version of etcd wrote, and what it says about it.
struct Saved {
    programs: Programs,
    bytes: Vec<u8>,
    live_keys: u64,
    revision: i64,
    /// Of the file that etcd itself uses, copied after it was killed.
    raw: Vec<u8>,
}

impl Saved {
    /// One snapshot for each version, made once for all tests.
    fn all() -> &'static [Self] {
        static SAVED: OnceLock<Vec<Saved>> = OnceLock::new();
        SAVED.get_or_init(|| VERSIONS.map(Self::make).into())
    }

    fn make(variable: &str) -> Self {
        let programs = Programs::named_by(variable);
        let mut etcd = Etcd::start(&programs);
        live_through(&etcd);
        let (live_keys, revision) = etcd.count();
        let bytes = etcd.snapshot(&programs);
        etcd.process.kill().unwrap();
        etcd.process.wait().unwrap();
        let raw = fs::read(etcd.folder.path().join("data/member/snap/db")).unwrap();
        Self { programs, bytes, live_keys, revision, raw }
    }

    fn status(&self) -> Value {
        let folder = TempDir::new().unwrap();
        let path = write(&folder, &self.bytes);
        let output =
            self.programs.etcdctl(&["snapshot", "status", path.to_str().unwrap(), "-w", "json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Whether `etcdctl snapshot restore` accepts these bytes.
    fn restores(&self, bytes: &[u8]) -> bool {
        let folder = TempDir::new().unwrap();
        let path = write(&folder, bytes);
        let data = folder.path().join("restored");
        let output = self.programs.etcdctl(&[
            "snapshot",
            "restore",
            path.to_str().unwrap(),
            "--data-dir",
            data.to_str().unwrap(),
        ]);
        output.status.success()
    }

    /// A leaf of the bucket `key` that is in use.
    fn leaf(&self) -> usize {
        let root = number_at(&self.bytes, 16 + 16);
        let buckets = &self.bytes[root * PAGE..][..PAGE];
        let name = buckets.windows(3).position(|window| window == b"key").unwrap();
        let mut page = number_at(buckets, name + 3);
        while self.bytes[page * PAGE + 8] == 1 {
            page = number_at(&self.bytes, page * PAGE + 16 + 8);
        }
        assert_eq!(self.bytes[page * PAGE + 8], 2);
        page
    }

    /// The snapshot with one change.
    fn with(&self, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        change(&mut bytes);
        bytes
    }
}

fn number_at(bytes: &[u8], offset: usize) -> usize {
    usize::try_from(u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())).unwrap()
}

fn write(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("file");
    fs::write(&path, bytes).unwrap();
    path
}

fn look_at(path: &Path) -> Inspection {
    let file = File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    inspect(&file, length).unwrap()
}

/// Inspects a real file with these bytes.
fn look(bytes: &[u8]) -> Inspection {
    look_at(&write(&TempDir::new().unwrap(), bytes))
}

fn trailer_differs(found: &Inspection) -> bool {
    found.damage.iter().any(|damage| matches!(damage, Damage::TrailerDiffers { .. }))
}

/// Damaged, and nothing is counted over what could not be read.
fn counts_nothing(found: &Inspection) -> bool {
    found.soundness() == Soundness::Damaged
        && (found.revision, found.entries, found.live_keys, found.hash) == (None, None, None, None)
}

#[test]
fn server_numbers_equal_those_of_etcdctl_and_of_the_server() {
    for saved in Saved::all() {
        let found = look(&saved.bytes);
        let status = saved.status();
        assert_eq!(found.damage, []);
        assert_eq!(found.soundness(), Soundness::Sound);
        assert!(matches!(found.trailer, Trailer::Matches { .. }));
        assert_eq!(found.hash.map(u64::from), status["hash"].as_u64());
        assert_eq!(found.revision, status["revision"].as_i64());
        assert_eq!(found.entries, status["totalKey"].as_u64());
        assert_eq!(found.database_bytes(), status["totalSize"].as_u64());
        assert_eq!(found.size_bytes, saved.bytes.len() as u64);
        assert_eq!(found.live_keys, Some(saved.live_keys));
        assert_eq!(found.revision, Some(saved.revision));
        assert_eq!(saved.live_keys, (PODS - DELETED + 2) as u64);
        assert!(found.entries > found.live_keys, "old revisions and etcd's own entries count too");
    }
}

#[test]
fn server_database_of_a_killed_member_is_readable_but_not_proven() {
    for saved in Saved::all() {
        let found = look(&saved.raw);
        assert_eq!(found.trailer, Trailer::Missing);
        assert_eq!(found.damage, []);
        assert_eq!(found.live_keys, Some(saved.live_keys));
        assert_eq!(found.revision, Some(saved.revision));
        assert!(matches!(found.soundness(), Soundness::Unproven(_)));
    }
}

#[test]
fn server_changed_value_is_noticed() {
    for saved in Saved::all() {
        let leaf = saved.leaf();
        let page = &saved.bytes[leaf * PAGE..][..PAGE];
        let value = page.windows(IMAGE.len()).position(|window| window == IMAGE).unwrap();
        let flipped = saved.with(|bytes| bytes[leaf * PAGE + value] ^= 1);
        let found = look(&flipped);
        assert!(matches!(found.damage[..], [Damage::TrailerDiffers { .. }]), "{:?}", found.damage);
        assert_eq!(found.revision, Some(saved.revision));
        assert_ne!(found.hash.map(u64::from), saved.status()["hash"].as_u64());
        assert!(!saved.restores(&flipped), "etcdctl agrees");
    }
}

#[test]
fn server_missing_trailer_is_not_proven_and_a_wrong_one_is_damage() {
    for saved in Saved::all() {
        let without = &saved.bytes[..saved.bytes.len() - 32];
        let found = look(without);
        assert_eq!(found.trailer, Trailer::Missing);
        assert_eq!(found.damage, []);
        assert!(matches!(found.soundness(), Soundness::Unproven(_)));
        assert!(!saved.restores(without), "etcdctl agrees");

        let wrong = saved.with(|bytes| bytes[saved.bytes.len() - 1] ^= 1);
        let found = look(&wrong);
        assert!(matches!(found.damage[..], [Damage::TrailerDiffers { .. }]));
        assert!(!saved.restores(&wrong), "etcdctl agrees");
        assert!(saved.restores(&saved.bytes), "etcdctl accepts the good one");
    }
}

#[test]
fn server_truncated_snapshot_is_noticed_wherever_it_was_cut() {
    for saved in Saved::all() {
        let need = saved.bytes.len() - 32;
        let pages = need / PAGE;
        let half = (saved.bytes.len() / 2, saved.bytes.len() / 2);
        let at_a_page = ((pages - 1) * PAGE, (pages - 1) * PAGE);
        // The last 32 bytes look like a trailer.
        let behind_a_page = (pages / 3 * PAGE + 32, pages / 3 * PAGE);
        for (length, have) in [half, at_a_page, behind_a_page] {
            let found = look(&saved.bytes[..length]);
            let (need_bytes, have_bytes) = (need as u64, have as u64);
            let truncated = Truncated { need_bytes, have_bytes };
            assert_eq!(found.complete, Completeness::Truncated(truncated));
            assert!(found.damage.contains(&Damage::Truncated { need_bytes, have_bytes }));
            // Nothing is hashed of what cannot be whole.
            assert!(!trailer_differs(&found));
            assert!(counts_nothing(&found));
        }
    }
}

#[test]
fn server_ruined_meta_pages_are_named() {
    for saved in Saved::all() {
        let one = saved.with(|bytes| bytes[..PAGE].fill(0xAA));
        let found = look(&one);
        let fault = MetaFault::Magic { found: 0xAAAA_AAAA };
        assert!(trailer_differs(&found));
        assert!(found.damage.contains(&Damage::Meta { index: 0, fault }), "{:?}", found.damage);
        assert_eq!(found.metas[0], MetaState::Damaged(fault));
        assert!(matches!(found.metas[1], MetaState::Valid { .. }));
        assert_eq!(found.revision, Some(saved.revision), "the other page is used");

        let both = saved.with(|bytes| bytes[..2 * PAGE].fill(0));
        let found = look(&both);
        assert!(trailer_differs(&found));
        assert!(found.damage.contains(&Damage::NoUsableMeta));
        assert_eq!(found.complete, Completeness::Unknown);
        assert!(counts_nothing(&found));
    }
}

#[test]
fn server_zeroed_leaf_is_named() {
    for saved in Saved::all() {
        let leaf = saved.leaf();
        let found = look(&saved.with(|bytes| bytes[leaf * PAGE..][..PAGE].fill(0)));
        let fault = PageFault::Number { found: 0 };
        assert!(trailer_differs(&found));
        assert!(found.damage.contains(&Damage::Page { page: leaf as u64, fault }));
        assert_eq!(found.damage.len(), 2);
        assert!(counts_nothing(&found));
    }
}

#[test]
fn empty_and_foreign_files_are_named() {
    for (bytes, damage) in [
        (Vec::new(), Damage::Empty),
        (b"snapshot failed: context deadline exceeded\n".to_vec(), Damage::NoUsableMeta),
    ] {
        let found = look(&bytes);
        assert_eq!(found.damage, [damage]);
        assert!(counts_nothing(&found));
    }
}

/// The numbers in `scenarios/estates/files/README.md`, which etcdctl 3.5.1 printed when the file was made.
#[test]
fn snapshot_in_the_estates_is_sound_and_its_flipped_copy_is_not() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/estates/files");
    let good = look_at(&files.join("cluster-state.snapshot.db"));
    assert_eq!(good.soundness(), Soundness::Sound, "{:?}", good.damage);
    assert_eq!((good.revision, good.entries, good.live_keys), (Some(37), Some(42), Some(28)));
    assert_eq!(good.hash, Some(3_881_976_787));
    assert_eq!((good.size_bytes, good.database_bytes()), (36_896, Some(36_864)));

    let flipped = look_at(&files.join("cluster-state.flipped.db"));
    assert!(matches!(flipped.damage[..], [Damage::TrailerDiffers { .. }]), "{:?}", flipped.damage);
    assert_eq!((flipped.revision, flipped.live_keys), (good.revision, good.live_keys));
    assert_eq!(flipped.hash, Some(3_356_153_869));
}
