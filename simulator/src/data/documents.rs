//! Generated documents and the register records that they have written.

use crate::value::{Guid, NO_DATE, Row, Value, decimal};

use super::generate::{HIDDEN_USER, ORDER, PARTNER, PRODUCT, RECEIPT, WAREHOUSE, World};
use super::version;

/// VAT contained in an amount, in hundredths: a sixth, rounded.
fn vat(amount: i64) -> i64 {
    (amount * 2 + 6) / 12
}

impl World {
    fn head(&self, kind: u32, at: u32, prefix: &str, posted: bool) -> Row {
        vec![
            Value::Guid(self.guid(kind, at)),
            Value::Text(version(u64::from(kind) << 8 | u64::from(at))),
            Value::Bool(false),
            Value::Text(format!("{prefix}-{:06}", at + 1)),
            Value::Date(self.date(at)),
            Value::Bool(posted),
        ]
    }

    fn is_posted(at: u32) -> bool {
        at % 7 != 3
    }

    fn warehouse(&self, at: u32) -> Value {
        Value::Guid(self.guid(WAREHOUSE, at % 3))
    }

    /// Product, quantity in hundredths, price in hundredths.
    fn lines(&self, kind: u32, at: u32) -> Vec<(u32, i64, i64)> {
        // The amounts that every captured order shows: two of 10 000 with 3333.33 of VAT.
        if kind == ORDER && at == 0 {
            return vec![(self.some_product(kind, at, 0), 200, 1_000_000)];
        }
        let lines = 1 + self.pick(kind, at, 3, 4);
        let line = |line| {
            let product = self.some_product(kind, at, line);
            let more = if kind == RECEIPT { 20 } else { 1 };
            let pieces = i64::from(1 + self.pick(kind, at, 32 + line, 20)) * more;
            (product, pieces * if line == 2 { 50 } else { 100 }, self.price(product))
        };
        (0..lines).map(line).collect()
    }

    pub(super) fn order(&self, at: u32) -> Row {
        let mut row = self.head(ORDER, at, "УТ", Self::is_posted(at));
        let mut total = 0;
        let mut lines = Vec::new();
        for (line, (product, quantity, price)) in (1u32..).zip(self.lines(ORDER, at)) {
            let amount = quantity * price / 100;
            total += amount;
            lines.push(vec![
                Value::Number(line.to_string()),
                Value::Guid(self.guid(PRODUCT, product)),
                Value::Number(decimal(quantity)),
                Value::Number(decimal(price)),
                Value::Number(decimal(amount)),
                Value::Number(decimal(vat(amount))),
                Value::Date(NO_DATE.into()),
                Value::Bool(false),
                Value::Number(line.to_string()),
            ]);
        }
        let before = at.checked_sub(1).filter(|_| at % 5 == 4);
        let before = before.map_or_else(Value::undefined, |before| {
            Value::reference("Document_ЗаказКлиента", self.guid(ORDER, before))
        });
        let address = format!(
            "<Адрес xmlns=\"http://www.v8.1c.ru/ssl/contactinfo\" Представление=\"г. Москва, д. {at}\"><Состав/></Адрес>"
        );
        row.extend([
            Value::Guid(self.guid(PARTNER, self.pick(ORDER, at, 1, self.partners))),
            self.warehouse(at),
            Value::Text(["КОбеспечению", "КОтгрузке", "Закрыт"][(at % 3) as usize].into()),
            Value::Number(decimal(total)),
            Value::Date(NO_DATE.into()),
            Value::Text(String::new()),
            before,
            Value::Any { text: self.guid(0x706f_6c00, 1).to_string(), kind: HIDDEN_USER.into() },
            Value::Text(if at.is_multiple_of(2) { address } else { String::new() }),
            Value::Text(String::new()),
            Value::Rows(lines),
        ]);
        row
    }

    pub(super) fn receipt(&self, at: u32) -> Row {
        let mut row = self.head(RECEIPT, at, "ПР", true);
        let line = |(line, (product, quantity, price)): (u32, (u32, i64, i64))| {
            vec![
                Value::Number(line.to_string()),
                Value::Guid(self.guid(PRODUCT, product)),
                Value::Number(decimal(quantity)),
                Value::Number(decimal(price * 70 / 100)),
            ]
        };
        let lines = (1u32..).zip(self.lines(RECEIPT, at)).map(line).collect();
        let supplier = Value::Guid(self.guid(PARTNER, at % self.partners));
        row.extend([supplier, self.warehouse(at), Value::Rows(lines)]);
        row
    }

    /// The records of a receipt or, behind those, of an order.
    pub(super) fn stock(&self, at: u32) -> Option<Row> {
        let (kind, document, number) = match at.checked_sub(self.receipts) {
            None => (RECEIPT, "Document_ПриобретениеТоваровУслуг", at),
            Some(order) => (ORDER, "Document_ЗаказКлиента", order),
        };
        if kind == ORDER && !Self::is_posted(number) {
            return None;
        }
        let recorder = Value::reference(document, self.guid(kind, number));
        let records = (1u32..).zip(self.lines(kind, number)).map(|(line, (product, quantity, _))| {
            let goods = Value::Guid(self.guid(PRODUCT, product));
            let direction = if kind == RECEIPT { "Receipt" } else { "Expense" };
            let date = self.date(number);
            stock_record(&recorder, line, &date, direction, goods, self.warehouse(number), decimal(quantity))
        });
        Some(vec![recorder.clone(), Value::Rows(records.collect())])
    }

    pub(super) fn state(&self, at: u32) -> Option<Row> {
        if !Self::is_posted(at) {
            return None;
        }
        let order = self.order(at);
        Some(state_of(order[0].as_guid(), order[4].as_text(), order[6].clone(), order[8].clone()))
    }
}

/// One record of stock.
pub(super) fn stock_record(
    recorder: &Value,
    line: u32,
    date: &str,
    direction: &str,
    product: Value,
    warehouse: Value,
    quantity: String,
) -> Row {
    vec![
        recorder.clone(),
        Value::Date(date.into()),
        Value::Number(line.to_string()),
        Value::Bool(true),
        Value::Text(direction.into()),
        product,
        warehouse,
        Value::Number(quantity),
    ]
}

/// The record set of an order's state.
pub(super) fn state_of(order: Guid, date: &str, partner: Value, state: Value) -> Row {
    let recorder = Value::Guid(order);
    let record =
        vec![recorder.clone(), Value::Date(date.into()), Value::Number("1".into()), Value::Bool(true), partner, state];
    vec![recorder, Value::Rows(vec![record])]
}
