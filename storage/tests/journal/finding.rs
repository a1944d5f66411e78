//! Objects by word, time and state; the newest messages; rows that could not be read.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_found_by_word_time_and_state() {
    let store = Store::archived();
    let object =
        |key: &str, number: u64| Envelope { time: Moment::now(), ..sample::envelope(&store.stream, key, number) };
    let messages: Vec<Envelope> = (1..=30).map(|number| object(&format!("к{number}"), number)).collect();
    store.sealed(&messages);
    for message in &messages[..10] {
        store.delivered(message).await;
    }
    store.journal.flush().await.unwrap();
    let keys = async |search: Search| -> Vec<String> {
        let found = store.journal.find(&search).await.unwrap();
        found.objects.iter().map(|object| object.key.as_str().to_owned()).collect()
    };
    assert_eq!(keys(store.search("УТ-000007")).await, ["к7"]);
    assert_eq!(keys(store.search("к7")).await, ["к7"]);
    assert_eq!(keys(Search { state: Some(StateKind::Delivered), limit: 100, ..store.search("") }).await.len(), 10);
    let on_its_way = Search { state: Some(StateKind::OnItsWay), limit: 3, ..store.search("") };
    let found = store.journal.find(&on_its_way).await.unwrap();
    assert_eq!((found.objects.len(), found.more), (3, true));
    let early = Search { until: Some(messages[0].time), ..store.search("") };
    assert!(keys(early).await.is_empty());
    let elsewhere = Search { stream: Some(StreamName::new("цены").unwrap()), ..store.search("к7") };
    assert!(keys(elsewhere).await.is_empty());
    let unknown = store.journal.find(&store.search("ут-000031")).await.unwrap();
    assert!(unknown.objects.is_empty() && unknown.near.contains(&"УТ-000030".to_owned()), "{:?}", unknown.near);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_messages_come_back_with_their_bodies_oldest_first() {
    let store = Store::archived();
    let versions: Vec<Envelope> = (1..=300).map(|number| store.version(number)).collect();
    // More than one block, and more than one round.
    store.sealed(&versions[..290]);
    store.sealed(&versions[290..]);
    store.journal.flush().await.unwrap();
    for limit in [1, 5, 295, 1000] {
        let newest = store.journal.newest(&store.stream, limit).await.unwrap();
        let expected = &versions[300 - limit.min(300)..];
        assert_eq!(newest.len(), expected.len());
        let same = |(found, sent): (&Envelope, &Envelope)| {
            found.body == sent.body && found.seq == sent.seq && found.id == sent.id && found.label == sent.label
        };
        assert!(newest.iter().zip(expected).all(same), "{limit}");
    }
    let body = versions[299].body.len() + versions[299].key.as_str().len();
    for (records, bytes, expected) in [(5, usize::MAX, 5), (100, 3 * body - 1, 3), (100, 1, 1)] {
        let limit = BatchLimit { records, bytes };
        let page = store.state.archived(&store.stream, None, None, limit).await.unwrap();
        assert!(page.len() == expected && page[0].seq == versions[299].seq, "{limit:?}: {}", page.len());
    }
    assert_eq!(store.journal.read_since(&store.stream, Moment(0)).await.unwrap(), 300);
    assert_eq!(store.journal.read_since(&store.stream, Moment::now().after(DAY)).await.unwrap(), 0);
    let other = StreamName::new("другое").unwrap();
    assert!(store.journal.newest(&other, 5).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_without_bodies_are_not_among_the_newest() {
    let store = Store::new(WIDE, Keeping { archive: None, masks: Masks::default() });
    store.sealed(&[store.version(1)]);
    store.journal.flush().await.unwrap();
    assert!(store.journal.newest(&store.stream, 5).await.unwrap().is_empty());
    assert_eq!(store.journal.read_since(&store.stream, Moment(0)).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_could_not_be_read_is_found_by_what_could() {
    let store = Store::archived();
    let row = |number: u32, stream: &StreamName| UnreadableRecord {
        stream: stream.clone(),
        raw: number.to_string().into_bytes().into(),
        reason: "column \"сумма\"".into(),
        key: (number > 1).then(|| Key::from_stored(&number.to_string())),
        label: Some(format!("УТ-{number}")),
    };
    let other = StreamName::new("чеки").unwrap();
    store.state.keep_unreadable(&[row(1, &store.stream), row(2, &store.stream), row(2, &other)]).await.unwrap();
    let found = async |search: Search| {
        let found = store.journal.find(&search).await.unwrap();
        let name = |key: &Option<Key>| key.as_ref().map_or("-".to_owned(), |key| key.as_str().to_owned());
        let rows = found.unreadable.iter().map(|row| format!("{} {} {}", row.letter, row.stream, name(&row.key)));
        (rows.collect::<Vec<_>>(), found.objects.len(), found.near.len())
    };
    let rows = |rows: &[&str]| (rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>(), 0, 0);
    assert_eq!(found(store.search("УТ-1")).await, rows(&["1 заказы -"]));
    for word in ["УТ-2", "2"] {
        assert_eq!(found(store.search(word)).await, rows(&["3 чеки 2", "2 заказы 2"]));
    }
    let of = |stream: &StreamName| Search { stream: Some(stream.clone()), ..store.search("2") };
    assert_eq!(found(of(&other)).await, rows(&["3 чеки 2"]));
    let all = Search { state: Some(StateKind::Dead), limit: 2, ..store.search("") };
    assert_eq!(found(all.clone()).await, rows(&["3 чеки 2", "2 заказы 2"]), "the newest of them");
    assert_eq!(found(Search { until: Some(Moment(1)), ..all }).await, rows(&[]));
    assert_eq!(found(store.search("")).await, rows(&[]), "only where letters are asked for");
}
