//! The letters that a command is about.

use std::process::ExitCode;

use bus_config::Bus;
use bus_core::policy::parse_moment;
use bus_core::ports::state::{DeadFilter, StateStore};
use bus_core::vocabulary::{Moment, RouteName};
use bus_storage::{Database, SqliteState};
use serde_json::Value;

use crate::cli::DeadChoice;
use crate::client::{Answer, Client, encoded};
use crate::command::refused;
use crate::server::dead_summary;

/// Newest last; of many, the newest.
pub(super) async fn rows(bus: &Bus, choice: &DeadChoice, limit: usize) -> anyhow::Result<Result<Vec<Value>, ExitCode>> {
    let moment = |text: &Option<String>| {
        let parse = |text: &String| parse_moment(text, bus.timezone, Moment::now());
        text.as_ref().map(parse).transpose().map_err(anyhow::Error::msg)
    };
    let (since, until) = (moment(&choice.since)?, moment(&choice.until)?);
    let mut path = format!("/dead?limit={limit}");
    for (name, value) in [("route", &choice.route), ("key", &choice.key), ("group", &choice.group)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    let numbers = [("from", choice.from), ("to", choice.to)];
    let moments = [("since", since), ("until", until)].map(|(name, at)| (name, at.map(|at| at.0)));
    for (name, value) in numbers.into_iter().chain(moments) {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={value}"));
        }
    }
    Ok(match Client::new(bus)?.get(&path).await? {
        Answer::Ok(body) => Ok(serde_json::from_str(&body)?),
        Answer::Refused(status, body) => Err(refused(status, &body)),
        Answer::NotRunning => {
            let route = choice.route.as_deref().map(RouteName::new).transpose()?;
            let DeadChoice { key, group, from, to, .. } = choice.clone();
            let filter = DeadFilter { id: None, route, key, group, from, to, since, until, limit, brief: true };
            let state = SqliteState::new(Database::open_readonly(&bus.state)?);
            Ok(state.dead_letters(&filter).await?.iter().map(dead_summary).collect())
        }
    })
}
