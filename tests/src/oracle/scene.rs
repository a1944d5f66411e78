//! A scene: the real program between a real source and receivers that write everything down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use fastrand::Rng;
use serde_json::Value;
use tokio::time::Instant;

use super::between;
use super::idle::idle;
use super::issued::{Issued, Owed, Version};
use super::landscape::{Addresses, Landscape};
use super::mirror;
use super::net::Net;
use super::pusher::Door;
use super::read;
use super::seed::Seed;
use super::source::Source;
use super::verdict::{Allowance, Verdict};
use crate::bus::Bus;
use crate::eventually::eventually;
use crate::receiver::{Receiver, Script};
use crate::servers::{Postgres, target};

/// The route that is read and PUT.
pub const ORDERS: &str = "orders-to-shop";
/// The route to a receiver that must not see anything twice.
pub const BOOKS: &str = "orders-to-books";
/// The route of pushed records.
pub const USERS: &str = "users-to-shop";

/// The verdict on what the broker has confirmed of the stream that is read.
pub const CONFIRMED: &str = "confirmed orders";

/// After the faults are off the bus must have nothing left to do within this time.
pub const DRAIN: Duration = Duration::from_secs(60);

/// A fresh change must arrive within this time when nothing is wrong: a bound for slow machines, not a promise.
pub const FRESH: Duration = Duration::from_secs(30);

/// The key of everything that asks for one.
pub(super) const KEY: &str = "push-key-of-a-test";

/// The most unsettled messages of a route at the broker.
const PREFETCH: usize = 256;

/// A named place must be passed within this time: the start, and the wait for a predecessor's requests, included.
const CRASH_LIMIT: Duration = Duration::from_secs(60);

/// See the module.
pub struct Scene {
    /// The program; not started yet.
    pub bus: Bus,
    /// Takes orders and users by PUT.
    pub shop: Receiver,
    /// Takes orders by POST, once.
    pub books: Receiver,
    /// What is read.
    pub source: Source,
    /// The network, where the landscape has one.
    pub net: Option<Net>,
    /// Of every random choice.
    pub seed: Seed,
    /// Versions that lay below the durable cursor when somebody looked.
    pub(super) handed: BTreeSet<Version>,
    /// The landscape has a subscriber who keeps the ledger of what was confirmed.
    subscribed: bool,
    faults: usize,
}

