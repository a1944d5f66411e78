//! Scans, point checks, polls by date, and what 1C says instead of data.

use std::collections::BTreeSet;
use std::time::Duration;

use bus_core::ports::permits::Permits;
use bus_core::ports::source::{BatchLimit, Part, Source, SourceFault};
use bus_core::vocabulary::{Key, Moment, Period, Record, StreamName};

use super::fake::{Fake, Mood, guid};
use crate::odata::{Changes, OdataSource};
use crate::{Served, Serves};

const LIMIT: BatchLimit = BatchLimit { records: 100, bytes: 64 * 1024 };

async fn scan(source: &mut OdataSource) -> Vec<Record> {
    let (mut found, mut restart) = (Vec::new(), true);
    loop {
        let page = source.scan(restart, LIMIT, &Permits::unbounded()).await.unwrap();
        restart = false;
        assert!(page.records.len() <= LIMIT.records && page.unreadable.is_empty());
        found.extend(page.records);
        if page.complete {
            return found;
        }
    }
}

fn labels(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(|record| record.label.clone().unwrap()).collect()
}

#[tokio::test]
async fn a_list_is_read_in_pages_and_both_formats_give_the_same_bytes() {
    let fake = Fake::start(250).await;
    let records = scan(&mut fake.source(Changes::Diff)).await;
    assert_eq!((records.len(), labels(&records).len()), (250, 250));
    let expected = format!(
        r#"{{"Ref_Key":"{0}","Number":"ТД-00007","Date":"2026-11-22T10:00:00","Сумма":7.10,"Мест":7,"Товары":[{{"Ref_Key":"{0}","LineNumber":1,"Цена":3333.330}}]}}"#,
        guid(7)
    );
    assert_eq!((std::str::from_utf8(&records[6].body).unwrap(), records[6].key.as_str()), (&*expected, &*guid(7)));
    let mut options = fake.options(Changes::Diff);
    options.reads[0].atom = true;
    assert_eq!(scan(&mut OdataSource::new(options).unwrap()).await, records);
    assert!(fake.inside.lock().unwrap().tops.iter().all(|top| *top <= 101));
}

#[tokio::test]
async fn a_page_that_1c_cannot_bear_is_asked_for_in_parts() {
    for mood in [Mood::Full(6), Mood::Cuts(6)] {
        let fake = Fake::start(60).await;
        fake.set(mood);
        assert_eq!(labels(&scan(&mut fake.source(Changes::Diff)).await).len(), 60);
    }
    let fake = Fake::start(3).await;
    fake.set(Mood::Full(0));
    let error = fake.source(Changes::Diff).scan(true, LIMIT, &Permits::unbounded()).await.unwrap_err();
    assert_eq!(error.fault, SourceFault::Unavailable);
    assert!(error.message.contains("The device is full"), "{error}");
}

#[tokio::test]
async fn what_is_deleted_between_two_pages_hides_nothing() {
    let fake = Fake::start(150).await;
    fake.inside.lock().unwrap().remove = (1..=15).collect();
    let found = labels(&scan(&mut fake.source(Changes::Diff)).await);
    assert_eq!(found.len(), 150, "every record, the removed ones from before included");
}

#[tokio::test]
async fn keys_are_asked_for_by_their_kind_in_questions_of_bounded_length() {
    let fake = Fake::start(90).await;
    let mut source = fake.source(Changes::Diff);
    let stream = StreamName::new("заказы").unwrap();
    let mut keys: Vec<Key> = (60..140).map(|number| Key::from_stored(&guid(number))).collect();
    keys.push(Key::from_stored("no reference"));
    let present = source.present(&stream, &keys, &Permits::unbounded()).await.unwrap();
    let expected: Vec<bool> = (60..140).map(|number| number <= 90).chain([true]).collect();
    assert_eq!(present, expected, "what no filter can name is not deleted on a guess");
    assert!(fake.inside.lock().unwrap().tops.len() > 2, "not in one address");
}

#[tokio::test]
async fn a_poll_by_date_misses_no_tie_and_goes_on() {
    let fake = Fake::start(45).await;
    fake.inside
        .lock()
        .unwrap()
        .documents
        .iter_mut()
        .take(40)
        .for_each(|document| document.1 = "2026-11-22T10:00:00".into());
    let changes = Changes::Cursor { column: "Date".into(), overlap: Duration::from_secs(60) };
    let mut source = fake.source(changes);
    let (mut cursor, mut found) = (None, BTreeSet::new());
    let limit = BatchLimit { records: 7, ..LIMIT };
    for _ in 0..30 {
        let batch = source.fetch(cursor.as_ref(), limit, &Permits::unbounded()).await.unwrap();
        found.extend(labels(&batch.records));
        cursor = batch.next;
        if !batch.more {
            break;
        }
    }
    assert_eq!(found.len(), 45);
    fake.inside.lock().unwrap().documents.push((99, "2026-11-22T10:03:30".into()));
    let batch = source.fetch(cursor.as_ref(), LIMIT, &Permits::unbounded()).await.unwrap();
    assert!(labels(&batch.records).contains("ТД-00099") && batch.records.len() < 10, "only the overlap again");
    assert_eq!(source.cursor_at("2026-11-22").unwrap_err().fault, SourceFault::Misconfigured);
}

