//! Who acts in a transaction, and whose keys sign it: an account with one key for itself, or an account
//! that several keys must sign for.
use quorate_keystore::{KeyFile, KeyName};
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::List;
use quorate_primitives::transaction::SIGNERS_MAX;
use quorate_primitives::{PublicKey, SecretKey};

use crate::arguments::{Sending, Settings};
use crate::failure::Failure;
use crate::secrets;
use crate::session::Session;

/// The account that acts, and the keys that sign for it.
pub struct Signers {
    account: AccountId,
    name: String,
    /// In the order in which they were named.
    keys: Vec<KeyFile>,
    /// Ascending, as the transaction names them.
    public: List<PublicKey, 1, SIGNERS_MAX>,
}

impl Signers {
    /// Finds account and keys. Without `--sign-with` the key of `--from`, or the only one, signs alone, and
    /// for its own account.
    ///
    /// # Errors
    /// [`Failure`] by class; [`Exit::Usage`](crate::failure::Exit::Usage) for a key that is named twice,
    /// and for more keys than may sign.
    pub fn find(session: &Session<'_>, sending: &Sending) -> Result<Self, Failure> {
        let from = sending.from.as_deref();
        if sending.sign_with.is_empty() {
            let name = from.map(KeyName::new).transpose();
            let name = name.map_err(|error| Failure::usage(format_args!("--from: {error}")))?;
            let key = session.key(name.as_ref())?;
            let public = List::of_one(key.public_key());
            return Ok(Self {
                account: key.account(),
                name: key.name().to_string(),
                keys: vec![key],
                public,
            });
        }
        let from = from.ok_or_else(|| {
            Failure::usage("--from: say which account acts, since --sign-with only says who signs")
        })?;
        let account = session.whole_account("--from", from)?;
        let keys = sending.sign_with.iter().map(|name| session.key(Some(name)));
        let keys: Vec<KeyFile> = keys.collect::<Result<_, _>>()?;
        let public = ascending(&keys)?;
        Ok(Self { account, name: from.to_owned(), keys, public })
    }

    /// The account that acts.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The account as it was named, or the name of its key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The keys that sign, ascending.
    #[must_use]
    pub fn public_keys(&self) -> &List<PublicKey, 1, SIGNERS_MAX> {
        &self.public
    }

    /// Whether none of the keys is worth anything.
    #[must_use]
    pub fn are_test_keys(&self) -> bool {
        self.keys.iter().all(KeyFile::is_test_key)
    }

    /// The names of the keys for people, with what they are worth.
    #[must_use]
    pub fn shown(&self) -> String {
        let mark = |key: &KeyFile| if key.is_test_key() { " (test key, worthless)" } else { "" };
        let each = self.keys.iter().map(|key| format!("{}{}", key.name(), mark(key)));
        each.collect::<Vec<_>>().join(", ")
    }

    /// Opens the keys, in the order in which they were named.
    ///
    /// # Errors
    /// [`Exit::Key`](crate::failure::Exit::Key) naming the key.
    pub fn open(&self, settings: &Settings) -> Result<Vec<SecretKey>, Failure> {
        let keys: Vec<&KeyFile> = self.keys.iter().collect();
        secrets::open_each(&keys, settings)
    }
}

fn ascending(keys: &[KeyFile]) -> Result<List<PublicKey, 1, SIGNERS_MAX>, Failure> {
    let mut sorted: Vec<&KeyFile> = keys.iter().collect();
    sorted.sort_by_key(|key| key.public_key());
    for (first, second) in sorted.iter().zip(sorted.iter().skip(1)) {
        if first.public_key() == second.public_key() {
            let (first, second) = (first.name(), second.name());
            let why = format!("{first} and {second} are the same key, which signs once");
            return Err(Failure::usage(format_args!("--sign-with: {why}")));
        }
    }
    let found = keys.len();
    List::new(sorted.iter().map(|key| key.public_key()).collect()).map_err(|_| {
        Failure::usage(format_args!("--sign-with: expected 1 to {SIGNERS_MAX} keys, found {found}"))
    })
}
