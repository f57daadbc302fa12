//! Those who ask nodes for parts of the ledger and verify what they are told, as a wallet does.
//!
//! They know the genesis and believe nothing else: [`Verifier`] is the code of the wallet. What they
//! verified is compared by [a checker](crate::checkers::reads) with a second ledger. Some answers are damaged
//! on the way, and must then be refused or mean the same; some questions are none, and must be answered by
//! an error.
pub mod malformed;
pub mod mutation;
pub mod question;

use quorate_primitives::state::Parameters;
use quorate_rpc::Verifier;
use serde_json::Value;
use std::rc::Rc;

use crate::checkers::Checkers;
use crate::checkers::reads::Proven;
use crate::founding::Founding;
use crate::options::{Options, ReadOptions};
use crate::random::{Dice, Stream};
use crate::time::Moment;

use malformed::Malformed;
use mutation::Mutation;
use question::Question;

/// Certificates of earlier answers that are kept to be put into others.
const CERTIFICATES_MAX: usize = 8;

/// All who read.
pub struct Readers {
    options: ReadOptions,
    founding: Rc<Founding>,
    dice: Dice,
    /// What one of them believes; it is kept from question to question, or begins anew with the genesis.
    verifier: Verifier,
    certificates: Vec<Value>,
}

fn newcomer(founding: &Founding) -> Verifier {
    let parameters: Parameters = founding.genesis.parameters.clone();
    Verifier::new(founding.trusted.clone(), parameters)
}

impl Readers {
    /// Readers that know the genesis.
    #[must_use]
    pub fn new(options: &Options, founding: &Rc<Founding>) -> Self {
        Self {
            options: options.reads.clone(),
            founding: Rc::clone(founding),
            dice: Dice::new(options.seed, Stream::Readers),
            verifier: newcomer(founding),
            certificates: Vec::new(),
        }
    }

    /// When somebody reads next.
    pub fn next(&mut self, now: Moment) -> Option<Moment> {
        let mean = self.options.interval_mean_ms.saturating_mul(1_000);
        (mean > 0).then(|| now.after_micros(self.dice.exponential(mean).max(1_000)))
    }

    /// One of so many nodes.
    pub fn node(&mut self, count: usize) -> usize {
        self.dice.index(count)
    }

    /// A request that no node can answer, in some cases.
    pub fn malformed(&mut self) -> Option<Malformed> {
        let is_malformed = self.dice.chance(self.options.malformed_permille);
        is_malformed.then(|| malformed::draw(&self.founding, &mut self.dice))
    }

    /// What is asked now, perhaps by somebody who knows nothing but the genesis.
    pub fn question(&mut self, checkers: &Checkers) -> Question {
        if self.dice.chance(self.options.forgetful_permille) {
            self.verifier = newcomer(&self.founding);
        }
        let newest = self.verifier.newest().number();
        question::draw(&self.founding, checkers, newest, &mut self.dice)
    }

    /// What the one who asks believes.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Something is verified: another epoch is to be believed from now on.
    pub fn learn(&mut self, proven: Proven) {
        if let Proven::Epoch(epoch) = proven {
            self.verifier.learn(*epoch);
        }
    }

    /// Damages an answer in some cases: each time in another way.
    pub fn mutations(&mut self, answer: &Value) -> Vec<(Mutation, Value)> {
        let mut damaged = Vec::new();
        if self.dice.chance(self.options.mutated_permille) {
            for mutation in Mutation::ALL {
                let mut copy = answer.clone();
                if mutation.apply(&mut copy, &self.certificates, &mut self.dice) && copy != *answer {
                    damaged.push((mutation, copy));
                }
            }
        }
        if let Some(certificate) = mutation::certificate(answer) {
            self.certificates.truncate(CERTIFICATES_MAX.saturating_sub(1));
            self.certificates.insert(0, certificate.clone());
        }
        damaged
    }
}
