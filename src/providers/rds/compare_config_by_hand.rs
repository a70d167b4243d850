use crate::action::{ByHand, HandInput};
use serde_json::Value;

/// How a person compares the configuration with the AWS CLI.
pub(super) fn by_hand(input: &HandInput) -> ByHand {
    let region = input.region();
    let instance = input.word("instance").unwrap_or_else(|| "''".to_owned());
    let describe = format!(
        "aws rds describe-db-instances --region {region} --db-instance-identifier {instance}"
    );
    let group = input.sets("parameter_group");
    let mut verify = vec![
        "Compare each value with the configuration that was captured before the disaster (the answer that was kept, or the \
         report of the last drill)."
            .to_owned(),
    ];
    verify.extend(of_the_terms(input));
    ByHand {
        commands: vec![
            format!("{describe} --output json"),
            format!(
                "{group}=$({describe} \\\n  --query 'DBInstances[0].DBParameterGroups[0].DBParameterGroupName' --output text)"
            ),
            format!(
                "aws rds describe-db-parameters --region {region} --db-parameter-group-name \"${{{group}:?}}\" --source user \\\n  \
                 --query 'Parameters[].[ParameterName,ParameterValue]' --output text"
            ),
        ],
        expected: "The configuration of the restored instance, and the parameters that differ from the engine's default."
            .to_owned(),
        verify,
        if_it_fails: vec![
            "Correct what differs with `aws rds modify-db-instance --apply-immediately`. Encryption and its key cannot be \
             changed any more: restore again from a copy with the right key."
                .to_owned(),
        ],
            ..ByHand::default()
        }
}

/// What the terms of the comparison mean for a person.
pub(in crate::providers) fn of_the_terms(input: &HandInput) -> Vec<String> {
    [earlier(input), source(input), instead(input), varied(input)].into_iter().flatten().collect()
}

fn earlier(input: &HandInput) -> Option<String> {
    let place = crate::providers::earlier::by_hand(input, "config")?;
    let age = input.word("max_age").map_or_else(String::new, |age| format!(", at most {age} old"));
    Some(format!("Of the last drill, {place} Look at captured_at{age}, and at arn first."))
}

fn source(input: &HandInput) -> Option<String> {
    let id = input.word("source.id")?;
    let at =
        input.region_of("source.at").map_or_else(String::new, |region| format!(" in {region}"));
    Some(format!("It must be that of {id}{at}: what another original was like says nothing."))
}

fn instead(input: &HandInput) -> Option<String> {
    let fields = input.value("instead").and_then(Value::as_object).filter(|f| !f.is_empty())?;
    let values = fields.keys().filter_map(|name| {
        let path = format!("instead.{name}");
        let words = match input.value(&path)? {
            Value::Array(_) => input.words(&path),
            _ => input.word(&path),
        };
        Some(format!("{name} {}", words?))
    });
    let values = values.collect::<Vec<_>>().join("; ");
    Some(format!("Here these are intended instead: {values}."))
}

fn varied(input: &HandInput) -> Option<String> {
    let items = input.words("vary").filter(|items| !items.is_empty())?;
    Some(format!("These may differ on purpose: {items}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn what_differs_on_purpose_is_said() {
        let with = json!({
            "instance": HandInput::variable_mark("restore", "id"),
            "intended": HandInput::variable_mark("config", "config"),
            "instead": { "kms_key": "alias/orders-dr", "security_groups": ["sg-1", "sg-2"] },
            "vary": ["class", "multi_az"],
        });
        let hand = by_hand(&HandInput::new("fidelity", Some("eu-west-1"), with, BTreeMap::new()));
        assert!(hand.commands[0].contains("--db-instance-identifier \"${RESTORE_ID:?}\""));
        assert!(hand.commands[2].contains("\"${FIDELITY_PARAMETER_GROUP:?}\""));
        let verify = hand.verify.join("\n");
        assert!(verify.contains("kms_key alias/orders-dr; security_groups sg-1 sg-2"), "{verify}");
        assert!(verify.contains("These may differ on purpose: class multi_az."), "{verify}");
    }
}
