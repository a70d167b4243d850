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
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Text with what is hidden as visible escapes, except for characters that may stay.
pub fn visible(text: &str, may_stay: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) && !may_stay.contains(&character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
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
    fn what_is_seen_and_what_may_stay_is_left_alone() {
        let text = "Grüße, 名前\n18\u{202f}204 – 🙂";
        assert_eq!(visible(text, &['\n']), text);
        assert_eq!(visible("a\nb\tc", &['\t']), "a\\u{a}b\tc");
    }
}
