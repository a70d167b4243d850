//! The wire protocols of the simulated services: what a request asks, and how answers and errors are written.
//!
//! Main types: [`Request`], [`Params`], [`Xml`], [`AwsError`], [`Reply`]. Nothing here knows what a service does.

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What comes back from the simulated network.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are answers, and each is moved once")]
pub enum Reply {
    /// An answer.
    Response(HttpResponse),
    /// No answer, and what the caller notices instead.
    Unreachable(ConnectionFailure),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFailure {
    /// Nobody answered for so long that the caller gave up.
    Timeout,
    /// The other side broke the connection off.
    Reset,
    /// The other side closed the connection before its answer.
    Closed,
}

/// The services that the sandbox simulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Rds,
    Ec2,
    Sts,
    Kms,
    SecretsManager,
    CloudWatch,
    S3,
}

impl Service {
    /// The service that a signature's scope names.
    pub(crate) fn from_scope(name: &str) -> Option<Self> {
        Some(match name {
            "rds" => Self::Rds,
            "ec2" => Self::Ec2,
            "sts" => Self::Sts,
            "kms" => Self::Kms,
            "secretsmanager" => Self::SecretsManager,
            // https://docs.aws.amazon.com/general/latest/gr/cw_region.html
            "monitoring" => Self::CloudWatch,
            "s3" => Self::S3,
            _ => return None,
        })
    }

    /// The name in faults: for all but one the name in signatures, too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rds => "rds",
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
            Self::Kms => "kms",
            Self::SecretsManager => "secretsmanager",
            Self::CloudWatch => "cloudwatch",
            Self::S3 => "s3",
        }
    }
}

/// Who asks what of which service, as the signature says. The signature itself is not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Scope {
    /// Reads `…Credential=KEY/20261122/region/service/aws4_request,…` from the header, or `X-Amz-Credential` from
    /// the query of a presigned request.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        let from_header = request
            .headers()
            .get("authorization")
            .and_then(|h| h.split_once("Credential="))
            .map(|(_, rest)| rest.split(',').next().unwrap_or_default().trim().to_owned());
        let from_query = || {
            let query = request.uri().split_once('?')?.1;
            Params::from_form(query.as_bytes()).get("X-Amz-Credential").map(str::to_owned)
        };
        let credential = from_header.or_else(from_query)?;
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key, _day, region, service, _] = parts[..] else { return None };
        let own = str::to_owned;
        Some(Self { access_key: own(access_key), region: own(region), service: own(service) })
    }
}

/// The parameters of a call in the query protocols: flat names such as `Filter.1.Value.2`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads an `application/x-www-form-urlencoded` body.
    pub(crate) fn from_form(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let pairs = text.split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        });
        Self(pairs.collect())
    }

    /// The value of a name, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a name that has to be there.
    pub(crate) fn need(&self, name: &str) -> Result<&str, AwsError> {
        self.get(name).ok_or_else(|| {
            AwsError::new(
                400,
                "MissingParameter",
                format!("The request must contain the parameter {name}."),
            )
        })
    }

    /// A number.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, AwsError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            AwsError::new(400, "InvalidParameterValue", format!("Invalid value {text} for {name}."))
        })
    }

    /// A truth value: `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The values of `prefix.1`, `prefix.2` and so on.
    pub(crate) fn list(&self, prefix: &str) -> Vec<String> {
        (1..).map_while(|i| self.0.get(&format!("{prefix}.{i}")).cloned()).collect()
    }

    /// The structures `prefix.1.…`, `prefix.2.…`, each with its own names.
    pub(crate) fn structures(&self, prefix: &str) -> Vec<Self> {
        let item = |i: u32| {
            let start = format!("{prefix}.{i}.");
            let own: BTreeMap<_, _> = self
                .0
                .iter()
                .filter_map(|(key, value)| {
                    Some((key.strip_prefix(&start)?.to_owned(), value.clone()))
                })
                .collect();
            (!own.is_empty()).then_some(Self(own))
        };
        (1..).map_while(item).collect()
    }
}

/// Undoes percent encoding, with `+` for a space.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (bytes[i], hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An error as AWS services answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsError {
    pub(crate) status: u16,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
}

impl AwsError {
    pub(crate) fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }
}

