//! One landscape: a table, the bus on a real file, a receiver. The bus can end at any point and start again on what a
//! killed process would have left on the disk.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bus_core::engine::arrivals::Arrivals;
use bus_core::engine::backfills::Backfills;
use bus_core::engine::capture::{Capture, CapturePorts, Changes, DeletionGuard, FeedPlan, RoundError, StreamPlan};
use bus_core::engine::chronicle::Chronicle;
use bus_core::engine::gate::{Capacity, Gate};
use bus_core::engine::incident::Incidents;
use bus_core::engine::metrics::Metrics;
use bus_core::engine::pauses::Pauses;
use bus_core::engine::tasks::Tasks;
use bus_core::engine::worker::{
    Batch, Collect, Command, Delivered, Handle, Late, LeftPolicy, ReplayOutcome, Requirement, RoutePlan, Worker,
    WorkerPorts,
};
use bus_core::policy::{BreakerOptions, Jitter, RetryPolicy, Schedule};
use bus_core::ports::broker::{Broker, QueuePlan};
use bus_core::ports::one_step::OneStep;
use bus_core::ports::requires::References;
use bus_core::ports::shape::{AsIs, Shape, ShapeError};
use bus_core::ports::source::BatchLimit;
use bus_core::ports::state::{DeadFilter, DeadRow, RouteCounts, StateStore};
use bus_core::vocabulary::{
    ContentHash, Envelope, FeedName, Key, MessageId, Moment, Operation, QueueName, RouteName, Seq, StreamName,
    SystemName,
};
use bus_storage::{Database, EmbeddedBroker, SqliteRuns, SqliteState};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::broker::{CutBroker, CutStep};
use super::cuts::Cuts;
use super::receiver::{Kind, Receiver};
use super::store::{CutRuns, CutStore, Sabotage};
use super::table::{Table, content};

/// Nothing in these tests takes as long on its own.
const PATIENCE: Duration = Duration::from_secs(30);

/// What differs from test to test.
#[derive(Clone)]
pub struct Setup {
    /// How the receiver meets a repeat.
    pub kind: Kind,
    /// How the feed finds changes.
    pub changes: Changes,
    /// Records of one fetch or page.
    pub page: usize,
    /// Bytes that a reading for a task keeps.
    pub kept: u64,
    /// Filter and transformation.
    pub shape: Arc<dyn Shape>,
    /// See [`RoutePlan`].
    pub when_left: LeftPolicy,
    /// See [`RoutePlan`].
    pub delivery: Delivered,
    /// See [`RoutePlan`].
    pub collect: Option<Collect>,
    /// See [`RoutePlan`].
    pub batch: Option<Batch>,
    /// What has to be at the receiver before.
    pub requires: Vec<Requirement>,
    /// See [`RoutePlan`].
    pub retry: RetryPolicy,
    /// See [`RoutePlan`].
    pub concurrency: usize,
    /// See [`RoutePlan`].
    pub prefetch: u16,
    /// See [`RoutePlan`].
    pub hold: Duration,
    /// See [`RoutePlan`].
    pub pause: Duration,
    /// The longest a request lasts.
    pub deadline: Duration,
    /// Of the receiver's system.
    pub breaker: BreakerOptions,
    /// A restart waits for the predecessor's requests (R11); most tests skip that second.
    pub waits_for_predecessor: bool,
    /// Capture takes its rounds in one transaction of the embedded broker; else step by step, as with any broker.
    pub one_step: bool,
    /// A rule that is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

impl Default for Setup {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            kind: Kind::Keyed,
            changes: Changes::Cursor { recheck: None },
            page: 100,
            kept: 1 << 28,
            shape: Arc::new(AsIs),
            when_left: LeftPolicy::Delete,
            delivery: Delivered::Every,
            collect: None,
            batch: None,
            requires: Vec::new(),
            retry: RetryPolicy { attempts: 4, first: ms(2), max: ms(10), jitter: Jitter::Equal },
            concurrency: 4,
            prefetch: 64,
            hold: Duration::from_secs(60),
            pause: Duration::from_secs(600),
            deadline: Duration::from_secs(20),
            breaker: BreakerOptions { failures: 3, busy_keys: 20, first: ms(2), max: ms(10) },
            waits_for_predecessor: false,
            one_step: false,
            sabotage: None,
        }
    }
}

