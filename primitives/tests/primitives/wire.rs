//! Every wire type has one encoding, and nothing else is read.
use borsh::{BorshDeserialize, BorshSerialize};
use proptest::prelude::*;
use quorate_primitives::block::{BUNDLES_MAX, Header, Outcome, Payload};
use quorate_primitives::bundle::{
    ACCUSATION_BYTES_MAX, ACCUSATIONS_MAX, BUNDLE_BYTES_MAX, BUNDLE_TRANSACTIONS_MAX, Bundle, BundleError,
};
use quorate_primitives::certificate::{Certificate, Claim, Vote};
use quorate_primitives::codec::{Blob, DecodeError, List, Text, decode, encode};
use quorate_primitives::evidence::{Accusation, AccusationError, Evidence, EvidenceKind, RecordedEvidence};
use quorate_primitives::hash::{Domain, Hash, hash};
use quorate_primitives::light::{FinalityProof, Handover};
use quorate_primitives::merkle::{GroupProof, ListProof, StateProof};
use quorate_primitives::receipt::{Event, Failure, Receipt, Verdict};
use quorate_primitives::state::{
    Account, Asset, Authority, Balance, Capabilities, Delegation, Grant, Marker, Organisation,
    OrganisationId, Parameters, Permission, Scope, StateGroup, StateKey, Status, Symbol,
};
use quorate_primitives::transaction::{
    Action, Assert, MalformedTransaction, Operation, Quantity, SignedTransaction, TRANSACTION_BYTES_MAX,
    Transaction,
};
use quorate_primitives::validators::{EpochIdentity, ValidatorSet};
use std::fmt::Debug;
use std::sync::Arc;

use crate::fixtures::{public, secret};
use crate::random::Random;
use crate::samples::{self, ALICE, BOB};

const LIMIT: usize = 1 << 20;

/// Reads back what is written; refuses it cut anywhere or lengthened; whatever else is read is the one
/// encoding of another value.
fn strict<T: BorshSerialize + BorshDeserialize + PartialEq + Debug>(value: &T, random: &mut Random) {
    let bytes = encode(value);
    assert_eq!(decode::<T>(&bytes, LIMIT).as_ref(), Ok(value));
    let too_long = DecodeError::TooLong { found: bytes.len(), limit: bytes.len() - 1 };
    assert_eq!(decode::<T>(&bytes, bytes.len() - 1), Err(too_long));
    for end in 0..bytes.len() {
        assert!(decode::<T>(&bytes[..end], LIMIT).is_err(), "cut to {end} bytes");
    }
    for more in [0, 1, 255] {
        assert!(decode::<T>(&[&bytes[..], &[more]].concat(), LIMIT).is_err(), "followed by {more}");
    }
    for _ in 0..64 {
        let mut changed = bytes.clone();
        let position = random.below(changed.len());
        changed[position] ^= 1 << random.below(8);
        canonical::<T>(&changed);
    }
}

fn canonical<T: BorshSerialize + BorshDeserialize>(bytes: &[u8]) {
    if let Ok(value) = decode::<T>(bytes, LIMIT) {
        assert_eq!(encode(&value), bytes, "read from what is not its encoding");
    }
}

/// The same made of its parts, so that nothing is left of the bytes that it was read from.
fn rebuilt(signed: &SignedTransaction) -> SignedTransaction {
    let signatures = signed.signature_checks().into_iter().map(|check| check.signature).collect();
    SignedTransaction::new(signed.transaction().clone(), signatures).unwrap()
}

/// The id of a bundle of these bytes, as the page of formats says.
fn bundle_id(bytes: &[u8]) -> Hash {
    let part = |part: &[u8]| *hash(Domain::Bundle, &[&[0], part]).as_bytes();
    hash(Domain::Bundle, &[&[1], &bytes.chunks(1_024).map(part).collect::<Vec<_>>().concat()])
}

