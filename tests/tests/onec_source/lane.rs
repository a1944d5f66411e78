//! One base, one bus that is killed again and again, and what is left of it at the receivers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use bus_simulator::{Options, Simulator};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::onec::Client;
use bus_tests::oracle::{Net, Seed, idle};
use bus_tests::proxy::Weather;
use bus_tests::receiver::Receiver;
use fastrand::Rng;

use super::ledger::{self, Held};
use super::writer::{ORDERS, Writer, order};

/// A named place must be passed within this time, the start of the program included.
const CRASH_LIMIT: Duration = Duration::from_secs(60);
/// The feed asks ten times a second: nothing for so long is no pause of the machine.
const STUCK: Duration = Duration::from_secs(1);
/// After the last kill nothing must be left to do within this time.
const DRAIN: Duration = Duration::from_secs(90);
/// The attribute of the second base that holds the key of the first one's orders.
const BY: &str = "НомерПоДаннымКлиента";

pub struct Lane {
    name: String,
    base: Arc<Simulator>,
    /// The base that the orders are written to, where there is one.
    second: Option<Simulator>,
    bus: Bus,
    broker: Option<Net>,
    receiver: Arc<Receiver>,
    numbers: Arc<AtomicU64>,
    rng: Rng,
    /// So many kills at each place; those at no place are at random times.
    pub kills: BTreeMap<String, usize>,
}

impl Lane {
    /// Everything but the bus runs. `rabbitmq` is the address of a virtual host; none is the embedded broker.
    pub async fn new(number: usize, seed: Seed, rabbitmq: Option<String>, receiver: Arc<Receiver>) -> Self {
        let base = Simulator::start(Options { size: 24, seed: seed.0, ..Options::default() }).await.unwrap();
        let second = match (&rabbitmq, number) {
            (Some(_), 0) => {
                Some(Simulator::start(Options { size: 24, seed: seed.0, ..Options::default() }).await.unwrap())
            }
            _ => None,
        };
        let mut bus = Bus::new().unwrap();
        let mut broker = None;
        if let Some(address) = &rabbitmq {
            let net = broker.insert(Net::default());
            bus.env("RABBITMQ", net.through(address).await.unwrap());
        }
        let lane = Self {
            name: format!("lane{number}"),
            base: Arc::new(base),
            second,
            bus,
            broker,
            receiver,
            numbers: Arc::new(AtomicU64::new(1)),
            rng: seed.part(number as u64),
            kills: BTreeMap::new(),
        };
        lane.bus.routes(&lane.routes()).unwrap();
        lane
    }

