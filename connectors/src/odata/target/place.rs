//! Where a record is in the base: its kind, and the key between the parentheses of its address.

use serde_json::{Map, Value};

use super::options::Write;
use crate::odata::address::{is_guid, literal};
use crate::odata::model::{Kind, Type};

/// What kind of thing a set holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// With a reference of its own.
    Object,
    /// One value for the whole base.
    Constant,
    /// The records of one recorder, written as a whole.
    RecordSet,
    /// A record of an independent register.
    Record,
}

impl Form {
    pub(super) fn of(set: &str, of: &Type) -> Self {
        match () {
            () if set.starts_with("Constant_") => Self::Constant,
            () if of.property("RecordSet").is_some() => Self::RecordSet,
            () if of.key.iter().any(|key| &**key == "Ref_Key") => Self::Object,
            () => Self::Record,
        }
    }
}

/// What an operator has said that this set cannot do.
pub(super) fn check(write: &Write, of: &Type) -> Result<(), String> {
    let Some(by) = &write.by else { return Ok(()) };
    if Form::of(&write.set, of) != Form::Object {
        return Err(format!("`by` is for objects; {} has its key in its own fields", write.set));
    }
    let property = of.property(by).ok_or_else(|| format!("{} has no attribute {by:?} (`by`)", write.set))?;
    match property.kind {
        Kind::Text | Kind::Integer if of.property(&format!("{by}_Type")).is_none() => Ok(()),
        _ => Err(format!("{by:?} cannot hold a key of the bus: it takes text, of limited length, or a whole number")),
    }
}

/// The key of an object by its reference.
pub(super) fn reference(guid: &str) -> Option<String> {
    is_guid(guid).then(|| format!("guid'{guid}'"))
}

/// The key of what has no reference, from the fields of the record that is written.
pub(super) fn key(of: &Type, form: Form, fields: &Map<String, Value>) -> Result<String, String> {
    if form == Form::Constant {
        let surrogate = of.key.first().filter(|key| of.property(key).is_some_and(|p| p.kind == Kind::Integer));
        return Ok(surrogate.map_or_else(|| format!("guid'{}'", crate::odata::shape::ZERO), |key| format!("{key}=0")));
    }
    let mut parts = Vec::new();
    for name in &of.key {
        let property = of.property(name).ok_or_else(|| format!("{name} is not described"))?;
        let text = match fields.get(&**name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(yes)) => yes.to_string(),
            _ => return Err(format!("{name} is missing: it is a part of the key")),
        };
        parts.push((name, literal(&property.kind, &text).map_err(|what| format!("{name}: {what}"))?));
    }
    if let [(_, single)] = parts.as_slice() {
        return Ok(single.clone());
    }
    Ok(parts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(","))
}
