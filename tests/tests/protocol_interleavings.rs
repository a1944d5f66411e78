//! Random stories: changes, verdicts, cuts, broken connections and what people do meanwhile, drawn from a seed. Every
//! property must hold in each of them, and with any one rule broken on purpose some of them must fail.
//!
//! A failure names its seed; `BUS_SEED=17 cargo test -p bus-tests --test protocol_interleavings` tells that story alone, and
//! `BUS_SEED=0..24` tells them side by side, as the test does: some only go wrong where they have to wait for each other.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus_core::engine::tasks::Whereabouts;
use bus_core::engine::worker::{Batch, Collect, Delivered, Handle, Late};
use bus_core::policy::Schedule;
use bus_core::ports::pauses::{Pause, Subject};
use bus_core::ports::shape::{AsIs, Hold, Shape, ShapeError, Shaped};
use bus_core::ports::tasks::{Kind as TaskKind, Order, TaskStore};
use bus_core::vocabulary::{Envelope, MessageId, Moment};
use engine::properties::*;
use engine::*;
use fastrand::Rng;
use futures::{Stream, StreamExt};
use tokio::task::{JoinHandle, LocalSet};
use tokio_util::sync::CancellationToken;

const STORIES: u64 = 200;
const ABREAST: usize = 24;
const KEYS: [&str; 3] = ["а", "b", "c"];

const OPERATIONS: [&str; 19] = [
    "store.open_feed",
    "store.published",
    "store.seal",
    "store.advance",
    "source.fetch",
    "source.committed",
    "broker.publish",
    "broker.publish",
    "broker.one_step",
    "broker.consume",
    "broker.ack",
    "broker.ack",
    "store.settled",
    "store.mark",
    "store.commit",
    "store.commit",
    "store.waiting",
    "target.deliver",
    "target.deliver",
];

fn cut(rng: &mut Rng, operation: &str) -> Cut {
    match rng.u8(0..6) {
        0 | 1 => Cut::CrashBefore,
        2 if operation == "broker.publish" => Cut::CrashHalfway,
        2 | 3 => Cut::CrashAfter,
        _ if ["broker.publish", "broker.one_step"].contains(&operation) && rng.bool() => Cut::FailAfter,
        _ => Cut::Fail,
    }
}

fn ending(rng: &mut Rng) -> Ending {
    match rng.u8(0..8) {
        0 | 1 => Ending::Busy,
        2 => Ending::SilentApplied,
        3 => Ending::SilentLost,
        4 => Ending::Rejected,
        5 => Ending::Unavailable,
        6 => Ending::Throttled(Some(Duration::from_millis(1))),
        _ => Ending::Accepted,
    }
}

/// Of half of the stories.
fn batch(rng: &mut Rng) -> Option<Batch> {
    rng.bool().then(|| Batch {
        max: rng.usize(2..5),
        wait: Duration::from_millis(rng.u64(0..10)),
        bytes: rng.usize(20..200),
    })
}

/// A map that does not know what every third message asks for, when it is looked at first.
#[derive(Default)]
struct Learning(Mutex<HashSet<MessageId>>);

impl Shape for Learning {
    fn shape(&self, envelope: &Envelope) -> Result<Shaped, ShapeError> {
        if envelope.seq.number.is_multiple_of(3) && self.0.lock().unwrap().insert(envelope.id) {
            let (what, subject) = ("map `m` to know \"3\"".to_owned(), "map `m`".to_owned());
            return Ok(Shaped::Hold(Hold { what, subject, late: None, within: None }));
        }
        Ok(Shaped::Send(envelope.body.clone()))
    }
}

