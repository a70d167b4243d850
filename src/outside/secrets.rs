use super::Secret;
use serde_json::Value;
use std::sync::{Arc, PoisonError, RwLock};

/// What stands in the place of a secret.
const CONCEALED: &str = "<secret>";

/// Below so many characters an encoded form could stand anywhere by chance, and is not looked for. Of each of its lines,
/// too, a secret of several lines is only known by those that are this long.
const SHORTEST_FORM: usize = 8;

/// A secret of fewer characters is not taken out: it protects nothing, stands anywhere by chance, and without its letters
/// neither checks nor names could be read.
const SHORTEST_SECRET: usize = 4;

/// The secrets that a run has been given, so that they can be taken out of everything that is written down. Copies share
/// what they know.
///
/// A secret is recognised as it is, in base64 (both alphabets, wherever it begins in what was encoded), in hexadecimal
/// digits, and in all of these with any mixture of escapes between its characters: percent encoding, JSON, HTML, shell.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    forms: Arc<RwLock<Vec<Form>>>,
    short: Arc<RwLock<Short>>,
}

/// Whether a secret was too short to be taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Short {
    /// None was.
    #[default]
    None,
    /// One was, and nobody has been told.
    Untold,
    /// One was, and that has been said.
    Told,
}

impl Secrets {
    /// From now on this one is known. Texts from before are not looked at again.
    pub fn learn(&self, secret: &Secret) {
        let text = secret.reveal();
        if text.chars().count() < SHORTEST_SECRET {
            let mut short = self.short.write().unwrap_or_else(PoisonError::into_inner);
            // An empty one is none.
            if *short == Short::None && !text.is_empty() {
                *short = Short::Untold;
            }
            return;
        }
        let mut forms = self.forms.write().unwrap_or_else(PoisonError::into_inner);
        let mut add = |form: Form| {
            if !form.expected.is_empty() && !forms.contains(&form) {
                forms.push(form);
            }
        };
        add(Form::plain(text));
        let lines = text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_FORM);
        for line in lines.chain([text.trim()]) {
            add(Form::plain(line));
            Form::encoded(line.as_bytes()).into_iter().for_each(&mut add);
        }
        // The longest first, so that no shorter one cuts a piece out of it.
        forms.sort_by_key(|form| std::cmp::Reverse(form.expected.len()));
    }

    /// As [`Secrets::learn`], of one that an earlier process of the run has used. That it is too short was said then, or is said
    /// when it is used again.
    pub fn learn_again(&self, secret: &Secret) {
        if secret.reveal().chars().count() >= SHORTEST_SECRET {
            self.learn(secret);
        }
    }

    /// True once, when a secret was too short to be taken out: somebody should hear of it.
    pub fn tell_of_short(&self) -> bool {
        let mut short = self.short.write().unwrap_or_else(PoisonError::into_inner);
        let untold = *short == Short::Untold;
        if untold {
            *short = Short::Told;
        }
        untold
    }

    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        self.forms.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// A text without the secrets.
    pub fn conceal(&self, text: &str) -> String {
        self.replace(text, 1, false)
    }

    /// The beginning of a longer text, without the secrets: one that was cut through at the end is taken out as well.
    pub fn conceal_beginning(&self, text: &str) -> String {
        self.replace(text, 1, true)
    }

    /// Takes secrets out of all texts of a value that programs go on to use. Short ones stay: they could be part of a host
    /// name, and have been taken out where outside text came in.
    pub fn conceal_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.replace(text, SHORTEST_FORM, false),
            Value::Array(items) => items.iter_mut().for_each(|item| self.conceal_value(item)),
            Value::Object(fields) => {
                let has = |name: &String| self.replace(name, SHORTEST_FORM, false) != *name;
                if fields.keys().any(has) {
                    let renamed = std::mem::take(fields).into_iter();
                    *fields =
                        renamed.map(|(n, v)| (self.replace(&n, SHORTEST_FORM, false), v)).collect();
                }
                fields.values_mut().for_each(|item| self.conceal_value(item));
            }
            Value::Number(number) => {
                let text = number.to_string();
                let concealed = self.replace(&text, SHORTEST_FORM, false);
                if concealed != text {
                    *value = Value::String(concealed);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn replace(&self, text: &str, shortest: usize, is_beginning: bool) -> String {
        let forms = self.forms.read().unwrap_or_else(PoisonError::into_inner);
        let mut text = text.to_owned();
        for form in forms.iter().filter(|form| form.expected.len() >= shortest) {
            if let Some(replaced) = form.replace(&text, is_beginning) {
                text = replaced;
            }
        }
        text
    }
}

/// One way in which a secret can stand in a text.
#[derive(Clone, PartialEq, Eq)]
struct Form {
    expected: Vec<char>,
    /// Programs break encoded text into lines.
    may_be_wrapped: bool,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(CONCEALED)
    }
}

