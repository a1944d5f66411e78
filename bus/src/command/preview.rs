//! `bus preview`: what a stream would read now. Through the running bus; when it does not run, straight from the source.

use std::process::ExitCode;
use std::time::Duration;

use bus_core::ports::permits::Permits;
use bus_storage::{Database, OpenError};

use super::{EX_UNAVAILABLE, refused};
use crate::cli;
use crate::client::{Answer, Client, encoded, landscape};
use crate::preview::{Failure, PATIENCE, Preview, Wanted, preview as look};
use crate::shown;

/// The bus's own patience ends first, and says why.
const LONGER: Duration = Duration::from_secs(10);

pub async fn preview(args: cli::Preview) -> anyhow::Result<ExitCode> {
    let landscape = landscape(&args.config.file)?;
    let wanted = Wanted { records: args.records, begin: args.begin, raw: args.raw };
    let Wanted { records, begin, raw } = &wanted;
    let path = format!("/preview/{}?records={records}&begin={begin}&raw={raw}", encoded(args.stream.as_str()));
    let preview = match Client::patient(&landscape.bus, PATIENCE + LONGER)?.get(&path).await? {
        Answer::Ok(body) => serde_json::from_str(&body)?,
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => {
            let database = match Database::open_readonly(&landscape.bus.state) {
                Ok(database) => Some(database),
                Err(OpenError::Missing(_)) => None,
                Err(error) => return Err(error.into()),
            };
            let permits = Permits::unbounded();
            match look(&landscape, database.as_ref(), args.stream.as_str(), &wanted, &permits).await {
                Ok(preview) => preview,
                Err(Failure::Unknown(why) | Failure::Source(why)) => {
                    eprintln!("bus: {why}");
                    return Ok(ExitCode::from(EX_UNAVAILABLE));
                }
            }
        }
    };
    if args.json {
        println!("{}", serde_json::to_string(&preview)?);
    } else {
        print(&preview)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(preview: &Preview) -> anyhow::Result<()> {
    println!("{}: {}", preview.stream, preview.from);
    for heard in &preview.raw {
        println!("\n>>> {}\n<<<\n{}", shown::foreign(&heard.request), shown::foreign(heard.answer.trim_end()));
        if heard.left_out > 0 {
            println!("({} more bytes)", heard.left_out);
        }
    }
    for record in &preview.records {
        let label = record.label.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
        let body = serde_json::to_string_pretty(&record.body)?;
        // In one line, whatever is in a label; the body's own lines are JSON's.
        let head: String = format!("{} {}{label}", record.operation, record.key).chars().map(shown::shown).collect();
        println!("\n{head}\n{}", shown::foreign(&body));
    }
    for why in &preview.unreadable {
        println!("\nunreadable: {why}");
    }
    for note in &preview.notes {
        println!("\nnote: {note}");
    }
    Ok(())
}
