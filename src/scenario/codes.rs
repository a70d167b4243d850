use super::diagnostic::Severity::{self, Error, Warning};
use std::fmt::Write as _;

/// What a code of a diagnostic means.
pub struct CodeFacts {
    /// `RD207`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// In a few words.
    pub title: &'static str,
    /// Why it is wrong, and what to do: one or two sentences.
    pub explanation: &'static str,
}

const fn code(
    code: &'static str,
    severity: Severity,
    title: &'static str,
    explanation: &'static str,
) -> CodeFacts {
    CodeFacts { code, severity, title, explanation }
}

/// Every code there is, sorted. `docs/errors.md` is written from it.
#[rustfmt::skip]
pub const CODES: &[CodeFacts] = &[
    code("RD001", Error, "not YAML", "The file cannot be read as YAML; the place is where the reader gave up, which is at or after the mistake. A key that stands twice in one mapping is this error, too."),
    code("RD002", Error, "too large or too deep", "A scenario has at most 1 MiB, 50,000 values, 40 levels and 2,000 steps, and no anchors, aliases or merge keys: a scenario is read by people at 03:00. Expressions may put at most 1 MiB into a step or a variable, and 8 MiB into all of them: a short text can stand for a long one in thousands of places. Of its errors, 200 are shown."),
    code("RD003", Error, "unknown key", "The language has no such key there. Keys are never ignored: a misspelt `guard` would be no guard."),
    code("RD004", Error, "missing key", "A key that must be there is not."),
    code("RD005", Error, "wrong type", "Text stands where a number, a list or a mapping must be, or the other way round. Numbers that are names, such as account ids, are quoted."),
    code("RD006", Error, "not one of the allowed values", "Only the listed values are possible there."),
    code("RD007", Error, "wrong unit", "A duration is a number and a unit (`90s`, `15m`, `4h`, `7d`, `1h 30m`); a size is a number and a unit (`512 KiB`, `20 GiB`) or a number of bytes."),
    code("RD008", Error, "does not match the pattern", "Names have a form that every service accepts as part of a resource's name."),
    code("RD009", Error, "out of range", "The number, or the number of items, is too small or too large."),
    code("RD010", Error, "expression that is not quoted", "`key: {{…}}` is YAML's own syntax for a mapping. Write `key: \"{{…}}\"`."),
    code("RD011", Error, "fits none of the forms", "The value can be written in several ways, and fits none of them."),
    code("RD012", Error, "file that cannot be read", "There is no such file, it may not be read, it is a pipe or a device, or it is not text in UTF-8."),
    code("RD013", Error, "name that another scenario has", "Two files of one folder have the same `name`. Runs are numbered by it, and reports, history and what is left behind are looked up by it: two scenarios would be taken for one. A copy that is only tried out lies in a folder of its own."),
    code("RD101", Error, "not an expression", "Expressions are paths (`{{steps.restore.endpoint}}`) and the helpers of the reference. Blocks, partials, comments and `{{{` are not part of the language: they can hide a missing value."),
    code("RD102", Error, "expression in the wrong place", "Expressions stand under `with`, `when` and `expect` of steps, and in the variables of modes. Everything else must be known when the scenario is read."),
    code("RD103", Error, "unknown first name", "A path begins with `steps`, `vars`, `inputs`, `sites` or `run`. Variables of modes know only `inputs` and `sites`; expectations know `vars`, `inputs` and `sites`, because what is expected must be known before the run."),
    code("RD110", Error, "reference to an unknown step", "No step has that id."),
    code("RD111", Error, "reference to an unknown output", "The action of that step gives no such output; `redrill actions` and the reference list them."),
    code("RD112", Error, "reference to an unknown variable", "`vars` are declared under `modes.drill.vars` and `modes.recovery.vars`."),
    code("RD113", Error, "reference to an unknown input", "`inputs` are declared under `inputs`."),
    code("RD114", Error, "reference to something unknown", "`sites.<name>` has `region` and `account`; `run` has `id`, `scenario` and `mode`."),
    code("RD115", Warning, "reference to a step that may be left out", "The step has `when:`. If it is left out, this step has no value and is not run. Give this step the same `when:`, or use `{{default … …}}`."),
    code("RD116", Error, "reference to a later phase", "Phases run in the order prepare, recover, verify. A step cannot use or need what a later phase makes. In which one a step runs, its `phase:` says; without it the action does."),
    code("RD117", Error, "value of the wrong type", "The value that the expression stands for does not fit where it is used."),
    code("RD118", Error, "list or mapping inside a text", "Only texts, numbers, true and false can be part of a longer text. Use the expression as the whole value, or `{{json …}}`."),
    code("RD201", Error, "step id that stands twice", "References could mean either step."),
    code("RD202", Error, "unknown action", "No provider has an action of that name."),
    code("RD203", Error, "unknown site", "Sites are declared under `sites`."),
    code("RD204", Error, "site is missing", "The action happens at a place: say which with `at:`."),
    code("RD205", Error, "site that means nothing", "The action does not happen at a site. An `at:` that does nothing would mislead whoever reads it."),
    code("RD206", Error, "need of an unknown step", "No step has that id."),
    code("RD207", Error, "circle of needs", "The steps wait for each other, so none could ever start. References count as needs."),
    code("RD208", Error, "gate of a step that verifies nothing", "Only steps of phase `verify` are gates: they say when the service may be used."),
    code("RD209", Warning, "acceptance that can be missing", "The step ends the clock of the RTO, but the run can pass without it, or it can be left out; then the RTO is not measured."),
    code("RD210", Error, "step at a lost site", "After the disaster nothing is called at a lost site, reads included, nor at a site that is the same place under another name or role: the same account and region; in the loss of a region, every site in it. Move the step to phase `prepare`, or to a site that is left."),
    code("RD211", Error, "input at a lost site", "The step reads something, such as a secret, at a site that is lost by then."),
    code("RD212", Error, "timeout longer than the run", "The run is cancelled at `guard.max_duration`, before this limit is reached."),
    code("RD213", Error, "watch that changes something", "A watch looks again and again, so it may only look: use an action that changes nothing (`exec.run` with `effect: none`)."),
    code("RD214", Error, "watch that looks at nothing", "Nothing could turn it red. Use an action that checks something, or write with `expect` what its outputs should be."),
    code("RD215", Error, "need of a watch", "A watch ends after all other steps, so a step that needs it, or uses its outputs, could never start."),
    code("RD221", Error, "unknown input of the action", "The action has no such input."),
    code("RD222", Error, "missing input of the action", "The action cannot work without it."),
    code("RD223", Error, "input that cannot work", "The action can tell from the input alone that the step would not come to a result on the day: a pattern that is none or that everything matches, an address that is none, a wait that is longer than the step, a place that the guard does not allow. `redrill actions ACTION` describes its inputs."),
    code("RD301", Error, "expectation of an unknown output", "The action gives no such output, so the check could never be made."),
    code("RD302", Error, "expectation that cannot be read", "Write a value or text such as `<= 26h`, `>= 7d`, `= 0`, `1..10`, `~ pattern`, in the unit of the output. A pattern that is found in an empty text checks nothing. Of a list or a mapping only `~ pattern` and the whole of it (`= [\"sg-1\"]`) can be judged."),
    code("RD303", Error, "expectation without population", "The output is taken over several things and the action does not say over how many. Of none, every expectation would hold; so the check could never pass."),
    code("RD401", Error, "RTO that nothing measures", "The clock of the RTO ends with the last step with `gate: acceptance`. There is none."),
    code("RD402", Error, "RPO that nothing measures", "With `measure: data` a step must read the time of the newest recovered data, for which its input must be given (`watermark`). With `measure: backup` a step must find the recovery point, and not before the disaster at a site that is lost; a clone of what is there now (`restore_type: copy-on-write`) is no backup."),
    code("RD403", Error, "recovery level that a step cannot prove", "`proven_by` names steps of this scenario that run after the disaster and come to an end of their own: steps of phase `prepare` and watches prove nothing that was recovered."),
    code("RD404", Warning, "no objective", "The run will say what works, and not whether that is good enough."),
    code("RD405", Error, "schedule that cannot meet the RPO", "Between two backups more data is written than may be lost. The target can only be met by chance. Without `schedule` the action's own default counts."),
    code("RD406", Error, "recovery that no proof waits for", "A required step of the recovery is neither needed by the steps that prove it, directly or through others, nor does it need one of them: the acceptance gates (or the steps of `proven_by`) could pass before it is done, and the clock would stop while the recovery goes on. Name it in the `needs` of a gate, give it a gate of its own, or write `required: false`."),
    code("RD407", Warning, "expectation that is looser than the RPO", "The step would pass with a loss that the objective does not allow: the run would fail on the RPO with nothing red to point at. Lower the expectation to the target, or raise the target if the expectation is what was agreed."),
    code("RD408", Warning, "recovery that needs what is prepared at a lost site", "In mode `recovery` the disaster has happened, and a lost site is not called: a step that is prepared there is not run, and neither are steps that need it. A step of the recovery, or the gate that accepts it, would never run. Take what it needs from the sites that are left, or let `default` name an input that an earlier run has given."),
    code("RD409", Error, "scenario in which nothing is required", "Every step says `required: false`, so whatever happens, no run could pass."),
    code("RD501", Error, "variable that one mode lacks", "Both modes declare the same variables: a drill of one scenario must not become a recovery of another."),
    code("RD502", Error, "default of the wrong type", "The default does not fit the declared type of the input."),
    code("RD601", Error, "resource outside the guard", "The step makes something at a site that `guard.write` does not list: at its own, or at the one to which its canary is copied."),
    code("RD602", Error, "more resources than the guard allows", "The steps make more resources than `guard.max_resources`. A canary counts twice: it is copied to another site."),
    code("RD603", Error, "lost site that is not declared", "`disaster.lost` names sites of this scenario."),
    code("RD604", Error, "nothing is left", "Every site is lost: there is no place to recover at."),
    code("RD605", Error, "unknown site in the guard", "`guard.write` names sites of this scenario."),
    code("RD606", Error, "external effect outside the guard", "What the step changes cannot be undone, so the scenario's guard must name the step: `guard: { external: [step] }`."),
    code("RD607", Error, "external effect without a second person", "The step must need, directly or through others, a `control.approve` step with `second_person: true`: what cannot be undone is never one person's decision."),
    code("RD608", Error, "external step that is none", "`guard.external` names steps of this scenario with `effect: external`. An entry that means nothing would be taken for a permission."),
    code("RD609", Error, "effect or approver that is not written out", "`effect` decides what is checked before the run, so it is written as `none`, `own` or `external`, not as an expression. Who approves an external effect (`signed_by`, and the `principals` of `identified_by`) is written out, too: what an expression says can be chosen by whoever starts the run, unless it only says something of the sites."),
    code("RD610", Error, "loss of a region without a site", "`kind: region_loss` says that a region cannot be reached, and `lost` names no site in it: a drill could use anything of the region that it pretends to have lost."),
    code("RD611", Error, "expiry before the end of the run", "What a run makes may be removed by anyone after `guard.ttl`: `redrill reap` on another machine knows nothing but that tag, and would take it away from under a run that may last until `guard.max_duration`."),
    code("RD612", Warning, "second person by name alone", "The effect cannot be undone, and of all approvals before it that ask for a second person none asks for a proof: the name is the one of the operating system, so whoever has a second user of the machine approves for both. Add `signed_by` (SSH signatures) or `identified_by` (AWS) to one of them."),
    code("RD613", Error, "write into a database that is not the run's", "A step writes into a database over a connection, which the guard of AWS calls does not see. So the database is one that a step of the scenario makes (`endpoint: \"{{steps.restore.endpoint}}\"`, the output as it is; what a program of `exec.run` prints is none), or the guard names its host: `guard: { databases: [host] }`. That holds for `connect` as well, and for `localhost`: a tunnel to production listens there, too."),
    code("RD614", Error, "database in the guard that nothing writes into", "`guard.databases` names hosts into which steps of this scenario write. An entry that means nothing would be taken for a permission."),
    code("RD615", Warning, "certificate that public authorities have not signed", "RDS and Aurora present certificates of Amazon's own authorities. With `tls: verify`, which is the default, they are refused, on the day and after the restore, and the step is inconclusive: download the bundle and name it, `tls: { ca: global-bundle.pem }`."),
    code("RD616", Error, "canaries in what is no bucket", "`guard.canaries` names buckets, each with a prefix if need be (`uploads/redrill-canary/`). The name of a bucket has letters, digits, dots and hyphens (3 to 63 of them; more, and underscores, where it is old), and neither begins nor ends with a dot or a hyphen. An entry that means nothing would be taken for a permission."),
    code("RD701", Error, "input that was not given", "The input has no default: give it with `--set name=value`."),
    code("RD702", Error, "input of the wrong type", "The value does not fit the declared type of the input."),
    code("RD703", Error, "input that the scenario does not declare", "A value for an unknown input would be ignored, and whoever gave it would think that it counts."),
];

