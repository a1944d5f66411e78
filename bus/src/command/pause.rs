//! `bus pause` and `bus resume`: through the running bus; when it does not run, straight in its state store, so that it
//! starts paused.

use std::process::ExitCode;

use anyhow::{Context, bail};
use bus_config::Landscape;
use bus_core::ports::pauses::{Pause, PauseStore, Subject};
use bus_core::vocabulary::Moment;
use bus_storage::{Database, SqliteState};
use serde_json::json;

use super::refused;
use super::who::who;
use crate::cli;
use crate::client::{Answer, Client, encoded, landscape};

pub async fn pause(args: cli::Pause) -> anyhow::Result<ExitCode> {
    let landscape = landscape(&args.config.file)?;
    let subject = subject(&landscape, args.kind, &args.name)?;
    let client = Client::new(&landscape)?;
    let (who, why) = (who(), args.why);
    match client.post_json(&path(&subject), &json!({ "who": who, "why": why })).await? {
        Answer::Ok(_) => {}
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => {
            let pause = Pause { subject: subject.clone(), who, why, since: Moment::now() };
            store(&landscape)?.keep_pause(&pause).await?;
            println!("the bus does not run; it will start with {subject} paused");
            return Ok(ExitCode::SUCCESS);
        }
    }
    println!("{subject} is paused; what is under way ends. To go on: bus resume {subject}");
    Ok(ExitCode::SUCCESS)
}

pub async fn resume(args: cli::Resume) -> anyhow::Result<ExitCode> {
    let landscape = landscape(&args.config.file)?;
    let (kind, name) = args.subject().map_err(anyhow::Error::msg)?;
    let subject = subject(&landscape, kind, name)?;
    let path = format!("{}?who={}", path(&subject), encoded(&who()));
    match Client::new(&landscape)?.delete(&path).await? {
        Answer::Ok(_) => println!("{subject} goes on"),
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => {
            let ended = store(&landscape)?.end_pause(&subject).await?;
            println!(
                "the bus does not run; {subject} {}",
                if ended { "is no longer paused" } else { "was not paused" }
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn path(subject: &Subject) -> String {
    format!("/pauses/{}/{}", subject.kind(), encoded(subject.name()))
}

fn store(landscape: &Landscape) -> anyhow::Result<SqliteState> {
    Ok(SqliteState::new(Database::open(&landscape.bus.state)?))
}

/// A name that is in the configuration; a mistyped one must not look paused.
fn subject(landscape: &Landscape, kind: cli::Kind, name: &str) -> anyhow::Result<Subject> {
    let known: Vec<&str> = match kind {
        cli::Kind::Route => landscape.routes.iter().map(|route| route.name.as_str()).collect(),
        cli::Kind::Feed => landscape.feeds.iter().map(|feed| feed.name.as_str()).collect(),
        cli::Kind::System => landscape.systems.iter().map(|system| system.name.as_str()).collect(),
    };
    if !known.contains(&name) {
        let kind = kind.as_str();
        bail!("there is no {kind} {name}; there {} {}", if known.len() == 1 { "is" } else { "are" }, known.join(", "));
    }
    Subject::parse(kind.as_str(), name).context("an unknown kind")?.context("the name")
}
