//! When each route will be empty: what waits and what comes is measured here, `policy::forecast` does the sum.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bus_core::engine::gate::Gate;
use bus_core::engine::worker::Handle;
use bus_core::policy::{BreakerState, Empty, Load, Micros, forecast};
use bus_core::vocabulary::Moment;
use chrono_tz::Tz;

use super::Oversight;
use crate::clock::local;

/// Between looks.
const EVERY: Duration = Duration::from_secs(5);
/// Readings that are kept are a minute apart, for an hour.
const MARK: Duration = Duration::from_secs(60);
const MARKS: usize = 61;
/// What comes is measured in parts of five minutes, as sources are asked at least that often; the fullest part does not
/// count, because a burst is a backlog and not a stream.
const PART: usize = 5;
/// How requests are answered is measured over so many marks.
const LATELY: usize = 10;
/// Fewer messages than this say nothing about how many requests one takes.
const ENOUGH: f64 = 10.0;

/// What was last foreseen, for status and metrics.
#[derive(Default)]
pub struct Forecasts(Mutex<BTreeMap<String, Foreseen>>);

/// Of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// When it is empty; `None` where no time can be given.
    pub at: Option<Moment>,
    /// In words.
    pub words: String,
}

impl Forecasts {
    /// Of one route, if something waits there.
    pub fn of(&self, route: &str) -> Option<Foreseen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(route).cloned()
    }
}

/// A reading of the counters of one route; the counters only rise.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reading {
    at: Moment,
    backlog: f64,
    settled: f64,
    attempts: f64,
    /// Seconds spent in them.
    spent: f64,
}

/// Remembers the readings of the last minutes.
#[derive(Default)]
pub struct Forecaster {
    seen: HashMap<String, VecDeque<Reading>>,
    next: Option<Moment>,
}

impl Forecaster {
    /// Looks and foresees, every few seconds.
    pub fn turn(&mut self, oversight: &Oversight, now: Moment) {
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now.after(EVERY));
        let routes: Vec<(Handle, Load, f64)> =
            oversight.engine.routes().into_iter().map(|handle| self.measured(oversight, handle, now)).collect();
        let mut all = BTreeMap::new();
        let plan = oversight.plan();
        for (system, gate) in &oversight.workshop.gates.delivering() {
            let of = |name: &str| plan.topology.route.get(name).is_some_and(|to| to == system.as_str());
            let here: Vec<_> = routes.iter().filter(|(handle, ..)| of(handle.route().as_str())).collect();
            let loads: Vec<Load> = here.iter().map(|(_, load, _)| *load).collect();
            // Requests of all routes hold the same places, so their answer times count together.
            let times: Vec<f64> = here.iter().map(|(.., seconds)| *seconds).filter(|seconds| *seconds > 0.0).collect();
            let at_most = match times.len() {
                0 => f64::INFINITY,
                count => gate.concurrency() as f64 * count as f64 / times.iter().sum::<f64>(),
            };
            let empties = forecast(gate.plan().as_ref(), at_most, &loads, Micros::from(now));
            for ((handle, ..), empty) in here.iter().zip(empties) {
                let name = handle.route().as_str();
                let foreseen = foreseen(empty, gate, handle, plan.zone, now);
                oversight
                    .workshop
                    .metrics
                    .empty_at
                    .with_label_values(&[name])
                    .set(seconds_of(empty, foreseen.as_ref()));
                all.extend(foreseen.map(|foreseen| (name.to_owned(), foreseen)));
            }
        }
        *oversight.forecasts.0.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// The load of a route, and how long its requests take.
    fn measured(&mut self, oversight: &Oversight, handle: Handle, now: Moment) -> (Handle, Load, f64) {
        let (plan, name) = (oversight.plan(), handle.route().as_str());
        let queued = oversight.workshop.metrics.queue_depth.with_label_values(&[handle.queue().as_str()]).get().max(0);
        let settled = ["delivered", "skipped", "superseded", "dead_lettered"];
        let settled: u64 =
            settled.iter().map(|o| oversight.workshop.metrics.settled.with_label_values(&[name, *o]).get()).sum();
        let attempts = oversight.workshop.metrics.attempt_seconds.with_label_values(&[name]);
        let reading = Reading {
            at: now,
            backlog: queued as f64 + handle.status().waiting as f64,
            settled: settled as f64,
            attempts: attempts.get_sample_count() as f64,
            spent: attempts.get_sample_sum(),
        };
        let concurrency = plan.concurrency.get(name).copied().unwrap_or(1);
        let marks = self.seen.entry(name.to_owned()).or_default();
        let (load, seconds) = load(marks, reading, concurrency);
        if marks.back().is_none_or(|last| last.at.until(now) >= MARK) {
            marks.push_back(reading);
            marks.drain(..marks.len().saturating_sub(MARKS));
        }
        (handle, load, seconds)
    }
}

