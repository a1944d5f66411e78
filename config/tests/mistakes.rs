//! One mistake at a time: what `check` says to a small file, and where.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;

use bus_config::{Checked, check};
use bus_options::{Colour, to_text};

/// A configuration without mistakes, as sections that a case can replace.
const GOOD: &str = r#"
[systems.db]
kind = "sql"
url = { env = "DB_URL" }
[systems.shop]
kind = "http"
url = "https://shop.example/api"
[streams.orders]
from = "db"
query = "SELECT id FROM orders WHERE at >= :cursor ORDER BY at"
key = "id"
schedule = "15s"
changes = { cursor = "at", overlap = "30s", recheck = "Sun 04:00" }
[routes.out]
stream = "orders"
to = "shop"
send = { method = "PUT", path = "/orders/{key}" }
"#;

fn checked(files: &[(&str, &str)]) -> (Checked, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let checked = check(&folder.path().join(files[0].0));
    let text = to_text(&checked.diagnostics, Colour::Off).replace(&format!("{}/", folder.path().display()), "");
    (checked, text)
}

/// `(replaced, by)` in the good file gives exactly one diagnostic, with this code, and these parts in its text.
fn one_mistake(replaced: &str, by: &str, code: &str, parts: &[&str]) {
    assert!(GOOD.contains(replaced), "{replaced}");
    let toml = GOOD.replacen(replaced, by, 1);
    let (checked, text) = checked(&[("routes.toml", &toml)]);
    let found: Vec<&str> = checked.diagnostics.iter().map(|diagnostic| diagnostic.code.id).collect();
    assert_eq!(found, [code], "{by}\n{text}");
    assert!(checked.landscape.is_none());
    for part in parts {
        assert!(text.contains(part), "{by}: {part}\n{text}");
    }
}

#[test]
fn the_good_file_is_good() {
    let (checked, text) = checked(&[("routes.toml", GOOD)]);
    assert_eq!(text, "");
    assert!(checked.landscape.is_some());
}

