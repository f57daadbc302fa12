//! The network, the node itself and its peers.
use quorate_primitives::block::PROTOCOL_VERSION;
use quorate_primitives::{Height, PublicKey, View};
use quorate_replica::{Status, Voice};
use quorate_rpc::backend::Answer;
use quorate_rpc::json::{ChainInfo, MempoolStats, NodeStatus, Peer, PeersAnswer, Voting};
use quorate_rpc::json::{Decimal, Shown};

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

/// Whether a replica votes, and from which turn on if it will.
fn voting(voice: Voice) -> (Voting, Option<View>) {
    match voice {
        Voice::Free => (Voting::Yes, None),
        Voice::Observer => (Voting::Observer, None),
        Voice::Asking => (Voting::Asking, None),
        Voice::Quarantined => (Voting::Quarantined, None),
        Voice::Silent { until } => (Voting::Silent, Some(until)),
    }
}

impl Snapshot {
    /// The network. Without the limits, which are the server's.
    ///
    /// # Errors
    /// `Internal`: the state names no validators, which no genesis allows.
    pub fn chain_info(&self) -> Answer<ChainInfo> {
        let genesis = &self.identity.genesis;
        let (epoch, set) = (self.epoch(), self.set_of(self.epoch())?);
        Ok(ChainInfo {
            network: genesis.network.to_string(),
            address_prefix: genesis.prefix.as_str().to_owned(),
            chain: self.identity.chain.into(),
            protocol_version: PROTOCOL_VERSION,
            software_version: VERSION.to_owned(),
            height: self.height().into(),
            epoch: epoch.into(),
            validators: small(set.len()),
            quorum: small(set.quorum()),
            parameters: (&genesis.parameters).into(),
            limits: None,
        })
    }

    /// How the node is, by what its replica says of itself and the number of connected peers.
    #[must_use]
    pub fn node_status(&self, status: &Status, peers: usize) -> NodeStatus {
        let with_itself = status.connected.saturating_add(usize::from(status.index.is_some()));
        let (voting, voting_from) = voting(status.voice);
        NodeStatus {
            name: self.identity.name.clone(),
            version: VERSION.to_owned(),
            key: self.identity.key.into(),
            validator: status.index,
            voting,
            voting_from: voting_from.map(Decimal),
            started: self.identity.started.into(),
            height: self.height().into(),
            block_time: self.executed.time().into(),
            certified_height: self.certified_height().map(Decimal::<Height>),
            epoch: status.epoch.into(),
            epoch_last_height: status.epoch_last.into(),
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

    /// The connected peers, by their names if they are validators of the current epoch.
    ///
    /// # Errors
    /// `Internal`: the state names no validators, which no genesis allows.
    pub fn node_peers(&self, connections: Vec<Connection>) -> Answer<PeersAnswer> {
        let set = self.set_of(self.current_epoch())?;
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
        Ok(PeersAnswer { peers: peers.collect() })
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
