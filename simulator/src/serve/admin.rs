//! What tests and demonstrations switch, beside the base's own address: nothing of it is 1C's.
//!
//! | request | what it does |
//! |---|---|
//! | `GET /_admin/faults` | the faults that are on |
//! | `PUT /_admin/faults` | sets them: an object; what is missing is off |
//! | `GET /_admin/seen` | the requests that came |
//! | `GET /_admin/changes` | the change table of every node, the sessions opened |
//! | `POST /_admin/write` | writes as somebody in 1C does: `{"set", "key", "values"}`; without `key` a new object |
//! | `POST /_admin/delete` | deletes for good: `{"set", "key"}` |
//! | `POST /_admin/touch` | writes records again: `{"set", "from", "count"}` |
//! | `POST /_admin/schema` | an update of the configuration: `{"set", "attribute", "rename"}`, `{"set", "attribute", "becomes": "number"}`, `{"set", "unpublish": true}` |
//! | `POST /_admin/note` | notes every record of a set for every node: `{"set"}` |

use axum::body::Bytes;
use axum::http::Method;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::answer::{Answer, JSON};
use super::{Shared, fields};
use crate::data::Base;
use crate::refusal::Refusal;
use crate::schema::{Origin, Type};
use crate::value::Value;

/// A write as somebody in 1C does it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Write {
    /// The set.
    pub set: String,
    /// The key between the parentheses; a new object where it is empty.
    pub key: String,
    /// What is written.
    pub values: Map<String, Json>,
    /// For `touch`: the first number.
    pub from: u32,
    /// For `touch`: how many.
    pub count: u32,
}

/// An update of the configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reshape {
    /// The set.
    pub set: String,
    /// One of its attributes.
    pub attribute: String,
    /// Its new name: the old one is gone, and the new one is there.
    pub rename: Option<String>,
    /// Its new type: `text`, `number` or `date`. Values stay what they were.
    pub becomes: Option<String>,
    /// The whole set leaves the composition of the interface.
    pub unpublish: bool,
}

impl Reshape {
    /// Does it.
    pub(crate) fn run(&self, base: &mut Base) -> Result<(), String> {
        let entities = &mut base.schema.entities;
        if self.unpublish {
            let before = entities.len();
            entities.retain(|entity| entity.name != self.set);
            return if entities.len() < before { Ok(()) } else { Err("no such set".to_owned()) };
        }
        let entity = entities.iter_mut().find(|entity| entity.name == self.set).ok_or("no such set")?;
        let property = entity.properties.iter_mut().find(|property| property.name == self.attribute);
        let property = property.ok_or("no such attribute")?;
        if let Some(name) = &self.rename {
            property.name.clone_from(name);
        }
        match self.becomes.as_deref() {
            None => {}
            Some("text") => property.kind = Type::Text { length: None, fixed: false },
            Some("number") => property.kind = Type::Double,
            Some("date") => property.kind = Type::Date,
            Some(_) => return Err("text, number or date".to_owned()),
        }
        Ok(())
    }
}

pub(super) fn handle(shared: &Shared, method: &Method, path: &str, _query: &str, body: &Bytes) -> Response {
    let answer = match (method.as_str(), path) {
        ("GET", "faults") => Ok(json!(*shared.faults())),
        ("PUT", "faults") => serde_json::from_slice(body).map_err(|error| error.to_string()).map(|faults| {
            *shared.faults() = faults;
            json!({})
        }),
        ("GET", "seen") => Ok(json!(shared.seen())),
        ("GET", "changes") => Ok(changes(shared)),
        ("POST", "schema") => serde_json::from_slice(body)
            .map_err(|error| error.to_string())
            .and_then(|change: Reshape| change.run(&mut shared.base()))
            .map(|()| json!({})),
        ("POST", what) => serde_json::from_slice(body)
            .map_err(|error| error.to_string())
            .and_then(|order: Write| order.run(&mut shared.base(), what)),
        _ => Err("no such order".to_owned()),
    };
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err(error) => (400, json!({ "error": error })),
    };
    Answer::new(status, JSON, body.to_string()).response()
}

fn changes(shared: &Shared) -> Json {
    let base = shared.base();
    let plan = base.entity("ExchangePlan_ШинаДанных");
    let nodes: Vec<Json> = base
        .all(plan)
        .map(|row| {
            let rows = base.changes.rows(row[0].as_guid());
            let rows: Vec<Json> = rows.into_iter().map(|(set, key, message)| json!([set, key, message])).collect();
            json!({ "node": row[0].as_guid().to_string(), "code": row[plan.at("Code")].as_text(), "changes": rows })
        })
        .collect();
    json!({ "nodes": nodes, "sessions_opened": shared.sessions_opened() })
}

impl Write {
    /// Does it; gives what was written.
    pub fn run(&self, base: &mut Base, what: &str) -> Result<Json, String> {
        let entity = base.schema.entity(&self.set).cloned();
        let entity = entity.filter(|entity| entity.origin == Origin::Own).ok_or("no such set")?;
        match what {
            "write" => self.write(base, &entity).map(|key| json!({ "key": key })).map_err(|refusal| refusal.message),
            "delete" if base.erase(&entity.name, &self.key) => Ok(json!({})),
            "delete" => Err("no such record".to_owned()),
            "touch" => {
                for at in self.from..self.from.saturating_add(self.count) {
                    if let Some(row) = base.at(&entity, at) {
                        base.write(&entity.name, row);
                    }
                }
                Ok(json!({}))
            }
            "note" => {
                base.note_all(&entity.name);
                Ok(json!({}))
            }
            _ => Err("no such order".to_owned()),
        }
    }

    fn write(&self, base: &mut Base, entity: &crate::schema::Entity) -> Result<String, Refusal> {
        let mut row = if self.key.is_empty() {
            let mut row = Base::empty(entity);
            if entity.property("Ref_Key").is_some() {
                row[0] = Value::Guid(base.new_guid());
            }
            row
        } else {
            base.get(entity, &self.key).ok_or_else(|| Refusal::no_instance(&entity.name))?
        };
        fields::lay(&entity.properties, &mut row, &self.values)?;
        let key = base.write(&entity.name, row.clone());
        if entity.is("Document") {
            base.move_stock(&entity.name, &row);
        }
        Ok(key)
    }
}
