use super::{Limit, Limits};
use crate::plan::RunMode;
use crate::scenario::{Diagnostic, Kind, Node, Source, nearest};
use crate::time::HumanDuration;
use std::collections::BTreeSet;

/// Every key of the file.
const KEYS: [&str; 6] =
    ["redrill_limits", "accounts", "regions", "max_duration", "max_resources", "modes"];

/// The version of the format that this program reads.
const VERSION: u64 = 1;

impl Limits {
    /// Reads a file of limits.
    ///
    /// # Errors
    /// Everything that is wrong with it, by place. A file that is not understood whole limits nothing reliably, so there are
    /// no limits then, and nothing may be run.
    pub fn read(source: &Source) -> Result<Self, Vec<Diagnostic>> {
        let root = Node::parse(source).map_err(|error| vec![*error])?;
        let mut reader = Reader { source, root: &root, found: Vec::new() };
        reader.shape();
        let limits = Self {
            file: source.file.clone(),
            digest: source.digest(),
            accounts: reader.names("accounts", account),
            regions: reader.names("regions", region),
            max_duration: reader.duration(),
            max_resources: reader.number(),
            modes: reader.names("modes", mode),
        };
        let mut found = reader.found;
        found.sort_by_key(|one| (one.line, one.column));
        if found.is_empty() { Ok(limits) } else { Err(found) }
    }
}

/// What is wrong with an item: code, what was expected, what to do.
type Wrong = (&'static str, &'static str, &'static str);

fn account(text: &str) -> Result<(), Wrong> {
    match text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(()),
        false => Err(("RD008", "an account of AWS: twelve digits", "write it in quotes")),
    }
}

fn region(text: &str) -> Result<(), Wrong> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !text.is_empty() && text.chars().all(fits) {
        true => Ok(()),
        false => {
            Err(("RD008", "a region such as ap-northeast-3", "name each region; there is no *"))
        }
    }
}

fn mode(text: &str) -> Result<(), Wrong> {
    match text.parse::<RunMode>() {
        Ok(_) => Ok(()),
        Err(_) => Err(("RD006", "drill or recovery", "name the modes that may be run")),
    }
}

struct Reader<'a> {
    source: &'a Source,
    root: &'a Node,
    found: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn wrong(&mut self, code: &'static str, node: &Node, what: String, expected: &str, help: &str) {
        let diagnostic = Diagnostic::new(code, self.source, node.span.clone(), what);
        self.found.push(diagnostic.expected(expected).help(help));
    }

    /// The file is a mapping of known keys, and says which version it is.
    fn shape(&mut self) {
        if !matches!(self.root.kind, Kind::Map(_)) {
            let what = format!("the file is {}", self.root.kind_word());
            let help = "begin with redrill_limits: 1";
            return self.wrong("RD005", self.root, what, "a mapping", help);
        }
        for entry in self.root.entries().iter().filter(|entry| !KEYS.contains(&&*entry.key)) {
            let what = format!("unknown key {}", entry.key);
            let diagnostic = Diagnostic::new("RD003", self.source, entry.key_span.clone(), what)
                .expected(format!("one of: {}", KEYS.join(", ")));
            self.found.push(match nearest(&entry.key, KEYS) {
                Some(near) => diagnostic.help(format!("did you mean {near}?")),
                None => diagnostic,
            });
        }
        let help = "this program reads version 1: write redrill_limits: 1";
        match self.root.get("redrill_limits") {
            None => {
                let what = "the file has no redrill_limits, which must be there".to_owned();
                let start = Diagnostic::new("RD004", self.source, 0..0, what);
                self.found.push(start.help(help));
            }
            Some(node) => match &node.kind {
                Kind::Number(number) if number.as_u64() == Some(VERSION) => {}
                _ => {
                    let what = format!("redrill_limits is {}", node.kind_word());
                    self.wrong("RD006", node, what, "1", help);
                }
            },
        }
    }

    /// A limit at the place of its key.
    fn limit<T>(&self, key: &str, value: T) -> Option<Limit<T>> {
        let entry = self.root.entry(key)?;
        let (line, column) = self.source.position(entry.key_span.start);
        Some(Limit { line, column, value })
    }

    /// A list with at least one item: an empty one would read as "nothing is allowed" to one, as "no limit" to another.
    fn names(
        &mut self,
        key: &str,
        judge: fn(&str) -> Result<(), Wrong>,
    ) -> Option<Limit<BTreeSet<String>>> {
        let node: &'a Node = self.root.get(key)?;
        let Kind::List(items) = &node.kind else {
            let what = format!("{key} is {}", node.kind_word());
            self.wrong("RD005", node, what, "a list", "leave the key out where nothing is limited");
            return None;
        };
        if items.is_empty() {
            let what = format!("{key} names nothing");
            let help =
                "leave the key out where nothing is limited; a run that may go nowhere is no run";
            self.wrong("RD009", node, what, "at least one", help);
        }
        let mut names = BTreeSet::new();
        for item in items {
            let Some(text) = item.text() else {
                let what = format!("in {key} stands {}", item.kind_word());
                self.wrong("RD005", item, what, "text", "write it in quotes");
                continue;
            };
            match judge(text) {
                Ok(()) => {
                    names.insert(text.to_owned());
                }
                Err((code, expected, help)) => {
                    self.wrong(code, item, format!("in {key} stands {text:?}"), expected, help);
                }
            }
        }
        self.limit(key, names)
    }

    fn duration(&mut self) -> Option<Limit<HumanDuration>> {
        let key = "max_duration";
        let node: &'a Node = self.root.get(key)?;
        let read = node.text().map(str::parse::<HumanDuration>);
        if let Some(Ok(length)) = read.filter(|read| !matches!(read, Ok(none) if none.is_zero())) {
            return self.limit(key, length);
        }
        let what = format!("{key} is {}", node.kind_word());
        self.wrong("RD007", node, what, "a duration above zero", "write a number and a unit: 4h");
        None
    }

    fn number(&mut self) -> Option<Limit<u32>> {
        let key = "max_resources";
        let node: &'a Node = self.root.get(key)?;
        let number = match &node.kind {
            Kind::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            _ => None,
        };
        if let Some(number) = number {
            return self.limit(key, number);
        }
        let what = format!("{key} is {}", node.kind_word());
        let help = "0 allows only scenarios that make nothing";
        self.wrong("RD005", node, what, "a whole number, 0 or more", help);
        None
    }
}
