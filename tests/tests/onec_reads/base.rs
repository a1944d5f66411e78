//! A base of 1C from the outside: what it publishes, written as a configuration; and which base it is.

use std::time::Duration;

use anyhow::{Result, ensure};
use bus_simulator::{Options, Simulator, Write};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Receiver, Script};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);
const ORDERS: &str = "Document_ЗаказКлиента";

#[tokio::test]
async fn what_a_base_publishes_becomes_a_configuration_that_runs() -> Result<()> {
    let user = Some(("шина".to_owned(), "секрет-1с".to_owned()));
    let simulator = Simulator::start(Options { size: 10, user, ..Options::default() }).await?;
    let mut bus = Bus::new()?;
    bus.env("ERP_PASSWORD", "секрет-1с");
    bus.env("PULL_KEY", "pull-secret");
    let url = simulator.url();
    let from = ["init", "--from-1c", &url, "--user", "шина"];
    let (code, out, err) = bus.says(&[&from[..], &["--count"]].concat()).await?;
    ensure!(code == 0, "{err}");
    for expected in [
        "Catalog\n",
        "  Catalog_Номенклатура  Справочник.Номенклатура  ",
        "  Document_ЗаказКлиента  Документ.ЗаказКлиента  10 records\n",
        "РегистрНакопления.ТоварыНаСкладах",
        "with Balance, BalanceAndTurnovers, Turnovers",
        "Константа.НаименованиеПредприятия",
        "ПланОбмена.ШинаДанных",
    ] {
        ensure!(out.contains(expected), "{expected}\n{out}");
    }
    for absent in ["_RecordType", "ЗаказКлиента_Товары", "секрет"] {
        ensure!(!out.contains(absent), "{absent}\n{out}");
    }
    let only = [
        "--only",
        "документ.заказ*",
        "--only",
        "Catalog_Склады",
        "--only",
        "РегистрНакопления.*",
        "--only",
        "Константа.*",
    ];
    let file = ["--out", "erp.toml"];
    let (code, out, err) = bus.says(&[&from[..], &only, &file].concat()).await?;
    ensure!(code == 0 && out.is_empty(), "{out}{err}");
    let written = std::fs::read_to_string(bus.directory().join("erp.toml"))?;
    ensure!(!written.contains("секрет") && written.contains("password = { env = \"ERP_PASSWORD\" }"), "{written}");
    let (code, out, err) = bus.says(&["check", "erp.toml"]).await?;
    ensure!(code == 0, "{out}{err}\n{written}");
    // Nothing is ever overwritten.
    let (code, _, err) = bus.says(&[&from[..], &only, &file].concat()).await?;
    ensure!(code != 0 && err.contains("nothing is ever overwritten"), "{code} {err}");
    assert_eq!(std::fs::read_to_string(bus.directory().join("erp.toml"))?, written);

    bus.routes(&format!("include = [\"erp.toml\"]\n[bus]\nlisten = \"{}\"\n", bus.listen()))?;
    let (code, out, err) = bus.says(&["check", "--connect"]).await?;
    ensure!(code == 0, "{out}{err}\n{written}");
    bus.start().await?;
    for (stream, key) in [("ЗаказКлиента", "Number"), ("Склады", "Адрес"), ("ТоварыНаСкладах", "RecordSet")]
    {
        eventually(&format!("records of {stream}"), LIMIT, || async {
            let (_, out, _) = bus.says(&["pull", &format!("{stream}-all")]).await?;
            let first = out.lines().next().and_then(|line| serde_json::from_str::<Value>(line).ok());
            Ok::<_, anyhow::Error>(first.is_some_and(|first| first.to_string().contains(key)).then_some(()))
        })
        .await?;
    }

    let (code, _, err) = bus.says(&[&from[..], &["--only", "Документ.Нет"]].concat()).await?;
    ensure!(code == 69 && err.contains("nothing that the base publishes fits"), "{code} {err}");
    bus.env("ERP_PASSWORD", "другой");
    let (code, _, err) = bus.says(&from).await?;
    ensure!(code == 69 && err.contains("401"), "{code} {err}");
    Ok(())
}

