//! `bus backfill`, as operators type it: a stream's history by date, beside the live flow, through kills. Both brokers.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Receiver, Script};
use serde_json::Value;
use sqlx::Connection as _;

const LIMIT: Duration = Duration::from_secs(40);
/// Six orders on each of ten days.
const DAYS: u32 = 10;
const ORDERS: usize = 60;
const FILL: &str = "
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 59)
    INSERT INTO orders SELECT 100 + i, i, date('2026-03-01', '+' || (i % 10) || ' days') || ' 12:00:00', i + 1 FROM n";

struct Setting {
    bus: Bus,
    receiver: Receiver,
    broker: &'static str,
}

impl Setting {
    async fn start(rabbit: Option<String>) -> Result<Self> {
        let receiver = Receiver::start(&Script::default()).await?;
        let mut bus = Bus::new()?;
        bus.env("PUSH_KEY", "push-secret");
        let broker = bus.on(rabbit);
        let mut setting = Self { bus, receiver, broker };
        let table = "CREATE TABLE orders (id INTEGER PRIMARY KEY, сумма INTEGER NOT NULL, день TEXT NOT NULL, v INTEGER NOT NULL)";
        setting.sql(table).await?;
        setting.sql(FILL).await?;
        setting.routes("")?;
        setting.bus.start().await?;
        setting.arrived("/old/", ORDERS).await?;
        Ok(setting)
    }

    async fn sql(&self, statement: &'static str) -> Result<()> {
        let url = format!("sqlite:{}?mode=rwc", self.bus.directory().join("shop.db").display());
        let mut database = sqlx::SqliteConnection::connect(&url).await?;
        sqlx::query(statement).execute(&mut database).await?;
        Ok(database.close().await?)
    }

    fn routes(&self, more: &str) -> Result<()> {
        let (listen, url, broker) = (self.bus.listen(), self.receiver.url(), self.broker);
        self.bus.routes(&format!(
            r#"
            [bus]
            listen = "{listen}"
            {broker}
            [systems.base]
            kind = "sql"
            url = "sqlite:shop.db"
            [systems.shop]
            kind = "http"
            url = "{url}"
            timeout = "2s"
            [systems.archive]
            kind = "http"
            url = "{url}"
            timeout = "2s"
            capacity = {{ rate = "40/s" }}
            [streams.orders]
            from = "base"
            query = "SELECT id, сумма, день, v FROM orders WHERE v >= :cursor ORDER BY v"
            key = "id"
            date = "день"
            schedule = "100ms"
            changes = {{ cursor = "v" }}
            [streams.plain]
            from = "base"
            query = "SELECT id, v FROM orders WHERE v >= :cursor AND id < 0 ORDER BY v"
            key = "id"
            schedule = "1h"
            changes = {{ cursor = "v" }}
            [streams.users]
            listen = {{ path = "/in/users", key = {{ env = "PUSH_KEY" }} }}
            key = "id"
            archive = "30d"
            [routes.old]
            stream = "orders"
            to = "shop"
            send = {{ method = "PUT", path = "/old/{{key}}" }}
            [routes.plain]
            stream = "plain"
            to = "shop"
            send = {{ method = "PUT", path = "/plain/{{key}}" }}
            [routes.users]
            stream = "users"
            to = "shop"
            send = {{ method = "PUT", path = "/users/{{key}}" }}
            {more}
            "#
        ))
    }

    fn paths(&self, under: &str) -> Result<Vec<String>> {
        let ledger = self.receiver.ledger()?;
        let paths = ledger.applied().map(|entry| entry.path.clone()).filter(|path| path.starts_with(under));
        Ok(paths.collect())
    }

    /// Waits until so many different records have arrived; gives all arrivals.
    async fn arrived(&self, under: &str, count: usize) -> Result<Vec<String>> {
        eventually(&format!("{count} records under {under}"), LIMIT, || async {
            let paths = self.paths(under)?;
            let distinct: std::collections::HashSet<_> = paths.iter().collect();
            Ok::<_, anyhow::Error>((distinct.len() >= count).then_some(paths))
        })
        .await
    }

    async fn succeeds(&self, arguments: &[&str]) -> Result<String> {
        let (code, out, err) = self.bus.says(arguments).await?;
        ensure!(code == 0, "{arguments:?}: {code} {out} {err}");
        Ok(out)
    }

    async fn refused(&self, arguments: &[&str], why: &str) -> Result<()> {
        let (code, out, err) = self.bus.says(arguments).await?;
        ensure!(code != 0 && err.contains(why), "{arguments:?}: {code} {out} {err}");
        Ok(())
    }

