//! The source: a table in PostgreSQL that changes as an application changes it, and a trigger that writes down every
//! version in the same transaction, so that the ledger holds exactly what was committed.
//!
//! The cursor column is a time cut to 10 ms: rows of one transaction, and of neighbours, share a value. Some
//! transactions commit long after they have fixed theirs, some never do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use sqlx::postgres::PgRow;
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::task::JoinSet;

use super::issued::{Content, Issued, Owed, Version};
use super::mirror;
use super::seed::{Seed, text};
use crate::servers::Postgres;

/// Sessions that write at the same time, each with keys of its own, so that the order of a key's versions is known.
const SESSIONS: usize = 3;

/// Every tenth key is not for the receivers.
const UNWANTED: usize = 10;

/// `change` makes the next version of a key. The digest is that of [`super::issued::digest`], made by PostgreSQL.
const SCHEMA: &str = r#"
CREATE TABLE orders (
    key text PRIMARY KEY, version bigint NOT NULL, payload text NOT NULL, amount numeric(18, 4) NOT NULL,
    wanted boolean NOT NULL, changed_at timestamptz NOT NULL);
CREATE INDEX ON orders (changed_at, key);
CREATE TABLE issued (
    key text, version bigint, digest text NOT NULL, wanted boolean NOT NULL, PRIMARY KEY (key, version));
CREATE FUNCTION write_down() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO issued VALUES (NEW.key, NEW.version, encode(sha256(convert_to(
        NEW.key || '|' || NEW.version || '|' || NEW.amount || '|' || NEW.payload, 'UTF8')), 'hex'), NEW.wanted);
    RETURN NULL;
END $$;
CREATE TRIGGER write_down AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION write_down();
CREATE FUNCTION change(k text, p text, a numeric, w boolean) RETURNS void LANGUAGE sql AS $$
    INSERT INTO orders VALUES (k, 1, p, a, w, date_bin('10 milliseconds', now(), 'epoch'))
    ON CONFLICT (key) DO UPDATE
    SET version = orders.version + 1, payload = p, amount = a, changed_at = date_bin('10 milliseconds', now(), 'epoch')
$$;
"#;

/// See the module.
pub struct Source {
    url: String,
    keys: usize,
    session: PgConnection,
}

/// Changes that go on until [`Writing::stop`].
pub struct Writing {
    stop: Arc<AtomicBool>,
    sessions: JoinSet<Result<()>>,
}

impl Source {
    /// A database of its own at the server, with an empty table that will hold so many keys.
    pub async fn create(postgres: &Postgres, keys: usize) -> Result<Self> {
        let database = postgres.database().await?;
        postgres.execute(&database, SCHEMA).await?;
        let url = format!("{}?sslmode=disable", postgres.url_of(&database));
        let mut session = PgConnection::connect(&url).await.context("a session for the source")?;
        mirror::create(&mut session).await?;
        Ok(Self { url, keys, session })
    }

    /// After the server was killed.
    pub async fn reconnect(&mut self) -> Result<()> {
        self.session = PgConnection::connect(&self.url).await.context("a session for the source")?;
        Ok(())
    }

    /// Inserts, changes or deletes one row of the mirrored table.
    pub async fn change_mirrored(&mut self, rng: &mut Rng) -> Result<()> {
        mirror::change(&mut self.session, rng).await
    }

    /// Key and version of the rows that the mirror must hold.
    pub async fn wanted_mirrored(&self) -> Result<BTreeMap<String, u64>> {
        mirror::wanted(&mut PgConnection::connect(&self.url).await?).await
    }

    /// Where the bus reads.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes one key, at once.
    pub async fn change(&mut self, key: &str) -> Result<Version> {
        let mut rng = Rng::new();
        change(&mut self.session, key, true, &mut rng).await?;
        let select = sqlx::query("SELECT version FROM orders WHERE key = $1").bind(key);
        let number: i64 = select.fetch_one(&mut self.session).await?.try_get(0)?;
        Ok(Version::new(key, u64::try_from(number)?))
    }

