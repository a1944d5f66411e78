//! Several records in one request, against a real server.

use axum::http::StatusCode as Code;

use super::*;
use crate::http::batch::{Batch, Decides, Form, Match, Results};

fn batched(url: &str, repeats: Repeats, by_key: bool) -> HttpTarget {
    let by = by_key.then(|| Match { answered: "/key".into(), sent: None });
    let results =
        Results { items: "/items".into(), by, verdict: Decides::Status("/status".into()), ok: vec!["ok".into()] };
    let send = Send {
        upsert: Request { method: Method::POST, path: "/stock/{stream}".parse().unwrap() },
        headers: vec![Header { name: "X-What".into(), value: HeaderValue::Template("{stream}".parse().unwrap()) }],
        receiver_id: Some("/id".into()),
        repeats,
        batch: Some(Batch { form: Form::Array, results: Some(results) }),
        ..send()
    };
    HttpTarget::new(Client::new(options(url)).unwrap(), send).unwrap()
}

/// Fault or `ok`, and `*` for a verdict of the whole request.
async fn verdicts(target: &HttpTarget, keys: &[&str]) -> (Vec<String>, Vec<Result<Receipt, DeliveryError>>) {
    let parcels: Vec<Parcel> = keys.iter().map(|key| parcel(key)).collect();
    let verdicts = target.deliver(&parcels, &Permits::unbounded()).await;
    let words = verdicts.iter().map(|verdict| match verdict {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{}{}", error.fault.as_str(), if error.shared { "*" } else { "" }),
    });
    (words.collect(), verdicts)
}

#[tokio::test]
async fn one_request_carries_all_and_each_has_its_verdict_and_id() {
    let answer = r#"{"items":[{"status":200,"id":"№7"},{"status":"422","why":"нет товара"},{"status":503},{}]}"#;
    let receiver = receiver(move || (Code::MULTI_STATUS, answer).into_response()).await;
    let target = batched(&receiver.url, Repeats::Harmless, false);
    let (words, verdicts) = verdicts(&target, &["а", "б", "в", "г"]).await;
    assert_eq!(words, ["ok", "rejected", "busy", "ambiguous"]);
    assert_eq!(verdicts[0].as_ref().unwrap().receiver_id.as_deref(), Some("№7"));
    let refused = verdicts[1].as_ref().unwrap_err();
    assert!(refused.message.contains("POST /stock/{stream} with 4 records"), "{refused}");
    let said = refused.exchange.answer.as_deref().unwrap();
    assert!(said.starts_with("422 in its result") && said.contains("нет товара") && !said.contains("503"), "{said}");
    let asked = receiver.asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    let one = r#"{"сумма":10.50,"note":"hunter2-secret"}"#;
    assert!(
        asked[0].starts_with("POST /api/stock/orders\n") && asked[0].ends_with(&format!("[{one},{one},{one},{one}]"))
    );
    assert!(asked[0].contains("x-what: orders\n") && asked[0].contains("bus-stream: orders\n"));
    assert!(!asked[0].contains("bus-seq") && !asked[0].contains("bus-message-id"), "of which one would it be?");
}

