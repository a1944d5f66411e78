//! Records of any configuration, written as 1C writes them in JSON and in Atom, come through without losing a character: a base whose
//! attributes nobody has thought of, with values at the edges of each type.

use std::fmt::Write;
use std::io::BufReader;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::odata::atom::{Feed, Item};
use crate::odata::json::{Splitter, fields};
use crate::odata::model::Model;
use crate::odata::shape::{Keep, Shape, ZERO};
use crate::odata::spool::Line;
use crate::odata::{json::Broken, metadata};

/// As it is told of a reader: nothing of it is made null, nor cut.
const ALL: Keep = Keep { empty_dates: true, zero_references: true, padding: true };

/// What an attribute is declared as.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Reference,
    Whole,
    Small,
    Number,
    Boolean,
    Date,
    Binary,
    Composite,
}

/// A value: in JSON, in Atom, and as it must come out; `None` is null.
#[derive(Debug, Clone)]
struct Cell {
    json: String,
    atom: Option<String>,
    out: String,
    /// Of a composite one.
    its_type: Option<String>,
}

#[derive(Debug, Clone)]
struct Attribute {
    name: String,
    kind: Kind,
}

/// Attributes of the document and of its rows, and the documents: values, and rows of values.
type Case = (Vec<Attribute>, Vec<Attribute>, Vec<(Vec<Cell>, Vec<Vec<Cell>>)>);

fn kind() -> impl Strategy<Value = Kind> {
    use Kind::*;
    select(vec![Text, Reference, Whole, Small, Number, Boolean, Date, Binary, Composite])
}

/// Names differ by their place; 1C's own have letters, digits and `_`.
fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    let name = "[А-Яа-яЁёA-Za-z_][А-Яа-яЁё0-9_]{0,12}";
    prop::collection::vec((name, kind()), 1..8).prop_map(|all| {
        let named = |(at, (name, kind)): (usize, (String, Kind))| {
            let suffix = if kind == Kind::Reference { "_Key" } else { "" };
            let suffix = if kind == Kind::Binary { "_Base64Data" } else { suffix };
            Attribute { name: format!("{name}{at}{suffix}"), kind }
        };
        all.into_iter().enumerate().map(named).collect()
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~А-яЁё№«»]{0,40}",
        r#"[<>&"'\\/\]\[{}:,\n\t ]{0,20}"#,
        "(😀|\u{2028}|\u{a0}|ё|\u{301}|]]>|<!--|&amp;|\\\\u0041){0,6} {0,9}",
        select(vec!["007", "true", "null", "1e5", "-0", "0001-01-01T00:00:00", ZERO, "\r\n", "\u{feff}"])
            .prop_map(str::to_owned),
    ]
}

fn guid() -> impl Strategy<Value = String> {
    prop_oneof![1 => Just(ZERO.to_owned()), 4 => "[0-9a-f]{8}-[0-9a-f]{4}-11e[0-9]-[0-9a-f]{4}-[0-9a-f]{12}"]
}

fn date() -> impl Strategy<Value = String> {
    let any = (1_u16..=3999, 1_u8..=12, 1_u8..=28, 0_u8..24, 0_u8..60, 0_u8..60);
    any.prop_map(|(y, mo, d, h, mi, s)| format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}"))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "-?(0|[1-9][0-9]{0,31})(\\.[0-9]{1,27})?",
        1 => "-?[1-9](\\.[0-9]{1,16})?[eE][+-]?[1-9][0-9]{0,1}",
    ]
}

/// A power of ten has one form: `1E1` is `1e+1`. Its digits are as they came.
fn one_exponent(number: &str) -> String {
    match number.split_once(['e', 'E']) {
        Some((digits, power)) if power.starts_with(['+', '-']) => format!("{digits}e{power}"),
        Some((digits, power)) => format!("{digits}e+{power}"),
        None => number.to_owned(),
    }
}

/// A text of XML, quoted in one of the ways that parsers must know.
fn xml(text: &str, cdata: bool) -> String {
    if cdata && !text.contains("]]>") && !text.contains('\r') {
        return format!("<![CDATA[{text}]]>");
    }
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('\r', "&#xD;").replace('№', "&#8470;")
}

fn quoted(text: &str, ascii: bool) -> String {
    let written = Value::from(text).to_string();
    if !ascii {
        return written;
    }
    written.chars().fold(String::new(), |mut out, c| {
        match c.is_ascii() {
            true => out.push(c),
            false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write!(out, "\\u{unit:04x}").unwrap()),
        }
        out
    })
}

