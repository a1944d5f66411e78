//! The commands of the repository: `cargo xtask test` is everything that continuous integration runs.

mod bench;
mod install;
mod programs;
mod steps;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The commands of this repository")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need, then check and test everything (`ci` is the same).
    #[command(alias = "ci")]
    Test(steps::Options),
    /// Install the servers and tools that the tests start, and nothing else.
    Install,
    /// Measure the program beside bare loops, optimised; docs/benchmarks.md says what the figures mean.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test(options) => steps::run(&options),
        Command::Install => install::run().map(|()| true),
        Command::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
