//! Text from elsewhere (data, scenarios, answers of services), shown so that it cannot pretend to be something else: it cannot
//! move the cursor of a terminal, end a paste, or turn the direction of what stands beside it.

/// True for characters that are not seen, and can make text look like another: controls, the marks of bidirectional text,
/// what takes no room or only varies what stands before it, and what XML cannot hold.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{34f}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Text with what is hidden as visible escapes, except for characters that may stay.
pub fn visible(text: &str, may_stay: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    // What stays as it is directly before; behind an escape that is nothing.
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let after = characters.peek().copied();
        let stays = may_stay.contains(&character)
            || joins(before, character, after)
            || varies(before, character, after);
        before = if is_hidden(character) && !stays {
            shown.extend(character.escape_unicode());
            None
        } else {
            shown.push(character);
            Some(character)
        };
    }
    shown
}

/// Whether a character is a joiner between two letters of a script that is written with it, or between two signs that make one:
/// Persian, the scripts of India and many emoji cannot do without.
fn joins(before: Option<char>, character: char, after: Option<char>) -> bool {
    matches!(character, '\u{200c}' | '\u{200d}')
        && before.is_some_and(|before| takes_marks(before) || is_selector(before))
        && after.is_some_and(takes_marks)
}

/// Whether a character selects a variant of the one before it, where there are variants: emoji, the characters of Japanese names.
fn varies(before: Option<char>, character: char, after: Option<char>) -> bool {
    let is_keycap = character == '\u{fe0f}' && after == Some('\u{20e3}');
    let has_variants = |one: char| match one {
        '0'..='9' | '#' | '*' => is_keycap,
        '©' | '®' | '\u{203c}' | '\u{2049}' => true,
        _ => takes_marks(one),
    };
    is_selector(character) && before.is_some_and(has_variants)
}

fn is_selector(character: char) -> bool {
    matches!(
        character,
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Letters of scripts that are written with joiners or have variants, and emoji. Latin, Greek and Cyrillic letters look the same
/// with and without.
fn takes_marks(character: char) -> bool {
    matches!(character, '\u{600}'..='\u{1dff}' | '\u{20d0}'..)
        && !is_hidden(character)
        && !character.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_whatever_is_not_seen_is_shown() {
        for hidden in "\u{0}\u{7}\u{1b}\r\u{7f}\u{9b}\u{ad}\u{61c}\u{200d}\u{2029}\u{202e}\u{2060}\u{2064}\u{2066}\u{fe0f}\u{feff}\u{fffe}\u{ffff}\u{e0041}\u{e0100}"
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
    fn regression_a_joiner_between_letters_that_look_the_same_without_it_is_shown() {
        for (one, other) in
            [("é", "è"), ("π", "ά"), ("с", "а"), ("ế", "ệ"), ("–", "–"), ("é", "می")]
        {
            for joiner in ['\u{200c}', '\u{200d}'] {
                let shown = format!("{one}{}{other}", joiner.escape_unicode());
                assert_eq!(visible(&format!("{one}{joiner}{other}"), &[]), shown);
            }
        }
    }

    #[test]
    fn regression_a_variation_selector_that_varies_nothing_is_shown() {
        for (hiding, shown) in [
            ("pass\u{fe0f}ed", "pass\\u{fe0f}ed"),
            ("passé\u{fe00}", "passé\\u{fe00}"),
            ("1\u{fe0f}2", "1\\u{fe0f}2"),
            ("с\u{e0100}", "с\\u{e0100}"),
            ("a\u{180b}b\u{180f}", "a\\u{180b}b\\u{180f}"),
            ("\u{3000}\u{fe0f}", "\u{3000}\\u{fe0f}"),
            // Text can be hidden in a row of them.
            ("🙂\u{fe0f}\u{e0141}\u{e0142}", "🙂\u{fe0f}\\u{e0141}\\u{e0142}"),
            ("👩\u{200d}\u{fe0f}", "👩\\u{200d}\\u{fe0f}"),
        ] {
            assert_eq!(visible(hiding, &[]), shown);
        }
    }

    #[test]
    fn what_selects_a_variant_of_a_sign_or_of_the_character_of_a_name_is_part_of_it() {
        for text in [
            "⚠\u{fe0f} 1\u{fe0f}\u{20e3} ©\u{fe0f} ‼\u{fe0f} ❤\u{fe0e}",
            "🏳\u{fe0f}\u{200d}🌈 👩🏽\u{200d}⚕\u{fe0f}",
            "葛\u{e0100}城市 渡邉\u{e0101}様",
            "ᠠ\u{180b}",
        ] {
            assert_eq!(visible(text, &[]), text);
        }
    }

    #[test]
    fn what_is_seen_and_what_may_stay_is_left_alone() {
        let text = "Grüße, 名前\u{3000}様\n18\u{202f}204 – 🙂";
        assert_eq!(visible(text, &['\n']), text);
        assert_eq!(visible("a\nb\tc", &['\t']), "a\\u{a}b\tc");
    }
}
