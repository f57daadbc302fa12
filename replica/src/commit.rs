//! The only place that advances the chain. Whatever makes a block final, a certificate from the engine
//! or from a peer that is ahead, ends here.
use quorate_consensus::Input;
use quorate_ledger::Executed;
use quorate_primitives::block::Header;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Certificate, Claim, ClaimKind};
use quorate_primitives::codec::List;
use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::validators::Signers;
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Hash, Timestamp, View};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::answer::{Committed, Fault};
use crate::chain::{Block, Stage, Tip};
use crate::event::{Effect, Timer};
use crate::record::LogRecord;
use crate::replica::Replica;

/// Most finalizations that are kept until their blocks are committed; of more, the oldest are dropped,
/// since their blocks also become final as ancestors of later ones.
const FINALS_MAX: usize = 1_024;

/// Finalizations of blocks that are not committed yet, by view.
pub(crate) type Finals = BTreeMap<View, Certificate>;

impl Replica {
    /// A quorum finalized a block. The certificate is verified.
    pub(crate) fn finalized(&mut self, certificate: Certificate) {
        self.keep_final(certificate);
        self.try_commit();
    }

    /// Keeps a finalization until its block is committed.
    pub(crate) fn keep_final(&mut self, certificate: Certificate) {
        let view = certificate.claim.view();
        if certificate.claim.kind() != ClaimKind::Finalize || view <= self.chain.tip().view {
            return;
        }
        if self.finals.len() >= FINALS_MAX {
            self.finals.pop_first();
        }
        self.finals.insert(view, certificate);
    }

    /// The latest finalization, while its block is not committed.
    pub(crate) fn target(&self) -> Option<&Certificate> {
        self.finals.last_key_value().map(|(_, certificate)| certificate)
    }

    /// Commits up to the latest final block, as far as its ancestors are here and executed.
    pub(crate) fn try_commit(&mut self) {
        let paths: Vec<(Vec<Hash>, Signers)> = self
            .finals
            .values()
            .rev()
            .filter_map(|held| Some((self.chain.path(&held.claim.block()?)?, held.signers)))
            .collect();
        if let Some((path, signers)) = paths.first() {
            self.prepare(path, *signers);
        }
        // A block is final by what descends from it, so after a power failure all up to the finalization
        // must come back: nothing is committed before every body of the path is here and recorded.
        let whole = paths.into_iter().find(|(path, _)| path.iter().all(|id| self.is_complete(id)));
        if let Some((path, signers)) = whole {
            self.prepare(&path, signers);
            let executed =
                path.first().and_then(|id| self.chain.get(id)).is_some_and(|b| b.executed.is_some());
            if executed && !zoo::has(Bug::CommitBeforeBodies) {
                path.iter().for_each(|id| self.record_body(*id));
            }
            for id in path {
                if !self.commit_open(id) {
                    break;
                }
            }
        }
        if !self.finals.is_empty() {
            self.sync_soon();
        }
    }

    fn is_complete(&self, id: &Hash) -> bool {
        self.chain.get(id).is_some_and(|block| block.stage > Stage::Incomplete)
    }

    /// Has the blocks of a path that leads to a final one completed and executed.
    fn prepare(&mut self, path: &[Hash], signers: Signers) {
        for id in path {
            let Some(block) = self.chain.get_mut(id) else { break };
            block.certified = true;
            match block.stage {
                Stage::Incomplete => self.gather(*id, signers, 0),
                Stage::Complete => block.stage = Stage::Ready,
                Stage::Ready => {}
            }
        }
    }

    /// Commits a child of the last committed block that is in the tree. False if it was not executed
    /// yet, or not committed for another reason.
    fn commit_open(&mut self, id: Hash) -> bool {
        let Some(block) = self.chain.get(&id) else { return false };
        let (Some(executed), Some(bundles)) = (block.executed.clone(), block.body()) else { return false };
        let seen = block.seen;
        let view = block.header.view;
        // The last block of an epoch is proposed again, so its certificate may be of a later view.
        let last = block.header.height == self.members.0.last;
        let until = if last { View::MAX } else { view };
        let mut held = self.finals.range(view..=until).map(|(_, held)| held);
        let certificate = held.find(|held| held.claim.block() == Some(id)).cloned();
        self.commit(executed, bundles, certificate, seen)
    }

