//! `bus preview` of each way to read a base of 1C: what is shown is what the next round would read, and nothing moves.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_simulator::{Options, Simulator};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);
const ORDERS: &str = "Document_ЗаказКлиента";

fn routes(bus: &Bus, broker: &str, url: &str) -> String {
    let mut text = format!(
        "[bus]\nlisten = \"{}\"\n{broker}\n[systems.erp]\nkind = \"1c-odata\"\nurl = \"{url}\"\n",
        bus.listen()
    );
    for (stream, entity, changes, odata) in [
        ("by-date", ORDERS, r#"{ cursor = "Date", overlap = "1h", recheck = "Sun 04:00" }"#, ""),
        ("by-version", "Catalog_Номенклатура", r#""data_version""#, r#"odata = { select = ["Description"] }"#),
        ("atom", "Catalog_Номенклатура", r#""diff""#, r#"odata = { select = ["Description"], format = "atom" }"#),
        ("whole-json", ORDERS, r#""diff""#, ""),
        ("whole-atom", ORDERS, r#""diff""#, r#"odata = { format = "atom" }"#),
    ] {
        text.push_str(&format!(
            "[streams.{stream}]\nfrom = \"erp\"\nentity = \"{entity}\"\nkey = \"Ref_Key\"\nschedule = \"200ms\"\nchanges = {changes}\n{odata}\n\
             [subscriptions.\"{stream}-all\"]\nstream = \"{stream}\"\nvia = \"http\"\nkey = {{ env = \"PULL_KEY\" }}\n"
        ));
    }
    text
}

async fn previewed(bus: &Bus, arguments: &[&str]) -> Result<Value> {
    let (code, out, err) = bus.says(&[&["preview", "--json"], arguments].concat()).await?;
    ensure!(code == 0, "{arguments:?}: {code}: {out}{err}");
    Ok(serde_json::from_str(&out)?)
}

fn bodies(preview: &Value) -> Vec<String> {
    preview["records"].as_array().unwrap().iter().map(|record| record["body"].to_string()).collect()
}

async fn standing(bus: &Bus) -> Result<String> {
    Ok(bus.says(&["cursor", "show", "by-date", "--json"]).await?.1)
}

bus_tests::over_both_brokers!(each_way_to_read_is_shown_before_the_bus_has_run_and_while_it_runs);

async fn each_way_to_read_is_shown_before_the_bus_has_run_and_while_it_runs(rabbit: Option<String>) -> Result<()> {
    let base = Simulator::start(Options { size: 30, ..Options::default() }).await?;
    let mut bus = Bus::new()?;
    bus.env("PULL_KEY", "pull-secret");
    let broker = bus.on(rabbit);
    bus.routes(&routes(&bus, broker, &base.url()))?;

    // Nothing has run: the first records, in whichever way changes are found, and the same in both formats.
    let first = previewed(&bus, &["by-date", "--records", "3"]).await?;
    assert_eq!((first["from"].as_str(), bodies(&first).len()), (Some("from the beginning"), 3));
    let [json, atom] = [previewed(&bus, &["by-version", "--raw"]).await?, previewed(&bus, &["atom", "--raw"]).await?];
    assert_eq!((bodies(&json), bodies(&json).len()), (bodies(&atom), 5));
    let heard = |preview: &Value, what: &str| preview["raw"][0][what].as_str().unwrap_or_default().to_owned();
    ensure!(
        heard(&json, "answer").contains("application/json") && heard(&json, "answer").contains("\"value\""),
        "{json}"
    );
    ensure!(heard(&atom, "request").contains("$format=atom"), "{atom}");
    ensure!(
        heard(&atom, "answer").contains("application/atom+xml") && heard(&atom, "answer").contains("<d:Description>"),
        "{atom}"
    );
    let [json, atom] = [previewed(&bus, &["whole-json"]).await?, previewed(&bus, &["whole-atom"]).await?];
    assert_eq!(bodies(&json), bodies(&atom), "documents with lines");
    ensure!(bodies(&json)[0].contains("\"LineNumber\":1"), "{json}");
    ensure!(!bus.directory().join("data").exists(), "looking left something behind");

    bus.start().await?;
    base.write(ORDERS, "", json!({ "Number": "последний", "Date": "2031-05-05T10:00:00" }))
        .map_err(anyhow::Error::msg)?;
    let before = eventually("the position is behind the last order", LIMIT, || async {
        let before = standing(&bus).await?;
        Ok::<_, anyhow::Error>(before.contains("2031-05-05").then_some(before))
    })
    .await?;
    let behind = previewed(&bus, &["by-date", "--raw"]).await?;
    ensure!(behind["from"].as_str().context("from")?.starts_with("behind the position"), "{behind}");
    // The overlap is read again, and nothing before it.
    assert_eq!(bodies(&behind).len(), 1, "{behind}");
    ensure!(bodies(&behind)[0].contains("последний"), "{behind}");
    ensure!(heard(&behind, "request").contains("2031-05-05T09:00:00"), "{behind}");
    assert_eq!(bodies(&previewed(&bus, &["by-date", "--begin"]).await?), bodies(&json));
    assert_eq!(bodies(&previewed(&bus, &["by-version", "--records", "7"]).await?).len(), 7);
    assert_eq!(standing(&bus).await?, before);
    ensure!(base.seen().iter().all(|seen| seen.method == "GET"), "looking wrote something");
    Ok(())
}
