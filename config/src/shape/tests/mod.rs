//! Records through filters, fields and programs.
#![allow(clippy::unwrap_used)]

mod lookups;

use std::sync::Arc;
use std::time::Duration;

use bus_core::vocabulary::{ContentHash, Key, MessageId, Moment, Seq, StreamName};
use bus_options::{Colour, Node, OptionValue, Report, Sources, to_text};
use bytes::Bytes;
use toml::de::DeTable;

use super::*;
use crate::maps::{Catalogue, Handle, Table, Unknown};

fn read<T: OptionValue>(toml: &str) -> Result<T, String> {
    let mut sources = Sources::default();
    let file = sources.add("routes.toml", toml);
    let table = DeTable::parse(toml).unwrap();
    let mut report = Report::default();
    let value = T::read(Node::new(table.get_ref().get("a").unwrap(), toml, file), &mut report);
    value.ok_or_else(|| to_text(&report.into_diagnostics(&sources), Colour::Off))
}

fn compiled<T>(compile: impl FnOnce(&Catalogue, &mut Report) -> Option<T>, toml: &str) -> Result<T, String> {
    let mut sources = Sources::default();
    sources.add("routes.toml", toml);
    let mut report = Report::default();
    let value = compile(&catalogue(), &mut report);
    value.ok_or_else(|| to_text(&report.into_diagnostics(&sources), Colour::Off))
}

fn read_transform(toml: &str) -> Result<Transform, String> {
    let text = read::<TransformText>(toml)?;
    compiled(|catalogue, report| text.compile(catalogue, report), toml)
}

fn read_when(toml: &str) -> Result<Condition, String> {
    let text = read::<ConditionText>(toml)?;
    compiled(|catalogue, report| text.compile(catalogue, report), toml)
}

fn read_fields(toml: &str) -> Fields {
    read::<FieldsText>(toml).unwrap().compile(&catalogue())
}

