//! The HTTP server of the bus: health, metrics, status, pushed records, pulled subscriptions, and what a person asks of
//! dead letters. Everything beyond loopback asks for a key.

mod admin;
mod backfills;
mod feeds;
mod guard;
mod letters;
mod metrics;
mod out;
mod pauses;
mod preview;
mod push;
mod ready;
mod reload;
mod status;
pub mod story;
mod tasks;
mod triage;
mod watch;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::routing::{delete, get, post};
use bus_core::engine::metrics::Metrics;
use bus_core::engine::supervisor::Watch;
use bus_core::engine::tasks::Whereabouts;
use bus_core::ports::broker::Broker;
use bus_core::ports::state::StateStore;
use bus_core::vocabulary::{RouteName, Secret, SubscriptionName};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::live::Live;
use crate::notify::Channel;
use crate::reload::Reloader;
use crate::story::Teller;
use crate::watch::Oversight;
use crate::wire::feeds::Door;
use crate::wire::gates::Gates;
use crate::wire::operations::Operations;

pub use feeds::standing;
pub use guard::CLIENT_HEADER;
pub use letters::{summary as dead_summary, whole as dead_whole};
pub use pauses::is_known;
pub use status::{Route, Status, System, gather};
pub use triage::group as dead_group;
pub use watch::{Incident, Incidents, Window};

/// Larger bodies are refused; a page of a thousand records stays far below.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// What the server shows and steers. The engine owns it all; these are handles.
pub struct App {
    pub name: String,
    pub watch: Watch,
    pub store: Arc<dyn StateStore>,
    pub broker: Arc<dyn Broker>,
    pub metrics: Metrics,
    pub incidents: bus_core::engine::incident::Incidents,
    pub gates: Arc<Gates>,
    pub operations: Operations,
    pub oversight: Arc<Oversight>,
    pub channels: Vec<Arc<Channel>>,
    pub teller: Arc<Teller>,
    /// Asked for by everything but health; always there beyond loopback.
    pub key: Option<Secret>,
    /// By path.
    pub doors: Arc<Live<HashMap<String, Door>>>,
    /// By subscription.
    pub outs: Arc<Live<HashMap<SubscriptionName, Secret>>>,
    pub reloader: Arc<Reloader>,
    /// Cancelled when the end begins: nothing new is started, and the process is not ready any more.
    pub stopping: CancellationToken,
}

impl App {
    /// Where a route is. Between its end and its start anew by a reload it is away, and so is one that could not be started.
    pub fn find_route(&self, name: &RouteName) -> Whereabouts {
        match self.watch.route(name) {
            Some(handle) => Whereabouts::Here(handle),
            None if self.reloader.is_at_work() => Whereabouts::Away,
            None if self.oversight.plan().topology.route.contains_key(name.as_str()) => Whereabouts::Away,
            None => Whereabouts::Gone,
        }
    }
}

/// Binds the address; the error names it and what to do.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: another program may use it; change `listen` in [bus]"))
}

/// Serves until stopped; requests under way are answered.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: CancellationToken) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics::get))
        .route("/status", get(status::get))
        .route("/incidents", get(watch::list))
        .route("/incidents/close", post(watch::close))
        .route("/feeds/{name}/accept", post(watch::accept))
        .route("/maintenance", get(watch::windows).post(watch::begin))
        .route("/maintenance/{id}/end", post(watch::end))
        .route("/where", get(story::get))
        .route("/dead", get(admin::list))
        .route("/dead/groups", get(triage::groups))
        .route("/dead/import", post(triage::import))
        .route("/dead/{id}/edit", post(triage::edit))
        .route("/dead/{id}", get(admin::show).delete(admin::drop_dead))
        .route("/dead/{id}/replay", post(admin::replay))
        .route("/routes/{name}/resume", post(pauses::resume_route))
        .route("/feeds", get(feeds::list))
        .route("/feeds/{name}/cursor", post(feeds::rewind))
        .route("/tasks", get(tasks::list).post(tasks::order))
        .route("/tasks/{id}", delete(tasks::cancel))
        .route("/backfills", get(backfills::list).post(backfills::order))
        .route("/backfills/{id}/{state}", post(backfills::set_state))
        .route("/pauses", get(pauses::list))
        .route("/pauses/{kind}/{name}", post(pauses::pause).delete(pauses::resume))
        .route("/preview/{stream}", get(preview::get))
        .route("/reload", post(reload::post))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), guard::admin))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready::get))
        .route("/out/{name}", get(out::get))
        // Which paths there are is looked up with each request: a reload may change it.
        .route("/in/{*path}", post(push::post));
    let router = router.layer(axum::extract::DefaultBodyLimit::max(MAX_BODY)).with_state(app);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await.context("the HTTP server failed")
}
