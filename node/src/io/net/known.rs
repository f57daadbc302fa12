//! Who may connect.
//!
//! The chain says who its validators are, the configuration who may come besides them. A configured
//! peer that the chain has never admitted is let in as well: a node whose chain is old knows nothing
//! yet of the validators that it must ask for the newer blocks. A key that the chain admitted once and
//! admits no longer is a stranger from then on, unless it is an observer's.
use libp2p::PeerId;
use quorate_primitives::PublicKey;
use std::collections::{BTreeMap, BTreeSet};

use super::{LISTED_MAX, Membership, NetworkConfig, NetworkError, VALIDATORS_ADMITTED_MAX, swarm};

/// Most nodes that may connect at a time: validators, observers and peers.
pub(super) const KNOWN_MAX: usize = VALIDATORS_ADMITTED_MAX + 2 * LISTED_MAX;

/// The known nodes, by key and by the identity of their connections.
pub(super) struct Known {
    me: PublicKey,
    observers: BTreeSet<PublicKey>,
    peers: BTreeSet<PublicKey>,
    admitted: BTreeSet<PublicKey>,
    /// Configured peers that the chain admitted once, and admits no longer.
    former: BTreeSet<PublicKey>,
    /// Those who may connect.
    ids: BTreeMap<PublicKey, PeerId>,
    /// The same, and those whose last connection is being closed.
    names: BTreeMap<PeerId, PublicKey>,
}

/// What another membership means for connections.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Those who may connect now and might not before.
    pub(super) welcome: Vec<(PublicKey, PeerId)>,
    /// Those who might connect before and may not now.
    pub(super) dismissed: Vec<(PublicKey, PeerId)>,
}

impl Known {
    /// Those who are known at the start.
    ///
    /// # Errors
    /// [`NetworkError::Key`] naming bytes that are not a key.
    pub(super) fn new(
        config: &NetworkConfig,
        me: PublicKey,
        members: Membership,
    ) -> Result<Self, NetworkError> {
        let peers: BTreeSet<PublicKey> = config.peers.iter().map(|peer| peer.key).collect();
        let Membership { admitted, mut former } = members;
        former.retain(|key| peers.contains(key));
        let observers = config.observers.iter().copied().collect();
        let (ids, names) = (BTreeMap::new(), BTreeMap::new());
        let mut known = Self { me, observers, peers, admitted, former, ids, names };
        for key in known.allowed() {
            let id = swarm::peer_id(&key)?;
            known.ids.insert(key, id);
            known.names.insert(id, key);
        }
        Ok(known)
    }

    fn allowed(&self) -> BTreeSet<PublicKey> {
        let strangers: BTreeSet<PublicKey> = self.former.difference(&self.admitted).copied().collect();
        let peers = self.peers.difference(&strangers);
        let all = self.admitted.iter().chain(&self.observers).chain(peers);
        all.filter(|key| **key != self.me).copied().collect()
    }

    /// Takes note of whom the chain admits now, all others that it admitted before being dismissed.
    pub(super) fn admit(&mut self, admitted: BTreeSet<PublicKey>) -> Change {
        let before = std::mem::replace(&mut self.admitted, admitted);
        self.former.extend(before.difference(&self.admitted).filter(|key| self.peers.contains(key)));
        let allowed = self.allowed();
        let mut change = Change::default();
        for key in &allowed {
            // The ledger lets no key in that is none.
            if let (false, Ok(id)) = (self.ids.contains_key(key), swarm::peer_id(key)) {
                self.ids.insert(*key, id);
                self.names.insert(id, *key);
                change.welcome.push((*key, id));
            }
        }
        change.dismissed = self.ids.extract_if(.., |key, _| !allowed.contains(key)).collect();
        change
    }

    /// Forgets the name of a node without connections, unless it may come back.
    pub(super) fn forget(&mut self, id: &PeerId) {
        if self.names.get(id).is_some_and(|key| !self.ids.contains_key(key)) {
            self.names.remove(id);
        }
    }

