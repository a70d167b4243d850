//! Long answers in pages.

use super::wire::AwsError;

/// One page of something sorted by a name, and where the next one starts.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Cuts the page after `marker` out of items sorted by name. A marker names the last item of the page before, so
/// that things that come and go meanwhile neither double nor hide others.
pub(crate) fn page<T>(
    mut items: Vec<(String, T)>,
    marker: Option<&str>,
    size: usize,
) -> Result<Page<T>, AwsError> {
    items.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(marker) = marker {
        let after = read_marker(marker).ok_or_else(|| {
            AwsError::new(400, "InvalidParameterValue", "The marker or token is not valid.")
        })?;
        items.retain(|(name, _)| *name > after);
    }
    let more = items.len() > size;
    items.truncate(size);
    let next =
        items.last().filter(|_| more).map(|(name, _)| format!("after-{}", hex::encode(name)));
    Ok(Page { items: items.into_iter().map(|(_, item)| item).collect(), next })
}

fn read_marker(marker: &str) -> Option<String> {
    let bytes = hex::decode(marker.strip_prefix("after-")?).ok()?;
    String::from_utf8(bytes).ok()
}