impl Setup {
    /// The defaults with one kind of receiver.
    pub fn with(kind: Kind) -> Self {
        Self { kind, ..Self::default() }
    }

    /// A source without a position, compared as a whole; deletions without a bound.
    pub fn diff() -> Self {
        Self { changes: Changes::Diff(DeletionGuard { percent: 100.0 }), ..Self::default() }
    }
}

/// One life of the bus: what a process holds open.
struct Life {
    store: Arc<dyn StateStore>,
    broker: Arc<dyn Broker>,
    one_step: Arc<dyn OneStep>,
    raw_broker: EmbeddedBroker,
    raw_store: SqliteState,
    gate: Arc<Gate>,
    reads: Arc<Gate>,
    pauses: Pauses,
    tasks: Tasks,
    arrivals: Arrivals,
    runs: SqliteRuns,
}

/// Everything of one test.
pub struct World {
    setup: Setup,
    directory: TempDir,
    lives: usize,
    life: Option<Life>,
    published: Arc<Mutex<Vec<Envelope>>>,
    /// See [`CutStep`].
    unknown: Arc<Mutex<Vec<Vec<Envelope>>>>,
    /// The source.
    pub table: Table,
    /// The receiver.
    pub receiver: Receiver,
    /// The cuts of this life.
    pub cuts: Cuts,
    /// Notified, the worker loses its connection to the broker.
    pub breaks: Arc<Notify>,
    /// Of all lives.
    pub incidents: Incidents,
    /// Of all lives.
    pub metrics: Metrics,
}

