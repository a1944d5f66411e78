//! The record of each number, from a seed: any size takes no memory, and the same seed gives the same base.

use crate::schema::Entity;
use crate::value::{Guid, NO_DATE, Row, Value, decimal};

use super::version;

pub(super) const PRODUCT: u32 = 0x6e6f_6d00;
pub(super) const PARTNER: u32 = 0x6b6f_6e00;
pub(super) const WAREHOUSE: u32 = 0x736b_6c00;
const PRICE_KIND: u32 = 0x7669_6400;
pub(super) const ORDER: u32 = 0x7a61_6b00;
pub(super) const RECEIPT: u32 = 0x7072_6900;
const NODE: u32 = 0x7572_6c00;
/// Not published.
const UNIT: u32 = 0x6564_6900;
const USER: u32 = 0x706f_6c00;

/// The type of an entity that is not published, as 1C names it.
pub(super) const HIDDEN_USER: &str = "UnavailableEntities.UnavailableEntity_7c1f9e52-40aa-4d6d-9b6e-02d5f0a9c111";

/// Odd, so multiplying by it is undone by multiplying by its inverse: references are in no order, and yet found.
const SCATTER: u64 = 0x2545_f491_4f6d;
const LOW_48: u64 = (1 << 48) - 1;

const GOODS: [&str; 8] = [
    "Кофе зерновой «Арабика»",
    "Чай чёрный, 100 пак.",
    "Вода минеральная 1,5 л",
    "Шоколад <Горький> 72%",
    "Печенье \"Юбилейное\"",
    "Сок яблочный & вишня",
    "Хлеб ржаной",
    "Ёжик мармеладный",
];
const FIRMS: [&str; 5] = ["ООО «Ромашка»", "АО \"Заря\"", "ИП Ёлкин О'Коннор", "ООО Рога & Копыта", "ПАО <Север>"];

/// How much there is of everything.
#[derive(Debug, Clone, Copy)]
pub struct World {
    seed: u64,
    pub(super) orders: u32,
    pub(super) receipts: u32,
    pub(super) products: u32,
    folders: u32,
    pub(super) partners: u32,
}

impl World {
    /// A base of that many orders; the rest in proportion.
    pub fn new(orders: u32, seed: u64) -> Self {
        let products = orders / 2 + 12;
        Self { seed, orders, receipts: orders / 5 + 4, products, folders: 2 + products / 50, partners: orders / 4 + 5 }
    }

    /// How many records a set has at first.
    pub(super) fn count(&self, entity: &str) -> u32 {
        match entity {
            "Catalog_Номенклатура" => self.products,
            "Catalog_Контрагенты" => self.partners,
            "Catalog_Склады" => 3,
            "Catalog_ВидыЦен" => 2,
            "Document_ЗаказКлиента" | "InformationRegister_СостоянияЗаказов" => self.orders,
            "Document_ПриобретениеТоваровУслуг" => self.receipts,
            "AccumulationRegister_ТоварыНаСкладах" => self.receipts + self.orders,
            "InformationRegister_ЦеныНоменклатуры" => self.products * 2,
            _ => 0,
        }
    }

    /// The generated record of that number; `None` where there is none, such as the movements of what is not posted.
    pub(super) fn record(&self, entity: &Entity, at: u32) -> Option<Row> {
        match entity.name.as_str() {
            "Catalog_Номенклатура" => Some(self.product(at)),
            "Catalog_Контрагенты" => Some(self.partner(at)),
            "Catalog_Склады" => {
                Some(self.small(WAREHOUSE, at, ["Основной", "Южный", "Северный"], "ул. Складская, 1"))
            }
            "Catalog_ВидыЦен" => Some(self.price_kind(at)),
            "Document_ЗаказКлиента" => Some(self.order(at)),
            "Document_ПриобретениеТоваровУслуг" => Some(self.receipt(at)),
            "AccumulationRegister_ТоварыНаСкладах" => self.stock(at),
            "InformationRegister_СостоянияЗаказов" => self.state(at),
            "InformationRegister_ЦеныНоменклатуры" => self.price_record(at),
            _ => None,
        }
    }

    /// The number that a record with this key would have.
    pub(super) fn locate(&self, entity: &str, key: &str) -> Option<u32> {
        let mut guids = guids(key).filter_map(|guid| self.number(guid));
        let (_, first) = guids.next()?;
        let at = match entity {
            "InformationRegister_ЦеныНоменклатуры" => {
                let (_, kind) = guids.next()?;
                first.checked_mul(2)?.checked_add(kind)?
            }
            "AccumulationRegister_ТоварыНаСкладах" if key.contains("Document_ЗаказКлиента") => {
                self.receipts.checked_add(first)?
            }
            _ => first,
        };
        (at < self.count(entity)).then_some(at)
    }

