//! How each step of a plan is done by hand, and what that means for the whole: what must be there before, which variables
//! nobody has set, what is to be removed.

use super::RenderError;
use super::markdown::escape;
use super::shell::{CodeSpan, fenced, is_command, unmark, uses_variable, variables_set};
use crate::action::{ActionEntry, ByHand, HandInput, Phase, Registry};
use crate::ids::SiteName;
use crate::plan::{Plan, PlannedStep};
use crate::scenario::expression::{Found, Names, Scope, Template, references, resolve};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How the steps of a plan are done by hand, in the order of the plan.
pub(super) struct Hands<'a> {
    plan: &'a Plan,
    hands: Vec<ByHand>,
}

impl<'a> Hands<'a> {
    pub(super) fn of(plan: &'a Plan, registry: &Registry) -> Result<Self, RenderError> {
        let hand = |step: &PlannedStep| {
            let entry = registry.get(&step.uses).ok_or_else(|| {
                RenderError::new("runbook", format!("step {}: no action {}", step.id, step.uses))
            })?;
            by_hand(plan, step, entry)
        };
        let hands = plan.steps.iter().map(hand).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { plan, hands })
    }

    /// The one of a step, by its place in the plan.
    pub(super) fn at(&self, index: usize) -> Option<&ByHand> {
        self.hands.get(index)
    }

    /// Programs that the commands call, by the first words that are known.
    pub(super) fn tools(&self) -> Vec<Value> {
        const KNOWN: [(&str, &str); 13] = [
            ("aws", "AWS CLI, version 2"),
            ("psql", "PostgreSQL client"),
            ("pg_dump", "PostgreSQL client, not older than the server"),
            ("mysql", "MySQL or MariaDB client"),
            ("mysqldump", "MySQL or MariaDB client"),
            ("etcdutl", "etcdutl, of the version of the snapshot's etcd"),
            ("etcdctl", "etcdctl"),
            ("curl", "curl"),
            ("jq", "jq"),
            ("ssh", "OpenSSH client"),
            ("kubectl", "kubectl"),
            ("velero", "velero"),
            ("sha256sum", "sha256sum of GNU coreutils"),
        ];
        let commands: Vec<_> = self.hands.iter().flat_map(|hand| &hand.commands).collect();
        let then = self.hands.iter().flat_map(|hand| &hand.then).filter(|text| is_command(text));
        let commands = commands.into_iter().chain(then).map(String::as_str).collect::<Vec<_>>();
        let commands = commands.join("\n");
        let words: BTreeSet<_> =
            commands.split(|c: char| !(c.is_ascii_alphanumeric() || "-_./$".contains(c))).collect();
        let used = KNOWN.iter().filter(|(name, _)| words.contains(name));
        used.map(|(name, about)| json!({ "name": name, "about": about })).collect()
    }

    /// What must be there before, besides programs that are known.
    pub(super) fn needs(&self) -> Vec<String> {
        let steps = self.plan.steps.iter().zip(&self.hands);
        let needs = steps.flat_map(|(step, hand)| {
            let of_step =
                move |need: &String| prose(&format!("{} (step {})", unmark(need), step.id));
            hand.needs.iter().map(of_step)
        });
        needs.collect()
    }

    /// What steps have made, with the commands that remove it: what was recovered, or what has served a check and nothing else.
    pub(super) fn made(&self, registry: &Registry, served_a_check: bool) -> Vec<Value> {
        let steps = self.plan.steps.iter().zip(&self.hands);
        let serves_a_check = |kind: &String| {
            let kind = registry.resource_kind(kind);
            kind.is_some_and(|kind| kind.is_canary() || kind.is_temporary())
        };
        let is_meant = |step: &PlannedStep| {
            !step.creates.is_empty() && step.creates.iter().all(serves_a_check) == served_a_check
        };
        let made = steps.filter(|(step, _)| is_meant(step)).map(|(step, hand)| {
            let kinds: Vec<_> = step.creates.iter().map(|kind| escape(kind)).collect();
            json!({ "kind": kinds.join(" and "), "step": escape(step.id.as_str()), "parts": parts(&hand.remove) })
        });
        made.collect()
    }

    /// Variables that other steps use and that the commands of this one do not set: a person sets them.
    pub(super) fn fill_in(&self, index: usize) -> Value {
        let (Some(step), Some(hand)) = (self.plan.steps.get(index), self.at(index)) else {
            return Value::Null;
        };
        let blocks = hand.commands.iter().chain(hand.then.iter().filter(|text| is_command(text)));
        let set = variables_set(&blocks.cloned().collect::<Vec<_>>());
        let others = self.text_of(|_| true);
        let open = referred_to(self.plan, step).into_iter().filter_map(|output| {
            let name = variable(step.id.as_str(), &output);
            let open = !set.contains(&name) && uses_variable(&others, &name);
            open.then(|| demanded(&name, &format!("{output} of step {}", step.id)))
        });
        block(open.collect())
    }

    /// Variables of values that a run would compute: a shell cannot, so that a person does before the step.
    pub(super) fn work_out(&self, index: usize) -> Value {
        let step = self.plan.steps.get(index);
        let mut found = BTreeSet::new();
        step.into_iter().for_each(|step| computed(&step.with, &mut found));
        let demand = |text: &String| demanded(&variable("computed", text), text);
        block(found.iter().map(demand).collect())
    }

    /// Lines that print what a step before the disaster has noted down, for the shell in which the recovery goes on. Only what
    /// bears the name of the step: a region or a password is another one there.
    pub(super) fn keep(&self, index: usize) -> Value {
        let (Some(step), Some(hand)) = (self.plan.steps.get(index), self.at(index)) else {
            return Value::Null;
        };
        if step.phase != Phase::Prepare {
            return Value::Null;
        }
        let later = self.text_of(|step| step.phase != Phase::Prepare);
        let own = variable(step.id.as_str(), "");
        let kept = variables_set(&hand.commands).into_iter();
        let kept = kept.filter(|name| name.starts_with(&own) && uses_variable(&later, name));
        block(kept.map(|name| format!("echo \"{name}='${{{name}:-}}'\"")).collect())
    }

    /// All commands of the steps that count.
    fn text_of(&self, counts: impl Fn(&PlannedStep) -> bool) -> String {
        let steps = self.plan.steps.iter().zip(&self.hands);
        let texts = steps.filter(|(step, _)| counts(step)).flat_map(|(_, hand)| {
            let parts = hand.sections.iter().flat_map(|section| &section.parts);
            let texts = hand.commands.iter().chain(&hand.then).chain(&hand.verify).chain(parts);
            texts.map(|text| unmark(text))
        });
        texts.collect::<Vec<_>>().join("\n")
    }
}

