//! Sending a transaction exactly once: sign, keep, submit, and wait for an outcome that is proven.
use quorate_primitives::codec::{Blob, List};
use quorate_primitives::receipt::Verdict;
use quorate_primitives::state::Parameters;
use quorate_primitives::transaction::{
    Action, Nonce, Operation, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;
use std::io::{BufRead, Write};
use std::time::Duration;
use tokio::time::{Instant, sleep};

use crate::arguments::Sending;
use crate::clock;
use crate::explain::{self, assets_of, trust_json, trust_line};
use crate::failure::{Exit, Failure};
use crate::nodes::Taken;
use crate::outbox::{Entry, Outbox};
use crate::outcome::{Outcome, Standing, nonce_used, standing};
use crate::output::{self, Report};
use crate::secrets;
use crate::session::Session;
use crate::signers::Signers;
use crate::typed::TypedNonce;
use crate::verify::ProvenReceipt;

/// Longest time that one node is waited for before another one is tried.
const TURN: Duration = Duration::from_secs(10);
/// Pause before a transaction without outcome is looked for again.
const PAUSE: Duration = Duration::from_millis(200);
/// Shortest validity: below, a transaction could expire before it reaches a leader.
const EXPIRES_MS_MIN: u64 = 1_000;

/// What came of giving a transaction to the nodes.
enum Offered {
    /// It is in a block, which is proven.
    Proven(Box<ProvenReceipt>),
    /// A node took it or may take it later.
    Open,
    /// Every node that answers refused it for good, with these words.
    Refused(String),
}

/// A transaction that is about to be sent, or was sent before under the same name.
pub struct Outgoing<'a> {
    sending: &'a Sending,
    signers: Signers,
    nonce: Nonce,
    outbox: Outbox,
    earlier: Option<Entry>,
    effect: Option<String>,
}

