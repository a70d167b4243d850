use super::lines_in_time;
use crate::action::HandInput;

/// How a person lists recovery points and chooses the newest one, as text for a POSIX shell.
pub(in crate::providers) struct Choosing<'a> {
    pub(in crate::providers) input: &'a HandInput,
    /// What is listed: `snapshots`.
    pub(in crate::providers) what: &'a str,
    /// The fields of a line, for people.
    pub(in crate::providers) about: &'a str,
    /// The commands that list, of which each must be answered.
    pub(in crate::providers) lists: &'a [String],
    /// How the lines are sorted, so that the newest is the last: `sort -u`.
    pub(in crate::providers) sort: &'a str,
    /// The outputs that the fields are, in their order.
    pub(in crate::providers) outputs: &'a [&'a str],
    /// The output by which the chosen one is restored.
    pub(in crate::providers) chosen: &'a str,
    /// What is done with the chosen one.
    pub(in crate::providers) then: &'a str,
}

impl Choosing<'_> {
    /// A list that was not answered is UNKNOWN, and not empty; both end with an exit status other than 0.
    pub(in crate::providers) fn command(&self) -> String {
        let (list, chosen) = (self.input.sets("list"), self.input.sets(self.chosen));
        let variables: Vec<_> = self.outputs.iter().map(|output| self.input.sets(output)).collect();
        let variables = variables.join(" ");
        let (what, in_time) = (self.what, lines_in_time(self.input));
        format!(
            "# {}\nunset {variables}\n\
             if {list}=$({}); then\n  \
             {list}=$(printf '%s\\n' \"${list}\" | {})\n  \
             printf '%s\\n' \"${list}\"\n  \
             read -r {variables} <<EOF\n$(printf '%s\\n' \"${list}\" | {in_time} | tail -n 1)\nEOF\n  \
             if [ -n \"${chosen}\" ]; then\n    {}\n  else\n    \
             echo 'NONE: this list holds none of the {what} that are wanted' >&2\n  fi\n\
             else\n  \
             echo 'UNKNOWN: the {what} could not be listed, as is said above; that does not mean that there are none' >&2\n\
             fi\n[ -n \"${{{chosen}:-}}\" ]",
            self.about,
            self.lists.join(" &&\n"),
            self.sort,
            self.then.replace('\n', "\n    ")
        )
    }
}

/// What restoring the chosen one loses, and how old its data may be where the scenario says so. `at` is the output with the time of
/// its data.
pub(in crate::providers) fn lost_by_it(input: &HandInput, at: &str, written: &str) -> Vec<String> {
    let at = input.sets(at);
    let lost = format!(
        "Everything that was {written} after ${at} is lost by restoring this: say so to who decides."
    );
    let too_old = input.word("max_age").map(|age| {
        format!(
            "Older than {age} when the disaster was declared: a drill fails by it. Restore it all the same when there is nothing \
             newer, and say how old it is."
        )
    });
    [lost].into_iter().chain(too_old).collect()
}

/// Says whether the key of the chosen one is enabled; what is not encrypted has none.
pub(in crate::providers) fn key_state(input: &HandInput) -> String {
    let (key, region) = (input.sets("kms_key"), input.region());
    format!(
        "[ \"${key}\" = None ] || aws kms describe-key --region {region} --key-id \"${key}\" \\\n  \
         --query KeyMetadata.KeyState --output text || echo 'UNKNOWN whether its key can be used' >&2"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::process::Command;

    fn said(aws: &str) -> (String, i32) {
        let with = json!({ "not_after": "2026-11-22T00:00:00Z" });
        let input = HandInput::new("point", Some("eu-west-1"), with, BTreeMap::new());
        let choosing = Choosing {
            input: &input,
            what: "snapshots",
            about: "time, ARN, key",
            lists: &["aws one".to_owned(), "aws two".to_owned()],
            sort: "sort -u",
            outputs: &["at", "arn", "kms_key"],
            chosen: "arn",
            then: &format!("echo \"chosen $POINT_ARN\"\n{}", key_state(&input)),
        };
        let script = format!(
            "set -u\nexec 2>&1\naws() {{ case $1 in {aws} esac; }}\n{}",
            choosing.command()
        );
        let ended = Command::new("sh").arg("-c").arg(&script).output().unwrap();
        (String::from_utf8(ended.stdout).unwrap(), ended.status.code().unwrap())
    }

    #[test]
    fn the_newest_in_time_is_chosen_of_all_lists() {
        let (said, code) = said(
            "one) printf '2026-11-21T10:00:00Z\\tarn:2\\tNone\\n2026-11-23T10:00:00Z\\tarn:3\\tNone\\n';; \
             two) printf '2026-11-20T10:00:00Z\\tarn:1\\tk\\nNone\\tarn:4\\tk\\n';;",
        );
        assert!(code == 0 && said.contains("chosen arn:2\n"), "{said}");
    }

    #[test]
    fn how_old_the_data_may_be_is_said_where_the_scenario_says_it() {
        let lines = |with: serde_json::Value| {
            let input = HandInput::new("point", Some("eu-west-1"), with, BTreeMap::new());
            lost_by_it(&input, "at", "written")
        };
        assert_eq!(lines(json!({})).len(), 1);
        let both = lines(json!({ "max_age": "8h" }));
        assert!(both[0].contains("written after $POINT_AT is lost"), "{both:?}");
        assert!(both[1].starts_with("Older than 8h "), "{both:?}");
    }

    #[test]
    fn a_list_that_is_not_answered_is_unknown_and_not_empty() {
        let (unknown, code) =
            said("one) printf '2026-11-21T10:00:00Z\\tarn:2\\tNone\\n';; two) false;;");
        assert!(code == 1 && unknown.contains("UNKNOWN: the snapshots"), "{unknown}");
        let (none, code) = said("*) ;;");
        assert!(code == 1 && none.contains("NONE: "), "{none}");
    }
}
