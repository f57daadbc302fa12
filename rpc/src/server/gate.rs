//! What an HTTP request must fulfil before the JSON-RPC library sees it: an allowed Host and Origin,
//! and a body that is complete, short and shallow in time, or one that nobody needs to see.
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use jsonrpsee::core::BoxError;
use jsonrpsee::server::http::is_json;
use jsonrpsee::server::{HttpBody, HttpResponse};
use jsonrpsee::types::Id;
use std::collections::BTreeSet;

use super::limits::Limits;
use super::observer::Refusal;
use super::unread::submission_id;
use crate::api::{ApiError, ErrorKind, ErrorObject};
use crate::arguments::{measure, too_deep};

/// Names that a Host or an Origin may carry, without port, in lower case.
#[derive(Clone, Debug)]
pub(crate) struct AllowedHosts(BTreeSet<String>);

impl AllowedHosts {
    /// The names of this machine and those configured.
    pub(crate) fn new(configured: &[String]) -> Self {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        Self(own.into_iter().chain(configured.iter().map(|name| name.to_ascii_lowercase())).collect())
    }

    fn contains(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<http::uri::Authority>() else {
            return false;
        };
        self.0.contains(&authority.host().to_ascii_lowercase())
    }
}

/// A request that is turned away.
pub(crate) struct Turned {
    pub(crate) why: Refusal,
    pub(crate) response: Box<HttpResponse>,
}

impl Turned {
    fn away(status: StatusCode, error: ApiError) -> Self {
        let why = match error.kind {
            ErrorKind::HostRefused => Refusal::Host,
            kind => Refusal::Body(kind),
        };
        Self { why, response: Box::new(answer(status, error)) }
    }
}

/// The text that answers a request whose id is not known with an error.
pub(crate) fn error_text(error: ApiError) -> String {
    serde_json::json!({ "jsonrpc": "2.0", "id": null, "error": ErrorObject::from(error) }).to_string()
}

/// An error as the answer to a request whose id is not known.
pub(crate) fn answer(status: StatusCode, error: ApiError) -> HttpResponse {
    let mut response = Response::new(HttpBody::from(error_text(error)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    // The rest of the request may still be on its way and is not worth waiting for.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Checks whom the request is addressed to, and which page sent it.
///
/// A page in the operator's browser can send requests to this machine, and by DNS rebinding even read
/// the answers, but cannot forge these headers.
pub(crate) fn check_host<B>(request: &Request<B>, allowed: &AllowedHosts) -> Result<(), Turned> {
    let refused = |what: &str, found: &[u8]| {
        let found: String = String::from_utf8_lossy(found).chars().take(80).collect();
        let error = ApiError::new(ErrorKind::HostRefused, format_args!("{what} {found:?} is not allowed"));
        Turned::away(StatusCode::FORBIDDEN, error.in_field(what))
    };
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes).unwrap_or_default();
    let is_allowed = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| allowed.contains(text));
    if hosts.next().is_some() || !is_allowed(host) {
        return Err(refused("Host", host));
    }
    if let Some(authority) = request.uri().authority()
        && !allowed.contains(authority.as_str())
    {
        return Err(refused("Host", authority.as_str().as_bytes()));
    }
    for origin in request.headers().get_all(ORIGIN) {
        let uri: Option<Uri> = origin.to_str().ok().and_then(|text| text.parse().ok());
        let authority = uri.as_ref().and_then(Uri::authority);
        if !authority.is_some_and(|authority| allowed.contains(authority.as_str())) {
            return Err(refused("Origin", origin.as_bytes()));
        }
    }
    Ok(())
}

/// What became of the body of a request.
#[expect(clippy::large_enum_variant, reason = "lives for one call and is never stored")]
pub(crate) enum Body {
    /// It is complete and may be read.
    Taken(Request<Full<Bytes>>),
    /// It was not kept: it begins as a call of `tx_submitMany` with this id.
    Unread(Id<'static>),
}

/// Gathers and checks the body of a call; other requests pass without theirs. While `is_busy`, submissions of
/// many are not kept.
pub(crate) async fn take_body(
    request: Request<Incoming>,
    limits: &Limits,
    is_busy: bool,
) -> Result<Body, Turned> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Ok(Body::Taken(Request::from_parts(parts, Full::default())));
    }
    let allowed = usize::try_from(limits.request_bytes).unwrap_or(usize::MAX);
    let announced =
        parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > u64::from(limits.request_bytes)) {
        return Err(Turned::away(StatusCode::PAYLOAD_TOO_LARGE, too_large(allowed)));
    }
    let is_busy = is_busy && is_json(parts.headers.get(CONTENT_TYPE));
    let gathered = tokio::time::timeout(limits.request_timeout, gather(body, allowed, is_busy));
    let bytes = match gathered.await {
        Ok(Ok(Gathered::Whole(bytes))) => bytes,
        Ok(Ok(Gathered::Unread(id))) => return Ok(Body::Unread(id)),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => {
            return Err(Turned::away(StatusCode::PAYLOAD_TOO_LARGE, too_large(allowed)));
        }
        Ok(Err(_)) => {
            let error = ApiError::new(ErrorKind::ParseError, "the request body ended early");
            return Err(Turned::away(StatusCode::BAD_REQUEST, error));
        }
        Err(_) => {
            let message =
                format!("the request did not arrive within {} ms", limits.request_timeout.as_millis());
            return Err(Turned::away(
                StatusCode::REQUEST_TIMEOUT,
                ApiError::new(ErrorKind::Timeout, message),
            ));
        }
    };
    check_text(&bytes, limits).map_err(|error| {
        // A batch that is too long is a well-formed request.
        let status = match error.kind {
            ErrorKind::BatchTooLarge => StatusCode::OK,
            _ => StatusCode::BAD_REQUEST,
        };
        Turned::away(status, error)
    })?;
    Ok(Body::Taken(Request::from_parts(parts, Full::new(bytes))))
}

