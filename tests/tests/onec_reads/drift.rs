//! 1C changes its configuration while it is read: noticed before a record without the field has left, with who reads it.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use bus_simulator::{Faults, Options, Reshape, Simulator};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Receiver, Script};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(30);
const PRODUCTS: &str = "Catalog_Номенклатура";

struct Setting {
    bus: Bus,
    receiver: Receiver,
    simulator: Simulator,
}

async fn setting(rabbit: Option<String>) -> Result<Setting> {
    let simulator = Simulator::start(Options { size: 10, ..Options::default() }).await?;
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
        [systems.shop]
        kind = "http"
        url = "{}"
        timeout = "2s"
        [streams."товары"]
        from = "erp"
        entity = "{PRODUCTS}"
        key = "Ref_Key"
        schedule = "200ms"
        changes = "diff"
        [streams.partners]
        from = "erp"
        entity = "Catalog_Контрагенты"
        key = "Ref_Key"
        schedule = "200ms"
        changes = "diff"
        [routes.products-to-shop]
        stream = "товары"
        to = "shop"
        send = {{ method = "PUT", path = "/products/{{key}}" }}
        when = '.IsFolder == false'
        transform = '. = {{ "sku": ."Артикул", "name": .Description }}'
        [routes.partners-to-shop]
        stream = "partners"
        to = "shop"
        send = {{ method = "PUT", path = "/partners/{{key}}" }}
        fields = {{ inn = ".ИНН" }}
        "#,
        bus.listen(),
        simulator.url(),
        receiver.url(),
    ))?;
    Ok(Setting { bus, receiver, simulator })
}

impl Setting {
    fn bodies(&self, of: &str) -> Result<Vec<String>> {
        let ledger = self.receiver.ledger()?;
        Ok(ledger.applied().filter(|entry| entry.path.starts_with(of)).map(|entry| entry.body.clone()).collect())
    }

    async fn arrives(&self, of: &str, text: &str) -> Result<()> {
        eventually(&format!("{text} at {of}"), LIMIT, || async {
            Ok::<_, anyhow::Error>(self.bodies(of)?.iter().any(|body| body.contains(text)).then_some(()))
        })
        .await
    }

    async fn incidents(&self) -> Result<String> {
        let (code, out, err) = self.bus.says(&["incidents", "--json"]).await?;
        ensure!(code == 0, "{out}{err}");
        Ok(out)
    }

    async fn told(&self, text: &str) -> Result<String> {
        eventually(&format!("an incident that says {text}"), LIMIT, || async {
            let all = self.incidents().await?;
            Ok::<_, anyhow::Error>(all.contains(text).then_some(all))
        })
        .await
    }

    fn rename(&self, attribute: &str, to: &str) {
        let change = Reshape {
            set: PRODUCTS.into(),
            attribute: attribute.into(),
            rename: Some(to.into()),
            ..Reshape::default()
        };
        self.simulator.reshape(&change).unwrap();
    }

    fn becomes(&self, attribute: &str, kind: &str) {
        let change = Reshape {
            set: PRODUCTS.into(),
            attribute: attribute.into(),
            becomes: Some(kind.into()),
            ..Reshape::default()
        };
        self.simulator.reshape(&change).unwrap();
    }

    /// How often the base was asked what it publishes.
    fn described(&self) -> usize {
        self.simulator.seen().iter().filter(|seen| seen.path == "$metadata").count()
    }

    /// What was published before may still arrive.
    fn nothing_without_a_number(&self) -> Result<()> {
        let bodies = self.bodies("/products/")?;
        ensure!(!bodies.iter().any(|body| body.contains("null") || body.contains("Какао")), "{bodies:?}");
        Ok(())
    }

    fn product(&self, name: &str) -> Result<String> {
        let values = json!({ "Description": name, "Артикул": "А-1", "АртикулПоставщика": "А-1" });
        self.simulator.write(PRODUCTS, "", values).map_err(anyhow::Error::msg)
    }

    fn partner(&self, inn: &str) -> Result<()> {
        self.simulator.write("Catalog_Контрагенты", "", json!({ "ИНН": inn })).map(drop).map_err(anyhow::Error::msg)
    }
}

bus_tests::over_both_brokers!(a_field_that_is_gone_stops_who_reads_it_before_a_record_without_it_leaves);