fn cell(kind: Kind) -> BoxedStrategy<Cell> {
    let as_text = |value: String, ascii, cdata| {
        let out = Value::from(&*value).to_string();
        Cell { json: quoted(&value, ascii), atom: Some(xml(&value, cdata)), out, its_type: None }
    };
    let plain = |json: String, value: String| Cell { json, atom: Some(value.clone()), out: value, its_type: None };
    let value = match kind {
        Kind::Text => (text(), any::<bool>(), any::<bool>()).prop_map(move |(t, a, c)| as_text(t, a, c)).boxed(),
        Kind::Reference => guid().prop_map(move |guid| as_text(guid, false, false)).boxed(),
        Kind::Date => date().prop_map(move |date| as_text(date, false, false)).boxed(),
        Kind::Binary => "([A-Za-z0-9+/]{4}){0,30}".prop_map(move |data| as_text(data, false, false)).boxed(),
        // Whole numbers of 64 bits are strings in JSON.
        Kind::Whole => any::<i64>().prop_map(move |n| plain(format!("\"{n}\""), n.to_string())).boxed(),
        Kind::Small => any::<i16>().prop_map(move |n| plain(n.to_string(), n.to_string())).boxed(),
        Kind::Number => number().prop_map(move |n| Cell { out: one_exponent(&n), ..plain(n.clone(), n) }).boxed(),
        Kind::Boolean => any::<bool>().prop_map(move |b| plain(b.to_string(), b.to_string())).boxed(),
        Kind::Composite => return composite(),
    };
    let null = Cell { json: "null".into(), atom: None, out: "null".into(), its_type: None };
    prop_oneof![9 => value, 1 => Just(null)].boxed()
}

/// Every value is a string in JSON, as far as anybody has seen; a number or `true` would be taken, too.
fn composite() -> BoxedStrategy<Cell> {
    let of = |kind: Kind, its_type: String| {
        (cell(kind), any::<bool>()).prop_map(move |(cell, bare)| {
            let json = if bare || cell.json.starts_with('"') { cell.json } else { format!("\"{}\"", cell.json) };
            Cell { json, its_type: Some(its_type.clone()), ..cell }
        })
    };
    let some = |cell: &Cell| cell.atom.is_some();
    prop_oneof![
        Just(Cell {
            json: "\"\"".into(),
            atom: Some(String::new()),
            out: "null".into(),
            its_type: Some("StandardODATA.Undefined".into())
        }),
        of(Kind::Reference, "StandardODATA.Catalog_Склады".into()).prop_filter("a value", some),
        of(Kind::Reference, format!("UnavailableEntities.UnavailableEntity_{ZERO}")).prop_filter("a value", some),
        of(Kind::Text, "Edm.String".into()).prop_filter("a value", some),
        of(Kind::Number, "Edm.Double".into()).prop_filter("a value", some),
        of(Kind::Boolean, "Edm.Boolean".into()).prop_filter("a value", some),
        of(Kind::Date, "Edm.DateTime".into()).prop_filter("a value", some),
    ]
    .boxed()
}

fn cells(of: &[Attribute]) -> Vec<BoxedStrategy<Cell>> {
    of.iter().map(|attribute| cell(attribute.kind)).collect()
}

fn case() -> impl Strategy<Value = Case> {
    (attributes(), attributes()).prop_flat_map(|(head, rows)| {
        let row = prop::collection::vec(cells(&rows), 0..4);
        let documents = prop::collection::vec((cells(&head), row), 1..4);
        (Just(head), Just(rows), documents)
    })
}

