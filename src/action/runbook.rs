use crate::ids::Digest;
use crate::time::HumanDuration;
use crate::visible::is_hidden;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a person does by hand what an action does. Written by the action, rendered by the runbook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByHand {
    /// Shell commands (POSIX sh), in order. What later steps need is kept in the variables that [`HandInput::sets`] names.
    pub commands: Vec<String>,
    /// What follows the commands: blocks and sentences, as in [`ByHand::verify`]. What is done with the credentials of another
    /// site is a block of its own, behind a sentence that names the site.
    pub then: Vec<String>,
    /// What should be seen.
    pub expected: String,
    /// How to verify it: commands or looks.
    pub verify: Vec<String>,
    /// What to do when it fails: sentences, and commands as in [`ByHand::verify`]. In a sentence, what may be pasted stands
    /// between backticks.
    pub if_it_fails: Vec<String>,
    /// What must be there before the first step: a host, a program of one's own. One sentence each.
    pub needs: Vec<String>,
    /// What else belongs to the step: how to clean up behind it, how to use what it gave.
    pub sections: Vec<HandSection>,
    /// Commands that remove what the step has made, when the recovery is given up, and sentences between them. They must spare
    /// everything else.
    pub remove: Vec<String>,
}

/// A further part of a step in a runbook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandSection {
    /// What it is about, without a full stop: `Always, when this step is done`.
    pub title: String,
    /// Commands or sentences, in order, as in [`ByHand::verify`].
    pub parts: Vec<String>,
}

/// The input of a step as a runbook sees it: values, and shell variables where a value comes from an earlier step.
#[derive(Clone, Debug)]
pub struct HandInput {
    step: String,
    region: Option<String>,
    with: Value,
    expect: BTreeMap<String, String>,
    scenario: String,
    limit: HumanDuration,
    at: Option<String>,
    regions: BTreeMap<String, String>,
}

/// The limit of a step that nobody has given.
const USUAL_LIMIT: HumanDuration = HumanDuration(Duration::from_secs(3600));

/// How long the part of a name may be that says scenario and step: RDS takes 63 characters, of which a verb, a time and the
/// number of a member need the rest.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBClusterFromSnapshot.html>
const SLUG_LIMIT: usize = 36;

impl HandInput {
    /// For the runbook only. `with` has every reference to a step replaced by the mark of [`HandInput::variable_mark`].
    pub fn new(
        step: &str,
        region: Option<&str>,
        with: Value,
        expect: BTreeMap<String, String>,
    ) -> Self {
        let (step, region) = (step.to_owned(), region.map(str::to_owned));
        let (scenario, regions) = (String::new(), BTreeMap::new());
        Self { step, region, with, expect, scenario, limit: USUAL_LIMIT, at: None, regions }
    }

    /// The site of the step, and the regions of all sites of the scenario by their names.
    #[must_use]
    pub fn among(mut self, at: Option<&str>, regions: BTreeMap<String, String>) -> Self {
        self.at = at.map(str::to_owned);
        self.regions = regions;
        self
    }

    /// The name of the step's site.
    pub fn site(&self) -> Option<&str> {
        self.at.as_deref()
    }

    /// The region of the site that an input names (`replica_at`), as a shell word. `None` when there is no such site.
    pub fn region_of(&self, path: &str) -> Option<String> {
        let region = self.regions.get(self.value(path)?.as_str()?);
        region.map(|region| quote(region))
    }

    /// The scenario that the step is of, for the names of what is made by hand: runbooks are followed side by side.
    #[must_use]
    pub fn of_scenario(mut self, name: &str) -> Self {
        name.clone_into(&mut self.scenario);
        self
    }

    /// How long the step may take.
    #[must_use]
    pub fn at_most(mut self, limit: HumanDuration) -> Self {
        self.limit = limit;
        self
    }

    /// How long the step may take: what is waited for by hand is given up then.
    pub fn limit(&self) -> HumanDuration {
        self.limit
    }

    /// How a reference to an output of a step is written into `with`: the name of its shell variable between marks.
    pub fn variable_mark(step: &str, output: &str) -> String {
        format!("\u{1}{}\u{2}", variable(step, output))
    }

