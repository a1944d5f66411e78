//! The demo's bookkeeping: what the source issued against what the receiver's own ledger holds.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bus_config::{Landscape, SystemKind};
use bus_core::policy::{Micros, max_excess};
use bus_core::ports::state::DeadFilter;
use bus_core::vocabulary::Moment;
use serde::Serialize;
use serde_json::Value;

use super::ledger::Line;
use super::shop::Issued;
use crate::server::App;

/// A round that ends this long after the shop began after its last change: longer than the demo's slowest schedule.
const ROUND: Duration = Duration::from_secs(6);

/// The one line that `--json` prints. Counts are messages, except where said.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Changes, counted by the source's own table.
    pub issued: u64,
    /// Accepted by the receiver.
    pub delivered: u64,
    /// Changes that a newer one of the same key replaced at the source before it was read.
    pub superseded: u64,
    /// Not for this receiver.
    pub skipped: u64,
    /// Kept for a person.
    pub dead_lettered: u64,
    /// Keys whose last state at the receiver, by its own ledger, is not the source's (dead letters apart).
    pub lost: u64,
    /// Largest excess over the capacity profile in any window, in requests; 0 means never above it.
    pub max_window_excess: f64,
    /// Requests the receiver counted, failed ones included.
    pub requests: usize,
}

/// For people.
impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:>7} changes in the shop's database", self.issued)?;
        writeln!(f, "{:>7} accepted by the receiver", self.delivered)?;
        writeln!(f, "{:>7} replaced by a newer change before they were read", self.superseded)?;
        writeln!(f, "{:>7} not for this receiver", self.skipped)?;
        writeln!(f, "{:>7} dead letters, refused by the receiver", self.dead_lettered)?;
        writeln!(f, "{:>7} lost, by the receiver's own ledger", self.lost)?;
        write!(f, "{:>7} requests; above the capacity profile by at most {}", self.requests, self.max_window_excess)
    }
}

/// Nothing is queued, waiting or under way, and every feed has read once more since the shop ended.
pub async fn is_drained(app: &App, ended: Moment) -> bool {
    let status = crate::server::gather(app).await;
    let quiet = status.routes.iter().all(|route| route.queued == Some(0) && route.waiting == 0 && route.in_flight == 0);
    let read = app.watch.feeds().iter().all(|(_, feed)| feed.last_success.is_some_and(|at| at > ended.after(ROUND)));
    quiet && read
}

/// Compares the source's last state with the ledger.
pub async fn find(app: &App, landscape: &Landscape, issued: &Issued, ledger: &[Line]) -> anyhow::Result<Verdict> {
    let outcome = |outcome: &str| -> u64 {
        let routes = app.watch.routes();
        routes.iter().map(|route| app.metrics.settled.with_label_values(&[route.route().as_str(), outcome]).get()).sum()
    };
    let published: u64 =
        landscape.streams.iter().map(|s| app.metrics.published.with_label_values(&[s.name.as_str()]).get()).sum();
    let letters = app.store.dead_letters(&DeadFilter::default()).await?;
    let dead: HashSet<String> =
        letters.iter().filter_map(|row| row.letter.envelope.as_ref()).map(|e| e.key.as_str().to_owned()).collect();
    let excess = landscape.systems.iter().find_map(|system| match &system.kind {
        SystemKind::Http(http) => http.takes.capacity.pace.as_ref(),
        SystemKind::Sql { .. } | SystemKind::Odata(_) => None,
    });
    let mut arrivals: Vec<Micros> = ledger.iter().map(|line| Micros(line.at)).collect();
    arrivals.sort_unstable();
    Ok(Verdict {
        issued: issued.changes,
        delivered: outcome("delivered"),
        superseded: issued.changes.saturating_sub(published),
        skipped: outcome("skipped"),
        dead_lettered: outcome("dead_lettered"),
        lost: lost(issued, ledger, &dead),
        max_window_excess: excess.map_or(0.0, |profile| (max_excess(&arrivals, profile) * 1000.0).round() / 1000.0),
        requests: ledger.len(),
    })
}

fn lost(issued: &Issued, ledger: &[Line], dead: &HashSet<String>) -> u64 {
    let mut orders: BTreeMap<String, String> = BTreeMap::new();
    let mut stock: BTreeMap<String, Value> = BTreeMap::new();
    for line in ledger.iter().filter(|line| line.status == 200) {
        let body: Value = serde_json::from_str(&line.body).unwrap_or_default();
        match (line.method.as_str(), line.path.starts_with("/orders/")) {
            ("PUT", true) => drop(orders.insert(line.path.clone(), body["total"].to_string())),
            ("PUT", false) => drop(stock.insert(line.path.clone(), body)),
            (_, true) => drop(orders.remove(&line.path)),
            (_, false) => drop(stock.remove(&line.path)),
        }
    }
    let number = |text: &str| text.trim_matches('"').parse::<f64>().ok();
    let is_dead = |path: &str| dead.contains(path.trim_start_matches("/orders/"));
    let same = |left: Option<&String>, right: Option<&String>| {
        left.and_then(|text| number(text)) == right.and_then(|text| number(text))
    };
    let paths: HashSet<&String> = issued.orders.keys().chain(orders.keys()).collect();
    let orders_lost =
        paths.into_iter().filter(|path| !is_dead(path) && !same(issued.orders.get(*path), orders.get(*path))).count();
    let received: BTreeMap<(String, String), i64> = stock
        .values()
        .filter_map(|body| {
            let place = (body["article"].as_str()?.to_owned(), body["warehouse"].as_str()?.to_owned());
            Some((place, body["left"].as_i64()?))
        })
        .collect();
    let places: HashSet<&(String, String)> = issued.stock.keys().chain(received.keys()).collect();
    let dead_place =
        |(sku, warehouse): &(String, String)| dead.contains(&serde_json::json!([sku, warehouse]).to_string());
    let stock_lost =
        places.into_iter().filter(|place| !dead_place(place) && issued.stock.get(*place) != received.get(*place));
    (orders_lost + stock_lost.count()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(method: &str, path: &str, status: u16, body: &str) -> Line {
        Line { at: 0, method: method.into(), path: path.into(), status, body: body.into() }
    }

    #[test]
    fn what_the_receiver_does_not_hold_as_the_source_does_is_lost() {
        let mut issued = Issued { changes: 3, orders: BTreeMap::new(), stock: BTreeMap::new() };
        issued.orders.insert("/orders/1".into(), "10.50".into());
        issued.stock.insert(("A".into(), "Казань".into()), 7);
        let order = line("PUT", "/orders/1", 200, r#"{"total":10.5}"#);
        let stock = line("PUT", "/stock/x", 200, r#"{"article":"A","warehouse":"Казань","left":7}"#);
        let none = HashSet::new();
        assert_eq!(lost(&issued, &[order.clone(), stock.clone()], &none), 0);
        assert_eq!(lost(&issued, std::slice::from_ref(&order), &none), 1);
        let old = line("PUT", "/orders/1", 200, r#"{"total":9}"#);
        assert_eq!(lost(&issued, &[order.clone(), old, stock.clone()], &none), 1);
        let failed = Line { status: 503, ..order };
        assert_eq!(lost(&issued, &[failed.clone(), stock.clone()], &none), 1);
        assert_eq!(lost(&issued, &[failed, stock.clone()], &HashSet::from(["1".to_owned()])), 0);
        let gone = line("PUT", "/orders/2", 200, r#"{"total":9}"#);
        assert_eq!(lost(&issued, &[line("PUT", "/orders/1", 200, r#"{"total":10.5}"#), gone, stock], &none), 1);
    }
}
