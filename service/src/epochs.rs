//! Epochs: their validators, what leads from one to the next, and whom the ledger convicted.
use quorate_primitives::block::PROTOCOL_VERSION;
use quorate_primitives::evidence::RecordedEvidence;
use quorate_primitives::light::Handover;
use quorate_primitives::state::{Parameters, StateGroup, StateKey};
use quorate_primitives::validators::{EpochIdentity, ValidatorSet};
use quorate_primitives::{EpochNumber, Hash, Height};
use quorate_rpc::backend::{Answer, Proofs};
use quorate_rpc::json::{
    self, EpochHandover, EpochPlace, EpochsAnswer, EvidenceAnswer, Finality, GroupEvidence, ValidatorsAnswer,
};
use quorate_rpc::{ApiError, ErrorKind};

use crate::snapshot::{Snapshot, unreadable};

/// Epochs after the current one whose validators the state can name.
const EPOCHS_AHEAD: u64 = 2;

impl Snapshot {
    pub(crate) fn parameters(&self) -> &Parameters {
        &self.identity.genesis.parameters
    }

    /// The epoch of the newest committed block.
    pub(crate) fn epoch(&self) -> EpochNumber {
        self.parameters().epoch_of(self.height())
    }

    /// The epoch of the block after it: the newest that has begun.
    pub(crate) fn current_epoch(&self) -> EpochNumber {
        self.parameters().epoch_of(self.height().next())
    }

    /// Height of the block on which an epoch stands: the last one of the epoch before, or the genesis.
    fn anchor_of(&self, epoch: EpochNumber) -> Height {
        Height::new(epoch.get().saturating_mul(self.parameters().epoch_length))
    }

    /// The validators of an epoch that the state can name.
    pub(crate) fn set_of(&self, epoch: EpochNumber) -> Answer<ValidatorSet> {
        let set = self.executed.state().validators(epoch);
        set.ok_or_else(|| ApiError::internal(format_args!("the validators of epoch {epoch} are missing")))
    }

    /// What the votes of an epoch sign; `None` if it has not begun. Reads the store.
    fn context_of(&self, epoch: EpochNumber, set: &ValidatorSet) -> Answer<Option<Hash>> {
        let chain = self.identity.chain;
        let (anchor, anchor_outcome) = if epoch == EpochNumber::ZERO {
            (chain, Hash::ZERO)
        } else if epoch <= self.current_epoch() {
            let height = self.anchor_of(epoch);
            let block = self.reader.block(height).map_err(unreadable)?;
            let block = block.ok_or_else(|| ApiError::internal(format_args!("block {height} is missing")))?;
            (block.header.id(), block.outcome.digest())
        } else {
            return Ok(None);
        };
        let identity = EpochIdentity {
            chain,
            epoch,
            anchor,
            anchor_outcome,
            validators: set.hash(),
            parameters: self.parameters().hash(),
            version: PROTOCOL_VERSION,
        };
        Ok(Some(identity.context()))
    }

    /// The validators of an epoch: any that has begun and the next two, or that of the newest block.
    /// Reads the store.
    ///
    /// # Errors
    /// `NotFound`: the validators of the epoch cannot be known yet.
    pub fn validators(&self, epoch: Option<EpochNumber>) -> Answer<ValidatorsAnswer> {
        let current = self.current_epoch();
        let (epoch, known) = (epoch.unwrap_or(self.epoch()), current.saturating_add(EPOCHS_AHEAD));
        if epoch > known {
            let message = format_args!("epoch {epoch} is not known yet: expected at most {known}");
            return Err(ApiError::new(ErrorKind::NotFound, message).in_field("epoch"));
        }
        let set = self.set_of(epoch)?;
        let place = EpochPlace {
            epoch,
            first: self.anchor_of(epoch).next(),
            last: self.parameters().last_of(epoch),
            context: self.context_of(epoch, &set)?,
            // Blocks of an epoch decide about the one after the next.
            fixed: epoch <= current.next(),
        };
        Ok(ValidatorsAnswer::new(place, &set))
    }

    /// What leads to the epochs from `from` on, at most so many. Reads the store.
    ///
    /// # Errors
    /// `Internal`: the last block of an epoch has no certificate, which the protocol excludes.
    pub fn epochs(&self, from: EpochNumber, limit: u32) -> Answer<EpochsAnswer> {
        let current = self.current_epoch();
        // The first epoch stands on the genesis, and nothing leads to it.
        let from = from.max(EpochNumber::ZERO.next());
        let end = from.saturating_add(u64::from(limit)).min(current.next());
        let epochs = (from.get()..end.get()).map(EpochNumber::new);
        let handovers = epochs.map(|epoch| Ok(EpochHandover::new(epoch, &self.handover_into(epoch)?)));
        Ok(EpochsAnswer {
            current: current.into(),
            handovers: handovers.collect::<Answer<_>>()?,
            next: (from < end && end <= current).then(|| end.into()),
        })
    }

    fn handover_into(&self, epoch: EpochNumber) -> Answer<Handover> {
        let height = self.anchor_of(epoch);
        let boundary = self.reader.finality(height).map_err(unreadable)?;
        let unproven =
            || ApiError::internal(format_args!("block {height} ends an epoch without certificate"));
        Ok(Handover { boundary: boundary.ok_or_else(unproven)?, validators: self.set_of(epoch)? })
    }

    /// Everything that validators were convicted of.
    ///
    /// # Errors
    /// `NotReady`: there is no certified block yet.
    pub fn evidence(&self, proofs: Proofs) -> Answer<EvidenceAnswer> {
        let (proof, state) = self.certified()?;
        let (values, group) = state.group(&StateGroup::Evidence);
        let entry = |(key, _): &(StateKey, Vec<u8>)| {
            let recorded: RecordedEvidence = state.get(key)?;
            let accusation = json::Accusation::of(&recorded.accusation)?;
            Some(json::RecordedEvidence { height: recorded.height.into(), accusation })
        };
        Ok(EvidenceAnswer {
            height: proof.header.height.into(),
            evidence: values.iter().filter_map(entry).collect(),
            proof: (proofs == Proofs::Include)
                .then(|| GroupEvidence::new(Finality::of(proof), &values, &group)),
        })
    }
}
