//! What a user signs: an envelope that says who, for which chain, until when, and what to do.
use borsh::{BorshDeserialize, BorshSerialize};
use std::io::{self, Read, Write};

use crate::address::{AccountId, DepositTag};
use crate::codec::{self, Blob, List, Recorder, Text};
use crate::hash::many::Messages;
use crate::hash::{Domain, Hash, hash};
use crate::keys::{BorrowedCheck, PublicKey, SecretKey, Signature, SignatureCheck};
use crate::numbers::{Amount, Height, Timestamp};
use crate::state::{AssetId, Authority, Capabilities, Delegation, OrganisationId, Permission, Scope, Symbol};
use crate::validators::Validator;

/// Encoding version of [`Transaction`] that this software reads and writes.
pub const TRANSACTION_VERSION: u8 = 1;
/// Longest signed transaction in bytes: a full `transfer_many` of 1,000 outputs takes about 57 KiB.
pub const TRANSACTION_BYTES_MAX: usize = 64 * 1024;
/// Shortest signed transaction in bytes: one signature, and one action that says next to nothing.
pub const TRANSACTION_BYTES_MIN: usize = 215;
/// Most keys that may sign one transaction.
pub const SIGNERS_MAX: usize = 16;
/// Most actions in one transaction.
pub const ACTIONS_MAX: usize = 64;
/// Most outputs of one `transfer_many`.
pub const OUTPUTS_MAX: usize = 1_000;

/// Chosen by the client, unique per sender while the transaction is valid: the idempotency key.
pub type Nonce = [u8; 16];

/// A transaction before it is signed.
///
/// The first field is the chain, so the signed message is `tag ‖ chain ‖ the rest` and can be valid on
/// one chain only. The keys that sign are part of what they sign: nobody can drop or add a signature
/// and obtain another valid form of the same transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Transaction {
    /// Genesis hash of the chain.
    pub chain: Hash,
    /// Encoding version, [`TRANSACTION_VERSION`].
    pub version: u8,
    /// Default actor of every action; pays with its nonce.
    pub sender: AccountId,
    /// Idempotency key.
    pub nonce: Nonce,
    /// After this block time the transaction can never execute.
    pub valid_until: Timestamp,
    /// Executed in order, all or nothing.
    pub actions: List<Action, 1, ACTIONS_MAX>,
    /// Conditions that must hold before the first action.
    pub asserts: List<Assert, 0, 16>,
    /// The client's own reference, such as an end-to-end id.
    pub reference: Blob<64>,
    /// Free text or sealed bytes for the receiver.
    pub memo: Blob<256>,
    /// Keys that sign, strictly ascending.
    pub signers: List<PublicKey, 1, SIGNERS_MAX>,
}

impl Transaction {
    /// The transaction's id: `hash(transaction, canonical bytes)`.
    #[must_use]
    pub fn id(&self) -> Hash {
        hash(Domain::Transaction, &[&codec::encode(self)])
    }

    /// Signs with every key named in `signers`.
    ///
    /// # Errors
    /// [`MalformedTransaction`] when the rules without state are broken, or `keys` are not exactly the
    /// named signers in any order.
    pub fn sign(self, keys: &[SecretKey]) -> Result<SignedTransaction, MalformedTransaction> {
        let message = codec::encode(&self);
        let mut signatures: Vec<(PublicKey, Signature)> =
            keys.iter().map(|key| (key.public_key(), key.sign(Domain::SignTransaction, &message))).collect();
        signatures.sort_unstable_by_key(|(key, _)| *key);
        if !signatures.iter().map(|(key, _)| key).eq(self.signers.iter()) {
            return Err(MalformedTransaction::MissingSignature);
        }
        let signatures = signatures.into_iter().map(|(_, signature)| signature).collect();
        SignedTransaction::new(self, signatures)
    }

    /// The rules that need no state and no chain.
    ///
    /// # Errors
    /// [`MalformedTransaction`] naming the first broken one.
    pub fn check(&self) -> Result<(), MalformedTransaction> {
        if self.version != TRANSACTION_VERSION {
            return Err(MalformedTransaction::Version { found: self.version });
        }
        if !self.signers.iter().is_sorted_by(|a, b| a < b) {
            return Err(MalformedTransaction::SignerOrder);
        }
        Ok(())
    }
}

/// Why a transaction can never be valid on any chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedTransaction {
    /// Made for another version of the format.
    #[error("transaction version {found}, but {TRANSACTION_VERSION} is expected")]
    Version {
        /// Version given.
        found: u8,
    },
    /// Signer keys not strictly ascending.
    #[error("signers must be strictly ascending")]
    SignerOrder,
    /// Not one signature for each signer.
    #[error("exactly one signature for each signer is expected")]
    MissingSignature,
    /// Too many bytes.
    #[error("transaction of {found} bytes, but at most {TRANSACTION_BYTES_MAX} are allowed")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
}

