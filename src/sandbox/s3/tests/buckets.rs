//! Configuration of buckets, error codes and mistakes in estates.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_bucket_says_how_it_is_configured() {
    let sandbox = Sandbox::open(PAIR);
    let (s3, dr) = (sandbox.source(), sandbox.replica());
    let versioning = s3.get_bucket_versioning().bucket("orders").send().await.unwrap();
    assert_eq!(versioning.status(), Some(&BucketVersioningStatus::Enabled));
    let location = s3.get_bucket_location().bucket("orders").send().await.unwrap();
    assert_eq!(location.location_constraint().map(|l| l.as_str()), Some(TOKYO));
    let head = s3.head_bucket().bucket("orders").send().await.unwrap();
    assert_eq!(head.bucket_region(), Some(TOKYO));
    let replication = s3.get_bucket_replication().bucket("orders").send().await.unwrap();
    let rule = &replication.replication_configuration().unwrap().rules()[0];
    assert_eq!(rule.destination().unwrap().bucket(), "arn:aws:s3:::orders-dr");
    assert_eq!(rule.status().as_str(), "Enabled");
    let none = dr.get_bucket_replication().bucket("orders-dr").send().await;
    let expected = ("ReplicationConfigurationNotFoundError".to_owned(), 404);
    assert_eq!(code(none), expected);

    let suspend = VersioningConfiguration::builder().status(BucketVersioningStatus::Suspended);
    let refused = s3.put_bucket_versioning().bucket("orders");
    let refused = refused.versioning_configuration(suspend.build()).send().await;
    assert_eq!(code(refused), ("InvalidBucketState".to_owned(), 409));
}

#[tokio::test(start_paused = true)]
async fn a_rule_set_by_a_client_concerns_later_writes() {
    let sandbox = Sandbox::open(PAIR);
    let s3 = sandbox.source();
    let shown = s3.get_bucket_replication().bucket("orders").send().await.unwrap();
    s3.delete_bucket_replication().bucket("orders").send().await.unwrap();
    put(&s3, "orders", "before", "x").await;
    sandbox.wait(1).await;
    let set = s3.put_bucket_replication().bucket("orders");
    let set = set.set_replication_configuration(shown.replication_configuration().cloned());
    set.send().await.unwrap();
    put(&s3, "orders", "after", "x").await;
    sandbox.wait(600).await;
    assert_eq!(status(&s3, "orders", "before").await, None);
    assert_eq!(status(&s3, "orders", "after").await, Some(ReplicationStatus::Completed));
}

#[tokio::test(start_paused = true)]
async fn errors_have_the_codes_of_s3() {
    let sandbox = Sandbox::open(
        "
- {name: orders, versioning: enabled, objects: [{key: a, text: x}]}
- {name: other-dr, readers: [111111111111], objects: [{key: a, text: x}]}
- {name: locked, kms: {key: 'arn:aws:kms:ap-northeast-1:111111111111:key/1', usable: false}, objects: [{key: a, text: x}]}
",
    );
    let s3 = sandbox.source();
    let get = |client: &Client, bucket: &str, key: &str| {
        client.get_object().bucket(bucket).key(key).send()
    };
    let check = |(found, status): (String, u16), expected: &str, expected_status: u16| {
        assert_eq!((found.as_str(), status), (expected, expected_status));
    };
    check(code(get(&s3, "absent", "a").await), "NoSuchBucket", 404);
    check(code(get(&s3, "orders", "absent").await), "NoSuchKey", 404);
    let head = s3.head_object().bucket("orders").key("absent").send().await;
    check(code(head), "NotFound", 404);
    let version = s3.get_object().bucket("orders").key("a");
    let unknown = version.clone().version_id("x".repeat(32)).send().await;
    check(code(unknown), "NoSuchVersion", 404);
    check(code(version.version_id("x").send().await), "InvalidArgument", 400);
    check(code(get(&s3, "locked", "a").await), "KMS.DisabledException", 400);

    let stranger = sandbox.client(DR, TOKYO);
    check(code(get(&stranger, "orders", "a").await), "AccessDenied", 403);
    let reader = sandbox.client(OWNER, OSAKA);
    assert!(get(&reader, "other-dr", "a").await.is_ok());
    let write = reader.put_object().bucket("other-dr").key("b").body(body("x")).send().await;
    check(code(write), "AccessDenied", 403);

    let elsewhere = sandbox.client(OWNER, OSAKA);
    let redirected = get(&elsewhere, "orders", "a").await;
    let response = redirected.as_ref().unwrap_err().raw_response().unwrap();
    assert_eq!(response.headers().get("x-amz-bucket-region"), Some(TOKYO));
    check(code(redirected), "PermanentRedirect", 301);

    let credentials = |key: &str, secret: &str| Credentials::new(key, secret, None, None, "test");
    let unknown = sandbox.client_with(credentials("AKIAEXAMPLE", "sandbox"), TOKYO);
    check(code(get(&unknown, "orders", "a").await), "InvalidAccessKeyId", 403);
    let wrong = sandbox.client_with(credentials("SANDBOX111111111111", "guess"), TOKYO);
    check(code(get(&wrong, "orders", "a").await), "SignatureDoesNotMatch", 403);
}

