//! Single transfers, to see how soon one is final.
use std::time::{Duration, Instant};

use quorate_primitives::Amount;
use quorate_primitives::transaction::{Operation, Quantity, SignedTransaction};
use quorate_rpc::backend::Proofs;
use quorate_rpc::json::TransactionState;
use quorate_rpc::verify::Distrust;
use quorate_rpc::{Client, Verifier};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::accounts::{acting, now, sign};
use super::phases::{Bench, DRAIN, Latency};
use super::quantile;
use crate::commands::{Exit, Failure, OrExit};

/// Transfers that are sent one by one to a chain that has nothing to do.
const IDLE_SENT: usize = 40;
/// Pause before each of them.
const IDLE_PAUSE: Duration = Duration::from_millis(150);
/// Handovers that are asked for at a time.
const HANDOVERS: u32 = 32;
/// How long a transfer of these is valid.
const VALIDITY: Duration = Duration::from_secs(60);
/// Time between two probes.
const GAP: Duration = Duration::from_millis(250);
/// Probes that say what is normal.
const CALM_SENT: usize = 40;
/// Latency is normal again when most of so many probes, one after the other, are.
const ROW: usize = 4;
/// How long a probe may take; longer ones are as good as refused.
const PATIENCE: Duration = Duration::from_secs(15);

/// How soon a single transfer is final on a chain that has nothing else to do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Idle {
    /// Transfers sent.
    pub transfers: usize,
    /// From sending it to its block being told of as final.
    pub finality: Latency,
    /// From sending it to its receipt being verified against the validators' certificate.
    pub proven: Latency,
}

/// A transfer that was sent to see how long it takes.
#[derive(Clone, Copy, Debug)]
struct Probe {
    sent: Instant,
    /// In microseconds; `None` if it was refused or took too long.
    took_us: Option<u64>,
}

impl Bench<'_> {
    fn transfer(&self) -> Result<SignedTransaction, Failure> {
        let envelope = self.envelope(VALIDITY)?;
        let purses = self.workload.purses();
        let payer = purses.first().zip(purses.last());
        let (payer, payee) = payer.ok_or_else(|| Failure::new(Exit::Internal, "no accounts"))?;
        let quantity = Quantity::Exact(Amount::new(1));
        let transfer = Operation::Transfer { asset: envelope.asset, to: payee.id, quantity, tag: None };
        sign(&envelope, (payer.id, &payer.key), now()?.get(), vec![acting(transfer)])
    }

    /// Sends transfers one by one.
    ///
    /// # Errors
    /// [`Failure`] if one does not become final, or its proof does not hold.
    pub async fn idle(&self) -> Result<Idle, Failure> {
        let client = self.target.first()?;
        let genesis = &self.target.genesis;
        let mut verifier = Verifier::new(genesis.trusted(), genesis.parameters.clone());
        self.watch.begin(None);
        let (began, mut proven) = (Instant::now(), Vec::new());
        for _ in 0..IDLE_SENT {
            sleep(IDLE_PAUSE).await;
            let signed = self.transfer()?;
            let start = Instant::now();
            self.watch.expect(std::iter::once((signed.id(), start)));
            let answer =
                client.submit_and_wait(&signed, DRAIN, Proofs::Include).await.or_exit(Exit::Unreachable)?;
            let mut found = verifier.receipt(signed.id(), &answer);
            if let Err(Distrust::UnknownEpoch { .. }) = found {
                follow(client, &mut verifier).await?;
                found = verifier.receipt(signed.id(), &answer);
            }
            if found.or_exit(Exit::Internal)?.is_none() {
                return Err(Failure::new(
                    Exit::Internal,
                    format_args!("{} is not final: {:?}", signed.id(), answer.status),
                ));
            }
            proven.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        self.drain().await;
        let (_, finals) = self.watch.between(began, Instant::now());
        let finality = Latency::of(finals.iter().map(|done| done.micros).collect());
        Ok(Idle { transfers: proven.len(), finality, proven: Latency::of(proven) })
    }

    /// How soon probes are final while nothing else is offered.
    ///
    /// # Errors
    /// [`Failure`] if none is final.
    pub async fn calm(&self) -> Result<Latency, Failure> {
        let probes = self.probe(|probes| probes.len() >= CALM_SENT).await?;
        let took: Vec<u64> = probes.iter().filter_map(|probe| probe.took_us).collect();
        if took.is_empty() {
            return Err(Failure::new(Exit::Internal, "no transfer is final while nothing else is offered"));
        }
        Ok(Latency::of(took))
    }

    /// Sends probes until their median latency is at most `normal_us`, but for no longer than `limit`. When
    /// the first of those was sent, if there were any.
    ///
    /// # Errors
    /// [`Failure`] if a probe cannot be made.
    pub async fn recovery(&self, normal_us: u64, limit: Duration) -> Result<Option<Instant>, Failure> {
        let deadline = Instant::now() + limit;
        let is_over =
            |probes: &[Probe]| Instant::now() > deadline || first_normal(probes, normal_us).is_some();
        let probes = self.probe(is_over).await?;
        Ok(first_normal(&probes, normal_us))
    }

    /// Sends a probe at regular times, to all validators in turn, until that is over. Returns those that
    /// ended, in the order in which they were sent, up to the first that has not ended.
    async fn probe(&self, is_over: impl Fn(&[Probe]) -> bool) -> Result<Vec<Probe>, Failure> {
        let mut ticks = interval(GAP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut validators = self.target.clients.iter().cycle();
        let mut asked = JoinSet::new();
        let mut results: Vec<Option<Probe>> = Vec::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let Some(client) = validators.next().cloned() else { return Ok(Vec::new()) };
                    let (signed, number) = (self.transfer()?, results.len());
                    results.push(None);
                    asked.spawn(async move { (number, probe(&client, &signed).await) });
                }
                Some(ended) = asked.join_next() => {
                    let (number, probe) = ended.or_exit(Exit::Internal)?;
                    if let Some(place) = results.get_mut(number) {
                        *place = Some(probe);
                    }
                }
            }
            let ended: Vec<Probe> = results.iter().map_while(|probe| *probe).collect();
            if is_over(&ended) {
                return Ok(ended);
            }
        }
    }
}

