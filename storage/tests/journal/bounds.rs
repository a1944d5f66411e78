//! What is masked never reaches the disk, and what is too old or too much goes.

use super::*;

/// Everything that is on the disk.
fn bytes_of(directory: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).unwrap()).collect()
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_masked_value_reaches_the_disk() {
    let secret = "79161234567";
    let body = format!(r#"{{"Телефон":"{secret}","Имя":"Анна","Контакты":[{{"Почта":"anna@пример.рф"}}]}}"#);
    let run = async |masks: Masks| {
        let store = Store::new(WIDE, Keeping { archive: Some(DAY), masks });
        let message = Envelope {
            time: Moment::now(),
            ..sample::with_body(&store.stream, "7f-guid", 1, body.clone().into_bytes())
        };
        store.sealed(std::slice::from_ref(&message));
        let exchange = Exchange { request: None, answer: Some(format!("422 No\n\n{body} is bad")) };
        let error = DeliveryError::new(Fault::Rejected, format!("bad {secret}")).with_exchange(exchange);
        store.chronicle.attempt(&store.route, &message, Duration::ZERO, &Err(error));
        store.chronicle.dead(&store.route, &message, "rejected", &format!("bad {secret}"));
        store.journal.flush().await.unwrap();
        let story = format!("{:?}", store.story().await);
        let archived = store.story().await.versions[0].body.clone().unwrap();
        let mut all = bytes_of(store.directory.path());
        all.extend(story.as_bytes());
        all.extend(archived.as_ref());
        assert!(contains(&all, "Анна"), "what is not masked is there");
        [secret, "anna@пример.рф", "пример.рф"].iter().any(|value| contains(&all, value))
    };
    let path = |path: &[&str]| path.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert!(run(Masks::default()).await, "the search finds what is there");
    assert!(!run(Masks::new(vec![path(&["Телефон"]), path(&["Контакты", "Почта"])])).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_goes_with_everything_of_it() {
    let store =
        Store::new(JournalBounds { age: DAY, bytes: 1 << 40 }, Keeping { archive: Some(DAY), masks: Masks::default() });
    let old = Envelope { time: Moment(Moment::now().0 - 2 * 86_400_000), ..store.version(1) };
    let fresh = store.version(2);
    store.sealed(std::slice::from_ref(&old));
    store.sealed(std::slice::from_ref(&fresh));
    store.delivered(&old).await;
    store.journal.flush().await.unwrap();
    // Trimmed a little in each of the writer's transactions.
    let mut story = store.story().await;
    for _ in 0..100 {
        if story.versions.len() == 1 {
            break;
        }
        store.journal.flush().await.unwrap();
        story = store.story().await;
    }
    assert_eq!(story.versions[0].seq, fresh.seq);
    let found = store.journal.find(&store.search("УТ-000001")).await.unwrap();
    assert!(found.objects.is_empty(), "its label is gone");
    assert_eq!(found.since, Some(fresh.time));
    let known = store.journal.find(&store.search("7f-guid")).await.unwrap();
    assert_eq!(known.objects.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_stays_within_its_bytes() {
    let bound = 200_000;
    let store = Store::new(
        JournalBounds { age: 100 * DAY, bytes: bound },
        Keeping { archive: Some(DAY), masks: Masks::default() },
    );
    let mut rows = 0;
    for round in 0..40u64 {
        let batch: Vec<Envelope> = (1..=200)
            .map(|number| {
                let noise: String = (0..20).map(|_| fastrand::alphanumeric()).collect();
                let body = format!("{{\"шум\":\"{noise}\"}}").into_bytes();
                Envelope {
                    time: Moment::now(),
                    ..sample::with_body(&store.stream, "7f-guid", round * 200 + number, body)
                }
            })
            .collect();
        store.sealed(&batch);
        for message in &batch {
            let what = What::Skipped("filtered");
            let step = Step {
                route: store.route.clone(),
                stream: store.stream.clone(),
                seq: message.seq,
                at: message.time,
                what,
            };
            store.journal.note(Event::Step(step));
        }
        store.journal.flush().await.unwrap();
        rows += batch.len();
    }
    let reader = rusqlite::Connection::open(store.path()).unwrap();
    let size = || reader.query_row("SELECT bytes FROM journal_size", [], |row| row.get::<_, i64>(0)).unwrap();
    for _ in 0..100 {
        store.journal.flush().await.unwrap();
    }
    assert!(size() <= bound as i64, "{} bytes", size());
    let count = |table: &str| {
        reader.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let (keys, labels, steps) = (count("journal_keys"), count("journal_labels"), count("journal_steps"));
    assert!(keys > 0 && keys < rows as i64 && keys == labels && keys == steps, "{keys} {labels} {steps}");
    assert_eq!(count("journal"), count("archive"));
    // The estimate is honest: what it counts is about what is there.
    let there: i64 = reader
        .query_row("SELECT sum(length(entries)) + (SELECT sum(length(bodies)) FROM archive) FROM journal", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert!(size() > there && size() < there * 4, "{} against {there}", size());
}
