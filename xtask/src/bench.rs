//! Builds the program and its benchmarks with optimisation, and runs one of them: docs/benchmarks.md.

use std::path::Path;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::steps::{cargo, succeeds, target};

#[derive(Args)]
pub struct Options {
    /// Which one.
    which: Which,
    /// A minute at most, after building: for a look.
    #[arg(long)]
    quick: bool,
    /// One line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// A RabbitMQ queue through a map to HTTP POST, beside a bare loop.
    A,
    /// Answers of 1C taken apart, beside the bare parsers and clients from PyPI.
    C,
    /// Pushed records through the embedded broker to HTTP.
    D,
    /// A table of a million rows compared, and the most memory that takes.
    Memory,
}

/// Builds, then runs; true when it succeeded.
pub fn run(options: &Options) -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies inside the workspace")?;
    std::env::set_current_dir(root).context("cannot enter the workspace")?;
    // One by one: built together they would unify their features, and the program would not be the one that ships.
    let measured = match options.which {
        Which::C => ["-p", "bus-connectors", "--example", "parse"],
        Which::A | Which::D | Which::Memory => ["-p", "entity-bus", "--bin", "bus"],
    };
    for package in [measured, ["-p", "bus-tests", "--bin", "bench"], ["-p", "bus-tests", "--bin", "receiver"]] {
        let mut build = cargo(&["build", "--release"]);
        build.args(package);
        if !succeeds(build)? {
            return Ok(false);
        }
    }
    let place = target().join("release").canonicalize().context("the programs that were just built")?;
    let mut bench = std::process::Command::new(place.join("bench"));
    bench.env("BUS_BIN", place.join("bus")).env("PARSE_BIN", place.join("examples/parse"));
    bench.arg(match options.which {
        Which::A => "a",
        Which::C => "c",
        Which::D => "d",
        Which::Memory => "memory",
    });
    for (option, given) in [("--quick", options.quick), ("--json", options.json)] {
        if given {
            bench.arg(option);
        }
    }
    succeeds(bench)
}
