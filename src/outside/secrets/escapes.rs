/// With what an escaped character can begin.
pub(super) const ESCAPES: [u8; 5] = *b"\\%&+'";

/// The ways to write a quote inside of quotes in a shell.
const QUOTED: [&str; 2] = ["'\\''", "'\"'\"'"];

/// How much of a text is looked at for an escape that a limit has cut through: those of a character of four bytes are the
/// longest.
const LONGEST_ESCAPE: usize = 20;

/// How much of a text a line break may take, with the indentation behind it.
const LONGEST_BREAK: usize = 64;

/// An `x` and eight digits: longer ones are no characters.
const LONGEST_NUMBER: usize = 9;

/// How many bytes of a text are this character: as it is, and by each kind of escape.
pub(super) fn lengths_of(wanted: char, text: &str) -> [Option<usize>; 4] {
    let plain = text.starts_with(wanted).then(|| wanted.len_utf8());
    match text.as_bytes().first() {
        Some(b'\\') => [plain, after_backslash(wanted, text), numbered_bytes(wanted, text), None],
        Some(b'%') => [plain, percent(wanted, text), None, None],
        Some(b'&') => [plain, entity(wanted, text), None, None],
        // A form's space.
        Some(b'+') if wanted == ' ' => [plain, Some(1), None, None],
        Some(b'\'') if wanted == '\'' => {
            let longer = |quoted: &str| text.starts_with(quoted).then_some(quoted.len());
            [plain, longer(QUOTED[0]), longer(QUOTED[1]), None]
        }
        _ => [plain, None, None, None],
    }
}

/// True when what is left is nothing, what a cut character has become, or the beginning of an escape.
pub(super) fn may_be_cut_off(wanted: char, rest: &str) -> bool {
    if rest.len() > LONGEST_ESCAPE {
        return false;
    }
    let rest = rest.trim_end_matches('\u{fffd}');
    let is_quoted = || wanted == '\'' && QUOTED.iter().any(|quoted| quoted.starts_with(rest));
    rest.is_empty() || rest.starts_with(['\\', '%', '&']) || is_quoted()
}

/// The length of line breaks, written or escaped, and of the indentation behind them.
pub(super) fn line_break(text: &str) -> usize {
    let mut end = 0;
    while end < LONGEST_BREAK {
        let rest = &text[end..];
        let written = |wanted: char| lengths_of(wanted, rest).into_iter().flatten().max();
        // A space as it is: `+` is a character of base64.
        let space = || rest.starts_with(' ').then_some(1).or_else(|| written('\t'));
        let broken = written('\n').or_else(|| written('\r'));
        let Some(length) = broken.or_else(|| space().filter(|_| end > 0)) else { break };
        end += length;
    }
    end
}

/// `\"`, `\n`, `\u0022`, `\u{22}`, `\U00000022`, `\x22`, and each of them escaped again.
fn after_backslash(wanted: char, text: &str) -> Option<usize> {
    let slashes = backslashes(text);
    if wanted == '\\' && slashes > 1 {
        // Half of them, at least, are the escapes of the other half.
        return Some(2);
    }
    let rest = &text[slashes..];
    let first = rest.chars().next();
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
    let is_wanted = |digits: &str| number(digits, 16) == Some(wanted.into());
    if let Some(braced) = rest.strip_prefix("u{") {
        let digits = digits_before(braced, b'}')?;
        return is_wanted(digits).then(|| slashes + digits.len() + 3);
    }
    if let Some(digits) = rest.strip_prefix('U').and_then(|digits| digits.get(..8)) {
        return is_wanted(digits).then_some(slashes + 9);
    }
    units(wanted, text)
}

/// `\u0022` and `\x22`; `\ud83d\ude00` is one character.
fn units(wanted: char, text: &str) -> Option<usize> {
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

/// Each byte of the character by its number, `\xc3` or `\303`: so do Python, PostgreSQL, Git and shells.
fn numbered_bytes(wanted: char, text: &str) -> Option<usize> {
    let mut bytes = [0; 4];
    let mut rest = text;
    for byte in wanted.encode_utf8(&mut bytes).bytes() {
        let slashes = backslashes(rest);
        let digits = rest[slashes..].get(..3).filter(|_| slashes > 0)?;
        let value = match digits.strip_prefix('x') {
            Some(digits) => number(digits, 16),
            None => number(digits, 8),
        };
        if value != Some(u32::from(byte)) {
            return None;
        }
        rest = &rest[slashes + digits.len()..];
    }
    Some(text.len() - rest.len())
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
    let numbered = rest.strip_prefix('#')?;
    let digits = digits_before(numbered, b';')?;
    let value = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => number(digits, 16),
        None => number(digits, 10),
    };
    let after = numbered.len() - digits.len() - 1;
    (value == Some(wanted.into())).then(|| text.len() - after)
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
        assert_eq!(lengths_of('A', "\\u{00000041}")[1], Some(12));
        assert_eq!(lengths_of('A', "&#x00000041;")[1], Some(12));
        assert_eq!(lengths_of('A', &format!("\\u{{{}41}}", "0".repeat(100_000))), [None; 4]);
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
            ("\n+AB", 1),
            ("  AB", 0),
            ("AB", 0),
        ] {
            assert_eq!(line_break(text), length, "{text:?}");
        }
        assert_eq!(line_break(&format!("\n{}", " ".repeat(1000))), LONGEST_BREAK);
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
