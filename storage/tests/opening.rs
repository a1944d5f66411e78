//! Opening a database: one process, our files only, and errors a person can act on.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bus_contract::sample;
use bus_core::ports::broker::{Broker, QueuePlan};
use bus_core::ports::state::{DeadFilter, Reserved, StateError, StateStore};
use bus_core::vocabulary::{GateName, Moment, QueueName, SystemName};
use bus_storage::{Database, EmbeddedBroker, OpenError, SqliteState};

/// Set in a child process: the database it opens and holds until its input ends.
const HOLD: &str = "BUS_STORAGE_TEST_HOLD";

/// Not a test by itself: the body of the child process.
#[test]
fn child_that_holds_a_database() {
    let Some(path) = std::env::var_os(HOLD) else { return };
    let _database = Database::open(std::path::PathBuf::from(path)).unwrap();
    println!("\nholding");
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn hold(path: &std::path::Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_holds_a_database", "--nocapture"])
        .env(HOLD, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holding"), "the child did not open the database");
    child
}

#[test]
fn a_second_process_is_refused_and_told_which_one_is_first() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("нет такой папки/ещё одна/шина №1.db");
    let mut child = hold(&path);
    let refused = Database::open(&path).err().unwrap();
    assert!(matches!(&refused, OpenError::InUse { pid, .. } if *pid == Some(child.id())), "{refused}");
    assert!(refused.to_string().contains(&format!("process {}", child.id())), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
    // A killed process leaves the file but not the lock.
    Database::open(&path).unwrap();
}

#[tokio::test]
async fn a_standby_waits_for_its_turn_and_not_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.db");
    let mut child = hold(&path);
    let impatient = Database::open_waiting(&path, Duration::from_millis(300)).await;
    assert!(matches!(impatient, Err(OpenError::InUse { .. })));
    let turn = async {
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let (standby, ()) = tokio::join!(Database::open_waiting(&path, Duration::from_secs(30)), turn);
    standby.unwrap();
}

#[tokio::test]
async fn looking_needs_no_lock_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.db");
    assert!(matches!(Database::open_readonly(&path), Err(OpenError::Missing(_))));
    assert!(!path.exists(), "looking made a file");
    let system = GateName::Deliveries(SystemName::new("магазин").unwrap());
    let owner = SqliteState::new(Database::open(&path).unwrap());
    owner.set_gate(&system, Reserved::at(17)).await.unwrap();
    let watcher = SqliteState::new(Database::open_readonly(&path).unwrap());
    for _ in 0..2 {
        assert_eq!(watcher.gate(&system).await, Ok(Some(Reserved::at(17))));
        assert_eq!(watcher.dead_letters(&DeadFilter::default()).await, Ok(Vec::new()));
        assert!(matches!(watcher.set_gate(&system, Reserved::at(18)).await, Err(StateError::Failed(_))));
        assert!(matches!(watcher.drop_dead(1).await, Err(StateError::Failed(_))));
        owner.set_gate(&system, Reserved::at(17)).await.unwrap();
    }
    drop(owner);
    // Also when nobody has it open any more.
    let watcher = SqliteState::new(Database::open_readonly(&path).unwrap());
    assert_eq!(watcher.gate(&system).await, Ok(Some(Reserved::at(17))));
}

#[tokio::test]
async fn nobody_else_may_read_keys_or_records() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("данные");
    let state = SqliteState::new(Database::open(folder.join("bus.db")).unwrap());
    let stream = sample::stream();
    state.scan_begin(&stream).await.unwrap();
    state.scan_seen(&stream, &[sample::envelope(&stream, "ключ", 1).key]).await.unwrap();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The lock says to everybody who has the database, and nothing else.
    files.retain(|file| file.extension().is_none_or(|extension| extension != "lock"));
    assert!(files.len() >= 3 && files.contains(&folder.join("bus.db.scan")), "{files:?}");
    for file in files {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", file.display());
    }
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let make = |name: &str, sql: &str| {
        let path = directory.path().join(name);
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    };
    let other = make("чужая.db", "CREATE TABLE orders (id)");
    let stranger = make("другая.db", "PRAGMA application_id = 7; PRAGMA user_version = 3");
    let text = directory.path().join("routes.toml");
    std::fs::write(&text, "# это не база данных\n".repeat(100)).unwrap();
    for path in [&other, &stranger, &text] {
        let before = std::fs::read(path).unwrap();
        assert!(matches!(Database::open(path), Err(OpenError::NotOurs(_))), "{}", path.display());
        assert_eq!(std::fs::read(path).unwrap(), before, "{} was changed", path.display());
    }

    let newer = directory.path().join("новая.db");
    drop(Database::open(&newer).unwrap());
    rusqlite::Connection::open(&newer).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    for refused in [Database::open(&newer).err(), Database::open_readonly(&newer).err()] {
        let refused = refused.unwrap();
        assert!(matches!(refused, OpenError::Newer { found: 99, .. }), "{refused}");
        assert!(refused.to_string().contains("update the program"), "{refused}");
    }
}

