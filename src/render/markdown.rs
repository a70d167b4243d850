use super::view::view;
use super::{RenderError, svg};
use crate::report::Report;
use handlebars::Handlebars;
use serde_json::Value;

const PAGE: &str = include_str!("templates/report.md.hbs");

/// The report as Markdown with tables (as GitHub and GitLab read them).
///
/// # Errors
/// A [`RenderError`], which a report made by this program does not cause.
pub fn markdown(report: &Report) -> Result<Vec<u8>, RenderError> {
    let mut view = view(report);
    escape_all(&mut view);
    render("Markdown report", PAGE, &view).map(String::into_bytes)
}

/// Fills a template in which nothing is escaped.
pub(super) fn render(
    what: &'static str,
    template: &str,
    view: &Value,
) -> Result<String, RenderError> {
    let mut templates = Handlebars::new();
    templates.set_strict_mode(true);
    templates.register_escape_fn(handlebars::no_escape);
    templates.render_template(template, view).map_err(|why| RenderError::new(what, why))
}

/// Escapes every text but commands, which stand in blocks of code.
fn escape_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = escape(text),
        Value::Array(items) => items.iter_mut().for_each(escape_all),
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(command) if key == "command" => *command = code_block(command),
                    other => escape_all(other),
                }
            }
        }
        _ => {}
    }
}

/// Text that Markdown and the HTML in it leave as it is, also within a cell of a table.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in svg::escape(text).replace("&quot;", "\"").replace("&#x27;", "'").chars() {
        match character {
            '\n' | '\r' => escaped.push(' '),
            '\\' | '`' | '*' | '[' | ']' | '|' => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// A block of code by indentation, which nothing in the code can end.
fn code_block(code: &str) -> String {
    code.lines().map(|line| format!("    {line}\n")).collect()
}
