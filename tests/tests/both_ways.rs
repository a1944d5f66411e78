//! Both ways without echo, in the real program: order statuses between an OMS and an ERP that know an order by different
//! keys. The test plays both systems: what a receiver was sent it pushes back as that system's feed would.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Answer, Receiver, Rule, Script};
use bus_tests::servers::RabbitMq;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

/// How requests go out.
#[derive(Clone, Copy, PartialEq)]
enum Requests {
    Single,
    /// Several records share one.
    Shared,
}

fn routes(bus: &Bus, oms: &Receiver, erp: &Receiver, broker: &str, requests: Requests) -> String {
    let (to_erp, to_oms, batch) = match requests {
        Requests::Single => ("/erp/{key}", "/oms/{field:/oms}", ""),
        Requests::Shared => {
            ("/erp/bulk", "/oms/bulk", r#"batch = { max = 10, wait = "100ms", results = "/items/*/status" }"#)
        }
    };
    format!(
        r#"
        [bus]
        listen = "{}"
        {broker}
        [systems.oms]
        kind = "http"
        url = "{}"
        timeout = "2s"
        [systems.erp]
        kind = "http"
        url = "{}"
        timeout = "2s"
        [streams.oms]
        listen = {{ path = "/in/oms", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        [streams.erp]
        listen = {{ path = "/in/erp", key = {{ env = "PUSH_KEY" }} }}
        key = "ref"
        [routes.to-erp]
        stream = "oms"
        to = "erp"
        send = {{ method = "PUT", path = "{to_erp}", receiver_id = "/id" }}
        {batch}
        fields = {{ key = ".id", status = ".status" }}
        echo = {{ of = "to-oms", compare = [".status"], by = "receiver_id" }}
        [maps.ours]
        route = "to-erp"
        [routes.to-oms]
        stream = "erp"
        to = "oms"
        send = {{ method = "PUT", path = "{to_oms}", receiver_id = "/id" }}
        {batch}
        transform = '''. = {{ "oms": lookup("ours", .ref), "key": lookup("ours", .ref), "status": ."Статус" }}'''
        echo = {{ of = "to-erp", compare = {{ ".status" = '."Статус"' }}, by = "receiver_id" }}
        "#,
        bus.listen(),
        oms.url(),
        erp.url()
    )
}

struct Setting {
    bus: Bus,
    oms: Receiver,
    erp: Receiver,
    pushed: u64,
}

impl Setting {
    async fn start(rabbit: Option<String>, requests: Requests) -> Result<Self> {
        let (oms, erp) = (Receiver::start(&Script::default()).await?, Receiver::start(&Script::default()).await?);
        let mut bus = Bus::new()?;
        bus.env("PUSH_KEY", "push-secret");
        let broker = bus.on(rabbit);
        bus.routes(&routes(&bus, &oms, &erp, broker, requests))?;
        bus.start().await?;
        Ok(Self { bus, oms, erp, pushed: 0 })
    }

    async fn push(&mut self, path: &str, body: &str) -> Result<()> {
        self.bus.pushed(path, body).await
    }

    /// Somebody at the OMS, or our own write there, changed an order; a version makes each reading a message.
    async fn oms_shows(&mut self, id: u32, status: &str) -> Result<()> {
        self.pushed += 1;
        let body = format!(r#"{{"id":{id},"status":"{status}","v":{}}}"#, self.pushed);
        self.push("oms", &body).await
    }

    async fn erp_shows(&mut self, reference: u32, status: &str) -> Result<()> {
        self.pushed += 1;
        let body = format!(r#"{{"ref":{reference},"Статус":"{status}","v":{}}}"#, self.pushed);
        self.push("erp", &body).await
    }

    async fn command(&self, arguments: &[&str]) -> Result<()> {
        let (code, _, err) = self.bus.says(arguments).await?;
        ensure!(code == 0, "{code}: {err}");
        Ok(())
    }

    async fn metric(&self, line: &str) -> Result<()> {
        eventually(line, LIMIT, || async {
            Ok::<_, anyhow::Error>(self.bus.metrics().await?.contains(line).then_some(()))
        })
        .await
    }

    async fn settled(&self, route: &str, outcome: &str, count: u64) -> Result<()> {
        self.metric(&format!(r#"bus_messages_settled_total{{outcome="{outcome}",route="{route}"}} {count}"#)).await
    }

    async fn echoes(&self, route: &str, count: u64) -> Result<()> {
        self.metric(&format!(r#"bus_messages_skipped_total{{reason="echo",route="{route}"}} {count}"#)).await
    }
}

/// `order status` of each record that was taken, in order.
fn taken(receiver: &Receiver) -> Result<Vec<String>> {
    let of = |body: &str| -> Result<String> {
        let body: Value = serde_json::from_str(body)?;
        Ok(format!("{} {}", body["key"], body["status"]).replace('"', ""))
    };
    receiver.ledger()?.applied().map(|entry| of(&entry.body)).collect()
}

async fn statuses_run_both_ways(rabbit: Option<String>, requests: Requests) -> Result<()> {
    let mut at = Setting::start(rabbit, requests).await?;
    // The OMS knows the order as 1, the ERP as 2.
    at.oms_shows(7, "новый").await?;
    at.settled("to-erp", "delivered", 1).await?;
    at.oms_shows(1, "новый").await?;
    at.settled("to-erp", "delivered", 2).await?;
    at.erp_shows(2, "новый").await?;
    at.echoes("to-oms", 1).await?;

    // A real change there comes here, and its echo ends here.
    at.erp_shows(2, "оплачен").await?;
    at.settled("to-oms", "delivered", 1).await?;
    at.oms_shows(1, "оплачен").await?;
    at.echoes("to-erp", 1).await?;

    // Back to what we wrote once: a change, not an echo.
    at.erp_shows(2, "новый").await?;
    at.settled("to-oms", "delivered", 2).await?;
    at.oms_shows(1, "новый").await?;
    at.echoes("to-erp", 2).await?;

    // Two quick writes; the ERP shows both, one after the other.
    at.oms_shows(1, "собран").await?;
    at.oms_shows(1, "отправлен").await?;
    at.settled("to-erp", "delivered", 4).await?;
    at.erp_shows(2, "собран").await?;
    at.erp_shows(2, "отправлен").await?;
    at.echoes("to-oms", 3).await?;

    // What is remembered survives a kill; counters do not.
    at.oms_shows(1, "закрыт").await?;
    at.settled("to-erp", "delivered", 5).await?;
    at.bus.kill9();
    at.bus.start().await?;
    at.erp_shows(2, "закрыт").await?;
    at.echoes("to-oms", 1).await?;
    at.erp_shows(2, "возврат").await?;
    at.settled("to-oms", "delivered", 1).await?;

    // An echo and a change that come together, and could share a request.
    at.erp_shows(1, "новый").await?;
    at.erp_shows(2, "возмещён").await?;
    at.echoes("to-oms", 2).await?;
    at.settled("to-oms", "delivered", 2).await?;

    let to_erp = ["7 новый", "1 новый", "1 собран", "1 отправлен", "1 закрыт"];
    ensure!(taken(&at.erp)? == to_erp, "{:?}", taken(&at.erp)?);
    ensure!(taken(&at.oms)? == ["1 оплачен", "1 новый", "1 возврат", "1 возмещён"], "{:?}", taken(&at.oms)?);
    Ok(())
}

#[tokio::test]
async fn statuses_run_both_ways_embedded() -> Result<()> {
    statuses_run_both_ways(None, Requests::Single).await
}

#[tokio::test]
async fn statuses_run_both_ways_in_shared_requests() -> Result<()> {
    statuses_run_both_ways(None, Requests::Shared).await
}

#[tokio::test]
async fn statuses_run_both_ways_over_rabbitmq() -> Result<()> {
    statuses_run_both_ways(Some(RabbitMq::shared().await?.vhost().await?.url), Requests::Single).await
}

/// Both sides change at once, and nobody knows whether what goes to the ERP was taken: nothing is given up for it.
#[tokio::test]
async fn a_change_that_meets_a_write_in_doubt_is_carried() -> Result<()> {
    for taken_all_the_same in [false, true] {
        let mut at = Setting::start(None, Requests::Single).await?;
        at.oms_shows(7, "новый").await?;
        at.settled("to-erp", "delivered", 1).await?;
        at.oms_shows(1, "новый").await?;
        at.settled("to-erp", "delivered", 2).await?;
        at.command(&["pause", "route", "to-oms", "--why", "тест"]).await?;
        at.erp_shows(2, "отменён").await?;
        let cut = Rule::times(1, Answer::Reset { applied: taken_all_the_same });
        let refused = Rule::always(Answer::Status { code: 422, retry_after: None });
        at.erp.set_script(&Script { rules: vec![cut, refused], repeats_by: None }).await?;
        at.oms_shows(1, "оплачен").await?;
        at.settled("to-erp", "dead_lettered", 1).await?;
        at.command(&["resume", "route", "to-oms"]).await?;
        at.settled("to-oms", "delivered", 1).await?;
        let mut expected = vec!["1 отменён"];
        if taken_all_the_same {
            // It follows: else the values would have changed places.
            at.erp_shows(2, "оплачен").await?;
            at.settled("to-oms", "delivered", 2).await?;
            expected.push("1 оплачен");
        }
        ensure!(taken(&at.oms)? == expected, "{taken_all_the_same}: {:?}", taken(&at.oms)?);
    }
    Ok(())
}

/// Wherever the bus is killed between a write and its remembrance, nothing goes in a circle and the last value stands.
#[tokio::test]
async fn a_kill_around_a_write_starts_no_circle() -> Result<()> {
    for (place, requests) in [
        ("worker.answered:1", Requests::Single),
        ("worker.flushed:1", Requests::Single),
        ("worker.acked:1", Requests::Single),
        ("worker.answered:1", Requests::Shared),
        ("worker.flushed:1", Requests::Shared),
    ] {
        let mut at = Setting::start(None, requests).await?;
        at.oms_shows(7, "новый").await?;
        at.settled("to-erp", "delivered", 1).await?;
        at.bus.kill9();
        at.bus.crash_at(place);
        at.bus.start().await?;
        at.oms_shows(1, "оплачен").await?;
        at.bus.wait(LIMIT).await?;
        at.bus.crash_at("");
        at.bus.start().await?;
        // The redelivery, if there is one, is told by the fence; the ERP's reading is an echo in each case.
        at.metric(r#"bus_messages_in_flight{route="to-erp"} 0"#).await?;
        eventually("the write", LIMIT, || async {
            Ok::<_, anyhow::Error>(taken(&at.erp)?.iter().any(|one| one.contains("оплачен")).then_some(()))
        })
        .await?;
        if place.starts_with("worker.answered") {
            at.settled("to-erp", "delivered", 1).await?;
        }
        at.erp_shows(2, "оплачен").await?;
        at.echoes("to-oms", 1).await?;
        at.erp_shows(2, "закрыт").await?;
        at.settled("to-oms", "delivered", 1).await?;
        ensure!(taken(&at.oms)? == ["1 закрыт"], "{place}: {:?}", taken(&at.oms)?);
    }
    Ok(())
}
