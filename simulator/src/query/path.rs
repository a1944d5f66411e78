//! Values at a path: a field, a field behind a reference, a field behind a reference of several types.

use crate::data::{Base, literal};
use crate::refusal::Refusal;
use crate::schema::{Entity, Property, Schema, Type};
use crate::value::{Guid, Row, Value};

/// What a path leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Step<'a> {
    /// The property at that place.
    Field(usize, &'a Property),
    /// The type of a value of several types, `X_Type`.
    TypeOf(usize),
    /// What people see of it, `X____Presentation`.
    Shown(usize),
    /// On through a reference to that entity.
    Through(usize, &'a Entity),
}

/// One segment; `more` says whether others follow it.
pub fn step<'a>(
    schema: &'a Schema,
    properties: &'a [Property],
    name: &str,
    more: Option<&String>,
) -> Result<Step<'a>, Refusal> {
    let find = |name: &str| properties.iter().position(|property| property.name == name);
    if let Some(field) = name.strip_suffix("____Presentation") {
        let at = find(field).or_else(|| find(&format!("{field}_Key")));
        return at.map(Step::Shown).ok_or_else(|| Refusal::no_segment(name));
    }
    if let (Some(next), Some(at)) = (more, find(name)) {
        let target = schema.entity(next).filter(|_| properties[at].kind == Type::Any);
        return target.map(|target| Step::Through(at, target)).ok_or_else(|| Refusal::no_segment(next));
    }
    if more.is_some() {
        let at = find(&format!("{name}_Key")).ok_or_else(|| Refusal::no_segment(name))?;
        let Type::Reference(target) = properties[at].kind else { return Err(Refusal::no_segment(name)) };
        return schema.entity(target).map(|target| Step::Through(at, target)).ok_or_else(|| Refusal::no_segment(name));
    }
    if let Some(at) = find(name) {
        return Ok(Step::Field(at, &properties[at]));
    }
    let of_several = name.strip_suffix("_Type").and_then(find).filter(|at| properties[*at].kind == Type::Any);
    of_several.map(Step::TypeOf).ok_or_else(|| Refusal::no_segment(name))
}

/// Where a path goes on behind a step: a type segment was used up with it.
fn behind<'a>(path: &'a [String], properties: &[Property], at: usize) -> &'a [String] {
    let used = if properties[at].kind == Type::Any { 2 } else { 1 };
    path.get(used..).unwrap_or_default()
}

/// The type at the end of a path.
pub fn kind(schema: &Schema, properties: &[Property], path: &[String]) -> Result<Type, Refusal> {
    let first = path.first().ok_or_else(|| Refusal::bad_option("$filter"))?;
    match step(schema, properties, first, path.get(1))? {
        Step::Field(_, property) => Ok(property.kind.clone()),
        Step::TypeOf(_) | Step::Shown(_) => Ok(Type::Text { length: Some(100), fixed: false }),
        Step::Through(at, target) => match behind(path, properties, at) {
            [] => Ok(Type::Reference("")),
            rest => kind(schema, &target.properties, rest),
        },
    }
}

/// The value at the end of a path; `Null` where a reference on the way leads nowhere.
pub fn value(base: &Base, properties: &[Property], row: &Row, path: &[String]) -> Value {
    let Some(first) = path.first() else { return Value::Null };
    match step(&base.schema, properties, first, path.get(1)) {
        Ok(Step::Field(at, _)) => row[at].clone(),
        Ok(Step::TypeOf(at)) => match &row[at] {
            Value::Any { kind, .. } => Value::Text(kind.clone()),
            _ => Value::Null,
        },
        Ok(Step::Shown(at)) => Value::Text(shown(base, &properties[at], &row[at])),
        Ok(Step::Through(at, target)) => {
            let rest = behind(path, properties, at);
            let Some((entity, found)) = follow(base, &properties[at], &row[at]) else { return Value::Null };
            if entity.name != target.name {
                return Value::Null;
            }
            if rest.is_empty() { row[at].clone() } else { value(base, &target.properties, &found, rest) }
        }
        Err(_) => Value::Null,
    }
}

/// The object that a reference leads to.
pub fn follow<'a>(base: &'a Base, property: &Property, value: &Value) -> Option<(&'a Entity, Row)> {
    let target = match (&property.kind, value) {
        (Type::Reference(target), _) => base.schema.entity(target)?,
        (Type::Any, Value::Any { kind, .. }) => base.schema.entity(kind.strip_prefix("StandardODATA.")?)?,
        _ => return None,
    };
    if value.as_guid() == Guid::EMPTY {
        return None;
    }
    let found = base.get(target, &literal(&Value::Guid(value.as_guid())))?;
    Some((target, found))
}

/// What people see of a value: of a reference the name, or number and date.
pub fn shown(base: &Base, property: &Property, value: &Value) -> String {
    if let Some((entity, row)) = follow(base, property, value) {
        return presentation(entity, &row);
    }
    match value {
        Value::Bool(true) => "Да".into(),
        Value::Bool(false) => "Нет".into(),
        other => other.as_text().to_owned(),
    }
}

/// What people see of an object. Lists are ordered by it when they are ordered by reference.
pub fn presentation(entity: &Entity, row: &Row) -> String {
    let text = |name: &str| entity.property(name).map_or("", |(at, _)| row[at].as_text());
    if entity.is("Document") {
        let short = entity.name.trim_start_matches("Document_");
        return format!("{short} {} от {}", text("Number"), text("Date"));
    }
    text("Description").to_owned()
}

/// By what an ordering by reference compares: date and number of documents, the name of anything else.
pub fn place(entity: &Entity, row: &Row) -> String {
    let text = |name: &str| entity.property(name).map_or("", |(at, _)| row[at].as_text());
    if entity.is("Document") { format!("{} {}", text("Date"), text("Number")) } else { presentation(entity, row) }
}
