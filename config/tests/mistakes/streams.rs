//! `[streams]`.

use super::{GOOD, checked, each, one_mistake};

#[test]
fn how_a_stream_is_read() {
    each(&[
        (", recheck = \"Sun 04:00\"", ", guard = \"5%\"", "BUS-C014", &["nothing to guard", "routes.toml:13:"]),
        ("key = \"id\"", "", "BUS-C004", &["`key` is required", "[streams.orders]"]),
        ("schedule = \"15s\"", "", "BUS-C004", &["`schedule` is required", "add schedule = \"15s\""]),
        ("key = \"id\"", "key = 5", "BUS-C005", &["expected a text, found a whole number"]),
        ("key = \"id\"", "key = []", "BUS-C006", &["the list is empty"]),
        ("key = \"id\"", "key = \"id\"\nmask = [\".id\"]", "BUS-C042", &["`id` is what records are found by"]),
        (
            "key = \"id\"",
            "key = \"id\"\nmask = \".lines[0].phone\"",
            "BUS-C043",
            &["name fields only", ".contacts.phone"],
        ),
        ("key = \"id\"", "key = \"id\"\nmask = \".\"", "BUS-C043", &["not a field that can be masked"]),
        ("key = \"id\"", "key = \"id\"\narchive = \"31d\"", "BUS-C044", &["kept for a shorter time"]),
        ("key = \"id\"", "key = [\"id\", \"id\"]", "BUS-C014", &["stands in the key twice"]),
        ("\"30s\"", "\"30 seconds\"", "BUS-C006", &["is not a duration", "routes.toml:13:"]),
        ("\"Sun 04:00\"", "\"Soon\"", "BUS-C006", &["is not a schedule"]),
        ("\"Sun 04:00\"", "\"cron 0 3 1 * 7\"", "BUS-C006", &["not both"]),
        ("overlap = \"30s\"", "overlap = -1", "BUS-C006", &["out of range"]),
        ("from = \"db\"", "from = \"shop\"", "BUS-C014", &["`shop` cannot be read"]),
        (":cursor ORDER BY at\"", ":cursor LIMIT 500\"", "BUS-C014", &["10 | query", "^^^^^", "in pages"]),
        ("SELECT id", "UPDATE id", "BUS-C006", &["one SELECT, but it begins with \"update\"", "^^^^^^"]),
        ("BY at\"", "BY at; DROP TABLE x\"", "BUS-C006", &["one statement", "^^^^^^^^^^^^"]),
        ("BY at\"", "BY 'ё\"", "BUS-C006", &["begins at character 52 of the query", "routes.toml:10:61"]),
        (" WHERE at >= :cursor", "", "BUS-C014", &["does not use `:cursor`", "add WHERE at >= :cursor"]),
        (
            "changes = { cursor = \"at\", overlap = \"30s\", recheck = \"Sun 04:00\" }",
            "changes = \"diff\"",
            "BUS-C014",
            &["every record"],
        ),
        ("changes = { cursor = \"at\",", "changes = { cursr = \"at\", cursor = \"at\",", "BUS-C003", &["`cursor`?"]),
        (
            "key = \"id\"",
            "key = \"id\"\nlisten = { path = \"/in/x\", key = { env = \"K\" } }",
            "BUS-C014",
            &["pushed or read"],
        ),
        (
            "WHERE at >= :cursor ORDER BY at\"\nkey = \"id\"\nschedule = \"15s\"\nchanges = { cursor = \"at\"",
            "\"\nkey = \"id\"\nschedule = \"15s\"\nchanges = { cursor = \"Дата\"",
            "BUS-C014",
            &["add WHERE \"Дата\" >= :cursor ORDER BY \"Дата\""],
        ),
        (
            "[routes.out]",
            "[streams.users]\nkey = \"id\"\nlisten = { path = \"/in/users\", key = { env = \"K\" } }\n[routes.out]",
            "BUS-C013",
            &["nobody takes the stream `users`"],
        ),
    ]);
}

