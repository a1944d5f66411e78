//! The contract of [`WatchStore`]: what was open, who was told, and which base was read survive a restart.

use async_trait::async_trait;
use bus_core::ports::watch::{Maintenance, Told, WatchStore};
use bus_core::vocabulary::{FeedName, Identity, Incident, IncidentKind, Moment, SystemName};

/// One store under test.
#[async_trait]
pub trait WatchFixture: Send + Sync {
    /// The store.
    fn watch(&self) -> &dyn WatchStore;

    /// Ends the store and opens it again on the same data, as after a crash.
    async fn reopen_watch(&mut self);
}

/// Runs every property, each on a fixture of its own.
pub async fn watch_suite<F, Fut, S>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
    S: WatchFixture,
{
    incidents_keep_their_beginning(&mut make().await).await;
    of_closed_incidents_the_latest_are_kept(&mut make().await).await;
    channels_remember_what_they_told(&mut make().await).await;
    maintenance_ends_when_it_should(&mut make().await).await;
    the_base_is_remembered_until_it_is_accepted_anew(&mut make().await).await;
}

fn incident(subject: &str, since: i64) -> Incident {
    Incident {
        kind: IncidentKind::SystemDown,
        subject: subject.to_owned(),
        message: "кто-то выдернул кабель".to_owned(),
        remedy: "put it back".to_owned(),
        since: Moment(since),
        last: Moment(since + 5),
        count: 3,
        closed: None,
    }
}

/// The same incident written again is one row; a closed one is past; the next one of its subject is another.
pub async fn incidents_keep_their_beginning(fixture: &mut dyn WatchFixture) {
    let (first, other) = (incident("магазин", 10), incident("crm", 20));
    fixture.watch().keep_incidents(&[first.clone(), other.clone()]).await.expect("kept");
    let grown = Incident { count: 9, last: Moment(99), message: "again".to_owned(), ..first.clone() };
    fixture.watch().keep_incidents(std::slice::from_ref(&grown)).await.expect("kept");
    fixture.reopen_watch().await;
    assert_eq!(fixture.watch().open_incidents().await.expect("read"), [grown.clone(), other.clone()]);
    let closed = Incident { closed: Some(Moment(120)), ..grown };
    let next = incident("магазин", 130);
    fixture.watch().keep_incidents(&[closed.clone(), next.clone()]).await.expect("kept");
    assert_eq!(fixture.watch().open_incidents().await.expect("read"), [other, next]);
    assert_eq!(fixture.watch().past_incidents(10).await.expect("read"), [closed]);
}

/// However many there were.
pub async fn of_closed_incidents_the_latest_are_kept(fixture: &mut dyn WatchFixture) {
    let closed = |n: i64| Incident { closed: Some(Moment(n + 1)), ..incident("shop", n) };
    let many: Vec<_> = (0..1500).map(closed).collect();
    fixture.watch().keep_incidents(&many).await.expect("kept");
    let past = fixture.watch().past_incidents(100_000).await.expect("read");
    assert_eq!(past.first(), Some(&closed(1499)));
    assert!((100..1500).contains(&past.len()), "{} are kept", past.len());
    assert_eq!(fixture.watch().past_incidents(2).await.expect("read").len(), 2);
}

/// By channel, kind and subject.
pub async fn channels_remember_what_they_told(fixture: &mut dyn WatchFixture) {
    let told = |subject: &str, at| Told { kind: IncidentKind::Gap, subject: subject.to_owned(), at: Moment(at) };
    fixture.watch().keep_told("ops", &[told("a", 1), told("b", 1)], &[]).await.expect("kept");
    fixture.watch().keep_told("mail", &[told("a", 2)], &[]).await.expect("kept");
    fixture.watch().keep_told("ops", &[told("b", 7)], &[(IncidentKind::Gap, "a".to_owned())]).await.expect("kept");
    fixture.reopen_watch().await;
    assert_eq!(fixture.watch().told("ops").await.expect("read"), [told("b", 7)]);
    assert_eq!(fixture.watch().told("mail").await.expect("read"), [told("a", 2)]);
}

/// By its time, or by a person.
pub async fn maintenance_ends_when_it_should(fixture: &mut dyn WatchFixture) {
    let system = Some(SystemName::new("магазин").expect("a name"));
    let window = |system, begins, ends| {
        let (who, why) = ("Аня".to_owned(), "новый диск".to_owned());
        Maintenance { id: 0, system, begins: Moment(begins), ends: Moment(ends), who, why }
    };
    let first = fixture.watch().start_maintenance(&window(system.clone(), 10, 100)).await.expect("kept");
    let second = fixture.watch().start_maintenance(&window(None, 20, 200)).await.expect("kept");
    fixture.reopen_watch().await;
    let found = fixture.watch().maintenance(Moment(50)).await.expect("read");
    let expected =
        [Maintenance { id: first, ..window(system, 10, 100) }, Maintenance { id: second, ..window(None, 20, 200) }];
    assert_eq!(found, expected);
    assert_eq!(fixture.watch().maintenance(Moment(100)).await.expect("read"), expected[1..]);
    assert!(fixture.watch().end_maintenance(second, Moment(110)).await.expect("ended"));
    assert!(!fixture.watch().end_maintenance(second, Moment(111)).await.expect("asked"));
    assert_eq!(fixture.watch().maintenance(Moment(110)).await.expect("read"), []);
}

/// Cyrillic names and the largest positions included.
pub async fn the_base_is_remembered_until_it_is_accepted_anew(fixture: &mut dyn WatchFixture) {
    let feed = FeedName::new("заказы").expect("a name");
    assert_eq!(fixture.watch().identity(&feed).await.expect("read"), None);
    let position = Some(u64::MAX >> 1);
    let base = Identity { base: "7411/16384".to_owned(), timeline: 1, position };
    fixture.watch().keep_identity(&feed, Some(&base)).await.expect("kept");
    fixture.reopen_watch().await;
    assert_eq!(fixture.watch().identity(&feed).await.expect("read"), Some(base));
    fixture.watch().keep_identity(&feed, None).await.expect("kept");
    assert_eq!(fixture.watch().identity(&feed).await.expect("read"), None);
}
