use super::bucket::Bucket;
use super::listing::{KeyHistory, Lister, versions_of_key};
use crate::action::{
    Found, HandInput, Listed, Listing, Naming, Permission, ResourceContext, ResourceKind,
    StepContext, StepError,
};
use crate::journal::ResourceKey;
use futures_util::future::BoxFuture;

/// An object that a run wrote to see whether it is replicated, all its versions and delete markers together; at the replica,
/// its copy. Named `bucket/key`.
pub(super) struct CanaryObjectKind;

/// The kind, as in the ledger.
pub(super) const KIND: &str = "s3.canary_object";

/// User metadata that names the run.
pub(super) const RUN_MARK: &str = "redrill-run";

impl ResourceKind for CanaryObjectKind {
    fn is_canary(&self) -> bool {
        true
    }

    fn kind(&self) -> &'static str {
        KIND
    }

    fn is_copy_of(&self, key: &ResourceKey, other: &ResourceKey) -> bool {
        let object = |key: &ResourceKey| key.name.split_once('/').map(|(_, key)| key.to_owned());
        key != other && key.kind == other.kind && object(key) == object(other)
    }

    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        Box::pin(async move {
            let (bucket, object) = open(context, key)?;
            let versions = versions_of_key(context, &bucket, object).await?;
            judged(context, &bucket, object, &versions).await
        })
    }

    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            let (bucket, object) = open(context, key)?;
            let versions = versions_of_key(context, &bucket, object).await?;
            if let Found::Foreign { why, .. } = judged(context, &bucket, object, &versions).await? {
                return Err(StepError::broken(format!("{key} is not of this run: {why}")));
            }
            for version in versions {
                let delete = || {
                    let request = bucket.client.delete_object().bucket(&bucket.name);
                    request.key(object).version_id(&version).send()
                };
                context.call("s3:DeleteObject", delete).await?;
            }
            Ok(())
        })
    }

    fn list<'a>(
        &'a self,
        context: &'a ResourceContext,
        place: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        Box::pin(async move {
            match place {
                Some(place) => list(context, place).await,
                None => Ok(Listing::Impossible(
                    "canaries are looked for only where guard.canaries or --canaries names a bucket",
                )),
            }
        })
    }

    fn command(&self, key: &ResourceKey, _: Option<&str>, region: &str) -> String {
        // A runbook, which is written before there is a canary, gives a placeholder.
        let (bucket, object) = key.name.split_once('/').unwrap_or(("<bucket>", "<key>"));
        let (bucket, region) = (HandInput::quote(bucket), HandInput::quote(region));
        // The pipe ends the projection: without it the filter would look into each version and find nothing. The key
        // stands as a JSON literal, in which a backtick would end it.
        let key = serde_json::Value::from(object).to_string().replace('`', "\\`");
        let literal =
            HandInput::quote(&format!("[Versions,DeleteMarkers][] | [?Key==`{key}`].[VersionId]"));
        let object = HandInput::quote(object);
        format!(
            "aws s3api list-object-versions --region {region} --bucket {bucket} --prefix {object} \
             --query {literal} --output text | while read -r version; do aws s3api delete-object \
             --region {region} --bucket {bucket} --key {object} --version-id \"$version\"; done"
        )
    }

    fn permissions(&self) -> &'static [Permission] {
        &[
            Permission {
                action: "s3:ListBucketVersions",
                why: "to find every version of a canary",
            },
            Permission {
                action: "s3:GetBucketLocation",
                why: "to look for canaries where the bucket is",
            },
            Permission { action: "s3:GetObject", why: "to read which run a canary belongs to" },
            // Asked for in place of the other one where a version is named
            // (https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html).
            Permission {
                action: "s3:GetObjectVersion",
                why: "to read which run a version belongs to",
            },
            Permission {
                action: "s3:DeleteObjectVersion",
                why: "to remove every version of a canary",
            },
        ]
    }
}

/// Canaries have names of this program's making, behind a prefix that need not be a folder: others need not be asked whose they are.
const OWN_NAMES: &str = "redrill-";

/// Every key below a place, `bucket/prefix`, and those among them that say which run wrote them.
async fn list(context: &ResourceContext, place: &str) -> Result<Listing, StepError> {
    let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
    let bucket = Bucket::at(&context.site()?, name);
    if bucket.region(context).await? != bucket.site_region {
        return Ok(Listing::Elsewhere);
    }
    let (mut total, mut ours) = (0, Vec::new());
    let mut keys = Lister::new(context, &bucket, prefix);
    while let Some(history) = keys.next().await? {
        total += 1;
        if history.key.rsplit('/').next().is_some_and(|last| last.contains(OWN_NAMES)) {
            ours.extend(own(context, &bucket, &history).await?);
        }
    }
    Ok(Listing::Seen { total: Some(total), ours })
}