#[test]
fn a_date_needs_a_source_that_can_be_asked_for_it() {
    let more = |stream: &str| {
        format!(
            "[subscriptions.rest]\nstream = \"cards\"\nvia = \"http\"\nkey = {{ env = \"K\" }}\n\
             [streams.cards]\nkey = \"id\"\ndate = \"day\"\n{stream}\n[routes.out]"
        )
    };
    let listen = "listen = { path = \"/in/x\", key = { env = \"K\" } }";
    one_mistake("[routes.out]", &more(listen), "BUS-C032", &["read by the time they came", "archive = \"30d\""]);
    let door = format!("from = \"till\"\nentity = \"card\"\n[feeds.till]\nentity_column = \"kind\"\n{listen}");
    one_mistake("[routes.out]", &more(&door), "BUS-C032", &["read by the time they came"]);
    let joined =
        format!("join = \"orders\"\nwith.lines = {{ on = \"order\" }}\n[streams.lines]\nkey = \"no\"\n{listen}");
    one_mistake("[routes.out]", &more(&joined), "BUS-C032", &["has no source", "the streams that it joins"]);
    let base = "from = \"erp\"\nentity = \"AccumulationRegister_Т/Balance\"\nschedule = \"1h\"\nchanges = \"diff\"\n\
                [systems.erp]\nkind = \"1c-odata\"\nurl = \"http://erp/odata/standard.odata\"";
    one_mistake("[routes.out]", &more(base), "BUS-C032", &["computed by 1C as a whole"]);
}

#[test]
fn what_is_joined_must_fit_together() {
    let joined = |lines: &str| format!("[streams.cards]\nkey = \"id\"\n{lines}\n[routes.out]\nstream = \"cards\"");
    let cases: [(&str, &str, &[&str]); 8] = [
        ("join = \"orders\"", "BUS-C004", &["`with` is required"]),
        ("with.orders = { on = \"id\" }", "BUS-C004", &["`join` is required"]),
        ("join = \"orders\"\nwith.prics = { on = \"id\" }", "BUS-C011", &["no stream is called `prics`"]),
        ("join = \"orders\"\nwith.orders = { on = \"id\" }", "BUS-C014", &["`orders` is a part of it already"]),
        ("join = \"cards\"\nwith.orders = { on = \"id\" }", "BUS-C014", &["`cards` is a joined stream itself"]),
        (
            "join = \"orders\"\nwith.lines = { on = [\"a\", \"b\"] }",
            "BUS-C014",
            &["the key of the joined record has 1 columns, and `on` names 2"],
        ),
        (
            "join = \"orders\"\nwith.lines = { on = \"a\" }\nlisten = { path = \"/in/x\", key = { env = \"K\" } }",
            "BUS-C014",
            &["`listen` beside `join`"],
        ),
        (
            "join = \"orders\"\nwith.lines = { on = \"a\", field = \"x\" }\nwith.taxes = { on = \"a\", field = \"x\" }",
            "BUS-C014",
            &["two parts stand in the field `x`", "field = \"…\""],
        ),
    ];
    for (lines, code, parts) in cases {
        let mut text = joined(lines);
        for part in ["lines", "taxes"].iter().filter(|part| lines.contains(&format!("with.{part}"))) {
            text = format!(
                "[streams.{part}]\nlisten = {{ path = \"/in/{part}\", key = {{ env = \"K\" }} }}\nkey = \"no\"\n{text}"
            );
        }
        // Nothing but the join takes the orders.
        let text =
            format!("[subscriptions.rest]\nstream = \"orders\"\nvia = \"http\"\nkey = {{ env = \"K\" }}\n{text}");
        one_mistake("[routes.out]\nstream = \"orders\"", &text, code, parts);
    }
}

#[test]
fn a_query_is_read_as_its_database_reads_it() {
    let quoted = "SELECT id, [offset], offset, `it's` FROM orders";
    let other = |url: &str| GOOD.replacen("SELECT id FROM orders", quoted, 1).replacen("{ env = \"DB_URL\" }", url, 1);
    for url in ["\"sqlite:shop.db\"", "{ env = \"DB_URL\" }"] {
        assert_eq!(checked(&[("routes.toml", &other(url))]).1, "", "{url}");
    }
    let text = checked(&[("routes.toml", &other("\"postgres://localhost/shop\""))]).1;
    assert!(text.contains("a quote or comment that begins at character 33"), "{text}");
}
