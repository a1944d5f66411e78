//! The journal: what was noted is found again, durable with what it led to, masked and bounded.
#![allow(clippy::unwrap_used)]

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_story_tells_each_version_on_its_route() {
    let store = Store::archived();
    let versions: Vec<Envelope> = (1..=6).map(|number| store.version(number)).collect();
    store.sealed(&versions);
    store.delivered(&versions[0]).await;
    store.chronicle.step(&store.route, &store.stream, versions[1].seq, What::Skipped("filtered"));
    store.settle(&versions[1], Settlement::Skipped).await;
    // Two equal failures are one step; then it is buried.
    for _ in 0..2 {
        store.chronicle.attempt(&store.route, &versions[2], Duration::ZERO, &Err(rejected()));
    }
    store.chronicle.dead(&store.route, &versions[2], "rejected", "422");
    store.settle(&versions[2], Settlement::DeadLettered { letter: letter(&versions[2]), keep_mark: false }).await;
    // Settled without a trace: a crash took the note.
    store.settle(&versions[3], Settlement::Skipped).await;
    let not_before = Moment::now().after(DAY);
    let hold = Change::Hold {
        envelope: versions[4].clone(),
        not_before,
        attempts: 3,
        reason: HoldReason::Retry,
        clear_mark: false,
        latest: false,
        doubt: false,
    };
    store.state.commit(&store.route, vec![hold]).await.unwrap();
    store.journal.flush().await.unwrap();

    let story = store.story().await;
    let waiting = State::Waiting { reason: HoldReason::Retry, until: not_before, attempts: 3, behind: 0, held: None };
    let expected =
        [State::Delivered, State::Skipped("filtered".into()), State::Dead(1), State::Settled, waiting, State::OnItsWay];
    assert_eq!(states(&story), expected);
    let bodies: Vec<_> = story.versions.iter().map(|version| version.body.clone().unwrap()).collect();
    assert_eq!(bodies, versions.iter().map(|version| version.body.clone()).collect::<Vec<_>>());
    let first = &story.versions[0];
    assert!(first.published_at.is_some());
    assert_eq!((first.run.clone(), first.generation), (Some((store.feed.clone(), 1)), 1));
    let step = &first.routes[0].steps[0];
    assert_eq!((step.word.as_str(), step.status, step.took), ("ok", Some(200), Some(Duration::from_millis(12))));
    let steps = &story.versions[2].routes[0].steps;
    assert_eq!((steps.len(), steps[0].times, steps[0].status), (2, 2, Some(422)));
    assert!(steps[0].answer.as_ref().unwrap().contains("bad"));

    // The durable tables win over what the journal says: a letter that is gone is no longer open.
    assert!(store.state.drop_dead(1).await.unwrap());
    assert_eq!(states(&store.story().await)[2], State::WasDead);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_durable_tables_win_over_a_note_whose_outcome_was_never_committed() {
    let store = Store::archived();
    let message = store.version(1);
    store.sealed(std::slice::from_ref(&message));
    let receipt = Ok(Receipt { status: Some(200), ..Receipt::default() });
    store.chronicle.attempt(&store.route, &message, Duration::ZERO, &receipt);
    store.journal.flush().await.unwrap();
    assert_eq!(states(&store.story().await), [State::OnItsWay], "it will be sent again");
    // A replayed letter waits, whatever was noted before.
    store.chronicle.dead(&store.route, &message, "rejected", "422");
    store.settle(&message, Settlement::DeadLettered { letter: letter(&message), keep_mark: false }).await;
    store.state.replay(1, ReplayMode::Careful).await.unwrap();
    assert!(matches!(states(&store.story().await)[..], [State::Waiting { reason: HoldReason::Replay, .. }]));
    // Without any note: the fence names what was delivered.
    let other = Store::archived();
    let message = other.version(3);
    other.sealed(std::slice::from_ref(&message));
    other.settle(&message, Settlement::Delivered { present: true, receiver_id: Some("№1".into()) }).await;
    other.journal.flush().await.unwrap();
    let story = other.story().await;
    assert_eq!(states(&story), [State::Delivered]);
    assert_eq!(story.fences[0].1.receiver_id.as_deref(), Some("№1"));
}

/// What a kill would leave on the disk at this moment.
fn copied(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        if name(from).exists() {
            std::fs::copy(name(from), name(to)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_is_durable_with_what_was_committed_after_it() {
    let store = Store::archived();
    let message = store.version(1);
    store.sealed(std::slice::from_ref(&message));
    store.chronicle.attempt(&store.route, &message, Duration::ZERO, &Err(rejected()));
    store.chronicle.dead(&store.route, &message, "rejected", "422");
    store.settle(&message, Settlement::DeadLettered { letter: letter(&message), keep_mark: false }).await;
    let elsewhere = tempfile::tempdir().unwrap();
    copied(&store.path(), &elsewhere.path().join("bus.db"));
    let killed = SqliteJournal::readonly(Database::open_readonly(elsewhere.path().join("bus.db")).unwrap());
    let story = store.story_in(&killed).await;
    assert_eq!(states(&story), [State::Dead(1)]);
    assert_eq!(story.versions[0].routes[0].steps.len(), 2, "no flush was asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_noted_again_after_a_crash_is_there_once() {
    let store = Store::archived();
    let batch: Vec<Envelope> = (1..=600).map(|number| store.version(number)).collect();
    for _ in 0..2 {
        store.sealed(&batch);
        store.journal.flush().await.unwrap();
    }
    let of = StoryOf {
        versions: 1000,
        ..StoryOf {
            stream: store.stream.clone(),
            key: batch[0].key.clone(),
            routes: vec![],
            versions: 0,
            since: None,
            until: None,
        }
    };
    let story = store.journal.story(&of).await.unwrap();
    let seqs: Vec<Seq> = story.versions.iter().map(|version| version.seq).collect();
    assert_eq!(seqs, batch.iter().map(|envelope| envelope.seq).collect::<Vec<_>>());
    assert!(story.versions.iter().all(|version| version.published_at.is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_found_by_word_time_and_state() {
    let store = Store::archived();
    let object =
        |key: &str, number: u64| Envelope { time: Moment::now(), ..sample::envelope(&store.stream, key, number) };
    let messages: Vec<Envelope> = (1..=30).map(|number| object(&format!("к{number}"), number)).collect();
    store.sealed(&messages);
    for message in &messages[..10] {
        store.delivered(message).await;
    }
    store.journal.flush().await.unwrap();
    let keys = async |search: Search| -> Vec<String> {
        let found = store.journal.find(&search).await.unwrap();
        found.objects.iter().map(|object| object.key.as_str().to_owned()).collect()
    };
    assert_eq!(keys(store.search("УТ-000007")).await, ["к7"]);
    assert_eq!(keys(store.search("к7")).await, ["к7"]);
    assert_eq!(keys(Search { state: Some(StateKind::Delivered), limit: 100, ..store.search("") }).await.len(), 10);
    let on_its_way = Search { state: Some(StateKind::OnItsWay), limit: 3, ..store.search("") };
    let found = store.journal.find(&on_its_way).await.unwrap();
    assert_eq!((found.objects.len(), found.more), (3, true));
    let early = Search { until: Some(messages[0].time), ..store.search("") };
    assert!(keys(early).await.is_empty());
    let elsewhere = Search { stream: Some(StreamName::new("цены").unwrap()), ..store.search("к7") };
    assert!(keys(elsewhere).await.is_empty());
    let unknown = store.journal.find(&store.search("ут-000031")).await.unwrap();
    assert!(unknown.objects.is_empty() && unknown.near.contains(&"УТ-000030".to_owned()), "{:?}", unknown.near);
}

/// Everything that is on the disk.
fn bytes_of(directory: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).unwrap()).collect()
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_masked_value_reaches_the_disk() {
    let secret = "79161234567";
    let body = format!(r#"{{"Телефон":"{secret}","Имя":"Анна","Контакты":[{{"Почта":"anna@пример.рф"}}]}}"#);
    let run = async |masks: Masks| {
        let store = Store::new(WIDE, Keeping { archive: Some(DAY), masks });
        let message = Envelope {
            time: Moment::now(),
            ..sample::with_body(&store.stream, "7f-guid", 1, body.clone().into_bytes())
        };
        store.sealed(std::slice::from_ref(&message));
        let exchange = Exchange { request: None, answer: Some(format!("422 No\n\n{body} is bad")) };
        let error = DeliveryError::new(Fault::Rejected, format!("bad {secret}")).with_exchange(exchange);
        store.chronicle.attempt(&store.route, &message, Duration::ZERO, &Err(error));
        store.chronicle.dead(&store.route, &message, "rejected", &format!("bad {secret}"));
        store.journal.flush().await.unwrap();
        let story = format!("{:?}", store.story().await);
        let archived = store.story().await.versions[0].body.clone().unwrap();
        let mut all = bytes_of(store.directory.path());
        all.extend(story.as_bytes());
        all.extend(archived.as_ref());
        assert!(contains(&all, "Анна"), "what is not masked is there");
        [secret, "anna@пример.рф", "пример.рф"].iter().any(|value| contains(&all, value))
    };
    let path = |path: &[&str]| path.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert!(run(Masks::default()).await, "the search finds what is there");
    assert!(!run(Masks::new(vec![path(&["Телефон"]), path(&["Контакты", "Почта"])])).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_goes_with_everything_of_it() {
    let store =
        Store::new(JournalBounds { age: DAY, bytes: 1 << 40 }, Keeping { archive: Some(DAY), masks: Masks::default() });
    let old = Envelope { time: Moment(Moment::now().0 - 2 * 86_400_000), ..store.version(1) };
    let fresh = store.version(2);
    store.sealed(std::slice::from_ref(&old));
    store.sealed(std::slice::from_ref(&fresh));
    store.delivered(&old).await;
    store.journal.flush().await.unwrap();
    // Trimmed a little in each of the writer's transactions.
    let mut story = store.story().await;
    for _ in 0..100 {
        if story.versions.len() == 1 {
            break;
        }
        store.journal.flush().await.unwrap();
        story = store.story().await;
    }
    assert_eq!(story.versions[0].seq, fresh.seq);
    let found = store.journal.find(&store.search("УТ-000001")).await.unwrap();
    assert!(found.objects.is_empty(), "its label is gone");
    assert_eq!(found.since, Some(fresh.time));
    let known = store.journal.find(&store.search("7f-guid")).await.unwrap();
    assert_eq!(known.objects.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_stays_within_its_bytes() {
    let bound = 200_000;
    let store = Store::new(
        JournalBounds { age: 100 * DAY, bytes: bound },
        Keeping { archive: Some(DAY), masks: Masks::default() },
    );
    let mut rows = 0;
    for round in 0..40u64 {
        let batch: Vec<Envelope> = (1..=200)
            .map(|number| {
                let noise: String = (0..20).map(|_| fastrand::alphanumeric()).collect();
                let body = format!("{{\"шум\":\"{noise}\"}}").into_bytes();
                Envelope {
                    time: Moment::now(),
                    ..sample::with_body(&store.stream, "7f-guid", round * 200 + number, body)
                }
            })
            .collect();
        store.sealed(&batch);
        for message in &batch {
            let what = What::Skipped("filtered");
            let step = Step {
                route: store.route.clone(),
                stream: store.stream.clone(),
                seq: message.seq,
                at: message.time,
                what,
            };
            store.journal.note(Event::Step(step));
        }
        store.journal.flush().await.unwrap();
        rows += batch.len();
    }
    let reader = rusqlite::Connection::open(store.path()).unwrap();
    let size = || reader.query_row("SELECT bytes FROM journal_size", [], |row| row.get::<_, i64>(0)).unwrap();
    for _ in 0..100 {
        store.journal.flush().await.unwrap();
    }
    assert!(size() <= bound as i64, "{} bytes", size());
    let count = |table: &str| {
        reader.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let (keys, labels, steps) = (count("journal_keys"), count("journal_labels"), count("journal_steps"));
    assert!(keys > 0 && keys < rows as i64 && keys == labels && keys == steps, "{keys} {labels} {steps}");
    assert_eq!(count("journal"), count("archive"));
    // The estimate is honest: what it counts is about what is there.
    let there: i64 = reader
        .query_row("SELECT sum(length(entries)) + (SELECT sum(length(bodies)) FROM archive) FROM journal", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert!(size() > there && size() < there * 4, "{} against {there}", size());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_messages_come_back_with_their_bodies_oldest_first() {
    let store = Store::archived();
    let versions: Vec<Envelope> = (1..=300).map(|number| store.version(number)).collect();
    // More than one block, and more than one round.
    store.sealed(&versions[..290]);
    store.sealed(&versions[290..]);
    store.journal.flush().await.unwrap();
    for limit in [1, 5, 295, 1000] {
        let newest = store.journal.newest(&store.stream, limit).await.unwrap();
        let expected = &versions[300 - limit.min(300)..];
        assert_eq!(newest.len(), expected.len());
        let same = |(found, sent): (&Envelope, &Envelope)| {
            found.body == sent.body && found.seq == sent.seq && found.id == sent.id && found.label == sent.label
        };
        assert!(newest.iter().zip(expected).all(same), "{limit}");
    }
    let body = versions[299].body.len() + versions[299].key.as_str().len();
    for (records, bytes, expected) in [(5, usize::MAX, 5), (100, 3 * body - 1, 3), (100, 1, 1)] {
        let limit = BatchLimit { records, bytes };
        let page = store.state.archived(&store.stream, None, None, limit).await.unwrap();
        assert!(page.len() == expected && page[0].seq == versions[299].seq, "{limit:?}: {}", page.len());
    }
    assert_eq!(store.journal.read_since(&store.stream, Moment(0)).await.unwrap(), 300);
    assert_eq!(store.journal.read_since(&store.stream, Moment::now().after(DAY)).await.unwrap(), 0);
    let other = StreamName::new("другое").unwrap();
    assert!(store.journal.newest(&other, 5).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_without_bodies_are_not_among_the_newest() {
    let store = Store::new(WIDE, Keeping { archive: None, masks: Masks::default() });
    store.sealed(&[store.version(1)]);
    store.journal.flush().await.unwrap();
    assert!(store.journal.newest(&store.stream, 5).await.unwrap().is_empty());
    assert_eq!(store.journal.read_since(&store.stream, Moment(0)).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_did_stands_between_two_deliveries_and_decides_nothing() {
    let store = Store::archived();
    let version = store.version(1);
    store.sealed(std::slice::from_ref(&version));
    store.delivered(&version).await;
    store.chronicle.person(&store.route, (&version.stream, version.seq), Deed::Resent, &"я".repeat(300));
    store.delivered(&version).await;
    let story = store.story().await;
    let on = &story.versions[0].routes[0];
    let told: Vec<_> = on.steps.iter().map(|step| (step.kind, step.word.as_str(), step.times)).collect();
    assert_eq!(told, [(StepKind::Attempt, "ok", 1), (StepKind::Person, "resent", 1), (StepKind::Attempt, "ok", 1)]);
    assert_eq!(on.steps[1].message.as_deref().map(|who| who.chars().count()), Some(101), "a name is cut");
    store.chronicle.person(&store.route, (&version.stream, version.seq), Deed::Loaded, "anna");
    store.journal.flush().await.unwrap();
    assert_eq!(states(&store.story().await), [State::Delivered]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_could_not_be_read_is_found_by_what_could() {
    let store = Store::archived();
    let row = |number: u32, stream: &StreamName| UnreadableRecord {
        stream: stream.clone(),
        raw: number.to_string().into_bytes().into(),
        reason: "column \"сумма\"".into(),
        key: (number > 1).then(|| Key::from_stored(&number.to_string())),
        label: Some(format!("УТ-{number}")),
    };
    let other = StreamName::new("чеки").unwrap();
    store.state.keep_unreadable(&[row(1, &store.stream), row(2, &store.stream), row(2, &other)]).await.unwrap();
    let found = async |search: Search| {
        let found = store.journal.find(&search).await.unwrap();
        let name = |key: &Option<Key>| key.as_ref().map_or("-".to_owned(), |key| key.as_str().to_owned());
        let rows = found.unreadable.iter().map(|row| format!("{} {} {}", row.letter, row.stream, name(&row.key)));
        (rows.collect::<Vec<_>>(), found.objects.len(), found.near.len())
    };
    let rows = |rows: &[&str]| (rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>(), 0, 0);
    assert_eq!(found(store.search("УТ-1")).await, rows(&["1 заказы -"]));
    for word in ["УТ-2", "2"] {
        assert_eq!(found(store.search(word)).await, rows(&["3 чеки 2", "2 заказы 2"]));
    }
    let of = |stream: &StreamName| Search { stream: Some(stream.clone()), ..store.search("2") };
    assert_eq!(found(of(&other)).await, rows(&["3 чеки 2"]));
    let all = Search { state: Some(StateKind::Dead), limit: 2, ..store.search("") };
    assert_eq!(found(all.clone()).await, rows(&["3 чеки 2", "2 заказы 2"]), "the newest of them");
    assert_eq!(found(Search { until: Some(Moment(1)), ..all }).await, rows(&[]));
    assert_eq!(found(store.search("")).await, rows(&[]), "only where letters are asked for");
}
