//! Numbers, texts and names: what is read is what is written, and nothing is rounded or hidden.
use proptest::prelude::*;
use quorate_primitives::codec::{Text, TextError};
use quorate_primitives::hash::{Hash, parse_hex};
use quorate_primitives::numbers::{Amount, AmountError, Height, View};
use quorate_primitives::state::{Balance, OrganisationId, Symbol};

#[test]
fn an_amount_is_a_plain_decimal_number() {
    for (text, decimals, units) in
        [("0", 0, 0), ("12.5", 2, 1_250), ("12.50", 2, 1_250), ("007", 0, 7), ("0.000000000000000001", 18, 1)]
    {
        assert_eq!(Amount::parse_decimal(text, decimals), Ok(Amount::new(units)), "{text}");
    }
    for text in
        ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", " 1", "1 ", "1.2.3", "٣", "0x10", "1_000", "∞"]
    {
        assert!(matches!(Amount::parse_decimal(text, 2), Err(AmountError::Malformed { .. })), "{text}");
    }
}

#[test]
fn an_amount_is_never_rounded() {
    assert_eq!(Amount::parse_decimal("0.001", 2), Err(AmountError::TooPrecise { found: 3, allowed: 2 }));
    assert_eq!(Amount::parse_decimal("1.0", 0), Err(AmountError::TooPrecise { found: 1, allowed: 0 }));
}

#[test]
fn an_amount_ends_at_the_largest_number() {
    let largest = "340282366920938463463374607431768211455";
    assert_eq!(Amount::parse_decimal(largest, 0), Ok(Amount::MAX));
    assert_eq!(
        Amount::parse_decimal("340282366920938463463374607431768211456", 0),
        Err(AmountError::TooLarge)
    );
    assert_eq!(Amount::parse_decimal("340282366920938463463.374607431768211455", 18), Ok(Amount::MAX));
    assert_eq!(
        Amount::parse_decimal("340282366920938463463.374607431768211456", 18),
        Err(AmountError::TooLarge)
    );
    assert_eq!(Amount::parse_decimal(&"9".repeat(10_000), 18), Err(AmountError::TooLarge));
    assert_eq!(Amount::parse_decimal("1", 255), Err(AmountError::TooLarge));
}

#[test]
fn counters_stop_at_their_ends() {
    assert_eq!(Height::MAX.next(), Height::MAX);
    assert_eq!(Height::ZERO.previous(), None);
    assert_eq!(View::new(3).saturating_sub(5), View::ZERO);
    assert_eq!(View::new(3).distance_from(View::new(5)), 0);
}

#[test]
fn what_is_available_is_never_negative() {
    let balance = Balance { posted: Amount::new(5), held: Amount::new(4), frozen: Amount::new(3) };
    assert_eq!(balance.available(), Amount::ZERO);
}

#[test]
fn a_text_cannot_change_what_a_terminal_shows() {
    for code in ['\0', '\t', '\n', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}'] {
        assert!(
            matches!(Text::<8>::new(&format!("a{code}")), Err(TextError::Control { position: 1, .. })),
            "{code:?}"
        );
    }
}

#[test]
fn a_text_cannot_change_the_order_of_letters_or_hide_any() {
    let directions =
        ['\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}'];
    let isolates = ['\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}'];
    let hidden = ['\u{200b}', '\u{2028}', '\u{2029}', '\u{2060}', '\u{feff}'];
    for code in directions.into_iter().chain(isolates).chain(hidden) {
        assert!(
            matches!(Text::<8>::new(&format!("a{code}")), Err(TextError::Control { position: 1, .. })),
            "{code:?}"
        );
    }
    for text in ["Müller", "日本", "الأردن", "👩‍🔧"] {
        assert!(Text::<64>::new(text).is_ok(), "{text}");
    }
}

#[test]
fn names_follow_their_rules() {
    for good in ["a", "acme", "a-1", "abcdefghijklmnopqrstuvwxyz-12345"] {
        assert!(OrganisationId::new(good).is_ok(), "{good}");
    }
    for bad in ["", "-a", "1a", "A", "a_b", "a b", "ä", "abcdefghijklmnopqrstuvwxyz-123456"] {
        assert!(OrganisationId::new(bad).is_err(), "{bad}");
    }
    for good in ["U", "USD", "A23456789012"] {
        assert!(Symbol::new(good).is_ok(), "{good}");
    }
    for bad in ["", "usd", "1A", "A-B", "A2345678901234"] {
        assert!(Symbol::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn hexadecimal_is_of_exact_length() {
    let digits = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
    assert_eq!(digits.parse::<Hash>().unwrap().to_string(), digits.to_lowercase());
    assert!(format!("0x{digits}").parse::<Hash>().is_ok());
    for bad in [
        "",
        "0x",
        &digits[1..],
        &format!("{digits}0"),
        &digits.replace('1', "g"),
        &digits.replace("11", "+1"),
    ] {
        assert!(bad.parse::<Hash>().is_err(), "{bad}");
    }
    assert!(parse_hex::<1>("é").is_err());
}

proptest! {
    #[test]
    fn every_amount_is_read_as_written(units: u128, decimals in 0_u8..=38) {
        let amount = Amount::new(units);
        let text = amount.to_decimal(decimals);
        prop_assert_eq!(Amount::parse_decimal(&text, decimals), Ok(amount));
        let point = text.find('.').map_or(0, |position| text.len() - position - 1);
        prop_assert_eq!(point, usize::from(decimals));
    }

    #[test]
    fn no_text_makes_the_reader_of_amounts_panic(text in ".{0,60}", decimals: u8) {
        let _ = Amount::parse_decimal(&text, decimals);
    }

    #[test]
    fn sums_and_differences_never_wrap(a: u128, b: u128) {
        prop_assert_eq!(Amount::new(a).checked_add(Amount::new(b)).map(Amount::get), a.checked_add(b));
        prop_assert_eq!(Amount::new(a).checked_sub(Amount::new(b)).map(Amount::get), a.checked_sub(b));
    }
}
