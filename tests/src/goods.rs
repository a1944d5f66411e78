//! A large table that the program reads as a whole, of which every so many records goes to a receiver: the others are
//! read, compared, published and skipped.

use anyhow::{Context, Result};
use sqlx::{Connection as _, SqliteConnection};

use crate::bus::Bus;
use crate::receiver::{Receiver, Script};

/// See the module's comment. SQLite as the source, because it is read inside the program: its cache counts as the program's memory.
pub struct Goods {
    /// Not started yet.
    pub bus: Bus,
    /// Takes the records whose id can be divided by `sent`.
    pub receiver: Receiver,
    base: SqliteConnection,
}

impl Goods {
    /// A table with this many rows, and a route for every `sent`th of them; deletions of up to 10 % are believed.
    pub async fn new(rows: u64, sent: u64) -> Result<Self> {
        let receiver = Receiver::start(&Script::default()).await?;
        let bus = Bus::new()?;
        let file = bus.directory().join("base.db");
        let mut base = SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", file.display())).await?;
        // The bus reads while we write.
        sqlx::query("PRAGMA journal_mode = WAL").execute(&mut base).await?;
        sqlx::query("CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price TEXT NOT NULL)")
            .execute(&mut base)
            .await?;
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                    INSERT INTO goods SELECT i, 'Товар №' || i || ' в упаковке', i || '.50' FROM n";
        sqlx::query(fill).bind(i64::try_from(rows)?).execute(&mut base).await?;
        bus.routes(&routes(&bus.listen(), &receiver.url(), sent))?;
        Ok(Self { bus, receiver, base })
    }

    /// Runs a statement that deletes rows, as in `DELETE FROM goods WHERE id <= ?1`.
    pub async fn delete(&mut self, statement: &'static str, bound: u64) -> Result<()> {
        sqlx::query(statement).bind(i64::try_from(bound)?).execute(&mut self.base).await?;
        Ok(())
    }

    /// The ids for which the receiver has applied a request of this method, one each.
    pub fn applied(&self, method: &str) -> Result<Vec<u64>> {
        let ledger = self.receiver.ledger()?;
        let of_method = ledger.applied().filter(|entry| entry.method == method);
        of_method.map(|entry| entry.key.parse().context("a key that is no id")).collect()
    }
}

fn routes(listen: &str, receiver: &str, sent: u64) -> String {
    format!(
        r#"
        [bus]
        listen = "{listen}"
        [systems.base]
        kind = "sql"
        url = "sqlite:base.db"
        [systems.shop]
        kind = "http"
        url = "{receiver}"
        [streams.goods]
        from = "base"
        query = "SELECT id, name, price FROM goods"
        key = "id"
        schedule = "500ms"
        changes = {{ diff = true, guard = "10%" }}
        [routes.goods-to-shop]
        stream = "goods"
        to = "shop"
        when = "mod(int!(.id), {sent}) == 0"
        send = {{ method = "PUT", path = "/goods/{{key}}" }}
        on_delete = {{ path = "/goods/{{key}}" }}
        "#
    )
}
