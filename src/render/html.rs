use super::view::view;
use super::{RenderError, svg};
use crate::report::Report;
use handlebars::Handlebars;

const PAGE: &str = include_str!("templates/report.html.hbs");
const STYLE: &str = include_str!("templates/report.css");

/// The report as one HTML file that needs nothing else: no script, no network, no fonts. For the screen and for paper.
///
/// # Errors
/// A [`RenderError`], which a report made by this program does not cause.
pub fn html(report: &Report) -> Result<Vec<u8>, RenderError> {
    let wrong = |why: String| RenderError::new("HTML report", why);
    let mut templates = Handlebars::new();
    templates.set_strict_mode(true);
    // The default escape function writes HTML entities; only style and drawing, made in here, are put in as they are.
    templates.register_template_string("page", PAGE).map_err(|why| wrong(why.to_string()))?;
    let mut view = view(report);
    view["style"] = STYLE.into();
    view["timeline"] = svg::timeline(report).into();
    let page = templates.render("page", &view).map_err(|why| wrong(why.to_string()))?;
    Ok(page.into_bytes())
}