    /// Commits an executed child of the last committed block, and tells everybody. Stops the replica if
    /// that is not possible.
    pub(crate) fn commit(
        &mut self,
        executed: Executed,
        bundles: Vec<Verified<Bundle>>,
        certificate: Option<Certificate>,
        seen: Option<Timestamp>,
    ) -> bool {
        let ours = executed.outcome().digest();
        if let Some(Claim::Finalize { block, outcome: theirs, .. }) = certificate.as_ref().map(|c| c.claim)
            && theirs != ours
        {
            self.halt(Fault::Diverged { height: executed.height(), block, ours, theirs });
            return false;
        }
        if let Err(error) = self.ledger.commit(executed.clone(), &bundles, certificate.clone()) {
            self.halt(Fault::Storage { reason: error.to_string() });
            return false;
        }
        let (height, time) = (executed.height(), executed.time());
        self.chain.remember(height, bundles.iter().map(|bundle| bundle.id()).collect());
        self.chain.advance(Tip { block: executed.block(), height, view: executed.view(), time, seen });
        if self.fetches.drop_want(&executed.block()) {
            self.inputs.extend(executed.header().map(|header| Input::Fetched { header: header.clone() }));
        }
        self.throughput.record(self.now, executed.receipts().len());
        self.finals = self.finals.split_off(&executed.view().next());
        for bundle in &bundles {
            self.bundles.forget(&bundle.id());
            for id in bundle.transactions().iter().map(|signed: &Arc<SignedTransaction>| signed.id()) {
                self.mempool.forget(&id);
                self.bundles.settle(&id);
            }
        }
        self.mempool.expire(time);
        self.bundles.expire(time);
        let held = &self.bundles;
        self.inline.retain(|id| held.get(id).is_some());
        self.advanced = self.now;
        self.settle_accusations();
        self.admit_after_commit();
        self.out.effects.push(Effect::Committed(Arc::new(Committed { executed, bundles, certificate })));
        self.flush();
        true
    }

    /// Executes the next block, one for each step, so that votes never wait for a long chain of them.
    pub(crate) fn execute_next(&mut self) {
        let Some(id) = self.chain.next_to_execute() else { return };
        let Some(block) = self.chain.get(&id) else { return };
        let Some(mut bundles) = block.body() else { return };
        if zoo::has(Bug::OrderDependsOnNode) && self.me.is_some_and(|me| me & 1 == 1) {
            bundles.reverse();
        }
        let parent = match self.chain.get(&block.header.parent) {
            Some(parent) => parent.executed.as_ref(),
            None => Some(self.ledger.head()),
        };
        let Some(parent) = parent else { return };
        let executed = self.ledger.execute(parent, &block.header, &bundles);
        let outcome = executed.outcome().digest();
        if let Some(block) = self.chain.get_mut(&id) {
            block.executed = Some(executed);
        }
        self.inputs.push_back(Input::Executed { block: id, outcome });
        self.try_commit();
    }

    /// Has the next block executed after this step.
    pub(crate) fn arm_execute(&mut self) {
        if self.chain.next_to_execute().is_some() {
            self.arm_at(Timer::Execute, self.now);
        }
    }

    /// Puts the body of a block into the journal, once.
    pub(crate) fn record_body(&mut self, id: Hash) {
        let Some(block) = self.chain.get_mut(&id) else { return };
        if block.recorded {
            return;
        }
        if let Some(record) = body_record(block) {
            block.recorded = true;
            self.out.journal.push(record);
        }
    }
}

/// The record of a complete block.
pub(crate) fn body_record(block: &Block) -> Option<LogRecord> {
    record_of(&block.header, &block.body()?)
}

/// What is logged of a block with these bundles.
pub(crate) fn record_of(header: &Header, bundles: &[Verified<Bundle>]) -> Option<LogRecord> {
    let bundles = List::new(bundles.iter().map(|bundle| Bundle::clone(bundle)).collect()).ok()?;
    Some(LogRecord::Body { header: header.clone(), bundles })
}
