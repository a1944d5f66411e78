//! Incidents and maintenance over HTTP: `GET /incidents`, and what a person may say about them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_core::engine::incident::Kind;
use bus_core::policy::Cause;
use bus_core::ports::watch::Maintenance;
use bus_core::vocabulary::{FeedName, Moment, SystemName};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::App;
use crate::wire;

/// An open or past incident, for people and machines.
#[derive(Debug, Serialize, Deserialize)]
pub struct Incident {
    pub kind: String,
    pub severity: String,
    pub subject: String,
    pub since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    pub count: u64,
    pub message: String,
    pub remedy: String,
    /// Routes that wait because of it.
    pub routes: Vec<String>,
    /// Where it shows, when at several places.
    pub places: Vec<Place>,
    /// Nobody is told: work is going on.
    pub maintenance: bool,
}

/// One place of several.
#[derive(Debug, Serialize, Deserialize)]
pub struct Place {
    pub subject: String,
    pub message: String,
}

/// What `GET /incidents` answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Incidents {
    pub open: Vec<Incident>,
    pub past: Vec<Incident>,
}

/// The open ones, one per cause.
pub fn open(app: &App) -> Vec<Incident> {
    let now = Moment::now();
    let show = |cause: Cause| Incident {
        kind: cause.kind.as_str().to_owned(),
        severity: cause.kind.severity().as_str().to_owned(),
        since: cause.first.since.to_string(),
        closed: None,
        count: cause.count,
        message: cause.first.message,
        remedy: cause.first.remedy,
        routes: cause.routes,
        maintenance: app.oversight.is_quiet(cause.system.as_deref(), now),
        places: match cause.members.len() {
            1 => Vec::new(),
            _ => cause.members.into_iter().map(|m| Place { subject: m.subject, message: m.message }).collect(),
        },
        subject: cause.subject,
    };
    app.oversight.plan().topology.causes(&app.incidents.list()).into_iter().map(show).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(default)]
    past: usize,
}

pub async fn list(State(app): State<Arc<App>>, Query(wanted): Query<Wanted>) -> Response {
    let past = match wanted.past {
        0 => Ok(Vec::new()),
        past => app.oversight.store.past_incidents(past.min(1000)).await,
    };
    let past = match past {
        Ok(past) => past,
        Err(error) => return super::admin::unavailable(&error),
    };
    let past = past.into_iter().map(|incident| Incident {
        kind: incident.kind.as_str().to_owned(),
        severity: incident.kind.severity().as_str().to_owned(),
        subject: incident.subject,
        since: incident.since.to_string(),
        closed: incident.closed.map(|closed| closed.to_string()),
        count: incident.count,
        message: incident.message,
        remedy: incident.remedy,
        routes: Vec::new(),
        places: Vec::new(),
        maintenance: false,
    });
    Json(Incidents { open: open(&app), past: past.collect() }).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    kind: String,
    subject: String,
}

/// A person says that it is over: for what nothing else closes, a gap above all.
pub async fn close(State(app): State<Arc<App>>, Query(named): Query<Named>) -> Response {
    let kind = Kind::parse(&named.kind).filter(|kind| app.incidents.is_open(*kind, &named.subject));
    let Some(kind) = kind else {
        return (StatusCode::NOT_FOUND, "no such incident is open; `bus incidents` lists them\n").into_response();
    };
    let by_itself = match kind {
        Kind::DeadLetters => Some("it closes when its letters were replayed or dropped: bus dead list\n"),
        Kind::UnreadableRecords => Some("it closes when its letters were dropped: bus dead list\n"),
        Kind::PausedByPerson => Some("it closes with the pause: bus resume\n"),
        _ => None,
    };
    if let Some(how) = by_itself {
        return (StatusCode::CONFLICT, how).into_response();
    }
    app.incidents.close(kind, &named.subject);
    Json(json!({ "closed": named.subject })).into_response()
}

