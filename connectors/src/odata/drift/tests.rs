//! What is told of a change, and to whom.
#![allow(clippy::unwrap_used)]
use bus_core::vocabulary::StreamName;

use super::*;
use crate::odata::{metadata, samples};

fn form(fields: &[(&str, &str)]) -> Form {
    let fields = fields.iter().map(|(path, kind)| ((*path).to_owned(), (*kind).to_owned()));
    Form { entity: "Catalog_Т".into(), fields: fields.collect() }
}

#[test]
fn what_loses_something_is_told_and_what_does_not_is_not() {
    let known = form(&[("А", "text(50)"), ("Б", "number"), ("В", "rows"), ("В.Г", "text"), ("В.Д", "date")]);
    for (now, expected) in [
        (
            vec![("А", "text(50)"), ("Б", "number"), ("В", "rows"), ("В.Г", "text"), ("В.Д", "date"), ("Ё", "date")],
            vec![],
        ),
        (vec![("А", "text(60)"), ("Б", "number"), ("В", "rows"), ("В.Г", "text"), ("В.Д", "date")], vec![]),
        (vec![("А", "text"), ("Б", "number"), ("В", "rows"), ("В.Г", "text"), ("В.Д", "date")], vec![]),
        (
            vec![("А", "text(20)"), ("Б", "text"), ("В", "rows"), ("В.Г", "text")],
            vec!["А was text(50) and is text(20)", "Б was number and is text", "В.Д (date) is gone"],
        ),
        (vec![("А", "text(50)"), ("Б", "number")], vec!["В (rows) is gone"]),
    ] {
        let found = changes(&known, &form(&now));
        assert_eq!(found.iter().map(|change| change.what.as_str()).collect::<Vec<_>>(), expected);
    }
    assert_eq!(changes(&form(&[("А", "text")]), &form(&[("А", "text(9)")])).len(), 1, "from any length to nine");
}

#[test]
fn what_the_stream_itself_asks_for_is_read_whoever_takes_it() {
    let model = |text: &str| Arc::new(metadata::read(text.as_bytes()).unwrap());
    let known = model(samples::METADATA);
    let now =
        samples::METADATA.replace("Name=\"Сумма\"", "Name=\"Итог\"").replace("Name=\"Контрагент", "Name=\"Клиент");
    let now = model(&now);
    let served = Served {
        stream: StreamName::new("заказы").unwrap(),
        key: vec!["Ref_Key".into()],
        label: Some("Number".into()),
        date: None,
    };
    let all = || Read::all(served.stream.clone(), "Document_Заказ");
    let text = |text: &str| Some(text.to_owned());
    for (read, told) in [
        (all(), None),
        (Read { filter: text("Мест gt 1 and Number ne 'Сумма'"), ..all() }, None),
        (Read { filter: text("Мест gt 1 and Сумма gt 10"), ..all() }, Some("Сумма (number) is gone (stream заказы)")),
        (Read { filter: text("Контрагент/Code eq '1'"), ..all() }, Some("Контрагент_Key (reference) is gone")),
        (Read { expand: vec!["Контрагент".into()], ..all() }, Some("Контрагент (record) is gone")),
        (Read { equals: vec![("Сумма".into(), "1".into())], ..all() }, Some("Сумма (number) is gone")),
        (Read { select: vec!["Number".into()], filter: text("Сумма eq 1"), ..all() }, Some("Сумма (number) is gone")),
        (Read { select: vec!["Number".into()], ..all() }, None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut drift = Drift::new(folder.path().join("seen.json"));
        drift.check([(&read, &served)].into_iter(), &known).unwrap();
        let found = drift.check([(&read, &served)].into_iter(), &now).map_err(|error| error.message);
        match told {
            None => assert_eq!(found, Ok(()), "{read:?}"),
            Some(told) => assert!(found.as_ref().is_err_and(|found| found.contains(told)), "{told}: {found:?}"),
        }
    }
}

#[test]
fn paths_lie_within_others_by_whole_names() {
    assert!(is_within("Товары.Цена", "Товары") && is_within("Товары", "Товары"));
    assert!(!is_within("ТоварыИУслуги", "Товары") && !is_within("Товары", "Товары.Цена"));
}
