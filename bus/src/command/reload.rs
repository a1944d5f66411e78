//! `bus reload`: the running bus takes over the files on disk, or says why it does not.

use std::io::IsTerminal;
use std::process::ExitCode;

use bus_options::{Colour, to_text};
use reqwest::StatusCode;

use super::{EX_CONFIG, not_running, refused};
use crate::cli;
use crate::client::{Answer, Client, encoded};
use crate::reload::{Report, count};

pub async fn reload(args: cli::Reload) -> anyhow::Result<ExitCode> {
    let checked = bus_config::check(&args.config.file);
    let Some(landscape) = checked.landscape else {
        let colour = if std::io::stderr().is_terminal() { Colour::On } else { Colour::Off };
        eprint!("{}", to_text(&checked.diagnostics, colour));
        let mistakes = count(checked.diagnostics.len(), "mistake");
        eprintln!("{}: {mistakes}; nothing was changed in the running bus", args.config.file.display());
        return Ok(ExitCode::from(EX_CONFIG));
    };
    let routes = args.drop_route.iter().map(|name| format!("drop-route={}", encoded(name.as_str())));
    let others = args.drop_subscription.iter().map(|name| format!("drop-subscription={}", encoded(name.as_str())));
    let query = routes.chain(others).collect::<Vec<_>>().join("&");
    match Client::new(&landscape.bus)?.post(&format!("/reload?{query}")).await? {
        Answer::Ok(body) if args.json => println!("{body}"),
        Answer::Ok(body) => print!("{}", words(&serde_json::from_str(&body)?)),
        Answer::Refused(StatusCode::UNPROCESSABLE_ENTITY, why) => {
            eprintln!("{why}\nnothing was changed");
            return Ok(ExitCode::from(EX_CONFIG));
        }
        Answer::Refused(status, why) => return Ok(refused(status, &why)),
        Answer::NotRunning => return Ok(not_running()),
    }
    Ok(ExitCode::SUCCESS)
}

fn words(report: &Report) -> String {
    let mut out = String::new();
    let mut part = |title: &str, list: &[String]| {
        out.extend(list.iter().map(|one| format!("{title} {one}\n")));
    };
    part("renamed ", &report.renamed);
    part("started ", &report.started);
    part("ended   ", &report.ended);
    part("note    ", &report.notes);
    if report.started.is_empty() && report.ended.is_empty() {
        out.push_str("nothing else has changed\n");
    }
    format!("{out}taken over in {} ms\n", report.milliseconds)
}
