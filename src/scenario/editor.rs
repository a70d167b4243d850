use crate::action::{ActionEntry, Registry};
use serde_json::{Map, Value, json};

/// Says once more, in keywords that editors understand, what the schema of the language says already: completion follows
/// neither `if` nor our own formats, and shows Markdown only where it is announced as such. What fits and what does not
/// stays the same; the checker works without all this, because every message would come twice.
///
/// Tried with yaml-language-server 1.25, whose keywords beyond JSON Schema (`markdownDescription`,
/// `markdownEnumDescriptions`, `patternErrorMessage`) VS Code's own JSON support knows as well.
pub(super) fn help_editors(schema: &mut Value, registry: &Registry) {
    explain(schema);
    if let Some(version) = schema.pointer_mut("/properties/redrill") {
        version["default"] = json!(1);
    }
    let Some(step) = schema.pointer_mut("/properties/steps/items") else { return };
    step["title"] = json!("A step");
    if let Some(uses) = step.pointer_mut("/properties/uses") {
        let titles = registry.actions().map(|action| action.facts.title);
        uses["markdownEnumDescriptions"] = titles.collect();
    }
    // What is said of `with` in general would hide what the chosen action says of it.
    if let Some(with) = step.pointer_mut("/properties/with") {
        *with = json!(true);
    }
    for (number, action) in registry.actions().enumerate() {
        let Some(then) = step.pointer_mut(&format!("/allOf/{number}/then/properties")) else {
            continue;
        };
        then["with"]["title"] = json!(action.facts.name);
        then["expect"] = expectable(action);
    }
}

/// What a step may expect: the outputs of its action.
fn expectable(action: &ActionEntry) -> Value {
    let mut names = Map::new();
    let outputs = action.output.get("properties").and_then(Value::as_object);
    for (name, output) in outputs.into_iter().flatten() {
        let about = output.get("description").and_then(Value::as_str).unwrap_or_default();
        let types = ["string", "number", "boolean"];
        let output = json!({ "type": types, "description": about, "markdownDescription": about });
        names.insert(name.clone(), output);
    }
    json!({ "title": action.facts.name, "properties": names, "additionalProperties": false })
}

fn explain(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(explain),
        Value::Object(object) => {
            let is_schema = |key: &str| !matches!(key, "default" | "enum" | "const" | "required");
            object.iter_mut().filter(|(key, _)| is_schema(key)).for_each(|(_, v)| explain(v));
            if let Some(Value::String(words)) = object.get("description") {
                let words = words.clone();
                object.insert("markdownDescription".into(), json!(words));
            }
            spell_format(object);
            hint_at_values(object);
        }
        _ => {}
    }
}

/// What [`HumanDuration`](crate::time::HumanDuration) reads, but for the longest one allowed and a unit that stands twice.
const DURATION: &str = r"^\s*([0-9]+(ms|s|m|h|d)\s*)+$";
/// What [`ByteSize`](crate::time::ByteSize) reads.
const SIZE: &str = r"^\s*[0-9]+\s*(TiB|GiB|MiB|KiB|TB|GB|MB|kB|B)\s*$";

/// Editors pass over formats that they do not know.
fn spell_format(object: &mut Map<String, Value>) {
    let (pattern, words) = match object.get("format").and_then(Value::as_str) {
        Some("redrill-duration") => {
            (DURATION, "Not a duration: write a number and a unit, such as 90s, 15m, 4h or 7d.")
        }
        Some("redrill-size") => {
            (SIZE, "Not a size: write a number and a unit, such as 512 KiB or 20 GiB.")
        }
        _ => return,
    };
    object.insert("pattern".into(), json!(pattern));
    object.insert("patternErrorMessage".into(), json!(words));
}

/// Where an expression may stand instead of a typed value, the types and values are in `else`, where completion does not look.
fn hint_at_values(object: &mut Map<String, Value>) {
    let (Some(_), Some(typed)) = (object.get("if"), object.get("else")) else { return };
    let types = types_of(typed);
    let values = match typed.get("enum") {
        Some(values) => Some(values.clone()),
        None => (types == ["boolean"]).then(|| json!([true, false])),
    };
    if let Some(values) = values {
        object.insert("examples".into(), values);
    }
    // The first type decides what is written after the key: the start of a list or a mapping, otherwise nothing yet.
    let text = "string".to_owned();
    let types = match types.as_slice() {
        [] => return,
        [only] if *only == text => json!(only),
        [first, ..] => {
            let is_nested = matches!(first.as_str(), "array" | "object");
            let mut all: Vec<String> = types.iter().filter(|one| **one != text).cloned().collect();
            all.insert(if is_nested { all.len() } else { 0 }, text);
            json!(all)
        }
    };
    object.insert("type".into(), types);
}

