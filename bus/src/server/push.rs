//! `POST /in/…`: records pushed to us. 2xx means that the broker has them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bus_connectors::push::PushRefusal;
use bus_core::ports::pauses::Subject;
use bus_core::vocabulary::Operation;
use serde::Deserialize;

use super::{App, MAX_BODY, guard};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// `upsert` (the default) or `delete`.
    operation: Option<String>,
}

pub async fn post(
    State(app): State<Arc<App>>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    // As the client wrote it, in percent encoding or not.
    let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8_lossy();
    let doors = app.doors.get();
    let Some(door) = doors.get(path.as_ref()) else {
        return (StatusCode::NOT_FOUND, "no stream and no feed listens on this path\n").into_response();
    };
    if !guard::presents(&headers, &door.key) {
        return guard::refused("this path asks for its key: header X-API-Key, or Authorization: Bearer");
    }
    if let Some(pause) = app.operations.pauses.of(&Subject::Feed(door.feed.clone())) {
        let why = format!("nothing is taken here now: feed {} is paused {pause}\n", door.feed);
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "60")], why).into_response();
    }
    let operation = match parameters.operation.as_deref() {
        None | Some("upsert") => Operation::Upsert,
        Some("delete") => Operation::Delete,
        Some(_) => {
            return (StatusCode::BAD_REQUEST, "operation is `upsert` (the default) or `delete`\n").into_response();
        }
    };
    let body = match body {
        Ok(body) => body,
        Err(refused) if refused.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let why = format!("at most {} MiB are taken at once: send smaller requests\n", MAX_BODY >> 20);
            return (StatusCode::PAYLOAD_TOO_LARGE, why).into_response();
        }
        Err(refused) => return refused.into_response(),
    };
    match door.handle.push(&body, operation).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &PushRefusal) -> Response {
    let status = match refusal {
        PushRefusal::Malformed(_) => StatusCode::BAD_REQUEST,
        PushRefusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        PushRefusal::Busy { .. } | PushRefusal::Closed => StatusCode::SERVICE_UNAVAILABLE,
        PushRefusal::Unconfirmed => StatusCode::GATEWAY_TIMEOUT,
    };
    let mut answer = (status, format!("{refusal}\n")).into_response();
    if let PushRefusal::Busy { retry_after } = refusal {
        answer.headers_mut().insert("retry-after", retry_after.as_secs().max(1).into());
    }
    answer
}
