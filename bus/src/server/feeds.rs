//! `/feeds`: where feeds stand, and going back.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_core::ports::cursors::{Moved, Standing};
use bus_core::vocabulary::{Cursor, FeedName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::admin::unavailable;

#[derive(Deserialize)]
pub struct Order {
    cursor: String,
    #[serde(default)]
    force: bool,
    who: String,
}

pub async fn list(State(app): State<Arc<App>>) -> Response {
    match app.operations.cursors.standings().await {
        Ok(standings) => Json(standings.iter().map(standing).collect::<Vec<_>>()).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// One line of the list.
pub fn standing(standing: &Standing) -> Value {
    json!({
        "feed": standing.feed,
        "epoch": standing.epoch,
        "cursor": standing.cursor.as_ref().map(Cursor::as_str),
        "sealed": standing.sealed,
    })
}

pub async fn rewind(State(app): State<Arc<App>>, Path(name): Path<String>, Json(order): Json<Order>) -> Response {
    let refuse = |status: StatusCode, why: &str| (status, format!("{why}\n")).into_response();
    let feed = FeedName::new(&name).ok();
    let found = app.watch.feeds().into_iter().find(|(known, _)| Some(known) == feed.as_ref());
    let Some((feed, status)) = found else { return refuse(StatusCode::NOT_FOUND, "there is no feed of this name") };
    let cursor = Cursor::new(order.cursor);
    tracing::warn!(feed = name, who = order.who, "a person moves its cursor");
    if status.stopped {
        // Nobody has it open: it stopped for good, perhaps because of this very cursor.
        return match app.operations.cursors.move_cursor(&feed, &cursor, order.force).await {
            Ok(Moved::Yes) => Json(json!({ "rewound": name, "before": null })).into_response(),
            Ok(Moved::GivenUp(records)) => {
                Json(json!({ "rewound": name, "before": null, "given_up": records })).into_response()
            }
            Ok(Moved::Sealed | Moved::Unknown) => {
                let why = "a sealed batch has to be published first: restart the bus, then rewind; or give it up with --force";
                refuse(StatusCode::CONFLICT, why)
            }
            Err(error) => unavailable(&error),
        };
    }
    match app.operations.rewinds.order(feed, cursor).await {
        Ok(Ok(before)) => {
            Json(json!({ "rewound": name, "before": before.as_ref().map(Cursor::as_str) })).into_response()
        }
        Ok(Err(error)) => refuse(StatusCode::CONFLICT, &error),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the feed is stopping, or somebody else rewound it just now"),
    }
}
