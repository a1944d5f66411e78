//! `[defaults]`: what tables inherit, what wins, and what is a mistake.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::time::Duration;

use bus_config::{Checked, FeedSource, SystemKind, WhenLeft, check};
use bus_core::policy::Schedule;
use bus_options::{Colour, to_text};

/// Without `[defaults]` it lacks a schedule; two routes, one with a retry of its own, stand in an included file.
const MAIN: &str = r#"
include = ["routes.d/*.toml"]
[systems.db]
kind = "sql"
url = "sqlite:x"
[systems.shop]
kind = "http"
url = "https://shop.example/api"
[systems.slow]
kind = "http"
url = "https://slow.example/api"
timeout = "1m"
[streams.orders]
from = "db"
query = "SELECT id FROM orders"
key = "id"
changes = "diff"
[streams.users]
key = "id"
listen = { path = "/in/users", key = { env = "K" } }
"#;
const ROUTES: &str = r#"
[routes.plain]
stream = "orders"
to = "shop"
send = { method = "PUT", path = "/a/{key}" }
[routes.own]
stream = "users"
to = "slow"
when = '.a == 1'
send = { method = "PUT", path = "/b/{key}" }
on_delete = { path = "/b/{key}" }
retry = { first = "2s" }
concurrency = 2
"#;
const DEFAULTS: &str = r#"
[defaults.systems]
timeout = "3s"
capacity = { concurrency = 9 }
[defaults.streams]
schedule = "15s"
[defaults.routes]
retry = { attempts = 3 }
concurrency = 8
when_left = "delete"
[defaults.subscriptions]
keep = { for = "1d" }
"#;

fn read(main: &str, routes: &str) -> (Checked, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("routes.d")).unwrap();
    fs::write(folder.path().join("routes.toml"), main).unwrap();
    fs::write(folder.path().join("routes.d/a.toml"), routes).unwrap();
    let checked = check(&folder.path().join("routes.toml"));
    let text = to_text(&checked.diagnostics, Colour::Off).replace(&format!("{}/", folder.path().display()), "");
    (checked, text)
}

#[test]
fn tables_of_all_files_inherit_and_their_own_options_win() {
    let (checked, text) = read(&format!("{MAIN}{DEFAULTS}"), ROUTES);
    let landscape = checked.landscape.unwrap_or_else(|| panic!("{text}"));
    let [plain, own] = &landscape.routes[..] else { panic!("{:?}", landscape.routes) };
    assert_eq!((plain.retry.attempts, plain.concurrency), (3, 8));
    // Nothing leaves a route without `when`: the default says nothing to it.
    assert_eq!((plain.when_left, own.when_left), (WhenLeft::Ignore, WhenLeft::Delete));
    // The route's `retry` replaces the default as a whole.
    assert_eq!((own.retry.attempts, own.retry.first, own.concurrency), (8, Duration::from_secs(2), 2));
    let FeedSource::Query { schedule, .. } = &landscape.feeds[0].source else { panic!("{:?}", landscape.feeds) };
    assert_eq!(*schedule, Schedule::Every(Duration::from_secs(15)));
    assert!(matches!(landscape.feeds[1].source, FeedSource::Push { .. }), "a pushed stream has no schedule");
    let http = landscape.systems.iter().filter_map(|system| match &system.kind {
        SystemKind::Http(http) => Some((http.timeout.as_secs(), http.takes.capacity.concurrency)),
        SystemKind::Sql { .. } | SystemKind::Odata(_) => None,
    });
    let timeouts: Vec<_> = http.collect();
    assert_eq!(timeouts, [(3, 9), (60, 9)]);
}

#[test]
fn without_defaults_the_same_files_lack_a_schedule() {
    let (checked, text) = read(MAIN, ROUTES);
    assert!(checked.landscape.is_none());
    assert!(text.contains("`schedule` is required") && checked.diagnostics.len() == 1, "{text}");
}

#[test]
fn each_mistake_in_defaults_is_told_once_where_it_stands() {
    let good = "[defaults.streams]\nschedule = \"15s\"\n";
    let cases = [
        ("[defaults.routes]\nconcurency = 8\n", "BUS-C003", "did you mean `concurrency`?"),
        ("[defaults.routes]\nconcurrency = 0\n", "BUS-C006", "from 1 to 256"),
        ("[defaults.routes]\nsend = { path = \"/x\" }\n", "BUS-C003", "write it in each [routes.NAME]"),
        ("[defaults.routes]\nretry = { budget = \"1h\" }\n", "BUS-C003", "unknown key `budget`"),
        ("[defaults.route]\nconcurrency = 8\n", "BUS-C003", "did you mean `routes`?"),
        ("[defaults.systems]\ncapacity = { rate = \"nigth\" }\n", "BUS-C011", "no profile is called `nigth`"),
        ("[defaults.subscriptions]\nkeep = { bytes = \"2XB\" }\n", "BUS-C006", "is not an amount of data"),
        ("[defaults]\nroutes = 5\n", "BUS-C005", "expected a table"),
    ];
    for (defaults, code, part) in cases {
        let (checked, text) = read(&format!("{MAIN}{good}{defaults}"), ROUTES);
        let found: Vec<&str> = checked.diagnostics.iter().map(|diagnostic| diagnostic.code.id).collect();
        assert_eq!(found, [code], "{defaults}\n{text}");
        assert!(text.contains(part) && text.contains("--> routes.toml:"), "{defaults}\n{text}");
    }
}

#[test]
fn defaults_belong_to_the_main_file() {
    let (_, text) = read(&format!("{MAIN}{DEFAULTS}"), &format!("{ROUTES}[defaults.routes]\nconcurrency = 1\n"));
    assert!(text.contains("belong to the main file\n  --> routes.d/a.toml:14:2"), "{text}");
}

#[test]
fn a_default_that_a_route_cannot_follow_is_told_at_the_route() {
    let routes = ROUTES.replace("on_delete = { path = \"/b/{key}\" }\n", "");
    let (checked, text) = read(&format!("{MAIN}{DEFAULTS}"), &routes);
    assert_eq!(checked.diagnostics.len(), 1, "{text}");
    assert!(text.contains("no request says how (see [defaults])") && text.contains("routes.d/a.toml:6:9"), "{text}");
}

#[test]
fn the_schema_offers_what_may_stand_in_defaults() {
    let schema = bus_config::json_schema();
    let defaults = &schema["properties"]["defaults"]["properties"];
    let keys = |kind: &str| -> Vec<String> {
        let mut keys: Vec<String> = defaults[kind]["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys("routes"), ["concurrency", "empty_by", "retry", "when_left"]);
    assert_eq!(keys("streams"), ["archive", "schedule"]);
    assert_eq!(keys("systems"), ["ca", "capacity", "reads", "timeout"]);
    assert_eq!(keys("subscriptions"), ["keep"]);
    assert_eq!(defaults["routes"]["required"], serde_json::json!([]));
    let concurrency = &schema["properties"]["routes"]["additionalProperties"]["properties"]["concurrency"];
    assert_eq!(defaults["routes"]["properties"]["concurrency"]["maximum"], concurrency["maximum"]);
}