/// The verdict on every route, and where there is a subscriber on what was confirmed ([`CONFIRMED`]).
#[derive(Debug)]
pub struct Verdicts(pub BTreeMap<&'static str, Verdict>);

impl Scene {
    /// Everything but the bus runs.
    pub async fn new(postgres: &Postgres, landscape: &Landscape, seed: Seed) -> Result<Self> {
        let Landscape { rabbitmq, proxied, keys, subscribed, .. } = landscape.clone();
        let scene = Self::of(postgres, rabbitmq, proxied, keys, seed, |addresses| landscape.text(addresses)).await?;
        Ok(Self { subscribed, ..scene })
    }

    /// Writes another routes file, for programs started from now on. Not where a proxy stands between.
    pub fn rewrite(&self, landscape: &Landscape) -> Result<()> {
        ensure!(self.net.is_none(), "the addresses of the proxies are not kept");
        let (listen, shop, books) = (self.bus.listen(), self.shop.url(), self.books.url());
        let addresses = Addresses { listen: &listen, database: self.source.url(), shop: &shop, books: &books };
        self.bus.routes(&landscape.text(&addresses))
    }

    /// The same with another routes file.
    pub(super) async fn of(
        postgres: &Postgres,
        mut rabbitmq: Option<String>,
        proxied: bool,
        keys: usize,
        seed: Seed,
        text: impl FnOnce(&Addresses<'_>) -> String,
    ) -> Result<Self> {
        let mut bus = Bus::new()?;
        let source = Source::create(postgres, keys).await?;
        let (shop, books) = (Receiver::start(&Script::default()).await?, Receiver::start(&Script::default()).await?);
        let (mut database, mut shop_url, mut books_url) = (source.url().to_owned(), shop.url(), books.url());
        let mut net = None;
        if proxied {
            let net = net.insert(Net::default());
            for address in [&mut database, &mut shop_url, &mut books_url].into_iter().chain(&mut rabbitmq) {
                *address = net.through(address).await?;
            }
        }
        let listen = bus.listen();
        bus.routes(&text(&Addresses { listen: &listen, database: &database, shop: &shop_url, books: &books_url }))?;
        bus.env("PUSH_KEY", KEY);
        if let Some(rabbitmq) = &rabbitmq {
            bus.env("RABBITMQ", rabbitmq);
        }
        Ok(Self { bus, shop, books, source, net, seed, handed: BTreeSet::new(), subscribed: false, faults: 0 })
    }

    /// Where records are pushed.
    pub fn door(&self) -> Door {
        Door { url: format!("{}/in/users", self.bus.url()), key: KEY.to_owned() }
    }

    /// Something was done that explains a window of repeats.
    pub fn fault(&mut self) {
        self.faults += 1;
    }

    /// The repeats that this scene's faults explain to a route with so many keys.
    pub(super) fn explained(&self, keys: usize) -> Allowance {
        Allowance { faults: self.faults, window: PREFETCH.min(keys), unanswered: true }
    }

    /// Lets a started bus work for a random time up to `most`, then `kill -9`.
    pub async fn kill_within(&mut self, most: Duration, rng: &mut Rng) -> Result<()> {
        self.bus.start().await?;
        tokio::time::sleep(most.mul_f64(rng.f64())).await;
        ensure!(self.bus.ended().is_none(), "the bus ended by itself:\n{}", self.log());
        if self.subscribed {
            self.note_handed().await?;
        }
        self.bus.kill9();
        self.fault();
        Ok(())
    }

    /// Starts the bus with an order to abort at `place`. `false`: it did not get there in time, and was killed.
    pub async fn kill_at(&mut self, place: &str) -> Result<bool> {
        self.bus.crash_at(place);
        self.bus.start_unready()?;
        let ended = self.bus.wait(CRASH_LIMIT).await;
        self.bus.crash_at("");
        self.bus.kill9();
        self.fault();
        if let Ok(status) = &ended {
            ensure!(status.code().is_none(), "the bus ended before {place} ({status}):\n{}", self.log());
        }
        Ok(ended.is_ok())
    }

    /// Judges every route once the bus has nothing left to do. `pushed` is what the pusher wrote down.
    pub async fn verdicts(&mut self, pushed: &Issued) -> Result<Verdicts> {
        let idle = idle(&self.bus, DRAIN).await;
        let verdicts = match &idle {
            Ok(()) => self.judge(pushed).await,
            Err(_) => Err(anyhow!("never idle")),
        };
        if !verdicts.as_ref().is_ok_and(Verdicts::is_clean) {
            println!("evidence: {}", self.keep_evidence(pushed)?.display());
        }
        idle?;
        verdicts
    }

    /// Waits until the bus has nothing left to do.
    pub async fn drained(&self) -> Result<()> {
        idle(&self.bus, DRAIN).await
    }

    /// How many versions lay below the durable cursor when somebody looked.
    pub fn handed(&self) -> usize {
        self.handed.len()
    }

    /// Judges every route as things are now. Where there is a subscriber, every version that was confirmed is owed to the
    /// routes, else the last one of each key.
    pub async fn judge(&mut self, pushed: &Issued) -> Result<Verdicts> {
        let mut orders = self.source.issued().await?;
        let (shop, books) = (self.shop.ledger()?, self.books.ledger()?);
        let mut verdicts = BTreeMap::new();
        if self.subscribed {
            let confirmed = self.confirmed("orders", &orders).await?;
            let mut verdict = between::verdict(&orders, &confirmed);
            let unpublished = between::unpublished(&self.handed, &confirmed);
            verdict.lost.extend(unpublished);
            verdicts.insert(CONFIRMED, verdict);
            orders = between::owed(&confirmed, &orders, Owed::Every);
        }
        for (route, ledger, path, issued, allowance) in [
            (ORDERS, &shop, "/orders/", &orders, self.explained(orders.keys())),
            (BOOKS, &books, "/books/", &orders, Allowance::NONE),
            (USERS, &shop, "/users/", pushed, self.explained(pushed.keys())),
        ] {
            let dead = read::dead(&self.bus, route).await?;
            let arrivals = read::arrivals(ledger, path)?;
            verdicts.insert(route, Verdict::judge(issued, &arrivals, &dead, allowance));
        }
        Ok(Verdicts(verdicts))
    }

    /// Keeps the state and the ledgers of a scene that went wrong; where.
    pub fn keep_evidence(&self, pushed: &Issued) -> Result<PathBuf> {
        let place = target()?.join("oracle").join(format!("evidence-{}", self.seed.0));
        std::fs::create_dir_all(&place)?;
        for file in std::fs::read_dir(self.bus.directory())?.flatten().filter(|file| file.path().is_file()) {
            std::fs::copy(file.path(), place.join(file.file_name()))?;
        }
        for (name, ledger) in [("shop", self.shop.ledger()?), ("books", self.books.ledger()?)] {
            let lines: Result<Vec<String>, _> = ledger.entries.iter().map(serde_json::to_string).collect();
            std::fs::write(place.join(format!("{name}.jsonl")), lines?.join("\n"))?;
        }
        std::fs::write(place.join("pushed.txt"), format!("{pushed:#?}"))?;
        std::fs::write(place.join("bus.log"), self.bus.log().map_or_else(String::new, |log| log.tail(usize::MAX)))?;
        Ok(place)
    }

    /// What the shop holds of the mirrored table, how many deletions it saw, and which keys went back.
    pub fn mirrored(&self) -> Result<(BTreeMap<String, u64>, usize, Vec<String>)> {
        mirror::held(&self.shop.ledger()?)
    }

    /// Changes one key and waits until its receiver has it; the time that took.
    pub async fn fresh(&mut self) -> Result<Duration> {
        let key = format!("свежий-{}", fastrand::u64(..));
        let begun = Instant::now();
        self.source.change(&key).await?;
        let arrived = || std::future::ready(self.shop.ledger().map(|ledger| ledger.of_key(&key).next().map(drop)));
        eventually("a fresh change to arrive", FRESH, arrived).await?;
        Ok(begun.elapsed())
    }

    /// What the bus says of itself.
    pub async fn status(&self) -> Result<Value> {
        read::get(&self.bus, "/status").await
    }

    /// One route of [`Scene::status`].
    pub async fn route(&self, name: &str) -> Result<Value> {
        let status = self.status().await?;
        let routes = status["routes"].as_array().context("no routes")?;
        routes.iter().find(|route| route["name"] == name).cloned().context("no such route")
    }

    /// Kind, subject and message of the open incidents, but for dead letters: those that arrive where an outcome is in
    /// doubt are what should happen, and the verdict counts them.
    pub async fn incidents(&self) -> Result<Vec<(String, String, String)>> {
        let status = self.status().await?;
        let text = |incident: &Value, name: &str| incident[name].as_str().unwrap_or_default().to_owned();
        let incidents = status["incidents"].as_array().context("no incidents")?;
        let told = incidents.iter().filter(|one| one["kind"] != "dead-letters");
        Ok(told.map(|one| (text(one, "kind"), text(one, "subject"), text(one, "message"))).collect())
    }

    /// The end of the bus's log.
    pub fn log(&self) -> String {
        self.bus.log().map_or_else(String::new, |log| log.tail(40))
    }
}

impl Verdicts {
    /// Nothing on any route that must not be.
    pub fn is_clean(&self) -> bool {
        self.0.values().all(Verdict::is_clean)
    }

    /// One route.
    pub fn of(&self, route: &str) -> &Verdict {
        self.0.get(route).expect("a scene's verdicts are on all of its routes")
    }
}

impl std::fmt::Display for Verdicts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|(route, verdict)| format!("{route} [{verdict}]")).collect();
        f.write_str(&lines.join("; "))
    }
}

/// Nothing was pushed.
pub fn nothing_pushed() -> Issued {
    Issued::new(Owed::Every)
}
