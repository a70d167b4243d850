use super::super::super::tiny_writer::{self as tiny, Snapshot};
use super::super::NoInventory;
use super::*;
use aes_gcm::aead::KeyInit as _;
use aes_gcm::{AeadInPlace as _, Aes256Gcm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use serde::Deserialize;

const PLACE: &str = "/registry/secrets/payments/api";

/// A secret, encrypted by another program: `vectors.py` says how.
#[derive(Deserialize)]
struct Vector {
    provider: String,
    key: String,
    place: String,
    plain: String,
    stored: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

impl Vector {
    fn of(provider: &str) -> Self {
        vectors().into_iter().find(|vector| vector.provider == provider).unwrap()
    }

    fn key(&self) -> Vec<u8> {
        hex::decode(&self.key).unwrap()
    }

    fn stored(&self) -> Vec<u8> {
        hex::decode(&self.stored).unwrap()
    }

    /// The file that decrypts it.
    fn file(&self) -> EncryptionConfiguration {
        with_key(&self.provider, "key1", &self.key())
    }

    fn name_of_key(&self) -> String {
        format!("{}:v1:key1", self.provider)
    }
}

fn read(text: &str) -> Result<EncryptionConfiguration, ConfigurationFault> {
    EncryptionConfiguration::read(text)
}

/// A file whose entry for secrets has these providers (YAML, in flow style).
fn with_providers(providers: &str) -> EncryptionConfiguration {
    read(&format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n\
         resources:\n- resources: [configmaps, secrets]\n  providers: [{providers}]\n"
    ))
    .unwrap()
}

fn with_key(provider: &str, name: &str, key: &[u8]) -> EncryptionConfiguration {
    let key = BASE64.encode(key);
    with_providers(&format!(
        "{{ {provider}: {{ keys: [{{ name: {name}, secret: {key} }}] }} }}, {{ identity: {{}} }}"
    ))
}

/// A snapshot with this secret, under the key of `payments/api`.
fn holding(value: &[u8]) -> Vec<u8> {
    at(PLACE, value)
}

fn at(place: &str, value: &[u8]) -> Vec<u8> {
    Snapshot::with_entries(&[tiny::put(1), tiny::long_change_of(place.as_bytes(), 2, value)])
        .sealed()
}

fn proof(snapshot: &[u8], file: &EncryptionConfiguration) -> SecretProof {
    prove_secret(snapshot, snapshot.len() as u64, "payments", "api", file).unwrap().unwrap()
}

#[test]
fn what_other_programs_have_encrypted_is_decrypted_with_its_key() {
    assert_eq!(vectors().len(), 14);
    for vector in vectors() {
        let found = proof(&at(&vector.place, &vector.stored()), &vector.file());
        assert_eq!(found, SecretProof::Decrypted { key: vector.name_of_key() }, "{}", vector.key);
        let cipher = match vector.provider.as_str() {
            "aescbc" => cipher::Cipher::AesCbc,
            "aesgcm" => cipher::Cipher::AesGcm,
            _ => cipher::Cipher::Secretbox,
        };
        let data = vector.stored().split_off(format!("k8s:enc:{}:", vector.name_of_key()).len());
        let plain = cipher.decrypt(&vector.key(), &data, PLACE.as_bytes()).unwrap();
        assert_eq!(hex::encode(&*plain), vector.plain);
    }
}

#[test]
fn a_wrong_key_decrypts_nothing() {
    for vector in vectors() {
        let mut key = vector.key();
        key[3] ^= 1;
        let found = proof(&holding(&vector.stored()), &with_key(&vector.provider, "key1", &key));
        let key = vector.name_of_key();
        // AES-CBC knows a wrong key by the padding, which fits once in a while.
        let by_chance = SecretProof::Other { key: key.clone(), mismatch: Mismatch::NoObject };
        let refused = SecretProof::Refused { key };
        assert!(
            found == refused || (vector.provider == "aescbc" && found == by_chance),
            "{found:?}"
        );
    }
}

#[test]
fn a_key_that_the_file_does_not_have_is_named() {
    for vector in vectors() {
        let snapshot = holding(&vector.stored());
        let no_key = |known: &[&str]| {
            let known = known.iter().map(|name| format!("{}:v1:{name}", vector.provider));
            SecretProof::NoKey { key: vector.name_of_key(), known: known.collect() }
        };
        // Neither another name is enough, nor the beginning of one.
        for name in ["key2", "key"] {
            let renamed = with_key(&vector.provider, name, &vector.key());
            assert_eq!(proof(&snapshot, &renamed), no_key(&[name]));
        }
        let of_others = read(
            "kind: EncryptionConfiguration\nresources:\n- resources: [configmaps]\n  providers: [{ identity: {} }]\n",
        );
        assert_eq!(proof(&snapshot, &of_others.unwrap()), no_key(&[]));
    }
    let snapshot = holding(&Vector::of("secretbox").stored());
    let (key, known) = ("secretbox:v1:key1".to_owned(), vec!["aescbc:v1:key1".to_owned()]);
    let of_another_provider = with_key("aescbc", "key1", &Vector::of("secretbox").key());
    assert_eq!(proof(&snapshot, &of_another_provider), SecretProof::NoKey { key, known });
}

#[test]
fn of_several_keys_with_one_name_each_is_tried() {
    let vector = Vector::of("aesgcm");
    let (wrong, right) = (BASE64.encode([7; 32]), BASE64.encode(vector.key()));
    let file = with_providers(&format!(
        "{{ aesgcm: {{ keys: [{{ name: key1, secret: {wrong} }}, {{ name: key1, secret: {right} }}] }} }}"
    ));
    let decrypted = SecretProof::Decrypted { key: "aesgcm:v1:key1".to_owned() };
    assert_eq!(proof(&holding(&vector.stored()), &file), decrypted);
}

/// Of AES-CBC, which has no tag, the last block: what else of it is changed gives a changed value.
#[test]
fn a_damaged_value_is_not_decrypted() {
    for vector in vectors() {
        let good = vector.stored();
        let begin = format!("k8s:enc:{}:", vector.name_of_key()).len();
        let authentic = vector.provider != "aescbc";
        let places = if authentic { begin..good.len() } else { good.len() - 16..good.len() };
        for place in places {
            let mut damaged = good.clone();
            damaged[place] ^= 0x40;
            let found = proof(&holding(&damaged), &vector.file());
            let refused = SecretProof::Refused { key: vector.name_of_key() };
            assert!(
                found == refused || !authentic,
                "byte {place} of {}: {found:?}",
                vector.provider
            );
            assert!(!matches!(found, SecretProof::Decrypted { .. }) || !authentic);
        }
        for cut in begin..good.len() {
            let found = proof(&holding(&good[..cut]), &vector.file());
            assert!(!matches!(found, SecretProof::Decrypted { .. }), "cut at {cut}: {found:?}");
        }
    }
}

#[test]
fn what_is_decrypted_must_be_the_secret_that_was_asked_for() {
    for vector in vectors() {
        let place = "/registry/secrets/payments/other";
        let snapshot = at(place, &vector.stored());
        let found =
            prove_secret(&snapshot[..], snapshot.len() as u64, "payments", "other", &vector.file());
        let key = vector.name_of_key();
        let expected = match vector.provider.as_str() {
            // The place is authenticated: the value of another key is no value at all.
            "aesgcm" => SecretProof::Refused { key },
            _ => SecretProof::Other { key, mismatch: Mismatch::Name },
        };
        assert_eq!(found.unwrap(), Ok(expected), "{}", vector.provider);
    }
}

/// Encrypts as the API server does with AES-GCM.
fn sealed(plain: &[u8], key: &[u8; 32]) -> Vec<u8> {
    let mut data = plain.to_vec();
    let cipher = Aes256Gcm::new(key.into());
    let tag =
        cipher.encrypt_in_place_detached(&[9; 12].into(), PLACE.as_bytes(), &mut data).unwrap();
    [b"k8s:enc:aesgcm:v1:key1:", &[9; 12][..], &data, &tag[..]].concat()
}

#[test]
fn each_thing_in_which_an_object_differs_is_told() {
    let object = |kind: &str, namespace: &str, name: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"{kind}\",\"metadata\":{{\"namespace\":\"{namespace}\",\"name\":\"{name}\"}}}}"
        )
    };
    let other = |mismatch| SecretProof::Other { key: "aesgcm:v1:key1".to_owned(), mismatch };
    let good = SecretProof::Decrypted { key: "aesgcm:v1:key1".to_owned() };
    let mut cut = hex::decode(&Vector::of("aesgcm").plain).unwrap();
    cut.truncate(cut.len() - 1);
    for (plain, expected) in [
        (object("Secret", "payments", "api").into_bytes(), good),
        (object("ConfigMap", "payments", "api").into_bytes(), other(Mismatch::Kind)),
        (object("Secret", "orders", "api").into_bytes(), other(Mismatch::Namespace)),
        (object("Secret", "payments", "web").into_bytes(), other(Mismatch::Name)),
        (b"{}".to_vec(), other(Mismatch::NoObject)),
        (b"".to_vec(), other(Mismatch::NoObject)),
        (b"k8s\0\xff".to_vec(), other(Mismatch::NoObject)),
        (b"k8s:enc:aesgcm:v1:key1:x".to_vec(), other(Mismatch::NoObject)),
        (cut, other(Mismatch::NoObject)),
        (
            vec![0xD9, 0xD9, 0xF7, 0xA0],
            SecretProof::NotCompared { key: "aesgcm:v1:key1".to_owned() },
        ),
    ] {
        let found =
            proof(&holding(&sealed(&plain, &[5; 32])), &with_key("aesgcm", "key1", &[5; 32]));
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(&plain));
    }
}

