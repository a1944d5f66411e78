//! A window of the week: days, hours and the rate that holds in them.

use std::str::FromStr;

use super::rate::Rate;

/// Names as operators write them, Monday first.
pub(super) const DAY_NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Minutes of a day without a clock change.
pub(super) const DAY: u16 = 1440;

/// Why a text is no set of days or hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Not a day.
    #[error("{0:?} is not a day: use Mon, Tue, Wed, Thu, Fri, Sat, Sun, a range \"Mon-Fri\" or a list \"Mon,Wed\"")]
    Day(String),
    /// Not `HH:MM-HH:MM`.
    #[error("{0:?} is not a span of hours: write \"08:00-22:00\"; \"22:00-06:00\" goes over midnight")]
    Hours(String),
    /// Not `HH:MM`.
    #[error("{0:?} is not a time of day: write two digits each, \"03:00\" to \"23:59\"")]
    Time(String),
    /// It starts and ends at the same minute.
    #[error("{0:?} starts and ends at the same minute: for the whole day write \"00:00-24:00\" or leave it out")]
    Empty(String),
}

/// Days of the week, Monday first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Days(pub [bool; 7]);

impl Days {
    /// Every day.
    pub const ALL: Days = Days([true; 7]);
}

impl FromStr for Days {
    type Err = WindowError;

    /// `Mon`, `Mon-Fri`, `Sat-Mon` (over the end of the week), `Mon,Wed`, `Mon-Wed,Fri`.
    fn from_str(text: &str) -> Result<Self, WindowError> {
        let mut days = [false; 7];
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            let mut at = first;
            days[at] = true;
            while at != last {
                at = (at + 1) % 7;
                days[at] = true;
            }
        }
        Ok(Self(days))
    }
}

/// Hours of a day, in minutes since its midnight: `from` inclusive, `to` exclusive. When `to` is not after `from` they go
/// over midnight and belong to the day on which they start: `22:00-06:00` on `Fri` ends on Saturday morning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hours {
    from: u16,
    to: u16,
}

impl Hours {
    /// The whole day.
    pub const ALL: Hours = Hours { from: 0, to: DAY };

    /// From minute 0..=1439 to minute 0..=1440 (24:00); `None` when out of range or empty.
    pub fn new(from_minute: u16, to_minute: u16) -> Option<Self> {
        let valid = from_minute < DAY && to_minute <= DAY && from_minute != to_minute;
        valid.then_some(Self { from: from_minute, to: to_minute })
    }

    /// The first minute of the day.
    pub fn from_minute(self) -> u16 {
        self.from
    }

    /// How many minutes it lasts by the clock on the wall, over midnight if need be: 1 to 1440.
    pub fn minutes(self) -> u16 {
        if self.to > self.from { self.to - self.from } else { DAY - self.from + self.to }
    }
}

impl FromStr for Hours {
    type Err = WindowError;

    /// `08:00-22:00`, `22:00-06:00`, `00:00-24:00`.
    fn from_str(text: &str) -> Result<Self, WindowError> {
        let unreadable = || WindowError::Hours(text.to_owned());
        let (from, to) = text.split_once('-').ok_or_else(unreadable)?;
        let from = minute_of_day(from.trim()).ok_or_else(unreadable)?;
        let to = if to.trim() == "24:00" { DAY } else { minute_of_day(to.trim()).ok_or_else(unreadable)? };
        Hours::new(from, to).ok_or_else(|| WindowError::Empty(text.to_owned()))
    }
}

/// One rule of a profile; the first that matches a minute wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The days on which it *starts*.
    pub days: Days,
    /// The hours, possibly into the next day.
    pub hours: Hours,
    /// What may be sent in it.
    pub rate: Rate,
}

impl Window {
    /// A window that always holds.
    pub fn always(rate: Rate) -> Self {
        Self { days: Days::ALL, hours: Hours::ALL, rate }
    }
}

/// The index of a day's name, Monday = 0.
pub(super) fn day(name: &str) -> Result<usize, WindowError> {
    let name = name.trim();
    let found = DAY_NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
    found.ok_or_else(|| WindowError::Day(name.to_owned()))
}

/// `HH:MM` as minutes since midnight.
pub(super) fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_read_as_written() {
        let days = |text: &str| {
            let days = text.parse::<Days>().map(|days| days.0.map(|on| if on { 'x' } else { '.' }));
            days.map(String::from_iter)
        };
        for (text, expected) in [
            ("Mon-Fri", "xxxxx.."),
            ("Mon,Wed", "x.x...."),
            ("sat-mon", "x....xx"),
            ("Mon-Tue, Sun", "xx....x"),
            ("Sun", "......x"),
        ] {
            assert_eq!(days(text), Ok(expected.to_owned()), "{text}");
        }
        for (text, wrong) in [("Пн", "Пн"), ("Mon,", ""), ("Mon-Frei", "Frei"), ("", "")] {
            assert_eq!(days(text), Err(WindowError::Day(wrong.into())), "{text}");
        }
    }

    #[test]
    fn hours_read_as_written() {
        let hours = |text: &str| text.parse::<Hours>();
        assert_eq!(hours("08:00-22:00").map(|hours| (hours.from_minute(), hours.minutes())), Ok((480, 840)));
        assert_eq!(hours("22:00 - 06:00").map(|hours| (hours.from_minute(), hours.minutes())), Ok((1320, 480)));
        assert_eq!(hours("00:00-24:00"), Ok(Hours::ALL));
        assert_eq!(hours("22:00-00:00").map(Hours::minutes), Ok(120));
        for text in ["8-22", "08:00", "08:00-25:00", "24:00-08:00", "8:00-22:00", "08:60-09:00", "08:00-+9:00"] {
            assert_eq!(hours(text), Err(WindowError::Hours(text.into())), "{text}");
        }
        assert_eq!(hours("08:00-08:00"), Err(WindowError::Empty("08:00-08:00".into())));
    }
}
