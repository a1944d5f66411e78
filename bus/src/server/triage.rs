//! Many dead letters at once, and changed ones: `/dead/groups`, `/dead/ID/edit`, `/dead/import`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_core::ports::journal::Deed;
use bus_core::ports::triage::{DeadGroup, Edit, Imported};
use bus_core::vocabulary::RouteName;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::admin::{find, not_found, note, unavailable};
use super::letters::exported;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupParameters {
    route: Option<String>,
}

#[derive(Deserialize)]
pub struct EditOrder {
    who: String,
    /// One of the two.
    record: Option<String>,
    body: Option<String>,
}

#[derive(Deserialize)]
pub struct ImportOrder {
    who: String,
    letter: Value,
}

pub async fn groups(State(app): State<Arc<App>>, Query(GroupParameters { route }): Query<GroupParameters>) -> Response {
    let route = match route.as_deref().map(RouteName::new).transpose() {
        Ok(route) => route,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match app.operations.triage.dead_groups(route.as_ref()).await {
        Ok(groups) => Json(groups.iter().map(group).collect::<Vec<_>>()).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// One line of the list of groups.
pub fn group(group: &DeadGroup) -> Value {
    json!({
        "group": group.id,
        "route": group.route,
        "fault": group.fault,
        "words": group.pattern,
        "count": group.count,
        "first": group.first.to_string(),
        "last": group.last.to_string(),
        "example": group.example,
        "example_words": group.example_words,
    })
}

pub async fn edit(State(app): State<Arc<App>>, Path(id): Path<i64>, Json(order): Json<EditOrder>) -> Response {
    let edit = match (order.record, order.body) {
        (Some(record), None) => Edit::Record(Bytes::from(record)),
        (None, Some(body)) => Edit::Body(Bytes::from(body)),
        _ => return refused(StatusCode::BAD_REQUEST, "give either record or body"),
    };
    let (Edit::Record(text) | Edit::Body(text)) = &edit;
    if let Err(error) = serde_json::from_slice::<&serde_json::value::RawValue>(text) {
        return refused(StatusCode::BAD_REQUEST, &format!("this is not JSON: {error}"));
    }
    let row = find(&app, id).await;
    match app.operations.triage.edit_dead(id, &edit, &order.who).await {
        Ok(Some(number)) => {
            if let Ok(Some(row)) = row {
                note(&app, &row, Deed::Edited, &order.who);
            }
            Json(json!({ "edited": id, "edits": number })).into_response()
        }
        Ok(None) => not_found(id),
        Err(error) => unavailable(&error),
    }
}

pub async fn import(State(app): State<Arc<App>>, Json(ImportOrder { who, letter }): Json<ImportOrder>) -> Response {
    let (route, letter) = match exported(&letter) {
        Ok(letter) => letter,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
    };
    let imported = app.operations.triage.import_dead(&route, &letter, &who).await;
    if let (Ok(Imported::Edited | Imported::Restored), Some(envelope)) = (&imported, &letter.envelope) {
        let message = (&envelope.stream, envelope.seq);
        app.oversight.workshop.chronicle.person(&route, message, Deed::Imported, &who);
    }
    match imported {
        Ok(Imported::Edited) => Json(json!({ "imported": "edited" })).into_response(),
        Ok(Imported::Restored) => Json(json!({ "imported": "restored" })).into_response(),
        Ok(Imported::Unchanged) => Json(json!({ "imported": "unchanged" })).into_response(),
        Ok(Imported::Unknown) => refused(
            StatusCode::CONFLICT,
            "this bus has not settled that message on that route: it is of another bus, or still under way",
        ),
        Ok(Imported::Delivered) => refused(StatusCode::CONFLICT, "that message was delivered meanwhile"),
        Err(error) => unavailable(&error),
    }
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}
