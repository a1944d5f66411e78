//! `bus incidents`, `bus accept-source`, `bus maintenance`: what needs a person, and what a person says about it.

use std::process::ExitCode;

use serde_json::Value;

use super::{not_running, refused};
use crate::cli;
use crate::client::{Answer, Client, bus, encoded};
use crate::server::{Incident, Incidents, Window};
use crate::shown;

pub async fn incidents(args: cli::Incidents) -> anyhow::Result<ExitCode> {
    let bus = bus(&args.config.file)?;
    let (client, zone) = (Client::new(&bus)?, bus.timezone);
    if let Some(closed) = &args.close {
        let Some((kind, subject)) = closed.split_once(':') else {
            anyhow::bail!("--close takes KIND:SUBJECT, as in --close gap:orders-to-shop");
        };
        let path = format!("/incidents/close?kind={}&subject={}", encoded(kind), encoded(subject));
        return Ok(answered(client.post(&path).await?).map_or_else(
            |code| code,
            |_| {
                println!("closed");
                ExitCode::SUCCESS
            },
        ));
    }
    let body = match answered(client.get(&format!("/incidents?past={}", args.past)).await?) {
        Ok(body) => body,
        Err(code) => return Ok(code),
    };
    if args.json {
        println!("{body}");
        return Ok(ExitCode::SUCCESS);
    }
    let found: Incidents = serde_json::from_str(&body)?;
    if found.open.is_empty() {
        println!("nothing is wrong");
    }
    for incident in &found.open {
        print!("{}", shown::page(&page(incident), zone));
    }
    for incident in &found.past {
        let closed = incident.closed.as_deref().unwrap_or("");
        let past =
            format!("{} - {closed}  {} {}: {}", incident.since, incident.kind, incident.subject, incident.message);
        println!("{}", shown::line(&past, zone));
    }
    Ok(ExitCode::SUCCESS)
}

/// An incident in words: what, where, since when, how often, the last error, what to do.
pub fn page(incident: &Incident) -> String {
    let quiet = if incident.maintenance { " [maintenance]" } else { "" };
    let mut out = format!(
        "INCIDENT {} {} since {} ({} times){quiet}\n  {}\n",
        incident.kind, incident.subject, incident.since, incident.count, incident.message
    );
    for place in &incident.places {
        out.push_str(&format!("  - {}: {}\n", place.subject, place.message));
    }
    if incident.places.is_empty() && incident.routes.iter().any(|route| *route != incident.subject) {
        out.push_str(&format!("  routes that wait: {}\n", incident.routes.join(", ")));
    }
    out.push_str(&format!("  what to do: {}\n", incident.remedy));
    out
}

pub async fn accept_source(args: cli::AcceptSource) -> anyhow::Result<ExitCode> {
    let client = Client::new(&bus(&args.config.file)?)?;
    let answer = client.post(&format!("/feeds/{}/accept", encoded(&args.feed))).await?;
    Ok(answered(answer).map_or_else(
        |code| code,
        |_| {
            println!("accepted: the base that answers next is the right one; it is asked within a minute");
            ExitCode::SUCCESS
        },
    ))
}

pub async fn maintenance(command: cli::Maintenance) -> anyhow::Result<ExitCode> {
    match command {
        cli::Maintenance::Start(args) => start(args).await,
        cli::Maintenance::End(args) => {
            let client = Client::new(&bus(&args.config.file)?)?;
            let answer = client.post(&format!("/maintenance/{}/end", args.id)).await?;
            Ok(answered(answer).map_or_else(
                |code| code,
                |_| {
                    println!("ended; what is still open is told now");
                    ExitCode::SUCCESS
                },
            ))
        }
        cli::Maintenance::List(args) => list(args).await,
    }
}

async fn start(args: cli::MaintenanceStart) -> anyhow::Result<ExitCode> {
    let bus = bus(&args.config.file)?;
    let client = Client::new(&bus)?;
    let who = args.who.unwrap_or_else(super::who::who);
    let mut path =
        format!("/maintenance?seconds={}&who={}&why={}", args.duration.as_secs(), encoded(&who), encoded(&args.why));
    if let Some(system) = &args.system {
        path.push_str(&format!("&system={}", encoded(system)));
    }
    Ok(match answered(client.post(&path).await?) {
        Ok(body) => {
            let begun: Value = serde_json::from_str(&body)?;
            let ends = begun["ends"].as_str().unwrap_or("");
            let said = format!("maintenance {} until {ends}; nobody is told meanwhile", begun["id"]);
            println!("{}", shown::line(&said, bus.timezone));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    })
}

async fn list(args: cli::Status) -> anyhow::Result<ExitCode> {
    let bus = bus(&args.config.file)?;
    let client = Client::new(&bus)?;
    let body = match answered(client.get("/maintenance").await?) {
        Ok(body) => body,
        Err(code) => return Ok(code),
    };
    if args.json {
        println!("{body}");
        return Ok(ExitCode::SUCCESS);
    }
    let windows: Vec<Window> = serde_json::from_str(&body)?;
    for window in &windows {
        let what = if window.systems.is_empty() { "everything".to_owned() } else { window.systems.join(", ") };
        let said = match window.id {
            Some(id) => format!(
                "{id}  {what}  until {}  by {}: {}",
                window.ends.as_deref().unwrap_or("-"),
                window.who.as_deref().unwrap_or("-"),
                window.why.as_deref().unwrap_or("-")
            ),
            None => format!("-  {what}  as planned in [maintenance.{}]", window.name.as_deref().unwrap_or("-")),
        };
        println!("{}", shown::line(&said, bus.timezone));
    }
    if windows.is_empty() {
        println!("no maintenance now");
    }
    Ok(ExitCode::SUCCESS)
}

fn answered(answer: Answer) -> Result<String, ExitCode> {
    match answer {
        Answer::Ok(body) => Ok(body),
        Answer::Refused(status, body) => Err(refused(status, &body)),
        Answer::NotRunning => Err(not_running()),
    }
}
