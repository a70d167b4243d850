use crate::scenario::{InputDeclaration, InputKind, is_of_kind};
use serde_json::{Number, Value};
use std::collections::BTreeMap;

/// The values of all inputs: given ones, else defaults. Text is read by the declared kind, since a command line has only text.
///
/// # Errors
/// Every input that is missing, unknown or of the wrong type, one line each.
pub(super) fn inputs(
    declared: &BTreeMap<String, InputDeclaration>,
    given: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, Vec<String>> {
    let mut problems = Vec::new();
    let mut values = BTreeMap::new();
    for (name, declaration) in declared {
        match (given.get(name), &declaration.default) {
            (Some(value), _) => match convert(value, declaration.kind) {
                Some(value) => {
                    values.insert(name.clone(), value);
                }
                None => problems.push(format!(
                    "[RD702] input {name} is {}: {value} is not",
                    expected(declaration.kind)
                )),
            },
            (None, Some(default)) => {
                values.insert(name.clone(), default.clone());
            }
            (None, None) => {
                let about = declaration.about.as_deref().map(|about| format!(" ({about})"));
                problems.push(format!(
                    "[RD701] input {name}{} was not given, {}: --set {name}={}",
                    about.unwrap_or_default(),
                    expected(declaration.kind),
                    example(declaration.kind)
                ));
            }
        }
    }
    for name in given.keys().filter(|name| !declared.contains_key(*name)) {
        let known: Vec<&str> = declared.keys().map(String::as_str).collect();
        problems.push(format!(
            "[RD703] the scenario has no input {name}; it has: {}",
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        ));
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

fn convert(value: &Value, kind: InputKind) -> Option<Value> {
    let converted = match (value.as_str(), kind) {
        (Some(text), InputKind::Number) => Value::Number(text.trim().parse::<Number>().ok()?),
        (Some(text), InputKind::Bool) => Value::Bool(text.trim().parse().ok()?),
        (Some(text), InputKind::List) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(Value::from).collect()
        }
        _ => value.clone(),
    };
    is_of_kind(&converted, kind).then_some(converted)
}

fn expected(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Text => "text",
        InputKind::Number => "a number",
        InputKind::Bool => "true or false",
        InputKind::Duration => "a duration such as 90s, 15m or 4h",
        InputKind::List => "a list of texts, separated by commas",
    }
}

fn example(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Text => "…",
        InputKind::Number => "3",
        InputKind::Bool => "true",
        InputKind::Duration => "4h",
        InputKind::List => "a,b",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn declared() -> BTreeMap<String, InputDeclaration> {
        serde_json::from_value(json!({
            "name": { "about": "which one" },
            "count": { "type": "number", "default": 3 },
            "deep": { "type": "bool", "default": false },
            "wait": { "type": "duration", "default": "4h" },
            "hosts": { "type": "list", "default": [] },
        }))
        .unwrap()
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, Value> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
    }

    #[test]
    fn text_from_the_command_line_becomes_what_is_declared() {
        let all = given(&[
            ("name", "5"),
            ("count", "2.5"),
            ("deep", "true"),
            ("wait", "1h 30m"),
            ("hosts", "a, b,"),
        ]);
        let values = inputs(&declared(), &all).unwrap();
        assert_eq!(
            json!(values),
            json!({ "name": "5", "count": 2.5, "deep": true, "wait": "1h 30m", "hosts": ["a", "b"] })
        );
        let values = inputs(&declared(), &given(&[("name", "x")])).unwrap();
        assert_eq!(values["count"], json!(3));
    }

    #[test]
    fn missing_unknown_and_wrong_inputs_are_all_named() {
        let wrong = given(&[("count", "many"), ("deep", "yes"), ("wait", "4"), ("nmae", "x")]);
        let problems = inputs(&declared(), &wrong).unwrap_err().join("\n");
        for part in [
            "RD701] input name (which one)",
            "RD702] input count",
            "RD702] input deep",
            "RD702] input wait",
            "RD703] the scenario has no input nmae",
        ] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
    }
}
