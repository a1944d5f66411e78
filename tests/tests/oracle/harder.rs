//! A frozen process and its standby, a bad network on all sides, a source that is killed while it is read, a full disk, and
//! rows that go away.

use std::time::Duration;

use bus_tests::eventually::eventually;
use bus_tests::oracle::pusher::Pusher;
use bus_tests::oracle::scene::nothing_pushed;
use bus_tests::oracle::{Figures, Landscape, ORDERS, Scene, Seed, turn};
use bus_tests::servers::{Postgres, http_client};

use super::servers::{Broker, postgres};

/// The lock on the state makes a zombie harmless as long as it lives: the standby waits for its death, not for its silence.
/// So a frozen process goes on where it was; and one that is killed while frozen, with requests under way, is followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_bus_is_not_overtaken_and_a_dead_one_is_followed() {
    let _turn = turn().await;
    let seed = Seed::choose("a zombie");
    let mut scene = Scene::new(postgres().await, &Broker::RabbitMq.landscape().await, seed).await.unwrap();
    scene.bus.start().await.unwrap();
    scene.bus.stand_by().unwrap();
    let writing = scene.source.write(120, seed);
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        scene.bus.freeze();
        scene.fault();
        // Longer than any request may take: the receivers give up on it.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert!(!scene.bus.is_ready().await, "somebody else has taken over from a living process");
        scene.bus.thaw();
        let delivered = scene.route(ORDERS).await.unwrap()["delivered"].as_u64();
        let more = || async { Ok((scene.route(ORDERS).await?["delivered"].as_u64() > delivered).then_some(())) };
        eventually("deliveries after the thaw", Duration::from_secs(60), more).await.unwrap();
    }
    scene.bus.freeze();
    scene.bus.take_over(Duration::from_secs(60)).await.unwrap();
    scene.fault();
    writing.stop().await.unwrap();
    let verdicts = scene.verdicts(&nothing_pushed()).await.unwrap();
    Figures::of(&format!("frozen twice, followed once, seed {}", seed.0)).add("verdict", &verdicts).print();
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
}

