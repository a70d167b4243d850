//! Who somebody is, verified by STS: a `GetCallerIdentity` request that one process signs and another one sends.
//!
//! SigV4 lets only the holder of a secret key sign, and only AWS verify; so the run sends what the approver has signed, and
//! reads from the answer who that is. All of the request but who signed it, and when, is made here by whoever sends it:
//! the address, the method, the body, and a header with the digest of what is signed. So neither a request to another
//! service or operation nor one that was signed for another decision can be put in its place.
//!
//! This is the one place that signs without the SDK, and sends to AWS past the guard: one operation, that only reads.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use super::signature::Unverified;
use crate::ids::{Digest, StepId};
use crate::outside::real::http;
use crate::outside::{HttpReply, HttpRequest, OutsideError, Principal, Secret, Secrets};
use crate::partition::{Partition, is_region};
use crate::time::Clock;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use chrono::{DateTime, NaiveDateTime, Utc};
use quick_xml::events::Event;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
/// The header that binds a request to what it is signed for.
const BOUND_TO: &str = "x-redrill-approval";
/// How SigV4 writes a time.
const SIGNED_AT: &str = "%Y%m%dT%H%M%SZ";
/// How long STS is waited for.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where STS is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sts {
    region: String,
    address: String,
}

impl Sts {
    /// AWS's own endpoint in a region, or the one that was given with `--endpoint-url`.
    ///
    /// # Errors
    /// When the region is none.
    pub(super) fn at(region: &str, endpoint: Option<&str>) -> Result<Self, String> {
        if !is_region(region) {
            return Err(format!("{region:?} is no region of AWS"));
        }
        let address = match endpoint {
            Some(url) => format!("{}/", url.trim_end_matches('/')),
            None => format!("https://sts.{region}.{}/", Partition::of(region).suffix),
        };
        Ok(Self { region: region.to_owned(), address })
    }

    pub(super) fn region(&self) -> &str {
        &self.region
    }
}

/// What of a signed request cannot be made again by somebody else. For some minutes, whoever has it can say to be the one
/// who signed; it allows nothing more. It goes through the file of the answer, and into no journal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SignedRequest {
    pub(super) access_key_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_token: Option<String>,
    signed_at: String,
    signature: String,
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedRequest({} at {})", self.access_key_id, self.signed_at)
    }
}

