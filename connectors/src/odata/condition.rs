//! The fields that a condition in 1C's own words names: `$filter`, and the parameters of virtual tables.

/// Paths of names from the record on, joined by dots: `Товары/any(d: d/Цена gt 1)` names `Товары` and `Товары.Цена`. Words of the
/// language come along; they are the names of no field. A path through a reference names the reference, too.
pub fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    // Of a lambda: what stands for a row, and the rows.
    let mut rows: Vec<(&str, String)> = Vec::new();
    let mut of: Option<String> = None;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '\'' || first == '"' {
            let inside = &rest[1..];
            rest = inside.find(first).map_or("", |end| &inside[end + 1..]);
            continue;
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '/')).unwrap_or(rest.len());
        if end == 0 {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, behind) = rest.split_at(end);
        rest = behind;
        match behind.trim_start().chars().next() {
            // `guid'…'`, and what follows a value: `cast(…)/Название`.
            Some('\'') if !behind.starts_with(' ') => continue,
            _ if word.starts_with('/') => continue,
            Some(':') => rows.extend(of.take().map(|of| (word, of))),
            Some('(') => {
                let path = word.rsplit_once('/').map(|(path, _)| path.replace('/', "."));
                names.extend(path.clone());
                of = path.or(of);
            }
            _ => {
                let (first, inner) = word.split_once('/').map_or((word, None), |(first, inner)| (first, Some(inner)));
                let known = rows.iter().rev().find(|(name, _)| *name == first).map(|(_, of)| of.clone());
                names.extend(inner.filter(|_| known.is_none()).map(|_| format!("{first}_Key")));
                let path = [known.unwrap_or_else(|| first.to_owned())]
                    .into_iter()
                    .chain(inner.map(|inner| inner.replace('/', ".")));
                names.push(path.collect::<Vec<_>>().join("."));
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn fields_are_found_and_values_are_not() {
        for (text, named, others) in [
            ("Description eq 'Главный Склад' and Вес gt 10", &["Description", "Вес"][..], &["Главный", "Склад"][..]),
            ("Имя eq 'О''Нил Цена'", &["Имя"], &["Нил", "Цена"]),
            ("Ref_Key eq guid'41aa6331-954f-11e3-814b-005056c00008'", &["Ref_Key"], &["guid"]),
            ("substringof('Код', Производитель) eq true", &["Производитель"], &["Код", "substringof"]),
            (
                "Товары/any(d: d/Цена gt 10000 and Сумма eq 1)",
                &["Товары", "Товары.Цена", "Сумма"],
                &["d", "Цена", "Товары.any"],
            ),
            ("Контрагент/ИНН eq '7701'", &["Контрагент_Key", "Контрагент.ИНН"], &["ИНН"]),
            (
                "cast(cast(Отгрузка,'Document_Накладная')/Место,'Catalog_Склад')/Название eq 'Основной'",
                &["Отгрузка"],
                &["Место", "Название", "Document_Накладная", "cast"],
            ),
            ("not (Цена eq 10) or year(Дата) eq 2013", &["Цена", "Дата"], &["year"]),
            ("Имя eq 'не закрыто", &["Имя"], &["закрыто"]),
            ("Склад,Номенклатура", &["Склад", "Номенклатура"], &[]),
        ] {
            let found = names(text);
            for name in named {
                assert!(found.iter().any(|one| one == name), "{text}: {name} in {found:?}");
            }
            for name in others {
                assert!(found.iter().all(|one| one != name), "{text}: {name} in {found:?}");
            }
        }
    }
}
