//! `/backfills`: the queue of backfills.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_core::engine::backfills::gets_on;
use bus_core::policy::backfill::steps;
use bus_core::ports::backfills::{self, Backfill, Order};
use bus_core::ports::tasks::{Kind, Task};
use bus_core::vocabulary::{FeedName, Period, RouteName, StreamName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::admin::unavailable;

/// A typing error (`1m` for a month) would otherwise be a queue of years: each step takes a moment even if it is empty.
const MOST_STEPS: u64 = 20_000;
/// Below it a step costs more than what it reads.
const SHORTEST: Duration = Duration::from_secs(60);
/// Each step is a task for each of them.
const MOST_ROUTES: usize = 100;

#[derive(Deserialize)]
pub struct Ordered {
    kind: String,
    feed: FeedName,
    stream: StreamName,
    routes: Vec<RouteName>,
    from: String,
    to: String,
    step_seconds: u64,
    priority: i32,
    share: u8,
    who: String,
}

#[derive(Deserialize)]
pub struct Who {
    who: String,
}

pub async fn order(State(app): State<Arc<App>>, Json(ordered): Json<Ordered>) -> Response {
    let order = match checked(&app, ordered) {
        Ok(order) => order,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    };
    match app.operations.backfills.order(&order).await {
        Ok(id) => Json(json!({ "backfill": id, "steps": steps(&order.period, order.step), "routes": order.routes }))
            .into_response(),
        Err(error) => unavailable(&error),
    }
}

fn checked(app: &App, ordered: Ordered) -> Result<Order, String> {
    let Ordered { kind, feed, stream, routes, from, to, step_seconds, priority, share, who } = ordered;
    let kind = Kind::parse(&kind).ok_or_else(|| format!("{kind} is not one of load, resend"))?;
    let bound =
        |text: &str| Period::parse(text).ok_or_else(|| format!("{text} is not a date such as 2026-01-01T00:00:00"));
    let (period, step) = (Period { from: bound(&from)?, to: bound(&to)? }, Duration::from_secs(step_seconds));
    if let Some(unknown) = routes.iter().find(|route| app.watch.route(route).is_none()) {
        return Err(format!("there is no route {unknown}"));
    }
    if !app.watch.feeds().iter().any(|(name, _)| *name == feed) {
        return Err(format!("there is no feed {feed}"));
    }
    if routes.is_empty() || routes.len() > MOST_ROUTES {
        return Err(format!("a backfill goes to 1 to {MOST_ROUTES} routes"));
    }
    if !(1..=100).contains(&share) {
        return Err("a share is 1 to 100 percent".to_owned());
    }
    if step < SHORTEST || period.from >= period.to {
        return Err(format!("a step is at least {} s long, and a period ends after it begins", SHORTEST.as_secs()));
    }
    let steps = steps(&period, step);
    if steps > MOST_STEPS {
        return Err(format!("these would be {steps} steps, and at most {MOST_STEPS} are taken: make `--step` longer"));
    }
    Ok(Order { kind, feed, stream, routes, period, step, priority, share, who })
}

pub async fn list(State(app): State<Arc<App>>) -> Response {
    let (all, tasks) = (app.operations.backfills.store().backfills().await, app.operations.tasks.store().tasks().await);
    match (all, tasks) {
        (Ok(all), Ok(tasks)) => Json(all.iter().map(|one| row(&app, one, &tasks)).collect::<Vec<_>>()).into_response(),
        (Err(error), _) | (_, Err(error)) => unavailable(&error),
    }
}

pub async fn set_state(
    State(app): State<Arc<App>>,
    Path((id, state)): Path<(i64, String)>,
    Json(Who { who }): Json<Who>,
) -> Response {
    let Some(state) = backfills::State::parse(&state).filter(|state| is_ordered(*state)) else {
        return (StatusCode::BAD_REQUEST, "a backfill is opened, paused or cancelled\n").into_response();
    };
    match app.operations.backfills.set_state(id, state, &who).await {
        Ok(true) => Json(json!({ "backfill": id, "state": state.as_str() })).into_response(),
        Ok(false) => (StatusCode::NOT_FOUND, format!("backfill {id} is over, or there is none\n")).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// What a person may say; done and failed is what it becomes.
fn is_ordered(state: backfills::State) -> bool {
    matches!(state, backfills::State::Open | backfills::State::Paused | backfills::State::Cancelled)
}

fn row(app: &App, one: &Backfill, tasks: &[Task]) -> Value {
    let (order, (done, all)) = (&one.order, one.progress());
    let step: Vec<&Task> = tasks.iter().filter(|task| task.order.backfill == Some(one.id)).collect();
    let under_way = |task: &&Task| {
        json!({
            "task": task.id, "route": task.order.route, "stage": task.stage.as_str(), "read": task.read, "kept": task.kept,
            "sent": task.sent, "held_up": task.stage.is_open() && !gets_on(task, &*app.oversight),
        })
    };
    json!({
        "id": one.id,
        "kind": order.kind.as_str(),
        "stream": order.stream,
        "routes": order.routes,
        "from": Period::write(order.period.from),
        "to": Period::write(order.period.to),
        "step_seconds": order.step.as_secs(),
        "priority": order.priority,
        "share": order.share,
        "who": order.who,
        "at": one.at.to_string(),
        "state": one.state.as_str(),
        "ended": one.ended.map(|at| at.to_string()),
        "reached": Period::write(one.reached),
        "steps_done": done,
        "steps": all,
        "read": one.read,
        "sent": one.sent,
        "error": one.error,
        "under_way": step.iter().map(under_way).collect::<Vec<_>>(),
    })
}