fn setup(rng: &mut Rng, sabotage: Option<Sabotage>) -> Setup {
    let diff = rng.bool();
    let base = if diff { Setup::diff() } else { Setup::default() };
    Setup {
        kind: KINDS[rng.usize(0..3)],
        page: rng.usize(1..4),
        concurrency: rng.usize(1..4),
        prefetch: rng.u16(1..6),
        delivery: if rng.bool() { Delivered::Latest } else { Delivered::Every },
        collect: (rng.u8(0..8) == 0).then(|| {
            let schedule = Schedule::Every(Duration::from_millis(10));
            Collect { schedule, timezone: chrono_tz::UTC }
        }),
        batch: batch(rng),
        shape: if rng.u8(0..8) == 0 { Arc::new(Learning::default()) } else { Arc::new(AsIs) },
        requires: if rng.u8(0..3) == 0 { vec![refers_to("а", Late::Send)] } else { Vec::new() },
        // Short enough that messages which wait go through `waiting`.
        hold: if rng.u8(0..4) == 0 { Duration::from_millis(5) } else { base.hold },
        // What is broken on purpose is broken in the single steps.
        one_step: rng.bool() && sabotage.is_none(),
        sabotage,
        ..base
    }
}

/// A worker, and whoever hands to it what is read for tasks.
struct Hands {
    worker: Route,
    handle: Arc<Mutex<Handle>>,
    job: JoinHandle<()>,
}

impl Hands {
    fn start(world: &World) -> Self {
        let worker = world.start();
        let handle = Arc::new(Mutex::new(worker.handle.clone()));
        let find = Arc::clone(&handle);
        let tasks = world.tasks().clone();
        let job = tasks.run(move |_| Whereabouts::Here(find.lock().unwrap().clone()), CancellationToken::new());
        Self { worker, handle, job: tokio::spawn(job) }
    }

    /// As a reload does: what is under way ends, and another worker goes on, perhaps with requests of another size.
    async fn reload(&mut self, world: &World, batch: Option<Batch>) {
        self.worker.begin_stop();
        world.until("a stopped worker to end", async |_: &World| self.worker.has_ended()).await;
        self.worker = world.start_with(batch);
        *self.handle.lock().unwrap() = self.worker.handle.clone();
    }

    async fn kill(self) {
        self.job.abort();
        self.worker.kill().await;
    }
}

/// What somebody does while messages flow.
async fn deed(world: &World, hands: &mut Hands, rng: &mut Rng) {
    match rng.u8(0..6) {
        0 => {
            let subject = if rng.bool() { Subject::Route(route()) } else { Subject::System(system()) };
            let pause = Pause {
                subject, who: "anna@erp1".into(), why: "инвентаризация".into(), since: Moment::now()
            };
            world.pauses().pause(pause).await.unwrap();
        }
        1 | 2 => resume(world).await,
        3 => hands.reload(world, batch(rng)).await,
        4 => {
            for row in world.dead().await {
                // What a blind receiver may have is sent again by nobody who wants to see nothing twice.
                if world.receiver.kind() != Kind::Blind || row.letter.fault == "rejected" {
                    hands.worker.replay(row.id, false).await.unwrap();
                }
            }
        }
        _ => {
            let again = world.receiver.kind() != Kind::Blind && rng.bool();
            let kind = if again { TaskKind::Resend } else { TaskKind::Load };
            let (feed, stream, route, who) = (feed(), stream(), route(), "anna@erp1".to_owned());
            let order = Order { kind, feed, stream, route, only: vec![], part: None, backfill: None, share: 50, who };
            world.tasks().order(&order).await.unwrap();
        }
    }
}

async fn resume(world: &World) {
    for pause in world.pauses().list() {
        world.pauses().resume(&pause.subject, "anna@erp1").await.unwrap();
    }
}

