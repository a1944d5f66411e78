//! `bus resume`: ends the pause of a route.

use std::process::ExitCode;

use super::{not_running, refused};
use crate::cli;
use crate::client::{Answer, Client, encoded, landscape};

pub async fn resume(args: cli::Resume) -> anyhow::Result<ExitCode> {
    let client = Client::new(&landscape(&args.config.file)?)?;
    Ok(match client.post(&format!("/routes/{}/resume", encoded(&args.route))).await? {
        Answer::Ok(_) => {
            println!("{} goes on", args.route);
            ExitCode::SUCCESS
        }
        Answer::Refused(status, body) => refused(status, &body),
        Answer::NotRunning => not_running(),
    })
}
