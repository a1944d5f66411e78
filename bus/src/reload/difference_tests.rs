use super::*;
use crate::reload::fixed::fixed;

const BASE: &str = r#"
    [bus]
    listen = "127.0.0.1:8080"
    hold = "1m"
    [systems.shop]
    kind = "http"
    url = "http://shop"
    [systems.erp]
    kind = "http"
    url = "http://erp"
    [streams."заказы"]
    listen = { path = "/in/orders", key = { env = "K" } }
    key = "id"
    [streams.stock]
    listen = { path = "/in/stock", key = { env = "K" } }
    key = "id"
    [routes.orders-to-shop]
    stream = "заказы"
    to = "shop"
    send = { path = "/o" }
    [routes.orders-to-erp]
    stream = "заказы"
    to = "erp"
    when = '.total == 0'
    send = { path = "/o" }
    [routes.stock-to-shop]
    stream = "stock"
    to = "shop"
    fields = { id = ".id" }
    send = { path = "/s" }
"#;

fn landscape(text: &str) -> Landscape {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("routes.toml");
    std::fs::write(&file, text).unwrap();
    let checked = bus_config::check(&file);
    checked.landscape.unwrap_or_else(|| panic!("{:?}", checked.diagnostics))
}

fn words(jobs: &BTreeSet<JobName>) -> String {
    let word = |job: &JobName| match job {
        JobName::Feed(name) => format!("feed {name}"),
        JobName::Route(name) => format!("route {name}"),
        JobName::Outbox(name) => format!("outbox {name}"),
    };
    jobs.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn only_what_changed_ends_and_starts() {
    let out = "[subscriptions.bi]\nstream = \"stock\"\nvia = \"http\"\nkey = { env = \"K\" }\nkeep = { for = \"1d\", bytes = \"1MB\" }\n[routes.orders-to-shop]";
    for (from, to, end, start) in [
        ("", "", "", ""),
        ("# nothing", "# a comment", "", ""),
        ("'.total == 0'", "'.total == 1'", "route orders-to-erp", "route orders-to-erp"),
        ("{ id = \".id\" }", "{ id = \".sku\" }", "route stock-to-shop", "route stock-to-shop"),
        ("orders-to-erp]", "\"новый\"]", "route orders-to-erp", "route новый"),
        ("\"http://erp\"", "\"http://erp2\"", "route orders-to-erp", "route orders-to-erp"),
        ("/in/stock", "/in/leftovers", "feed stock", "feed stock"),
        ("[routes.orders-to-shop]", out, "", "outbox bi"),
        (
            "hold = \"1m\"",
            "hold = \"2m\"",
            "route orders-to-erp, route orders-to-shop, route stock-to-shop",
            "route orders-to-erp, route orders-to-shop, route stock-to-shop",
        ),
    ] {
        let old = landscape(BASE);
        let new = landscape(&if from.is_empty() { BASE.to_owned() } else { BASE.replacen(from, to, 1) });
        let found = between(&old, &new);
        assert_eq!((words(&found.end).as_str(), words(&found.start).as_str()), (end, start), "{from} -> {to}");
        let back = between(&new, &old);
        assert_eq!((words(&back.end).as_str(), words(&back.start).as_str()), (start, end), "{to} -> {from}");
    }
}

const MAPS: &str = r#"
    [systems.wms]
    kind = "sql"
    url = "postgres://wms/wms"
    [maps.currencies]
    values = { "643" = "RUB" }
    unknown = "pass"
    [maps.warehouses]
    from = "wms"
    query = "SELECT code AS key, city AS value FROM warehouses"
    schedule = "10m"
    [maps.names]
    stream = "stock"
    value = ".name"
    [routes.mapped]
    stream = "stock"
    to = "shop"
    transform = '. = { "c": lookup("currencies", .cur), "n": lookup("names", .id) }'
    send = { path = "/m", receiver_id = "/id" }
    [routes.back]
    stream = "stock"
    to = "erp"
    fields = { city = { path = ".at", map = "warehouses" } }
    echo = { of = "mapped", compare = [".status"] }
    send = { path = "/b" }
"#;

#[test]
fn routes_with_the_same_maps_are_the_same() {
    let text = format!("{BASE}{MAPS}");
    let old = landscape(&text);
    assert!(between(&old, &landscape(&text)).is_none());
    for (from, to, jobs) in [
        ("\"c\": lookup", "\"d\": lookup", "route mapped"),
        ("map = \"warehouses\"", "map = \"currencies\"", "route back"),
        ("map = \"warehouses\"", "map = \"warehouses\", unknown = \"hold\"", "route back"),
        (
            "hold = \"1m\"",
            "hold = \"2m\"",
            "route back, route map.names, route mapped, route orders-to-erp, route orders-to-shop, route stock-to-shop",
        ),
    ] {
        let new = landscape(&text.replacen(from, to, 1));
        let found = between(&old, &new);
        assert_eq!((words(&found.end), words(&found.start)), (jobs.to_owned(), jobs.to_owned()), "{from}");
        assert!(fixed(&old, &new).is_empty(), "{from}");
    }
}

#[test]
fn whoever_asks_a_map_that_comes_from_elsewhere_starts_anew() {
    let text = format!("{BASE}{MAPS}");
    let old = landscape(&text);
    for (from, to, jobs, maps) in [
        ("\"RUB\"", "\"RUR\"", "route mapped", "currencies"),
        ("unknown = \"pass\"", "", "route mapped", "currencies"),
        ("schedule = \"10m\"", "schedule = \"11m\"", "route back", "warehouses"),
        ("city AS value", "country AS value", "route back", "warehouses"),
        // Nobody asks it yet.
        ("[maps.names]", "[maps.more]\nvalues = { a = \"b\" }\n[maps.names]", "", ""),
    ] {
        let new = landscape(&text.replacen(from, to, 1));
        let found = between(&old, &new);
        assert_eq!((words(&found.end).as_str(), words(&found.start).as_str()), (jobs, jobs), "{from}");
        let changed: Vec<_> = found.maps.iter().map(MapName::as_str).collect();
        assert_eq!(changed.join(", "), maps, "{from}");
        assert!(fixed(&old, &new).is_empty() && fixed(&new, &old).is_empty(), "{from}");
    }
    let asked = "[subscriptions.bi]\nstream = \"stock\"\nvia = \"http\"\nkey = { env = \"K\" }\nfields = { c = { path = \".cur\", map = \"currencies\" } }\n";
    let (old, new) = (format!("{text}{asked}"), format!("{text}{asked}").replacen("\"RUB\"", "\"RUR\"", 1));
    assert_eq!(words(&between(&landscape(&old), &landscape(&new)).end), "route mapped, outbox bi");
}

#[test]
fn kept_maps_and_echo_change_with_a_restart() {
    let text = format!("{BASE}{MAPS}");
    let old = landscape(&text);
    for (from, to, refused) in [
        ("value = \".name\"", "value = \".title\"", "map `names`"),
        (
            "[maps.names]\n    stream = \"stock\"\n    value = \".name\"",
            "[maps.names]\n    values = { a = \"b\" }",
            "map `names`",
        ),
        ("compare = [\".status\"]", "compare = [\".state\"]", "`echo` of route back"),
        ("echo = {", "# echo = {", "`echo` of route back"),
        ("wms/wms", "wms/wms2", "system `wms` (map `warehouses` is read from it)"),
        ("hold = \"1m\"", "timezone = \"Asia/Tomsk\"", "`timezone` of [bus] (map `warehouses` is read by it)"),
    ] {
        let new = landscape(&text.replacen(from, to, 1));
        assert_eq!(fixed(&old, &new), [refused], "{from} -> {to}");
        assert_eq!(fixed(&new, &old), [refused], "{to} -> {from}");
    }
    assert_eq!(fixed(&old, &landscape(BASE)), ["map `names`", "`echo` of route back"]);
}

#[test]
fn what_cannot_change_at_runtime_is_named() {
    let old = landscape(BASE);
    let new = landscape(&BASE.replace("8080\"", "8081\"\n state = \"other.db\""));
    assert_eq!(fixed(&old, &new), ["`state` of [bus]", "`listen` of [bus]"]);
    assert!(fixed(&old, &old).is_empty());
}
