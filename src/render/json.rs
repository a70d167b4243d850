use super::RenderError;
use crate::report::Report;

/// The report as JSON with an indent of two, ended by a new line. Its schema is `docs/schema/report.json`.
///
/// # Errors
/// A [`RenderError`], which a report made by this program does not cause.
pub fn json(report: &Report) -> Result<Vec<u8>, RenderError> {
    let mut text =
        serde_json::to_string_pretty(report).map_err(|why| RenderError::new("JSON report", why))?;
    text.push('\n');
    Ok(text.into_bytes())
}
