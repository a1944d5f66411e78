//! The demo's source: a small base of 1C in a process of its own, in which people work all the time. What was issued is
//! counted there, by comparing the base before and after each piece of work, and told at the end.

use std::collections::BTreeMap;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context;
use bus_simulator::data::totals::{Table, rows};
use bus_simulator::value::Value;
use bus_simulator::{Base, Options, Simulator};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::people::{self, ORDERS, PRICES, PRODUCTS};

/// Orders at first, and everything else in proportion: a first load that the receivers take in some seconds.
const SIZE: u32 = 10;
/// Between two pieces of work; one of them is up to four changes, together below the receivers' capacity.
const PAUSE: Duration = Duration::from_millis(400);
/// The base starts, and counts what it holds, within this time.
const ANSWER: Duration = Duration::from_secs(20);

/// What else is read as a whole.
const STOCK: &str = "AccumulationRegister_ТоварыНаСкладах";

/// What the source says at the end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Issued {
    /// Records that there were at first and changes since, by stream.
    pub changes: BTreeMap<String, u64>,
    /// What a receiver must hold in the end: stream, key, and what is compared.
    pub last: Vec<(String, String, String)>,
}

/// The base's process, as the demo holds it; killed when dropped.
pub struct Trade {
    _process: Child,
    orders: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Trade {
    /// Starts this program again as the base.
    pub async fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("demo-1c")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the demo's base could not be started")?;
        let orders = process.stdin.take().context("the base has no input")?;
        let mut said = BufReader::new(process.stdout.take().context("the base has no output")?).lines();
        let url = line(&mut said).await?;
        Ok(Self { _process: process, orders, said, url })
    }

    /// The root of its interface.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the work in it; it can still be read. Gives what it has counted.
    pub async fn stop(&mut self) -> anyhow::Result<Issued> {
        self.orders.write_all(b"stop\n").await.context("the demo's base has ended")?;
        serde_json::from_str(&line(&mut self.said).await?).context("what the demo's base has counted")
    }
}

async fn line(said: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<String> {
    let line = tokio::time::timeout(ANSWER, said.next_line()).await.context("the demo's base does not answer")??;
    line.context("the demo's base has ended")
}

/// The base's own process: `bus demo-1c`. Ends when its standard input does, so it never outlives the demo.
pub async fn serve() -> anyhow::Result<ExitCode> {
    let seed = fastrand::u64(1..1 << 16);
    let simulator = Simulator::start(Options { size: SIZE, seed, ..Options::default() }).await?;
    // The plan's composition: what the bus reads by it, and nothing else.
    let composition = vec![PRODUCTS.to_owned(), ORDERS.to_owned()];
    simulator.base(|base| base.changes.add_node(base.bus_node(), composition));
    let mut held = simulator.base(|base| held(base));
    let mut changes = BTreeMap::new();
    for (stream, _) in held.keys() {
        *changes.entry(stream.clone()).or_default() += 1;
    }
    println!("{}", simulator.url());
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut pause = tokio::time::interval(PAUSE);
    loop {
        tokio::select! {
            order = orders.next_line() => match order? {
                Some(order) if order == "stop" => break,
                _ => return Ok(ExitCode::SUCCESS),
            },
            _ = pause.tick() => {
                people::work(&simulator)?;
                let now = simulator.base(|base| self::held(base));
                count(&held, &now, &mut changes);
                held = now;
            }
        }
    }
    let last = held.into_iter().filter_map(|((stream, key), one)| Some((stream, key, one.wanted?))).collect();
    println!("{}", serde_json::to_string(&Issued { changes, last })?);
    while orders.next_line().await?.is_some() {}
    Ok(ExitCode::SUCCESS)
}

/// A record as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    /// Tells any two states of it from each other.
    version: String,
    /// What a receiver must hold of it; nothing of what no receiver wants.
    wanted: Option<String>,
}

