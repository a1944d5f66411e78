//! The demo's source: orders and stock in SQLite, changed all the time by a thread of its own. A trigger counts every
//! change, so what was issued is counted by the source and not by the one who wrote it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, params};

/// Between two bursts of changes; with about one change each, below the receiver's daytime capacity of 5 a second.
const PAUSE: Duration = Duration::from_millis(300);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE orders (id INTEGER PRIMARY KEY, number TEXT NOT NULL, customer TEXT NOT NULL, total NUMERIC NOT NULL,
                         posted INTEGER NOT NULL, updated_at INTEGER NOT NULL);
    CREATE INDEX orders_by_change ON orders (updated_at, id);
    CREATE TABLE stock (sku TEXT NOT NULL, warehouse TEXT NOT NULL, quantity INTEGER NOT NULL,
                        PRIMARY KEY (sku, warehouse)) WITHOUT ROWID;
    CREATE TABLE issued (stream TEXT PRIMARY KEY, changes INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO issued VALUES ('orders', 0), ('stock', 0);
    CREATE TRIGGER orders_new AFTER INSERT ON orders BEGIN UPDATE issued SET changes = changes + 1 WHERE stream = 'orders'; END;
    CREATE TRIGGER orders_changed AFTER UPDATE ON orders BEGIN UPDATE issued SET changes = changes + 1 WHERE stream = 'orders'; END;
    CREATE TRIGGER stock_new AFTER INSERT ON stock BEGIN UPDATE issued SET changes = changes + 1 WHERE stream = 'stock'; END;
    CREATE TRIGGER stock_changed AFTER UPDATE ON stock BEGIN UPDATE issued SET changes = changes + 1 WHERE stream = 'stock'; END;
    CREATE TRIGGER stock_gone AFTER DELETE ON stock BEGIN UPDATE issued SET changes = changes + 1 WHERE stream = 'stock'; END;
";

const CUSTOMERS: [&str; 6] =
    ["ООО «Ромашка»", "ИП Иванова", "Schmidt GmbH", "ТОО «Алатау»", "ООО «Север»", "Kovács Kft."];
const WAREHOUSES: [&str; 3] = ["Москва", "Казань", "Riga"];

/// The changing database.
pub struct Shop {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<()>>,
}

/// What the source says at the end.
pub struct Issued {
    /// Changes, both streams together.
    pub changes: u64,
    /// Posted orders: path at the receiver → total.
    pub orders: BTreeMap<String, String>,
    /// Stock: (sku, warehouse) → quantity.
    pub stock: BTreeMap<(String, String), i64>,
}

impl Shop {
    /// Creates the database and begins to change it.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join("магазин.db");
        let connection = Connection::open(&path).context("the demo's database")?;
        connection.execute_batch(SCHEMA)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("demo-shop".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                change(&connection)?;
                std::thread::sleep(PAUSE);
            }
            Ok(())
        })?;
        Ok(Self { path, stop, thread })
    }

    /// For `routes.toml`.
    pub fn url(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    /// Ends the changes and counts them.
    pub fn stop(self) -> anyhow::Result<Issued> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the demo's shop panicked"))??;
        let connection = Connection::open(&self.path)?;
        let changes: i64 = connection.query_row("SELECT sum(changes) FROM issued", [], |row| row.get(0))?;
        let mut orders = BTreeMap::new();
        let mut query = connection.prepare("SELECT id, CAST(total AS TEXT) FROM orders WHERE posted = 1")?;
        for row in query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))? {
            let (id, total) = row?;
            orders.insert(format!("/orders/{id}"), total);
        }
        let mut stock = BTreeMap::new();
        let mut query = connection.prepare("SELECT sku, warehouse, quantity FROM stock")?;
        for row in query.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))? {
            let (place, quantity) = row?;
            stock.insert(place, quantity);
        }
        Ok(Issued { changes: u64::try_from(changes)?, orders, stock })
    }
}

fn change(connection: &Connection) -> anyhow::Result<()> {
    let now = bus_core::vocabulary::Moment::now().0;
    let orders: i64 = connection.query_row("SELECT count(*) FROM orders", [], |row| row.get(0))?;
    let any = fastrand::i64(1..=orders.max(1));
    let cents = fastrand::i64(1_000..1_000_000);
    let total = format!("{}.{:02}", cents / 100, cents % 100);
    match fastrand::u8(0..10) {
        0..=3 => {
            let id = orders + 1;
            let (number, customer) = (format!("УТ-{id:06}"), CUSTOMERS[fastrand::usize(..CUSTOMERS.len())]);
            let statement = "INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            connection.execute(statement, params![id, number, customer, total, fastrand::u8(0..5) > 0, now])?;
        }
        4..=5 => {
            let statement = "UPDATE orders SET total = ?2, updated_at = ?3 WHERE id = ?1";
            connection.execute(statement, params![any, total, now])?;
        }
        6 => {
            let statement = "UPDATE orders SET posted = 1 - posted, updated_at = ?2 WHERE id = ?1";
            connection.execute(statement, params![any, now])?;
        }
        kind => {
            let sku = format!("A-{:03}", fastrand::u8(1..=40));
            let warehouse = WAREHOUSES[fastrand::usize(..WAREHOUSES.len())];
            if kind == 9 && fastrand::u8(0..4) == 0 {
                connection.execute("DELETE FROM stock WHERE sku = ?1 AND warehouse = ?2", params![sku, warehouse])?;
            } else {
                let statement = "INSERT INTO stock VALUES (?1, ?2, ?3)
                                 ON CONFLICT DO UPDATE SET quantity = excluded.quantity";
                connection.execute(statement, params![sku, warehouse, fastrand::i64(0..500)])?;
            }
        }
    }
    Ok(())
}