#[test]
fn what_is_not_encrypted_or_not_there_or_held_by_a_service_is_told_apart() {
    let keys = with_key("aescbc", "key1", &[1; 32]);
    let plain = holding(b"k8s\0");
    assert_eq!(proof(&plain, &keys), SecretProof::NotEncrypted { is_read: true });
    let secret = BASE64.encode([1; 32]);
    let strict = format!("{{ aescbc: {{ keys: [{{ name: key1, secret: {secret} }}] }} }}");
    let found = proof(&plain, &with_providers(&strict));
    assert_eq!(found, SecretProof::NotEncrypted { is_read: false });
    assert_eq!(proof(&at("/registry/secrets/payments/web", b"x"), &keys), SecretProof::Missing);
    let deleted = [
        tiny::change_of(PLACE.as_bytes(), 1, Some(b"x")),
        tiny::change_of(PLACE.as_bytes(), 2, None),
    ];
    assert_eq!(proof(&Snapshot::with_entries(&deleted).sealed(), &keys), SecretProof::Missing);
    for (version, prefix) in [("v1", "k8s:enc:kms:v1:vault:x"), ("v2", "k8s:enc:kms:v2:vault:x")] {
        let snapshot = holding(prefix.as_bytes());
        let service = format!("kms:{version}:vault");
        let known = vec!["aescbc:v1:key1".to_owned()];
        let no_key = SecretProof::NoKey { key: service.clone(), known };
        assert_eq!(proof(&snapshot, &keys), no_key);
        let known = with_providers(&format!(
            "{{ kms: {{ name: vault, apiVersion: {version}, endpoint: 'unix:///run/kms.sock' }} }}"
        ));
        assert_eq!(proof(&snapshot, &known), SecretProof::CiphertextOnly { service });
    }
}

