//! What `bus status` foresees, how a system under strain is spared, and how a source is.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use bus_core::policy::{Micros, Profile, max_excess};
use bus_simulator::{Faults, Options, Simulator};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Answer, Receiver, Rule, Script};
use bus_tests::servers::http_client;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

/// One pushed stream to systems with these capacities, all of them the same receiver.
fn routes(bus: &Bus, receiver: &Receiver, broker: &str, systems: &[(&str, &str)]) -> String {
    let system = |(name, capacity): &(&str, &str)| {
        format!(
            r#"
            [systems.{name}]
            kind = "http"
            url = "{}"
            capacity = {{ {capacity} }}
            [routes.to-{name}]
            stream = "orders"
            to = "{name}"
            send = {{ method = "PUT", path = "/{name}/{{key}}" }}
            "#,
            receiver.url()
        )
    };
    format!(
        r#"
        [bus]
        listen = "{}"
        {broker}
        [streams.orders]
        listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        {}
        "#,
        bus.listen(),
        systems.iter().map(system).collect::<String>()
    )
}

async fn pushed(bus: &Bus, count: usize) -> Result<()> {
    let records: Vec<Value> = (0..count).map(|id| serde_json::json!({ "id": id })).collect();
    let url = format!("{}/in/orders", bus.url());
    let request = http_client().post(url).header("x-api-key", "push-secret").body(Value::from(records).to_string());
    let answer = request.send().await?;
    ensure!(answer.status() == 204, "{}", answer.status());
    Ok(())
}

async fn status(bus: &Bus) -> Result<Value> {
    Ok(serde_json::from_slice(&bus.run(&["status", "--json"]).await?.stdout)?)
}

fn named<'a>(list: &'a Value, name: &str) -> Result<&'a Value> {
    let found = list.as_array().and_then(|list| list.iter().find(|one| one["name"] == name));
    found.with_context(|| format!("{name} is missing"))
}

// How much waits is asked of the broker.
bus_tests::over_both_brokers!(a_backlog_says_when_it_will_be_empty_or_that_it_never_will);

