//! `SelectChanges` and `NotifyChangesReceived`.

use axum::http::Method;

use super::Shared;
use super::answer::{Answer, FEED};
use super::asked::Asked;
use crate::data::Base;
use crate::query::options::Options;
use crate::refusal::Refusal;
use crate::render::atom::{self, Entry};
use crate::render::{Fields, Item, Shown, View};
use crate::schema::edmx::row_type;
use crate::value::{Guid, Value};

/// The changes of a node, as a feed.
pub(super) fn select(shared: &Shared, asked: &Asked<'_>, options: &Options) -> Result<Answer, Refusal> {
    let mut base = shared.base();
    let (node, message) = named(&base, asked, options)?;
    let changes = base.changes.select(node, message);
    number(&mut base, node, "SentNo", message);
    let entries: Vec<Entry> = changes.into_iter().map(|(entity, key)| entry(&base, entity, key)).collect();
    Ok(Answer::new(200, FEED, atom::feed(&asked.root, &entries, None)))
}

/// Forgets what was received.
pub(super) fn notify(shared: &Shared, asked: &Asked<'_>, options: &Options) -> Result<Answer, Refusal> {
    let mut base = shared.base();
    let (node, message) = named(&base, asked, options)?;
    base.changes.notify(node, message);
    number(&mut base, node, "ReceivedNo", message);
    Ok(Answer::plain(200, ""))
}

/// The node and the message's number.
fn named(base: &Base, asked: &Asked<'_>, options: &Options) -> Result<(Guid, u64), Refusal> {
    if *asked.method != Method::POST {
        return Err(Refusal::method());
    }
    let missing =
        |what: &str| Refusal { status: 400, code: 12, message: format!("Не указан аргумент {what}") };
    let point = options.argument("DataExchangePoint").ok_or_else(|| missing("DataExchangePoint"))?;
    let number = options.argument("MessageNo").and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| missing("MessageNo"))?;
    let point = point.strip_prefix('\'').and_then(|point| point.strip_suffix('\''));
    let point = point
        .and_then(|point| point.split_once("/ExchangePlan_"))
        .ok_or_else(|| Refusal::bad_option("DataExchangePoint"))?;
    let (plan, key) = point.1.split_once('(').ok_or_else(|| Refusal::bad_option("DataExchangePoint"))?;
    let entity = format!("ExchangePlan_{plan}");
    let found = base.schema.entity(&entity).ok_or_else(|| Refusal::no_entity(&entity))?;
    let key = key.trim_end_matches(')');
    let row = base.get(found, key).ok_or_else(|| Refusal::no_instance(&entity))?;
    if row[found.at("ThisNode")] == Value::Bool(true) {
        return Err(Refusal::exception("Недопустимый узел плана обмена: выборка изменений для этого узла невозможна"));
    }
    Ok((row[0].as_guid(), number))
}

/// The node's own numbers are no change that anybody is told of.
fn number(base: &mut Base, node: Guid, name: &str, message: u64) {
    let entity = base.entity("ExchangePlan_ШинаДанных");
    let at = entity.at(name);
    if let Some(mut row) = base.get(entity, &format!("guid'{node}'")) {
        row[at] = Value::Number(message.to_string());
        base.keep("ExchangePlan_ШинаДанных", row);
    }
}

/// What a change looks like: the object as it is now, an empty record set, or what is gone.
fn entry(base: &Base, name: String, key: String) -> Entry {
    let entity = base.entity(&name);
    if let Some(row) = base.get(entity, &key) {
        let view = View { base, select: &[], expand: &[], list: false };
        return Entry::Item(view.item(entity, &row));
    }
    if !entity.has_recorder() {
        return Entry::Deleted(name, key);
    }
    let mut fields = Fields::new();
    let texts: Vec<&str> = key.split('\'').skip(1).step_by(2).collect();
    match texts.as_slice() {
        [recorder, kind] => {
            fields.push(("Recorder".into(), Shown::Text((*recorder).into())));
            fields.push(("Recorder_Type".into(), Shown::Text((*kind).into())));
        }
        recorder => fields.push(("Recorder_Key".into(), Shown::Text(recorder.concat()))),
    }
    fields.push(("RecordSet".into(), Shown::Rows(row_type(&name, "RecordSet"), Vec::new())));
    Entry::Item(Item { entity: name, key, fields, links: Vec::new() })
}
