use super::content::Content;
use super::estate::{BucketEstate, ObjectEstate, PlacedBucket, ReplicationFate, Versioning};
use super::replication::Rule;
use super::store::{Bucket, Object, Place, Store};
use crate::error::{Error, Result};
use crate::limits::ESTATE_OBJECT_BYTES;
use chrono::{DateTime, TimeDelta, Utc};
use std::path::Path;

/// The age of objects that do not say when they were written.
const DEFAULT_AGE: TimeDelta = TimeDelta::days(1);

/// Builds the store as it is when the estate opens. `directory` is where `file:` paths start, `start` the estate's time.
pub(super) fn seed_store(
    buckets: &[PlacedBucket],
    directory: &Path,
    start: DateTime<Utc>,
    seed: u64,
) -> Result<Store> {
    let mut store = Store::new(seed);
    for placed in buckets {
        let name = &placed.bucket.name;
        check_name(name)?;
        if store.buckets.insert(name.clone(), bucket_of(placed, start)).is_some() {
            return Err(Error::bad_input(format!(
                "the estate has two buckets called {name:?}; bucket names are unique in AWS"
            )));
        }
    }
    for placed in buckets {
        check_rules(&store, &placed.bucket)?;
    }
    let mut events = Vec::new();
    for placed in buckets {
        for object in &placed.bucket.objects {
            events.extend(events_of(&placed.bucket.name, object, directory, start)?);
        }
    }
    events.sort_by_key(|event| event.at);
    for event in events {
        apply(&mut store, event)?;
    }
    Ok(store)
}

/// Says what is wrong with the buckets of an estate, without opening them for use.
///
/// # Errors
/// As [`S3State::open`](super::S3State::open).
pub fn check(buckets: &[PlacedBucket], directory: &Path, start: DateTime<Utc>) -> Result<()> {
    seed_store(buckets, directory, start, 0).map(|_| ())
}

fn check_name(name: &str) -> Result<()> {
    if s3s::path::check_bucket_name(name) {
        return Ok(());
    }
    Err(Error::bad_input(format!("{name:?} is not a bucket name"))
        .help("Write 3 to 63 lower-case letters, digits, dots and hyphens."))
}

fn bucket_of(placed: &PlacedBucket, start: DateTime<Utc>) -> Bucket {
    let estate = &placed.bucket;
    let place = Place { account: placed.account.clone(), region: placed.region.clone() };
    let rules = estate.replication.iter().enumerate();
    let mut bucket = Bucket::new(place, start - TimeDelta::days(365));
    bucket.versioning = estate.versioning;
    bucket.rules = rules.map(|(index, rule)| Rule::from_estate(rule, index, start)).collect();
    bucket.kms.clone_from(&estate.kms);
    bucket.readers = estate.readers.iter().map(ToString::to_string).collect();
    bucket
}

fn check_rules(store: &Store, bucket: &BucketEstate) -> Result<()> {
    let name = &bucket.name;
    if !bucket.replication.is_empty() && bucket.versioning != Versioning::Enabled {
        return Err(Error::bad_input(format!(
            "bucket {name:?} has replication rules, so it needs `versioning: enabled`"
        )));
    }
    for rule in &bucket.replication {
        let Some(destination) = store.buckets.get(&rule.to.bucket) else { continue };
        let place = &destination.place;
        let account_fits = rule.to.account.as_ref().is_none_or(|a| a.as_str() == place.account);
        let region_fits = rule.to.region.as_ref().is_none_or(|r| *r == place.region);
        if !account_fits || !region_fits {
            return Err(Error::bad_input(format!(
                "bucket {name:?} replicates to {:?}, which is in account {} and region {}, not where the rule says",
                rule.to.bucket, place.account, place.region
            )));
        }
    }
    Ok(())
}

struct Event {
    bucket: String,
    key: String,
    at: DateTime<Utc>,
    change: Change,
}

enum Change {
    Put(Box<Object>, ReplicationFate),
    Delete,
}

