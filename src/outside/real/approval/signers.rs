//! Whose a key is, as the file of allowed signers says it. OpenSSH stops at the first line that has the key; here every line counts, so
//! that an operator does not become another person by a second name.

use crate::limits;
use crate::outside::is_same_person;
use std::io;
use std::path::Path;

/// Who signed, as the file of allowed signers calls the key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signer {
    /// Principals by which the signature is good: names, and patterns of names.
    pub(super) principals: Vec<String>,
    /// Every name that a line gives the key, also those that are for something else or not good any more.
    pub(super) names: Vec<String>,
    /// The key's fingerprint.
    pub(super) key: String,
}

impl Signer {
    /// What stands in the journal: every name by which the signature is good, the patterns only where there is none; then every other
    /// name of the key, so that it is held against whoever goes on with the run by that one.
    pub(super) fn by(&self) -> String {
        let good = self.good();
        let others = self.names.iter().map(String::as_str).filter(|name| !good.contains(name));
        good.iter().copied().chain(others).collect::<Vec<_>>().join(", ")
    }

    /// Names by which the signature is good, or the patterns where there is none.
    fn good(&self) -> Vec<&str> {
        let (patterns, names): (Vec<&str>, Vec<&str>) =
            self.principals.iter().map(String::as_str).partition(|name| is_pattern(name));
        if names.is_empty() { patterns } else { names }
    }

    /// Why this may be one of those who must not answer; `None` when it is somebody else.
    pub(super) fn why_not(&self, not: &[String], file: &str) -> Option<String> {
        let key = &self.key;
        let is_one = |name: &&String| not.iter().any(|not| is_same_person(not, name));
        if let Some(name) = self.names.iter().chain(&self.principals).find(is_one) {
            return Some(match self.good().join(", ") {
                by if by == *name => {
                    format!("{name} is an operator of the run, who may not answer")
                }
                by => format!(
                    "{by} is {name}, too: {file} gives both names to the key {key}, and {name} is an operator of the run, who may not answer"
                ),
            });
        }
        let pattern =
            self.principals.iter().find(|name| is_pattern(name)).filter(|_| !not.is_empty())?;
        Some(format!(
            "{file} gives the key {key} to {pattern:?}, which is a pattern and no name, so it does not show that somebody else than {} has \
             signed: write the person's name there",
            not.join(" and ")
        ))
    }
}

/// True for a principal that stands for many, or for nobody (`man ssh_config`, PATTERNS).
pub(super) fn is_pattern(principal: &str) -> bool {
    principal.contains(['*', '?', '!'])
}