/// Between the bus and its broker, its source and both receivers: cuts, stalls, refusals, and cuts within a message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_network_loses_nothing() {
    const MOMENTS: usize = 16;
    let _turn = turn().await;
    let seed = Seed::choose("a bad network");
    let landscape = Landscape { proxied: true, ..Broker::RabbitMq.landscape().await };
    let mut scene = Scene::new(postgres().await, &landscape, seed).await.unwrap();
    scene.bus.start().await.unwrap();
    scene.fresh().await.unwrap();
    let writing = scene.source.write(120, seed);
    let pusher = Pusher::start(&scene.door(), 10, Duration::from_millis(20), seed);
    let mut rng = seed.part(1_000);
    for _ in 0..MOMENTS {
        tokio::time::sleep(Duration::from_millis(rng.u64(50..300))).await;
        scene.net.as_ref().unwrap().harm(&mut rng).await;
        scene.fault();
    }
    writing.stop().await.unwrap();
    let pushed = pusher.stop().await.unwrap();
    let verdicts = scene.verdicts(&pushed).await.unwrap();
    scene.fresh().await.unwrap();
    let mut figures = Figures::of(&format!("a bad network, seed {}", seed.0));
    figures.add("moments", MOMENTS).add("verdict", &verdicts).print();
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
    assert_eq!(scene.incidents().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_killed_while_it_is_read_loses_and_repeats_nothing() {
    const KILLS: usize = 3;
    let _turn = turn().await;
    let seed = Seed::choose("PostgreSQL killed");
    let mut server = Postgres::start().await.unwrap();
    let mut scene = Scene::new(&server, &Landscape::default(), seed).await.unwrap();
    scene.bus.start().await.unwrap();
    scene.fresh().await.unwrap();
    let mut rng = seed.part(1_000);
    for _ in 0..KILLS {
        // More than a page, so that the reader is in the middle of it.
        scene.source.burst(2_500).await.unwrap();
        tokio::time::sleep(Duration::from_millis(rng.u64(0..250))).await;
        server.kill9();
        tokio::time::sleep(Duration::from_millis(rng.u64(100..1_000))).await;
        server.restart().await.unwrap();
        scene.source.reconnect().await.unwrap();
    }
    let verdicts = scene.verdicts(&nothing_pushed()).await.unwrap();
    let mut figures = Figures::of(&format!("PostgreSQL killed, seed {}", seed.0));
    figures.add("kills", KILLS).add("verdict", &verdicts).print();
    // No fault was counted: reading again is no reason to send again.
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
    assert!(verdicts.of(ORDERS).issued > KILLS * 2_500, "{verdicts}");
    assert_eq!(scene.incidents().await.unwrap(), []);
}

/// Every write to a file fails, as on a full disk, for longer than any time-out; with both stores in one file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_everything_and_loses_nothing() {
    let _turn = turn().await;
    let seed = Seed::choose("a full disk");
    let mut scene = Scene::new(postgres().await, &Landscape::default(), seed).await.unwrap();
    scene.bus.may_hit_file_limits();
    scene.bus.start().await.unwrap();
    scene.fresh().await.unwrap();
    let writing = scene.source.write(100, seed);
    let pusher = Pusher::start(&scene.door(), 10, Duration::from_millis(50), seed);
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        scene.bus.limit_files(Some(0)).unwrap();
        let told = || async {
            let incidents = scene.incidents().await?;
            Ok(incidents.iter().any(|(_, _, words)| words.contains("disk")).then_some(()))
        };
        eventually("an incident about the disk", Duration::from_secs(60), told).await.unwrap();
        let readyz = format!("{}/readyz", scene.bus.url());
        let refused = || async {
            let answer = http_client().get(&readyz).send().await?;
            let (status, words) = (answer.status(), answer.text().await?);
            Ok((status == 503 && words.contains("the state store takes no writes")).then_some(()))
        };
        eventually("it is not ready, and says why", Duration::from_secs(60), refused).await.unwrap();
        let before = scene.shop.ledger().unwrap().entries.len();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let after = scene.shop.ledger().unwrap().entries.len();
        assert!(after <= before + 8, "{} were sent whose outcome could not be kept", after - before);
        scene.bus.limit_files(None).unwrap();
    }
    writing.stop().await.unwrap();
    let pushed = pusher.stop().await.unwrap();
    let verdicts = scene.verdicts(&pushed).await.unwrap();
    Figures::of(&format!("a full disk, seed {}", seed.0)).add("verdict", &verdicts).print();
    // No fault was counted: what was sent and could not be noted is noted later, and not sent again.
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
    scene.fresh().await.unwrap();
    assert_eq!(scene.incidents().await.unwrap(), []);
}

/// Rows are inserted, changed, deleted and no longer wanted, the bus is killed meanwhile; in the end the receiver holds
/// exactly the rows that are there and wanted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_or_no_longer_wanted_leaves_the_receiver() {
    const KILLS: usize = 6;
    let _turn = turn().await;
    let seed = Seed::choose("rows go away");
    let landscape = Landscape { mirrored: true, ..Landscape::default() };
    let mut scene = Scene::new(postgres().await, &landscape, seed).await.unwrap();
    let mut rng = seed.part(1_000);
    for kill in 0..=KILLS {
        scene.bus.start().await.unwrap();
        for _ in 0..25 {
            scene.source.change_mirrored(&mut rng).await.unwrap();
            tokio::time::sleep(Duration::from_millis(rng.u64(0..60))).await;
        }
        if kill < KILLS {
            scene.bus.kill9();
            scene.fault();
        }
    }
    let same = || async {
        let (held, ..) = scene.mirrored()?;
        Ok((held == scene.source.wanted_mirrored().await?).then_some(()))
    };
    let same = eventually("the same rows on both sides", Duration::from_secs(30), same).await;
    let (held, deletions, went_back) = scene.mirrored().unwrap();
    let mut figures = Figures::of(&format!("rows go away, seed {}", seed.0));
    figures.add("kills", KILLS).add("held", held.len()).add("deletions", deletions).print();
    assert!(same.is_ok(), "{held:?}\n{}", scene.log());
    assert_eq!(went_back, Vec::<String>::new(), "a key went back");
    assert!(deletions > 10 && !held.is_empty(), "there was something to delete, and something stayed");
}
