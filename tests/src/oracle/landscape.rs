//! The routes file of a scene.

/// What differs between scenes.
#[derive(Debug, Clone)]
pub struct Landscape {
    /// RabbitMQ's address; none is the embedded broker.
    pub rabbitmq: Option<String>,
    /// `hold` of `[bus]`.
    pub hold: &'static str,
    /// Windows of the shop's capacity: `at` and `rate`, the first that matches holds.
    pub windows: Vec<(String, &'static str)>,
    /// `rate` of the books' capacity; none is no bound.
    pub books_rate: Option<&'static str>,
    /// How the query compares with the cursor: `>=`, or `>` as careless operators write it.
    pub compare: &'static str,
    /// How long a request may take. After a kill the bus leaves a system alone for so long and a second.
    pub timeout: &'static str,
    /// A proxy stands between the bus and each of its neighbours.
    pub proxied: bool,
    /// There is a table whose rows go away, and its copy at the shop.
    pub mirrored: bool,
    /// A subscriber keeps the ledger of what the broker has confirmed of the stream that is read.
    pub subscribed: bool,
    /// Keys in the table.
    pub keys: usize,
    /// Attempts at the same time, of each route and of each system.
    pub concurrency: usize,
}

impl Default for Landscape {
    fn default() -> Self {
        Self {
            rabbitmq: None,
            hold: "20s",
            windows: Vec::new(),
            books_rate: None,
            compare: ">=",
            timeout: "1s",
            proxied: false,
            mirrored: false,
            subscribed: false,
            keys: 60,
            concurrency: 8,
        }
    }
}

/// The addresses that a scene gives it.
pub(super) struct Addresses<'a> {
    pub(super) listen: &'a str,
    pub(super) database: &'a str,
    pub(super) shop: &'a str,
    pub(super) books: &'a str,
}

impl Landscape {
    /// The text of `routes.toml`. One stream is read and goes to two receivers, one that takes PUT and one that must
    /// not see anything twice; another stream is pushed.
    pub(super) fn text(&self, addresses: &Addresses<'_>) -> String {
        let Addresses { listen, database, shop, books } = addresses;
        let Self { hold, compare, concurrency, timeout, .. } = self;
        let mirror = if self.mirrored { super::mirror::ROUTES } else { "" };
        let ledger = if self.subscribed { super::between::subscription("orders") } else { String::new() };
        let broker = if self.rabbitmq.is_some() { r#"{ env = "RABBITMQ" }"# } else { r#""embedded""# };
        let mut windows = String::new();
        for (at, rate) in &self.windows {
            windows.push_str(&format!("{{ at = \"{at}\", rate = \"{rate}\" }}, "));
        }
        let (profile, rate) = match self.windows.as_slice() {
            [] => (String::new(), ""),
            _ => (format!("[profiles.shop]\nwindows = [{windows}]\n"), r#"rate = "shop", "#),
        };
        let books_rate = self.books_rate.map_or_else(String::new, |rate| format!("rate = \"{rate}\", "));
        format!(
            r#"
[bus]
name = "oracle"
broker = {broker}
state = "bus.db"
listen = "{listen}"
hold = "{hold}"

{profile}
[systems.db]
kind = "sql"
url = "{database}"

[systems.shop]
kind = "http"
url = "{shop}"
timeout = "{timeout}"
capacity = {{ {rate}concurrency = {concurrency} }}

[systems.books]
kind = "http"
url = "{books}"
timeout = "{timeout}"
capacity = {{ {books_rate}concurrency = {concurrency} }}

[streams.orders]
from = "db"
query = """
SELECT key, version, payload, amount, wanted, changed_at FROM orders
WHERE changed_at {compare} :cursor ORDER BY changed_at, key
"""
key = "key"
schedule = "200ms"
changes = {{ cursor = "changed_at" }}

[streams.users]
listen = {{ path = "/in/users", key = {{ env = "PUSH_KEY" }} }}
key = "key"

[routes.orders-to-shop]
stream = "orders"
to = "shop"
when = ".wanted == true"
send = {{ method = "PUT", path = "/orders/{{key}}" }}
retry = {{ attempts = 20, first = "200ms", max = "1s" }}
concurrency = {concurrency}

[routes.orders-to-books]
stream = "orders"
to = "books"
when = ".wanted == true"
send = {{ method = "POST", path = "/books/{{key}}" }}
idempotent = false
retry = {{ attempts = 20, first = "200ms", max = "1s" }}
concurrency = {concurrency}

[routes.users-to-shop]
stream = "users"
to = "shop"
send = {{ method = "PUT", path = "/users/{{key}}" }}
retry = {{ attempts = 20, first = "200ms", max = "1s" }}
concurrency = {concurrency}
{mirror}{ledger}"#
        )
    }
}