impl<'a> Outgoing<'a> {
    /// Chooses keys and name, and looks for what was signed under this name before.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub fn begin(session: &Session<'_>, sending: &'a Sending) -> Result<Self, Failure> {
        if session.settings.unverified {
            return Err(Failure::usage("--unverified is for reads: nothing is signed on the word of a node"));
        }
        let signers = Signers::find(session, sending)?;
        let nonce = sending.id.map_or_else(random_nonce, |typed| Ok(typed.get()))?;
        let outbox = Outbox::new(session.home.outbox_folder(&session.network.name));
        let earlier = outbox.find(signers.account(), nonce)?;
        Ok(Self { sending, signers, nonce, outbox, earlier, effect: None })
    }

    /// The account that acts, and the keys that sign for it.
    #[must_use]
    pub fn signers(&self) -> &Signers {
        &self.signers
    }

    /// Says when it will take effect, to be shown before it is signed.
    #[must_use]
    pub fn with_effect(mut self, effect: String) -> Self {
        self.effect = Some(effect);
        self
    }

    /// Whether nothing was signed under this name before. Only then is it worth looking whether the
    /// ledger would refuse it: one that was sent has changed the ledger itself.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.earlier.is_none()
    }

    /// Sends one operation and waits for its outcome.
    ///
    /// # Errors
    /// [`Failure`] by class: [`Exit::Rejected`], [`Exit::Expired`] and [`Exit::Unknown`] are outcomes.
    pub async fn send(
        self,
        session: &mut Session<'_>,
        parameters: &Parameters,
        operation: Operation,
    ) -> Result<Report, Failure> {
        let unsigned = self.compose(session, parameters, operation)?;
        let signed = match &self.earlier {
            Some(entry) => self.same_again(session, entry, &unsigned)?,
            None => {
                self.check_nonce(session).await?;
                self.sign_and_keep(session, unsigned)?
            }
        };
        match self.deliver(session, &signed).await {
            Ok(outcome) => self.conclude(session, &signed, outcome).await,
            Err(failure) => Err(self.traced(&signed, failure)),
        }
    }

    /// Adds to a failure which transaction may be on its way: whoever loses that could pay twice. A
    /// fault of this machine says nothing about the transaction, so that its outcome is not known.
    fn traced(&self, signed: &SignedTransaction, failure: Failure) -> Failure {
        if failure.details.get("tx_id").is_some() {
            return failure;
        }
        let exit = match failure.exit {
            Exit::Configuration | Exit::Internal => Exit::Unknown,
            other => other,
        };
        let (tx, id) = (signed.id(), TypedNonce::new(self.nonce));
        let why = format!("{failure}; transaction {tx} may have been sent: repeating with --id {id} is safe");
        let details = json!({ "tx_id": tx.to_string(), "nonce": id.to_hex(), "proven": false });
        Failure::new(exit, why).with_details(details)
    }

    /// Notes a proven outcome. That it cannot be noted does not change it.
    fn note(&self, signed: &SignedTransaction, outcome: &str) {
        if let Err(failure) = self.outbox.conclude(signed, outcome) {
            output::warn(format_args!("the outcome is proven but could not be noted: {failure}"));
        }
    }

    fn compose(
        &self,
        session: &Session<'_>,
        parameters: &Parameters,
        operation: Operation,
    ) -> Result<Transaction, Failure> {
        let (expires, most) = (self.sending.expires.ms(), parameters.max_validity_ms);
        if !(EXPIRES_MS_MIN..=most).contains(&expires) {
            let allowed = format!("expected {EXPIRES_MS_MIN}ms to {most}ms");
            return Err(Failure::usage(format_args!("--expires: {allowed}, found {expires}ms")));
        }
        let bytes = |text: Option<&str>| text.unwrap_or_default().as_bytes().to_vec();
        let reference = self.sending.reference.as_ref().map(|text| text.as_str());
        let memo = self.sending.memo.as_ref().map(|text| text.as_str());
        Ok(Transaction {
            chain: session.network.chain,
            version: TRANSACTION_VERSION,
            sender: self.signers.account(),
            nonce: self.nonce,
            valid_until: clock::now().saturating_add(expires),
            actions: List::of_one(Action { actor: None, operation }),
            asserts: List::default(),
            reference: Blob::new(bytes(reference))
                .map_err(|error| Failure::usage(format_args!("--ref: {error}")))?,
            memo: Blob::new(bytes(memo)).map_err(|error| Failure::usage(format_args!("--memo: {error}")))?,
            signers: self.signers.public_keys().clone(),
        })
    }

    /// What was signed before under this name, if it is what is asked for now.
    fn same_again(
        &self,
        session: &Session<'_>,
        entry: &Entry,
        asked: &Transaction,
    ) -> Result<SignedTransaction, Failure> {
        let before = entry.signed.transaction();
        // A later repetition may only differ in when it was asked for.
        let again = Transaction { valid_until: before.valid_until, ..asked.clone() };
        if again.signers != before.signers {
            let keys: Vec<String> = before.signers.iter().map(ToString::to_string).collect();
            let (id, keys) = (TypedNonce::new(self.nonce), keys.join(", "));
            let how = "repeat it with those, or choose another id";
            return Err(Failure::usage(format_args!(
                "--id: {id} was signed before with the keys {keys}; {how}"
            )));
        }
        if again != *before {
            let (id, what) = (TypedNonce::new(self.nonce), describe(session, before));
            let how = "repeat that, or choose another id";
            return Err(Failure::usage(format_args!(
                "--id: {id} was used for another transaction: {what}; {how}"
            )));
        }
        let recorded = entry.outcome.as_ref().map(|outcome| format!(" and recorded as {outcome}"));
        let why = format!("sent before{}; the same bytes are sent again", recorded.unwrap_or_default());
        self.announce(session, before, &why);
        Ok(entry.signed.clone())
    }

    /// Refuses a name that the ledger has seen already: what nobody signed cannot happen later, when
    /// the ledger has forgotten the first use.
    async fn check_nonce(&self, session: &mut Session<'_>) -> Result<(), Failure> {
        if self.sending.id.is_none() {
            return Ok(());
        }
        let used = nonce_used(&mut session.nodes, self.signers.account(), self.nonce).await?;
        used.map_or(Ok(()), |used| Err(used.failure(self.nonce, None)))
    }

    fn sign_and_keep(
        &self,
        session: &Session<'_>,
        unsigned: Transaction,
    ) -> Result<SignedTransaction, Failure> {
        self.announce(session, &unsigned, "to be signed");
        self.confirm()?;
        let secrets = self.signers.open(session.settings)?;
        let signed = unsigned.sign(&secrets).map_err(|error| Failure::new(Exit::Internal, error))?;
        self.outbox.keep(&signed)?;
        Ok(signed)
    }

    fn announce(&self, session: &Session<'_>, transaction: &Transaction, why: &str) {
        let id = TypedNonce::new(self.nonce);
        let mut lines = vec![
            format!("network    {} {}", session.network.genesis.network, session.network.chain),
            format!("key        {}", self.signers.shown()),
            format!("action     {}", describe(session, transaction)),
        ];
        lines.extend(self.effect.iter().map(|effect| format!("effect     {effect}")));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !transaction.reference.is_empty() {
            lines.push(format!("reference  {}", text(&transaction.reference)));
        }
        if !transaction.memo.is_empty() {
            lines.push(format!("memo       {}", text(&transaction.memo)));
        }
        let until = quorate_rpc::json::values::rfc3339(transaction.valid_until);
        lines.push(format!("valid      until {until}"));
        lines.push(format!("id         {id} ({why}; repeating with --id {id} is safe)"));
        tell(&lines.join("\n"));
    }

    fn confirm(&self) -> Result<(), Failure> {
        // What test keys can send is worth nothing.
        if self.sending.yes || self.signers.are_test_keys() {
            return Ok(());
        }
        if !secrets::is_attended() {
            let why = "not confirmed, and there is no terminal to ask at: give --yes";
            return Err(Failure::new(Exit::Refused, why));
        }
        tell("Sign and send? [y/N]");
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        read.map_err(|error| Failure::new(Exit::Internal, format_args!("standard input: {error}")))?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Failure::new(Exit::Refused, "not confirmed; nothing was signed")),
        }
    }

    /// Gives the transaction to nodes until its outcome is proven.
    async fn deliver(
        &self,
        session: &mut Session<'_>,
        signed: &SignedTransaction,
    ) -> Result<Outcome, Failure> {
        let deadline = Instant::now() + Duration::from_millis(self.sending.wait.ms());
        loop {
            let mut why = "no proven outcome yet".to_owned();
            let mut refused_by_all = false;
            match self.offer(session, signed, deadline).await {
                Ok(Offered::Proven(receipt)) => return Ok(Outcome::Receipt(receipt)),
                Ok(Offered::Open) => {}
                Ok(Offered::Refused(said)) => (why, refused_by_all) = (said, true),
                // A node that is gone may have passed the transaction on before.
                Err(failure) if failure.exit == Exit::Unreachable => {}
                Err(failure) => return Err(failure),
            }
            match look(session, signed).await {
                Ok((Some(outcome), _)) => return Ok(outcome),
                Ok((None, Standing::Forgotten)) => {
                    let recorded = self.earlier.as_ref().and_then(|entry| entry.outcome.as_ref());
                    let recorded = recorded.map(|word| format!(" (this wallet recorded: {word})"));
                    let why = "expired so long ago that the ledger has forgotten it";
                    return Err(self.unknown(signed, &format!("{why}{}", recorded.unwrap_or_default())));
                }
                Ok((None, Standing::Included(height))) => {
                    why = format!("in block {height}, which is proven, but no node gives its receipt");
                }
                // One node's word settles nothing, and neither do the words of all: any of them, or
                // whoever saw the transaction on its way, can bring it into a block until it expires.
                Ok((None, _)) if refused_by_all => return Err(self.unknown(signed, &why)),
                Ok((None, _)) => {}
                Err(failure) if failure.exit == Exit::Unreachable => {}
                Err(failure) => return Err(failure),
            }
            if Instant::now() >= deadline {
                return Err(self.unknown(signed, &why));
            }
            sleep(PAUSE).await;
        }
    }

    /// Gives the transaction to each node once, until one takes it or may take it later.
    async fn offer(
        &self,
        session: &mut Session<'_>,
        signed: &SignedTransaction,
        deadline: Instant,
    ) -> Result<Offered, Failure> {
        let mut said: Vec<String> = Vec::new();
        for _ in 0..session.nodes.count() {
            let left = deadline.saturating_duration_since(Instant::now());
            match session.nodes.submit(signed, left.min(TURN)).await? {
                Taken::Proven(receipt) => return Ok(Offered::Proven(receipt)),
                Taken::Pending => return Ok(Offered::Open),
                Taken::Refused { reason, retryable } => {
                    let one = format!("refused by {}: {reason}", session.nodes.url());
                    session.nodes.next();
                    if retryable {
                        return Ok(Offered::Open);
                    }
                    if !said.contains(&one) {
                        said.push(one);
                    }
                }
            }
        }
        Ok(Offered::Refused(format!("{}; that is not proven", said.join("; "))))
    }

    fn unknown(&self, signed: &SignedTransaction, why: &str) -> Failure {
        let (tx, id) = (signed.id(), TypedNonce::new(self.nonce));
        let how = format!(
            "repeating with --id {id} is safe; with another id it could happen twice until it expires"
        );
        Failure::new(Exit::Unknown, format_args!("{why}: transaction {tx}; {how}"))
            .with_details(json!({ "tx_id": tx.to_string(), "nonce": id.to_hex(), "proven": false }))
    }

    async fn conclude(
        &self,
        session: &mut Session<'_>,
        signed: &SignedTransaction,
        outcome: Outcome,
    ) -> Result<Report, Failure> {
        let id = TypedNonce::new(self.nonce);
        match outcome {
            Outcome::Expired(ledger) => {
                self.note(signed, "expired");
                let tx = signed.id();
                let trust = trust_line(&ledger);
                let message = format!(
                    "expired: transaction {tx} is in no block and can never be in one ({})",
                    trust.trim_end()
                );
                let details =
                    json!({ "tx_id": tx.to_string(), "nonce": id.to_hex(), "verified": trust_json(&ledger) });
                Err(Failure::new(Exit::Expired, message).with_details(details))
            }
            Outcome::NonceUsed(used) => {
                self.note(signed, "nonce_conflict");
                Err(used.failure(self.nonce, Some(signed)))
            }
            Outcome::Receipt(receipt) => {
                let word = if receipt.receipt.verdict == Verdict::Committed { "committed" } else { "failed" };
                self.note(signed, word);
                let told = report(session, &receipt, Some(id)).await;
                told.map_err(|failure| self.settled(&receipt, word, failure))
            }
        }
    }

    /// Adds the proven outcome to a failure to show it.
    fn settled(&self, receipt: &ProvenReceipt, word: &str, failure: Failure) -> Failure {
        if failure.details.get("tx_id").is_some() {
            return failure;
        }
        let (tx, height) = (receipt.receipt.transaction, receipt.ledger.height());
        let id = TypedNonce::new(self.nonce);
        let known = format!("transaction {tx} is proven to have {word} in block {height} (id {id})");
        let details =
            json!({ "tx_id": tx.to_string(), "nonce": id.to_hex(), "outcome": word, "proven": true });
        Failure::new(failure.exit, format_args!("{failure}; {known}")).with_details(details)
    }
}