/// The canary, when the metadata of its newest version names a run. Delete markers carry none: what is left of them alone
/// is known to the journal only.
async fn own(
    context: &ResourceContext,
    bucket: &Bucket,
    history: &KeyHistory,
) -> Result<Option<Listed>, StepError> {
    let Some(newest) = history.versions.first() else { return Ok(None) };
    let Some(head) = bucket.head(context, &history.key, Some(&newest.id)).await? else {
        return Ok(None);
    };
    // Metadata is written with hyphens where tags have a colon.
    let tags: Vec<(String, &str)> = head
        .metadata
        .iter()
        .map(|(name, value)| (name.replacen("redrill-", "redrill:", 1), value.as_str()))
        .collect();
    let tags = tags.iter().map(|(name, value)| (name.as_str(), *value));
    let count = history.versions.len() + history.markers.len();
    let name = resource_name(&bucket.name, &history.key);
    let id = arn(&bucket.name, &history.key);
    let state = format!("{count} versions and delete markers");
    let listed = Listed::named(Naming::Prefixed, tags, name, id, state);
    Ok(listed.map(|listed| listed.made(head.modified.or(Some(newest.modified)))))
}

/// The name in the ledger.
pub(super) fn resource_name(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

/// What AWS calls an object.
pub(super) fn arn(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

/// The bucket at the resource's site, and the object's key.
fn open<'k>(context: &StepContext, key: &'k ResourceKey) -> Result<(Bucket, &'k str), StepError> {
    let (bucket, object) = key
        .name
        .split_once('/')
        .filter(|(bucket, object)| !bucket.is_empty() && !object.is_empty())
        .ok_or_else(|| StepError::broken(format!("{} is not bucket/key", key.name)))?;
    Ok((Bucket::at(&context.site_named(&key.site)?, bucket), object))
}

/// Whether what a bucket holds of a key is of this run: by the key, else by the mark of the current version.
async fn judged(
    context: &StepContext,
    bucket: &Bucket,
    object: &str,
    versions: &[String],
) -> Result<Found, StepError> {
    if versions.is_empty() {
        return Ok(Found::Gone);
    }
    let run = &context.facts.run;
    if !Naming::Prefixed.fits(run, None, object) {
        let head = bucket.head(context, object, None).await?;
        let mark = head.and_then(|head| head.metadata.get(RUN_MARK).cloned());
        if mark.as_deref() != Some(run.as_str()) {
            let claimed = mark.is_some();
            let mark = mark.unwrap_or_else(|| "nothing".to_owned());
            let why = format!("its metadata {RUN_MARK} says {mark}");
            return Ok(Found::Foreign { why, claimed });
        }
    }
    let state = format!("{} versions and delete markers", versions.len());
    Ok(Found::Ours { id: arn(&bucket.name, object), state })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SiteName;

    #[test]
    fn a_copy_has_the_key_of_its_original_in_another_bucket() {
        let key = |name: &str| ResourceKey {
            kind: KIND.into(),
            name: name.into(),
            site: SiteName::new("dr"),
        };
        let copy = key("uploads-dr/canary/a");
        assert!(CanaryObjectKind.is_copy_of(&copy, &key("uploads/canary/a")));
        assert!(!CanaryObjectKind.is_copy_of(&copy, &key("uploads/canary/b")));
        assert!(!CanaryObjectKind.is_copy_of(&copy, &copy.clone()));
    }

    #[test]
    fn the_command_names_the_exact_key_and_quotes_it() {
        let key = ResourceKey {
            kind: KIND.into(),
            name: "uploads/canary/it's me".into(),
            site: SiteName::new("dr"),
        };
        let command = CanaryObjectKind.command(&key, None, "ap-northeast-3");
        assert!(command.contains("--bucket uploads "), "{command}");
        assert!(command.contains("--key 'canary/it'\\''s me' "), "{command}");
        assert!(command.contains("--region ap-northeast-3"), "{command}");
        assert!(command.contains("--version-id \"$version\""), "{command}");
        let versions = "[Versions,DeleteMarkers][] | [?Key==`\"canary/it'\\''s me\"`].[VersionId]";
        assert!(command.contains(versions), "{command}");
        let unknown = ResourceKey { name: "<name>".into(), ..key };
        let command = CanaryObjectKind.command(&unknown, None, "ap-northeast-3");
        assert!(command.contains("--bucket '<bucket>' --key '<key>'"), "{command}");
    }
}
