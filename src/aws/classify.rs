use super::credentials::{AtSite, OtherAccount};
use super::origin::FromSite;
use super::refused::Refused;
use crate::ids::SiteName;
use crate::journal::{Failure, FailureClass};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use aws_smithy_types::retry::ErrorKind;
use std::error::Error;

/// Codes by which services ask for fewer calls: those of the SDKs' standard mode
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>, and `THROTTLING_ERRORS` of the Rust
/// SDK), without `LimitExceededException`: it mostly names a quota, which no pause raises.
const THROTTLED: [&str; 13] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "RequestThrottled",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
];

/// Codes of failures of a moment that come with a status below 500.
const TRANSIENT: [&str; 3] = ["RequestTimeout", "RequestTimeoutException", "IDPCommunicationError"];

/// Codes that say that permission or valid credentials are missing.
const DENIED: [&str; 12] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
    "OptInRequired",
    "Forbidden",
];

/// Codes by which RDS says, with status 403, that there is no room for a cluster: no permission is missing
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBClusterFromSnapshot.html>).
const NO_ROOM: [&str; 2] = ["DBClusterQuotaExceededFault", "InsufficientDBClusterCapacityFault"];

/// The code by which S3 says, with status 403, that an object is archived and cannot be read before it is restored: no permission is
/// missing, the backup is not where it is needed (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html>).
const ARCHIVED: &str = "InvalidObjectState";

/// Codes of credentials that were good until a moment ago: `RequestExpired` is EC2's
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>), `ExpiredTokenException` that of the
/// JSON services.
const EXPIRED: [&str; 4] =
    ["ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"];

/// Codes of credentials that a service does not know. Where the same credentials worked before, they have expired.
/// `BadRequest` is all that a HEAD of S3 says of an expired token.
const UNKNOWN_CREDENTIALS: [&str; 5] = [
    "BadRequest",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "UnrecognizedClientException",
];

/// Codes of a call that went to the wrong region: no pause leads it to the right one.
const MISDIRECTED: [&str; 4] = [
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
];

