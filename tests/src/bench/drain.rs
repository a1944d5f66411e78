//! `bench a`: a filled RabbitMQ queue through the map of a route to HTTP POST, and the bare loop beside it, by turns.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::json;

use super::arrivals::{Receiver, program};
use super::figures::{Report, Run, median, medians, number};
use super::{Scale, document, queue, usage};
use crate::bus::Bus;
use crate::process::{Ending, Process};
use crate::sandbox::Sandbox;
use crate::servers::RabbitMq;

/// Requests at the same time, of the bus and of the bare loop.
const CONCURRENCY: usize = 32;

/// The route, and so its queue.
const ROUTE: &str = "orders-to-shop";

/// What a route does to a document, and what its receiver says about repeats.
struct Variant {
    name: &'static str,
    map: String,
    idempotent: &'static str,
}

impl Variant {
    fn all(scale: Scale) -> Vec<Self> {
        let recognised = r#"{ header = "Idempotency-Key" }"#;
        let transform = format!("transform = '''{}'''", document::TRANSFORM);
        let mut all = vec![
            Self { name: "transform", map: transform.clone(), idempotent: recognised },
            Self { name: "fields", map: format!("fields = {}", document::FIELDS), idempotent: recognised },
        ];
        if !scale.quick {
            // Each attempt is marked durably before it is sent.
            all.push(Self { name: "transform_not_idempotent", map: transform, idempotent: "false" });
        }
        all
    }

    fn pairs(&self, scale: Scale) -> usize {
        match (scale.quick, self.name) {
            (true, "transform") => 3,
            (true, _) => 1,
            (false, "transform") => 5,
            (false, _) => 3,
        }
    }
}

/// What a run needs; the broker is shared by all.
struct Bench {
    rabbit: RabbitMq,
    messages: u64,
}

/// Runs all variants.
pub(super) async fn run(scale: Scale) -> Result<Report> {
    let load = usage::load();
    let bench = Bench { rabbit: RabbitMq::start().await?, messages: if scale.quick { 12_000 } else { 60_000 } };
    let mut variants = Vec::new();
    for variant in Variant::all(scale) {
        let (mut bus, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..variant.pairs(scale) {
            bus.push(bench.through_the_bus(&variant).await.context("the bus")?);
            bare.push(bench.through_the_bare_loop().await.context("the bare loop")?);
        }
        variants.push((variant.name, bus, bare));
    }
    Ok(report(scale, &bench, load, &variants))
}

fn report(scale: Scale, bench: &Bench, load: f64, variants: &[(&str, Vec<Run>, Vec<Run>)]) -> Report {
    let mut report = Report::default();
    report.add("bench", "a");
    report.add("quick", scale.quick);
    let ratio = |bus: &[Run], bare: &[Run]| {
        number(median(bus.iter().zip(bare).map(|(bus, bare)| bus.per_second / bare.per_second)), 3)
    };
    if let Some((_, bus, bare)) = variants.first() {
        report.add("ratio_to_bare", ratio(bus, bare));
        report.add("messages_per_s", number(median(bus.iter().map(|run| run.per_second)), 0));
        report.add("cpu_us_per_message", number(median(bus.iter().map(|run| run.cpu_us)), 1));
        report.add("peak_memory_mib", number(median(bus.iter().map(|run| run.peak_mib)), 1));
    }
    for (name, bus, bare) in variants {
        let figures = json!({
            "ratio_to_bare": ratio(bus, bare),
            "pairs": bus.len(),
            "bus": medians(bus),
            "bare": medians(bare),
        });
        report.add(name, figures);
    }
    report.add("messages", bench.messages);
    report.add("message_bytes", document::order(0).len());
    report.add("concurrency", CONCURRENCY);
    report.add("prefetch", queue::PREFETCH);
    report.add("cores", std::thread::available_parallelism().map_or(0, usize::from));
    report.add("load_before", number(load, 2));
    report
}

impl Bench {
    async fn through_the_bus(&self, variant: &Variant) -> Result<Run> {
        let vhost = self.rabbit.vhost().await?;
        queue::fill(&vhost.url, ROUTE, self.messages).await?;
        let receiver = Receiver::start(self.messages).await?;
        let mut bus = Bus::new()?;
        bus.env("RABBITMQ", vhost.url);
        bus.env("PUSH_KEY", "not used, because the queue is full");
        bus.routes(&routes(&bus.listen(), &receiver.url(), variant))?;
        let broker_before = usage::cpu(self.rabbit.pid())?;
        bus.start_unready()?;
        let run = self.arrived(&receiver, bus.pid().context("just started")?, broker_before).await;
        run.with_context(|| bus.log().map_or_else(String::new, |log| log.tail(20)))
    }

    async fn through_the_bare_loop(&self) -> Result<Run> {
        let vhost = self.rabbit.vhost().await?;
        queue::fill(&vhost.url, ROUTE, self.messages).await?;
        let receiver = Receiver::start(self.messages).await?;
        let sandbox = Arc::new(Sandbox::new("bench-bare")?);
        let mut command = Command::new(program()?);
        let concurrency = CONCURRENCY.to_string();
        command.args(["bare", &vhost.url, ROUTE, &receiver.url(), &concurrency]).current_dir(sandbox.path());
        let broker_before = usage::cpu(self.rabbit.pid())?;
        let bare = Process::spawn("bare loop", command, &sandbox, Ending::Kill)?;
        self.arrived(&receiver, bare.pid(), broker_before).await.with_context(|| bare.log().tail(20))
    }

    /// Waits for every document, then looks at what the processes have used since they started.
    async fn arrived(&self, receiver: &Receiver, pid: u32, broker_before: std::time::Duration) -> Result<Run> {
        let arrivals = receiver.wait(self.messages).await?;
        let per_message = |used: std::time::Duration| used.as_secs_f64() * 1e6 / self.messages as f64;
        Ok(Run {
            per_second: (arrivals.distinct - 1) as f64 / (arrivals.span_us as f64 / 1e6),
            cpu_us: per_message(usage::cpu(pid)?),
            broker_cpu_us: per_message(usage::cpu(self.rabbit.pid())?.saturating_sub(broker_before)),
            receiver_cpu_us: per_message(usage::cpu(receiver.pid())?),
            peak_mib: usage::peak_memory(pid)?,
            repeats: arrivals.requests - arrivals.distinct,
        })
    }
}

fn routes(listen: &str, receiver: &str, variant: &Variant) -> String {
    let Variant { map, idempotent, .. } = variant;
    format!(
        r#"
[bus]
name = "bench"
broker = {{ env = "RABBITMQ" }}
state = "bus.db"
listen = "{listen}"

[systems.shop]
kind = "http"
url = "{receiver}"
capacity = {{ concurrency = {CONCURRENCY} }}

[streams.{stream}]
listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
key = "id"

[routes.{ROUTE}]
stream = "{stream}"
to = "shop"
send = {{ method = "POST", path = "/orders/{{key}}" }}
idempotent = {idempotent}
concurrency = {CONCURRENCY}
{map}
"#,
        stream = queue::STREAM,
    )
}
