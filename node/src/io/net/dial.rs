//! When to dial which peer, and where its name leads.
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use quorate_primitives::PublicKey;
use rand::RngExt;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::PeerAddress;

/// Wait after the first failed attempt.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// Longest wait between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Longest time for an attempt: resolving, connecting and the handshake.
const ATTEMPT_MAX: Duration = Duration::from_secs(15);

/// Where the name of a peer leads.
pub(super) struct Resolved {
    pub(super) peer: PublicKey,
    pub(super) addresses: Vec<SocketAddr>,
}

/// Keeps account of the configured peers.
pub(super) struct Dialler {
    peers: BTreeMap<PublicKey, Target>,
    resolving: FuturesUnordered<BoxFuture<'static, Resolved>>,
}

struct Target {
    address: String,
    backoff: Duration,
    /// Not before; `None` while connected.
    next: Option<Instant>,
}

async fn resolve(peer: PublicKey, address: String) -> Resolved {
    let found = tokio::net::lookup_host(address).await.map(Iterator::collect);
    Resolved { peer, addresses: found.unwrap_or_else(|_: io::Error| Vec::new()) }
}

impl Dialler {
    pub(super) fn new(peers: &[PeerAddress], now: Instant) -> Self {
        let target = |peer: &PeerAddress| {
            (peer.key, Target { address: peer.address.clone(), backoff: BACKOFF_MIN, next: Some(now) })
        };
        Self { peers: peers.iter().map(target).collect(), resolving: FuturesUnordered::new() }
    }

    /// Begins an attempt for every peer whose time has come.
    pub(super) fn begin_due(&mut self, now: Instant, may_dial: impl Fn(&PublicKey) -> bool) {
        for (peer, target) in &mut self.peers {
            if target.next.is_some_and(|next| next <= now) && may_dial(peer) {
                // If nothing is heard of this attempt, the next one comes then.
                target.next = now.checked_add(ATTEMPT_MAX);
                self.resolving.push(resolve(*peer, target.address.clone()).boxed());
            }
        }
    }

    /// The next peer whose name was resolved; waits for ever when none is being resolved.
    pub(super) async fn resolved(&mut self) -> Resolved {
        match self.resolving.next().await {
            Some(resolved) => resolved,
            None => futures::future::pending().await,
        }
    }

    /// A connection to the peer stands.
    pub(super) fn connected(&mut self, peer: &PublicKey) {
        if let Some(target) = self.peers.get_mut(peer) {
            target.next = None;
            target.backoff = BACKOFF_MIN;
        }
    }

    /// An attempt failed, or the last connection is gone: try again after a while that grows and is
    /// never the same at two nodes.
    pub(super) fn failed(&mut self, peer: &PublicKey, now: Instant) {
        if let Some(target) = self.peers.get_mut(peer) {
            let jitter = target.backoff.mul_f64(rand::rng().random_range(0.5..1.0));
            target.next = now.checked_add(jitter);
            target.backoff = (target.backoff * 2).min(BACKOFF_MAX);
        }
    }
}