/// A worker at work.
pub struct Route {
    /// Reaches it.
    pub handle: Handle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The one stream.
pub fn stream() -> StreamName {
    StreamName::new("остатки").expect("letters are a name")
}

fn queue() -> QueueName {
    QueueName::new("остатки-в-магазин").expect("letters and hyphens are a name")
}

/// The one feed.
pub fn feed() -> FeedName {
    FeedName::new("склад").expect("letters are a name")
}

/// The receiver's system.
pub fn system() -> SystemName {
    SystemName::new("магазин").expect("letters are a name")
}

/// The one route.
pub fn route() -> RouteName {
    RouteName::new("остатки-в-магазин").expect("letters and hyphens are a name")
}

/// Version `number` of a key, as capture would have sealed it in this epoch.
pub fn message(key: &str, epoch: u64, number: u64, value: &str) -> Envelope {
    sealed(key, epoch, number, Operation::Upsert, &content(value))
}

/// A deletion.
pub fn deletion(key: &str, epoch: u64, number: u64) -> Envelope {
    sealed(key, epoch, number, Operation::Delete, &format!("{{\"ключ\":\"{key}\"}}"))
}

fn sealed(key: &str, epoch: u64, number: u64, operation: Operation, body: &str) -> Envelope {
    let (key, body) = (Key::from_stored(key), Bytes::copy_from_slice(body.as_bytes()));
    let hash = ContentHash::of(operation, &body);
    Envelope {
        id: MessageId::derive(&stream(), &key, number, &hash),
        stream: stream(),
        key,
        seq: Seq { epoch, number },
        generation: number,
        operation,
        time: Moment::now(),
        label: None,
        hash,
        body,
    }
}

/// Every record but that one refers to this one of the same stream, which the one route brings.
pub fn refers_to(key: &'static str, late: Late) -> Requirement {
    Requirement {
        stream: stream(),
        from: Arc::from([route()]),
        references: Arc::new(Always(key)),
        within: Duration::from_millis(if late == Late::Send { 30 } else { 3_600_000 }),
        late,
        preloaded: false,
    }
}

struct Always(&'static str);

impl References for Always {
    fn of(&self, _body: &[u8]) -> Result<Vec<Key>, ShapeError> {
        Ok(vec![Key::from_stored(self.0)])
    }
}

impl World {
    /// A fresh landscape with the bus open and nothing running.
    pub async fn new(setup: Setup) -> Self {
        // Memory, where there is some: what a killed process leaves is in the page cache either way.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
        let receiver = Receiver::new(setup.kind);
        let mut world = Self {
            setup,
            directory,
            lives: 0,
            life: None,
            published: Arc::default(),
            unknown: Arc::default(),
            table: Table::default(),
            receiver,
            cuts: Cuts::default(),
            breaks: Arc::default(),
            incidents: Incidents::default(),
            metrics: Metrics::new(),
        };
        world.open().await;
        world
    }

    /// Whether the route sends every version.
    pub fn delivers_all_versions(&self) -> bool {
        self.setup.delivery == Delivered::Every
    }

    /// Changes what a restart will find in the configuration.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup);
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join(self.lives.to_string()).join("bus.db")
    }

    async fn open(&mut self) {
        let cuts = Cuts::default();
        let database = Database::open(self.file()).expect("opening the database");
        let raw_store = SqliteState::new(database.clone());
        let runs = SqliteRuns::new(database.clone());
        let raw_broker = EmbeddedBroker::open(database).await.expect("opening the broker");
        let plan = QueuePlan { queue: queue(), stream: stream(), keep: None };
        raw_broker.declare(&[plan]).await.expect("declaring the queue");
        if !self.setup.waits_for_predecessor {
            raw_store.set_gate(&system(), -1).await.expect("forgetting the predecessor's requests");
        }
        let store: Arc<dyn StateStore> = Arc::new(CutStore {
            inner: Arc::new(raw_store.clone()),
            cuts: cuts.clone(),
            sabotage: self.setup.sabotage,
        });
        let broker = Arc::new(CutBroker {
            inner: Arc::new(raw_broker.clone()),
            cuts: cuts.clone(),
            published: Arc::clone(&self.published),
            breaks: Arc::clone(&self.breaks),
            sabotage: self.setup.sabotage,
        });
        let one_step = Arc::new(CutStep {
            inner: Arc::new(raw_broker.clone()),
            cuts: cuts.clone(),
            published: Arc::clone(&self.published),
            unknown: Arc::clone(&self.unknown),
        });
        self.find_out(&raw_store).await;
        let capacity = |deadline| Capacity {
            profile: None,
            operations: Vec::new(),
            margin: 0.0,
            adaptive: true,
            concurrency: 32,
            deadline,
            breaker: self.setup.breaker,
        };
        let (incidents, metrics) = (self.incidents.clone(), self.metrics.clone());
        let opened = Gate::open(system(), capacity(self.setup.deadline), Arc::clone(&store), incidents, metrics).await;
        let gate = opened.expect("opening the gate");
        let reads = SystemName::new("склад").expect("letters are a name");
        let raw: Arc<dyn StateStore> = Arc::new(raw_store.clone());
        let opened =
            Gate::open(reads, capacity(Duration::ZERO), raw, self.incidents.clone(), self.metrics.clone()).await;
        let reads = opened.expect("opening the gate of the source");
        let pauses = Pauses::load(Arc::new(raw_store.clone()), self.incidents.clone()).await.expect("loading pauses");
        gate.follow(pauses.clone(), system());
        let tasks = Tasks::keeping(self.setup.kept, Arc::new(raw_store.clone())).await.expect("loading tasks");
        self.cuts = cuts;
        self.life = Some(Life {
            store,
            broker,
            one_step,
            raw_broker,
            raw_store,
            gate,
            reads,
            pauses,
            tasks,
            arrivals: Arrivals::default(),
            runs,
        });
    }

    /// What became of the rounds that the last life did not live to see the end of.
    async fn find_out(&self, store: &SqliteState) {
        let unknown = std::mem::take(&mut *self.unknown.lock().unwrap_or_else(PoisonError::into_inner));
        for batch in unknown {
            let Some(last) = batch.last() else { continue };
            let known = store.published(&stream(), std::slice::from_ref(&last.key)).await.expect("reading");
            if known[0].as_ref().is_some_and(|known| known.generation >= last.generation) {
                self.published.lock().unwrap_or_else(PoisonError::into_inner).extend(batch);
            }
        }
    }

    fn life(&self) -> &Life {
        self.life.as_ref().expect("the bus is open between its lives")
    }

    /// Kills the process and starts it again on a copy of what is on the disk at this moment. Whoever still holds parts
    /// of the old life can do nothing any more.
    pub async fn crash(&mut self) {
        self.cuts.end();
        let old = self.file();
        self.lives += 1;
        let new = self.file();
        std::fs::create_dir_all(new.parent().expect("a file has a directory")).expect("a directory");
        for suffix in ["", "-wal"] {
            let name = |path: &PathBuf| PathBuf::from(format!("{}{suffix}", path.display()));
            if name(&old).exists() {
                std::fs::copy(name(&old), name(&new)).expect("copying what the process left");
            }
        }
        self.life = None;
        self.open().await;
    }

    /// The gate of the receiver's system.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.life().gate
    }

