//! `GET /out/NAME?after=POSITION`: a subscriber takes its stream at its own frequency. `after` acknowledges everything up
//! to and including that position. One that was never given is refused: whoever names it has it from another state store.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bus_core::ports::state::Taken;
use bus_core::vocabulary::{Envelope, SubscriptionName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{App, guard};

/// Messages in one answer, at most.
const MAX: usize = 1000;
/// And bytes, beside the message that reaches them: an answer is put together in memory, and may be asked for many times at once.
const BYTES: usize = 8 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    #[serde(default)]
    after: u64,
    #[serde(default = "hundred")]
    limit: usize,
}

fn hundred() -> usize {
    100
}

#[derive(Serialize)]
struct Answer {
    events: Vec<Event>,
    /// Ask with this next: it acknowledges what is in this answer.
    next: u64,
    /// Messages after these.
    backlog: u64,
    /// Messages between `after` and the first of these that were dropped, because nobody came in time.
    missed: u64,
}

/// A CloudEvents 1.0 event in JSON, with our position.
#[derive(Serialize)]
struct Event {
    position: u64,
    specversion: &'static str,
    id: String,
    source: String,
    r#type: String,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    data: Box<RawValue>,
}

pub async fn get(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(Parameters { after, limit }): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    let outs = app.outs.get();
    let known = SubscriptionName::new(&name).ok().and_then(|name| outs.get_key_value(&name));
    let Some((name, key)) = known else {
        return (StatusCode::NOT_FOUND, "there is no HTTP subscription of this name\n").into_response();
    };
    if !guard::presents(&headers, key) {
        return guard::refused("this subscription asks for its key: header X-API-Key, or Authorization: Bearer");
    }
    match answer(&app, name, after, limit.clamp(1, MAX)).await {
        Ok(answer) => answer,
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], format!("{error}\n")).into_response(),
    }
}

async fn answer(app: &App, name: &SubscriptionName, after: u64, limit: usize) -> anyhow::Result<Response> {
    if after > 0
        && let Taken::NeverGiven { last } = app.store.outbox_take(name, after).await?
    {
        return Ok((StatusCode::CONFLICT, never_given(after, last)).into_response());
    }
    let page = app.store.outbox_read(name, after, limit, BYTES).await?;
    let next = page.messages.last().map_or(after, |(position, _)| *position);
    let events = page.messages.into_iter().map(|(position, envelope)| event(app, position, envelope));
    let events = events.collect::<anyhow::Result<_>>()?;
    Ok(Json(Answer { events, next, backlog: page.backlog, missed: page.missed }).into_response())
}

fn never_given(after: u64, last: u64) -> String {
    format!(
        "this state store has never given position {after}, its last one is {last}: nothing was acknowledged. If the store is \
         new or was restored, ask without `after`: that gives the oldest message that is kept, perhaps some that you know\n"
    )
}

fn event(app: &App, position: u64, envelope: Envelope) -> anyhow::Result<Event> {
    Ok(Event {
        position,
        specversion: "1.0",
        id: envelope.id.to_string(),
        source: format!("bus/{}/{}", app.name, envelope.stream),
        r#type: format!("{}.{}", envelope.stream, envelope.operation.as_str()),
        subject: envelope.key.to_string(),
        time: envelope.time.to_string(),
        datacontenttype: "application/json",
        // The text as it is: no digit passes through a number type.
        data: RawValue::from_string(String::from_utf8(envelope.body.to_vec())?)?,
    })
}