/// Looks once for the outcome of a transaction: its receipt, or the proof that there can be none.
///
/// # Errors
/// [`Failure`] by class.
pub async fn look(
    session: &mut Session<'_>,
    signed: &SignedTransaction,
) -> Result<(Option<Outcome>, Standing), Failure> {
    let standing = standing(&mut session.nodes, signed).await?;
    match &standing {
        Standing::Expired(ledger) => return Ok((Some(Outcome::Expired(ledger.clone())), standing)),
        Standing::NonceUsed(used) => return Ok((Some(Outcome::NonceUsed(used.clone())), standing)),
        Standing::Open | Standing::Included(_) | Standing::Forgotten => {}
    }
    let receipt = session.nodes.transaction(signed.id()).await?.ok();
    Ok((receipt.map(|receipt| Outcome::Receipt(Box::new(receipt))), standing))
}

/// Shows what a transaction in a block did; one that failed there is a failure.
///
/// # Errors
/// [`Exit::Rejected`] if it failed, or whatever reading the assets gives.
pub async fn report(
    session: &mut Session<'_>,
    proven: &ProvenReceipt,
    nonce: Option<TypedNonce>,
) -> Result<Report, Failure> {
    let (ledger, receipt) = (&proven.ledger, &proven.receipt);
    let (tx, height) = (receipt.transaction, ledger.height());
    let nonce = nonce.map(TypedNonce::to_hex);
    if let Verdict::Failed { failure, action } = receipt.verdict {
        let (code, name, description) = (failure.code(), failure.name(), failure.description());
        let at = action.map(|index| format!(" in action {index}")).unwrap_or_default();
        let (signers, validators) = ledger.signers();
        let proof = format!("proven by {signers} of {validators} validators");
        let message = format!(
            "rejected: {code} {name}{at}: {description} (transaction {tx}, height {height}, {proof})"
        );
        let details = json!({
            "tx_id": tx.to_string(), "nonce": nonce, "code": code, "name": name, "action": action,
            "proven": true, "verified": trust_json(ledger), "proof": proven.evidence,
        });
        return Err(Failure::new(Exit::Rejected, message).with_details(details));
    }
    match session.learn(&assets_of(receipt)).await {
        // The transaction is proven; without the assets its amounts are shown in smallest units.
        Err(failure) if failure.exit != Exit::Distrust => {}
        learned => learned?,
    }
    let words = &session.words;
    let text = format!("committed  {tx}\n{}{}", words.receipt(receipt), explain::trust_line(ledger));
    let fields = json!({
        "outcome": "committed",
        "tx_id": tx.to_string(),
        "nonce": nonce,
        "height": height.to_string(),
        "index": proven.index.to_string(),
        "receipt": quorate_rpc::json::Receipt::from(receipt),
        "balances": words.balances_after(receipt),
        "proof": proven.evidence,
        "verified": trust_json(ledger),
    });
    Ok(Report::new(text, fields))
}

fn describe(session: &Session<'_>, transaction: &Transaction) -> String {
    let each = transaction
        .actions
        .iter()
        .map(|action| session.words.operation(action.actor.unwrap_or(transaction.sender), &action.operation));
    each.collect::<Vec<_>>().join("; then ")
}

fn random_nonce() -> Result<Nonce, Failure> {
    let mut nonce = Nonce::default();
    let lost =
        |error: rand::rngs::SysError| Failure::new(Exit::Internal, format_args!("no random bytes: {error}"));
    SysRng.try_fill_bytes(&mut nonce).map_err(lost)?;
    Ok(nonce)
}

/// Tells a person. That nobody listens stops no payment: who is asked sits at a terminal, which shows it.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
