//! What every command on a network needs: the home, the pinned network, its nodes, and words.
use quorate_keystore::{Home, KeyFile, KeyName};
use quorate_primitives::address::AccountId;
use quorate_primitives::state::AssetId;

use crate::arguments::Settings;
use crate::explain::Words;
use crate::failure::Failure;
use crate::network::{self, Named, Network};
use crate::nodes::Nodes;

/// A command at work on a network.
pub struct Session<'a> {
    /// Settings of the command.
    pub settings: &'a Settings,
    /// Where keys and networks lie.
    pub home: Home,
    /// The pinned network.
    pub network: Network,
    /// Whom to ask.
    pub nodes: Nodes,
    /// How to show things.
    pub words: Words,
}

impl<'a> Session<'a> {
    /// Opens home and network; talks to no node yet.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub fn open(settings: &'a Settings) -> Result<Self, Failure> {
        let home = network::home(settings)?;
        let network = Network::open(&home, settings)?;
        let nodes = Nodes::new(&home, &network, settings)?;
        let words = Words::new(&home, &network);
        Ok(Self { settings, home, network, nodes, words })
    }

    /// The account that a user named; that of the only key if none was named.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub fn account(&self, typed: Option<&str>) -> Result<Named, Failure> {
        if let Some(typed) = typed {
            return network::resolve(typed, &self.home, &self.network);
        }
        let key = self.key(None)?;
        Ok(Named { account: key.account(), tag: None, name: Some(key.name().to_string()) })
    }

    /// An account that stands for all of it: where nothing carries a deposit tag, one that was dropped
    /// silently would mean somebody else. `flag` is where the name was typed.
    ///
    /// # Errors
    /// [`Exit::Usage`](crate::failure::Exit::Usage) for an address with a deposit tag; others by class.
    pub fn whole_account(&self, flag: &str, typed: &str) -> Result<AccountId, Failure> {
        let named = self.account(Some(typed))?;
        match named.tag {
            None => Ok(named.account),
            Some(_) => {
                let plain = self.network.address(named.account);
                let why = "the address carries a deposit tag, which only a transfer can";
                Err(Failure::usage(format_args!("{flag}: {why}; the account's own address is {plain}")))
            }
        }
    }

    /// The key that a user named; the only one if none was named.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub fn key(&self, name: Option<&KeyName>) -> Result<KeyFile, Failure> {
        network::chosen_key(&self.home, name)
    }

    /// Proves assets, so that amounts of them can be shown.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn learn(&mut self, assets: &[AssetId]) -> Result<(), Failure> {
        let unknown: Vec<AssetId> = assets.iter().copied().filter(|id| !self.words.knows(id)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        for (id, asset) in self.nodes.assets(&unknown).await? {
            self.words.learn(id, asset);
        }
        Ok(())
    }
}