#[test]
fn a_secret_is_found_where_openshift_keeps_it_and_the_last_change_counts() {
    let vector = Vector::of("secretbox");
    let place = "/kubernetes.io/secrets/payments/api";
    let decrypted = SecretProof::Decrypted { key: vector.name_of_key() };
    assert_eq!(proof(&at(place, &vector.stored()), &vector.file()), decrypted);
    let changed = Snapshot::with_entries(&[
        tiny::long_change_of(PLACE.as_bytes(), 1, b"k8s\0"),
        tiny::long_change_of(PLACE.as_bytes(), 2, &vector.stored()),
    ]);
    assert_eq!(proof(&changed.sealed(), &vector.file()), decrypted);
}

#[test]
fn a_damaged_snapshot_proves_nothing() {
    let bytes = holding(&Vector::of("aescbc").stored());
    let file = Vector::of("aescbc").file();
    for damaged in [&bytes[..bytes.len() / 2], b""] {
        let found = prove_secret(damaged, damaged.len() as u64, "payments", "api", &file).unwrap();
        assert_eq!(found, Err(NoInventory::Damaged));
    }
}

#[test]
fn the_first_entry_that_names_secrets_counts() {
    let file = |first: &str, second: &str| {
        let entry = |resources: &str, key: &str| {
            format!(
                "- resources: ['{resources}']\n  providers: [{{ secretbox: {{ keys: [{{ name: {key}, secret: '{}' }}] }} }}]\n",
                BASE64.encode([1; 32])
            )
        };
        let text = format!(
            "kind: EncryptionConfiguration\nresources:\n{}{}",
            entry(first, "first"),
            entry(second, "second")
        );
        read(&text).unwrap().key_names()
    };
    assert_eq!(file("secrets", "*.*"), ["secretbox:v1:first"]);
    assert_eq!(file("configmaps", "*."), ["secretbox:v1:second"]);
    assert_eq!(file("*.apps", "secrets"), ["secretbox:v1:second"]);
    assert_eq!(file("configmaps", "deployments.apps"), [""; 0]);
}

