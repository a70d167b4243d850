//! `redrill etcd`: what somebody sees who has a snapshot in their hands.

use crate::program::{Program, Ran, repository};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::process::Stdio;

const SNAPSHOT: &str = "scenarios/estates/files/cluster-state.snapshot.db";

/// A folder with the snapshot in it.
fn with_snapshot() -> (Program, Vec<u8>) {
    let program = Program::new();
    let bytes = std::fs::read(repository(SNAPSHOT)).unwrap();
    program.write("snapshot.db", &bytes);
    (program, bytes)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn shows(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(ran.stdout.contains(word), "no {word:?} in: {}", ran.stdout);
    }
}

#[test]
fn a_sound_snapshot_is_said_to_be_sound_however_it_is_packed() {
    let (program, bytes) = with_snapshot();
    program.write("snapshot.gz", gzip(&bytes));
    let numbers = ["✓ sound", "revision      37", "e76243d3", "244891235 at revision 37"];
    let verify = |file| program.run(&["etcd", "verify", file, "--hash-kv"]);
    shows(&verify("snapshot.db"), 0, &numbers);
    shows(&verify("snapshot.gz"), 0, &[&numbers[..], &["gzip"]].concat());
    let unasked = program.run(&["etcd", "verify", "snapshot.db"]);
    assert!(!unasked.stdout.contains("HashKV"), "it takes another look: {}", unasked.stdout);
    let json = program.run(&["etcd", "verify", "snapshot.gz", "--format", "json"]).json();
    assert_eq!((&json["verdict"], &json["inspection"]["revision"]), (&"sound".into(), &37.into()));
    assert_eq!(json["packing"]["packing"], "gzip");
}

#[test]
fn what_is_verified_is_written_as_json_in_two_ways() {
    let (program, _) = with_snapshot();
    let short = program.run(&["etcd", "verify", "snapshot.db", "--json"]);
    let long = program.run(&["etcd", "verify", "snapshot.db", "--format", "json"]);
    assert_eq!((short.code, short.json()), (0, long.json()));
    let both = program.run(&["etcd", "verify", "snapshot.db", "--json", "--format", "text"]);
    assert_ne!(both.code, 0);
}

#[test]
fn regression_an_object_that_no_api_server_can_read_is_not_there() {
    const KEY: &str = "/registry/deployments/payments/api";
    let program = Program::new();
    let file = repository("scenarios/estates/files/cluster-state.unreadable.db");
    program.write("unreadable.db", std::fs::read(file).unwrap());
    shows(&program.run(&["etcd", "verify", "unreadable.db"]), 0, &["✓ sound"]);
    let told = ["UNREADABLE    1 deployments", "27 objects"];
    shows(&program.run(&["etcd", "inventory", "unreadable.db"]), 1, &told);
    let asked = program.run(&["etcd", "inventory", "unreadable.db", "--key", KEY]);
    shows(&asked, 1, &[&format!("UNREADABLE: {KEY}")]);
}

#[test]
fn a_snapshot_is_read_from_standard_input() {
    let (program, bytes) = with_snapshot();
    let mut command = program.command(&["etcd", "verify", "-"]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&gzip(&bytes)).unwrap();
    shows(&Ran::of(child.wait_with_output().unwrap()), 0, &["✓ sound: -", "gzip"]);
}

#[test]
fn damage_is_named_and_an_archive_that_was_cut_is_damaged() {
    let (program, bytes) = with_snapshot();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    program.write("flipped.db", flipped);
    let damaged = program.run(&["etcd", "verify", "flipped.db"]);
    shows(&damaged, 1, &["✗ damaged", "SHA-256       DIFFERS", "in page 4"]);
    shows(&program.run(&["etcd", "inventory", "flipped.db"]), 1, &["✗ flipped.db", "SHA-256"]);
    let packed = gzip(&bytes);
    program.write("cut.gz", &packed[..packed.len() - 100]);
    shows(
        &program.run(&["etcd", "verify", "cut.gz"]),
        1,
        &["✗ damaged", "gzip: it ends before its end"],
    );
    program.write("empty.db", "");
    shows(&program.run(&["etcd", "verify", "empty.db"]), 1, &["the file is empty"]);
    // A member's own database has no SHA-256 at its end: nothing is wrong, and nothing is proven.
    program.write("member.db", &bytes[..bytes.len() - 32]);
    shows(&program.run(&["etcd", "verify", "member.db"]), 2, &["? unproven"]);
}

