//! A proxy in front of a node that alters what the node answers.
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Changes the result of a call of this method.
pub(crate) type Alteration = Box<dyn Fn(&str, &mut Value) + Send>;

/// A running proxy. It ends with the test process.
pub(crate) struct Proxy {
    pub(crate) url: String,
    alteration: Arc<Mutex<Option<Alteration>>>,
    unanswered: Arc<Mutex<Option<&'static str>>>,
}

impl Proxy {
    /// Starts a proxy that passes everything on as it is.
    pub(crate) fn start(node: &str) -> Self {
        let node = node.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let alteration = Arc::new(Mutex::new(None));
        let unanswered = Arc::new(Mutex::new(None));
        let (shared, closing) = (Arc::clone(&alteration), Arc::clone(&unanswered));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that gives up in the middle is no concern of the proxy.
                let _ = pass_on(client, &node, &shared, &closing);
            }
        });
        Self { url, alteration, unanswered }
    }

    /// From now on calls of this method are not answered, and the connection is closed.
    pub(crate) fn leave_unanswered(&self, method: &'static str) {
        *self.unanswered.lock().unwrap() = Some(method);
    }

    /// From now on the results are altered.
    pub(crate) fn alter(&self, alteration: impl Fn(&str, &mut Value) + Send + 'static) {
        *self.alteration.lock().unwrap() = Some(Box::new(alteration));
    }

    /// From now on nothing is altered.
    pub(crate) fn be_honest(&self) {
        *self.alteration.lock().unwrap() = None;
    }
}

/// Reads head and body of one message.
fn read_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).map_or("0", str::trim);
    let mut body = vec![0; length.parse().map_err(std::io::Error::other)?];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn pass_on(
    mut client: TcpStream,
    node: &str,
    alteration: &Mutex<Option<Alteration>>,
    unanswered: &Mutex<Option<&'static str>>,
) -> std::io::Result<()> {
    let question = read_message(&mut client)?;
    let asked: Value = serde_json::from_slice(&question)?;
    if asked["method"].as_str() == *unanswered.lock().unwrap() {
        return Ok(());
    }
    let mut upstream = TcpStream::connect(node)?;
    let head = "content-type: application/json\r\nconnection: close";
    write!(
        upstream,
        "POST / HTTP/1.1\r\nhost: {node}\r\n{head}\r\ncontent-length: {}\r\n\r\n",
        question.len()
    )?;
    upstream.write_all(&question)?;
    let mut answer = read_message(&mut upstream)?;
    if let Some(alter) = &*alteration.lock().unwrap() {
        let mut whole: Value = serde_json::from_slice(&answer)?;
        if let Some(result) = whole.get_mut("result") {
            alter(asked["method"].as_str().unwrap_or_default(), result);
        }
        answer = serde_json::to_vec(&whole)?;
    }
    write!(client, "HTTP/1.1 200 OK\r\n{head}\r\ncontent-length: {}\r\n\r\n", answer.len())?;
    client.write_all(&answer)
}