struct Setting {
    bus: Bus,
    receiver: Receiver,
}

impl Setting {
    async fn incidents(&self) -> Result<String> {
        Ok(self.bus.says(&["incidents", "--json"]).await?.1)
    }

    async fn until(&self, changed: bool) -> Result<String> {
        eventually(&format!("source-changed open: {changed}"), LIMIT, || async {
            let all = self.incidents().await?;
            Ok::<_, anyhow::Error>((all.contains("source-changed") == changed).then_some(all))
        })
        .await
    }

    async fn arrives(&self, text: &str) -> Result<()> {
        eventually(text, LIMIT, || async {
            let ledger = self.receiver.ledger()?;
            Ok::<_, anyhow::Error>(ledger.applied().any(|entry| entry.body.contains(text)).then_some(()))
        })
        .await
    }
}

async fn reads(simulator: &Simulator, identity: &str, rabbit: Option<String>) -> Result<Setting> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    let broker = bus.on(rabbit);
    bus.routes(&format!(
        r#"
        [bus]
        listen = "{}"
        {broker}
        [systems.erp]
        kind = "1c-odata"
        url = "{}"
        {identity}
        [systems.shop]
        kind = "http"
        url = "{}"
        timeout = "2s"
        [streams.orders]
        from = "erp"
        entity = "Документ.ЗаказКлиента"
        key = "Ref_Key"
        schedule = "200ms"
        changes = "diff"
        [routes.orders-to-shop]
        stream = "orders"
        to = "shop"
        send = {{ method = "PUT", path = "/orders/{{key}}" }}
        fields = {{ number = ".Number", note = '."Комментарий"' }}
        "#,
        bus.listen(),
        simulator.url(),
        receiver.url(),
    ))?;
    Ok(Setting { bus, receiver })
}

/// The reference within a key.
fn guid(key: &str) -> &str {
    key.split('\'').nth(1).unwrap_or(key)
}

fn order(simulator: &Simulator, note: &str) -> Result<String> {
    let values = json!({ "Number": note, "Date": "2026-11-23T10:00:00", "Комментарий": note });
    simulator.write(ORDERS, "", values).map_err(anyhow::Error::msg)
}

bus_tests::over_both_brokers!(a_base_from_an_earlier_day_stops_the_feed_until_a_person_agrees);

async fn a_base_from_an_earlier_day_stops_the_feed_until_a_person_agrees(rabbit: Option<String>) -> Result<()> {
    let simulator = Simulator::start(Options { size: 4, ..Options::default() }).await?;
    let mut at = reads(&simulator, "", rabbit).await?;
    at.bus.start().await?;
    let entered: Vec<String> = (1..=6).map(|n| order(&simulator, &format!("сегодня-{n}"))).collect::<Result<_>>()?;
    at.arrives("сегодня-6").await?;
    // The newest documents are remembered when the base is asked which one it is: at the start, and after failures.
    at.bus.kill9();
    at.bus.start().await?;
    let file = at.bus.directory().join("data/bus.db.metadata/orders.witness.json");
    eventually("the newest order is remembered", LIMIT, || async {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        Ok::<_, anyhow::Error>(text.contains(guid(&entered[5])).then_some(()))
    })
    .await?;
    at.bus.kill9();
    // One that was cleaned away is none; a base without the day is another.
    let erase = |key: &String| {
        let order = Write { set: ORDERS.into(), key: key.clone(), ..Write::default() };
        simulator.base(|base| order.run(base, "delete"))
    };
    erase(&entered[0]).map_err(anyhow::Error::msg)?;
    at.bus.start().await?;
    order(&simulator, "после-уборки")?;
    at.arrives("после-уборки").await?;
    ensure!(!at.incidents().await?.contains("source-changed"), "{}", at.incidents().await?);
    at.bus.kill9();
    for key in &entered[1..] {
        erase(key).map_err(anyhow::Error::msg)?;
    }
    order(&simulator, "из-копии")?;
    at.bus.start().await?;
    let told = at.until(true).await?;
    ensure!(told.contains("a backup was restored") && told.contains("bus accept-source orders"), "{told}");
    let sent = at.receiver.ledger()?.applied().count();
    ensure!(at.receiver.ledger()?.applied().all(|entry| !entry.body.contains("из-копии")), "it was read");
    assert_eq!(at.receiver.ledger()?.applied().count(), sent);
    let (code, _, err) = at.bus.says(&["accept-source", "orders"]).await?;
    ensure!(code == 0, "{err}");
    at.until(false).await?;
    at.arrives("из-копии").await?;
    Ok(())
}

