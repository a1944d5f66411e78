//! The journal: what was noted is found again, durable with what it led to, masked and bounded.
#![allow(clippy::unwrap_used)]

mod bounds;
mod finding;
mod stories;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bus_contract::sample;
use bus_core::engine::chronicle::{Chronicle, Keeping};
use bus_core::policy::Masks;
use bus_core::ports::journal::{Deed, Event, Journal, Step, What};
use bus_core::ports::recent::Recent;
use bus_core::ports::source::BatchLimit;
use bus_core::ports::state::{Change, DeadLetter, HoldReason, ReplayMode, Settlement, StateStore};
use bus_core::ports::story::{Search, State, StateKind, StepKind, Stories, Story, StoryOf};
use bus_core::ports::tasks::TaskStore;
use bus_core::vocabulary::{
    DeliveryError, Envelope, Exchange, Fault, FeedName, Key, Moment, Receipt, RouteName, Seq, StreamName,
    UnreadableRecord,
};
use bus_storage::{Database, JournalBounds, SqliteJournal, SqliteState};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);
const WIDE: JournalBounds = JournalBounds { age: Duration::from_secs(100 * 86_400), bytes: 1 << 40 };

struct Store {
    directory: TempDir,
    state: SqliteState,
    journal: SqliteJournal,
    chronicle: Chronicle,
    stream: StreamName,
    route: RouteName,
    feed: FeedName,
}

impl Store {
    fn new(bounds: JournalBounds, keeping: Keeping) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("bus.db")).unwrap();
        let journal = SqliteJournal::open(database.clone(), bounds);
        let stream = StreamName::new("заказы").unwrap();
        let keeping = HashMap::from([(stream.clone(), keeping)]);
        Self {
            chronicle: Chronicle::new(Arc::new(journal.clone()), keeping),
            state: SqliteState::new(database),
            directory,
            journal,
            stream,
            route: RouteName::new("заказы-в-магазин").unwrap(),
            feed: FeedName::new("заказы").unwrap(),
        }
    }

    fn archived() -> Self {
        Self::new(WIDE, Keeping { archive: Some(DAY), masks: Masks::default() })
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("bus.db")
    }

    /// Version `number` of one key, read now.
    fn version(&self, number: u64) -> Envelope {
        Envelope { time: Moment::now(), ..sample::envelope(&self.stream, "7f-guid", number) }
    }

    fn sealed(&self, envelopes: &[Envelope]) {
        self.chronicle.sealed(&self.feed, envelopes);
        self.chronicle.published(envelopes);
    }

    async fn settle(&self, message: &Envelope, outcome: Settlement) {
        let (key, seq, id) = (message.key.clone(), message.seq, message.id);
        self.state.commit(&self.route, vec![Change::Settle { key, seq, id, outcome }]).await.unwrap();
    }

    async fn delivered(&self, message: &Envelope) {
        let receipt = Ok(Receipt { status: Some(200), ..Receipt::default() });
        self.chronicle.attempt(&self.route, message, Duration::from_millis(12), &receipt);
        self.settle(message, Settlement::Delivered { present: true, receiver_id: None }).await;
    }

    fn search(&self, word: &str) -> Search {
        Search {
            word: Some(word.to_owned()).filter(|word| !word.is_empty()),
            routes: vec![(self.route.clone(), self.stream.clone())],
            limit: 10,
            ..Search::default()
        }
    }

    async fn story(&self) -> Story {
        self.story_in(&self.journal).await
    }

    async fn story_in(&self, journal: &SqliteJournal) -> Story {
        let of = StoryOf {
            stream: self.stream.clone(),
            key: self.version(1).key,
            routes: vec![self.route.clone()],
            versions: 50,
            since: None,
            until: None,
        };
        journal.story(&of).await.unwrap()
    }
}

fn states(story: &Story) -> Vec<State> {
    story.versions.iter().map(|version| version.routes[0].state.clone()).collect()
}

fn rejected() -> DeliveryError {
    let exchange = Exchange { request: None, answer: Some("422 Unprocessable Entity\n\nbad".into()) };
    DeliveryError::new(Fault::Rejected, "the receiver answered 422").with_exchange(exchange)
}

fn letter(message: &Envelope) -> Box<DeadLetter> {
    Box::new(DeadLetter {
        envelope: Some(message.clone()),
        raw: None,
        transformed: None,
        exchange: Exchange::default(),
        fault: "rejected".into(),
        message: "422".into(),
        attempts: 1,
        at: Moment::now(),
    })
}
