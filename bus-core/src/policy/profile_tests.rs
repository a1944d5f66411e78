//! Profiles against the calendar: midnight, week ends, skipped and repeated hours.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Timelike};
use proptest::prelude::*;

use super::*;
use crate::policy::window::{Days, Hours};

fn at(text: &str) -> Micros {
    Micros(DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros())
}

fn window(days: &str, hours: &str, rate: &str) -> Window {
    Window { days: days.parse().unwrap(), hours: hours.parse().unwrap(), rate: rate.parse().unwrap() }
}

/// The profile of the example configuration.
fn day_night(zone: Tz) -> Profile {
    let windows = [
        window("Mon-Sun", "03:00-03:20", "0/min"),
        window("Mon-Fri", "08:00-22:00", "100/min"),
        Window::always("500/min".parse().unwrap()),
    ];
    Profile::new(&windows, zone).unwrap()
}

fn check(profile: &Profile, start: &str, pieces: &[(&str, &str)]) {
    let mut now = at(start);
    for (rate, until) in pieces {
        let piece = profile.piece_at(now);
        assert_eq!(
            (piece.rate.to_string().as_str(), piece.until.moment()),
            (*rate, at(until).moment()),
            "from {now:?}"
        );
        now = piece.until;
    }
}

#[test]
fn the_first_match_wins_and_the_week_has_no_seams() {
    check(
        &day_night(chrono_tz::Europe::Moscow),
        "2026-01-02T12:00:00+03:00", // a Friday
        &[
            ("100/min", "2026-01-02T22:00:00+03:00"),
            ("500/min", "2026-01-03T03:00:00+03:00"),
            ("0/min", "2026-01-03T03:20:00+03:00"),
            ("500/min", "2026-01-04T03:00:00+03:00"),
            ("0/min", "2026-01-04T03:20:00+03:00"),
            ("500/min", "2026-01-05T00:00:00+03:00"),
            ("500/min", "2026-01-05T03:00:00+03:00"),
            ("0/min", "2026-01-05T03:20:00+03:00"),
            ("500/min", "2026-01-05T08:00:00+03:00"),
            ("100/min", "2026-01-05T22:00:00+03:00"),
        ],
    );
}

#[test]
fn hours_over_midnight_belong_to_the_day_they_start_on() {
    let windows = [window("Fri,Sun", "22:00-06:00", "1/s"), Window::always(Rate::CLOSED)];
    let profile = Profile::new(&windows, Tz::UTC).unwrap();
    for (time, open) in [
        ("2026-01-02T21:59:59Z", false), // Friday
        ("2026-01-02T22:00:00Z", true),
        ("2026-01-03T05:59:59Z", true), // Saturday morning still belongs to Friday
        ("2026-01-03T06:00:00Z", false),
        ("2026-01-03T23:00:00Z", false), // Saturday night does not
        ("2026-01-05T05:59:59Z", true),  // Monday morning belongs to Sunday, over the end of the week
        ("2026-01-05T06:00:00Z", false),
        ("2026-01-02T05:00:00Z", false), // Friday morning would belong to Thursday
    ] {
        assert_eq!(!profile.piece_at(at(time)).rate.is_closed(), open, "{time}");
    }
}

#[test]
fn a_skipped_hour_ends_a_window_early_and_a_repeated_one_prolongs_it() {
    let windows = [window("Mon-Sun", "01:30-02:30", "1/s"), Window::always(Rate::CLOSED)];
    let berlin = Profile::new(&windows, chrono_tz::Europe::Berlin).unwrap();
    check(&berlin, "2026-03-29T00:40:00Z", &[("1/s", "2026-03-29T01:00:00Z"), ("0/min", "2026-03-29T22:00:00Z")]);
    // 25 October: 02:00-03:00 comes twice (00:00Z-01:00Z and 01:00Z-02:00Z).
    check(
        &berlin,
        "2026-10-24T23:30:00Z",
        &[
            ("1/s", "2026-10-25T00:30:00Z"),
            ("0/min", "2026-10-25T01:00:00Z"),
            ("1/s", "2026-10-25T01:30:00Z"),
            ("0/min", "2026-10-25T23:00:00Z"),
        ],
    );
    let new_york = Profile::new(&windows, chrono_tz::America::New_York).unwrap();
    check(&new_york, "2026-03-08T06:30:00Z", &[("1/s", "2026-03-08T07:00:00Z")]);
    check(
        &new_york,
        "2026-11-01T05:30:00Z",
        &[("1/s", "2026-11-01T06:00:00Z"), ("0/min", "2026-11-01T06:30:00Z"), ("1/s", "2026-11-01T07:30:00Z")],
    );
}

#[test]
fn a_hole_in_the_week_is_named() {
    let windows = [window("Mon-Sat", "00:00-24:00", "1/s"), window("Sun", "00:00-23:30", "1/s")];
    assert_eq!(uncovered(&windows).map(Uncovered::as_text), Some("Sun 23:30".into()));
    assert_eq!(Profile::new(&windows, Tz::UTC).unwrap_err().to_string(), "no window covers Sun 23:30");
    assert_eq!(uncovered(&[Window::always(Rate::CLOSED)]), None);
    assert_eq!(uncovered(&[]).map(Uncovered::as_text), Some("Mon 00:00".into()));
}

