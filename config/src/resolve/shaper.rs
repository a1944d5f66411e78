//! Filter and body of a route or subscription, compiled.

use std::sync::Arc;

use bus_options::{Located, Report, codes};
use chrono_tz::Tz;

use crate::maps::Catalogue;
use crate::shape::{Body, ConditionText, FieldsText, Shaper, TransformText};

/// See the module's comment; `transform` and `fields` exclude each other.
pub fn shaper(
    when: Option<ConditionText>,
    transform: Option<TransformText>,
    fields: Option<Located<FieldsText>>,
    catalogue: &Catalogue,
    zone: Tz,
    report: &mut Report,
) -> Arc<Shaper> {
    if let (Some(_), Some(fields)) = (&transform, &fields) {
        let hint = "keep one of the two";
        report.add_with_hint(codes::CONTRADICTION, &fields.span, "`fields` beside `transform`", hint);
    }
    let when = when.and_then(|when| when.compile(catalogue, report));
    // A program with a mistake leaves a gap; the report keeps the landscape from being used.
    let body = match (transform, fields) {
        (None, None) => Body::AsIs,
        (Some(transform), _) => transform.compile(catalogue, report).map_or(Body::AsIs, Body::Transform),
        (None, Some(fields)) => Body::Fields(fields.value.compile(catalogue)),
    };
    Arc::new(Shaper::new(when, body, zone))
}
