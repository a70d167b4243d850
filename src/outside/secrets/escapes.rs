/// With what an escaped character can begin.
pub(super) const ESCAPES: [u8; 4] = *b"\\%&+";

/// How many backslashes in a row are taken for escapes: as many as four escapes inside of each other make, also of a backslash
/// and a quote. Of a longer row these are the last ones, so that it does not take time in its square.
pub(super) const MOST_BACKSLASHES: usize = 32;

/// How often one sign may be escaped by its own kind.
const LEVELS: usize = 8;

/// How much of a text is looked at for an escape that a limit has cut through: those of a character of four bytes are the
/// longest.
const LONGEST_ESCAPE: usize = 20;

/// How much of a text a line break may take, with the indentation behind it.
const LONGEST_BREAK: usize = 64;

/// How many characters of it may break a line: two ends of a line.
const MOST_BREAKS: usize = 4;

/// An `x` and eight digits: longer ones are no characters.
const LONGEST_NUMBER: usize = 9;

/// How many bytes of a text can be this character: as it is, or escaped. All that fit: `\u0075` is a `u` and some digits, or
/// a `u`.
pub(super) fn lengths_of(wanted: char, text: &str) -> Vec<usize> {
    let mut lengths = Vec::new();
    if text.starts_with(wanted) {
        lengths.push(wanted.len_utf8());
    }
    let may_escape = text.as_bytes().first().is_some_and(|first| ESCAPES.contains(first));
    if !may_escape {
        return lengths;
    }
    let slashes = backslashes(wanted, text);
    let rest = &text[slashes..];
    let behind = match rest.as_bytes().first() {
        Some(b'%') => percent(wanted, rest),
        Some(b'&') => entity(wanted, rest),
        // A form's space.
        Some(b'+') if wanted == ' ' => vec![1],
        _ => Vec::new(),
    };
    lengths.extend(behind.into_iter().map(|length| slashes + length));
    if slashes > 0 {
        lengths.extend(after_backslashes(wanted, rest).map(|length| slashes + length));
    }
    if wanted == '\\' {
        // One, or one and its escape. Of a longer row the rest escapes what follows.
        let one = backslash(text);
        let two = one.and_then(|one| Some(one + backslash(&text[one..])?));
        lengths.extend(one.into_iter().chain(two));
    }
    lengths
}

/// The ways to write a quote, also inside of quotes in a shell. Each character of them may be escaped.
pub(super) fn quotes(wanted: char) -> &'static [&'static str] {
    match wanted {
        '\'' => &["'", "'\\''", "'\"'\"'"],
        '"' => &["\""],
        _ => &[],
    }
}

/// True when what is left is nothing, what a cut character has become, or the beginning of an escape.
pub(super) fn may_be_cut_off(wanted: char, rest: &str) -> bool {
    if rest.len() > LONGEST_ESCAPE {
        return false;
    }
    let rest = rest.trim_end_matches('\u{fffd}');
    let is_quoted = || quotes(wanted).iter().any(|quote| quote.starts_with(rest));
    rest.is_empty() || rest.starts_with(['\\', '%', '&']) || is_quoted()
}

/// The length of line breaks, written or escaped, and of the indentation behind them.
pub(super) fn line_break(text: &str) -> usize {
    let (mut end, mut breaks) = (0, 0);
    while end < LONGEST_BREAK {
        let rest = &text[end..];
        let is_escape = rest.starts_with(['\\', '%', '&']);
        let written = |wanted: char| {
            if is_escape {
                lengths_of(wanted, rest).into_iter().max()
            } else {
                rest.starts_with(wanted).then_some(1)
            }
        };
        // A space as it is: `+` is a character of base64.
        let space = || rest.starts_with(' ').then_some(1).or_else(|| written('\t'));
        let broken =
            if breaks < MOST_BREAKS { written('\n').or_else(|| written('\r')) } else { None };
        let indented = || if breaks > 0 { space() } else { None };
        let Some(length) = broken.or_else(indented) else { break };
        breaks += usize::from(broken.is_some());
        end += length;
    }
    end
}

/// The bytes of the backslashes at the beginning.
fn backslashes(wanted: char, text: &str) -> usize {
    let mut end = 0;
    for _ in 0..MOST_BACKSLASHES {
        let rest = &text[end..];
        // A percent sign that is wanted begins no backslash.
        let Some(length) = backslash(rest).filter(|_| wanted != '%' || rest.starts_with('\\'))
        else {
            break;
        };
        end += length;
    }
    end
}

/// `\`, and `%5C`, which is what JSON in an address has for it.
fn backslash(text: &str) -> Option<usize> {
    match text.as_bytes() {
        [b'\\', ..] => Some(1),
        [b'%', b'5', b'C' | b'c', ..] => Some(3),
        // That encoded again.
        [b'%', b'2', b'5', b'5', b'C' | b'c', ..] => Some(5),
        [b'%', b'2', b'5', b'2', ..] => percent_encoded('\\', text),
        _ => None,
    }
}

