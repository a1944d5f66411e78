//! `bus dead edit`: another body or record for one letter.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::replay;
use crate::cli;
use crate::client::{Answer, Client, bus};
use crate::command::who::who;
use crate::command::{not_running, refused};

pub(super) async fn edit(args: cli::DeadEdit) -> anyhow::Result<ExitCode> {
    let bus = bus(&args.config.file)?;
    let client = Client::new(&bus)?;
    let letter: Value = match client.get(&format!("/dead/{}", args.id)).await? {
        Answer::Ok(body) => serde_json::from_str(&body)?,
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => return Ok(not_running()),
    };
    let what = if args.record { "record" } else { "body" };
    let now = letter[if args.record { "record" } else { "transformed" }].as_str();
    let new = match (&args.body, now) {
        (Some(file), _) => read(file)?,
        (None, Some(now)) => in_editor(now)?,
        (None, None) if args.record => bail!("letter {} has no record", args.id),
        (None, None) => bail!("nothing was made of its record yet: edit that, with --record"),
    };
    // Digits and the order of fields stay as they are written.
    let text = serde_json::from_str::<Value>(&new).context("what was written is not JSON")?.to_string();
    let before = now.and_then(|now| serde_json::from_str::<Value>(now).ok()).map(|now| now.to_string());
    if before.is_some_and(|before| before == text) {
        println!("nothing was changed");
        return Ok(ExitCode::SUCCESS);
    }
    match client.post_json(&format!("/dead/{}/edit", args.id), &json!({ "who": who(), what: text })).await? {
        Answer::Ok(body) => {
            let edits = serde_json::from_str::<Value>(&body)?["edits"].clone();
            println!("letter {} has a new {what} (edit {edits}); the original is kept", args.id);
        }
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => return Ok(not_running()),
    }
    if args.replay {
        return replay::all(&bus, &[args.id], false, Duration::ZERO).await;
    }
    println!("to send it: bus dead replay {}", args.id);
    Ok(ExitCode::SUCCESS)
}

/// A file, or standard input.
pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

/// The text after a person has had it in the editor. The file is readable by nobody else, and gone afterwards.
fn in_editor(text: &str) -> anyhow::Result<String> {
    let pretty = match serde_json::from_str::<Value>(text) {
        Ok(value) => serde_json::to_string_pretty(&value)?,
        Err(_) => text.to_owned(),
    };
    let mut file = tempfile::Builder::new().prefix("bus-letter-").suffix(".json").tempfile()?;
    file.write_all(pretty.as_bytes())?;
    file.flush()?;
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    // As git does: the variable may hold arguments.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let ended = Command::new(program).args(words).arg(file.path()).status().with_context(|| program.to_string())?;
    ensure!(ended.success(), "the editor ended with {ended}: nothing was changed");
    std::fs::read_to_string(file.path()).context("what the editor wrote")
}
