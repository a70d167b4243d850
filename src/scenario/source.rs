use super::diagnostic::Diagnostic;
use crate::ids::Digest;
use crate::limits;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

/// The text of a scenario and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file's name as it is shown to people.
    pub file: String,
    /// Its text. Positions are looked up in it: it must not be changed.
    pub text: String,
    lines: Lines,
}

/// Where the lines of a text begin, made when a position is first asked for: with thousands of errors, counting anew for
/// each takes minutes.
#[derive(Clone, Debug, Default)]
struct Lines(OnceLock<(Vec<usize>, bool)>);

/// It follows from the text, which is compared already.
impl PartialEq for Lines {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Lines {}

impl Lines {
    /// The beginnings, and whether every character is one byte.
    fn of(&self, text: &str) -> (&[usize], bool) {
        let (starts, ascii) = self.0.get_or_init(|| {
            let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            (std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect(), text.is_ascii())
        });
        (starts, *ascii)
    }
}

impl Source {
    /// A text under a name.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into(), lines: Lines::default() }
    }

    /// The digest of the bytes of the text.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// Byte offset of a line and column, both from 1 and the column in characters.
    fn offset(&self, line: u64, column: u64) -> usize {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
        let lines = self.text.split_inclusive('\n').take(number(line)).map(str::len);
        let start = lines.sum::<usize>();
        let rest = self.text.get(start..).unwrap_or_default();
        start + rest.char_indices().nth(number(column)).map_or(rest.len(), |(at, _)| at)
    }

    /// Line and column, both from 1 and the column in characters, of a byte offset.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let (starts, is_ascii) = self.lines.of(&self.text);
        let line = starts.partition_point(|start| *start <= before.len());
        let start = starts[line - 1];
        if is_ascii {
            return (line, before.len() - start + 1);
        }
        // UTF-8 bytes that begin a character.
        let column = before[start..].iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1;
        (line, column)
    }
}

/// A place in a YAML document with what stands there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Byte offsets in the text. Of a list or mapping: where it begins.
    pub(crate) span: Range<usize>,
    /// What stands there.
    pub(crate) kind: Kind,
}

/// What can stand at a place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Nothing, or `null`.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in written order.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Byte offsets of the key.
    pub(crate) key_span: Range<usize>,
    /// The value.
    pub(crate) value: Node,
}

impl Node {
    /// Reads a document.
    ///
    /// # Errors
    /// The first syntax error or exceeded limit, with its place.
    pub(crate) fn parse(source: &Source) -> Result<Self, Box<Diagnostic>> {
        if source.text.len() > limits::SCENARIO_BYTES {
            let most = limits::in_units(limits::SCENARIO_BYTES as u64);
            let message = format!("the file has {} bytes: the most is {most}", source.text.len());
            return Err(Box::new(Diagnostic::new("RD002", source, 0..0, message)));
        }
        let options = serde_saphyr::options! {
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
            merge_keys: serde_saphyr::options::MergeKeyPolicy::Error,
            budget: serde_saphyr::budget! {
                max_anchors: 0,
                max_aliases: 0,
                max_nodes: limits::SCENARIO_NODES,
                max_depth: limits::SCENARIO_DEPTH,
            },
        };
        let mut node: Self = serde_saphyr::from_str_with_options(&source.text, options)
            .map_err(|error| Box::new(syntax_error(source, &error)))?;
        node.keep_spans_inside(&source.text);
        Ok(node)
    }