/// What an error of an SDK call means: the one place that decides between retrying, waiting, failing and giving up.
///
/// `operation` is as in IAM, for the message: `rds:DescribeDBSnapshots`.
pub fn failure_of<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: Error + ProvideErrorMetadata + 'static,
{
    if let Some(refused) = find::<Refused>(error) {
        return failure(FailureClass::Refused, None, refused.to_string());
    }
    match error {
        SdkError::ServiceError(service) => answered(operation, service.err(), service.raw()),
        SdkError::TimeoutError(_) => {
            failure(FailureClass::Transient, None, format!("{operation}: no answer in time"))
        }
        _ if find::<CredentialsError>(error).is_some() => without_credentials(operation, error),
        SdkError::DispatchFailure(dispatch) => {
            let passes = dispatch.as_connector_error().is_some_and(is_without_answer);
            let class = if passes { FailureClass::Transient } else { FailureClass::Broken };
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

/// The site that a failed call was made to, where the error tells: one that came without an answer does not.
pub fn site_of<E>(error: &SdkError<E, HttpResponse>) -> Option<SiteName>
where
    E: Error + 'static,
{
    let answer = match error {
        SdkError::ServiceError(service) => Some(service.raw()),
        SdkError::ResponseError(response) => Some(response.raw()),
        _ => None,
    };
    let from_answer = answer.and_then(|answer| answer.extension::<FromSite>());
    let from_answer = from_answer.map(|FromSite(site)| site.clone());
    from_answer.or_else(|| find::<AtSite>(error).map(|at| at.site.clone()))
}

/// Whether this failure, at a site whose credentials worked before, means that they have expired since.
pub fn is_expiry(failure: (FailureClass, Option<&str>), worked_before: bool) -> bool {
    match failure {
        (FailureClass::CredentialsExpired, _) => true,
        (_, Some(code)) => worked_before && UNKNOWN_CREDENTIALS.contains(&code),
        _ => false,
    }
}

/// The service answered, and the answer is an error.
fn answered<E>(operation: &str, error: &E, answer: &HttpResponse) -> Failure
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let status = answer.status().as_u16();
    // S3 answers HEAD without a body: an expired token looks like any other bad request.
    let silent = operation.starts_with("s3:Head") && status == 400;
    let code = error.code().or(silent.then_some("BadRequest"));
    let class = class_of(code, status);
    let text = match (code, error.message()) {
        (Some(code), message) => {
            format!("{operation}: {code}: {}", message.unwrap_or("no message"))
        }
        (None, Some(message)) => format!("{operation}: status {status}: {message}"),
        // The parser's own words are all that there is.
        (None, None) => format!("{operation}: status {status}, {}", unparsed(error)),
    };
    let mut failure = failure(class, code, text);
    if is_misdirected(code, status) {
        let region = answer.headers().get("x-amz-bucket-region");
        let region = region.map_or("another region".to_owned(), |r| format!("the region {r}"));
        failure.help = Some(format!(
            "what was asked for is in {region}: name the site (or the store's region) that it is in"
        ));
    }
    failure
}

/// Why an answer without a code could not be read.
fn unparsed(error: &(dyn Error + 'static)) -> String {
    let outer = error.to_string();
    let inner = innermost(error);
    if find::<ErrorMetadata>(error).is_some() || inner == outer {
        "and nothing that says why".to_owned()
    } else {
        format!("and the answer could not be understood: {inner}")
    }
}

/// Whether a connection could not be made, or ended before the answer: the SDK calls it transient when the other side closes it in
/// order, as S3, load balancers and proxies do (`to_connector_error` of aws-smithy-http-client).
fn is_without_answer(error: &ConnectorError) -> bool {
    let is_closed = error.as_other() == Some(ErrorKind::TransientError);
    error.is_io() || error.is_timeout() || is_closed
}

/// There were no credentials to sign the call with. The outermost cause is a connection that was never made for want of them; within
/// is perhaps the one to what gives them, or its answer.
fn without_credentials(operation: &str, error: &(dyn Error + 'static)) -> Failure {
    if let Some(said) = find::<CredentialsError>(error).and_then(|beneath| of_sts(beneath)) {
        let (class, why) = match said.class {
            class if class.may_pass() && said.code.is_none() => {
                (class, "where the credentials come from does not answer")
            }
            class if class.may_pass() => (class, "where the credentials come from gives none now"),
            class @ (FailureClass::CredentialsExpired | FailureClass::Broken) => {
                (class, "there are no credentials")
            }
            _ => (FailureClass::Denied, "there are no credentials"),
        };
        let text = format!("{operation}: {why}: {}", said.message);
        return failure(class, said.code.as_deref(), text);
    }
    let code = find::<ErrorMetadata>(error).and_then(ErrorMetadata::code);
    let mut connections = causes(error).filter_map(|cause| cause.downcast_ref::<ConnectorError>());
    let unreached = connections.any(is_without_answer)
        || matches!(find::<CredentialsError>(error), Some(CredentialsError::ProviderTimedOut(_)));
    let text = if unreached {
        format!(
            "{operation}: where the credentials come from does not answer: {}",
            innermost(error)
        )
    } else {
        format!("{operation}: there are no credentials: {}", innermost(error))
    };
    let class = match code {
        Some(code) if EXPIRED.contains(&code) || code == "UnauthorizedException" => {
            FailureClass::CredentialsExpired
        }
        // The status is not told here.
        Some(code) if code.starts_with("Internal") || code.starts_with("ServiceUnavailable") => {
            FailureClass::Transient
        }
        Some(code) => match class_of(Some(code), 400) {
            FailureClass::Throttled => FailureClass::Throttled,
            FailureClass::Transient => FailureClass::Transient,
            _ => FailureClass::Denied,
        },
        // What signs on (IAM Identity Center, `aws login`, programs) has no codes, only words.
        None if causes(error).any(|error| error.to_string().to_lowercase().contains("expired")) => {
            FailureClass::CredentialsExpired
        }
        // The right ones are waited for.
        None if find::<OtherAccount>(error).is_some() => FailureClass::CredentialsExpired,
        None if unreached => FailureClass::Transient,
        None => FailureClass::Denied,
    };
    failure(class, code, text)
}

/// What STS has answered, or not, where a role was to be assumed or it was asked whose credentials are: its failures of a moment are
/// no missing permission. `error` is what lies beneath the call that wanted the credentials.
fn of_sts(error: &(dyn Error + 'static)) -> Option<Failure> {
    fn call<E: Error + ProvideErrorMetadata + 'static>(
        operation: &str,
        error: &(dyn Error + 'static),
    ) -> Option<Failure> {
        find::<SdkError<E, HttpResponse>>(error).map(|error| failure_of(operation, error))
    }
    call::<AssumeRoleError>("sts:AssumeRole", error)
        .or_else(|| call::<AssumeRoleWithWebIdentityError>("sts:AssumeRoleWithWebIdentity", error))
        .or_else(|| call::<GetCallerIdentityError>("sts:GetCallerIdentity", error))
}

fn failure(class: FailureClass, code: Option<&str>, message: String) -> Failure {
    let help = match class {
        FailureClass::Denied => {
            Some("check the credentials and the permissions of the site's role")
        }
        FailureClass::CredentialsExpired => {
            Some("renew the credentials: aws sso login, or however you get them")
        }
        FailureClass::Transient => Some("check the endpoint and the way to it"),
        FailureClass::Refused => {
            Some("nothing was sent; docs/guard.md says what the guard lets pass")
        }
        FailureClass::Recovery if code == Some(ARCHIVED) => Some(
            "the object is archived: aws s3api restore-object makes it readable, which takes minutes to days; keep what an RTO counts on in \
             a storage class that is read at once",
        ),
        FailureClass::Recovery => code.and_then(help_for_room),
        _ => None,
    };
    Failure { class, code: code.map(str::to_owned), message, help: help.map(str::to_owned) }
}

/// What to do where RDS has no room for what was asked for
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Troubleshooting.html>).
fn help_for_room(code: &str) -> Option<&'static str> {
    if code.starts_with("InsufficientDB") {
        Some("ask for another class, or for other zones or none, or try again later")
    } else if code.contains("QuotaExceeded") {
        Some(
            "have the quota raised, or remove what nobody needs; redrill preflight looks at quotas",
        )
    } else {
        None
    }
}

fn is_misdirected(code: Option<&str>, status: u16) -> bool {
    (300..400).contains(&status) || code.is_some_and(|code| MISDIRECTED.contains(&code))
}

fn class_of(code: Option<&str>, status: u16) -> FailureClass {
    match code {
        Some(code) if THROTTLED.contains(&code) => FailureClass::Throttled,
        Some(code) if TRANSIENT.contains(&code) => FailureClass::Transient,
        Some(code) if EXPIRED.contains(&code) => FailureClass::CredentialsExpired,
        Some(code) if DENIED.contains(&code) => FailureClass::Denied,
        Some(code) if code == ARCHIVED || NO_ROOM.contains(&code) => FailureClass::Recovery,
        Some(code) if code.contains("AlreadyExists") || code.contains("AlreadyOwned") => {
            FailureClass::AlreadyExists
        }
        Some(code) if code.contains("NotFound") || code.starts_with("NoSuch") => {
            FailureClass::NotFound
        }
        Some("BadRequest") => FailureClass::Broken,
        _ if is_misdirected(code, status) => FailureClass::Broken,
        _ if status == 404 => FailureClass::NotFound,
        _ if status == 403 || status == 401 => FailureClass::Denied,
        _ if status == 408 => FailureClass::Transient,
        _ if status == 429 => FailureClass::Throttled,
        _ if status >= 500 => FailureClass::Transient,
        // A 200 whose body is an error, or rubbish where XML was expected.
        _ if status < 300 => FailureClass::Transient,
        _ => FailureClass::Recovery,
    }
}

/// An error and its causes, the innermost last.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The first error of a kind in a chain of causes.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    causes(error).find_map(|error| error.downcast_ref::<T>())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::operation::head_bucket::HeadBucketError;
    use aws_smithy_types::body::SdkBody;

    #[test]
    fn codes_decide_before_statuses() {
        for (code, status, class) in [
            (Some("Throttling"), 400, FailureClass::Throttled),
            (Some("RequestTimeout"), 400, FailureClass::Transient),
            (Some("DBSnapshotNotFound"), 404, FailureClass::NotFound),
            (Some("InvalidParameterCombination"), 400, FailureClass::Recovery),
            (Some("DBInstanceAlreadyExists"), 400, FailureClass::AlreadyExists),
            (Some("ExpiredToken"), 403, FailureClass::CredentialsExpired),
            (Some("RequestExpired"), 400, FailureClass::CredentialsExpired),
            (Some("InvalidClientTokenId"), 403, FailureClass::Denied),
            (Some("AuthorizationHeaderMalformed"), 400, FailureClass::Broken),
            (None, 503, FailureClass::Transient),
            (None, 403, FailureClass::Denied),
            (None, 200, FailureClass::Transient),
        ] {
            assert_eq!(class_of(code, status), class, "{code:?} {status}");
        }
    }

    #[test]
    fn regression_no_room_and_an_archived_backup_are_no_missing_permission_and_come_with_what_to_do()
     {
        for (code, status, words) in [
            ("InsufficientDBClusterCapacityFault", 403, "another class"),
            ("DBClusterQuotaExceededFault", 403, "quota"),
            ("InsufficientDBInstanceCapacity", 400, "another class"),
            ("InstanceQuotaExceeded", 400, "quota"),
            ("InvalidObjectState", 403, "restore-object"),
        ] {
            let class = class_of(Some(code), status);
            assert_eq!(class, FailureClass::Recovery, "{code}");
            let help = failure(class, Some(code), String::new()).help.unwrap();
            assert!(help.contains(words), "{code}: {help}");
        }
    }

    #[test]
    fn unknown_credentials_have_expired_only_where_they_worked_before() {
        let unknown = (FailureClass::Denied, Some("InvalidClientTokenId"));
        assert!(is_expiry(unknown, true) && !is_expiry(unknown, false));
        assert!(!is_expiry((FailureClass::Denied, Some("AccessDenied")), true));
        assert!(is_expiry((FailureClass::CredentialsExpired, None), false));
    }

    fn answer(status: u16, region: Option<&'static str>) -> HttpResponse {
        let status = http::StatusCode::from_u16(status).unwrap().into();
        let mut answer = HttpResponse::new(status, SdkBody::empty());
        if let Some(region) = region {
            answer.headers_mut().insert("x-amz-bucket-region", region);
        }
        answer
    }

    #[test]
    fn regression_an_answer_from_the_wrong_region_is_not_tried_again_and_names_the_right_one() {
        let error = HeadBucketError::generic(ErrorMetadata::builder().build());
        let failed = SdkError::service_error(error, answer(301, Some("eu-west-3")));
        let failure = failure_of("s3:HeadBucket", &failed);
        assert_eq!(failure.class, FailureClass::Broken);
        assert!(failure.help.unwrap().contains("eu-west-3"), "{}", failure.message);
    }

    #[test]
    fn regression_an_error_that_cannot_be_parsed_keeps_the_parsers_words() {
        let words = "unexpected token: html at byte 3";
        let error = HeadBucketError::unhandled(words);
        let failed = SdkError::service_error(error, answer(500, None));
        let failure = failure_of("s3:HeadBucket", &failed);
        assert_eq!(failure.class, FailureClass::Transient);
        assert!(failure.message.contains(words), "{}", failure.message);
        assert!(failure.message.contains("500"), "{}", failure.message);
    }

    #[test]
    fn a_head_of_s3_that_gives_no_reason_is_an_expiry_where_it_worked_before() {
        let error = HeadBucketError::generic(ErrorMetadata::builder().build());
        let failure =
            failure_of("s3:HeadBucket", &SdkError::service_error(error, answer(400, None)));
        assert_eq!(failure.class, FailureClass::Broken);
        assert!(is_expiry((failure.class, failure.code.as_deref()), true));
    }

    fn without(error: CredentialsError) -> Failure {
        let failed: SdkError<HeadBucketError, HttpResponse> =
            SdkError::dispatch_failure(ConnectorError::other(error.into(), None));
        failure_of("s3:HeadBucket", &failed)
    }

    /// As the SDK puts it when the other side closes a connection.
    fn closed() -> ConnectorError {
        let text = "connection closed before message completed";
        ConnectorError::other(text.into(), Some(ErrorKind::TransientError))
    }

    #[test]
    fn regression_a_connection_that_ends_before_the_answer_may_have_had_its_effect() {
        for (error, class) in [
            (closed(), FailureClass::Transient),
            (ConnectorError::io("connection refused".into()), FailureClass::Transient),
            (ConnectorError::timeout("no answer".into()), FailureClass::Transient),
            (ConnectorError::other("no certificate".into(), None), FailureClass::Broken),
            (ConnectorError::user("no address".into()), FailureClass::Broken),
        ] {
            let failed: SdkError<HeadBucketError, HttpResponse> = SdkError::dispatch_failure(error);
            assert_eq!(failure_of("s3:HeadBucket", &failed).class, class);
        }
    }

    #[test]
    fn regression_a_role_that_cannot_be_assumed_for_want_of_a_network_is_no_missing_permission() {
        for inner in [closed(), ConnectorError::io("connection refused".into())] {
            let assume: SdkError<HeadBucketError, HttpResponse> = SdkError::dispatch_failure(inner);
            let failure = without(CredentialsError::provider_error(assume));
            assert_eq!(failure.class, FailureClass::Transient, "{}", failure.message);
            assert!(failure.message.contains("does not answer"), "{}", failure.message);
        }
    }

    /// STS answers a call for a role in this way.
    fn assuming(status: u16, code: Option<&str>) -> Failure {
        let mut metadata = ErrorMetadata::builder();
        if let Some(code) = code {
            metadata = metadata.code(code);
        }
        let metadata = metadata.build();
        let raw = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        let answer: SdkError<AssumeRoleError, HttpResponse> =
            SdkError::service_error(AssumeRoleError::generic(metadata), raw);
        without(CredentialsError::provider_error(answer))
    }

    #[test]
    fn regression_a_failure_of_sts_for_a_moment_is_no_missing_permission() {
        for (status, code, class) in [
            (500, Some("InternalFailure"), FailureClass::Transient),
            (503, Some("ServiceUnavailable"), FailureClass::Transient),
            // A page of a proxy.
            (503, None, FailureClass::Transient),
            (400, Some("Throttling"), FailureClass::Throttled),
            (403, Some("AccessDenied"), FailureClass::Denied),
            (403, None, FailureClass::Denied),
            (403, Some("ExpiredToken"), FailureClass::CredentialsExpired),
            (400, Some("ValidationError"), FailureClass::Denied),
        ] {
            let failure = assuming(status, code);
            assert_eq!(failure.class, class, "{status} {code:?}: {}", failure.message);
            assert_eq!(failure.code.as_deref(), code);
            assert!(failure.message.contains("sts:AssumeRole"), "{}", failure.message);
        }
        let raw = HttpResponse::new(200.try_into().unwrap(), SdkBody::empty());
        let garbage: SdkError<AssumeRoleError, HttpResponse> =
            SdkError::response_error("no XML", raw);
        let failure = without(CredentialsError::provider_error(garbage));
        assert_eq!(failure.class, FailureClass::Transient, "{}", failure.message);
    }

    #[test]
    fn regression_what_gives_credentials_may_lack_its_own() {
        // The same kind of call within itself: who am I, asked without credentials.
        let none: Box<dyn Error + Send + Sync> =
            Box::new(CredentialsError::not_loaded("no providers in chain"));
        let asked: SdkError<GetCallerIdentityError, HttpResponse> =
            SdkError::dispatch_failure(ConnectorError::other(none, None));
        let failure = failure_of("sts:GetCallerIdentity", &asked);
        assert_eq!(failure.class, FailureClass::Denied, "{}", failure.message);
        let outer = without(CredentialsError::provider_error(asked));
        assert_eq!(outer.class, FailureClass::Denied, "{}", outer.message);
    }

    #[test]
    fn a_provider_whose_token_has_expired_is_told_from_one_that_was_never_set_up() {
        let expired = CredentialsError::provider_error("the SSO token has expired");
        assert_eq!(without(expired).class, FailureClass::CredentialsExpired);
        let code = ErrorMetadata::builder().code("ExpiredToken").build();
        let base = CredentialsError::provider_error(HeadBucketError::generic(code));
        assert_eq!(without(base).class, FailureClass::CredentialsExpired);
        let never = CredentialsError::not_loaded("no providers in chain");
        assert_eq!(without(never).class, FailureClass::Denied);
    }
}
