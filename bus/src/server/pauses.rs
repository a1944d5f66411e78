//! `/pauses`: what people have paused, pausing, and going on.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_config::Landscape;
use bus_core::engine::worker::Command;
use bus_core::ports::pauses::{Pause, Subject};
use bus_core::vocabulary::Moment;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::admin::unavailable;

/// Words of a person, not documents.
const MAX_WORDS: usize = 1000;

#[derive(Deserialize)]
pub struct Order {
    who: String,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whose {
    #[serde(default)]
    who: String,
}

pub async fn list(State(app): State<Arc<App>>) -> Json<Vec<Value>> {
    let pauses = app.operations.pauses.list();
    let row = |pause: &Pause| {
        let (kind, name) = (pause.subject.kind(), pause.subject.name());
        json!({ "kind": kind, "name": name, "who": pause.who, "why": pause.why, "since": pause.since.to_string() })
    };
    Json(pauses.iter().map(row).collect())
}

pub async fn pause(
    State(app): State<Arc<App>>,
    Path((kind, name)): Path<(String, String)>,
    Json(Order { who, why }): Json<Order>,
) -> Response {
    let subject = match known(&app, &kind, &name).await {
        Ok(subject) => subject,
        Err(why) => return (StatusCode::NOT_FOUND, format!("{why}\n")).into_response(),
    };
    let cut = |text: String| text.chars().take(MAX_WORDS).collect::<String>();
    let pause = Pause { subject, who: cut(who), why: cut(why), since: Moment::now() };
    match app.operations.pauses.pause(pause).await {
        Ok(()) => Json(json!({ "paused": name })).into_response(),
        Err(error) => unavailable(&error),
    }
}

pub async fn resume(
    State(app): State<Arc<App>>,
    Path((kind, name)): Path<(String, String)>,
    Query(Whose { who }): Query<Whose>,
) -> Response {
    let subject = match known(&app, &kind, &name).await {
        Ok(subject) => subject,
        Err(why) => return (StatusCode::NOT_FOUND, format!("{why}\n")).into_response(),
    };
    match app.operations.pauses.resume(&subject, &who).await {
        Ok(true) => {}
        // A route may have paused itself, which only its worker knows.
        Ok(false) if matches!(subject, Subject::Route(_)) => {}
        Ok(false) => return (StatusCode::CONFLICT, format!("{subject} was not paused\n")).into_response(),
        Err(error) => return unavailable(&error),
    }
    if let Subject::Route(route) = &subject
        && let Some(handle) = app.watch.route(route)
        && !handle.send(Command::Resume).await
    {
        return (StatusCode::SERVICE_UNAVAILABLE, "the route is stopping\n").into_response();
    }
    Json(json!({ "resumed": name })).into_response()
}

/// The older address of the same for a route.
pub async fn resume_route(app: State<Arc<App>>, Path(name): Path<String>) -> Response {
    resume(app, Path(("route".to_owned(), name)), Query(Whose { who: String::new() })).await
}

/// The subject; else why there is none.
async fn known(app: &App, kind: &str, name: &str) -> Result<Subject, String> {
    let subject = Subject::parse(kind, name)
        .ok_or_else(|| format!("{kind} is not one of route, feed, system"))?
        .map_err(|error| error.to_string())?;
    is_known(&app.reloader.landscape().await, &subject)?;
    Ok(subject)
}

/// A mistyped name must not look paused; the error says which names there are.
pub fn is_known(landscape: &Landscape, subject: &Subject) -> Result<(), String> {
    let routes: Vec<&str> = landscape.routes.iter().map(|route| route.name.as_str()).collect();
    let feeds: Vec<&str> = landscape.feeds.iter().map(|feed| feed.name.as_str()).collect();
    let systems: Vec<&str> = landscape.systems.iter().map(|system| system.name.as_str()).collect();
    let all = match subject {
        Subject::Route(_) => &routes,
        Subject::Feed(_) => &feeds,
        Subject::System(_) => &systems,
    };
    let name = subject.name();
    if all.contains(&name) {
        return Ok(());
    }
    let kinds = [("route", &routes), ("feed", &feeds), ("system", &systems)];
    Err(match kinds.into_iter().find(|(_, names)| names.contains(&name)) {
        Some((kind, _)) => format!("there is no {subject}, but there is {kind} {name}"),
        None => format!("there is no {subject}; known: {}", all.join(", ")),
    })
}