/// What can stand behind backslashes: `"`, `n`, `u0022`, `u{22}`, `U00000022`, `x22`, `042`.
fn after_backslashes(wanted: char, rest: &str) -> impl Iterator<Item = usize> {
    let letter = match wanted {
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\u{8}' => Some('b'),
        '\u{c}' => Some('f'),
        '\0' => Some('0'),
        _ => None,
    };
    let is_itself = wanted != '\\' && rest.starts_with(wanted);
    let is_letter = letter.is_some_and(|letter| rest.starts_with(letter));
    let numbered = match rest.as_bytes().first() {
        Some(b'u') => [braced(wanted, rest), units(wanted, rest)],
        Some(b'U') => [eight_digits(wanted, rest), None],
        Some(b'x') => [units(wanted, rest), numbered_bytes(wanted, rest)],
        Some(b'0'..=b'7') => [numbered_bytes(wanted, rest), None],
        _ => [None, None],
    };
    let by_itself = [is_itself.then(|| wanted.len_utf8()), is_letter.then_some(1)];
    by_itself.into_iter().chain(numbered).flatten()
}

/// `u{22}`.
fn braced(wanted: char, rest: &str) -> Option<usize> {
    let digits = digits_before(rest.strip_prefix("u{")?, b'}')?;
    (number(digits, 16) == Some(wanted.into())).then(|| digits.len() + 3)
}

/// `U00000022`.
fn eight_digits(wanted: char, rest: &str) -> Option<usize> {
    let digits = rest.strip_prefix('U')?.get(..8)?;
    (number(digits, 16) == Some(wanted.into())).then_some(9)
}

/// `u0022` and `x22`; `ud83d\ude00` is one character.
fn units(wanted: char, text: &str) -> Option<usize> {
    let mut units = [0; 2];
    let mut rest = text;
    for (index, unit) in wanted.encode_utf16(&mut units).iter().enumerate() {
        if index > 0 {
            rest = behind_backslashes(wanted, rest)?;
        }
        let digits = match rest.strip_prefix('u') {
            Some(digits) => digits.get(..4),
            None => rest.strip_prefix('x').and_then(|digits| digits.get(..2)),
        }?;
        if number(digits, 16) != Some(u32::from(*unit)) {
            return None;
        }
        rest = &rest[1 + digits.len()..];
    }
    Some(text.len() - rest.len())
}

/// Each byte of the character by its number, `xc3` or `303`: so do Python, PostgreSQL, Git and shells.
fn numbered_bytes(wanted: char, text: &str) -> Option<usize> {
    let mut bytes = [0; 4];
    let mut rest = text;
    for (index, byte) in wanted.encode_utf8(&mut bytes).bytes().enumerate() {
        if index > 0 {
            rest = behind_backslashes(wanted, rest)?;
        }
        let digits = rest.get(..3)?;
        let value = match digits.strip_prefix('x') {
            Some(digits) => number(digits, 16),
            None => number(digits, 8),
        };
        if value != Some(u32::from(byte)) {
            return None;
        }
        rest = &rest[3..];
    }
    Some(text.len() - rest.len())
}

/// What follows the backslashes with which a text must begin.
fn behind_backslashes(wanted: char, text: &str) -> Option<&str> {
    let slashes = backslashes(wanted, text);
    (slashes > 0).then(|| &text[slashes..])
}

/// As [`percent_encoded`]; a percent sign may be `%25` and `25`, or that encoded again.
fn percent(wanted: char, text: &str) -> Vec<usize> {
    if wanted != '%' {
        return percent_encoded(wanted, text).into_iter().collect();
    }
    let pairs = text.as_bytes().get(1..).unwrap_or_default().chunks(2);
    let times = pairs.take(LEVELS).take_while(|digits| *digits == b"25").count();
    (1..=times).map(|times| 1 + 2 * times).collect()
}

