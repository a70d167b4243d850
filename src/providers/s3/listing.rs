use super::bucket::Bucket;
use crate::action::{StepContext, StepError};
use crate::limits;
use crate::providers::backups::time_of;
use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::EncodingType;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, VecDeque};

/// One version of an object, as a listing gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// `null` where the bucket was not versioned when it was written.
    pub(super) id: String,
    /// When it was written (UTC), to the second; of a multipart upload, when that began.
    pub(super) modified: DateTime<Utc>,
    /// Bytes.
    pub(super) size: u64,
    /// Without its quotes.
    pub(super) etag: String,
}

/// All that a bucket holds of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyHistory {
    pub(super) key: String,
    pub(super) versions: Vec<Version>,
    /// Version ids of delete markers.
    pub(super) markers: Vec<String>,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) versions: Vec<(String, Version)>,
    /// Key and version id.
    pub(super) markers: Vec<(String, String)>,
    /// Where the next page begins; `None` after the last.
    pub(super) next: Option<Position>,
}

/// Where a page begins: behind this version of this key, or behind all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    key: String,
    version: Option<String>,
}

/// Reads one page. Keys are asked for URL-encoded: XML cannot carry every character that a key may have.
///
/// # Errors
/// Those of the call; [`crate::journal::FailureClass::Broken`] when the answer leaves something out.
async fn read_page(
    context: &StepContext,
    bucket: &Bucket,
    prefix: &str,
    from: Option<&Position>,
) -> Result<Page, StepError> {
    let answer = context
        .call("s3:ListObjectVersions", || {
            bucket
                .client
                .list_object_versions()
                .bucket(&bucket.name)
                .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
                .encoding_type(EncodingType::Url)
                .set_key_marker(from.map(|position| position.key.clone()))
                .set_version_id_marker(from.and_then(|position| position.version.clone()))
                .send()
        })
        .await?;
    let page = understand(&answer)
        .map_err(|why| StepError::broken(format!("the listing of {}: {why}", bucket.name)))?;
    if page.next.is_some() && page.next.as_ref() == from {
        return Err(StepError::broken(format!("the listing of {} does not move on", bucket.name)));
    }
    Ok(page)
}

fn understand(answer: &ListObjectVersionsOutput) -> Result<Page, String> {
    let encoded = answer.encoding_type() == Some(&EncodingType::Url);
    let key_of = |key: Option<&str>| {
        let key = key.ok_or("an entry without a key")?;
        if encoded { decode(key) } else { Ok(key.to_owned()) }
    };
    let mut page = Page::default();
    for version in answer.versions() {
        let key = key_of(version.key())?;
        let modified = version.last_modified().and_then(time_of).ok_or("a version without time")?;
        let size = version.size().and_then(|size| u64::try_from(size).ok());
        let version = Version {
            id: version.version_id().unwrap_or("null").to_owned(),
            modified,
            size: size.ok_or("a version without a size")?,
            etag: version.e_tag().unwrap_or_default().trim_matches('"').to_owned(),
        };
        page.versions.push((key, version));
    }
    for marker in answer.delete_markers() {
        let id = marker.version_id().unwrap_or("null").to_owned();
        page.markers.push((key_of(marker.key())?, id));
    }
    // Taking silence for the end would call a list complete that is not.
    if answer.is_truncated().ok_or("it does not say whether there is more")? {
        let key = key_of(answer.next_key_marker()).map_err(|_| "more, but not where")?;
        let version = answer.next_version_id_marker().filter(|id| !id.is_empty());
        page.next = Some(Position { key, version: version.map(str::to_owned) });
    }
    Ok(page)
}

/// Undoes the encoding of `encoding-type=url`: `%` with two hexadecimal digits, and `+` for a space, as botocore does.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let value =
                    digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                value.ok_or("a key whose encoding is broken")?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).map_err(|_| "a key that is not UTF-8".to_owned())
}

/// Puts pages together so that everything about one key comes at once. Keeps one page and the last key of the one before.
#[derive(Debug, Default)]
pub(super) struct Grouper {
    open: BTreeMap<String, KeyHistory>,
    complete: VecDeque<KeyHistory>,
    last_complete: Option<String>,
}