    /// The name of the shell variable that holds an output of this step: `RESTORE_ENDPOINT`.
    pub fn sets(&self, output: &str) -> String {
        variable(&self.step, output)
    }

    /// The region of the step's site, as a shell word; a placeholder when the step has none.
    pub fn region(&self) -> String {
        self.region.as_deref().map_or_else(|| "\"$AWS_REGION\"".to_owned(), quote)
    }

    /// An input as one shell word: quoted text, or the variable that holds it. `None` when it is not given.
    /// Nested inputs by a path of names with dots: `credentials.secret`.
    pub fn word(&self, path: &str) -> Option<String> {
        self.value(path).map(|value| match value {
            Value::String(text) => quote(text),
            other => quote(&other.to_string()),
        })
    }

    /// Scenario and step, as part of the name of what is made by hand: lower-case letters, digits and single hyphens, at most
    /// 36 of them. Two steps make two things, also when their names are long: then it ends in a digest of them.
    pub fn slug(&self) -> String {
        let whole = format!("{}-{}", self.scenario, self.step);
        let plain = |c: char| c.is_ascii_alphanumeric();
        let words = whole.split(|c| !plain(c)).filter(|word| !word.is_empty());
        let mut slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
        if slug.len() > SLUG_LIMIT {
            let digest = Digest::of(whole.as_bytes()).short(8);
            slug.truncate(SLUG_LIMIT - digest.len() - 1);
            slug = format!("{}-{digest}", slug.trim_end_matches('-'));
        }
        slug
    }

    /// The members of a list input, each as one shell word, separated by spaces. A list that comes from a step as a whole
    /// is left to the shell to split, so that its members must hold no spaces. `None` when it is not given.
    pub fn words(&self, path: &str) -> Option<String> {
        self.value(path).map(|value| match value {
            Value::Array(items) => {
                let words = items.iter().map(|item| match item {
                    Value::String(text) => quote(text),
                    other => quote(&other.to_string()),
                });
                words.collect::<Vec<_>>().join(" ")
            }
            Value::String(text) => whole_variable(text).unwrap_or_else(|| quote(text)),
            other => quote(&other.to_string()),
        })
    }

    /// An input as it stands, marks included.
    pub fn value(&self, path: &str) -> Option<&Value> {
        let found = path.split('.').try_fold(&self.with, |value, name| value.get(name))?;
        (!found.is_null()).then_some(found)
    }

    /// Text that may hold marks, as one shell word.
    pub fn quote(text: &str) -> String {
        quote(text)
    }

    /// What the scenario expects of the step's outputs: name and expectation as text.
    pub fn expectations(&self) -> &BTreeMap<String, String> {
        &self.expect
    }
}

fn variable(step: &str, output: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{step}_{output}").chars().map(plain).collect()
}

/// Text that is one mark and nothing else, as a variable that the shell splits into words.
fn whole_variable(text: &str) -> Option<String> {
    let name = text.strip_prefix('\u{1}')?.strip_suffix('\u{2}')?;
    (!name.contains(['\u{1}', '\u{2}'])).then(|| format!("${{{name}{UNLESS_SET}}}"))
}

/// A variable that is not set, or empty because a command has failed, ends the command: no default host is asked in its place.
const UNLESS_SET: &str = ":?";

/// What would move the cursor or end the paste when it is pasted, or is not seen by who reads it before. Lines may break.
fn is_unsafe_to_paste(character: char) -> bool {
    is_hidden(character) && !['\n', '\t'].contains(&character)
}

/// A command that prints a character, to stand within double quotes: of the ways to write it, the one that every POSIX shell knows.
fn printed(character: char) -> String {
    let mut bytes = [0; 4];
    let bytes = character.encode_utf8(&mut bytes).bytes();
    let octal: String = bytes.map(|byte| format!("\\{byte:03o}")).collect();
    format!("$(printf '{octal}')")
}