/// `$metadata` of one document with a tabular part.
fn described(head: &[Attribute], rows: &[Attribute]) -> Model {
    let property =
        |name: &str, kind: &str| format!("<Property Name=\"{name}\" Type=\"Edm.{kind}\" Nullable=\"true\"/>");
    let declared = |of: &[Attribute]| -> String {
        let one = |attribute: &Attribute| {
            let kind = match attribute.kind {
                Kind::Text | Kind::Composite => "String",
                Kind::Reference => "Guid",
                Kind::Whole => "Int64",
                Kind::Small => "Int16",
                Kind::Number => "Double",
                Kind::Boolean => "Boolean",
                Kind::Date => "DateTime",
                Kind::Binary => "Binary",
            };
            let partner = format!("{}_Type", attribute.name);
            let partner = (attribute.kind == Kind::Composite).then(|| property(&partner, "String"));
            property(&attribute.name, kind) + &partner.unwrap_or_default()
        };
        of.iter().map(one).collect()
    };
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<edmx:Edmx xmlns:edmx=\"http://schemas.microsoft.com/ado/2007/06/edmx\" Version=\"1.0\">\
         <edmx:DataServices><Schema xmlns=\"http://schemas.microsoft.com/ado/2009/11/edm\" Namespace=\"StandardODATA\">\
         <EntityType Name=\"Document_Д\"><Key><PropertyRef Name=\"Ref_Key\"/></Key>{}{}\
         <Property Name=\"Строки\" Type=\"Collection(StandardODATA.Document_Д_Строки_RowType)\"/></EntityType>\
         <ComplexType Name=\"Document_Д_Строки_RowType\">{}{}{}</ComplexType>\
         <EntityContainer Name=\"EnterpriseV8\"><EntitySet Name=\"Document_Д\" EntityType=\"StandardODATA.Document_Д\"/></EntityContainer>\
         </Schema></edmx:DataServices></edmx:Edmx>",
        property("Ref_Key", "Guid"),
        declared(head),
        property("Ref_Key", "Guid"),
        property("LineNumber", "Int64"),
        declared(rows),
    );
    metadata::read(text.as_bytes()).unwrap()
}

fn key(at: usize) -> String {
    format!("{at:08x}-cd73-11e6-aede-5404a6b4b8ed")
}

/// `"name": value` of each, in JSON; as it must come out with `out`.
fn in_json(of: &[Attribute], cells: &[Cell], out: bool) -> Vec<String> {
    let one = |(attribute, cell): (&Attribute, &Cell)| {
        let value = if out { &cell.out } else { &cell.json };
        let mut all = vec![format!("{}:{value}", json!(attribute.name))];
        all.extend(
            cell.its_type
                .as_ref()
                .map(|its_type| format!("{}:{}", json!(format!("{}_Type", attribute.name)), json!(its_type))),
        );
        all
    };
    of.iter().zip(cells).flat_map(one).collect()
}

/// A list as 1C answers it: rows name their owner, and what is no property stands between.
fn json_list((head, rows, documents): &Case) -> String {
    let document = |(at, (cells, lines)): (usize, &(Vec<Cell>, Vec<Vec<Cell>>))| {
        let line = |(number, cells): (usize, &Vec<Cell>)| {
            let own = [format!("\"Ref_Key\": \"{}\"", key(at)), format!("\"LineNumber\": \"{}\"", number + 1)];
            format!("{{\r\n{}\r\n}}", [&own[..], &in_json(rows, cells, false)].concat().join(",\r\n"))
        };
        let lines: Vec<String> = lines.iter().enumerate().map(line).collect();
        let mut all = in_json(head, cells, false);
        // The order of properties in JSON is not that of $metadata.
        all.reverse();
        all.insert(0, format!("\"Строки\": [{}]", lines.join(",")));
        all.push(format!("\"Ref_Key\": \"{}\"", key(at)));
        all.push("\"Владелец@navigationLinkUrl\": \"Document_Д(guid'1')/Владелец\"".to_owned());
        format!("{{\r\n{}\r\n}}", all.join(",\r\n"))
    };
    let documents: Vec<String> = documents.iter().enumerate().map(document).collect();
    format!(
        "\u{feff}{{\r\n\"odata.metadata\": \"http://h/$metadata#Document_Д\",\r\n\"value\": [{}],\"odata.count\":\"3\"}}",
        documents.join(",")
    )
}

fn in_atom(of: &[Attribute], cells: &[Cell]) -> String {
    let one = |(attribute, cell): (&Attribute, &Cell)| {
        let name = &attribute.name;
        let value = match &cell.atom {
            None => format!("\n\t<d:{name} m:null=\"true\"/>"),
            Some(empty) if empty.is_empty() => format!("\n\t<d:{name}/>"),
            Some(text) => format!("\n\t<d:{name}>{text}</d:{name}>"),
        };
        let its_type = cell.its_type.as_ref().map(|its_type| format!("\n\t<d:{name}_Type>{its_type}</d:{name}_Type>"));
        value + &its_type.unwrap_or_default()
    };
    of.iter().zip(cells).map(one).collect()
}

