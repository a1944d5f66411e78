//! The reader against real files.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use bus_core::ports::permits::Permits;
use bus_core::ports::source::{Batch, BatchLimit, Part, Source, SourceFault};
use bus_core::vocabulary::{Cursor, Key, Period, Secret, StreamName};
use rusqlite::Connection;

use crate::sql::{CursorColumn, Options, Overlap, SqlSource};
use crate::{Served, Serves, Several};

struct Shop {
    _directory: tempfile::TempDir,
    connection: Connection,
    url: String,
}

fn shop(schema: &str) -> Shop {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("магазин.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(&format!("PRAGMA journal_mode = WAL; {schema}")).unwrap();
    Shop { url: format!("sqlite://{}", path.display()), _directory: directory, connection }
}

fn served(key: &[&str]) -> Serves {
    let key = key.iter().map(|&column| column.into()).collect();
    Serves::One(Served { stream: StreamName::new("заказы").unwrap(), key, label: None, date: None })
}

fn options(shop: &Shop, query: &str, cursor: Option<(&str, Overlap)>) -> Options {
    Options {
        url: Secret::new(shop.url.clone()),
        ca_pem: None,
        serves: served(&["id"]),
        query: query.into(),
        cursor: cursor.map(|(column, overlap)| CursorColumn { column: column.into(), overlap }),
        timeout: Duration::from_secs(10),
        tape: None,
    }
}

fn source(shop: &Shop, query: &str, cursor: Option<(&str, Overlap)>) -> SqlSource {
    SqlSource::new(options(shop, query, cursor)).unwrap()
}

const LIMIT: BatchLimit = BatchLimit { records: 3, bytes: 1 << 20 };

async fn fetch(source: &mut SqlSource, after: Option<&Cursor>) -> Batch {
    source.fetch(after, LIMIT, &Permits::unbounded()).await.unwrap()
}

fn keys(batch: &Batch) -> Vec<&str> {
    batch.records.iter().map(|record| record.key.as_str()).collect()
}

#[tokio::test]
async fn pages_keep_ties_whole_and_reach_every_row() {
    let shop = shop("CREATE TABLE t (id INTEGER, at INTEGER)");
    for id in 0..20 {
        shop.connection.execute("INSERT INTO t VALUES (?1, ?1 / 5)", [id]).unwrap();
    }
    let mut source = source(&shop, "SELECT id, at FROM t WHERE at >= :cursor ORDER BY at", Some(("at", Overlap::None)));
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let batch = fetch(&mut source, cursor.as_ref()).await;
        seen.extend(batch.records.iter().map(|record| record.key.as_str().to_owned()));
        cursor = batch.next;
        pages += 1;
        assert!(pages < 10, "a poll ends");
        if !batch.more {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (20, 4));
    // Nothing new: the same cursor, so nothing is written either.
    assert_eq!(fetch(&mut source, cursor.as_ref()).await.next, cursor);
}

#[tokio::test]
async fn a_text_cursor_sees_new_rows_and_looks_back() {
    let shop = shop("CREATE TABLE t (id TEXT, at DATETIME); INSERT INTO t VALUES ('а', '2026-11-22 10:00:00')");
    let query = "SELECT id, at FROM t WHERE at >= :cursor ORDER BY at";
    let mut source = source(&shop, query, Some(("at", Overlap::Time(Duration::from_secs(30)))));
    let first = fetch(&mut source, None).await;
    assert_eq!(keys(&first), ["а"]);
    shop.connection
        .execute("INSERT INTO t VALUES ('late', '2026-11-22 09:59:31'), ('gone', '2026-11-22 09:59:29')", [])
        .unwrap();
    assert_eq!(keys(&fetch(&mut source, first.next.as_ref()).await), ["late", "а"]);
}

#[tokio::test]
async fn values_keep_their_digits_and_types() {
    let shop = shop(
        "CREATE TABLE t (id INTEGER, цена REAL, имя TEXT, файл BLOB, да BOOLEAN);
         INSERT INTO t VALUES (9223372036854775807, 5, 'Ёж', x'ff00', 1)",
    );
    let mut source = source(&shop, "SELECT *, NULL AS пусто FROM t", None);
    let page = source.scan(true, LIMIT, &Permits::unbounded()).await.unwrap();
    let body = std::str::from_utf8(&page.records[0].body).unwrap();
    assert_eq!(body, r#"{"id":9223372036854775807,"цена":5.0,"имя":"Ёж","файл":"/wA=","да":true,"пусто":null}"#);
    assert!(page.complete);
}

#[tokio::test]
async fn a_bad_row_stops_nothing() {
    let shop =
        shop("CREATE TABLE t (id TEXT, at INTEGER); INSERT INTO t VALUES ('a', 1), (NULL, 2), ('c', NULL), ('d', 3)");
    let query = "SELECT id, at FROM t WHERE at >= :cursor OR at IS NULL ORDER BY at";
    let mut source = source(&shop, query, Some(("at", Overlap::None)));
    let batch = fetch(&mut source, None).await;
    assert_eq!(keys(&batch), ["a", "d"]);
    let reasons: Vec<_> = batch.unreadable.iter().map(|row| row.reason.as_str()).collect();
    assert!(
        reasons[0].contains("cursor column \"at\"") && reasons[1].contains("key column \"id\" is NULL"),
        "{reasons:?}"
    );
    assert_eq!(&batch.unreadable[1].raw[..], br#"{"id":null,"at":2}"#);
}

#[tokio::test]
async fn a_value_that_cannot_be_carried_is_shown_and_the_row_keeps_its_name() {
    let shop =
        shop("CREATE TABLE t (id INTEGER, сумма NUMERIC); INSERT INTO t VALUES (163, 'сто'), (9e999, 1), (164, x'ff')");
    let mut source = source(&shop, "SELECT id, сумма FROM t", None);
    let page = source.scan(true, LIMIT, &Permits::unbounded()).await.unwrap();
    let told: Vec<_> = page
        .unreadable
        .iter()
        .map(|row| (row.key.as_ref().map(|key| key.as_str().to_owned()), String::from_utf8(row.raw.to_vec()).unwrap()))
        .collect();
    let row = |key: Option<&str>, raw: &str| (key.map(str::to_owned), raw.to_owned());
    assert_eq!(
        told,
        [
            row(Some("163"), r#"{"id":163,"сумма":"сто"}"#),
            row(None, r#"{"id":"inf","сумма":1}"#),
            row(Some("164"), r#"{"id":164,"сумма":"/w=="}"#),
        ]
    );
    assert!(page.unreadable.iter().all(|row| !row.reason.contains("сто")), "a reason quotes no value");
}

#[tokio::test]
async fn no_row_is_passed_over_whatever_the_query_orders_by() {
    let shop = shop("CREATE TABLE t (id INTEGER, at INTEGER)");
    // In the order of `id`, the third row lies behind the first page's end and below its last value.
    for (id, at) in [(1, 10), (2, 20), (3, 30), (4, 5), (5, 40), (6, 40), (7, 1)] {
        shop.connection.execute("INSERT INTO t VALUES (?1, ?2)", [id, at]).unwrap();
    }
    for end in ["", " ORDER BY id", " ORDER BY at DESC", " -- to the end"] {
        let query = format!("SELECT id, t.at FROM t WHERE at >= :cursor{end}");
        let mut source = source(&shop, &query, Some(("at", Overlap::None)));
        let report = source.check().await.unwrap();
        assert!(report.version.starts_with("SQLite 3") && report.remarks.is_empty(), "{report:?}");
        let (mut seen, mut cursor) = (BTreeSet::new(), None);
        loop {
            let batch = fetch(&mut source, cursor.as_ref()).await;
            seen.extend(batch.records.iter().map(|record| record.key.as_str().to_owned()));
            cursor = batch.next;
            if !batch.more {
                break;
            }
        }
        assert_eq!(seen.into_iter().collect::<String>(), "1234567", "{query}");
    }
}

#[tokio::test]
async fn texts_that_the_file_orders_in_its_own_way_are_refused() {
    let shop = shop("CREATE TABLE t (id INTEGER, at TEXT COLLATE NOCASE); INSERT INTO t VALUES (1, 'B'), (2, 'a')");
    let cursor = Some(("at", Overlap::None));
    let query = "SELECT id, at FROM t WHERE at >= :cursor";
    let error = source(&shop, query, cursor).fetch(None, LIMIT, &Permits::unbounded()).await.unwrap_err();
    assert!(error.fault == SourceFault::Misconfigured && error.message.contains("BINARY"), "{error}");
    let query = "SELECT id, at COLLATE BINARY AS at FROM t WHERE at COLLATE BINARY >= :cursor";
    assert_eq!(keys(&fetch(&mut source(&shop, query, cursor), None).await), ["1", "2"]);
}

#[tokio::test]
async fn a_scan_is_one_snapshot_in_bounded_pages() {
    let shop = shop("CREATE TABLE t (id INTEGER)");
    for id in 0..1000 {
        shop.connection.execute("INSERT INTO t VALUES (?1)", [id]).unwrap();
    }
    let mut source = source(&shop, "SELECT id FROM t", None);
    let limit = BatchLimit { records: 300, bytes: 1 << 20 };
    assert!(source.scan(false, limit, &Permits::unbounded()).await.is_err(), "none is under way");
    let mut total = source.scan(true, limit, &Permits::unbounded()).await.unwrap().records.len();
    shop.connection.execute("DELETE FROM t", []).unwrap();
    loop {
        let page = source.scan(false, limit, &Permits::unbounded()).await.unwrap();
        assert!(page.records.len() <= 300);
        total += page.records.len();
        if page.complete {
            break;
        }
    }
    assert_eq!(total, 1000);
}

/// Its thread would go on beside that of the next try, and hold the file against its writers.
#[tokio::test]
async fn a_scan_that_takes_too_long_ends_in_the_middle_of_its_statement() {
    let shop = shop("PRAGMA journal_mode = DELETE; CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1)");
    let endless = "WITH RECURSIVE n (i) AS (SELECT id FROM t UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS id FROM n";
    let mut options = options(&shop, endless, None);
    options.timeout = Duration::from_millis(200);
    let error = SqlSource::new(options).unwrap().scan(true, LIMIT, &Permits::unbounded()).await.unwrap_err();
    assert_eq!(error.fault, SourceFault::Unavailable, "{error}");
    // A writer waits for all who read.
    shop.connection.busy_timeout(Duration::from_secs(20)).unwrap();
    shop.connection.execute("INSERT INTO t VALUES (2)", []).unwrap();
}

#[tokio::test]
async fn presence_is_asked_by_the_exact_key() {
    let shop = shop("CREATE TABLE t (id INTEGER, склад TEXT); INSERT INTO t VALUES (1, 'а,б'), (2, 'в')");
    let mut options = options(&shop, "SELECT * FROM t", None);
    options.serves = served(&["id", "склад"]);
    let mut source = SqlSource::new(options).unwrap();
    let page = source.scan(true, LIMIT, &Permits::unbounded()).await.unwrap();
    let mut keys: Vec<Key> = page.records.into_iter().map(|record| record.key).collect();
    keys.push(Key::from_columns(&[("id", "1"), ("склад", "в")]).unwrap());
    keys.push(Key::from_stored("no array"));
    let stream = StreamName::new("заказы").unwrap();
    let present = source.present(&stream, &keys, &Permits::unbounded()).await.unwrap();
    assert_eq!(present, [true, true, false, false]);
}

#[tokio::test]
async fn what_needs_a_person_is_said() {
    let shop = shop("CREATE TABLE t (id INTEGER)");
    for (query, expected) in
        [("SELECT id FROM нет", "no such table"), ("SELECT id AS idd FROM t", "did you mean \"idd\"?")]
    {
        let error = source(&shop, query, None).check().await.unwrap_err();
        assert!(error.fault == SourceFault::Misconfigured && error.message.contains(expected), "{error}");
    }
    let mut missing = options(&shop, "SELECT id FROM t", None);
    missing.url = Secret::new("sqlite:no/such/file.db");
    let error = SqlSource::new(missing).unwrap().check().await.unwrap_err();
    assert!(error.fault == SourceFault::Misconfigured && error.message.contains("no/such/file.db"), "{error}");
    let mut cursor = source(&shop, "SELECT id FROM t WHERE id >= :cursor ORDER BY id", Some(("id", Overlap::None)));
    let error = cursor.fetch(Some(&Cursor::new("{")), LIMIT, &Permits::unbounded()).await.unwrap_err();
    assert_eq!(error.fault, SourceFault::CursorUnreadable);
}

#[tokio::test]
async fn one_query_serves_several_streams_and_keeps_what_none_of_them_takes() {
    let shop = shop(
        "CREATE TABLE t (вид TEXT, id INTEGER, склад TEXT, at INTEGER);
         INSERT INTO t VALUES ('Товар', 1, NULL, 1), ('Остаток', 1, 'ю', 2), ('Чек', 1, NULL, 3), (NULL, 9, NULL, 4)",
    );
    let stream = |name: &str| StreamName::new(name).unwrap();
    let served = |name: &str, key: &[&str]| {
        let key = key.iter().map(|&column| column.into()).collect();
        Served { stream: stream(name), key, label: Some("id".into()), date: None }
    };
    let streams = vec![
        ("Товар".to_owned(), served("products", &["id"])),
        ("Остаток".to_owned(), served("stock", &["id", "склад"])),
    ];
    let mut options = options(&shop, "SELECT * FROM t WHERE at >= :cursor ORDER BY at", Some(("at", Overlap::None)));
    options.serves = Serves::Several(Several { feed: stream("всё"), column: "вид".into(), streams });
    let mut source = SqlSource::new(options).unwrap();
    let limit = BatchLimit { records: 10, ..LIMIT };
    let batch = source.fetch(None, limit, &Permits::unbounded()).await.unwrap();
    let found: Vec<_> = batch.records.iter().map(|one| (one.stream.as_str(), one.key.as_str())).collect();
    assert_eq!(found, [("products", "1"), ("stock", r#"["1","ю"]"#)]);
    let reasons: Vec<_> = batch.unreadable.iter().map(|row| (row.stream.as_str(), row.reason.as_str())).collect();
    assert!(
        matches!(reasons[..], [("всё", cheque), ("всё", empty)]
        if cheque.contains("\"Чек\"") && empty.contains("\"вид\" is empty")),
        "{reasons:?}"
    );
    // The same key of another entity is not the one that was asked for.
    shop.connection.execute("DELETE FROM t WHERE вид = 'Товар'", []).unwrap();
    let keys = [batch.records[0].key.clone()];
    let present = source.present(&stream("products"), &keys, &Permits::unbounded()).await.unwrap();
    assert_eq!(present, [false]);
    let keys = [batch.records[1].key.clone()];
    let present = source.present(&stream("stock"), &keys, &Permits::unbounded()).await.unwrap();
    assert_eq!(present, [true]);
}

#[tokio::test]
async fn a_part_is_the_same_rows_by_their_date() {
    let shop = shop(
        "CREATE TABLE t (id TEXT, at INTEGER, день TEXT);
         INSERT INTO t VALUES ('до', 1, '2026-02-28 23:59:59'), ('первый', 2, '2026-03-01'), ('днём', 3, '2026-03-01T12:00:00.5'),
                              ('зона', 4, '2026-03-02T00:30:00+05:00'), ('ночь', 5, '2026-03-01T21:30:00Z'),
                              ('после', 6, '2026-03-02 00:00:00'), ('никогда', 7, NULL)",
    );
    let mut options = options(&shop, "SELECT * FROM t WHERE at >= :cursor ORDER BY at", Some(("at", Overlap::None)));
    options.serves = dated("день");
    let mut source = SqlSource::new(options.clone()).unwrap();
    // Moscow's first of March; a text that names its zone is a moment: half past ten in Moscow is, half past midnight is not.
    let part = march_the_first("день");
    let (mut keys, mut page) = (Vec::new(), source.begin_part(&part, LIMIT, &Permits::unbounded()).await.unwrap());
    loop {
        keys.extend(page.records.iter().map(|record| record.key.as_str().to_owned()));
        if page.complete {
            break;
        }
        page = source.scan(false, LIMIT, &Permits::unbounded()).await.unwrap();
    }
    assert_eq!(keys, ["первый", "днём", "зона"]);
    let whole = source.scan(true, BatchLimit { records: 100, ..LIMIT }, &Permits::unbounded()).await.unwrap();
    let part = source.begin_part(&part, LIMIT, &Permits::unbounded()).await.unwrap();
    assert_eq!(part.records[..], whole.records[1..4], "to the byte");

    options.serves = dated("at");
    let mut source = SqlSource::new(options).unwrap();
    for error in [
        source.check().await.unwrap_err(),
        source.begin_part(&march_the_first("at"), LIMIT, &Permits::unbounded()).await.unwrap_err(),
    ] {
        assert!(error.fault == SourceFault::Misconfigured && error.message.contains("declared as a number"), "{error}");
    }
}

fn dated(column: &str) -> Serves {
    let stream = StreamName::new("заказы").unwrap();
    Serves::One(Served { stream, key: vec!["id".into()], label: None, date: Some(column.into()) })
}

fn march_the_first(column: &str) -> Part {
    let day = |day| chrono::NaiveDate::from_ymd_opt(2026, 3, day).unwrap().and_hms_opt(0, 0, 0).unwrap();
    let period = Period { from: day(1), to: day(2) };
    let (from, to) = period.moments(chrono_tz::Europe::Moscow);
    Part { stream: StreamName::new("заказы").unwrap(), column: column.into(), period, from, to }
}

#[tokio::test]
async fn a_mistyped_column_in_double_quotes_is_an_error_and_not_a_text() {
    let shop = shop("CREATE TABLE t (id INTEGER, \"изменён\" TEXT); INSERT INTO t VALUES (1, '2026-11-22')");
    let query = "SELECT id, \"изменён\" FROM t WHERE \"изменен\" >= :cursor ORDER BY 2";
    let mut source = source(&shop, query, Some(("изменён", Overlap::None)));
    let error = source.check().await.unwrap_err();
    assert_eq!(error.fault, SourceFault::Misconfigured, "{error}");
}

#[tokio::test]
async fn a_file_says_what_we_may_do_with_it() {
    use std::os::unix::fs::PermissionsExt;
    let shop = shop("CREATE TABLE t (id INTEGER); CREATE VIEW v AS SELECT id FROM t");
    let address = options(&shop, "SELECT id FROM t", None).address();
    let report = crate::sql::reach(&address).await.unwrap();
    assert!(report.version.starts_with("SQLite 3.") && report.latency > Duration::ZERO, "{report:?}");
    assert_eq!(
        report.rights,
        ["may read the file with its 2 tables and views, and could write it (the bus only reads)"]
    );
    let path = address.url.expose().trim_start_matches("sqlite://").to_owned();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    // Root writes whatever the mode says.
    let writes = std::fs::OpenOptions::new().write(true).open(&path).is_ok();
    let report = crate::sql::reach(&address).await.unwrap();
    assert_eq!(report.rights[0].ends_with("and not write it"), !writes, "{report:?}");
}
