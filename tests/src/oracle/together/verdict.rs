//! What must hold in the end, route by route.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Together;
use super::routes::{BOOKS, LATE, LATEST, ORDERS, PEOPLE, RUNS};
use crate::oracle::between;
use crate::oracle::issued::{Issued, Owed, Version};
use crate::oracle::read;
use crate::oracle::verdict::{Allowance, Verdict};
use crate::receiver::{Entry, Ledger};

/// The verdicts, and what else is wrong, in words.
#[derive(Debug)]
pub struct Judged {
    /// On what was confirmed (`confirmed orders`), and on every route.
    pub verdicts: BTreeMap<String, Verdict>,
    /// Holds that did not hold, and what the bus moved on over without publishing it.
    pub wrong: Vec<String>,
    /// Versions that lay below the durable cursor when somebody looked.
    pub handed: usize,
}

impl Together {
    /// Judges everything as it is now.
    pub async fn judge(&mut self, users: &Issued, stock: &Issued) -> Result<Judged> {
        let orders = self.scene.source.issued().await?;
        let (shop, books) = (self.scene.shop.ledger()?, self.scene.books.ledger()?);
        let mut judged = Judged { verdicts: BTreeMap::new(), wrong: Vec::new(), handed: self.scene.handed.len() };
        let mut confirmed = HashMap::new();
        for (stream, issued) in [("orders", &orders), ("users", users), ("stock", stock)] {
            let arrivals = self.scene.confirmed(stream, issued).await?;
            judged.verdicts.insert(format!("confirmed {stream}"), between::verdict(issued, &arrivals));
            confirmed.insert(stream, (arrivals, issued));
        }
        for (route, stream, ledger, path, owed) in [
            (ORDERS, "orders", &shop, "/orders/", Owed::Last),
            (BOOKS, "orders", &books, "/books/", Owed::Every),
            // It was not there when the first ones were published.
            (LATE, "orders", &books, "/late/", Owed::Last),
            (PEOPLE, "users", &shop, "/users/", Owed::Every),
            (LATEST, "stock", &shop, "/stock/", Owed::Last),
            (RUNS, "stock", &books, "/stock/", Owed::Every),
        ] {
            let (confirmed, issued) = confirmed.get(stream).context("every stream has its ledger")?;
            let owed = between::owed(confirmed, issued, owed);
            let allowance = match route {
                BOOKS => Allowance::NONE,
                _ => self.scene.explained(owed.keys()),
            };
            let dead = read::dead(&self.scene.bus, route).await?;
            let arrivals = read::arrivals(ledger, path)?;
            judged.verdicts.insert(route.to_owned(), Verdict::judge(&owed, &arrivals, &dead, allowance));
        }
        let (published, _) = confirmed.get("orders").context("orders")?;
        let unpublished = between::unpublished(&self.scene.handed, published).into_iter();
        judged
            .wrong
            .extend(unpublished.map(|version| format!("{version}: the cursor passed it, and it was never published")));
        judged.wrong.extend(too_early(&shop)?);
        judged.wrong.extend(unmapped(&books, users)?);
        Ok(judged)
    }
}

impl Judged {
    /// Nothing that must not be.
    pub fn is_clean(&self) -> bool {
        self.wrong.is_empty() && self.verdicts.values().all(Verdict::is_clean)
    }

    /// One route's verdict.
    pub fn of(&self, route: &str) -> &Verdict {
        &self.verdicts[route]
    }
}

impl std::fmt::Display for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.verdicts.iter().map(|(route, verdict)| format!("{route} [{verdict}]")).collect();
        write!(f, "handed {}; {}; wrong {:?}", self.handed, lines.join("; "), self.wrong)
    }
}

/// D11: an order after the user whom it names, and that one answered.
fn too_early(shop: &Ledger) -> Result<Vec<String>> {
    let (mut there, mut wrong) = (HashSet::new(), Vec::new());
    for entry in shop.applied() {
        if entry.path.starts_with("/users/") {
            if entry.status.is_some_and(|status| (200..300).contains(&status)) {
                there.insert(entry.key.clone());
            }
        } else if entry.path.starts_with("/orders/") {
            let user = field(entry, "user_key")?;
            let user = user.as_str().context("a text")?;
            if !there.contains(user) {
                wrong.push(format!("{} came before {user}", entry.path));
            }
        }
    }
    Ok(wrong)
}

/// Each order carries what the map said of its user: a version that was issued, never an older one than before.
fn unmapped(books: &Ledger, users: &Issued) -> Result<Vec<String>> {
    let (mut newest, mut wrong) = (HashMap::<String, u64>::new(), Vec::new());
    for entry in books.applied().filter(|entry| entry.path.starts_with("/books/")) {
        let user = field(entry, "user_key")?.as_str().context("a text")?.to_owned();
        let profile = field(entry, "profile")?;
        let number: u64 = profile.to_string().trim_matches('"').parse().unwrap_or(0);
        if users.get(&Version::new(user.as_str(), number)).is_none() {
            wrong.push(format!("{} with {profile} of {user}", entry.path));
        }
        let newest = newest.entry(entry.key.clone()).or_default();
        if number < *newest {
            wrong.push(format!("{} with {profile} of {user} after {newest}", entry.path));
        }
        *newest = number.max(*newest);
    }
    Ok(wrong)
}

fn field(entry: &Entry, name: &str) -> Result<Value> {
    let body: Value = serde_json::from_str(&entry.body)?;
    body.get(name).cloned().with_context(|| format!("{} without {name}", entry.path))
}
