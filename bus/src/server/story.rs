//! `GET /where`: an object's story.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bus_core::policy::BreakerState;
use bus_core::ports::pauses::{Pause, Subject};
use bus_core::ports::story::StateKind;
use bus_core::vocabulary::{FeedName, Moment, RouteName, StreamName, SystemName};
use serde::{Deserialize, Serialize};

use super::App;
use crate::story::{Present, Question, Standing, paused, standing};

/// Objects and versions of one answer at most.
const MOST: usize = 200;

/// The query of `GET /where`; times are RFC 3339.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    match app.teller.tell(&question, &Running(&app)).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

/// The bus as it runs.
struct Running<'a>(&'a App);

impl Present for Running<'_> {
    fn holding(&self, route: &RouteName, system: &SystemName) -> Vec<String> {
        let Self(app) = self;
        let handle = app.watch.route(route);
        let status = handle.as_ref().map(|handle| handle.status());
        let mut told = Vec::new();
        // A person's pause is told by the order, which says how it ends; the route's own by what it has met.
        if let Some(pause) = app.operations.pauses.of(&Subject::Route(route.clone())) {
            told.push(paused(&pause));
        } else if let Some(reason) = status.as_ref().and_then(|status| status.paused.as_ref()) {
            told.push(format!("the route is paused: {reason}; mend the cause, then: bus resume {route}"));
        }
        if let Some(next) = status.as_ref().and_then(|status| status.next_run) {
            told.push(format!("{route} collects: what is in its queue goes with the run at {next}"));
        }
        if let Some((_, gate)) = app.gates.delivering().into_iter().find(|(name, _)| name == system) {
            let last = status.and_then(|status| status.last_error);
            let wait = gate.wait(handle.as_ref().and_then(|handle| handle.operation()));
            let gate = GateLook { pause: gate.pause(), breaker: gate.breaker(), wait };
            told.extend(gate.told(system, last.as_deref(), Moment::now()));
        }
        told
    }

    fn feed(&self, feed: &FeedName, system: Option<&SystemName>) -> Standing {
        let Self(app) = self;
        let pause = |subject: Subject| app.operations.pauses.of(&subject);
        let of_system = || system.and_then(|system| pause(Subject::System(system.clone())));
        let pause = pause(Subject::Feed(feed.clone())).or_else(of_system);
        let status = app.watch.feeds().into_iter().find(|(name, _)| name == feed).map(|(_, status)| status);
        standing(feed, &status.unwrap_or_default(), pause.as_ref())
    }
}

/// A gate at one moment.
struct GateLook {
    pause: Option<Pause>,
    breaker: BreakerState,
    /// Until it gives a permit, if nothing else happens; a gate that is paused gives none.
    wait: Option<Duration>,
}

impl GateLook {
    /// What it keeps from being sent, in sentences.
    fn told(&self, system: &SystemName, last: Option<&str>, now: Moment) -> Vec<String> {
        let last = last.map(|error| format!(" ({error})")).unwrap_or_default();
        let works = matches!(self.breaker, BreakerState::Closed { .. });
        if let Some(pause) = &self.pause {
            let down = (!works).then(|| format!("{system} did not work when it was tried last{last}"));
            return std::iter::once(paused(pause)).chain(down).collect();
        }
        let told = match (works, self.wait) {
            (true, Some(wait)) if wait.as_secs() < 1 => return Vec::new(),
            (true, Some(wait)) => format!("{system} may be sent to again at {}: its capacity", now.after(wait)),
            (true, None) => format!("{system} is closed by its profile for more than a week"),
            (false, Some(wait)) => {
                format!("{system} does not work{last}; it is tried again at {}", now.after(wait))
            }
            (false, None) => format!("{system} does not work{last}"),
        };
        vec![told]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_system_says_who_and_how_to_go_on_and_not_that_its_profile_is_closed() {
        let system = SystemName::new("shop").unwrap();
        let pause = Pause {
            subject: Subject::System(system.clone()),
            who: "anna@erp1".into(),
            why: "new disk".into(),
            since: Moment(0),
        };
        let closed = BreakerState::Closed { failures: 0 };
        let open = BreakerState::Open { until: Default::default(), openings: 1 };
        let told = |pause: Option<&Pause>, breaker: &BreakerState, wait: Option<Duration>| {
            let look = GateLook { pause: pause.cloned(), breaker: *breaker, wait };
            look.told(&system, Some("no answer"), Moment(0))
        };
        let by = "system shop is paused by anna@erp1 since 1970-01-01T00:00:00.000Z: new disk; to go on: bus resume system shop";
        assert_eq!(told(Some(&pause), &closed, None), [by]);
        assert_eq!(told(Some(&pause), &open, None), [by, "shop did not work when it was tried last (no answer)"]);
        assert_eq!(told(None, &closed, None), ["shop is closed by its profile for more than a week"]);
        assert_eq!(told(None, &open, None), ["shop does not work (no answer)"]);
        assert!(told(None, &closed, Some(Duration::ZERO)).is_empty());
        assert!(told(None, &closed, Some(Duration::from_secs(2)))[0].contains("at 1970-01-01T00:00:02.000Z"));
    }
}
