//! What goes wrong: a table of faults at the wire and in what calls create.
//!
//! Main type: [`Fault`]. Which call meets which fault is decided by [`super::fault_table`] alone; what a fault does to a
//! call belongs to the world.

use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Something that goes wrong with some calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The calls: service and operation, such as `rds:RestoreDBInstanceFromDBSnapshot`, `rds:Describe*` or `*`.
    pub on: String,
    /// Only calls to this region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Only the n-th of these calls, counted from 1. Of `stuck` and `broken` it is the n-th thing that these calls make. A
    /// request that arrives twice counts once. Where another fault takes its place, it waits for the next call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// Only the first so many of these calls, counted as for `nth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// What goes wrong.
    #[serde(rename = "do")]
    pub effect: FaultEffect,
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultEffect {
    /// The service says that there are too many calls. Nothing happens.
    Throttle,
    /// The service fails with status 500. Nothing happens.
    ServerError,
    /// The answer never arrives. The call has its effect, unless another fault refuses it.
    LostReply,
    /// The answer takes this much longer.
    Slow(HumanDuration),
    /// The answer to a look-up of DB instances, clusters or volumes does not show yet what was made within this time: EC2 and RDS
    /// are eventually consistent (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>).
    Stale(HumanDuration),
    /// The service refuses with this error. Nothing happens.
    Error(FaultError),
    /// The answer is not what the protocol says. The call has its effect, unless another fault refuses it.
    Garbage,
    /// The connection breaks before the call has an effect.
    Reset,
    /// What the call creates never leaves its first state.
    Stuck,
    /// What the call creates ends in a state of failure.
    Broken,
    /// The credentials are expired for a while, counted from when the estate is opened. Nothing happens.
    ExpiredCredentials(Period),
}

/// A part of the time since an estate was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Its beginning.
    #[serde(default)]
    pub from: HumanDuration,
    /// Its end; without it, it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<HumanDuration>,
}

impl Period {
    pub(super) fn holds(&self, since_opened: Duration) -> bool {
        since_opened >= self.from.0 && self.until.is_none_or(|until| since_opened < until.0)
    }

    /// Reads `20m..50m` or `20m..`.
    fn read(text: &str) -> Option<Self> {
        let (from, until) = text.split_once("..")?;
        let until = (!until.is_empty()).then(|| until.parse()).transpose().ok()?;
        Some(Self { from: from.parse().ok()?, until })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", self.from)?;
        self.until.map_or(Ok(()), |until| write!(f, "{until}"))
    }
}

/// An error that a service answers with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultError {
    /// The code, such as `AccessDenied`.
    pub code: String,
    /// The message.
    #[serde(default)]
    pub message: String,
    /// The HTTP status.
    #[serde(default = "bad_request")]
    pub status: u16,
}

fn bad_request() -> u16 {
    400
}

impl FromStr for Fault {
    type Err = String;

    /// Reads `calls=effect`, where calls are `service:Operation`, then perhaps `@region`, `#n` (the n-th call) or
    /// `<n` (the first n calls), and the effect is `throttle`, `server_error`, `lost_reply`, `slow:30s`, `stale:30s`,
    /// `error:Code[:status]`, `garbage`, `reset`, `stuck`, `broken` or `expired_credentials:20m..50m` (time since the
    /// estate was opened).
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is not a fault ({why}): write for example rds:RestoreDBInstanceFromDBSnapshot#2=throttle, ec2:*=slow:30s or rds:*@ap-northeast-3=error:AccessDenied:403"
            )
        };
        let (calls, effect) = text.split_once('=').ok_or_else(|| wrong("there is no ="))?;
        let number = |n: &str| match n.parse::<u32>() {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(wrong("calls are counted from 1")),
        };
        let (calls, nth) = match calls.split_once('#') {
            Some((calls, n)) => (calls, Some(number(n)?)),
            None => (calls, None),
        };
        let (calls, times) = match calls.split_once('<') {
            Some((calls, n)) => (calls, Some(number(n)?)),
            None => (calls, None),
        };
        let (on, region) = match calls.split_once('@') {
            Some((on, region)) => (on, Some(region.to_owned())),
            None => (calls, None),
        };
        if on != "*" && !on.contains(':') {
            return Err(wrong("the calls are service:Operation"));
        }
        let effect = read_effect(effect).ok_or_else(|| wrong("there is no such effect"))?;
        if !can_be_met(on) {
            return Err(wrong("the sandbox simulates no such operation"));
        }
        Ok(Self { on: on.to_owned(), region, nth, times, effect })
    }
}

