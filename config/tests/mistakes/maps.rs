//! `[maps]`, and who asks them.

use super::{SEND, each};

#[test]
fn maps_and_lookups() {
    each(&[
        (
            "[routes.out]",
            "[maps.sku]\n[routes.out]",
            "BUS-C004",
            &["nothing says what the map holds", "one of: values"],
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
        (
            "[routes.out]",
            "[maps.sku]\nfrom = \"db\"\nquery = \"SELECT :cursor\"\nschedule = \"1h\"\n[routes.out]",
            "BUS-C014",
            &["a map is read whole"],
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
            SEND,
            &format!(
                "{SEND}\nfields = {{ a = {{ path = \".a\", map = \"skuu\" }} }}\n[maps.sku]\nvalues = {{ a = 1 }}"
            ),
            "BUS-C011",
            &["no map is called `skuu`", "did you mean `sku`"],
        ),
        (
            SEND,
            &format!("{SEND}\ntransform = '.a = lookup(\"skuu\", .a)'\n[maps.sku]\nvalues = {{ a = 1 }}"),
            "BUS-C015",
            &["no map is called `skuu`", "did you mean `sku`?", "routes.toml:18:19\n"],
        ),
        (
            "[routes.out]",
            "[maps.ids]\nroute = \"out\"\n[routes.out]",
            "BUS-C014",
            &["never learns its receiver's ids", "routes.toml:15:9\n"],
        ),
        ("[routes.out]", "[routes.\"map.x\"]", "BUS-C009", &["belong to the bus's own routes"]),
        (
            "[routes.out]",
            "[maps.m]\ncsv = \"C:\\temp.csv\"\n[routes.out]",
            "BUS-C006",
            &["no path holds such characters", "single quotes"],
        ),
    ]);
}
