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
    let text =
        templates.render_template(template, view).map_err(|why| RenderError::new(what, why))?;
    Ok(tidy(&text))
}

/// What a line of Markdown belongs to, as far as blank lines matter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Blank,
    Heading,
    Table,
    List,
    Quote,
    Text,
}

fn block_of(line: &str) -> Block {
    match line {
        line if line.trim().is_empty() => Block::Blank,
        line if line.starts_with('#') => Block::Heading,
        line if line.starts_with('|') => Block::Table,
        line if line.starts_with("- ") || line.starts_with("  ") => Block::List,
        line if line.starts_with('>') => Block::Quote,
        _ => Block::Text,
    }
}

/// One blank line between blocks, and none more: a template cannot see what its parts leave behind, and a line that
/// follows a list or a table directly would belong to it. Blocks of code stay as they are.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut before = Block::Blank;
    let mut fence: Option<String> = None;
    for line in text.lines() {
        if let Some(open) = &fence {
            tidy.push_str(line);
            tidy.push('\n');
            if line == open {
                fence = None;
                tidy.push('\n');
                before = Block::Blank;
            }
            continue;
        }
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        let opens = ticks.len() >= 3;
        let block = block_of(line);
        if before != Block::Blank
            && (opens || block == Block::Heading || (block != before && block != Block::Blank))
        {
            tidy.push('\n');
        }
        if block != Block::Blank || before != Block::Blank {
            tidy.push_str(line.trim_end());
            tidy.push('\n');
        }
        before = block;
        fence = opens.then_some(ticks);
    }
    tidy.truncate(tidy.trim_end().len());
    tidy.push('\n');
    tidy
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
    let text = svg::escape(text).replace("&quot;", "\"").replace("&#x27;", "'");
    let mut characters = text.chars().peekable();
    let mut inside_a_word = false;
    while let Some(character) = characters.next() {
        let goes_on = characters.peek().is_some_and(|next| next.is_alphanumeric());
        match character {
            '\n' | '\r' => escaped.push(' '),
            // Within a word it is no mark-up, and names of inputs stay readable.
            '_' if inside_a_word && goes_on => escaped.push(character),
            '~' if characters.peek() != Some(&'~') => escaped.push(character),
            '_' | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '\\' | '`' | '*' | '[' | ']' | '|' => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => escaped.push(other),
        }
        inside_a_word = character.is_alphanumeric() || (character == '_' && inside_a_word);
    }
    escaped
}

/// A block of code by indentation, which nothing in the code can end.
fn code_block(code: &str) -> String {
    code.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_set_apart_and_code_is_left_alone() {
        let text = "a\n- b\n  c\nd\n\n\n\n| e |\nf\n````sh\nx\n\n\n```\n- y\n````\n# g\n";
        let set = "a\n\n- b\n  c\n\nd\n\n| e |\n\nf\n\n````sh\nx\n\n\n```\n- y\n````\n\n# g\n";
        assert_eq!(tidy(text), set);
    }

    #[test]
    fn markup_in_values_stays_text() {
        assert_eq!(escape("a|b\n<i>*[x]`"), "a\\|b &lt;i&gt;\\*\\[x\\]\\`");
        assert_eq!(escape("max_size _x_ ~~y~~ ~ ^db"), "max_size \\_x\\_ \\~~y\\~~ ~ ^db");
    }
}
