//! When something is due: one word everywhere.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::units::duration;
use crate::{Node, OptionValue, Report};

/// Days of the week, Monday first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days(pub [bool; 7]);

const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Days {
    /// Every day.
    pub const ALL: Days = Days([true; 7]);

    /// Reads `"Mon"`, `"Mon-Fri"`, `"Sat,Sun"`, `"Fri-Mon"`.
    pub fn parse(text: &str) -> Option<Self> {
        let day = |text: &str| DAY_NAMES.iter().position(|name| text.trim().eq_ignore_ascii_case(name));
        let mut days = [false; 7];
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (mut at, last) = (day(first)?, day(last)?);
            days[at] = true;
            while at != last {
                at = (at + 1) % 7;
                days[at] = true;
            }
        }
        Some(Self(days))
    }
}

impl OptionValue for Days {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("days such as \"Mon-Fri\"", report)?;
        let days = Self::parse(text);
        if days.is_none() {
            let hint = "for example \"Mon-Fri\", \"Sat,Sun\" or \"Sun\"";
            node.bad_value(format!("`{text}` does not name days of the week"), hint, report);
        }
        days
    }
    fn kind() -> Cow<'static, str> {
        "days such as `\"Mon-Fri\"`, `\"Sat,Sun\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[A-Za-z]{3}(\\s*[-,]\\s*[A-Za-z]{3})*$"})
    }
}

/// A time of day as minutes after midnight; `24:00` is 1440 and only an end.
pub(crate) fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let plain = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !plain(hours) || !plain(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && (hours < 24 || (hours == 24 && minutes == 0))).then_some(hours * 60 + minutes)
}

/// When a feed is read, a full comparison runs, and so on. Times of day are in the time zone of the bus.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// `"15s"`: that long after the last round began.
    Every(Duration),
    /// `"03:00"` or `"Sun 03:00"`.
    At {
        /// On which days.
        days: Days,
        /// Minutes after midnight.
        minute: u16,
    },
    /// `"cron 0 3 * * 7"`: the five fields of crontab.
    Cron(CronLine),
}

/// A line of crontab as written, and what it means.
#[derive(Clone)]
pub struct CronLine {
    text: String,
    schedule: cron::Schedule,
}

impl CronLine {
    /// The moments it names.
    pub fn schedule(&self) -> &cron::Schedule {
        &self.schedule
    }

    fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!("a cron line has five fields, this one has {}", fields.len()));
        };
        if day != "*" && weekday != "*" {
            return Err(
                "crontab's rule for a day of the month together with a day of the week surprises: give one".into()
            );
        }
        let weekday = weekdays(weekday).ok_or_else(|| format!("`{weekday}` does not name days of the week"))?;
        let line = format!("0 {minute} {hour} {day} {month} {weekday}");
        let schedule = cron::Schedule::from_str(&line).map_err(|_| "not a cron line".to_owned())?;
        Ok(Self { text: text.to_owned(), schedule })
    }
}

/// Crontab counts days from Sunday = 0 = 7, the `cron` crate from Sunday = 1: names mean the same to both.
fn weekdays(field: &str) -> Option<String> {
    if field == "*" {
        return Some("*".into());
    }
    let number = |text: &str| -> Option<usize> {
        match text.parse::<usize>() {
            Ok(number) => (number <= 7).then_some(number % 7),
            Err(_) => DAY_NAMES.iter().position(|name| name.eq_ignore_ascii_case(text)).map(|at| (at + 1) % 7),
        }
    };
    let mut days = Vec::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let step: usize = step.parse().ok().filter(|step| *step > 0)?;
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, 6),
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(range)?, number(range)?),
        };
        let length = (last + 7 - first) % 7;
        days.extend((0..=length).step_by(step).map(|offset| DAY_NAMES[(first + offset + 6) % 7]));
    }
    Some(days.join(","))
}

impl PartialEq for CronLine {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cron {}", self.text)
    }
}

impl Schedule {
    /// Reads any of the three forms; the error says which form it took the text for.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(line) = text.strip_prefix("cron ") {
            return CronLine::parse(line).map(Self::Cron);
        }
        if let Some(every) = duration(text) {
            let positive = !every.is_zero();
            return positive.then_some(Self::Every(every)).ok_or_else(|| "a schedule needs a positive time".into());
        }
        let (days, time) = match text.trim().rsplit_once(' ') {
            Some((days, time)) => (Days::parse(days), time),
            None => (Some(Days::ALL), text),
        };
        match (days, minute_of_day(time).filter(|minute| *minute < 1440)) {
            (Some(days), Some(minute)) => Ok(Self::At { days, minute }),
            _ => Err(format!("`{text}` is not a schedule")),
        }
    }
}

impl OptionValue for Schedule {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("a schedule such as \"15s\" or \"Sun 03:00\"", report)?;
        match Self::parse(text) {
            Ok(schedule) => Some(schedule),
            Err(message) => {
                let hint = "for example \"15s\", \"03:00\", \"Sun 03:00\", \"Mon-Fri 08:30\" or \"cron 0 3 * * 7\"";
                node.bad_value(message, hint, report);
                None
            }
        }
    }
    fn kind() -> Cow<'static, str> {
        "schedule: `\"15s\"`, `\"Sun 03:00\"` or `\"cron 0 3 * * 7\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "minLength": 2})
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_three_forms() {
        assert_eq!(Schedule::parse("15s"), Ok(Schedule::Every(Duration::from_secs(15))));
        assert_eq!(Schedule::parse("03:00"), Ok(Schedule::At { days: Days::ALL, minute: 180 }));
        let sunday = Days([false, false, false, false, false, false, true]);
        assert_eq!(Schedule::parse("Sun 03:05"), Ok(Schedule::At { days: sunday, minute: 185 }));
        for bad in
            ["", "0s", "3:00", "24:00", "25:00", "Someday 03:00", "cron * * *", "cron 0 3 1 * 7", "cron 0 3 * * 8"]
        {
            assert!(Schedule::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn days_wrap_around_the_week() {
        assert_eq!(Days::parse("Sat-Mon"), Some(Days([true, false, false, false, false, true, true])));
        assert_eq!(Days::parse("Mon-Fri,Sun"), Some(Days([true, true, true, true, true, false, true])));
        assert_eq!(Days::parse("Mo"), None);
    }

    #[test]
    fn cron_counts_days_as_crontab_does() {
        let cases = [
            ("7", "sun"),
            ("0", "sun"),
            ("1-5", "mon,tue,wed,thu,fri"),
            ("5-7", "fri,sat,sun"),
            ("*/3", "sun,wed,sat"),
        ];
        for (field, names) in cases {
            assert_eq!(weekdays(field).as_deref(), Some(names), "{field}");
        }
    }
}