/// A person says that the base that answers is the right one, and what it holds has the right form.
pub async fn accept(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    let feed = FeedName::new(&name).ok().filter(|name| app.watch.feeds().iter().any(|(feed, _)| feed == name));
    let Some(feed) = feed else {
        return (StatusCode::NOT_FOUND, "there is no feed of this name\n").into_response();
    };
    let landscape = app.reloader.landscape().await;
    if let Some(known) = landscape.feeds.iter().find(|known| known.name == feed) {
        for file in wire::source::remembered(&landscape, known) {
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let why = format!("what the feed knows of its source could not be forgotten: {error}\n");
                    return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
                }
                _ => {}
            }
        }
    }
    match app.oversight.store.keep_identity(&feed, None).await {
        Ok(()) => Json(json!({ "accepted": name })).into_response(),
        Err(error) => super::admin::unavailable(&error),
    }
}

/// Maintenance as it is shown.
#[derive(Debug, Serialize, Deserialize)]
pub struct Window {
    /// For `bus maintenance end`; `None` for one of the configuration.
    pub id: Option<i64>,
    /// Of the configuration.
    pub name: Option<String>,
    /// Empty is everything.
    pub systems: Vec<String>,
    pub begins: Option<String>,
    pub ends: Option<String>,
    pub who: Option<String>,
    pub why: Option<String>,
}

pub async fn windows(State(app): State<Arc<App>>) -> Json<Vec<Window>> {
    let now = Moment::now();
    let quiet = &app.oversight.quiet;
    let begun = quiet.begun(now).into_iter().map(|one| Window {
        id: Some(one.id),
        name: None,
        systems: one.system.iter().map(SystemName::to_string).collect(),
        begins: Some(one.begins.to_string()),
        ends: Some(one.ends.to_string()),
        who: Some(one.who),
        why: Some(one.why),
    });
    let plan = app.oversight.plan();
    let planned = crate::watch::open_maintenance(&plan.maintenance, now).map(|window| Window {
        id: None,
        name: Some(window.name.clone()),
        systems: window.systems.iter().flatten().map(SystemName::to_string).collect(),
        begins: None,
        ends: None,
        who: None,
        why: None,
    });
    Json(begun.chain(planned).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    system: Option<String>,
    seconds: u64,
    who: String,
    why: String,
}

/// The longest maintenance: what lasts longer belongs into the configuration.
const LONGEST: u64 = 7 * 24 * 3600;

pub async fn begin(State(app): State<Arc<App>>, Query(begin): Query<Begin>) -> Response {
    let known = |system: &str| {
        let plan = app.oversight.plan();
        let topology = &plan.topology;
        topology.route.values().chain(topology.feed.values()).any(|known| known == system)
    };
    let refuse = |why: String| (StatusCode::BAD_REQUEST, why).into_response();
    if let Some(unknown) = begin.system.as_deref().filter(|system| !known(system)) {
        return refuse(format!("there is no system `{unknown}`\n"));
    }
    if begin.seconds == 0 || begin.seconds > LONGEST {
        return refuse(
            "a maintenance lasts a second to seven days; longer ones belong into [maintenance.NAME]\n".into(),
        );
    }
    let now = Moment::now();
    let system = match begin.system.as_deref().map(SystemName::new).transpose() {
        Ok(system) => system,
        Err(error) => return refuse(format!("{error}\n")),
    };
    let ends = now.after(Duration::from_secs(begin.seconds));
    let maintenance = Maintenance { id: 0, system, begins: now, ends, who: begin.who, why: begin.why };
    let started = app.oversight.store.start_maintenance(&maintenance).await;
    if let (Ok(_), Err(error)) = (&started, app.oversight.quiet.reload().await) {
        return super::admin::unavailable(&error);
    }
    match started {
        Ok(id) => Json(json!({ "id": id, "ends": ends.to_string() })).into_response(),
        Err(error) => super::admin::unavailable(&error),
    }
}

pub async fn end(State(app): State<Arc<App>>, Path(id): Path<i64>) -> Response {
    let ended = app.oversight.store.end_maintenance(id, Moment::now()).await;
    if let Err(error) = app.oversight.quiet.reload().await {
        return super::admin::unavailable(&error);
    }
    match ended {
        Ok(true) => Json(json!({ "ended": id })).into_response(),
        Ok(false) => (StatusCode::NOT_FOUND, format!("no maintenance {id} is under way\n")).into_response(),
        Err(error) => super::admin::unavailable(&error),
    }
}
