//! Clients that others wrote for 1C read and write the simulator: it has the form that they expect.

use std::process::Command;

use bus_simulator::{Options, Simulator};
use bus_tests::onec::CLIENTS;
use bus_tests::servers::python;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_others_read_and_write_it() {
    let python = tokio::task::spawn_blocking(|| python("1c-clients", CLIENTS)).await.unwrap().expect("the packages");
    let simulator = Simulator::start(Options { size: 40, ..Options::default() }).await.expect("a free port");
    let server = simulator.url().replace("/trade/odata/standard.odata", "");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/onec/clients.py");
    let output = tokio::task::spawn_blocking(move || Command::new(python).arg(script).arg(server).output());
    let output = output.await.unwrap().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    let urllib = &seen["urllib"];
    assert_eq!(urllib["metadata"], true, "`$format` comes before what is accepted");
    assert_eq!(urllib["items"].as_array().unwrap().len(), 3);
    assert_eq!(urllib["items"][0]["Code"], "00-00000003");
    assert_eq!(urllib["items"][0]["Коэффициент"], "18014398509481986", "a string: no digit is lost in a float");
    assert!(urllib["blanks"].as_str().unwrap().contains("HTTP 400"), "a plus sign is no blank: {urllib}");
    assert_eq!(urllib["plain"], 30, "32 products, two of them folders");

    for form in ["json", "atom"] {
        let seen = &seen[form];
        assert_eq!(seen["sets"], simulator.base(|base| base.schema.entities.len()), "{form}");
        assert_eq!(seen["keys"], json!(["Recorder", "Recorder_Type"]), "{form}");
        assert_eq!(seen["count"], 40, "{form}");
        let orders = expected(&simulator);
        assert_eq!(texts(&seen["rows"]), orders, "{form}");
        assert!(seen["one"]["Автор_Type"].as_str().unwrap().starts_with("UnavailableEntities."), "{form}");
        assert_eq!(seen["posted"], json!([34, 5]), "{form}");
        assert_eq!(seen["missing"], json!([404, "9"]), "{form}");
        assert_eq!(seen["refused"], json!([400, "21"]), "{form}");
    }
    let line = &seen["json"]["line"];
    assert_eq!((line["СуммаНДС"].to_string().as_str(), &line["LineNumber"]), ("3333.33", &json!("1")));
    assert!(seen["json"]["stock"].as_u64().unwrap() > 10);
    assert_eq!(seen["json"]["prices"].as_u64().unwrap(), 60);
    let written = json!({ "lines": 1, "posted": true, "marked": true, "unposted": true, "left": 40 });
    assert_eq!(seen["json"]["written"], written);
}

/// Reference, number, sum and whether it is posted, of each order.
fn expected(simulator: &Simulator) -> Vec<Vec<String>> {
    simulator.base(|base| {
        let entity = base.entity("Document_ЗаказКлиента");
        let (number, sum, posted) = (entity.at("Number"), entity.at("СуммаДокумента"), entity.at("Posted"));
        let rows = base.all(entity).map(|row| {
            let posted = row[posted] == bus_simulator::value::Value::Bool(true);
            vec![
                row[0].as_guid().to_string(),
                row[number].as_text().to_owned(),
                row[sum].as_text().to_owned(),
                posted.to_string(),
            ]
        });
        rows.collect()
    })
}

/// As text: Python writes a whole number with or without its point, and Atom's booleans are text.
fn texts(rows: &Value) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| row.as_array().expect("a row").iter().map(text).collect()).collect()
}
