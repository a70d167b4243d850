//! Listings, their pages and odd keys.

use super::*;

#[tokio::test(start_paused = true)]
async fn odd_keys_survive_writing_reading_and_url_encoded_listings() {
    let sandbox = Sandbox::open("[{name: odd, versioning: enabled}]");
    let s3 = sandbox.source();
    let keys =
        ["\u{1}control", "a b", "a+b", "a/../b", "a//b", "ünï/復旧", "per%cent", "q?x=1&y#z"];
    for key in keys {
        put(&s3, "odd", key, key).await;
        assert_eq!(get(&s3, "odd", key).await, key);
    }
    let list = s3.list_objects_v2().bucket("odd").encoding_type(EncodingType::Url);
    let listed = list.send().await.unwrap();
    assert_eq!(listed.encoding_type(), Some(&EncodingType::Url));
    let mut shown: Vec<_> = listed.contents().iter().map(|o| o.key().unwrap()).collect();
    shown.sort_unstable();
    assert!(shown.contains(&"%01control"));
    assert!(shown.contains(&"a+b") && shown.contains(&"a%2Bb"), "{shown:?}");
    assert!(shown.contains(&"%C3%BCn%C3%AF/%E5%BE%A9%E6%97%A7"));
    assert_eq!(shown.len(), keys.len());
    let versions = s3.list_object_versions().bucket("odd").encoding_type(EncodingType::Url);
    assert_eq!(versions.send().await.unwrap().versions().len(), keys.len());
    let raw = s3.list_objects_v2().bucket("odd").send().await;
    assert!(raw.is_err(), "as with S3, a control character makes the plain listing unreadable");
}

#[tokio::test(start_paused = true)]
async fn pages_cover_everything_once_and_in_order() {
    let sandbox = Sandbox::open(
        "
- name: many
  versioning: enabled
  objects:
    - {key: 'data/{n}', text: x, count: 1200, at: 2d, every: 1s}
    - {key: data/000500, text: y, at: 1d}
    - {key: data/000501, text: y, at: 1d, deleted: 1h}
    - {key: zebra, text: y}
",
    );
    let s3 = sandbox.source();
    let first = s3.list_objects_v2().bucket("many").send().await.unwrap();
    assert_eq!((first.key_count(), first.is_truncated()), (Some(1000), Some(true)));
    let token = first.next_continuation_token().unwrap();
    let second = s3.list_objects_v2().bucket("many").continuation_token(token);
    let second = second.send().await.unwrap();
    assert_eq!((second.key_count(), second.is_truncated()), (Some(200), Some(false)));
    let mut all: Vec<&str> = first.contents().iter().map(|o| o.key().unwrap()).collect();
    all.extend(second.contents().iter().map(|o| o.key().unwrap()));
    assert!(all.is_sorted());
    assert!(!all.contains(&"data/000501"), "hidden by its delete marker");

    for size in [1, 2, 7, 1000] {
        let (mut key, mut version) = (None, None);
        let mut seen = Vec::new();
        loop {
            let page = s3.list_object_versions().bucket("many").prefix("data/00050").max_keys(size);
            let page = page.set_key_marker(key).set_version_id_marker(version);
            let page = page.send().await.unwrap();
            let versions = page.versions().iter().map(|v| v.version_id().unwrap().to_owned());
            seen.extend(versions);
            let markers = page.delete_markers().iter().map(|m| m.version_id().unwrap().to_owned());
            seen.extend(markers);
            if page.is_truncated() != Some(true) {
                break;
            }
            key = page.next_key_marker().map(str::to_owned);
            version = page.next_version_id_marker().map(str::to_owned);
        }
        assert_eq!(seen.len(), 10 + 1 + 2, "page size {size}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 13, "page size {size}");
    }
}

#[tokio::test(start_paused = true)]
async fn delimiters_group_keys_across_pages() {
    let sandbox = Sandbox::open(
        "
- name: tree
  objects:
    - {key: 'a/{n}', text: x, count: 5}
    - {key: b, text: x}
    - {key: c/d/e, text: x}
    - {key: f, text: x}
",
    );
    let s3 = sandbox.source();
    let mut token = None;
    let mut seen = Vec::new();
    loop {
        let page = s3.list_objects_v2().bucket("tree").delimiter("/").max_keys(1);
        let page = page.set_continuation_token(token).send().await.unwrap();
        seen.extend(page.common_prefixes().iter().map(|p| p.prefix().unwrap().to_owned()));
        seen.extend(page.contents().iter().map(|o| o.key().unwrap().to_owned()));
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["a/", "b", "c/", "f"]);
    let inside = s3.list_objects_v2().bucket("tree").prefix("c/").delimiter("/");
    assert_eq!(inside.send().await.unwrap().common_prefixes()[0].prefix(), Some("c/d/"));
    let after = s3.list_objects_v2().bucket("tree").start_after("a/000003").send().await.unwrap();
    assert_eq!(after.contents()[0].key(), Some("a/000004"));
}

#[tokio::test(start_paused = true)]
async fn the_same_estate_and_calls_give_the_same_bytes() {
    let mut inventories = Vec::new();
    for _ in 0..2 {
        let sandbox = Sandbox::open(PAIR);
        put(&sandbox.source(), "orders", "a", "one").await;
        put(&sandbox.source(), "orders", "a", "two").await;
        sandbox.source().delete_object().bucket("orders").key("a").send().await.unwrap();
        sandbox.wait(600).await;
        inventories.push(sandbox.state.inventory());
    }
    assert_eq!(inventories[0], inventories[1]);
    assert_eq!(inventories[0].len(), 2 + 3 + 3, "{:?}", inventories[0]);
}
