//! The sets that follow from others: the lines of each tabular part, the records of each register with a recorder.

use super::build::{key, property};
use super::{Entity, Origin, Property, Type};

/// Each entity with the sets that follow from it.
pub(super) fn with_followers(entity: Entity) -> Vec<Entity> {
    let mut all = Vec::new();
    if entity.has_recorder() {
        all.push(records(&entity));
    } else {
        all.extend(entity.parts().map(|(part, lines)| part_set(&entity, part, lines)));
    }
    all.insert(0, entity);
    all
}

fn part_set(entity: &Entity, part: &Property, lines: &[Property]) -> Entity {
    let mut properties = vec![key("Ref_Key", Type::Guid)];
    properties.extend(lines.iter().cloned());
    mark_line_number(&mut properties);
    follower(
        format!("{}_{}", entity.name, part.name),
        properties,
        Origin::Part { of: entity.name.clone(), part: part.name.clone() },
    )
}

fn records(entity: &Entity) -> Entity {
    let mut properties: Vec<Property> =
        entity.parts().next().map(|(_, lines)| lines.to_vec()).expect("a register with a recorder has a record set");
    mark_line_number(&mut properties);
    let name = format!("{}_RecordType", entity.name);
    let mut records = follower(name, properties, Origin::Records { of: entity.name.clone() });
    if entity.is("InformationRegister") {
        records.functions = vec!["SliceLast", "SliceFirst"];
    }
    records
}

/// A journal of one document.
pub(super) fn journal(name: &str, of: &str) -> Entity {
    let text = |length| Type::Text { length: Some(length), fixed: false };
    let properties = vec![
        key("Ref", Type::Any),
        property("Date", Type::Date),
        property("Number", text(11)),
        property("Posted", Type::Bool),
        property("DeletionMark", Type::Bool),
    ];
    follower(format!("DocumentJournal_{name}"), properties, Origin::Journal { of: of.to_owned() })
}

fn follower(name: String, properties: Vec<Property>, origin: Origin) -> Entity {
    Entity { name, properties, origin, dimensions: Vec::new(), resources: Vec::new(), functions: Vec::new() }
}

fn mark_line_number(properties: &mut [Property]) {
    for property in properties {
        property.key |= property.name == "LineNumber";
    }
}
