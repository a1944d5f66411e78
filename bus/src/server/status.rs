//! What runs, what waits, what is wrong: `GET /status` and `bus status`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use bus_core::engine::ages::Oldest;
use bus_core::engine::worker::Handle;
use bus_core::ports::broker::BrokerHealth;
use bus_core::ports::pauses::Subject;
use bus_core::vocabulary::Moment;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::{App, Incident};
use crate::notify::ChannelStatus;

/// The broker's answers are waited for so long, all together: one that is away lets every question wait for seconds, and
/// then above all people want to see the status.
const DEPTHS: Duration = Duration::from_secs(2);
/// Questions to the broker at a time: each takes a channel of it.
const AT_A_TIME: usize = 16;

/// Everything that status tells. Times are RFC 3339, counts are messages.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    pub name: String,
    pub config: Option<crate::reload::Words>,
    pub time: String,
    pub ready: bool,
    pub broker: String,
    pub feeds: Vec<Feed>,
    pub routes: Vec<Route>,
    pub systems: Vec<System>,
    pub subscriptions: Vec<Subscription>,
    pub incidents: Vec<Incident>,
    #[serde(default)]
    pub notify: Vec<ChannelStatus>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Feed {
    pub name: String,
    pub last_success: Option<String>,
    pub next: Option<String>,
    pub error: Option<String>,
    pub stopped: bool,
    /// By a person: who, since when and why.
    pub paused: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Route {
    pub name: String,
    /// Unknown while the broker does not answer.
    pub queued: Option<u64>,
    pub in_flight: usize,
    pub waiting: u64,
    pub oldest_waiting: Option<String>,
    /// Of those waiting, the ones that wait for a map or for a record that they refer to.
    #[serde(default)]
    pub held: u64,
    pub dead: u64,
    pub delivered: u64,
    pub skipped: u64,
    pub paused: Option<String>,
    pub last_error: Option<String>,
    pub last_delivered: Option<String>,
    /// When what it collects is delivered, by a route with a schedule.
    #[serde(default)]
    pub next_run: Option<String>,
    /// Since when it delivers what it has collected.
    #[serde(default)]
    pub running_since: Option<String>,
    /// When it will be empty, if something waits and a time can be given.
    #[serde(default)]
    pub empty_at: Option<String>,
    /// The same in words.
    #[serde(default)]
    pub forecast: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct System {
    pub name: String,
    pub gate: String,
    /// Share of the profile in use.
    pub pace: Option<f64>,
    /// Why that is not all.
    #[serde(default)]
    pub strain: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Subscription {
    pub name: String,
    pub messages: u64,
    /// Unknown of a queue at RabbitMQ.
    pub bytes: Option<u64>,
    pub oldest: Option<String>,
    /// How far `oldest` is known: `exact`, `about` (and not before), or `before` it (the bus started then).
    pub oldest_is: String,
}

pub async fn get(State(app): State<Arc<App>>) -> Json<Status> {
    Json(gather(&app).await)
}

/// Looks at everything once.
pub async fn gather(app: &App) -> Status {
    let text = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
    // An order counts when it is given, not only when its feed has noticed.
    let ordered = |name| app.operations.pauses.of(&Subject::Feed(name)).map(|pause| pause.to_string());
    let feeds = app.watch.feeds().into_iter().map(|(name, status)| Feed {
        name: name.to_string(),
        last_success: text(status.last_success),
        next: text(status.next),
        error: status.error,
        stopped: status.stopped,
        paused: ordered(name).or(status.paused),
    });
    let mut routes = Vec::new();
    let handles = app.watch.routes();
    let depths = depths(app, &handles).await;
    for (handle, queued) in handles.iter().zip(depths) {
        let status = handle.status();
        let counts = app.store.route_counts(handle.route()).await.unwrap_or_default();
        let name = handle.route().as_str();
        let settled = |outcome: &str| app.metrics.settled.with_label_values(&[name, outcome]).get();
        let foreseen = app.oversight.forecasts.of(name);
        routes.push(Route {
            name: name.to_owned(),
            queued,
            in_flight: status.in_flight,
            waiting: counts.waiting,
            oldest_waiting: text(counts.oldest),
            held: counts.held,
            dead: counts.dead,
            delivered: settled("delivered"),
            skipped: settled("skipped"),
            paused: status.paused,
            last_error: status.last_error,
            last_delivered: text(status.last_delivered),
            next_run: text(status.next_run),
            running_since: text(status.running_since),
            empty_at: foreseen.as_ref().and_then(|foreseen| text(foreseen.at)),
            forecast: foreseen.map(|foreseen| foreseen.words),
        });
    }
    let mut subscriptions = Vec::new();
    for name in app.outs.get().keys() {
        let backlog = app.store.outbox_backlog(name).await.unwrap_or_default();
        subscriptions.push(Subscription {
            name: name.to_string(),
            messages: backlog.messages,
            bytes: Some(backlog.bytes),
            oldest: text(backlog.oldest),
            oldest_is: "exact".to_owned(),
        });
    }
    for (queue, backlog) in app.metrics.ages.list() {
        let (oldest, how) = match backlog.oldest {
            None => (None, "exact"),
            Some(Oldest::About(at)) => (Some(at), "about"),
            Some(Oldest::Before(at)) => (Some(at), "before"),
        };
        subscriptions.push(Subscription {
            name: queue.to_string(),
            messages: backlog.messages,
            bytes: None,
            oldest: text(oldest),
            oldest_is: how.to_owned(),
        });
    }
    subscriptions.sort_by(|a, b| a.name.cmp(&b.name));
    let broker = match app.broker.health().borrow().clone() {
        BrokerHealth::Connected => "connected".to_owned(),
        BrokerHealth::Blocked(reason) => format!("blocked: {reason}"),
        BrokerHealth::Disconnected(error) => format!("disconnected: {error}"),
    };
    Status {
        name: app.name.clone(),
        config: app.reloader.words(),
        time: Moment::now().to_string(),
        ready: app.watch.is_ready(),
        broker,
        feeds: feeds.collect(),
        routes,
        systems: app
            .gates
            .delivering()
            .iter()
            .map(|(name, gate)| System {
                name: name.to_string(),
                gate: gate.to_string(),
                pace: gate.share(),
                strain: gate.strain().map(|strain| strain.as_str().to_owned()),
            })
            .collect(),
        subscriptions,
        incidents: super::watch::open(app),
        notify: app.channels.iter().map(|channel| channel.status()).collect(),
    }
}

/// What is in the queue of each of these routes; `None` where the broker has not said.
async fn depths(app: &App, routes: &[Handle]) -> Vec<Option<u64>> {
    let deadline = Instant::now() + DEPTHS;
    let ask = |route: &Handle| {
        let queue = route.queue().clone();
        async move { Some(timeout_at(deadline, app.broker.depth(&queue)).await.ok()?.ok()?.messages) }
    };
    futures::stream::iter(routes.iter().map(ask)).buffered(AT_A_TIME).collect().await
}
