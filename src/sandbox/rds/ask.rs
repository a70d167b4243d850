//! What the parameters of RDS calls have in common: filters, pages, tags, names, and the errors about them.

use crate::sandbox::page::{Page, page};
use crate::sandbox::wire::{AwsError, Params};
use std::collections::BTreeMap;

pub(super) fn invalid(what: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterValue", what)
}

pub(super) fn combination(what: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterCombination", what)
}

pub(super) fn instance_not_found(id: &str) -> AwsError {
    AwsError::new(404, "DBInstanceNotFound", format!("DBInstance {id} not found."))
}

pub(super) fn snapshot_not_found(id: &str) -> AwsError {
    AwsError::new(404, "DBSnapshotNotFound", format!("DBSnapshot {id} not found."))
}

/// `which` key: that of the `source snapshot` or the `target`.
pub(super) fn key_not_accessible(which: &str, key: &str) -> AwsError {
    let what = format!(
        "The {which} KMS key [{key}] does not exist, is not enabled or you do not have permissions to access it."
    );
    AwsError::new(400, "KMSKeyNotAccessibleFault", what)
}

/// The page that a describing call asks for: 20 to 100 records, 100 unless said.
pub(super) fn paged<T>(params: &Params, items: Vec<(String, T)>) -> Result<Page<T>, AwsError> {
    let size = params.number::<usize>("MaxRecords")?.unwrap_or(100);
    if !(20..=100).contains(&size) {
        let what = format!("Invalid value {size} for MaxRecords. Must be between 20 and 100");
        return Err(invalid(what));
    }
    page(items, params.get("Marker"), size)
}

/// The filters of a describing call, by name. A name that the operation does not know is an error.
pub(super) fn filters(
    params: &Params,
    known: &[&str],
) -> Result<BTreeMap<String, Vec<String>>, AwsError> {
    let mut filters = BTreeMap::new();
    for filter in params.structures("Filters.Filter") {
        let name = filter.need("Name")?;
        if !known.contains(&name) {
            return Err(invalid(format!("Unrecognized filter name: {name}")));
        }
        filters.insert(name.to_owned(), filter.list("Values.Value"));
    }
    Ok(filters)
}

/// Whether a filter, if there is one of this name, lets a value pass.
pub(super) fn passes(filters: &BTreeMap<String, Vec<String>>, name: &str, value: &str) -> bool {
    filters.get(name).is_none_or(|values| values.iter().any(|v| v == value))
}

/// The tags that a call brings.
pub(super) fn tags(params: &Params) -> Result<BTreeMap<String, String>, AwsError> {
    let mut tags = BTreeMap::new();
    for tag in params.structures("Tags.Tag") {
        let key = tag.need("Key")?;
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid("Tag keys cannot start with the reserved prefix aws:"));
        }
        tags.insert(key.to_owned(), tag.get("Value").unwrap_or_default().to_owned());
    }
    Ok(tags)
}

/// The rules for identifiers: "1 to 63 letters, numbers, or hyphens; first character a letter; no hyphen at the end
/// or two in a row" (API reference of RestoreDBInstanceFromDBSnapshot). Snapshots may have 255.
pub(super) fn check_identifier(name: &str, id: &str, longest: usize) -> Result<(), AwsError> {
    let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let starts = id.starts_with(|c: char| c.is_ascii_alphabetic());
    if plain && starts && id.len() <= longest && !id.ends_with('-') && !id.contains("--") {
        return Ok(());
    }
    Err(invalid(format!(
        "The parameter {name} is not a valid identifier. Identifiers must begin with a letter; must contain only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens."
    )))
}
