//! When a backlog will be empty, exactly by the windows of the profile: not a rate that is divided, but the pacer's own
//! speed, piece by piece, shared fairly among the routes of a system.
//!
//! Backlogs flow here like water instead of message by message; against the real pacer that is off by one message.

use super::clock::Micros;
use super::pace::PacePlan;

const SECOND: f64 = 1e6;
const WEEK: i64 = 7 * 24 * 3600 * 1_000_000;
/// Nobody plans further.
const WEEKS: usize = 53;
/// Less than this of a message is nothing: sums of rounding.
const NOTHING: f64 = 1e-6;
/// Steps of one forecast: a profile has a few pieces a day, and each route ends once. Bounds what no profile reaches.
const STEPS: usize = 200_000;

/// One route's work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests that what waits will take.
    pub backlog: f64,
    /// Requests that come every second, of late.
    pub arrivals: f64,
    /// Requests a second that its concurrency allows at the usual answer time; infinite if not known.
    pub at_most: f64,
}

/// When it is empty for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// It is.
    Now,
    /// Then.
    At(Micros),
    /// As much comes in a week as this profile lets out.
    Never,
    /// It gets less, but not within a year.
    NotWithinAYear,
}

/// For each of the routes that share a system's gate, in their order. `at_most`: requests a second that the system's
/// concurrency allows. Without a plan only concurrency bounds; where nothing bounds, everything is empty at once.
pub fn forecast(plan: Option<&PacePlan>, at_most: f64, loads: &[Load], now: Micros) -> Vec<Empty> {
    let start = plan.map_or(now, |plan| now.max(plan.not_before));
    let mut flow = Flow {
        left: loads.iter().map(|load| load.backlog.max(0.0)).collect(),
        empty: loads.iter().map(|load| (load.backlog <= NOTHING).then_some(Empty::Now)).collect(),
        loads,
    };
    let (mut at, mut week_ends, mut weeks) = (start.0, start.0.saturating_add(WEEK), 0);
    let mut a_week_ago = flow.left.clone();
    for _ in 0..STEPS {
        if flow.empty.iter().all(Option::is_some) {
            break;
        }
        let (speed, until) = plan.map_or((f64::INFINITY, week_ends), |plan| plan.speed_at(Micros(at)));
        at = flow.run(speed.min(at_most).max(0.0), at, until.min(week_ends));
        if at < week_ends {
            continue;
        }
        weeks += 1;
        let open = |route: &usize| flow.empty[*route].is_none();
        let grows = |route: usize| flow.left[route] >= a_week_ago[route] - NOTHING;
        let never = (0..loads.len()).filter(open).all(grows);
        if never || weeks == WEEKS {
            let rest = if never { Empty::Never } else { Empty::NotWithinAYear };
            flow.empty.iter_mut().for_each(|empty| *empty = empty.or(Some(rest)));
        }
        a_week_ago.clone_from(&flow.left);
        week_ends += WEEK;
    }
    flow.empty.into_iter().map(|empty| empty.unwrap_or(Empty::NotWithinAYear)).collect()
}

struct Flow<'a> {
    loads: &'a [Load],
    left: Vec<f64>,
    empty: Vec<Option<Empty>>,
}

impl Flow<'_> {
    /// Flows at a constant speed (requests a second) from `at`, to `until` or the first route that becomes empty; says
    /// how far it came.
    fn run(&mut self, speed: f64, at: i64, until: i64) -> i64 {
        let served = self.served(speed);
        let drain = |route: usize| served[route] - self.loads[route].arrivals;
        let ends =
            |route: usize| if self.left[route] > NOTHING { self.left[route] / drain(route) } else { f64::INFINITY };
        let first = (0..self.left.len()).filter(|route| drain(*route) > 0.0).map(ends).fold(f64::INFINITY, f64::min);
        let length = (until - at) as f64 / SECOND;
        let seconds = first.min(length);
        // Rounded up: at that microsecond it is empty, and time always goes on.
        let reached =
            if first < length { at.saturating_add((first * SECOND).ceil().max(1.0) as i64).min(until) } else { until };
        for route in 0..self.left.len() {
            let (had, drain) = (self.left[route], drain(route));
            // Infinite speed drains what there is; zero seconds of it are not "not a number".
            let gone = if drain.is_infinite() { had } else { drain * seconds };
            self.left[route] = (had - gone).max(0.0);
            if self.left[route] <= NOTHING && had > NOTHING {
                self.left[route] = 0.0;
                self.empty[route].get_or_insert(Empty::At(Micros(reached)));
            }
        }
        reached
    }

    /// What each route gets: who wants little gets it, the rest is shared equally, as the gate gives permits in turn.
    fn served(&self, speed: f64) -> Vec<f64> {
        let wants = |route: usize| {
            let load = &self.loads[route];
            if self.left[route] > NOTHING { load.at_most } else { load.arrivals.min(load.at_most) }
        };
        let mut order: Vec<usize> = (0..self.left.len()).collect();
        order.sort_by(|a, b| wants(*a).total_cmp(&wants(*b)));
        let (mut served, mut rest) = (vec![0.0; order.len()], speed);
        for (place, route) in order.iter().enumerate() {
            let fair = rest / (order.len() - place) as f64;
            served[*route] = wants(*route).min(fair);
            if rest.is_finite() {
                rest -= served[*route];
            }
        }
        served
    }
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;
