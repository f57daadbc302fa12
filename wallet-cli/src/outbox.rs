//! What was signed, kept until long after its outcome is known. A transaction is in here before any
//! node sees it, so that whatever happens afterwards, the same bytes can be sent again.
use quorate_keystore::files::{self, FileError};
use quorate_primitives::address::AccountId;
use quorate_primitives::codec;
use quorate_primitives::transaction::{Nonce, SignedTransaction, TRANSACTION_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use crate::failure::{Exit, Failure};

const SCHEMA: u32 = 1;
/// Longest entry in bytes: a full transaction in hexadecimal and a little more.
const BYTES_MAX: usize = 4 * TRANSACTION_BYTES_MAX;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: u32,
    tx_id: String,
    sender: String,
    nonce: String,
    valid_until_ms: String,
    transaction: String,
    outcome: Option<String>,
}

/// The folder of what was signed for one network.
pub struct Outbox {
    folder: PathBuf,
}

/// A transaction that may have been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was signed.
    pub signed: SignedTransaction,
    /// Its proven outcome in a word, once it is known.
    pub outcome: Option<String>,
}

impl Outbox {
    /// The outbox in this folder, which need not exist.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// File of a sender's transaction with this nonce.
    #[must_use]
    pub fn path(&self, sender: AccountId, nonce: Nonce) -> PathBuf {
        self.folder.join(format!("{sender}-{}.json", hex::encode(nonce)))
    }

    /// The sender's transaction with this nonce, if one was signed.
    ///
    /// # Errors
    /// [`Exit::Configuration`] if the file holds something else.
    pub fn find(&self, sender: AccountId, nonce: Nonce) -> Result<Option<Entry>, Failure> {
        let path = self.path(sender, nonce);
        let text = match files::read_text(&path, BYTES_MAX) {
            Ok(text) => text,
            Err(FileError::Missing { .. }) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        let wrong =
            |reason: String| Failure::new(Exit::Configuration, format_args!("{}: {reason}", path.display()));
        let entry = parse(&text).map_err(wrong)?;
        let transaction = entry.signed.transaction();
        if transaction.sender != sender || transaction.nonce != nonce {
            return Err(wrong("the transaction in it has another sender or nonce".to_owned()));
        }
        Ok(Some(entry))
    }

    /// Keeps a signed transaction before it is sent; it is on disk when this returns.
    ///
    /// # Errors
    /// [`Exit::Configuration`] if it cannot be written, or there is one with this nonce.
    pub fn keep(&self, signed: &SignedTransaction) -> Result<(), Failure> {
        files::create_folder(&self.folder)?;
        let transaction = signed.transaction();
        let path = self.path(transaction.sender, transaction.nonce);
        Ok(files::create(&path, text(signed, None).as_bytes())?)
    }

    /// Notes the proven outcome beside the transaction.
    ///
    /// # Errors
    /// [`Exit::Configuration`] if it cannot be written.
    pub fn conclude(&self, signed: &SignedTransaction, outcome: &str) -> Result<(), Failure> {
        let transaction = signed.transaction();
        let path = self.path(transaction.sender, transaction.nonce);
        if !path.exists() {
            return Ok(());
        }
        Ok(files::replace(&path, text(signed, Some(outcome)).as_bytes())?)
    }
}

fn text(signed: &SignedTransaction, outcome: Option<&str>) -> String {
    let transaction = signed.transaction();
    let document = Document {
        schema: SCHEMA,
        tx_id: signed.id().to_string(),
        sender: transaction.sender.to_string(),
        nonce: hex::encode(transaction.nonce),
        valid_until_ms: transaction.valid_until.to_string(),
        transaction: hex::encode(codec::encode(signed)),
        outcome: outcome.map(str::to_owned),
    };
    // Strings and a number: there is nothing that JSON cannot hold.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

fn parse(text: &str) -> Result<Entry, String> {
    let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if document.schema != SCHEMA {
        return Err(format!("schema: expected {SCHEMA}, found {}", document.schema));
    }
    let bytes = hex::decode(&document.transaction).map_err(|error| format!("transaction: {error}"))?;
    let signed: SignedTransaction =
        codec::decode(&bytes, TRANSACTION_BYTES_MAX).map_err(|error| format!("transaction: {error}"))?;
    let id = signed.id().to_string();
    if document.tx_id != id {
        return Err(format!("tx_id: expected {id}, which the transaction has, found {:?}", document.tx_id));
    }
    Ok(Entry { signed, outcome: document.outcome })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_primitives::codec::List;
    use quorate_primitives::state::AssetId;
    use quorate_primitives::transaction::{Action, Operation, Quantity, Transaction};
    use quorate_primitives::{Amount, Hash, SecretKey, Timestamp};
    use zeroize::Zeroizing;

    fn signed() -> SignedTransaction {
        let key = SecretKey::from_seed(&Zeroizing::new([7; 32]));
        let operation = Operation::Transfer {
            asset: AssetId::from_bytes([1; 32]),
            to: AccountId::from_bytes([2; 32]),
            quantity: Quantity::Exact(Amount::new(5)),
            tag: None,
        };
        let transaction = Transaction {
            chain: Hash::from_bytes([3; 32]),
            version: 1,
            sender: AccountId::from_bytes([4; 32]),
            nonce: [5; 16],
            valid_until: Timestamp::new(6),
            actions: List::of_one(Action { actor: None, operation }),
            asserts: List::default(),
            reference: Default::default(),
            memo: Default::default(),
            signers: List::of_one(key.public_key()),
        };
        transaction.sign(&[key]).unwrap()
    }

    #[test]
    fn keeps_what_was_signed_once_and_remembers_its_outcome() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().join("outbox"));
        let signed = signed();
        let (sender, nonce) = (signed.transaction().sender, signed.transaction().nonce);
        assert_eq!(outbox.find(sender, nonce).unwrap(), None);
        outbox.keep(&signed).unwrap();
        assert!(outbox.keep(&signed).is_err(), "an entry is never overwritten by another");
        assert_eq!(
            outbox.find(sender, nonce).unwrap(),
            Some(Entry { signed: signed.clone(), outcome: None })
        );
        outbox.conclude(&signed, "committed").unwrap();
        let concluded = outbox.find(sender, nonce).unwrap().unwrap();
        assert_eq!((concluded.signed, concluded.outcome.as_deref()), (signed, Some("committed")));
    }

    #[test]
    fn refuses_an_entry_that_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().to_owned());
        let signed = signed();
        let (sender, nonce) = (signed.transaction().sender, signed.transaction().nonce);
        let path = outbox.path(sender, nonce);
        let good = text(&signed, None);
        let bytes = hex::encode(codec::encode(&signed));
        let changes = [
            good.replace("\"schema\": 1", "\"schema\": 2"),
            good.replace(&signed.id().to_string(), &Hash::ZERO.to_string()),
            good.replace(&bytes, "zz"),
            good.replace(&bytes, &bytes[2..]),
            good.replace("\"outcome\"", "\"result\""),
            String::new(),
        ];
        for changed in changes {
            assert_ne!(changed, good);
            std::fs::write(&path, &changed).unwrap();
            assert_eq!(outbox.find(sender, nonce).unwrap_err().exit, Exit::Configuration, "{changed}");
        }
        std::fs::rename(&path, outbox.path(sender, [9; 16])).unwrap();
        std::fs::write(outbox.path(sender, [9; 16]), &good).unwrap();
        assert_eq!(outbox.find(sender, [9; 16]).unwrap_err().exit, Exit::Configuration);
    }
}
