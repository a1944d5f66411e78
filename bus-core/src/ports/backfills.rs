//! The queue of backfills: a stream's history, read by date step by step and sent beside the live flow.
//!
//! A step is a task for each route ([`super::tasks`], rules L1 to L5). One step of the whole queue gets on at a time; one that
//! does not, because none of its receivers takes messages, steps aside (L6).

use std::time::Duration;

use async_trait::async_trait;
use chrono::NaiveDateTime;

use super::state::StateError;
use super::tasks::Kind;
use crate::policy::backfill::{Turn, next_step, steps};
use crate::vocabulary::{FeedName, Moment, Period, RouteName, StreamName};

/// What a person ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What the routes have not got, or all of it once more.
    pub kind: Kind,
    /// Who reads the source.
    pub feed: FeedName,
    /// Which of its streams.
    pub stream: StreamName,
    /// Where it goes; at least one.
    pub routes: Vec<RouteName>,
    /// Which dates.
    pub period: Period,
    /// How much of it at a time: whole seconds.
    pub step: Duration,
    /// Greater goes first.
    pub priority: i32,
    /// The share of each route's sends, in percent, that it may take while other messages wait: 1 to 100.
    pub share: u8,
    /// Who ordered it, as `user@host`.
    pub who: String,
}

/// How it is with a backfill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It waits for its turn, or a step of it is under way.
    Open,
    /// A person has paused it.
    Paused,
    /// Everything was sent.
    Done,
    /// A person has ended it.
    Cancelled,
    /// A step cannot be done. A person may resume it.
    Failed,
}

impl State {
    /// A stable word for stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Paused => "paused",
            State::Done => "done",
            State::Cancelled => "cancelled",
            State::Failed => "failed",
        }
    }

    /// Reads [`State::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Open, Self::Paused, Self::Done, Self::Cancelled, Self::Failed];
        all.into_iter().find(|state| state.as_str() == text)
    }

    /// Nothing will ever become of it.
    pub fn is_over(self) -> bool {
        matches!(self, State::Done | State::Cancelled)
    }
}

/// A backfill and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// Its number.
    pub id: i64,
    /// What was ordered.
    pub order: Order,
    /// When it was ordered.
    pub at: Moment,
    /// How it is with it.
    pub state: State,
    /// When it was over.
    pub ended: Option<Moment>,
    /// All dates before this are done.
    pub reached: NaiveDateTime,
    /// Records read by the steps that are done.
    pub read: u64,
    /// Of these, handed to routes; each route counts.
    pub sent: u64,
    /// Why it failed.
    pub error: Option<String>,
}

impl Backfill {
    /// Its place in the queue.
    pub fn turn(&self) -> Turn {
        Turn::new(self.order.priority, self.reached, self.id)
    }

    /// What it reads next.
    pub fn next_step(&self) -> Period {
        next_step(self.reached, &self.order.period, self.order.step)
    }

    /// Steps that are done, and all of them.
    pub fn progress(&self) -> (u64, u64) {
        let done = Period { to: self.reached, ..self.order.period };
        (steps(&done, self.order.step), steps(&self.order.period, self.order.step))
    }
}

/// Keeps the queue. Each method is one transaction; `Ok` is on disk.
#[async_trait]
pub trait BackfillStore: Send + Sync {
    /// Keeps a new one, and gives its number.
    async fn order_backfill(&self, order: &Order) -> Result<i64, StateError>;
    /// Those that are not over, and the last hundred that are, oldest first.
    async fn backfills(&self) -> Result<Vec<Backfill>, StateError>;
    /// A step begins: a task for each route. Nothing happens if the backfill is not open, or has a step.
    async fn begin_step(&self, backfill: &Backfill, step: &Period) -> Result<(), StateError>;
    /// The step's tasks have ended: they are forgotten, and the dates before `reached` are done. Nothing happens if the
    /// backfill is not open.
    async fn end_step(&self, id: i64, reached: NaiveDateTime) -> Result<(), StateError>;
    /// Changes the state of one that is not over. What is not open has no step under way: its tasks and the rows they
    /// keep are forgotten, and the step begins anew if it is resumed. `false`: it is over, or there is none.
    async fn set_state(&self, id: i64, state: State, error: Option<&str>) -> Result<bool, StateError>;
}

/// Whether work could get on now; asked every few seconds while a backfill is open.
pub trait MayGo: Send + Sync {
    /// Whether the receiver of this route takes messages: not if it is down, closed for long, or paused.
    fn delivers(&self, route: &RouteName) -> bool;
    /// Whether this feed reads: not if it, or its source, is paused or down.
    fn reads(&self, feed: &FeedName) -> bool;
}