#[test]
fn an_inventory_counts_objects_shows_no_value_and_misses_what_is_asked_for_in_vain() {
    let (program, _) = with_snapshot();
    let counted = program.run(&["etcd", "inventory", "snapshot.db", "--namespaces"]);
    shows(
        &counted,
        0,
        &["27 objects", "9  pods", "6  orders", "3, all encrypted", "aescbc:v1:key1"],
    );
    let asked = |key: &str| program.run(&["etcd", "inventory", "snapshot.db", "--key", key]);
    shows(&asked("/registry/namespaces/payments"), 0, &["last changed at revision"]);
    shows(&asked("/registry/namespaces/gone"), 1, &["MISSING: /registry/namespaces/gone"]);
}

/// Runs `redrill etcd inventory` with a secret to be decrypted, by this file.
fn decrypting(file: &str, secret: &str, more: &[&str]) -> Ran {
    let program = Program::new();
    let files = "scenarios/estates/files";
    let bytes = std::fs::read(repository(&format!("{files}/encrypted-secrets.snapshot.db")));
    program.write("snapshot.db", bytes.unwrap());
    program.write("kit.yaml", file);
    let asked = [
        "etcd",
        "inventory",
        "snapshot.db",
        "--decrypt",
        secret,
        "--encryption-config",
        "kit.yaml",
    ];
    program.run(&[&asked[..], more].concat())
}

const KIT: &str = include_str!("../../scenarios/estates/files/encryption-config.yaml");
const KEY: &str = "lh8g11lV52GeSObBX2XQABIRCwdQilf8M8DyOt6YGPA=";

#[test]
fn a_named_secret_is_decrypted_with_the_keys_of_the_recovery_kit_and_not_shown() {
    let json = decrypting(KIT, "payments/aesgcm", &["--format", "json"]);
    assert_eq!(json.code, 0, "{}", json.stderr);
    let decrypt = serde_json::json!({
        "secret": "payments/aesgcm", "readable": true, "why": "decrypted with aesgcm:v1:key1, to that secret",
    });
    assert_eq!(json.json()["decrypt"], decrypt);
    let wrong = KIT.replace(KEY, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    for (file, secret, code, words) in [
        (KIT, "payments/aescbc", 0, "✓ payments/aescbc: decrypted with aescbc:v1:key1"),
        (&wrong, "payments/secretbox", 1, "✗ NOT DECRYPTED: payments/secretbox: secretbox:v1:key1"),
        (KIT, "payments/moved", 1, "a secret of another name"),
        (KIT, "payments/unheard-of", 1, "the snapshot has no such secret"),
        (KIT, "payments/kms", 2, "? not known: payments/kms: ciphertext only"),
    ] {
        let ran = decrypting(file, secret, &[]);
        shows(&ran, code, &[words]);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!said.contains("swordfish") && !said.contains(KEY), "{said}");
    }
}

#[test]
fn what_cannot_be_used_to_decrypt_is_told_without_a_piece_of_it() {
    let broken = KIT.replace(KEY, "c3dvcmRmaXNo");
    let ran = decrypting(&broken, "payments/aescbc", &[]);
    ran.says(2, &["kit.yaml is no encryption configuration", "it has 9 bytes, and 16 or 24 or 32"]);
    assert!(!ran.stderr.contains("c3dvcmRmaXNo"));
    decrypting("swordfish", "payments/aescbc", &[]).says(2, &["line 1, column 1 cannot be read"]);
    decrypting(KIT, "aescbc", &[]).says(3, &["--decrypt aescbc names no secret"]);
    let program = Program::new();
    let alone = ["etcd", "inventory", "snapshot.db", "--decrypt", "payments/aescbc"];
    program.run(&alone).says(3, &["--encryption-config"]);
}

