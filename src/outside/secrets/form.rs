use super::escapes::{ESCAPES, MOST_BACKSLASHES, lengths_of, line_break, may_be_cut_off, quotes};
use super::{CONCEALED, SHORTEST_FORM};

/// One way in which a secret can stand in a text.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Form {
    expected: Vec<char>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As it is.
    Plain,
    /// Programs break it into lines.
    Base64,
    /// As base64; and its letters may be small or capital, in any mixture.
    Hexadecimal,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(CONCEALED)
    }
}

enum Seen {
    Whole(usize),
    /// The text ends in the middle of it.
    CutOff,
    Nothing,
}

impl Form {
    pub(super) fn plain(text: &str) -> Self {
        Self::of(text, Kind::Plain)
    }

    fn of(text: &str, kind: Kind) -> Self {
        Self { expected: text.chars().collect(), kind }
    }

    /// Base64 and hexadecimal digits.
    pub(super) fn encoded(bytes: &[u8]) -> Vec<Self> {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
        let mut forms = vec![Self::of(&hex::encode(bytes), Kind::Hexadecimal)];
        for before in 0..3 {
            let shifted = [&vec![0; before][..], bytes].concat();
            // Characters into which a neighbour's bits flow are left out at both ends.
            let first = (before * 8).div_ceil(6);
            let end = shifted.len() * 8 / 6;
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let text = engine.encode(&shifted);
                forms.push(Self::of(text.get(first..end).unwrap_or_default(), Kind::Base64));
            }
        }
        forms.retain(|form| form.length() >= SHORTEST_FORM);
        forms
    }

    /// How many characters it has.
    pub(super) fn length(&self) -> usize {
        self.expected.len()
    }

    /// The text with all its occurrences replaced; `None` when there is none.
    pub(super) fn replace(&self, text: &str, is_beginning: bool) -> Option<String> {
        // A character takes a byte at least, however it is written.
        if text.len() < self.expected.len() && !is_beginning {
            return None;
        }
        let first = self.expected.first()?;
        let mut utf8 = [0; 4];
        let plain = first.encode_utf8(&mut utf8).as_bytes()[0];
        let mut replaced = String::new();
        let (mut kept, mut at) = (0, 0);
        while at < text.len() {
            let byte = text.as_bytes()[at];
            if !byte.eq_ignore_ascii_case(&plain) && !ESCAPES.contains(&byte) {
                at += 1;
                continue;
            }
            // Whatever escapes are read from it, a row of backslashes ends at one place: its last ones stand for all of them.
            let row = if *first == '\\' { 0 } else { row_of_backslashes(&text[at..]) };
            at += row.saturating_sub(MOST_BACKSLASHES);
            let end = match self.at(text, at) {
                Seen::Whole(end) => Some(end),
                Seen::CutOff if is_beginning => Some(text.len()),
                Seen::CutOff | Seen::Nothing => None,
            };
            if let Some(end) = end {
                replaced.push_str(&text[kept..at]);
                replaced.push_str(CONCEALED);
                (kept, at) = (end, end);
            } else {
                let character = text[at..].chars().next().map_or(1, char::len_utf8);
                at += character.max(row.min(MOST_BACKSLASHES));
            }
        }
        (kept > 0).then(|| replaced + &text[kept..])
    }

    /// Whether it stands at a place. Several readings are followed at once: `%41` may be three characters or one.
    fn at(&self, text: &str, start: usize) -> Seen {
        let Some(first) = self.expected.first() else { return Seen::Nothing };
        if self.lengths(*first, &text[start..]).is_empty() {
            return Seen::Nothing;
        }
        let mut places = vec![start];
        let mut cut_off = false;
        for (number, wanted) in self.expected.iter().enumerate() {
            if number > 0 {
                for place in &mut places {
                    *place += self.gap(&text[*place..]);
                    cut_off |= may_be_cut_off(*wanted, &text[*place..]);
                }
            }
            let next = match wanted {
                '\'' | '"' => self.after_quotes(&places, *wanted, text),
                _ => self.after(&places, *wanted, text),
            };
            if next.is_empty() {
                return if cut_off { Seen::CutOff } else { Seen::Nothing };
            }
            places = next;
        }
        places.last().map_or(Seen::Nothing, |end| Seen::Whole(*end))
    }

    /// The places behind this character, wherever it stands at one of these.
    fn after(&self, places: &[usize], wanted: char, text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        for place in places {
            let lengths = self.lengths(wanted, &text[*place..]);
            ends.extend(lengths.into_iter().map(|length| place + length));
        }
        sorted(ends)
    }

    /// As [`Form::after`], of a quote, which SQL, YAML and CSV double, and double again inside of each other.
    fn after_quotes(&self, places: &[usize], wanted: char, text: &str) -> Vec<usize> {
        let one = self.after_one_quote(places, wanted, text);
        let two = self.after_one_quote(&one, wanted, text);
        let three = self.after_one_quote(&two, wanted, text);
        let four = self.after_one_quote(&three, wanted, text);
        sorted([one, two, four].concat())
    }

    fn after_one_quote(&self, places: &[usize], wanted: char, text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        for quote in quotes(wanted) {
            let mut behind = places.to_vec();
            for part in quote.chars() {
                behind = self.after(&behind, part, text);
            }
            ends.extend(behind);
        }
        sorted(ends)
    }

    /// How many bytes of a text can be this character.
    fn lengths(&self, wanted: char, text: &str) -> Vec<usize> {
        let mut lengths = lengths_of(wanted, text);
        let capital = wanted.to_ascii_uppercase();
        if self.kind == Kind::Hexadecimal && capital != wanted {
            lengths.extend(lengths_of(capital, text));
        }
        lengths
    }

    /// The length of what may stand between two of its characters.
    fn gap(&self, text: &str) -> usize {
        if self.kind == Kind::Plain { 0 } else { line_break(text) }
    }
}

fn row_of_backslashes(text: &str) -> usize {
    text.bytes().take_while(|byte| *byte == b'\\').count()
}

fn sorted(mut places: Vec<usize>) -> Vec<usize> {
    places.sort_unstable();
    places.dedup();
    places
}