bus_tests::over_both_brokers!(a_copy_is_told_by_the_constant_that_copies_have_changed);

async fn a_copy_is_told_by_the_constant_that_copies_have_changed(rabbit: Option<String>) -> Result<()> {
    let simulator = Simulator::start(Options { size: 4, ..Options::default() }).await?;
    let mut at = reads(&simulator, r#"identity = "Константа.НаименованиеПредприятия""#, rabbit).await?;
    let key = simulator.base(|base| {
        let entity = base.entity("Constant_НаименованиеПредприятия").clone();
        let row = base.all(&entity).next().unwrap();
        bus_simulator::data::key_of(&entity, &row)
    });
    let name = |value: &str| {
        let values = json!({ "Value": value });
        simulator.write("Constant_НаименованиеПредприятия", &key, values).map(drop).map_err(anyhow::Error::msg)
    };
    name("")?;
    at.bus.start().await?;
    eventually("an empty constant tells nothing", LIMIT, || async {
        let all = at.incidents().await?;
        Ok::<_, anyhow::Error>(all.contains("is empty, so it tells no base from another").then_some(()))
    })
    .await?;
    name("Рабочая база")?;
    order(&simulator, "из-базы")?;
    at.arrives("из-базы").await?;
    at.bus.kill9();
    name("Копия для опытов")?;
    order(&simulator, "из-копии")?;
    at.bus.start().await?;
    let told = at.until(true).await?;
    ensure!(told.contains("another base answers") && !told.contains("опытов"), "{told}");
    ensure!(at.receiver.ledger()?.applied().all(|entry| !entry.body.contains("из-копии")), "it was read");
    Ok(())
}

bus_tests::over_both_brokers!(versions_find_changes_and_deletions);

async fn versions_find_changes_and_deletions(rabbit: Option<String>) -> Result<()> {
    let simulator = Simulator::start(Options { size: 12, ..Options::default() }).await?;
    let mut at = reads(&simulator, "", rabbit).await?;
    let routes = std::fs::read_to_string(at.bus.directory().join("routes.toml"))?;
    let routes = routes.replace("changes = \"diff\"", "changes = \"data_version\"");
    at.bus.routes(
        &routes.replace("fields =", "on_delete = { method = \"DELETE\", path = \"/orders/{key}\" }\nfields ="),
    )?;
    at.bus.start().await?;
    let first = order(&simulator, "первый")?;
    order(&simulator, "второй")?;
    at.arrives("первый").await?;
    at.arrives("второй").await?;
    simulator.write(ORDERS, &first, json!({ "Комментарий": "исправлен" })).map_err(anyhow::Error::msg)?;
    at.arrives("исправлен").await?;
    let gone = Write { set: ORDERS.into(), key: first.clone(), ..Write::default() };
    simulator.base(|base| gone.run(base, "delete")).map_err(anyhow::Error::msg)?;
    eventually("the deletion", LIMIT, || async {
        let deleted =
            |entry: &bus_tests::receiver::Entry| entry.method == "DELETE" && entry.path.ends_with(guid(&first));
        Ok::<_, anyhow::Error>(at.receiver.ledger()?.applied().any(deleted).then_some(()))
    })
    .await?;
    // Nothing was sent twice, and the others were not read again and again.
    let sent = at.receiver.ledger()?.applied().filter(|entry| entry.method == "PUT").count();
    assert_eq!(sent, 15);
    Ok(())
}
