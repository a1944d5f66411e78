//! TOML itself: keys nobody knows, names twice, what cannot be read.

use super::{GOOD, SEND, URL, checked, each};

#[test]
fn keys_names_and_quotes() {
    each(&[
        ("[routes.out]", "[routes.out", "BUS-C002", &["routes.toml:14:"]),
        ("schedule =", "shedule = \"1s\"\nschedule =", "BUS-C003", &["did you mean `schedule`?", "routes.toml:12:1\n"]),
        ("[routes.out]", "[route.x]\n[routes.out]", "BUS-C003", &["unknown key `route`", "did you mean `routes`?"]),
        (
            "[streams.orders]",
            "[streams.заказы]",
            "BUS-C002",
            &["needs quotes: [streams.\"заказы\"]", "routes.toml:8:10"],
        ),
        ("key = \"id\"", "ключ = \"id\"", "BUS-C002", &["needs quotes: \"ключ\" = …"]),
        (
            URL,
            "url = https://shop.example/api",
            "BUS-C002",
            &["texts stand in quotes: url = \"https://shop.example/…\"", "routes.toml:7:7\n"],
        ),
        (
            "kind = \"http\"",
            "kind = http",
            "BUS-C002",
            &["texts stand in quotes: kind = \"http\"", "routes.toml:6:8\n"],
        ),
        (
            "\"SELECT id FROM",
            "'''SELECT id FROM",
            "BUS-C002",
            &["does not end", "end it with '''", "routes.toml:10:9\n"],
        ),
        ("key = \"id\"", "key = \"id\"\nkey = \"no\"", "BUS-C010", &["`key` stands here twice", "line 11", ":12:1\n"]),
        (
            "[routes.out]",
            "[bus]\nname = \"a\"\n[bus]\nname = \"b\"\n[routes.out]",
            "BUS-C010",
            &["the table `bus` stands here twice", "line 14", "routes.toml:16:1\n"],
        ),
        (
            "[routes.out]",
            "[streams.orders]\nkey = \"id\"\nlabel = \"no\"\n[routes.out]",
            "BUS-C010",
            &["stream `orders` is defined twice", "in routes.toml, line 8", "routes.toml:14:10\n"],
        ),
    ]);
}

/// `(replaced, by)` in the good file gives these codes, in the order of the file.
fn several(replaced: &str, by: &str, codes: &[&str]) -> String {
    assert!(GOOD.contains(replaced), "{replaced}");
    let (checked, text) = checked(&[("routes.toml", &GOOD.replacen(replaced, by, 1))]);
    let found: Vec<&str> = checked.diagnostics.iter().map(|diagnostic| diagnostic.code.id).collect();
    assert_eq!(found, codes, "{by}\n{text}");
    text
}

#[test]
fn a_mistake_hides_no_other_and_brings_none_of_its_own() {
    let transform = "transform = '''\n.a = lookup(\"nein\", .a)\n.b = upcase(.b)\n'''";
    let text = several(SEND, &format!("{SEND}\n{transform}"), &["BUS-C015", "BUS-C015"]);
    assert!(text.contains("no map is called `nein`") && text.contains("upcase!"), "{text}");
    // A map that cannot be read is a map; a base of 1C that cannot be read is one.
    let map = "[maps.nein]\nvalues = { a = [1] }\n[routes.out]";
    several("[routes.out]", map, &["BUS-C005"]);
    let lookup =
        format!("{SEND}\ntransform = '. = {{ \"a\": lookup(\"nein\", .a) }}'\n[maps.nein]\nvalues = {{ a = [1] }}");
    several(SEND, &lookup, &["BUS-C005"]);
    let base = "[systems.erp]\nkind = \"1c-odata\"\nurl = http://erp/odata\n[streams.goods]\nfrom = \"erp\"\n\
                entity = \"Catalog_Товары\"\nkey = \"Ref_Key\"\nschedule = \"1h\"\nchanges = \"diff\"\n[routes.goods]\n\
                stream = \"goods\"\nto = \"erp\"\nwrite = { set = \"Catalog_Товары\" }\n[routes.out]";
    several("[routes.out]", base, &["BUS-C002"]);
    // A subscription with a mistake has programs too; and a table that stands there twice.
    let subscription = "[subscriptions.bi]\nstream = \"orders\"\nvia = \"htp\"\nwhen = '.a'\n[routes.out]";
    several("[routes.out]", subscription, &["BUS-C006", "BUS-C015"]);
    let twice = "[routes.out]\nstream = \"orders\"\nto = \"shop\"\nwhen = '.a'\n[routes.out]";
    several("[routes.out]", twice, &["BUS-C004", "BUS-C015", "BUS-C010"]);
    // What is lost may be what defines or uses a name.
    several("[systems.shop]", "[systems.shop", &["BUS-C002"]);
    several("stream = \"orders\"", "stream = \"orders", &["BUS-C002"]);
    several("[streams.orders]", "[profiles.p]\nwindows = [\n  { rate = 5/min },\n]\n[streams.orders]", &["BUS-C002"]);
    several("stream = \"orders\"", "stream =", &["BUS-C002"]);
    let text = several("stream = \"orders\"", "stream = \"or\"ders\"", &["BUS-C002"]);
    assert!(text.contains("other quotes") && !text.contains("nobody takes"), "{text}");
    // What stands in no statement costs none.
    let text = several("[systems.db]", "# a\u{7}b\n[systems.db]", &["BUS-C002"]);
    assert!(text.contains("routes.toml:2:4") && text.contains("does not show"), "{text}");
    let control = "[systems.shop] # a\u{7}b\nknd = \"http\"";
    several("[systems.shop]\nkind = \"http\"", control, &["BUS-C002"]);
    let around = "# a\rb\n[systems.shop]\nknd = \"http\"\nkind = \"http\"";
    several("[systems.shop]\nkind = \"http\"", around, &["BUS-C002", "BUS-C003"]);
    let put = "method = \"PUTT\", path = \"/orders/{key}\" }\n\u{a0}\n\u{c}\n[profiles.p]\nwindows = 1\n\u{a0}\n";
    several(
        "method = \"PUT\", path = \"/orders/{key}\" }\n",
        put,
        &["BUS-C006", "BUS-C002", "BUS-C002", "BUS-C005", "BUS-C002"],
    );
    several(GOOD, "# \u{7}", &["BUS-C002"]);
    // A key twice in a table in braces; a comma that is missing.
    let text = several(SEND, "send = { method = \"PUT\", method = \"POST\", path = \"/x\" }", &["BUS-C010"]);
    assert!(text.contains("the key `method` stands here twice") && text.contains("routes.toml:17:26"), "{text}");
    let text = several(SEND, "send = { method = \"PUT\" path = \"/orders/{key}\" }", &["BUS-C002"]);
    assert!(text.contains("a comma is missing before this"), "{text}");
    let text = several("to = \"shop\"", "to =", &["BUS-C002"]);
    assert!(text.contains("the value is missing"), "{text}");
    // Each of several mistakes in the syntax, and what stands beside them.
    let three = "url = https://shop\ntimeout = 5s\nhedders = 1\nca = C:\\ca.pem";
    several("url = \"https://shop.example/api\"", three, &["BUS-C002", "BUS-C002", "BUS-C003", "BUS-C002"]);
}

#[test]
fn thousands_of_tables_twice_end_too() {
    let many = "[routes.out]\nstream = \"orders\"\n".repeat(1000);
    let (checked, _) = checked(&[("routes.toml", &format!("{GOOD}{many}"))]);
    assert!(checked.landscape.is_none() && checked.diagnostics.len() < 300, "{}", checked.diagnostics.len());
}
