//! `POST /reload?drop-route=NAME&drop-subscription=NAME`: takes over the files on disk.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_core::vocabulary::{RouteName, SubscriptionName};

use super::App;
use crate::reload::Dropped;

pub async fn post(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let dropped = match dropped(query.as_deref().unwrap_or("")) {
        Ok(dropped) => dropped,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    };
    let reloader = Arc::clone(&app.reloader);
    // In a task of its own: a client that goes away must not leave it half done.
    match tokio::spawn(async move { reloader.reload(&dropped).await }).await {
        Ok(Ok(report)) => Json(report).into_response(),
        Ok(Err(refused)) => {
            let by_file =
                if refused.is_the_files() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::SERVICE_UNAVAILABLE };
            (by_file, refused.whole() + "\n").into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the reload crashed; see the log, and restart the bus\n")
            .into_response(),
    }
}

fn dropped(query: &str) -> Result<Dropped, String> {
    let mut dropped = Dropped::default();
    for (option, name) in url::form_urlencoded::parse(query.as_bytes()) {
        match option.as_ref() {
            "drop-route" => dropped.routes.push(RouteName::new(&name).map_err(|error| error.to_string())?),
            "drop-subscription" => {
                dropped.subscriptions.push(SubscriptionName::new(&name).map_err(|error| error.to_string())?);
            }
            other => return Err(format!("there is no option {other}")),
        }
    }
    Ok(dropped)
}
