//! The document that every benchmark carries: an order with three lines, about 800 bytes, half of it Cyrillic.

use std::fmt::Write;

/// A program as operators write them: rename, trim, change case, and the same for each line.
pub(super) const TRANSFORM: &str = r#"
. = {
  "number": strip_whitespace!(."Номер"),
  "date": ."Дата",
  "customer": upcase!(."Клиент"),
  "total": ."Сумма",
  "lines": map_values(array!(."Товары")) -> |line| {
    { "sku": line."Артикул", "name": strip_whitespace!(line."Наименование"), "quantity": line."Количество" }
  },
}
"#;

/// The same receiver's object as far as renaming goes.
pub(super) const FIELDS: &str =
    r#"{ number = '."Номер"', date = '."Дата"', customer = '."Клиент"', total = '."Сумма"', lines = '."Товары"' }"#;

/// One document as JSON; each number makes another one.
pub(super) fn order(number: u64) -> String {
    let mut text = format!(
        r#"{{"id":{number},"Номер":" УТ-{number:08} ","Дата":"2026-11-22T09:{:02}:{:02}","Клиент":"ООО Ромашка {}","Склад":"Основной склад","Проведён":true,"Сумма":{}.50,"Товары":["#,
        number / 60 % 60,
        number % 60,
        number % 977,
        1_000 + number % 90_000,
    );
    for line in 0..3 {
        let item = (number * 3 + line) % 5_000;
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            r#"{}{{"Строка":{},"Артикул":"АРТ-{item:06}","Наименование":"Болт оцинкованный М{item} ","Количество":{},"Цена":{}.25}}"#,
            if line == 0 { "" } else { "," },
            line + 1,
            1 + item % 40,
            10 + item,
        );
    }
    text.push_str("]}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_json_with_three_lines() {
        let order: serde_json::Value = serde_json::from_str(&order(7)).unwrap();
        assert_eq!(order["id"], 7);
        assert_eq!(order["Товары"].as_array().unwrap().len(), 3);
    }
}