/// A transaction with the signatures it claims to have; whether they are valid is for
/// [`crate::signed`] to prove.
///
/// Shape: the transaction, then one signature for each signer in the order of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    transaction: Transaction,
    /// The canonical encoding, of which the first `signed` bytes are what is signed.
    encoding: Vec<u8>,
    signed: usize,
    signatures: List<Signature, 1, SIGNERS_MAX>,
    id: Hash,
}

impl SignedTransaction {
    /// Puts a transaction and its signatures together.
    ///
    /// # Errors
    /// [`MalformedTransaction`] when the rules without state are broken.
    pub fn new(transaction: Transaction, signatures: Vec<Signature>) -> Result<Self, MalformedTransaction> {
        let Unnamed(signed) = Unnamed::new(transaction, signatures)?;
        let id = hash(Domain::Transaction, &[signed.signed_bytes()]);
        Ok(Self { id, ..signed })
    }

    /// What is signed.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The transaction's id, computed once.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.id
    }

    /// Length of the canonical encoding in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.encoding.len()
    }

    /// The signature checks that this transaction stands or falls by.
    #[must_use]
    pub fn signature_checks(&self) -> Vec<SignatureCheck> {
        let owned = |BorrowedCheck { key, domain, message, signature }: BorrowedCheck<'_>| SignatureCheck {
            key,
            domain,
            message: message.to_vec(),
            signature,
        };
        self.checks().map(owned).collect()
    }

    /// The same without copies of the message.
    pub(crate) fn checks(&self) -> impl Iterator<Item = BorrowedCheck<'_>> {
        let pairs = self.transaction.signers.iter().zip(self.signatures.iter());
        pairs.map(|(key, signature)| BorrowedCheck {
            key: *key,
            domain: Domain::SignTransaction,
            message: self.signed_bytes(),
            signature: *signature,
        })
    }

    /// Canonical bytes of the transaction without its signatures.
    fn signed_bytes(&self) -> &[u8] {
        self.encoding.get(..self.signed).unwrap_or_default()
    }
}

impl BorshSerialize for SignedTransaction {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(&self.encoding)
    }
}

impl BorshDeserialize for SignedTransaction {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let Unnamed(signed) = Unnamed::read(&mut Recorder::new(reader))?;
        let id = hash(Domain::Transaction, &[signed.signed_bytes()]);
        Ok(Self { id, ..signed })
    }
}

/// A signed transaction whose id is not computed yet: those of many are computed together.
pub(crate) struct Unnamed(SignedTransaction);

impl Unnamed {
    fn new(transaction: Transaction, signatures: Vec<Signature>) -> Result<Self, MalformedTransaction> {
        let signatures = List::new(signatures).map_err(|_| MalformedTransaction::MissingSignature)?;
        let mut encoding = codec::encode(&transaction);
        let signed = encoding.len();
        codec::encode_into(&signatures, &mut encoding);
        encoding.shrink_to_fit();
        Self::of_encoding(transaction, signatures, encoding, signed)
    }

    /// Reads one and keeps the bytes it is read from: there is no other encoding of the same.
    pub(crate) fn read<R: Read>(recorder: &mut Recorder<'_, R>) -> io::Result<Self> {
        recorder.restart();
        let transaction = Transaction::deserialize_reader(recorder)?;
        let signed = recorder.recorded().len();
        let signatures = List::deserialize_reader(recorder)?;
        let encoding = recorder.recorded().to_vec();
        Self::of_encoding(transaction, signatures, encoding, signed).map_err(codec::invalid)
    }

    /// `encoding` is that of both, and its first `signed` bytes that of the transaction.
    fn of_encoding(
        transaction: Transaction,
        signatures: List<Signature, 1, SIGNERS_MAX>,
        encoding: Vec<u8>,
        signed: usize,
    ) -> Result<Self, MalformedTransaction> {
        transaction.check()?;
        if signatures.len() != transaction.signers.len() {
            return Err(MalformedTransaction::MissingSignature);
        }
        if encoding.len() > TRANSACTION_BYTES_MAX {
            return Err(MalformedTransaction::TooLong { found: encoding.len() });
        }
        Ok(Self(SignedTransaction { transaction, encoding, signed, signatures, id: Hash::ZERO }))
    }

    /// Gives all of them their ids.
    pub(crate) fn name_all(unnamed: Vec<Self>) -> Vec<SignedTransaction> {
        let mut messages = Messages::with_capacity(unnamed.len(), SIGNED_MESSAGE_BYTES);
        unnamed.iter().for_each(|Self(signed)| messages.push(Domain::Transaction, &[signed.signed_bytes()]));
        let named = |(Self(signed), id): (Self, Hash)| SignedTransaction { id, ..signed };
        unnamed.into_iter().zip(messages.hashes()).map(named).collect()
    }
}

/// Room for one hashed transaction: a transfer has some 230 bytes.
const SIGNED_MESSAGE_BYTES: usize = 260;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Action {
    /// The account that acts and must authorise; the sender if absent.
    pub actor: Option<AccountId>,
    /// What is done.
    pub operation: Operation,
}

/// How much to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Quantity {
    /// This many smallest units; zero is refused.
    Exact(Amount),
    /// All that is available.
    All,
}

