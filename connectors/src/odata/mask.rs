//! Messages of 1C repeat what was asked and what is stored: values are taken out before anybody reads them.

/// Names of objects begin with these; they may be told.
const OBJECTS: [&str; 14] = [
    "Catalog",
    "Document",
    "Constant",
    "ExchangePlan",
    "ChartOf",
    "InformationRegister",
    "AccumulationRegister",
    "CalculationRegister",
    "AccountingRegister",
    "BusinessProcess",
    "Task",
    "StandardODATA",
    "$",
    "/tmp/",
];
const HIDDEN: &str = "***";

/// The text with quoted values, identifiers, longer numbers and addresses replaced.
pub fn values(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, open)) = rest.char_indices().find(|(_, c)| matches!(c, '"' | '\'' | '«' | '“')) {
        masked.push_str(&words(&rest[..at]));
        let close = match open {
            '«' => '»',
            '“' => '”',
            same => same,
        };
        let inside = &rest[at + open.len_utf8()..];
        let end = inside.find(close).unwrap_or(inside.len());
        let quoted = &inside[..end];
        let known = OBJECTS.iter().any(|object| quoted.starts_with(object)) && !quoted.contains(' ');
        masked.push(open);
        masked.push_str(&if known { words(quoted) } else { HIDDEN.to_owned() });
        masked.push(close);
        rest = inside.get(end + close.len_utf8()..).unwrap_or_default();
    }
    masked.push_str(&words(rest));
    masked
}

/// Word by word: what holds four digits in a row, or an `@`, is a value.
fn words(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        let digits = bare.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 4);
        if digits || bare.contains('@') {
            masked.push_str(HIDDEN);
            masked.push_str(&word[bare.len()..]);
        } else {
            masked.push_str(word);
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_and_names_stay() {
        for (text, expected) in [
            ("{(3, 23)}: Нельзя сравнивать поля.", "{(3, 23)}: Нельзя сравнивать поля."),
            ("не найден \"Иванов\" в \"Catalog_Люди\"", "не найден \"***\" в \"Catalog_Люди\""),
            ("ИНН 7701234567 занят «ООО Ромашка»", "ИНН *** занят «***»"),
            ("почта a@b.ru и 'не закрыто", "почта *** и '***'"),
        ] {
            assert_eq!(values(text), expected);
        }
    }
}
