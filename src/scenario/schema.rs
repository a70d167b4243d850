use super::editor::help_editors;
use super::model::Scenario;
use crate::action::{ActionEntry, Registry};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The published JSON Schema (draft 7) of the language, with the inputs of every action in the registry: what the checker
/// uses, with hints for editors that change nothing of what fits.
pub fn schema(registry: &Registry) -> Value {
    let mut schema = language(registry);
    help_editors(&mut schema, registry);
    schema
}

/// The JSON Schema of the language as the checker uses it.
pub(super) fn language(registry: &Registry) -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let generator = settings.into_generator();
    let mut schema = generator.into_root_schema_for::<Scenario>().to_value();
    tidy(&mut schema);
    schema["title"] = json!("A redrill scenario");
    if let Some(step) = schema.pointer_mut("/properties/steps/items") {
        add_actions(step, registry);
    }
    schema
}

/// The schema of what a step writes under `with:`: every typed value may be an expression instead.
pub(super) fn written_input(action: &ActionEntry) -> Value {
    let mut schema = Value::clone(&action.input);
    if let Some(object) = schema.as_object_mut() {
        object.remove("title");
        object.remove("$schema");
    }
    tidy(&mut schema);
    written(&mut schema);
    schema
}

/// The schema of a step: names of actions, and `with` by action.
fn add_actions(step: &mut Value, registry: &Registry) {
    let names: Vec<&str> = registry.actions().map(|action| action.facts.name).collect();
    let about: Vec<String> = registry
        .actions()
        .map(|action| format!("`{}`: {}", action.facts.name, action.facts.title))
        .collect();
    if let Some(uses) = step.pointer_mut("/properties/uses") {
        uses["enum"] = json!(names);
        uses["description"] = json!(format!("The action.\n\n- {}", about.join("\n- ")));
    }
    let choices: Vec<Value> = registry.actions().map(choice).collect();
    if !choices.is_empty() {
        step["allOf"] = Value::Array(choices);
    }
    // A step that expects something writes it as a value or as text.
    if let Some(expected) = step.pointer_mut("/properties/expect/additionalProperties") {
        *expected = json!({ "type": ["string", "number", "boolean"] });
    }
    if let Some(when) = step.pointer_mut("/properties/when") {
        when["type"] = json!(["boolean", "string"]);
    }
    if let Some(with) = step.pointer_mut("/properties/with")
        && let Some(with) = with.as_object_mut()
    {
        with.remove("default");
    }
}

fn choice(action: &ActionEntry) -> Value {
    let mut input = written_input(action);
    input["description"] = json!(action.facts.about);
    let needed = input.get("required").and_then(Value::as_array).is_some_and(|r| !r.is_empty());
    let mut then = json!({ "properties": { "with": input } });
    if needed {
        then["required"] = json!(["with"]);
    }
    json!({
        // `type`: an editor that completes an empty item would take it for a step of every action at once.
        "if": {
            "type": "object",
            "properties": { "uses": { "const": action.facts.name } },
            "required": ["uses"],
        },
        "then": then,
    })
}

/// Makes a generated schema say what people need: no nulls, choices of texts as `enum`, units explained.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(object) => {
            object.values_mut().for_each(tidy);
            remove_null(object);
            join_texts(object);
            explain_unit(object);
        }
        _ => {}
    }
}

/// An optional key is left out in YAML, not written as null; `Option`'s null only spoils the messages.
fn remove_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&json!("null")));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
}

/// `oneOf` over constants gives one message for every mistake; `enum` names what is possible.
fn join_texts(object: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = object.get("oneOf") else { return };
    let mut names = Vec::new();
    let mut lines = Vec::new();
    for choice in choices {
        let name = match (choice.get("const"), choice.get("enum").and_then(Value::as_array)) {
            (Some(Value::String(name)), _) => vec![name.clone()],
            (_, Some(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return,
        };
        if let Some(about) = choice.get("description").and_then(Value::as_str) {
            lines.push(format!("- `{}`: {about}", name.join("`, `")));
        }
        names.extend(name);
    }
    let about = object.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{about}\n\n{}", lines.join("\n"));
    object.remove("oneOf");
    object.insert("type".into(), json!("string"));
    object.insert("enum".into(), json!(names));
    object.insert("description".into(), json!(description.trim()));
}

fn explain_unit(object: &mut Map<String, Value>) {
    let words = match object.get("format").and_then(Value::as_str) {
        Some("redrill-duration") => {
            "A duration: a number and a unit, such as `90s`, `15m`, `4h`, `7d` or `1h 30m`."
        }
        Some("redrill-size") => "A size: a number of bytes, or text such as `512 KiB` or `20 GiB`.",
        Some("redrill-site") => "The name of a site of this scenario.",
        _ => return,
    };
    let about = object.get("description").and_then(Value::as_str).unwrap_or_default();
    if !about.contains(words) {
        let description = format!("{about}\n\n{words}");
        object.insert("description".into(), json!(description.trim()));
    }
}

/// Lets an expression stand wherever a typed value stands. If/else and not anyOf: a mistake then gets the message of the
/// type and not "fits none".
fn written(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(choices)) = object.get_mut(key) {
            choices.iter_mut().for_each(written);
        }
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        for value in properties.values_mut() {
            written(value);
            wrap(value);
        }
    }
    for key in ["items", "additionalProperties"] {
        match object.get_mut(key) {
            Some(Value::Array(items)) => items.iter_mut().for_each(|item| {
                written(item);
                wrap(item);
            }),
            Some(value @ Value::Object(_)) => {
                written(value);
                wrap(value);
            }
            _ => {}
        }
    }
}

/// Keywords that text with an expression in it could offend.
const STRICT: [&str; 9] =
    ["type", "enum", "const", "pattern", "format", "minLength", "maxLength", "anyOf", "oneOf"];

fn wrap(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    let is_plain_text = object.get("type") == Some(&json!("string"))
        && !STRICT[1..].iter().any(|keyword| object.contains_key(*keyword));
    if is_plain_text || !STRICT.iter().any(|keyword| object.contains_key(*keyword)) {
        return;
    }
    let mut outer = Map::new();
    for keyword in ["description", "default"] {
        if let Some(value) = object.remove(keyword) {
            outer.insert(keyword.into(), value);
        }
    }
    outer.insert("if".into(), json!({ "type": "string", "pattern": "\\{\\{" }));
    outer.insert("else".into(), schema.take());
    *schema = Value::Object(outer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fresh;

    #[test]
    fn the_published_schema_is_current() {
        let schema = schema(&crate::providers::registry());
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        fresh::check("docs/schema/scenario.json", &text);
    }

    #[test]
    fn typed_inputs_accept_expressions_and_keep_their_descriptions() {
        let registry = crate::scenario::testing::registry();
        let input = written_input(registry.get("db.restore").unwrap());
        let duration = &input["properties"]["expected_duration"];
        assert_eq!(duration["else"]["format"], "redrill-duration");
        assert!(duration["else"]["type"] == "string" && duration.get("if").is_some());
        assert!(duration["description"].as_str().unwrap().contains("How long it should take."));
        assert!(duration["description"].as_str().unwrap().contains("`90s`"));
        assert_eq!(input["properties"]["class"]["type"], "string");
        assert_eq!(input["properties"]["storage"]["else"]["enum"], json!(["gp3", "io2"]));
    }
}
