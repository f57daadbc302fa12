//! Handing in many transactions at a time for as little as possible.
//!
//! A program that measures a network shares a machine with it, so what it spends is missing elsewhere. Here a
//! request is written from the transactions to the bytes that are sent in one go, on a connection that stays
//! open, and of an answer only that is read which says what was not taken.
use http::Uri;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ClientError, Reply, read_bytes_max};
use crate::api::{ErrorKind, REQUEST_BYTES_MAX};
use crate::json::{Decimal, HexBytes};

/// Longest head of an answer in bytes; those of a node have some hundred.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Port of an address that names none.
const HTTP_PORT: u16 = 80;

/// The text of a call before its transactions.
const BEFORE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"tx_submitMany","params":{"transactions":["#;
/// The text of a call after its transactions.
const AFTER: &str = "]}}";
/// Bytes around the digits of a transaction: quotes, and a comma before all but the first.
const QUOTES_BYTES: usize = 3;

/// What became of transactions that were handed in together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// All were taken.
    All,
    /// One entry for each, in the order given: `None` if it was taken.
    Each(Vec<Option<Refused>>),
    /// None was taken, for the same reason.
    None(Refused),
}

/// Why a transaction was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason, if this version knows it.
    pub kind: Option<ErrorKind>,
    /// When to try again.
    pub retry_after_ms: Option<u64>,
}

/// Hands transactions in at one node. Connections are kept, as many as calls were open at a time.
#[derive(Debug)]
pub struct Bulk {
    url: String,
    /// Host and port.
    address: String,
    timeout: Duration,
    idle: Mutex<Vec<TcpStream>>,
}

impl Bulk {
    /// For a node at this url; each call has so much time. Connects when first asked.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the url cannot be one of a node.
    pub fn new(url: &str, timeout: Duration) -> Reply<Self> {
        let uri = url.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("http"));
        let authority = uri.as_ref().and_then(Uri::authority).ok_or_else(|| ClientError::Unreachable {
            url: url.to_owned(),
            reason: "expected http://HOST:PORT".to_owned(),
        })?;
        let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(HTTP_PORT));
        Ok(Self { url: url.to_owned(), address, timeout, idle: Mutex::default() })
    }

    /// Submits up to 1,000 transactions, by their canonical bytes, that together fit a request. May be
    /// cancelled, though they may then have arrived.
    ///
    /// # Errors
    /// [`ClientError`], but an error that the node answered with is [`Handed::None`].
    pub async fn submit<'t>(
        &self,
        transactions: impl ExactSizeIterator<Item = &'t HexBytes> + Clone,
    ) -> Reply<Handed> {
        let count = transactions.len();
        let request = self.request(transactions)?;
        let exchanged = tokio::time::timeout(self.timeout, self.exchange(&request)).await;
        let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        let answer = exchanged.map_err(|_| ClientError::TimedOut { url: self.url.clone(), timeout_ms })??;
        read(&answer, count).map_err(|reason| self.not_understood(reason))
    }

    /// The bytes of a request.
    fn request<'t>(&self, transactions: impl Iterator<Item = &'t HexBytes> + Clone) -> Reply<String> {
        let quoted = |bytes: &HexBytes| bytes.0.len().saturating_mul(2).saturating_add(QUOTES_BYTES);
        let items = transactions.clone().map(quoted).fold(0, usize::saturating_add);
        let length = items.saturating_add(BEFORE.len() + AFTER.len()).saturating_sub(1);
        if length > REQUEST_BYTES_MAX {
            return Err(ClientError::RequestTooLarge);
        }
        let mut request = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n",
            self.address
        );
        request.reserve_exact(length);
        request.push_str(BEFORE);
        for (place, bytes) in transactions.enumerate() {
            request.push_str(if place == 0 { "\"" } else { ",\"" });
            bytes.write(&mut request);
            request.push('"');
        }
        request.push_str(AFTER);
        Ok(request)
    }

    /// Sends a request, and receives the body of its answer.
    async fn exchange(&self, request: &str) -> Reply<Vec<u8>> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(stream) = kept {
            match self.converse(stream, request).await {
                // The node closed it while it was idle, as it may.
                Err(Broken::BeforeAnswer(_)) => {}
                other => return other.map_err(|broken| broken.into_error(&self.url)),
            }
        }
        let connected = TcpStream::connect(&self.address).await.and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        let stream = connected.map_err(|error| Broken::BeforeAnswer(error).into_error(&self.url))?;
        self.converse(stream, request).await.map_err(|broken| broken.into_error(&self.url))
    }

    async fn converse(&self, mut stream: TcpStream, request: &str) -> Result<Vec<u8>, Broken> {
        stream.write_all(request.as_bytes()).await.map_err(Broken::BeforeAnswer)?;
        let mut answer = Vec::with_capacity(HEAD_BYTES_MAX);
        let head = loop {
            let is_first = answer.is_empty();
            let read = stream.read_buf(&mut answer).await.and_then(at_least_one);
            read.map_err(|error| if is_first { Broken::BeforeAnswer(error) } else { Broken::Within(error) })?;
            if let Some(head) = Head::read(&answer)? {
                break head;
            }
        };
        let length = head.bytes.saturating_add(head.body_bytes);
        answer.reserve_exact(length.saturating_sub(answer.len()));
        while answer.len() < length {
            stream.read_buf(&mut answer).await.and_then(at_least_one).map_err(Broken::Within)?;
        }
        if answer.len() > length {
            return Err(Broken::Strange("more than an answer".to_owned()));
        }
        if head.stays_open {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        }
        answer.drain(..head.bytes);
        Ok(answer)
    }

    fn not_understood(&self, reason: impl ToString) -> ClientError {
        ClientError::Protocol { url: self.url.clone(), reason: reason.to_string() }
    }
}

