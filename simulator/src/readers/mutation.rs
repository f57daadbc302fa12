//! How an answer is damaged on its way: whoever verifies it must refuse it, or take it for the very same.
use serde_json::Value;

use crate::random::Dice;

/// One way to damage an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A bit of canonical bytes.
    Bit,
    /// Bytes are missing at the end.
    Truncation,
    /// Bytes follow the end.
    Extension,
    /// Two pieces of canonical bytes change places.
    Exchange,
    /// The certificate of another answer.
    OtherCertificate,
    /// Two elements of a list change places.
    Swap,
    /// An element of a list is missing.
    Removal,
    /// An element of a list stands there twice.
    Repetition,
    /// A number, a name or a truth value is another one.
    Value,
    /// Something is left out.
    Nothing,
}

impl Mutation {
    /// Every way.
    pub const ALL: [Mutation; 10] = [
        Self::Bit,
        Self::Truncation,
        Self::Extension,
        Self::Exchange,
        Self::OtherCertificate,
        Self::Swap,
        Self::Removal,
        Self::Repetition,
        Self::Value,
        Self::Nothing,
    ];

    /// The mark of one that was refused.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::Bit => "refused: bit changed",
            Self::Truncation => "refused: bytes missing",
            Self::Extension => "refused: bytes added",
            Self::Exchange => "refused: bytes exchanged",
            Self::OtherCertificate => "refused: other certificate",
            Self::Swap => "refused: elements swapped",
            Self::Removal => "refused: element missing",
            Self::Repetition => "refused: element repeated",
            Self::Value => "refused: other value",
            Self::Nothing => "refused: part left out",
        }
    }

    /// Damages an answer. False if there is nothing in it to damage in this way.
    pub(super) fn apply(self, answer: &mut Value, certificates: &[Value], dice: &mut Dice) -> bool {
        match self {
            Self::Bit => on_bytes(answer, dice, |bytes, dice| {
                let position = dice.index(bytes.len());
                let bit = 1_u8 << dice.below(8);
                bytes.get_mut(position).map(|byte| *byte ^= bit)
            }),
            Self::Truncation => on_bytes(answer, dice, |bytes, dice| {
                bytes.truncate(dice.index(bytes.len()));
                Some(())
            }),
            Self::Extension => on_bytes(answer, dice, |bytes, dice| {
                let more = dice.between(1, 40);
                bytes.extend((0..more).map(|_| dice.below(256).to_le_bytes()[0]));
                Some(())
            }),
            Self::Exchange => on_bytes(answer, dice, |bytes, dice| {
                let half = bytes.len() / 2;
                let size = dice.index(half).saturating_add(1);
                let (first, second) = bytes.split_at_mut_checked(half)?;
                let (first, second) = (first.get_mut(..size)?, second.get_mut(..size)?);
                first.swap_with_slice(second);
                Some(())
            }),
            Self::OtherCertificate => {
                let Some(other) = dice.pick(certificates) else { return false };
                let place = places(answer, &|name, _| name == "certified");
                change(answer, place.first(), |value| *value = other.clone())
            }
            Self::Swap => on_list(answer, 2, dice, |list, dice| {
                let one = dice.index(list.len());
                let other = one.saturating_add(1).checked_rem(list.len()).unwrap_or_default();
                list.swap(one, other);
            }),
            Self::Removal => on_list(answer, 1, dice, |list, dice| {
                list.remove(dice.index(list.len()));
            }),
            Self::Repetition => on_list(answer, 1, dice, |list, dice| {
                let one = dice.index(list.len());
                let copy = list.get(one).cloned().unwrap_or_default();
                list.insert(one, copy);
            }),
            Self::Value => {
                let plain = places(answer, &|_, value| match value {
                    Value::String(text) => bytes_of(text).is_none(),
                    Value::Number(_) | Value::Bool(_) => true,
                    _ => false,
                });
                let place = dice.pick(&plain).cloned();
                change(answer, place.as_ref(), |value| *value = other_value(value))
            }
            Self::Nothing => {
                let all = places(answer, &|name, value| !name.is_empty() && !value.is_null());
                let place = dice.pick(&all).cloned();
                change(answer, place.as_ref(), |value| *value = Value::Null)
            }
        }
    }
}

