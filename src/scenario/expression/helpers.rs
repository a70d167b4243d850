use serde_json::Value;

/// A function that expressions can use.
#[derive(Debug)]
pub struct HelperFacts {
    /// Its name.
    pub name: &'static str,
    /// How it is written: `{{lower vars.name}}`.
    pub usage: &'static str,
    /// What it gives.
    pub about: &'static str,
    /// The JSON type of what it gives; `None` when that depends on what it is given.
    pub gives: Option<&'static str>,
    /// The fewest and the most values that it takes.
    pub(super) takes: (usize, usize),
    pub(super) apply: fn(&[Value]) -> Result<Value, String>,
}

/// More than any expression needs.
const MANY: usize = 16;

/// Every helper there is, by name.
pub const HELPERS: &[HelperFacts] = &[
    HelperFacts {
        name: "and",
        usage: "{{and inputs.canary inputs.deep}}",
        about: "True when all values are true.",
        gives: Some("boolean"),
        takes: (1, MANY),
        apply: |values| Ok(truths(values)?.into_iter().all(|truth| truth).into()),
    },
    HelperFacts {
        name: "concat",
        usage: "{{concat vars.name \"-restored\"}}",
        about: "The values as one text.",
        gives: Some("string"),
        takes: (1, MANY),
        apply: |values| {
            Ok(values.iter().map(as_text).collect::<Result<Vec<_>, _>>()?.concat().into())
        },
    },
    HelperFacts {
        name: "default",
        usage: "{{default steps.config.port 5432}}",
        about: "The first value, or the second when the first is missing: its step was skipped (`when:`), or gave nothing.",
        gives: None,
        takes: (2, 2),
        apply: |values| {
            Ok(values.iter().find(|value| !value.is_null()).cloned().unwrap_or(Value::Null))
        },
    },
    HelperFacts {
        name: "eq",
        usage: "{{eq inputs.depth \"full\"}}",
        about: "True when both values are the same, their types included.",
        gives: Some("boolean"),
        takes: (2, 2),
        apply: |values| Ok((values.first() == values.get(1)).into()),
    },
    HelperFacts {
        name: "json",
        usage: "{{json steps.config.tags}}",
        about: "The value as JSON text; the only way to put a list or a mapping into a longer text.",
        gives: Some("string"),
        takes: (1, 1),
        apply: |values| Ok(values.iter().map(Value::to_string).collect::<String>().into()),
    },
    HelperFacts {
        name: "lower",
        usage: "{{lower inputs.name}}",
        about: "The text in lower case.",
        gives: Some("string"),
        takes: (1, 1),
        apply: |values| {
            let texts = values.iter().map(as_text).collect::<Result<Vec<_>, _>>()?;
            Ok(texts.concat().to_lowercase().into())
        },
    },
    HelperFacts {
        name: "not",
        usage: "{{not inputs.quick}}",
        about: "True when the value is false.",
        gives: Some("boolean"),
        takes: (1, 1),
        apply: |values| Ok(truths(values)?.into_iter().all(|truth| !truth).into()),
    },
    HelperFacts {
        name: "or",
        usage: "{{or inputs.canary inputs.deep}}",
        about: "True when one of the values is true.",
        gives: Some("boolean"),
        takes: (1, MANY),
        apply: |values| Ok(truths(values)?.into_iter().any(|truth| truth).into()),
    },
    HelperFacts {
        name: "str",
        usage: "{{str inputs.count}}",
        about: "The value as text: a number is not a number any more.",
        gives: Some("string"),
        takes: (1, 1),
        apply: |values| {
            Ok(values.iter().map(as_text).collect::<Result<Vec<_>, _>>()?.concat().into())
        },
    },
];

/// A helper by name.
pub(super) fn helper(name: &str) -> Option<&'static HelperFacts> {
    HELPERS.iter().find(|helper| helper.name == name)
}

/// A scalar as the text that it is inside a longer text.
pub(super) fn as_text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null => Err("nothing cannot be part of a text".to_owned()),
        Value::Array(_) => {
            Err("a list cannot be part of a text: use it as the whole value, or {{json …}}"
                .to_owned())
        }
        Value::Object(_) => {
            Err("a mapping cannot be part of a text: use it as the whole value, or {{json …}}"
                .to_owned())
        }
    }
}

fn truths(values: &[Value]) -> Result<Vec<bool>, String> {
    let truth = |value: &Value| value.as_bool().ok_or(format!("{value} is not true or false"));
    values.iter().map(truth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_usage_names_its_helper() {
        assert!(HELPERS.is_sorted_by(|a, b| a.name < b.name));
        for helper in HELPERS {
            assert!(helper.usage.starts_with(&format!("{{{{{} ", helper.name)), "{}", helper.name);
            assert!(super::super::Template::parse(helper.usage).is_ok(), "{}", helper.usage);
        }
    }
}
