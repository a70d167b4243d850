//! A way to an HTTP server on loopback on which every call is seen, and on which one can be held: its request before it
//! arrives, or its answer after it had its effect.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Which call is held, by its `Action`. Each is held once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The server never sees it.
    Request(&'static str),
    /// The server has answered, and nobody hears it.
    Answer(&'static str),
}

#[derive(Default)]
struct Seen {
    /// How often each action was answered with which status.
    calls: BTreeMap<(String, u16), usize>,
    hold: Option<Hold>,
    /// Connections that stay open and silent.
    held: Vec<TcpStream>,
}

/// The way.
pub(crate) struct Wire {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Wire {
    /// To a server, by its `http://` address. The listening thread ends with the process.
    pub(crate) fn to(url: &str) -> Self {
        let server = url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = seen.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, seen) = (server.clone(), shared.clone());
                // A client that goes away ends its thread, no more.
                std::thread::spawn(move || carry(client, &server, &seen));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the next call of this kind is held.
    pub(crate) fn hold(&self, hold: Hold) {
        self.seen.lock().unwrap().hold = Some(hold);
    }

    /// True when the call is held.
    pub(crate) fn holds(&self) -> bool {
        !self.seen.lock().unwrap().held.is_empty()
    }

    /// Lets go: held connections are closed, and nothing is held any more.
    pub(crate) fn release(&self) {
        let mut seen = self.seen.lock().unwrap();
        seen.hold = None;
        seen.held.clear();
    }

    /// How often an action was answered with success, heard or not.
    pub(crate) fn succeeded(&self, action: &str) -> usize {
        *self.seen.lock().unwrap().calls.get(&(action.to_owned(), 200)).unwrap_or(&0)
    }

    /// Every action with its status, and how often.
    pub(crate) fn calls(&self) -> BTreeMap<(String, u16), usize> {
        self.seen.lock().unwrap().calls.clone()
    }
}

/// Carries one request and its answer.
fn carry(mut client: TcpStream, server: &str, seen: &Mutex<Seen>) -> Option<()> {
    let request = read_request(&mut client)?;
    let action = action_of(&request);
    {
        let mut seen = seen.lock().unwrap();
        if matches!(seen.hold, Some(Hold::Request(held)) if held == action) {
            seen.hold = None;
            seen.held.push(client);
            return None;
        }
    }
    let mut upstream = TcpStream::connect(server).ok()?;
    upstream.write_all(&request).ok()?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).ok()?;
    let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
    let mut guarded = seen.lock().unwrap();
    *guarded.calls.entry((action.clone(), status)).or_default() += 1;
    if matches!(guarded.hold, Some(Hold::Answer(held)) if held == action && status == 200) {
        guarded.hold = None;
        guarded.held.push(client);
        return None;
    }
    drop(guarded);
    client.write_all(&answer).ok()
}

/// One whole request, which asks for the connection to be closed after its answer: the end of the answer is the end of
/// the connection.
fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head) = end
            && bytes.len() >= head + body_length(&bytes[..head])?
        {
            break;
        }
        match client.read(&mut buffer).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    let line = bytes.windows(2).position(|window| window == b"\r\n")? + 2;
    bytes.splice(line..line, *b"Connection: close\r\n");
    Some(bytes)
}

fn body_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.map_or(Some(0), |length| length.trim().parse().ok())
}

/// The action of a request in the query protocol, else its first line.
fn action_of(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let action = body.split('&').find_map(|field| field.strip_prefix("Action="));
    action.or(head.lines().next()).unwrap_or_default().to_owned()
}