async fn story(seed: u64, sabotage: Option<Sabotage>) {
    let mut rng = Rng::with_seed(seed);
    let mut world = World::new(setup(&mut rng, sabotage)).await;
    let mut value = 0;
    for _ in 0..rng.u8(3..7) {
        for _ in 0..rng.u8(0..3) {
            let operation = OPERATIONS[rng.usize(0..OPERATIONS.len())];
            world.cuts.plan(operation, rng.usize(1..5), cut(&mut rng, operation));
        }
        for _ in 0..rng.u8(0..3) {
            world.receiver.script(KEYS[rng.usize(0..3)], [ending(&mut rng)]);
        }
        if rng.u8(0..4) == 0 {
            world.receiver.script_requests([ending(&mut rng)]);
        }
        let mut hands = Hands::start(&world);
        let mut capture = world.capture();
        let live = async {
            for _ in 0..rng.u8(1..5) {
                let key = KEYS[rng.usize(0..3)];
                // Values return: two of three times the content is one of few.
                value += 1;
                let content = if rng.u8(0..3) == 0 { value } else { rng.u32(0..2) };
                world.table.put(key, &content.to_string());
                if rng.bool() {
                    world.capture_all(&mut capture).await;
                }
                if rng.u8(0..6) == 0 {
                    world.breaks.notify_one();
                }
                if rng.u8(0..3) == 0 {
                    deed(&world, &mut hands, &mut rng).await;
                }
                if let Some(task) = world.tasks().to_read(&feed()) {
                    // A planned failure: as after every failed round, the feed opens again and the scan begins anew.
                    let _ = capture.take_stock(&task).await;
                }
            }
            world.capture_all(&mut capture).await;
            if rng.bool() && !world.pauses().any() {
                world.until_idle().await;
            }
        };
        tokio::select! {
            biased;
            () = world.cuts.crashed() => {}
            () = live => {}
        }
        drop(capture);
        hands.kill().await;
        world.crash().await;
    }
    finish(&world).await;
    the_receiver_has_no_complaints(&world);
    nothing_is_lost(&world).await;
    effects_follow_history(&world);
    identities_are_kept(&world);
    if world.delivers_all_versions() {
        every_message_has_an_outcome(&world).await;
    }
    blind_receivers_see_no_repeat(&world);
}

/// Nothing happens any more, and everything that was begun comes to its end.
async fn finish(world: &World) {
    resume(world).await;
    let mut capture = world.capture();
    assert!(world.capture_all(&mut capture).await);
    let open = async || world.store().tasks().await.unwrap().iter().any(|task| task.stage.is_open());
    if open().await {
        let hands = Hands::start(world);
        while let Some(task) = world.tasks().to_read(&feed()) {
            capture.take_stock(&task).await.unwrap();
        }
        world.until("every task to end", async |_: &World| !open().await).await;
        hands.kill().await;
    }
    assert!(world.deliver_all().await);
}

/// Tells the stories of these seeds, and gives the seeds of those that end wrong. Asked within a [`LocalSet`].
fn tell(seeds: impl Iterator<Item = u64>, sabotage: Option<Sabotage>) -> impl Stream<Item = u64> {
    let told = futures::stream::iter(seeds).map(move |seed| async move {
        let ended = tokio::task::spawn_local(story(seed, sabotage)).await;
        ended.is_err().then_some(seed)
    });
    told.buffer_unordered(ABREAST).filter_map(std::future::ready)
}

#[tokio::test]
async fn every_property_holds_in_every_story() {
    let seeds: Vec<u64> = match std::env::var("BUS_SEED") {
        Ok(seeds) => match seeds.split_once("..") {
            Some((first, end)) => (first.parse().unwrap()..end.parse().unwrap()).collect(),
            None => vec![seeds.parse().unwrap()],
        },
        Err(_) => {
            // Always the same ones, and some that nobody has told before.
            let fresh = fastrand::u64(1000..1_000_000_000);
            println!("fresh stories from seed {fresh}");
            (0..STORIES / 2).chain(fresh..fresh + STORIES / 2).collect()
        }
    };
    let wrong: Vec<u64> = LocalSet::new().run_until(tell(seeds.into_iter(), None).collect()).await;
    assert!(wrong.is_empty(), "these seeds end wrong: {wrong:?}");
}

#[tokio::test]
async fn a_broken_rule_is_noticed() {
    for sabotage in [
        Sabotage::ForgetSeal,
        Sabotage::ForgetFence,
        Sabotage::ForgetMarks,
        Sabotage::LoseHold,
        Sabotage::ConfirmTooMuch,
        Sabotage::AckFirst,
    ] {
        // One is enough, and the first one comes before those that hang have lost their patience.
        let told = LocalSet::new();
        let mut wrong = std::pin::pin!(tell(0..8 * ABREAST as u64, Some(sabotage)));
        let noticed = told.run_until(wrong.next()).await;
        println!("{sabotage:?} is noticed by the story of seed {noticed:?}");
        assert!(noticed.is_some(), "{sabotage:?} is noticed by no story");
    }
}
