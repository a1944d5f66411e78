#![allow(clippy::unwrap_used)]

use super::*;
use crate::http::target::tests::parcel;

fn results(verdict: Decides, by: Option<Match>) -> Results {
    Results { items: "/items".into(), by, verdict, ok: vec!["ok".into(), "принято".into(), "0".into()] }
}

fn status() -> Decides {
    Decides::Status("/status".into())
}

#[test]
fn records_stand_in_the_body_as_they_are() {
    let one = r#"{"сумма":10.50,"note":"hunter2-secret"}"#;
    for (form, expected) in [
        (Form::Array, format!("[{one},{one}]")),
        (Form::Within(vec!["items".into()]), format!("{{\"items\":[{one},{one}]}}")),
        (Form::Within(vec!["данные".into(), "a\"b".into()]), format!("{{\"данные\":{{\"a\\\"b\":[{one},{one}]}}}}")),
        (Form::Lines, format!("{one}\n{one}\n")),
    ] {
        let body = Batch { form, results: None }.body(&[parcel("1"), parcel("2")]);
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}

#[test]
fn a_line_is_one_record() {
    let pretty = Parcel { body: bytes::Bytes::from_static(b"{\r\n  \"a\": \"x\\ny\"\n}"), ..parcel("1") };
    let body = Batch { form: Form::Lines, results: None }.body(&[pretty]);
    let text = String::from_utf8(body).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read, serde_json::json!({"a": "x\ny"}));
}

#[test]
fn a_status_says_what_became_of_a_record() {
    use Said::{Applied, Failed, Nothing};
    let results = results(status(), None);
    for (value, expected) in [
        ("200", Applied(Some(200))),
        ("\"201\"", Applied(Some(201))),
        ("\"Принято\"", Applied(None)),
        ("0", Applied(None)),
        ("true", Applied(None)),
        ("null", Nothing),
        ("false", Failed(Fault::Rejected, None)),
        ("\"error\"", Failed(Fault::Rejected, None)),
        ("1", Failed(Fault::Rejected, None)),
        ("99999999", Failed(Fault::Rejected, None)),
        ("{}", Failed(Fault::Rejected, None)),
        ("422", Failed(Fault::Rejected, Some(422))),
        ("401", Failed(Fault::Rejected, Some(401))),
        ("\"409\"", Failed(Fault::Busy, Some(409))),
        ("500", Failed(Fault::Busy, Some(500))),
        ("503", Failed(Fault::Busy, Some(503))),
        ("429", Failed(Fault::Busy, Some(429))),
    ] {
        let result: Value = serde_json::from_str(&format!("{{\"status\":{value}}}")).unwrap();
        assert_eq!(results.said(&result, false), expected, "{value}");
    }
    assert_eq!(results.said(&serde_json::json!({}), false), Nothing);
    assert_eq!(results.said(&serde_json::json!({"status": 502}), true), Failed(Fault::Ambiguous, Some(502)));
    let bare = super::Results { verdict: Decides::Status(String::new()), ..results };
    assert_eq!(bare.said(&serde_json::json!(204), false), Applied(Some(204)));
}

#[test]
fn an_error_says_that_a_record_was_refused() {
    let results = results(Decides::Error("/error".into()), None);
    for (error, refused) in [
        ("null", false),
        ("\"\"", false),
        ("false", false),
        ("[]", false),
        ("{}", false),
        ("\"нет такого товара\"", true),
        ("[1]", true),
        ("{\"code\":1}", true),
        ("0", true),
        ("true", true),
    ] {
        let result: Value = serde_json::from_str(&format!("{{\"error\":{error}}}")).unwrap();
        assert_eq!(results.said(&result, false) != Said::Applied(None), refused, "{error}");
    }
    assert_eq!(results.said(&serde_json::json!({"id": 1}), false), Said::Applied(None));
}

#[test]
fn by_position_only_as_many_as_were_sent() {
    let results = results(status(), None);
    let parcels = [parcel("1"), parcel("2")];
    let found = |text: &str| {
        let document: Option<Value> = serde_json::from_str(text).ok();
        match results.find(document.as_ref(), &parcels) {
            Verdicts::Of(items) => items.len().to_string(),
            Verdicts::NoList => "no list".to_owned(),
            Verdicts::OtherCount => "other".to_owned(),
        }
    };
    for (text, expected) in [
        (r#"{"items":[1,2]}"#, "2"),
        (r#"{"items":[1]}"#, "other"),
        (r#"{"items":[1,2,3]}"#, "other"),
        (r#"{"items":{"1":2}}"#, "no list"),
        ("{}", "no list"),
        ("[]", "no list"),
        ("<html>", "no list"),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn by_name_in_any_order_and_what_is_named_twice_is_not_known() {
    let document = serde_json::json!({"items": [
        {"sku": "б", "status": 422}, {"sku": "а", "status": 200}, {"sku": 7, "status": 200}, {"status": 500},
        {"sku": "д", "status": 200}, {"sku": "д", "status": 422},
    ]});
    let results = results(status(), Some(Match { answered: "/sku".into(), sent: None }));
    let parcels = ["а", "б", "7", "нет", "д"].map(parcel);
    let Verdicts::Of(found) = results.find(Some(&document), &parcels) else { panic!("it is a list") };
    let statuses: Vec<_> = found.iter().map(|item| item.map(|item| item["status"].to_string())).collect();
    assert_eq!(statuses, [Some("200".into()), Some("422".into()), Some("200".into()), None, None]);
}

#[test]
fn a_record_may_be_known_by_what_was_sent() {
    let document = serde_json::json!({"items": [{"n": "10.50", "status": 200}]});
    let by = Match { answered: "/n".into(), sent: Some("/сумма".into()) };
    let results = results(status(), Some(by));
    let Verdicts::Of(found) = results.find(Some(&document), &[parcel("1")]) else { panic!("it is a list") };
    assert!(found[0].is_some());
}