    async fn backfill(&self, at: usize) -> Result<Value> {
        let rows: Vec<Value> = serde_json::from_str(&self.succeeds(&["backfill", "list", "--json"]).await?)?;
        rows.get(at).cloned().context("the backfill")
    }

    async fn done(&self, at: usize) -> Result<Value> {
        eventually("the backfill to be done", LIMIT, || async {
            let one = self.backfill(at).await?;
            ensure!(one["state"] != "failed", "{one}");
            Ok::<_, anyhow::Error>((one["state"] == "done").then_some(one))
        })
        .await
    }
}

async fn history_is_read_by_date_through_kills_and_beside_the_live_flow(rabbit: Option<String>) -> Result<()> {
    let mut at = Setting::start(rabbit).await?;
    at.bus.terminate(LIMIT).await?;
    at.routes(
        "[routes.new]\nstream = \"orders\"\nto = \"archive\"\nsend = { method = \"PUT\", path = \"/new/{key}\" }",
    )?;
    at.bus.crash_at("backfill.ended:3");
    at.bus.start().await?;
    for (arguments, why) in [
        (&["backfill", "plain", "--from", "2026-03-01", "--to", "2026-03-02"][..], "say date = \"COLUMN\""),
        (&["backfill", "orders", "--from", "2026-03-02", "--to", "2026-03-01"][..], "ends before it begins"),
        (&["backfill", "orders", "--from", "2020-03-02", "--to", "2026-03-01", "--step", "1m"][..], "longer"),
        (
            &["backfill", "orders", "--from", "2026-03-01", "--to", "2026-03-01", "--route", "users"][..],
            "there are old, new",
        ),
    ] {
        at.refused(arguments, why).await?;
    }

    // A step that does not get on is seen, belongs to its backfill, and can be left aside.
    at.succeeds(&["pause", "system", "archive", "--why", "переезд"]).await?;
    let order =
        ["backfill", "orders", "--from", "2026-03-01", "--to", "2026-03-10", "--route", "new", "--priority", "5"];
    let out = at.succeeds(&order).await?;
    ensure!(out.contains("10 steps"), "{out}");
    let step = eventually("the first step", LIMIT, || async {
        let step = at.backfill(0).await?["under_way"][0].clone();
        Ok::<_, anyhow::Error>((step["stage"] == "sending").then_some(step))
    })
    .await?;
    ensure!(step["kept"] == 6 && step["route"] == "new", "{step}");
    let list = at.succeeds(&["backfill", "list"]).await?;
    ensure!(
        list.contains("0 of 10 steps (0 %), from 2026-03-01 up to 2026-03-01") && list.contains("new: sending"),
        "{list}"
    );
    at.refused(&["tasks", "cancel", &step["task"].to_string()], "bus backfill cancel 1").await?;
    at.succeeds(&["backfill", "pause", "1"]).await?;
    ensure!(at.succeeds(&["tasks", "--json"]).await?.trim() == "[]", "no step without its backfill");
    at.succeeds(&["backfill", "resume", "1"]).await?;
    at.succeeds(&["resume", "system", "archive"]).await?;

    // It ends when three days are done, and goes on with the fourth; then it is killed at no particular moment.
    at.bus.wait(LIMIT).await?;
    at.bus.crash_at("");
    at.bus.start().await?;
    ensure!(at.backfill(0).await?["steps_done"].as_u64() >= Some(3), "{}", at.backfill(0).await?);
    at.arrived("/new/", 35).await?;
    at.bus.kill9();
    at.bus.start().await?;
    ensure!(at.backfill(0).await?["steps_done"].as_u64() >= Some(4), "{}", at.backfill(0).await?);
    let arrivals = at.arrived("/new/", ORDERS).await?;
    let done = at.done(0).await?;
    assert_eq!((&done["steps_done"], &done["error"]), (&10.into(), &Value::Null), "{done}");
    let day = |path: &String| (path.rsplit('/').next().unwrap().parse::<u32>().unwrap() - 100) % DAYS;
    let mut firsts: Vec<&String> = Vec::new();
    arrivals.iter().for_each(|path| {
        if !firsts.contains(&path) {
            firsts.push(path)
        }
    });
    let days: Vec<u32> = firsts.into_iter().map(day).collect();
    ensure!(days.is_sorted(), "day by day: {days:?}");
    assert_eq!(at.paths("/old/")?.len(), ORDERS, "nobody else got anything twice");

    // Everything once more, in one step, which takes 20 s; what changes meanwhile does not wait for its end.
    let text = std::fs::read_to_string(at.bus.directory().join("routes.toml"))?;
    at.bus.routes(&text.replace("40/s", "3/s"))?;
    at.succeeds(&["reload"]).await?;
    let before = at.paths("/new/")?.len();
    at.succeeds(&[
        "backfill",
        "orders",
        "--from",
        "2026-03-01",
        "--to",
        "2026-03-31",
        "--step",
        "31d",
        "--route",
        "new",
        "--again",
    ])
    .await?;
    eventually("some of it", LIMIT, || async {
        Ok::<_, anyhow::Error>((at.paths("/new/")?.len() > before + 3).then_some(()))
    })
    .await?;
    at.sql("INSERT INTO orders VALUES (7, 1, '2030-01-01', 1000)").await?;
    at.done(1).await?;
    let after = at.paths("/new/")?;
    let live = after.iter().position(|path| path == "/new/7").context("the live one")?;
    ensure!(after.len() >= before + ORDERS, "each of them again: {} of {before} and {ORDERS}", after.len());
    ensure!(after.len() - live > 5, "it went between them: {live} of {}", after.len());
    Ok(())
}

