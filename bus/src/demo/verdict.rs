//! The demo's bookkeeping: what the base issued against what the receivers' own ledgers hold.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bus_config::{Landscape, SystemKind};
use bus_core::policy::{Micros, max_excess};
use bus_core::ports::state::{DeadFilter, DeadLetter};
use bus_core::vocabulary::{Envelope, Moment, Operation};
use serde::Serialize;
use serde_json::Value;

use super::base::Issued;
use super::ledger::Line;
use crate::server::App;

/// A round that ends this long after the last piece of work has seen it: longer than the demo's slowest schedule.
const ROUND: Duration = Duration::from_secs(6);

/// The one line that `--json` prints. Counts are messages, except where said. What the source and the receivers have counted,
/// in processes of their own, judges the bus; the bus's own figures are only there to add up with them.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// Records and changes of them, counted by the source itself, once for each receiver that they go to.
    pub issued: u64,
    /// Messages that the receivers accepted, by their ledgers; a repeat of one is not counted again.
    pub delivered: u64,
    /// Changes that a newer one of the same key replaced at the source before it was read: a remainder, `issued` less what
    /// the bus has published by its own counter. Nobody else sees what was never read.
    pub superseded: u64,
    /// Not for this receiver, by the bus's own counter.
    pub skipped: u64,
    /// Kept for a person, by the bus's own counter.
    pub dead_lettered: u64,
    /// Keys whose last state at a receiver, by its own ledger, is not the source's. Left out are those of which exactly
    /// that state is kept as a dead letter.
    pub lost: u64,
    /// Largest excess over the capacity profile in any window, in requests; 0 means never above it.
    pub max_window_excess: f64,
    /// Requests the receivers counted, failed ones included.
    pub requests: usize,
    /// Everything had arrived when the figures were taken, within a minute from the last change.
    pub drained: bool,
}

impl Verdict {
    /// Nothing is lost or still on its way, and no receiver got a whole request more than it takes.
    pub fn is_good(&self) -> bool {
        self.lost == 0 && self.drained && self.max_window_excess < 1.0
    }
}

/// For people.
impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:>7} changes in the base of 1C, for each receiver of them", self.issued)?;
        writeln!(f, "{:>7} accepted by the receivers", self.delivered)?;
        writeln!(f, "{:>7} replaced by a newer change before they were read", self.superseded)?;
        writeln!(f, "{:>7} not for this receiver", self.skipped)?;
        writeln!(f, "{:>7} dead letters, refused by a receiver", self.dead_lettered)?;
        writeln!(f, "{:>7} lost, by the receivers' own ledgers", self.lost)?;
        write!(f, "{:>7} requests; above the capacity profile by at most {}", self.requests, self.max_window_excess)?;
        if self.drained { Ok(()) } else { write!(f, "\n        not everything has arrived in time") }
    }
}

/// Nothing is queued, waiting or under way, and every feed has read once more since the work in the base ended.
pub async fn is_drained(app: &App, ended: Moment) -> bool {
    let status = crate::server::gather(app).await;
    let quiet = status.routes.iter().all(|route| route.queued == Some(0) && route.waiting == 0 && route.in_flight == 0);
    let read = app.watch.feeds().iter().all(|(_, feed)| feed.last_success.is_some_and(|at| at > ended.after(ROUND)));
    quiet && read
}

/// Compares the source's last state with the ledgers.
pub async fn find(
    app: &App,
    landscape: &Landscape,
    issued: &Issued,
    ledgers: &BTreeMap<&'static str, Vec<Line>>,
    drained: bool,
) -> anyhow::Result<Verdict> {
    let outcome = |outcome: &str| -> u64 {
        let routes = app.watch.routes();
        routes.iter().map(|route| app.metrics.settled.with_label_values(&[route.route().as_str(), outcome]).get()).sum()
    };
    let (mut changes, mut published, mut lost) = (0, 0, 0);
    for route in &landscape.routes {
        let stream = route.stream.as_str();
        changes += issued.changes.get(stream).copied().unwrap_or(0);
        published += app.metrics.published.with_label_values(&[stream]).get();
        let filter = DeadFilter { route: Some(route.name.clone()), ..DeadFilter::default() };
        let letters = app.store.dead_letters(&filter).await?.into_iter().map(|row| row.letter);
        let mut dead = HashMap::new();
        for (envelope, letter) in newest(letters) {
            let published = app.store.published(&route.stream, std::slice::from_ref(&envelope.key)).await?;
            if published.iter().flatten().any(|last| last.generation == envelope.generation) {
                dead.insert(envelope.key.as_str().to_owned(), kept(stream, &envelope, &letter));
            }
        }
        let ledger = ledgers.get(route.to.as_str()).map_or(&[][..], Vec::as_slice);
        lost += self::lost(stream, issued, ledger, &dead);
    }
    let mut most = 0.0_f64;
    for (name, ledger) in ledgers {
        let system = landscape.systems.iter().find(|system| system.name.as_str() == *name);
        if let Some(SystemKind::Http(http)) = system.map(|system| &system.kind)
            && let Some(profile) = &http.takes.capacity.pace
        {
            let mut arrivals: Vec<Micros> = ledger.iter().map(|line| Micros(line.at)).collect();
            arrivals.sort_unstable();
            most = most.max(max_excess(&arrivals, profile));
        }
    }
    Ok(Verdict {
        issued: changes,
        delivered: ledgers.values().map(|ledger| accepted(ledger)).sum(),
        superseded: changes.saturating_sub(published),
        skipped: outcome("skipped"),
        dead_lettered: outcome("dead_lettered"),
        lost,
        max_window_excess: (most * 1000.0).round() / 1000.0,
        requests: ledgers.values().map(Vec::len).sum(),
        drained,
    })
}

