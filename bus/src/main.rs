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
mod shown;
mod story;
mod watch;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// What still runs in the background when a command has ended has so long.
const LAST_MOMENT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    end_quietly_without_a_reader();
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
    let ended = runtime.block_on(command::dispatch(cli));
    // Everything was waited for that matters; a blocking call that hangs (a name server, a disk) must not keep the process.
    runtime.shutdown_timeout(LAST_MOMENT);
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bus: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `bus dead list | head` is no failure: whoever read has enough. Rust's printing panics where it cannot write.
fn end_quietly_without_a_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic.payload_as_str().unwrap_or_default();
        if !words.starts_with("failed printing to stdout") {
            return usual(panic);
        }
        if words.contains("Broken pipe") {
            std::process::exit(0);
        }
        eprintln!("bus: {words}");
        // sysexits.h `EX_IOERR`.
        std::process::exit(74);
    }));
}
