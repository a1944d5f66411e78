//! The SQL source against a real PostgreSQL: exact values, pages, late commits, scans, presence.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use bus_connectors::sql::{CursorColumn, Options, Overlap, SqlSource};
use bus_connectors::{Served, Serves, Several};
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{Batch, BatchLimit, Part, Source, SourceFault};
use bus_core::vocabulary::{Cursor, Key, Period, Secret, StreamName};
use bus_tests::servers::Postgres;
use sqlx::{Connection, Executor, PgConnection};

const LIMIT: BatchLimit = BatchLimit { records: 100, bytes: 1 << 20 };

struct Base {
    server: &'static Postgres,
    name: String,
}

impl Base {
    async fn new(schema: &str) -> Self {
        let server = Postgres::shared().await.unwrap();
        let base = Self { server, name: server.database().await.unwrap() };
        base.run(schema).await;
        base
    }

    async fn run(&self, statements: &str) {
        self.server.execute(&self.name, statements).await.unwrap();
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.server.url_of(&self.name)).await.unwrap()
    }

    fn options(&self, query: &str, cursor: Option<(&str, Overlap)>) -> Options {
        Options {
            url: Secret::new(self.server.url_of(&self.name)),
            ca_pem: None,
            serves: Serves::One(Served {
                stream: StreamName::new("заказы").unwrap(),
                key: vec!["id".into()],
                label: None,
                date: None,
            }),
            query: query.into(),
            cursor: cursor.map(|(column, overlap)| CursorColumn { column: column.into(), overlap }),
            timeout: Duration::from_secs(20),
            tape: None,
        }
    }

    fn source(&self, query: &str, cursor: Option<(&str, Overlap)>) -> SqlSource {
        SqlSource::new(self.options(query, cursor)).unwrap()
    }
}

async fn fetch(source: &mut SqlSource, after: Option<&Cursor>, limit: BatchLimit) -> Batch {
    source.fetch(after, limit, &Permits::unbounded()).await.unwrap()
}

/// Polls to the end as the engine does; counts how often each key came.
async fn poll(source: &mut SqlSource, cursor: &mut Option<Cursor>, limit: BatchLimit) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for _ in 0..1000 {
        let batch = fetch(source, cursor.as_ref(), limit).await;
        for record in &batch.records {
            *seen.entry(record.key.as_str().to_owned()).or_default() += 1;
        }
        *cursor = batch.next;
        if !batch.more {
            return seen;
        }
    }
    panic!("the poll does not end");
}