    /// The value without places.
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Kind::Map(entries) => {
                let pairs = entries.iter().map(|e| (e.key.clone(), e.value.to_value()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// The entries of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar that is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value under a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key of a mapping.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The node at a JSON pointer, or the nearest above it.
    pub(crate) fn find(&self, pointer: &str) -> &Self {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let key = part.replace("~1", "/").replace("~0", "~");
            let next = match &node.kind {
                Kind::Map(_) => node.get(&key),
                Kind::List(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// Calls `see` with every scalar that is text, in written order.
    pub(crate) fn each_text<'a>(&'a self, see: &mut dyn FnMut(&'a Self, &'a str)) {
        match &self.kind {
            Kind::Text(text) => see(self, text),
            Kind::List(items) => items.iter().for_each(|item| item.each_text(see)),
            Kind::Map(entries) => entries.iter().for_each(|entry| entry.value.each_text(see)),
            _ => {}
        }
    }

    /// The parser's offsets are trusted for places only, never for slicing.
    fn keep_spans_inside(&mut self, text: &str) {
        clamp(&mut self.span, text);
        match &mut self.kind {
            Kind::List(items) => items.iter_mut().for_each(|item| item.keep_spans_inside(text)),
            Kind::Map(entries) => {
                for entry in entries {
                    clamp(&mut entry.key_span, text);
                    entry.value.keep_spans_inside(text);
                }
            }
            _ => {}
        }
    }
}

/// Brings a range into the text and onto character boundaries.
fn clamp(span: &mut Range<usize>, text: &str) {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.min(text.len()));
    *span = start..end.max(start);
}

fn range_of<T>(spanned: &Spanned<T>) -> Range<usize> {
    let span = spanned.referenced.span();
    let start = span.byte_offset().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let length = span.byte_len().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    start..start.saturating_add(length)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self { span: range_of(&spanned), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Kind, E> {
        Number::from_f64(value)
            .map(Kind::Number)
            .ok_or_else(|| E::custom("this number has no place in a scenario"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = map.next_value()?;
            entries.push(Entry { key_span: range_of(&key), key: key.value, value });
        }
        Ok(Kind::Map(entries))
    }
}

/// What the parser says, in our words where we know better: an expression without quotes is YAML's flow syntax, and will be
/// the most frequent mistake of all.
fn syntax_error(source: &Source, error: &serde_saphyr::Error) -> Diagnostic {
    let error = error.without_snippet();
    let mut at = error.location().map_or(0..0, |location| {
        let known = location.span().byte_offset().and_then(|start| usize::try_from(start).ok());
        let start = known.unwrap_or_else(|| source.offset(location.line(), location.column()));
        start..start + 1
    });
    clamp(&mut at, &source.text);
    if let Some(unquoted) = unquoted_expression(&source.text, at.start) {
        let written = source.text[unquoted.clone()].to_owned();
        return Diagnostic::new(
            "RD010",
            source,
            unquoted,
            "an expression that is not quoted is read as a YAML mapping",
        )
        .expected("quote it")
        .help(format!("write \"{written}\""));
    }
    let said = error.to_string();
    if let Some((message, help)) = too_much(&said) {
        return Diagnostic::new("RD002", source, at, message).help(help);
    }
    Diagnostic::new("RD001", source, at, in_our_words(&said))
}

/// How the reader begins to tell of a key that stands twice.
const TWICE: &str = "duplicate mapping key: ";

/// What is not part of the language, or goes beyond a limit of it, and what to do. The reader tells it by its own names.
fn too_much(message: &str) -> Option<(String, &'static str)> {
    const WRITE_OUT: &str = "write out what is meant at each place";
    const SHORTEN: &str = "make it shorter: it is read by people at 03:00";
    // A key may be called as it likes.
    let message = message.lines().next().filter(|line| !line.starts_with(TWICE))?;
    let is = |part: &str| message.contains(part);
    if is("merge keys are not allowed") {
        return Some(("merge keys (<<) are not part of the language".to_owned(), WRITE_OUT));
    }
    if is("recursion limit") || is("budget breached: Depth") {
        let most = limits::SCENARIO_DEPTH;
        let deep = format!("lists and mappings lie more than {most} deep inside of each other");
        return Some((deep, SHORTEN));
    }
    if is("budget breached: Nodes") {
        let most = limits::SCENARIO_NODES;
        return Some((format!("there are more than {most} values"), SHORTEN));
    }
    let names = ["Anchors", "Aliases", "AliasAnchorRatio", "RecordedAnchor"];
    if names.iter().any(|name| is(&format!("budget breached: {name}"))) {
        let text = "anchors and aliases (&, *) are not part of the language";
        return Some((text.to_owned(), WRITE_OUT));
    }
    is("budget breached").then(|| ("the file holds too much".to_owned(), SHORTEN))
}

/// The reader's message without its advice to programmers. Its first line names the place, which we show anyway.
fn in_our_words(message: &str) -> String {
    let message = message.lines().next().unwrap_or("not YAML");
    let message = message.rsplit_once(" at line ").map_or(message, |(what, _)| what);
    if let Some(rest) = message.strip_prefix(TWICE) {
        let key = rest.split(", set ").next().unwrap_or(rest);
        return format!("the key {key} stands twice");
    }
    if message.contains("multiple YAML documents") {
        return "a file holds one scenario: remove the second ---".to_owned();
    }
    message.to_owned()
}

/// An unquoted `{{…}}` that a value begins with, on the line of the error or the one before.
fn unquoted_expression(text: &str, near: usize) -> Option<Range<usize>> {
    let line_start = text[..near].rfind('\n').map_or(0, |at| at + 1);
    let from = text[..line_start.saturating_sub(1)].rfind('\n').map_or(0, |at| at + 1);
    let until = text[near..].find('\n').map_or(text.len(), |at| near + at);
    let mut search = from;
    while let Some(found) = text.get(search..until)?.find("{{") {
        let start = search + found;
        let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let before = text[line..start].trim_end();
        let begins_a_value = before.ends_with([':', '-', ',', '[']) || before.is_empty();
        if begins_a_value && !before.contains('#') {
            let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
            let end = text[start..line_end].find("}}").map_or(line_end, |at| start + at + 2);
            return Some(start..end);
        }
        search = start + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Node, Box<Diagnostic>> {
        Node::parse(&Source::new("x.yaml", text))
    }

    fn slice<'a>(text: &'a str, node: &Node) -> &'a str {
        &text[node.span.clone()]
    }

    #[test]
    fn every_scalar_knows_its_place() {
        let text = "名前: \"ä\"\nb:\n  - 12\n  - 'x y'\nc: |\n  one\n  {{vars.x}}\nd: { e: 4h }\n";
        let node = parse(text).unwrap();
        assert_eq!(slice(text, node.get("名前").unwrap()), "\"ä\"");
        assert_eq!(&text[node.entry("b").unwrap().key_span.clone()], "b");
        assert_eq!(slice(text, &node.get("b").unwrap().items()[1]), "'x y'");
        assert_eq!(slice(text, node.find("/d/e")), "4h");
        assert!(slice(text, node.get("c").unwrap()).contains("{{vars.x}}"));
    }

    #[test]
    fn values_keep_the_kind_that_people_mean() {
        let node = parse("a: 012345678901\nb: yes\nc: 1_000\nd: true\ne:\nf: 1.5\n").unwrap();
        let value = node.to_value();
        assert_eq!(value["a"], "012345678901");
        assert_eq!(value["b"], "yes");
        assert_eq!(value["c"], "1_000");
        assert_eq!(value["d"], true);
        assert_eq!(value["e"], Value::Null);
        assert_eq!(value["f"], 1.5);
    }

    #[test]
    fn an_unquoted_expression_is_told_to_be_quoted() {
        for text in ["a:\n  b: {{steps.a.arn}}\n", "a: {{vars.x}}-1\n", "a: [ {{vars.x}} ]\n"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.code, "RD010", "{text}: {}", error.message);
            assert!(error.help.unwrap().contains("\"{{"));
        }
    }

    #[test]
    fn anchors_bombs_and_deep_nesting_are_refused() {
        assert_eq!(parse("a: &x 1\nb: *x\n").unwrap_err().code, "RD002");
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(parse(&deep).unwrap_err().code, "RD002");
        assert_eq!(parse("<<: { a: 1 }\n").unwrap_err().code, "RD002");
        let twice = parse("b: 1\na: 1\na: 2\n").unwrap_err();
        assert_eq!((twice.line, twice.message.as_str()), (3, "the key a stands twice"));
        assert_eq!(parse("a: [1\nb: 2\n").unwrap_err().line, 2);
        assert_eq!(parse("---\na: 1\n---\nb: 2\n").unwrap_err().code, "RD001");
        assert_eq!(parse(&" ".repeat(limits::SCENARIO_BYTES + 1)).unwrap_err().code, "RD002");
        assert_eq!(parse("a: 1\na: 2\n").unwrap_err().code, "RD001");
        assert_eq!(parse("a: [1\nb: 2\n").unwrap_err().code, "RD001");
    }

    #[test]
    fn regression_a_limit_is_told_in_our_words() {
        let anchors = "anchors and aliases (&, *) are not part of the language";
        for (text, told) in [
            ("a: &x 1\nb: *x\n".to_owned(), anchors),
            ("<<: { a: 1 }\n".to_owned(), "merge keys (<<) are not part of the language"),
            (
                format!("{}{}", "[".repeat(200), "]".repeat(200)),
                "lists and mappings lie more than 40 deep inside of each other",
            ),
            ("- 1\n".repeat(limits::SCENARIO_NODES + 1), "there are more than 50000 values"),
        ] {
            let error = parse(&text).unwrap_err();
            assert_eq!((error.code, error.message.as_str()), ("RD002", told));
            assert!(error.help.is_some());
        }
    }

    #[test]
    fn positions_count_characters() {
        let source = Source::new("x", "ä: b\nüü: c\n");
        assert_eq!(source.position("ä: b\nüü".len()), (2, 3));
        assert_eq!(source.position(9999), (3, 1));
    }
}
