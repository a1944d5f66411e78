//! What a task hears of the rows that it handed over.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

/// What [`Load::reply`](super::load::Load::reply) waits for, and what it is to hear.
type Answer = (oneshot::Sender<Vec<bool>>, Vec<bool>);

/// Answers when the last of its rows is on disk. Dropped before that with the worker, it answers nothing.
#[derive(Debug)]
pub(super) struct Told {
    left: AtomicUsize,
    answer: Mutex<Option<Answer>>,
}

impl Told {
    /// Of so many rows.
    pub fn new(left: usize, reply: oneshot::Sender<Vec<bool>>, taken: Vec<bool>) -> Self {
        Self { left: AtomicUsize::new(left), answer: Mutex::new(Some((reply, taken))) }
    }

    pub fn one_is_durable(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.answer();
        }
    }

    pub fn answer(&self) {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((reply, taken)) = answer {
            // The task may have gone; its rows are in the line all the same.
            let _ = reply.send(taken);
        }
    }
}
