//! What must be at the receivers, as the base says, and what is there, as they say.

use std::collections::BTreeMap;

use bus_simulator::Simulator;
use bus_tests::receiver::{Ledger, Outcome};
use serde_json::Value;

use super::writer::{MOVES, ORDERS, PRODUCTS};

/// Path → what tells one version of it from another.
pub type Held = BTreeMap<String, String>;

/// What the base holds now, as the paths of one lane.
pub fn wanted(simulator: &Simulator, lane: &str) -> Held {
    simulator.base(|base| {
        let mut held = Held::new();
        for (set, path, field) in [(ORDERS, "orders", "Комментарий"), (PRODUCTS, "products", "Description")]
        {
            let entity = base.entity(set).clone();
            let at = entity.at(field);
            for row in base.all(&entity) {
                held.insert(format!("/{lane}/{path}/{}", row[0].as_guid()), row[at].as_text().trim_end().to_owned());
            }
        }
        let entity = base.entity(MOVES).clone();
        let at = entity.at("RecordSet");
        for row in base.all(&entity).filter(|row| !row[at].rows().is_empty()) {
            held.insert(format!("/{lane}/moves/{}", row[0].as_text()), row[at].rows().len().to_string());
        }
        held
    })
}

/// What the receiver holds of a lane, how many deletions it saw, and what came after something newer of its key.
pub struct Seen {
    pub held: Held,
    pub deletions: usize,
    pub went_back: Vec<String>,
}

pub fn seen(ledger: &Ledger, lane: &str) -> Seen {
    let mut seen = Seen { held: Held::new(), deletions: 0, went_back: Vec::new() };
    // Comments and names are numbers that rise with each change; the generated ones are none.
    let mut highest: BTreeMap<String, u64> = BTreeMap::new();
    let effects = ledger.entries.iter().filter(|entry| entry.outcome == Outcome::Applied);
    for entry in effects.filter(|entry| entry.path.starts_with(&format!("/{lane}/"))) {
        if entry.method == "DELETE" {
            seen.deletions += 1;
            seen.held.remove(&entry.path);
            // A reference is never used again.
            highest.insert(entry.path.clone(), u64::MAX);
            continue;
        }
        let body: Value = serde_json::from_str(&entry.body).unwrap();
        let (path, version) = match body["RecordSet"].as_array() {
            // The key of a set has two parts.
            Some(rows) => (format!("/{lane}/moves/{}", body["Recorder"].as_str().unwrap()), rows.len().to_string()),
            None => {
                let field = if entry.path.contains("/orders/") { "Комментарий" } else { "Description" };
                (entry.path.clone(), body[field].as_str().unwrap_or_default().to_owned())
            }
        };
        if body.get("RecordSet").is_none() {
            let number = version.parse().unwrap_or(0);
            let before = highest.insert(path.clone(), number).unwrap_or(0);
            if number < before {
                highest.insert(path.clone(), before);
                seen.went_back.push(format!("{path}: {version} after {before}"));
            }
        }
        match version.as_str() {
            "0" if body.get("RecordSet").is_some() => drop(seen.held.remove(&path)),
            _ => drop(seen.held.insert(path, version)),
        }
    }
    seen
}

/// The differences, in words; none if they are the same.
pub fn differences(wanted: &Held, held: &Held) -> Vec<String> {
    let lost = wanted.iter().filter(|(path, version)| held.get(*path) != Some(version));
    let lost = lost.map(|(path, version)| format!("{path} should be {version:?}, is {:?}", held.get(path)));
    let stayed = held.keys().filter(|path| !wanted.contains_key(*path)).map(|path| format!("{path} should be gone"));
    lost.chain(stayed).collect()
}