/// The types that a schema allows; none when it does not say.
fn types_of(schema: &Value) -> Vec<String> {
    if let Some(types) = schema.get("type") {
        let many = types.as_array().cloned().unwrap_or_else(|| vec![types.clone()]);
        return many.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    }
    let choices = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    let mut types = Vec::new();
    for choice in choices.into_iter().flatten() {
        let of_choice = types_of(choice);
        if of_choice.is_empty() {
            return Vec::new();
        }
        types.extend(of_choice);
    }
    types.dedup();
    types
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::registry;
    use crate::scenario::schema::{language, schema};
    use crate::time::{ByteSize, HumanDuration};

    /// The published schema and that of the checker, with the formats.
    fn both() -> [jsonschema::Validator; 2] {
        let registry = registry();
        [schema(&registry), language(&registry)].map(|schema| {
            jsonschema::options()
                .with_draft(jsonschema::Draft::Draft7)
                .with_format("redrill-duration", |text: &str| text.parse::<HumanDuration>().is_ok())
                .with_format("redrill-size", |text: &str| text.parse::<ByteSize>().is_ok())
                .should_validate_formats(true)
                .build(&schema)
                .unwrap()
        })
    }

    fn step(uses: &str, with: Value) -> Value {
        json!({
            "redrill": 1, "name": "a", "title": "A", "owner": "o", "objectives": {},
            "disaster": { "kind": "deletion" },
            "steps": [{ "id": "a", "uses": uses, "with": with }],
        })
    }

    #[test]
    fn editors_and_the_checker_accept_the_same_values() {
        let http = |key: &str, value: Value| {
            let mut with = json!({ "url": "http://a" });
            with[key] = value;
            step("http.check", with)
        };
        let fine = [
            http("method", json!("HEAD")),
            http("method", json!("{{vars.method}}")),
            http("expect_status", json!(204)),
            http("expect_status", json!("{{vars.status}}")),
            http("follow_redirects", json!(true)),
            http("within", json!("1h 30m")),
            http("headers", json!({ "a": "b", "c": { "from_env": "D" } })),
            http("headers", json!("{{vars.headers}}")),
            step("exec.run", json!({ "argv": ["true"], "effect": "none" })),
            step("exec.run", json!({ "argv": "{{vars.argv}}", "effect": "none" })),
        ];
        let wrong = [
            http("method", json!("POST")),
            http("expect_status", json!("fine")),
            http("expect_status", json!([200])),
            http("follow_redirects", json!("perhaps")),
            http("within", json!("1 hour")),
            http("within", json!(60)),
            http("headers", json!([])),
            http("headers", json!({ "a": 1 })),
            step("exec.run", json!({ "argv": [], "effect": "none" })),
            step("exec.run", json!({ "argv": "true", "effect": "none" })),
            step("exec.run", json!({ "argv": ["true"], "effect": "own" })),
            step("http.check", json!(3)),
        ];
        for validator in both() {
            for one in &fine {
                let problems: Vec<_> =
                    validator.iter_errors(one).map(|problem| problem.to_string()).collect();
                assert!(problems.is_empty(), "{problems:?} in {one}");
            }
            for one in &wrong {
                assert!(!validator.is_valid(one), "accepted: {one}");
            }
        }
    }

    #[test]
    fn patterns_of_units_accept_what_the_types_read() {
        let duration = regex::Regex::new(DURATION).unwrap();
        for text in [
            "90s", "1h 30m", "1h30m", " 5ms ", "0s", "7d", "", "5", "s", "1h 30", "-1s", "1.5h",
            "3 h", "1H",
        ] {
            assert_eq!(duration.is_match(text), text.parse::<HumanDuration>().is_ok(), "{text:?}");
        }
        let size = regex::Regex::new(SIZE).unwrap();
        for text in ["1B", "20 GiB", " 5 kB ", "5", "KiB", "5 KB", "1.5 GiB", "-1 B", ""] {
            assert_eq!(size.is_match(text), text.parse::<ByteSize>().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn editors_know_what_each_action_gives() {
        let [published, _] = both();
        let expecting = |output: &str| {
            let mut scenario = step("rds.find_snapshot", json!({ "of": "a" }));
            scenario["steps"][0]["expect"] = json!({ output: "<= 26h" });
            scenario
        };
        assert!(published.is_valid(&expecting("worst_gap")));
        assert!(!published.is_valid(&expecting("worst_gaps")));
    }

    #[test]
    fn completion_finds_types_and_values_of_what_may_be_an_expression() {
        let schema = schema(&registry());
        let choices = schema.pointer("/properties/steps/items/allOf").unwrap().as_array().unwrap();
        let input = |action: &str, name: &str| {
            let of_action = |one: &&Value| one["if"]["properties"]["uses"]["const"] == action;
            let with = &choices.iter().find(of_action).unwrap()["then"]["properties"]["with"];
            assert_eq!(with["title"], action);
            with["properties"][name].clone()
        };
        assert_eq!(input("http.check", "method")["examples"], json!(["GET", "HEAD"]));
        assert_eq!(input("http.check", "expect_status")["type"], json!(["string", "integer"]));
        assert_eq!(input("rds.restore_snapshot", "multi_az")["examples"], json!([true, false]));
        assert_eq!(input("exec.run", "argv")["type"], json!(["array", "string"]));
        assert_eq!(input("s3.replicate_canary", "replica_at")["type"], "string");
    }
}
