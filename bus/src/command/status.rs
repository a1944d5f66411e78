//! `bus status`: what runs, what waits, what is wrong.

use std::process::ExitCode;

use unicode_width::UnicodeWidthStr;

use super::{not_running, refused};
use crate::cli;
use crate::client::{Answer, Client, bus};
use crate::server::Status;
use crate::shown;

pub async fn status(args: cli::Status) -> anyhow::Result<ExitCode> {
    let bus = bus(&args.config.file)?;
    let client = Client::new(&bus)?;
    let body = match client.get("/status").await? {
        Answer::Ok(body) => body,
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => return Ok(not_running()),
    };
    if args.json {
        println!("{body}");
    } else {
        print!("{}", shown::page(&page(&serde_json::from_str(&body)?), bus.timezone));
    }
    Ok(ExitCode::SUCCESS)
}

/// The status as lines of at most 80 columns where names allow it.
fn page(status: &Status) -> String {
    let mut out = format!("{}: broker {}\n", status.name, status.broker);
    if let Some(config) = &status.config {
        out.push_str(&format!("running the {} of {}\n", config.file, config.since));
        out.extend(config.note.iter().map(|note| format!("       {note}\n")));
    }
    let width = status
        .feeds
        .iter()
        .map(|feed| feed.name.width())
        .chain(status.routes.iter().map(|route| route.name.width()))
        .max()
        .unwrap_or(0);
    let pad = |name: &str| format!("{name}{}", " ".repeat(width.saturating_sub(name.width())));
    for feed in &status.feeds {
        let state = match (&feed.error, feed.stopped) {
            _ if feed.paused.is_some() => format!("PAUSED {}", feed.paused.as_deref().unwrap_or_default()),
            (Some(error), true) => format!("STOPPED: {error}"),
            (Some(error), false) => format!("trying again: {error}"),
            (None, _) => feed.last_success.as_ref().map_or("starting".to_owned(), |at| format!("read at {at}")),
        };
        out.push_str(&format!("feed   {}  {state}\n", pad(&feed.name)));
    }
    for route in &status.routes {
        let queued = route.queued.map_or("?".to_owned(), |queued| queued.to_string());
        out.push_str(&format!(
            "route  {}  queued {queued}, in hand {}, waiting {}, dead {}, delivered {}\n",
            pad(&route.name),
            route.in_flight,
            route.waiting,
            route.dead,
            route.delivered
        ));
        let run = route.next_run.as_ref().map(|next| format!("collects until {next}"));
        let run =
            run.or(route.running_since.as_ref().map(|since| format!("delivers what it had collected until {since}")));
        if let Some(words) = run {
            out.push_str(&format!("       {}  {words}\n", pad("")));
        }
        if route.held > 0 {
            let why = format!("{} held for a map or a record: bus where --state waiting", route.held);
            out.push_str(&format!("       {}  {why}\n", pad("")));
        }
        if let Some(words) = &route.forecast {
            out.push_str(&format!("       {}  {words}\n", pad("")));
        }
        if let Some(reason) = &route.paused {
            out.push_str(&format!("       {}  PAUSED: {reason}\n", pad("")));
        }
    }
    for system in &status.systems {
        let pace = match (system.pace, &system.strain) {
            (Some(share), Some(why)) => format!(", pace {:.0} % of profile: {why}", share * 100.0),
            _ => String::new(),
        };
        out.push_str(&format!("system {}  {}{pace}\n", pad(&system.name), system.gate));
    }
    for subscription in &status.subscriptions {
        let how = match subscription.oldest_is.as_str() {
            "exact" => "",
            how => &format!("{how} "),
        };
        let oldest = subscription.oldest.as_ref().map_or(String::new(), |at| format!(", oldest {how}{at}"));
        out.push_str(&format!("out    {}  {} messages{oldest}\n", pad(&subscription.name), subscription.messages));
    }
    for channel in &status.notify {
        let state = match (&channel.error, &channel.last_sent) {
            (Some(error), _) => format!("REACHES NOBODY: {error}"),
            (None, Some(at)) => format!("last told at {at}"),
            (None, None) => "nothing told yet".to_owned(),
        };
        out.push_str(&format!("notify {}  {state}\n", pad(&channel.name)));
    }
    for incident in &status.incidents {
        out.push('\n');
        out.push_str(&super::incidents::page(incident));
    }
    out
}
