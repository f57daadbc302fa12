//! Validators that come, go and change their keys by decisions of the governance account, while blocks
//! go on and a client that trusts nothing but the genesis follows.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quorate_genesis::Genesis;
use quorate_node::testnet::founding::organisation_of;
use quorate_node::testnet::process::{Signal, signal};
use quorate_node::testnet::seeds;
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::Text;
use quorate_primitives::light::{FinalityProof, Handover, TrustedEpoch};
use quorate_primitives::state::OrganisationId;
use quorate_primitives::transaction::Operation;
use quorate_primitives::validators::Validator;
use quorate_primitives::{EpochNumber, PublicKey, SecretKey};
use quorate_rpc::Client;
use quorate_rpc::backend::Proofs;
use quorate_rpc::json::{Event, NodeStatus, TransactionState, Voting};
use tokio::task::JoinHandle;

use super::support::{PATIENCE, Testnet, height, signed, take_turn, wait_for_some};

/// Short epochs of short blocks: a change of the validators takes effect within seconds.
const QUICK: [&str; 4] = ["--epoch-length", "10", "--block-time", "100ms"];
/// Longest time without a block that anybody sees, whatever is changed: a leader that is down costs
/// its timeouts, and a busy machine takes its time for processes that start.
const GAP_MAX: Duration = Duration::from_secs(20);
/// How often it is looked.
const GLANCE: Duration = Duration::from_millis(50);

/// Those who decide about the validators.
struct Government<'a> {
    testnet: &'a Testnet,
    genesis: Genesis,
}

impl<'a> Government<'a> {
    fn of(testnet: &'a Testnet) -> Self {
        let text = std::fs::read_to_string(testnet.path().join("genesis.toml")).unwrap();
        Self { testnet, genesis: Genesis::parse(&text).unwrap() }
    }

    fn key(&self, name: &str) -> SecretKey {
        seeds::key(&self.testnet.report.seed, name)
    }

    /// Signs with two of the three administrators, and returns the epoch from which the change holds.
    async fn decides(&self, client: &Client, operation: Operation) -> EpochNumber {
        let account: AccountId = self.genesis.account_named("governance").unwrap();
        let keys = Vec::from(["north-admin", "east-admin"].map(|name| self.key(name)));
        let decision = signed(self.genesis.hash(), account, operation, keys);
        let answer = client.submit_and_wait(&decision, Duration::from_secs(30), Proofs::Omit).await.unwrap();
        assert_eq!(answer.status.state, TransactionState::Final, "{answer:?}");
        let decided = self.genesis.parameters.epoch_of(answer.status.height.unwrap().0);
        let receipt = answer.receipt.unwrap();
        let from = match &receipt.events[..] {
            [
                Event::ValidatorAdded { from_epoch, .. }
                | Event::ValidatorRemoved { from_epoch, .. }
                | Event::ValidatorKeyRotated { from_epoch, .. },
            ] => from_epoch.0,
            other => panic!("{other:?}"),
        };
        assert_eq!(from, decided.next().next());
        from
    }

    /// The validator as it will be, and the proof that its key is held.
    fn described(&self, name: &str, organisation: &str, key: &SecretKey) -> (Validator, Operation) {
        let organisation = OrganisationId::new(organisation).unwrap();
        let validator = Validator { name: Text::new(name).unwrap(), organisation, key: key.public_key() };
        let possession = validator.prove_possession(&self.genesis.hash(), key);
        (validator.clone(), Operation::ValidatorAdd { validator, possession })
    }

    fn add(&self, name: &str, index: usize) -> Operation {
        self.described(name, organisation_of(index), &self.key(name)).1
    }

    /// The validator goes on with the key of another node.
    fn rotate(&self, name: &str, index: usize, node: &str) -> Operation {
        let (validator, add) = self.described(name, organisation_of(index), &self.key(node));
        let Operation::ValidatorAdd { possession, .. } = add else { panic!("{add:?}") };
        Operation::ValidatorRotateKey { name: validator.name, key: validator.key, possession }
    }

    /// The keys of the nodes with these names.
    fn keys(&self, nodes: &[&str]) -> Vec<PublicKey> {
        nodes.iter().map(|name| self.key(name).public_key()).collect()
    }

    /// All epochs up to now, each proven by the one before it, from the genesis on.
    async fn epochs(&self, client: &Client) -> Vec<TrustedEpoch> {
        let mut epochs = vec![self.genesis.trusted()];
        loop {
            let newest = epochs.last().unwrap();
            let page = client.epochs(newest.number().next(), 32).await.unwrap();
            if page.handovers.is_empty() {
                return epochs;
            }
            for entry in page.handovers {
                let handover = Handover::decode(&entry.handover.0).unwrap();
                epochs.push(handover.verify(epochs.last().unwrap()).unwrap());
            }
        }
    }
}

fn members(epoch: &TrustedEpoch) -> Vec<PublicKey> {
    epoch.validators().members().iter().map(|member| member.key).collect()
}

/// Waits until an epoch has begun at a node.
async fn reach(client: &Client, epoch: EpochNumber) {
    wait_for_some("an epoch", PATIENCE, async || {
        let status = client.node_status().await.ok()?;
        Some(()).filter(|()| status.epoch.0 >= epoch)
    })
    .await;
}

async fn wait_for_status(client: &Client, what: &str, is_so: impl Fn(&NodeStatus) -> bool) -> NodeStatus {
    wait_for_some(what, PATIENCE, async || client.node_status().await.ok().filter(&is_so)).await
}