/// `sku` holds, `currency` passes, `country` makes dead letters, `rate` has numbers, `unread` was never read.
fn catalogue() -> Catalogue {
    let map = |name: &str, unknown: Unknown, values: &[(&str, serde_json::Value)]| {
        let texts = values.iter().all(|(_, value)| value.is_string());
        let handle = Handle::new(MapName::new(name).unwrap(), unknown, texts);
        let entries = values.iter().map(|(key, value)| (Box::from(*key), value.clone()));
        handle.bind(Arc::new(Table::of(entries.collect())));
        handle
    };
    let unread = Handle::new(MapName::new("unread").unwrap(), Unknown::DeadLetter, true);
    unread.bind(Arc::new(Table::default()));
    Catalogue(vec![
        map("sku", Unknown::Hold(Duration::from_secs(60)), &[("g-1", "Ж-1".into()), (r#"["a","1"]"#, "пара".into())]),
        map("currency", Unknown::Pass, &[("643", "RUB".into())]),
        map("country", Unknown::DeadLetter, &[("7", "RU".into())]),
        map("rate", Unknown::Default(0.into()), &[("a", serde_json::from_str("1.50").unwrap()), ("b", true.into())]),
        unread,
    ])
}

fn envelope(operation: Operation, body: &str) -> Envelope {
    let (stream, key) = (StreamName::new("orders").unwrap(), Key::from_stored("1"));
    let body = Bytes::copy_from_slice(body.as_bytes());
    let hash = ContentHash::of(operation, &body);
    let id = MessageId::derive(&stream, &key, 1, &hash);
    let seq = Seq { epoch: 1, number: 1 };
    Envelope { id, stream, key, seq, generation: 1, operation, time: Moment(0), label: None, hash, body }
}

fn shape(shaper: &Shaper, body: &str) -> Result<String, String> {
    match shaper.shape(&envelope(Operation::Upsert, body)) {
        Ok(Shaped::Send(body)) => Ok(String::from_utf8(body.to_vec()).unwrap()),
        Ok(Shaped::Filtered) => Ok("filtered".into()),
        Ok(Shaped::Hold(hold)) => Ok(format!("hold: {}, {:?}", hold.what, hold.within.map(|within| within.as_secs()))),
        Err(error) => Err(error.to_string()),
    }
}

fn transform(program: &str) -> Shaper {
    let transform = read_transform(&format!("a = '''{program}'''"));
    Shaper::new(None, Body::Transform(transform.unwrap()), Tz::UTC)
}

fn when(program: &str, body: Body) -> Shaper {
    Shaper::new(Some(read_when(&format!("a = '''{program}'''")).unwrap()), body, Tz::UTC)
}

#[test]
fn fields_keep_every_digit_and_the_order_of_the_file() {
    let fields =
        read_fields(r#"a = { z = ".Сумма", y = ".\"Имя поля\"[0].x", last = ".l[-1]", no = ".a.b", all = "." }"#);
    let shaper = Shaper::new(None, Body::Fields(fields), Tz::UTC);
    let body = r#"{"Сумма":12345678901234567.890,"Имя поля":[{"x":1E+2}],"l":[1,99999999999999999999]}"#;
    let expected =
        format!(r#"{{"z":12345678901234567.890,"y":1E+2,"last":99999999999999999999,"no":null,"all":{body}}}"#);
    assert_eq!(shape(&shaper, body), Ok(expected));
    assert!(shape(&shaper, "[1]").is_err());
    assert_eq!(shaper.paths_read(), [".", ".\"Имя поля\"[0].x", ".\"Сумма\"", ".a.b", ".l[-1]"]);
}

#[test]
fn a_filter_lets_bodies_pass_as_they_are() {
    let shaper = when(r#".Posted == true && ."Сумма" != null"#, Body::AsIs);
    let body = r#"{ "Posted":true, "Сумма": 1.10 }"#;
    assert_eq!(shape(&shaper, body), Ok(body.into()));
    assert_eq!(shape(&shaper, r#"{"Posted":false,"Сумма":1}"#), Ok("filtered".into()));
    assert_eq!(shape(&shaper, "{}"), Ok("filtered".into()));
}

#[test]
fn a_program_makes_the_receivers_object() {
    let shaper = transform(
        r#". = { "number": strip_whitespace!(.Number), "total": ."Сумма",
               "lines": map_values(array!(."Товары")) -> |line| { { "sku": line.sku, "qty": line.qty } } }"#,
    );
    let body = r#"{"Number":" УТ-1 ","Сумма":100.50,"Товары":[{"sku":"a","qty":2},{"sku":"b","qty":3.0}]}"#;
    let expected = r#"{"lines":[{"qty":2,"sku":"a"},{"qty":3.0,"sku":"b"}],"number":"УТ-1","total":100.5}"#;
    assert_eq!(shape(&shaper, body), Ok(expected.into()));
    let failed = shape(&shaper, r#"{"Number":5,"Сумма":"секрет","Товары":[]}"#).unwrap_err();
    assert!(failed.starts_with("strip_whitespace: expected string, got integer, in line 1 of the program"), "{failed}");
    assert!(!failed.contains("секрет"));
}

#[test]
fn what_a_program_leaves_in_one_branch_only_counts_as_read_as_a_whole() {
    for (program, expected) in [
        (". = {\"x\": .a}", &["a"][..]),
        (".x = .a", &["", "a"]),
        ("if .b == 1 { . = {\"x\": .a} }", &["", "a", "b"]),
        ("if .b == 1 { . = {\"x\": .a} } else { . = {\"y\": .c} }", &["a", "b", "c"]),
        ("if .b == 1 { . = {\"x\": .a} }\n. = {\"z\": .x}", &["a", "b", "x"]),
        ("if .b == 1 { return null }\n. = {\"x\": .a}", &["", "a", "b"]),
        ("if .b == 1 { abort }\n. = {\"x\": .a}", &["a", "b"]),
        (". = {\"x\": .a}\n.y = 1\ndel(.x)", &["a", "x"]),
    ] {
        assert_eq!(transform(program).fields_read(), expected, "{program}");
    }
}

#[test]
fn the_type_of_a_field_does_not_depend_on_its_value() {
    let shaper = transform(". = { \"float\": is_float(.price), \"price\": .price }");
    for (price, printed) in [("100.00", "100.0"), ("100.50", "100.5"), ("0.0", "0.0")] {
        let expected = format!(r#"{{"float":true,"price":{printed}}}"#);
        assert_eq!(shape(&shaper, &format!(r#"{{"price":{price}}}"#)), Ok(expected));
    }
}

#[test]
fn a_number_too_long_for_a_program_is_refused_or_carried_but_never_rounded() {
    let body = r#"{"a":1,"deep":{"big":[12345678901234567.89]},"id":99999999999999999999}"#;
    let untouched = r#"{"a":2,"deep":{"big":[12345678901234567.89]},"id":99999999999999999999}"#;
    assert_eq!(shape(&transform(".a = 2"), body), Ok(untouched.into()));
    assert_eq!(shape(&when(".a == 1", Body::AsIs), body), Ok(body.into()));
    for program in
        [".x = .id", ". = { \"x\": .deep }", ".x = .deep.big[-1]", ". = merge(., {\"b\": 1})", ".x = encode_json(.)"]
    {
        let error = shape(&transform(program), body).unwrap_err();
        let named = error.contains("the number at .id") || error.contains("the number at .deep.big[0]");
        assert!(named && error.contains("use `fields`"), "{program}: {error}");
    }
    let fields = read_fields("a = { id = \".id\" }");
    assert_eq!(shape(&when(".a == 1", Body::Fields(fields)), body), Ok(r#"{"id":99999999999999999999}"#.into()));
}

#[test]
fn a_text_that_looks_like_a_mark_stays_a_text() {
    let body = r#"{"a":1,"t":"\u0000carried:0"}"#;
    assert_eq!(shape(&transform(".a = 2"), body), Ok(r#"{"a":2,"t":"\u0000carried:0"}"#.into()));
}

#[test]
fn texts_names_and_depth_of_a_record_are_read_as_they_are_written() {
    let body = r#" {"и\u043cя":"а\n\"б\"\ud83d\ude00","list":[[],{},[1,-2.5]],"$serde_json::private::Number":"1"} "#;
    let expected = r#"{"$serde_json::private::Number":"1","a":2,"list":[[],{},[1,-2.5]],"имя":"а\n\"б\"😀"}"#;
    assert_eq!(shape(&transform(".a = 2"), body), Ok(expected.into()));
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(shape(&transform(".b = 2"), &nested(100)).is_ok());
    let error = shape(&transform(".b = 2"), &nested(100_000)).unwrap_err();
    assert!(error.contains("deeper than 128"), "{error}");
    for (body, expected) in [
        (r#"{"a":"\ud800"}"#, "Unicode"),
        ("{\"a\":1}\n{", "line 2"),
        ("{\"a\":\"\n\"}", "not JSON"),
        ("[1]", "not a JSON object"),
    ] {
        let error = shape(&transform(".b = 2"), body).unwrap_err();
        assert!(error.contains(expected), "{body}: {error}");
    }
}

#[test]
fn deletes_pass_filter_and_program() {
    let shaper = when("false", Body::Transform(read_transform("a = '. = {}'").unwrap()));
    let gone = envelope(Operation::Delete, r#"{"id":1}"#);
    assert_eq!(shaper.shape(&gone), Ok(Shaped::Send(gone.body.clone())));
}

#[test]
fn what_is_no_record_is_an_error_and_never_a_panic() {
    for body in ["", "[]", "1", "{", "\"x\"", "{\"a\":}"] {
        assert!(shape(&transform(".a = 2"), body).is_err(), "{body}");
    }
}

#[test]
fn mistakes_are_placed_inside_the_file_with_our_hints() {
    let cases = [
        ("a = '.Сумма > 5'", "routes.toml:1:7\n", "needs quotes: .\"Сумма\""),
        ("a = '''\n.x = 1\n.y = upcase(.z)\n'''", "routes.toml:3:", "`upcase!(…)`"),
        ("a = '''\n.y = upcas!(.z)\n'''", "routes.toml:2:6\n", "did you mean `upcase`?"),
        ("a = '.y = z'", "routes.toml:1:11\n", "begins with a dot: .z"),
        ("a = '.y = now()'", "routes.toml:1:11\n", "hint"),
        ("a = '. = 5'", "routes.toml:1:5\n", "must leave an object"),
    ];
    for (toml, place, hint) in cases {
        let text = read_transform(toml).unwrap_err();
        assert!(text.contains(place) && text.contains(hint), "{toml}\n{text}");
    }
    for (toml, place, hint) in [
        ("a = '.Posted'", "routes.toml:1:5\n", "`when` must give true or false"),
        ("a = '.Posted = true'", "routes.toml:1:", "changes belong in `transform`"),
        ("a = \".\\\"Имя\\\" == true &\"", "routes.toml:1:", "hint"),
    ] {
        let text = read_when(toml).unwrap_err();
        assert!(text.contains(place), "{toml}\n{text}");
        assert!(text.contains(hint) || hint == "hint", "{toml}\n{text}");
    }
}
