//! The pace, by the receivers' own clocks, while the bus is killed, stopped, frozen, and followed by another process.

use std::time::Duration;

use bus_core::policy::{Micros, Profile, max_excess};
use bus_tests::eventually::eventually;
use bus_tests::oracle::pusher::Pusher;
use bus_tests::oracle::{Figures, Landscape, Scene, Seed};
use bus_tests::receiver::Receiver;

use super::servers::postgres;

/// So fast that a burst after a restart, or what was missed and is caught up with, would be many requests.
const SHOP: &str = "600/min";
/// So slow that a permit too many is seen at restarts: its interval is longer than a start and the wait for a predecessor's
/// requests. Each counts for somewhat less than one request, so every end comes [`TIMES`].
const BOOKS: &str = "20/min";

/// Of each end: together more than one request too many, if it forgets a permit.
const TIMES: usize = 3;

/// How a life ends, or goes on.
#[derive(Debug, Clone, Copy)]
enum End {
    Killed,
    /// SIGTERM: the reservation is given back.
    Stopped,
    /// Killed, and followed by the process that stood by.
    Followed,
    /// Goes on after a second in which it did nothing.
    Frozen,
}

/// How far the arrivals are above the pace, in requests, in the worst of all windows.
///
/// The promise is about the moments at which requests are sent: never above it. A receiver knows when they came, which a
/// busy machine delays. But the bus sends one request at a time here (`concurrency = 1`), so each one was sent after the
/// one before it had come: in a window of arrivals all but the first were sent. That is one request which delays can
/// add, however long they are, and no more; so what keeps its promise stays below one, on any machine.
fn excess(receiver: &Receiver, rate: &str) -> (usize, f64) {
    let ledger = receiver.ledger().unwrap();
    let came: Vec<Micros> = ledger.entries.iter().map(|entry| Micros(entry.at_us.try_into().unwrap())).collect();
    (came.len(), max_excess(&came, &Profile::always(rate.parse().unwrap())))
}

/// Waits for the slow receiver's next request.
async fn one_more(scene: &Scene) {
    let before = scene.books.ledger().unwrap().entries.len();
    let more = || std::future::ready(scene.books.ledger().map(|now| (now.entries.len() > before).then_some(())));
    eventually("a request at the slow receiver", Duration::from_secs(30), more).await.unwrap();
}

/// Ends the process soon after it has used a permit of the slow pace, when a successor that did not know of it would use
/// another one at once.
pub async fn no_window_sees_more_than_its_pace_over_kills_and_a_takeover() {
    let seed = Seed::choose("pace");
    let mut rng = seed.part(1_000);
    let windows = vec![("00:00-24:00".to_owned(), SHOP)];
    let paced = Landscape { windows, books_rate: Some(BOOKS), concurrency: 1, ..Landscape::default() };
    let mut scene = Scene::new(postgres().await, &paced, seed).await.unwrap();
    scene.bus.start().await.unwrap();
    // Together more than the shop takes.
    let writing = scene.source.write(10, seed);
    let pusher = Pusher::start(&scene.door(), 10, Duration::from_millis(300), seed);
    let mut ends = [End::Killed, End::Stopped, End::Followed, End::Frozen].repeat(TIMES);
    rng.shuffle(&mut ends);
    for end in ends.iter().copied() {
        one_more(&scene).await;
        tokio::time::sleep(Duration::from_millis(rng.u64(0..500))).await;
        match end {
            End::Killed => {
                scene.bus.kill9();
                scene.bus.start().await.unwrap();
            }
            End::Stopped => {
                scene.bus.terminate(Duration::from_secs(20)).await.unwrap();
                scene.bus.start().await.unwrap();
            }
            End::Followed => {
                scene.bus.stand_by().unwrap();
                scene.bus.take_over(Duration::from_secs(60)).await.unwrap();
            }
            End::Frozen => {
                scene.bus.freeze();
                tokio::time::sleep(Duration::from_secs(1)).await;
                scene.bus.thaw();
            }
        }
        scene.fault();
    }
    one_more(&scene).await;
    writing.stop().await.unwrap();
    let pushed = pusher.stop().await.unwrap();
    let ((many, shop), (few, books)) = (excess(&scene.shop, SHOP), excess(&scene.books, BOOKS));
    // What has piled up would take the slow receiver a quarter of an hour.
    scene.rewrite(&Landscape::default()).unwrap();
    scene.bus.terminate(Duration::from_secs(20)).await.unwrap();
    scene.bus.start().await.unwrap();
    let verdicts = scene.verdicts(&pushed).await.unwrap();
    let mut figures = Figures::of(&format!("pace, seed {}", seed.0));
    figures.add("ends", format!("{ends:?}")).add("requests", format!("{many} and {few}"));
    figures.add("excess", format!("{shop:.3} and {books:.3}")).add("verdict", &verdicts).print();
    assert!(shop < 1.0, "{SHOP} is exceeded by {shop} of {many} requests");
    assert!(books < 1.0, "{BOOKS} is exceeded by {books} of {few} requests");
    assert!(few > ends.len() && many > few, "there was something to pace: {many} and {few} requests");
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
}
