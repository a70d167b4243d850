//! A snapshot of a real etcd that is stored in a bucket of moto, read there, and removed with all its versions.

use crate::etcd_server::{Etcd, Programs, VERSIONS};
use crate::server_support::{Aws, Drill, Drills, end};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// The bucket that guard.canaries of etcd-taken.yaml names.
const BUCKET: &str = "cluster-snapshots";

/// An etcd with seven keys, the last of them in several versions.
fn filled(programs: &Programs) -> Etcd {
    let etcd = Etcd::start(programs);
    for number in [0, 1, 2, 3, 4, 5, 6, 6, 6] {
        let key = BASE64.encode(format!("/registry/configmaps/shop/{number}"));
        etcd.put(&[
            json!({ "key": key, "value": BASE64.encode("a value of some bytes".repeat(50)) }),
        ]);
    }
    etcd
}

/// Everything that is in the bucket, versions and delete markers.
fn all(aws: &Aws) -> Vec<Value> {
    let answer = aws.json(&format!("s3api list-object-versions --bucket {BUCKET}"));
    let of = |kind: &str| answer[kind].as_array().cloned().unwrap_or_default();
    of("Versions").into_iter().chain(of("DeleteMarkers")).collect()
}

#[test]
fn server_a_snapshot_goes_into_a_bucket_is_read_there_and_is_removed() {
    let aws = Aws::assume("210987654325", "eu-west-3");
    aws.json(&format!(
        "s3api create-bucket --bucket {BUCKET} --create-bucket-configuration LocationConstraint=eu-west-3"
    ));
    aws.json(&format!(
        "s3api put-bucket-versioning --bucket {BUCKET} --versioning-configuration Status=Enabled"
    ));
    for variable in VERSIONS {
        let etcd = filled(&Programs::named_by(variable));
        let drills = Drills::new();
        let endpoint = format!("http://{}", etcd.client);
        let ended = end(&mut drills.run("etcd-taken", &[("endpoint", &endpoint)]));
        let drill = Drill::of(&ended);
        drill.expect(0, "passed");
        assert_eq!(drill.check("take", "as the member").0, "passed");
        assert_eq!(drill.check("read", "trailing SHA-256").0, "passed");
        assert_eq!(drill.check("read", "live_keys"), ("passed".into(), "7".into()));
        drill.nothing_is_left(1);
        let id = drill.at("/resources/0/id").as_str().unwrap();
        let place = format!("arn:aws:s3:::{BUCKET}/redrill-canary/redrill-etcd-taken-");
        assert!(id.starts_with(&place), "{id}");
        assert_eq!(all(&aws), Vec::<Value>::new());
    }
}
