//! Who reads which fields of a stream: told when the source no longer has one of them.

use bus_options::SecretOr;

use super::{Carried, Landscape, MapSource, Route, Stream, SystemKind};
use crate::language::template::Template;

/// Somebody who reads fields of a stream's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldReader {
    /// In words: "route orders-to-shop".
    pub by: String,
    /// Names from the root joined by dots, as `Товары.Цена`; an empty one is the whole record.
    pub fields: Vec<String>,
}

impl Landscape {
    /// Everybody who reads records of this stream, and the stream's own mask, which hides nothing under another name.
    pub fn readers_of(&self, stream: &Stream) -> Vec<FieldReader> {
        let reader = |by: String, mut fields: Vec<String>| {
            fields.sort();
            fields.dedup();
            FieldReader { by, fields }
        };
        let with_key = |fields: Vec<String>| [fields, stream.key.clone()].concat();
        let routes = self.routes_of(&stream.name);
        let routes = routes.map(|route| reader(format!("route {}", route.name), with_key(self.read_by(route, stream))));
        let taken = self.subscriptions_of(&stream.name);
        let taken = taken.map(|one| reader(format!("subscription {}", one.name), with_key(one.shape.fields_read())));
        let own = self.own_routes().filter(|(_, of)| **of == stream.name);
        let own = own.map(|(name, _)| {
            let fields = self.kept_value(&name).map_or_else(|| vec![String::new()], |value| with_key(vec![value]));
            reader(name, fields)
        });
        let masked: Vec<String> = stream.mask.iter().map(|path| path.join(".")).collect();
        let mask = (!masked.is_empty()).then(|| reader("its mask".to_owned(), masked));
        routes.chain(taken).chain(own).chain(mask).collect()
    }

    /// Filter, program or fields, references, what an echo is recognised by, and what is sent of the record beside its body.
    fn read_by(&self, route: &Route, stream: &Stream) -> Vec<String> {
        let mut fields = route.shape.fields_read();
        fields.extend(route.requires.iter().map(|required| required.keys.fields_read()));
        fields.extend(route.echo.iter().flat_map(|echo| echo.compare.fields_read()));
        let labelled = self.texts_of(route).into_iter().any(|text| Template::names(text, "label"));
        fields.extend(stream.label.clone().filter(|_| labelled));
        fields
    }

    /// Paths and headers of a route's requests.
    fn texts_of<'a>(&'a self, route: &'a Route) -> Vec<&'a str> {
        let Carried::Http(http) = &route.carried else { return Vec::new() };
        let of_system = self.system(&route.to).map(|system| match &system.kind {
            SystemKind::Http(http) => &http.headers[..],
            SystemKind::Sql { .. } | SystemKind::Odata(_) => &[],
        });
        let headers = http.send.headers.iter().chain(of_system.unwrap_or_default());
        let texts = headers.filter_map(|(_, value)| match value {
            SecretOr::Literal(text) => Some(text.as_str()),
            SecretOr::Secret(_) => None,
        });
        let delete = http.on_delete.iter().map(|request| request.path.as_str());
        texts.chain([http.send.path.as_str()]).chain(delete).collect()
    }

    /// The one field that a map is kept from, by the name of the bus's own route; `None` for others of them.
    fn kept_value(&self, route: &str) -> Option<String> {
        let map = self.maps.iter().find(|map| map.full_name() == route)?;
        match &map.source {
            MapSource::Stream { value, .. } => Some(value.names()),
            _ => None,
        }
    }
}
