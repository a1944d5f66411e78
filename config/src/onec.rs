//! Names of 1C's objects, as its people write them (`Документ.ЗаказКлиента`) and as its interface does
//! (`Document_ЗаказКлиента`).

/// Kinds of objects.
const KINDS: [(&str, &str); 14] = [
    ("Справочник", "Catalog"),
    ("Документ", "Document"),
    ("ЖурналДокументов", "DocumentJournal"),
    ("Константа", "Constant"),
    ("ПланОбмена", "ExchangePlan"),
    ("ПланСчетов", "ChartOfAccounts"),
    ("ПланВидовРасчета", "ChartOfCalculationTypes"),
    ("ПланВидовХарактеристик", "ChartOfCharacteristicTypes"),
    ("РегистрСведений", "InformationRegister"),
    ("РегистрНакопления", "AccumulationRegister"),
    ("РегистрРасчета", "CalculationRegister"),
    ("РегистрБухгалтерии", "AccountingRegister"),
    ("БизнесПроцесс", "BusinessProcess"),
    ("Задача", "Task"),
];

/// Virtual tables of registers.
const TABLES: [(&str, &str); 5] = [
    ("СрезПоследних", "SliceLast"),
    ("СрезПервых", "SliceFirst"),
    ("Остатки", "Balance"),
    ("Обороты", "Turnovers"),
    ("ОстаткиИОбороты", "BalanceAndTurnovers"),
];

/// The interface's name of an object. A name without a dot is one already; an error says what is wrong with the other form.
pub fn interface_name(written: &str) -> Result<String, String> {
    let mut parts = written.split('.');
    let kind = parts.next().unwrap_or_default();
    let Some(object) = parts.next() else { return Ok(written.to_owned()) };
    let find = |all: &[(&str, &'static str)], word: &str| {
        let found = all.iter().find(|(russian, _)| russian.to_lowercase() == word.to_lowercase());
        found.map(|(_, name)| *name).ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|(russian, _)| *russian).collect();
            format!("`{word}` is none of {}", known.join(", "))
        })
    };
    let kind = find(&KINDS, kind)?;
    if object.is_empty() {
        return Err("the object's name is missing behind the dot".to_owned());
    }
    match (parts.next(), parts.next()) {
        (None, _) => Ok(format!("{kind}_{object}")),
        (Some(table), None) => Ok(format!("{kind}_{object}/{}", find(&TABLES, table)?)),
        (Some(_), Some(_)) => Err("a name is ВИД.ИМЯ, or ВИД.ИМЯ.ТАБЛИЦА for a virtual table".to_owned()),
    }
}

/// The name that 1C's people use; `None` for what has none, such as the lines of a tabular part.
pub fn russian_name(interface: &str) -> Option<String> {
    let (set, table) = interface.split_once('/').map_or((interface, None), |(set, table)| (set, Some(table)));
    let (kind, object) = set.split_once('_')?;
    let (russian, _) = KINDS.iter().find(|(_, name)| *name == kind)?;
    match table {
        None => Some(format!("{russian}.{object}")),
        Some(table) => {
            let (word, _) = TABLES.iter().find(|(_, name)| *name == table)?;
            Some(format!("{russian}.{object}.{word}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_translated_both_ways() {
        for (russian, interface) in [
            ("Документ.ЗаказКлиента", "Document_ЗаказКлиента"),
            ("Справочник.Виды_Цен_2", "Catalog_Виды_Цен_2"),
            (
                "РегистрНакопления.ТоварыНаСкладах.ОстаткиИОбороты",
                "AccumulationRegister_ТоварыНаСкладах/BalanceAndTurnovers",
            ),
            ("РегистрСведений.ЦеныНоменклатуры.СрезПоследних", "InformationRegister_ЦеныНоменклатуры/SliceLast"),
            ("ПланОбмена.Шина", "ExchangePlan_Шина"),
        ] {
            assert_eq!(interface_name(russian).as_deref(), Ok(interface));
            assert_eq!(russian_name(interface).as_deref(), Some(russian));
        }
        assert_eq!(interface_name("документ.ЗаказКлиента").as_deref(), Ok("Document_ЗаказКлиента"));
        assert_eq!(interface_name("Document_ЗаказКлиента").as_deref(), Ok("Document_ЗаказКлиента"));
        assert_eq!(russian_name("Что_то"), None);
    }

    #[test]
    fn what_is_no_name_says_why() {
        for (written, expected) in [
            ("Справочники.Номенклатура", "`Справочники` is none of Справочник, Документ"),
            ("Документ.", "is missing"),
            ("РегистрНакопления.Т.Остаток", "`Остаток` is none of СрезПоследних"),
            ("Документ.А.Остатки.Б", "ВИД.ИМЯ"),
        ] {
            let error = interface_name(written).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