/// Parts of a step as a template takes them: blocks of commands, and sentences.
pub(super) fn parts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<Value> {
    let part = |text: &String| {
        if is_command(text) {
            json!({ "block": fenced(&[unmark(text)]), "look": null })
        } else {
            json!({ "block": null, "look": prose(&unmark(text)) })
        }
    };
    texts.into_iter().map(part).collect()
}

/// A sentence in Markdown. What stands between backticks can be copied as it is: nothing in it is escaped.
pub(super) fn prose(text: &str) -> String {
    let pieces: Vec<_> = text.split('`').collect();
    // A backtick without its partner, or two in a row, is no mark of code.
    let marks =
        pieces.len() % 2 == 1 && pieces.iter().skip(1).step_by(2).all(|code| !code.is_empty());
    if !marks {
        return escape(text);
    }
    let piece = |(number, piece): (usize, &&str)| match number % 2 {
        0 => escape(piece),
        _ => CodeSpan(piece).to_string(),
    };
    pieces.iter().enumerate().map(piece).collect()
}

fn block(lines: Vec<String>) -> Value {
    if lines.is_empty() { Value::Null } else { fenced(&lines).into() }
}

/// A command that fails, and says what is wanted, as long as a variable is not set.
fn demanded(name: &str, what: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || " ._-".contains(c) { c } else { ' ' };
    format!(": \"${{{name}:?set it to this: {}}}\"", what.chars().map(plain).collect::<String>())
}

fn variable(step: &str, output: &str) -> String {
    let mark = HandInput::variable_mark(step, output);
    mark.trim_matches(|c| matches!(c, '\u{1}' | '\u{2}')).to_owned()
}

