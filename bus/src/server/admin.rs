//! What a person asks of dead letters and paused routes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_core::engine::worker::{Command, Handle};
use bus_core::ports::state::{DeadFilter, DeadRow, Replay, StateError};
use bus_core::vocabulary::RouteName;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::App;

#[derive(Deserialize)]
pub struct ListParameters {
    route: Option<String>,
    key: Option<String>,
    #[serde(default)]
    limit: usize,
}

#[derive(Deserialize)]
pub struct ReplayParameters {
    #[serde(default)]
    force: bool,
}

pub async fn list(State(app): State<Arc<App>>, Query(wanted): Query<ListParameters>) -> Response {
    let route = match wanted.route.as_deref().map(RouteName::new).transpose() {
        Ok(route) => route,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let filter = DeadFilter { id: None, route, key: wanted.key, limit: wanted.limit.min(10_000) };
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
    Query(ReplayParameters { force }): Query<ReplayParameters>,
) -> Response {
    let row = match find(&app, id).await {
        Ok(Some(row)) => row,
        Ok(None) => return not_found(id),
        Err(error) => return unavailable(&error),
    };
    let Some(handle) = row.route.as_ref().and_then(|route| app.watch.route(route)) else {
        let why = "it belongs to no running route: an unreadable row comes again when it is mended at its source\n";
        return (StatusCode::CONFLICT, why).into_response();
    };
    match ask(&handle, |reply| Command::Replay { id, force, reply }).await {
        Some(Ok(Replay::Waiting { route, .. })) => Json(json!({ "replayed": id, "route": route })).into_response(),
        Some(Ok(Replay::Newer { seq })) => {
            let why = format!(
                "refused: a newer version of its key ({seq}) was delivered or waits; the receiver would go back. \
                 To send it all the same: bus dead replay {id} --force\n"
            );
            (StatusCode::CONFLICT, why).into_response()
        }
        Some(Ok(Replay::NotFound)) => not_found(id),
        Some(Err(error)) => unavailable(&error),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the route is stopping\n").into_response(),
    }
}

pub async fn drop_dead(State(app): State<Arc<App>>, Path(id): Path<i64>) -> Response {
    let row = match find(&app, id).await {
        Ok(Some(row)) => row,
        Ok(None) => return not_found(id),
        Err(error) => return unavailable(&error),
    };
    let dropped = match row.route.as_ref().and_then(|route| app.watch.route(route)) {
        Some(handle) => ask(&handle, |reply| Command::DropDead { id, reply }).await,
        None => Some(app.store.drop_dead(id).await),
    };
    match dropped {
        Some(Ok(true)) => Json(json!({ "dropped": id })).into_response(),
        Some(Ok(false)) => not_found(id),
        Some(Err(error)) => unavailable(&error),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the route is stopping\n").into_response(),
    }
}

pub async fn resume(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    let handle = RouteName::new(&name).ok().and_then(|name| app.watch.route(&name));
    let Some(handle) = handle else {
        return (StatusCode::NOT_FOUND, "there is no route of this name\n").into_response();
    };
    if handle.send(Command::Resume).await {
        Json(json!({ "resumed": name })).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the route is stopping\n").into_response()
    }
}

async fn ask<T>(handle: &Handle, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    if !handle.send(command(reply)).await {
        return None;
    }
    answer.await.ok()
}

async fn find(app: &App, id: i64) -> Result<Option<DeadRow>, StateError> {
    let filter = DeadFilter { id: Some(id), ..DeadFilter::default() };
    Ok(app.store.dead_letters(&filter).await?.pop())
}

fn not_found(id: i64) -> Response {
    (StatusCode::NOT_FOUND, format!("there is no dead letter {id}\n")).into_response()
}

fn unavailable(error: &StateError) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
}

/// One line of a list: no body.
pub fn summary(row: &DeadRow) -> Value {
    let envelope = row.letter.envelope.as_ref();
    json!({
        "id": row.id,
        "route": row.route,
        "stream": row.stream,
        "key": envelope.map(|e| e.key.as_str()),
        "label": envelope.and_then(|e| e.label.as_deref()),
        "seq": envelope.map(|e| e.seq.to_string()),
        "operation": envelope.map(|e| e.operation.as_str()),
        "fault": row.letter.fault,
        "message": row.letter.message,
        "attempts": row.letter.attempts,
        "at": row.letter.at.to_string(),
    })
}

/// Everything about one.
pub fn whole(row: &DeadRow) -> Value {
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut value = summary(row);
    value["message_id"] = json!(row.letter.envelope.as_ref().map(|e| e.id.to_string()));
    value["record"] = json!(row.letter.envelope.as_ref().map(|e| text(&e.body)));
    value["raw"] = json!(row.letter.raw.as_ref().map(text));
    value["transformed"] = json!(row.letter.transformed.as_ref().map(text));
    value["request"] = json!(row.letter.exchange.request);
    value["answer"] = json!(row.letter.exchange.answer);
    value
}
