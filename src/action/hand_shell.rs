//! Shell text that runbooks have in common: a name that is kept, a command that may be repeated, a wait that gives up.
//!
//! A responder pastes a block, pastes it again, loses the shell, and has an API that does not answer. So the text goes from
//! state to state in one variable, `STEP_WENT`: `named`, `asked`, `ready`, or a sentence that says why it went no further.
//! Nothing is made without a name, nothing is waited for that was not asked for, and what cannot be known is called UNKNOWN.

use super::HandInput;

/// How long a look takes that is answered: the AWS CLI needs a second to start, and is then answered.
const LOOK_SECONDS: u64 = 2;

/// So that a dead network is noticed in minutes: the CLI waits for a minute by itself, several times.
const IMPATIENT: &str = "--cli-connect-timeout 10 --cli-read-timeout 30";

/// What a person makes by hand in one step, as text for a POSIX shell.
#[derive(Clone, Copy, Debug)]
pub struct HandShell<'a> {
    /// The step.
    pub input: &'a HandInput,
    /// What is made, in a word: `instance`.
    pub what: &'a str,
    /// How its name begins: `restored`.
    pub verb: &'a str,
    /// The output that holds its name: `id`.
    pub name: &'a str,
}

impl HandShell<'_> {
    /// The state in which the name is there, and nothing was asked for yet.
    pub const NAMED: &'static str = "named";
    /// The state in which AWS has taken the command.
    pub const ASKED: &'static str = "asked";
    /// The state in which it can be used.
    pub const READY: &'static str = "ready";

    fn went(&self) -> String {
        self.input.sets("went")
    }

    /// How every name begins that this step makes: `restored-orders-db-restore-`.
    pub fn prefix(&self) -> String {
        format!("{}-{}-", self.verb, self.input.slug())
    }

    /// Keeps the name of a first attempt; makes one when `earlier`, which lists the names of the step's prefix, finds none.
    /// `outputs` are forgotten, so that nobody takes those of an earlier attempt for those of this one.
    pub fn name(&self, earlier: &str, outputs: &[&str]) -> String {
        let (went, id, prefix) = (self.went(), self.input.sets(self.name), self.prefix());
        let list = self.input.sets("earlier");
        let forgotten: Vec<_> = outputs.iter().map(|output| self.input.sets(output)).collect();
        format!(
            "# Pasted again, this makes nothing twice. In a new shell, first paste the line {id}=… that was noted down.\n\
             unset {}; {went}=\n\
             if [ -z \"${{{id}:-}}\" ]; then\n  \
             if ! {list}=$({earlier}); then\n    \
             {went}='UNKNOWN whether an earlier attempt has made it, so nothing was asked for. Correct what is said above and \
             paste this block again'\n  \
             elif [ -n \"${list}\" ]; then\n    \
             {went}=\"stopped: an earlier attempt has made ${list}. Set {id} to that name to go on with it, or to a new one \
             that begins with {prefix} to make another, and paste this block again\"\n  fi\nfi\n\
             [ -n \"${went}\" ] || {id}=${{{id}:-{prefix}$(date -u +%Y%m%d-%H%M)}}\n\
             case \"${went}:${{{id}:-}}\" in\n  \
             :{prefix}?*) {went}={named}; echo \"{id}=${id}   # note this line down: a new shell needs it\";;\n  \
             :*) {went}=\"stopped: {id} is ${id}, which is no name of this step: unset {id}, and paste this block \
             again\";;\nesac",
            forgotten.join(" "),
            named = Self::NAMED,
        )
    }

    /// Asks for it, in the state `from`; the error `exists` of AWS is as good as its taking the command.
    pub fn ask(&self, from: &str, command: &str, exists: Option<&str>) -> String {
        let (went, said, what) = (self.went(), self.input.sets("said"), self.what);
        let asked = Self::ASKED;
        let exists = exists.map(|exists| {
            format!("*{exists}*) {went}={asked}; {said}='it is there already: going on with it';;\n      ")
        });
        let exists = exists.unwrap_or_default();
        format!(
            "if [ \"${went}\" = {from} ]; then\n  \
             if {said}=$({command} 2>&1); then\n    {went}={asked}\n  else\n    \
             case \"${said}\" in\n      \
             {exists}*) {went}='failed: AWS has not taken it, as is said above. Without an answer it is UNKNOWN whether the {what} \
             is made. Correct the cause and paste this block again: the name stays, so nothing is made twice';;\n    \
             esac\n  fi\n  printf '%s\\n' \"${said}\"\nfi"
        )
    }

    /// Looks in the state `from`, reads the fields of the answer into variables, then does `then`.
    pub fn read(&self, from: &str, look: &str, outputs: &[&str], then: &str) -> String {
        let (went, seen) = (self.went(), self.input.sets("seen"));
        let variables: Vec<_> = outputs.iter().map(|output| self.input.sets(output)).collect();
        format!(
            "if [ \"${went}\" = {from} ]; then\n  \
             if {seen}=$({look}); then\n    \
             read -r {} <<EOF\n${seen}\nEOF\n    {then}\n  else\n    \
             {went}='UNKNOWN: the look above was not answered. Correct the cause and paste this block again'\n  fi\nfi",
            variables.join(" ")
        )
    }

    /// Looks in the state `from` until one of `wait.ready` is seen, at most for the limit of the step.
    pub fn wait(&self, from: &str, wait: &Wait<'_>) -> String {
        let (went, status) = (self.went(), self.input.sets(wait.status));
        let (limit, turns) = (self.input.limit(), self.turns(wait.pause));
        let first = if wait.goes_on { "" } else { "n=0; " };
        format!(
            "{first}lost=0\nwhile [ \"${went}\" = {from} ]; do\n  \
             if {status}=$({} {IMPATIENT}) && [ \"${{{status}:-None}}\" != None ]; then\n    \
             lost=0; echo \"$(date -u +%FT%TZ) ${status}\"\n    {}\n  else\n    \
             {status}=unknown; lost=$((lost + 1))\n    \
             [ \"$lost\" -lt 3 ] || {went}='UNKNOWN: three looks in a row were not answered, as is said above. The {} may come \
             up all the same. Correct the cause and paste this block again: it goes on waiting'\n  fi\n  \
             n=$((n + 1))\n  \
             [ \"${went}\" != {from} ] || [ \"$n\" -lt {turns} ] || {went}='stopped: not {} within {limit}, the limit of this \
             step. It may come up all the same: paste this block again to go on waiting'\n  \
             [ \"${went}\" != {from} ] || sleep {}\ndone",
            wait.look, wait.decide, self.what, wait.until, wait.pause
        )
    }

    /// What a wait does with a status: one of `ready` ends it well, one of `under_way` goes on, any other is the end.
    pub fn by_status(&self, status: &str, ready: &[&str], under_way: &[&str], to: &str) -> String {
        let (went, status) = (self.went(), self.input.sets(status));
        let (ready, under_way) = (ready.join("|"), under_way.join("|"));
        format!(
            "case \"${status}\" in\n      {ready}) {went}={to};;\n      {under_way}) ;;\n      \
             *) {went}=\"stopped: the {} has ended in ${status}, which does not pass by waiting\";;\n    esac",
            self.what
        )
    }

    /// How many looks fit into the limit of the step.
    fn turns(&self, pause: u64) -> u64 {
        (self.input.limit().0.as_secs() / (pause + LOOK_SECONDS)).max(1)
    }

    /// Says how it went, and ends with an exit status of 0 only when it is ready.
    pub fn end(&self, ready: &str) -> String {
        let (went, ready_state) = (self.went(), Self::READY);
        format!(
            "if [ \"${went}\" = {ready_state} ]; then echo \"READY: {ready}\"; else echo \"NOT READY: ${went}\" >&2; fi\n\
             [ \"${went}\" = {ready_state} ]"
        )
    }

    /// Runs commands only when the name is one that this step makes: no other thing is removed by a slip.
    pub fn only_mine(&self, commands: &str) -> String {
        let (id, prefix) = (self.input.sets(self.name), self.prefix());
        format!(
            "case \"${{{id}:-}}\" in\n  {prefix}?*)\n    {};;\n  \
             *) echo '{id} is not set to a name of this step, {prefix}…: nothing is removed' >&2; false;;\nesac",
            commands.replace('\n', "\n    ")
        )
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    /// The command that looks, which prints a status.
    pub look: &'a str,
    /// The output that holds the status.
    pub status: &'a str,
    /// What is done with the status: [`HandShell::by_status`].
    pub decide: &'a str,
    /// How it is to become, in words: `available`.
    pub until: &'a str,
    /// Seconds between two looks.
    pub pause: u64,
    /// Whether a wait stands before it, with which it shares the limit of the step.
    pub goes_on: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::process::Command;
    use std::time::Duration;

    fn input(limit_seconds: u64) -> HandInput {
        HandInput::new("restore", Some("eu-west-1"), json!({}), BTreeMap::new())
            .of_scenario("orders-db")
            .at_most(Duration::from_secs(limit_seconds).into())
    }

    fn shell(input: &HandInput) -> HandShell<'_> {
        HandShell { input, what: "instance", verb: "restored", name: "id" }
    }

    /// Name, command, wait and end, as a step puts them together.
    fn block(limit_seconds: u64) -> String {
        let input = input(limit_seconds);
        let shell = shell(&input);
        let decide = shell.by_status("status", &["available"], &["creating"], HandShell::READY);
        let wait = Wait {
            look: "aws look",
            status: "status",
            decide: &decide,
            until: "available",
            pause: 30,
            goes_on: false,
        };
        let parts = [
            shell.name("aws list", &["endpoint"]),
            shell.ask(HandShell::NAMED, "aws make \"$RESTORE_ID\"", Some("AlreadyExists")),
            shell.wait(HandShell::ASKED, &wait),
            shell.end("$RESTORE_ID"),
        ];
        parts.join("\n")
    }

    /// Runs text in `sh` and `bash`, with `set -u`, with an `aws` of which a case of the first word is given. What is said, both
    /// streams together, and the exit status; looks and pauses are counted in it.
    fn run(aws: &str, text: &str) -> Vec<(String, i32)> {
        let stubs = format!(
            "set -u\nexec 2>&1\naws() {{ echo \"aws $1\" >&2; case $1 in {aws} esac; }}\n\
             sleep() {{ echo \"sleep $1\"; }}\n"
        );
        let ended = ["sh", "bash"].map(|shell| {
            let script = format!("{stubs}{text}");
            let ended = Command::new(shell).arg("-c").arg(&script).output().unwrap();
            (String::from_utf8(ended.stdout).unwrap(), ended.status.code().unwrap())
        });
        ended.to_vec()
    }

    #[test]
    fn the_name_is_kept_when_the_block_is_pasted_again() {
        let twice = format!("RESTORE_ID=restored-orders-db-restore-1\n{0}\n{0}", block(60));
        for (said, code) in run("make) ;; look) echo available;; list) echo never;;", &twice) {
            assert_eq!(code, 0, "{said}");
            assert_eq!(said.matches("READY: restored-orders-db-restore-1").count(), 2, "{said}");
            assert!(!said.contains("aws list"), "{said}");
        }
        let first = format!("{0}\n{0}", block(60));
        for (said, code) in run("make) ;; look) echo available;; list) ;;", &first) {
            assert_eq!(code, 0, "{said}");
            assert_eq!(said.matches("aws list").count(), 1, "{said}");
        }
    }

    #[test]
    fn what_exists_already_is_waited_for() {
        let exists = "make) echo 'error (AlreadyExists)'; false;; look) echo available;; list) ;;";
        for (said, code) in run(exists, &block(60)) {
            assert!(code == 0 && said.contains("it is there already"), "{said}");
        }
    }

    #[test]
    fn in_a_new_shell_nothing_is_made_beside_what_an_earlier_attempt_has_made() {
        for (said, code) in run("list) echo restored-orders-db-restore-7;;", &block(60)) {
            assert_eq!(code, 1, "{said}");
            assert!(said.contains("an earlier attempt has made restored-orders-db-restore-7"));
            assert!(!said.contains("aws make"), "{said}");
        }
        for (said, code) in run("list) false;;", &block(60)) {
            assert!(code == 1 && said.contains("NOT READY: UNKNOWN whether"), "{said}");
            assert!(!said.contains("aws make"), "{said}");
        }
    }

    #[test]
    fn a_name_of_another_runbook_is_not_taken() {
        let block = format!("RESTORE_ID=orders-db\n{}", block(60));
        for (said, code) in run("list) ;;", &block) {
            assert!(code == 1 && said.contains("is no name of this step"), "{said}");
            assert!(!said.contains("aws"), "{said}");
        }
    }

    #[test]
    fn a_command_that_was_not_taken_is_not_waited_for() {
        for (said, code) in run("make) echo 'no quota'; false;; list) ;;", &block(60)) {
            assert_eq!(code, 1, "{said}");
            assert!(said.contains("no quota") && said.contains("NOT READY: failed"), "{said}");
            assert!(!said.contains("aws look"), "{said}");
        }
    }

    #[test]
    fn three_looks_without_an_answer_are_unknown_and_not_failed() {
        for (said, code) in run("make) ;; look) false;; list) ;;", &block(10_800)) {
            assert_eq!(code, 1, "{said}");
            assert_eq!(said.matches("aws look").count(), 3, "{said}");
            assert!(said.contains("NOT READY: UNKNOWN: three looks"), "{said}");
        }
    }

    #[test]
    fn the_number_of_looks_follows_from_the_limit_of_the_step() {
        // 3h of a pause of 30s and a look of 2s.
        for (said, code) in run("make) ;; look) echo creating;; list) ;;", &block(10_800)) {
            assert_eq!(code, 1, "{said}");
            assert_eq!(said.matches("aws look").count(), 337);
            assert_eq!(said.matches("sleep 30").count(), 336);
            assert!(said.contains("NOT READY: stopped: not available within 3h"), "{said}");
        }
        assert!(block(600).contains("-lt 18 ]"));
    }

    #[test]
    fn a_status_that_does_not_pass_ends_the_wait_at_once() {
        for (said, code) in run("make) ;; look) echo failed;; list) ;;", &block(10_800)) {
            assert!(code == 1 && said.contains("has ended in failed"), "{said}");
            assert_eq!(said.matches("aws look").count(), 1, "{said}");
        }
    }

    #[test]
    fn nothing_is_removed_under_a_name_that_the_step_does_not_make() {
        let input = input(60);
        let remove = shell(&input).only_mine("aws remove\naws more");
        for (before, calls) in [("", 0), ("RESTORE_ID=orders-db", 0), ("RESTORE_ID=", 0)] {
            for (said, code) in run("*) ;;", &format!("{before}\n{remove}")) {
                assert_eq!((said.matches("aws ").count(), code), (calls, 1), "{said}");
            }
        }
        let mine = format!("RESTORE_ID=restored-orders-db-restore-1\n{remove}");
        for (said, code) in run("*) ;;", &mine) {
            assert_eq!((said.matches("aws ").count(), code), (2, 0), "{said}");
        }
    }
}
