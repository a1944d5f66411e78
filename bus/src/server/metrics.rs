//! `GET /metrics`: what the engine has counted, and what is looked at only when somebody asks.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use bus_core::engine::metrics::Look;
use bus_core::ports::broker::BrokerHealth;

use super::{App, watch};

/// A state store that does not say how many dead letters there are by then keeps nobody from all other figures.
const COUNTING: Duration = Duration::from_secs(2);

pub async fn get(State(app): State<Arc<App>>) -> impl IntoResponse {
    // One for each answer: two that ask at the same time share nothing that is emptied and filled again.
    let look = Look::new(env!("CARGO_PKG_VERSION"));
    for incident in watch::open(&app) {
        look.incidents.with_label_values(&[&incident.kind, &incident.subject]).set(1);
    }
    look.broker(match &*app.broker.health().borrow() {
        BrokerHealth::Connected => "connected",
        BrokerHealth::Blocked(_) => "blocked",
        BrokerHealth::Disconnected(_) => "disconnected",
    });
    if let Ok(Ok(letters)) = tokio::time::timeout(COUNTING, app.oversight.store.dead_by_route()).await {
        let routes = app.watch.routes();
        routes.iter().for_each(|route| look.dead.with_label_values(&[route.route().as_str()]).set(0));
        for (route, count) in letters {
            look.dead.with_label_values(&[route.as_str()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render(&look))
}
