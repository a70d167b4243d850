//! From a call to the service that answers it, and the errors that all services share.

use super::state::{Place, PlaceKey, State, Timeline};
use super::wire::{AwsError, Params, Service, Xml, error_answer, json_answer, xml_answer};
use super::world::Asked;
use super::{cloudwatch, ec2, json, rds, sts};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::cell::Cell;

/// What is wrong with what a call creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It never leaves its first state.
    Stuck,
    /// It ends in a state of failure.
    Broken,
}

/// One call on its way into a service.
pub(crate) struct Call<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) place: PlaceKey,
    pub(crate) now: DateTime<Utc>,
    pub(crate) asked: &'a Asked,
    pub(crate) mark: Option<Mark>,
    /// Set once the call makes something, or changes its state.
    pub(crate) made: &'a Cell<bool>,
    /// A look-up does not show what was made after this time.
    pub(crate) blind_since: Option<DateTime<Utc>>,
}

impl<'a> Call<'a> {
    pub(crate) fn params(&self) -> &'a Params {
        &self.asked.params
    }

    pub(crate) fn action(&self) -> &'a str {
        &self.asked.action
    }

    /// What exists where the call goes.
    pub(crate) fn here(&mut self) -> &mut Place {
        self.state.place(&self.place)
    }

    /// False for what a stale look-up does not show yet.
    pub(crate) fn sees(&self, created: DateTime<Utc>) -> bool {
        self.blind_since.is_none_or(|since| created <= since)
    }

    /// What becomes of something new when the call meets a fault.
    pub(crate) fn marked(&self, timeline: Timeline, failure: &'static str) -> Timeline {
        self.made.set(true);
        match self.mark {
            None => timeline,
            Some(Mark::Stuck) => timeline.stuck(),
            Some(Mark::Broken) => timeline.ending(failure),
        }
    }
}

/// Lets a call have its effect and writes the answer.
pub(crate) fn answer(service: Service, call: Call<'_>, request_id: &str) -> HttpResponse {
    let action = call.action();
    let xml = |result: Result<Xml, AwsError>| match result {
        Ok(inner) => xml_answer(service, action, inner, request_id),
        Err(error) => error_answer(service, &error, request_id),
    };
    let json = |result: Result<Value, AwsError>| match result {
        Ok(value) => json_answer(&value, request_id),
        Err(error) => error_answer(service, &error, request_id),
    };
    match service {
        Service::Rds => xml(rds::answer(call)),
        Service::Ec2 => xml(ec2::answer(call)),
        Service::Sts => xml(sts::answer(call)),
        Service::Kms | Service::SecretsManager => json(json::answer(service, call)),
        Service::CloudWatch => json(cloudwatch::answer(call)),
        Service::S3 => error_answer(service, &unknown_action(action), request_id),
    }
}

/// The answer to an operation that the sandbox does not simulate.
pub(crate) fn unknown_action(action: &str) -> AwsError {
    let what = format!("Could not find operation {action}: the sandbox does not simulate it.");
    AwsError::new(400, "InvalidAction", what)
}

pub(crate) fn throttled(service: Service) -> AwsError {
    match service {
        Service::Ec2 => AwsError::new(503, "RequestLimitExceeded", "Request limit exceeded."),
        Service::S3 => AwsError::new(503, "SlowDown", "Please reduce your request rate."),
        Service::Rds | Service::Sts => AwsError::new(400, "Throttling", "Rate exceeded"),
        Service::Kms | Service::SecretsManager | Service::CloudWatch => {
            AwsError::new(400, "ThrottlingException", "Rate exceeded")
        }
    }
}

pub(crate) fn server_error(service: Service) -> AwsError {
    let code = match service {
        Service::Ec2 | Service::S3 => "InternalError",
        Service::Rds | Service::Sts => "InternalFailure",
        Service::Kms => "KMSInternalException",
        Service::SecretsManager => "InternalServiceError",
        Service::CloudWatch => "InternalServiceFault",
    };
    AwsError::new(500, code, "An internal error has occurred.")
}

pub(crate) fn denied(service: Service, what: &str) -> AwsError {
    match service {
        Service::Ec2 => AwsError::new(403, "UnauthorizedOperation", what),
        Service::Rds | Service::Sts | Service::S3 => AwsError::new(403, "AccessDenied", what),
        Service::Kms | Service::SecretsManager | Service::CloudWatch => {
            AwsError::new(400, "AccessDeniedException", what)
        }
    }
}

pub(crate) fn expired(service: Service) -> AwsError {
    let what = "The security token included in the request is expired";
    match service {
        Service::Ec2 => AwsError::new(400, "RequestExpired", what),
        Service::Rds | Service::Sts => AwsError::new(403, "ExpiredToken", what),
        Service::S3 => AwsError::new(400, "ExpiredToken", what),
        Service::Kms | Service::SecretsManager | Service::CloudWatch => {
            AwsError::new(400, "ExpiredTokenException", what)
        }
    }
}

/// The start of every session token that AssumeRole gives: role, session name and end follow.
pub(crate) const TOKEN: &str = "redrill-sandbox/";

/// The role and the session name of a session token.
pub(crate) fn token_session(token: Option<&str>) -> Option<(&str, &str)> {
    let mut parts = token?.strip_prefix(TOKEN)?.split('/');
    Some((parts.next()?, parts.next()?))
}

pub(crate) fn token_expired(token: Option<&str>, now: DateTime<Utc>) -> bool {
    let end = token
        .and_then(|t| t.strip_prefix(TOKEN))
        .and_then(|t| t.rsplit('/').next())
        .and_then(|end| end.parse::<i64>().ok());
    end.is_some_and(|end| now.timestamp() >= end)
}
