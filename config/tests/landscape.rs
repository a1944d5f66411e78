//! What a configuration resolves to.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use bus_config::{Broker, Carried, Changes, FeedSource, Landscape, Method, Overlap, SystemKind, Via, WhenLeft, check};
use bus_core::policy::{Idempotency, Schedule};
use bus_options::{Colour, SecretOr, SecretRef, to_text};

fn landscape(toml: &str) -> Landscape {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.toml");
    std::fs::write(&path, toml).unwrap();
    let checked = check(&path);
    checked.landscape.unwrap_or_else(|| panic!("{}", to_text(&checked.diagnostics, Colour::Off)))
}

const SHOP: &str = "[systems.shop]\nkind = \"http\"\nurl = \"http://shop\"\n";
const PUSHED: &str = "[streams.s]\nkey = \"id\"\nlisten = { path = \"/in/s\", key = { env = \"K\" } }\n";

#[test]
fn everything_written_arrives() {
    let toml = format!(
        r#"
[bus]
name = "склад"
timezone = "Europe/Moscow"
broker = "amqps://bus@rabbit-1:5671/prod"
broker_ca = "ca.pem"
listen = "0.0.0.0:8080"
key = {{ file = "/run/secrets/bus" }}
log = "json"
[profiles.night]
windows = [{{ at = "22:00-06:00", rate = "500/min" }}, {{ rate = "0/min" }}]
[systems.wms]
kind = "sql"
url = "postgres://bus@wms/stock"
reads = {{ rate = "night", concurrency = 1 }}
{SHOP}headers = {{ X-Api-Version = "2", X-Api-Key = {{ env = "SHOP_KEY" }} }}
user = "bus"
password = {{ env = "SHOP_PASSWORD" }}
capacity = {{ rate = "100/min", concurrency = 7, margin = "5%", operations = {{ upload = "250/h" }} }}
[streams."остатки"]
from = "wms"
query = "SELECT sku, warehouse FROM stock WHERE at >= :cursor ORDER BY at"
key = ["sku", "warehouse"]
label = "sku"
archive = "7d"
mask = [".phone", '.contacts."Имя"']
schedule = "15s"
changes = {{ cursor = "at", overlap = 5, recheck = "Sun 04:00", guard = "25%" }}
{PUSHED}
[routes.r]
stream = "остатки"
to = "shop"
operation = "upload"
when = '.qty > 0 ?? false'
when_left = "delete"
on_delete = {{ path = "/stock/{{receiver_id}}" }}
send = {{ path = "/stock", receiver_id = "/id" }}
idempotent = {{ header = "Idempotency-Key" }}
retry = {{ attempts = 3, first = "2s" }}
[subscriptions."bi.orders"]
stream = "s"
keep = {{ for = "1d", bytes = "1MB" }}
[subscriptions.web]
stream = "s"
via = "http"
key = {{ env = "WEB" }}
"#
    );
    let landscape = landscape(&toml);
    assert!(matches!(&landscape.bus.broker, Broker::Amqp { url: SecretOr::Literal(_), ca: Some(_) }));
    assert_eq!((landscape.bus.name.as_str(), landscape.bus.hold), ("склад", Duration::from_secs(20)));
    let journal = landscape.bus.journal;
    assert_eq!((journal.age, journal.bytes), (Duration::from_secs(30 * 86_400), 2_000_000_000));
    let stock = landscape.streams.iter().find(|stream| stream.name.as_str() == "остатки").unwrap();
    let masked: Vec<String> = stock.mask.iter().map(|path| path.join("/")).collect();
    assert_eq!(
        (stock.archive, masked.as_slice()),
        (Some(Duration::from_secs(7 * 86_400)), &["phone".to_owned(), "contacts/Имя".to_owned()][..])
    );
    let SystemKind::Sql { reads, .. } = &landscape.systems[0].kind else { panic!("{:?}", landscape.systems[0]) };
    assert!(reads.pace.is_some() && reads.concurrency == 1);
    let SystemKind::Http(http) = &landscape.systems[1].kind else { panic!("{:?}", landscape.systems[1]) };
    assert_eq!((http.headers.len(), http.takes.capacity.concurrency, http.takes.margin), (2, 7, 0.05));
    assert!(matches!(&http.basic, Some((user, SecretRef::Env(_))) if user == "bus"));
    let feed = landscape.feeds.iter().find(|feed| feed.name.as_str() == "остатки").unwrap();
    let FeedSource::Query { schedule, changes, .. } = &feed.source else { panic!("{feed:?}") };
    assert_eq!(*schedule, Schedule::Every(Duration::from_secs(15)));
    let Changes::Cursor { column, overlap, recheck } = changes else { panic!("{changes:?}") };
    assert_eq!((column.as_str(), *overlap, recheck.as_ref().unwrap().guard), ("at", Overlap::Count(5), 0.25));
    assert_eq!(http.takes.operations.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["upload"]);
    let route = &landscape.routes[0];
    assert_eq!(route.operation.as_deref(), Some("upload"));
    let Carried::Http(http) = &route.carried else { panic!("{:?}", route.carried) };
    assert_eq!((http.send.method, route.when_left, route.retry.attempts), (Method::Post, WhenLeft::Delete, 3));
    assert_eq!(http.on_delete.as_ref().unwrap().method, Method::Delete);
    assert_eq!(http.idempotency_header.as_deref(), Some("Idempotency-Key"));
    assert_eq!(route.shape.paths_read(), [".qty"]);
    assert!(matches!(landscape.subscriptions[0].via, Via::Amqp));
    assert_eq!(landscape.subscriptions[0].keep_bytes, 1_000_000);
    assert!(matches!(landscape.subscriptions[1].via, Via::Http { .. }));
    assert_eq!(landscape.routes_of(&landscape.streams[0].name).count(), 1);
    assert!(!format!("{landscape:?}").contains("hunter2"));
}