#[test]
fn each_mistake_has_its_code_place_and_hint() {
    let send = "send = { method = \"PUT\", path = \"/orders/{key}\" }";
    let bulk = "send = { path = \"/orders/bulk\"";
    let url = "url = \"https://shop.example/api\"";
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (
            send,
            &format!("{send}\nrequires = {{ stream = \"none\", keys = \".a\" }}"),
            "BUS-C011",
            &["no stream is called `none`"],
        ),
        (
            send,
            &format!("{send}\nrequires = {{ stream = \"orders\", keys = \".lines[*\" }}"),
            "BUS-C016",
            &["`[` is not closed"],
        ),
        (
            "[routes.out]",
            "[systems.till]\nkind = \"http\"\nurl = \"http://till\"\n[routes.other]\nstream = \"orders\"\nto = \"till\"\n\
             send = { path = \"/\" }\n[streams.p]\nkey = \"id\"\nlisten = { path = \"/in/p\", key = { env = \"K\" } }\n\
             [routes.p]\nstream = \"p\"\nto = \"shop\"\nsend = { path = \"/\" }\n\
             requires = { stream = \"orders\", keys = \".a\" }\n[routes.p2]\nstream = \"p\"\nto = \"till\"\nsend = { path = \"/\" }\n\
             requires = [{ stream = \"orders\", keys = \".a\" }, { stream = \"p\", keys = \".b\" }]\n\
             [streams.q]\nkey = \"id\"\nlisten = { path = \"/in/q\", key = { env = \"K\" } }\n[routes.q]\nstream = \"q\"\nto = \"shop\"\n\
             send = { path = \"/\" }\n[routes.q2]\nstream = \"p\"\nto = \"till\"\nsend = { path = \"/\" }\n\
             requires = { stream = \"q\", keys = \".q\" }\n[routes.out]",
            "BUS-C020",
            &["no route brings `q` to `till`", "stream = \"q\" and to = \"till\""],
        ),
        ("[routes.out]", "[routes.out", "BUS-C002", &["routes.toml:14:"]),
        ("schedule =", "shedule = \"1s\"\nschedule =", "BUS-C003", &["did you mean `schedule`?", "routes.toml:12:1\n"]),
        ("[routes.out]", "[route.x]\n[routes.out]", "BUS-C003", &["unknown key `route`", "did you mean `routes`?"]),
        (
            "[routes.out]",
            "[maps.sku]\n[routes.out]",
            "BUS-C004",
            &["nothing says what the map holds", "one of: values"],
        ),
        (
            "[routes.out]",
            "[[tests]]\nname = \"t\"\nroute = \"uot\"\ngiven = { id = 1 }\nskip = true\n[routes.out]",
            "BUS-C011",
            &["no route is called `uot`", "did you mean `out`", "routes.toml:16:9\n"],
        ),
        (
            "[routes.out]",
            "[[tests]]\nname = \"t\"\nroute = \"out\"\ngiven = { id = 1 }\n[routes.out]",
            "BUS-C004",
            &["nothing says what the test expects", "routes.toml:14:"],
        ),
        (
            "[routes.out]",
            "[[tests]]\nname = \"t\"\nroute = \"out\"\ngiven = '{\"id\": 1'\nskip = true\n[routes.out]",
            "BUS-C006",
            &["not JSON", "routes.toml:17:9\n"],
        ),
        (
            "[routes.out]",
            "[[tests]]\nname = \"t\"\nroute = \"out\"\ngiven_file = \"nein.json\"\nskip = true\n[routes.out]",
            "BUS-C031",
            &["`nein.json` cannot be read", "routes.toml:17:14\n"],
        ),
        (
            "[routes.out]",
            "[[tests]]\nname = \"t\"\nroute = \"out\"\ngiven = { id = 1 }\nskip = true\nreject = \"x\"\n[routes.out]",
            "BUS-C014",
            &["`reject` beside `skip`", "routes.toml:19:10\n"],
        ),
        (
            "[routes.out]",
            "[maps.sku]\nvalues = { a = 1 }\n[[tests]]\nname = \"t\"\nroute = \"out\"\ngiven = { id = 1 }\nskip = true\n\
             maps = { sku = { a = 2 } }\n[routes.out]",
            "BUS-C014",
            &["map `sku` has its values in the configuration", "routes.toml:21:10\n"],
        ),
        (
            "[routes.out]",
            "[maps.sku]\nvalues = { a = 1 }\ncsv = \"nein.csv\"\n[routes.out]",
            "BUS-C014",
            &["`csv` beside `values`", "routes.toml:16:7\n"],
        ),
        (
            "[routes.out]",
            "[maps.sku]\ncsv = \"нет.csv\"\n[routes.out]",
            "BUS-C025",
            &["нет.csv cannot be read", "routes.toml:15:7\n"],
        ),
        ("[routes.out]", "[maps.sku]\nstream = \"orders\"\n[routes.out]", "BUS-C004", &["`value` is required"]),
        (
            "[routes.out]",
            "[maps.sku]\nfrom = \"db\"\nquery = \"SELECT\"\n[routes.out]",
            "BUS-C004",
            &["`schedule` is required"],
        ),
        (
            "[routes.out]",
            "[maps.sku]\nfrom = \"shop\"\nquery = \"SELECT\"\nschedule = \"1h\"\n[routes.out]",
            "BUS-C014",
            &["`shop` cannot be read"],
        ),
        ("[routes.out]", "[maps.sku]\nvalues = { a = [1] }\n[routes.out]", "BUS-C005", &["expected text, number"]),
        (
            "[routes.out]",
            "[maps.sku]\nvalues = { a = 1 }\nunknown = \"pas\"\n[routes.out]",
            "BUS-C006",
            &["did you mean \"pass\"?"],
        ),
        (
            "[routes.out]",
            "[maps.sku]\nvalues = { a = 1 }\nencoding = \"utf-8\"\n[routes.out]",
            "BUS-C014",
            &["without a file"],
        ),
        (
            send,
            &format!(
                "{send}\nfields = {{ a = {{ path = \".a\", map = \"skuu\" }} }}\n[maps.sku]\nvalues = {{ a = 1 }}"
            ),
            "BUS-C011",
            &["no map is called `skuu`", "did you mean `sku`"],
        ),
        (
            send,
            &format!("{send}\ntransform = '.a = lookup(\"skuu\", .a)'\n[maps.sku]\nvalues = {{ a = 1 }}"),
            "BUS-C015",
            &["no map is called `skuu`", "did you mean `sku`?", "routes.toml:18:19\n"],
        ),
        (
            "[routes.out]",
            "[maps.ids]\nroute = \"out\"\n[routes.out]",
            "BUS-C014",
            &["never learns its receiver's ids", "routes.toml:15:9\n"],
        ),
        (
            send,
            &format!("{send}\necho = {{ of = \"out\", compare = [\".a\"] }}"),
            "BUS-C014",
            &["not the echo of itself", "routes.toml:18:15\n"],
        ),
        (
            send,
            &format!(
                "{send}\n[routes.back]\nstream = \"orders\"\nto = \"shop\"\n{send}\n\
                 echo = {{ of = \"out\", compare = [\".a\"], by = \"receiver_id\" }}"
            ),
            "BUS-C014",
            &["`out` never learns its receiver's ids"],
        ),
        (send, &format!("{send}\necho = {{ of = \"out\", compare = [] }}"), "BUS-C006", &["no field is compared"]),
        ("[routes.out]", "[routes.\"map.x\"]", "BUS-C009", &["belong to the bus's own routes"]),
        (
            "[routes.out]",
            "[maps.m]\nvalues = { a = \"b\" }\nunknown = \"hold\"\n[subscriptions.bi]\nstream = \"orders\"\nvia = \"http\"\n\
             key = { env = \"K\" }\nfields = { a = { path = \".a\", map = \"m\" } }\n[routes.out]",
            "BUS-C014",
            &["a subscription does not wait for map `m`"],
        ),
        (
            send,
            &format!("{send}\nbatch = {{ max = 5 }}"),
            "BUS-C021",
            &["the path holds `{key}`, which is of one record", "routes.toml:17:"],
        ),
        (
            send,
            &format!("{bulk}, headers = {{ X-Seq = \"{{seq}}\" }} }}\nbatch = {{ max = 5 }}"),
            "BUS-C021",
            &["a header holds `{seq}`"],
        ),
        (
            send,
            &format!("{bulk} }}\nbatch = {{ max = 5 }}\nidempotent = {{ header = \"Idempotency-Key\" }}"),
            "BUS-C023",
            &["`Idempotency-Key` carries the key of one record"],
        ),
        (
            send,
            &format!("{bulk}, receiver_id = \"/id\" }}\nbatch = {{ max = 5 }}"),
            "BUS-C024",
            &["no `receiver_id` is found"],
        ),
        (
            send,
            &format!("{bulk} }}\nbatch = {{ max = 5, results = {{ status = \"/a\", error = \"/b\" }} }}"),
            "BUS-C024",
            &["both decide"],
        ),
        (
            send,
            &format!("{bulk} }}\nbatch = {{ max = 5, results = {{ sent = \"/a\" }} }}"),
            "BUS-C024",
            &["`sent` is compared with nothing"],
        ),
        (
            send,
            &format!("{bulk} }}\nbatch = {{ max = 5, wait = \"11s\" }}"),
            "BUS-C026",
            &["would wait 11s for others", "longer than 20s", "at most half of `hold` in [bus], which is 10s"],
        ),
        (send, &format!("{bulk} }}\nbatch = {{ max = 5, results = \"/a\" }}"), "BUS-C006", &["/items/*/status"]),
        (send, &format!("{bulk} }}\nbatch = {{ max = 5, body = \"list\" }}"), "BUS-C006", &["\"array\", \"lines\""]),
        (send, &format!("{bulk} }}\nbatch = {{ max = 5, bytes = \"1GB\" }}"), "BUS-C006", &["too large"]),
        (send, &format!("{bulk} }}\nbatch = {{ max = 1 }}"), "BUS-C006", &["from 2 to 1000"]),
        (send, &format!("{send}\non_reject = \"park-key\""), "BUS-C007", &["`on_reject` is not supported yet"]),
        (send, &format!("{send}\nretry = {{ budget = \"1h\" }}"), "BUS-C003", &["unknown key `budget`"]),
        (url, &format!("{url}\nreads = {{ concurrency = 1 }}"), "BUS-C007", &["`reads` is not supported yet"]),
        (url, &format!("{url}\nheaders = {{ X-Trace = \"{{ky}}\" }}"), "BUS-C006", &["`{ky}` stands for nothing"]),
        (", recheck = \"Sun 04:00\"", ", guard = \"5%\"", "BUS-C014", &["nothing to guard", "routes.toml:13:"]),
        ("[routes.out]", "[bus]\nhold = \"0s\"\n[routes.out]", "BUS-C006", &["from `\"1s\"` to `\"10m\"`"]),
        ("[routes.out]", "[bus]\nhold = \"11m\"\n[routes.out]", "BUS-C006", &["\"11m\" is out of range"]),
        (
            "[routes.out]",
            "[bus]\nbroker = \"amqp://r\"\n[subscriptions.bi]\nstream = \"orders\"\nwhen = 'true'\n[routes.out]",
            "BUS-C007",
            &["`when` is not supported yet", "via = \"http\""],
        ),
        ("kind = \"http\"", "kind = \"soap\"", "BUS-C007", &["\"sql\", \"http\", \"1c-odata\""]),
        ("kind = \"http\"", "kind = \"htpp\"", "BUS-C006", &["did you mean \"http\"?"]),
        ("kind = \"http\"", "", "BUS-C004", &["`kind` is required", "[systems.shop]"]),
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
        (url, "url = \"ftp://shop\"", "BUS-C006", &["`ftp:` is not expected here"]),
        (url, "url = \"https://bus:pw@shop\"", "BUS-C008", &["keep the whole address elsewhere"]),
        ("url = { env = \"DB_URL\" }", "url = \"mssql://db\"", "BUS-C007", &["`mssql` is not supported yet"]),
        ("url = { env = \"DB_URL\" }", "url = \"postgres://db/x?password=pw\"", "BUS-C008", &["a password"]),
        ("url = { env = \"DB_URL\" }", "url = { env = \"\" }", "BUS-C006", &["where the secret is kept"]),
        (url, &format!("{url}\nheaders = {{ Authorization = \"Bearer x\" }}"), "BUS-C008", &["`Authorization`"]),
        (url, &format!("{url}\nheaders = {{ \"X Y\" = \"x\" }}"), "BUS-C009", &["`X Y` is not a header"]),
        (url, &format!("{url}\npassword = \"x\""), "BUS-C008", &["{ env = \"NAME\" }"]),
        (url, &format!("{url}\nuser = \"bus\""), "BUS-C014", &["a user without a password"]),
        (url, &format!("{url}\npassword = {{ env = \"P\" }}"), "BUS-C014", &["a password without a user"]),
        (url, &format!("{url}\ncapacity.rate = \"dayly\""), "BUS-C011", &["no profile is called `dayly`"]),
        (url, &format!("{url}\ncapacity.rate = \"5/year\""), "BUS-C006", &["is not a rate"]),
        (url, &format!("{url}\ncapacity.margin = \"110%\""), "BUS-C006", &["is not a percentage"]),
        (
            "[systems.shop]",
            "[systems.\"a b\"]\nkind = \"sql\"\nurl = \"sqlite:x\"\n[systems.shop]",
            "BUS-C009",
            &["but not ' '"],
        ),
        ("[routes.out]", "[bus]\nlisten = \"0.0.0.0:80\"\n[routes.out]", "BUS-C017", &["add key = { env"]),
        ("[routes.out]", "[bus]\nlisten = \"localhost\"\n[routes.out]", "BUS-C006", &["an IP address and a port"]),
        ("[routes.out]", "[bus]\nbroker = \"embeded\"\n[routes.out]", "BUS-C006", &["did you mean \"embedded\"?"]),
        ("[routes.out]", "[bus]\nbroker = \"amqp://u:p@r\"\n[routes.out]", "BUS-C008", &["a password"]),
        ("[routes.out]", "[bus]\nbroker_ca = \"ca.pem\"\n[routes.out]", "BUS-C014", &["needs no certificate"]),
        ("stream = \"orders\"", "stream = \"order\"", "BUS-C011", &["did you mean `orders`, defined at line 8?"]),
        ("to = \"shop\"", "to = \"warehouse\"", "BUS-C011", &["define it: [systems.warehouse]"]),
        ("to = \"shop\"", "to = \"db\"", "BUS-C007", &["does not write to one yet"]),
        ("from = \"db\"", "from = \"shop\"", "BUS-C014", &["`shop` cannot be read"]),
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
            send,
            &format!("{send}\nwhen_left = \"delete\"\non_delete = {{ path = \"/x\" }}"),
            "BUS-C014",
            &["without `when`"],
        ),
        (send, &format!("{send}\nwhen = '.a == 1'\nwhen_left = \"delete\""), "BUS-C014", &["no request says how"]),
        (send, &format!("{send}\non_delete = {{ path = \"/x/{{receiver_id}}\" }}"), "BUS-C014", &["never learnt"]),
        (send, &format!("{send}\non_delete = \"forget\""), "BUS-C006", &["one of \"ignore\""]),
        (send, &format!("{send}\nwhen = '.Сумма > 1'"), "BUS-C015", &["needs quotes: .\"Сумма\"", "routes.toml:18:10"]),
        (send, &format!("{send}\ntransform = '. = {{}}'\nfields = {{ a = \".a\" }}"), "BUS-C014", &["`fields` beside"]),
        (send, &format!("{send}\nfields = {{ a = \".a..b\" }}"), "BUS-C016", &["routes.toml:18:20"]),
        (send, &format!("{send}\nfields = {{}}"), "BUS-C006", &["no field is named"]),
        (send, &format!("{send}\nconcurrency = 0"), "BUS-C006", &["from 1 to 256"]),
        (send, "send = { method = \"PUT\", path = \"/orders/{ky}\" }", "BUS-C006", &["`{ky}` stands for nothing"]),
        (send, "send = { path = \"orders\" }", "BUS-C006", &["begin with a slash"]),
        (send, "send = { path = \"/o\", receiver_id = \"id\" }", "BUS-C006", &["is not a JSON pointer"]),
        (send, &format!("{send}\nretry = {{ first = \"0s\" }}"), "BUS-C006", &["from `\"1ms\"` to `\"1d\"`"]),
        (
            url,
            &format!("{url}\ntimeout = \"0s\""),
            "BUS-C006",
            &["\"0s\" is out of range", "from `\"1ms\"` to `\"1h\"`"],
        ),
        (
            send,
            "send = { path = \"/orders/{key.0}/{key.1}\" }",
            "BUS-C019",
            &["`{key.1}` is beyond the key of stream `orders`", "{key.0} is id", "routes.toml:17:17"],
        ),
        (
            send,
            &format!("{send}\noperation = \"upload\""),
            "BUS-C011",
            &["`shop` has no operation `upload`", "operations = { upload = \"250/h\" }"],
        ),
        (
            url,
            &format!("{url}\ncapacity.operations = {{ upload = \"250/year\" }}"),
            "BUS-C006",
            &["is not a rate", "routes.toml:8"],
        ),
        (
            url,
            &format!("{url}\ncapacity.operations = {{ upload = \"nigth\" }}"),
            "BUS-C011",
            &["no profile is called `nigth`"],
        ),
        (send, &format!("{send}\non_delete = {{ path = \"/x/{{key.2}}\" }}"), "BUS-C019", &["`{key.2}`"]),
        (
            send,
            "send = { path = \"/x\", headers = { X-Part = \"{key.1}\" } }",
            "BUS-C019",
            &["`{key.1}` is beyond", "routes.toml:17"],
        ),
        (url, &format!("{url}\nheaders = {{ X-Part = \"{{key.1}}\" }}"), "BUS-C019", &["`{key.1}`", "to = \"shop\""]),
        (
            "[streams.orders]",
            "[streams.заказы]",
            "BUS-C002",
            &["needs quotes: [streams.\"заказы\"]", "routes.toml:8:10"],
        ),
        ("key = \"id\"", "ключ = \"id\"", "BUS-C002", &["needs quotes: \"ключ\" = …"]),
        (
            url,
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
        (
            "[routes.out]",
            "[subscriptions.bi]\nstream = \"orders\"\n[routes.out]",
            "BUS-C014",
            &["must present a key", "routes.toml:14:"],
        ),
        (url, &format!("{url}\ncapacity.unit = \"record\""), "BUS-C006", &["`record`", "one of \"request\""]),
        (
            "[routes.out]",
            "[maps.m]\ncsv = \"C:\\temp.csv\"\n[routes.out]",
            "BUS-C006",
            &["no path holds such characters", "single quotes"],
        ),
        (
            "WHERE at >= :cursor ORDER BY at\"\nkey = \"id\"\nschedule = \"15s\"\nchanges = { cursor = \"at\"",
            "\"\nkey = \"id\"\nschedule = \"15s\"\nchanges = { cursor = \"Дата\"",
            "BUS-C014",
            &["add WHERE \"Дата\" >= :cursor ORDER BY \"Дата\""],
        ),
        (
            "[routes.out]",
            "[subscriptions.bi]\nstream = \"orders\"\nvia = \"http\"\n[routes.out]",
            "BUS-C014",
            &["must present a key"],
        ),
        (
            "[routes.out]",
            "[streams.users]\nkey = \"id\"\nlisten = { path = \"/in/users\", key = { env = \"K\" } }\n[routes.out]",
            "BUS-C013",
            &["nobody takes the stream `users`"],
        ),
        (
            "[routes.out]",
            "[profiles.p]\nwindows = [{ days = \"Mon-Sat\", rate = \"1/s\" }]\n[routes.out]",
            "BUS-C012",
            &["no window covers Sun 00:00"],
        ),
    ];
    for (replaced, by, code, parts) in cases {
        one_mistake(replaced, by, code, parts);
    }
}

