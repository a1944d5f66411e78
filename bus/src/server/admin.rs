//! What a person asks of dead letters.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_core::engine::tasks::Whereabouts;
use bus_core::engine::worker::{Command, Handle};
use bus_core::ports::journal::Deed;
use bus_core::ports::state::{DeadFilter, DeadRow, Replay, StateError};
use bus_core::vocabulary::{Moment, RouteName};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;

use super::App;
use super::letters::{summary, whole};

/// Letters of one list, at most; an export or a replay of more is done in parts.
const MAX_LISTED: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParameters {
    route: Option<String>,
    key: Option<String>,
    group: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
    /// Milliseconds since 1970.
    since: Option<i64>,
    until: Option<i64>,
    #[serde(default)]
    limit: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayParameters {
    #[serde(default)]
    force: bool,
    /// Who asks, as `user@host`.
    #[serde(default)]
    who: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whose {
    #[serde(default)]
    who: String,
}

pub async fn list(State(app): State<Arc<App>>, Query(wanted): Query<ListParameters>) -> Response {
    let route = match wanted.route.as_deref().map(RouteName::new).transpose() {
        Ok(route) => route,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let ListParameters { key, group, from, to, since, until, limit, .. } = wanted;
    let (since, until) = (since.map(Moment), until.map(Moment));
    let limit = limit.min(MAX_LISTED);
    let filter = DeadFilter { id: None, route, key, group, from, to, since, until, limit, brief: true };
    match app.store.dead_letters(&filter).await {
        Ok(rows) => Json(rows.iter().map(summary).collect::<Vec<_>>()).into_response(),
        Err(error) => unavailable(&error),
    }
}

pub async fn show(State(app): State<Arc<App>>, Path(id): Path<i64>) -> Response {
    match find(&app, id).await {
        Ok(Some(row)) => Json(whole(&row)).into_response(),
        Ok(None) => not_found(id),
        Err(error) => unavailable(&error),
    }
}

pub async fn replay(
    State(app): State<Arc<App>>,
    Path(id): Path<i64>,
    Query(ReplayParameters { force, who }): Query<ReplayParameters>,
) -> Response {
    let row = match find(&app, id).await {
        Ok(Some(row)) => row,
        Ok(None) => return not_found(id),
        Err(error) => return unavailable(&error),
    };
    let handle = match row.route.as_ref().map_or(Whereabouts::Gone, |route| app.find_route(route)) {
        Whereabouts::Here(handle) => handle,
        Whereabouts::Away => return away(),
        Whereabouts::Gone => {
            let why = "it belongs to no running route: an unreadable row comes again when it is mended at its source\n";
            return (StatusCode::CONFLICT, why).into_response();
        }
    };
    match ask(&handle, |reply| Command::Replay { id, force, who, reply }).await {
        Some(Ok(Replay::Waiting { route, key, label, .. })) => {
            Json(json!({ "replayed": id, "route": route, "key": key.as_str(), "label": label })).into_response()
        }
        Some(Ok(Replay::Newer { seq })) => {
            let why = format!(
                "refused: a newer version of its key ({seq}) was delivered or waits; the receiver would go back. \
                 To send it all the same: bus dead replay {id} --force\n"
            );
            (StatusCode::CONFLICT, why).into_response()
        }
        Some(Ok(Replay::NotFound)) => not_found(id),
        Some(Err(error)) => unavailable(&error),
        None => away(),
    }
}

fn away() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the route is stopping, or being started anew\n").into_response()
}

pub async fn drop_dead(
    State(app): State<Arc<App>>,
    Path(id): Path<i64>,
    Query(Whose { who }): Query<Whose>,
) -> Response {
    let row = match find(&app, id).await {
        Ok(Some(row)) => row,
        Ok(None) => return not_found(id),
        Err(error) => return unavailable(&error),
    };
    let dropped = match row.route.as_ref().map_or(Whereabouts::Gone, |route| app.find_route(route)) {
        Whereabouts::Here(handle) => ask(&handle, |reply| Command::DropDead { id, reply }).await,
        // Behind the back of the one that is starting, which would take the key for dead as long as it works.
        Whereabouts::Away if app.reloader.is_at_work() => None,
        Whereabouts::Away | Whereabouts::Gone => Some(app.store.drop_dead(id).await),
    };
    match dropped {
        Some(Ok(true)) => {
            note(&app, &row, Deed::Dropped, &who);
            Json(json!({ "dropped": id })).into_response()
        }
        Some(Ok(false)) => not_found(id),
        Some(Err(error)) => unavailable(&error),
        None => away(),
    }
}

/// In the story of the letter's message.
pub(super) fn note(app: &App, row: &DeadRow, deed: Deed, who: &str) {
    if let (Some(route), Some(envelope)) = (&row.route, &row.letter.envelope) {
        app.oversight.workshop.chronicle.person(route, (&envelope.stream, envelope.seq), deed, who);
    }
}

async fn ask<T>(handle: &Handle, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    if !handle.send(command(reply)).await {
        return None;
    }
    answer.await.ok()
}

pub(super) async fn find(app: &App, id: i64) -> Result<Option<DeadRow>, StateError> {
    let filter = DeadFilter { id: Some(id), ..DeadFilter::default() };
    Ok(app.store.dead_letters(&filter).await?.pop())
}

pub(super) fn not_found(id: i64) -> Response {
    (StatusCode::NOT_FOUND, format!("there is no dead letter {id}\n")).into_response()
}

pub(super) fn unavailable(error: &StateError) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
}