/// An answer of an exchange plan: the envelope with other ends of lines than the properties, and rows without their owner.
fn atom_feed((head, rows, documents): &Case) -> String {
    let entry = |(at, (cells, lines)): (usize, &(Vec<Cell>, Vec<Vec<Cell>>))| {
        let line = |(number, cells): (usize, &Vec<Cell>)| {
            let own = format!("<d:LineNumber>{}</d:LineNumber>", number + 1);
            format!(
                "\n<d:element m:type=\"StandardODATA.Document_Д_Строки_RowType\">{own}{}\n</d:element>",
                in_atom(rows, cells)
            )
        };
        let lines: String = lines.iter().enumerate().map(line).collect();
        let key = key(at);
        format!(
            "\t<entry>\r\n\t\t<id>http://h/Document_Д(guid'{key}')</id>\r\n\t\t<category term=\"StandardODATA.Document_Д\" scheme=\"s\"/>\r\n\
             <title type=\"text\"/><author/><summary/><link rel=\"edit\" href=\"x\"/>\r\n<content type=\"application/xml\"><m:properties>\n\
             \t<d:Строки m:type=\"Collection(StandardODATA.Document_Д_Строки_RowType)\">{lines}</d:Строки>{}\n\t<d:Ref_Key>{key}</d:Ref_Key>\n\
             </m:properties></content></entry>\r\n",
            in_atom(head, cells),
        )
    };
    let entries: String = documents.iter().enumerate().map(entry).collect();
    format!(
        "<feed xmlns=\"http://www.w3.org/2005/Atom\"\r\n\txmlns:d=\"http://schemas.microsoft.com/ado/2007/08/dataservices\"\r\n\
         \txmlns:m=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\">\r\n{entries}</feed>"
    )
}

/// The records as a reader that leaves everything as it is publishes them.
fn expected((head, rows, documents): &Case) -> Vec<String> {
    let document = |(at, (cells, lines)): (usize, &(Vec<Cell>, Vec<Vec<Cell>>))| {
        let own = format!("\"Ref_Key\":\"{}\"", key(at));
        let line = |(number, cells): (usize, &Vec<Cell>)| {
            let all =
                [&[own.clone(), format!("\"LineNumber\":{}", number + 1)][..], &in_json(rows, cells, true)].concat();
            format!("{{{}}}", all.join(","))
        };
        let lines: Vec<String> = lines.iter().enumerate().map(line).collect();
        let all =
            [&[own.clone()][..], &in_json(head, cells, true), &[format!("\"Строки\":[{}]", lines.join(","))]].concat();
        format!("{{{}}}", all.join(","))
    };
    documents.iter().enumerate().map(document).collect()
}

fn shaped(keep: Keep, model: &Model, raw: Vec<serde_json::Map<String, Value>>) -> Vec<String> {
    let of = model.type_of("Document_Д").unwrap();
    let one = |raw| {
        let (record, fits) = Shape { keep, zone: None }.record(model, of, raw);
        let record = Value::Object(record).to_string();
        assert!(fits, "taken for another kind than declared: {record}");
        record
    };
    raw.into_iter().map(one).collect()
}

fn split(text: &str, chunk: usize) -> Result<Vec<serde_json::Map<String, Value>>, Broken> {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    for bytes in text.as_bytes().chunks(chunk) {
        splitter.push(bytes, |element| {
            found.push(fields(element)?);
            Ok(())
        })?;
    }
    splitter.finish().map(|()| found)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_record_comes_through_in_both_formats_without_losing_a_character(case in case(), chunk in 1_usize..200) {
        let model = described(&case.0, &case.1);
        let json = split(&json_list(&case), chunk).unwrap();
        let text = atom_feed(&case);
        let (mut feed, mut atom) = (Feed::new(BufReader::with_capacity(chunk, text.as_bytes())), Vec::new());
        while let Some(item) = feed.next_item().unwrap() {
            let Item::Entry { entity, fields } = item else { panic!("{item:?}") };
            assert_eq!(entity, "Document_Д");
            // By way of the spool, where an answer of an exchange plan lies.
            let line = serde_json::to_string(&Line::Entry { entity, fields }).unwrap();
            let Line::Entry { fields, .. } = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
            atom.push(fields);
        }
        let expected = expected(&case);
        prop_assert_eq!(&shaped(ALL, &model, json.clone()), &expected, "JSON");
        prop_assert_eq!(&shaped(ALL, &model, atom.clone()), &expected, "Atom");
        // What is made null and cut is so in both.
        prop_assert_eq!(shaped(Keep::default(), &model, json), shaped(Keep::default(), &model, atom));
    }
}