impl Grouper {
    /// Takes a page.
    ///
    /// # Errors
    /// When keys are not in the order of their UTF-8 bytes, which the comparison relies on.
    pub(super) fn take(&mut self, page: Page) -> Result<(), StepError> {
        for (key, version) in page.versions {
            self.history_of(key)?.versions.push(version);
        }
        for (key, id) in page.markers {
            self.history_of(key)?.markers.push(id);
        }
        let kept = if page.next.is_some() { self.open.pop_last() } else { None };
        self.complete.extend(std::mem::take(&mut self.open).into_values());
        self.open.extend(kept);
        if let Some(last) = self.complete.back() {
            self.last_complete = Some(last.key.clone());
        }
        Ok(())
    }

    fn history_of(&mut self, key: String) -> Result<&mut KeyHistory, StepError> {
        if self.last_complete.as_ref().is_some_and(|last| key <= *last) {
            return Err(StepError::broken(
                "the listing is not in the order of its keys, so that the buckets cannot be compared",
            ));
        }
        let empty = || KeyHistory { key: key.clone(), ..KeyHistory::default() };
        Ok(self.open.entry(key.clone()).or_insert_with(empty))
    }

    /// Versions and markers of the key that may go on in the next page.
    fn of_last_key(&self) -> usize {
        let last = self.open.last_key_value();
        last.map_or(0, |(_, history)| history.versions.len() + history.markers.len())
    }

    /// The next key about which everything is known.
    pub(super) fn next(&mut self) -> Option<KeyHistory> {
        self.complete.pop_front()
    }
}

/// Lists a bucket key by key, page by page.
pub(super) struct Lister<'a> {
    context: &'a StepContext,
    bucket: &'a Bucket,
    prefix: &'a str,
    progress: Progress,
    grouper: Grouper,
    pages: usize,
    /// Entries read so far.
    pub(super) entries: u64,
}

#[derive(Debug)]
enum Progress {
    Before,
    At(Position),
    End,
}

impl<'a> Lister<'a> {
    /// Nothing is read yet.
    pub(super) fn new(context: &'a StepContext, bucket: &'a Bucket, prefix: &'a str) -> Self {
        let (progress, grouper) = (Progress::Before, Grouper::default());
        Self { context, bucket, prefix, progress, grouper, pages: 0, entries: 0 }
    }

    /// The next key; `None` at the end.
    ///
    /// # Errors
    /// Those of the listing.
    pub(super) async fn next(&mut self) -> Result<Option<KeyHistory>, StepError> {
        loop {
            if let Some(history) = self.grouper.next() {
                return Ok(Some(history));
            }
            let from = match &self.progress {
                Progress::Before => None,
                Progress::At(position) => Some(position),
                Progress::End => return Ok(None),
            };
            self.pages += 1;
            let page = read_page(self.context, self.bucket, self.prefix, from).await?;
            self.entries += (page.versions.len() + page.markers.len()) as u64;
            self.progress = page.next.clone().map_or(Progress::End, Progress::At);
            self.grouper.take(page)?;
            within_limits(self.pages, self.grouper.of_last_key()).map_err(|why| {
                StepError::broken(format!("the listing of {}: {why}", self.bucket.name))
            })?;
        }
    }
}

/// Key and version id of the first version under a prefix; `None` when there is none on the first page.
///
/// # Errors
/// Those of the listing.
pub(super) async fn first_key(
    context: &StepContext,
    bucket: &Bucket,
    prefix: &str,
) -> Result<Option<(String, String)>, StepError> {
    let page = read_page(context, bucket, prefix, None).await?;
    Ok(page.versions.into_iter().next().map(|(key, version)| (key, version.id)))
}

/// A listing that never ends is none.
fn within_limits(pages: usize, of_one_key: usize) -> Result<(), String> {
    if pages > limits::OBJECT_PAGES {
        return Err(format!("it does not end after {} pages", limits::OBJECT_PAGES));
    }
    if of_one_key > limits::KEY_VERSIONS {
        return Err(format!("one key has more than {} versions", limits::KEY_VERSIONS));
    }
    Ok(())
}