impl Form {
    fn plain(text: &str) -> Self {
        Self { expected: text.chars().collect(), may_be_wrapped: false }
    }

    /// Base64 and hexadecimal digits.
    fn encoded(bytes: &[u8]) -> Vec<Self> {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
        let mut texts = vec![hex::encode(bytes), hex::encode_upper(bytes)];
        for before in 0..3 {
            let shifted = [&vec![0; before][..], bytes].concat();
            // Characters into which a neighbour's bits flow are left out at both ends.
            let first = (before * 8).div_ceil(6);
            let end = shifted.len() * 8 / 6;
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let text = engine.encode(&shifted);
                texts.push(text.get(first..end).unwrap_or_default().to_owned());
            }
        }
        texts.retain(|text| text.len() >= SHORTEST_FORM);
        let form = |text: String| Self { expected: text.chars().collect(), may_be_wrapped: true };
        texts.into_iter().map(form).collect()
    }

    /// The text with all its occurrences replaced; `None` when there is none.
    fn replace(&self, text: &str, is_beginning: bool) -> Option<String> {
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
            if byte != plain && !ESCAPES.contains(&byte) {
                at += 1;
                continue;
            }
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
                at += text[at..].chars().next().map_or(1, char::len_utf8);
            }
        }
        (kept > 0).then(|| replaced + &text[kept..])
    }

    /// Whether it stands at a place. Several readings are followed at once: `%41` may be three characters or one.
    fn at(&self, text: &str, start: usize) -> Seen {
        let Some((first, _)) = self.expected.split_first() else { return Seen::Nothing };
        if lengths_of(*first, &text[start..]).iter().all(Option::is_none) {
            return Seen::Nothing;
        }
        let mut places = vec![start];
        let mut cut_off = false;
        for (number, wanted) in self.expected.iter().enumerate() {
            let mut next = Vec::new();
            for place in places {
                let rest = &text[place..];
                let wrapped = if self.may_be_wrapped && number > 0 { line_break(rest) } else { 0 };
                let lengths = lengths_of(*wanted, &rest[wrapped..]);
                next.extend(lengths.into_iter().flatten().map(|length| place + wrapped + length));
                cut_off |= number > 0 && may_be_cut_off(&rest[wrapped..]);
            }
            next.sort_unstable();
            next.dedup();
            if next.is_empty() {
                return if cut_off { Seen::CutOff } else { Seen::Nothing };
            }
            places = next;
        }
        places.last().map_or(Seen::Nothing, |end| Seen::Whole(*end))
    }
}

/// With what an escaped character can begin.
const ESCAPES: [u8; 5] = *b"\\%&+'";

enum Seen {
    Whole(usize),
    /// The text ends in the middle of it.
    CutOff,
    Nothing,
}

/// True when what is left is nothing, what a cut character has become, or the beginning of an escape.
fn may_be_cut_off(rest: &str) -> bool {
    let rest = rest.trim_end_matches('\u{fffd}');
    rest.is_empty() || (rest.len() < 12 && rest.starts_with(['\\', '%', '&']))
}

/// The length of line breaks, written or escaped.
fn line_break(text: &str) -> usize {
    let mut rest = text;
    while text.len() - rest.len() < 8
        && let Some(after) =
            ["\r", "\n", "\\n", "\\r"].iter().find_map(|one| rest.strip_prefix(one))
    {
        rest = after;
    }
    text.len() - rest.len()
}

/// How many bytes of a text are this character: as it is, and by each kind of escape.
fn lengths_of(wanted: char, text: &str) -> [Option<usize>; 4] {
    let plain = text.starts_with(wanted).then(|| wanted.len_utf8());
    match text.as_bytes().first() {
        Some(b'\\') => [plain, after_backslash(wanted, text), None, None],
        Some(b'%') => [plain, percent(wanted, text), None, None],
        Some(b'&') => [plain, entity(wanted, text), None, None],
        // A form's space, and the way to write a quote inside of quotes in a shell.
        Some(b'+') if wanted == ' ' => [plain, Some(1), None, None],
        Some(b'\'') if wanted == '\'' => {
            let longer = |quote: &str| text.starts_with(quote).then_some(quote.len());
            [plain, longer("'\\''"), longer("'\"'\"'"), None]
        }
        _ => [plain, None, None, None],
    }
}

