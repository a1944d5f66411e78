//! Capacity over the week: which rate holds at which instant.

use std::time::Duration;

use chrono_tz::Tz;

use super::clock::Micros;
use super::local;
use super::rate::Rate;
use super::window::{DAY, DAY_NAMES, Window};

const MINUTE: i64 = 60_000_000;
const MINUTES: usize = 7 * DAY as usize;
const WEEK: i64 = MINUTES as i64 * MINUTE;
/// 1970-01-01 was a Thursday; weeks are counted from the Monday before.
const EPOCH_IN_WEEK: i64 = 3 * DAY as i64 * MINUTE;
/// A lower rate casts its shadow at most this far back; see [`Profile::paced_piece_at`].
const MAX_LEAD: i64 = 60 * MINUTE;

/// A minute of the week, Monday 00:00 = 0, that no window covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no window covers {}", self.as_text())]
pub struct Uncovered(pub u16);

impl Uncovered {
    /// `Mon 03:20`.
    pub fn as_text(self) -> String {
        let (day, minute) = (self.0 / DAY, self.0 % DAY);
        format!("{} {:02}:{:02}", DAY_NAMES[usize::from(day) % 7], minute / 60, minute % 60)
    }
}

/// The first minute of the week that no window covers.
pub fn uncovered(windows: &[Window]) -> Option<Uncovered> {
    let gap = rates_by_minute(windows).iter().position(Option::is_none)?;
    Some(Uncovered(gap as u16))
}

/// A stretch of constant rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// What may be sent.
    pub rate: Rate,
    /// Where it ends, exclusive. The next piece may have the same rate: a piece is never longer than a week.
    pub until: Micros,
}

/// Windows compiled for lookup, read in one time zone.
///
/// A window is a matter of the clock on the wall: in the night when an hour is repeated it holds twice as long there, in
/// the night when an hour is skipped the part inside of the gap does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    zone: Tz,
    /// (start in microseconds of the local week, rate), ascending from 0; neighbours differ.
    week: Vec<(i64, Rate)>,
}

impl Profile {
    /// Compiles windows, first match wins; refuses a week with a hole.
    pub fn new(windows: &[Window], zone: Tz) -> Result<Self, Uncovered> {
        let mut week: Vec<(i64, Rate)> = Vec::new();
        for (minute, rate) in rates_by_minute(windows).into_iter().enumerate() {
            let rate = rate.ok_or(Uncovered(minute as u16))?;
            if week.last().is_none_or(|(_, last)| *last != rate) {
                week.push((minute as i64 * MINUTE, rate));
            }
        }
        Ok(Self { zone, week })
    }

    /// The same rate at all times.
    pub fn always(rate: Rate) -> Self {
        Self { zone: Tz::UTC, week: vec![(0, rate)] }
    }

    /// The rate at an instant and how long it holds.
    pub fn piece_at(&self, at: Micros) -> Piece {
        if let [(_, rate)] = self.week[..] {
            return Piece { rate, until: Micros(at.0.saturating_add(WEEK)) };
        }
        let second = at.0.div_euclid(1_000_000);
        let offset = local::offset(self.zone, second);
        let in_week = (at.0.saturating_add(offset * 1_000_000).saturating_add(EPOCH_IN_WEEK)).rem_euclid(WEEK);
        let index = self.week.partition_point(|(start, _)| *start <= in_week) - 1;
        let end = self.week.get(index + 1).map_or(WEEK, |(start, _)| *start);
        let by_clock = at.0.saturating_add(end - in_week);
        let change = local::next_transition(self.zone, second, by_clock.div_euclid(1_000_000));
        let until = change.map_or(by_clock, |change| by_clock.min(change.saturating_mul(1_000_000)));
        Piece { rate: self.week[index].1, until: Micros(until) }
    }

    /// What to pace by: like [`piece_at`](Self::piece_at), but a lower rate already holds one of its own periods before it
    /// begins (at most an hour). So a receiver that has just begun to count "100 in the last minute" finds no more than
    /// 100 in its first windows, although the hour before allowed 500. A closed window has nothing to count and starts
    /// on its minute.
    pub fn paced_piece_at(&self, at: Micros) -> Piece {
        let here = self.piece_at(at);
        let mut paced = here;
        let mut ahead = here.until;
        // Every piece whose shadow could begin before the end of this one.
        while self.week.len() > 1 && ahead.0 - MAX_LEAD < paced.until.0 {
            let next = self.piece_at(ahead);
            if !next.rate.is_closed() && next.rate.is_below(paced.rate) {
                let lead = super::clock::span(next.rate.per()).min(MAX_LEAD);
                let from = ahead.0 - lead;
                if from <= at.0 {
                    paced.rate = next.rate;
                } else {
                    paced.until = paced.until.min(Micros(from));
                }
            }
            ahead = next.until;
        }
        paced
    }

    /// How many events the profile allows from `from` to `to`: its integral.
    pub fn permits_between(&self, from: Micros, to: Micros) -> f64 {
        let (mut at, mut sum) = (from, 0.0);
        while at < to {
            let piece = self.piece_at(at);
            let end = piece.until.min(to);
            sum += piece.rate.per_micro() * (end.0 - at.0) as f64;
            at = end;
        }
        sum
    }

    /// The time between two events at the lowest rate that is not closed; `None` when all are.
    pub fn slowest_interval(&self) -> Option<Duration> {
        self.week.iter().filter_map(|(_, rate)| rate.interval()).max()
    }
}

/// The rate of each minute of the week by the first window that holds in it.
fn rates_by_minute(windows: &[Window]) -> Vec<Option<Rate>> {
    let mut rates = vec![None; MINUTES];
    for window in windows {
        for day in (0..7).filter(|day| window.days.0[*day]) {
            let start = day * usize::from(DAY) + usize::from(window.hours.from_minute());
            for minute in start..start + usize::from(window.hours.minutes()) {
                rates[minute % MINUTES].get_or_insert(window.rate);
            }
        }
    }
    rates
}

#[cfg(test)]
#[path = "profile_tests.rs"]
pub(in crate::policy) mod tests;
