//! Committed blocks, the proofs that they are final, and the stream of new ones.
use futures::Stream;
use futures::stream;
use quorate_ledger::store::StoreError;
use quorate_ledger::{Reader, StoredBlock};
use quorate_primitives::light::FinalityProof;
use quorate_primitives::merkle::ListProof;
use quorate_primitives::{EpochNumber, Height};
use quorate_rpc::backend::{Answer, BlockAt, Bodies};
use quorate_rpc::json::chain::body_page;
use quorate_rpc::json::{
    Block, Cursor, Decimal, Finality, FinalityAnswer, Head, HeadEvent, HeaderAnswer, Shown,
};
use quorate_rpc::{ApiError, ErrorKind};

use super::Api;

/// A block and how it is proven final.
pub(super) struct Proven {
    pub(super) block: StoredBlock,
    /// The certified block that proves it: itself, or the next one above.
    pub(super) proof: FinalityProof,
    /// The way from that one's history to it.
    pub(super) history: Option<ListProof>,
}

impl Proven {
    pub(super) fn finality(&self) -> Finality {
        match &self.history {
            None => Finality::of(&self.proof),
            Some(history) => {
                Finality::of_ancestor(&self.proof, &self.block.header, &self.block.outcome, history)
            }
        }
    }
}

/// Finds the proof of a block; `None` if there is no such block or no certificate above it yet.
pub(super) fn prove(reader: &Reader, height: Height) -> Result<Option<Proven>, StoreError> {
    let Some(block) = reader.block(height)? else {
        return Ok(None);
    };
    let Some(certified) = reader.next_certified(height)? else {
        return Ok(None);
    };
    let Some(proof) = reader.finality(certified)? else {
        return Ok(None);
    };
    let history = if certified == height { None } else { reader.history_proof(height, certified)? };
    Ok((certified == height || history.is_some()).then_some(Proven { block, proof, history }))
}

fn not_found(what: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::NotFound, format_args!("no block {what}"))
}

impl Api {
    async fn stored(&self, at: BlockAt) -> Answer<(Height, StoredBlock)> {
        let newest = self.driver.head().executed.height();
        let found = self
            .read(move |reader| {
                let height = match at {
                    BlockAt::Head => Some(newest),
                    BlockAt::Height(height) => Some(height),
                    BlockAt::Id(id) => reader.height_of(&id)?,
                };
                let block = height.map(|height| reader.block(height)).transpose()?.flatten();
                Ok(height.zip(block))
            })
            .await?;
        found.ok_or_else(|| match at {
            BlockAt::Head => not_found("yet: the chain is at height 0"),
            BlockAt::Height(height) => not_found(format_args!("at height {height}: expected 1 to {newest}")),
            BlockAt::Id(id) => not_found(id),
        })
    }

    pub(super) async fn header_at(&self, at: BlockAt) -> Answer<HeaderAnswer> {
        let (_, block) = self.stored(at).await?;
        Ok(HeaderAnswer { header: (&block.header).into(), outcome: (&block.outcome).into() })
    }

    pub(super) async fn block_at(&self, at: BlockAt, bodies: Bodies) -> Answer<Block> {
        let (height, block) = self.stored(at).await?;
        let (transactions, page) = self
            .read(move |reader| {
                let receipts = reader.receipts(height)?;
                let ids: Vec<Shown<_>> = receipts.iter().map(|receipt| Shown(receipt.transaction)).collect();
                let page = match bodies {
                    Bodies::Omit => None,
                    Bodies::From(from) => Some(body_page(&reader.bundles(height)?, from)),
                };
                Ok((ids, page))
            })
            .await?;
        let (bodies, next_bundle) = page.map_or((None, None), |(bodies, next)| (Some(bodies), next));
        Ok(Block {
            header: (&block.header).into(),
            outcome: (&block.outcome).into(),
            bundles: block.payload.bundles.iter().copied().map(Shown).collect(),
            transactions,
            bodies,
            next_bundle,
        })
    }

    pub(super) async fn finality_of(&self, height: Option<Height>) -> Answer<FinalityAnswer> {
        let height = match height {
            Some(height) => height,
            None => self.certified()?.0.header.height,
        };
        let proven = self.read(move |reader| prove(reader, height)).await?;
        let newest = self.driver.head().executed.height();
        let proven = proven.ok_or_else(|| {
            if height > Height::ZERO && height <= newest {
                ApiError::new(
                    ErrorKind::NotReady,
                    format_args!("no certificate at or above height {height} yet"),
                )
            } else {
                not_found(format_args!("at height {height}: expected 1 to {newest}"))
            }
        })?;
        Ok(FinalityAnswer {
            height: height.into(),
            block: proven.block.header.id().into(),
            time: proven.block.header.time.into(),
            certified_height: proven.proof.header.height.into(),
            certificate_view: proven.proof.certificate.claim.view().into(),
            signers: proven.proof.certificate.signers.iter().collect(),
            proof: proven.finality(),
        })
    }

    /// Blocks one after another: stored ones as fast as they are asked for, new ones as they come.
    pub(super) fn follow_heads(
        &self,
        from: Option<Cursor>,
    ) -> impl Stream<Item = Answer<HeadEvent>> + Send + 'static {
        let api = self.clone();
        let watch = self.driver.watch_head();
        let last = from.map_or_else(|| watch.borrow().executed.height(), |cursor| cursor.height);
        stream::unfold(Some((last, watch)), move |state| {
            let api = api.clone();
            async move {
                let (last, mut watch) = state?;
                let next = last.next();
                // The watch ends when the driver does, and then there are no more blocks.
                watch.wait_for(|head| head.executed.height() >= next).await.ok()?;
                match api.head_event(next).await {
                    Ok(event) => Some((Ok(event), Some((next, watch)))),
                    Err(error) => Some((Err(error), None)),
                }
            }
        })
    }

    async fn head_event(&self, height: Height) -> Answer<HeadEvent> {
        let known = self.feed.transactions_at(height);
        let (block, transactions) = self
            .read(move |reader| {
                let transactions = match known {
                    Some(count) => count,
                    None => u32::try_from(reader.receipts(height)?.len()).unwrap_or(u32::MAX),
                };
                Ok((reader.block(height)?, transactions))
            })
            .await?;
        let block = block.ok_or_else(|| ApiError::internal(format_args!("block {height} is missing")))?;
        let head = Head {
            height: Decimal(height),
            block: block.header.id().into(),
            time: block.header.time.into(),
            view: block.header.view.into(),
            epoch: EpochNumber::ZERO.into(),
            state_root: block.outcome.state_root.into(),
            transactions,
            certified_height: self.certified_height().map(Decimal),
        };
        Ok(HeadEvent { cursor: Shown(Cursor { height, index: 0 }), head })
    }
}
