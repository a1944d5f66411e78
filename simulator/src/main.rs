//! `1c-simulator`: the base as a program.

use anyhow::Context as _;
use bus_simulator::{Faults, Mode, Options, Pool, Simulator};
use clap::Parser;

/// A small trade base that speaks 1C's OData, for tests and demonstrations.
#[derive(Parser)]
#[command(name = "1c-simulator")]
struct Arguments {
    /// Port on 127.0.0.1; 0 for any that is free
    #[arg(long, default_value_t = 8314)]
    port: u16,
    /// How many orders there are; products, prices and stock in proportion
    #[arg(long, default_value_t = 100)]
    size: u32,
    /// The same seed gives the same base
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// USER:PASSWORD that are asked for
    #[arg(long)]
    user: Option<String>,
    /// How sessions are reused: auto-use, use, dont-use
    #[arg(long, default_value = "auto-use")]
    sessions: String,
    /// A fault from the start, NAME or NAME=VALUE; may be repeated. The names: see `curl ADDRESS/_admin/faults`
    #[arg(long = "fault")]
    faults: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mode = match arguments.sessions.as_str() {
        "auto-use" => Mode::AutoUse,
        "use" => Mode::Use,
        "dont-use" => Mode::DontUse,
        other => anyhow::bail!("sessions cannot be `{other}`: auto-use, use or dont-use"),
    };
    let user = arguments.user.as_deref().map(|user| user.split_once(':').context("a user is written USER:PASSWORD"));
    let user = user.transpose()?.map(|(user, password)| (user.to_owned(), password.to_owned()));
    let simulator = Simulator::start(Options {
        port: arguments.port,
        size: arguments.size,
        seed: arguments.seed,
        user,
        pool: Pool { mode, ..Pool::default() },
        faults: faults(&arguments.faults)?,
        ..Options::default()
    })
    .await
    .with_context(|| format!("cannot listen on port {}", arguments.port))?;
    println!("{}", simulator.url());
    println!("orders for it: {}; the bus's node: {}", simulator.admin_url(), simulator.node());
    Ok(simulator.serve().await?)
}

/// `bom`, `delay_ms=200`, `only=Catalog_Номенклатура`.
fn faults(given: &[String]) -> anyhow::Result<Faults> {
    let mut members = serde_json::Map::new();
    for fault in given {
        let (name, value) = fault.split_once('=').unwrap_or((fault, "true"));
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        members.insert(name.to_owned(), value);
    }
    serde_json::from_value(members.into()).context("the faults")
}
