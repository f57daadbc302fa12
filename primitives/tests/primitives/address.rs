//! Addresses: one text for one account, and no text of another network or a mistyped one.
use proptest::prelude::*;
use quorate_primitives::address::{AccountId, Address, AddressError, Prefix};

fn prefix() -> Prefix {
    Prefix::new("qdev").unwrap()
}

/// Bech32m (BIP 350) over five-bit groups, written for the tests.
fn bech32m(prefix: &str, groups: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let expanded =
        prefix.bytes().map(|byte| byte >> 5).chain([0]).chain(prefix.bytes().map(|byte| byte & 31));
    let polymod = expanded.chain(groups.iter().copied()).chain([0; 6]).fold(1_u32, |sum, value| {
        let top = sum >> 25;
        let generators = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3_u32];
        let folded = ((sum & 0x01ff_ffff) << 5) ^ u32::from(value);
        generators
            .iter()
            .enumerate()
            .filter(|(bit, _)| top >> bit & 1 == 1)
            .fold(folded, |sum, (_, g)| sum ^ g)
    }) ^ 0x2bc8_30a3;
    let checksum = (0..6).map(|index| u8::try_from(polymod >> (5 * (5 - index)) & 31).unwrap());
    let data = groups.iter().copied().chain(checksum).map(|group| char::from(LETTERS[usize::from(group)]));
    format!("{prefix}1{}", data.collect::<String>())
}

fn groups_of(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    bits.chunks(5)
        .map(|chunk| (0..5).fold(0, |sum, bit| sum << 1 | chunk.get(bit).copied().unwrap_or(0)))
        .collect()
}

fn sample() -> Address {
    Address { account: AccountId::from_bytes([0x5a; 32]), tag: None }
}

#[test]
fn an_address_is_the_bech32m_of_its_bytes() {
    let tagged = Address { tag: Some(*b"customer"), ..sample() };
    assert_eq!(sample().to_text(&prefix()), bech32m("qdev", &groups_of(&[0x5a; 32])));
    assert_eq!(
        tagged.to_text(&prefix()),
        bech32m("qdev", &groups_of(&[&[0x5a; 32][..], b"customer"].concat()))
    );
}

#[test]
fn padding_bits_cannot_make_a_second_text_for_an_account() {
    let mut groups = groups_of(&[0x5a; 32]);
    for padding in 1..16 {
        *groups.last_mut().unwrap() |= padding;
        let text = bech32m("qdev", &groups);
        assert!(matches!(Address::parse(&text, &prefix()), Err(AddressError::Mistyped { .. })), "{text}");
        *groups.last_mut().unwrap() &= 16;
    }
    groups.push(0);
    assert!(Address::parse(&bech32m("qdev", &groups), &prefix()).is_err());
}

#[test]
fn any_single_wrong_letter_is_noticed() {
    let text = sample().to_text(&prefix());
    for position in 0..text.len() {
        for letter in "qpzry9x8gf2tvdw0s3jn54khce6mua7l".chars() {
            let mut letters: Vec<char> = text.chars().collect();
            if letters[position] == letter {
                continue;
            }
            letters[position] = letter;
            let wrong: String = letters.into_iter().collect();
            assert!(Address::parse(&wrong, &prefix()).is_err(), "{wrong}");
        }
    }
}

#[test]
fn an_address_of_another_network_is_named_as_such() {
    let other = sample().to_text(&Prefix::new("qmain").unwrap());
    let expected = AddressError::OtherNetwork { expected: "qdev".to_owned(), found: "qmain".to_owned() };
    assert_eq!(Address::parse(&other, &prefix()), Err(expected));
}

#[test]
fn an_address_of_another_length_is_refused() {
    for length in (0..64).filter(|length| ![32, 40].contains(length)) {
        let text = bech32m("qdev", &groups_of(&vec![0; length]));
        assert_eq!(Address::parse(&text, &prefix()), Err(AddressError::Length { found: length }), "{length}");
    }
}

#[test]
fn upper_case_is_read_and_mixed_case_is_not() {
    let text = sample().to_text(&prefix());
    assert_eq!(Address::parse(&text.to_uppercase(), &prefix()), Ok(sample()));
    let mixed = format!("{}{}", &text[..20].to_uppercase(), &text[20..]);
    assert!(Address::parse(&mixed, &prefix()).is_err());
}

#[test]
fn the_older_checksum_is_refused() {
    // The same data with the constant of bech32 (BIP 173) in place of that of bech32m.
    let text = "a12uel5l";
    assert!(Address::parse(text, &Prefix::new("a").unwrap()).is_err());
}

#[test]
fn a_prefix_is_short_lower_case_and_starts_with_a_letter() {
    for good in ["q", "qdev", "a234567890123456"] {
        assert!(Prefix::new(good).is_ok(), "{good}");
    }
    for bad in ["", "1q", "Q", "q-dev", "q dev", "qü", "a2345678901234567"] {
        assert!(matches!(Prefix::new(bad), Err(AddressError::Prefix { .. })), "{bad}");
    }
}

proptest! {
    #[test]
    fn every_address_is_read_as_written(account: [u8; 32], tag: Option<[u8; 8]>, name in "[a-z][a-z0-9]{0,15}") {
        let prefix = Prefix::new(&name).unwrap();
        let address = Address { account: AccountId::from_bytes(account), tag };
        let text = address.to_text(&prefix);
        prop_assert!(text.len() <= 90);
        prop_assert_eq!(Address::parse(&text, &prefix), Ok(address));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,120}") {
        let _ = Address::parse(&text, &prefix());
        let _ = Prefix::new(&text);
    }
}
