//! `check --connect`, `test`, `what-if` and `reload` where the source is a base of 1C.

use std::time::Duration;

use bus_simulator::{Options, Simulator};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Receiver, Script};
use serde_json::{Value, json};

use super::writer::{ORDERS, PRODUCTS};

const LIMIT: Duration = Duration::from_secs(30);

struct Setting {
    base: Simulator,
    receiver: Receiver,
    bus: Bus,
}

impl Setting {
    async fn new() -> Self {
        let base = Simulator::start(Options { size: 10, ..Options::default() }).await.unwrap();
        let receiver = Receiver::start(&Script::default()).await.unwrap();
        let setting = Self { base, receiver, bus: Bus::new().unwrap() };
        setting.bus.routes(&setting.routes()).unwrap();
        setting
    }

    fn routes(&self) -> String {
        format!(
            r#"
[bus]
listen = "{}"
[systems.erp]
kind = "1c-odata"
url = "{}"
[feeds.changes]
from = "erp"
schedule = "100ms"
# A reload may cut a question; whether 1C has heard it nobody knows.
changes = {{ exchange_plan = "ExchangePlan_ШинаДанных", node = "ШИНА", quiet = "1s" }}
[streams.orders]
from = "changes"
entity = "{ORDERS}"
key = "Ref_Key"
label = "Number"
archive = "30d"
[systems.shop]
kind = "http"
url = "{}"
[routes.orders-to-shop]
stream = "orders"
to = "shop"
when = ".DeletionMark == false"
on_delete = {{ path = "/orders/{{key}}" }}
send = {{ method = "PUT", path = "/orders/{{key}}" }}
fields = {{ number = ".Number", note = ".Комментарий", total = ".СуммаДокумента" }}
[[tests]]
name = "a sum keeps its digits"
route = "orders-to-shop"
given = '{{"Ref_Key":"g","Number":"УТ-1","Комментарий":"срочно","СуммаДокумента":3333.330,"DeletionMark":false}}'
expect = {{ method = "PUT", path = "/orders/g", body = {{ number = "УТ-1", note = "срочно", total = 3333.330 }} }}
"#,
            self.bus.listen(),
            self.base.url(),
            self.receiver.url()
        )
    }

    fn order(&self) -> String {
        let reference = self.base.base(|base| base.all(base.entity(ORDERS)).next().unwrap()[0].as_guid());
        reference.to_string()
    }

    /// Writes a note to the order, and waits until the receiver has it under this name.
    async fn arrives(&self, order: &str, note: &str, name: &str) -> Value {
        self.base.write(ORDERS, &format!("guid'{order}'"), json!({ "Комментарий": note })).unwrap();
        eventually("the note at the receiver", LIMIT, || async {
            let ledger = self.receiver.ledger()?;
            let bodies = ledger.of_key(order).filter_map(|entry| serde_json::from_str::<Value>(&entry.body).ok());
            Ok(bodies.last().filter(|body| body[name] == note))
        })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", self.bus.log().map_or_else(String::new, |log| log.tail(30))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_not_published_and_what_the_node_is() {
    let at = Setting::new().await;
    let (code, out, err) = at.bus.says(&["check", "--connect"]).await.unwrap();
    assert_eq!(code, 0, "{out}{err}");
    assert!(format!("{out}{err}").contains("received 0"), "the node's numbers: {out}{err}");
    for (good, bad, words) in [
        (format!("\"{ORDERS}\""), "\"Document_НетТакого\"".to_owned(), "Document_НетТакого"),
        ("\"ШИНА\"".to_owned(), "\"НЕТ\"".to_owned(), "ШИНА"),
        (at.base.url(), at.base.url().replace("/trade/", "/другая/"), "erp"),
    ] {
        at.bus.routes(&at.routes().replacen(&good, &bad, 1)).unwrap();
        let (code, out, err) = at.bus.says(&["check", "--connect"]).await.unwrap();
        assert!(code != 0 && format!("{out}{err}").contains(words), "{bad}: {code} {out}{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_of_a_base_is_tested_edited_and_reloaded() {
    let mut at = Setting::new().await;
    let (code, out, err) = at.bus.says(&["test"]).await.unwrap();
    assert_eq!(code, 0, "{out}{err}");
    at.bus.start().await.unwrap();
    let order = at.order();
    let body = at.arrives(&order, "раз", "note").await;
    let [total, sum] = [&body["total"], &body["sum"]].map(ToString::to_string);
    assert!(total.parse::<f64>().is_ok() && sum == "null", "{body}");

    // What the edited route would have made of it, and then does.
    let edited = at.routes().replacen("note = \".Комментарий\", total", "remark = \".Комментарий\", sum", 1);
    let (edited, _) = edited.split_once("[[tests]]").unwrap();
    std::fs::write(at.bus.directory().join("new.toml"), edited).unwrap();
    let (code, out, err) = at.bus.says(&["what-if", "new.toml", "--route", "orders-to-shop", "--json"]).await.unwrap();
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("remark") && out.contains("note") && out.contains("раз"), "{out}");
    at.bus.routes(edited).unwrap();
    let (code, out, err) = at.bus.says(&["reload"]).await.unwrap();
    assert_eq!(code, 0, "{out}{err}");
    at.arrives(&order, "два", "remark").await;

    // Another stream of the same node: what is registered from now on, and nothing of the orders again.
    let more = format!(
        "{edited}\n[streams.products]\nfrom = \"changes\"\nentity = \"{PRODUCTS}\"\nkey = \"Ref_Key\"\n[routes.products-to-shop]\n\
         stream = \"products\"\nto = \"shop\"\nsend = {{ method = \"PUT\", path = \"/products/{{key}}\" }}\n"
    );
    at.bus.routes(&more).unwrap();
    let (code, out, err) = at.bus.says(&["reload"]).await.unwrap();
    assert_eq!(code, 0, "{out}{err}");
    let product = at.base.base(|base| base.all(base.entity(PRODUCTS)).nth(5).unwrap()[0].as_guid()).to_string();
    at.base.write(PRODUCTS, &format!("guid'{product}'"), json!({ "Description": "Ёлка" })).unwrap();
    let came = || async { Ok(at.receiver.ledger()?.of_key(&product).next().is_some().then_some(())) };
    eventually("the product at the receiver", LIMIT, came).await.unwrap();
    at.arrives(&order, "три", "remark").await;
    let told = || async { Ok(at.base.base(|base| base.changes.rows(at.base.node()).is_empty()).then_some(())) };
    eventually("everything acknowledged", LIMIT, told).await.unwrap();
}