/// One payment of a `transfer_many`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Output {
    /// Receiver.
    pub to: AccountId,
    /// Smallest units; zero is refused.
    pub amount: Amount,
    /// Whom within the receiver.
    pub tag: Option<DepositTag>,
}

/// What an action does. The order of the variants is part of the format.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Operation {
    /// Opens an account. Needs `account.create` on its organisation.
    AccountCreate {
        /// Owner.
        organisation: OrganisationId,
        /// Who may act for it, at version 0.
        authority: Authority,
        /// Tells accounts with the same authority apart.
        salt: [u8; 16],
        /// For people.
        label: Text<64>,
    },
    /// Replaces the actor's own authority. Needs the current one, and version + 1.
    AuthoritySet {
        /// The new authority.
        authority: Authority,
    },
    /// Creates an asset. Needs `asset.create` on the actor's organisation. The actor becomes issuer and
    /// is granted `asset.admin` and, if mintable, `asset.mint` on it.
    AssetCreate {
        /// Unique on the network; the asset's id follows from it.
        symbol: Symbol,
        /// For people.
        name: Text<64>,
        /// Digits after the point, 0 to 18.
        decimals: u8,
        /// Most units that may ever exist at a time.
        cap: Amount,
        /// What the issuer may do; can be given up later, never gained.
        capabilities: Capabilities,
    },
    /// Changes what people read about an asset. Needs `asset.admin` on it.
    AssetUpdate {
        /// Which.
        asset: AssetId,
        /// New name.
        name: Text<64>,
        /// Where to read more.
        url: Text<256>,
        /// Hash of the governing document.
        document: Option<Hash>,
    },
    /// Creates units. Needs `asset.mint` on the asset and the capability `mintable`.
    Mint {
        /// Which.
        asset: AssetId,
        /// Receiver.
        to: AccountId,
        /// Smallest units; zero is refused.
        amount: Amount,
    },
    /// Destroys units of the actor, or of another account with `asset.burn_any`.
    Burn {
        /// Which.
        asset: AssetId,
        /// Whose.
        from: AccountId,
        /// Smallest units; zero is refused.
        amount: Amount,
    },
    /// Moves units from the actor to another account.
    Transfer {
        /// Which.
        asset: AssetId,
        /// Receiver.
        to: AccountId,
        /// How much.
        quantity: Quantity,
        /// Whom within the receiver.
        tag: Option<DepositTag>,
    },
    /// Moves units from the actor to many accounts; all or nothing.
    TransferMany {
        /// Which.
        asset: AssetId,
        /// Payments in order.
        outputs: List<Output, 1, OUTPUTS_MAX>,
    },
    /// Gives a permission. Needs the same permission with the right to delegate, or `grant.manage`
    /// where it covers the scope, and no more than the giver holds.
    Grant {
        /// To whom.
        grantee: AccountId,
        /// What.
        permission: Permission,
        /// Where.
        scope: Scope,
        /// Most units a single use may concern.
        limit: Option<Amount>,
        /// Ends by itself after this block time.
        expires: Option<Timestamp>,
        /// Whether the grantee may pass it on.
        delegation: Delegation,
    },
    /// Takes a permission back. Needs `grant.manage` where it covers the scope, or to be the granter,
    /// or the holder.
    Revoke {
        /// From whom.
        grantee: AccountId,
        /// What.
        permission: Permission,
        /// Where.
        scope: Scope,
    },
    /// Adds a validator at the end of the set, from the epoch after the next one on. Needs
    /// `validator.manage` on the chain.
    ValidatorAdd {
        /// Name and key are unique in the set; the organisation exists.
        validator: Validator,
        /// Signature by the validator's key; see [`Validator::possession_check`].
        possession: Signature,
    },
    /// Removes a validator from the epoch after the next one on. Needs `validator.manage` on the chain.
    ValidatorRemove {
        /// Which. Not the only one.
        name: Text<32>,
    },
    /// Replaces a validator's key from the epoch after the next one on; its place in the set stays. Needs
    /// `validator.manage` on the organisation that runs it.
    ValidatorRotateKey {
        /// Which.
        name: Text<32>,
        /// The new key, unique in the set.
        key: PublicKey,
        /// Signature by the new key for the validator as it will be; see [`Validator::possession_check`].
        possession: Signature,
    },
}

/// A condition on the state before a transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Assert {
    /// The account's available balance is at least this.
    BalanceAtLeast {
        /// Whose.
        account: AccountId,
        /// Of what.
        asset: AssetId,
        /// Smallest units.
        amount: Amount,
    },
    /// The account's available balance is at most this.
    BalanceAtMost {
        /// Whose.
        account: AccountId,
        /// Of what.
        asset: AssetId,
        /// Smallest units.
        amount: Amount,
    },
    /// The block's height is at most this.
    HeightAtMost {
        /// Last height.
        height: Height,
    },
    /// The account's authority still has this version.
    AuthorityVersion {
        /// Whose.
        account: AccountId,
        /// The version seen by the client.
        version: u32,
    },
}