impl fmt::Display for Fault {
    /// Writes what [`Fault::from_str`] reads. An error's own message is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.on)?;
        if let Some(region) = &self.region {
            write!(f, "@{region}")?;
        }
        if let Some(times) = self.times {
            write!(f, "<{times}")?;
        }
        if let Some(nth) = self.nth {
            write!(f, "#{nth}")?;
        }
        match &self.effect {
            FaultEffect::Throttle => f.write_str("=throttle"),
            FaultEffect::ServerError => f.write_str("=server_error"),
            FaultEffect::LostReply => f.write_str("=lost_reply"),
            FaultEffect::Slow(by) => write!(f, "=slow:{by}"),
            FaultEffect::Stale(by) => write!(f, "=stale:{by}"),
            FaultEffect::Error(e) => write!(f, "=error:{}:{}", e.code, e.status),
            FaultEffect::Garbage => f.write_str("=garbage"),
            FaultEffect::Reset => f.write_str("=reset"),
            FaultEffect::Stuck => f.write_str("=stuck"),
            FaultEffect::Broken => f.write_str("=broken"),
            FaultEffect::ExpiredCredentials(period) => write!(f, "=expired_credentials:{period}"),
        }
    }
}

fn read_effect(text: &str) -> Option<FaultEffect> {
    let (name, rest) = match text.split_once(':') {
        Some((name, rest)) => (name, Some(rest)),
        None => (text, None),
    };
    Some(match (name, rest) {
        ("throttle", None) => FaultEffect::Throttle,
        ("server_error", None) => FaultEffect::ServerError,
        ("lost_reply", None) => FaultEffect::LostReply,
        ("slow", Some(by)) => FaultEffect::Slow(by.parse().ok()?),
        ("stale", Some(by)) => FaultEffect::Stale(by.parse().ok()?),
        ("garbage", None) => FaultEffect::Garbage,
        ("reset", None) => FaultEffect::Reset,
        ("stuck", None) => FaultEffect::Stuck,
        ("broken", None) => FaultEffect::Broken,
        ("expired_credentials", None) => FaultEffect::ExpiredCredentials(Period::default()),
        ("expired_credentials", Some(period)) => {
            FaultEffect::ExpiredCredentials(Period::read(period)?)
        }
        ("error", Some(rest)) => {
            let (code, status) = match rest.split_once(':') {
                Some((code, status)) => (code, status.parse().ok()?),
                None => (rest, bad_request()),
            };
            let message = "a fault of the estate".to_owned();
            FaultEffect::Error(FaultError { code: code.to_owned(), message, status })
        }
        _ => return None,
    })
}

/// Whether there is a simulated operation that the pattern names: a fault that nothing can meet proves nothing.
pub(crate) fn can_be_met(pattern: &str) -> bool {
    super::fidelity::operations()
        .any(|o| matches_pattern(pattern, &format!("{}:{}", o.service, o.name)))
}

/// Compares text with a pattern in which `*` stands for any characters and `?` for one.
pub(crate) fn matches_pattern(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // `reach[i]`: the pattern so far can stand for the first i characters.
    let mut reach = vec![false; text.len() + 1];
    reach[0] = true;
    for part in pattern {
        let mut next = vec![false; text.len() + 1];
        let mut any = false;
        for i in 0..=text.len() {
            any |= reach[i];
            next[i] = match part {
                '*' => any,
                '?' => i > 0 && reach[i - 1],
                c => i > 0 && reach[i - 1] && text[i - 1] == c,
            };
        }
        reach = next;
    }
    reach[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_the_command_line() {
        let fault: Fault = "rds:RestoreDBInstanceFromDBSnapshot#2=throttle".parse().unwrap();
        assert_eq!(fault.on, "rds:RestoreDBInstanceFromDBSnapshot");
        assert_eq!((fault.nth, fault.times, &fault.region), (Some(2), None, &None));
        assert_eq!(fault.effect, FaultEffect::Throttle);
        let fault: Fault = "ec2:*@eu-west-1<3=slow:30s".parse().unwrap();
        assert_eq!((fault.times, fault.region.as_deref()), (Some(3), Some("eu-west-1")));
        assert_eq!(fault.effect, FaultEffect::Slow("30s".parse().unwrap()));
        let fault: Fault = "kms:DescribeKey=error:AccessDeniedException:403".parse().unwrap();
        assert!(matches!(fault.effect, FaultEffect::Error(e) if e.status == 403));
        for bad in [
            "",
            "rds",
            "rds:X",
            "rds:X=",
            "rds=stuck",
            "rds:X#0=stuck",
            "rds:X=slow",
            "rds:X=slow:4",
            "rds:RestoreDbInstance=throttle",
        ] {
            assert!(bad.parse::<Fault>().unwrap_err().contains("is not a fault"), "{bad}");
        }
    }

    #[test]
    fn a_fault_reads_back_what_it_prints() {
        for text in [
            "rds:Restore*@eu-west-1<3#2=throttle",
            "*=server_error",
            "ec2:*=slow:1m 30s",
            "rds:DescribeDBInstances#2=stale:30s",
            "kms:DescribeKey=error:AccessDeniedException:403",
            "s3:PutObject=lost_reply",
            "s3:*=garbage",
            "s3:*=reset",
            "rds:*=stuck",
            "rds:*=broken",
            "*@eu-west-1=expired_credentials:20m..1h",
            "sts:*=expired_credentials:0s..",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn patterns_have_stars_and_question_marks() {
        for (pattern, text, same) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ab", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "", true),
            ("*b*", "abc", true),
        ] {
            assert_eq!(matches_pattern(pattern, text), same, "{pattern} {text}");
        }
    }
}