fn at_least_one(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
}

/// Why there is no answer.
enum Broken {
    /// The connection ended before the answer began.
    BeforeAnswer(io::Error),
    /// It ended within the answer.
    Within(io::Error),
    /// The node has no room or no time.
    Refused(u16),
    /// The answer is not of a node.
    Strange(String),
}

impl Broken {
    fn into_error(self, url: &str) -> ClientError {
        let url = url.to_owned();
        match self {
            Self::BeforeAnswer(error) | Self::Within(error) => {
                ClientError::Unreachable { url, reason: error.to_string() }
            }
            Self::Refused(status) => {
                ClientError::Unreachable { url, reason: format!("HTTP status {status}") }
            }
            Self::Strange(reason) => ClientError::Protocol { url, reason },
        }
    }
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// Its length.
    bytes: usize,
    /// Length of what follows it.
    body_bytes: usize,
    /// Whether another request may follow.
    stays_open: bool,
}

impl Head {
    /// Reads the head at the beginning of an answer; `None` if there is more to come.
    fn read(answer: &[u8]) -> Result<Option<Self>, Broken> {
        const END: &[u8] = b"\r\n\r\n";
        let strange = |reason: &str| Broken::Strange(reason.to_owned());
        let beginning = answer.get(..HEAD_BYTES_MAX).unwrap_or(answer);
        let Some(end) = beginning.windows(END.len()).position(|window| window == END) else {
            let is_too_long = answer.len() > HEAD_BYTES_MAX;
            return if is_too_long { Err(strange("no head of an answer")) } else { Ok(None) };
        };
        let text = answer.get(..end).and_then(|head| std::str::from_utf8(head).ok());
        let mut lines = text.unwrap_or_default().split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        match status.ok_or_else(|| strange("no head of an answer"))? {
            200..300 => {}
            status @ (408 | 429 | 500..) => return Err(Broken::Refused(status)),
            status => return Err(Broken::Strange(format!("HTTP status {status}"))),
        }
        let (mut body_bytes, mut stays_open) = (None, true);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                body_bytes = value.parse().ok();
            } else if name.eq_ignore_ascii_case("connection") {
                stays_open = !value.eq_ignore_ascii_case("close");
            }
        }
        let longest = usize::try_from(read_bytes_max()).unwrap_or(usize::MAX);
        let body_bytes = body_bytes.filter(|length| *length <= longest);
        let body_bytes = body_bytes.ok_or_else(|| strange("an answer of unknown or too great length"))?;
        Ok(Some(Self { bytes: end.saturating_add(END.len()), body_bytes, stays_open }))
    }
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    result: Option<Results<'a>>,
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Results<'a> {
    accepted: usize,
    /// Not read when all were taken.
    #[serde(borrow)]
    results: &'a RawValue,
}

