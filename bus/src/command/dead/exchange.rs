//! `bus dead export` and `import`: letters as lines of JSON.

use std::process::ExitCode;

use anyhow::Context;
use bus_config::Landscape;
use bus_core::policy::{MASKED, Masks};

use serde_json::{Value, json};

use super::{choose, edit, replay};
use crate::cli;
use crate::client::{Answer, Client, bus, landscape};
use crate::command::who::who;
use crate::command::{EX_UNAVAILABLE, not_running, refused};

/// The texts of a letter in which a record's values may stand.
const HOLDING: [&str; 8] =
    ["record", "original_record", "raw", "transformed", "original_transformed", "request", "answer", "message"];

pub(super) async fn export(args: cli::DeadExport) -> anyhow::Result<ExitCode> {
    let landscape = landscape(&args.config.file)?;
    let client = Client::new(&landscape.bus)?;
    let rows = match choose::rows(&landscape.bus, &args.choice, replay::MOST).await? {
        Ok(rows) => rows,
        Err(code) => return Ok(code),
    };
    for row in &rows {
        let masks = if args.masked { Some(masks_of(&landscape, row)?) } else { None };
        match client.get(&format!("/dead/{}", row["id"])).await? {
            // One line, as it came: no digit passes through a number type.
            Answer::Ok(body) => match &masks {
                None => println!("{}", body.trim()),
                Some(masks) => println!("{}", masked(&serde_json::from_str(&body)?, masks)),
            },
            // Replayed or dropped meanwhile.
            Answer::Refused(status, _) if status.as_u16() == 404 => {}
            Answer::Refused(status, body) => return Ok(refused(status, &body)),
            Answer::NotRunning => return Ok(not_running()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A stream that the configuration no longer knows has no masks to go by: nothing of it is written.
fn masks_of(landscape: &Landscape, row: &Value) -> anyhow::Result<Masks> {
    let name = row["stream"].as_str().unwrap_or_default();
    let stream = landscape.streams.iter().find(|stream| stream.name.as_str() == name);
    let stream = stream.with_context(|| format!("letter {}: no stream {name} says what is masked in it", row["id"]))?;
    Ok(Masks::new(stream.mask.clone()))
}

/// The letter without what people may not see: its record, and every text in which a masked value of it stands.
fn masked(letter: &Value, masks: &Masks) -> Value {
    let mut letter = letter.clone();
    letter["masked"] = Value::Bool(true);
    if masks.is_empty() {
        return letter;
    }
    let records: Vec<String> =
        ["record", "original_record"].iter().filter_map(|name| letter[*name].as_str().map(str::to_owned)).collect();
    for name in HOLDING {
        let Some(text) = letter[name].as_str() else { continue };
        let clean = records.iter().try_fold(text.to_owned(), |text, record| masks.text(&text, record.as_bytes()));
        // What is no JSON cannot be masked, and is left out as a whole.
        letter[name] = clean.filter(|_| !records.is_empty()).map_or(MASKED.into(), Value::String);
    }
    letter
}

pub(super) async fn import(args: cli::DeadImport) -> anyhow::Result<ExitCode> {
    let client = Client::new(&bus(&args.config.file)?)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_value_stands_nowhere_in_the_letter() {
        let letter = json!({
            "id": 1, "stream": "users", "key": "7", "fault": "rejected",
            "record": r#"{"id":7,"phone":"+79165550001","sum":1.50}"#,
            "original_record": r#"{"id":7,"phone":"+79165550002"}"#,
            "transformed": r#"{"tel":"+79165550001","was":"+79165550002"}"#,
            "request": "PUT /users/7\n\n{\"tel\":\"+79165550001\"}",
            "answer": "400\n\nno number +79165550001",
            "message": "refused: +79165550002",
            "raw": null,
        });
        let masks = Masks::new(vec![vec!["phone".to_owned()]]);
        let masked = masked(&letter, &masks);
        assert!(!masked.to_string().contains("7916555"), "{masked}");
        assert_eq!((&masked["masked"], &masked["key"]), (&json!(true), &json!("7")));
        assert!(masked["record"].as_str().is_some_and(|record| record.contains("1.50")), "{masked}");
        let raw = json!({ "raw": "7;+79165550001", "record": null });
        assert_eq!(super::masked(&raw, &masks)["raw"], MASKED);
    }
}
