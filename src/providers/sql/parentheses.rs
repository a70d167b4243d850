//! Which words of a statement belong together by parentheses. Pure.

/// The words that are in no parentheses, with their places. Parentheses themselves are not among them; one that closes nothing
/// is passed over.
pub(super) fn outside<'a, 'w>(words: &'a [&'w str]) -> impl Iterator<Item = (usize, &'w str)> + 'a {
    let mut depth = 0_u32;
    words.iter().enumerate().filter_map(move |(at, word)| match *word {
        "(" => {
            depth += 1;
            None
        }
        ")" => {
            depth = depth.saturating_sub(1);
            None
        }
        word => (depth == 0).then_some((at, word)),
    })
}

/// What stands between the parenthesis at the beginning and the one that belongs to it, and what is behind that. `None` when
/// there is none at the beginning, or none that belongs to it.
pub(super) fn split<'a, 'w>(words: &'a [&'w str]) -> Option<(&'a [&'w str], &'a [&'w str])> {
    let (_, behind) = words.split_first().filter(|(first, _)| **first == "(")?;
    let mut depth = 1_u32;
    for (at, word) in behind.iter().enumerate() {
        match *word {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&behind[..at], &behind[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn words_outside_are_those_at_no_depth() {
        let of = |text: &str| {
            let words = words(text);
            outside(&words).map(|(at, word)| format!("{at} {word}")).collect::<Vec<_>>()
        };
        assert_eq!(of("a ( b ( c ) d ) e"), ["0 a", "8 e"]);
        assert_eq!(of(") a ( b"), ["1 a"]);
        assert!(of("").is_empty());
    }

    #[test]
    fn a_parenthesis_ends_where_its_own_does_or_nowhere() {
        let words_of = words("( a ( b ) ) c (");
        let (within, behind) = split(&words_of).unwrap();
        assert_eq!((within, behind), (&words("a ( b )")[..], &words("c (")[..]));
        for none in ["", "a ( b )", "( a ( b )", ")"] {
            assert_eq!(split(&words(none)), None, "{none}");
        }
        assert_eq!(split(&words("( )")), Some((&[][..], &[][..])));
    }
}