fn events_of(
    bucket: &str,
    estate: &ObjectEstate,
    directory: &Path,
    start: DateTime<Utc>,
) -> Result<Vec<Event>> {
    let last = estate.at.map_or(start - DEFAULT_AGE, |moment| moment.resolve(start));
    let every = estate.every.map_or(TimeDelta::zero(), |every| {
        TimeDelta::from_std(every.0).unwrap_or(TimeDelta::zero())
    });
    let count = estate.count.unwrap_or(1);
    if count > 1 && !estate.key.contains("{n}") {
        return Err(Error::bad_input(format!(
            "object {:?} of bucket {bucket:?} has a count, so its key needs {{n}} for the number",
            estate.key
        )));
    }
    let mut events = Vec::new();
    for number in 0..count {
        let key = match estate.count {
            Some(_) => estate.key.replace("{n}", &format!("{number:06}")),
            None => estate.key.clone(),
        };
        if key.is_empty() || !s3s::path::check_key(&key) {
            return Err(Error::bad_input(format!(
                "{key:?} in bucket {bucket:?} is not a key: write 1 to 1024 bytes"
            )));
        }
        let steps = i32::try_from(count - 1 - number).unwrap_or(i32::MAX);
        let object = object_of(bucket, estate, u64::from(number), directory)?;
        let change = Change::Put(Box::new(object), estate.replicated);
        let bucket = bucket.to_owned();
        events.push(Event { bucket, key, at: last - every * steps, change });
    }
    if let Some(deleted) = estate.deleted {
        let at = deleted.resolve(start);
        let deletions = events.iter().map(|event| {
            let (bucket, key) = (event.bucket.clone(), event.key.clone());
            Event { bucket, key, at, change: Change::Delete }
        });
        let deletions: Vec<Event> = deletions.collect();
        events.extend(deletions);
    }
    Ok(events)
}

fn object_of(bucket: &str, estate: &ObjectEstate, number: u64, directory: &Path) -> Result<Object> {
    let content = match (&estate.text, &estate.file, estate.size) {
        (Some(text), None, None) => Content::from_bytes(text.clone().into()),
        (None, Some(file), None) => Content::from_bytes(read_file(&directory.join(file))?.into()),
        (None, None, Some(size)) => {
            Content::generated(size.0, estate.seed.wrapping_add(number.wrapping_mul(0x5851_f42d)))
        }
        _ => {
            return Err(Error::bad_input(format!(
                "object {:?} of bucket {bucket:?} needs exactly one of text, file and size",
                estate.key
            )));
        }
    };
    Ok(Object {
        content_type: estate.content_type.clone(),
        metadata: estate.metadata.clone(),
        tags: estate.tags.clone(),
        ..Object::new(content)
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let failed = |e: std::io::Error| Error::bad_input(format!("cannot read {shown}: {e}"));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > ESTATE_OBJECT_BYTES {
        return Err(Error::bad_input(format!(
            "{shown} has {size} bytes; an estate's file may have {ESTATE_OBJECT_BYTES}"
        ))
        .help("Use `size:` for large content that nobody looks into."));
    }
    std::fs::read(path).map_err(failed)
}

fn apply(store: &mut Store, event: Event) -> Result<()> {
    let Event { bucket, key, at, change } = event;
    let (mut object, fate) = match change {
        Change::Delete => {
            store.delete(&bucket, &key, at);
            return Ok(());
        }
        Change::Put(object, fate) => (object, fate),
    };
    let kms = store.buckets.get(&bucket).and_then(|b| b.kms.as_ref());
    object.kms_key = kms.map(|kms| kms.key.clone());
    let written = store.put(&bucket, &key, *object, at, fate);
    let rules_matter = !matches!(fate, ReplicationFate::ByRule | ReplicationFate::Never);
    let replicated = written.as_ref().is_some_and(super::store::Version::is_replicated);
    if rules_matter && !replicated {
        return Err(Error::bad_input(format!(
            "object {key:?} of bucket {bucket:?} says what replication did with it, but no replication rule applies to it"
        )));
    }
    Ok(())
}
