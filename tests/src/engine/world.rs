//! One landscape: a table, the bus on a real file, a receiver. The bus can end at any point and start again on what a
//! killed process would have left on the disk.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bus_core::engine::arrivals::Arrivals;
use bus_core::engine::backfills::Backfills;
use bus_core::engine::capture::{Capture, CapturePorts, Changes, FeedPlan, FeedStatus, RoundError, StreamPlan};
use bus_core::engine::chronicle::Chronicle;
use bus_core::engine::gate::{Capacity, Gate};
use bus_core::engine::incident::Incidents;
use bus_core::engine::metrics::Metrics;
use bus_core::engine::outbox::{Outbox, OutboxPlan};
use bus_core::engine::pauses::Pauses;
use bus_core::engine::tasks::Tasks;
use bus_core::engine::worker::{Batch, Delivered, RoutePlan, Worker, WorkerPorts};
use bus_core::policy::Schedule;
use bus_core::ports::broker::{Broker, Keep, QueuePlan};
use bus_core::ports::one_step::OneStep;
use bus_core::ports::source::BatchLimit;
use bus_core::ports::state::{DeadFilter, DeadRow, Reserved, RouteCounts, StateStore};
use bus_core::vocabulary::{Envelope, GateName, SubscriptionName, SystemName};
use bus_storage::{Database, EmbeddedBroker, SqliteRuns, SqliteState, SqliteWrites};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::broker::{CutBroker, CutStep};
use super::cuts::Cuts;
use super::messages::{feed, queue, route, stream, system};
use super::receiver::Receiver;
use super::route::Route;
use super::setup::Setup;
use super::store::{CutRuns, CutStore};
use super::table::Table;

/// Nothing in these tests takes as long on its own.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// One life of the bus: what a process holds open.
struct Life {
    store: Arc<dyn StateStore>,
    broker: Arc<dyn Broker>,
    one_step: Arc<dyn OneStep>,
    raw_broker: EmbeddedBroker,
    raw_store: SqliteState,
    database: Database,
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

    /// As for a receiver that came later: these were published, and the route's queue has lost them.
    pub async fn unfilled(setup: Setup, keys: &[&str]) -> Self {
        let world = Self::new(setup).await;
        for key in keys {
            world.table.put(key, "1");
        }
        let mut capture = world.capture();
        assert!(world.capture_all(&mut capture).await);
        world.lose_the_queue().await;
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
        let raw_broker = EmbeddedBroker::open(database.clone()).await.expect("opening the broker");
        let plan = QueuePlan { queue: queue(), stream: stream(), keep: None };
        raw_broker.declare(&[plan]).await.expect("declaring the queue");
        if !self.setup.waits_for_predecessor {
            raw_store
                .set_gate(&GateName::Deliveries(system()), Reserved::at(-1))
                .await
                .expect("forgetting the predecessor's requests");
        }
        let store: Arc<dyn StateStore> = Arc::new(CutStore {
            inner: Arc::new(raw_store.clone()),
            cuts: cuts.clone(),
            sabotage: self.setup.sabotage,
            clock: self.setup.clock,
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
        let capacity = |profile, deadline| Capacity {
            profile,
            operations: Vec::new(),
            margin: 0.0,
            adaptive: true,
            concurrency: 32,
            deadline,
            breaker: self.setup.breaker,
        };
        let (incidents, metrics) = (self.incidents.clone(), self.metrics.clone());
        let of_system = capacity(self.setup.profile.clone(), self.setup.deadline);
        let name = GateName::Deliveries(system());
        let opened = Gate::open(name, of_system, Arc::clone(&store), incidents, metrics).await;
        let gate = opened.expect("opening the gate");
        let reads = GateName::Reads(SystemName::new("склад").expect("letters are a name"));
        let raw: Arc<dyn StateStore> = Arc::new(raw_store.clone());
        let opened =
            Gate::open(reads, capacity(None, Duration::ZERO), raw, self.incidents.clone(), self.metrics.clone()).await;
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
            database,
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

    /// The gate of the source's system.
    pub fn reads(&self) -> &Arc<Gate> {
        &self.life().reads
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

    /// What the route has written, as the route that carries the same entity back sees it.
    pub fn writes(&self) -> SqliteWrites {
        SqliteWrites::open(&self.life().database).expect("reading the database")
    }

    /// A capture that has not been opened; a second one on the same store is a takeover.
    pub fn capture(&self) -> Capture {
        self.watched_capture().0
    }

    /// The same, and what `status` tells of it.
    pub fn watched_capture(&self) -> (Capture, watch::Receiver<FeedStatus>) {
        let life = self.life();
        let pushes = matches!(self.setup.changes, Changes::Push);
        let plan = FeedPlan {
            name: self.setup.feed.clone(),
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
            runs: Arc::new(CutRuns { inner: life.runs.clone(), cuts: self.cuts.clone() }),
            gate: Some(Arc::clone(&life.reads)),
            pauses: life.pauses.clone(),
            tasks: life.tasks.clone(),
            rewinds: Default::default(),
            incidents: self.incidents.clone(),
            metrics: self.metrics.clone(),
            chronicle: Chronicle::off(),
        };
        Capture::new(plan, ports)
    }

    /// A subscription that has the route's queue.
    pub fn outbox(&self, name: &SubscriptionName) -> Outbox {
        let (life, hour) = (self.life(), Duration::from_secs(3600));
        Outbox {
            plan: OutboxPlan {
                name: name.clone(),
                queue: queue(),
                stream: stream(),
                keep: Keep { age: hour, bytes: self.setup.kept },
            },
            shape: Arc::clone(&self.setup.shape),
            broker: Arc::clone(&life.broker),
            store: Arc::clone(&life.store),
            incidents: self.incidents.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// Reads for one task after the other, without end.
    pub async fn read_for_tasks(&self) {
        let mut capture = self.capture();
        loop {
            self.tasks().until_to_read(&feed()).await;
            let Some(task) = self.tasks().to_read(&feed()) else { continue };
            // A planned failure: as after every failed round, the feed opens again and the scan begins anew.
            let _ = capture.take_stock(&task).await;
        }
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
            echo: self.setup.echo.clone(),
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
                let (route, breaker) = (route(), self.gate().breaker());
                let [known, in_hand] = [&self.metrics.waiting, &self.metrics.in_flight]
                    .map(|gauge| gauge.with_label_values(&[route.as_str()]).get());
                let rows = self
                    .store()
                    .waiting(&route, bus_core::vocabulary::Moment(i64::MAX), Duration::MAX, 9, usize::MAX)
                    .await;
                let rows: Vec<_> = rows.expect("rows").into_iter().map(|row| (row.envelope.key, row.reason)).collect();
                panic!(
                    "waited in vain for {what}: {depth} in the queue, {counts:?}: {rows:?}, the worker knows of {known} \
                     and has {in_hand} in hand, breaker {breaker:?}, attempts {attempts:?}"
                );
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
