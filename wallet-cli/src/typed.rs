//! What users type: amounts with their asset, durations, and the names of payments.
use quorate_primitives::hash::parse_hex;
use quorate_primitives::state::Symbol;
use quorate_primitives::transaction::Nonce;
use std::fmt;
use std::str::FromStr;

/// Text that does not say what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct TypedError {
    /// What may stand there.
    pub expected: &'static str,
    /// What stands there, cut to 80 characters.
    pub found: String,
}

impl TypedError {
    fn new(expected: &'static str, found: &str) -> Self {
        Self { expected, found: found.chars().take(80).collect() }
    }
}

/// An amount such as `12.50USD`, `12.50 USD` or, where the asset is known, `12.50`.
///
/// How many digits may follow the point is the asset's to say, which must be proven first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedAmount {
    /// The decimal number as typed.
    pub number: String,
    /// The asset, if it was typed.
    pub symbol: Option<Symbol>,
}

impl FromStr for TypedAmount {
    type Err = TypedError;

    fn from_str(text: &str) -> Result<Self, TypedError> {
        const EXPECTED: &str =
            "an amount like 12.50USD (a decimal number, then a symbol of upper-case letters and digits)";
        let wrong = || TypedError::new(EXPECTED, text);
        let end = text.find(|found: char| !found.is_ascii_digit() && found != '.').unwrap_or(text.len());
        let (number, symbol) = text.split_at_checked(end).ok_or_else(wrong)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        // Longer numbers than 2^128 with 18 decimals cannot be amounts.
        if !digits(whole) || !digits(fraction) || number.len() > 64 {
            return Err(wrong());
        }
        let symbol = symbol.strip_prefix(' ').unwrap_or(symbol);
        let symbol = match symbol {
            "" => None,
            typed => Some(Symbol::new(typed).map_err(|_| wrong())?),
        };
        Ok(Self { number: number.to_owned(), symbol })
    }
}

impl fmt::Display for TypedAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.number)?;
        self.symbol.as_ref().map_or(Ok(()), |symbol| write!(f, " {symbol}"))
    }
}

/// A duration such as `90s`, `10m`, `2h` or `1d`. Unit: milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypedDuration(u64);

impl TypedDuration {
    /// Milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }
}

impl FromStr for TypedDuration {
    type Err = TypedError;

    fn from_str(text: &str) -> Result<Self, TypedError> {
        let wrong = || TypedError::new("a duration like 500ms, 90s, 10m, 2h or 1d", text);
        let end = text.find(|found: char| !found.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at_checked(end).ok_or_else(wrong)?;
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(unit_ms).map(Self).ok_or_else(wrong)
    }
}

/// Names a payment, so that it happens once however often it is asked for: 32 hexadecimal digits, or 1
/// to 16 printable characters such as `invoice-42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypedNonce(Nonce);

impl TypedNonce {
    /// The nonce.
    #[must_use]
    pub const fn get(self) -> Nonce {
        self.0
    }

    /// The nonce in hexadecimal, which is also how it can be typed.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// Wraps a nonce.
    #[must_use]
    pub const fn new(nonce: Nonce) -> Self {
        Self(nonce)
    }
}

/// As it was typed: text if it is one, hexadecimal otherwise.
impl fmt::Display for TypedNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(length);
        let is_text =
            length > 0 && text.iter().all(u8::is_ascii_graphic) && rest.iter().all(|byte| *byte == 0);
        match std::str::from_utf8(text) {
            Ok(text) if is_text => f.write_str(text),
            _ => f.write_str(&self.to_hex()),
        }
    }
}

impl FromStr for TypedNonce {
    type Err = TypedError;

    fn from_str(text: &str) -> Result<Self, TypedError> {
        const EXPECTED: &str = "32 hexadecimal digits, or 1 to 16 printable characters without spaces";
        if text.len() == 32 {
            return parse_hex(text).map(Self).map_err(|_| TypedError::new(EXPECTED, text));
        }
        let printable = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let mut nonce = [0; 16];
        let place = nonce.get_mut(..text.len()).filter(|_| printable);
        place.ok_or_else(|| TypedError::new(EXPECTED, text))?.copy_from_slice(text.as_bytes());
        Ok(Self(nonce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_amounts_with_and_without_symbol() {
        let amount = |text: &str| text.parse::<TypedAmount>();
        let usd = Symbol::new("USD").ok();
        assert_eq!(amount("5USD").unwrap(), TypedAmount { number: "5".to_owned(), symbol: usd.clone() });
        assert_eq!(amount("12.50 USD").unwrap(), TypedAmount { number: "12.50".to_owned(), symbol: usd });
        assert_eq!(amount("0.1").unwrap(), TypedAmount { number: "0.1".to_owned(), symbol: None });
    }

    #[test]
    fn refuses_what_is_no_amount() {
        let long = "1".repeat(65);
        let wrong = [
            "",
            "USD",
            ".5USD",
            "5.USD",
            "5.5.5USD",
            "-5USD",
            "+5USD",
            "5usd",
            "5 usd",
            "5  USD",
            "1e3USD",
            "5,00USD",
            "0x5USD",
            "5TOOLONGSYMBOL",
            "5US-D",
            "٥USD",
            "5USD ",
            " 5USD",
            &long,
        ];
        for text in wrong {
            assert!(text.parse::<TypedAmount>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn reads_durations_and_refuses_others() {
        let ms = |text: &str| text.parse::<TypedDuration>().map(TypedDuration::ms);
        assert_eq!(ms("10m"), Ok(600_000));
        assert_eq!(ms("250ms"), Ok(250));
        assert_eq!(ms("1d"), Ok(86_400_000));
        for text in
            ["", "10", "m", "-1s", "1.5h", "10 m", "1w", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(ms(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn reads_nonces_as_digits_or_as_text() {
        let nonce = |text: &str| text.parse::<TypedNonce>().map(TypedNonce::get);
        assert_eq!(
            nonce("000102030405060708090a0b0c0d0e0f"),
            Ok([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
        );
        assert_eq!(nonce("a"), Ok([97, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        for text in [
            "invoice-42",
            "sixteen--letters",
            "000102030405060708090a0b0c0d0e0f",
            "61006200000000000000000000000000",
        ] {
            let typed: TypedNonce = text.parse().unwrap();
            assert_eq!(typed.to_string(), text);
            assert_eq!(typed.to_hex().parse(), Ok(typed));
        }
        for text in ["", "seventeen-letters", "with space", "zz0102030405060708090a0b0c0d0e0f", "tab\t"] {
            assert!(nonce(text).is_err(), "{text:?}");
        }
    }
}
