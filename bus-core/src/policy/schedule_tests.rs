//! Schedules against the calendar, clock changes included.
#![allow(clippy::unwrap_used)]

use chrono::Timelike;
use chrono_tz::America::New_York;
use chrono_tz::Europe::{Berlin, Moscow};
use proptest::prelude::*;

use super::*;
use crate::policy::profile::tests::any_instant;

fn at(text: &str) -> Moment {
    Moment(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

fn check(schedule: &str, zone: Tz, now: &str, expected: &[&str]) {
    let schedule: Schedule = schedule.parse().unwrap();
    let mut now = at(now);
    for expected in expected {
        now = schedule.next_after(now, zone);
        assert_eq!(now, at(expected), "{schedule}: {now}");
    }
}

#[test]
fn every_form_runs_when_it_says() {
    check("15s", Moscow, "2026-01-01T00:00:00.500Z", &["2026-01-01T00:00:15.500Z"]);
    check("03:00", Moscow, "2026-01-01T00:00:00Z", &["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]);
    check("Sun 03:00", Moscow, "2026-01-01T00:00:00Z", &["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"]);
    check("cron 0 3 * * 7", Moscow, "2026-01-01T00:00:00Z", &["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"]);
    check("cron */20 8-9 1 * *", Tz::UTC, "2026-01-31T00:00:00Z", &["2026-02-01T08:00:00Z", "2026-02-01T08:20:00Z"]);
    check("cron 0 0 29 2 *", Tz::UTC, "2026-01-01T00:00:00Z", &["2028-02-29T00:00:00Z"]);
    check("03:00", Tz::UTC, "2026-01-01T02:59:59.999Z", &["2026-01-01T03:00:00Z"]);
}

#[test]
fn a_skipped_time_runs_after_the_gap_and_only_once() {
    for schedule in ["02:30", "cron 30 2 * * *"] {
        check(schedule, Berlin, "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        check(schedule, New_York, "2026-03-07T12:00:00Z", &["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]);
    }
    // Both times lie in the gap, and the end of the gap fits as well: one run.
    check("cron 0,30 2,3 * * *", Berlin, "2026-03-29T00:30:00Z", &["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
}

#[test]
fn a_repeated_time_runs_once() {
    for schedule in ["02:30", "cron 30 2 * * *", "Sun 02:30"] {
        check(schedule, Berlin, "2026-10-24T23:00:00Z", &["2026-10-25T00:30:00Z"]);
        let next: Schedule = schedule.parse().unwrap();
        assert!(next.next_after(at("2026-10-25T00:30:00Z"), Berlin) > at("2026-10-26T00:00:00Z"), "{schedule}");
        assert!(next.next_after(at("2026-10-25T01:10:00Z"), Berlin) > at("2026-10-26T00:00:00Z"), "{schedule}");
    }
    check("cron */30 1 * * *", New_York, "2026-11-01T05:29:00Z", &["2026-11-01T05:30:00Z", "2026-11-02T06:00:00Z"]);
}

#[test]
fn an_interval_by_cron_goes_on_through_every_clock_change() {
    for (from, until) in
        [("2026-10-24T22:00:00Z", "2026-10-25T03:00:00Z"), ("2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z")]
    {
        let schedule: Schedule = "cron */20 * * * *".parse().unwrap();
        let mut now = at(from);
        while now < at(until) {
            let next = schedule.next_after(now, Berlin);
            assert_eq!(now.until(next), Duration::from_secs(1200), "after {now}");
            now = next;
        }
    }
}

#[test]
fn texts_read_and_print() {
    for text in ["15s", "03:00", "Sun 03:00", "cron 0 3 * * 7"] {
        assert_eq!(text.parse::<Schedule>().map(|schedule| schedule.to_string()), Ok(text.to_owned()));
    }
    for text in ["", "hourly", "25:00", "Вс 03:00", "Sun", "Sun 3:00", "3:00", "15", "Sun Mon 03:00", "cron03"] {
        assert_eq!(text.parse::<Schedule>(), Err(ScheduleError::Unreadable(text.into())), "{text}");
    }
    assert_eq!("0s".parse::<Schedule>(), Err(ScheduleError::TooOften("0s".into())));
    assert_eq!("cron".parse::<Schedule>(), Err(ScheduleError::Cron(CronError::Fields(0))));
}

proptest! {
    /// In every zone and at every instant: strictly later, not later than a week and a gap, and at the right local time
    /// unless a gap swallowed it.
    #[test]
    fn the_next_run_is_later_and_at_the_local_time(
        now in any_instant(), day in prop::option::of(0_u8..7), minute in 0_u16..1440,
        zone in prop::sample::select(vec![Tz::UTC, Berlin, New_York, chrono_tz::Australia::Lord_Howe]),
    ) {
        let (schedule, now) = (Schedule::Weekly { day, minute }, now.moment());
        let next = schedule.next_after(now, zone);
        let bound = if day.is_some() { 14 } else { 2 };
        prop_assert!(next > now && now.until(next) <= Duration::from_secs(bound * 24 * 3600 + 7200));
        let local = DateTime::from_timestamp_millis(next.0).unwrap().with_timezone(&zone);
        let after_gap = local::offset(zone, next.0 / 1000) > local::offset(zone, next.0 / 1000 - 1);
        prop_assert!(after_gap || local.hour() * 60 + local.minute() == u32::from(minute));
        let weekday_fits = day.is_none_or(|day| local.weekday().num_days_from_monday() == u32::from(day));
        prop_assert!(weekday_fits);
    }
}