fn by_hand(plan: &Plan, step: &PlannedStep, entry: &ActionEntry) -> Result<ByHand, RenderError> {
    let wrong = |why| RenderError::new("runbook", format!("step {}: {why}", step.id));
    let with = resolve(&without_computed(&step.with), &ShellNames(plan.names()))
        .map_err(|why| wrong(why.to_string()))?;
    let site = site_of(plan, step).and_then(|site| plan.sites.get(site));
    let region = site.map(|site| site.region.as_str());
    let expect = step.expect.iter().map(|(name, value)| (name.clone(), plain(value)));
    let regions = plan.sites.iter().map(|(name, site)| (name.to_string(), site.region.clone()));
    let input = HandInput::new(step.id.as_str(), region, with, expect.collect())
        .of_scenario(&plan.name)
        .among(step.at.as_ref().map(SiteName::as_str), regions.collect())
        .at_most(step.timeout);
    let mut by_hand = entry.by_hand(&input);
    by_hand.commands.iter_mut().for_each(|command| *command = unmark(command));
    if by_hand.commands.iter().any(|command| command.contains("$AWS_REGION")) {
        let known = region.map(|region| format!("AWS_REGION={}", HandInput::quote(region)));
        let ask = || ": \"${AWS_REGION:?set it to the region that is meant here}\"".to_owned();
        by_hand.commands.insert(0, known.unwrap_or_else(ask));
    }
    Ok(by_hand)
}

/// Where a step calls AWS: its own site, else that of the credentials it takes (`credentials: { secret: …, at: dr }`).
fn site_of<'a>(plan: &'a Plan, step: &'a PlannedStep) -> Option<&'a SiteName> {
    let of_credentials = || {
        let named = step.with.get("credentials")?.get("at")?.as_str()?;
        plan.sites.keys().find(|site| site.as_str() == named)
    };
    step.at.as_ref().or_else(of_credentials)
}

/// A value as text.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Outputs of a step that other steps refer to.
fn referred_to(plan: &Plan, step: &PlannedStep) -> BTreeSet<String> {
    let references = plan.steps.iter().flat_map(|other| references(&other.with));
    let outputs = references.filter_map(|reference| match reference.path.as_slice() {
        [root, of, output @ ..] if root == "steps" && of == step.id.as_str() => {
            Some(output.join("."))
        }
        _ => None,
    });
    outputs.collect()
}

/// The input of a step, with a variable in place of what a helper would compute of the outputs of other steps: the helper would
/// take the name of their variable for its value.
fn without_computed(value: &Value) -> Value {
    match value {
        Value::String(text) => match computed_text(text) {
            Some(text) => HandInput::variable_mark("computed", &text).into(),
            None => value.clone(),
        },
        Value::Array(items) => items.iter().map(without_computed).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, field)| (name.clone(), without_computed(field)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// All texts in an input that a helper would compute.
fn computed(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => found.extend(computed_text(text)),
        Value::Array(items) => items.iter().for_each(|item| computed(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| computed(field, found)),
        _ => {}
    }
}

fn computed_text(text: &str) -> Option<String> {
    // These leave a variable as it is; what stands in parentheses is computed before.
    const KEEP: [&str; 3] = ["concat", "default", "str"];
    let template = Template::parse(text).ok()?;
    let keeps = template.whole_call().is_some_and(|call| KEEP.contains(&call.name));
    let of_steps = template.references().iter().any(|r| r.inside_helper && r.step().is_some());
    let is_computed = of_steps && (!keeps || text.contains('('));
    is_computed.then(|| text.replace("{{", "").replace("}}", "").trim().to_owned())
}

/// Shell variables in place of what only a run knows.
struct ShellNames(Names);

impl Scope for ShellNames {
    fn look_up(&self, path: &[String]) -> Found {
        match path {
            [root, step, output @ ..] if root == "steps" => {
                Found::Value(HandInput::variable_mark(step, &output.join(".")).into())
            }
            [root, name @ ..] if root == "run" => {
                Found::Value(HandInput::variable_mark("run", &name.join(".")).into())
            }
            _ => self.0.look_up(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_sentences_can_be_pasted_and_all_else_is_text() {
        let said = prose("An [empty] list: `aws x --query 'Versions[].Key_*'` lists *all*.");
        assert_eq!(
            said,
            "An \\[empty\\] list: `aws x --query 'Versions[].Key_*'` lists \\*all\\*."
        );
        assert_eq!(prose("a ` b"), "a \\` b");
        assert_eq!(prose("a `` b"), "a \\`\\` b");
    }
}
