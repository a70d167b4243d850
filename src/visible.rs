//! Text from elsewhere (data, scenarios, answers of services), shown so that it cannot pretend to be something else: it cannot
//! move the cursor of a terminal, end a paste, or turn the direction of what stands beside it.

/// True for characters that are not seen, and can make text look like another: controls, the marks of bidirectional text,
/// what takes no room, and what XML cannot hold.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{34f}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Text with what is hidden as visible escapes, except for characters that may stay.
pub fn visible(text: &str, may_stay: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let stays =
            may_stay.contains(&character) || joins(before, character, characters.peek().copied());
        if is_hidden(character) && !stays {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
        before = Some(character);
    }
    shown
}

/// Whether a character is a joiner between two letters of a script that is written with it, or between two signs that make one:
/// Persian, the scripts of India and many emoji cannot do without.
fn joins(before: Option<char>, character: char, after: Option<char>) -> bool {
    let is_written_with_it =
        |other: Option<char>| other.is_some_and(|other| !other.is_ascii() && !is_hidden(other));
    matches!(character, '\u{200c}' | '\u{200d}')
        && is_written_with_it(before)
        && is_written_with_it(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_whatever_is_not_seen_is_shown() {
        for hidden in "\u{0}\u{7}\u{1b}\r\u{7f}\u{9b}\u{ad}\u{61c}\u{200d}\u{2029}\u{202e}\u{2060}\u{2064}\u{2066}\u{feff}\u{fffe}\u{ffff}\u{e0041}"
            .chars()
        {
            let shown = visible(&format!("a{hidden}b"), &['\n']);
            assert_eq!(shown, format!("a{}b", hidden.escape_unicode()));
        }
    }

    #[test]
    fn what_joins_letters_that_are_not_latin_is_part_of_them() {
        let text = "می\u{200c}خواهم 👩\u{200d}👧";
        assert_eq!(visible(text, &[]), text);
        for (hiding, shown) in [
            ("pass\u{200d}ed", "pass\\u{200d}ed"),
            ("می\u{200c}", "می\\u{200c}"),
            ("می\u{200c}\u{200c}خ", "می\\u{200c}\\u{200c}خ"),
        ] {
            assert_eq!(visible(hiding, &[]), shown);
        }
    }

    #[test]
    fn what_is_seen_and_what_may_stay_is_left_alone() {
        let text = "Grüße, 名前\u{3000}様\n18\u{202f}204 – 🙂";
        assert_eq!(visible(text, &['\n']), text);
        assert_eq!(visible("a\nb\tc", &['\t']), "a\\u{a}b\tc");
    }
}
