//! Commands in Markdown, and what can be read off them.

use std::collections::BTreeSet;
use std::fmt;

/// Text as code within a line. The number of backticks around it fits those in it.
pub(super) struct CodeSpan<'a>(pub(super) &'a str);

impl fmt::Display for CodeSpan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticks = "`".repeat(longest_run(self.0) + 1);
        let space = if ticks.len() > 1 { " " } else { "" };
        write!(f, "{ticks}{space}{}{space}{ticks}", self.0.replace(['\n', '\r'], " "))
    }
}

/// Commands as one block for a POSIX shell. The fence is longer than any run of backticks in them, so that they cannot end
/// it.
pub(super) fn fenced(commands: &[String]) -> String {
    let text = commands.iter().map(|command| command.trim_end()).collect::<Vec<_>>().join("\n");
    let fence = "`".repeat(longest_run(&text).max(2) + 1);
    format!("{fence}sh\n{text}\n{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Marks of variables that an action left in its text, as the shell writes them.
pub(super) fn unmark(text: &str) -> String {
    text.replace('\u{1}', "${").replace('\u{2}', "}")
}

/// Actions give ways to verify as commands or as sentences: a sentence begins with a capital letter that no assignment follows,
/// or ends with a full stop.
pub(super) fn is_command(text: &str) -> bool {
    let begins = text.chars().next().is_some_and(|c| c.is_ascii_lowercase() || "[{($:".contains(c));
    let name = text.split('=').next().unwrap_or_default();
    let variable = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let assigns = name.len() < text.len() && name.chars().all(variable);
    (begins && !text.trim_end().ends_with('.')) || assigns
}

/// Whether a text of commands uses a variable.
pub(super) fn uses_variable(text: &str, name: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let used = |rest: &str| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.strip_prefix(name).is_some_and(|rest| !goes_on(rest))
    };
    text.split('$').skip(1).any(used)
}

/// Names of variables that commands set: by `NAME=…`, by `read`, or by `for`.
pub(super) fn variables_set(commands: &[String]) -> BTreeSet<String> {
    let mut set = BTreeSet::new();
    for line in commands.iter().flat_map(|command| command.lines()) {
        let mut reading = false;
        for word in line.split([' ', '\t', ';', '(', '{']) {
            let name: String =
                word.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if word.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('='))
                && !name.is_empty()
            {
                set.insert(name);
            } else if word == "read" || word == "for" {
                reading = true;
            } else if reading && name == word && !name.is_empty() {
                set.insert(name);
            } else if reading && !word.starts_with('-') {
                reading = false;
            }
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_cannot_end_their_block() {
        let block = fenced(&["echo '```'".to_owned(), "true".to_owned()]);
        assert_eq!(block, "````sh\necho '```'\ntrue\n````");
        assert_eq!(CodeSpan("a`b").to_string(), "`` a`b ``");
    }

    #[test]
    fn variables_are_found_however_they_are_set() {
        let commands = [
            "A_1=$(aws rds x \\\n  --query \"y[?B=='c']\")".to_owned(),
            "read -r ONE TWO <<EOF\n$x\nEOF".to_owned(),
            "while true; do STATUS=x; [ \"$STATUS\" = done ] && break; done".to_owned(),
        ];
        let set: Vec<_> = variables_set(&commands).into_iter().collect();
        assert_eq!(set, ["A_1", "ONE", "STATUS", "TWO"]);
    }

    #[test]
    fn sentences_and_commands_are_told_apart() {
        assert!(is_command("aws rds describe-db-instances --query 'x'"));
        assert!(is_command("[ \"$A\" = b ]"));
        assert!(!is_command("Each value is as asked for."));
        assert!(!is_command("the console shows it."));
        assert!(is_command("HOST_ID=${HOST_ID:-i-1}") && is_command("A_1="));
        assert!(!is_command("Paste A=b into it"));
    }

    #[test]
    fn a_variable_is_used_under_its_whole_name_only() {
        assert!(uses_variable("echo \"$A_ID\"", "A_ID") && uses_variable("${A_ID:?}", "A_ID"));
        assert!(!uses_variable("A_ID=$A_IDS ${A_ID_2}", "A_ID"));
    }
}
