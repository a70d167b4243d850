use super::diagnostic::Diagnostic;
use super::source::Source;
use crate::visible::visible;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::fmt::Write as _;

/// Diagnostics as a compiler shows them: the line, the place marked, what was expected there and what to write instead.
pub fn render(source: &Source, diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    // The name of a file and what is quoted of it may hold what would write over the terminal.
    let file = visible(&source.file, &[]);
    let shown = |text: &str| visible(text, &['\n', '\t']);
    let mut text = String::new();
    for diagnostic in diagnostics {
        let level = if diagnostic.is_error() { Level::ERROR } else { Level::WARNING };
        let span = diagnostic.span.clone();
        let mark = AnnotationKind::Primary.span(span);
        let mark = match &diagnostic.expected {
            Some(expected) => mark.label(shown(&format!("expected {expected}"))),
            None => mark,
        };
        let snippet = Snippet::source(&source.text).path(&file).annotation(mark);
        let title = level.primary_title(shown(&diagnostic.message)).id(diagnostic.code);
        let mut group = title.element(snippet);
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(shown(help)));
        }
        text.push_str(&renderer.render(&[group]));
        text.push_str("\n\n");
    }
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = diagnostics.len() - errors;
    if !diagnostics.is_empty() {
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "{file}: {}, {}", count(errors, "error"), count(warnings, "warning"));
    }
    text
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
