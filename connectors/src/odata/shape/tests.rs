//! Each kind of value, and what does not fit.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::odata::samples;

fn shaped(shape: Shape, json: &str) -> String {
    let model = samples::model();
    let of = model.type_of("Document_Заказ").unwrap();
    Value::Object(shape.record(&model, of, serde_json::from_str(json).unwrap()).0).to_string()
}

#[test]
fn each_kind_of_value_has_one_form() {
    for (raw, expected) in [
        (r#"{"Мест":"12"}"#, r#"{"Мест":12}"#),
        (r#"{"Мест":12}"#, r#"{"Мест":12}"#),
        (r#"{"Мест":""}"#, r#"{"Мест":null}"#),
        (r#"{"Сумма":3333.330}"#, r#"{"Сумма":3333.330}"#),
        (r#"{"Сумма":"12345678901234567890.12"}"#, r#"{"Сумма":12345678901234567890.12}"#),
        (r#"{"Date":"0001-01-01T00:00:00"}"#, r#"{"Date":null}"#),
        (r#"{"Date":"2026-11-22T10:00:00"}"#, r#"{"Date":"2026-11-22T10:00:00"}"#),
        (r#"{"Контрагент_Key":"00000000-0000-0000-0000-000000000000"}"#, r#"{"Контрагент_Key":null}"#),
        (r#"{"Number":"ТД-01   "}"#, r#"{"Number":"ТД-01"}"#),
        (r#"{"Подпись_Base64Data":"QUJD\r\nRA=="}"#, r#"{"Подпись_Base64Data":"QUJDRA=="}"#),
        (r#"{"DeletionMark":"false"}"#, r#"{"DeletionMark":false}"#),
        (
            r#"{"Склад":"","Склад_Type":"StandardODATA.Undefined"}"#,
            r#"{"Склад":null,"Склад_Type":"StandardODATA.Undefined"}"#,
        ),
        (r#"{"Склад":"7.50","Склад_Type":"Edm.Double"}"#, r#"{"Склад":7.50,"Склад_Type":"Edm.Double"}"#),
        (
            r#"{"Склад_Type":"UnavailableEntities.UnavailableEntity_1","Мест":"1","Склад":"1418c670-0000-0000-0000-000000000001"}"#,
            r#"{"Склад":"1418c670-0000-0000-0000-000000000001","Склад_Type":"UnavailableEntities.UnavailableEntity_1","Мест":1}"#,
        ),
        (r#"{"odata.type":"x","Контрагент@navigationLinkUrl":"y","Я_Key":"","А":1}"#, r#"{"А":1,"Я_Key":null}"#),
    ] {
        assert_eq!(shaped(Shape::default(), raw), expected);
    }
}

#[test]
fn a_value_of_another_kind_than_declared_is_noticed_and_empty_ones_are_not() {
    let model = samples::model();
    let of = model.type_of("Document_Заказ").unwrap();
    let fits = |json: &str| Shape::default().record(&model, of, serde_json::from_str(json).unwrap()).1;
    for (json, expected) in [
        (r#"{"Number":"1","Сумма":1.5,"Мест":"7","DeletionMark":true,"Date":"2026-11-22T10:00:00"}"#, true),
        (r#"{"Number":null,"Сумма":"","Мест":null,"DeletionMark":"","Date":"","Контрагент_Key":""}"#, true),
        (r#"{"Сумма":"1.5","Мест":7,"DeletionMark":"true","Date":"0001-01-01T00:00:00"}"#, true),
        (r#"{"Склад":7.5,"Склад_Type":"Edm.Double","Подпись_Base64Data":"QUJD","Товары":[]}"#, true),
        (r#"{"Новое":{"чужое":1},"Контрагент":{"Code":"1"}}"#, true),
        (r#"{"Number":1}"#, false),
        (r#"{"Сумма":"много"}"#, false),
        (r#"{"Сумма":true}"#, false),
        (r#"{"Мест":"1.5"}"#, false),
        (r#"{"Мест":1.5}"#, false),
        (r#"{"DeletionMark":"нет"}"#, false),
        (r#"{"Date":"вчера"}"#, false),
        (r#"{"Контрагент_Key":"УТ-1"}"#, false),
        (r#"{"Товары":"нет"}"#, false),
        (r#"{"Товары":[{"Цена":1},{"Цена":"дорого"}]}"#, false),
        (r#"{"Контрагент":{"Code":1}}"#, false),
    ] {
        assert_eq!(fits(json), expected, "{json}");
    }
}

#[test]
fn what_shall_be_kept_is_kept() {
    let keep = Keep { empty_dates: true, zero_references: true, padding: true };
    let raw =
        r#"{"Number":"ТД ","Date":"0001-01-01T00:00:00","Контрагент_Key":"00000000-0000-0000-0000-000000000000"}"#;
    assert_eq!(shaped(Shape { keep, zone: None }, raw), raw);
}

#[test]
fn dates_get_the_offset_of_the_base_and_times_of_day_get_none() {
    let shape = Shape { zone: Some(chrono_tz::Europe::Berlin), ..Shape::default() };
    for (raw, expected) in [
        ("2026-07-01T10:00:00", "2026-07-01T10:00:00+02:00"),
        ("2026-10-25T02:30:00", "2026-10-25T02:30:00+02:00"),
        ("2026-03-29T02:30:00", "2026-03-29T02:30:00+02:00"),
        ("0001-01-01T10:30:00", "0001-01-01T10:30:00"),
    ] {
        assert_eq!(shaped(shape, &format!(r#"{{"Date":"{raw}"}}"#)), format!(r#"{{"Date":"{expected}"}}"#));
    }
}

#[test]
fn rows_name_their_owner_and_expanded_references_are_records() {
    let raw = r#"{"Товары":[{"Цена":1.10,"LineNumber":"1"}],"Контрагент":{"Code":"1 ","Ref_Key":"k"},"Ref_Key":"o"}"#;
    let expected = r#"{"Ref_Key":"o","Товары":[{"Ref_Key":"o","LineNumber":1,"Цена":1.10}],"Контрагент":{"Ref_Key":"k","Code":"1"}}"#;
    assert_eq!(shaped(Shape::default(), raw), expected);
}