#[test]
fn a_feed_and_its_streams_fit_together() {
    let feed = |feed: &str, rest: &str| {
        let feeds = format!("[feeds.changes]\nentity_column = \"kind\"\n{feed}\n{rest}\n[routes.out]");
        GOOD.replacen("[routes.out]", &feeds, 1)
    };
    let reads = "from = \"db\"\nquery = \"SELECT 1\"\nschedule = \"1s\"\nchanges = \"diff\"";
    let door = "listen = { path = \"/in/all\", key = { env = \"K\" } }";
    let stream = |name: &str, rest: &str| {
        let taken = format!("[routes.{name}-out]\nstream = \"{name}\"\nto = \"shop\"\nsend = {{ path = \"/{name}\" }}");
        format!("[streams.{name}]\nfrom = \"changes\"\nkey = \"id\"\n{rest}\n{taken}")
    };
    let users = stream("users", "entity = \"User\"");
    let (good, text) = checked(&[("routes.toml", &feed(reads, &users))]);
    assert_eq!(text, "");
    let landscape = good.landscape.unwrap();
    let served = landscape.feeds.iter().find(|feed| feed.name.as_str() == "changes").unwrap();
    assert_eq!((served.streams.len(), served.entity_column.as_deref()), (1, Some("kind")));
    assert!(checked(&[("routes.toml", &feed(door, &users))]).0.landscape.is_some());

    let twice = format!("{users}\n{}", stream("clients", "entity = \"User\""));
    let cases: [(String, &str, &[&str]); 13] = [
        (feed(reads, ""), "BUS-C018", &["no stream takes from the feed `changes`", "from = \"changes\""]),
        (feed(reads, &stream("users", "")), "BUS-C004", &["`entity` is required", "[streams.users]"]),
        (feed(reads, &twice), "BUS-C014", &["`users` takes the entity `User` already"]),
        (
            feed(reads, &stream("users", "entity = \"User\"\nquery = \"SELECT 1\"")),
            "BUS-C014",
            &["`query` beside a feed", "move `query` to the feed"],
        ),
        (feed(reads, &stream("users", "entity = \"U\"\nschedule = \"1s\"")), "BUS-C014", &["`schedule` beside a feed"]),
        (
            feed("from = \"db\"\nquery = \"SELECT 1\"\nchanges = \"diff\"", &users),
            "BUS-C004",
            &["`schedule` is required"],
        ),
        (feed(&format!("{door}\nchanges = \"diff\""), &users), "BUS-C014", &["a feed is pushed or read"]),
        (feed("", &users), "BUS-C004", &["`from` is required", "[feeds.changes]"]),
        (feed(reads, &users).replace("\"changes\"", "\"chnges\""), "BUS-C011", &["did you mean `changes`, defined"]),
        (GOOD.replacen("key = \"id\"", "key = \"id\"\nentity = \"x\"", 1), "BUS-C014", &["takes from none"]),
        (
            feed(reads, &users).replace("changes]", "shop]").replace("\"changes\"", "\"shop\""),
            "BUS-C010",
            &["a system and a feed"],
        ),
        (
            feed(reads, &users).replace("changes]", "users]").replace("\"changes\"", "\"users\""),
            "BUS-C010",
            &["a stream and a feed"],
        ),
        (
            feed(
                door,
                &format!(
                    "{users}\n[streams.more]\n{door}\nkey = \"id\"\n[subscriptions.s]\nstream = \"more\"\nvia = \"http\"\nkey = {{ env = \"K\" }}"
                ),
            ),
            "BUS-C014",
            &["the feed `changes` listens on `/in/all` already"],
        ),
    ];
    for (toml, code, parts) in cases {
        let (checked, text) = checked(&[("routes.toml", &toml)]);
        let found: Vec<&str> = checked.diagnostics.iter().map(|diagnostic| diagnostic.code.id).collect();
        assert!(found.contains(&code) && found.len() <= 2, "{found:?}\n{text}\n{toml}");
        for part in parts {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}

#[test]
fn mistakes_name_the_file_they_are_in() {
    let main = format!("include = [\"routes.d/*.toml\", \"more.toml\"]\n{GOOD}");
    let (_, text) = checked(&[
        ("routes.toml", &main),
        ("routes.d/б.toml", "[systems.shop]\nkind = \"http\"\nurl = \"http://x\"\n"),
        ("routes.d/в.toml", "[bus]\n[routes.r]\nstream = \"order\"\nto = \"shop\"\nsend.path = \"/x\"\n"),
        ("routes.d/г.toml", "a = ["),
    ]);
    for part in [
        "`more.toml`\n --> routes.toml:1:31",
        "system `shop` is defined twice\n --> routes.d/б.toml:1:10",
        "in routes.toml, line 6: rename one",
        "`[bus]`, `[defaults]` and `include` belong to the main file\n --> routes.d/в.toml:1:2",
        "did you mean `orders`, defined at routes.toml, line 9?",
        "error[BUS-C002]",
        "the list that begins here does not end\n --> routes.d/г.toml:1:5",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let url = "url = \"https://shop.example/api\"";
    for by in [
        "url = \"https://bus:hunter2@shop\"",
        "url = \"ftp://bus:hunter2@shop\"",
        "url = \"https://bus:hunter2@sh op\"",
        "url = \"https://shop\"\nheaders = { X-Api-Key = \"hunter2\", wrong = 5 }",
        "url = \"https://shop\"\npassword = \"hunter2\"",
        "url = \"https://shop\"\npassword = [\"hunter2\"]",
        "url = \"https://shop\"\npassword = \"hunter2",
        "url = \"https://shop\"\nheaders = { Authorization = \"Bearer hunter2\" ",
        "url = https://api.telegram.org/bot12345:hunter2/send",
        "url = \"https://shop\"\npassword: hunter2",
        "url = \"https://shop\"\n[systems.shop.headers]\nX-Part = hunter2",
        "url = \"https://shop\"\nheaders = {\nX-Part = hunter2 }",
        "server = smtps://bus:hunter2@mail",
    ] {
        let (checked, text) = checked(&[("routes.toml", &GOOD.replacen(url, by, 1))]);
        assert!(checked.landscape.is_none());
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!bus_options::to_json(&checked.diagnostics).to_string().contains("hunter2"));
    }
}

#[test]
fn a_configuration_without_streams_says_what_is_missing() {
    for text in ["", "# nothing yet\n", "[bus]\nname = \"a\"\n", "include = [\"routes.d/*.toml\"]\n"] {
        let (checked, said) = checked(&[("routes.toml", text)]);
        assert!(checked.landscape.is_none(), "{text}");
        assert!(said.contains("error[BUS-C027]: no stream is defined") && said.contains("[streams.NAME]"), "{said}");
    }
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
    let send = "send = { method = \"PUT\", path = \"/orders/{key}\" }";
    let transform = "transform = '''\n.a = lookup(\"nein\", .a)\n.b = upcase(.b)\n'''";
    let text = several(send, &format!("{send}\n{transform}"), &["BUS-C015", "BUS-C015"]);
    assert!(text.contains("no map is called `nein`") && text.contains("upcase!"), "{text}");
    // A map that cannot be read is a map; a base of 1C that cannot be read is one.
    let map = "[maps.nein]\nvalues = { a = [1] }\n[routes.out]";
    several("[routes.out]", map, &["BUS-C005"]);
    let lookup =
        format!("{send}\ntransform = '. = {{ \"a\": lookup(\"nein\", .a) }}'\n[maps.nein]\nvalues = {{ a = [1] }}");
    several(send, &lookup, &["BUS-C005"]);
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
    let text = several(send, "send = { method = \"PUT\", method = \"POST\", path = \"/x\" }", &["BUS-C010"]);
    assert!(text.contains("the key `method` stands here twice") && text.contains("routes.toml:17:26"), "{text}");
    let text = several(send, "send = { method = \"PUT\" path = \"/orders/{key}\" }", &["BUS-C002"]);
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

#[test]
fn a_missing_file_is_a_mistake_without_a_place() {
    let checked = check(std::path::Path::new("/nonexistent/routes.toml"));
    assert_eq!(checked.diagnostics.len(), 1);
    assert_eq!(checked.diagnostics[0].code.id, "BUS-C001");
}

#[test]
fn who_is_told_and_what_is_expected() {
    one_mistake(
        "key = \"id\"",
        "key = \"id\"\nexpect = { within = \"15m\", hours = \"8-22\" }",
        "BUS-C006",
        &["08:00-22:00"],
    );
    let late = "send = { method = \"PUT\", path = \"/orders/{key}\" }\nempty_by = \"6:00\"";
    one_mistake("send = { method = \"PUT\", path = \"/orders/{key}\" }", late, "BUS-C006", &["06:00"]);
    let with = |more: &str| format!("[systems.db]\n{more}");
    let cases = [
        (
            "[notify.m]\nkind = \"email\"\nserver = \"smtp://mail.example\"\nfrom = \"a@b\"\nto = \"c@d\"\nuser = \"u\"\npassword = { env = \"P\" }",
            "BUS-C030",
            "smtps://",
        ),
        (
            "[notify.m]\nkind = \"email\"\nserver = \"smtps://mail.example\"\nfrom = \"a@b\"\nto = \"ops\"",
            "BUS-C006",
            "`ops` is not a mail address",
        ),
        ("[notify.m]\nkind = \"telegram\"\ntoken = \"12:secret\"\nchat = \"7\"", "BUS-C008", "env"),
        ("[notify.m]\nkind = \"pager\"", "BUS-C006", "telegram"),
        ("[maintenance.m]\nsystems = [\"dbb\"]\nhours = \"03:00-05:00\"", "BUS-C011", "did you mean `db`"),
    ];
    for (more, code, part) in cases {
        one_mistake("[systems.db]\n", &format!("{more}\n{}", with("")), code, &[part]);
    }
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
