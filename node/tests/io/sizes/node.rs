//! Whole nodes on real disks that serve, and fetch from each other, what is largest.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quorate_genesis::Genesis;
use quorate_ledger::Ledger;
use quorate_ledger::store::Rocks;
use quorate_node::io::api::{Api, Identity};
use quorate_node::io::driver::{DriverConfig, DriverHandle, NetworkConfig, PeerAddress, spawn};
use quorate_node::io::feed::Feed;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::{PublicKey, SecretKey};
use quorate_replica::Settings;
use quorate_rpc::{Client, Server, Settings as RpcSettings};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use tempfile::TempDir;

use super::chain::{FULL, Full, key};
use crate::net::PATIENCE;

/// Whom a node talks to.
#[derive(Default)]
pub(crate) struct Company {
    pub(crate) peers: Vec<PeerAddress>,
    pub(crate) observers: Vec<PublicKey>,
}

/// A ledger in a folder.
pub(crate) fn open(home: &Path, genesis: &Genesis) -> Ledger {
    Ledger::open(Arc::new(Rocks::open(&home.join("db")).unwrap()), genesis).unwrap()
}

/// Runs a node on a folder and a ledger.
pub(crate) async fn run(home: &Path, genesis: &Genesis, key: SecretKey, company: Company) -> DriverHandle {
    let config = DriverConfig {
        genesis: genesis.clone(),
        settings: Settings { idle_interval_ms: 100, ..Settings::default() },
        ledger: open(home, genesis),
        key,
        data: home.join("data"),
        key_folder: home.to_owned(),
        network: NetworkConfig {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            peers: company.peers,
            observers: company.observers,
        },
        verify_threads: 1,
    };
    spawn(config).await.unwrap()
}

/// Holds the full chain. A validator would rightly stop: the certificates hold votes that its log does not.
fn archivist() -> SecretKey {
    key(9, 1)
}

/// A node of the full chain, with the whole of it.
pub(crate) async fn full(company: Company) -> (TempDir, DriverHandle) {
    let home = TempDir::new().unwrap();
    drop(FULL.commit_to(Arc::new(Rocks::open(&home.path().join("db")).unwrap())));
    let node = run(home.path(), &FULL.genesis, archivist(), company).await;
    (home, node)
}

/// A node as its clients see it.
pub(crate) struct Served {
    pub(crate) driver: DriverHandle,
    pub(crate) client: Client,
    pub(crate) server: Server,
    _home: TempDir,
}

impl Served {
    /// Opens the interface of a running node.
    pub(crate) async fn open((home, driver): (TempDir, DriverHandle), genesis: &Genesis) -> Self {
        let feed = Feed::new();
        let identity = Identity {
            genesis: genesis.clone(),
            chain: genesis.hash(),
            key: archivist().public_key(),
            name: String::new(),
            started: genesis.time,
            pool: Settings::default().pool,
        };
        let mut committed = driver.committed();
        let api = Api::new(driver.clone(), Arc::clone(&feed), identity);
        tokio::spawn(async move {
            while let Ok(block) = committed.recv().await {
                let executed = &block.executed;
                feed.block(executed.height(), executed.time(), executed.receipts());
            }
        });
        let settings = RpcSettings::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        let server = Server::start(settings, Arc::new(api)).await.unwrap();
        let client = Client::new(&format!("http://{}", server.address()), Duration::from_secs(60)).unwrap();
        Self { driver, client, server, _home: home }
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
        self.driver.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_node_catches_up_with_full_blocks_and_keeps_them_on_its_disk() {
    let newcomer = key(9, 0);
    let observers = vec![newcomer.public_key()];
    let (_home, giver) = full(Company { observers, ..Company::default() }).await;
    let address = giver.listen_addresses()[0].to_string();
    let peers = vec![PeerAddress { key: archivist().public_key(), address }];
    let home = TempDir::new().unwrap();
    let taker = run(home.path(), &FULL.genesis, newcomer, Company { peers, ..Company::default() }).await;

    let last = &FULL.blocks[2].executed;
    let mut heads = taker.watch_head();
    let reached = heads.wait_for(|head| head.executed.height() >= last.height());
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    reached
        .unwrap_or_else(|_| panic!("it did not catch up: {:?}", taker.status()))
        .expect("the driver ended");
    for node in [&giver, &taker] {
        assert_eq!(node.counters().bans.load(Ordering::Relaxed), 0);
        node.shutdown().await;
    }
    drop((giver, taker));
    let ledger = open(home.path(), &FULL.genesis);
    assert_eq!(ledger.head().outcome(), last.outcome());
    for Full { header, bundles, .. } in &FULL.blocks {
        let stored = ledger.reader().bundles(header.height).unwrap();
        assert!(stored.iter().eq(bundles.iter().map(|bundle| -> &Bundle { bundle })));
    }
}