/// Polls until all that was read is safe. That takes until every transaction that was open on the whole server has ended,
/// and other tests hold theirs for a while.
async fn settle(source: &mut SqlSource, cursor: &mut Option<Cursor>, limit: BatchLimit) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let before = cursor.clone();
        poll(source, cursor, limit).await;
        let text = cursor.as_ref().unwrap().as_str();
        if *cursor == before && !text.contains("\"pending\"") && !text.contains("\"next_safe\"") {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn values_keep_their_digits_and_types() {
    let base = Base::new("").await;
    let query = r#"SELECT 9223372036854775807 AS id, 12345678901234567890.1200::numeric AS "Сумма", 5::float8 AS f,
        0.1::float4 AS g, true AS b, E'\\xff00'::bytea AS raw, 'Ёж "1"'::text AS t, NULL::int AS n,
        '2026-11-22 13:00:00.5+03'::timestamptz AS tz, '2026-11-22'::date AS d, '{"a": 1.10}'::json AS j,
        array[1,2] AS list, '1 day'::interval AS i, '0f8fad5b-d9cb-469f-a165-70867728950e'::uuid AS u"#;
    let mut source = base.source(query, None);
    let page = source.scan(true, LIMIT, &Permits::unbounded()).await.unwrap();
    assert!(page.complete && page.unreadable.is_empty(), "{page:?}");
    assert_eq!(
        std::str::from_utf8(&page.records[0].body).unwrap(),
        r#"{"id":9223372036854775807,"Сумма":12345678901234567890.1200,"f":5.0,"g":0.1,"b":true,"raw":"/wA=","t":"Ёж \"1\"","n":null,"tz":"2026-11-22T10:00:00.5+00:00","d":"2026-11-22","j":{"a": 1.10},"list":[1,2],"i":"P1D","u":"0f8fad5b-d9cb-469f-a165-70867728950e"}"#
    );
}

#[tokio::test]
async fn a_bad_row_stops_nothing() {
    let base = Base::new(
        "CREATE TABLE t (id text, n numeric, at timestamptz);
         INSERT INTO t VALUES ('a', 1, '2026-01-01'), (NULL, 2, '2026-01-02'), ('c', 'NaN', '2026-01-03'),
                              ('d', 4, 'infinity'), ('e', 5, NULL), ('f', 6, '2026-01-04')",
    )
    .await;
    let query = "SELECT * FROM t WHERE at >= :cursor OR at IS NULL ORDER BY at";
    let mut source = base.source(query, Some(("at", Overlap::None)));
    let batch = fetch(&mut source, None, LIMIT).await;
    let keys: Vec<_> = batch.records.iter().map(|record| record.key.as_str()).collect();
    assert_eq!(keys, ["a", "f"]);
    let reasons: Vec<_> = batch.unreadable.iter().map(|row| row.reason.as_str()).collect();
    for (reason, expected) in reasons.iter().zip(["\"id\" is NULL", "column \"n\": NaN", "is infinite", "is NULL"]) {
        assert!(reason.contains(expected), "{reasons:?}");
    }
    // What can be read of such a row names it, and what cannot is shown.
    let known: Vec<_> =
        batch.unreadable.iter().map(|row| row.key.as_ref().map(|key| key.as_str().to_owned())).collect();
    assert_eq!(known, [None, Some("c".into()), Some("d".into()), Some("e".into())]);
    let raw = String::from_utf8_lossy(&batch.unreadable[1].raw).into_owned();
    assert!(raw.contains(r#""n":"NaN""#), "{raw}");
    // An infinite value has not moved the position: what comes now is still seen.
    base.run("INSERT INTO t VALUES ('g', 7, '2026-01-05')").await;
    let batch = fetch(&mut source, batch.next.as_ref(), LIMIT).await;
    assert!(batch.records.iter().any(|record| record.key.as_str() == "g"));
}

#[tokio::test]
async fn pages_keep_ties_whole_and_reach_every_row() {
    let base = Base::new(
        "CREATE TABLE t (id int, at timestamptz);
         INSERT INTO t SELECT i, timestamptz '2026-01-01' + (i / 700) * interval '1 s' FROM generate_series(1, 5000) i",
    )
    .await;
    let query = "SELECT id, at FROM t WHERE at >= :cursor ORDER BY at; -- to the end";
    let mut source = base.source(query, Some(("at", Overlap::None)));
    let mut cursor = None;
    let limit = BatchLimit { records: 50, bytes: 1 << 20 };
    let first = fetch(&mut source, None, limit).await;
    assert!(first.more && first.records.len() == 699, "the tie is whole: {}", first.records.len());
    assert_eq!(poll(&mut source, &mut cursor, limit).await.len(), 5000);
    settle(&mut source, &mut cursor, limit).await;
    let settled = cursor.clone();
    assert!(poll(&mut source, &mut cursor, limit).await.len() <= 700, "an idle table is not read again");
    assert_eq!(cursor, settled, "and its cursor is not written again");
}

/// Fault case 14: a transaction that began earlier commits later, with a lower value.
async fn late_commit(schema: &str, column: &str, insert: &str) {
    let base = Base::new(schema).await;
    base.run(&insert.replace("$ID", "'first'")).await;
    let mut source = base.source(
        &format!("SELECT id, {column} FROM t WHERE {column} >= :cursor ORDER BY {column}"),
        Some((column, Overlap::None)),
    );
    let mut cursor = None;
    assert_eq!(poll(&mut source, &mut cursor, LIMIT).await.len(), 1);

    let mut late = base.connect().await;
    late.execute("BEGIN").await.unwrap();
    late.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(insert.replace("$ID", "'late'")))).await.unwrap();
    // The position rises over the open transaction, poll after poll.
    for round in 0..3 {
        base.run(&insert.replace("$ID", &format!("'early{round}'"))).await;
        let seen = poll(&mut source, &mut cursor, LIMIT).await;
        assert!(seen.contains_key(&format!("early{round}")) && !seen.contains_key("late"), "{seen:?}");
    }
    late.execute("COMMIT").await.unwrap();
    assert!(poll(&mut source, &mut cursor, LIMIT).await.contains_key("late"));
    // And then the position moves on: nothing is read for ever. Transactions of other tests may hold it for a while.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while poll(&mut source, &mut cursor, LIMIT).await.len() > 1 {
        assert!(std::time::Instant::now() < deadline, "{}", cursor.unwrap().as_str());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_late_commit_is_seen_by_its_timestamp() {
    let schema = "CREATE TABLE t (id text, at timestamptz DEFAULT now())";
    late_commit(schema, "at", "INSERT INTO t (id) VALUES ($ID)").await;
}

#[tokio::test]
async fn a_late_commit_is_seen_by_its_number() {
    let schema = "CREATE TABLE t (id text, n bigserial)";
    late_commit(schema, "n", "INSERT INTO t (id) VALUES ($ID)").await;
}

#[tokio::test]
async fn a_transaction_that_read_before_it_wrote_is_seen() {
    let base =
        Base::new("CREATE TABLE t (id text, at timestamptz DEFAULT now()); INSERT INTO t VALUES ('first')").await;
    let query = "SELECT id, at FROM t WHERE at >= :cursor ORDER BY at";
    let mut source = base.source(query, Some(("at", Overlap::None)));
    let mut cursor = None;
    poll(&mut source, &mut cursor, LIMIT).await;
    // It has no transaction number yet, only a virtual one; its now() is fixed all the same.
    let mut late = base.connect().await;
    late.execute("BEGIN").await.unwrap();
    late.execute("SELECT now()").await.unwrap();
    for id in ["a", "b", "c"] {
        base.run(&format!("INSERT INTO t VALUES ('{id}')")).await;
        poll(&mut source, &mut cursor, LIMIT).await;
    }
    late.execute("INSERT INTO t VALUES ('late')").await.unwrap();
    late.execute("COMMIT").await.unwrap();
    assert!(poll(&mut source, &mut cursor, LIMIT).await.contains_key("late"));
}

#[tokio::test]
async fn an_overlap_looks_back() {
    let base = Base::new(
        "CREATE TABLE t (id text, at timestamp, n int);
         INSERT INTO t VALUES ('a', '2026-01-01 10:00:00', 1000)",
    )
    .await;
    for (column, overlap) in [("at", Overlap::Time(Duration::from_secs(30))), ("n", Overlap::Number(30))] {
        base.run("DELETE FROM t WHERE id <> 'a'").await;
        let query = format!("SELECT * FROM t WHERE {column} >= :cursor ORDER BY {column}");
        let mut source = base.source(&query, Some((column, overlap)));
        let mut cursor = None;
        settle(&mut source, &mut cursor, LIMIT).await;
        base.run("INSERT INTO t VALUES ('in', '2026-01-01 09:59:31', 971), ('out', '2026-01-01 09:59:29', 969)").await;
        let seen = poll(&mut source, &mut cursor, LIMIT).await;
        assert_eq!(seen.keys().collect::<Vec<_>>(), ["a", "in"], "{column}");
    }
}

#[tokio::test]
async fn a_scan_is_one_snapshot_and_presence_is_exact() {
    let base = Base::new("CREATE TABLE t (id numeric); INSERT INTO t SELECT i FROM generate_series(1, 3000) i").await;
    let mut source = base.source("SELECT id FROM t", None);
    let (limit, permits) = (BatchLimit { records: 700, bytes: 1 << 20 }, Permits::unbounded());
    assert!(source.scan(false, limit, &permits).await.is_err(), "none is under way");
    let mut page = source.scan(true, limit, &permits).await.unwrap();
    base.run("DELETE FROM t WHERE id > 2").await;
    let mut keys: Vec<Key> = Vec::new();
    while !page.complete {
        assert!(page.records.len() <= 700);
        keys.extend(page.records.into_iter().map(|record| record.key));
        page = source.scan(false, limit, &permits).await.unwrap();
    }
    keys.extend(page.records.into_iter().map(|record| record.key));
    assert_eq!(keys.len(), 3000);
    keys.push(Key::from_stored("1.0"));
    let present = source.present(&StreamName::new("заказы").unwrap(), &keys, &permits).await.unwrap();
    assert_eq!(present.iter().filter(|is| **is).count(), 2);
    assert!(present[0] && present[1] && !present[3000], "1.0 is another key than 1");
}

/// What one question to the server brings is in memory as a whole.
#[tokio::test]
async fn large_rows_are_read_a_few_at_a_time() {
    let base =
        Base::new("CREATE TABLE t AS SELECT id, repeat('я', 10000) AS body FROM generate_series(1, 300) id").await;
    let mut source = base.source("SELECT * FROM t ORDER BY id", None);
    let limit = BatchLimit { records: 1000, bytes: 100_000 };
    let (mut restart, mut pages) = (true, Vec::new());
    loop {
        let page = source.scan(restart, limit, &Permits::unbounded()).await.unwrap();
        pages.push(page.records.len());
        if page.complete {
            break;
        }
        restart = false;
    }
    // Of the first ones nobody knows how large they are.
    assert_eq!((pages[0], pages.iter().sum()), (16, 300));
    assert!(pages[1..].iter().all(|records| *records <= 6), "{pages:?}");
}

#[tokio::test]
async fn a_check_says_what_is_wrong_and_what_to_do() {
    let base =
        Base::new("CREATE TABLE t (id int, at timestamptz); CREATE TABLE closed (id int); CREATE ROLE reader LOGIN")
            .await;
    let cursor = Some(("at", Overlap::None));
    let report = base.source("SELECT id, at FROM t WHERE at > :cursor", cursor).check().await.unwrap();
    assert!(report.version.starts_with("PostgreSQL ") && report.remarks.len() == 1, "{report:?}");
    for (query, expected) in [
        ("SELECT id, at FROM нет WHERE at >= :cursor ORDER BY at", "42P01"),
        ("SELECT id, at AS att FROM t WHERE at >= :cursor ORDER BY at", "did you mean \"att\"?"),
        ("SELECT id, at, id FROM t WHERE at >= :cursor ORDER BY at", "two columns named \"id\""),
        ("SELECT id, at FROM t WHERE at >= :cursor ORDER", "42601"),
        ("SELECT id, at::text::bytea AS at FROM t WHERE at >= :cursor", "cannot be a cursor"),
    ] {
        let error = base.source(query, cursor).check().await.unwrap_err();
        assert!(error.fault == SourceFault::Misconfigured && error.message.contains(expected), "{error}");
    }
    let mut options = base.options("SELECT id FROM closed", None);
    options.url = Secret::new(options.url.expose().replace("postgres@", "reader:hunter2@"));
    let error = SqlSource::new(options).unwrap().check().await.unwrap_err();
    assert!(error.message.contains("42501") && !error.message.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn no_row_is_passed_over_whatever_the_query_orders_by() {
    let base = Base::new(
        "CREATE TABLE t (id int, \"В\" int);
         INSERT INTO t VALUES (1, 10), (2, 20), (3, 30), (4, 5), (5, 40), (6, 40), (7, 1)",
    )
    .await;
    let limit = BatchLimit { records: 3, ..LIMIT };
    for end in ["", " ORDER BY id", " ORDER BY \"В\" DESC", " -- to the end"] {
        let query = format!("SELECT id, t.\"В\" FROM t WHERE \"В\" >= :cursor{end}");
        let mut source = base.source(&query, Some(("В", Overlap::None)));
        let seen = poll(&mut source, &mut None, limit).await;
        assert_eq!(seen.into_keys().collect::<String>(), "1234567", "{query}");
    }
}

#[tokio::test]
async fn one_query_serves_several_streams() {
    let base = Base::new(
        "CREATE TABLE t (вид text, id int, склад text, at timestamptz);
         INSERT INTO t VALUES ('Товар', 1, NULL, '2026-01-01'), ('Остаток', 1, 'ю', '2026-01-02'),
                              ('Чек', 1, NULL, '2026-01-03')",
    )
    .await;
    let stream = |name: &str| StreamName::new(name).unwrap();
    let served = |name: &str, key: &[&str]| {
        let key = key.iter().map(|&column| column.into()).collect();
        Served { stream: stream(name), key, label: Some("id".into()), date: None }
    };
    let streams = vec![
        ("Товар".to_owned(), served("products", &["id"])),
        ("Остаток".to_owned(), served("stock", &["id", "склад"])),
    ];
    let query = "SELECT * FROM t WHERE at >= :cursor ORDER BY at";
    let mut options = base.options(query, Some(("at", Overlap::None)));
    options.serves = Serves::Several(Several { feed: stream("всё"), column: "вид".into(), streams });
    let mut source = SqlSource::new(options).unwrap();
    let batch = fetch(&mut source, None, LIMIT).await;
    let found: Vec<_> = batch.records.iter().map(|one| (one.stream.as_str(), one.key.as_str())).collect();
    assert_eq!(found, [("products", "1"), ("stock", r#"["1","ю"]"#)]);
    let [cheque] = &batch.unreadable[..] else { panic!("{:?}", batch.unreadable) };
    assert!(cheque.stream.as_str() == "всё" && cheque.reason.contains("\"Чек\""), "{cheque:?}");
    // The same key of another entity is not the one that was asked for.
    base.run("DELETE FROM t WHERE вид = 'Товар'").await;
    for (record, expected) in batch.records.iter().zip([false, true]) {
        let keys = [record.key.clone()];
        assert_eq!(source.present(&record.stream, &keys, &Permits::unbounded()).await.unwrap(), [expected]);
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_waited_for_and_then_read_on() {
    let mut server = Postgres::start().await.unwrap();
    server
        .execute("postgres", "CREATE TABLE t (id int, at timestamptz DEFAULT now()); INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    let shared = Base { server: Postgres::shared().await.unwrap(), name: "postgres".into() };
    let mut options = shared.options("SELECT * FROM t WHERE at >= :cursor ORDER BY at", Some(("at", Overlap::None)));
    options.url = Secret::new(server.url());
    let mut source = SqlSource::new(options).unwrap();
    let mut cursor = None;
    assert_eq!(poll(&mut source, &mut cursor, LIMIT).await.len(), 1);
    server.kill9();
    for _ in 0..2 {
        let error = source.fetch(cursor.as_ref(), LIMIT, &Permits::unbounded()).await.unwrap_err();
        assert_eq!(error.fault, SourceFault::Unavailable, "{error}");
    }
    server.restart().await.unwrap();
    server.execute("postgres", "INSERT INTO t VALUES (2)").await.unwrap();
    assert!(poll(&mut source, &mut cursor, LIMIT).await.contains_key("2"));
}

#[tokio::test]
async fn a_dropped_wait_does_no_harm() {
    let base = Base::new(
        "CREATE TABLE t (id int, at timestamptz DEFAULT now()); INSERT INTO t SELECT generate_series(1, 2000)",
    )
    .await;
    let query = "SELECT id, at FROM t WHERE at >= :cursor ORDER BY at";
    let mut source = base.source(query, Some(("at", Overlap::None)));
    for wait in 0..40 {
        let permits = Permits::unbounded();
        let dropped = source.fetch(None, LIMIT, &permits);
        let _ = tokio::time::timeout(Duration::from_millis(wait), dropped).await;
    }
    assert_eq!(poll(&mut source, &mut None, LIMIT).await.len(), 2000);
}

#[tokio::test]
async fn a_part_is_the_same_rows_by_their_date() {
    let base = Base::new(
        "CREATE TABLE t (id text, вид text, at int, d date, ts timestamp, tz timestamptz, n int);
         INSERT INTO t VALUES
           ('до', 'а', 1, '2026-02-28', '2026-02-28 23:59:59', '2026-02-28 20:59:59Z', 0),
           ('с', 'а', 2, '2026-03-01', '2026-03-01 00:00:00', '2026-02-28 21:00:00Z', 0),
           ('по', 'б', 3, '2026-03-01', '2026-03-01 23:59:59.9', '2026-03-01 20:59:59.9Z', 0),
           ('после', 'а', 4, '2026-03-02', '2026-03-02 00:00:00', '2026-03-01 21:00:00Z', 0),
           ('никогда', 'а', 5, NULL, NULL, NULL, NULL)",
    )
    .await;
    let day = |day| chrono::NaiveDate::from_ymd_opt(2026, 3, day).unwrap().and_hms_opt(0, 0, 0).unwrap();
    let period = Period { from: day(1), to: day(2) };
    let (from, to) = period.moments(chrono_tz::Europe::Moscow);
    let stream = |name: &str| StreamName::new(name).unwrap();
    let served = |name: &str, date: &str| Served {
        stream: stream(name),
        key: vec!["id".into()],
        label: None,
        date: Some(date.into()),
    };
    let part = |name: &str, column: &str| Part { stream: stream(name), column: column.into(), period, from, to };
    for (query, cursor) in [
        ("SELECT * FROM t WHERE at >= :cursor ORDER BY at", Some(("at", Overlap::None))),
        ("SELECT * FROM t ORDER BY at", None),
    ] {
        for column in ["d", "ts", "tz"] {
            let mut options = base.options(query, cursor);
            options.serves = Serves::One(served("заказы", column));
            let mut source = SqlSource::new(options).unwrap();
            source.check().await.unwrap();
            let one = BatchLimit { records: 1, ..LIMIT };
            let first = source.begin_part(&part("заказы", column), one, &Permits::unbounded()).await.unwrap();
            let second = source.scan(false, LIMIT, &Permits::unbounded()).await.unwrap();
            let found: Vec<_> = first.records.iter().chain(&second.records).cloned().collect();
            let whole = source.scan(true, LIMIT, &Permits::unbounded()).await.unwrap();
            assert!(second.complete && found == whole.records[1..3], "{column}: {found:?}");
        }
        let mut options = base.options(query, cursor);
        options.serves = Serves::One(served("заказы", "n"));
        let error = SqlSource::new(options).unwrap().check().await.unwrap_err();
        assert!(error.message.contains("is of type integer"), "{error}");
    }
    // Of a feed of several, only this one's.
    let mut options = base.options("SELECT * FROM t WHERE at >= :cursor ORDER BY at", Some(("at", Overlap::None)));
    let streams = vec![("а".to_owned(), served("a", "tz")), ("б".to_owned(), served("b", "ts"))];
    options.serves = Serves::Several(Several { feed: stream("все"), column: "вид".into(), streams });
    let mut source = SqlSource::new(options).unwrap();
    let page = source.begin_part(&part("b", "ts"), LIMIT, &Permits::unbounded()).await.unwrap();
    let found: Vec<_> = page.records.iter().map(|one| (one.stream.as_str(), one.key.as_str())).collect();
    assert_eq!(found, [("b", "по")]);
}