#[test]
fn a_lower_rate_holds_one_period_before_it_begins_and_a_closed_one_does_not() {
    let profile = day_night(Tz::UTC); // Monday 08:00: from 500/min to 100/min
    let paced = profile.paced_piece_at(at("2026-01-05T07:58:30Z"));
    assert_eq!((paced.rate.events(), paced.until), (500, at("2026-01-05T07:59:00Z")));
    assert_eq!(profile.paced_piece_at(at("2026-01-05T07:59:00Z")).rate.events(), 100);
    let before_closing = profile.paced_piece_at(at("2026-01-05T02:59:59Z"));
    assert_eq!((before_closing.rate.events(), before_closing.until), (500, at("2026-01-05T03:00:00Z")));
    let rising = profile.paced_piece_at(at("2026-01-05T21:59:59Z"));
    assert_eq!(rising.rate.events(), 100);
}

#[test]
fn the_integral_counts_over_boundaries() {
    let profile = day_night(Tz::UTC);
    let day = profile.permits_between(at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z"));
    assert!((day - (500.0 * (180.0 + 280.0 + 120.0) + 100.0 * 840.0)).abs() < 1e-6, "{day}");
    assert_eq!(profile.permits_between(at("2026-01-06T00:00:00Z"), at("2026-01-05T00:00:00Z")), 0.0);
}

/// Any windows, closed by a last one that covers the rest.
pub(in crate::policy) fn any_profile() -> impl Strategy<Value = (Vec<Window>, Tz)> {
    let rate = (0_u64..600, prop::sample::select(vec![1_u64, 60, 3600]));
    let rate = rate.prop_map(|(events, per)| Rate::new(events, std::time::Duration::from_secs(per)).unwrap());
    let window = (any::<[bool; 7]>(), 0_u16..1440, 1_u16..1440, rate.clone()).prop_map(|(days, from, length, rate)| {
        let to = (from + length) % 1440;
        Window { days: Days(days), hours: Hours::new(from, to).unwrap(), rate }
    });
    let zones = vec![
        Tz::UTC,
        chrono_tz::Europe::Berlin,
        chrono_tz::America::New_York,
        chrono_tz::Europe::Moscow,
        chrono_tz::Australia::Lord_Howe,
        chrono_tz::Asia::Kathmandu,
    ];
    (prop::collection::vec(window, 0..5), rate, prop::sample::select(zones)).prop_map(|(mut windows, rest, zone)| {
        windows.push(Window::always(rest));
        (windows, zone)
    })
}

/// A year that holds every kind of clock change.
pub(in crate::policy) fn any_instant() -> impl Strategy<Value = Micros> {
    let anywhere = 1_767_225_600_i64..1_798_761_600;
    let near_changes =
        prop::sample::select(vec![1_774_746_000_i64, 1_792_890_000, 1_772_953_200, 1_793_512_800, 1_775_311_200]);
    let near = (near_changes, -7200_i64..7200).prop_map(|(change, seconds)| change + seconds);
    (prop_oneof![anywhere, near], 0_i64..1_000_000).prop_map(|(second, micros)| Micros(second * 1_000_000 + micros))
}

/// The same question answered the slow way: ask the calendar which window the local minute is in.
fn by_calendar(windows: &[Window], zone: Tz, at: Micros) -> Rate {
    let local = DateTime::from_timestamp_micros(at.0).unwrap().with_timezone(&zone);
    let (day, minute) = (local.weekday().num_days_from_monday() as usize, (local.hour() * 60 + local.minute()) as u16);
    let holds = |window: &&Window| {
        let (from, end) = (window.hours.from_minute(), window.hours.from_minute() + window.hours.minutes());
        (window.days.0[day] && (from..end).contains(&minute))
            || (window.days.0[(day + 6) % 7] && (from..end).contains(&(minute + 1440)))
    };
    windows.iter().find(holds).unwrap().rate
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_piece_agrees_with_the_calendar_to_its_last_microsecond(
        (windows, zone) in any_profile(), start in any_instant(), share in 0.0..1.0,
    ) {
        let profile = Profile::new(&windows, zone).unwrap();
        let mut now = start;
        let mut seen = BTreeMap::new();
        for _ in 0..20 {
            let piece = profile.piece_at(now);
            prop_assert!(piece.until > now);
            let inside = Micros(now.0 + ((piece.until.0 - now.0 - 1) as f64 * share) as i64);
            for probe in [now, inside, Micros(piece.until.0 - 1)] {
                prop_assert_eq!(piece.rate, by_calendar(&windows, zone, probe), "at {:?}", probe);
                prop_assert!(!piece.rate.is_below(profile.paced_piece_at(probe).rate), "the pace is above the profile");
            }
            prop_assert!(seen.insert(now, ()).is_none());
            now = piece.until;
        }
    }

    #[test]
    fn a_paced_piece_holds_until_its_end((windows, zone) in any_profile(), start in any_instant(), share in 0.0..1.0) {
        let profile = Profile::new(&windows, zone).unwrap();
        let piece = profile.paced_piece_at(start);
        prop_assert!(piece.until > start);
        let inside = Micros(start.0 + ((piece.until.0 - start.0 - 1) as f64 * share) as i64);
        for probe in [inside, Micros(piece.until.0 - 1)] {
            prop_assert_eq!(piece.rate, profile.paced_piece_at(probe).rate);
        }
    }
}
