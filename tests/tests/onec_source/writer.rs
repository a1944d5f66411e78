//! People at work in the base: orders come, change and go, all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bus_simulator::Simulator;
use fastrand::Rng;
use serde_json::json;
use tokio::task::JoinHandle;

pub const ORDERS: &str = "Document_ЗаказКлиента";
pub const PRODUCTS: &str = "Catalog_Номенклатура";
pub const MOVES: &str = "AccumulationRegister_ТоварыНаСкладах";

/// Between two changes: a few of them fall between any two steps of the bus.
const PAUSE: Duration = Duration::from_millis(25);

/// Works until it is stopped.
pub struct Writer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Writer {
    pub fn start(simulator: Arc<Simulator>, numbers: Arc<AtomicU64>, mut rng: Rng) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                change(&simulator, &numbers, &mut rng);
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { stop, task }
    }

    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

/// A new order, which nobody touches again: if the bus misses its one registration, nothing brings it back.
pub fn order(simulator: &Simulator, numbers: &AtomicU64) -> String {
    let number = numbers.fetch_add(1, Ordering::Relaxed).to_string();
    let (partner, warehouse) = simulator.base(|base| {
        let entity = base.entity(ORDERS).clone();
        let row = base.all(&entity).next().unwrap();
        ["Контрагент_Key", "Склад_Key"].map(|name| row[entity.at(name)].as_guid().to_string()).into()
    });
    let order = json!({
        "Комментарий": number, "Number": "новый", "Date": "2026-11-22T10:00:00", "Контрагент_Key": partner, "Склад_Key": warehouse,
    });
    simulator.write(ORDERS, "", order).unwrap()
}

fn change(simulator: &Simulator, numbers: &AtomicU64, rng: &mut Rng) {
    let number = || numbers.fetch_add(1, Ordering::Relaxed).to_string();
    match rng.u8(..10) {
        0..=2 => drop(order(simulator, numbers)),
        3..=6 => {
            if let Some(key) = some(simulator, ORDERS, "Number", rng) {
                simulator.write(ORDERS, &key, json!({ "Комментарий": number() })).unwrap();
            }
        }
        7 => {
            if let Some(key) = some(simulator, PRODUCTS, "Code", rng) {
                simulator.write(PRODUCTS, &key, json!({ "Description": number() })).unwrap();
            }
        }
        _ => {
            // Deleted for good, with what a posted one had written to the register.
            let set = if rng.u8(..4) == 0 { PRODUCTS } else { ORDERS };
            if let Some(key) = some(simulator, set, "DataVersion", rng) {
                simulator.base(|base| base.erase(set, &key));
            }
        }
    }
}

/// The key of any record but the first, which the new ones are made after, and those that are written once.
fn some(simulator: &Simulator, set: &str, by: &str, rng: &mut Rng) -> Option<String> {
    simulator.base(|base| {
        let entity = base.entity(set).clone();
        let at = entity.at(by);
        let rows: Vec<_> = base.all(&entity).skip(1).filter(|row| row[at].as_text() != "новый").collect();
        let row = rng.choice(&rows)?;
        Some(format!("guid'{}'", row[0].as_guid()))
    })
}
