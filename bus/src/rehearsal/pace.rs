//! What another configuration does to pace and forecast: the requests that messages take under each, let out by the
//! profile of each.

use std::collections::HashMap;

use bus_config::{Carried, Http, Landscape, Route, SystemKind};
use bus_core::policy::{Empty, Load, Micros, Now, PacePlan, Pacer, Tick, forecast};
use bus_core::vocabulary::{Moment, RouteName};
use chrono_tz::Tz;
use serde::Serialize;

use super::past::Compared;
use crate::clock::local;

/// What is known of a route's work now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Messages that wait, in its queue and in `waiting`.
    pub backlog: f64,
    /// Messages a second that its stream brought lately.
    pub arrivals: f64,
}

/// A route's forecast under both configurations.
#[derive(Debug, Serialize)]
pub struct Outlook {
    pub route: String,
    /// Messages that wait now.
    pub backlog: u64,
    /// In words; `None`: the route is not there.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// The forecasts of all routes that differ, in the order of `compared`.
pub fn outlooks(
    (old, new): (&Landscape, &Landscape),
    compared: &[Compared],
    work: &HashMap<String, Work>,
    now: Moment,
) -> Vec<Outlook> {
    let before = words(old, &loads(old, compared, work, |records| records.0), now);
    let after = words(new, &loads(new, compared, work, |records| records.1), now);
    let outlook = |compared: &Compared| {
        let (before, after) = (before.get(&compared.route).cloned(), after.get(&compared.route).cloned());
        let backlog = work.get(&compared.route).map_or(0.0, |work| work.backlog) as u64;
        Outlook { route: compared.route.clone(), backlog, before, after }
    };
    compared.iter().map(outlook).filter(|outlook| outlook.before != outlook.after).collect()
}

/// Requests of each route: its messages, times the records that one sends by the messages that were played, by how many of them
/// share a request.
fn loads(
    landscape: &Landscape,
    compared: &[Compared],
    work: &HashMap<String, Work>,
    records: impl Fn((usize, usize)) -> usize,
) -> HashMap<RouteName, Load> {
    let mut loads = HashMap::new();
    for route in &landscape.routes {
        let played = compared.iter().find(|compared| compared.route == route.name.as_str());
        let each = match played {
            Some(compared) if compared.messages > 0 => records(compared.records) as f64 / compared.messages as f64,
            _ => 1.0,
        };
        let Work { backlog, arrivals } = work.get(route.name.as_str()).copied().unwrap_or_default();
        let (of_backlog, of_arrivals) = together(route, arrivals);
        let load = Load {
            backlog: backlog * each / of_backlog,
            arrivals: arrivals * each / of_arrivals,
            at_most: f64::INFINITY,
        };
        loads.insert(route.name.clone(), load);
    }
    loads
}

/// Messages that share a request: of a backlog as many as may, of what comes those that come while one gathers.
fn together(route: &Route, arrivals: f64) -> (f64, f64) {
    let Carried::Http(Http { batch: Some(batch), .. }) = &route.carried else { return (1.0, 1.0) };
    let max = batch.max as f64;
    (max, (arrivals * batch.wait.as_secs_f64()).clamp(1.0, max))
}

fn words(landscape: &Landscape, loads: &HashMap<RouteName, Load>, now: Moment) -> HashMap<String, String> {
    let mut all = HashMap::new();
    for system in &landscape.systems {
        let takes = match &system.kind {
            SystemKind::Http(http) => &http.takes,
            SystemKind::Odata(base) => &base.takes,
            SystemKind::Sql { .. } => continue,
        };
        let routes: Vec<_> = landscape.routes.iter().filter(|route| route.to == system.name).collect();
        let here: Vec<Load> = routes.iter().map(|route| loads[&route.name]).collect();
        let at = Now { wall: Micros::from(now), mono: Tick::default() };
        let plan: Option<PacePlan> =
            takes.capacity.pace.as_ref().map(|profile| Pacer::new(profile.clone(), takes.margin, at).plan(at));
        let empties = forecast(plan.as_ref(), f64::INFINITY, &here, Micros::from(now));
        for ((route, load), empty) in routes.iter().zip(&here).zip(empties) {
            let pace = format!("{:.1} requests an hour come", load.arrivals * 3600.0);
            let words = format!("{}; {pace}", said(empty, plan.is_some(), landscape.bus.timezone));
            all.insert(route.name.to_string(), words);
        }
    }
    all
}

fn said(empty: Empty, paced: bool, zone: Tz) -> String {
    match empty {
        Empty::Now => "nothing waits".to_owned(),
        Empty::At(_) if !paced => "as fast as it is answered".to_owned(),
        Empty::At(at) => format!("empty at {}", local(at.moment(), zone)),
        Empty::Never => "never empty: as much comes in a week as the profile lets out".to_owned(),
        Empty::NotWithinAYear => "not empty within a year".to_owned(),
    }
}
