//! Values that go through maps.

use super::*;

#[test]
fn a_program_looks_values_up_also_inside_lines() {
    let shaper = transform(
        r#". = { "currency": lookup("currency", .cur), "lines": map_values(array!(.lines)) -> |line| {
               { "sku": lookup("sku", line.guid), "qty": line.qty } } }"#,
    );
    let body = |cur: &str, guid: &str| {
        format!(r#"{{"cur":{cur},"lines":[{{"guid":"g-1","qty":2}},{{"guid":{guid},"qty":1}}]}}"#)
    };
    let shaped = |cur: &str, sku: &str| {
        Ok(format!(r#"{{"currency":{cur},"lines":[{{"qty":2,"sku":"Ж-1"}},{{"qty":1,"sku":{sku}}}]}}"#))
    };
    assert_eq!(shape(&shaper, &body("\"643\"", "\"g-1\"")), shaped("\"RUB\"", "\"Ж-1\""));
    assert_eq!(shape(&shaper, &body("643", "[\"a\",1]")), shaped("\"RUB\"", "\"пара\""));
    assert_eq!(shape(&shaper, &body("840", "\"g-1\"")), shaped("840", "\"Ж-1\""));
    assert_eq!(shape(&shaper, &body("null", "\"g-1\"")), shaped("null", "\"Ж-1\""));
    assert_eq!(shape(&shaper, &body("1", "\"g-2\"")), Ok("hold: map `sku` to know \"g-2\", Some(60)".into()));
    assert!(shape(&shaper, &body("1", "null")).unwrap_err().contains("map `sku` was asked for a value that is null"));
    assert!(shape(&shaper, &body("1", "{}")).unwrap_err().contains("map `sku` was asked for a value that is no text"));
    assert_eq!(shaper.holds_for().map(MapName::as_str), Some("sku"));
}

#[test]
fn a_call_says_what_happens_to_an_unknown_value() {
    let body = r#"{"x":"секрет","n":"a"}"#;
    let cases = [
        (r#". = {"y": lookup("sku", .x, default: "нет")}"#, Ok(r#"{"y":"нет"}"#)),
        (r#". = {"y": lookup("sku", .x, unknown: "pass")}"#, Ok(r#"{"y":"секрет"}"#)),
        (
            r#". = {"y": lookup("country", .x, unknown: "hold")}"#,
            Ok("hold: map `country` to know \"секрет\", Some(86400)"),
        ),
        (
            r#". = {"y": lookup("sku", .x, unknown: "dead-letter")}"#,
            Err("map `sku` does not know the value it was asked for"),
        ),
        (r#". = {"y": lookup("country", .x)}"#, Err("map `country` does not know the value it was asked for")),
        (r#". = {"y": lookup("rate", .x), "z": lookup("rate", .n)}"#, Ok(r#"{"y":0,"z":1.5}"#)),
        (
            r#". = {"y": lookup("unread", .x, default: "нет")}"#,
            Ok("hold: map `unread`, which could not be read yet, None"),
        ),
        // What stops a lookup is no error that the program could swallow.
        (
            r#". = {"y": to_int(lookup("country", .x) + string!(.n)) ?? 0}"#,
            Err("map `country` does not know the value it was asked for"),
        ),
        (r#".y, err = to_int(lookup("sku", .x) + string!(.x))"#, Ok("hold: map `sku` to know \"секрет\", Some(60)")),
    ];
    for (program, expected) in cases {
        let shaper = transform(program);
        assert_eq!(shape(&shaper, body), expected.map(str::to_owned).map_err(str::to_owned), "{program}");
        // Nothing of it is left for the next record.
        assert_eq!(shape(&transform(". = {}"), body), Ok("{}".into()));
    }
    let filter = when(r#"lookup("country", .x) == "RU""#, Body::AsIs);
    assert_eq!(shape(&filter, r#"{"x":7}"#), Ok(r#"{"x":7}"#.into()));
    assert!(shape(&filter, r#"{"x":8}"#).unwrap_err().contains("map `country`"));
}

#[test]
fn fields_go_through_maps_too() {
    let shaper = Shaper::new(
        None,
        Body::Fields(read_fields(
            r#"a = { cur = { path = ".c", map = "currency" }, rate = { path = ".r", map = "rate", unknown = "dead-letter" },
                     sku = { path = ".g", map = "sku", unknown = { default = 5 } } }"#,
        )),
        Tz::UTC,
    );
    assert_eq!(shape(&shaper, r#"{"c":643,"r":"a","g":"g-1"}"#), Ok(r#"{"cur":"RUB","rate":1.50,"sku":"Ж-1"}"#.into()));
    let long = r#"{"c":99999999999999999999,"r":"b"}"#;
    assert_eq!(shape(&shaper, long), Ok(r#"{"cur":99999999999999999999,"rate":true,"sku":5}"#.into()));
    assert_eq!(shape(&shaper, r#"{"r":"c"}"#), Err("map `rate` does not know the value it was asked for".into()));
    assert!(shape(&shaper, r#"{"r":{}}"#).unwrap_err().contains("no text or number"));
    assert_eq!(shaper.holds_for(), None);
}

#[test]
fn mistakes_in_a_lookup_are_found_when_the_file_is_read() {
    let cases = [
        ("a = '.y = lookup(\"skuu\", .x)'", "no map is called `skuu`", "did you mean `sku`?"),
        ("a = '.y = lookup(\"zzzz\", .x)'", "no map is called `zzzz`", "define it: [maps.zzzz]"),
        (
            "a = '.y = lookup(\"sku\", .x, unknown: \"pas\")'",
            "`pas` is not one of the choices",
            "did you mean \"pass\"?",
        ),
        ("a = '.y = lookup(\"sku\", .x, default: 1, unknown: \"pass\")'", "`default` beside `unknown`", "keep one"),
        // Its type is known: a map of texts gives texts, one of numbers may not.
        ("a = '.y = upcase(lookup(\"rate\", .x))'", "this can fail on some records", "upcase!"),
    ];
    for (toml, message, hint) in cases {
        let text = read_transform(toml).unwrap_err();
        assert!(text.contains(message) && text.contains(hint) && text.contains("routes.toml:1:"), "{toml}\n{text}");
    }
    assert!(read_transform("a = '.y = upcase(lookup(\"sku\", .x))'").is_ok());
    assert!(read_transform("a = '.y = lookup(.x, .x)'").is_err());
}
