//! Cron expressions of five fields as every Unix reads them, on top of a crate that numbers days differently.

use std::str::FromStr;

use chrono::NaiveDateTime;

use super::window::{DAY_NAMES, day};

/// Why a text is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("a cron expression has five fields (minute, hour, day of month, month, day of week), this one has {0}")]
    Fields(usize),
    /// Days of the month and of the week together.
    #[error("name either days of the month or days of the week, not both: cron programs disagree on what both mean")]
    BothDays,
    /// A day of the week that is none.
    #[error(
        "{0:?} is not a day of the week in cron: use 0 to 7 (0 and 7 are Sunday), Mon to Sun, ranges, lists or \"*\""
    )]
    DayOfWeek(String),
    /// Another field that cannot be read.
    #[error(
        "the cron expression {0:?} cannot be read: each field is \"*\", a number, a range, a list or a step \"*/5\""
    )]
    Unreadable(String),
    /// For example 30 February.
    #[error("the cron expression {0:?} never comes")]
    Never(String),
}

/// A checked expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    fields: Box<::cron::Schedule>,
    is_interval: bool,
}

impl Cron {
    /// Reads minute, hour, day of month, month, day of week.
    pub fn parse(fields: &[&str]) -> Result<Self, CronError> {
        let [minute, hour, day_of_month, month, day_of_week] = *fields else {
            return Err(CronError::Fields(fields.len()));
        };
        if day_of_month != "*" && day_of_week != "*" {
            return Err(CronError::BothDays);
        }
        let text = fields.join(" ");
        let days = days_of_week(day_of_week).ok_or_else(|| CronError::DayOfWeek(day_of_week.to_owned()))?;
        let inner = format!("0 {minute} {hour} {day_of_month} {month} {days}");
        let fields = ::cron::Schedule::from_str(&inner).map_err(|_| CronError::Unreadable(text.clone()))?;
        let cron = Self { text, fields: Box::new(fields), is_interval: hour == "*" };
        match cron.next_after(NaiveDateTime::default()) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never(cron.text)),
        }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Every hour of the day: an interval rather than a time of day.
    pub(super) fn is_interval(&self) -> bool {
        self.is_interval
    }

    /// The next local time that fits, strictly after `local`.
    pub(super) fn next_after(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        // Asked in UTC, where every local time exists once; clock changes are the caller's.
        Some(self.fields.after(&local.and_utc()).next()?.naive_utc())
    }
}

/// The days as names: the crate counts 1 = Sunday to 7 = Saturday, so a bare `7` would run a day early.
fn days_of_week(field: &str) -> Option<String> {
    let mut chosen = [false; 7]; // Sunday first
    for item in field.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let step: usize = step.parse().ok().filter(|step| *step > 0)?;
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (weekday(first)?, weekday(last)?),
            None if range == "*" => (0, 6),
            None => (weekday(range)?, weekday(range)?),
        };
        let last = if last < first { last + 7 } else { last };
        (first..=last).step_by(step).for_each(|day| chosen[day % 7] = true);
    }
    let names = (0..7).filter(|day| chosen[*day]).map(|day| DAY_NAMES[(day + 6) % 7]);
    let all = chosen.iter().all(|day| *day);
    Some(if all { "*".to_owned() } else { names.collect::<Vec<_>>().join(",") })
}

/// 0 = Sunday to 7 = Sunday, or a name.
fn weekday(text: &str) -> Option<usize> {
    match text.parse::<usize>() {
        Ok(number) => (number <= 7).then_some(number),
        Err(_) => day(text).ok().map(|monday_first| (monday_first + 1) % 7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Cron, CronError> {
        Cron::parse(&text.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn days_of_the_week_are_numbered_as_in_unix() {
        for (field, expected) in [
            ("7", "Sun"),
            ("0", "Sun"),
            ("1-5", "Mon,Tue,Wed,Thu,Fri"),
            ("5-7", "Sun,Fri,Sat"),
            ("Fri-Mon", "Sun,Mon,Fri,Sat"),
            ("*/2", "Sun,Tue,Thu,Sat"),
            ("1,Wed", "Mon,Wed"),
            ("0-7", "*"),
            ("*", "*"),
        ] {
            assert_eq!(days_of_week(field).as_deref(), Some(expected), "{field}");
        }
    }

    #[test]
    fn a_wrong_expression_says_what_is_wrong() {
        assert_eq!(parse("0 3 * *"), Err(CronError::Fields(4)));
        assert_eq!(parse("0 0 3 * * 7"), Err(CronError::Fields(6)));
        assert_eq!(parse("0 3 1 * Mon"), Err(CronError::BothDays));
        assert_eq!(parse("0 3 * * 8"), Err(CronError::DayOfWeek("8".into())));
        assert_eq!(parse("0 3 * * */0"), Err(CronError::DayOfWeek("*/0".into())));
        assert_eq!(parse("60 3 * * *"), Err(CronError::Unreadable("60 3 * * *".into())));
        assert_eq!(parse("0 3 30 2 *"), Err(CronError::Never("0 3 30 2 *".into())));
    }
}