#[test]
fn a_later_snapshot_is_compared_with_an_inventory_that_was_kept() {
    let (program, _) = with_snapshot();
    let kept = program.run(&["etcd", "inventory", "snapshot.db", "--format", "json"]);
    program.write("before.json", &kept.stdout);
    shows(
        &program.run(&["etcd", "diff", "before.json", "snapshot.db"]),
        0,
        &["19 counts compared, 0 changed"],
    );
    let mut more = kept.json();
    let pods = more["resources"].as_array_mut().unwrap();
    let pods = pods.iter_mut().find(|resource| resource["resource"] == "pods").unwrap();
    (pods["objects"], pods["namespaces"]["orders"]) = (10.into(), 7.into());
    program.write("before.json", more.to_string());
    let diff = |further: &[&str]| {
        program.run(&[&["etcd", "diff", "before.json", "snapshot.db"], further].concat())
    };
    shows(
        &diff(&[]),
        1,
        &["✗ fewer pods: 10 before, 9 now", "✗ fewer pods in orders: 7 before, 6 now"],
    );
    shows(&diff(&["--tolerance", "20"]), 0, &["2 changed, 0 more than tolerated"]);
    shows(&diff(&["--ignore", "pods"]), 0, &["0 changed"]);
    let mut fewer = kept.json();
    fewer["resources"].as_array_mut().unwrap().retain(|one| one["resource"] != "pods");
    program.write("before.json", fewer.to_string());
    // What is there only now is counted, too: no more counts change than are compared.
    shows(&diff(&[]), 1, &["19 counts compared, 3 changed, 3 more than tolerated"]);
    fewer["resources"] = serde_json::json!([]);
    program.write("before.json", fewer.to_string());
    shows(&diff(&[]), 2, &["nothing was compared"]);
    program.write("before.json", "{}");
    assert_eq!(diff(&[]).code, 3);
}

#[test]
fn regression_a_changed_snapshot_is_not_counted_and_one_that_proves_nothing_is_no_pass() {
    let (program, bytes) = with_snapshot();
    // One replica less, which every page and every revision bears.
    let flipped = std::fs::read(repository("scenarios/estates/files/cluster-state.flipped.db"));
    program.write("flipped.db", flipped.unwrap());
    shows(&program.run(&["etcd", "inventory", "flipped.db"]), 1, &["SHA-256"]);
    shows(&program.run(&["etcd", "diff", "snapshot.db", "flipped.db"]), 1, &["✗ flipped.db"]);
    program.write("member.db", &bytes[..bytes.len() - 32]);
    shows(&program.run(&["etcd", "inventory", "member.db"]), 2, &["27 objects", "NOT PROVEN"]);
    shows(&program.run(&["etcd", "diff", "snapshot.db", "member.db"]), 2, &["NOT PROVEN"]);
    let asked = ["etcd", "verify", "snapshot.db", "--revision", "99999"];
    let lacks =
        ["? sound, without the HashKV that was asked for: snapshot.db", "HashKV        none"];
    shows(&program.run(&asked), 2, &lacks);
}

#[test]
fn what_is_no_snapshot_is_an_error_of_the_command_line() {
    let program = Program::new();
    program.run(&["etcd", "verify", "absent.db"]).says(2, &["absent.db cannot be read"]);
    program.run(&["etcd", "verify", "."]).says(3, &["is a folder"]);
}

#[test]
fn regression_damage_is_named_with_its_key_and_lost_changes_are_told() {
    let (program, mut bytes) = with_snapshot();
    let name = b"/registry/namespaces/orders";
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
    places.iter().for_each(|at| bytes[at + name.len() + 3] ^= 1);
    program.write("changed.db", bytes);
    let key = "; key /registry/namespaces/orders";
    shows(&program.run(&["etcd", "verify", "changed.db"]), 1, &["✗ damaged", key]);
}

#[test]
fn regression_a_backup_of_another_kind_is_not_called_damaged() {
    let program = Program::new();
    program.write("state.db", [&b"SQLite format 3\0"[..], &[0; 5000]].concat());
    let said = ["? no snapshot of etcd", "SQLite", "pragma integrity_check"];
    shows(&program.run(&["etcd", "verify", "state.db"]), 2, &said);
    shows(&program.run(&["etcd", "inventory", "state.db"]), 2, &["? state.db", "SQLite"]);
}

/// What `zstd --long=28` makes of what is not worth packing: a frame with a window of 256 MiB and one block as it is (RFC 8878, 3.1.1).
fn with_a_wide_window(content: &[u8]) -> Vec<u8> {
    let block = ((content.len() as u32) << 3 | 1).to_le_bytes();
    [&b"\x28\xb5\x2f\xfd\0"[..], &[(28 - 10) << 3], &block[..3], content].concat()
}