impl SignedRequest {
    /// Signs a request that is bound to a text.
    ///
    /// # Errors
    /// When there is no address to sign for.
    pub(super) fn new(
        sts: &Sts,
        bound_to: &Digest,
        credentials: &Credentials,
        now: DateTime<Utc>,
    ) -> Result<Self, String> {
        let identity = credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&sts.region)
            .name("sts")
            .time(now.into())
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| e.to_string())?
            .into();
        let bound_to = bound_to.to_string();
        let headers = [("content-type", CONTENT_TYPE), (BOUND_TO, bound_to.as_str())];
        let body = SignableBody::Bytes(BODY.as_bytes());
        let request = SignableRequest::new("POST", &sts.address, headers.into_iter(), body);
        let request = request.map_err(|e| e.to_string())?;
        let signature = sign(request, &parameters).map_err(|e| e.to_string())?.into_parts().1;
        Ok(Self {
            access_key_id: credentials.access_key_id().to_owned(),
            session_token: credentials.session_token().map(str::to_owned),
            signed_at: now.format(SIGNED_AT).to_string(),
            signature,
        })
    }

    /// When it was signed, as it says.
    pub(super) fn signed_at(&self) -> Option<DateTime<Utc>> {
        let time = NaiveDateTime::parse_from_str(&self.signed_at, SIGNED_AT).ok()?;
        // One way to write each time: nothing else comes into a header.
        (time.format(SIGNED_AT).to_string() == self.signed_at).then(|| time.and_utc())
    }

    fn is_well_formed(&self) -> bool {
        let key = self.access_key_id.as_str();
        let visible = |token: &String| token.bytes().all(|b| b.is_ascii_graphic());
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        !key.is_empty()
            && key.bytes().all(|b| b.is_ascii_alphanumeric())
            && self.session_token.as_ref().is_none_or(visible)
            && self.signature.len() == 64
            && self.signature.bytes().all(digit)
            && self.signed_at().is_some()
    }

    /// The whole request, bound to a text.
    fn headers(&self, sts: &Sts, bound_to: &Digest) -> BTreeMap<String, Secret> {
        let token = if self.session_token.is_some() { "x-amz-security-token;" } else { "" };
        let day = self.signed_at.get(..8).unwrap_or_default();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{day}/{}/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date;{token}{BOUND_TO}, Signature={}",
            self.access_key_id, sts.region, self.signature
        );
        // CloudTrail writes the agent down, and so what was approved.
        let agent = format!("redrill/{} approval/{}", env!("CARGO_PKG_VERSION"), bound_to);
        let mut headers = vec![
            ("content-type", CONTENT_TYPE.to_owned()),
            ("x-amz-date", self.signed_at.clone()),
            (BOUND_TO, bound_to.to_string()),
            ("authorization", authorization),
            ("user-agent", agent),
        ];
        headers.extend(self.session_token.clone().map(|token| ("x-amz-security-token", token)));
        headers.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect()
    }

    /// From now on neither signature nor session token is written down.
    pub(super) fn conceal(&self, secrets: &Secrets) {
        for part in [Some(&self.signature), self.session_token.as_ref()].into_iter().flatten() {
            secrets.learn(&Secret::new(part));
        }
    }
}

/// Who signed, and STS's id of the request in which it was asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) principal: Principal,
    pub(super) request_id: Option<String>,
}

/// Asks STS who signed a request for exactly this text.
///
/// # Errors
/// When STS does not take it for signed by anybody, and when it cannot be asked.
pub(super) async fn who_signed(
    sts: &Sts,
    step: &StepId,
    bound_to: &Digest,
    signed: &SignedRequest,
) -> Result<Verified, Unverified> {
    if !signed.is_well_formed() {
        return Err(Unverified::Invalid("it is no signature of AWS".to_owned()));
    }
    let request = HttpRequest {
        step: step.clone(),
        method: "POST".to_owned(),
        url: sts.address.clone(),
        headers: signed.headers(sts, bound_to),
        body: Some(BODY.to_owned()),
        timeout: TIMEOUT,
        body_limit: 64 << 10,
    };
    match http::send(&request, &Clock::system()).await {
        Ok(reply) => judged(&reply),
        Err(OutsideError::Unreachable(why)) => Err(Unverified::NotNow(why)),
        Err(error) => Err(Unverified::Unknown(error)),
    }
}

/// What an answer of STS means. Errors are told by their code alone: their texts repeat what was sent.
fn judged(reply: &HttpReply) -> Result<Verified, Unverified> {
    let fields = fields_of(&reply.body);
    let field = |name: &str| fields.get(name).cloned();
    if reply.status == 200 {
        let principal = (|| {
            let (arn, account, user_id) = (field("Arn")?, field("Account")?, field("UserId")?);
            (field("")? == "GetCallerIdentityResponse").then_some(Principal {
                arn,
                account,
                user_id,
            })
        })();
        let strange = || OutsideError::Failed("STS gave an answer that says nobody".to_owned());
        let principal = principal.ok_or_else(|| Unverified::Unknown(strange()))?;
        return Ok(Verified { principal, request_id: field("RequestId") });
    }
    let code = field("Code").unwrap_or_else(|| format!("status {}", reply.status));
    let passes = reply.status >= 500 || reply.status == 429 || code.contains("Throttl");
    if passes {
        return Err(Unverified::NotNow(format!("STS answered {code}")));
    }
    if !(400..500).contains(&reply.status) {
        let text = format!("STS answered {code}, which is no answer of STS");
        return Err(Unverified::Unknown(OutsideError::Failed(text)));
    }
    let hint = match code.as_str() {
        "SignatureDoesNotMatch" => {
            ": something else was signed, or more than some minutes ago, or the clock of one machine is wrong"
        }
        "ExpiredToken" | "ExpiredTokenException" => ": the credentials have expired",
        _ => "",
    };
    Err(Unverified::Invalid(format!("STS does not accept the signature ({code}{hint})")))
}

