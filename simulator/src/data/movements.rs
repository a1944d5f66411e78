//! What posting a document writes to the registers, and what undoing it takes away.

use crate::schema::Entity;
use crate::value::{Row, Value};

use super::documents::{state_of, stock_record};
use super::{Base, key_of};

const STOCK: &str = "AccumulationRegister_ТоварыНаСкладах";
const STATES: &str = "InformationRegister_СостоянияЗаказов";

impl Base {
    /// Writes the document's records if it is posted, and empties its record sets if it is not.
    pub fn move_stock(&mut self, name: &str, row: &Row) {
        let entity = self.entity(name).clone();
        let (Some((posted, _)), Some((goods, _))) = (entity.property("Posted"), entity.property("Товары")) else {
            return;
        };
        let posted = row[posted] == Value::Bool(true);
        let recorder = Value::reference(name, row[0].as_guid());
        let records = if posted { records(&entity, row, &recorder, row[goods].rows()) } else { Vec::new() };
        self.replace(STOCK, vec![recorder, Value::Rows(records)]);
        if name == "Document_ЗаказКлиента" {
            let at = |name| row[entity.at(name)].clone();
            let mut state = state_of(row[0].as_guid(), at("Date").as_text(), at("Контрагент_Key"), at("Статус"));
            if !posted {
                state[1] = Value::Rows(Vec::new());
            }
            self.replace(STATES, state);
        }
    }

    /// A record set; an empty one is none, and its change is noted either way.
    fn replace(&mut self, register: &str, set: Row) {
        let key = key_of(self.entity(register), &set);
        if set[1].rows().is_empty() {
            self.remove(register, &key);
        } else {
            self.write(register, set);
        }
    }
}

fn records(entity: &Entity, row: &Row, recorder: &Value, lines: &[Row]) -> Vec<Row> {
    let (date, warehouse) = (row[entity.at("Date")].as_text(), &row[entity.at("Склад_Key")]);
    let direction = if entity.name == "Document_ЗаказКлиента" { "Expense" } else { "Receipt" };
    let record = |(number, line): (u32, &Row)| {
        let quantity = line[2].as_text().to_owned();
        stock_record(recorder, number, date, direction, line[1].clone(), warehouse.clone(), quantity)
    };
    (1u32..).zip(lines).map(record).collect()
}
