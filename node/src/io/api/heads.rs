//! The stream of committed blocks.
use futures::Stream;
use futures::stream;
use quorate_rpc::backend::Answer;
use quorate_rpc::json::{Cursor, HeadEvent};

use super::Api;

impl Api {
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
                let transactions = api.feed.transactions_at(next);
                match api.ask(move |snapshot| snapshot.head_event(next, transactions)).await {
                    Ok(event) => Some((Ok(event), Some((next, watch)))),
                    Err(error) => Some((Err(error), None)),
                }
            }
        })
    }
}
