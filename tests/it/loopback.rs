//! Servers on loopback, on a thread of their own, that repeat to whoever asks what they were told: an HTTP server, and one
//! that speaks just enough of PostgreSQL's protocol to refuse a password with the password in its message.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A server that ends with the process.
pub(crate) struct Loopback {
    address: SocketAddr,
}

impl Loopback {
    fn start(answer: impl Fn(TcpStream) -> std::io::Result<()> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Who goes away early has heard enough.
                let _gone = answer(stream);
            }
        });
        Self { address }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Repeats the header `authorization`: in the body, in an address to go to, in an answer that breaks off.
pub(crate) fn echoing_http() -> Loopback {
    Loopback::start(|mut stream| {
        let request = head(&mut stream)?;
        let value = request.lines().find_map(|line| line.strip_prefix("authorization: "));
        let (told, path) = (value.unwrap_or("nothing"), request.split(' ').nth(1).unwrap_or("/"));
        let answer = match path {
            "/echo" => format!("HTTP/1.1 401 {told}\r\nx-told: {told}\r\n\r\n{told}"),
            "/moved" => format!("HTTP/1.1 302 Moved\r\nlocation: /closed?told={told}\r\n\r\n"),
            "/strange" => format!("HTTP/1.1 302 Moved\r\nlocation: mailto:{told}\r\n\r\n"),
            "/broken" => format!("HTTP/1.1 {told}\r\n\r\n"),
            _ => return Ok(()),
        };
        stream.write_all(answer.as_bytes())
    })
}

fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        bytes.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Asks for the password in clear text and refuses it, with it in the message.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>
pub(crate) fn echoing_postgres() -> Loopback {
    Loopback::start(|mut stream| {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
        stream.read_exact(&mut startup)?;
        // AuthenticationCleartextPassword
        stream.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3])?;
        let mut kind = [0; 1];
        stream.read_exact(&mut kind)?;
        stream.read_exact(&mut length)?;
        let mut password = vec![0; u32::from_be_bytes(length) as usize - 4];
        stream.read_exact(&mut password)?;
        password.pop();
        let mut fields = b"SFATAL\0VFATAL\0C28P01\0Mno user has the password ".to_vec();
        fields.extend_from_slice(&password);
        fields.extend_from_slice(b"\0\0");
        let length = u32::try_from(fields.len() + 4).unwrap_or(u32::MAX);
        stream.write_all(&[&b"E"[..], &length.to_be_bytes(), &fields].concat())
    })
}

/// Answers calls of STS as AWS would, and everything else by `answer`, which gets the headers (names in lower case) and the
/// body of the request and gives status and body.
pub(crate) fn hostile_aws(
    answer: impl Fn(&str, &str) -> (u16, String) + Send + 'static,
) -> Loopback {
    const IDENTITY: &str = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>111111111111</Account>\
        <Arn>arn:aws:iam::111111111111:user/x</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>";
    Loopback::start(move |mut stream| {
        let head = head(&mut stream)?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
        stream.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let (status, said) = match body.contains("Action=GetCallerIdentity") {
            true => (200, IDENTITY.to_owned()),
            false => answer(&head, &body),
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: text/xml\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            said.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(said.as_bytes())
    })
}

/// Speaks just enough of HTTP/2 to begin the answer of a gRPC call with the length of its message.
/// <https://www.rfc-editor.org/rfc/rfc9113.html>, <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>
pub(crate) fn endless_etcd(length: u32) -> Loopback {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const DATA: u8 = 0;
    fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
    }
    Loopback::start(move |mut stream| {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface)?;
        stream.write_all(&frame(SETTINGS, 0, 0, b""))?;
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head)?;
            let mut content = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            stream.read_exact(&mut content)?;
            if head[3] == HEADERS {
                break;
            }
        }
        // `:status: 200`, and `content-type` as the name number 31 of the static table.
        let mut headers = vec![0x88, 0x5F, 16];
        headers.extend_from_slice(b"application/grpc");
        stream.write_all(&frame(HEADERS, 4, 1, &headers))?;
        let begins = [&[0][..], &length.to_be_bytes()].concat();
        stream.write_all(&frame(DATA, 0, 1, &begins))?;
        // Until the client goes away.
        let mut rest = [0; 1024];
        while stream.read(&mut rest)? > 0 {}
        Ok(())
    })
}
