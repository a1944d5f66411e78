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

mod difference;
mod refused;
mod seats;
pub mod watch;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bus_config::{Landscape, Print, Subscription, Via};
use bus_core::engine::crash;
use bus_core::engine::incident::Kind;
use bus_core::engine::supervisor::{JobName, Running};
use bus_core::policy::places::{Arrangement, Step};
use bus_core::ports::broker::{BrokerHealth, QueuePlan};
use bus_core::ports::pauses::{Pause, Subject};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{FeedName, GateName, Moment, QueueName, RouteName, Secret, SubscriptionName};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

pub use self::refused::{Refused, count};
pub use self::seats::{Dropped, arranged};
use crate::live::Live;
use crate::watch::{Oversight, Plan};
use crate::wire::Workshop;
use crate::wire::feeds::Door;
use crate::wire::parts::{self, Parts, QueueOf};

/// Replaced jobs may finish their attempts so long; what is not finished then is cut off, and comes again.
const DRAIN: Duration = Duration::from_secs(12);
/// A broker that has not made the new queues by then is away: nothing changes.
const DECLARE: Duration = Duration::from_secs(10);
/// Whose trouble it is that something does not run since a reload.
const RELOAD: &str = "the reload";

/// What runs, and how to replace it.
pub struct Reloader {
    file: Option<PathBuf>,
    workshop: Arc<Workshop>,
    running: Arc<Running>,
    oversight: Arc<Oversight>,
    doors: Arc<Live<HashMap<String, Door>>>,
    outs: Arc<Live<HashMap<SubscriptionName, Secret>>>,
    /// Held while a reload is under way: the next one waits.
    current: Mutex<Current>,
    /// For status, which does not wait.
    seen: Live<Seen>,
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

/// Which files run, and since when.
#[derive(Debug, Clone)]
struct Seen {
    since: Moment,
    print: Print,
    /// The last files that were refused, and why.
    refused: Option<(Print, String)>,
}

/// What a reload did.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Report {
    /// Started, or started anew, as "route orders-to-shop".
    pub started: Vec<String>,
    /// Ended for good.
    pub ended: Vec<String>,
    /// Routes that went on under another name, as "old -> new".
    pub renamed: Vec<String>,
    /// Worth knowing.
    pub notes: Vec<String>,
    /// How long it took.
    pub milliseconds: u64,
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
        let print = file.map(bus_config::print).unwrap_or_default();
        if let Some(file) = file {
            // Whatever an earlier process had refused: this file runs.
            workshop.incidents.close(Kind::ConfigRefused, &file.display().to_string());
        }
        let seen = Live::new(Seen { since: Moment::now(), print, refused: None });
        let reloader = Self {
            file: file.map(Path::to_owned),
            workshop,
            running,
            oversight,
            doors,
            outs,
            current: Mutex::new(current),
            seen,
        };
        if let Ok(current) = reloader.current.try_lock() {
            reloader.show(&current);
        }
        reloader
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
        let Some(file) = self.file.clone() else { return Err(Refused::NoFile) };
        let mut current = self.current.lock().await;
        let started = Instant::now();
        let print = bus_config::print(&file);
        let subject = file.display().to_string();
        match self.replace(&mut current, &file, dropped).await {
            Ok(mut report) => {
                report.milliseconds = started.elapsed().as_millis() as u64;
                self.seen.set(Seen { since: Moment::now(), print, refused: None });
                self.workshop.incidents.close(Kind::ConfigRefused, &subject);
                tracing::info!(
                    started = report.started.len(),
                    ended = report.ended.len(),
                    renamed = report.renamed.len(),
                    milliseconds = report.milliseconds,
                    "{subject} was taken over"
                );
                Ok(report)
            }
            Err(refused) if refused.has_taken_over() => {
                self.seen.set(Seen { since: Moment::now(), print, refused: None });
                self.workshop.incidents.close(Kind::ConfigRefused, &subject);
                Err(refused)
            }
            Err(refused) => {
                let seen = self.seen.get();
                let message = format!("running the {subject} of {}; {}", seen.since, refused.summary());
                let remedy = format!("nothing was changed; see all of it with: bus reload --file {subject}");
                self.workshop.incidents.open(Kind::ConfigRefused, &subject, &message, &remedy);
                self.seen.set(Seen { refused: Some((print, refused.summary())), ..(*seen).clone() });
                Err(refused)
            }
        }
    }

    async fn replace(&self, current: &mut Current, file: &Path, dropped: &Dropped) -> Result<Report, Refused> {
        let path = file.to_owned();
        let checked = tokio::task::spawn_blocking(move || bus_config::check(&path)).await;
        let checked = checked.map_err(|error| Refused::Parts(error.into()))?;
        let Some(new) = checked.landscape else { return Err(Refused::File(checked.diagnostics)) };
        let fixed = difference::fixed(&current.landscape, &new);
        if !fixed.is_empty() {
            return Err(Refused::Fixed(fixed));
        }
        let difference = difference::between(&current.landscape, &new);
        // What answers for a map that is the same goes on, and nothing that needs it waits until it was read again.
        for map in new.maps.iter().filter(|map| !difference.maps.contains(&map.handle.name)) {
            let same = current.landscape.maps.iter().find(|known| known.handle.name == map.handle.name);
            same.into_iter().for_each(|known| map.handle.share(&known.handle));
        }
        self.refuse_queues_of_routes(current, &new).await?;
        let subscribed: Vec<_> = current.landscape.subscriptions.iter().map(|one| one.name.clone()).collect();
        let arrangement = arranged(&self.workshop, &new, dropped, &subscribed, true).await?;
        let left = seats::ended_subscriptions(&self.workshop, &current.landscape, &new, dropped).await?;
        let mut report = report(&current.landscape, &difference, &arrangement);
        if difference.is_none() && arrangement.steps.is_empty() && current.idle.is_empty() {
            self.oversight.plan.set(Plan::of(&new));
            self.workshop.remember(&new);
            current.landscape = new;
            self.remove_given_up().await;
            return Ok(report);
        }
        let idle = current.idle.difference(&difference.end);
        let start: BTreeSet<JobName> = difference.start.iter().chain(idle).cloned().collect();
        report.started = start.iter().map(word).collect();
        let wanted = |job: &JobName| start.contains(job);
        let parts = parts::prepare(&new, &self.workshop, &arrangement.queues, wanted).map_err(Refused::Parts)?;

        let queues = parts::queues(&new, &arrangement).map_err(Refused::Parts)?;
        let fresh = self.note_new_queues(&current.landscape, &new, &queues, &arrangement.steps).await?;
        if let Err(error) = self.running.declare(queues, DECLARE).await {
            self.take_back(&fresh).await;
            return Err(Refused::Broker(error.to_string()));
        }
        crash::point("reload.declared");

        let end: Vec<JobName> = difference.end.iter().cloned().collect();
        let clean = self.running.end(&end, DRAIN).await;
        if !clean {
            report.notes.push("an attempt took too long and was cut off: its message comes again".to_owned());
        }
        if let Err(error) = give_places(&self.workshop, &arrangement.steps).await {
            self.go_on(current, &difference.end).await;
            self.take_back(&fresh).await;
            return Err(error.into());
        }
        self.close_gates(&difference.systems, clean).await;
        self.close_incidents(&difference.end);

        for job in &difference.end {
            match job {
                JobName::Feed(name) => drop(current.doors.remove(name)),
                JobName::Outbox(name) => drop(current.outs.remove(name)),
                JobName::Route(_) => {}
            }
        }
        let left: Vec<Subscription> = left.into_iter().cloned().collect();
        self.oversight.plan.set(Plan::of(&new));
        self.workshop.remember(&new);
        (current.landscape, current.queues, current.idle) = (new, arrangement.queues, start);
        let launched = self.launch(current, parts).await;
        self.let_go(&left).await;
        self.remove_given_up().await;
        launched.map(|()| report).map_err(|error| Refused::Idle(current.idle.iter().map(word).collect(), error))
    }

    /// A subscription that is new would share the queue of a route that has its name, or lose it with what the route leaves.
    async fn refuse_queues_of_routes(&self, current: &Current, new: &Landscape) -> Result<(), Refused> {
        let known = self.workshop.places.places().await?;
        let of_routes: Vec<&QueueName> = current.queues.values().chain(&known.given_up).collect();
        let taken = new.subscriptions.iter().find(|one| {
            !has_subscription(&current.landscape, one.name.as_str())
                && of_routes.iter().any(|queue| queue.as_str() == one.name.as_str())
        });
        taken.map_or(Ok(()), |one| {
            let message = "the queue of this name still belongs to a route: give the subscription another name";
            Err(Refused::Parts(anyhow::anyhow!("subscription {}: {message}", one.name)))
        })
    }

    /// Of the queues that this reload makes, those that do not exist yet. Those of routes are given up, durably, until their
    /// routes enter them: whatever ends this reload, no queue is left that fills for nobody. A queue that exists may hold
    /// what somebody still wants.
    async fn note_new_queues(
        &self,
        old: &Landscape,
        new: &Landscape,
        queues: &[QueuePlan],
        steps: &[Step],
    ) -> Result<Vec<QueueName>, Refused> {
        let entered: BTreeSet<&QueueName> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Enter(place) => place.queue.as_ref(),
                _ => None,
            })
            .collect();
        let made_now = |queue: &&QueueName| {
            let subscribed = has_subscription(new, queue.as_str()) && !has_subscription(old, queue.as_str());
            entered.contains(queue) || subscribed
        };
        let mut fresh = Vec::new();
        for queue in queues.iter().map(|plan| &plan.queue).filter(made_now) {
            if self.workshop.broker.depth(queue).await.is_err() {
                // A broker that is away says nothing about the queue.
                if let BrokerHealth::Disconnected(error) = &*self.workshop.broker.health().borrow() {
                    return Err(Refused::Broker(error.clone()));
                }
                fresh.push(queue.clone());
            }
        }
        let made: Vec<Step> = fresh.iter().filter(|queue| entered.contains(queue)).cloned().map(Step::Make).collect();
        if !made.is_empty() {
            self.workshop.places.arrange(&made).await?;
        }
        Ok(fresh)
    }

    /// Queues that were made in vain. What fails here is tried again by the next reload or start.
    async fn take_back(&self, made: &[QueueName]) {
        for queue in made {
            if let Err(error) = self.running.remove_queue(queue).await {
                tracing::warn!(queue = queue.as_str(), "made in vain, and not removed yet: {error}");
            }
        }
        self.remove_given_up().await;
    }

    async fn remove_given_up(&self) {
        remove_given_up(&self.workshop, |queue| {
            let running = Arc::clone(&self.running);
            async move { running.remove_queue(&queue).await }
        })
        .await;
    }

    /// Starts parts and shows their doors; then nothing is idle. After an error none of them runs, and somebody is told.
    async fn launch(&self, current: &mut Current, mut parts: Parts) -> anyhow::Result<()> {
        let (doors, outs) = (std::mem::take(&mut parts.doors), std::mem::take(&mut parts.outs));
        match parts.open(&self.workshop).await {
            Ok(jobs) => {
                current.doors.extend(doors);
                current.outs.extend(outs);
                current.idle.clear();
                self.show(current);
                self.running.launch(jobs);
                self.workshop.incidents.close(Kind::JobCrashed, RELOAD);
                Ok(())
            }
            Err(error) => {
                self.show(current);
                self.tell_idle(current, &error);
                Err(error)
            }
        }
    }

    fn tell_idle(&self, current: &Current, error: &anyhow::Error) {
        let idle = current.idle.iter().map(word).collect::<Vec<_>>().join(", ");
        let message = format!("not running since a reload: {idle}: {error:#}");
        let remedy = "nothing is lost; mend what the message says, then: bus reload";
        self.workshop.incidents.open(Kind::JobCrashed, RELOAD, &message, remedy);
    }

    fn show(&self, current: &Current) {
        self.doors.set(current.doors.values().cloned().collect());
        self.outs.set(current.outs.clone());
    }

    /// The store took no writes after jobs had ended: they start again as they were.
    async fn go_on(&self, current: &mut Current, ended: &BTreeSet<JobName>) {
        current.idle.extend(ended.iter().cloned());
        let idle = current.idle.clone();
        match parts::prepare(&current.landscape, &self.workshop, &current.queues, |job| idle.contains(job)) {
            // Told by itself if it fails.
            Ok(parts) => drop(self.launch(current, parts).await),
            Err(error) => self.tell_idle(current, &error),
        }
    }

    async fn close_gates(&self, systems: &BTreeSet<bus_core::vocabulary::SystemName>, clean: bool) {
        for system in systems {
            for gate in [GateName::Deliveries(system.clone()), GateName::Reads(system.clone())] {
                match clean {
                    true => self.workshop.gates.close(&gate).await,
                    false => self.workshop.gates.abandon(&gate),
                }
            }
        }
    }

    /// What was wrong with a job that is gone or replaced is opened again if it still is.
    fn close_incidents(&self, ended: &BTreeSet<JobName>) {
        let subjects: BTreeSet<&str> = ended
            .iter()
            .map(|job| match job {
                JobName::Feed(name) => name.as_str(),
                JobName::Route(name) => name.as_str(),
                JobName::Outbox(name) => name.as_str(),
            })
            .collect();
        for incident in self.workshop.incidents.list() {
            if subjects.contains(incident.subject.as_str()) {
                self.workshop.incidents.close(incident.kind, &incident.subject);
            }
        }
    }

    /// Queues and kept messages of subscriptions that are gone.
    async fn let_go(&self, subscriptions: &[Subscription]) {
        for one in subscriptions {
            let Ok(queue) = QueueName::new(one.name.as_str()) else { continue };
            if let Err(error) = self.running.remove_queue(&queue).await {
                tracing::warn!(queue = queue.as_str(), "not removed, delete it at the broker: {error}");
            }
            if matches!(one.via, Via::Http { .. })
                && let Err(error) = self.workshop.store.outbox_trim(&one.name, u64::MAX, Moment::now(), 0).await
            {
                tracing::warn!(subscription = one.name.as_str(), "what was kept for it stays: {error}");
            }
        }
    }

    /// Waits for a reload under way, and lets none begin while the guard lives: for the end of the process.
    pub async fn hold(&self) -> MutexGuard<'_, Current> {
        self.current.lock().await
    }

    /// For status: which files run, since when, and whether the disk has others.
    pub fn words(&self) -> Option<Words> {
        let file = self.file.as_deref()?;
        let (seen, now) = (self.seen.get(), bus_config::print(file));
        let note = match &seen.refused {
            Some((print, why)) if *print == now => Some(format!("the file on disk was refused: {why}")),
            _ if now != seen.print => Some("the file on disk is another one: bus reload takes it over".to_owned()),
            _ => None,
        };
        Some(Words { file: file.display().to_string(), since: seen.since.to_string(), note })
    }

    /// What the files on disk look like if they are neither running nor refused.
    fn fresh(&self) -> Option<Print> {
        let (seen, now) = (self.seen.get(), bus_config::print(self.file.as_deref()?));
        let refused = seen.refused.as_ref().is_some_and(|(print, _)| *print == now);
        (now != seen.print && !refused).then_some(now)
    }
}

