//! Samples the running engine and the disk every few seconds, and lets `policy::watch` judge. Reads memory only, but for
//! one question to the file system a minute and one to the store when a dead letter comes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bus_core::engine::incident::{Incident, Kind};
use bus_core::engine::worker::Handle;
use bus_core::policy::{
    BacklogWatch, BrokerWatch, ConsumerLook, ConsumerWatch, DiskLook, DiskWatch, Sign, THE_BROKER, pattern,
};
use bus_core::ports::broker::BrokerHealth;
use bus_core::ports::state::{DeadFilter, DeadRow, HoldReason};
use bus_core::vocabulary::{Key, Moment};
use tokio_util::sync::CancellationToken;

use super::forecast::Forecaster;
use super::open::is_open;
use super::{Oversight, pretend};

/// Between looks: soon enough for a person, and nothing to the machine.
const TICK: Duration = Duration::from_secs(2);
/// A gate that gives a permit within this time is open, however slow its pace.
const OPEN: Duration = Duration::from_secs(60);
/// Between looks at the disk.
const DISK: Duration = Duration::from_secs(60);
/// A file system that does not answer (a network's) is left alone.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

struct Looks {
    started: Moment,
    /// Changes published, and when the last of them was noticed; by stream.
    heard: HashMap<String, (u64, Option<Moment>)>,
    consumers: HashMap<String, ConsumerWatch>,
    backlogs: HashMap<String, BacklogWatch>,
    dead: HashMap<String, (usize, String)>,
    /// Rows that could not be read, as counted when the store was asked last.
    unreadable: Option<u64>,
    forecaster: Forecaster,
    broker: BrokerWatch,
    disk: DiskWatch,
    next_disk: Moment,
}

