//! `bus check`: all mistakes of all files in one run; with `--connect`, every system is reached.

use std::io::IsTerminal;
use std::process::ExitCode;

use bus_options::{Colour, to_json, to_text};
use serde_json::json;

use super::EX_CONFIG;
use crate::cli;
use crate::reload::count;
use crate::wire;
use crate::wire::reach::Outcome;

pub async fn check(args: cli::Check) -> anyhow::Result<ExitCode> {
    let checked = bus_config::check(&args.file);
    let Some(landscape) = checked.landscape else {
        if args.json {
            println!("{}", to_json(&checked.diagnostics));
        } else {
            let colour = if std::io::stderr().is_terminal() { Colour::On } else { Colour::Off };
            eprint!("{}", to_text(&checked.diagnostics, colour));
            eprintln!("{}: {}", args.file.display(), count(checked.diagnostics.len(), "mistake"));
        }
        return Ok(ExitCode::from(EX_CONFIG));
    };
    if !args.connect {
        if args.json {
            println!("[]");
        } else {
            let (streams, routes) = (landscape.streams.len(), landscape.routes.len());
            println!("{}: no mistakes; {streams} streams, {routes} routes", args.file.display());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let reports = wire::reach::everything(&landscape).await;
    let failed = reports.iter().any(|report| matches!(report.outcome, Outcome::Failed(_)));
    if args.json {
        let rows = reports.iter().map(|report| match &report.outcome {
            Outcome::Answered(found) => json!({
                "what": report.what, "ok": true, "version": found.version,
                "latency_ms": found.latency.as_secs_f64() * 1000.0, "rights": found.rights, "remarks": found.remarks,
            }),
            Outcome::Failed(error) => json!({ "what": report.what, "ok": false, "error": error }),
            Outcome::Left(why) => json!({ "what": report.what, "ok": null, "left": why }),
        });
        println!("{}", serde_json::Value::from_iter(rows));
    } else {
        for report in &reports {
            match &report.outcome {
                Outcome::Answered(found) => {
                    let latency = found.latency.as_secs_f64() * 1000.0;
                    println!("ok    {}: {} ({latency:.1} ms)", report.what, found.version);
                    for right in &found.rights {
                        println!("      rights: {right}");
                    }
                    for remark in &found.remarks {
                        println!("      note: {remark}");
                    }
                }
                Outcome::Failed(error) => println!("FAIL  {}: {error}", report.what),
                Outcome::Left(why) => println!("left  {}: {why}", report.what),
            }
        }
    }
    Ok(if failed { ExitCode::from(super::EX_UNAVAILABLE) } else { ExitCode::SUCCESS })
}