#[tokio::test]
async fn a_request_takes_one_permit() {
    use bus_core::ports::permits::{Closed, Permit, PermitSource};
    struct NoMore;
    #[async_trait]
    impl PermitSource for NoMore {
        async fn take(&self) -> Result<Permit, Closed> {
            Err(Closed { until: None })
        }
    }
    let receiver = receiver(|| r#"{"items":[{"status":200},{"status":200}]}"#.into_response()).await;
    let target = batched(&receiver.url, Repeats::Harmless, false);
    let permits = Permits::new(Some(Permit::unbounded()), Arc::new(NoMore));
    let verdicts = target.deliver(&["1", "2"].map(parcel), &permits).await;
    assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
    let verdicts = target.deliver(&["1", "2"].map(parcel), &permits).await;
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Err(error) if error.shared)), "{verdicts:?}");
    assert_eq!(receiver.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_status_says_of_all() {
    type Row = (u16, &'static str, [&'static str; 2], [&'static str; 2]);
    let (busy, rejected) = (["busy*"; 2], ["rejected*"; 2]);
    let in_doubt = ["ambiguous*"; 2];
    let rows: [Row; 10] = [
        // status, answer, where a repeat is harmless, where it does harm
        (500, "", busy, in_doubt),
        (503, "", ["unavailable*"; 2], ["unavailable*"; 2]),
        (429, "", ["throttled*"; 2], ["throttled*"; 2]),
        (401, "", ["misconfigured*"; 2], ["misconfigured*"; 2]),
        (409, "", busy, busy),
        (422, "б: нет такого", rejected, rejected),
        (422, r#"{"items":[{"status":422},{"status":200}]}"#, ["rejected", "ok"], ["rejected", "ok"]),
        (200, "{}", ["misconfigured*"; 2], in_doubt),
        (200, r#"{"items":[{"status":200}]}"#, in_doubt, in_doubt),
        (503, r#"{"items":[{"status":200},{"status":200}]}"#, ["unavailable*"; 2], ["unavailable*"; 2]),
    ];
    for (status, answer, harmless, harmful) in rows {
        let receiver = receiver(move || (Code::from_u16(status).unwrap(), answer).into_response()).await;
        for (repeats, expected) in [(Repeats::Harmless, harmless), (Repeats::Harmful, harmful)] {
            let (words, verdicts) = verdicts(&batched(&receiver.url, repeats, false), &["1", "2"]).await;
            assert_eq!(words, expected, "{status} {answer} {repeats:?}");
            for error in verdicts.iter().filter_map(|verdict| verdict.as_ref().err()).filter(|error| error.shared) {
                let said = error.exchange.answer.as_deref().unwrap();
                assert!(!said.contains("нет такого"), "it may be about another record: {said}");
            }
        }
    }
}

#[tokio::test]
async fn alone_the_whole_answer_is_kept() {
    let receiver = receiver(|| (Code::UNPROCESSABLE_ENTITY, "нет такого").into_response()).await;
    let (words, verdicts) = verdicts(&batched(&receiver.url, Repeats::Harmless, false), &["1"]).await;
    assert_eq!(words, ["rejected*"]);
    let said = verdicts[0].as_ref().unwrap_err().exchange.answer.clone().unwrap();
    assert!(said.contains("нет такого"), "{said}");
}

#[tokio::test]
async fn results_may_name_their_records_in_any_order() {
    let answer = r#"{"items":[{"key":"в","status":"ok"},{"key":"а","status":"ok"}]}"#;
    let receiver = receiver(move || answer.into_response()).await;
    let (words, _) = verdicts(&batched(&receiver.url, Repeats::Harmful, true), &["а", "б", "в"]).await;
    assert_eq!(words, ["ok", "ambiguous", "ok"], "what is not named is not known");
}

#[tokio::test]
async fn without_results_the_status_is_enough_unless_it_says_that_it_is_not() {
    for (code, repeats, expected) in [
        (200, Repeats::Harmless, "ok"),
        (207, Repeats::Harmless, "misconfigured*"),
        (207, Repeats::Harmful, "ambiguous*"),
    ] {
        let receiver = receiver(move || Code::from_u16(code).unwrap().into_response()).await;
        let mut target = batched(&receiver.url, repeats, false);
        target.send.batch = Some(Batch::default());
        let (words, _) = verdicts(&target, &["1", "2"]).await;
        assert_eq!(words, [expected, expected], "{code}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_or_never_comes_leaves_all_in_doubt() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"items\"";
    for bytes in [&b""[..], cut] {
        let (words, _) = verdicts(&batched(&socket(bytes, false).await, Repeats::Harmless, false), &["1", "2"]).await;
        assert_eq!(words, ["ambiguous*"; 2]);
    }
}

#[tokio::test]
async fn a_deletion_has_its_own_request() {
    let receiver = receiver(|| Code::OK.into_response()).await;
    let target = batched(&receiver.url, Repeats::Harmless, false);
    let verdicts = target.deliver(&[delete("1", Some("77"), true)], &Permits::unbounded()).await;
    assert!(verdicts[0].is_ok());
    let asked = receiver.asked.lock().unwrap();
    assert!(asked[0].starts_with("DELETE /api/orders/77\n") && asked[0].contains("bus-seq: 3.17\n"), "{asked:?}");
}

#[test]
fn a_preview_is_the_request_of_all_its_records() {
    let target = batched("http://h/api", Repeats::Harmless, false);
    for (parcels, records) in [(vec![parcel("1")], 1), (vec![parcel("1"), parcel("2")], 2)] {
        let preview = target.preview(&parcels).unwrap().unwrap();
        assert_eq!((preview.method.as_str(), preview.path.as_str()), ("POST", "/stock/orders"));
        let body: Vec<serde_json::Value> = serde_json::from_slice(&preview.body).unwrap();
        assert_eq!(body.len(), records);
    }
    assert!(target.preview(&[parcel("1"), delete("2", Some("77"), true)]).unwrap().is_none(), "they share none");
}