async fn probe(client: &Client, signed: &SignedTransaction) -> Probe {
    let sent = Instant::now();
    let answer = client.submit_and_wait(signed, PATIENCE, Proofs::Omit).await;
    let is_final = answer.is_ok_and(|answer| answer.status.state == TransactionState::Final);
    let took_us = is_final.then(|| u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
    Probe { sent, took_us }
}

/// When the first of the first probes in a row was sent whose median is at most this.
fn first_normal(probes: &[Probe], normal_us: u64) -> Option<Instant> {
    let is_normal = |row: &&[Probe]| {
        let mut took: Vec<u64> = row.iter().map(|probe| probe.took_us.unwrap_or(u64::MAX)).collect();
        took.sort_unstable();
        quantile(&took, 500) <= normal_us
    };
    probes.windows(ROW).find(is_normal).and_then(|row| row.first()).map(|probe| probe.sent)
}

/// Follows the handovers of the network to its current validators.
async fn follow(client: &Client, verifier: &mut Verifier) -> Result<(), Failure> {
    loop {
        let newest = verifier.newest().clone();
        let page = client.epochs(newest.number().next(), HANDOVERS).await.or_exit(Exit::Unreachable)?;
        match Verifier::follow(&newest, HANDOVERS, &page).or_exit(Exit::Internal)? {
            Some(reached) => verifier.learn(reached.epoch),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probes that were sent a second apart.
    fn probes(began: Instant, took_us: &[Option<u64>]) -> Vec<Probe> {
        let sent = (0..).map(|number| began + Duration::from_secs(number));
        took_us.iter().zip(sent).map(|(took_us, sent)| Probe { sent, took_us: *took_us }).collect()
    }

    #[test]
    fn latency_is_normal_from_the_first_of_four_probes_of_which_three_are() {
        let began = Instant::now();
        let sent =
            probes(began, &[None, Some(900), Some(900), Some(900), Some(10), Some(10), Some(11), Some(9)]);
        assert_eq!(first_normal(&sent, 10), Some(began + Duration::from_secs(4)));
        assert_eq!(first_normal(&sent, 11), Some(began + Duration::from_secs(3)));
    }

    #[test]
    fn refused_probes_are_not_normal() {
        assert_eq!(first_normal(&probes(Instant::now(), &[None; 8]), 1_000), None);
        assert_eq!(first_normal(&probes(Instant::now(), &[Some(1); 3]), 1_000), None);
    }
}
