//! The target against real servers: one that answers as told, and one that cuts and hangs on the bare socket.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request as Asked, State};
use axum::response::{IntoResponse, Response};
use bus_core::vocabulary::{ContentHash, Envelope, Key, MessageId, Moment, Secret, Seq, StreamName};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::http::Options;

mod together;

pub(in crate::http) fn parcel(key: &str) -> Parcel {
    let (stream, key) = (StreamName::new("orders").unwrap(), Key::from_stored(key));
    let body = Bytes::from(r#"{"сумма":10.50,"note":"hunter2-secret"}"#);
    let hash = ContentHash::of(Operation::Upsert, &body);
    let envelope = Envelope {
        id: MessageId::derive(&stream, &key, 1, &hash),
        stream,
        key,
        seq: Seq { epoch: 3, number: 17 },
        generation: 1,
        operation: Operation::Upsert,
        time: Moment(0),
        label: None,
        hash,
        body: body.clone(),
    };
    let idempotency_key = "id/заказы/0".to_owned();
    Parcel { envelope, operation: Operation::Upsert, body, idempotency_key, receiver_id: None, exists: false }
}

fn delete(key: &str, receiver_id: Option<&str>, exists: bool) -> Parcel {
    let receiver_id = receiver_id.map(str::to_owned);
    Parcel { operation: Operation::Delete, receiver_id, exists, ..parcel(key) }
}

/// Answers each request with the next line of a script and keeps what was asked.
struct Receiver {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

type Script = Arc<dyn Fn() -> Response + std::marker::Send + Sync>;

async fn receiver(answer: impl Fn() -> Response + std::marker::Send + Sync + 'static) -> Receiver {
    type Shared = (Script, Arc<Mutex<Vec<String>>>);
    async fn handle(State((script, asked)): State<Shared>, request: Asked) -> Response {
        let mut text = format!("{} {}\n", request.method(), request.uri());
        for (name, value) in request.headers() {
            text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        }
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        text.push_str(std::str::from_utf8(&body).unwrap());
        asked.lock().unwrap().push(text);
        script()
    }
    let asked = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/", listener.local_addr().unwrap());
    let shared: Shared = (Arc::new(answer), Arc::clone(&asked));
    let router = Router::new().fallback(handle).with_state(shared);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Receiver { url, asked }
}

/// Reads a request, sends `bytes` and then cuts or hangs.
async fn socket(bytes: &'static [u8], hang: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            stream.write_all(bytes).await.unwrap();
            if hang {
                held.push(stream);
            }
        }
    });
    url
}

fn options(url: &str) -> Options {
    let secret = Header { name: "X-API-Key".into(), value: HeaderValue::Secret(Secret::new("hunter2-secret")) };
    let (url, timeout) = (url.parse().unwrap(), Duration::from_secs(5));
    Options { url, headers: vec![secret], basic: None, ca_pem: None, timeout }
}

fn send() -> Send {
    Send {
        upsert: Request { method: Method::PUT, path: "/orders/{key}".parse().unwrap() },
        on_delete: Some(Request { method: Method::DELETE, path: "/orders/{receiver_id}".parse().unwrap() }),
        headers: vec![Header { name: "X-Key".into(), value: HeaderValue::Template("{key}".parse().unwrap()) }],
        receiver_id: Some("/data/id".into()),
        idempotency_header: None,
        repeats: Repeats::Harmless,
        batch: None,
    }
}

fn target(url: &str) -> HttpTarget {
    HttpTarget::new(Client::new(options(url)).unwrap(), send()).unwrap()
}

async fn one(target: &HttpTarget, parcel: &Parcel) -> Result<Receipt, DeliveryError> {
    target.deliver(std::slice::from_ref(parcel), &Permits::unbounded()).await.remove(0)
}

