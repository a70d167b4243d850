use super::store::{Bucket, Place, Store, Version};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// The largest page of a listing (`API_ListObjectsV2.html`, `MaxKeys`).
pub(super) const LARGEST_PAGE: usize = 1000;

/// What a listing asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pub(super) prefix: String,
    /// Empty: no grouping.
    pub(super) delimiter: String,
    pub(super) after: Marker,
    pub(super) max: usize,
}

/// Where a listing goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marker {
    /// After all versions of this key, or after this common prefix.
    pub(super) key: String,
    /// After this version of the key.
    pub(super) version: Option<String>,
}

/// A page of a listing, in order.
#[derive(Debug, Default)]
pub(super) struct Page<'a> {
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) common_prefixes: Vec<String>,
    /// Where to go on; `None` at the end.
    pub(super) next: Option<Marker>,
}

#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    pub(super) version: &'a Version,
    pub(super) is_latest: bool,
}

/// The visible keys with their visible versions, newest first.
struct VisibleKey<'a> {
    key: &'a str,
    versions: Vec<&'a Version>,
}

/// Current objects, without those hidden by a delete marker (ListObjectsV2).
pub(super) fn list_current<'a>(
    store: &'a Store,
    bucket: &'a Bucket,
    query: &Query,
    now: DateTime<Utc>,
) -> Page<'a> {
    let current_only = |mut visible: VisibleKey<'a>| {
        visible.versions.truncate(1);
        visible.versions.retain(|version| version.object().is_some());
        visible
    };
    page(visible_keys(store, bucket, query, now).map(current_only), query)
}

/// All versions and delete markers (ListObjectVersions).
pub(super) fn list_versions<'a>(
    store: &'a Store,
    bucket: &'a Bucket,
    query: &Query,
    now: DateTime<Utc>,
) -> Page<'a> {
    page(visible_keys(store, bucket, query, now), query)
}

fn visible_keys<'a>(
    store: &'a Store,
    bucket: &'a Bucket,
    query: &Query,
    now: DateTime<Utc>,
) -> impl Iterator<Item = VisibleKey<'a>> {
    let prefix = query.prefix.clone();
    let first = query.after.key.as_str().max(prefix.as_str()).to_owned();
    bucket.keys_from(&first).take_while(move |(key, _)| key.starts_with(&prefix)).map(
        move |(key, versions)| VisibleKey {
            key,
            versions: store.versions(bucket, versions, now).collect(),
        },
    )
}

fn page<'a>(keys: impl Iterator<Item = VisibleKey<'a>>, query: &Query) -> Page<'a> {
    let mut page = Page::default();
    if query.max == 0 {
        return page;
    }
    let mut last = Marker::default();
    let mut room = query.max;
    for visible in keys.filter(|visible| !visible.versions.is_empty()) {
        if let Some(common) = common_prefix(visible.key, query) {
            let is_listed = page.common_prefixes.last().is_some_and(|last| last == common);
            if is_listed || common == query.after.key {
                continue;
            }
            if room == 0 {
                page.next = Some(last);
                return page;
            }
            page.common_prefixes.push(common.to_owned());
            last = Marker { key: common.to_owned(), version: None };
            room -= 1;
            continue;
        }
        for (index, version) in remaining_versions(&visible, &query.after) {
            if room == 0 {
                page.next = Some(last);
                return page;
            }
            page.entries.push(Entry { key: visible.key, version, is_latest: index == 0 });
            last = Marker { key: visible.key.to_owned(), version: Some(version.id.clone()) };
            room -= 1;
        }
    }
    page
}

/// The beginning of the key up to and including the first delimiter after the prefix.
fn common_prefix<'k>(key: &'k str, query: &Query) -> Option<&'k str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = &key[query.prefix.len()..];
    let end = rest.find(&query.delimiter)? + query.delimiter.len();
    Some(&key[..query.prefix.len() + end])
}

/// The versions of a key that come after the marker, with their places among all of the key's versions.
fn remaining_versions<'v, 'a>(
    visible: &'v VisibleKey<'a>,
    after: &Marker,
) -> impl Iterator<Item = (usize, &'a Version)> + use<'v, 'a> {
    let seen = if visible.key != after.key {
        0
    } else {
        match &after.version {
            None => visible.versions.len(),
            // A marker that was deleted since the last page hides nothing: what is left came after it.
            Some(id) => visible.versions.iter().position(|v| v.id == *id).map_or(0, |at| at + 1),
        }
    };
    visible.versions.iter().copied().enumerate().skip(seen)
}

/// A key as `encoding-type=url` asks for it: everything but letters, digits and `-_.*/` is escaped, a space becomes `+`.
pub(super) fn encode_key(key: &str) -> String {
    let mut encoded = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            _ => {
                encoded.push('%');
                encoded.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    encoded
}

/// Everything that is visible, for comparing before and after: `bucket/key@version`.
pub(super) fn inventory(store: &Store, now: DateTime<Utc>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, bucket) in &store.buckets {
        let Place { account, region } = &bucket.place;
        all.insert(format!("s3/{name}"), format!("bucket in {account} {region}"));
        let query = Query { max: usize::MAX, ..Query::default() };
        for entry in list_versions(store, bucket, &query, now).entries {
            let what = match entry.version.object() {
                Some(object) => format!("{} bytes, ETag {}", object.content.size(), object.etag()),
                None => "delete marker".to_owned(),
            };
            all.insert(format!("s3/{name}/{}@{}", entry.key, entry.version.id), what);
        }
    }
    for (id, upload) in &store.uploads {
        let what = format!("multipart upload with {} parts", upload.parts.len());
        all.insert(format!("s3/{}/{}?uploadId={id}", upload.bucket, upload.key), what);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped_as_s3_does() {
        assert_eq!(encode_key("test_file(3).png"), "test_file%283%29.png");
        assert_eq!(encode_key("a b/c+d\u{1}"), "a+b/c%2Bd%01");
    }
}