#[test]
fn repeating_is_harmless_by_method_or_by_word() {
    use Idempotency::{Idempotent, NonIdempotent};
    let cases = [
        ("PUT", "", Idempotent),
        ("DELETE", "", Idempotent),
        ("POST", "", NonIdempotent),
        ("PATCH", "", NonIdempotent),
        ("POST", "idempotent = true", Idempotent),
        ("PUT", "idempotent = false", NonIdempotent),
        ("POST", "idempotent = { header = \"X-Id\" }", Idempotent),
        ("PUT", "on_delete = { method = \"DELETE\", path = \"/x\" }", Idempotent),
        ("PUT", "on_delete = { method = \"POST\", path = \"/x/remove\" }", NonIdempotent),
    ];
    for (method, stated, expected) in cases {
        let route =
            format!("[routes.r]\nstream = \"s\"\nto = \"shop\"\nsend = {{ method = \"{method}\", path = \"/x\" }}\n");
        let landscape = landscape(&format!("{SHOP}{PUSHED}{route}{stated}\n"));
        let Carried::Http(http) = &landscape.routes[0].carried else { panic!("{method}") };
        assert_eq!(http.idempotency, expected, "{method} {stated}");
        assert!(landscape.routes[0].shape.is_as_is());
    }
}

#[test]
fn everybody_who_reads_a_field_is_known_with_all_that_it_reads() {
    let toml = format!(
        r#"
[systems.shop]
kind = "http"
url = "http://shop"
headers = {{ X-Name = "{{label}}" }}
[systems.till]
kind = "http"
url = "http://till"
{PUSHED}
[streams."заказы"]
key = ["ref", "part"]
label = "number"
mask = [".contacts.phone"]
listen = {{ path = "/in/o", key = {{ env = "K" }} }}
[routes.goods]
stream = "s"
to = "till"
send = {{ method = "PUT", path = "/s/{{key}}" }}
[routes.orders]
stream = "заказы"
to = "shop"
when = '.Posted == true'
fields = {{ sum = ".Сумма" }}
send = {{ method = "PUT", path = "/o/{{key.0}}" }}
[routes.lines]
stream = "заказы"
to = "till"
transform = '. = {{ "n": length(array!(."Товары")) }}'
requires = {{ stream = "s", keys = '."Товары"[*]."Номенклатура_Key"' }}
send = {{ method = "PUT", path = "/o/{{key.0}}" }}
on_delete = {{ path = "/o/{{label}}" }}
[routes.back]
stream = "s"
to = "shop"
fields = {{ b = ".b" }}
echo = {{ of = "goods", compare = {{ ".sent" = ".a.read" }} }}
send = {{ method = "PUT", path = "/s/{{key}}" }}
[subscriptions.bi]
stream = "заказы"
via = "http"
key = {{ env = "WEB" }}
[maps.names]
stream = "заказы"
value = ".Имя"
"#
    );
    let landscape = landscape(&toml);
    let readers = |stream: &str| -> Vec<String> {
        let stream = landscape.streams.iter().find(|one| one.name.as_str() == stream).unwrap();
        let told = |reader: bus_config::FieldReader| format!("{}: {}", reader.by, reader.fields.join(" "));
        landscape.readers_of(stream).into_iter().map(told).collect()
    };
    assert_eq!(
        readers("заказы"),
        [
            "route orders: Posted number part ref Сумма",
            "route lines: number part ref Товары Товары.Номенклатура_Key",
            "subscription bi:  part ref",
            "map.names: part ref Имя",
            "its mask: contacts.phone",
        ]
    );
    assert_eq!(readers("s"), ["route goods:  id", "route back: a.read b id"]);
}
