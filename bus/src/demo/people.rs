//! What people do in the demo's base: orders come, change, are posted and deleted; goods arrive; names and prices change.

use anyhow::anyhow;
use bus_simulator::Simulator;
use bus_simulator::data::key_of;
use bus_simulator::value::{Row, Value};
use serde_json::json;

/// What the exchange plan registers.
pub const ORDERS: &str = "Document_ЗаказКлиента";
pub const PRODUCTS: &str = "Catalog_Номенклатура";
/// What is read as a whole.
pub const PRICES: &str = "InformationRegister_ЦеныНоменклатуры";
const RECEIPTS: &str = "Document_ПриобретениеТоваровУслуг";
const NAMES: [&str; 6] =
    ["Чай «Байховый»", "Кофе молотый", "Вода «Родник»", "Ёлочная игрушка", "Печенье & вафли", "Сок томатный 1 л"];

/// One piece of work.
pub fn work(simulator: &Simulator) -> anyhow::Result<()> {
    let write = |set: &str, key: &str, values| simulator.write(set, key, values).map_err(|why| anyhow!("{set}: {why}"));
    match fastrand::u8(0..12) {
        0..=3 => drop(write(ORDERS, "", document(simulator, true)?)?),
        4..=6 => drop(write(ORDERS, &any(simulator, ORDERS)?.0, json!({ "СуммаДокумента": money()? }))?),
        7 => {
            let (key, row) = any(simulator, ORDERS)?;
            let posted = simulator.base(|base| row[base.entity(ORDERS).at("Posted")] == Value::Bool(true));
            drop(write(ORDERS, &key, json!({ "Posted": !posted }))?);
        }
        8 => {
            let name = format!("{} №{}", NAMES[fastrand::usize(..NAMES.len())], fastrand::u16(1..999));
            drop(write(PRODUCTS, &any(simulator, PRODUCTS)?.0, json!({ "Description": name }))?);
        }
        9 => drop(write(PRICES, &any(simulator, PRICES)?.0, json!({ "Цена": money()? }))?),
        10 => drop(write(RECEIPTS, "", document(simulator, false)?)?),
        _ => {
            let (key, _) = any(simulator, ORDERS)?;
            simulator.base(|base| base.erase(ORDERS, &key));
        }
    }
    Ok(())
}

/// A new document with some lines; most are posted.
fn document(simulator: &Simulator, order: bool) -> anyhow::Result<serde_json::Value> {
    let (_, first) = any(simulator, RECEIPTS)?;
    let (partner, warehouse) = simulator.base(|base| {
        let entity = base.entity(RECEIPTS);
        let text = |name| first[entity.at(name)].as_guid().to_string();
        (text("Контрагент_Key"), text("Склад_Key"))
    });
    let mut lines = Vec::new();
    for number in 1..=fastrand::u8(1..=3) {
        let (_, product) = any(simulator, PRODUCTS)?;
        let quantity = fastrand::u8(1..20);
        lines.push(json!({
            "LineNumber": number, "Номенклатура_Key": product[0].as_guid().to_string(), "Количество": quantity, "Цена": money()?,
        }));
    }
    let mut document = json!({
        "Number": format!("УТ-{:06}", fastrand::u32(1_000..1_000_000)), "Date": "2026-11-22T10:00:00", "Контрагент_Key": partner,
        "Склад_Key": warehouse, "Posted": fastrand::u8(0..5) > 0, "Товары": lines,
    });
    if order {
        document["СуммаДокумента"] = money()?;
    }
    Ok(document)
}

/// Any record of a set, with its key; of products, one that is no folder.
fn any(simulator: &Simulator, set: &str) -> anyhow::Result<(String, Row)> {
    simulator.base(|base| {
        let entity = base.entity(set);
        let folder = entity.property("IsFolder").map(|(at, _)| at);
        let rows: Vec<Row> =
            base.all(entity).filter(|row| folder.is_none_or(|at| row[at] != Value::Bool(true))).collect();
        let row = fastrand::choice(&rows).ok_or_else(|| anyhow!("{set} is empty"))?;
        Ok((key_of(entity, row), row.clone()))
    })
}

/// An amount with its kopecks, never by way of a binary fraction.
fn money() -> anyhow::Result<serde_json::Value> {
    Ok(serde_json::from_str(&format!("{}.{:02}", fastrand::u32(10..10_000), fastrand::u8(..100)))?)
}
