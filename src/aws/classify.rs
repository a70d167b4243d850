use super::refused::Refused;
use crate::journal::{Failure, FailureClass};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;

/// Codes by which services ask for fewer calls.
const THROTTLED: [&str; 7] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "TooManyRequestsException",
    "SlowDown",
];

/// Codes that say that permission or valid credentials are missing.
const DENIED: [&str; 12] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
    "OptInRequired",
    "Forbidden",
];

/// What an error of an SDK call means: the one place that decides between retrying, failing and giving up.
///
/// `operation` is as in IAM, for the message: `rds:DescribeDBSnapshots`.
pub fn failure_of<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: Error + ProvideErrorMetadata + 'static,
{
    if let Some(refused) = refusal_in(error) {
        return failure(FailureClass::Refused, None, refused.to_string());
    }
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code();
            let message = service.err().message().unwrap_or("no message");
            let class = class_of(code, status);
            let text =
                format!("{operation}: {}: {message}", code.unwrap_or("error without a code"));
            failure(class, code, text)
        }
        SdkError::TimeoutError(_) => {
            failure(FailureClass::Transient, None, format!("{operation}: no answer in time"))
        }
        SdkError::DispatchFailure(dispatch) => {
            let class = if dispatch.is_io() || dispatch.is_timeout() {
                FailureClass::Transient
            } else {
                FailureClass::Broken
            };
            failure(class, None, format!("{operation}: {}", innermost(error)))
        }
        SdkError::ResponseError(_) => {
            let text =
                format!("{operation}: the answer could not be understood: {}", innermost(error));
            failure(FailureClass::Transient, None, text)
        }
        _ => failure(FailureClass::Broken, None, format!("{operation}: {}", innermost(error))),
    }
}

fn failure(class: FailureClass, code: Option<&str>, message: String) -> Failure {
    let help = match class {
        FailureClass::Denied => {
            Some("check the credentials and the permissions of the site's role")
        }
        FailureClass::Transient => Some("check the endpoint and the way to it"),
        FailureClass::Refused => {
            Some("nothing was sent; docs/guard.md says what the guard lets pass")
        }
        _ => None,
    };
    Failure { class, code: code.map(str::to_owned), message, help: help.map(str::to_owned) }
}

fn class_of(code: Option<&str>, status: u16) -> FailureClass {
    match code {
        Some(code) if THROTTLED.contains(&code) => FailureClass::Throttled,
        Some(code) if DENIED.contains(&code) => FailureClass::Denied,
        Some(code) if code.contains("NotFound") || code.starts_with("NoSuch") => {
            FailureClass::NotFound
        }
        _ if status == 404 => FailureClass::NotFound,
        _ if status == 403 || status == 401 => FailureClass::Denied,
        _ if status == 429 => FailureClass::Throttled,
        _ if status >= 500 => FailureClass::Transient,
        // A 200 whose body is an error, or rubbish where XML was expected.
        _ if status < 400 => FailureClass::Transient,
        _ => FailureClass::Recovery,
    }
}

fn refusal_in<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Refused> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused);
        }
        next = error.source();
    }
    None
}

fn innermost(error: &dyn Error) -> String {
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        last = error.to_string();
        next = error.source();
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_before_statuses() {
        assert_eq!(class_of(Some("Throttling"), 400), FailureClass::Throttled);
        assert_eq!(class_of(Some("DBSnapshotNotFound"), 404), FailureClass::NotFound);
        assert_eq!(class_of(Some("InvalidParameterCombination"), 400), FailureClass::Recovery);
        assert_eq!(class_of(None, 503), FailureClass::Transient);
        assert_eq!(class_of(None, 403), FailureClass::Denied);
    }
}