/// If these bytes are read at all, they are what the parts encode to, and what is named.
fn kept_bytes_are_canonical(bytes: &[u8]) {
    if let Ok(signed) = decode::<SignedTransaction>(bytes, LIMIT) {
        let again = rebuilt(&signed);
        assert_eq!((encode(&again), again.id(), again.size()), (bytes.to_vec(), signed.id(), bytes.len()));
        assert_eq!(signed.id(), signed.transaction().id());
        assert_eq!(signed, again);
    }
    if let Ok(bundle) = decode::<Bundle>(bytes, LIMIT) {
        let transactions = bundle.transactions().iter().map(|signed| Arc::new(rebuilt(signed))).collect();
        let (author, sequence) = (bundle.author(), bundle.sequence());
        let again =
            Bundle::from_shared(author, sequence, transactions, bundle.accusations().to_vec()).unwrap();
        assert_eq!((encode(&again), again.size()), (bytes.to_vec(), bytes.len()));
        assert_eq!((bundle.id(), bundle.size()), (bundle_id(bytes), bytes.len()));
        assert_eq!(bundle, again);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bytes_that_are_kept_are_those_that_the_parts_encode_to(seed: u64) {
        let mut random = Random::new(seed);
        for bytes in [encode(&random.transaction()), encode(&random.bundle())] {
            kept_bytes_are_canonical(&bytes);
            for _ in 0..64 {
                let mut changed = bytes.clone();
                for _ in 0..=random.below(3) {
                    let position = random.below(changed.len());
                    changed[position] ^= 1 << random.below(8);
                }
                kept_bytes_are_canonical(&changed);
            }
        }
    }

    #[test]
    fn what_users_send_has_one_encoding(seed: u64) {
        let mut random = Random::new(seed);
        let random = &mut random;
        let transaction = random.transaction();
        strict(transaction.transaction(), random);
        strict(&transaction, random);
        strict(&random.bundle(), random);
        strict(&random.receipt(), random);
    }

    #[test]
    fn what_validators_send_has_one_encoding(seed: u64) {
        let mut random = Random::new(seed);
        let random = &mut random;
        strict(&random.payload(), random);
        strict(&random.header(), random);
        strict(&random.outcome(), random);
        strict(&random.vote(), random);
        strict(&random.certificate(), random);
        strict(&random.finality(), random);
        strict(&random.validator_set(), random);
        strict(&random.identity(), random);
        strict(&random.accusation(), random);
        strict(&random.handover(), random);
    }

    #[test]
    fn what_the_ledger_keeps_has_one_encoding(seed: u64) {
        let mut random = Random::new(seed);
        let random = &mut random;
        strict(&random.parameters(), random);
        strict(&random.organisation(), random);
        strict(&random.account_value(), random);
        strict(&random.asset(), random);
        strict(&random.balance(), random);
        strict(&random.grant(), random);
        strict(&random.marker(), random);
        strict(&random.recorded_evidence(), random);
        strict(&random.state_key(), random);
        strict(&random.state_group(), random);
        strict(&random.state_proof(), random);
        strict(&random.group_proof(), random);
        strict(&random.list_proof(), random);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        kept_bytes_are_canonical(&bytes);
        canonical::<SignedTransaction>(&bytes);
        canonical::<Transaction>(&bytes);
        canonical::<Bundle>(&bytes);
        canonical::<Payload>(&bytes);
        canonical::<Header>(&bytes);
        canonical::<Outcome>(&bytes);
        canonical::<Vote>(&bytes);
        canonical::<Certificate>(&bytes);
        canonical::<ValidatorSet>(&bytes);
        canonical::<FinalityProof>(&bytes);
        canonical::<Handover>(&bytes);
        canonical::<EpochIdentity>(&bytes);
        canonical::<Accusation>(&bytes);
        canonical::<RecordedEvidence>(&bytes);
        canonical::<Receipt>(&bytes);
        canonical::<Parameters>(&bytes);
        canonical::<Organisation>(&bytes);
        canonical::<Account>(&bytes);
        canonical::<Asset>(&bytes);
        canonical::<Balance>(&bytes);
        canonical::<Grant>(&bytes);
        canonical::<Marker>(&bytes);
        canonical::<StateKey>(&bytes);
        canonical::<StateGroup>(&bytes);
        canonical::<StateProof>(&bytes);
        canonical::<GroupProof>(&bytes);
        canonical::<ListProof>(&bytes);
        canonical::<Text<64>>(&bytes);
    }
}

#[test]
fn the_golden_values_have_one_encoding() {
    let mut random = Random::new(0);
    strict(&samples::sign(samples::everything(), &[ALICE, BOB]), &mut random);
    strict(&samples::committed(), &mut random);
    strict(&samples::failed(), &mut random);
    strict(&samples::finality(), &mut random);
    strict(&samples::handover(), &mut random);
    strict(&samples::bundle(), &mut random);
    for (_, key, _) in samples::state() {
        strict(&key, &mut random);
    }
}

fn refuses_tags<T: BorshDeserialize + Debug>(first_unknown: u8) {
    for tag in first_unknown..=255 {
        let bytes = [&[tag][..], &[0; 512]].concat();
        let error = T::deserialize_reader(&mut bytes.as_slice()).expect_err("an unknown tag");
        assert!(error.to_string().contains("tag") || error.to_string().contains("Option"), "{error}");
    }
}

#[test]
fn unknown_tags_are_refused() {
    refuses_tags::<Claim>(3);
    refuses_tags::<Operation>(13);
    refuses_tags::<Quantity>(2);
    refuses_tags::<Assert>(4);
    refuses_tags::<Event>(12);
    refuses_tags::<Verdict>(2);
    refuses_tags::<Failure>(32);
    refuses_tags::<Permission>(31);
    refuses_tags::<Scope>(4);
    refuses_tags::<Delegation>(2);
    refuses_tags::<Status>(2);
    refuses_tags::<StateKey>(10);
    refuses_tags::<StateGroup>(5);
    refuses_tags::<EvidenceKind>(3);
    refuses_tags::<StateProof>(3);
    refuses_tags::<GroupProof>(3);
    refuses_tags::<Option<Hash>>(2);
}

#[test]
fn unknown_capabilities_are_refused() {
    for bits in 0..=u16::MAX {
        assert_eq!(decode::<Capabilities>(&bits.to_le_bytes(), 2).is_ok(), bits < 128, "{bits}");
    }
}

/// A sequence of this many zero bytes, as if they were items.
fn counted(count: u32, item: &[u8]) -> Vec<u8> {
    [&count.to_le_bytes()[..], &item.repeat(usize::try_from(count).unwrap())].concat()
}

#[test]
fn sequences_outside_their_bounds_are_refused() {
    assert!(decode::<List<u8, 1, 3>>(&counted(0, &[0]), LIMIT).is_err());
    assert!(decode::<List<u8, 1, 3>>(&counted(3, &[0]), LIMIT).is_ok());
    assert!(decode::<List<u8, 1, 3>>(&counted(4, &[0]), LIMIT).is_err());
    assert!(decode::<Blob<3>>(&counted(4, &[0]), LIMIT).is_err());
    assert!(decode::<Text<3>>(&counted(4, b"a"), LIMIT).is_err());
    assert!(decode::<OrganisationId>(&counted(33, b"a"), LIMIT).is_err());
    assert!(decode::<OrganisationId>(&counted(0, b"a"), LIMIT).is_err());
    assert!(decode::<Symbol>(&counted(13, b"A"), LIMIT).is_err());
    let most = u32::try_from(BUNDLES_MAX).unwrap();
    assert!(decode::<Payload>(&counted(most, &[0; 32]), LIMIT).is_ok());
    assert!(decode::<Payload>(&counted(most + 1, &[0; 32]), LIMIT).is_err());
    let key = [&[7; 32][..], &[1, 0]].concat();
    for (count, readable) in [(0, false), (16, true), (17, false)] {
        let authority = [&[1, 0, 0, 0][..], &counted(count, &key), &[0; 4]].concat();
        assert_eq!(decode::<Authority>(&authority, LIMIT).is_ok(), readable, "{count}");
    }
    for (count, readable) in [(0, false), (128, true), (129, false)] {
        let bytes = [encode(&samples::claims()[1].1), vec![0; 16], counted(count, &[0; 64])].concat();
        assert_eq!(decode::<Certificate>(&bytes, LIMIT).is_ok(), readable, "{count}");
    }
    for (count, readable) in [(512, true), (513, false)] {
        let proof = [vec![0], counted(count, &[0; 34])].concat();
        assert_eq!(decode::<StateProof>(&proof, LIMIT).is_ok(), readable, "{count}");
    }
    for (count, readable) in [(64, true), (65, false)] {
        let proof = [vec![0; 16], counted(count, &[0; 32])].concat();
        assert_eq!(decode::<ListProof>(&proof, LIMIT).is_ok(), readable, "{count}");
    }
    for (count, readable) in [(2_048, true), (2_049, false)] {
        let event = [&[3][..], &[0; 32]].concat();
        let receipt = [vec![0; 33], counted(count, &event), vec![0; 4]].concat();
        assert_eq!(decode::<Receipt>(&receipt, LIMIT).is_ok(), readable, "{count}");
    }
}

#[test]
fn a_count_without_items_reserves_no_memory() {
    let claim = u32::MAX.to_le_bytes();
    assert!(decode::<List<[u8; 1_024], 0, { usize::MAX }>>(&claim, LIMIT).is_err());
    assert!(decode::<Bundle>(&[&[0; 9][..], &claim].concat(), LIMIT).is_err());
}

#[test]
fn texts_that_are_no_plain_utf8_are_refused() {
    for bytes in [&b"\x03\0\0\0a\nb"[..], b"\x02\0\0\0\xff\xfe", b"\x03\0\0\0\xe2\x80\xae", b"\x01\0\0\0\xc3"]
    {
        assert!(decode::<Text<8>>(bytes, LIMIT).is_err(), "{bytes:?}");
    }
}

/// The payment's bytes with another list of signers and this many signatures.
fn with_signers(signers: &[u8], signatures: usize) -> Vec<u8> {
    let bytes = encode(&samples::payment());
    let fields = &bytes[..bytes.len() - 36];
    let keys: Vec<_> = signers.iter().map(|seed| public(*seed)).collect();
    let signatures: Vec<[u8; 64]> = vec![[1; 64]; signatures];
    [fields.to_vec(), encode(&keys), encode(&signatures)].concat()
}

#[test]
fn signers_are_strictly_ascending_and_each_signs_once() {
    let mut seeds: Vec<u8> = (1..=17).collect();
    seeds.sort_by_key(|seed| public(*seed));
    let read = |bytes: &[u8]| decode::<SignedTransaction>(bytes, LIMIT);
    assert!(read(&with_signers(&seeds[..2], 2)).is_ok());
    assert!(read(&with_signers(&seeds[..16], 16)).is_ok());
    assert!(read(&with_signers(&seeds, 17)).is_err(), "17 signers");
    assert!(read(&with_signers(&[], 0)).is_err(), "no signers");
    for (signers, signatures) in [(2, 1), (2, 3), (2, 0), (1, 16)] {
        assert!(read(&with_signers(&seeds[..signers], signatures)).is_err(), "{signers}: {signatures}");
    }
    assert!(read(&with_signers(&[seeds[1], seeds[0]], 2)).is_err(), "descending");
    assert!(read(&with_signers(&[seeds[0], seeds[0]], 2)).is_err(), "one key twice");
}

#[test]
fn a_transaction_of_another_version_is_refused() {
    for version in (0..=255).filter(|version| *version != 1) {
        let mut bytes = encode(&samples::sign(samples::payment(), &[ALICE]));
        bytes[32] = version;
        assert!(decode::<SignedTransaction>(&bytes, LIMIT).is_err(), "{version}");
        let other = Transaction { version, ..samples::payment() };
        assert_eq!(other.sign(&[secret(ALICE)]), Err(MalformedTransaction::Version { found: version }));
    }
}

#[test]
fn only_the_named_signers_can_sign() {
    let missing = Err(MalformedTransaction::MissingSignature);
    for keys in [vec![], vec![BOB], vec![ALICE, BOB], vec![ALICE, ALICE]] {
        let keys: Vec<_> = keys.into_iter().map(secret).collect();
        assert_eq!(samples::payment().sign(&keys), missing);
    }
    assert!(samples::everything().sign(&[secret(BOB), secret(ALICE)]).is_ok(), "in any order");
}

fn transfers(outputs: usize) -> Transaction {
    let output = quorate_primitives::transaction::Output {
        to: crate::fixtures::account(BOB),
        amount: quorate_primitives::numbers::Amount::new(1),
        tag: Some([7; 8]),
    };
    let action = |count: usize| Action {
        actor: None,
        operation: Operation::TransferMany {
            asset: crate::fixtures::usd(),
            outputs: List::new(vec![output; count]).unwrap(),
        },
    };
    let actions = [outputs.min(1_000), outputs.saturating_sub(1_000)].into_iter().filter(|count| *count > 0);
    samples::transaction(actions.map(action).collect(), Vec::new(), &[ALICE])
}

#[test]
fn a_transaction_of_a_thousand_outputs_fits_and_a_longer_one_than_64_kib_is_refused() {
    assert!(transfers(1_000).sign(&[secret(ALICE)]).is_ok());
    let fits =
        (1_000..1_400).rev().find(|count| encode(&transfers(*count)).len() + 68 <= TRANSACTION_BYTES_MAX);
    let signed = transfers(fits.unwrap()).sign(&[secret(ALICE)]).unwrap();
    assert_eq!(decode::<SignedTransaction>(&encode(&signed), LIMIT), Ok(signed));
    let longer = transfers(fits.unwrap() + 1);
    let bytes = [encode(&longer), encode(&vec![[0_u8; 64]])].concat();
    assert!(matches!(longer.sign(&[secret(ALICE)]), Err(MalformedTransaction::TooLong { .. })));
    assert!(decode::<SignedTransaction>(&bytes, LIMIT).is_err());
}

#[test]
fn a_bundle_is_bounded_in_count_and_bytes() {
    let small = Arc::new(samples::sign(samples::payment(), &[ALICE]));
    assert!(small.size() > 200);
    let of = |count| Bundle::from_shared(0, 0, vec![Arc::clone(&small); count], Vec::new());
    assert_eq!(of(0), Err(BundleError::Empty));
    assert!(of(BUNDLE_BYTES_MAX / small.size() + 1).is_err());
    assert!(of(BUNDLE_TRANSACTIONS_MAX + 1).is_err());
    let bundle = of(BUNDLE_BYTES_MAX / small.size() - 1).unwrap();
    assert_eq!(encode(&bundle).len(), bundle.size());
    assert_eq!(decode::<Bundle>(&encode(&bundle), BUNDLE_BYTES_MAX), Ok(bundle));
    let long = vec![small.as_ref(); BUNDLE_BYTES_MAX / small.size() + 1];
    let bytes = [
        vec![0; 9],
        encode(&u32::try_from(long.len()).unwrap()),
        long.iter().flat_map(encode).collect(),
        vec![0; 4],
    ];
    assert!(decode::<Bundle>(&bytes.concat(), LIMIT).is_err());
}

#[test]
fn a_bundle_may_hold_nothing_but_accusations() {
    let bundle = Bundle::from_shared(0, 0, Vec::new(), vec![samples::accusation()]).unwrap();
    assert_eq!(decode::<Bundle>(&encode(&bundle), BUNDLE_BYTES_MAX).as_ref(), Ok(&bundle));
    assert_eq!(encode(&bundle).len(), bundle.size());
}

#[test]
fn a_bundle_has_a_bounded_number_of_accusations() {
    let of = |count| Bundle::from_shared(0, 0, Vec::new(), vec![samples::accusation(); count]);
    assert!(of(ACCUSATIONS_MAX).is_ok());
    let found = ACCUSATIONS_MAX + 1;
    assert_eq!(of(found), Err(BundleError::Accusations { found }));
    let bytes = [vec![0; 13], encode(&vec![samples::accusation(); found])].concat();
    assert!(decode::<Bundle>(&bytes, LIMIT).is_err());
}

#[test]
fn a_bundle_with_an_accusation_of_nobody_is_refused() {
    let good = samples::accusation();
    let evidence = Evidence { second: good.evidence.first.clone(), ..good.evidence.clone() };
    let harmless = Accusation { evidence, ..good.clone() };
    let refused = BundleError::Accusation { position: 1, source: AccusationError::NoConflict };
    let found = Bundle::from_shared(0, 0, Vec::new(), vec![good, harmless.clone()]);
    assert_eq!(found, Err(refused));
    assert!(decode::<Bundle>(&[vec![0; 13], encode(&vec![harmless])].concat(), LIMIT).is_err());
}

#[test]
fn the_longest_accusation_has_the_stated_length() {
    let of = |seed| Random::new(seed).accusation();
    let longest = (0..50).map(|seed| encode(&of(seed)).len()).max();
    assert_eq!(longest, Some(ACCUSATION_BYTES_MAX));
}
