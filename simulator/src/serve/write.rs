//! Creating, changing, deleting, posting.

use axum::http::Method;

use super::answer::Answer;
use super::asked::Asked;
use super::{Shared, fields, read};
use crate::data::{Base, key_of};
use crate::query::address;
use crate::query::options::Options;
use crate::refusal::Refusal;
use crate::render::View;
use crate::schema::{Entity, Origin, Type};
use crate::value::{Guid, NO_DATE, Row, Value};

/// `POST` of a set.
pub(super) fn create(shared: &Shared, asked: &Asked<'_>, options: &Options, name: &str) -> Result<Answer, Refusal> {
    let mut base = shared.base();
    let entity = read::entity(&base, name)?.clone();
    writable(&entity)?;
    if entity.is("Constant") {
        return Err(Refusal::method());
    }
    let mut row = Base::empty(&entity);
    fields::lay(&entity.properties, &mut row, &fields::object(asked.body)?)?;
    let has_reference = entity.property("Ref_Key").is_some();
    if has_reference {
        row[0] = Value::Guid(base.new_guid());
    } else if base.get(&entity, &key_of(&entity, &row)).is_some() && !entity.has_recorder() {
        return Err(Refusal::exists());
    }
    if !asked.load_mode {
        number(&base, &entity, &mut row);
    }
    let key = store(&mut base, asked, &entity, row)?;
    if entity.is("ExchangePlan") {
        let order = base.noted();
        let node = base.get(&entity, &key).map_or(Guid::EMPTY, |row| row[0].as_guid());
        base.changes.add_node(node, order);
    }
    let mut answer = stored(&base, asked, options, &entity, &key, 201)?;
    answer.location = Some(format!("{}{name}({key})", asked.root));
    Ok(answer)
}

/// `PATCH` and `PUT` of an object, a record, a record set, a constant.
pub(super) fn change(
    shared: &Shared,
    asked: &Asked<'_>,
    options: &Options,
    name: &str,
    key: &str,
) -> Result<Answer, Refusal> {
    let mut base = shared.base();
    let entity = read::entity(&base, name)?.clone();
    writable(&entity)?;
    let key = address::key(&entity, key)?;
    let old = match base.get(&entity, &key) {
        Some(old) => old,
        // A recorder without records has an empty set.
        None if entity.has_recorder() => empty_set(&entity, &key),
        None => return Err(Refusal::no_instance(name)),
    };
    version(asked, &entity, &old)?;
    // Without a property in its body, PUT makes it empty.
    let mut row = if *asked.method == Method::PUT { kept_of(&entity, &old) } else { old.clone() };
    fields::lay(&entity.properties, &mut row, &fields::object(asked.body)?)?;
    if key_of(&entity, &row) != key {
        return Err(Refusal::no_instance(name));
    }
    if flag(&entity, &old, "Posted") && flag(&entity, &row, "Posted") && flag(&entity, &row, "DeletionMark") {
        return Err(Refusal::exception("Проведенный документ не может быть помечен на удаление"));
    }
    let key = store(&mut base, asked, &entity, row)?;
    stored(&base, asked, options, &entity, &key, 200)
}

/// `DELETE`: for good, not a mark.
pub(super) fn delete(shared: &Shared, asked: &Asked<'_>, name: &str, key: &str) -> Result<Answer, Refusal> {
    let mut base = shared.base();
    let entity = read::entity(&base, name)?.clone();
    writable(&entity)?;
    let key = address::key(&entity, key)?;
    let old = base.get(&entity, &key).ok_or_else(|| Refusal::no_instance(name))?;
    version(asked, &entity, &old)?;
    unlocked(asked, &key)?;
    base.erase(&entity.name, &key);
    Ok(Answer::plain(204, ""))
}

/// `Post` and `Unpost`, whatever the method: a base executes them even for `GET`.
pub(super) fn post(
    shared: &Shared,
    asked: &Asked<'_>,
    options: &Options,
    name: &str,
    key: &str,
    posted: bool,
) -> Result<Answer, Refusal> {
    if *asked.method == Method::GET && asked.faults.get_is_safe {
        return Err(Refusal::method());
    }
    if options.arguments.iter().any(|(name, _)| name != "PostingModeOperational") {
        return Err(Refusal::no_method());
    }
    let mut base = shared.base();
    let entity = read::entity(&base, name)?.clone();
    if !entity.functions.contains(&"Post") {
        return Err(Refusal::no_method());
    }
    let key = address::key(&entity, key)?;
    let mut row = base.get(&entity, &key).ok_or_else(|| Refusal::no_instance(name))?;
    if posted && flag(&entity, &row, "DeletionMark") {
        return Err(Refusal::exception("Помеченный на удаление документ не может быть проведен"));
    }
    row[entity.at("Posted")] = Value::Bool(posted);
    store(&mut base, asked, &entity, row)?;
    Ok(Answer::plain(200, ""))
}