/// Looks until stopped.
pub async fn run(oversight: Arc<Oversight>, stop: CancellationToken) {
    let now = pretend::now();
    let mut looks = Looks {
        started: now,
        heard: HashMap::new(),
        consumers: HashMap::new(),
        backlogs: HashMap::new(),
        dead: HashMap::new(),
        unreadable: None,
        forecaster: Forecaster::default(),
        broker: BrokerWatch::default(),
        disk: DiskWatch::default(),
        next_disk: now,
    };
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let work = async {
        loop {
            tick.tick().await;
            looks.all(&oversight, pretend::now()).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(work).await;
}

impl Looks {
    async fn all(&mut self, oversight: &Oversight, now: Moment) {
        self.silence(oversight, now);
        self.broker(oversight, now);
        for handle in oversight.engine.routes() {
            self.route(oversight, &handle, now);
            self.dead_letters(oversight, &handle).await;
        }
        self.unreadable(oversight).await;
        self.forecaster.turn(oversight, now);
        if self.next_disk <= now {
            self.next_disk = now.after(DISK);
            self.disk(oversight, now).await;
        }
        oversight.workshop.incidents.forget(|incident| known(oversight, incident), now);
    }

    fn silence(&mut self, oversight: &Oversight, now: Moment) {
        for (stream, expected) in &oversight.plan().expect {
            let published = oversight.workshop.metrics.published.with_label_values(&[stream]).get();
            let heard = self.heard.entry(stream.clone()).or_insert((published, None));
            if heard.0 != published {
                *heard = (published, Some(now));
            }
            let sign = expected.judge(heard.1, self.started, now);
            let remedy = "look whether people work there as usual; then at the source, its job and the way to it";
            oversight.workshop.incidents.judge(Kind::SourceSilent, stream, sign, remedy);
        }
    }

    fn broker(&mut self, oversight: &Oversight, now: Moment) {
        let trouble = match oversight.workshop.broker.health().borrow().clone() {
            // The trouble of the embedded one is the state store's, and told as that.
            _ if oversight.workshop.one_step.is_some() => None,
            BrokerHealth::Connected => None,
            BrokerHealth::Blocked(reason) => Some(format!("it takes no messages: {reason}")),
            BrokerHealth::Disconnected(error) => Some(format!("there is no connection: {error}")),
        };
        let sign = self.broker.judge(trouble, now);
        let remedy = "nothing is lost: feeds read on and pushes are taken when the broker takes messages again; look at its \
                      disk, its memory and the way to it";
        oversight.workshop.incidents.judge(Kind::BrokerDown, THE_BROKER, sign, remedy);
    }

    fn route(&mut self, oversight: &Oversight, handle: &Handle, now: Moment) {
        let (plan, name, status) = (oversight.plan(), handle.route().as_str(), handle.status());
        let queued = oversight.workshop.metrics.queue_depth.with_label_values(&[handle.queue().as_str()]).get();
        let queued = u64::try_from(queued).unwrap_or(0);
        let look = ConsumerLook {
            queued,
            may_send: is_open(oversight, handle, OPEN) && status.paused.is_none() && status.next_run.is_none(),
            progress: progress(oversight, name, status.waiting),
        };
        let sign = self.consumers.entry(name.to_owned()).or_default().judge(look, now);
        let remedy = "nothing is lost; look at the log of the bus, then restart it, and report this with the log";
        oversight.workshop.incidents.judge(Kind::ConsumerStuck, name, sign, remedy);

        let Some(by) = plan.empty_by.get(name) else { return };
        // What is collected for the next run is not late.
        let due = if status.next_run.is_some() { 0 } else { queued.saturating_sub(status.in_flight as u64) };
        let backlog = due + status.waiting as u64;
        let watch = self.backlogs.entry(name.to_owned()).or_insert_with(|| BacklogWatch::new(now));
        let sign = watch.judge(*by, plan.zone, backlog, now);
        let remedy = "nothing is lost; `bus status` says what it waits for and when it will be empty";
        oversight.workshop.incidents.judge(Kind::BacklogLate, name, sign, remedy);
    }

    async fn dead_letters(&mut self, oversight: &Oversight, handle: &Handle) {
        let (name, keys) = (handle.route().as_str(), handle.status().dead_keys);
        let known = self.dead.entry(name.to_owned()).or_default();
        if known.0 != keys && keys > 0 {
            let filter = DeadFilter { route: Some(handle.route().clone()), limit: 1, ..DeadFilter::default() };
            if let Ok(rows) = oversight.workshop.store.dead_letters(&filter).await {
                known.1 = rows.last().map(openly).unwrap_or_default();
            }
        }
        known.0 = keys;
        let sign = match (keys, oversight.engine.is_ready()) {
            // A worker that has not opened yet knows of none.
            (0, false) => Sign::Unknown,
            (0, true) => Sign::Good,
            (1, _) => Sign::Bad(format!("one key has a dead letter: {}", known.1)),
            (keys, _) => Sign::Bad(format!("{keys} keys have dead letters, the last: {}", known.1)),
        };
        let remedy = format!("`bus dead list --route {name}` shows them; mend the cause, then replay or drop them");
        oversight.workshop.incidents.judge(Kind::DeadLetters, name, sign, &remedy);
    }

    /// Asks the store at the start, when a row comes that cannot be read, and while one is told of: it may be dropped.
    async fn unreadable(&mut self, oversight: &Oversight) {
        let plan = oversight.plan();
        let counted = plan
            .streams
            .iter()
            .map(|stream| oversight.workshop.metrics.unreadable.with_label_values(&[stream]).get())
            .sum();
        let told = |stream: &&String| oversight.workshop.incidents.is_open(Kind::UnreadableRecords, stream);
        let told: Vec<&String> = plan.streams.iter().filter(told).collect();
        if self.unreadable == Some(counted) && told.is_empty() {
            return;
        }
        let Ok(found) = oversight.store.unreadable().await else { return };
        self.unreadable = Some(counted);
        for stream in told {
            if !found.iter().any(|one| one.stream.as_str() == stream) {
                oversight.workshop.incidents.close(Kind::UnreadableRecords, stream);
            }
        }
        for one in found.iter().filter(|one| plan.streams.contains(one.stream.as_str())) {
            let sign = Sign::Bad(format!("{} rows could not be read and are kept, the last: {}", one.count, one.last));
            let remedy = "nothing else is held up; `bus dead list` shows them: mend the rows at the source or the query, so \
                          that they are read, then `bus dead drop` them";
            oversight.workshop.incidents.judge(Kind::UnreadableRecords, one.stream.as_str(), sign, remedy);
        }
    }

    async fn disk(&mut self, oversight: &Oversight, now: Moment) {
        let path = oversight.database.clone();
        let asked = tokio::task::spawn_blocking(move || look_at_disk(&path));
        let Ok(Ok(Ok(look))) = tokio::time::timeout(DISK_PATIENCE, asked).await else { return };
        oversight.workshop.metrics.disk_free.set(i64::try_from(look.free).unwrap_or(i64::MAX));
        let sign = self.disk.judge(look, now);
        let remedy = "make room on this disk, or shorten what is kept (`keep` of subscriptions); full, the bus stops \
                      reading and sending, and loses nothing";
        oversight.workshop.incidents.judge(Kind::DiskFilling, &oversight.name, sign, remedy);
    }
}

/// Whether anybody still looks at the subject of an incident.
fn known(oversight: &Oversight, incident: &Incident) -> bool {
    let (plan, subject) = (oversight.plan(), &incident.subject);
    plan.topology.knows(incident)
        && match incident.kind {
            Kind::UnreadableRecords => plan.streams.contains(subject),
            Kind::SubscriberBehind => plan.pulled.contains(subject),
            Kind::SourceSilent => plan.expect.iter().any(|(stream, _)| stream == subject),
            Kind::BacklogLate => plan.empty_by.contains_key(subject),
            Kind::CertificateEnding => oversight.peers.iter().any(|peer| peer.name == *subject),
            Kind::DiskFilling => *subject == oversight.name,
            _ => true,
        }
}

/// Another number whenever the route did something.
fn progress(oversight: &Oversight, route: &str, waiting: usize) -> u64 {
    let settled = ["delivered", "skipped", "superseded", "dead_lettered"];
    let settled: u64 =
        settled.iter().map(|o| oversight.workshop.metrics.settled.with_label_values(&[route, *o]).get()).sum();
    let attempts = oversight.workshop.metrics.attempt_seconds.with_label_values(&[route]).get_sample_count();
    // Messages put aside: their number may fall, but together with the rest it does not come back to the same.
    settled.wrapping_add(attempts).wrapping_mul(1_000_003).wrapping_add(waiting as u64)
}

fn look_at_disk(database: &Path) -> std::io::Result<DiskLook> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(folder)?;
    let log = database.with_extension("db-wal");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let free = pretend::free().unwrap_or_else(|| disk.f_bavail.saturating_mul(disk.f_frsize));
    Ok(DiskLook { free, ours: size(database) + size(&log) })
}

/// What people are told of a letter: one that waited for a record names its key, which is for whoever looks at the letter.
fn openly(row: &DeadRow) -> String {
    let letter = &row.letter;
    if letter.fault != HoldReason::Requires.as_str() {
        return letter.message.clone();
    }
    pattern(&letter.message, row.key.as_ref().map(Key::as_str), row.label.as_deref())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_disk_answers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bus.db");
        std::fs::write(&file, [0; 1000]).unwrap();
        std::fs::write(folder.path().join("bus.db-wal"), [0; 24]).unwrap();
        let look = look_at_disk(&file).unwrap();
        assert_eq!(look.ours, 1024);
        assert!(look.free > 0);
        assert!(look_at_disk(Path::new("/нет/bus.db")).is_err());
    }
}
