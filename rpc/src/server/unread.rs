//! Refusing a submission of many from its first bytes, while there is no room for any.
//!
//! What comes before the parameters of a call says which method it calls and under which id; clients write
//! the parameters last. The rest of such a request is received, since the connection goes on after it, and
//! forgotten. A request that is written otherwise is read as a whole, and refused by the method itself.
use jsonrpsee::types::{Id, TwoPointZero};
use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

use super::dispatch::SUBMIT_MANY;

/// The id of a call of `tx_submitMany` whose text begins so; `None` if it is anything else, or if that is not
/// to be seen before its parameters.
pub(crate) fn submission_id(beginning: &[u8]) -> Option<Id<'_>> {
    let mut head = Head::default();
    // It ends in an error where the bytes do, which is not known to be one.
    let _ = serde_json::Deserializer::from_slice(beginning).deserialize_map(HeadVisitor(&mut head));
    let is_submission =
        head.has_version && head.has_parameters && head.method.as_deref() == Some(SUBMIT_MANY);
    head.id.filter(|_| is_submission)
}

/// What comes before the parameters of a call.
#[derive(Default)]
struct Head<'a> {
    has_version: bool,
    id: Option<Id<'a>>,
    method: Option<Cow<'a, str>>,
    /// Whether the parameters are next.
    has_parameters: bool,
}

struct HeadVisitor<'h, 'a>(&'h mut Head<'a>);

impl<'de> Visitor<'de> for HeadVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a call")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let head = self.0;
        loop {
            match map.next_key::<&str>()? {
                Some("jsonrpc") if !head.has_version => {
                    map.next_value::<TwoPointZero>()?;
                    head.has_version = true;
                }
                Some("id") if head.id.is_none() => head.id = Some(map.next_value()?),
                Some("method") if head.method.is_none() => head.method = Some(map.next_value()?),
                Some("params") => {
                    head.has_parameters = true;
                    return Ok(());
                }
                Some(_) | None => return Err(A::Error::custom("no call, or one that must be read")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(beginning: &str) -> Option<String> {
        submission_id(beginning.as_bytes()).map(|id| serde_json::to_string(&id).unwrap())
    }

    #[test]
    fn the_id_is_found_before_the_parameters_in_any_order_and_of_any_kind() {
        for (beginning, found) in [
            (r#"{"jsonrpc":"2.0","id":7,"method":"tx_submitMany","params":{"transactions":["00"#, "7"),
            (r#" { "method" : "tx_submitMany" , "id" : "a\"b", "jsonrpc":"2.0", "params""#, r#""a\"b""#),
            (r#"{"id":null,"jsonrpc":"2.0","method":"tx_submitMany","params":[["00"]]}"#, "null"),
        ] {
            assert_eq!(id(beginning).as_deref(), Some(found), "{beginning}");
        }
    }

    #[test]
    fn nothing_is_found_where_it_is_not_all_to_be_seen() {
        for beginning in [
            "",
            "{",
            "7",
            r#"{"jsonrpc":"2.0","id":7,"method":"tx_submitMany""#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tx_submitMany"}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tx_submitMany","par"#,
            r#"{"jsonrpc":"2.0","id":7,"params":[],"method":"tx_submitMany"}"#,
            r#"{"jsonrpc":"2.0","method":"tx_submitMany","params":[],"id":7}"#,
            r#"{"id":7,"method":"tx_submitMany","params":[]}"#,
            r#"{"jsonrpc":"1.0","id":7,"method":"tx_submitMany","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"tx_submitMany","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":-7,"method":"tx_submitMany","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":7,"more":1,"method":"tx_submitMany","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tx_submit","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"chain_head","params":[]}"#,
            r#"[{"jsonrpc":"2.0","id":7,"method":"tx_submitMany","params":[]}]"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tx_submitMany" "params":[]}"#,
        ] {
            assert_eq!(id(beginning), None, "{beginning}");
        }
    }
}