/// The texts of the elements of an answer by their names, and the name of the outermost one as that of `""`. Nothing when
/// it is no XML, or says something twice.
fn fields_of(body: &str) -> BTreeMap<String, String> {
    let mut reader = quick_xml::Reader::from_str(body);
    let (mut fields, mut open, mut text) = (BTreeMap::new(), Vec::new(), String::new());
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                let name = AsRef::<str>::as_ref(&start.local_name()).to_owned();
                if open.is_empty() && fields.insert(String::new(), name.clone()).is_some() {
                    return BTreeMap::new();
                }
                open.push(name);
                text.clear();
            }
            Ok(Event::Text(part)) => text.push_str(&part.xml10_content()),
            Ok(Event::GeneralRef(reference)) => {
                let named = quick_xml::escape::resolve_predefined_entity(&reference);
                let named = named.map(str::to_owned);
                let numbered = reference.resolve_char_ref().ok().flatten().map(String::from);
                match named.or(numbered) {
                    Some(resolved) => text.push_str(&resolved),
                    None => return BTreeMap::new(),
                }
            }
            Ok(Event::End(_)) => {
                let (Some(name), said) = (open.pop(), std::mem::take(&mut text)) else {
                    return BTreeMap::new();
                };
                let said = said.trim();
                if !said.is_empty() && fields.insert(name, said.to_owned()).is_some() {
                    return BTreeMap::new();
                }
            }
            Ok(Event::Eof) if open.is_empty() => return fields,
            Ok(Event::Decl(_) | Event::Comment(_) | Event::Empty(_)) => {}
            _ => return BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> HttpReply {
        HttpReply {
            status,
            headers: BTreeMap::new(),
            body: body.to_owned(),
            took: Duration::from_millis(20),
        }
    }

    const ANNA: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <GetCallerIdentityResult><Arn>arn:aws:iam::111111111111:user/anna&amp;co</Arn><UserId>AIDA</UserId>\
        <Account>111111111111</Account></GetCallerIdentityResult>\
        <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>";

    #[test]
    fn an_answer_of_sts_says_who_it_was() {
        let verified = judged(&reply(200, ANNA)).unwrap();
        assert_eq!(verified.principal.arn, "arn:aws:iam::111111111111:user/anna&co");
        assert_eq!(verified.principal.account, "111111111111");
        assert_eq!(verified.request_id.as_deref(), Some("r-1"));
    }

    #[test]
    fn what_is_no_answer_of_sts_says_nobody() {
        for body in [
            "",
            "{\"Arn\": \"arn:aws:iam::111111111111:user/anna\"}",
            &ANNA.replace("GetCallerIdentityResponse", "AssumeRoleResponse"),
            &ANNA.replace("<Account>", "<Arn>arn:aws:iam::1:user/eve</Arn><Account>"),
            &ANNA.replace("</GetCallerIdentityResponse>", ""),
            &ANNA.replace("<UserId>AIDA</UserId>", ""),
            &ANNA.replace("&amp;", "&who;"),
        ] {
            let error = judged(&reply(200, body)).unwrap_err();
            assert!(matches!(error, Unverified::Unknown(_)), "{body}: {error:?}");
        }
    }

    #[test]
    fn no_is_a_no_and_a_busy_service_is_none() {
        let error = |code: &str| {
            format!(
                "<ErrorResponse><Error><Code>{code}</Code><Message>token=abc</Message></Error></ErrorResponse>"
            )
        };
        for (status, code) in [
            (403, "SignatureDoesNotMatch"),
            (403, "InvalidClientTokenId"),
            (403, "ExpiredToken"),
            (400, "IncompleteSignature"),
        ] {
            let judged = judged(&reply(status, &error(code))).unwrap_err();
            let Unverified::Invalid(text) = judged else { panic!("{code}: {judged:?}") };
            assert!(text.contains(code) && !text.contains("token=abc"), "{text}");
        }
        for (status, code) in [(503, "ServiceUnavailable"), (400, "Throttling"), (429, "x")] {
            let judged = judged(&reply(status, &error(code)));
            assert!(matches!(judged, Err(Unverified::NotNow(_))), "{code}: {judged:?}");
        }
        let moved = judged(&reply(302, ""));
        assert!(matches!(moved, Err(Unverified::Unknown(_))), "{moved:?}");
    }

    fn signed(sts: &Sts, text: &[u8], token: Option<&str>) -> SignedRequest {
        let token = token.map(str::to_owned);
        let credentials = Credentials::new("AKIAEXAMPLE", "secret", token, None, "test");
        let now = "2026-11-22T03:00:00Z".parse().unwrap();
        SignedRequest::new(sts, &Digest::of(text), &credentials, now).unwrap()
    }

    #[test]
    fn a_signature_is_for_one_text_one_region_and_one_address() {
        let sts = Sts::at("eu-west-1", None).unwrap();
        let one = signed(&sts, b"approve", None);
        assert!(one.is_well_formed());
        assert_eq!(one, signed(&sts, b"approve", None));
        assert!(one.signature != signed(&sts, b"reject", None).signature);
        let elsewhere = Sts::at("eu-west-2", None).unwrap();
        assert!(one.signature != signed(&elsewhere, b"approve", None).signature);
        let endpoint = Sts::at("eu-west-1", Some("http://127.0.0.1:5000")).unwrap();
        assert!(one.signature != signed(&endpoint, b"approve", None).signature);
    }

    #[test]
    fn the_header_is_signed_and_the_address_is_of_aws() {
        let sts = Sts::at("cn-north-1", None).unwrap();
        assert_eq!(sts.address, "https://sts.cn-north-1.amazonaws.com.cn/");
        assert!(Sts::at("eu-west-1.example.com/", None).is_err());
        let request = signed(&sts, b"approve", Some("token"));
        let headers = request.headers(&sts, &Digest::of(b"approve"));
        let authorization = headers["authorization"].reveal();
        assert!(authorization.contains(
            "Credential=AKIAEXAMPLE/20261122/cn-north-1/sts/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-redrill-approval, "
        ));
        assert_eq!(headers[BOUND_TO].reveal(), Digest::of(b"approve").to_string());
    }

    #[test]
    fn nothing_that_is_no_signature_becomes_a_header() {
        let sts = Sts::at("eu-west-1", None).unwrap();
        let good = signed(&sts, b"approve", Some("token"));
        for bad in [
            SignedRequest { access_key_id: "AKIA/../x".into(), ..good.clone() },
            SignedRequest { access_key_id: String::new(), ..good.clone() },
            SignedRequest { session_token: Some("a\r\nx-evil: 1".into()), ..good.clone() },
            SignedRequest {
                signed_at: "20261122T030000Z, SignedHeaders=host".into(),
                ..good.clone()
            },
            SignedRequest { signature: "0".repeat(63), ..good.clone() },
            SignedRequest { signature: "G".repeat(64), ..good },
        ] {
            assert!(!bad.is_well_formed(), "{bad:?}");
        }
    }

    #[test]
    fn a_signed_request_does_not_print_what_it_holds() {
        let sts = Sts::at("eu-west-1", None).unwrap();
        let text = format!("{:?}", signed(&sts, b"approve", Some("session-token")));
        assert!(text.contains("AKIAEXAMPLE") && !text.contains("session-token"), "{text}");
    }
}
