//! `GET /where`: an object's story.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_core::policy::BreakerState;
use bus_core::ports::story::StateKind;
use bus_core::vocabulary::{Moment, RouteName, StreamName, SystemName};
use serde::{Deserialize, Serialize};

use super::App;
use crate::story::Question;

/// Objects and versions of one answer at most.
const MOST: usize = 200;

/// The query of `GET /where`; times are RFC 3339.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Parameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<usize>,
}

/// Reads the parameters; the error says which one is wrong.
pub fn question(asked: Parameters) -> Result<Question, String> {
    let time = |name: &str, text: Option<String>| -> Result<Option<Moment>, String> {
        let read = |text: String| {
            let at = chrono::DateTime::parse_from_rfc3339(&text).map_err(|_| format!("{name}={text} is not a time"))?;
            Ok(Moment(at.timestamp_millis()))
        };
        text.map(read).transpose()
    };
    let state = asked.state.map(|text| StateKind::parse(&text).ok_or_else(|| format!("{text} is not a state")));
    Ok(Question {
        word: asked.word.map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()),
        stream: asked.stream.as_deref().map(StreamName::new).transpose().map_err(|error| error.to_string())?,
        since: time("since", asked.since)?,
        until: time("until", asked.until)?,
        state: state.transpose()?,
        objects: asked.limit.unwrap_or(10).clamp(1, MOST),
        versions: asked.versions.unwrap_or(20).clamp(1, MOST),
    })
}

pub async fn get(app: State<Arc<App>>, Query(asked): Query<Parameters>) -> Response {
    let question = match question(asked) {
        Ok(question) => question,
        Err(problem) => return (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
    };
    let holding = |route: &RouteName, system: &SystemName| holding(&app, route, system);
    match app.teller.tell(&question, &holding).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

/// What keeps a route from delivering right now.
fn holding(app: &App, route: &RouteName, system: &SystemName) -> Vec<String> {
    let mut told = Vec::new();
    let handle = app.watch.route(route);
    let status = handle.as_ref().map(|handle| handle.status());
    if let Some(reason) = status.as_ref().and_then(|status| status.paused.as_ref()) {
        told.push(format!("the route is paused: {reason}; mend the cause, then: bus resume {route}"));
    }
    if let Some(next) = status.as_ref().and_then(|status| status.next_run) {
        told.push(format!("{route} collects: what is in its queue goes with the run at {next}"));
    }
    if let Some((_, gate)) = app.gates.delivering().into_iter().find(|(name, _)| name == system) {
        let now = Moment::now();
        let last = status.and_then(|status| status.last_error).map(|error| format!(" ({error})")).unwrap_or_default();
        match (gate.breaker(), gate.wait(handle.as_ref().and_then(|handle| handle.operation()))) {
            (BreakerState::Closed { .. }, Some(wait)) if wait.as_secs() >= 1 => {
                told.push(format!("{system} may be sent to again at {}: its capacity", now.after(wait)));
            }
            (BreakerState::Closed { .. }, Some(_)) => {}
            (BreakerState::Closed { .. }, None) => {
                told.push(format!("{system} is closed by its profile for more than a week"));
            }
            (_, Some(wait)) => {
                told.push(format!("{system} does not work{last}; it is tried again at {}", now.after(wait)));
            }
            (_, None) => told.push(format!("{system} does not work{last}")),
        }
    }
    told
}