/// `\"`, `\n`, `\u0022`, `\u{22}`, `\x22`, and each of them escaped again.
fn after_backslash(wanted: char, text: &str) -> Option<usize> {
    let slashes = backslashes(text);
    let rest = &text[slashes..];
    let first = rest.chars().next();
    if wanted == '\\' {
        // Half of them, at least, are the escapes of the other half.
        return (slashes > 1).then_some(2);
    }
    let letter = match wanted {
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\u{8}' => Some('b'),
        '\u{c}' => Some('f'),
        '\0' => Some('0'),
        _ => None,
    };
    if first == Some(wanted) {
        return Some(slashes + wanted.len_utf8());
    }
    if letter.is_some() && first == letter {
        return Some(slashes + 1);
    }
    let braced = rest.strip_prefix("u{").and_then(|digits| digits.split_once('}'));
    if let Some((digits, _)) = braced {
        return (number(digits, 16) == Some(wanted.into())).then(|| slashes + digits.len() + 3);
    }
    let mut units = [0; 2];
    let mut length = 0;
    for unit in wanted.encode_utf16(&mut units) {
        let slashes = backslashes(&text[length..]);
        let again = &text[length + slashes..];
        let digits = again.strip_prefix('u').and_then(|digits| digits.get(..4));
        let short = again.strip_prefix('x').and_then(|digits| digits.get(..2));
        let digits = digits.or(short).filter(|_| slashes > 0)?;
        if number(digits, 16) != Some(u32::from(*unit)) {
            return None;
        }
        length += slashes + 1 + digits.len();
    }
    Some(length)
}

/// How many there are at the beginning; no more than four escapes inside of each other make, so that a long row of them
/// does not take time in its square.
fn backslashes(text: &str) -> usize {
    text.bytes().take(32).take_while(|byte| *byte == b'\\').count()
}

/// `%41`, and `%2541`, which is that encoded again. Each byte of the character, in any case.
fn percent(wanted: char, text: &str) -> Option<usize> {
    let mut bytes = [0; 4];
    let mut rest = text;
    for byte in wanted.encode_utf8(&mut bytes).bytes() {
        rest = rest.strip_prefix('%')?;
        while wanted != '%' && rest.starts_with("25") && rest.len() > 2 {
            rest = &rest[2..];
        }
        let digits = rest.get(..2)?;
        if number(digits, 16) != Some(u32::from(byte)) {
            return None;
        }
        rest = &rest[2..];
    }
    Some(text.len() - rest.len())
}

/// `&amp;`, `&#38;`, `&#x26;`, and each of them escaped again.
fn entity(wanted: char, text: &str) -> Option<usize> {
    let mut rest = text.strip_prefix('&')?;
    let names: &[&str] = match wanted {
        '&' => &["amp;"],
        '<' => &["lt;"],
        '>' => &["gt;"],
        '"' => &["quot;"],
        '\'' => &["apos;"],
        '\u{a0}' => &["nbsp;"],
        _ => &[],
    };
    loop {
        let named = names.iter().find_map(|name| rest.strip_prefix(name));
        // `&amp;amp;` is one, not one and some text.
        if let Some(after) = named.filter(|after| wanted != '&' || !after.starts_with("amp;")) {
            return Some(text.len() - after.len());
        }
        match rest.strip_prefix("amp;") {
            Some(after) => rest = after,
            None => break,
        }
    }
    let (digits, after) = rest.strip_prefix('#')?.split_once(';')?;
    let value = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => number(digits, 16),
        None => number(digits, 10),
    };
    (value == Some(wanted.into())).then(|| text.len() - after.len())
}