    /// Whether the chain admits this key.
    pub(super) fn is_validator(&self, key: &PublicKey) -> bool {
        self.admitted.contains(key)
    }

    /// The identity of a node that may connect.
    pub(super) fn id(&self, key: &PublicKey) -> Option<PeerId> {
        self.ids.get(key).copied()
    }

    /// All that may connect.
    pub(super) fn ids(&self) -> &BTreeMap<PublicKey, PeerId> {
        &self.ids
    }

    /// The key behind a connection that may be in the course of being closed.
    pub(super) fn name(&self, id: &PeerId) -> Option<PublicKey> {
        self.names.get(id).copied()
    }

    /// The key behind a connection of a node that may be connected.
    pub(super) fn sender(&self, id: &PeerId) -> Option<PublicKey> {
        self.name(id).filter(|key| self.ids.contains_key(key))
    }
}

#[cfg(test)]
mod tests {
    use super::super::PeerAddress;
    use super::*;
    use quorate_primitives::SecretKey;
    use zeroize::Zeroizing;

    fn key(number: u8) -> PublicKey {
        SecretKey::from_seed(&Zeroizing::new([number; 32])).public_key()
    }

    fn keys(numbers: &[u8]) -> BTreeSet<PublicKey> {
        numbers.iter().copied().map(key).collect()
    }

    /// Node 9 with observer 5 and peers 1, 3 and 4.
    fn known(admitted: &[u8], former: &[u8]) -> Known {
        let peer = |number: &u8| PeerAddress { key: key(*number), address: String::new() };
        let config = NetworkConfig {
            listen: Vec::new(),
            peers: [1, 3, 4].iter().map(peer).collect(),
            observers: vec![key(5)],
        };
        Known::new(&config, key(9), Membership { admitted: keys(admitted), former: keys(former) }).unwrap()
    }

    fn allowed(known: &Known) -> BTreeSet<PublicKey> {
        known.ids().keys().copied().collect()
    }

    fn changed(of: &[(PublicKey, PeerId)]) -> BTreeSet<PublicKey> {
        of.iter().map(|(key, _)| *key).collect()
    }

    #[test]
    fn validators_observers_and_peers_that_were_never_validators_are_known() {
        assert_eq!(allowed(&known(&[1, 2, 9], &[])), keys(&[1, 2, 3, 4, 5]));
    }

    #[test]
    fn who_was_a_validator_before_the_start_is_no_peer_but_may_be_an_observer() {
        assert_eq!(allowed(&known(&[1, 2], &[3, 5, 6])), keys(&[1, 2, 4, 5]));
    }

    #[test]
    fn the_chain_dismisses_only_those_whom_nothing_else_lets_in() {
        let mut known = known(&[1, 2, 5], &[]);
        let change = known.admit(keys(&[7]));
        assert_eq!(changed(&change.welcome), keys(&[7]));
        assert_eq!(changed(&change.dismissed), keys(&[1, 2]));
        assert_eq!(allowed(&known), keys(&[3, 4, 5, 7]));
        assert!(known.is_validator(&key(7)) && !known.is_validator(&key(5)));
    }

    #[test]
    fn who_is_admitted_again_is_welcome_again() {
        let mut known = known(&[1], &[]);
        assert_eq!(changed(&known.admit(keys(&[])).dismissed), keys(&[1]));
        assert_eq!(changed(&known.admit(keys(&[1])).welcome), keys(&[1]));
        assert_eq!(known.admit(keys(&[1])), Change::default());
    }

    #[test]
    fn the_name_of_a_dismissed_node_lasts_until_its_connection_is_closed() {
        let mut known = known(&[1], &[]);
        let id = known.id(&key(1)).unwrap();
        known.admit(keys(&[]));
        assert_eq!((known.name(&id), known.sender(&id), known.id(&key(1))), (Some(key(1)), None, None));
        known.forget(&id);
        assert_eq!(known.name(&id), None);
    }
}
