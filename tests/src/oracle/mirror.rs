//! A table whose rows are inserted, changed, taken away and no longer wanted, and the receiver that must end up with
//! exactly those that are there and wanted. Found by comparison; judged by what the receiver holds, not by versions: of
//! what happens between two comparisons only the last shows.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use fastrand::Rng;
use sqlx::postgres::PgRow;
use sqlx::{Executor, PgConnection, Row};

use crate::receiver::{Ledger, Outcome};

/// Keys that rows come and go under.
const KEYS: u64 = 40;

/// `version` rises over all changes of all rows.
const SCHEMA: &str = "
    CREATE SEQUENCE versions;
    CREATE TABLE mirrored (key text PRIMARY KEY, version bigint NOT NULL DEFAULT nextval('versions'), wanted boolean NOT NULL)";

/// What the routes file says of it.
pub(super) const ROUTES: &str = r#"
[streams.mirror]
from = "db"
query = "SELECT key, version, wanted FROM mirrored ORDER BY key"
key = "key"
schedule = "200ms"
changes = { diff = true, guard = "100%" }

[routes.mirror-to-shop]
stream = "mirror"
to = "shop"
when = ".wanted == true"
when_left = "delete"
send = { method = "PUT", path = "/mirror/{key}" }
on_delete = { path = "/mirror/{key}" }
retry = { attempts = 20, first = "200ms", max = "1s" }
"#;

pub(super) async fn create(session: &mut PgConnection) -> Result<()> {
    session.execute(SCHEMA).await?;
    Ok(())
}

/// One change of one row.
pub(super) async fn change(session: &mut PgConnection, rng: &mut Rng) -> Result<()> {
    let key = format!("строка-{}", rng.u64(..KEYS));
    let (delete, wanted) = (rng.u8(..4) == 0, rng.u8(..4) != 0);
    let sql = match delete {
        true => "DELETE FROM mirrored WHERE key = $1 AND $2::boolean IS NOT NULL",
        false => {
            "INSERT INTO mirrored (key, wanted) VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET wanted = $2, version = nextval('versions')"
        }
    };
    sqlx::query(sql).bind(key).bind(wanted).execute(session).await?;
    Ok(())
}

/// Key and version of the rows that the receiver must hold.
pub(super) async fn wanted(session: &mut PgConnection) -> Result<BTreeMap<String, u64>> {
    let rows = session.fetch_all("SELECT key, version FROM mirrored WHERE wanted").await?;
    let row =
        |row: &PgRow| -> Result<(String, u64)> { Ok((row.try_get(0)?, u64::try_from(row.try_get::<i64, _>(1)?)?)) };
    rows.iter().map(row).collect()
}

/// What the receiver holds at the end of its ledger, how many deletions it saw, and which keys went back meanwhile.
pub(super) fn held(ledger: &Ledger) -> Result<(BTreeMap<String, u64>, usize, Vec<String>)> {
    let (mut held, mut newest) = (BTreeMap::new(), BTreeMap::<&str, u64>::new());
    let (mut deletions, mut went_back) = (0, Vec::new());
    let effects = ledger.entries.iter().filter(|entry| entry.path.starts_with("/mirror/"));
    for entry in effects.filter(|entry| entry.outcome == Outcome::Applied) {
        if entry.method == "DELETE" {
            deletions += 1;
            held.remove(&entry.key);
            continue;
        }
        let body: serde_json::Value = serde_json::from_str(&entry.body)?;
        let version = body["version"].as_u64().context("a body without its version")?;
        let newest = newest.entry(entry.key.as_str()).or_default();
        if version < *newest {
            went_back.push(format!("{} from {newest} to {version}", entry.key));
        }
        *newest = version.max(*newest);
        held.insert(entry.key.clone(), version);
    }
    Ok((held, deletions, went_back))
}