/// Text as one shell word: bare when that is safe, else in single quotes; marked variables in double quotes.
fn quote(text: &str) -> String {
    if text.contains('\u{1}') {
        let mut word = String::from("\"");
        for character in text.chars() {
            match character {
                '\u{1}' => word.push_str("${"),
                '\u{2}' => {
                    word.push_str(UNLESS_SET);
                    word.push('}');
                }
                '"' | '\\' | '$' | '`' => {
                    word.push('\\');
                    word.push(character);
                }
                other if is_unsafe_to_paste(other) => word.push_str(&printed(other)),
                other => word.push(other),
            }
        }
        word.push('"');
        return word;
    }
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        let mut word = String::from("'");
        for character in text.chars() {
            match character {
                '\'' => word.push_str("'\\''"),
                other if is_unsafe_to_paste(other) => {
                    word.push_str(&format!("'\"{}\"'", printed(other)));
                }
                other => word.push(other),
            }
        }
        word.push('\'');
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_of_a_step_is_split_by_the_shell_and_text_is_not() {
        let (one, other) = (mark("config", "groups"), mark("config", "zone"));
        let with = json!({ "whole": one, "two": format!("{one}{other}"), "text": "a b" });
        let input = HandInput::new("Restore_DB 2", None, with, BTreeMap::new());
        assert_eq!(input.words("whole").unwrap(), "${CONFIG_GROUPS:?}");
        assert_eq!(input.words("two").unwrap(), "\"${CONFIG_GROUPS:?}${CONFIG_ZONE:?}\"");
        assert_eq!(input.words("text").unwrap(), "'a b'");
        assert_eq!(input.word("whole").unwrap(), "\"${CONFIG_GROUPS:?}\"");
        assert_eq!(input.slug(), "restore-db-2");
    }

    #[test]
    fn names_differ_by_scenario_and_step_however_long_these_are() {
        let slug = |scenario: &str, step: &str| {
            HandInput::new(step, None, json!({}), BTreeMap::new()).of_scenario(scenario).slug()
        };
        assert_eq!(slug("orders-db", "restore"), "orders-db-restore");
        let long = "the-database-of-all-orders-of-the-shop";
        let (one, two) = (slug(long, "restore_primary"), slug(long, "restore_replica"));
        assert_ne!(one, two);
        assert!(one.len() <= 36 && two.len() <= 36, "{one} {two}");
        assert!(one.starts_with("the-database-of-all-orders"), "{one}");
    }

    fn mark(step: &str, output: &str) -> String {
        HandInput::variable_mark(step, output)
    }

    #[test]
    fn values_become_shell_words_and_references_become_variables() {
        let with = json!({
            "snapshot": HandInput::variable_mark("point", "arn"),
            "class": "db.r6g.large",
            "note": "it's $HOME",
            "groups": ["sg-1", "sg 2"],
            "credentials": { "secret": "orders/readonly" },
        });
        let input = HandInput::new("restore", Some("ap-northeast-3"), with, BTreeMap::new());
        assert_eq!(input.word("snapshot").unwrap(), "\"${POINT_ARN:?}\"");
        assert_eq!(input.word("class").unwrap(), "db.r6g.large");
        assert_eq!(input.word("note").unwrap(), "'it'\\''s $HOME'");
        assert_eq!(input.words("groups").unwrap(), "sg-1 'sg 2'");
        assert_eq!(input.word("credentials.secret").unwrap(), "orders/readonly");
        assert_eq!(input.word("absent"), None);
        assert_eq!(input.sets("endpoint"), "RESTORE_ENDPOINT");
    }

    #[test]
    fn regression_what_is_not_seen_is_pasted_as_a_command_that_prints_it() {
        let text = "it's\u{1b}[201~\n\u{202e}\r\t$HOME";
        let word = quote(text);
        assert!(word.chars().all(|c| !is_unsafe_to_paste(c)), "{word:?}");
        let printed = |script: &str| {
            let ran = std::process::Command::new("sh").args(["-c", script]).output().unwrap();
            String::from_utf8(ran.stdout).unwrap()
        };
        assert_eq!(printed(&format!("printf %s {word}")), text);
        let word = quote(&format!("{}\u{1b}[2K", mark("point", "arn")));
        assert_eq!(word, "\"${POINT_ARN:?}$(printf '\\033')[2K\"");
        assert_eq!(printed(&format!("POINT_ARN=a; printf %s {word}")), "a\u{1b}[2K");
    }
}
