//! How a person asks for the state of alarms.

use crate::action::{ByHand, HandInput};
use serde_json::Value;

pub(super) fn check_alarms(input: &HandInput) -> ByHand {
    let (names, region) = (input.words("alarms").unwrap_or_default(), input.region());
    let look = format!(
        "aws cloudwatch describe-alarms --region {region} --alarm-types MetricAlarm CompositeAlarm --output text \
         --query '[MetricAlarms,CompositeAlarms][].[AlarmName,StateValue,StateUpdatedTimestamp,StateReason]' \
         --alarm-names {names}"
    );
    let count = input.value("alarms").and_then(Value::as_array).map(Vec::len);
    let mut expected = match count {
        Some(1) => "One line, for the alarm, with the state OK.".to_owned(),
        Some(count) => format!("{count} lines, one for each alarm, each with the state OK."),
        None => "A line for each alarm, each with the state OK.".to_owned(),
    };
    if let Some(Value::String(within)) = input.value("within") {
        expected.push_str(&format!(" It may take up to {within}: try again until then."));
    }
    ByHand {
        commands: vec![look],
        expected,
        verify: vec![],
        if_it_fails: vec![
            "ALARM: what the alarm watches is not well. Look at that first; whether the recovery goes on is for whoever leads \
             it to decide."
                .to_owned(),
            "INSUFFICIENT_DATA: nobody knows, which is not OK. A new alarm needs a few minutes; else look whether its metric \
             is still reported."
                .to_owned(),
            "A line is missing: there is no alarm of that name in this region. Upper and lower case count.".to_owned(),
        ],
        ..ByHand::default()
    }
}
