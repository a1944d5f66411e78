//! `bus dead export` and `import`: letters as lines of JSON.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{choose, edit, replay};
use crate::cli;
use crate::client::{Answer, Client, landscape};
use crate::command::who::who;
use crate::command::{EX_UNAVAILABLE, not_running, refused};

pub(super) async fn export(args: cli::DeadExport) -> anyhow::Result<ExitCode> {
    let landscape = landscape(&args.config.file)?;
    let client = Client::new(&landscape)?;
    let rows = match choose::rows(&landscape, &args.choice, replay::MOST).await? {
        Ok(rows) => rows,
        Err(code) => return Ok(code),
    };
    for row in &rows {
        match client.get(&format!("/dead/{}", row["id"])).await? {
            // One line, as it came: no digit passes through a number type.
            Answer::Ok(body) => println!("{}", body.trim()),
            // Replayed or dropped meanwhile.
            Answer::Refused(status, _) if status.as_u16() == 404 => {}
            Answer::Refused(status, body) => return Ok(refused(status, &body)),
            Answer::NotRunning => return Ok(not_running()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn import(args: cli::DeadImport) -> anyhow::Result<ExitCode> {
    let client = Client::new(&landscape(&args.config.file)?)?;
    let text = edit::read(&args.from)?;
    let (mut taken, mut unchanged, mut failed) = (0, 0, 0);
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut fail = |why: &str| {
            failed += 1;
            eprintln!("line {}: {why}", number + 1);
        };
        let letter: Value = match serde_json::from_str(line) {
            Ok(letter) => letter,
            Err(error) => {
                fail(&format!("not JSON: {error}"));
                continue;
            }
        };
        match client.post_json("/dead/import", &json!({ "who": who(), "letter": letter })).await? {
            Answer::Ok(body) if body.contains("unchanged") => unchanged += 1,
            Answer::Ok(_) => taken += 1,
            Answer::Refused(_, body) => fail(&body),
            Answer::NotRunning => return Ok(not_running()),
        }
    }
    println!("{taken} taken in, {unchanged} as they were, {failed} refused");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(EX_UNAVAILABLE) })
}
