//! What became of a transaction that was handed in has a stable name.
use quorate_ledger::Refusal as Ledger;
use quorate_primitives::receipt::Failure;
use quorate_primitives::{Hash, Height, Timestamp};
use quorate_replica::{Admitted, Refusal};
use quorate_rpc::ErrorKind;
use quorate_service::submission::{admitted, refused};

#[test]
fn only_a_new_transaction_is_taken_without_an_error() {
    assert_eq!(admitted(Admitted::Pending), Ok(()));
    for known in [Admitted::AlreadyPending, Admitted::AlreadyCommitted { height: Height::new(1) }] {
        assert_eq!(admitted(known).unwrap_err().kind, ErrorKind::AlreadyKnown);
    }
}

#[test]
fn each_refusal_of_the_ledger_keeps_its_kind_and_names_the_field() {
    let time = Timestamp::new(1);
    let failed = Ledger::Failed { failure: Failure::InsufficientFunds, action: Some(0) };
    for (refusal, kind, field) in [
        (
            Ledger::WrongChain { expected: Hash::ZERO, found: Hash::ZERO },
            ErrorKind::WrongChain,
            Some("chain"),
        ),
        (Ledger::Expired { valid_until: time, now: time }, ErrorKind::Expired, Some("valid_until")),
        (Ledger::TooFar { valid_until: time, latest: time }, ErrorKind::TooFarAhead, Some("valid_until")),
        (Ledger::Duplicate { height: Height::new(1) }, ErrorKind::AlreadyKnown, None),
        (failed, ErrorKind::Refused(Failure::InsufficientFunds), None),
        (Ledger::NoParameters, ErrorKind::NotReady, None),
    ] {
        let error = refused(&Refusal::Ledger(refusal));
        assert_eq!((error.kind, error.field.as_deref()), (kind, field));
    }
}

#[test]
fn a_refusal_for_lack_of_room_says_when_to_try_again() {
    let full = refused(&Refusal::Full { retry_after_ms: 7 });
    assert_eq!((full.kind, full.retry_after_ms), (ErrorKind::MempoolFull, Some(7)));
    let sender = refused(&Refusal::SenderFull { found: 2, allowed: 1, retry_after_ms: 8 });
    assert_eq!((sender.kind, sender.retry_after_ms), (ErrorKind::SenderFull, Some(8)));
    assert_eq!(refused(&Refusal::Stopped).kind, ErrorKind::NotReady);
}