fn number(digits: &str, radix: u32) -> Option<u32> {
    // Longer ones are no characters; a sign is none of the digits.
    let plain = digits.len() <= 8 && digits.chars().all(|digit| digit.is_digit(radix));
    plain.then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    fn knowing(secret: &str) -> Secrets {
        let secrets = Secrets::default();
        secrets.learn(&Secret::new(secret));
        secrets
    }

    #[test]
    fn a_secret_goes_and_the_rest_stays() {
        let secrets = knowing("hunter2");
        assert_eq!(secrets.conceal("login with hunter2 failed"), "login with <secret> failed");
        assert_eq!(secrets.conceal("as it was: hunter3, é"), "as it was: hunter3, é");
        assert_eq!(knowing("").conceal("as it was"), "as it was");
        assert!(!format!("{secrets:?}").contains("hunter"));
    }

    #[test]
    fn every_alignment_of_base64_is_recognised() {
        let secrets = knowing("correct horse?>battery");
        for before in ["", "u", "us", "use", "user:"] {
            for after in ["", "\n", "??", ">>>"] {
                let text = format!("{before}correct horse?>battery{after}");
                for engine in [
                    &base64::engine::general_purpose::STANDARD,
                    &base64::engine::general_purpose::URL_SAFE_NO_PAD,
                ] {
                    let concealed = secrets.conceal(&format!("Basic {}", engine.encode(&text)));
                    assert!(concealed.contains("<secret>"), "{text:?}: {concealed}");
                    // What is left are the neighbours' characters.
                    assert!(concealed.len() < 6 + 8 + before.len() * 2 + after.len() * 2 + 8);
                }
            }
        }
    }

    #[test]
    fn escapes_of_all_kinds_are_seen_through() {
        let secrets = knowing("a\"b\\c&d'e\nf/é😀 z");
        for text in [
            r#"a\"b\\c&d'e\nf/é😀 z"#,
            r#"a\"b\\c&d'e\nf\/\u00e9\ud83d\ude00 z"#,
            r#"a\\\"b\\\\c&d'e\\nf/é😀 z"#,
            "a&quot;b\\c&amp;d&#39;e\nf/&#xE9;&#128512; z",
            "a&amp;quot;b\\c&amp;amp;d&#x27;e\nf/é😀 z",
            "a%22b%5Cc%26d%27e%0Af%2F%C3%A9%F0%9F%98%80+z",
            "a%2522b%255cc%2526d%2527e%250af/%25C3%25A9%25F0%259F%2598%2580%2520z",
            r#"a\u{22}b\\c&d'\''e\nf/é\u{1f600} z"#,
        ] {
            assert_eq!(secrets.conceal(&format!("<{text}>")), "<<secret>>", "{text}");
        }
    }

    #[test]
    fn a_percent_sign_of_the_secret_is_read_both_ways() {
        let secrets = knowing("100%41 sure");
        for text in ["100%41 sure", "100%2541%20sure", "100%25%34%31+sure"] {
            assert_eq!(secrets.conceal(text), "<secret>");
        }
    }

    #[test]
    fn wrapped_base64_and_hexadecimal_digits_are_recognised() {
        let secret = "0123456789 a long secret that is wrapped by the base64 program of the system";
        let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
        let (one, two) = encoded.split_at(40);
        assert!(!knowing(secret).conceal(&format!("{one}\n{two}")).contains(&one[4..20]));
        let digits = hex::encode(secret);
        assert_eq!(knowing(secret).conceal(&digits.to_uppercase()), "<secret>");
    }

    #[test]
    fn regression_a_secret_that_is_cut_off_by_a_limit_leaves_no_beginning() {
        let secrets = knowing("swordfish and chips");
        assert_eq!(secrets.conceal_beginning("the word is swordf"), "the word is <secret>");
        assert_eq!(secrets.conceal_beginning("the word is swordfish%2"), "the word is <secret>");
        assert_eq!(secrets.conceal_beginning("the word is ßwordf"), "the word is ßwordf");
        assert_eq!(secrets.conceal("the word is swordf"), "the word is swordf");
        assert_eq!(knowing("né😀e-secret").conceal_beginning("né\u{fffd}"), "<secret>");
    }

    #[test]
    fn regression_one_line_of_a_key_is_as_secret_as_all_of_it() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n";
        let concealed = knowing(key).conceal("line 2: MIIEvQIBADANBgkq is wrong");
        assert_eq!(concealed, "line 2: <secret> is wrong");
    }

    /// A bug that was, found by the simulation: with a password of one letter the names of checks could not be read.
    #[test]
    fn regression_what_is_too_short_to_protect_anything_does_not_spoil_the_evidence() {
        assert_eq!(knowing("r").conceal("encrypted: true"), "encrypted: true");
        assert_eq!(knowing("r7_x").conceal("said r7_x"), "said <secret>");
    }

    #[test]
    fn values_lose_long_secrets_in_texts_names_and_numbers() {
        let secrets = knowing("1234567890");
        secrets.learn(&Secret::new("db"));
        let mut value = serde_json::json!({
            "1234567890": [1_234_567_890_u64, "x1234567890", true], "host": "db.example",
        });
        secrets.conceal_value(&mut value);
        let expected = serde_json::json!({
            "<secret>": ["<secret>", "x<secret>", true], "host": "db.example",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_secret_that_is_too_short_to_be_taken_out_is_told_of_once() {
        let secrets = Secrets::default();
        secrets.learn(&Secret::new("long enough"));
        secrets.learn(&Secret::new(""));
        secrets.learn_again(&Secret::new("abc"));
        assert!(!secrets.tell_of_short());
        secrets.learn(&Secret::new("abc"));
        assert!(secrets.clone().tell_of_short());
        secrets.learn(&Secret::new("def"));
        assert!(!secrets.tell_of_short());
    }
}
