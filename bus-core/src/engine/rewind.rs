//! Orders to a running feed to go on from another position. Not kept: whoever gives one waits for its answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

use crate::vocabulary::{Cursor, FeedName};

/// What came of it: the position before, or why not.
pub type Rewound = Result<Option<Cursor>, String>;

/// One order.
#[derive(Debug)]
pub struct Rewind {
    /// Where to go on.
    pub to: Cursor,
    /// Answered when it is durable.
    pub reply: oneshot::Sender<Rewound>,
}

/// The orders of this process. Cloning shares them.
#[derive(Clone)]
pub struct Rewinds(Arc<Shared>);

struct Shared {
    orders: Mutex<HashMap<FeedName, Rewind>>,
    changed: watch::Sender<u64>,
}

impl Default for Rewinds {
    fn default() -> Self {
        Self(Arc::new(Shared { orders: Mutex::default(), changed: watch::Sender::new(0) }))
    }
}

impl Rewinds {
    /// Gives an order; an older one for the same feed is dropped, and its answer says so by not coming.
    pub fn order(&self, feed: FeedName, to: Cursor) -> oneshot::Receiver<Rewound> {
        let (reply, answer) = oneshot::channel();
        self.orders().insert(feed, Rewind { to, reply });
        self.0.changed.send_modify(|version| *version += 1);
        answer
    }

    /// Takes the order for a feed, if its giver still waits.
    pub(super) fn take(&self, feed: &FeedName) -> Option<Rewind> {
        self.orders().remove(feed).filter(|rewind| !rewind.reply.is_closed())
    }

    /// Returns when there is an order for the feed. Cancel-safe.
    pub(super) async fn until_any(&self, feed: &FeedName) {
        let mut changed = self.0.changed.subscribe();
        while !self.orders().contains_key(feed) {
            // The sender lives as long as we do.
            let _ = changed.changed().await;
        }
    }

    fn orders(&self) -> MutexGuard<'_, HashMap<FeedName, Rewind>> {
        self.0.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