async fn a_backlog_says_when_it_will_be_empty_or_that_it_never_will(rabbit: Option<String>) -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let broker = bus.on(rabbit);
    bus.routes(&routes(&bus, &receiver, broker, &[("slow", r#"rate = "10/min""#), ("shut", r#"rate = "0/min""#)]))?;
    bus.start().await?;
    pushed(&bus, 100).await?;
    let seen = eventually("forecasts", LIMIT, || async {
        let status = status(&bus).await?;
        let known = |name| named(&status["routes"], name).map(|route| route["forecast"].is_string());
        Ok((known("to-slow")? && known("to-shut")?).then_some(status))
    })
    .await?;
    assert_eq!(named(&seen["routes"], "to-shut")?["empty_at"], Value::Null);
    let never = named(&seen["routes"], "to-shut")?["forecast"].as_str().context("words")?;
    assert!(never.starts_with("never under this profile"), "{never}");
    let metrics = bus.metrics().await?;
    assert!(metrics.contains(r#"bus_route_empty_timestamp_seconds{route="to-shut"} inf"#), "{metrics}");
    let line =
        metrics.lines().find_map(|line| line.strip_prefix(r#"bus_route_empty_timestamp_seconds{route="to-slow"} "#));
    let at: f64 = line.context("the metric")?.parse()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
    // Ten a minute, less a hundredth: 100 take ten minutes.
    assert!((500.0..700.0).contains(&(at - now)), "in {} s", at - now);
    let page = String::from_utf8(bus.run(&["status"]).await?.stdout)?;
    assert!(page.contains("empty at ") && page.contains("never under this profile"), "{page}");
    Ok(())
}

bus_tests::over_both_brokers!(a_system_that_asks_for_less_gets_less_unless_that_is_switched_off);

async fn a_system_that_asks_for_less_gets_less_unless_that_is_switched_off(rabbit: Option<String>) -> Result<()> {
    let less = Answer::Status { code: 429, retry_after: Some(1) };
    let receiver = Receiver::start(&Script { rules: vec![Rule::times(4, less)], ..Script::default() }).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let broker = bus.on(rabbit);
    let systems = [("shop", r#"rate = "600/min""#), ("rigid", r#"rate = "600/min", adaptive = false"#)];
    bus.routes(&routes(&bus, &receiver, broker, &systems))?;
    bus.start().await?;
    pushed(&bus, 40).await?;
    let system = eventually("strain", LIMIT, || async {
        let status = status(&bus).await?;
        let system = named(&status["systems"], "shop")?;
        Ok(system["strain"].is_string().then(|| system.clone()))
    })
    .await?;
    assert!(system["strain"].as_str().is_some_and(|why| why.contains("429")), "{system}");
    assert!(system["pace"].as_f64().is_some_and(|share| (0.01..1.0).contains(&share)), "{system}");
    let page = String::from_utf8(bus.run(&["status"]).await?.stdout)?;
    assert!(page.contains("% of profile: it asks for less (429)"), "{page}");
    eventually("everything delivered", LIMIT, || async {
        Ok((receiver.ledger()?.applied().count() >= 80).then_some(()))
    })
    .await?;
    let metrics = bus.metrics().await?;
    assert!(metrics.contains(r#"bus_system_pace_share{system="rigid"} 1"#), "{metrics}");
    Ok(())
}

/// So slow that a start, and the second that a killed process had reserved, do not hide a permit too many.
const READS: &str = "40/min";
const ORDERS: u32 = 60;

/// Requests to the base so far.
fn asked(base: &Simulator) -> Vec<Micros> {
    base.seen().iter().map(|seen| Micros(seen.at_us.try_into().unwrap_or(i64::MAX))).collect()
}

/// Orders of a base that are compared ten times a second.
fn orders_of(bus: &Bus, base: &Simulator, shop: &Receiver, reads: &str) -> String {
    format!(
        r#"
        [bus]
        listen = "{}"
        [systems.erp]
        kind = "1c-odata"
        url = "{}"
        {reads}
        [systems.shop]
        kind = "http"
        url = "{}"
        [streams.orders]
        from = "erp"
        entity = "Документ.ЗаказКлиента"
        key = "Ref_Key"
        schedule = "100ms"
        changes = "diff"
        [routes.orders-to-shop]
        stream = "orders"
        to = "shop"
        send = {{ method = "PUT", path = "/orders/{{key}}" }}
        fields = {{ number = ".Number" }}
        "#,
        bus.listen(),
        base.url(),
        shop.url()
    )
}

/// By the base's own clock, over pages, kills, an orderly stop and a process that stood by. One read at a time, so each is
/// asked after the one before it has come, and delays on the way add less than one to any window, on any machine.
#[tokio::test]
async fn a_source_is_asked_no_faster_than_it_may_be_read() -> Result<()> {
    let base = Simulator::start(Options { size: ORDERS, ..Options::default() }).await?;
    let shop = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.routes(&orders_of(&bus, &base, &shop, &format!(r#"reads = {{ rate = "{READS}", concurrency = 1 }}"#)))?;
    bus.start().await?;
    eventually("all pages", LIMIT, || async {
        Ok((shop.ledger()?.applied().count() >= ORDERS as usize).then_some(()))
    })
    .await?;
    let pages = base.seen().iter().filter(|seen| seen.query.contains("$skip")).count();
    ensure!(pages > 0, "one page holds everything: {:?}", base.seen());
    for end in ["killed", "stopped", "killed", "followed"] {
        // Ended when a permit has just been used.
        let before = asked(&base).len();
        eventually("the next question", LIMIT, || async { Ok((asked(&base).len() > before).then_some(())) }).await?;
        match end {
            "followed" => {
                bus.stand_by()?;
                bus.take_over(LIMIT).await?;
                continue;
            }
            "stopped" => drop(bus.terminate(LIMIT).await?),
            _ => bus.kill9(),
        }
        bus.start().await?;
    }
    let before = asked(&base).len();
    eventually("the next question", LIMIT, || async { Ok((asked(&base).len() > before).then_some(())) }).await?;
    let (asked, allowed) = (asked(&base), Profile::always(READS.parse().context("a rate")?));
    let excess = max_excess(&asked, &allowed);
    ensure!(excess < 1.0, "{READS} is exceeded by {excess} requests: {:?}", base.seen());
    Ok(())
}

/// By the base's own clock: seconds, and a date.
#[tokio::test]
async fn a_source_that_asks_for_less_is_not_asked_before_the_time_it_named() -> Result<()> {
    let base = Simulator::start(Options { size: 3, ..Options::default() }).await?;
    let shop = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.routes(&orders_of(&bus, &base, &shop, ""))?;
    bus.start().await?;
    eventually("all orders", LIMIT, || async { Ok((shop.ledger()?.applied().count() >= 3).then_some(())) }).await?;
    for status in [429, 503] {
        let date = chrono::Utc::now() + Duration::from_secs(4);
        let retry_after = match status {
            429 => "3".to_owned(),
            _ => date.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        };
        let faults = Faults { asks_for_less: Some(status), retry_after, times: Some(1), ..Faults::default() };
        base.set_faults(faults);
        let (refused, next) = eventually("a question after the refusal", LIMIT, || async {
            let seen = base.seen();
            let refused = seen.iter().position(|seen| seen.status == status);
            Ok(refused.and_then(|at| Some((seen.get(at)?.at_us, seen.get(at + 1)?.at_us))))
        })
        .await?;
        let named = match status {
            429 => refused + 3_000_000,
            _ => u64::try_from(date.timestamp())? * 1_000_000,
        };
        ensure!(next >= named, "{status}: asked {} µs too early", named - next);
    }
    Ok(())
}

#[tokio::test]
async fn a_system_keeps_its_pace_and_its_pause_beside_a_stream_of_its_name() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    bus.routes(&routes(&bus, &receiver, "", &[("orders", r#"rate = "0/min""#)]))?;
    bus.start().await?;
    pushed(&bus, 3).await?;
    let shut = status(&bus).await?;
    let gate = named(&shut["systems"], "orders")?["gate"].as_str().context("words")?;
    assert!(gate.starts_with("closed"), "{gate}");
    let (code, _, err) = bus.says(&["pause", "system", "orders", "--why", "инвентаризация"]).await?;
    assert_eq!(code, 0, "{err}");
    let paused = status(&bus).await?;
    let gate = named(&paused["systems"], "orders")?["gate"].as_str().context("words")?;
    assert!(gate.starts_with("paused"), "{gate}");
    assert_eq!(receiver.ledger()?.applied().count(), 0);
    Ok(())
}
