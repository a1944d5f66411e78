//! The routes file of the scene, and what a reload changes in it.

use super::USERS;
use crate::oracle::between;
use crate::oracle::landscape::Addresses;

/// What differs between two files.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) rabbitmq: bool,
    /// There is a route that was not there at first.
    pub(super) late: bool,
    /// Attempts at the same time, of every route.
    pub(super) concurrency: u64,
    /// Records in one request of every route; 0: each has its own.
    pub(super) batch: u64,
}

/// Takes orders by PUT: only the latest, and after the user whom they name.
pub(super) const ORDERS: &str = "orders-to-shop";
/// Takes every order by POST and must not see one twice; each waits until a map knows its user.
pub(super) const BOOKS: &str = "orders-to-books";
/// The users, in the shop.
pub(super) const PEOPLE: &str = "users-to-shop";
/// Only the latest of what is pushed quickly.
pub(super) const LATEST: &str = "stock-to-shop";
/// The same, collected for a second at a time.
pub(super) const RUNS: &str = "stock-to-books";
/// Added later, and then loaded.
pub(super) const LATE: &str = "orders-to-late";

impl File {
    pub(super) fn text(&self, addresses: &Addresses<'_>) -> String {
        let Addresses { listen, database, shop, books } = addresses;
        let concurrency = self.concurrency;
        let broker = if self.rabbitmq { r#"{ env = "RABBITMQ" }"# } else { r#""embedded""# };
        let more = |route: &str| {
            format!(
                r#"[routes.{route}]
retry = {{ attempts = 20, first = "100ms", max = "400ms" }}
concurrency = {concurrency}
"#
            )
        };
        let send = |method: &str, folder: &str| match self.batch {
            0 => format!("send = {{ method = \"{method}\", path = \"/{folder}/{{key}}\" }}"),
            max => format!(
                "send = {{ method = \"{method}\", path = \"/{folder}/bulk\" }}\n\
                 batch = {{ max = {max}, wait = \"50ms\", results = \"/items/*/status\" }}"
            ),
        };
        let (to_orders, to_books, to_people) = (send("PUT", "orders"), send("POST", "books"), send("PUT", "users"));
        let (to_stock, to_late) = (send("PUT", "stock"), send("PUT", "late"));
        let (orders, books_route, people) = (more(ORDERS), more(BOOKS), more(PEOPLE));
        let (latest, runs) = (more(LATEST), more(RUNS));
        let late = match self.late {
            false => String::new(),
            true => {
                format!("{}stream = \"orders\"\nto = \"books\"\nwhen = \".wanted == true\"\n{to_late}\n", more(LATE))
            }
        };
        let mut ledgers = String::new();
        for stream in ["orders", "users", "stock"] {
            ledgers.push_str(&between::subscription(stream));
        }
        format!(
            r#"
[bus]
name = "oracle"
broker = {broker}
state = "bus.db"
listen = "{listen}"
hold = "1s"

[systems.db]
kind = "sql"
url = "{database}"

[systems.shop]
kind = "http"
url = "{shop}"
timeout = "400ms"
capacity = {{ concurrency = 8 }}

[systems.books]
kind = "http"
url = "{books}"
timeout = "400ms"
capacity = {{ concurrency = 8 }}

[streams.orders]
from = "db"
query = """
SELECT key, version, payload, amount, wanted, changed_at,
    'user-' || (abs(hashtext(key)) % 2) || '-' || (abs(hashtext(key)) / 2 % {USERS}) AS user_key
FROM orders WHERE changed_at >= :cursor ORDER BY changed_at, key
"""
key = "key"
schedule = "100ms"
changes = {{ cursor = "changed_at" }}

[streams.users]
listen = {{ path = "/in/users", key = {{ env = "PUSH_KEY" }} }}
key = "key"
archive = "1h"

[streams.stock]
listen = {{ path = "/in/stock", key = {{ env = "PUSH_KEY" }} }}
key = "key"
archive = "1h"

[maps.profile]
stream = "users"
value = ".version"

{orders}
stream = "orders"
to = "shop"
delivery = "latest"
when = ".wanted == true"
requires = {{ stream = "users", keys = ".user_key" }}
{to_orders}

{books_route}
stream = "orders"
to = "books"
when = ".wanted == true"
fields = {{ key = ".key", version = ".version", amount = ".amount", payload = ".payload", user_key = ".user_key", profile = {{ path = ".user_key", map = "profile", unknown = "hold" }} }}
{to_books}
idempotent = false

{people}
stream = "users"
to = "shop"
{to_people}

{latest}
stream = "stock"
to = "shop"
delivery = "latest"
{to_stock}

{runs}
stream = "stock"
to = "books"
schedule = "1s"
{to_stock}

{late}
{ledgers}"#
        )
    }
}
