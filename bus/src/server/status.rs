//! What runs, what waits, what is wrong: `GET /status` and `bus status`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bus_core::ports::broker::BrokerHealth;
use bus_core::vocabulary::Moment;
use serde::{Deserialize, Serialize};

use super::App;

/// Everything that status tells. Times are RFC 3339, counts are messages.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    pub name: String,
    pub time: String,
    pub ready: bool,
    pub broker: String,
    pub feeds: Vec<Feed>,
    pub routes: Vec<Route>,
    pub systems: Vec<System>,
    pub subscriptions: Vec<Subscription>,
    pub incidents: Vec<Incident>,
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
    pub queued: Option<u64>,
    pub in_flight: usize,
    pub waiting: u64,
    pub oldest_waiting: Option<String>,
    pub dead: u64,
    pub delivered: u64,
    pub skipped: u64,
    pub paused: Option<String>,
    pub last_error: Option<String>,
    pub last_delivered: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct System {
    pub name: String,
    pub gate: String,
    pub pace: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Subscription {
    pub name: String,
    pub messages: u64,
    pub bytes: u64,
    pub oldest: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Incident {
    pub kind: String,
    pub subject: String,
    pub since: String,
    pub count: u64,
    pub message: String,
    pub remedy: String,
}

pub async fn get(State(app): State<Arc<App>>) -> Json<Status> {
    Json(gather(&app).await)
}

/// Looks at everything once.
pub async fn gather(app: &App) -> Status {
    let text = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
    let feeds = app.watch.feeds().into_iter().map(|(name, status)| Feed {
        name: name.to_string(),
        last_success: text(status.last_success),
        next: text(status.next),
        error: status.error,
        stopped: status.stopped,
        paused: status.paused,
    });
    let mut routes = Vec::new();
    for handle in app.watch.routes() {
        let status = handle.status();
        let counts = app.store.route_counts(handle.route()).await.unwrap_or_default();
        let name = handle.route().as_str();
        let settled = |outcome: &str| app.metrics.settled.with_label_values(&[name, outcome]).get();
        let queued = app.broker.depth(handle.queue()).await.ok().map(|depth| depth.messages);
        routes.push(Route {
            name: name.to_owned(),
            queued,
            in_flight: status.in_flight,
            waiting: counts.waiting,
            oldest_waiting: text(counts.oldest),
            dead: counts.dead,
            delivered: settled("delivered"),
            skipped: settled("skipped"),
            paused: status.paused,
            last_error: status.last_error,
            last_delivered: text(status.last_delivered),
        });
    }
    let mut subscriptions = Vec::new();
    for name in app.outs.get().keys() {
        let backlog = app.store.outbox_backlog(name).await.unwrap_or_default();
        subscriptions.push(Subscription {
            name: name.to_string(),
            messages: backlog.messages,
            bytes: backlog.bytes,
            oldest: text(backlog.oldest),
        });
    }
    let broker = match app.broker.health().borrow().clone() {
        BrokerHealth::Connected => "connected".to_owned(),
        BrokerHealth::Blocked(reason) => format!("blocked: {reason}"),
        BrokerHealth::Disconnected(error) => format!("disconnected: {error}"),
    };
    let incidents = app.incidents.list().into_iter().map(|incident| Incident {
        kind: incident.kind.as_str().to_owned(),
        subject: incident.subject,
        since: incident.since.to_string(),
        count: incident.count,
        message: incident.message,
        remedy: incident.remedy,
    });
    Status {
        name: app.name.clone(),
        time: Moment::now().to_string(),
        ready: app.watch.is_ready(),
        broker,
        feeds: feeds.collect(),
        routes,
        systems: app
            .gates
            .delivering()
            .iter()
            .map(|(name, gate)| System { name: name.to_string(), gate: gate.to_string(), pace: gate.share() })
            .collect(),
        subscriptions,
        incidents: incidents.collect(),
    }
}
