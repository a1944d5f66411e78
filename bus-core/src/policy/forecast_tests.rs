//! The forecast against the pacer itself.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;

use super::super::clock::{Now, Tick};
use super::super::pace::Pacer;
use super::super::profile::Profile;
use super::super::profile::tests::{any_instant, any_profile};
use super::super::window::{Days, Window};
use super::*;

fn load(backlog: u32) -> Load {
    Load { backlog: f64::from(backlog), arrivals: 0.0, at_most: f64::INFINITY }
}

fn plan(profile: &Profile, now: Micros) -> PacePlan {
    pacer(profile, now).plan(Now { wall: now, mono: Tick::default() })
}

fn pacer(profile: &Profile, now: Micros) -> Pacer {
    Pacer::new(profile.clone(), 0.0, Now { wall: now, mono: Tick::default() })
}

fn day_night() -> Profile {
    let window = |hours: &str, rate: &str| Window {
        days: Days::ALL,
        hours: hours.parse().unwrap(),
        rate: rate.parse().unwrap(),
    };
    let windows =
        [window("03:00-03:20", "0/min"), window("08:00-22:00", "100/min"), Window::always("500/min".parse().unwrap())];
    Profile::new(&windows, chrono_tz::Europe::Moscow).unwrap()
}

fn at(text: &str) -> Micros {
    Micros(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros())
}

/// To the minute.
fn minute(empty: Empty) -> String {
    let Empty::At(at) = empty else { return format!("{empty:?}") };
    let time = chrono::DateTime::from_timestamp_micros(at.0).unwrap();
    time.with_timezone(&chrono_tz::Europe::Moscow).format("%d %H:%M").to_string()
}

#[test]
fn tonights_profile_is_read_window_by_window() {
    let (profile, ten) = (day_night(), at("2026-11-23T21:00:00+03:00"));
    // An hour at 100, five at 500, twenty minutes closed, then 500 again.
    for (backlog, expected) in [(3_000, "23 21:30"), (6_000, "23 22:00"), (155_000, "24 02:58"), (161_000, "24 03:30")]
    {
        let empty = forecast(Some(&plan(&profile, ten)), f64::INFINITY, &[load(backlog)], ten)[0];
        let (said, wanted) = (minute(empty), expected);
        // The lower rate casts its shadow a minute ahead, and 5 ms of jitter cost nothing here: a minute is fair.
        let close = [
            said.clone(),
            minute(match empty {
                Empty::At(at) => Empty::At(Micros(at.0 + 60_000_000)),
                other => other,
            }),
        ];
        assert!(close.contains(&wanted.to_owned()), "{backlog}: {said}, not {wanted}");
    }
}

#[test]
fn routes_share_and_who_is_done_leaves_room() {
    let profile = Profile::always("60/min".parse().unwrap());
    let (start, seconds) = (Micros(0), |empty: Empty| match empty {
        Empty::At(at) => (at.0 as f64 / 1e6).round() as i64,
        _ => -1,
    });
    let empties = forecast(Some(&plan(&profile, start)), f64::INFINITY, &[load(10), load(100)], start);
    assert_eq!(empties.iter().map(|e| seconds(*e)).collect::<Vec<_>>(), [20, 110]);
    // A third one that only keeps up takes a tenth of the pace.
    let keeps_up = Load { backlog: 0.0, arrivals: 0.1, at_most: f64::INFINITY };
    let empties = forecast(Some(&plan(&profile, start)), f64::INFINITY, &[load(90), keeps_up], start);
    assert_eq!((seconds(empties[0]), empties[1]), (100, Empty::Now));
    // Concurrency bounds, too.
    let slow = Load { at_most: 0.25, ..load(10) };
    let empties = forecast(Some(&plan(&profile, start)), f64::INFINITY, &[slow, load(30)], start);
    assert_eq!(empties.iter().map(|e| seconds(*e)).collect::<Vec<_>>(), [40, 40]);
    assert_eq!(seconds(forecast(None, 2.0, &[load(10)], start)[0]), 5);
}

#[test]
fn never_is_said_plainly() {
    let start = at("2026-11-23T10:00:00Z");
    let more = Load { backlog: 1.0, arrivals: 9.0, at_most: f64::INFINITY };
    assert_eq!(forecast(Some(&plan(&day_night(), start)), f64::INFINITY, &[more], start), [Empty::Never]);
    let closed = Profile::always("0/min".parse().unwrap());
    assert_eq!(forecast(Some(&plan(&closed, start)), f64::INFINITY, &[load(1)], start), [Empty::Never]);
    let crawl = Profile::always("1/day".parse().unwrap());
    assert_eq!(forecast(Some(&plan(&crawl, start)), f64::INFINITY, &[load(1000)], start), [Empty::NotWithinAYear]);
    assert_eq!(forecast(None, f64::INFINITY, &[more], start), [Empty::At(Micros(start.0 + 1))]);
    assert_eq!(forecast(None, f64::INFINITY, &[], start), []);
}

/// Sends everything as fast as the pacer allows, in turn; when each route's last message went. `None`: not within a year.
fn simulated(profile: &Profile, start: Micros, backlogs: &[u32]) -> Vec<Option<i64>> {
    let (mut pacer, mut left, mut mono) = (pacer(profile, start), backlogs.to_vec(), 0_i64);
    let mut ends = vec![None; left.len()];
    let mut turn = 0;
    while left.iter().any(|left| *left > 0) && mono < 53 * WEEK {
        let now = Now { wall: Micros(start.0 + mono), mono: Tick(Duration::from_micros(mono as u64)) };
        let Some(wait) = pacer.next_grant(now) else {
            mono += WEEK;
            continue;
        };
        mono += wait.as_micros() as i64;
        let now = Now { wall: Micros(start.0 + mono), mono: Tick(Duration::from_micros(mono as u64)) };
        assert!(pacer.grant(now));
        while left[turn % left.len()] == 0 {
            turn += 1;
        }
        let route = turn % left.len();
        left[route] -= 1;
        turn += 1;
        if left[route] == 0 {
            ends[route] = Some(start.0 + mono);
        }
    }
    ends
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Whatever the profile: between the pacer's last grant and the forecast lies no more than a message of each route and one.
    #[test]
    fn the_forecast_is_the_pacer_to_a_message(
        (windows, zone) in any_profile(), start in any_instant(),
        backlogs in prop::collection::vec(1_u32..200, 1..4),
    ) {
        let profile = Profile::new(&windows, zone).unwrap();
        let loads: Vec<Load> = backlogs.iter().map(|n| load(*n)).collect();
        let plan = plan(&profile, start);
        let said = forecast(Some(&plan), f64::INFINITY, &loads, start);
        for (said, ended) in said.into_iter().zip(simulated(&profile, start, &backlogs)) {
            match (said, ended) {
                (Empty::At(at), Some(ended)) => {
                    let between = plan.permits_between(Micros(at.0.min(ended)), Micros(at.0.max(ended)));
                    prop_assert!(between <= backlogs.len() as f64 + 1.01, "{between} messages between {at:?} and {ended}");
                }
                (Empty::Never, ended) => prop_assert_eq!(ended, None),
                // Within a message of a year, or so slow that the pacer gave up looking eight days ahead.
                (_, _) => {}
            }
        }
    }
}
