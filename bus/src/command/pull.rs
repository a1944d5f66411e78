//! `bus pull`: one reading of an HTTP subscription, one JSON object a line.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use bus_config::Via;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{not_running, refused};
use crate::cli;
use crate::client::{Answer, Client, encoded, landscape};

#[derive(Deserialize)]
struct Page {
    events: Vec<Box<RawValue>>,
    next: u64,
    backlog: u64,
    #[serde(default)]
    missed: u64,
}

pub async fn pull(args: cli::Pull) -> anyhow::Result<ExitCode> {
    let landscape = landscape(&args.config.file)?;
    let subscription = landscape.subscriptions.iter().find(|subscription| subscription.name.as_str() == args.name);
    let Some(subscription) = subscription else {
        let names: Vec<&str> = landscape.subscriptions.iter().map(|s| s.name.as_str()).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        bail!("there is no subscription {}; known: {known}", args.name);
    };
    let Via::Http { key } = &subscription.via else {
        bail!("{} is taken from its queue at RabbitMQ (via = \"amqp\"), not over HTTP", args.name);
    };
    let client = Client::new(&landscape.bus)?.with_key(key.load().context("the key of the subscription")?);
    let path = format!("/out/{}?after={}&limit={}", encoded(&args.name), args.after, args.limit);
    match client.get(&path).await? {
        Answer::Ok(body) => {
            let page: Page = serde_json::from_str(&body)?;
            let mut out = std::io::stdout().lock();
            for event in &page.events {
                writeln!(out, "{event}")?;
            }
            if page.missed > 0 {
                eprintln!("{} messages before these were dropped unread, as `keep` says", page.missed);
            }
            eprintln!("{} messages, {} more; go on with: --after {}", page.events.len(), page.backlog, page.next);
            Ok(ExitCode::SUCCESS)
        }
        Answer::Refused(status, body) => Ok(refused(status, &body)),
        Answer::NotRunning => Ok(not_running()),
    }
}