/// The lines of a file of allowed signers, without empty ones and comments. Each is judged by OpenSSH by itself.
///
/// # Errors
/// When it cannot be read, or has more lines than are judged.
pub(super) fn lines(file: &str) -> io::Result<Vec<String>> {
    let bytes = limits::read_file(Path::new(file), limits::FILE_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.len() > limits::ALLOWED_SIGNERS {
        let text = format!("it has {} lines; the most is {}", lines.len(), limits::ALLOWED_SIGNERS);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(lines)
}

/// A line that is good for some time only, without that time: a name is one of a person also when it is not good any more.
pub(super) fn without_its_time(line: &str) -> Option<String> {
    let fields = fields(line);
    let (principals, options, key) = match &*fields {
        [principals, options, key @ ..] if key.len() >= 2 => (principals, options, key),
        _ => return None,
    };
    let options = options.to_ascii_lowercase();
    if !options.contains("valid-after") && !options.contains("valid-before") {
        return None;
    }
    let authority = options.split(',').any(|option| option == "cert-authority");
    let authority = if authority { "cert-authority " } else { "" };
    Some(format!("{principals} {authority}{}", key.join(" ")))
}

/// The fields of a line: separated by white space, except inside of quotes.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut is_quoted) = (Vec::new(), String::new(), false);
    for char in line.chars() {
        is_quoted ^= char == '"';
        if char.is_ascii_whitespace() && !is_quoted {
            fields.extend(Some(std::mem::take(&mut field)).filter(|field| !field.is_empty()));
        } else {
            field.push(char);
        }
    }
    fields.extend(Some(field).filter(|field| !field.is_empty()));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(principals: &[&str], names: &[&str]) -> Signer {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Signer { principals: owned(principals), names: owned(names), key: "SHA256:x".to_owned() }
    }

    fn why_not(principals: &[&str], names: &[&str], not: &[&str]) -> String {
        let not: Vec<String> = not.iter().map(|name| (*name).to_owned()).collect();
        signer(principals, names).why_not(&not, "approvers").unwrap_or_default()
    }

    #[test]
    fn regression_every_name_of_a_key_is_held_against_those_who_must_not_answer() {
        assert_eq!(why_not(&["anna@example.com"], &["anna@example.com"], &["bert"]), "");
        let own = why_not(&["bert"], &["bert"], &["Bert"]);
        assert_eq!(own, "bert is an operator of the run, who may not answer");
        let second = why_not(&["oncall", "bert"], &["oncall", "bert"], &["carl", "bert"]);
        assert!(second.starts_with("oncall, bert is bert, too: approvers gives both"), "{second}");
        // The line that names him is for something else, or was good until last year.
        let elsewhere = why_not(&["oncall"], &["oncall", "bert@example.com"], &["bert"]);
        assert!(elsewhere.starts_with("oncall is bert@example.com, too"), "{elsewhere}");
    }

    #[test]
    fn regression_a_pattern_shows_nobody_to_be_another_person() {
        for pattern in ["*@example.com", "ann?", "!bert", "*"] {
            for principals in [&[pattern][..], &["anna", pattern]] {
                let why = why_not(principals, &[], &["bert"]);
                assert!(why.contains("is a pattern and no name"), "{why}");
                assert!(why.contains("write the person's name there"), "{why}");
            }
            assert_eq!(why_not(&[pattern], &[], &[]), "", "where anybody may answer");
        }
    }

    #[test]
    fn all_names_of_a_key_are_written_down_and_patterns_only_without_one() {
        assert_eq!(signer(&["*@example.com", "anna", "oncall"], &[]).by(), "anna, oncall");
        assert_eq!(signer(&["*@example.com"], &[]).by(), "*@example.com");
        assert!(is_same_person("oncall", &signer(&["anna", "oncall"], &[]).by()));
    }

    #[test]
    fn regression_names_of_lines_that_have_expired_are_written_down_too() {
        let by = signer(&["oncall"], &["bert", "oncall"]).by();
        assert_eq!(by, "oncall, bert");
        assert!(is_same_person("bert", &by));
        assert_eq!(signer(&["*@example.com"], &["bert"]).by(), "*@example.com, bert");
    }

    #[test]
    fn a_line_is_read_without_the_time_for_which_it_is_good() {
        let key = "ssh-ed25519 AAAA a comment";
        for (line, expected) in [
            (format!("bert valid-before=\"20200101\" {key}"), Some(format!("bert {key}"))),
            (
                format!(
                    "\"b, c\" cert-authority,Valid-After=\"20300101\",namespaces=\"a, b\" {key}"
                ),
                Some(format!("\"b, c\" cert-authority {key}")),
            ),
            (format!("bert namespaces=\"git\" {key}"), None),
            (format!("bert {key}"), None),
            ("valid-before".to_owned(), None),
        ] {
            assert_eq!(without_its_time(&line), expected, "{line}");
        }
    }

    #[test]
    fn a_file_of_too_many_signers_is_not_judged() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let line = "anna ssh-ed25519 AAAA\n# a comment\n\n";
        std::fs::write(path, line.repeat(limits::ALLOWED_SIGNERS)).unwrap();
        assert_eq!(lines(path).unwrap().len(), limits::ALLOWED_SIGNERS);
        std::fs::write(path, line.repeat(limits::ALLOWED_SIGNERS + 1)).unwrap();
        assert!(lines(path).unwrap_err().to_string().contains("1001 lines; the most is 1000"));
    }
}
