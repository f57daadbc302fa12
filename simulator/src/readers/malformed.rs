//! Requests that no node can answer. Each must lead to an error, whatever it is.
use quorate_primitives::codec::encode;
use quorate_primitives::state::StateKey;
use quorate_rpc::ErrorKind;
use quorate_rpc::api::{METHODS, STATE_KEYS_MAX, SUBMIT_MANY_MAX};
use quorate_rpc::json::HexBytes;
use serde_json::{Value, json};

use crate::call;
use crate::client::specimen;
use crate::founding::Founding;
use crate::random::Dice;

/// So many transactions of one byte are longer than any request that a node accepts.
const TRANSACTIONS_TOO_LONG: usize = 262_144;
/// Number of kinds of requests.
const KINDS: u64 = 16;

/// What must come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// One error, or one for each call of a batch.
    Error,
    /// An error of this kind.
    Kind(ErrorKind),
    /// A result in which each transaction has its own error.
    EachItsOwn,
    /// Nothing at all.
    Silence,
    /// Anything that is JSON, or nothing: what is left may be a notification.
    Anything,
}

/// A request that cannot be answered.
#[derive(Clone, Debug)]
pub struct Malformed {
    /// Its name as a mark.
    pub mark: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What must come back.
    pub expected: Expected,
}

impl Malformed {
    /// Whether an answer is what must come back.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, answer: &[u8]) -> Result<(), String> {
        match (self.expected, answer.is_empty()) {
            (Expected::Silence, false) => return Err(shown(answer)),
            (Expected::Silence | Expected::Anything, true) => return Ok(()),
            _ => {}
        }
        let read: Value =
            serde_json::from_slice(answer).map_err(|why| format!("{why}: {}", shown(answer)))?;
        let is_right = match (&read, self.expected) {
            (_, Expected::Anything) => true,
            (Value::Array(answers), Expected::Error) => {
                !answers.is_empty() && answers.iter().all(|one| kind(one).is_some())
            }
            (one, Expected::Error) => kind(one).is_some(),
            (one, Expected::Kind(expected)) => kind(one) == Some(expected),
            (one, Expected::EachItsOwn) => {
                let results = one.pointer("/result/results").and_then(Value::as_array);
                results.is_some_and(|results| results.iter().all(|result| result["error"].is_object()))
            }
            (_, Expected::Silence) => false,
        };
        if is_right { Ok(()) } else { Err(shown(answer)) }
    }
}

fn kind(answer: &Value) -> Option<ErrorKind> {
    let code = answer.pointer("/error/code")?.as_i64()?;
    let kind = ErrorKind::by_code(i32::try_from(code).ok()?)?;
    let is_whole = answer["result"].is_null() && answer["jsonrpc"] == "2.0";
    is_whole.then_some(kind)
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(300).collect()
}

struct Draw<'a> {
    founding: &'a Founding,
    dice: &'a mut Dice,
}

/// One of all kinds.
pub(super) fn draw(founding: &Founding, dice: &mut Dice) -> Malformed {
    let kind = dice.below(KINDS);
    let mut draw = Draw { founding, dice };
    let (mark, bytes, expected) = draw.kind(kind);
    Malformed { mark, bytes, expected }
}

