//! The demo's bookkeeping: what the base issued against what the receivers' own ledgers hold.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use bus_config::{Landscape, SystemKind};
use bus_core::policy::{Micros, max_excess};
use bus_core::ports::state::DeadFilter;
use bus_core::vocabulary::Moment;
use serde::Serialize;
use serde_json::Value;

use super::base::Issued;
use super::ledger::Line;
use crate::server::App;

/// A round that ends this long after the last piece of work has seen it: longer than the demo's slowest schedule.
const ROUND: Duration = Duration::from_secs(6);

/// The one line that `--json` prints. Counts are messages, except where said.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Records and changes of them, counted by the source itself, once for each receiver that they go to.
    pub issued: u64,
    /// Accepted by the receivers.
    pub delivered: u64,
    /// Changes that a newer one of the same key replaced at the source before it was read.
    pub superseded: u64,
    /// Not for this receiver.
    pub skipped: u64,
    /// Kept for a person.
    pub dead_lettered: u64,
    /// Keys whose last state at a receiver, by its own ledger, is not the source's (dead letters apart).
    pub lost: u64,
    /// Largest excess over the capacity profile in any window, in requests; 0 means never above it.
    pub max_window_excess: f64,
    /// Requests the receivers counted, failed ones included.
    pub requests: usize,
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
        write!(f, "{:>7} requests; above the capacity profile by at most {}", self.requests, self.max_window_excess)
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
        let letters =
            app.store.dead_letters(&DeadFilter { route: Some(route.name.clone()), ..DeadFilter::default() }).await?;
        let keys = letters.iter().filter_map(|row| row.letter.envelope.as_ref());
        let dead: HashSet<String> = keys.map(|envelope| envelope.key.as_str().to_owned()).collect();
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
        delivered: outcome("delivered"),
        superseded: changes.saturating_sub(published),
        skipped: outcome("skipped"),
        dead_lettered: outcome("dead_lettered"),
        lost,
        max_window_excess: (most * 1000.0).round() / 1000.0,
        requests: ledgers.values().map(Vec::len).sum(),
    })
}

/// How many keys of a stream a receiver does not hold as the source does.
fn lost(stream: &str, issued: &Issued, ledger: &[Line], dead: &HashSet<String>) -> u64 {
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
    let differs = |key: &&str| !same(wanted.get(*key).copied(), held.get(*key).map(String::as_str));
    keys.into_iter().filter(|key| !dead.contains(*key)).filter(differs).count() as u64
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
    use super::*;

    fn line(method: &str, path: &str, status: u16, body: &str) -> Line {
        Line { at: 0, method: method.into(), path: path.into(), status, body: body.into() }
    }

    #[test]
    fn what_a_receiver_does_not_hold_as_the_source_does_is_lost() {
        let last = [("orders", "1", "10.50"), ("stock", "[\"A\",\"Казань\"]", "7"), ("products", "п", "Чай")];
        let last = last.map(|(stream, key, value)| (stream.to_owned(), key.to_owned(), value.to_owned())).to_vec();
        let issued = Issued { last, ..Issued::default() };
        let order = line("PUT", "/orders/1", 200, r#"{"key":"1","total":10.5}"#);
        let stock = line("PUT", "/stock/x", 200, r#"{"product":"A","warehouse":"Казань","left":7}"#);
        let none = HashSet::new();
        let orders = |ledger: &[Line]| lost("orders", &issued, ledger, &none);
        assert_eq!(orders(&[order.clone(), stock.clone()]), 0);
        assert_eq!(lost("stock", &issued, &[order.clone(), stock], &none), 0);
        assert_eq!(lost("stock", &issued, std::slice::from_ref(&order), &none), 1);
        let name = |name: &str| line("PUT", "/products/x", 200, &format!(r#"{{"key":"п","name":"{name}"}}"#));
        assert_eq!(lost("products", &issued, &[name("Чай")], &none), 0);
        assert_eq!(lost("products", &issued, &[name("Чай"), name("Кофе")], &none), 1);
        let failed = Line { status: 503, ..order.clone() };
        assert_eq!(orders(std::slice::from_ref(&failed)), 1);
        assert_eq!(lost("orders", &issued, &[failed], &HashSet::from(["1".to_owned()])), 0);
        let gone = line("DELETE", "/orders/1", 200, "");
        assert_eq!(orders(&[order.clone(), gone.clone()]), 1);
        let other = line("PUT", "/orders/2", 200, r#"{"key":"2","total":9}"#);
        assert_eq!(orders(&[order.clone(), other.clone()]), 1, "one that the source does not have");
        let other_gone = line("DELETE", "/orders/2", 200, "");
        assert_eq!(orders(&[order, other, other_gone]), 0);
    }
}
