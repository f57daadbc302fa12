//! The bytes that a simulated client sends to a node, and how it reads those that come back.
use quorate_primitives::Hash;
use quorate_primitives::transaction::SignedTransaction;
use quorate_rpc::ErrorObject;
use quorate_rpc::json::{Head, HexBytes, Shown, TransactionStatus};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a node said: a result, or an error.
pub type Said<T> = Result<T, ErrorObject>;

#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: P,
}

#[derive(Deserialize)]
struct Response<T> {
    jsonrpc: String,
    id: Option<u64>,
    result: Option<T>,
    error: Option<ErrorObject>,
}

impl<T> Response<T> {
    fn said(self, id: u64) -> Result<Said<T>, String> {
        if self.jsonrpc != "2.0" {
            return Err(format!("version {:?} of JSON-RPC", self.jsonrpc));
        }
        if self.id != Some(id) {
            return Err(format!("the answer is to request {:?}, not {id}", self.id));
        }
        match (self.result, self.error) {
            (Some(result), None) => Ok(Ok(result)),
            (None, Some(error)) => Ok(Err(error)),
            (Some(_), Some(_)) => Err("both a result and an error".to_owned()),
            (None, None) => Err("neither a result nor an error".to_owned()),
        }
    }
}

fn one<P: Serialize>(id: u64, method: &str, params: P) -> Vec<u8> {
    // Strings, numbers and our own types: there is nothing that JSON cannot hold.
    serde_json::to_vec(&Request { jsonrpc: "2.0", id, method, params }).unwrap_or_default()
}

/// One call.
#[must_use]
pub fn request(method: &str, params: &Value) -> Vec<u8> {
    one(1, method, params)
}

/// Two calls in one batch.
#[must_use]
pub fn both(first: (&str, &Value), second: (&str, &Value)) -> Vec<u8> {
    let (first, second) = (one(1, first.0, first.1), one(2, second.0, second.1));
    [b"[".as_slice(), &first, b",", &second, b"]"].concat()
}

/// Submits a transaction.
#[must_use]
pub fn submit(transaction: &SignedTransaction) -> Vec<u8> {
    one(1, "tx_submit", [HexBytes::of(transaction)])
}

/// Submits a transaction and waits for its end, for at most so many ms.
#[must_use]
pub fn submit_and_wait(transaction: &SignedTransaction, timeout_ms: u64) -> Vec<u8> {
    let transaction = HexBytes::of(transaction);
    one(1, "tx_submitAndWait", json!({ "transaction": transaction, "timeout_ms": timeout_ms, "proof": true }))
}

/// Asks for the newest block, and how a transaction stands.
#[must_use]
pub fn how_it_stands(id: Hash) -> Vec<u8> {
    both(("chain_head", &json!([])), ("tx_status", &json!([Shown(id)])))
}

/// Reads the answer to one call.
///
/// # Errors
/// Why it is no answer of this interface.
pub fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<Said<T>, String> {
    let response: Response<T> = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    response.said(1)
}

/// Reads the answers to the two calls of a batch.
///
/// # Errors
/// Why they are no answers of this interface.
pub fn read_both<T: DeserializeOwned, U: DeserializeOwned>(
    answer: &[u8],
) -> Result<(Said<T>, Said<U>), String> {
    let (first, second): (Response<T>, Response<U>) =
        serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    Ok((first.said(1)?, second.said(2)?))
}

/// Reads the answer to [`how_it_stands`].
///
/// # Errors
/// Why it is no answer of this interface, or an error, which nothing justifies.
pub fn read_standing(answer: &[u8]) -> Result<(Head, TransactionStatus), String> {
    let (head, status) = read_both(answer)?;
    let unjustified = |error: ErrorObject| error.to_string();
    Ok((head.map_err(unjustified)?, status.map_err(unjustified)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_of_a_result_and_an_error_is_an_answer() {
        let read = |text: &str| read::<u64>(text.as_bytes());
        assert_eq!(read(r#"{"jsonrpc":"2.0","id":1,"result":7}"#), Ok(Ok(7)));
        assert!(read(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}"#).unwrap().is_err());
        for wrong in [
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":2,"result":7}"#,
            r#"{"jsonrpc":"1.0","id":1,"result":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":7,"error":{"code":1,"message":"no"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":"7"}"#,
            "",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
