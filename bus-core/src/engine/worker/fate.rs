//! What becomes of a message before any attempt: fence, then filter and transformation. Pure.

use bytes::Bytes;

use super::{LeftPolicy, RoutePlan};
use crate::engine::crash::{self, Plant};
use crate::ports::shape::{Hold, Shape, Shaped, shaped};
use crate::ports::state::{Replayed, Settled};
use crate::vocabulary::{Envelope, Operation};

/// The ways on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its outcome, or a newer one, is durable already: only the broker has to be told.
    Past,
    /// A letter that came back, while a newer version was settled: it is dead again, and a person may still force it.
    Overtaken,
    /// Not for this receiver; the reason is a fixed word.
    Skip(&'static str),
    /// A map has no answer yet.
    Hold(Hold),
    /// The receiver lacks what it refers to.
    Lacks(Hold),
    /// The program failed on it: a dead letter.
    Unshapable(String),
    /// To be sent.
    Send { operation: Operation, body: Bytes },
}

/// Decides by the fence first, so that a repeat costs nothing.
pub(super) fn fate(
    plan: &RoutePlan,
    shape: &dyn Shape,
    envelope: &Envelope,
    replayed: Replayed,
    doubt: bool,
    fence: Option<&Settled>,
) -> Fate {
    if let Some(fence) = fence.filter(|_| replayed != Replayed::Forced && !crash::planted(Plant::ForgottenFence)) {
        let asked = replayed == Replayed::Asked;
        if envelope.seq < fence.seq && asked {
            return Fate::Overtaken;
        }
        if envelope.seq <= fence.seq && !asked {
            return Fate::Past;
        }
        if fence.id == Some(envelope.id) && !asked {
            return Fate::Skip("repeat"); // D5: same content under a newer seq
        }
    }
    let present = fence.is_some_and(|fence| fence.present || fence.doubt) || doubt;
    if envelope.operation == Operation::Delete {
        return match (plan.sends_deletes, fence) {
            (false, _) => Fate::Skip("deletes-ignored"),
            (true, Some(_)) if !present => Fate::Skip("not-at-receiver"),
            // Without a fence nobody knows: the receiver may have been filled before the bus came.
            (true, _) => Fate::Send { operation: Operation::Delete, body: envelope.body.clone() },
        };
    }
    match shaped(shape, envelope) {
        Ok(Shaped::Send(body)) => Fate::Send { operation: Operation::Upsert, body },
        Ok(Shaped::Hold(hold)) => Fate::Hold(hold),
        Ok(Shaped::Filtered) if !present => Fate::Skip("filtered"),
        Ok(Shaped::Filtered) => match plan.when_left {
            LeftPolicy::Ignore => Fate::Skip("left"),
            LeftPolicy::Delete => Fate::Send { operation: Operation::Delete, body: envelope.body.clone() },
        },
        Err(error) => Fate::Unshapable(error.0),
    }
}