#[test]
fn regression_what_cannot_be_unpacked_is_not_called_damaged() {
    let (program, bytes) = with_snapshot();
    let zip = std::fs::read(repository("scenarios/estates/files/k3s-server.snapshot.zip")).unwrap();
    let changed = |at: usize, to: u8| {
        let mut changed = zip.clone();
        changed[at] = to;
        changed
    };
    for (file, content, words) in [
        ("wide.zst", with_a_wide_window(&bytes), "zstd -d --long=31 FILE"),
        ("lzma.zip", changed(8, 14), "a zip archive of a kind"),
        ("encrypted.zip", changed(6, zip[6] | 1), "an encrypted zip archive"),
        ("twice.gz", gzip(&gzip(&bytes)), "this is packed twice"),
    ] {
        program.write(file, content);
        let ran = program.run(&["etcd", "verify", file, "--hash-kv"]);
        shows(&ran, 2, &[&format!("? not unpacked: {file}"), words, "packed with"]);
        for lie in ["amage", "the file is empty", "HashKV"] {
            assert!(!ran.stdout.contains(lie), "{lie}: {}", ran.stdout);
        }
        let json = program.run(&["etcd", "verify", file, "--json"]).json();
        let said = (&json["verdict"], &json["damage"], json["packing_fault"].is_string());
        assert_eq!(said, (&"not unpacked".into(), &serde_json::json!([]), true));
        shows(&program.run(&["etcd", "inventory", file]), 2, &[&format!("? {file}"), words]);
        shows(&program.run(&["etcd", "diff", "snapshot.db", file]), 2, &[words]);
    }
    // One that was cut before anything came out of it is damaged, and not empty.
    program.write("cut.zip", &zip[..60]);
    let cut = program.run(&["etcd", "verify", "cut.zip"]);
    shows(&cut, 1, &["✗ damaged", "zip: it ends before its end"]);
    assert!(!cut.stdout.contains("the file is empty"), "{}", cut.stdout);
}

#[test]
fn regression_an_empty_pipe_says_nothing_of_a_backup() {
    let (program, _) = with_snapshot();
    for arguments in [
        &["etcd", "verify", "-"][..],
        &["etcd", "inventory", "-"],
        &["etcd", "diff", "snapshot.db", "-"],
    ] {
        let ran = Ran::of(program.command(arguments).stdin(Stdio::null()).output().unwrap());
        ran.says(2, &["standard input was empty", "did the command before it fail?"]);
        assert!(!ran.stdout.contains("damaged"), "{}", ran.stdout);
    }
}

#[test]
fn regression_the_newest_time_is_shown_with_what_is_verified() {
    let program = Program::new();
    let read = |file: &str| std::fs::read(repository(&format!("scenarios/estates/files/{file}")));
    program.write("leases.db", read("cluster-state.last-month.db").unwrap());
    let words = "newest time   2026-10-19T22:56:51+00:00";
    shows(&program.run(&["etcd", "verify", "leases.db"]), 0, &["✓ sound", words]);
    shows(&program.run(&["etcd", "inventory", "leases.db"]), 0, &[words]);
    let json = program.run(&["etcd", "verify", "leases.db", "--json"]).json();
    assert_eq!(json["newest"]["at"], "2026-10-19T22:56:51Z");
    let mut changed = read("cluster-state.last-month.db").unwrap();
    let end = changed.len() - 1;
    changed[end] ^= 1;
    program.write("changed.db", changed);
    let damaged = program.run(&["etcd", "verify", "changed.db"]);
    shows(&damaged, 1, &["✗ damaged"]);
    assert!(!damaged.stdout.contains("newest time"), "{}", damaged.stdout);
}

#[test]
fn regression_a_backup_that_went_back_or_stood_still_is_noticed() {
    let (program, _) = with_snapshot();
    let kept = program.run(&["etcd", "inventory", "snapshot.db", "--format", "json"]);
    let mut before = kept.json();
    program.write("before.json", before.to_string());
    let diff = |further: &[&str]| {
        program.run(&[&["etcd", "diff", "before.json", "snapshot.db"], further].concat())
    };
    shows(&diff(&[]), 0, &["both end at revision 37"]);
    shows(&diff(&["--moved-on"]), 1, &["both end at revision 37"]);
    before["revision"] = 38.into();
    program.write("before.json", before.to_string());
    shows(&diff(&[]), 1, &["went back from 38 to 37"]);
}