/// Everything that the streams read, by stream and key.
fn held(base: &Base) -> BTreeMap<(String, String), Held> {
    let mut held = BTreeMap::new();
    for (stream, set, shown, filter, kept) in
        [("orders", ORDERS, "СуммаДокумента", "Posted", true), ("products", PRODUCTS, "Description", "IsFolder", false)]
    {
        let entity = base.entity(set);
        let [version, shown, filter] = ["DataVersion", shown, filter].map(|name| entity.at(name));
        for row in base.all(entity) {
            let wanted = (row[filter] == Value::Bool(kept)).then(|| row[shown].as_text().trim_end().to_owned());
            let key = (stream.to_owned(), row[0].as_guid().to_string());
            held.insert(key, Held { version: row[version].as_text().to_owned(), wanted });
        }
    }
    for (stream, register, function, second, value) in [
        ("prices", PRICES, "SliceLast", "ВидЦены_Key", "Цена"),
        ("stock", STOCK, "Balance", "Склад_Key", "ВНаличииBalance"),
    ] {
        // An own table of the base; what it refuses cannot be refused here.
        let Ok((columns, rows)) = rows(base, base.entity(register), function, &Table::default()) else { continue };
        let at = |name: &str| columns.iter().position(|column| column.name == name);
        let (Some(product), Some(second), Some(value)) = (at("Номенклатура_Key"), at(second), at(value))
        else {
            continue;
        };
        for row in rows {
            let key = serde_json::json!([row[product].as_guid().to_string(), row[second].as_guid().to_string()]);
            let value = row[value].as_text().to_owned();
            held.insert((stream.to_owned(), key.to_string()), Held { version: value.clone(), wanted: Some(value) });
        }
    }
    held
}

/// Counts what differs: new, changed and gone.
fn count(
    before: &BTreeMap<(String, String), Held>,
    now: &BTreeMap<(String, String), Held>,
    changes: &mut BTreeMap<String, u64>,
) {
    let version = |one: Option<&Held>| one.map(|held| held.version.clone());
    let changed = now.iter().filter(|(key, held)| version(before.get(*key)) != Some(held.version.clone()));
    let gone = before.keys().filter(|key| !now.contains_key(*key));
    for (stream, _) in changed.map(|(key, _)| key).chain(gone) {
        *changes.entry(stream.clone()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_people_do_is_counted_by_the_base_itself() {
        let simulator = Simulator::start(Options { size: SIZE, ..Options::default() }).await.unwrap();
        let first = simulator.base(|base| held(base));
        for stream in ["orders", "products", "prices", "stock"] {
            assert!(first.keys().any(|(name, _)| name == stream), "{stream}");
        }
        let (key, version) = first
            .iter()
            .find_map(|((stream, key), held)| (stream == "orders").then(|| (key.clone(), held.version.clone())))
            .unwrap();
        let order = serde_json::json!({ "СуммаДокумента": 77 });
        simulator.write(ORDERS, &format!("guid'{key}'"), order).unwrap();
        let second = simulator.base(|base| held(base));
        assert_ne!(second[&("orders".to_owned(), key.clone())].version, version);
        let mut changes = BTreeMap::new();
        count(&first, &second, &mut changes);
        assert_eq!(changes, BTreeMap::from([("orders".to_owned(), 1)]));
        for _ in 0..400 {
            people::work(&simulator).unwrap();
        }
        let third = simulator.base(|base| held(base));
        count(&second, &third, &mut changes);
        assert_eq!(changes.len(), 4, "people do a bit of everything: {changes:?}");
        simulator.base(|base| base.erase(ORDERS, &format!("guid'{key}'")));
        let fourth = simulator.base(|base| held(base));
        let before = changes["orders"];
        count(&third, &fourth, &mut changes);
        assert_eq!(changes["orders"], before + u64::from(third.contains_key(&("orders".to_owned(), key))));
    }
}
