//! `GET /preview/{stream}`: what a stream would read now, asked by the process that reads it: at its pace, in its sessions.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_config::FeedSource;
use bus_core::ports::permits::Permits;
use bus_core::vocabulary::GateName;

use super::App;
use crate::preview::{Failure, Wanted, feed_of, preview};

pub async fn get(State(app): State<Arc<App>>, Path(name): Path<String>, Query(wanted): Query<Wanted>) -> Response {
    let landscape = app.reloader.landscape().await;
    let workshop = app.reloader.workshop();
    let gate = feed_of(&landscape, &name).ok().and_then(|(feed, _)| match &feed.source {
        FeedSource::Query { system, .. } | FeedSource::Odata { system, .. } => {
            workshop.gates.known(&GateName::Reads(system.clone()))
        }
        FeedSource::Push { .. } | FeedSource::Join(_) => None,
    });
    let permits = gate.map_or_else(Permits::unbounded, |gate| Permits::new(None, gate));
    match preview(&landscape, Some(&workshop.database), &name, &wanted, &permits).await {
        Ok(preview) => Json(preview).into_response(),
        Err(Failure::Unknown(why)) => (StatusCode::NOT_FOUND, format!("{why}\n")).into_response(),
        Err(Failure::Source(why)) => (StatusCode::BAD_GATEWAY, format!("{why}\n")).into_response(),
    }
}
