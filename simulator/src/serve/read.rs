//! Sets, objects, properties, counts.

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answer::{Answer, ENTRY, FEED, JSON, XML};
use super::asked::Asked;
use super::{Shared, locked, order};
use crate::data::Base;
use crate::query::address::{self, Segment};
use crate::query::options::{Format, Options};
use crate::query::path::{self, Step, step};
use crate::refusal::Refusal;
use crate::render::atom::Entry;
use crate::render::{Item, Shown, View, atom, json};
use crate::schema::{Entity, Origin};
use crate::value::{Row, Value};

/// The entity of a set.
pub(super) fn entity<'a>(base: &'a Base, name: &str) -> Result<&'a Entity, Refusal> {
    base.schema.entity(name).ok_or_else(|| Refusal::no_entity(name))
}

/// A page of a set.
pub(super) fn list(shared: &Shared, asked: &Asked<'_>, options: &Options, name: &str) -> Result<Answer, Refusal> {
    let base = shared.base();
    let entity = entity(&base, name)?;
    let view = View { base: &base, select: &options.select, expand: &options.expand, list: true };
    view.check(&entity.properties)?;
    let all = options.count && asked.faults.count_ignores_paging;
    let (skip, top) = if all { (0, usize::MAX) } else { (options.skip, options.top.unwrap_or(usize::MAX)) };
    let (rows, count) = rows(shared, &base, entity, options, skip, top)?;
    let items: Vec<Item> = rows.iter().map(|row| view.item(entity, row)).collect();
    Ok(written(asked, options, name, items, options.count.then_some(count)))
}

fn written(asked: &Asked<'_>, options: &Options, name: &str, items: Vec<Item>, count: Option<usize>) -> Answer {
    match options.format {
        Format::Atom => {
            let entries: Vec<Entry> = items.into_iter().map(Entry::Item).collect();
            Answer::new(200, FEED, atom::feed(&asked.root, &entries, count))
        }
        format => Answer::new(200, JSON, json::list(&asked.root, name, &items, count, format)),
    }
}

/// The rows of a page, and how many there are of all.
fn rows(
    shared: &Shared,
    base: &Base,
    entity: &Entity,
    options: &Options,
    skip: usize,
    top: usize,
) -> Result<(Vec<Row>, usize), Refusal> {
    if entity.origin == Origin::Own {
        let order = locked(&shared.orders).of(base, entity, options)?;
        let page = order.iter().skip(skip).take(top).filter_map(|at| base.at(entity, *at)).collect();
        return Ok((page, order.len()));
    }
    let all = order::of_follower(base, entity, options)?;
    let count = all.len();
    Ok((all.into_iter().skip(skip).take(top).collect(), count))
}

/// `…/$count`: digits behind a byte order mark.
pub(super) fn count(shared: &Shared, options: &Options, name: &str) -> Result<Answer, Refusal> {
    let base = shared.base();
    let (_, count) = rows(shared, &base, entity(&base, name)?, options, 0, 0)?;
    Ok(Answer::plain(200, &format!("\u{feff}{count}")))
}

/// An object, or what a path from it leads to.
pub(super) fn single(
    shared: &Shared,
    asked: &Asked<'_>,
    options: &Options,
    name: &str,
    key: &str,
    rest: &[Segment],
) -> Result<Answer, Refusal> {
    let base = shared.base();
    let mut entity = entity(&base, name)?;
    let key = address::key(entity, key)?;
    let mut row = base.get(entity, &key).ok_or_else(|| Refusal::no_instance(name))?;
    let view = View { base: &base, select: &options.select, expand: &[], list: false };
    for (at, segment) in rest.iter().enumerate() {
        let more = rest.get(at + 1).map(|segment| segment.name.clone());
        if more.as_deref() == Some("$value") {
            return bytes(entity, &row, &segment.name);
        }
        let through = format!("{}_Key", segment.name);
        let found = entity
            .property(&through)
            .or_else(|| entity.property(&segment.name).filter(|(_, p)| p.kind == crate::schema::Type::Any));
        if let Some((place, property)) = found
            && let Some((target, next)) = path::follow(&base, property, &row[place])
        {
            (entity, row) = (target, next);
            continue;
        }
        let Step::Field(..) = step(&base.schema, &entity.properties, &segment.name, None)? else {
            return Err(Refusal::no_segment(&segment.name));
        };
        let only = [segment.name.clone()];
        let view = View { base: &base, select: &only, expand: &[], list: false };
        let shown = view.item(entity, &row).fields.into_iter().next().map_or(Shown::Null, |(_, shown)| shown);
        let context = format!("{}({key})/{}", entity.name, segment.name);
        return Ok(match options.format {
            Format::Atom => Answer::new(200, XML, atom::value(&segment.name, &shown)),
            _ => Answer::new(200, JSON, json::property(&asked.root, &context, &shown)),
        });
    }
    view.check(&entity.properties)?;
    Ok(object(asked, options.format, &view.item(entity, &row), 200))
}

/// An object as an answer.
pub(super) fn object(asked: &Asked<'_>, format: Format, item: &Item, status: u16) -> Answer {
    match format {
        Format::Atom => Answer::new(status, ENTRY, atom::single(&asked.root, item)),
        format => Answer::new(status, JSON, json::single(&asked.root, item, format)),
    }
}

/// `…/Картинка/$value`: the bytes themselves.
fn bytes(entity: &Entity, row: &Row, name: &str) -> Result<Answer, Refusal> {
    let (at, _) = entity.property(name).ok_or_else(|| Refusal::no_segment(name))?;
    let Value::Binary { base64, kind } = &row[at] else { return Err(Refusal::no_segment("$value")) };
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    Ok(Answer { bytes: Some(Bytes::from(bytes)), ..Answer::new(200, kind, String::new()) })
}
