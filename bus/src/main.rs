//! `bus`: the program. Parses the command line, hands over to one module per command, and turns errors into exit codes.

mod cli;
mod client;
mod clock;
mod command;
mod demo;
mod instance;
mod live;
mod logging;
mod memory;
mod notify;
mod preview;
mod rehearsal;
mod reload;
mod server;
mod story;
mod watch;
mod wire;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    memory::few_arenas();
    let cli = cli::Cli::parse();
    // For every TLS connection of the process. An error means that it is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bus: the runtime could not be started: {error}");
            return ExitCode::from(71);
        }
    };
    match runtime.block_on(command::dispatch(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bus: {error:#}");
            ExitCode::FAILURE
        }
    }
}