/// Watches the highest block that any of the nodes knows.
struct Watch {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Duration>,
}

impl Watch {
    fn over(testnet: &Testnet) -> Self {
        let clients: Vec<Client> =
            testnet.report.nodes.iter().map(|node| testnet.client(&node.name)).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut highest, mut since, mut longest) = (0, Instant::now(), Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                for client in &clients {
                    let found = height(client).await;
                    if found > highest {
                        (highest, since) = (found, Instant::now());
                    }
                    longest = longest.max(since.elapsed());
                }
                tokio::time::sleep(GLANCE).await;
            }
            longest
        });
        Self { stop, task }
    }

    /// The longest time without a new block.
    async fn end(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn validators_come_change_their_keys_and_go_while_blocks_go_on() {
    let _turn = take_turn();
    let mut testnet = Testnet::start(&QUICK);
    let watch = Watch::over(&testnet);
    for node in ["n5", "n6"] {
        let said = testnet.succeed(&["add", node]);
        assert!(said.contains(&format!("{node} is an observer")), "{said}");
    }
    testnet.reread();
    let government = Government::of(&testnet);
    let (n1, n2, n5) = (testnet.client("n1"), testnet.client("n2"), testnet.client("n5"));
    assert_eq!(n5.node_status().await.unwrap().validator, None);

    // A fifth validator.
    let five = government.decides(&n1, government.add("n5", 4)).await;
    reach(&n1, five).await;
    let before = n1.validators(Some(EpochNumber::new(five.get() - 1))).await.unwrap();
    let since = n1.validators(Some(five)).await.unwrap();
    assert_eq!((before.validators.len(), since.validators.len(), since.quorum), (4, 5, 4));
    wait_for_status(&n5, "the vote of n5", |status| {
        status.validator == Some(4) && status.voting == Voting::Yes
    })
    .await;

    // Four of five go on, and only with the fifth.
    assert!(signal(testnet.node("n1").pid.unwrap(), Signal::KILL));
    let gone = height(&n2).await;
    let proof = wait_for_some("blocks without n1", PATIENCE, async || {
        n2.finality(None).await.ok().filter(|answer| answer.certified_height.0.get() > gone + 3)
    })
    .await;
    assert_eq!(proof.signers, [1, 2, 3, 4]);
    testnet.succeed(&["restart", "n1"]);

    // A validator goes on with the key of another node.
    let rotated = government.decides(&n2, government.rotate("n3", 2, "n6")).await;
    reach(&n2, rotated).await;
    wait_for_status(&testnet.client("n6"), "the vote of n6", |status| {
        status.validator == Some(2) && status.voting == Voting::Yes
    })
    .await;
    wait_for_status(&testnet.client("n3"), "n3 to follow", |status| status.voting == Voting::Observer).await;

    // A validator leaves.
    let name = Text::new("n2").unwrap();
    let removed = government.decides(&n1, Operation::ValidatorRemove { name }).await;
    reach(&n1, removed).await;
    wait_for_status(&n2, "n2 to follow", |status| status.voting == Voting::Observer).await;
    wait_for_status(&n5, "n5 to move up", |status| status.validator == Some(3)).await;
    reach(&n1, removed.next()).await;

    let epochs = government.epochs(&n5).await;
    let at = |epoch: EpochNumber| members(&epochs[usize::try_from(epoch.get()).unwrap()]);
    assert_eq!(at(EpochNumber::ZERO), government.keys(&["n1", "n2", "n3", "n4"]));
    assert_eq!(at(five), government.keys(&["n1", "n2", "n3", "n4", "n5"]));
    assert_eq!(at(rotated), government.keys(&["n1", "n2", "n6", "n4", "n5"]));
    assert_eq!(at(removed), government.keys(&["n1", "n6", "n4", "n5"]));
    // A block within the newest epoch that is over.
    let height = epochs[epochs.len() - 2].last().previous().unwrap();
    let newest = n5.finality(Some(height)).await.unwrap();
    let proof = FinalityProof::decode(&newest.proof.certified.0).unwrap();
    let trusted = epochs.iter().find(|epoch| epoch.number() == proof.header.epoch).unwrap();
    proof.verify(trusted).unwrap();

    let evidence = n1.evidence(Proofs::Omit).await.unwrap();
    assert!(evidence.evidence.is_empty(), "{evidence:?}");
    let gap = watch.end().await;
    assert!(gap <= GAP_MAX, "no block for {gap:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_node_stays_and_the_table_says_who_votes_and_in_which_epoch() {
    let _turn = take_turn();
    let mut testnet = Testnet::start(&QUICK);
    let wrong = testnet.command(&["add", "n7"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("expected \"n5\""), "{wrong:?}");
    testnet.succeed(&["add"]);
    testnet.reread();
    let government = Government::of(&testnet);
    let from = government.decides(&testnet.client("n1"), government.add("n5", 4)).await;
    reach(&testnet.client("n5"), from).await;

    let said = testnet.succeed(&["status"]);
    let line = said.lines().find(|line| line.starts_with("n5 ")).unwrap();
    assert!(line.starts_with("n5    validator  http"), "{said}");
    assert!(said.lines().next().unwrap().contains("  epoch "), "{said}");
    testnet.signal(Signal::INT);
    assert_eq!(testnet.wait_for_end(PATIENCE), Some(0));

    testnet.start_again(&[]);

    assert_eq!(testnet.report.nodes.len(), 5);
    assert_eq!(testnet.node("n5").role, "validator");
    assert!(testnet.report.epoch.unwrap() >= from.get());
}
