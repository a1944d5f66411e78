//! `/tasks`: loads and resends.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_core::ports::tasks::{Kind, Order, Task};
use bus_core::vocabulary::{FeedName, Moment, Period, RouteName, StreamName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::admin::unavailable;

/// Keys that one order may name; more of them are a load.
const MAX_ONLY: usize = 10_000;

#[derive(Deserialize)]
pub struct Ordered {
    kind: String,
    feed: FeedName,
    stream: StreamName,
    route: RouteName,
    #[serde(default)]
    only: Vec<String>,
    /// Only keys that the route has delivered in this time.
    #[serde(default)]
    since: Option<Moment>,
    #[serde(default)]
    until: Option<Moment>,
    share: u8,
    who: String,
}

pub async fn order(State(app): State<Arc<App>>, Json(ordered): Json<Ordered>) -> Response {
    let Ordered { kind, feed, stream, route, mut only, since, until, share, who } = ordered;
    let refuse = |why: String| (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response();
    let Some(kind) = Kind::parse(&kind) else { return refuse(format!("{kind} is not one of load, resend")) };
    if app.watch.route(&route).is_none() {
        return refuse(format!("there is no route {route}"));
    }
    if !app.watch.feeds().iter().any(|(name, _)| *name == feed) {
        return refuse(format!("there is no feed {feed}"));
    }
    if !(1..=100).contains(&share) || only.len() > MAX_ONLY {
        return refuse(format!("a share is 1 to 100 percent, and at most {MAX_ONLY} keys may be named"));
    }
    if since.is_some() || until.is_some() {
        let (from, to) = (since.unwrap_or(Moment(0)), until.unwrap_or_else(Moment::now));
        match app.operations.tasks.store().delivered_between(&route, from, to, MAX_ONLY + 1).await {
            Ok(keys) if keys.is_empty() => {
                return refuse(format!("the journal knows nothing that {route} delivered then"));
            }
            Ok(keys) if keys.len() > MAX_ONLY => {
                return refuse(format!(
                    "{route} delivered more than {MAX_ONLY} records then: a shorter time, or all of them"
                ));
            }
            Ok(keys) => only = keys.iter().map(|key| key.as_str().to_owned()).collect(),
            Err(error) => return unavailable(&error),
        }
    }
    let records = only.len();
    match app
        .operations
        .tasks
        .order(&Order { kind, feed, stream, route, only, part: None, backfill: None, share, who })
        .await
    {
        Ok(id) => Json(json!({ "task": id, "records": records })).into_response(),
        Err(error) => unavailable(&error),
    }
}

pub async fn list(State(app): State<Arc<App>>) -> Response {
    match app.operations.tasks.store().tasks().await {
        Ok(tasks) => Json(tasks.iter().map(row).collect::<Vec<_>>()).into_response(),
        Err(error) => unavailable(&error),
    }
}

pub async fn cancel(State(app): State<Arc<App>>, Path(id): Path<i64>) -> Response {
    let step = |task: &Task| (task.id == id).then_some(task.order.backfill).flatten();
    match app.operations.tasks.store().tasks().await.map(|tasks| tasks.iter().find_map(step)) {
        Ok(Some(backfill)) => {
            let why = format!("task {id} is a step of a backfill: bus backfill cancel {backfill}\n");
            return (StatusCode::CONFLICT, why).into_response();
        }
        Ok(None) => {}
        Err(error) => return unavailable(&error),
    }
    match app.operations.tasks.cancel(id).await {
        Ok(true) => Json(json!({ "cancelled": id })).into_response(),
        Ok(false) => (StatusCode::NOT_FOUND, format!("task {id} is not under way\n")).into_response(),
        Err(error) => unavailable(&error),
    }
}

fn row(task: &Task) -> Value {
    let order = &task.order;
    json!({
        "id": task.id,
        "kind": order.kind.as_str(),
        "stream": order.stream,
        "route": order.route,
        "named": order.only.len(),
        "backfill": order.backfill,
        "from": order.part.map(|part| Period::write(part.from)),
        "to": order.part.map(|part| Period::write(part.to)),
        "share": order.share,
        "who": order.who,
        "at": task.at.to_string(),
        "stage": task.stage.as_str(),
        "ended": task.ended.map(|at| at.to_string()),
        "read": task.read,
        "kept": task.kept,
        "sent": task.sent,
        "keys_behind_percent": task.slice.behind(),
        "error": task.error,
    })
}