enum Gathered {
    Whole(Bytes),
    Unread(Id<'static>),
}

/// Receives a body of at most so many bytes. While `is_busy`, one that begins as a submission of many is
/// received to its end, so that the connection can go on, but not kept.
async fn gather(body: Incoming, allowed: usize, is_busy: bool) -> Result<Gathered, BoxError> {
    let mut body = Limited::new(body, allowed);
    if !is_busy {
        return Ok(Gathered::Whole(body.collect().await?.to_bytes()));
    }
    let mut kept: Vec<Bytes> = Vec::new();
    let mut refused = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if refused.is_some() {
            continue;
        }
        if kept.is_empty() {
            refused = submission_id(&data).map(Id::into_owned);
        }
        if refused.is_none() {
            kept.push(data);
        }
    }
    Ok(refused.map_or_else(|| Gathered::Whole(kept.concat().into()), Gathered::Unread))
}

fn too_large(allowed: usize) -> ApiError {
    ApiError::new(ErrorKind::RequestTooLarge, format_args!("a request of more than {allowed} bytes"))
}

/// What the library answers when nothing was asked for: JSON-RPC 2.0 demands that it be nothing.
const NOTHING: &[u8] = b"null";

/// The body of an answer; empty if nothing was asked for.
pub(crate) fn without_nothing(body: Bytes) -> Bytes {
    if body == NOTHING { Bytes::new() } else { body }
}

/// Takes the body from an answer to a request that asked for none. No other answer is as short.
pub(crate) fn silence(response: HttpResponse) -> HttpResponse {
    let is_nothing = response.status() == StatusCode::OK
        && response.body().size_hint().exact() == u64::try_from(NOTHING.len()).ok();
    if is_nothing { response.map(|_| HttpBody::empty()) } else { response }
}

/// Refuses a text that is too long or nested too deep, and a batch of too many calls.
pub(crate) fn check_text(text: &[u8], limits: &Limits) -> Result<(), ApiError> {
    let longest = usize::try_from(limits.request_bytes).unwrap_or(usize::MAX);
    if text.len() > longest {
        return Err(too_large(longest));
    }
    let depth = usize::try_from(limits.json_depth).unwrap_or(usize::MAX);
    let shape = measure(text, depth).map_err(|found| too_deep(found, depth))?;
    let is_batch = text.trim_ascii_start().first() == Some(&b'[');
    let allowed = usize::try_from(limits.batch_calls).unwrap_or(usize::MAX);
    if is_batch && shape.items > allowed {
        let message = format!("a batch of {} calls, but at most {allowed} are allowed", shape.items);
        return Err(ApiError::new(ErrorKind::BatchTooLarge, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::post("/");
        headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
    }

    fn is_allowed(headers: &[(&str, &str)]) -> bool {
        let allowed = AllowedHosts::new(&["Ledger.example".to_owned()]);
        check_host(&request(headers), &allowed).is_ok()
    }

    #[test]
    fn only_listed_hosts_pass_whatever_their_port_or_case() {
        for host in ["localhost", "127.0.0.1:8645", "[::1]:8645", "LEDGER.example:1", "LocalHost:80"] {
            assert!(is_allowed(&[("host", host)]), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8645", "user@", "::1"]
        {
            assert!(!is_allowed(&[("host", host)]), "{host}");
        }
        assert!(!is_allowed(&[]));
        assert!(!is_allowed(&[("host", "localhost"), ("host", "evil.example")]));
    }

    #[test]
    fn a_foreign_page_is_refused_even_with_the_right_host() {
        assert!(is_allowed(&[("host", "localhost"), ("origin", "http://localhost:8640")]));
        for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example"] {
            assert!(!is_allowed(&[("host", "localhost"), ("origin", origin)]), "{origin}");
        }
    }
}