/// `%41`, and `%2541`, which is that encoded again. Each byte of the character, in any case.
fn percent_encoded(wanted: char, text: &str) -> Option<usize> {
    let mut bytes = [0; 4];
    let mut rest = text;
    for byte in wanted.encode_utf8(&mut bytes).bytes() {
        rest = rest.strip_prefix('%')?;
        while rest.starts_with("25") {
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
fn entity(wanted: char, text: &str) -> Vec<usize> {
    let name = match wanted {
        '&' => Some("amp;"),
        '<' => Some("lt;"),
        '>' => Some("gt;"),
        '"' => Some("quot;"),
        '\'' => Some("apos;"),
        '\u{a0}' => Some("nbsp;"),
        _ => None,
    };
    let mut lengths = Vec::new();
    let mut escaped = text.strip_prefix('&');
    for _ in 0..LEVELS {
        let Some(rest) = escaped else { break };
        let named = name.and_then(|name| rest.strip_prefix(name));
        let behind = named.or_else(|| behind_number(wanted, rest));
        lengths.extend(behind.map(|behind| text.len() - behind.len()));
        escaped = rest.strip_prefix("amp;").or_else(|| behind_number('&', rest));
    }
    lengths
}

/// What follows `#38;` or `#x26;`.
fn behind_number(wanted: char, text: &str) -> Option<&str> {
    let numbered = text.strip_prefix('#')?;
    let digits = digits_before(numbered, b';')?;
    let value = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => number(digits, 16),
        None => number(digits, 10),
    };
    (value == Some(wanted.into())).then(|| &numbered[digits.len() + 1..])
}

/// What stands before an end mark, if that comes soon: looking for it to the end of the text, at each of many beginnings,
/// would take time in the square of the text.
fn digits_before(text: &str, end: u8) -> Option<&str> {
    let length = text.bytes().take(LONGEST_NUMBER + 1).position(|byte| byte == end)?;
    text.get(..length)
}

fn number(digits: &str, radix: u32) -> Option<u32> {
    // Longer ones are no characters; a sign is none of the digits.
    let plain = digits.len() <= 8 && digits.chars().all(|digit| digit.is_digit(radix));
    plain.then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_the_end_of_a_number_is_looked_for_within_some_bytes_only() {
        assert_eq!(digits_before("x0001f600;", b';'), Some("x0001f600"));
        assert_eq!(digits_before("x00001f600;", b';'), None);
        assert_eq!(digits_before("é}", b'}'), Some("é"));
        assert_eq!(digits_before(&"u{".repeat(1000), b'}'), None);
        assert_eq!(lengths_of('A', "\\u{00000041}"), [12]);
        assert_eq!(lengths_of('A', "&#x00000041;"), [12]);
        assert!(lengths_of('A', &format!("\\u{{{}41}}", "0".repeat(100_000))).is_empty());
    }

    #[test]
    fn regression_all_lengths_that_fit_are_found() {
        for (wanted, text, expected) in [
            ('u', r"\u0075", vec![2, 6]),
            ('u', r"\\u{75}", vec![3, 7]),
            ('U', r"\U00000055", vec![2, 10]),
            ('x', r"\x78", vec![2, 4]),
            ('0', r"\060", vec![2, 4]),
            ('\\', r"\\u005c", vec![1, 2, 7]),
            ('\\', "%5C%5c", vec![3, 6]),
            ('"', r"\&quot;", vec![7]),
            ('"', "%5C%22", vec![6]),
            ('\u{1f600}', "%5Cud83d%5Cude00", vec![16]),
            ('%', "%252525", vec![1, 3, 5, 7]),
            ('%', r"\%5C", vec![2]),
            ('&', "&amp;amp;#38;", vec![1, 5, 9, 13]),
            ('g', r"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\g", vec![]),
        ] {
            let mut lengths = lengths_of(wanted, text);
            lengths.sort_unstable();
            lengths.dedup();
            assert_eq!(lengths, expected, "{wanted:?} in {text:?}");
        }
    }

    #[test]
    fn a_break_and_its_indentation_are_taken_to_some_length_only() {
        for (text, length) in [
            ("\nAB", 1),
            ("\r\n\t  AB", 5),
            ("\\n    AB", 6),
            ("\\\\r\\\\n\\\\tAB", 9),
            ("%0D%0A  AB", 8),
            ("&#10;AB", 5),
            ("%5Cr%5CnAB", 8),
            ("\n+AB", 1),
            ("  AB", 0),
            ("AB", 0),
        ] {
            assert_eq!(line_break(text), length, "{text:?}");
        }
        assert_eq!(line_break(&format!("\n{}", " ".repeat(1000))), LONGEST_BREAK);
        assert_eq!(line_break(&"\n".repeat(1000)), MOST_BREAKS);
        assert_eq!(line_break(&"\\n".repeat(1000)), 2 * MOST_BREAKS);
    }

    #[test]
    fn an_end_in_the_middle_of_an_escape_is_one_and_a_text_that_goes_on_is_none() {
        for rest in ["", "\u{fffd}", "\\", "\\xf0\\x9f\\x98\\x", "%F0%9F%98%8", "&am", "'\"'"] {
            assert!(may_be_cut_off('\'', rest), "{rest}");
        }
        assert!(!may_be_cut_off('a', "'\"'"));
        assert!(!may_be_cut_off('a', "b"));
        assert!(!may_be_cut_off('a', &"\u{fffd}".repeat(1000)));
    }
}
