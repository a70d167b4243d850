use super::judge::{Alarm, Judged, judge, shown};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem, Look,
    Permission, Phase, Probe, SiteUse, StepContext, StepError, WaitPlan,
};
use crate::client;
use crate::journal::FailureClass;
use crate::limits::LIST_PAGES;
use crate::providers::backups::time_of;
use crate::time::HumanDuration;
use aws_sdk_cloudwatch::types::{AlarmType, CompositeAlarm, MetricAlarm, StateValue};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// As many names as one call takes, and as many alarms as one page holds
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>).
const MOST_ALARMS: usize = 100;

/// The length of a name, as there.
const NAME_CHARACTERS: usize = 255;

/// The call.
const DESCRIBE: &str = "cloudwatch:DescribeAlarms";

/// `cloudwatch.check_alarms`: asks in which state alarms are.
pub(super) struct CheckAlarms;

/// What a step of `cloudwatch.check_alarms` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The names of the alarms, at most 100: metric and composite alarms of the step's site. No patterns.
    #[schemars(length(min = 1, max = 100))]
    pub(super) alarms: Vec<String>,
    /// Ask again until all of them are OK, at most this long. Without it there is one look. In a watch it delays the alarm.
    #[serde(default)]
    within: HumanDuration,
}

/// What a step of `cloudwatch.check_alarms` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Output {
    /// The alarms as they were seen last, in the order of the input.
    alarms: Vec<Alarm>,
    /// When the last of them changed its state (UTC).
    last_change: Option<DateTime<Utc>>,
}

const ABOUT: &str = "\
Asks in which state alarms are: `OK` passes, `ALARM` fails with a finding. With `INSUFFICIENT_DATA` nobody knows: the look is \
made again as often as `retry` allows, then the step is inconclusive. An alarm that is not there makes it inconclusive at \
once. With `watch: 1m` it is a stop condition: the run is cancelled, and what it made is removed, when an alarm goes off. \
Whether an alarm's actions are enabled does not matter, nor what they do. Alarms live in one region: to watch production while \
its region counts as lost, name alarms of another region. Log alarms are seen through composite ones.";

impl Action for CheckAlarms {
    type Input = Input;
    type Output = Output;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "cloudwatch.check_alarms",
            title: "Check that no alarm has gone off",
            about: ABOUT,
            phase: Phase::Verify,
            site: SiteUse::Required,
            timeout: Duration::from_secs(15 * 60),
            effect: Effect::None,
            creates: &[],
            permissions: &[Permission {
                action: DESCRIBE,
                why: "ask in which state the alarms are",
            }],
            checks: &[("alarm, and its name", "the alarm is there, and says OK")],
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5, behind a translation of its JSON to CBOR by botocore"],
                aws: None,
            },
        }
    }

    async fn run(&self, context: &StepContext, input: Input) -> Result<Output, StepError> {
        let last = Mutex::new(None);
        let plan = WaitPlan::new("alarms OK", Duration::ZERO, input.within.0);
        let waited = context.wait(&plan, || look(context, &input.alarms, &last)).await;
        let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
        let judged = match (waited, last) {
            (Ok(judged), _) => judged,
            // Out of time: what was seen last is judged. Where nothing was, it is the time-out.
            (Err(error), Some(last)) if error.class() == FailureClass::TimedOut => last,
            (Err(error), Some(last))
                if error.class().may_pass() && last.cannot_tell().is_some() =>
            {
                last
            }
            (Err(error), _) => return Err(error),
        };
        for check in &judged.checks {
            context.check(check.clone()).await?;
        }
        for finding in &judged.findings {
            context.finding(finding.clone()).await?;
        }
        match judged.cannot_tell() {
            Some(error) => Err(error),
            None => Ok(Output { last_change: judged.last_change(), alarms: judged.seen }),
        }
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        problems(given)
    }

    /// Composite alarms are told only to those who may ask for all alarms
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>).
    fn grants(&self, given: &Given) -> Vec<Grant> {
        given.grant(self.facts().permissions, DESCRIBE).into_iter().collect()
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::check_alarms(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::by_hand::check_alarms(input)
    }
}

