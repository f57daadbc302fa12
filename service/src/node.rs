//! The network, the node itself and its peers.
use quorate_primitives::block::PROTOCOL_VERSION;
use quorate_primitives::{EpochNumber, Height, PublicKey};
use quorate_replica::Status;
use quorate_rpc::backend::Answer;
use quorate_rpc::json::{ChainInfo, MempoolStats, NodeStatus, Peer, PeersAnswer, ValidatorsAnswer};
use quorate_rpc::json::{Decimal, Shown};
use quorate_rpc::{ApiError, ErrorKind};

use crate::snapshot::Snapshot;

/// Version of this software.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A peer that is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Who.
    pub key: PublicKey,
    /// The other end.
    pub address: String,
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Snapshot {
    /// The network. Without the limits, which are the server's.
    #[must_use]
    pub fn chain_info(&self) -> ChainInfo {
        let genesis = &self.identity.genesis;
        ChainInfo {
            network: genesis.network.to_string(),
            address_prefix: genesis.prefix.as_str().to_owned(),
            chain: self.identity.chain.into(),
            protocol_version: PROTOCOL_VERSION,
            software_version: VERSION.to_owned(),
            height: self.height().into(),
            epoch: EpochNumber::ZERO.into(),
            validators: small(genesis.validators.len()),
            quorum: small(genesis.validators.quorum()),
            parameters: (&genesis.parameters).into(),
            limits: None,
        }
    }

    /// The validators of an epoch. There is one epoch, number 0, with the validators of the genesis.
    ///
    /// # Errors
    /// `NotFound`: the epoch is not known.
    pub fn validators(&self, epoch: Option<EpochNumber>) -> Answer<ValidatorsAnswer> {
        if let Some(unknown) = epoch.filter(|epoch| *epoch != EpochNumber::ZERO) {
            let message = format_args!("epoch {unknown} is not known: expected 0");
            return Err(ApiError::new(ErrorKind::NotFound, message).in_field("epoch"));
        }
        let trusted = self.identity.genesis.trusted();
        Ok(ValidatorsAnswer::new(EpochNumber::ZERO, trusted.context(), trusted.validators()))
    }

    /// How the node is, by what its replica says of itself and the number of connected peers.
    #[must_use]
    pub fn node_status(&self, status: &Status, peers: usize) -> NodeStatus {
        let with_itself = status.connected.saturating_add(usize::from(status.index.is_some()));
        NodeStatus {
            name: self.identity.name.clone(),
            version: VERSION.to_owned(),
            key: self.identity.key.into(),
            validator: status.index,
            started: self.identity.started.into(),
            height: self.height().into(),
            block_time: self.executed.time().into(),
            certified_height: self.certified_height().map(Decimal::<Height>),
            epoch: EpochNumber::ZERO.into(),
            view: status.view.into(),
            leader: Some(status.leader),
            syncing: status.syncing,
            ready: self.unready_because(status).is_none(),
            peers: small(peers),
            validators_connected: small(with_itself),
            pending_transactions: Decimal(count(status.pool_transactions)),
            not_progressing: status.stall.as_ref().map(ToString::to_string),
        }
    }

    /// Why the node is not where the others are, or can neither vote nor serve proven answers, in plain
    /// words; `None` when all is well.
    #[must_use]
    pub fn unready_because(&self, status: &Status) -> Option<String> {
        match &status.stall {
            Some(stall) => Some(stall.to_string()),
            None if status.syncing => Some("catching up".to_owned()),
            None if self.certified.is_none() => Some("no certified block yet".to_owned()),
            None => None,
        }
    }

    /// The connected peers, by their names if they are validators.
    #[must_use]
    pub fn node_peers(&self, connections: Vec<Connection>) -> PeersAnswer {
        let set = &self.identity.genesis.validators;
        let peers = connections.into_iter().map(|Connection { key, address }| {
            let validator = set.index_of(&key);
            let member = validator.and_then(|index| set.members().get(usize::from(index)));
            Peer {
                key: Shown(key),
                name: member.map(|member| member.name.to_string()),
                validator,
                address: Some(address),
                direction: None,
                connected: None,
            }
        });
        PeersAnswer { peers: peers.collect() }
    }

    /// What waits in the replica's pool.
    #[must_use]
    pub fn mempool_stats(&self, status: &Status) -> MempoolStats {
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
