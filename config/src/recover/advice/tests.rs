use super::*;

#[test]
fn what_people_write_gets_what_to_write_instead() {
    let cases = [
        ("send = { method = \"PUT\" path = \"/{key}\" }", "path", "commas"),
        ("p = { rate = 5 burst = 2 }", "burst", "commas"),
        ("p = [ { a = 1 } { b = 2 } ]", "{", "commas"),
        ("p = [\n  \"a\"\n  \"b\",\n]", "\"", "commas"),
        ("p = [\n  \"a,\n  \"b\",\n]", "\"", "end it with \""),
        ("stream = \"or\"ders\"", "\"", "other quotes: '…'"),
        ("p = [ 'it's' ]", "'", "other quotes: \"…\""),
        ("to =", "=", "write to = \"…\""),
        ("to = # nobody", "=", "write to = \"…\""),
        ("every = \u{a0}\"5s\"", "\u{a0}", "a space"),
        ("every = \"5s\"\u{a0}", "\u{a0}", "a space"),
        ("url = http://x # y", "http://x", "texts stand in quotes: url = \"http://x\""),
        ("path = /in", "/in", "path = \"/in\""),
        ("every = 5s", "5s", "every = \"5s\""),
        ("at = 08:00-22:00", "08:00-22:00", "at = \"08:00-22:00\""),
        ("name = Склад № 1", "Склад № 1", "name = \"Склад № 1\""),
        ("listen = { path = /in/x, key = { env = \"K\" } }", "/in/x", "path = …"),
        ("keys = [a, \"b\"]", "a", "keys = "),
        ("list = [\n  1,\n  two, # 2\n]", "two", "list = \"two\""),
        ("name = «Склад»", "«", "quotes are straight"),
        ("name = “x”", "“", "quotes are straight"),
        ("„name“ = 1", "„", "quotes are straight"),
        ("margin = 1,5", ",", "write margin = 1.5"),
        ("adaptive = yes", "yes", "write adaptive = true"),
        ("adaptive = Нет", "Нет", "write adaptive = false"),
        ("adaptive = True", "True", "write adaptive = true"),
        ("state = \"C:\\data\\bus.db\"", "\\", "state = 'C:\\data\\bus.db'"),
        ("csv = C:\\maps\\a.csv", "C:\\maps\\a.csv", "csv = 'C:\\maps\\a.csv'"),
        ("when = \"\"\"match(.a, r'\\d')\"\"\"", "\\", "between '''"),
        ("name = 'x", "'", "end it with '"),
        ("name = \"x'", "\"", "end it with \""),
        ("to: shop", ":", "write to = …"),
    ];
    for (statement, marked, hint) in cases {
        let found = of(statement, "");
        assert_eq!(found.len(), 1, "{statement}: {found:?}");
        let hint = hint.replace("path = …", "path = \"…\"");
        assert_eq!((&statement[found[0].range.clone()], found[0].hint.contains(&hint)), (marked, true), "{found:?}");
    }
}

#[test]
fn what_is_toml_gets_no_advice() {
    let good = [
        "a = 1",
        "a = -1.5e3",
        "a = true",
        "a = inf",
        "a = 2026-01-01T00:00:00Z",
        "a = \"\\u042F \\\\ \\\"\"",
        "a = 'C:\\x'",
        "a = { b = \"c\", 'd' = [1, 2.5, { e = false }] } # f",
        "a = '''\nb\n'''",
        // Neither is TOML, but there is nothing to say that the parser does not.
        "a = \"x\" b = \"y\"",
        "a = [1] [2]",
    ];
    for statement in good {
        assert_eq!(of(statement, ""), [], "{statement}");
    }
}

#[test]
fn no_secret_is_shown() {
    for statement in ["password = hunter2", "url = http://bus:hunter2@x", "url = \"C:\\hunter2\" # @"] {
        let found = of(statement, "");
        assert!(found.len() == 1 && !found[0].hint.contains("hunter2"), "{found:?}");
    }
}