/// Version ids of every version and delete marker of exactly this key.
///
/// # Errors
/// Those of the listing.
pub(super) async fn versions_of_key(
    context: &StepContext,
    bucket: &Bucket,
    key: &str,
) -> Result<Vec<String>, StepError> {
    // No other key that begins with this one comes before it.
    let first = match Lister::new(context, bucket, key).next().await {
        // Nothing is left of a key when nothing is left of its bucket.
        Err(error) if error.code() == Some("NoSuchBucket") => return Ok(Vec::new()),
        answer => answer?,
    };
    let Some(history) = first.filter(|history| history.key == key) else { return Ok(Vec::new()) };
    let versions = history.versions.into_iter().map(|version| version.id);
    Ok(versions.chain(history.markers).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_listing_that_does_not_end_is_given_up() {
        assert!(within_limits(limits::OBJECT_PAGES, limits::KEY_VERSIONS).is_ok());
        assert!(within_limits(limits::OBJECT_PAGES + 1, 0).unwrap_err().contains("1000000 pages"));
        assert!(
            within_limits(1, limits::KEY_VERSIONS + 1).unwrap_err().contains("200000 versions")
        );
    }

    fn version(id: usize) -> Version {
        let modified = DateTime::from_timestamp(1_760_000_000, 0).unwrap();
        Version { id: id.to_string(), modified, size: 1, etag: "e".into() }
    }

    #[test]
    fn encoded_keys_are_decoded() {
        assert_eq!(decode("a+b%2Bc%01/%E6%97%A5").unwrap(), "a b+c\u{1}/日");
        assert!(decode("%").is_err() && decode("%4").is_err() && decode("%zz").is_err());
        assert!(decode("%FF").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn keys_are_decoded_only_when_the_answer_says_that_they_are_encoded() {
        let marker = aws_sdk_s3::types::DeleteMarkerEntry::builder().key("a%20b").build();
        let plain = ListObjectVersionsOutput::builder().is_truncated(false);
        let plain = plain.delete_markers(marker.clone()).build();
        assert_eq!(understand(&plain).unwrap().markers[0].0, "a%20b");
        let encoded = ListObjectVersionsOutput::builder()
            .is_truncated(false)
            .delete_markers(marker)
            .encoding_type(EncodingType::Url)
            .build();
        assert_eq!(understand(&encoded).unwrap().markers[0].0, "a b");
    }

    #[test]
    fn more_without_a_place_to_go_on_is_an_error() {
        let answer = ListObjectVersionsOutput::builder().is_truncated(true).build();
        assert_eq!(understand(&answer).unwrap_err(), "more, but not where");
        let silent = ListObjectVersionsOutput::builder().build();
        assert!(understand(&silent).unwrap_err().contains("whether there is more"));
    }

    #[test]
    fn keys_out_of_order_are_an_error() {
        let more = Some(Position { key: "b".into(), version: None });
        let page = |keys: &[&str], next| Page {
            versions: keys.iter().map(|key| ((*key).to_owned(), version(0))).collect(),
            next,
            ..Page::default()
        };
        let mut grouper = Grouper::default();
        grouper.take(page(&["a", "b"], more)).unwrap();
        assert!(grouper.take(page(&["a"], None)).is_err());
    }

    proptest! {
        #[test]
        fn how_a_listing_is_cut_into_pages_does_not_matter(
            keys in proptest::collection::btree_map("[a-c]{0,2}é?", 1..5_usize, 0..8),
            cut in 1..7_usize,
        ) {
            let entries: Vec<(String, usize)> = keys
                .iter()
                .flat_map(|(key, count)| (0..*count).map(|n| (key.clone(), n)))
                .collect();
            let mut grouper = Grouper::default();
            let mut found = Vec::new();
            let pages: Vec<_> = entries.chunks(cut).collect();
            for (number, chunk) in pages.iter().enumerate() {
                let (markers, versions): (Vec<_>, Vec<_>) =
                    chunk.iter().cloned().partition(|(_, n)| *n == 0);
                let more = number + 1 < pages.len();
                let page = Page {
                    versions: versions.into_iter().map(|(key, n)| (key, version(n))).collect(),
                    markers: markers.into_iter().map(|(key, n)| (key, n.to_string())).collect(),
                    next: more.then(|| Position { key: String::new(), version: None }),
                };
                grouper.take(page).unwrap();
                while let Some(history) = grouper.next() {
                    found.push((history.key, history.versions.len() + history.markers.len()));
                }
            }
            let expected: Vec<_> = keys.into_iter().collect();
            prop_assert_eq!(found, expected);
        }
    }
}
