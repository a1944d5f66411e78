//! The simulator of 1C has 1C's form: bytes, traps, change tables, sessions, faults.

mod behaviour;
mod forms;
mod reading;

use bus_simulator::{Faults, Mode, Options, Pool, Simulator};
use bus_tests::onec::{Client, encode};
use serde_json::{Value, json};
use std::time::Duration;

async fn started() -> (Simulator, Client) {
    let simulator = Simulator::start(Options::default()).await.expect("a free port");
    let client = Client::new(simulator.url(), simulator.node().to_string());
    (simulator, client)
}

const ORDERS: &str = "Document_ЗаказКлиента";
const PRODUCTS: &str = "Catalog_Номенклатура";
