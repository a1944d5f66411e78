//! However many documents a base has, reading them takes as much memory: counted by the allocator, so neither a slow machine nor what the
//! system makes of freed memory changes the figure. What is read is made up while it is sent, and dropped as it comes.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use bus_connectors::odata::{BaseOptions, Changes, OdataSource, Options, Plan, Read};
use bus_connectors::{Served, Serves, Several};
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{BatchLimit, Source};
use bus_core::vocabulary::{Cursor, StreamName};
use peak_alloc::PeakAlloc;
use std::collections::HashMap;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const FEW: usize = 400;
const MANY: usize = 1_600;
const LINES: usize = 4;
const LIMIT: BatchLimit = BatchLimit { records: 200, bytes: 256 * 1024 };
/// A page as bytes, as fields and as records, the base's own answer beside them, and what a socket holds back. Without pages, or with an
/// answer of a plan in memory, `MANY` take more.
const MOST: usize = 8 * 1024 * 1024;
const NODE: &str = "00000001-cd73-11e6-aede-5404a6b4b8ed";

const METADATA: &str = r#"<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0"><edmx:DataServices>
<Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="StandardODATA">
<EntityType Name="Document_Заказ"><Key><PropertyRef Name="Ref_Key"/></Key><Property Name="Ref_Key" Type="Edm.Guid"/>
<Property Name="Number" Type="Edm.String"/><Property Name="Date" Type="Edm.DateTime"/><Property Name="Сумма" Type="Edm.Double"/>
<Property Name="Комментарий" Type="Edm.String"/><Property Name="Товары" Type="Collection(StandardODATA.Document_Заказ_Товары_RowType)"/></EntityType>
<ComplexType Name="Document_Заказ_Товары_RowType"><Property Name="Ref_Key" Type="Edm.Guid"/><Property Name="LineNumber" Type="Edm.Int64"/>
<Property Name="Номенклатура_Key" Type="Edm.Guid"/><Property Name="Количество" Type="Edm.Double"/><Property Name="Цена" Type="Edm.Double"/></ComplexType>
<EntityContainer Name="EnterpriseV8"><EntitySet Name="Document_Заказ" EntityType="StandardODATA.Document_Заказ"/></EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>"#;

fn guid(number: usize) -> String {
    format!("{number:08x}-cd73-11e6-aede-5404a6b4b8ed")
}

fn json(number: usize) -> String {
    let key = guid(number);
    let line = |line: usize| {
        format!(
            "{{\"Ref_Key\": \"{key}\",\"LineNumber\": \"{line}\",\"Номенклатура_Key\": \"{}\",\"Количество\": {line}.500,\"Цена\": 3333.330}}",
            guid(line)
        )
    };
    let lines: Vec<String> = (1..=LINES).map(line).collect();
    format!(
        "{{\"Ref_Key\": \"{key}\",\"Number\": \"УТ-{number:06}\",\"Date\": \"2026-11-22T10:00:00\",\"Сумма\": {number}.10,\
         \"Комментарий\": \"позвонить за час\",\"Товары\": [{}]}}",
        lines.join(",")
    )
}

fn atom(number: usize) -> String {
    let mut lines = String::new();
    for line in 1..=LINES {
        write!(
            lines,
            "<d:element m:type=\"StandardODATA.Р\"><d:LineNumber>{line}</d:LineNumber><d:Номенклатура_Key>{}</d:Номенклатура_Key>\
             <d:Количество>{line}.500</d:Количество><d:Цена>3333.330</d:Цена></d:element>",
            guid(line)
        )
        .unwrap();
    }
    format!(
        "<entry><category term=\"StandardODATA.Document_Заказ\"/><content><m:properties>\n<d:Ref_Key>{}</d:Ref_Key>\
         <d:Number>УТ-{number:06}</d:Number><d:Date>2026-11-22T10:00:00</d:Date><d:Сумма>{number}.10</d:Сумма>\
         <d:Комментарий>позвонить за час</d:Комментарий><d:Товары m:type=\"Collection(StandardODATA.Р)\">{lines}</d:Товары>\
         </m:properties></content></entry>",
        guid(number)
    )
}

/// Made as it is taken: the base keeps no more of an answer than one document.
fn answer(begin: &'static str, documents: std::ops::Range<usize>, atom_form: bool, end: &'static str) -> Response {
    let first = documents.start;
    let document = move |number: usize| {
        let comma = if atom_form || number == first { "" } else { "," };
        format!("{comma}{}", if atom_form { atom(number) } else { json(number) })
    };
    let parts = std::iter::once(begin.to_owned()).chain(documents.map(document)).chain([end.to_owned()]);
    let parts = parts.map(|part| Ok::<_, std::convert::Infallible>(Bytes::from(part)));
    Body::from_stream(futures::stream::iter(parts)).into_response()
}