#[test]
fn a_place_that_cannot_be_written_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("файл");
    std::fs::write(&file, "").unwrap();
    for path in [file.join("bus.db"), directory.path().to_owned()] {
        let refused = Database::open(&path).err().unwrap();
        assert!(matches!(refused, OpenError::Io { .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_called_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.db");
    let stream = sample::stream();
    let feed = bus_core::vocabulary::FeedName::new("лента").unwrap();
    {
        let state = SqliteState::new(Database::open(&path).unwrap());
        let epoch = state.open_feed(&feed, Moment(0)).await.unwrap().epoch;
        let batch = bus_core::ports::state::SealedBatch {
            expected: None,
            next: None,
            envelopes: (1..=2000).map(|n| sample::envelope(&stream, &format!("к{n}"), n)).collect(),
        };
        state.advance(&feed, epoch, &batch).await.unwrap();
    }
    let mut bytes = std::fs::read(&path).unwrap();
    // What was written last is rows; the schema, which has to be read for opening, lies before.
    let first = bytes.len() / 4096 * 3 / 4 * 4096;
    bytes[first..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let state = SqliteState::new(Database::open(&path).unwrap());
    let keys: Vec<_> = (1..=2000).map(|n| sample::envelope(&stream, &format!("к{n}"), n).key).collect();
    let found = match state.open_feed(&feed, Moment(0)).await {
        Ok(_) => state.published(&stream, &keys).await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(matches!(found, Err(StateError::Corrupt(_))), "{found:?}");
}

#[tokio::test]
async fn a_database_carries_one_broker_and_both_views_share_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.db");
    let database = Database::open(&path).unwrap();
    let (broker, state) = (EmbeddedBroker::open(database.clone()).await.unwrap(), SqliteState::new(database.clone()));
    assert!(EmbeddedBroker::open(database.clone()).await.is_err());
    let (queue, stream) = (QueueName::new("очередь").unwrap(), sample::stream());
    broker.declare(&[QueuePlan { queue: queue.clone(), stream: stream.clone(), keep: None }]).await.unwrap();
    let elsewhere = QueuePlan { queue: queue.clone(), stream: sample::stream(), keep: None };
    assert!(broker.declare(&[elsewhere]).await.is_err(), "a queue changed its stream");
    let system = GateName::Deliveries(SystemName::new("магазин").unwrap());
    let batch = sample::run(&stream, 1, 10);
    let (published, reserved) = tokio::join!(broker.publish(&stream, &batch), state.set_gate(&system, Reserved::at(5)));
    assert!(published.iter().all(Result::is_ok) && reserved.is_ok());
    drop((broker, state, database));
    let database = Database::open(&path).unwrap();
    assert_eq!(EmbeddedBroker::open(database.clone()).await.unwrap().depth(&queue).await.unwrap().messages, 10);
    assert_eq!(SqliteState::new(database).gate(&system).await, Ok(Some(Reserved::at(5))));
}