#[derive(Deserialize)]
struct One {
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    code: i32,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    retry_after_ms: Option<Decimal<u64>>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let retry_after_ms = error.data.and_then(|data| data.retry_after_ms).map(|ms| ms.0);
        Self { kind: ErrorKind::by_code(error.code), retry_after_ms }
    }
}

/// What an answer says of so many transactions.
fn read(answer: &[u8], count: usize) -> Result<Handed, serde_json::Error> {
    use serde::de::Error as _;
    let Response { result, error } = serde_json::from_slice(answer)?;
    if let Some(error) = error {
        return Ok(Handed::None(error.into()));
    }
    let results = result.ok_or_else(|| serde_json::Error::missing_field("result"))?;
    if results.accepted == count {
        return Ok(Handed::All);
    }
    let each: Vec<One> = serde_json::from_str(results.results.get())?;
    if each.len() != count {
        return Err(serde_json::Error::invalid_length(each.len(), &"one result for each transaction"));
    }
    Ok(Handed::Each(each.into_iter().map(|one| one.error.map(Refused::from)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Option<Option<Head>> {
        Head::read(text.as_bytes()).ok()
    }

    #[test]
    fn a_head_says_how_long_the_answer_is_and_whether_the_connection_stays() {
        let found = |bytes, body_bytes, stays_open| Some(Some(Head { bytes, body_bytes, stays_open }));
        assert_eq!(head("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{}"), found(39, 12, true));
        let closing = "HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length:0\r\n\r\n";
        assert_eq!(head(closing), found(closing.len(), 0, false));
        for part in ["", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n"] {
            assert_eq!(head(part), Some(None), "{part}");
        }
    }

    #[test]
    fn a_head_of_something_else_is_not_understood() {
        for text in [
            "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 1\r\n\r\n",
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            "\r\n\r\n",
            &"x".repeat(HEAD_BYTES_MAX + 1),
        ] {
            assert_eq!(head(text), None, "{text}");
        }
    }

    #[test]
    fn an_answer_says_what_was_not_taken_and_why() {
        let busy = r#"{"code":-32009,"message":"busy","data":{"name":"busy","retry_after_ms":"250"}}"#;
        let refused = Refused { kind: Some(ErrorKind::Busy), retry_after_ms: Some(250) };
        let of = |text: String, count| read(text.as_bytes(), count).ok();
        let result = |accepted, results: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":0,"result":{{"height":"1","accepted":{accepted},"results":{results}}}}}"#
            )
        };
        assert_eq!(of(result(2, "[not read]"), 2), None, "it must still be JSON");
        assert_eq!(of(result(2, "[{}]"), 2), Some(Handed::All));
        let each = format!(r#"[{{"tx_id":"00","error":null}},{{"tx_id":null,"error":{busy}}}]"#);
        assert_eq!(of(result(1, &each), 2), Some(Handed::Each(vec![None, Some(refused)])));
        assert_eq!(of(result(1, &each), 3), None);
        let whole = format!(r#"{{"jsonrpc":"2.0","id":0,"error":{busy}}}"#);
        assert_eq!(of(whole, 3), Some(Handed::None(refused)));
        let other = r#"{"jsonrpc":"2.0","id":0,"error":{"code":5,"message":"?"}}"#.to_owned();
        assert_eq!(of(other, 3), Some(Handed::None(Refused { kind: None, retry_after_ms: None })));
        assert_eq!(of("{}".to_owned(), 1), None);
    }
}