    /// What people have ordered.
    pub fn tasks(&self) -> &Tasks {
        &self.life().tasks
    }

    /// The queue of backfills.
    pub fn backfills(&self) -> Backfills {
        Backfills::new(Arc::new(self.store().clone()), self.tasks().clone())
    }

    /// What people have paused.
    pub fn pauses(&self) -> &Pauses {
        &self.life().pauses
    }

    /// The runs that are kept, without cuts.
    pub fn runs(&self) -> &SqliteRuns {
        &self.life().runs
    }

    /// The state store without cuts, to look at or to play a zombie.
    pub fn store(&self) -> &SqliteState {
        &self.life().raw_store
    }

    /// A capture that has not been opened; a second one on the same store is a takeover.
    pub fn capture(&self) -> Capture {
        let life = self.life();
        let pushes = matches!(self.setup.changes, Changes::Push);
        let plan = FeedPlan {
            name: feed(),
            streams: vec![StreamPlan { name: stream(), key: vec!["ключ".into()], date: Some("дата".into()) }],
            schedule: Schedule::Every(Duration::from_secs(1)),
            timezone: chrono_tz::UTC,
            changes: self.setup.changes.clone(),
            limit: BatchLimit { records: self.setup.page, bytes: 1 << 20 },
        };
        let ports = CapturePorts {
            source: Box::new(self.table.reader(stream(), pushes, self.cuts.clone())),
            broker: Arc::clone(&life.broker),
            store: Arc::clone(&life.store),
            one_step: self.setup.one_step.then(|| Arc::clone(&life.one_step)),
            gate: Arc::clone(&life.reads),
            pauses: life.pauses.clone(),
            tasks: life.tasks.clone(),
            rewinds: Default::default(),
            incidents: self.incidents.clone(),
            metrics: self.metrics.clone(),
            chronicle: Chronicle::off(),
        };
        Capture::new(plan, ports).0
    }

    /// Rounds until the source has nothing more, or until the cut: `false`.
    pub async fn capture_all(&self, capture: &mut Capture) -> bool {
        let rounds = async {
            let deadline = Instant::now() + PATIENCE;
            let mut quiet = 0;
            while quiet < 2 {
                assert!(Instant::now() < deadline, "the source is never read to its end");
                let before = self.sealed().len();
                match capture.round(false).await {
                    Ok(more) => {
                        let pushes = matches!(self.setup.changes, Changes::Push);
                        let more = if pushes { self.table.unanswered() > 0 } else { more };
                        quiet = if more || self.sealed().len() > before { 0 } else { quiet + 1 };
                    }
                    Err(RoundError::State(error)) if error.to_string().contains("taken this feed over") => return,
                    Err(_) => quiet = 0,
                }
            }
        };
        self.survives(rounds).await
    }

