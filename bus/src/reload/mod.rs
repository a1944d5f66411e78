//! Hot reload: the files are read and checked anew, and what differs is replaced while the rest goes on.
//!
//! In this order, so that every step may fail, or the process end, without a loss:
//!
//! 1. read, check, compare, ask what removed routes hold, build the new parts: nothing is touched, all refusals are here;
//! 2. note new queues as given up unless somebody enters them, and declare them: from now on their messages are kept;
//! 3. end the jobs that go or change: attempts under way finish, the rest stays at the broker and in `waiting`;
//! 4. give the places away in one transaction (rename, retire, forget, enter): a start after a crash does the same;
//! 5. start the new jobs;
//! 6. remove the queues given up; what fails here is tried again by the next reload or start.
//!
//! Up to 4 everything goes back when a step fails. From there on there is no way back: what cannot be started is told, and
//! started by the next reload.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | the six steps |
//! | `difference.rs`, `fixed.rs` | which jobs a change of the files replaces, and what cannot change |
//! | `seats.rs` | the places of routes |
//! | `queues.rs`, `depth.rs`, `subscriptions.rs`, `jobs.rs` | what is made, ended, started and removed |
//! | `files.rs`, `watch.rs` | which files run, and when the disk has others |
//! | `report.rs`, `refused.rs` | what came of it, in words |

mod depth;
mod difference;
mod files;
mod fixed;
mod jobs;
mod queues;
mod refused;
mod report;
mod seats;
mod subscriptions;
pub mod watch;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bus_config::Landscape;
use bus_core::engine::crash;
use bus_core::engine::supervisor::{JobName, Running};
use bus_core::vocabulary::{FeedName, Secret, SubscriptionName};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use self::files::Files;
use self::report::word;
use crate::live::Live;
use crate::watch::{Oversight, Plan};
use crate::wire::Workshop;
use crate::wire::feeds::Door;
use crate::wire::parts::{self, QueueOf};

pub use self::files::Words;
pub use self::queues::remove_given_up;
pub use self::refused::{Refused, count};
pub use self::report::Report;
pub use self::seats::{Dropped, arranged, give_places};

/// Replaced jobs may finish their attempts so long; what is not finished then is cut off, and comes again.
const DRAIN: Duration = Duration::from_secs(12);
/// A broker that has not made the new queues by then is away: nothing changes.
const DECLARE: Duration = Duration::from_secs(10);

/// What runs, and how to replace it.
pub struct Reloader {
    files: Files,
    workshop: Arc<Workshop>,
    running: Arc<Running>,
    oversight: Arc<Oversight>,
    doors: Arc<Live<HashMap<String, Door>>>,
    outs: Arc<Live<HashMap<SubscriptionName, Secret>>>,
    /// Held while a reload is under way: the next one waits.
    current: Mutex<Current>,
}

/// What runs now.
pub struct Current {
    pub landscape: Landscape,
    pub queues: QueueOf,
    pub doors: HashMap<FeedName, (String, Door)>,
    pub outs: HashMap<SubscriptionName, Secret>,
    /// What ought to run and could not be started.
    pub idle: BTreeSet<JobName>,
}

impl Reloader {
    pub fn new(
        file: Option<&Path>,
        workshop: Arc<Workshop>,
        running: Arc<Running>,
        oversight: Arc<Oversight>,
        doors: Arc<Live<HashMap<String, Door>>>,
        outs: Arc<Live<HashMap<SubscriptionName, Secret>>>,
        current: Current,
    ) -> Self {
        let files = Files::new(file, workshop.incidents.clone());
        let reloader = Self { files, workshop, running, oversight, doors, outs, current: Mutex::new(current) };
        if let Ok(current) = reloader.current.try_lock() {
            reloader.show(&current);
        }
        reloader
    }

    /// Whether a reload is under way: what it ends it may start again.
    pub fn is_at_work(&self) -> bool {
        self.current.try_lock().is_err()
    }

    /// What runs now. Waits for a reload under way.
    pub async fn landscape(&self) -> Landscape {
        self.current.lock().await.landscape.clone()
    }

    /// What all parts share.
    pub fn workshop(&self) -> &Workshop {
        &self.workshop
    }

