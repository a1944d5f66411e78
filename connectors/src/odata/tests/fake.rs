//! A base with one kind of document, as much of it as the tests ask for.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bus_core::vocabulary::StreamName;

use crate::odata::samples;
use crate::odata::{BaseOptions, Changes, OdataSource, Options, Read};
use crate::{Served, Serves};

/// What it does instead of answering.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Fails when more records are asked for.
    Full(usize),
    /// Ends the connection in the middle when more records are asked for.
    Cuts(usize),
    /// This status and text.
    Says(u16, &'static str),
}

pub struct Inside {
    /// Number and date.
    pub documents: Vec<(u64, String)>,
    pub mood: Mood,
    /// `$top` of each list.
    pub tops: Vec<usize>,
    /// Removed after the next list.
    pub remove: Vec<u64>,
    pub at_once: usize,
    pub most_at_once: usize,
    pub slow: Duration,
}

#[derive(Clone)]
pub struct Fake {
    pub inside: Arc<Mutex<Inside>>,
    pub url: String,
}

pub fn guid(number: u64) -> String {
    format!("{number:08x}-cd73-11e6-aede-5404a6b4b8ed")
}

impl Fake {
    pub async fn start(documents: u64) -> Self {
        let date = |number| format!("2026-11-22T10:{:02}:00", number / 10 % 60);
        let inside = Inside {
            documents: (1..=documents).map(|number| (number, date(number))).collect(),
            mood: Mood::Well,
            tops: Vec::new(),
            remove: Vec::new(),
            at_once: 0,
            most_at_once: 0,
            slow: Duration::ZERO,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base/odata/standard.odata", listener.local_addr().unwrap());
        let fake = Self { inside: Arc::new(Mutex::new(inside)), url };
        let app = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        fake
    }

    pub fn set(&self, mood: Mood) {
        self.inside.lock().unwrap().mood = mood;
    }

    pub fn options(&self, changes: Changes) -> Options {
        let stream = StreamName::new("заказы").unwrap();
        Options {
            base: BaseOptions::at(self.url.parse().unwrap(), Duration::from_secs(20)),
            serves: Serves::One(Served {
                stream: stream.clone(),
                key: vec!["Ref_Key".into()],
                label: Some("Number".into()),
                date: None,
            }),
            reads: vec![Read::all(stream, "Document_Заказ")],
            changes,
            seen: None,
            signs: crate::odata::Signs::default(),
        }
    }

    pub fn source(&self, changes: Changes) -> OdataSource {
        OdataSource::new(self.options(changes)).unwrap()
    }
}

async fn answer(State(fake): State<Fake>, uri: Uri, Query(query): Query<HashMap<String, String>>) -> Response {
    assert!(!uri.to_string().contains('+') && uri.to_string().is_ascii(), "{uri}");
    let slow = {
        let mut inside = fake.inside.lock().unwrap();
        inside.at_once += 1;
        inside.most_at_once = inside.most_at_once.max(inside.at_once);
        inside.slow
    };
    tokio::time::sleep(slow).await;
    let mut inside = fake.inside.lock().unwrap();
    inside.at_once -= 1;
    if let Mood::Says(status, text) = inside.mood {
        return (StatusCode::from_u16(status).unwrap(), text).into_response();
    }
    let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8().unwrap().into_owned();
    match path.rsplit("standard.odata/").next().unwrap() {
        "$metadata" => samples::METADATA.into_response(),
        "Document_Заказ" => list(&mut inside, &query),
        "AccumulationRegister_Остатки/Balance()" => {
            let rows: Vec<String> =
                (1..=30).map(|n| format!("{{\"Товар_Key\":\"{}\",\"КоличествоBalance\":{n}.50}}", guid(n))).collect();
            format!("{{\"odata.metadata\":\"x\",\"value\":[{}]}}", rows.join(",")).into_response()
        }
        _ => (StatusCode::NOT_FOUND, r#"{"odata.error":{"code":"8","message":{"value":"нет"}}}"#).into_response(),
    }
}

fn list(inside: &mut Inside, query: &HashMap<String, String>) -> Response {
    let number = |name: &str| query.get(name).map(|text| text.parse::<usize>().unwrap());
    let top = number("$top").unwrap_or(usize::MAX);
    inside.tops.push(top);
    let filter = query.get("$filter").cloned().unwrap_or_default();
    let from = filter.split("Date ge datetime'").nth(1).map(|rest| rest[..19].to_owned()).unwrap_or_default();
    let mut documents: Vec<_> = inside.documents.clone();
    if filter.contains("Ref_Key eq") {
        documents.retain(|(number, _)| filter.contains(&format!("guid'{}'", guid(*number))));
    }
    let before = filter.split("Date lt datetime'").nth(1).map(|rest| rest[..19].to_owned());
    documents.retain(|(_, date)| *date >= from && before.as_ref().is_none_or(|before| date < before));
    if query.get("$orderby").is_some_and(|order| order.starts_with("Date,")) {
        documents.sort_by(|left, right| (&left.1, left.0).cmp(&(&right.1, right.0)));
    }
    let found: Vec<_> = documents.into_iter().skip(number("$skip").unwrap_or(0)).take(top).collect();
    let remove = std::mem::take(&mut inside.remove);
    inside.documents.retain(|(number, _)| !remove.contains(number));
    let body = if query["$format"] == "atom" { atom(&found) } else { json(&found) };
    match inside.mood {
        Mood::Full(most) if top > most => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "<html><h2>1C:Enterprise 8 application error:</h2>The device is full</html>",
        )
            .into_response(),
        // The length says more than comes: the client sees the connection end too early.
        Mood::Cuts(most) if top > most => {
            let half = bytes::Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
            ([("content-length", body.len().to_string())], half).into_response()
        }
        _ => ([("content-type", "text/plain;charset=windows-1251")], format!("\u{feff}{body}")).into_response(),
    }
}

fn json(found: &[(u64, String)]) -> String {
    let mut rows = Vec::new();
    for (number, date) in found {
        let key = guid(*number);
        rows.push(format!(
            "{{\r\n\"Number\": \"ТД-{number:05}  \",\"Ref_Key\": \"{key}\",\"Date\": \"{date}\",\"Сумма\": {number}.10,\
             \"Мест\": \"{number}\",\"Контрагент@navigationLinkUrl\": \"x\",\
             \"Товары\": [{{\"Ref_Key\": \"{key}\",\"LineNumber\": \"1\",\"Цена\": 3333.330}}]}}"
        ));
    }
    format!("{{\"odata.metadata\": \"x\",\"value\": [{}]}}", rows.join(","))
}

fn atom(found: &[(u64, String)]) -> String {
    let mut feed = "<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:d=\"http://schemas.microsoft.com/ado/2007/08/dataservices\" \
                    xmlns:m=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\">"
        .to_owned();
    for (number, date) in found {
        let key = guid(*number);
        write!(
            feed,
            "<entry><category term=\"StandardODATA.Document_Заказ\"/><content><m:properties>\n<d:Мест>{number}</d:Мест>\
             <d:Сумма>{number}.10</d:Сумма><d:Ref_Key>{key}</d:Ref_Key><d:Date>{date}</d:Date>\
             <d:Товары m:type=\"Collection(StandardODATA.Р)\"><d:element m:type=\"StandardODATA.Р\"><d:Цена>3333.330</d:Цена>\
             <d:LineNumber>1</d:LineNumber></d:element></d:Товары><d:Number>ТД-{number:05}  </d:Number>\n</m:properties></content></entry>"
        )
        .unwrap();
    }
    feed + "</feed>"
}