async fn a_field_that_is_gone_stops_who_reads_it_before_a_record_without_it_leaves(
    rabbit: Option<String>,
) -> Result<()> {
    let mut at = setting(rabbit).await?;
    at.bus.start().await?;
    at.product("Чай")?;
    at.arrives("/products/", "Чай").await?;
    ensure!(at.bus.directory().join("data/bus.db.metadata/erp.xml").exists(), "not kept");

    // Nobody reads it: 1C is asked again, and everything goes on.
    let asked = at.described();
    at.rename("СрокГодности", "СрокХранения");
    eventually("1C to be asked again", LIMIT, || async {
        Ok::<_, anyhow::Error>((at.described() > asked).then_some(()))
    })
    .await?;
    at.product("Кофе")?;
    at.arrives("/products/", "Кофе").await?;
    ensure!(!at.incidents().await?.contains("schema-drift"), "{}", at.incidents().await?);

    // A route's program reads this one. A new process goes on with what an earlier one knew.
    at.bus.kill9();
    let asked = at.described();
    at.rename("Артикул", "АртикулПоставщика");
    at.product("Какао")?;
    at.bus.start().await?;
    let told = at.told("schema-drift").await?;
    let expected = "Catalog_Номенклатура: Артикул (text) is gone (stream товары, read by route products-to-shop)";
    ensure!(told.contains(expected) && told.contains("bus accept-source товары"), "{told}");
    assert_eq!(at.described(), asked + 1, "from the disk first, then by the first record that did not fit");
    // Other feeds of the base go on, and nothing of this one has left.
    at.partner("7712345678")?;
    at.arrives("/partners/", "7712345678").await?;
    at.nothing_without_a_number()?;

    // It stays so until a person has agreed.
    at.bus.kill9();
    at.bus.start().await?;
    at.told("schema-drift").await?;
    at.partner("7700000000")?;
    at.arrives("/partners/", "7700000000").await?;
    at.nothing_without_a_number()?;
    let (code, _, err) = at.bus.says(&["accept-source", "товары"]).await?;
    ensure!(code == 0, "{err}");
    at.arrives("/products/", r#"{"name":"Какао","sku":null}"#).await?;
    eventually("the incident to be over", LIMIT, || async {
        Ok::<_, anyhow::Error>((!at.incidents().await?.contains("schema-drift")).then_some(()))
    })
    .await?;
    Ok(())
}

/// A number where a text was declared, in the first record that has one; a date looks like a text, and is asked for when the base was closed.
#[tokio::test]
async fn another_type_is_noticed_by_its_values_and_when_the_base_was_closed() -> Result<()> {
    let mut at = setting(None).await?;
    at.bus.start().await?;
    at.product("Чай")?;
    at.arrives("/products/", "Чай").await?;
    let asked = at.described();
    at.becomes("Артикул", "number");
    let values = json!({ "Description": "Какао", "Артикул": 7.5 });
    at.simulator.write(PRODUCTS, "", values).map_err(anyhow::Error::msg)?;
    at.told("Артикул was text and is number (stream товары, read by route products-to-shop)").await?;
    ensure!(!at.bodies("/products/")?.iter().any(|body| body.contains("Какао")), "{:?}", at.bodies("/products/")?);
    assert_eq!(at.described(), asked + 1);
    let (code, _, err) = at.bus.says(&["accept-source", "товары"]).await?;
    ensure!(code == 0, "{err}");
    at.arrives("/products/", r#"{"name":"Какао","sku":7.5}"#).await?;

    let inn =
        Reshape { set: "Catalog_Контрагенты".into(), attribute: "ИНН".into(), ..Reshape::default() };
    at.simulator.set_faults(Faults { maintenance: true, ..Faults::default() });
    at.told("source-maintenance").await?;
    let date = Reshape { becomes: Some("date".into()), ..inn };
    at.simulator.reshape(&date).unwrap();
    at.simulator.set_faults(Faults::default());
    at.told("ИНН was text and is date (stream partners, read by route partners-to-shop)").await?;
    Ok(())
}

#[tokio::test]
async fn another_type_is_noticed_when_the_hour_is_over_and_what_is_published_no_more_at_once() -> Result<()> {
    let mut at = setting(None).await?;
    at.bus.start().await?;
    at.product("Чай")?;
    at.arrives("/products/", "Чай").await?;
    at.bus.kill9();
    let change = Reshape {
        set: PRODUCTS.into(),
        attribute: "Артикул".into(),
        becomes: Some("number".into()),
        ..Reshape::default()
    };
    at.simulator.reshape(&change).unwrap();
    // What was read more than an hour ago is asked for again.
    let kept = std::fs::File::options().write(true).open(at.bus.directory().join("data/bus.db.metadata/erp.xml"))?;
    kept.set_modified(SystemTime::now() - Duration::from_secs(3700))?;
    at.bus.start().await?;
    at.told("Артикул was text and is number (stream товары, read by route products-to-shop)").await?;
    // Put back, it goes on by itself, once it is asked again: a list that fails is a reason to.
    let change = Reshape { becomes: Some("text".into()), ..change };
    at.simulator.reshape(&change).unwrap();
    let gone = Reshape { set: "Catalog_Контрагенты".into(), unpublish: true, ..Reshape::default() };
    at.simulator.reshape(&gone).unwrap();
    at.told("Catalog_Контрагенты is not published any more (stream partners, read by route partners-to-shop)").await?;
    at.product("Кофе")?;
    at.arrives("/products/", "Кофе").await?;
    Ok(())
}