    /// Reads the files anew and takes over what differs. Not to be cancelled half-way: run it in a task of its own.
    pub async fn reload(&self, dropped: &Dropped) -> Result<Report, Refused> {
        let Some(file) = &self.files.main else { return Err(Refused::NoFile) };
        let mut current = self.current.lock().await;
        let started = Instant::now();
        let print = bus_config::print(file);
        tracing::info!("reading {} anew", file.display());
        match self.replace(&mut current, file, dropped).await {
            Ok(mut report) => {
                report.milliseconds = started.elapsed().as_millis() as u64;
                self.files.taken_over(file, print);
                tracing::info!(
                    started = report.started.len(),
                    ended = report.ended.len(),
                    renamed = report.renamed.len(),
                    milliseconds = report.milliseconds,
                    "{} was taken over",
                    file.display()
                );
                Ok(report)
            }
            Err(refused) => {
                match refused.has_taken_over() {
                    true => self.files.taken_over(file, print),
                    false => self.files.refused(file, print, &refused),
                }
                Err(refused)
            }
        }
    }

    /// For status: which files run, since when, and whether the disk has others.
    pub fn words(&self) -> Option<Words> {
        self.files.words()
    }

    async fn replace(&self, current: &mut Current, file: &Path, dropped: &Dropped) -> Result<Report, Refused> {
        // 1
        let path = file.to_owned();
        let checked = tokio::task::spawn_blocking(move || bus_config::check(&path)).await;
        let checked = checked.map_err(|error| Refused::Parts(error.into()))?;
        let Some(new) = checked.landscape else { return Err(Refused::File(checked.diagnostics)) };
        let fixed = fixed::fixed(&current.landscape, &new);
        if !fixed.is_empty() {
            return Err(Refused::Fixed(fixed));
        }
        let difference = difference::between(&current.landscape, &new);
        // What answers for a map that is the same goes on, and nothing that needs it waits until it was read again.
        for map in new.maps.iter().filter(|map| !difference.maps.contains(&map.handle.name)) {
            let same = current.landscape.maps.iter().find(|known| known.handle.name == map.handle.name);
            same.into_iter().for_each(|known| map.handle.share(&known.handle));
        }
        queues::refuse_those_of_routes(&self.workshop, &current.landscape, &current.queues, &new).await?;
        let subscribed: Vec<_> = current.landscape.subscriptions.iter().map(|one| one.name.clone()).collect();
        let arrangement = arranged(&self.workshop, &new, dropped, &subscribed, true).await?;
        let left = subscriptions::ended(&self.workshop, &current.landscape, &new, dropped).await?;
        let mut report = report::report(&current.landscape, &difference, &arrangement);
        if difference.is_none() && arrangement.steps.is_empty() && current.idle.is_empty() {
            self.oversight.plan.set(Plan::of(&new));
            self.workshop.remember(&new);
            current.landscape = new;
            queues::remove_all_given_up(&self.workshop, &self.running).await;
            return Ok(report);
        }
        let idle = current.idle.difference(&difference.end);
        let start: BTreeSet<JobName> = difference.start.iter().chain(idle).cloned().collect();
        report.started = start.iter().map(word).collect();
        let wanted = |job: &JobName| start.contains(job);
        let parts = parts::prepare(&new, &self.workshop, &arrangement.queues, wanted).map_err(Refused::Parts)?;

        // 2
        let queues = parts::queues(&new, &arrangement).map_err(Refused::Parts)?;
        let fresh = queues::note_new(&self.workshop, &current.landscape, &new, &queues, &arrangement.steps).await?;
        if let Err(error) = self.running.declare(queues, DECLARE).await {
            queues::take_back(&self.workshop, &self.running, &fresh).await;
            return Err(Refused::Broker(error.to_string()));
        }
        crash::point("reload.declared");

        // 3
        let end: Vec<JobName> = difference.end.iter().cloned().collect();
        let clean = self.running.end(&end, DRAIN).await;
        if !clean {
            report.notes.push("an attempt took too long and was cut off: its message comes again".to_owned());
            self.hold_back(&current.landscape, &difference.end);
        }
        // 4
        if let Err(error) = give_places(&self.workshop, &arrangement.steps).await {
            self.go_on(current, &difference.end).await;
            queues::take_back(&self.workshop, &self.running, &fresh).await;
            return Err(error.into());
        }
        self.close_gates(&difference.systems, clean).await;
        self.close_incidents(&difference.end);
        jobs::close_doors(current, &difference.end);
        self.oversight.plan.set(Plan::of(&new));
        self.workshop.remember(&new);
        (current.landscape, current.queues, current.idle) = (new, arrangement.queues, start);

        // 5
        let launched = self.launch(current, parts).await;
        // 6
        subscriptions::let_go(&self.workshop, &self.running, &left).await;
        queues::remove_all_given_up(&self.workshop, &self.running).await;
        launched.map(|()| report).map_err(|error| Refused::Idle(current.idle.iter().map(word).collect(), error))
    }

    /// Waits for a reload under way, and lets none begin while the guard lives: for the end of the process.
    pub async fn hold(&self) -> MutexGuard<'_, Current> {
        self.current.lock().await
    }
}