/// XML under construction. Elements stand in the order in which they are added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// `<name>value</name>`
    pub(crate) fn text(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        let value = value.to_string();
        let value = quick_xml::escape::escape(&value);
        self.0.push_str(&format!("<{name}>{value}</{name}>"));
        self
    }

    /// As [`Xml::text`], or nothing.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl std::fmt::Display>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// `<name>…</name>`
    pub(crate) fn nest(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.0.push_str(&format!("<{name}>"));
        fill(self);
        self.0.push_str(&format!("</{name}>"));
        self
    }

    /// `<name><item>…</item><item>…</item></name>`
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        item: &str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.nest(name, |x| {
            for one in items {
                x.nest(item, |x| fill(x, one));
            }
        })
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Writes the answer of an operation of the query protocols.
pub(crate) fn xml_answer(
    service: Service,
    action: &str,
    inner: Xml,
    request_id: &str,
) -> HttpResponse {
    let inner = inner.into_string();
    let body = match service {
        Service::Ec2 => format!(
            "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>{request_id}</requestId>{inner}</{action}Response>"
        ),
        other => {
            let space = namespace(other);
            format!(
                "<{action}Response xmlns=\"{space}\"><{action}Result>{inner}</{action}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
            )
        }
    };
    respond(200, "text/xml", body, request_id)
}

fn namespace(service: Service) -> &'static str {
    match service {
        Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        _ => "http://rds.amazonaws.com/doc/2014-10-31/",
    }
}

/// Writes the answer of an operation of the JSON protocols.
pub(crate) fn json_answer(value: &serde_json::Value, request_id: &str) -> HttpResponse {
    respond(200, "application/x-amz-json-1.1", value.to_string(), request_id)
}

/// Writes an error in the form of the service.
pub(crate) fn error_answer(service: Service, error: &AwsError, request_id: &str) -> HttpResponse {
    let kind = if error.status < 500 { "Sender" } else { "Receiver" };
    let mut inner = Xml::new();
    inner.text("Code", &error.code).text("Message", &error.message);
    let inner = inner.into_string();
    match service {
        Service::Kms | Service::SecretsManager | Service::CloudWatch => {
            let body = serde_json::json!({
                "__type": error.code, "message": error.message, "Message": error.message
            });
            respond(error.status, "application/x-amz-json-1.1", body.to_string(), request_id)
        }
        Service::Ec2 => {
            let body = format!(
                "<Response><Errors><Error>{inner}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
            );
            respond(error.status, "text/xml", body, request_id)
        }
        Service::S3 => {
            let body = format!("<Error>{inner}<RequestId>{request_id}</RequestId></Error>");
            respond(error.status, "application/xml", body, request_id)
        }
        Service::Rds | Service::Sts => {
            let space = namespace(service);
            let body = format!(
                "<ErrorResponse xmlns=\"{space}\"><Error><Type>{kind}</Type>{inner}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
            );
            respond(error.status, "text/xml", body, request_id)
        }
    }
}

/// An answer with a body and the headers that the SDKs read.
pub(crate) fn respond(
    status: u16,
    content_type: &'static str,
    body: impl Into<String>,
    request_id: &str,
) -> HttpResponse {
    let status = StatusCode::try_from(status).unwrap_or_else(|_| server_error());
    let body: String = body.into();
    let mut response = HttpResponse::new(status, SdkBody::empty());
    let headers = response.headers_mut();
    headers.insert("content-type", content_type);
    headers.insert("content-length", body.len().to_string());
    headers.insert("x-amzn-requestid", request_id.to_owned());
    headers.insert("x-amz-request-id", request_id.to_owned());
    *response.body_mut() = SdkBody::from(body);
    response
}

fn server_error() -> StatusCode {
    http::StatusCode::INTERNAL_SERVER_ERROR.into()
}

/// A time as the XML protocols write it: UTC, to the millisecond.
pub(crate) fn timestamp(time: chrono::DateTime<chrono::Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_into_lists_and_structures() {
        let params = Params::from_form(
            b"Action=X&Filter.1.Name=tag%3Aa+b&Filter.1.Value.1=1&Filter.1.Value.2=%E5%BE%A9&Filter.2.Name=n&Bad=%zz",
        );
        assert_eq!(params.get("Action"), Some("X"));
        let filters = params.structures("Filter");
        assert_eq!(filters.len(), 2);
        assert_eq!(filters[0].get("Name"), Some("tag:a b"));
        assert_eq!(filters[0].list("Value"), ["1", "復"]);
        assert_eq!(params.get("Bad"), Some("%zz"));
        assert_eq!(params.get("Absent"), None);
    }

    #[test]
    fn text_in_xml_is_escaped() {
        let mut xml = Xml::new();
        xml.list("L", "i", ["a<b", "&"], |x, v| {
            x.text("v", v);
        });
        assert_eq!(xml.into_string(), "<L><i><v>a&lt;b</v></i><i><v>&amp;</v></i></L>");
    }
}