    fn routes(&self) -> String {
        let Self { name, receiver, .. } = self;
        let broker = if self.broker.is_some() { r#"{ env = "RABBITMQ" }"# } else { r#""embedded""# };
        let (listen, erp, shop) = (self.bus.listen(), self.base.url(), receiver.url());
        let mut text = format!(
            r#"
[bus]
name = "{name}"
broker = {broker}
state = "bus.db"
listen = "{listen}"
[systems.erp]
kind = "1c-odata"
url = "{erp}"
timeout = "5s"
[feeds.changes]
from = "erp"
schedule = "100ms"
# A question that was in flight when the bus was killed is answered by the simulator at once.
changes = {{ exchange_plan = "ExchangePlan_ШинаДанных", node = "ШИНА", quiet = "1s" }}
[systems.shop]
kind = "http"
url = "{shop}"
timeout = "1s"
"#
        );
        for (stream, entity, key) in [
            ("orders", ORDERS, r#""Ref_Key""#),
            ("products", super::writer::PRODUCTS, r#""Ref_Key""#),
            ("moves", super::writer::MOVES, r#"["Recorder", "Recorder_Type"]"#),
        ] {
            text.push_str(&format!(
                r#"
[streams.{stream}]
from = "changes"
entity = "{entity}"
key = {key}
[routes.{stream}-to-shop]
stream = "{stream}"
to = "shop"
on_delete = {{ path = "/{name}/{stream}/{{key}}" }}
send = {{ method = "PUT", path = "/{name}/{stream}/{{key}}" }}
"#
            ));
        }
        if let Some(second) = &self.second {
            text.push_str(&format!(
                r#"
[systems.second]
kind = "1c-odata"
url = "{}"
timeout = "1s"
[routes.orders-to-second]
stream = "orders"
to = "second"
write = {{ set = "{ORDERS}", by = "{BY}" }}
on_delete = "delete"
fields = {{ "Комментарий" = ".Комментарий", "Контрагент_Key" = ".Контрагент_Key", "Склад_Key" = ".Склад_Key" }}
"#,
                second.url()
            ));
        }
        text
    }

    /// Runs until the first load has arrived.
    pub async fn loaded(&mut self) {
        let (_, _, wrong) = self.judge().await;
        assert!(wrong.is_empty(), "{wrong:?}\n{}", self.log());
        self.bus.kill9();
    }

    /// The bug in programs that are started from now on.
    pub fn plant(&mut self, bug: &str) {
        self.bus.plant(bug);
    }

    /// Somebody begins to work in the base.
    pub fn write(&mut self) -> Writer {
        Writer::start(Arc::clone(&self.base), Arc::clone(&self.numbers), self.rng.fork())
    }

    /// Starts the bus with an order to abort at `place`, as `plan.asked:2`, and waits until it has.
    pub async fn kill_at(&mut self, place: &str) {
        let name = place.split(':').next().unwrap();
        self.bus.crash_at(place);
        loop {
            self.bus.start_unready().unwrap();
            let ended = self.bus.wait(CRASH_LIMIT).await;
            self.bus.kill9();
            match ended {
                Ok(status) if status.code().is_none() => break,
                // Somebody looked whether the port is free at that very moment.
                Ok(_) if self.log().contains("Address already in use") => {}
                Ok(status) => panic!("{name}: ended by itself ({status}):\n{}", self.log()),
                Err(_) => panic!("the bus never got to {place}:\n{}", self.log()),
            }
        }
        self.bus.crash_at("");
        self.count(name);
    }

    /// Starts the bus and kills it after a random time.
    pub async fn kill_within(&mut self, least: Duration, most: Duration) {
        self.bus.start_unready().unwrap();
        tokio::time::sleep(least + (most - least).mul_f64(self.rng.f64())).await;
        let ended = self.bus.ended();
        assert!(ended.is_none() || self.log().contains("Address already in use"), "{ended:?}:\n{}", self.log());
        self.bus.kill9();
        self.count("at random");
    }

    /// While the broker confirms nothing, nothing of what is read is acknowledged, whatever happens to the bus.
    pub async fn silent_broker(&mut self) {
        let Some(broker) = &self.broker else { return };
        self.bus.start().await.unwrap();
        broker.set(Weather { stall: true, ..Weather::default() });
        let begun = Instant::now();
        let made: Vec<String> = (0..3).map(|_| order(&self.base, &self.numbers)).collect();
        let registered = || {
            let rows = self.base.base(|base| base.changes.rows(self.base.node()));
            made.iter().filter(|key| rows.iter().any(|(set, row, _)| set == ORDERS && row == *key)).count()
        };
        // With people at work a number that stays means that an answer is on its way and cannot arrive: what was made now
        // is in it, or behind it.
        let (mut before, mut since) = (None, Instant::now());
        while since.elapsed() < STUCK {
            let rows = self.base.base(|base| base.changes.rows(self.base.node()));
            let number = rows.iter().filter_map(|row| row.2).max();
            if number.is_none() || number != before {
                (before, since) = (number, Instant::now());
            }
            assert!(begun.elapsed() < CRASH_LIMIT, "1C is not asked for changes:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for _ in 0..3 {
            self.bus.kill9();
            *self.kills.entry("with a silent broker".to_owned()).or_default() += 1;
            self.bus.start_unready().unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.bus.kill9();
        assert_eq!(registered(), made.len(), "1C was told that it may forget what no broker has confirmed");
        broker.set(Weather::default());
    }

    /// Waits until nothing is left to do, and says what is not as it must be.
    pub async fn judge(&mut self) -> (Held, ledger::Seen, Vec<String>) {
        self.bus.start().await.unwrap();
        let rows = || self.base.base(|base| base.changes.rows(self.base.node()));
        let told = || async { Ok(rows().is_empty().then_some(())) };
        eventually("everything to be acknowledged", DRAIN, told)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        idle(&self.bus, DRAIN).await.unwrap();
        let wanted = ledger::wanted(&self.base, &self.name);
        let seen = ledger::seen(&self.receiver.ledger().unwrap(), &self.name);
        let mut wrong = ledger::differences(&wanted, &seen.held);
        wrong.extend(seen.went_back.iter().cloned());
        wrong.extend(self.asked_twice());
        wrong.extend(self.second_differs().await);
        (wanted, seen, wrong)
    }

    /// Numbers of messages that were asked for more than once.
    fn asked_twice(&self) -> Vec<String> {
        let seen = self.base.seen();
        let asked = seen.iter().filter(|seen| seen.path == "SelectChanges");
        let mut numbers: Vec<&str> = asked.filter_map(|seen| seen.query.split("MessageNo=").nth(1)).collect();
        assert!(!numbers.is_empty());
        numbers.sort_unstable();
        let twice = numbers.windows(2).filter(|pair| pair[0] == pair[1]);
        twice.map(|pair| format!("message {} was asked for twice", pair[0])).collect()
    }

    /// Whether the second base holds each order of the first one once, as it was last, and no other.
    async fn second_differs(&self) -> Vec<String> {
        let Some(second) = &self.second else { return Vec::new() };
        let client = Client::new(second.url(), second.node().to_string());
        let list = client.json(&format!("{ORDERS}?$format=json&$select={BY},Комментарий&$top=10000")).await;
        let text = |order: &serde_json::Value, field: &str| order[field].as_str().unwrap().to_owned();
        let prefix = format!("/{}/orders/", self.name);
        let wanted: Held =
            ledger::wanted(&self.base, &self.name).into_iter().filter(|(path, _)| path.starts_with(&prefix)).collect();
        let (mut held, mut wrong) = (Held::new(), Vec::new());
        for order in list["value"].as_array().unwrap() {
            let path = format!("{prefix}{}", text(order, BY));
            // The second base has orders of its own, by other keys.
            if text(order, BY).len() == 36 && held.insert(path.clone(), text(order, "Комментарий")).is_some()
            {
                wrong.push(format!("{path} was created twice"));
            }
        }
        wrong.extend(ledger::differences(&wanted, &held).into_iter().map(|one| format!("second base: {one}")));
        wrong
    }

    pub fn log(&self) -> String {
        self.bus.log().map_or_else(String::new, |log| log.tail(40))
    }

    fn count(&mut self, place: &str) {
        *self.kills.entry(place.to_owned()).or_default() += 1;
    }
}
