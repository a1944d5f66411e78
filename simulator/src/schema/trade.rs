//! A small trade base: what a shop needs of a real one, under the names that real ones use.

use super::build::{Recorder, catalog, columns, constant, document, plan, recorded, register, text};
use super::derive::{journal, with_followers};
use super::{Schema, Type};

const UNLIMITED: Type = Type::Text { length: None, fixed: false };

/// What is published of it. Users and units of measure are not, so references to them have no link.
pub fn trade() -> Schema {
    let products = catalog("Номенклатура", true)
        .with("Артикул", text(25))
        .with("ШтрихКод", Type::Text { length: Some(20), fixed: true })
        .with("СтавкаНДС", Type::Enum("СтавкиНДС"))
        .with("ЕдиницаИзмерения_Key", Type::Reference("Catalog_УпаковкиЕдиницыИзмерения"))
        .with("Вес", Type::Double)
        .with("Коэффициент", Type::Int64)
        .with("СрокГодности", Type::Int16)
        .with("Производитель_Key", Type::Reference("Catalog_Контрагенты"))
        .with("Принципал", Type::Any)
        .with("ДатаИзменения", Type::Date)
        .with("Описание", UNLIMITED)
        .with("Картинка", Type::Binary)
        .part("ДополнительныеРеквизиты", columns().with("Свойство", text(50)).with("Значение", Type::Any))
        .done();
    let partners = catalog("Контрагенты", false)
        .with("НаименованиеПолное", text(250))
        .with("ИНН", text(12))
        .with("КПП", text(9))
        .with("ЮрФизЛицо", Type::Enum("ЮрФизЛицо"))
        .with("Ответственный_Key", Type::Reference("Catalog_Пользователи"))
        .with("Комментарий", UNLIMITED)
        .part("КонтактнаяИнформация", columns().with("Тип", text(30)).with("Представление", text(250)))
        .done();
    let warehouses = catalog("Склады", false).with("Адрес", text(200)).done();
    let price_kinds = catalog("ВидыЦен", false).with("ЦенаВключаетНДС", Type::Bool).done();
    Schema {
        entities: [products, partners, warehouses, price_kinds, order(), receipt(), stock(), states(), prices()]
            .into_iter()
            .flat_map(with_followers)
            .chain([
                journal("ЗаказыКлиентов", "Document_ЗаказКлиента"),
                constant("НаименованиеПредприятия", text(100)),
                constant("ИспользоватьСкидки", Type::Bool),
                plan("ШинаДанных").done(),
            ])
            .collect(),
        enums: vec![
            ("AccumulationRecordType", &["Expense", "Receipt"]),
            ("СтавкиНДС", &["БезНДС", "НДС10", "НДС20"]),
            ("СтатусыЗаказовКлиентов", &["КОбеспечению", "КОтгрузке", "Закрыт"]),
            ("ЮрФизЛицо", &["ЮрЛицо", "ФизЛицо", "ИндивидуальныйПредприниматель"]),
        ],
    }
}

fn order() -> super::Entity {
    let lines = columns()
        .with("Номенклатура_Key", Type::Reference("Catalog_Номенклатура"))
        .with("Количество", Type::Double)
        .with("Цена", Type::Double)
        .with("Сумма", Type::Double)
        .with("СуммаНДС", Type::Double)
        .with("ДатаОтгрузки", Type::Date)
        .with("Отменено", Type::Bool)
        .with("КодСтроки", Type::Int64);
    document("ЗаказКлиента")
        .with("Контрагент_Key", Type::Reference("Catalog_Контрагенты"))
        .with("Склад_Key", Type::Reference("Catalog_Склады"))
        .with("Статус", Type::Enum("СтатусыЗаказовКлиентов"))
        .with("СуммаДокумента", Type::Double)
        .with("ЖелаемаяДатаОтгрузки", Type::Date)
        .with("НомерПоДаннымКлиента", text(40))
        .with("ДокументОснование", Type::Any)
        .with("Автор", Type::Any)
        .with("АдресДоставки", UNLIMITED)
        .with("Комментарий", UNLIMITED)
        .part("Товары", lines)
        .done()
}

fn receipt() -> super::Entity {
    let lines = columns()
        .with("Номенклатура_Key", Type::Reference("Catalog_Номенклатура"))
        .with("Количество", Type::Double)
        .with("Цена", Type::Double);
    document("ПриобретениеТоваровУслуг")
        .with("Контрагент_Key", Type::Reference("Catalog_Контрагенты"))
        .with("Склад_Key", Type::Reference("Catalog_Склады"))
        .part("Товары", lines)
        .done()
}

/// Two documents write it, so its recorder is a string with a type.
fn stock() -> super::Entity {
    let columns = columns()
        .with("Номенклатура_Key", Type::Reference("Catalog_Номенклатура"))
        .with("Склад_Key", Type::Reference("Catalog_Склады"))
        .with("ВНаличии", Type::Double);
    recorded("AccumulationRegister_ТоварыНаСкладах", &Recorder::Several, true, columns)
        .totals(&["Номенклатура_Key", "Склад_Key"], &["ВНаличии"])
        .done()
}

/// One document writes it, so its recorder is a reference.
fn states() -> super::Entity {
    let columns = columns()
        .with("Контрагент_Key", Type::Reference("Catalog_Контрагенты"))
        .with("Состояние", Type::Enum("СтатусыЗаказовКлиентов"));
    let document = Recorder::One("Document_ЗаказКлиента");
    recorded("InformationRegister_СостоянияЗаказов", &document, false, columns).done()
}

fn prices() -> super::Entity {
    register("ЦеныНоменклатуры", true)
        .dimension("Номенклатура_Key", Type::Reference("Catalog_Номенклатура"))
        .dimension("ВидЦены_Key", Type::Reference("Catalog_ВидыЦен"))
        .with("Цена", Type::Double)
        .with("Упаковка_Key", Type::Reference("Catalog_УпаковкиЕдиницыИзмерения"))
        .done()
}