    /// Changes so many keys in one transaction: all share one value of the cursor column.
    pub async fn burst(&mut self, count: usize) -> Result<()> {
        let sql =
            "SELECT change('всплеск-' || i, 'тело \"' || i || '\"', i / 7.0, true) FROM generate_series(1, $1) AS i";
        sqlx::query(sql).bind(i32::try_from(count)?).execute(&mut self.session).await?;
        Ok(())
    }

    /// Changes about so many rows a second until stopped.
    pub fn write(&self, per_second: u32, seed: Seed) -> Writing {
        let stop = Arc::new(AtomicBool::new(false));
        let mut sessions = JoinSet::new();
        for session in 0..SESSIONS {
            let (url, keys, stop) = (self.url.clone(), self.keys, stop.clone());
            let pause = Duration::from_secs(1) * u32::try_from(SESSIONS).unwrap_or(1) / per_second.max(1);
            let rng = seed.part(session as u64);
            sessions.spawn(async move { session_writes(&url, session, keys, pause, rng, &stop).await });
        }
        Writing { stop, sessions }
    }

    /// The versions that lie below this value of the cursor column.
    pub(super) async fn below(&mut self, changed_at: &str) -> Result<Vec<Version>> {
        let select = sqlx::query("SELECT key, version FROM orders WHERE changed_at < $1::text::timestamptz");
        let rows = select.bind(changed_at).fetch_all(&mut self.session).await?;
        let version = |row: &PgRow| -> Result<Version> {
            Ok(Version::new(row.try_get::<String, _>(0)?, u64::try_from(row.try_get::<i64, _>(1)?)?))
        };
        rows.iter().map(version).collect()
    }

    /// The lowest value of the cursor column, as PostgreSQL writes it.
    pub(super) async fn earliest(&mut self) -> Result<String> {
        let select = sqlx::query("SELECT coalesce(min(changed_at), now())::text FROM orders");
        Ok(select.fetch_one(&mut self.session).await?.try_get(0)?)
    }

    /// The ledger as it is now.
    pub async fn issued(&mut self) -> Result<Issued> {
        let mut issued = Issued::new(Owed::Last);
        let rows = self.session.fetch_all("SELECT key, version, digest, wanted FROM issued").await?;
        for row in rows {
            let number: i64 = row.try_get(1)?;
            let version = Version::new(row.try_get::<String, _>(0)?, u64::try_from(number)?);
            issued.add(version, Content { digest: row.try_get(2)?, wanted: row.try_get(3)? });
        }
        Ok(issued)
    }
}

impl Writing {
    /// Returns when the last transaction has ended.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.sessions.join_next().await {
            ended??;
        }
        Ok(())
    }
}

async fn session_writes(
    url: &str,
    session: usize,
    keys: usize,
    pause: Duration,
    mut rng: Rng,
    stop: &AtomicBool,
) -> Result<()> {
    let mut connection = PgConnection::connect(url).await.context("a session that writes")?;
    while !stop.load(Ordering::Relaxed) {
        // One row at once; several in one transaction; or a transaction that stays open, and may be rolled back.
        let kind = rng.u8(..100);
        let rows = if kind < 70 { 1 } else { rng.u32(2..6) };
        let mut transaction = connection.begin().await?;
        for _ in 0..rows {
            let place = rng.usize(..keys.div_ceil(SESSIONS)) * SESSIONS + session;
            change(&mut transaction, &format!("ключ-{place}"), !place.is_multiple_of(UNWANTED), &mut rng).await?;
        }
        if kind >= 90 {
            tokio::time::sleep(Duration::from_millis(rng.u64(50..400))).await;
        }
        if kind >= 98 {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
        }
        tokio::time::sleep(pause * rows).await;
    }
    Ok(connection.close().await?)
}

async fn change(session: &mut PgConnection, key: &str, wanted: bool, rng: &mut Rng) -> Result<()> {
    let amount = format!("{}.{:04}", rng.u64(..10_000_000_000), rng.u32(..10_000));
    sqlx::query("SELECT change($1, $2, $3::numeric, $4)")
        .bind(key)
        .bind(text(rng))
        .bind(amount)
        .bind(wanted)
        .execute(session)
        .await?;
    Ok(())
}
