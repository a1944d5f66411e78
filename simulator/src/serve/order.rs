//! The order of a list, remembered between its pages: without that each page of a large set would sort all of it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::data::Base;
use crate::query::options::Options;
use crate::query::{check, holds, path};
use crate::refusal::Refusal;
use crate::schema::{Entity, Property, Type};
use crate::value::{Row, Value, millionths};

/// Lists that are remembered; more at a time than clients that page.
const REMEMBERED: usize = 16;

/// Numbers of records in their order, as long as nothing is written.
#[derive(Default)]
pub(super) struct Orders {
    stamp: u64,
    known: HashMap<String, Arc<Vec<u32>>>,
}

impl Orders {
    /// The records of an own set that a filter leaves, in order.
    pub(super) fn of(&mut self, base: &Base, entity: &Entity, options: &Options) -> Result<Arc<Vec<u32>>, Refusal> {
        if self.stamp != base.stamp() || self.known.len() >= REMEMBERED {
            self.known.clear();
            self.stamp = base.stamp();
        }
        let name = format!("{} {:?} {:?}", entity.name, options.filter, options.order);
        if let Some(found) = self.known.get(&name) {
            return Ok(Arc::clone(found));
        }
        check_options(base, entity, options)?;
        let mut found = Vec::new();
        for at in 0..base.len(entity) {
            let Some(row) = base.at(entity, at) else { continue };
            if left(base, entity, &row, options) {
                found.push((places(base, entity, &row, options), at));
            }
        }
        sort(&mut found, options);
        let order = Arc::new(found.into_iter().map(|(_, at)| at).collect::<Vec<_>>());
        self.known.insert(name, Arc::clone(&order));
        Ok(order)
    }
}

/// The records of a set that follows from others, in order.
pub(super) fn of_follower(base: &Base, entity: &Entity, options: &Options) -> Result<Vec<Row>, Refusal> {
    check_options(base, entity, options)?;
    let rows = base.all(entity).filter(|row| left(base, entity, row, options));
    let mut found: Vec<(Vec<Value>, Row)> = rows.map(|row| (places(base, entity, &row, options), row)).collect();
    sort(&mut found, options);
    Ok(found.into_iter().map(|(_, row)| row).collect())
}

fn check_options(base: &Base, entity: &Entity, options: &Options) -> Result<(), Refusal> {
    if let Some(filter) = &options.filter {
        check(&base.schema, &entity.properties, filter)?;
    }
    for (field, _) in &options.order {
        path::kind(&base.schema, &entity.properties, field)?;
    }
    Ok(())
}

fn left(base: &Base, entity: &Entity, row: &Row, options: &Options) -> bool {
    options.filter.as_ref().is_none_or(|filter| holds(base, &entity.properties, row, filter))
}

/// What the order compares: of references what people see, never the reference itself.
fn places(base: &Base, entity: &Entity, row: &Row, options: &Options) -> Vec<Value> {
    let place = |(field, _): &(Vec<String>, bool)| {
        let own = field.len() == 1 && field[0] == "Ref_Key";
        if own && matches!(entity.properties.first(), Some(Property { kind: Type::Guid, .. })) {
            return Value::Text(path::place(entity, row));
        }
        let property =
            entity.properties.iter().zip(row).find(|(property, _)| field.len() == 1 && property.name == field[0]);
        match property {
            Some((property, value)) if matches!(property.kind, Type::Reference(_) | Type::Any) => {
                let found = path::follow(base, property, value);
                Value::Text(found.map_or_else(|| value.as_text().to_owned(), |(e, row)| path::place(e, &row)))
            }
            _ => path::value(base, &entity.properties, row, field),
        }
    };
    options.order.iter().map(place).collect()
}

fn sort<T>(found: &mut [(Vec<Value>, T)], options: &Options) {
    if options.order.is_empty() {
        return;
    }
    found.sort_by(|(a, _), (b, _)| {
        let each = a.iter().zip(b).zip(&options.order);
        let mut orders = each.map(|((a, b), (_, descending))| {
            let order = compare(a, b);
            if *descending { order.reverse() } else { order }
        });
        orders.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
}

fn compare(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => millionths(a).cmp(&millionths(b)),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Guid(a), Value::Guid(b)) => a.cmp(b),
        (a, b) => a.as_text().cmp(b.as_text()),
    }
}