/// The certificate in an answer, if it has one.
pub(super) fn certificate(answer: &Value) -> Option<&Value> {
    let place = places(answer, &|name, _| name == "certified");
    answer.pointer(place.first()?)
}

/// Where in an answer something stands, as JSON pointers.
fn places(answer: &Value, is_wanted: &dyn Fn(&str, &Value) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![(String::new(), String::new(), answer)];
    while let Some((path, name, value)) = left.pop() {
        if is_wanted(&name, value) {
            found.push(path.clone());
        }
        match value {
            Value::Object(fields) => {
                left.extend(
                    fields.iter().map(|(name, value)| (format!("{path}/{name}"), name.clone(), value)),
                );
            }
            Value::Array(elements) => {
                let elements = elements.iter().enumerate();
                left.extend(elements.map(|(index, value)| (format!("{path}/{index}"), String::new(), value)));
            }
            _ => {}
        }
    }
    found
}

fn change(answer: &mut Value, place: Option<&String>, change: impl FnOnce(&mut Value)) -> bool {
    place.and_then(|place| answer.pointer_mut(place)).map(change).is_some()
}

/// The bytes that a text stands for, if it is hexadecimal.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len() >= 16 && text.len().is_multiple_of(2);
    let digits: Vec<u8> =
        text.bytes().filter_map(|digit| char::from(digit).to_digit(16)?.try_into().ok()).collect();
    (is_hex && digits.len() == text.len())
        .then(|| digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Changes canonical bytes: most often those that prove something.
fn on_bytes(
    answer: &mut Value,
    dice: &mut Dice,
    damage: impl FnOnce(&mut Vec<u8>, &mut Dice) -> Option<()>,
) -> bool {
    let all = places(answer, &|_, value| value.as_str().is_some_and(|text| bytes_of(text).is_some()));
    let proofs: Vec<String> = all
        .iter()
        .filter(|place| place.contains("proof") || place.contains("finality") || place.contains("handover"))
        .cloned()
        .collect();
    let some = if proofs.is_empty() || dice.chance(200) { &all } else { &proofs };
    let Some(text) = dice.pick(some).and_then(|place| answer.pointer_mut(place)) else { return false };
    let Some(mut bytes) = text.as_str().and_then(bytes_of) else { return false };
    let is_damaged = damage(&mut bytes, dice).is_some();
    *text = Value::String(text_of(&bytes));
    is_damaged
}

fn on_list(
    answer: &mut Value,
    least: usize,
    dice: &mut Dice,
    damage: impl FnOnce(&mut Vec<Value>, &mut Dice),
) -> bool {
    let lists = places(answer, &|_, value| value.as_array().is_some_and(|list| list.len() >= least));
    let place = dice.pick(&lists).and_then(|place| answer.pointer_mut(place));
    place.and_then(Value::as_array_mut).map(|list| damage(list, dice)).is_some()
}

fn other_value(value: &Value) -> Value {
    match value {
        Value::Bool(truth) => Value::Bool(!truth),
        Value::Number(number) => Value::from(number.as_u64().unwrap_or_default().wrapping_add(1)),
        Value::String(text) => match text.parse::<u64>() {
            Ok(number) => Value::String(number.wrapping_add(1).to_string()),
            Err(_) => Value::String(format!("{text}x")),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use serde_json::json;

    #[test]
    fn every_way_damages_an_answer_that_has_all_parts() {
        let answer = json!({
            "height": "7",
            "values": [{ "key": "00112233445566778899" }, { "key": "ffeeddccbbaa99887766" }],
            "proof": { "certified": "0102030405060708090a0b0c0d0e0f10" },
        });
        let other = json!("ffff030405060708090a0b0c0d0e0f10");
        let mut dice = Dice::new(1, Stream::Readers);
        for mutation in Mutation::ALL {
            let mut damaged = answer.clone();
            assert!(mutation.apply(&mut damaged, std::slice::from_ref(&other), &mut dice), "{mutation:?}");
            assert_ne!(damaged, answer, "{mutation:?}");
        }
    }

    #[test]
    fn canonical_bytes_are_told_from_words() {
        assert_eq!(bytes_of("00112233445566ff"), Some(vec![0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0xff]));
        assert_eq!(text_of(&[0, 0x1f]), "001f");
        for word in ["final", "0011", "00112233445566f", "0x00112233445566"] {
            assert_eq!(bytes_of(word), None, "{word}");
        }
    }
}
