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

/// Errors of SQL, single quotes of YAML, cells of CSV, and these in JSON.
#[test]
fn regression_doubled_quotes_are_seen_through() {
    let single = knowing("it's-a-l0ng'' secret'");
    for text in ["'it''s-a-l0ng'''' secret'''", "'it''s-a-l0ng%27%27&#39;&#39; secret'''"] {
        assert_eq!(single.conceal(text), "'<secret>'", "{text}");
    }
    let double = knowing(r#"say "hi" there"#);
    for text in [r#"say ""hi"" there"#, r#"say \"\"hi\"\" there"#, r#"say &quot;\"hi\"\" there"#] {
        assert_eq!(double.conceal(&format!("1,\"{text}\",2")), "1,\"<secret>\",2", "{text}");
    }
    let tripled = r#"say """hi" there"#;
    assert_eq!(double.conceal(tripled), tripled);
}

/// Bytes of Python, `bytea` of PostgreSQL, paths of Git, `printf %q` of bash.
#[test]
fn regression_bytes_that_are_written_by_their_numbers_are_seen_through() {
    let secrets = knowing("p\u{e4}\u{1f600}\\word");
    for text in [
        r"p\xc3\xa4\xf0\x9f\x98\x80\\word",
        r"p\303\244\360\237\230\200\134word",
        r"p\\xC3\\xA4\\xF0\\x9F\\x98\\x80\\x5Cword",
        r"\160\303\xa4\U0001F600\\word",
        r"p\xe4\ud83d\ude00\u005cword",
    ] {
        assert_eq!(secrets.conceal(&format!("b'{text}'")), "b'<secret>'", "{text}");
    }
    let other = r"p\xc3\xa5\xf0\x9f\x98\x80\\word";
    assert_eq!(secrets.conceal(other), other);
    let cut = r"it is p\xc3\xa4\xf0\x9f\x98\x8";
    assert_eq!(secrets.conceal_beginning(cut), "it is <secret>");
}

#[test]
fn regression_base64_that_is_wrapped_and_indented_leaves_nothing() {
    // A multiple of three: nothing of what it is encoded to depends on what follows.
    let secret = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
    let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
    let lines = [&encoded[..20], &encoded[20..40], &encoded[40..]];
    let secrets = knowing(secret);
    for between in ["\n        ", "\r\n\t", "\n\n  ", r"\n    ", r"\\n\\t", "%0A  ", "&#10; "] {
        let text = format!("key: |\n  {}\nnext: 1", lines.join(between));
        assert_eq!(secrets.conceal(&text), "key: |\n  <secret>\nnext: 1", "{between:?}");
    }
    let cut = format!("key: |\n  {}\n      ", lines[0]);
    assert_eq!(secrets.conceal_beginning(&cut), "key: |\n  <secret>");
}

#[test]
fn regression_hexadecimal_digits_are_recognised_in_any_mixture_of_small_and_capital_letters() {
    let secrets = knowing("jklmno*:/ZJKLMNO");
    for text in [
        "6a6b6c6d6e6f2a3a2f5a4a4b4c4d4e4f",
        "6A6B6C6D6E6F2A3A2F5A4A4B4C4D4E4F",
        "6A6b6C6d6E6f2A3a2F5a4A4b4C4d4E4f",
        "6%616b6C6d6E6f2A3a2F5a4A4b4C4d4E4%46",
    ] {
        assert_eq!(secrets.conceal(&format!("0x{text};")), "0x<secret>;", "{text}");
    }
    let other = "JKLMNO*:/Zjklmno";
    assert_eq!(secrets.conceal(other), other);
}

/// The escape itself reads as another character, too: `\u` as an escaped `u`.
#[test]
fn regression_all_readings_of_an_escape_are_followed() {
    let secrets = knowing(r"u-Unix\x0");
    for text in [
        r"\u0075\u002d\u0055\u006e\u0069\u0078\u005c\u0078\u0030",
        r"\u{75}\u{2d}\u{55}\u{6e}\u{69}\u{78}\u{5c}\u{78}\u{30}",
        r"\U00000075-\U00000055nix\U0000005c\U00000078\U00000030",
        r"\x75\x2d\x55\x6e\x69\x78\x5c\x78\x30",
        r"\165\055\125\156\151\170\134\170\060",
        r"u-Unix\\u005cx0",
        r"u-Unix\\\\u005cx0",
        r"\\u0075-\\u{55}nix\\\\x0",
    ] {
        assert_eq!(secrets.conceal(&format!("<{text}>")), "<<secret>>", "{text}");
    }
    let other = r"\u0074\u002d\u0055\u006e\u0069\u0078\u005c\u0078\u0030";
    assert_eq!(secrets.conceal(other), other);
}

/// JSON in HTML, JSON in an address, and what is escaped again by its own kind.
#[test]
fn regression_a_character_that_is_escaped_by_two_kinds_is_seen_through() {
    let secrets = knowing("pw\"a\\b'c\ne&f%g<\u{e9}\u{1f600}h");
    for text in [
        r"pw\&quot;a\\b&#39;c\ne&amp;f%g&lt;\u00e9\ud83d\ude00h",
        r"pw\\\&quot;a\\\\b\&#x27;c\\ne&amp;f%g&lt;\\u00e9\\ud83d\\ude00h",
        "pw%5C%22a%5C%5Cb%27c%5Cne%26f%25g%3C%5Cu00e9%5cud83d%5cude00h",
        "pw%5C%22a%5C%5Cb%5C%27c%5Cne%26f%25g%3C%5Cxc3%5Cxa9%5Cxf0%5Cx9f%5Cx98%5Cx80h",
        "pw%255C%2522a%255C%255Cb%2527c%255Cne%2526f%2525g%253C%255Cu00e9%255cud83d%255cude00h",
        "pw%22a%5Cb%27c%0Ae%26f%252525g%3C%C3%A9%F0%9F%98%80h",
        "pw&#38;quot;a\\b&#38;#39;c\ne&amp;#38;f%g&#38;lt;&amp;#233;\u{1f600}h",
    ] {
        assert_eq!(secrets.conceal(&format!("<{text}>")), "<<secret>>", "{text}");
    }
    let other = r"pw\&lt;a\\b&#39;c\ne&amp;f%g&lt;\u00e8\ud83d\ude00h";
    assert_eq!(secrets.conceal(other), other);
}

#[test]
fn regression_quotes_inside_of_quotes_are_seen_through_when_they_are_escaped() {
    let secrets = knowing("it's a l0ng secret");
    for quote in
        [r"'\''", r"'\\''", r#"'"'"'"#, r#"'\"'\"'"#, "&#39;\\&#39;&#39;", "''''", r#"'"'"''"'"'"#]
    {
        let text = format!("'it{quote}s a l0ng secret'");
        assert_eq!(secrets.conceal(&text), "'<secret>'", "{text}");
    }
    assert_eq!(secrets.conceal_beginning(r"echo 'it'\\"), "echo '<secret>");
}

/// A longer row is read as the last of its backslashes.
#[test]
fn regression_a_row_of_backslashes_is_read_from_its_end() {
    let secrets = knowing("\"swordfish\"");
    let text = r"\".repeat(36) + "\"swordfish" + &r"\".repeat(32) + "\"";
    assert_eq!(secrets.conceal(&text), r"\\\\<secret>");
    let secrets = knowing(r"\\server\share");
    assert_eq!(secrets.conceal(r"C:\\\\server\\share"), "C:<secret>");
}

/// Each of them was followed to the end of the text: minutes for 1 MiB.
#[test]
fn regression_a_text_full_of_beginnings_of_escapes_takes_no_time_in_its_square() {
    let secrets = knowing("swordfish and chips");
    for (beginning, times) in [
        (r"\u{", 200_000),
        ("&#", 200_000),
        ("&#x", 20_000),
        ("&amp;", 20_000),
        ("&amp;#", 20_000),
        ("%25", 20_000),
        (r"s\", 20_000),
        ("s'", 20_000),
        ("s\n", 20_000),
    ] {
        let text = beginning.repeat(times) + ": ";
        let concealed = secrets.conceal(&format!("{text}swordfish and chips"));
        assert!(concealed == format!("{text}<secret>"), "{beginning:?}");
    }
    let text = "sw".repeat(20_000) + &"\u{fffd}".repeat(60_000);
    assert!(secrets.conceal_beginning(&text) == text);
    // Each place was read three times, as far as 32 backslashes go; and one form of a secret with a `g` in front begins with
    // an `n`, so that there were 64 bytes of line breaks to read behind each one of these. That is for who watches the time.
    let secrets = knowing("good fish and chips");
    for (beginning, times) in
        [(r"\", 100_000), (r"\n", 100_000), ("%5C", 20_000), ("%255C", 20_000), ("n\n", 20_000)]
    {
        let text = beginning.repeat(times) + ": ";
        let concealed = secrets.conceal(&format!("{text}good fish and chips"));
        assert!(concealed == format!("{text}<secret>"), "{beginning:?}");
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