    /// The reference of the object of that kind and number.
    pub fn guid(&self, kind: u32, at: u32) -> Guid {
        let low = u128::from(u64::from(at + 1).wrapping_mul(SCATTER) & LOW_48);
        let seed = u128::from(self.seed & 0xffff);
        Guid(u128::from(kind) << 96 | seed << 80 | 0x11ec_9a5b << 48 | low)
    }

    fn number(&self, guid: Guid) -> Option<(u32, u32)> {
        let low = (guid.0 & u128::from(LOW_48)) as u64;
        let number = low.wrapping_mul(inverse(SCATTER)) & LOW_48;
        let at = u32::try_from(number.checked_sub(1)?).ok()?;
        let kind = (guid.0 >> 96) as u32;
        (self.guid(kind, at) == guid).then_some((kind, at))
    }

    /// Evenly spread over `0..below`, the same for the same place.
    pub(super) fn pick(&self, kind: u32, at: u32, field: u32, below: u32) -> u32 {
        let mut x = self.seed ^ u64::from(kind) << 32 ^ u64::from(at) << 8 ^ u64::from(field);
        // splitmix64
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % u64::from(below.max(1))) as u32
    }

    /// A day of 2026 and a time of day.
    pub(super) fn date(&self, at: u32) -> String {
        let minutes = at % (24 * 60);
        let day = at / (24 * 60) % 336;
        format!("2026-{:02}-{:02}T{:02}:{:02}:27", day / 28 + 1, day % 28 + 1, minutes / 60, minutes % 60)
    }

    fn standard(&self, kind: u32, at: u32, code: String, description: String) -> Row {
        let version = version(u64::from(kind) << 8 | u64::from(at));
        vec![
            Value::Guid(self.guid(kind, at)),
            Value::Text(version),
            Value::Bool(false),
            Value::Text(code),
            Value::Text(description),
        ]
    }

    fn product(&self, at: u32) -> Row {
        let folder = at < self.folders;
        let goods = GOODS[(at % 8) as usize];
        let name = if folder { format!("Группа {}", at + 1) } else { format!("{goods} №{at}") };
        let mut row = self.standard(PRODUCT, at, format!("00-{:08}", at + 1), name);
        let parent = if folder { Guid::EMPTY } else { self.guid(PRODUCT, at % self.folders) };
        row.extend([Value::Guid(parent), Value::Bool(folder)]);
        if folder {
            // Attributes of items do not apply to folders.
            row.extend(std::iter::repeat_n(Value::Null, 11));
            row.push(Value::Binary { base64: String::new(), kind: String::new() });
        } else {
            let barcode = if at.is_multiple_of(3) { String::new() } else { format!("46{:011}", at) };
            row.extend([
                Value::Text(format!("АРТ-{at}")),
                Value::Text(barcode),
                Value::Text(["НДС20", "НДС10", "БезНДС"][(at % 3) as usize].into()),
                Value::Guid(self.guid(UNIT, at % 4)),
                Value::Number(decimal(self.pick(PRODUCT, at, 1, 100_000).into())),
                Value::Number((u64::from(at % 4) * 9_007_199_254_740_993).to_string()),
                Value::Number((at % 365).to_string()),
                Value::Guid(if at.is_multiple_of(2) { self.guid(PARTNER, at % self.partners) } else { Guid::EMPTY }),
                self.principal(at),
                Value::Date(if at.is_multiple_of(4) { NO_DATE.into() } else { self.date(at) }),
                Value::Text(format!("<p class=\"a\">{goods} & прочее</p>")),
            ]);
            let picture = if at % 16 == 3 { ("iVBORw0KGgo=", "image/png") } else { Default::default() };
            row.push(Value::Binary { base64: picture.0.into(), kind: picture.1.into() });
        }
        row.extend([Value::Bool(false), Value::Text(String::new())]);
        let attributes = vec![
            Value::Number("1".into()),
            Value::Text("Цвет".into()),
            Value::Any { text: "красный".into(), kind: "Edm.String".into() },
        ];
        row.push(Value::Rows(if folder || !at.is_multiple_of(5) { Vec::new() } else { vec![attributes] }));
        row
    }

    fn principal(&self, at: u32) -> Value {
        match at % 4 {
            0 => Value::reference("Catalog_Контрагенты", self.guid(PARTNER, at % self.partners)),
            1 => Value::Any { text: self.guid(USER, 0).to_string(), kind: HIDDEN_USER.into() },
            _ => Value::undefined(),
        }
    }

    fn partner(&self, at: u32) -> Row {
        let firm = FIRMS[(at % 5) as usize];
        let mut row = self.standard(PARTNER, at, format!("00-{:08}", at + 1), format!("{firm} {at}"));
        row.extend([
            Value::Text(format!("{firm}, филиал {at}")),
            Value::Text(format!("77{:08}", at)),
            Value::Text("770101001".into()),
            Value::Text("ЮрЛицо".into()),
            Value::Guid(self.guid(USER, 1)),
            Value::Text(if at.is_multiple_of(2) {
                String::new()
            } else {
                "строка 1\nстрока 2\tс табуляцией".into()
            }),
            Value::Bool(false),
            Value::Text(String::new()),
        ]);
        let contact = |line: u32, kind: &str, shown: String| {
            vec![Value::Number(line.to_string()), Value::Text(kind.into()), Value::Text(shown)]
        };
        row.push(Value::Rows(vec![
            contact(1, "Телефон", format!("+7 (495) {:07}", at)),
            contact(2, "АдресЭлектроннойПочты", format!("p{at}@example.ru")),
        ]));
        row
    }

    fn small(&self, kind: u32, at: u32, names: [&str; 3], address: &str) -> Row {
        let mut row = self.standard(kind, at, format!("{:09}", at + 1), names[(at % 3) as usize].to_owned());
        row.extend([Value::Text(address.into()), Value::Bool(false), Value::Text(String::new())]);
        row
    }

    fn price_kind(&self, at: u32) -> Row {
        let name = ["Розничная", "Закупочная"][(at % 2) as usize];
        let mut row = self.standard(PRICE_KIND, at, format!("{:09}", at + 1), name.to_owned());
        row.extend([Value::Bool(at == 0), Value::Bool(true), Value::Text(name.into())]);
        row
    }

    /// In hundredths.
    pub(super) fn price(&self, product: u32) -> i64 {
        i64::from(self.pick(PRODUCT, product, 2, 500_000)) + 100
    }

    /// A product that is no folder.
    pub(super) fn some_product(&self, kind: u32, at: u32, line: u32) -> u32 {
        self.folders + self.pick(kind, at, 16 + line, self.products - self.folders)
    }

    fn price_record(&self, at: u32) -> Option<Row> {
        let (product, kind) = (at / 2, at % 2);
        if product < self.folders {
            return None;
        }
        let share = if kind == 0 { 100 } else { 70 };
        Some(vec![
            Value::Date("2026-01-01T00:00:00".into()),
            Value::Guid(self.guid(PRODUCT, product)),
            Value::Guid(self.guid(PRICE_KIND, kind)),
            Value::Number(decimal(self.price(product) * share / 100)),
            Value::Guid(self.guid(UNIT, product % 4)),
        ])
    }

    /// Nodes of the exchange plan: this base and the bus.
    pub(super) fn nodes(&self) -> Vec<Row> {
        let node = |at: u32, code: &str, name: &str| {
            let mut row = self.standard(NODE, at, code.to_owned(), name.to_owned());
            let number = || Value::Number("0".into());
            row.extend([number(), number(), Value::Date(NO_DATE.into()), Value::Bool(at == 0)]);
            row
        };
        vec![node(0, "ЦБ", "Центральная база"), node(1, "ШИНА", "Шина данных")]
    }

    /// The node that stands for the bus.
    pub fn bus_node(&self) -> Guid {
        self.guid(NODE, 1)
    }

    pub(super) fn constants(&self) -> [(&'static str, Value); 2] {
        [
            ("Constant_НаименованиеПредприятия", Value::Text("ООО «Торговый дом»".into())),
            ("Constant_ИспользоватьСкидки", Value::Bool(true)),
        ]
    }
}

/// The references that a key names, in order.
fn guids(key: &str) -> impl Iterator<Item = Guid> + '_ {
    key.split('\'').filter_map(Guid::parse)
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration.
fn inverse(odd: u64) -> u64 {
    (0..6).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Base, key_of};

    /// Every record has as many values as its entity has properties, and is found by its key.
    #[test]
    fn each_generated_record_fits_its_entity_and_is_found() {
        let base = Base::new(40, 3);
        for entity in &base.schema.entities {
            for row in base.all(entity) {
                assert_eq!(row.len(), entity.properties.len(), "{}", entity.name);
                let key = key_of(entity, &row);
                assert_eq!(base.get(entity, &key).as_ref(), Some(&row), "{} {key}", entity.name);
            }
        }
    }

    #[test]
    fn references_differ_by_seed_and_are_in_no_order() {
        let (one, other) = (World::new(10, 1), World::new(10, 2));
        assert_ne!(one.guid(ORDER, 0), other.guid(ORDER, 0));
        let guids: Vec<_> = (0..10).map(|at| one.guid(ORDER, at)).collect();
        assert!(!guids.is_sorted());
    }
}