#[test]
fn mistakes_in_an_estate_are_explained() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let message = |yaml: &str| {
        runtime.block_on(async { Sandbox::try_open(yaml).map(|_| ()).unwrap_err().to_string() })
    };
    assert!(message("[{name: A}]").contains("not a bucket name"));
    assert!(message("[{name: orders}, {name: orders}]").contains("two buckets"));
    assert!(message("[{name: orders, objects: [{key: a}]}]").contains("exactly one of"));
    let rule = "replication: [{to: {bucket: orders-dr, region: us-east-1}}]";
    assert!(message(&format!("[{{name: orders, {rule}}}]")).contains("versioning: enabled"));
    let both = format!("[{{name: orders, versioning: enabled, {rule}}}, {{name: orders-dr}}]");
    assert!(message(&both).contains("not where the rule says"));
    let lost = "[{name: orders, objects: [{key: a, text: x, replicated: missing}]}]";
    assert!(message(lost).contains("no replication rule applies"));
    let absent = "[{name: orders, objects: [{key: a, file: does/not/exist}]}]";
    assert!(message(absent).contains("cannot read"));
}

#[tokio::test(start_paused = true)]
async fn every_simulated_operation_has_its_name_and_is_refused_without_a_signature() {
    let sandbox = Sandbox::open("[{name: orders, versioning: enabled}]");
    let bucket = "https://s3.ap-northeast-1.sandbox.invalid/orders";
    for (operation, method, path) in [
        ("AbortMultipartUpload", "DELETE", "/a?uploadId=1"),
        ("CompleteMultipartUpload", "POST", "/a?uploadId=1"),
        ("CreateBucket", "PUT", "-new"),
        ("CreateMultipartUpload", "POST", "/a?uploads"),
        ("DeleteBucket", "DELETE", "-absent"),
        ("DeleteBucketReplication", "DELETE", "?replication"),
        ("DeleteObject", "DELETE", "/a"),
        ("DeleteObjects", "POST", "?delete"),
        ("GetBucketLocation", "GET", "?location"),
        ("GetBucketReplication", "GET", "?replication"),
        ("GetBucketVersioning", "GET", "?versioning"),
        ("GetObject", "GET", "/a"),
        ("GetObjectTagging", "GET", "/a?tagging"),
        ("HeadBucket", "HEAD", ""),
        ("HeadObject", "HEAD", "/a"),
        ("ListBuckets", "GET", "/../"),
        ("ListObjectVersions", "GET", "?versions"),
        ("ListObjectsV2", "GET", "?list-type=2"),
        ("PutBucketReplication", "PUT", "?replication"),
        ("PutBucketVersioning", "PUT", "?versioning"),
        ("PutObject", "PUT", "/a"),
        ("UploadPart", "PUT", "/a?partNumber=1&uploadId=1"),
    ] {
        let mut request = HttpRequest::empty();
        request.set_method(method).unwrap();
        let uri = match path {
            "/../" => "https://s3.ap-northeast-1.sandbox.invalid/".to_owned(),
            path => format!("{bucket}{path}"),
        };
        request.set_uri(uri).unwrap();
        assert_eq!(operation_name(&request), Some(operation));
        assert!(FIDELITY.iter().any(|listed| listed.name == operation), "{operation}");
        let response = sandbox.state.handle(request).await;
        assert_eq!(response.status().as_u16(), 403, "{operation}");
    }
    assert_eq!(FIDELITY.len(), 22);
}

#[tokio::test(start_paused = true)]
async fn buckets_are_made_listed_and_deleted_when_empty() {
    use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
    let sandbox = Sandbox::open("[{name: orders}, {name: other-dr}]");
    let s3 = sandbox.source();
    let here = BucketLocationConstraint::from(TOKYO);
    let here = CreateBucketConfiguration::builder().location_constraint(here).build();
    let create = |name: &str| {
        s3.create_bucket().bucket(name).create_bucket_configuration(here.clone()).send()
    };
    create("copies").await.unwrap();
    assert_eq!(code(create("copies").await), ("BucketAlreadyOwnedByYou".to_owned(), 409));
    assert_eq!(code(create("other-dr").await), ("BucketAlreadyExists".to_owned(), 409));
    let listed = s3.list_buckets().send().await.unwrap();
    let names: Vec<_> = listed.buckets().iter().map(|b| b.name().unwrap()).collect();
    assert_eq!(names, ["copies", "orders"]);
    put(&s3, "copies", "a", "x").await;
    let delete = || s3.delete_bucket().bucket("copies").send();
    assert_eq!(code(delete().await), ("BucketNotEmpty".to_owned(), 409));
    s3.delete_object().bucket("copies").key("a").send().await.unwrap();
    delete().await.unwrap();
    assert_eq!(code(s3.head_bucket().bucket("copies").send().await), ("NotFound".to_owned(), 404));
}

#[test]
fn requests_are_named_for_faults() {
    let name = |method: &str, uri: &str| {
        let mut request = HttpRequest::empty();
        request.set_method(method).unwrap();
        request.set_uri(uri).unwrap();
        operation_name(&request)
    };
    let host = "https://orders.s3.ap-northeast-1.sandbox.invalid";
    assert_eq!(name("GET", &format!("{host}/?versions")), Some("ListObjectVersions"));
    assert_eq!(name("GET", &format!("{host}/?list-type=2")), Some("ListObjectsV2"));
    assert_eq!(name("PUT", &format!("{host}/a/b?x-id=PutObject")), Some("PutObject"));
    assert_eq!(name("HEAD", "http://127.0.0.1:1/orders/a"), Some("HeadObject"));
    assert_eq!(name("GET", "http://127.0.0.1:1/orders/"), None);
    assert_eq!(name("PUT", "http://127.0.0.1:1/orders?acl"), None);
    assert_eq!(name("GET", "http://127.0.0.1:1/"), Some("ListBuckets"));
}
