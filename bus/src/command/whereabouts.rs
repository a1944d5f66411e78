//! `bus where`: an object's story. Through the running bus; when it does not run, straight from its state store.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bus_core::policy::parse_duration;
use bus_core::ports::pauses::PauseStore;
use bus_storage::{Database, SqliteJournal, SqliteState};
use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;

use super::{EX_UNAVAILABLE, refused};
use crate::cli;
use crate::client::{self, Client, bus, encoded, landscape};
use crate::server::story::{Parameters, question};
use crate::story::{Answer, Stopped, Style, Teller, tree};

/// Columns where nobody sees them.
const WIDTH: usize = 100;

pub async fn whereabouts(args: cli::Where) -> anyhow::Result<ExitCode> {
    let bus = bus(&args.config.file)?;
    let zone = bus.timezone;
    let time = |name: &str, text: Option<&String>| {
        let read = |text: &String| {
            let why = "write \"2h\", \"2026-11-22\" or \"2026-11-22 14:30\"";
            let at =
                moment(text, zone, Utc::now()).with_context(|| format!("--{name} {text:?} is not a time: {why}"))?;
            anyhow::Ok(at.to_rfc3339_opts(SecondsFormat::Millis, true))
        };
        text.map(read).transpose()
    };
    let asked = Parameters {
        since: time("since", args.since.as_ref())?,
        until: time("until", args.until.as_ref())?,
        word: args.word,
        stream: args.stream,
        state: args.state,
        limit: Some(args.limit),
        versions: Some(args.versions),
    };
    let answer: Answer = match Client::new(&bus)?.get(&path(&asked)?).await? {
        client::Answer::Ok(body) => serde_json::from_str(&body)?,
        client::Answer::Refused(status, body) => return Ok(refused(status, &body)),
        client::Answer::NotRunning => {
            let database = Database::open_readonly(&bus.state)?;
            let stopped = Stopped { pauses: SqliteState::new(database.clone()).pauses().await? };
            let stories = Arc::new(SqliteJournal::readonly(database));
            let question = question(asked).map_err(anyhow::Error::msg)?;
            Teller::new(&landscape(&args.config.file)?, stories).tell(&question, &stopped).await?
        }
    };
    if args.json {
        println!("{}", serde_json::to_string(&answer)?);
    } else {
        print!("{}", tree(&answer, &style(zone)));
    }
    Ok(if answer.is_empty() { ExitCode::from(EX_UNAVAILABLE) } else { ExitCode::SUCCESS })
}

fn style(timezone: Tz) -> Style {
    let terminal = std::io::stdout().is_terminal();
    let width = if terminal { crossterm::terminal::size().map_or(WIDTH, |(columns, _)| columns.into()) } else { WIDTH };
    Style { width, colour: terminal && std::env::var_os("NO_COLOR").is_none(), timezone }
}

fn path(asked: &Parameters) -> anyhow::Result<String> {
    let mut path = "/where".to_owned();
    let values = serde_json::to_value(asked)?;
    for (index, (name, value)) in values.as_object().into_iter().flatten().enumerate() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        path.push_str(&format!("{}{name}={}", if index == 0 { '?' } else { '&' }, encoded(&value)));
    }
    Ok(path)
}

/// A time as people write it: a while ago, a day, a minute of a day, or RFC 3339.
fn moment(text: &str, zone: Tz, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let local = |naive: NaiveDateTime| zone.from_local_datetime(&naive).earliest().map(|at| at.with_timezone(&Utc));
    if let Ok(ago) = parse_duration(text) {
        return now.checked_sub_signed(chrono::Duration::from_std(ago).ok()?);
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return local(day.and_hms_opt(0, 0, 0)?);
    }
    let minute = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
    if let Some(naive) = minute.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()) {
        return local(naive);
    }
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2h", "2026-11-22T10:00:00Z"),
            ("2026-11-22", "2026-11-21T21:00:00Z"),
            ("2026-11-22 14:30", "2026-11-22T11:30:00Z"),
            ("2026-11-22T14:30:00+03:00", "2026-11-22T11:30:00Z"),
        ] {
            let read = moment(text, chrono_tz::Europe::Moscow, now).unwrap();
            assert_eq!(read.to_rfc3339_opts(SecondsFormat::Secs, true), expected, "{text}");
        }
        assert_eq!(moment("yesterday", chrono_tz::UTC, now), None);
    }
}