#[tokio::test]
async fn a_record_is_put_with_its_headers_and_the_id_comes_back() {
    let receiver =
        receiver(|| (axum::http::StatusCode::CREATED, r#"{"data":{"id":12345678901234567890}}"#).into_response()).await;
    let mut send = send();
    send.repeats = Repeats::Recognised;
    let target = HttpTarget::new(Client::new(options(&receiver.url)).unwrap(), send).unwrap();
    let receipt = one(&target, &parcel("УТ-1/2")).await.unwrap();
    assert_eq!(receipt.receiver_id.as_deref(), Some("12345678901234567890"));
    let asked = receiver.asked.lock().unwrap().remove(0);
    for expected in [
        "PUT /api/orders/%D0%A3%D0%A2-1%2F2\n",
        "content-type: application/json\n",
        "bus-seq: 3.17\n",
        "bus-stream: orders\n",
        "idempotency-key: id/%D0%B7%D0%B0%D0%BA%D0%B0%D0%B7%D1%8B/0\n",
        "x-key: %D0%A3%D0%A2-1/2\n",
        "x-api-key: hunter2-secret\n",
        r#"{"сумма":10.50,"#,
    ] {
        assert!(asked.contains(expected), "{expected} is not in {asked}");
    }
}

#[tokio::test]
async fn a_delete_needs_the_id_unless_nothing_is_there() {
    let receiver = receiver(|| axum::http::StatusCode::NOT_FOUND.into_response()).await;
    let target = target(&receiver.url);
    one(&target, &delete("1", Some("77"), true)).await.expect("404 says that it is not there");
    one(&target, &delete("1", None, false)).await.expect("it never was there");
    let error = one(&target, &delete("1", None, true)).await.unwrap_err();
    assert!(error.fault == Fault::Rejected && error.message.contains("receiver's id"), "{error}");
    let asked = receiver.asked.lock().unwrap();
    assert!(asked.len() == 1 && asked[0].starts_with("DELETE /api/orders/77\n"), "{asked:?}");
}

#[tokio::test]
async fn failures_are_classified_and_secrets_are_masked() {
    type Answer = fn() -> Response;
    let page: Answer = || (axum::http::StatusCode::BAD_GATEWAY, "<html><title>Плохо</title></html>").into_response();
    let echo: Answer = || (axum::http::StatusCode::UNPROCESSABLE_ENTITY, "no hunter2-secret").into_response();
    let moved: Answer =
        || (axum::http::StatusCode::FOUND, [("location", "https://new.example/api?k=1")]).into_response();
    let slower: Answer = || (axum::http::StatusCode::TOO_MANY_REQUESTS, [("retry-after", "30")]).into_response();
    let throttled = Fault::Throttled { retry_after: Some(Duration::from_secs(30)) };
    for (answer, fault, message, kept) in [
        (page, Fault::Unavailable, "502", "(a page) Плохо"),
        (echo, Fault::Rejected, "422", "no ***"),
        (moved, Fault::Misconfigured, "https://new.example/api:", "302"),
        (slower, throttled, "429", "429"),
    ] {
        let receiver = receiver(answer).await;
        let error = one(&target(&receiver.url), &parcel("УТ-1")).await.unwrap_err();
        assert_eq!(error.fault, fault, "{error}");
        assert!(error.message.contains(message) && !error.message.contains("%D0"), "{error}");
        let (request, answer) = (error.exchange.request.unwrap(), error.exchange.answer.unwrap());
        assert!(answer.contains(kept), "{answer}");
        assert!(request.contains("10.50") && !request.contains("hunter2") && !answer.contains("hunter2"), "{request}");
    }
}

/// Not as they were configured, but as they were sent.
#[tokio::test]
async fn credentials_that_are_echoed_are_masked_as_they_were_sent() {
    let basic = "YnVzOnBhc3Mtd29yZA==";
    let echo =
        move || (axum::http::StatusCode::UNPROCESSABLE_ENTITY, format!("got Basic {basic}, key hunter2-secret;"));
    let receiver = receiver(move || echo().into_response()).await;
    let mut options = options(&receiver.url);
    options.basic = Some(("bus".to_owned(), Secret::new("pass-word")));
    options.headers[0].value = HeaderValue::Secret(Secret::new("hunter2-secret\n"));
    let target = HttpTarget::new(Client::new(options).unwrap(), send()).unwrap();
    let error = one(&target, &parcel("1")).await.unwrap_err();
    assert!(receiver.asked.lock().unwrap()[0].contains(basic), "it was sent in this form");
    assert!(error.exchange.answer.unwrap().ends_with("got Basic ***, key ***;"));
}

#[tokio::test]
async fn what_may_have_arrived_is_ambiguous_and_what_cannot_have_is_not() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\"";
    for (url, fault) in [
        (format!("http://{closed}"), Fault::Unavailable),
        ("http://no-such-host.invalid".to_owned(), Fault::Unavailable),
        (socket(b"", false).await, Fault::Ambiguous),
        (socket(b"HTTP/1.1 20", false).await, Fault::Ambiguous),
        (socket(cut, false).await, Fault::Ambiguous),
    ] {
        let error = one(&target(&url), &parcel("1")).await.unwrap_err();
        assert_eq!(error.fault, fault, "{url}: {error}");
    }
    // Accepted, and nothing is wanted from the rest.
    let mut without_id = send();
    without_id.receiver_id = None;
    let target = HttpTarget::new(Client::new(options(&socket(cut, false).await)).unwrap(), without_id).unwrap();
    one(&target, &parcel("1")).await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_hangs_is_bounded_by_the_deadline() {
    let mut options = options(&socket(b"", true).await);
    options.timeout = Duration::from_millis(200);
    let target = HttpTarget::new(Client::new(options).unwrap(), send()).unwrap();
    let begun = Instant::now();
    let error = one(&target, &parcel("1")).await.unwrap_err();
    assert_eq!(error.fault, Fault::Ambiguous);
    assert!(begun.elapsed() < target.deadline(), "{:?}", begun.elapsed());
    assert_eq!(target.check().await.unwrap_err().fault, Fault::Unavailable);
}

#[tokio::test]
async fn a_huge_answer_is_neither_read_nor_kept_whole() {
    let receiver = receiver(|| (axum::http::StatusCode::BAD_REQUEST, "я".repeat(2 << 20)).into_response()).await;
    let error = one(&target(&receiver.url), &parcel("1")).await.unwrap_err();
    assert_eq!(error.fault, Fault::Rejected);
    let kept = error.exchange.answer.unwrap().len();
    assert!((60_000..70_000).contains(&kept), "{kept}");
}

#[tokio::test]
async fn a_system_that_is_down_is_asked_once_per_slice() {
    let receiver = receiver(|| axum::http::StatusCode::SERVICE_UNAVAILABLE.into_response()).await;
    let parcels = ["1", "2", "3"].map(parcel);
    let verdicts = target(&receiver.url).deliver(&parcels, &Permits::unbounded()).await;
    assert!(verdicts.iter().all(|verdict| verdict.as_ref().unwrap_err().fault == Fault::Unavailable));
    assert_eq!((verdicts.len(), receiver.asked.lock().unwrap().len()), (3, 1));
}

#[tokio::test]
async fn a_check_says_what_becomes_of_credentials() {
    let open = receiver(|| (axum::http::StatusCode::NOT_FOUND, [("server", "shop/1")]).into_response()).await;
    let report = target(&open.url).check().await.unwrap();
    assert_eq!(report.version, "shop/1");
    assert!(report.rights[0].contains("not refused") && report.rights[0].contains("404"), "{report:?}");
    assert!(open.asked.lock().unwrap()[0].starts_with("HEAD /api"));
    let closed = receiver(|| axum::http::StatusCode::UNAUTHORIZED.into_response()).await;
    let error = target(&closed.url).check().await.unwrap_err();
    assert_eq!(error.fault, Fault::Misconfigured);
    assert!(error.message.contains("401") && error.message.contains("`password`"), "{error}");
}

#[test]
fn repeating_is_harmless_only_where_it_is_said() {
    for (repeats, expected) in [
        (Repeats::Recognised, Idempotency::Idempotent),
        (Repeats::Harmless, Idempotency::Idempotent),
        (Repeats::Harmful, Idempotency::NonIdempotent),
    ] {
        let mut send = send();
        send.repeats = repeats;
        let target = HttpTarget::new(Client::new(options("http://user:pass@h/api?x=1")).unwrap(), send).unwrap();
        assert_eq!(target.idempotency(), expected, "{repeats:?}");
        assert_eq!(target.client.url("/a").as_str(), "http://h/api/a");
        let preview = target.preview(&[parcel("1")]).unwrap().unwrap();
        assert!(preview.headers.contains(&("authorization".to_owned(), "***".to_owned())), "{preview:?}");
    }
}
