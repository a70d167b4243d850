//! What the parameters of EC2 calls have in common: filters, pages, tags and dry runs.

use crate::sandbox::fault::matches_pattern;
use crate::sandbox::page::{Page, page};
use crate::sandbox::wire::{AwsError, Params, Xml};
use std::collections::BTreeMap;

pub(super) fn invalid(what: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterValue", what)
}

/// "If you have the required permissions, the error response is DryRunOperation": status 412.
pub(super) fn dry_run(params: &Params) -> Result<(), AwsError> {
    if params.flag("DryRun") == Some(true) {
        let what = "Request would have succeeded, but DryRun flag is set.";
        return Err(AwsError::new(412, "DryRunOperation", what));
    }
    Ok(())
}

/// The page that a describing call asks for. Without `MaxResults` everything comes at once, as in EC2.
pub(super) fn paged<T>(
    params: &Params,
    items: Vec<(String, T)>,
    ids_given: bool,
) -> Result<Page<T>, AwsError> {
    let size = params.number::<usize>("MaxResults")?;
    if size.is_some() && ids_given {
        let what = "The parameter MaxResults cannot be used with the parameter for ids.";
        return Err(AwsError::new(400, "InvalidParameterCombination", what));
    }
    if let Some(size) = size
        && !(5..=1000).contains(&size)
    {
        return Err(invalid(format!("Value ( {size} ) for parameter maxResults is invalid.")));
    }
    page(items, params.get("NextToken"), size.unwrap_or(usize::MAX))
}

/// The filters of a describing call: each has a name and values of which one must match, with `*` and `?`.
pub(super) struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Reads the filters. Those on tags are always known.
    pub(super) fn read(params: &Params, known: &[&str]) -> Result<Self, AwsError> {
        let mut filters = Vec::new();
        for filter in params.structures("Filter") {
            let name = filter.need("Name")?;
            if !known.contains(&name) && name != "tag-key" && !name.starts_with("tag:") {
                return Err(invalid(format!("The filter '{name}' is invalid")));
            }
            filters.push((name.to_owned(), filter.list("Value")));
        }
        Ok(Self(filters))
    }

    /// Whether all filters let something pass, given its tags and its value for each other filter.
    pub(super) fn pass(
        &self,
        tags: &BTreeMap<String, String>,
        value: impl Fn(&str) -> Option<String>,
    ) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let one = |text: &str| wanted.iter().any(|pattern| matches_pattern(pattern, text));
            match (name.as_str(), name.strip_prefix("tag:")) {
                ("tag-key", _) => tags.keys().any(|key| one(key)),
                (_, Some(key)) => tags.get(key).is_some_and(|value| one(value)),
                _ => value(name).is_some_and(|value| one(&value)),
            }
        })
    }
}

/// The tags that a creating call puts on what it creates.
pub(super) fn specified_tags(
    params: &Params,
    kind: &str,
) -> Result<BTreeMap<String, String>, AwsError> {
    let mut all = BTreeMap::new();
    for specification in params.structures("TagSpecification") {
        if specification.get("ResourceType") != Some(kind) {
            let what =
                "The tag specification is for a resource type that this call does not create.";
            return Err(invalid(what));
        }
        all.extend(tags(&specification)?);
    }
    Ok(all)
}

/// `Tag.1.Key`, `Tag.1.Value` and so on.
pub(super) fn tags(params: &Params) -> Result<BTreeMap<String, String>, AwsError> {
    let mut tags = BTreeMap::new();
    for tag in params.structures("Tag") {
        let key = tag.need("Key")?;
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid("Tag keys starting with 'aws:' are reserved for internal use"));
        }
        tags.insert(key.to_owned(), tag.get("Value").unwrap_or_default().to_owned());
    }
    Ok(tags)
}

pub(super) fn tag_set(x: &mut Xml, tags: &BTreeMap<String, String>) {
    x.list("tagSet", "item", tags, |x, (key, value)| {
        x.text("key", key).text("value", value);
    });
}
