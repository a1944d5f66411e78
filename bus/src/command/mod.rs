//! One module per command.

mod backfill;
mod check;
mod cursor;
mod dead;
mod incidents;
mod init;
mod pause;
mod preview;
mod pull;
mod reload;
mod run;
mod status;
mod tasks;
mod test;
mod what_if;
mod whereabouts;
mod who;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::shown;

/// sysexits.h `EX_CONFIG`: the configuration is wrong.
pub const EX_CONFIG: u8 = 78;
/// sysexits.h `EX_UNAVAILABLE`: the bus does not run, or refuses.
pub const EX_UNAVAILABLE: u8 = 69;

/// Runs a command to its exit code.
pub async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run(args) => run::run(args).await,
        Command::Check(args) => check::check(args).await,
        Command::Test(args) => test::test(args).await,
        Command::WhatIf(args) => what_if::what_if(args).await,
        Command::Init(args) => init::init(args).await,
        Command::Preview(args) => preview::preview(args).await,
        Command::Schema => {
            println!("{}", serde_json::to_string_pretty(&bus_config::json_schema())?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(args) => crate::demo::run(args).await,
        Command::DemoReceiver(args) => crate::demo::receive(args).await,
        Command::DemoBase => crate::demo::serve_base().await,
        Command::Pull(args) => pull::pull(args).await,
        Command::Status(args) => status::status(args).await,
        Command::Where(args) => whereabouts::whereabouts(args).await,
        Command::Dead(args) => dead::dead(args).await,
        Command::Cursor(command) => cursor::cursor(command).await,
        Command::Load(args) => tasks::load(args).await,
        Command::Resend(args) => tasks::resend(args).await,
        Command::Backfill(args) => backfill::backfill(args).await,
        Command::Tasks(args) => tasks::tasks(args).await,
        Command::Pause(args) => pause::pause(args).await,
        Command::Resume(args) => pause::resume(args).await,
        Command::Incidents(args) => incidents::incidents(args).await,
        Command::AcceptSource(args) => incidents::accept_source(args).await,
        Command::Maintenance(args) => incidents::maintenance(args).await,
        Command::Reload(args) => reload::reload(args).await,
    }
}

/// What to say when nobody listens.
fn not_running() -> ExitCode {
    eprintln!("bus: the bus does not run on this configuration; start it with: bus run");
    ExitCode::from(EX_UNAVAILABLE)
}

/// What to say when it refused.
fn refused(status: reqwest::StatusCode, body: &str) -> ExitCode {
    eprintln!("bus: {} ({})", shown::foreign(body), status.as_u16());
    ExitCode::from(EX_UNAVAILABLE)
}
