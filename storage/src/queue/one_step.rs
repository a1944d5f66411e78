//! A feed's whole round in one transaction of the writer: see [`OneStep`].

use std::sync::Arc;

use async_trait::async_trait;
use bus_core::engine::crash;
use bus_core::ports::one_step::OneStep;
use bus_core::ports::state::{SealedBatch, StateError};
use bus_core::vocabulary::{Envelope, FeedName};
use bytes::Bytes;
use rusqlite::Connection;

use super::ledger::Stream;
use super::{EmbeddedBroker, log};
use crate::names::Kind;
use crate::state::feeds;

/// Neighbours in a batch that go to the same stream.
struct Run {
    stream: Arc<Stream>,
    frames: Vec<Bytes>,
    messages: Vec<Envelope>,
}

#[async_trait]
impl OneStep for EmbeddedBroker {
    async fn publish_and_advance(&self, feed: &FeedName, epoch: u64, batch: &SealedBatch) -> Result<(), StateError> {
        let feed = self.database.number(Kind::Feed, feed.as_str()).await?;
        let runs = self.runs(&batch.envelopes);
        let weight = runs.iter().flat_map(|run| &run.frames).map(Bytes::len).sum();
        let appends: Vec<_> = runs.iter().map(|run| (run.stream.clone(), run.frames.clone())).collect();
        let (ledger, batch) = (self.ledger.clone(), batch.clone());
        let work = move |connection: &Connection| {
            feeds::none_sealed(connection, feed)?;
            let append = |(stream, frames): &(Arc<Stream>, Vec<Bytes>)| {
                let durable = stream.lock().end;
                log::append(connection, stream.id, durable, frames)
            };
            let firsts = appends.iter().map(append).collect::<Result<Vec<u64>, _>>()?;
            feeds::advance(connection, feed, epoch, &batch)?;
            // In the transaction, before its commit: a kill here undoes all of it.
            crash::point("step.written");
            Ok(firsts)
        };
        let then = move |outcome: &Result<Vec<u64>, StateError>| {
            if outcome.is_ok() {
                // Durable, and nobody has heard of it: neither the capture nor a consumer.
                crash::point("step.committed");
            }
            // Who is fenced off says nothing about the disk.
            if !matches!(outcome, Err(StateError::Fenced | StateError::CursorMoved)) {
                ledger.note_health(outcome.as_ref().map(|_| ()));
            }
            for (run, first) in runs.into_iter().zip(outcome.iter().flatten()) {
                ledger.appended(&run.stream, *first, run.messages);
            }
        };
        self.database.write_then(weight, work, then).await.map(|_| ())
    }
}

impl EmbeddedBroker {
    /// By stream; those that nobody takes are left out.
    fn runs(&self, envelopes: &[Envelope]) -> Vec<Run> {
        let of_one_stream = envelopes.chunk_by(|one, next| one.stream == next.stream);
        let run = |messages: &[Envelope]| {
            let stream = self.kept(&messages.first()?.stream)?;
            let frames = messages.iter().map(Envelope::to_frame).collect();
            Some(Run { stream, frames, messages: messages.to_vec() })
        };
        of_one_stream.filter_map(run).collect()
    }
}
