//! The nodes that a command may ask, and the rule by which one of their answers is used: it is proven,
//! it is recent, and it is no older than what was verified before. An answer of a later epoch is used
//! only after the handovers up to that epoch were asked for and verified.
use quorate_keystore::Home;
use quorate_primitives::address::AccountId;
use quorate_primitives::light::Finalized;
use quorate_primitives::state::{Account, Asset, AssetId, StateKey};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::validators::ValidatorSet;
use quorate_primitives::{EpochNumber, Hash};
use quorate_rpc::api::{EPOCHS_MAX, PAGE_ROWS_MAX, STATE_KEYS_MAX};
use quorate_rpc::backend::Proofs;
use quorate_rpc::client::{Client, ClientError, Reply};
use quorate_rpc::{ErrorKind, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

use crate::arguments::Settings;
use crate::clock;
use crate::failure::{Exit, Failure};
use crate::network::Network;
use crate::newest_epoch::NewestEpoch;
use crate::output;
use crate::remembered::Remembered;
use crate::verify::{
    Distrust, ProvenBalances, ProvenEvidence, ProvenReceipt, ProvenState, Reached, Verifier,
};

/// How long a node may need to come to a height that was verified before: another node may have been a
/// block ahead, or this one was just restarted.
const CATCH_UP: Duration = Duration::from_secs(3);
/// Pause before a node that is not ready is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a node may take for an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Most pages of assets that are read: 10,000 assets.
const ASSET_PAGES_MAX: usize = 100;

struct Node {
    url: String,
    client: Client,
}

/// The nodes of a network, of which the first that answers is asked.
pub struct Nodes {
    nodes: Vec<Node>,
    current: usize,
    verifier: Verifier,
    remembered: Remembered,
    newest_epoch: NewestEpoch,
    max_age_ms: u64,
}

/// What became of a transaction that was given to a node.
pub enum Taken {
    /// It is in a block, which is proven.
    Proven(Box<ProvenReceipt>),
    /// The node took it, and its outcome is not known.
    Pending,
    /// The node refused it; nothing proves that it was right.
    Refused {
        /// What it said.
        reason: String,
        /// Whether the transaction could be taken later or elsewhere.
        retryable: bool,
    },
}

impl Nodes {
    /// Prepares to ask the nodes of a network; connects to none.
    ///
    /// # Errors
    /// [`Exit::Configuration`] for a URL or a file that cannot be used.
    pub fn new(home: &Home, network: &Network, settings: &Settings) -> Result<Self, Failure> {
        let connect = |url: &String| {
            let client = Client::new(url, ANSWER);
            let client =
                client.map_err(|error| Failure::new(Exit::Configuration, format_args!("{url}: {error}")))?;
            Ok(Node { url: url.clone(), client })
        };
        let mut verifier = network.verifier();
        let newest_epoch = NewestEpoch::new(home.epoch_path(&network.name));
        match newest_epoch.read(verifier.newest()) {
            Ok(epoch) => epoch.into_iter().for_each(|epoch| verifier.learn(epoch)),
            Err(why) => output::warn(format_args!(
                "{why}; this file is not used, and the validators are verified from the genesis again"
            )),
        }
        Ok(Self {
            nodes: network.urls.iter().map(connect).collect::<Result<_, Failure>>()?,
            current: 0,
            verifier,
            remembered: Remembered::open(home.verified_path(&network.name))?,
            newest_epoch,
            max_age_ms: settings.max_age.ms(),
        })
    }

    /// The node that answered last, or will be asked next.
    #[must_use]
    pub fn url(&self) -> &str {
        self.nodes.get(self.current).map_or("", |node| &node.url)
    }

    /// How many nodes are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    fn distrust(&self, why: &Distrust) -> Failure {
        Failure::distrust(self.url(), why)
    }

    fn turn(&mut self) {
        self.current = self.current.saturating_add(1) % self.nodes.len().max(1);
    }

    /// Asks the nodes in turn until one answers. Nodes that say that they are not ready are asked again
    /// for a while; others are asked once.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] naming the last reason, [`Exit::Distrust`] for an answer that is none.
    pub async fn ask<T>(&mut self, question: impl AsyncFn(&Client) -> Reply<T>) -> Result<T, Failure> {
        let deadline = Instant::now() + CATCH_UP;
        loop {
            let mut reason = String::from("no node is known");
            let mut later = false;
            for _ in 0..self.nodes.len() {
                let Some(node) = self.nodes.get(self.current) else { break };
                match question(&node.client).await {
                    Ok(answer) => return Ok(answer),
                    Err(ClientError::Protocol { reason, .. }) => {
                        return Err(self.distrust(&Distrust::Unreadable { reason }));
                    }
                    Err(error) => {
                        later |= error.kind().is_some_and(ErrorKind::is_retryable);
                        reason = error.to_string();
                    }
                }
                self.turn();
            }
            if !later || Instant::now() >= deadline {
                let tried = self.nodes.len();
                return Err(Failure::new(
                    Exit::Unreachable,
                    format_args!("no node answers ({tried} tried); {reason}"),
                ));
            }
            sleep(PAUSE).await;
        }
    }

    /// Comes to an epoch by verified handovers, from the newest one before it whose validators are
    /// known. The node that was asked last has spoken of that epoch.
    async fn reach(&mut self, epoch: EpochNumber) -> Result<(), Failure> {
        let (speaker, deadline) = (self.current, Instant::now() + CATCH_UP);
        let mut trusted = self.verifier.up_to(epoch).clone();
        while trusted.number() < epoch {
            let (from, missing) = (trusted.number().next(), epoch.distance_from(trusted.number()));
            let limit = u32::try_from(missing).map_or(EPOCHS_MAX, |missing| missing.min(EPOCHS_MAX));
            let page = self.ask(async |client: &Client| client.epochs(from, limit).await).await?;
            let reached = Verifier::follow(&trusted, limit, &page).map_err(|why| self.distrust(&why))?;
            if let Some(reached) = reached {
                trusted = reached.epoch.clone();
                self.note_epoch(&reached);
                continue;
            }
            // Behind one address there may be several nodes, and the one that gave this page a block behind.
            if Instant::now() >= deadline {
                return Err(self.not_handed_over(speaker, epoch, from));
            }
            self.current = speaker;
            sleep(PAUSE).await;
        }
        self.verifier.learn(trusted);
        self.current = speaker;
        Ok(())
    }

    /// Remembers the newest epoch that was reached. That it cannot be written costs no more than
    /// verifying it again.
    fn note_epoch(&mut self, reached: &Reached) {
        if reached.epoch.number() <= self.verifier.newest().number() {
            return;
        }
        self.verifier.learn(reached.epoch.clone());
        if let Err(failure) = self.newest_epoch.keep(reached) {
            output::warn(format_args!("the verified epoch could not be noted: {failure}"));
        }
    }

    fn not_handed_over(&self, speaker: usize, claimed: EpochNumber, missing: EpochNumber) -> Failure {
        if self.current == speaker {
            return self.distrust(&Distrust::NoHandover { claimed, missing });
        }
        let said = self.nodes.get(speaker).map_or("", |node| &node.url);
        let what = "gives the handover to it";
        let message = format!("{said} spoke of epoch {claimed} and is gone, and no other node {what} yet");
        Failure::new(Exit::Unreachable, message)
    }

    /// Asks until an answer is proven, recent and not older than what was verified before.
    async fn proven<T, A>(
        &mut self,
        question: impl AsyncFn(&Client) -> Reply<A>,
        verify: impl Fn(&Verifier, &A) -> Result<(Finalized, T), Distrust>,
    ) -> Result<(Finalized, T), Failure> {
        let mut deadline = Instant::now() + CATCH_UP;
        let mut stale = 0_usize;
        loop {
            let answer = self.ask(&question).await?;
            let (ledger, value) = match self.judge(verify(&self.verifier, &answer)) {
                Ok(proven) => proven,
                Err(Distrust::UnknownEpoch { epoch, .. }) => {
                    self.reach(epoch).await?;
                    // The way there may have been long, and the answer is as old.
                    deadline = Instant::now() + CATCH_UP;
                    continue;
                }
                Err(Distrust::WentBack { .. }) if Instant::now() < deadline => {
                    self.turn();
                    sleep(PAUSE).await;
                    continue;
                }
                Err(why) => return Err(self.distrust(&why)),
            };
            let age = clock::now().distance_from(ledger.time());
            if age > self.max_age_ms {
                stale = stale.saturating_add(1);
                if stale >= self.nodes.len() {
                    return Err(self.stale(&ledger, age));
                }
                self.turn();
                continue;
            }
            self.remembered.keep(&ledger)?;
            return Ok((ledger, value));
        }
    }

    /// Whether what was verified may be the newest ledger. What can be verified only in an epoch that is
    /// older than the newest one is judged by the height that it claims.
    fn judge<T>(&self, verified: Result<(Finalized, T), Distrust>) -> Result<(Finalized, T), Distrust> {
        let verified = match verified {
            Err(Distrust::UnknownEpoch { height, .. }) => self.verifier.check_recent(height).and(verified),
            other => other,
        };
        let (ledger, value) = verified?;
        self.verifier.check_recent(ledger.height())?;
        self.remembered.check(&ledger)?;
        Ok((ledger, value))
    }

    fn stale(&self, ledger: &Finalized, age_ms: u64) -> Failure {
        let (url, height) = (self.url(), ledger.height());
        let (age, bound) = (clock::seconds(age_ms), clock::seconds(self.max_age_ms));
        let why = "the node is behind or withholds newer blocks";
        let message = format!(
            "stale: the newest block that {url} proves is height {height}, {age} old (--max-age {bound}): {why}"
        );
        Failure::new(Exit::Unknown, message)
    }

    /// Values of the state, as of the newest block.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn state(&mut self, keys: &[StateKey]) -> Result<ProvenState, Failure> {
        let verify = |verifier: &Verifier, answer: &json::StateAnswer| {
            verifier.state(keys, answer).map(|state| (state.ledger.clone(), state))
        };
        let (_, state) =
            self.proven(async |client| client.state(keys, Proofs::Include).await, verify).await?;
        Ok(state)
    }

    /// Reads a value that was asked for with [`Nodes::state`].
    ///
    /// # Errors
    /// [`Exit::Distrust`] if the state holds no such value.
    pub fn value<T: borsh::BorshDeserialize>(
        &self,
        state: &ProvenState,
        key: &StateKey,
    ) -> Result<Option<T>, Failure> {
        state.get(key).map_err(|why| self.distrust(&why))
    }

    /// All balances of an account, as of the newest block.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn balances(&mut self, account: AccountId) -> Result<ProvenBalances, Failure> {
        let verify = |verifier: &Verifier, answer: &json::BalancesAnswer| {
            verifier.balances(account, answer).map(|balances| (balances.ledger.clone(), balances))
        };
        let (_, balances) =
            self.proven(async |client| client.balances(account, Proofs::Include).await, verify).await?;
        Ok(balances)
    }

    /// All evidence against validators, as of the newest block.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn evidence(&mut self) -> Result<ProvenEvidence, Failure> {
        let verify = |verifier: &Verifier, answer: &json::EvidenceAnswer| {
            verifier.evidence(answer).map(|evidence| (evidence.ledger.clone(), evidence))
        };
        let (_, evidence) =
            self.proven(async |client| client.evidence(Proofs::Include).await, verify).await?;
        Ok(evidence)
    }

    /// The validators of an epoch that has begun. The caller has a proven ledger of that epoch or of a
    /// later one.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn validators(&mut self, epoch: EpochNumber) -> Result<ValidatorSet, Failure> {
        self.reach(epoch).await?;
        Ok(self.verifier.up_to(epoch).validators().clone())
    }

    /// The newest epoch whose validators are verified.
    #[must_use]
    pub fn newest_epoch(&self) -> EpochNumber {
        self.verifier.newest().number()
    }

    /// An account or its absence, as of the newest block.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn account(&mut self, id: AccountId) -> Result<(Finalized, Option<Account>), Failure> {
        let verify = |verifier: &Verifier, answer: &json::AccountAnswer| verifier.account(id, answer);
        self.proven(async |client| client.account(id, Proofs::Include).await, verify).await
    }

    /// An asset or its absence, as of the newest block.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn asset(&mut self, id: AssetId) -> Result<(Finalized, Option<Asset>), Failure> {
        let verify = |verifier: &Verifier, answer: &json::AssetAnswer| verifier.asset(id, answer);
        self.proven(async |client| client.asset(id, Proofs::Include).await, verify).await
    }

    /// Assets by id, as of the newest block; those that do not exist are left out.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn assets(&mut self, ids: &[AssetId]) -> Result<Vec<(AssetId, Asset)>, Failure> {
        let mut found = Vec::new();
        for page in ids.chunks(STATE_KEYS_MAX) {
            let keys: Vec<StateKey> = page.iter().map(|id| StateKey::Asset(*id)).collect();
            let state = self.state(&keys).await?;
            for id in page {
                let asset = self.value::<Asset>(&state, &StateKey::Asset(*id))?;
                found.extend(asset.map(|asset| (*id, asset)));
            }
        }
        Ok(found)
    }

    /// All assets that the nodes list, each proven. Nothing proves that there are no others.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn listed_assets(&mut self) -> Result<(Option<Finalized>, Vec<(AssetId, Asset)>), Failure> {
        let (mut found, mut ledger, mut after) = (Vec::new(), None, None);
        for _ in 0..ASSET_PAGES_MAX {
            let page = self.ask(async |client: &Client| client.assets(after, PAGE_ROWS_MAX).await).await?;
            let ids: Vec<AssetId> = page.assets.iter().map(|row| row.id.0).collect();
            let ascending = after.iter().chain(&ids).is_sorted_by(|a, b| a < b);
            if !ascending || ids.len() > STATE_KEYS_MAX {
                return Err(self.distrust(&Distrust::OtherSubject {
                    what: "the list of assets is not a page in order",
                }));
            }
            if !ids.is_empty() {
                let keys: Vec<StateKey> = ids.iter().map(|id| StateKey::Asset(*id)).collect();
                let state = self.state(&keys).await?;
                for (row, key) in page.assets.iter().zip(&keys) {
                    let asset = self.value::<Asset>(&state, key)?;
                    if state.ledger.height() >= page.height.0 {
                        self.verifier.listed(row, asset.as_ref()).map_err(|why| self.distrust(&why))?;
                    }
                    found.extend(asset.map(|asset| (row.id.0, asset)));
                }
                ledger = Some(state.ledger);
            }
            after = page.next.map(|next| next.0);
            if after.is_none() {
                break;
            }
        }
        Ok((ledger, found))
    }

    /// Checks what the node wrote beside balances against proven assets.
    ///
    /// # Errors
    /// [`Exit::Distrust`] if it wrote something else.
    pub fn check_labels(&self, balances: &ProvenBalances, id: AssetId, asset: &Asset) -> Result<(), Failure> {
        balances.check_labels(id, asset).map_err(|why| self.distrust(&why))
    }

    /// What a transaction did. `Err` in the answer is how the node says it stands, unproven.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn transaction(
        &mut self,
        id: Hash,
    ) -> Result<Result<ProvenReceipt, json::TransactionAnswer>, Failure> {
        let answer = self.ask(async |client: &Client| client.transaction(id, Proofs::Include).await).await?;
        let proven = self.receipt(id, &answer).await?;
        Ok(proven.ok_or(answer))
    }

    /// Verifies a receipt, which may be of any epoch.
    async fn receipt(
        &mut self,
        id: Hash,
        answer: &json::TransactionAnswer,
    ) -> Result<Option<ProvenReceipt>, Failure> {
        let mut verified = self.verifier.receipt(id, answer);
        if let Err(Distrust::UnknownEpoch { epoch, .. }) = verified {
            self.reach(epoch).await?;
            verified = self.verifier.receipt(id, answer);
        }
        let proven = verified.map_err(|why| self.distrust(&why))?;
        if let Some(proven) = &proven {
            // Whoever has seen a payment is not shown a balance from before it. That this cannot be
            // written does not undo the payment.
            if let Err(failure) = self.remembered.keep(&proven.ledger) {
                output::warn(format_args!("the verified height could not be noted: {failure}"));
            }
        }
        Ok(proven)
    }

    /// Gives a transaction to a node and waits there for at most this long.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn submit(&mut self, signed: &SignedTransaction, wait: Duration) -> Result<Taken, Failure> {
        let question =
            async |client: &Client| match client.submit_and_wait(signed, wait, Proofs::Include).await {
                Ok(answer) => Ok(Ok(answer)),
                Err(ClientError::Rpc { error, .. }) => Ok(Err(error)),
                Err(other) => Err(other),
            };
        let answer = match self.ask(question).await? {
            Ok(answer) => answer,
            Err(refusal) if refusal.kind() == Some(ErrorKind::AlreadyKnown) => return Ok(Taken::Pending),
            Err(refusal) => {
                let retryable = refusal.data.as_ref().is_some_and(|data| data.retryable);
                return Ok(Taken::Refused { reason: refusal.to_string(), retryable });
            }
        };
        let proven = self.receipt(signed.id(), &answer).await?;
        Ok(proven.map_or(Taken::Pending, |receipt| Taken::Proven(Box::new(receipt))))
    }

    /// Uses the next node from now on, if there is another.
    pub fn next(&mut self) {
        self.turn();
    }
}