/// Messages that a receiver has accepted, each once.
fn accepted(ledger: &[Line]) -> u64 {
    let accepted = ledger.iter().filter(|line| line.status == 200);
    accepted.filter_map(|line| line.message.as_deref()).collect::<HashSet<_>>().len() as u64
}

/// Of each key the letter of its newest version that has one.
fn newest(letters: impl Iterator<Item = DeadLetter>) -> Vec<(Envelope, DeadLetter)> {
    let mut newest: HashMap<String, (Envelope, DeadLetter)> = HashMap::new();
    for mut letter in letters {
        let Some(envelope) = letter.envelope.take() else { continue };
        match newest.get(envelope.key.as_str()) {
            Some((known, _)) if known.seq >= envelope.seq => {}
            _ => drop(newest.insert(envelope.key.as_str().to_owned(), (envelope, letter))),
        }
    }
    newest.into_values().collect()
}

/// What a receiver would hold of the key if it had accepted this one; `None`: nothing.
fn kept(stream: &str, envelope: &Envelope, letter: &DeadLetter) -> Option<String> {
    if envelope.operation == Operation::Delete {
        return None;
    }
    let body = serde_json::from_slice(letter.transformed.as_deref()?).ok()?;
    one(stream, &body).map(|(_, value)| value)
}

/// How many keys of a stream a receiver does not hold as the source does; `dead`: what letters of the last published
/// version of a key hold. A letter that holds something else explains nothing.
fn lost(stream: &str, issued: &Issued, ledger: &[Line], dead: &HashMap<String, Option<String>>) -> u64 {
    let wanted: BTreeMap<&str, &str> = issued
        .last
        .iter()
        .filter(|(of, ..)| of == stream)
        .map(|(_, key, value)| (key.as_str(), value.as_str()))
        .collect();
    let mut held: BTreeMap<&str, Value> = BTreeMap::new();
    let prefix = format!("/{stream}/");
    for line in ledger.iter().filter(|line| line.status == 200 && line.path.starts_with(&prefix)) {
        match line.method.as_str() {
            "PUT" => drop(held.insert(&line.path, serde_json::from_str(&line.body).unwrap_or_default())),
            _ => drop(held.remove(line.path.as_str())),
        }
    }
    let held: BTreeMap<String, String> = held.values().filter_map(|body| one(stream, body)).collect();
    let keys: BTreeSet<&str> = wanted.keys().copied().chain(held.keys().map(String::as_str)).collect();
    let is_wanted = |key: &str, value: Option<&String>| same(wanted.get(key).copied(), value.map(String::as_str));
    let is_kept = |key: &str| dead.get(key).is_some_and(|value| is_wanted(key, value.as_ref()));
    keys.into_iter().filter(|key| !is_wanted(key, held.get(*key)) && !is_kept(key)).count() as u64
}

/// The key of a record as a receiver holds it, and what is compared of it.
fn one(stream: &str, body: &Value) -> Option<(String, String)> {
    let text = |name: &str| body.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    Some(match stream {
        "orders" => (text("key")?, text("total")?),
        "products" => (text("key")?, text("name")?),
        "prices" => (serde_json::json!([text("product")?, text("kind")?]).to_string(), text("price")?),
        _ => (serde_json::json!([text("product")?, text("warehouse")?]).to_string(), text("left")?),
    })
}