/// k3s writes JSON.
#[test]
fn the_file_may_be_json() {
    let key = BASE64.encode([1; 32]);
    let text = format!(
        "{{\"kind\":\"EncryptionConfiguration\",\"apiVersion\":\"apiserver.config.k8s.io/v1\",\"resources\":[{{\"resources\":[\"secrets\"],\
         \"providers\":[{{\"aescbc\":{{\"keys\":[{{\"name\":\"aescbckey\",\"secret\":\"{key}\"}}]}}}},{{\"identity\":{{}}}}]}}]}}"
    );
    assert_eq!(read(&text).unwrap().key_names(), ["aescbc:v1:aescbckey"]);
}

#[test]
fn what_an_api_server_would_refuse_is_told_without_a_piece_of_it() {
    let file = |providers: &str| {
        format!(
            "kind: EncryptionConfiguration\nresources: [{{ resources: [secrets], providers: [{providers}] }}]"
        )
    };
    let key = |name: &str, secret: &str| {
        file(&format!("{{ aescbc: {{ keys: [{{ name: '{name}', secret: '{secret}' }}] }} }}"))
    };
    for (text, expected) in [
        ("a: [".to_owned(), "line 1"),
        ("hunter2".to_owned(), "line 1"),
        (file("{ aescbc: hunter2 }"), "line 2"),
        ("kind: hunter2".to_owned(), "its kind is not EncryptionConfiguration"),
        (file("{ hunter2: {} }"), "provider 1 for secrets is not one of"),
        (file("{ identity: {} }, { identity: {}, kms: { name: x } }"), "provider 2 for secrets"),
        (file("{ aesgcm: { keys: [] } }"), "key \"\" of aesgcm: there is none"),
        (key("", "aHVudGVyMg=="), "key \"\" of aescbc: it has no name"),
        (key("key1", "hunter2!"), "key \"key1\" of aescbc: its secret is not base64"),
        (key("key1", "aHVudGVyMg=="), "it has 7 bytes, and 16 or 24 or 32 are needed"),
        (key("key1", ""), "it has 0 bytes"),
    ] {
        let told = read(&text).unwrap_err().to_string();
        assert!(told.contains(expected) && !told.contains("hunter2"), "{text}: {told}");
    }
}

proptest! {
    /// Whatever is stored, and whatever the key: nothing that is told has a piece of the key or of the value in it.
    #[test]
    fn no_key_and_no_value_is_in_anything_that_is_told(
        key in proptest::array::uniform32(any::<u8>()),
        word in "[g-z]{16}",
        name in "(api|web)",
        flip in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let plain = format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{{\"namespace\":\"payments\",\"name\":\"{name}\"}},\"data\":{{\"p\":\"{word}\"}}}}"
        );
        let mut stored = sealed(plain.as_bytes(), &key);
        if let Some(flip) = flip {
            let at = flip.index(stored.len());
            stored[at] ^= 1;
        }
        let file = with_key("aesgcm", "key1", &key);
        let snapshot = holding(&stored);
        let inventory = super::super::take_inventory(&snapshot[..], snapshot.len() as u64, &[]).unwrap();
        let told = format!("{:?} {file:?} {:?} {inventory:?}", proof(&snapshot, &file), file.key_names());
        prop_assert!(!told.contains(&word));
        for text in file.key_texts() {
            prop_assert!(!told.contains(&*text));
        }
    }

    /// A file of rubbish, or one that was changed, is refused or read, and never shown.
    #[test]
    fn a_file_of_rubbish_is_never_shown(word in "[g-z]{12}", before in ".{0,40}", after in ".{0,40}") {
        for text in [format!("{before}{word}{after}"), format!("kind: EncryptionConfiguration\nresources: {before}{word}{after}")] {
            if let Err(fault) = read(&text) {
                prop_assert!(!fault.to_string().contains(&word), "{fault}");
            }
        }
    }
}