/// Which files run, in words for status.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Words {
    pub file: String,
    pub since: String,
    pub note: Option<String>,
}

/// Gives the places away. A route that a person paused stays paused under its new name.
pub async fn give_places(workshop: &Workshop, steps: &[Step]) -> Result<(), StateError> {
    let pauses = &workshop.operations.pauses;
    let mut moved = Vec::new();
    for step in steps {
        if let Step::Rename { from, to } = step
            && let Some(pause) = pauses.of(&Subject::Route(from.clone()))
        {
            // Before the place: in between, a crash leaves a pause too many rather than one too few.
            pauses.pause(Pause { subject: Subject::Route(to.clone()), ..pause.clone() }).await?;
            moved.push(pause);
        }
    }
    workshop.places.arrange(steps).await?;
    for pause in moved {
        pauses.resume(&pause.subject, &pause.who).await?;
    }
    Ok(())
}

/// Removes queues that were given up, and forgets those that are gone. What fails is tried again next time.
pub async fn remove_given_up<F, Fut>(workshop: &Workshop, remove: F)
where
    F: Fn(QueueName) -> Fut,
    Fut: Future<Output = Result<(), bus_core::ports::broker::BrokerError>>,
{
    let known = match workshop.places.places().await {
        Ok(known) => known,
        Err(error) => return tracing::warn!("queues given up are not removed yet: {error}"),
    };
    for queue in known.given_up {
        if let Err(error) = remove(queue.clone()).await {
            tracing::warn!(queue = queue.as_str(), "not removed yet, the next reload or start tries again: {error}");
        } else if let Err(error) = workshop.places.queue_removed(&queue).await {
            tracing::warn!(queue = queue.as_str(), "removed, but not noted: {error}");
        }
    }
}

fn word(job: &JobName) -> String {
    match job {
        JobName::Feed(name) => format!("feed {name}"),
        JobName::Route(name) => format!("route {name}"),
        JobName::Outbox(name) => format!("subscription {name}"),
    }
}

fn report(old: &Landscape, difference: &difference::Difference, arrangement: &Arrangement) -> Report {
    let mut report = Report {
        started: difference.start.iter().map(word).collect(),
        ended: difference.end.difference(&difference.start).map(word).collect(),
        ..Report::default()
    };
    for step in &arrangement.steps {
        match step {
            Step::Rename { from, to } => report.renamed.push(format!("{from} -> {to}")),
            Step::Forget(route) if old.routes.iter().any(|known| known.name == *route) => {
                report.notes.push(format!("route {route}: everything it held is dropped"));
            }
            _ => {}
        }
    }
    let kept = |route: &RouteName| format!("route {route}: nobody could look into its queue; it is kept, and filled");
    report.notes.extend(arrangement.kept.iter().map(|place| kept(&place.route)));
    report
}

fn has_subscription(landscape: &Landscape, name: &str) -> bool {
    landscape.subscriptions.iter().any(|one| one.name.as_str() == name)
}
