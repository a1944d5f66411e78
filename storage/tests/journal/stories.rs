//! What a message went through, and that it is as durable as what it led to.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_story_tells_each_version_on_its_route() {
    let store = Store::archived();
    let versions: Vec<Envelope> = (1..=6).map(|number| store.version(number)).collect();
    store.sealed(&versions);
    store.delivered(&versions[0]).await;
    store.chronicle.step(&store.route, &store.stream, versions[1].seq, What::Skipped("filtered"));
    store.settle(&versions[1], Settlement::Skipped).await;
    // Two equal failures are one step; then it is buried.
    for _ in 0..2 {
        store.chronicle.attempt(&store.route, &versions[2], Duration::ZERO, &Err(rejected()));
    }
    store.chronicle.dead(&store.route, &versions[2], "rejected", "422");
    store.settle(&versions[2], Settlement::DeadLettered { letter: letter(&versions[2]), keep_mark: false }).await;
    // Settled without a trace: a crash took the note.
    store.settle(&versions[3], Settlement::Skipped).await;
    let not_before = Moment::now().after(DAY);
    let hold = Change::Hold {
        envelope: versions[4].clone(),
        not_before,
        attempts: 3,
        reason: HoldReason::Retry,
        clear_mark: false,
        latest: false,
        doubt: false,
    };
    store.state.commit(&store.route, vec![hold]).await.unwrap();
    store.journal.flush().await.unwrap();

    let story = store.story().await;
    let waiting = State::Waiting { reason: HoldReason::Retry, until: not_before, attempts: 3, behind: 0, held: None };
    let expected =
        [State::Delivered, State::Skipped("filtered".into()), State::Dead(1), State::Settled, waiting, State::OnItsWay];
    assert_eq!(states(&story), expected);
    let bodies: Vec<_> = story.versions.iter().map(|version| version.body.clone().unwrap()).collect();
    assert_eq!(bodies, versions.iter().map(|version| version.body.clone()).collect::<Vec<_>>());
    let first = &story.versions[0];
    assert!(first.published_at.is_some());
    assert_eq!((first.run.clone(), first.generation), (Some((store.feed.clone(), 1)), 1));
    let step = &first.routes[0].steps[0];
    assert_eq!((step.word.as_str(), step.status, step.took), ("ok", Some(200), Some(Duration::from_millis(12))));
    let steps = &story.versions[2].routes[0].steps;
    assert_eq!((steps.len(), steps[0].times, steps[0].status), (2, 2, Some(422)));
    assert!(steps[0].answer.as_ref().unwrap().contains("bad"));

    // The durable tables win over what the journal says: a letter that is gone is no longer open.
    assert!(store.state.drop_dead(1).await.unwrap());
    assert_eq!(states(&store.story().await)[2], State::WasDead);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_durable_tables_win_over_a_note_whose_outcome_was_never_committed() {
    let store = Store::archived();
    let message = store.version(1);
    store.sealed(std::slice::from_ref(&message));
    let receipt = Ok(Receipt { status: Some(200), ..Receipt::default() });
    store.chronicle.attempt(&store.route, &message, Duration::ZERO, &receipt);
    store.journal.flush().await.unwrap();
    assert_eq!(states(&store.story().await), [State::OnItsWay], "it will be sent again");
    // A replayed letter waits, whatever was noted before.
    store.chronicle.dead(&store.route, &message, "rejected", "422");
    store.settle(&message, Settlement::DeadLettered { letter: letter(&message), keep_mark: false }).await;
    store.state.replay(1, ReplayMode::Careful).await.unwrap();
    assert!(matches!(states(&store.story().await)[..], [State::Waiting { reason: HoldReason::Replay, .. }]));
    // Without any note: the fence names what was delivered.
    let other = Store::archived();
    let message = other.version(3);
    other.sealed(std::slice::from_ref(&message));
    other.settle(&message, Settlement::Delivered { present: true, receiver_id: Some("№1".into()) }).await;
    other.journal.flush().await.unwrap();
    let story = other.story().await;
    assert_eq!(states(&story), [State::Delivered]);
    assert_eq!(story.fences[0].1.receiver_id.as_deref(), Some("№1"));
}

/// What a kill would leave on the disk at this moment.
fn copied(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        if name(from).exists() {
            std::fs::copy(name(from), name(to)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_is_durable_with_what_was_committed_after_it() {
    let store = Store::archived();
    let message = store.version(1);
    store.sealed(std::slice::from_ref(&message));
    store.chronicle.attempt(&store.route, &message, Duration::ZERO, &Err(rejected()));
    store.chronicle.dead(&store.route, &message, "rejected", "422");
    store.settle(&message, Settlement::DeadLettered { letter: letter(&message), keep_mark: false }).await;
    let elsewhere = tempfile::tempdir().unwrap();
    copied(&store.path(), &elsewhere.path().join("bus.db"));
    let killed = SqliteJournal::readonly(Database::open_readonly(elsewhere.path().join("bus.db")).unwrap());
    let story = store.story_in(&killed).await;
    assert_eq!(states(&story), [State::Dead(1)]);
    assert_eq!(story.versions[0].routes[0].steps.len(), 2, "no flush was asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_noted_again_after_a_crash_is_there_once() {
    let store = Store::archived();
    let batch: Vec<Envelope> = (1..=600).map(|number| store.version(number)).collect();
    for _ in 0..2 {
        store.sealed(&batch);
        store.journal.flush().await.unwrap();
    }
    let of = StoryOf {
        versions: 1000,
        ..StoryOf {
            stream: store.stream.clone(),
            key: batch[0].key.clone(),
            routes: vec![],
            versions: 0,
            since: None,
            until: None,
        }
    };
    let story = store.journal.story(&of).await.unwrap();
    let seqs: Vec<Seq> = story.versions.iter().map(|version| version.seq).collect();
    assert_eq!(seqs, batch.iter().map(|envelope| envelope.seq).collect::<Vec<_>>());
    assert!(story.versions.iter().all(|version| version.published_at.is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_did_stands_between_two_deliveries_and_decides_nothing() {
    let store = Store::archived();
    let version = store.version(1);
    store.sealed(std::slice::from_ref(&version));
    store.delivered(&version).await;
    store.chronicle.person(&store.route, (&version.stream, version.seq), Deed::Resent, &"я".repeat(300));
    store.delivered(&version).await;
    let story = store.story().await;
    let on = &story.versions[0].routes[0];
    let told: Vec<_> = on.steps.iter().map(|step| (step.kind, step.word.as_str(), step.times)).collect();
    assert_eq!(told, [(StepKind::Attempt, "ok", 1), (StepKind::Person, "resent", 1), (StepKind::Attempt, "ok", 1)]);
    assert_eq!(on.steps[1].message.as_deref().map(|who| who.chars().count()), Some(101), "a name is cut");
    store.chronicle.person(&store.route, (&version.stream, version.seq), Deed::Loaded, "anna");
    store.journal.flush().await.unwrap();
    assert_eq!(states(&store.story().await), [State::Delivered]);
}
