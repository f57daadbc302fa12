//! The pinned network that a command works with, and the names that mean something on it.
use quorate_genesis::Genesis;
use quorate_keystore::{Home, KeyFile, KeyName, NetworkFile, NetworkName};
use quorate_primitives::Hash;
use quorate_primitives::address::{AccountId, Address, DepositTag};
use std::path::PathBuf;

use crate::arguments::Settings;
use crate::failure::{Exit, Failure};
use crate::verify::Verifier;

// A wallet can pin every network that nodes can found.
const _: () = assert!(quorate_keystore::network::GENESIS_BYTES_MAX == quorate_genesis::GENESIS_BYTES_MAX);

/// A network as it is pinned in the home.
pub struct Network {
    /// Its name in this wallet.
    pub name: NetworkName,
    /// The pinned genesis.
    pub genesis: Genesis,
    /// Its hash, which names the chain.
    pub chain: Hash,
    /// Where nodes answer, in the order in which they are tried.
    pub urls: Vec<String>,
}

/// Opens the home that the settings name.
///
/// # Errors
/// [`Exit::Configuration`] if there is neither `--home` nor a home directory.
pub fn home(settings: &Settings) -> Result<Home, Failure> {
    if let Some(path) = &settings.home {
        return Ok(Home::new(path));
    }
    let user = std::env::var_os("HOME").filter(|path| !path.is_empty());
    let missing = || Failure::new(Exit::Configuration, "no home directory: give --home or set QUORATE_HOME");
    Ok(Home::new(PathBuf::from(user.ok_or_else(missing)?).join(".quorate")))
}

/// The name of the network to use: the one asked for, the current one, or the only one.
///
/// # Errors
/// [`Exit::Configuration`] if none is pinned, or the choice is not clear.
pub fn chosen(home: &Home, settings: &Settings) -> Result<NetworkName, Failure> {
    if let Some(name) = &settings.network {
        return Ok(name.clone());
    }
    if let Some(name) = home.current_network()? {
        return Ok(name);
    }
    let names = home.network_names()?;
    match names.as_slice() {
        [only] => Ok(only.clone()),
        [] => {
            let place = home.networks_folder();
            let how = "pin one with: quorate-wallet network add NAME --genesis FILE --rpc URL";
            Err(Failure::new(Exit::Configuration, format_args!("no network in {}: {how}", place.display())))
        }
        _ => {
            let names: Vec<&str> = names.iter().map(NetworkName::as_str).collect();
            let known = names.join(", ");
            Err(Failure::new(
                Exit::Configuration,
                format_args!("several networks ({known}): choose one with --network"),
            ))
        }
    }
}

impl Network {
    /// Reads what is pinned, and checks that document and hash fit.
    ///
    /// # Errors
    /// [`Exit::Configuration`] naming file and field.
    pub fn open(home: &Home, settings: &Settings) -> Result<Self, Failure> {
        Self::open_named(home, settings, chosen(home, settings)?)
    }

    /// Reads what is pinned about the network of this name.
    ///
    /// # Errors
    /// As [`Network::open`].
    pub fn open_named(home: &Home, settings: &Settings, name: NetworkName) -> Result<Self, Failure> {
        let (file, text) = home.network(&name)?;
        let wrong = |what: String| {
            Failure::new(Exit::Configuration, format_args!("{}: {what}", home.genesis_path(&name).display()))
        };
        let genesis = Genesis::parse(&text).map_err(|error| wrong(error.to_string()))?;
        let (chain, pinned) = (genesis.hash(), file.genesis_hash());
        if chain != pinned {
            return Err(wrong(format!("the document hashes to {chain}, but network.toml pins {pinned}")));
        }
        let urls = if settings.rpc.is_empty() { file.rpc().to_vec() } else { settings.rpc.clone() };
        let checked =
            NetworkFile::new(urls, chain).map_err(|error| Failure::usage(format_args!("--rpc: {error}")))?;
        Ok(Self { name, genesis, chain, urls: checked.rpc().to_vec() })
    }

    /// Believes what follows from the pinned genesis, and no epoch after the first one yet.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier::new(self.genesis.trusted(), self.genesis.parameters.clone())
    }

    /// The address of an account on this network.
    #[must_use]
    pub fn address(&self, account: AccountId) -> String {
        Address { account, tag: None }.to_text(&self.genesis.prefix)
    }
}

/// An account as a user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The account.
    pub account: AccountId,
    /// Whom within it, if the address says so.
    pub tag: Option<DepositTag>,
    /// The name that was typed, unless an address or an id was.
    pub name: Option<String>,
}

impl Named {
    /// The name and the address, as shown to people.
    #[must_use]
    pub fn shown(&self, network: &Network) -> String {
        let address = Address { account: self.account, tag: self.tag }.to_text(&network.genesis.prefix);
        self.name.as_ref().map_or(address.clone(), |name| format!("{name} ({address})"))
    }
}

/// Finds the account that a user means by an id, an address, the name of a key, or a name in the
/// genesis.
///
/// # Errors
/// [`Exit::Usage`] for an unknown name, a mistyped address, or a name that means two accounts.
pub fn resolve(typed: &str, home: &Home, network: &Network) -> Result<Named, Failure> {
    if let Ok(account) = typed.parse::<AccountId>() {
        return Ok(Named { account, tag: None, name: None });
    }
    let key = KeyName::new(typed).ok();
    let looks_like_address = typed.len() > quorate_keystore::names::NAME_BYTES_MAX && !typed.contains(' ');
    let listed = network.genesis.account_named(typed);
    if listed.is_none() && looks_like_address {
        let Address { account, tag } =
            Address::parse(typed, &network.genesis.prefix).map_err(Failure::usage)?;
        return Ok(Named { account, tag, name: None });
    }
    let kept = match &key {
        Some(name) if home.key_path(name).exists() => Some(home.key(name)?.account()),
        Some(_) | None => None,
    };
    let name = Some(typed.to_owned());
    match (kept, listed) {
        (Some(first), Some(second)) if first != second => {
            let (first, second) = (network.address(first), network.address(second));
            let which = format!("the key is of {first}, the genesis account is {second}: give the address");
            Err(Failure::usage(format_args!("{typed:?} is two accounts: {which}")))
        }
        (Some(account), _) | (None, Some(account)) => Ok(Named { account, tag: None, name }),
        (None, None) => {
            let typed: String = typed.chars().take(80).collect();
            let known = "no key and no account in the genesis has this name, and it is no address";
            Err(Failure::usage(format_args!("account {typed:?}: {known}")))
        }
    }
}

/// The key to use: the one asked for, or the only one.
///
/// # Errors
/// [`Exit::Key`] if there is none of this name, or the choice is not clear.
pub fn chosen_key(home: &Home, asked: Option<&KeyName>) -> Result<KeyFile, Failure> {
    if let Some(name) = asked {
        return Ok(home.key(name)?);
    }
    let names = home.key_names()?;
    match names.as_slice() {
        [only] => Ok(home.key(only)?),
        [] => {
            let place = home.keys_folder();
            let how = "make one with: quorate-wallet keys new NAME";
            Err(Failure::new(Exit::Key, format_args!("no key in {}: {how}", place.display())))
        }
        _ => Err(Failure::usage("several keys: say which account or, to send, which key with --from")),
    }
}