/// Each record of a set belongs to the set's recorder, whatever it says itself.
fn own_records(entity: &Entity, row: &mut Row) {
    let Some((set, _)) = entity.property("RecordSet") else { return };
    let recorder = row[0].clone();
    if let Value::Rows(records) = &mut row[set] {
        records.iter_mut().for_each(|record| record[0] = recorder.clone());
    }
}

/// Writes it, with what the configuration checks and does beside it unless data are only loaded.
fn store(base: &mut Base, asked: &Asked<'_>, entity: &Entity, mut row: Row) -> Result<String, Refusal> {
    own_records(entity, &mut row);
    unlocked(asked, &key_of(entity, &row))?;
    if asked.load_mode {
        if entity.is("Constant") {
            return Err(Refusal::no_load_mode());
        }
        return Ok(base.write(&entity.name, row));
    }
    for required in ["Description", "Контрагент_Key"] {
        let Some((at, property)) = entity.property(required) else { continue };
        let late = required == "Description" || flag(entity, &row, "Posted");
        let empty = matches!(&row[at], Value::Text(text) if text.is_empty()) || row[at] == Value::Guid(Guid::EMPTY);
        if late && empty && !entity.is("ExchangePlan") {
            let shown = if required == "Description" { "Наименование" } else { property.link() };
            return Err(Refusal::exception(format!("Поле \"{shown}\" не заполнено")));
        }
    }
    let document = entity.is("Document").then(|| row.clone());
    let key = base.write(&entity.name, row);
    if let Some(row) = document {
        base.move_stock(&entity.name, &row);
    }
    Ok(key)
}

fn stored(
    base: &Base,
    asked: &Asked<'_>,
    options: &Options,
    entity: &Entity,
    key: &str,
    status: u16,
) -> Result<Answer, Refusal> {
    let row = base.get(entity, key).ok_or_else(|| Refusal::no_instance(&entity.name))?;
    let view = View { base, select: &[], expand: &[], list: false };
    Ok(read::object(asked, options.format, &view.item(entity, &row), status))
}

/// Lines are written with their object, records with their recorder, journals not at all.
fn writable(entity: &Entity) -> Result<(), Refusal> {
    match entity.origin {
        Origin::Own => Ok(()),
        Origin::Part { .. } => {
            Err(Refusal {
                status: 400, code: 13, message: "Строки табличной части напрямую не создаются".into()
            })
        }
        Origin::Records { .. } | Origin::Journal { .. } => Err(Refusal::method()),
    }
}

/// `If-Match`, where the base looks at it.
fn version(asked: &Asked<'_>, entity: &Entity, old: &Row) -> Result<(), Refusal> {
    let (Some(wanted), Some((at, _))) = (asked.version, entity.property("DataVersion")) else { return Ok(()) };
    let same = wanted.trim_start_matches("W/").trim_matches('"') == old[at].as_text();
    if asked.faults.if_match && !same { Err(Refusal::version()) } else { Ok(()) }
}

fn unlocked(asked: &Asked<'_>, key: &str) -> Result<(), Refusal> {
    if asked.faults.locked.iter().any(|text| key.contains(text.as_str())) {
        return Err(Refusal::exception(
            "Конфликт блокировок при выполнении транзакции:\nПревышено максимальное время ожидания предоставления \
             блокировки",
        ));
    }
    Ok(())
}

fn flag(entity: &Entity, row: &Row, name: &str) -> bool {
    entity.property(name).is_some_and(|(at, _)| row[at] == Value::Bool(true))
}

/// An empty record of the same key.
fn kept_of(entity: &Entity, old: &Row) -> Row {
    let empty = Base::empty(entity);
    entity
        .properties
        .iter()
        .zip(old.iter().zip(empty))
        .map(|(p, (old, empty))| if p.key { old.clone() } else { empty })
        .collect()
}

fn empty_set(entity: &Entity, key: &str) -> Row {
    let mut row = Base::empty(entity);
    let texts: Vec<&str> = key.split('\'').skip(1).step_by(2).collect();
    row[0] = match (&entity.properties[0].kind, texts.as_slice()) {
        (Type::Any, [text, kind]) => Value::Any { text: (*text).into(), kind: (*kind).into() },
        (_, texts) => Value::Guid(texts.first().and_then(|text| Guid::parse(text)).unwrap_or(Guid::EMPTY)),
    };
    row
}

/// The number or code, and the date, that a configuration gives by itself.
fn number(base: &Base, entity: &Entity, row: &mut Row) {
    for (name, prefix) in [("Number", "УТ-"), ("Code", "00-")] {
        let Some((at, _)) = entity.property(name).filter(|_| !entity.is("ExchangePlan")) else { continue };
        if row[at].as_text().is_empty() {
            row[at] = Value::Text(format!("{prefix}{:08}", base.len(entity) + 1));
        }
    }
    if let Some((at, _)) = entity.property("Date")
        && row[at].as_text() == NO_DATE
    {
        row[at] = Value::Date(crate::render::atom::NOW.into());
    }
}