#[tokio::test]
async fn a_virtual_table_is_one_answer_in_several_batches() {
    let fake = Fake::start(0).await;
    let mut options = fake.options(Changes::Diff);
    options.reads[0].entity = "AccumulationRegister_Остатки/Balance".into();
    let stream = options.reads[0].stream.clone();
    options.serves = Serves::One(Served { stream, key: vec!["Товар_Key".into()], label: None, date: None });
    let mut source = OdataSource::new(options).unwrap();
    let (mut bodies, mut restart) = (Vec::new(), true);
    loop {
        let limit = BatchLimit { records: 8, ..LIMIT };
        let page = source.scan(restart, limit, &Permits::unbounded()).await.unwrap();
        bodies.extend(page.records.into_iter().map(|record| String::from_utf8(record.body.to_vec()).unwrap()));
        restart = false;
        if page.complete {
            break;
        }
    }
    assert_eq!(bodies.len(), 30);
    assert_eq!(bodies[29], format!(r#"{{"Товар_Key":"{}","КоличествоBalance":30.50}}"#, guid(30)));
}

#[tokio::test]
async fn what_1c_says_instead_of_data_has_its_fault() {
    let fake = Fake::start(1).await;
    for (status, text, fault) in [
        (403, "Начало сеанса с информационной базой запрещено.", SourceFault::Maintenance),
        (406, "", SourceFault::Throttled { retry_after: None }),
        (500, "Не обнаружено свободной лицензии!", SourceFault::Throttled { retry_after: None }),
        (401, "", SourceFault::Misconfigured),
        (200, "<!DOCTYPE html><html><form>Вход</form></html>", SourceFault::Misconfigured),
        (502, "<html>Proxy Error</html>", SourceFault::Unavailable),
        (200, r#"{"odata.error":{"code":"20","message":{"value":"Нарушение прав"}}}"#, SourceFault::Misconfigured),
    ] {
        fake.set(Mood::Says(status, text));
        let error = fake.source(Changes::Diff).scan(true, LIMIT, &Permits::unbounded()).await.unwrap_err();
        assert_eq!(error.fault, fault, "{status} {text}: {error}");
    }
}

#[tokio::test]
async fn a_check_names_what_is_not_published_and_what_a_stream_lacks() {
    let fake = Fake::start(1).await;
    let report = fake.source(Changes::Diff).check().await.unwrap();
    assert!(report.version.contains("6 sets") && report.rights.concat().contains("may read "), "{report:?}");
    let mut options = fake.options(Changes::Diff);
    options.reads[0].entity = "Document_Заказы".into();
    let error = OdataSource::new(options).unwrap().check().await.unwrap_err();
    assert!(error.message.contains("did you mean \"Document_Заказ\"?"), "{error}");
    let mut options = fake.options(Changes::Diff);
    options.reads[0].equals = vec![("Дата".into(), "1".into())];
    let error = OdataSource::new(options).unwrap().check().await.unwrap_err();
    assert!(error.message.contains("no property \"Дата\""), "{error}");
    let changes = Changes::Cursor { column: "Number".into(), overlap: Duration::ZERO };
    assert!(fake.source(changes).check().await.unwrap_err().message.contains("no property of"), "no date");
}

#[tokio::test]
async fn all_readers_of_one_user_share_its_sessions() {
    let fake = Fake::start(40).await;
    fake.inside.lock().unwrap().slow = Duration::from_millis(20);
    let readers = (0..6).map(|_| {
        let mut source = fake.source(Changes::Diff);
        tokio::spawn(async move { scan(&mut source).await.len() })
    });
    for reader in readers.collect::<Vec<_>>() {
        assert_eq!(reader.await.unwrap(), 40);
    }
    assert_eq!(fake.inside.lock().unwrap().most_at_once, 2);
}

#[tokio::test]
async fn a_part_is_read_in_pages_by_its_date() {
    let fake = Fake::start(250).await;
    let bound = |text: &str| Period::parse(text).unwrap();
    let period = Period { from: bound("2026-11-22T10:03:00"), to: bound("2026-11-22T10:20:00") };
    let stream = StreamName::new("заказы").unwrap();
    let part = Part { stream, column: "Date".into(), period, from: Moment(0), to: Moment(0) };
    let mut source = fake.source(Changes::Diff);
    let limit = BatchLimit { records: 40, ..LIMIT };
    let mut page = source.begin_part(&part, limit, &Permits::unbounded()).await.unwrap();
    let mut found = page.records;
    while !page.complete {
        page = source.scan(false, limit, &Permits::unbounded()).await.unwrap();
        found.extend(page.records);
    }
    let whole = scan(&mut source).await;
    assert_eq!(found[..], whole[29..199], "numbers 30 to 199, to the byte");
    let wrong = Part { column: "Number".into(), ..part };
    let error = source.begin_part(&wrong, limit, &Permits::unbounded()).await.unwrap_err();
    assert!(
        error.fault == SourceFault::Misconfigured && error.message.contains("no property \"Number\" that holds a date")
    );
}