bus_tests::over_both_brokers!(history_is_read_by_date_through_kills_and_beside_the_live_flow);

#[tokio::test]
async fn what_was_pushed_is_read_from_the_archive_by_when_it_came() -> Result<()> {
    let at = Setting::start(None).await?;
    for id in 1..=3 {
        at.bus.pushed("users", &format!(r#"{{"id":{id}}}"#)).await?;
    }
    at.arrived("/users/", 3).await?;
    let day = |days: i64| (chrono::Utc::now() + chrono::Duration::days(days)).format("%Y-%m-%d").to_string();
    let (long_ago, yesterday, tomorrow) = (day(-9), day(-1), day(1));
    at.succeeds(&["backfill", "users", "--from", &long_ago, "--to", &day(-8), "--again"]).await?;
    assert_eq!(at.done(0).await?["sent"], 0, "nothing came then");
    at.succeeds(&["backfill", "users", "--from", &yesterday, "--to", &tomorrow, "--again"]).await?;
    let done = at.done(1).await?;
    assert_eq!((&done["sent"], &done["steps_done"]), (&3.into(), &3.into()), "{done}");
    assert_eq!(at.paths("/users/")?.len(), 6);
    Ok(())
}

/// A receiver that is down holds up nobody but its own backfill, through a kill, and is served when it is back.
#[tokio::test]
async fn a_step_for_a_receiver_that_is_down_steps_aside() -> Result<()> {
    let mut at = Setting::start(None).await?;
    at.bus.terminate(LIMIT).await?;
    let far = Receiver::start(&Script::default()).await?;
    far.down(None).await?;
    at.routes(&format!(
        "[systems.far]\nkind = \"http\"\nurl = \"{}\"\ntimeout = \"2s\"\n\
         [routes.far]\nstream = \"orders\"\nto = \"far\"\nsend = {{ method = \"PUT\", path = \"/far/{{key}}\" }}",
        far.url()
    ))?;
    at.bus.start().await?;
    let of = |route: &'static str, to: &'static str, priority: &'static str| {
        ["backfill", "orders", "--from", "2026-03-01", "--to", to, "--route", route, "--priority", priority, "--again"]
    };
    at.succeeds(&of("far", "2026-03-10", "5")).await?;
    at.succeeds(&of("old", "2026-03-03", "0")).await?;
    at.done(1).await?;
    let list = at.succeeds(&["backfill", "list"]).await?;
    ensure!(list.contains("0 of 10 steps") && list.contains("; aside until it can get on"), "{list}");
    // Paused is as good as down, and a restart knows of nothing but what is written down.
    at.succeeds(&["pause", "system", "far", "--why", "переезд"]).await?;
    at.bus.kill9();
    at.bus.start().await?;
    at.succeeds(&of("old", "2026-03-02", "0")).await?;
    at.done(2).await?;
    let first = at.backfill(0).await?;
    ensure!(
        first["state"] == "open" && first["steps_done"] == 0 && first["under_way"][0]["held_up"] == true,
        "{first}"
    );
    far.up().await?;
    at.succeeds(&["resume", "system", "far"]).await?;
    let done = at.done(0).await?;
    assert_eq!((&done["steps_done"], &done["sent"]), (&10.into(), &ORDERS.into()), "{done}");
    let keys: std::collections::HashSet<String> = far.ledger()?.applied().map(|entry| entry.key.clone()).collect();
    assert_eq!(keys.len(), ORDERS);
    Ok(())
}