type Kind = (&'static str, Vec<u8>, Expected);

impl Draw<'_> {
    fn kind(&mut self, kind: u64) -> Kind {
        use ErrorKind::{InvalidParams, InvalidRequest, MethodNotFound};
        match kind {
            0 => self.cut(),
            1 => self.noise(),
            2 => {
                let name = if self.dice.coin() { "tx_steal".to_owned() } else { "x".repeat(100_000) };
                (
                    "malformed: unknown method",
                    call::request(&name, &json!([])),
                    Expected::Kind(MethodNotFound),
                )
            }
            3 => self.wrong_type(),
            4 => self.huge_number(),
            5 => self.deep(),
            6 => self.batch(),
            7 => {
                let method = if self.dice.coin() { "chain_subscribeHeads" } else { "tx_unsubscribe" };
                let bytes = call::request(method, &json!([]));
                ("malformed: subscription without a socket", bytes, Expected::Kind(InvalidRequest))
            }
            8 => {
                // An id that is none counts as not given.
                let id = if self.dice.coin() { r#""id":{},"# } else { "" };
                let text = format!(r#"{{"jsonrpc":"2.0",{id}"method":"tx_submit","params":["00"]}}"#);
                ("malformed: asks for no answer", text.into_bytes(), Expected::Silence)
            }
            9 => self.envelope(),
            10 => self.keys(),
            11 => self.transaction(),
            12 => self.forged(),
            13 => self.many(),
            14 => {
                let limit = if self.dice.coin() { json!(0) } else { json!(u32::MAX) };
                let method = if self.dice.coin() { "asset_list" } else { "chain_getEpochs" };
                let bytes = call::request(method, &json!({ "limit": limit }));
                ("malformed: limit out of range", bytes, Expected::Kind(InvalidParams))
            }
            _ => {
                let text = "y".repeat(self.dice.index(40).saturating_add(1));
                let bytes = call::request("state_get", &json!({ "keys": [text] }));
                ("malformed: not hexadecimal", bytes, Expected::Kind(InvalidParams))
            }
        }
    }

    /// A request that a node answers.
    fn sound(&mut self) -> Vec<u8> {
        let account = self.founding.payers.first().map(|payer| payer.account.to_string());
        match self.dice.below(3) {
            0 => call::request("account_get", &json!({ "account": account, "proof": true })),
            1 => call::request("chain_getBlock", &json!({ "height": "1", "bodies": true })),
            _ => call::submit(&specimen(self.founding)),
        }
    }

    fn cut(&mut self) -> Kind {
        let mut bytes = self.sound();
        bytes.truncate(self.dice.index(bytes.len()));
        ("malformed: cut off", bytes, Expected::Error)
    }

    fn noise(&mut self) -> Kind {
        let mut bytes = self.sound();
        for _ in 0..self.dice.between(1, 4) {
            let position = self.dice.index(bytes.len());
            let noise = self.dice.below(256).to_le_bytes()[0];
            if let Some(byte) = bytes.get_mut(position) {
                *byte = noise;
            }
        }
        // What is left may still be a request.
        ("malformed: changed bytes", bytes, Expected::Anything)
    }

    fn wrong_type(&mut self) -> Kind {
        let values = [json!({}), json!([]), json!(1.5), json!(true), json!("zz"), json!([[]]), json!(-1)];
        let value = self.dice.pick(&values).cloned().unwrap_or_default();
        let methods = METHODS.iter().filter(|method| {
            let first = method.parameters.first();
            // Of many transactions each has its own error.
            first.is_some_and(|first| !["proof", "transactions"].contains(&first.name))
                && matches!(method.style, quorate_rpc::api::Style::Call)
        });
        let methods: Vec<_> = methods.collect();
        let bytes = self.dice.pick(&methods).map_or_else(Vec::new, |method| {
            let name = method.parameters.first().map(|first| first.name).unwrap_or_default();
            let mut parameters = serde_json::Map::new();
            parameters.insert(name.to_owned(), value);
            call::request(method.name, &Value::Object(parameters))
        });
        ("malformed: wrong type", bytes, Expected::Kind(ErrorKind::InvalidParams))
    }

    fn huge_number(&mut self) -> Kind {
        let digits = "9".repeat(self.dice.index(10_000).saturating_add(20));
        let number = match self.dice.below(4) {
            0 => digits,
            1 => format!("\"{digits}\""),
            2 => "1e400".to_owned(),
            _ => "-18446744073709551616".to_owned(),
        };
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"chain_getBlock","params":{{"height":{number}}}}}"#);
        ("malformed: huge number", text.into_bytes(), Expected::Error)
    }

    fn deep(&mut self) -> Kind {
        let depth = [33, 200, 100_000][self.dice.index(3)];
        let (open, close) = if self.dice.coin() { ("[", "]") } else { ("{\"a\":", "}") };
        let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tx_submitMany","params":[{nested}]}}"#);
        let text = if self.dice.coin() { text } else { nested };
        ("malformed: nested too deep", text.into_bytes(), Expected::Kind(ErrorKind::InvalidRequest))
    }

    fn batch(&mut self) -> Kind {
        let one = json!({ "jsonrpc": "2.0", "id": 1, "method": "chain_head" });
        let (batch, expected) = match self.dice.below(4) {
            0 => (json!([]), Expected::Error),
            1 => (Value::Array(vec![one; 51]), Expected::Kind(ErrorKind::BatchTooLarge)),
            2 => (json!([1, "a", null, [], {}]), Expected::Error),
            _ => (json!([[one]]), Expected::Error),
        };
        ("malformed: batch", batch.to_string().into_bytes(), expected)
    }

    fn envelope(&mut self) -> Kind {
        let all = [
            json!({ "id": 1, "method": "chain_head" }),
            json!({ "jsonrpc": "1.0", "id": 1, "method": "chain_head" }),
            json!({ "jsonrpc": "2.0", "id": 1, "method": 7 }),
            json!({ "jsonrpc": "2.0", "id": 1 }),
            json!({ "jsonrpc": "2.0", "id": 1, "method": "chain_head", "params": 5 }),
            json!({ "jsonrpc": "2.0", "id": 1, "method": "chain_head", "params": [1] }),
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tx_get", "params": {} }),
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tx_get", "params": { "txid": "00" } }),
            json!("chain_head"),
            json!(null),
        ];
        let chosen = self.dice.pick(&all).cloned().unwrap_or_default();
        ("malformed: envelope", chosen.to_string().into_bytes(), Expected::Error)
    }

    fn keys(&mut self) -> Kind {
        let key = HexBytes::of(&StateKey::Parameters);
        let (keys, expected) = match self.dice.below(4) {
            0 => (vec![key; STATE_KEYS_MAX.saturating_add(1)], ErrorKind::InvalidParams),
            1 => (Vec::new(), ErrorKind::InvalidParams),
            2 => (vec![HexBytes(vec![0; 129])], ErrorKind::Malformed),
            _ => (vec![key, HexBytes(vec![0xff, 1, 2])], ErrorKind::Malformed),
        };
        let bytes = call::request("state_get", &json!({ "keys": keys }));
        ("malformed: state keys", bytes, Expected::Kind(expected))
    }

    /// Bytes that are not the canonical encoding of a transaction.
    fn transaction(&mut self) -> Kind {
        let mut bytes = encode(&specimen(self.founding));
        match self.dice.below(3) {
            0 => bytes.truncate(self.dice.index(bytes.len())),
            1 => bytes.push(0),
            _ => bytes = vec![self.dice.below(256).to_le_bytes()[0]; self.dice.index(3_000)],
        }
        let bytes = call::request("tx_submit", &json!([HexBytes(bytes)]));
        ("malformed: transaction", bytes, Expected::Kind(ErrorKind::Malformed))
    }

    /// A transaction with a signature that is not that of its signer.
    fn forged(&mut self) -> Kind {
        let mut bytes = encode(&specimen(self.founding));
        let position = bytes.len().saturating_sub(self.dice.index(64).saturating_add(1));
        if let Some(byte) = bytes.get_mut(position) {
            *byte ^= 1_u8 << self.dice.below(8);
        }
        let bytes = call::request("tx_submit", &json!([HexBytes(bytes)]));
        ("malformed: forged signature", bytes, Expected::Kind(ErrorKind::BadSignature))
    }

    fn many(&mut self) -> Kind {
        let (count, expected) = match self.dice.below(3) {
            0 => (SUBMIT_MANY_MAX.saturating_add(1), Expected::Kind(ErrorKind::InvalidParams)),
            1 if self.dice.chance(100) => (TRANSACTIONS_TOO_LONG, Expected::Kind(ErrorKind::RequestTooLarge)),
            _ => (3, Expected::EachItsOwn),
        };
        let bytes = call::request("tx_submitMany", &json!({ "transactions": vec!["00"; count] }));
        ("malformed: many transactions", bytes, expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_error_that_is_due_is_taken() {
        let error = br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no method"}}"#;
        let result = br#"{"jsonrpc":"2.0","id":1,"result":7}"#;
        let check = |expected, answer: &[u8]| {
            let malformed = Malformed { mark: "malformed: envelope", bytes: Vec::new(), expected };
            malformed.check(answer).is_ok()
        };
        assert!(check(Expected::Error, error));
        assert!(check(Expected::Kind(ErrorKind::MethodNotFound), error));
        assert!(check(Expected::Silence, b""));
        assert!(!check(Expected::Error, result));
        assert!(!check(Expected::Kind(ErrorKind::InvalidParams), error));
        assert!(!check(Expected::Error, b""));
        assert!(!check(Expected::Error, b"[]"));
        assert!(!check(Expected::Silence, error));
        assert!(!check(Expected::Anything, b"not json"));
        assert!(check(Expected::Anything, b""));
    }
}
