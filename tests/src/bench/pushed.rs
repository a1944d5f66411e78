//! `bench d`: records pushed in batches, through the embedded broker, to HTTP PUT; nothing but the bus and the receiver.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;

use super::arrivals::Receiver;
use super::figures::{Report, Run, median, medians, number};
use super::{Scale, document, usage};
use crate::bus::Bus;

/// Requests at the same time.
const CONCURRENCY: usize = 32;
/// Records in one push.
const BATCH: u64 = 500;
/// Pushes at the same time: while one is being confirmed the others are parsed.
const SENDERS: usize = 4;
/// A request for each record.
const ONE_EACH: &str = r#"send = { method = "PUT", path = "/orders/{key}" }"#;
/// A hundred records in a request.
const TOGETHER: &str = r#"send = { method = "PUT", path = "/orders/bulk" }
batch = { max = 100, wait = "20ms", body = "lines" }"#;
/// What the push path asks for.
const KEY: &str = "bench-push-key";

/// What one run found.
struct Carried {
    run: Run,
    /// From the first push to the last arrival.
    end_to_end_per_s: f64,
    /// From the first push to the last answer: durable in the broker.
    taken_per_s: f64,
}

/// Runs it several times.
pub(super) async fn run(scale: Scale) -> Result<Report> {
    let (runs, messages) = if scale.quick { (3, 50_000) } else { (5, 250_000) };
    let load = usage::load();
    let mut report = Report::default();
    report.add("bench", "d");
    report.add("quick", scale.quick);
    let mut variants = Vec::new();
    let fields = format!("{ONE_EACH}\nfields = {}", document::FIELDS);
    for (name, sent) in [("as_it_is", ONE_EACH), ("fields", &fields), ("together", TOGETHER)] {
        let mut carried = Vec::new();
        for _ in 0..runs {
            carried.push(carry(messages, sent).await.context(name)?);
        }
        variants.push((name, carried));
    }
    let of = |carried: &[Carried], pick: fn(&Carried) -> f64| number(median(carried.iter().map(pick)), 0);
    if let Some((_, carried)) = variants.first() {
        report.add("messages_per_s", of(carried, |one| one.end_to_end_per_s));
        report.add("cpu_us_per_message", number(median(carried.iter().map(|one| one.run.cpu_us)), 1));
        report.add("peak_memory_mib", number(median(carried.iter().map(|one| one.run.peak_mib)), 1));
    }
    for (name, carried) in &variants {
        let runs: Vec<Run> = carried.iter().map(|one| one.run).collect();
        let figures = json!({
            "end_to_end_per_s": of(carried, |one| one.end_to_end_per_s),
            "taken_per_s": of(carried, |one| one.taken_per_s),
            "bus": medians(&runs),
        });
        report.add(name, figures);
    }
    report.add("messages", messages);
    report.add("message_bytes", document::order(0).len());
    report.add("concurrency", CONCURRENCY);
    report.add("batch", BATCH);
    report.add("senders", SENDERS);
    report.add("cores", std::thread::available_parallelism().map_or(0, usize::from));
    report.add("load_before", number(load, 2));
    Ok(report)
}

async fn carry(messages: u64, sent: &str) -> Result<Carried> {
    let receiver = Receiver::start(messages).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", KEY);
    bus.routes(&routes(&bus.listen(), &receiver.url(), sent))?;
    bus.start().await?;
    let pid = bus.pid().context("just started")?;
    let idle = usage::cpu(pid)?;
    // Made beforehand, so that it costs nothing of the time.
    let bodies: Arc<Vec<String>> = Arc::new((0..messages / BATCH).map(batch).collect());
    let began = Instant::now();
    let mut senders = JoinSet::new();
    let next = Arc::new(AtomicU64::new(0));
    for _ in 0..SENDERS {
        senders.spawn(push(format!("{}/in/orders", bus.url()), bodies.clone(), next.clone()));
    }
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    let taken = began.elapsed();
    let arrivals =
        receiver.wait(messages).await.with_context(|| bus.log().map_or_else(String::new, |log| log.tail(20)))?;
    // The receiver's clock is another one, and we ask it now and then: its last arrival is this long after our first
    // push at most.
    let whole = began.elapsed();
    let per_message = |used: Duration| used.as_secs_f64() * 1e6 / messages as f64;
    let run = Run {
        per_second: (arrivals.distinct - 1) as f64 / (arrivals.span_us as f64 / 1e6),
        cpu_us: per_message(usage::cpu(pid)?.saturating_sub(idle)),
        broker_cpu_us: 0.0,
        receiver_cpu_us: per_message(usage::cpu(receiver.pid())?),
        peak_mib: usage::peak_memory(pid)?,
        repeats: arrivals.requests - arrivals.distinct,
    };
    Ok(Carried {
        run,
        end_to_end_per_s: messages as f64 / whole.as_secs_f64(),
        taken_per_s: messages as f64 / taken.as_secs_f64(),
    })
}

/// One object a line.
fn batch(index: u64) -> String {
    let mut body = String::new();
    for number in index * BATCH..(index + 1) * BATCH {
        body.push_str(&document::order(number));
        body.push('\n');
    }
    body
}

async fn push(url: String, bodies: Arc<Vec<String>>, next: Arc<AtomicU64>) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    loop {
        let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed))?;
        let Some(body) = bodies.get(index) else { return Ok(()) };
        let answer = client.post(&url).header("x-api-key", KEY).body(body.clone()).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "the bus answered {status}: {}", answer.text().await.unwrap_or_default());
    }
}

fn routes(listen: &str, receiver: &str, sent: &str) -> String {
    format!(
        r#"
[bus]
name = "bench"
broker = "embedded"
state = "bus.db"
listen = "{listen}"

[systems.shop]
kind = "http"
url = "{receiver}"
capacity = {{ concurrency = {CONCURRENCY} }}

[streams.orders]
listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
key = "id"

[routes.orders-to-shop]
stream = "orders"
to = "shop"
concurrency = {CONCURRENCY}
{sent}
"#
    )
}
