//! What a worker would do with one message, without doing it: for route tests, and for routes that do not run yet.

use super::RoutePlan;
use super::edits;
use super::fate::{Fate, fate};
use super::item::parcel;
use crate::ports::shape::{Hold, Shape};
use crate::ports::state::{Replayed, Settled};
use crate::ports::target::Parcel;
use crate::vocabulary::Envelope;

/// What would become of it.
#[derive(Debug)]
pub enum Rehearsed {
    /// Nothing is sent, for this reason: a fixed word.
    Skip(&'static str),
    /// It waits.
    Hold(Hold),
    /// A dead letter, for this reason.
    Reject(String),
    /// This goes to the target.
    Send(Box<Parcel>),
}

/// Decides as the worker does: by the fence, then by filter and transformation. Pure. `settled` is what the route has
/// settled of the message's key before.
pub fn rehearse(plan: &RoutePlan, shape: &dyn Shape, envelope: &Envelope, settled: Option<&Settled>) -> Rehearsed {
    match fate(plan, shape, envelope, Replayed::Never, false, settled) {
        Fate::Past => Rehearsed::Skip("repeat"),
        Fate::Skip(reason) => Rehearsed::Skip(reason),
        // `requires` is decided behind the fate, by what the receiver holds.
        Fate::Hold(hold) | Fate::Lacks(hold) => Rehearsed::Hold(hold),
        // A letter can be overtaken only when it comes back, which none does here.
        Fate::Overtaken => Rehearsed::Reject("overtaken".to_owned()),
        Fate::Unshapable(reason) => Rehearsed::Reject(reason),
        Fate::Send { operation, body } => {
            let key = edits::idempotency_key(&envelope.id, &plan.name, None);
            Rehearsed::Send(Box::new(parcel(envelope.clone(), operation, body, key, settled)))
        }
    }
}