/// One look, which is kept as the last one.
async fn look(
    context: &StepContext,
    names: &[String],
    last: &Mutex<Option<Judged>>,
) -> Result<Look<Judged>, StepError> {
    let judged = judge(names, &ask(context, names).await?);
    if let Some(error) = judged.not_there(&context.site()?.place().region) {
        return Err(error);
    }
    if judged.all_quiet() {
        return Ok(Look::Ready(judged));
    }
    let (state, cannot_tell) = (judged.state(), judged.cannot_tell());
    *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(judged);
    // An alarm that knows nothing has not been seen: when the step's limit comes meanwhile, that is no failed recovery.
    cannot_tell.map_or(Ok(Look::NotYet(state)), Err)
}

/// The alarms of these names, to the last page.
///
/// # Errors
/// Those of `cloudwatch:DescribeAlarms`.
pub(super) async fn ask(context: &StepContext, names: &[String]) -> Result<Vec<Alarm>, StepError> {
    let client = client!(context.site()?, aws_sdk_cloudwatch);
    let (mut all, mut token) = (Vec::new(), None::<String>);
    for _ in 0..LIST_PAGES {
        let request = client
            .describe_alarms()
            .set_alarm_names(Some(names.to_vec()))
            // Without its types only metric alarms would be told.
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .set_next_token(token);
        let answer = context.call(DESCRIBE, || request.clone().send()).await?;
        all.extend(answer.metric_alarms().iter().filter_map(metric));
        all.extend(answer.composite_alarms().iter().filter_map(composite));
        token = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if token.is_none() {
            return Ok(all);
        }
    }
    Err(StepError::broken(format!("the list of alarms did not end after {LIST_PAGES} pages")))
}

/// The alarm in this program's words; both kinds have the same fields.
macro_rules! alarm_of {
    ($name:ident, $alarm:ident, $kind:literal) => {
        fn $name(alarm: &$alarm) -> Option<Alarm> {
            let since =
                alarm.state_transitioned_timestamp().or_else(|| alarm.state_updated_timestamp());
            Some(Alarm {
                name: alarm.alarm_name()?.to_owned(),
                kind: $kind,
                state: alarm.state_value().map_or("no state", StateValue::as_str).to_owned(),
                since: since.and_then(time_of),
                reason: shown(alarm.state_reason().unwrap_or_default()),
            })
        }
    };
}

alarm_of!(metric, MetricAlarm, "metric");
alarm_of!(composite, CompositeAlarm, "composite");

fn problems(given: &Given) -> Vec<InputProblem> {
    let mut found = Vec::new();
    let count = given.count("alarms");
    let is_list = given.known("alarms").is_some_and(serde_json::Value::is_array);
    if is_list && !(1..=MOST_ALARMS).contains(&count) {
        let message = format!("alarms: {count} names are given");
        found.push(InputProblem::at("alarms", message).expected("1 to 100"));
    }
    let mut seen = BTreeSet::new();
    for number in 0..count.min(MOST_ALARMS) {
        let path = format!("alarms.{number}");
        let Some(name) = given.text(&path) else { continue };
        let wrong = match name {
            name if name.trim().is_empty() => "alarms: a name is empty".to_owned(),
            name if name.chars().count() > NAME_CHARACTERS => {
                "alarms: a name has more than 255 characters".to_owned()
            }
            name if name.chars().any(char::is_control) => {
                "alarms: a name holds a control character".to_owned()
            }
            name if !seen.insert(name) => format!("alarms: {name} is given twice"),
            _ => continue,
        };
        found.push(InputProblem::at(&path, wrong));
    }
    found.extend(InputProblem::beyond_the_step(given, "within"));
    found
}
