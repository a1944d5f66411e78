//! `fields = { sku = ".sku" }`: the simple case needs no language, and keeps every digit.

use std::borrow::Cow;

use bus_core::ports::shape::ShapeError;
use bus_options::{Map, Node, OptionValue, Report};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::path::{FieldPath, RawObject};

/// Names of the receiver, each with the path of its value in the record, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(Vec<(String, FieldPath)>);

impl Fields {
    /// Makes the receiver's object. A path that leads nowhere gives `null`.
    pub fn pick(&self, body: &[u8]) -> Result<Bytes, ShapeError> {
        let broken = |_| ShapeError("the record is not a JSON object".into());
        let whole: &RawValue = serde_json::from_slice(body).map_err(broken)?;
        let root: RawObject<'_> = serde_json::from_str(whole.get()).map_err(broken)?;
        let mut out = Vec::with_capacity(body.len() + 16);
        out.push(b'{');
        for (at, (name, path)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let name = serde_json::to_string(name).map_err(|error| ShapeError(error.to_string()))?;
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            let value = path.pick(&root, whole);
            out.extend_from_slice(value.as_ref().map_or("null", |raw| raw.get()).as_bytes());
        }
        out.push(b'}');
        Ok(out.into())
    }

    pub(super) fn paths_read(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(_, path)| path.to_string())
    }
}

impl OptionValue for Fields {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let map = Map::<FieldPath>::read(node, report)?;
        if map.0.is_empty() {
            node.bad_value("no field is named", "for example fields = { sku = \".sku\" }, or leave it out", report);
            return None;
        }
        Some(Self(map.0.into_iter().map(|entry| (entry.key.value, entry.value)).collect()))
    }
    fn kind() -> Cow<'static, str> {
        "table: the receiver's name = path in the record".into()
    }
    fn schema() -> serde_json::Value {
        Map::<FieldPath>::schema()
    }
}
