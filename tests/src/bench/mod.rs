//! Benchmarks of the real program beside the least that could do the same work, in the same run on the same machine.
//!
//! `bench a` drains a RabbitMQ queue through the bus and through a bare loop, by turns; `bench d` carries records from a
//! push through the embedded broker to a receiver; `bench c` takes answers of 1C apart; `bench memory`
//! compares a table of a million rows. Each part is a process of its own, so that its CPU and memory can be
//! told apart: the program under test, the receiver, the bare loop, the broker. What the figures mean is in
//! docs/benchmarks.md.

mod arrivals;
mod bare;
mod compare;
mod document;
mod drain;
mod figures;
mod parse;
mod pushed;
mod queue;
mod receiver;
pub mod usage;

use anyhow::{Result, bail};

/// How much work a run does.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// `--quick`: a minute at most, for a look; otherwise enough for a figure worth quoting.
    quick: bool,
}

/// The command line of the `bench` program.
pub fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.as_slice() {
        ["receiver", count] => runtime.block_on(receiver::serve(count.parse()?)),
        ["bare", broker, queue, receiver, concurrency] => {
            runtime.block_on(bare::forward(broker, queue, receiver, concurrency.parse()?))
        }
        [which @ ("a" | "c" | "d" | "memory"), options @ ..] => {
            if let Some(unknown) = options.iter().find(|option| !["--quick", "--json"].contains(option)) {
                bail!("there is no option {unknown}: --quick, --json");
            }
            let scale = Scale { quick: options.contains(&"--quick") };
            let report = match *which {
                "a" => runtime.block_on(drain::run(scale))?,
                "c" => parse::run(scale)?,
                "memory" => runtime.block_on(compare::run(scale))?,
                _ => runtime.block_on(pushed::run(scale))?,
            };
            println!("{}", if options.contains(&"--json") { report.json() } else { report.text() });
            Ok(())
        }
        _ => bail!("usage: bench a|c|d|memory [--quick] [--json]"),
    }
}