/// As numbers, if they are numbers: `10.5` is `10.50`.
fn same(left: Option<&str>, right: Option<&str>) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    match (left, right) {
        (Some(left), Some(right)) => left == right || number(left).is_some_and(|left| Some(left) == number(right)),
        (left, right) => left == right,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bus_core::vocabulary::{ContentHash, Exchange, Key, MessageId, Seq, StreamName};
    use bytes::Bytes;

    use super::*;

    fn envelope(number: u64) -> Envelope {
        let (stream, key, body) =
            (StreamName::new("orders").unwrap(), Key::from_stored("1"), Bytes::from_static(b"{}"));
        let hash = ContentHash::of(Operation::Upsert, &body);
        Envelope {
            id: MessageId::derive(&stream, &key, number, &hash),
            stream,
            key,
            seq: Seq { epoch: 1, number },
            generation: number,
            operation: Operation::Upsert,
            time: Moment(0),
            label: None,
            hash,
            body,
        }
    }

    fn letter() -> DeadLetter {
        DeadLetter {
            envelope: None,
            raw: None,
            transformed: None,
            exchange: Exchange::default(),
            fault: "rejected".to_owned(),
            message: String::new(),
            attempts: 1,
            at: Moment(0),
        }
    }

    fn line(method: &str, path: &str, status: u16, body: &str) -> Line {
        Line { at: 0, method: method.into(), path: path.into(), message: None, status, body: body.into() }
    }

    #[test]
    fn what_a_receiver_does_not_hold_as_the_source_does_is_lost() {
        let last = [("orders", "1", "10.50"), ("stock", "[\"A\",\"Казань\"]", "7"), ("products", "п", "Чай")];
        let last = last.map(|(stream, key, value)| (stream.to_owned(), key.to_owned(), value.to_owned())).to_vec();
        let issued = Issued { last, ..Issued::default() };
        let order = line("PUT", "/orders/1", 200, r#"{"key":"1","total":10.5}"#);
        let stock = line("PUT", "/stock/x", 200, r#"{"product":"A","warehouse":"Казань","left":7}"#);
        let none = HashMap::new();
        let orders = |ledger: &[Line]| lost("orders", &issued, ledger, &none);
        assert_eq!(orders(&[order.clone(), stock.clone()]), 0);
        assert_eq!(lost("stock", &issued, &[order.clone(), stock], &none), 0);
        assert_eq!(lost("stock", &issued, std::slice::from_ref(&order), &none), 1);
        let name = |name: &str| line("PUT", "/products/x", 200, &format!(r#"{{"key":"п","name":"{name}"}}"#));
        assert_eq!(lost("products", &issued, &[name("Чай")], &none), 0);
        assert_eq!(lost("products", &issued, &[name("Чай"), name("Кофе")], &none), 1);
        let failed = Line { status: 503, ..order.clone() };
        assert_eq!(orders(std::slice::from_ref(&failed)), 1);
        let letter = |value: &str| HashMap::from([("1".to_owned(), Some(value.to_owned()))]);
        assert_eq!(lost("orders", &issued, std::slice::from_ref(&failed), &letter("10.5")), 0, "kept for a person");
        assert_eq!(lost("orders", &issued, std::slice::from_ref(&failed), &letter("9")), 1, "an older version is kept");
        assert_eq!(
            lost("orders", &issued, &[failed], &HashMap::from([("1".to_owned(), None)])),
            1,
            "a deletion is kept"
        );
        let gone = line("DELETE", "/orders/1", 200, "");
        assert_eq!(orders(&[order.clone(), gone.clone()]), 1);
        let other = line("PUT", "/orders/2", 200, r#"{"key":"2","total":9}"#);
        assert_eq!(orders(&[order.clone(), other.clone()]), 1, "one that the source does not have");
        let other_gone = line("DELETE", "/orders/2", 200, "");
        assert_eq!(orders(&[order, other, other_gone]), 0);
    }

    #[test]
    fn a_message_is_accepted_once_and_a_refused_one_not_at_all() {
        let of = |message: &str, status: u16| Line { message: Some(message.into()), ..line("PUT", "/x", status, "{}") };
        assert_eq!(accepted(&[of("a", 503), of("a", 200), of("b", 200), of("a", 200), of("c", 422)]), 2);
        assert_eq!(accepted(&[line("PUT", "/x", 200, "{}")]), 0, "not of the bus");
    }

    #[test]
    fn of_several_letters_of_a_key_the_newest_counts() {
        let of = |number: u64, body: &str| DeadLetter {
            envelope: Some(envelope(number)),
            transformed: Some(body.to_owned().into()),
            ..letter()
        };
        let letters = [of(2, r#"{"key":"1","total":5}"#), of(7, r#"{"key":"1","total":8}"#), of(3, "{}"), letter()];
        let found = newest(letters.into_iter());
        assert_eq!(found.len(), 1);
        assert_eq!(kept("orders", &found[0].0, &found[0].1).as_deref(), Some("8"));
        let gone = Envelope { operation: Operation::Delete, ..envelope(8) };
        assert_eq!(kept("orders", &gone, &found[0].1), None);
    }

    #[test]
    fn only_a_drained_demo_without_loss_and_excess_is_good() {
        let good = Verdict { drained: true, max_window_excess: 0.9, dead_lettered: 3, ..Verdict::default() };
        assert!(good.is_good());
        for bad in [
            Verdict { lost: 1, drained: true, ..Verdict::default() },
            Verdict { max_window_excess: 1.0, drained: true, ..Verdict::default() },
            Verdict { drained: false, ..Verdict::default() },
        ] {
            assert!(!bad.is_good(), "{bad}");
        }
    }
}