/// From readings to requests, and the seconds that one takes.
fn load(marks: &VecDeque<Reading>, now: Reading, concurrency: usize) -> (Load, f64) {
    let lately = marks.iter().rev().nth(LATELY - 1).or(marks.front()).copied().unwrap_or(now);
    let (settled, attempts) = (now.settled - lately.settled, now.attempts - lately.attempts);
    // Skipped messages take no request, repeated ones several.
    let each = if settled >= ENOUGH { (attempts / settled).clamp(0.0, 10.0) } else { 1.0 };
    let seconds = if attempts > 0.0 { (now.spent - lately.spent) / attempts } else { 0.0 };
    let at_most = if seconds > 0.0 { concurrency as f64 / seconds } else { f64::INFINITY };
    (Load { backlog: now.backlog * each, arrivals: steady(marks) * each, at_most }, seconds)
}

/// Messages a second that come steadily; none in the first minutes, when nobody knows.
fn steady(marks: &VecDeque<Reading>) -> f64 {
    let ends: Vec<&Reading> = marks.iter().rev().step_by(PART).collect();
    let rate = |pair: &[&Reading]| {
        let [late, early] = pair else { return 0.0 };
        let came = late.settled + late.backlog - early.settled - early.backlog;
        came.max(0.0) / early.at.until(late.at).as_secs_f64().max(1.0)
    };
    let rates: Vec<f64> = ends.windows(2).map(rate).collect();
    let fullest = rates.iter().copied().fold(0.0, f64::max);
    if rates.len() < 2 { 0.0 } else { (rates.iter().sum::<f64>() - fullest) / (rates.len() - 1) as f64 }
}

/// `None`: nothing waits.
fn foreseen(empty: Empty, gate: &Gate, handle: &Handle, zone: Tz, now: Moment) -> Option<Foreseen> {
    let unknown = |words: &str| Some(Foreseen { at: None, words: words.to_owned() });
    let share = gate.share().filter(|share| *share < 1.0);
    let slowed = share.map_or(String::new(), |share| format!(" at the present {:.0} % of the profile", share * 100.0));
    match empty {
        Empty::Now => None,
        _ if handle.status().next_run.is_some() => None, // its own line in the status says when
        _ if handle.status().paused.is_some() || gate.pause().is_some() => unknown("not before its pause ends"),
        _ if !matches!(gate.breaker(), BreakerState::Closed { .. }) => unknown("not before its system answers"),
        // Before anybody has read it.
        Empty::At(at) if now.until(at.moment()) <= EVERY => None,
        Empty::At(at) => {
            let at = at.moment();
            Some(Foreseen { at: Some(at), words: format!("empty at {}{slowed}", local(at, zone)) })
        }
        Empty::Never => unknown(&format!("never under this profile: as much comes in a week as it lets out{slowed}")),
        Empty::NotWithinAYear => unknown(&format!("not within a year under this profile{slowed}")),
    }
}

/// For the metric.
fn seconds_of(empty: Empty, foreseen: Option<&Foreseen>) -> f64 {
    match (empty, foreseen) {
        (Empty::Now, _) => 0.0,
        (Empty::At(at), None) => at.0 as f64 / 1e6,
        (_, Some(Foreseen { at: Some(at), .. })) => at.0 as f64 / 1000.0,
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_what_it_costs_is_measured() {
        let reading = |second: i64, backlog, settled, attempts, spent| Reading {
            at: Moment(second * 1000),
            backlog,
            settled,
            attempts,
            spent,
        };
        let marks = [reading(0, 100.0, 0.0, 0.0, 0.0)].into();
        let (load, seconds) = super::load(&marks, reading(100, 150.0, 200.0, 100.0, 25.0), 4);
        // Every second message takes a request of a quarter of a second.
        assert_eq!((load.backlog, load.arrivals, load.at_most, seconds), (75.0, 0.0, 16.0, 0.25));
        let (load, _) = super::load(&VecDeque::new(), reading(0, 7.0, 0.0, 0.0, 0.0), 4);
        assert_eq!((load.backlog, load.arrivals, load.at_most), (7.0, 0.0, f64::INFINITY));
    }

    #[test]
    fn what_comes_steadily_counts_and_a_burst_does_not() {
        // Ten a minute for an hour, and a burst of five thousand in minute 30.
        let mark = |minute: i64| Reading {
            at: Moment(minute * 60_000),
            backlog: if minute >= 30 { 5_000.0 } else { 0.0 },
            settled: minute as f64 * 10.0,
            attempts: 0.0,
            spent: 0.0,
        };
        let marks: VecDeque<Reading> = (0..=60).map(mark).collect();
        let steadily = steady(&marks) * 60.0;
        assert!((9.9..10.1).contains(&steadily), "{steadily}");
        assert_eq!(steady(&(0..10).map(mark).collect()), 0.0, "one part alone says nothing");
    }
}
