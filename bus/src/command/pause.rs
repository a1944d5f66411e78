//! `bus pause` and `bus resume`: through the running bus; when it does not run, straight in its state store, so that it
//! starts paused.

use std::process::ExitCode;

use anyhow::Context;
use bus_config::Bus;
use bus_core::ports::pauses::{Pause, PauseStore, Subject};
use bus_core::vocabulary::Moment;
use bus_storage::{Database, SqliteState};
use serde_json::json;

use super::refused;
use super::who::who;
use crate::cli;
use crate::client::{Answer, Client, bus, encoded, landscape};
use crate::server::is_known;

pub async fn pause(args: cli::Pause) -> anyhow::Result<ExitCode> {
    let file = &args.config.file;
    let bus = bus(file)?;
    let subject = subject(args.kind, &args.name)?;
    let client = Client::new(&bus)?;
    let (who, why) = (who(), args.why);
    match client.post_json(&path(&subject), &json!({ "who": who, "why": why })).await? {
        Answer::Ok(_) => {}
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => {
            is_known(&landscape(file)?, &subject).map_err(anyhow::Error::msg)?;
            let pause = Pause { subject: subject.clone(), who, why, since: Moment::now() };
            store(&bus)?.keep_pause(&pause).await?;
            println!("the bus does not run; it will start with {subject} paused");
            return Ok(ExitCode::SUCCESS);
        }
    }
    println!("{subject} is paused; what is under way ends. To go on: bus resume {subject}");
    Ok(ExitCode::SUCCESS)
}

pub async fn resume(args: cli::Resume) -> anyhow::Result<ExitCode> {
    let file = &args.config.file;
    let bus = bus(file)?;
    let (kind, name) = args.subject().map_err(anyhow::Error::msg)?;
    let subject = subject(kind, name)?;
    let path = format!("{}?who={}", path(&subject), encoded(&who()));
    match Client::new(&bus)?.delete(&path).await? {
        Answer::Ok(_) => println!("{subject} goes on"),
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => {
            is_known(&landscape(file)?, &subject).map_err(anyhow::Error::msg)?;
            let ended = store(&bus)?.end_pause(&subject).await?;
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

fn store(bus: &Bus) -> anyhow::Result<SqliteState> {
    Ok(SqliteState::new(Database::open(&bus.state)?))
}

fn subject(kind: cli::Kind, name: &str) -> anyhow::Result<Subject> {
    Subject::parse(kind.as_str(), name).context("an unknown kind")?.context("the name")
}
