//! `GET /readyz`: whether this process does its work now, and if not, why.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use bus_core::engine::incident::Kind;
use bus_core::ports::broker::BrokerHealth;
use bus_core::ports::watch::Told;
use bus_core::vocabulary::Moment;

use super::App;

/// A state store that takes a small write no sooner does not work.
const WRITE: Duration = Duration::from_secs(1);

pub async fn get(State(app): State<Arc<App>>) -> (StatusCode, String) {
    match trouble(&app).await {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

/// What keeps it from taking and sending anything. A blocked broker does not: it is a state, not an error.
async fn trouble(app: &App) -> Option<String> {
    if app.stopping.is_cancelled() {
        return Some("stopping: attempts under way may finish, nothing new is taken".to_owned());
    }
    if let BrokerHealth::Disconnected(error) = &*app.broker.health().borrow() {
        return Some(format!("no connection to the broker: {error}"));
    }
    if !app.watch.is_ready() {
        return Some("starting".to_owned());
    }
    refusing(app).await.map(|why| format!("the state store takes no writes: {why}"))
}

/// Why the state store refuses, if somebody was refused and one more write is too: an incident alone may be of a route that
/// has had nothing to write since. Without an incident nothing is written: being asked costs nothing.
async fn refusing(app: &App) -> Option<String> {
    if !app.incidents.list().iter().any(|incident| incident.kind == Kind::StoreFailing) {
        return None;
    }
    // A row of no channel, always the same one.
    let tried = Told { kind: Kind::StoreFailing, subject: "/readyz".to_owned(), at: Moment::now() };
    match tokio::time::timeout(WRITE, app.oversight.store.keep_told("", &[tried], &[])).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} s", WRITE.as_secs())),
    }
}
