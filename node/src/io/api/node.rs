//! The network, the node itself and its peers.
use quorate_primitives::block::PROTOCOL_VERSION;
use quorate_primitives::{EpochNumber, Height};
use quorate_rpc::backend::Answer;
use quorate_rpc::json::{ChainInfo, Head, MempoolStats, NodeStatus, Peer, PeersAnswer, ValidatorsAnswer};
use quorate_rpc::json::{Decimal, Shown};
use quorate_rpc::{ApiError, ErrorKind};

use super::Api;

/// Version of this software.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Api {
    pub(super) fn info(&self) -> ChainInfo {
        let genesis = &self.identity.genesis;
        let size = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        ChainInfo {
            network: genesis.network.to_string(),
            address_prefix: genesis.prefix.as_str().to_owned(),
            chain: self.identity.chain.into(),
            protocol_version: PROTOCOL_VERSION,
            software_version: VERSION.to_owned(),
            height: self.driver.head().executed.height().into(),
            epoch: EpochNumber::ZERO.into(),
            validators: size(genesis.validators.len()),
            quorum: size(genesis.validators.quorum()),
            parameters: (&genesis.parameters).into(),
            limits: None,
        }
    }

    pub(super) fn newest(&self) -> Head {
        let executed = &self.driver.head().executed;
        Head {
            height: executed.height().into(),
            block: executed.block().into(),
            time: executed.time().into(),
            view: executed.view().into(),
            epoch: EpochNumber::ZERO.into(),
            state_root: executed.outcome().state_root.into(),
            transactions: u32::try_from(executed.receipts().len()).unwrap_or(u32::MAX),
            certified_height: self.certified_height().map(Decimal),
        }
    }

    /// There is one epoch, number 0, with the validators of the genesis.
    pub(super) fn validators_of(&self, epoch: Option<EpochNumber>) -> Answer<ValidatorsAnswer> {
        if let Some(unknown) = epoch.filter(|epoch| *epoch != EpochNumber::ZERO) {
            let message = format_args!("epoch {unknown} is not known: expected 0");
            return Err(ApiError::new(ErrorKind::NotFound, message).in_field("epoch"));
        }
        let trusted = self.identity.genesis.trusted();
        Ok(ValidatorsAnswer::new(EpochNumber::ZERO, trusted.context(), trusted.validators()))
    }

    pub(super) fn node(&self) -> NodeStatus {
        let status = self.driver.status();
        let head = self.driver.head();
        let certified_height = self.certified_height();
        let connected = self.driver.peers().iter().filter(|peer| peer.connected).count();
        let with_itself = status.connected + usize::from(status.index.is_some());
        let size = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        NodeStatus {
            name: self.identity.name.clone(),
            version: VERSION.to_owned(),
            key: self.identity.key.into(),
            validator: status.index,
            started: self.identity.started.into(),
            height: head.executed.height().into(),
            block_time: head.executed.time().into(),
            certified_height: certified_height.map(Decimal::<Height>),
            epoch: EpochNumber::ZERO.into(),
            view: status.view.into(),
            leader: Some(status.leader),
            syncing: status.syncing,
            ready: self.is_ready(),
            peers: size(connected),
            validators_connected: size(with_itself),
            pending_transactions: Decimal(count(status.pool_transactions)),
            not_progressing: status.stall.as_ref().map(ToString::to_string),
        }
    }

    /// Whether the node is where the others are, and can vote or serve proven answers.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.unready_because().is_none()
    }

    /// Why it is not, in plain words.
    #[must_use]
    pub fn unready_because(&self) -> Option<String> {
        let status = self.driver.status();
        match &status.stall {
            Some(stall) => Some(stall.to_string()),
            None if status.syncing => Some("catching up".to_owned()),
            None if self.certified_height().is_none() => Some("no certified block yet".to_owned()),
            None => None,
        }
    }

    pub(super) fn connected_peers(&self) -> PeersAnswer {
        let set = &self.identity.genesis.validators;
        let peers = self.driver.peers().into_iter().filter(|peer| peer.connected).map(|peer| {
            let validator = set.index_of(&peer.key);
            let member = validator.and_then(|index| set.members().get(usize::from(index)));
            Peer {
                key: Shown(peer.key),
                name: member.map(|member| member.name.to_string()),
                validator,
                address: Some(peer.address),
                direction: None,
                connected: None,
            }
        });
        PeersAnswer { peers: peers.collect() }
    }

    pub(super) fn pool(&self) -> MempoolStats {
        let status = self.driver.status();
        let limits = &self.identity.pool;
        MempoolStats {
            transactions: Decimal(count(status.pool_transactions)),
            bytes: Decimal(count(status.pool_bytes)),
            senders: Decimal(count(status.pool_senders)),
            bundles: Decimal(count(status.bundles)),
            transactions_max: Decimal(count(limits.transactions_max)),
            bytes_max: Decimal(count(limits.bytes_max)),
        }
    }
}
