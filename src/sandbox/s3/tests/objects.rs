//! Writing, reading and deleting objects.

use super::*;

#[tokio::test(start_paused = true)]
async fn every_write_makes_a_version_and_a_delete_makes_a_marker() {
    let sandbox = Sandbox::open("[{name: orders, versioning: enabled}]");
    let s3 = sandbox.source();
    let first = put(&s3, "orders", "a", "one").await;
    sandbox.wait(10).await;
    let second = put(&s3, "orders", "a", "two").await;
    assert_eq!(get(&s3, "orders", "a").await, "two");
    let old = s3.get_object().bucket("orders").key("a").version_id(&first).send().await.unwrap();
    assert_eq!(old.e_tag(), Some("\"f97c5d29941bfb1b2fdab0874906ab82\"")); // md5 of "one"
    assert_eq!(&old.body.collect().await.unwrap().to_vec(), b"one");

    let deleted = s3.delete_object().bucket("orders").key("a").send().await.unwrap();
    assert_eq!(deleted.delete_marker(), Some(true));
    let marker = deleted.version_id().unwrap().to_owned();
    assert_eq!(
        code(s3.get_object().bucket("orders").key("a").send().await),
        ("NoSuchKey".to_owned(), 404)
    );
    let read_marker = s3.get_object().bucket("orders").key("a").version_id(&marker).send().await;
    assert_eq!(code(read_marker), ("MethodNotAllowed".to_owned(), 405));

    let listed = s3.list_object_versions().bucket("orders").send().await.unwrap();
    let ids: Vec<_> = listed.versions().iter().map(|v| v.version_id().unwrap()).collect();
    assert_eq!(ids, [second.as_str(), first.as_str()]);
    assert_eq!(listed.delete_markers()[0].is_latest(), Some(true));
    assert_eq!(listed.versions()[0].is_latest(), Some(false));
    assert_eq!(listed.versions()[1].last_modified().unwrap().secs(), 1_795_305_600);
    assert_eq!(listed.versions()[0].last_modified().unwrap().secs(), 1_795_305_610);

    s3.delete_object().bucket("orders").key("a").version_id(&marker).send().await.unwrap();
    assert_eq!(get(&s3, "orders", "a").await, "two");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_without_versioning_replaces_and_removes() {
    let sandbox = Sandbox::open("[{name: plain}]");
    let s3 = sandbox.source();
    assert_eq!(put(&s3, "plain", "a", "one").await, "null");
    put(&s3, "plain", "a", "two").await;
    let listed = s3.list_object_versions().bucket("plain").send().await.unwrap();
    assert_eq!(listed.versions().len(), 1);
    assert_eq!(listed.versions()[0].version_id(), Some("null"));
    s3.delete_object().bucket("plain").key("a").send().await.unwrap();
    assert!(sandbox.state.inventory().keys().eq(["s3/plain"]));
}

#[tokio::test(start_paused = true)]
async fn a_streamed_upload_arrives_without_its_framing_and_with_its_checksum() {
    let sandbox = Sandbox::open(PAIR);
    let s3 = sandbox.source();
    let content: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    let put = s3.put_object().bucket("orders").key("big").body(streamed(content.clone()));
    let put = put.content_length(200_000).metadata("run", "r-1").send().await.unwrap();
    assert!(put.checksum_crc32().is_some());
    let got = s3.get_object().bucket("orders").key("big").send().await.unwrap();
    assert_eq!(got.content_length(), Some(200_000));
    assert_eq!(got.metadata().unwrap()["run"], "r-1");
    assert_eq!(got.content_encoding(), None);
    assert_eq!(got.checksum_crc32(), put.checksum_crc32());
    assert_eq!(got.body.collect().await.unwrap().to_vec(), content);

    let part = s3.get_object().bucket("orders").key("big").range("bytes=100-199").send().await;
    let part = part.unwrap();
    assert_eq!(part.content_range(), Some("bytes 100-199/200000"));
    assert_eq!(part.body.collect().await.unwrap().to_vec(), content[100..200]);
    let beyond = s3.get_object().bucket("orders").key("big").range("bytes=200000-").send().await;
    assert_eq!(code(beyond), ("InvalidRange".to_owned(), 416));
}

#[tokio::test(start_paused = true)]
async fn generated_content_is_streamed_and_its_checksum_is_right() {
    let sandbox = Sandbox::open(
        "[{name: bulk, objects: [{key: image, size: 9 MiB, seed: 3, tags: {kind: image}}]}]",
    );
    let s3 = sandbox.source();
    let got = s3.get_object().bucket("bulk").key("image").send().await.unwrap();
    assert!(got.e_tag().unwrap().ends_with("-2\""));
    assert!(got.checksum_crc64_nvme().is_some(), "the SDK compares it while it reads");
    assert_eq!(got.body.collect().await.unwrap().to_vec().len(), 9 << 20);
    let tags = s3.get_object_tagging().bucket("bulk").key("image").send().await.unwrap();
    assert_eq!((tags.tag_set()[0].key(), tags.tag_set()[0].value()), ("kind", "image"));
}

#[tokio::test(start_paused = true)]
async fn many_keys_are_deleted_in_one_call() {
    let sandbox = Sandbox::open("[{name: orders, versioning: enabled}]");
    let s3 = sandbox.source();
    let first = put(&s3, "orders", "a", "x").await;
    put(&s3, "orders", "b", "x").await;
    let object = |key: &str| ObjectIdentifier::builder().key(key);
    let delete = Delete::builder()
        .objects(object("a").version_id(&first).build().unwrap())
        .objects(object("b").build().unwrap())
        .objects(object("absent").build().unwrap())
        .build()
        .unwrap();
    let deleted = s3.delete_objects().bucket("orders").delete(delete).send().await.unwrap();
    assert_eq!(deleted.deleted().len(), 3);
    assert_eq!(deleted.deleted()[0].version_id(), Some(first.as_str()));
    assert_eq!(deleted.deleted()[1].delete_marker(), Some(true));
    assert!(deleted.errors().is_empty());
    assert!(!exists(&s3, "orders", "a").await);
}

#[tokio::test(start_paused = true)]
async fn a_conditional_write_does_not_replace() {
    let sandbox = Sandbox::open("[{name: orders, versioning: enabled}]");
    let s3 = sandbox.source();
    let create = || s3.put_object().bucket("orders").key("a").if_none_match("*").body(body("x"));
    create().send().await.unwrap();
    assert_eq!(code(create().send().await), ("PreconditionFailed".to_owned(), 412));
    s3.delete_object().bucket("orders").key("a").send().await.unwrap();
    create().send().await.unwrap();
    let etag = s3.head_object().bucket("orders").key("a").send().await.unwrap();
    let unchanged = s3.get_object().bucket("orders").key("a").if_none_match(etag.e_tag().unwrap());
    assert_eq!(code(unchanged.send().await).1, 304);
}

#[tokio::test(start_paused = true)]
async fn an_object_may_be_written_in_the_future() {
    let sandbox = Sandbox::open(
        "[{name: orders, versioning: enabled, objects: [{key: a, text: x, at: +1h}]}]",
    );
    assert!(!exists(&sandbox.source(), "orders", "a").await);
    sandbox.wait(3600).await;
    assert!(exists(&sandbox.source(), "orders", "a").await);
}

#[tokio::test(start_paused = true)]
async fn an_upload_in_parts_becomes_one_object_and_is_replicated() {
    use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
    const PART: usize = 5 << 20;
    let sandbox = Sandbox::open(PAIR);
    let s3 = sandbox.source();
    let create = || s3.create_multipart_upload().bucket("orders").key("big").metadata("a", "b");
    let id = create().send().await.unwrap().upload_id().unwrap().to_owned();
    let mut parts = Vec::new();
    for (number, part) in [(1, vec![1_u8; PART]), (2, vec![2_u8; 100])] {
        let upload = s3.upload_part().bucket("orders").key("big").upload_id(&id);
        let upload = upload.part_number(number).body(ByteStream::from(part)).send().await.unwrap();
        let part = CompletedPart::builder().part_number(number).e_tag(upload.e_tag().unwrap());
        parts.push(part.build());
    }
    assert!(!exists(&s3, "orders", "big").await);
    let complete = |parts: Vec<CompletedPart>| {
        let upload = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = s3.complete_multipart_upload().bucket("orders").key("big").upload_id(&id);
        complete.multipart_upload(upload).send()
    };
    let reversed = parts.iter().rev().cloned().collect();
    assert_eq!(code(complete(reversed).await), ("InvalidPartOrder".to_owned(), 400));
    let wrong = CompletedPart::builder().part_number(1).e_tag("\"0\"").build();
    assert_eq!(code(complete(vec![wrong]).await), ("InvalidPart".to_owned(), 400));
    let done = complete(parts.clone()).await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-2\""));
    assert_eq!(code(complete(parts).await), ("NoSuchUpload".to_owned(), 404));
    let got = s3.get_object().bucket("orders").key("big").send().await.unwrap();
    assert_eq!(got.metadata().unwrap()["a"], "b");
    let bytes = got.body.collect().await.unwrap().to_vec();
    assert_eq!((bytes.len(), bytes[PART - 1], bytes[PART]), (PART + 100, 1, 2));
    sandbox.wait(300).await;
    assert!(exists(&sandbox.replica(), "orders-dr", "big").await);

    let left = create().send().await.unwrap().upload_id().unwrap().to_owned();
    let leftover = format!("s3/orders/big?uploadId={left}");
    assert!(sandbox.state.inventory().contains_key(&leftover));
    let abort = s3.abort_multipart_upload().bucket("orders").key("big").upload_id(left);
    abort.send().await.unwrap();
    assert!(!sandbox.state.inventory().contains_key(&leftover));
}