/// A code's facts.
pub fn code_facts(code: &str) -> Option<&'static CodeFacts> {
    CODES.iter().find(|facts| facts.code == code)
}

/// Codes without facts are a bug; they are errors so that nothing passes because of it.
pub(super) fn severity(code: &str) -> Severity {
    code_facts(code).map_or(Error, |facts| facts.severity)
}

/// `docs/errors.md`.
pub fn errors_markdown() -> String {
    let mut page = String::from(
        "# What `redrill check` finds\n\n\
         <!-- Written from the table in src/scenario/codes.rs; a test keeps it current. -->\n\n\
         Everything below is found before anything is called. Errors end the program with exit code 3; warnings do not.\n",
    );
    for facts in CODES {
        let kind = if facts.severity == Error { "error" } else { "warning" };
        let CodeFacts { code, title, explanation, .. } = facts;
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {code}: {title}\n\n*{kind}* — {explanation}\n");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    #[test]
    fn codes_are_sorted_and_unique() {
        assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
    }

    #[test]
    fn what_is_too_large_is_told_with_the_limits_that_hold() {
        let told = code_facts("RD002").unwrap().explanation.replace(',', "");
        let bytes = [limits::SCENARIO_BYTES, limits::INPUT_BYTES, limits::PLAN_VALUES_BYTES];
        let [of_file, of_one, of_all] = bytes.map(|most| limits::in_units(most as u64));
        for words in [
            format!("A scenario has at most {of_file} {} values", limits::SCENARIO_NODES),
            format!("{} levels and {} steps", limits::SCENARIO_DEPTH, limits::SCENARIO_STEPS),
            format!("at most {of_one} into a step or a variable and {of_all} into all of them"),
            format!("Of its errors {} are shown", limits::SCENARIO_ERRORS),
        ] {
            assert!(told.contains(&words), "{words:?} is not in: {told}");
        }
    }

    #[test]
    fn the_page_of_errors_is_current() {
        super::super::fresh::check("docs/errors.md", &errors_markdown());
    }
}