const FEED: &str = "<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:d=\"http://schemas.microsoft.com/ado/2007/08/dataservices\" \
                    xmlns:m=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\">";

async fn serve(State(count): State<usize>, uri: Uri, Query(query): Query<HashMap<String, String>>) -> Response {
    let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8().unwrap().into_owned();
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    match path.rsplit("standard.odata/").next().unwrap() {
        "$metadata" => METADATA.into_response(),
        "ExchangePlan_Шина" => {
            format!("{{\"value\":[{{\"Ref_Key\":\"{NODE}\",\"Code\":\"Ш\",\"SentNo\":\"0\",\"ReceivedNo\":\"0\"}}]}}")
                .into_response()
        }
        "SelectChanges" => answer(FEED, 1..count + 1, true, "</feed>"),
        "NotifyChangesReceived" => "".into_response(),
        _ => {
            let from = 1 + number("$skip").unwrap_or(0);
            let to = (from + number("$top").unwrap_or(usize::MAX - from)).min(count + 1);
            match query["$format"].as_str() {
                "atom" => answer(FEED, from..to.max(from), true, "</feed>"),
                _ => answer("{\"odata.metadata\": \"x\",\"value\": [", from..to.max(from), false, "]}"),
            }
        }
    }
}

async fn base(count: usize) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base/odata/standard.odata", listener.local_addr().unwrap());
    let app = Router::new().fallback(serve).with_state(count);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn source(url: &str, atom: bool, plan: Option<&Path>) -> OdataSource {
    let stream = StreamName::new("заказы").unwrap();
    let served = Served { stream: stream.clone(), key: vec!["Ref_Key".into()], label: None, date: None };
    let several =
        |served| Several {
            feed: stream.clone(), column: "e".into(), streams: vec![("Document_Заказ".into(), served)]
        };
    let changes = plan.map_or(Changes::Diff, |spool| {
        Changes::Plan(Plan {
            plan: "ExchangePlan_Шина".into(),
            node: "Ш".into(),
            point: None,
            spool: spool.to_owned(),
            quiet: Duration::from_secs(1),
        })
    });
    let serves = if plan.is_some() { Serves::Several(several(served)) } else { Serves::One(served) };
    let reads = vec![Read { atom, ..Read::all(stream.clone(), "Document_Заказ") }];
    let base = BaseOptions::at(url.parse().unwrap(), Duration::from_secs(20));
    OdataSource::new(Options { base, serves, reads, changes, seen: None, signs: Default::default() }).unwrap()
}

/// Pages of the list to its end; how many records they held.
async fn scan(source: &mut OdataSource) -> usize {
    let (mut count, mut restart) = (0, true);
    loop {
        let page = source.scan(restart, LIMIT, &Permits::unbounded()).await.unwrap();
        (count, restart) = (count + page.records.len(), false);
        assert!(page.unreadable.is_empty());
        if page.complete {
            return count;
        }
    }
}

/// The answer of the plan, from the spool in batches, acknowledged.
async fn changes(source: &mut OdataSource) -> usize {
    let (mut count, mut cursor) = (0, None::<Cursor>);
    loop {
        let batch = source.fetch(cursor.as_ref(), LIMIT, &Permits::unbounded()).await.unwrap();
        assert!(batch.unreadable.is_empty());
        count += batch.records.len();
        cursor = batch.next;
        let is_all = cursor.as_ref().unwrap().as_str().contains("\"done\":true");
        source.committed(cursor.as_ref(), &Permits::unbounded()).await.unwrap();
        if is_all {
            return count;
        }
    }
}

#[tokio::test]
async fn memory_does_not_grow_with_the_number_of_documents() {
    for (what, atom, planned) in [("JSON", false, false), ("Atom", true, false), ("an exchange plan", false, true)] {
        let mut peaks = Vec::new();
        for count in [FEW, FEW, MANY] {
            let folder = tempfile::tempdir().unwrap();
            let mut source = source(&base(count).await, atom, planned.then(|| folder.path()));
            let before = ALLOCATOR.current_usage();
            ALLOCATOR.reset_peak_usage();
            let read = if planned { changes(&mut source).await } else { scan(&mut source).await };
            assert_eq!(read, count, "{what}");
            peaks.push(ALLOCATOR.peak_usage().saturating_sub(before));
        }
        println!("{what}: {peaks:?} bytes at most, for {FEW}, {FEW} and {MANY} documents");
        assert!(peaks[2] < MOST, "{what}: {peaks:?}");
        assert!(peaks[2] < peaks[1] * 2, "{what}: memory grows with the number of documents: {peaks:?}");
    }
}
