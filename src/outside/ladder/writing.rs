//! How names, definitions and values are written, whatever the server. Pure.

use crate::ids::Digest;

/// Names in a list, each quoted.
pub(crate) fn quoted_list(names: &[String], quoted: impl Fn(&str) -> String) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// A long definition, by its digest. White space at its ends means nothing.
pub(crate) fn hashed(definition: &str) -> String {
    Digest::of(definition.trim().as_bytes()).to_string()
}

/// Boundaries between whole numbers from `least` to `most`, at most `parts` parts. They stand on round numbers, so that they
/// tell little of the keys, and are the same tomorrow.
pub(crate) fn grid(least: i64, most: i64, parts: u32) -> Vec<String> {
    // Around zero there are always two.
    if parts < 2 {
        return Vec::new();
    }
    let (least, most) = (i128::from(least), i128::from(most));
    let mut width = 1_i128;
    while most.div_euclid(width) - least.div_euclid(width) + 1 > i128::from(parts) {
        // 1, 2, 5, 10, 20, …
        width = if width.to_string().starts_with('2') { width * 5 / 2 } else { width * 2 };
    }
    let first = least.div_euclid(width) + 1;
    let last = most.div_euclid(width);
    (first..=last).map(|step| (step * width).to_string()).collect()
}

/// A value in the text format of PostgreSQL's `COPY`, at the end of `line`.
pub(crate) fn copy_text(line: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else {
        line.extend_from_slice(b"\\N");
        return;
    };
    for byte in value {
        let escaped = match byte {
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0b => b'v',
            0x0c => b'f',
            plain => {
                line.push(*plain);
                continue;
            }
        };
        line.extend_from_slice(&[b'\\', escaped]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_stands_on_round_numbers_and_has_no_more_parts_than_asked_for() {
        assert_eq!(grid(1, 1_000_000, 4), ["500000", "1000000"]);
        assert_eq!(grid(1, 100, 16), ["10", "20", "30", "40", "50", "60", "70", "80", "90", "100"]);
        assert_eq!(grid(-7, 7, 4), ["-5", "0", "5"]);
        assert!(grid(5, 5, 16).is_empty());
        for (least, most) in [(i64::MIN, i64::MAX), (0, 3), (-1, 1), (17, 123_456_789)] {
            for parts in [1, 2, 7, 16, 1_000] {
                assert!(grid(least, most, parts).len() <= parts as usize, "{least} {most} {parts}");
            }
        }
    }

    #[test]
    fn text_of_copy_tells_null_from_text_and_columns_apart() {
        let mut line = Vec::new();
        copy_text(&mut line, None);
        line.push(b'\t');
        copy_text(&mut line, Some(b"a\tb\\N\n"));
        assert_eq!(line, b"\\N\ta\\tb\\\\N\\n");
    }
}
