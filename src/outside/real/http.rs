use crate::outside::{HttpReply, HttpRequest, OutsideError};
use crate::time::Clock;
use std::error::Error;
use std::io;

/// Sends one request. Redirects are not followed; whoever asks decides about them.
pub(super) async fn send(request: &HttpRequest, clock: &Clock) -> Result<HttpReply, OutsideError> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(request.timeout)
        .user_agent(concat!("redrill/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| OutsideError::Failed(text_of(&e)))?;
    let method = reqwest::Method::from_bytes(request.method.as_bytes());
    let method = method
        .map_err(|_| OutsideError::Failed(format!("{:?} is not an HTTP method", request.method)))?;
    let mut prepared = client.request(method, &request.url);
    for (name, value) in &request.headers {
        prepared = prepared.header(name, value.reveal());
    }
    if let Some(body) = &request.body {
        prepared = prepared.body(body.clone());
    }
    let began = clock.elapsed();
    let mut response = prepared.send().await.map_err(|e| meaning(&e))?;
    let status = response.status().as_u16();
    let headers = response.headers().iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let headers = headers.collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| meaning(&e))? {
        let keep = chunk.len().min(request.body_limit - body.len());
        body.extend_from_slice(&chunk[..keep]);
        if body.len() == request.body_limit {
            break;
        }
    }
    let took = clock.elapsed().saturating_sub(began);
    Ok(HttpReply { status, headers, body: String::from_utf8_lossy(&body).into_owned(), took })
}

/// What can pass by itself is unreachable; a wrong address, header or certificate cannot.
fn meaning(error: &reqwest::Error) -> OutsideError {
    if error.is_builder() || is_certificate(error) {
        OutsideError::Failed(text_of(error))
    } else {
        OutsideError::Unreachable(text_of(error))
    }
}

/// rustls reports certificates that it cannot verify as input/output errors of this kind.
pub(super) fn is_certificate(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|e| e.kind() == io::ErrorKind::InvalidData)
}

/// The error and its causes. An input/output error passes over the error that it wraps: that one is looked at as well.
pub(super) fn causes<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// The outermost text names the address, the innermost the reason. What an address carries besides its path may be a
/// secret: redirects lead to signed addresses.
fn text_of(error: &reqwest::Error) -> String {
    let text = match causes(error).last() {
        Some(reason) if reason.to_string() != error.to_string() => format!("{error}: {reason}"),
        _ => error.to_string(),
    };
    match error.url() {
        Some(url) => text.replace(url.as_str(), &bare(url)),
        None => text,
    }
}

/// An address without query, fragment and user.
fn bare(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StepId;
    use crate::outside::Secret;
    use std::collections::BTreeMap;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Gives one answer to one request, and returns the request.
    async fn server(answer: String) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let count = socket.read(&mut buffer).await.unwrap();
            let _gone = socket.write_all(answer.as_bytes()).await;
            String::from_utf8_lossy(&buffer[..count]).into_owned()
        });
        (url, task)
    }

    fn request(url: String) -> HttpRequest {
        HttpRequest {
            step: StepId::new("step"),
            method: "GET".into(),
            url,
            headers: BTreeMap::from([("x-token".to_owned(), Secret::new("abc"))]),
            body: None,
            timeout: Duration::from_secs(5),
            body_limit: 1000,
        }
    }

    #[tokio::test]
    async fn a_request_carries_its_headers_and_a_body_is_cut_at_the_limit() {
        let answer = format!("HTTP/1.1 503 Busy\r\nX-Mode: drill\r\n\r\n{}", "y".repeat(5000));
        let (url, task) = server(answer).await;
        let reply = send(&request(url), &Clock::system()).await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (503, 1000));
        assert_eq!(reply.headers["x-mode"], "drill");
        assert!(task.await.unwrap().contains("x-token: abc"));
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let answer = "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n";
        let (url, task) = server(answer.to_owned()).await;
        let reply = send(&request(url), &Clock::system()).await.unwrap();
        assert_eq!((reply.status, reply.headers["location"].as_str()), (302, "/login"));
        task.await.unwrap();
    }

    #[tokio::test]
    async fn who_does_not_listen_is_unreachable_and_a_wrong_address_is_an_error() {
        let refused = send(&request("http://127.0.0.1:1/".into()), &Clock::system()).await;
        assert!(matches!(refused, Err(OutsideError::Unreachable(_))), "{refused:?}");
        let signed = request("http://127.0.0.1:1/a?X-Amz-Signature=abc".into());
        let signed = send(&signed, &Clock::system()).await.unwrap_err().to_string();
        assert!(signed.contains("http://127.0.0.1:1/a") && !signed.contains("abc"), "{signed}");
        let wrong = send(&request("not an address".into()), &Clock::system()).await;
        assert!(matches!(wrong, Err(OutsideError::Failed(_))), "{wrong:?}");
    }
}