    /// Runs it to its end, or until the cut: `false`.
    pub async fn survives(&self, work: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = self.cuts.crashed() => false,
            () = work => true,
        }
    }

    /// What was published so far in all lives, repeats included.
    pub fn sealed(&self) -> Vec<Envelope> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts messages into the queue past any capture.
    pub async fn publish(&self, messages: &[Envelope]) {
        for outcome in self.life().raw_broker.publish(&stream(), messages).await {
            outcome.expect("publishing");
        }
        self.published.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(messages);
    }

    /// Starts the worker.
    pub fn start(&self) -> Route {
        self.start_with(self.setup.batch)
    }

    /// Starts the worker as after a reload that changes how many messages share a request.
    pub fn start_with(&self, batch: Option<Batch>) -> Route {
        let life = self.life();
        let plan = RoutePlan {
            name: route(),
            queue: queue(),
            stream: stream(),
            system: system(),
            operation: None,
            when_left: self.setup.when_left,
            delivery: self.setup.delivery,
            collect: self.setup.collect.clone(),
            batch,
            sends_deletes: true,
            retry: self.setup.retry,
            reject_limit: 10,
            concurrency: self.setup.concurrency,
            prefetch: self.setup.prefetch,
            hold: self.setup.hold,
            pause: self.setup.pause,
        };
        let ports = WorkerPorts {
            target: Arc::new(self.receiver.connector(self.cuts.clone(), self.setup.deadline)),
            shape: Arc::clone(&self.setup.shape),
            broker: Arc::clone(&life.broker),
            store: Arc::clone(&life.store),
            runs: Arc::new(CutRuns { inner: life.runs.clone(), cuts: self.cuts.clone() }),
            gate: Arc::clone(&life.gate),
            pauses: life.pauses.clone(),
            incidents: self.incidents.clone(),
            metrics: self.metrics.clone(),
            chronicle: Chronicle::off(),
            echo: None,
            requires: self.setup.requires.clone().into(),
            arrivals: life.arrivals.clone(),
        };
        let (worker, handle) = Worker::new(plan, ports);
        let stop = CancellationToken::new();
        let task = tokio::spawn(worker.run(stop.clone()));
        Route { handle, stop, task }
    }

    /// Takes everything out of the queue unseen: what a receiver that was added later never got.
    pub async fn lose_the_queue(&self) {
        let mut left = self.depth().await;
        let mut deliveries = self.life().raw_broker.consume(&queue(), 1000).await.expect("consuming");
        while left > 0 {
            deliveries.next().await.expect("a message").expect("a message").ack().await.expect("an ack");
            left -= 1;
        }
    }

    /// Messages in the queue, unsettled ones included.
    pub async fn depth(&self) -> u64 {
        self.life().raw_broker.depth(&queue()).await.expect("the queue exists").messages
    }

    /// Rows in `waiting`, open dead letters.
    pub async fn counts(&self) -> RouteCounts {
        self.store().route_counts(&route()).await.expect("counting")
    }

    /// The open dead letters, oldest first.
    pub async fn dead(&self) -> Vec<DeadRow> {
        self.store().dead_letters(&DeadFilter::default()).await.expect("listing dead letters")
    }

    /// Returns when `condition` holds; panics, naming `what`, when it takes too long.
    pub async fn until(&self, what: &str, mut condition: impl AsyncFnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self).await {
            if Instant::now() > deadline {
                let (depth, counts, attempts) = (self.depth().await, self.counts().await, self.receiver.attempts());
                panic!("waited in vain for {what}: {depth} in the queue, {counts:?}, attempts {attempts:?}");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Returns when queue and `waiting` are empty.
    pub async fn until_idle(&self) {
        self.until("an empty queue and nothing waiting", async |world: &World| {
            world.depth().await == 0 && world.counts().await.waiting == 0
        })
        .await;
    }

    /// Runs the worker until everything has its outcome, or until the cut: `false`.
    pub async fn deliver_all(&self) -> bool {
        let route = self.start();
        let whole = async {
            self.until_idle().await;
            route.begin_stop();
            self.until("a stopped worker to end", async |_: &World| route.has_ended()).await;
        };
        let whole = self.survives(whole).await;
        route.kill().await;
        whole
    }
}

impl Route {
    /// A clean stop.
    pub async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("a worker that stops ends");
        ended.expect("a worker does not panic");
    }

    /// Asks it to stop and returns at once.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Drops it where it stands.
    pub async fn kill(self) {
        self.task.abort();
        // Aborted or ended: both are what was asked for; a panic is not.
        if let Err(error) = self.task.await {
            assert!(error.is_cancelled(), "the worker panicked");
        }
        // The attempts are tasks of their own, dropped with it and gone after the runtime's next turn.
        tokio::task::yield_now().await;
    }

    /// Asks for a replay.
    pub async fn replay(&self, id: i64, force: bool) -> ReplayOutcome {
        let (reply, answer) = oneshot::channel();
        assert!(
            self.handle.send(Command::Replay { id, force, who: "anna@test".to_owned(), reply }).await,
            "the worker runs"
        );
        answer.await.expect("the worker answers")
    }

    /// Ends a pause.
    pub async fn resume(&self) {
        assert!(self.handle.send(Command::Resume).await, "the worker runs");
    }
}
