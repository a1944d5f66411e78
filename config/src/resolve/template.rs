//! What braces stand for, once the route's stream is known: `{key.1}` needs a key of two columns.

use bus_core::vocabulary::StreamName;
use bus_options::{Definitions, Report, SecretOr, Span, codes};

use crate::language::header::Headers;
use crate::language::route::{OnDelete, Route};
use crate::language::stream::Stream;
use crate::language::system::System;
use crate::language::template::Template;

/// Looks at everything that is sent along a route: paths, its headers, and those of its system.
pub fn check(route: &Route, system: Option<&System>, streams: &Definitions<StreamName, Stream>, report: &mut Report) {
    let stream = streams.0.iter().find(|entry| entry.key.value == *route.stream.name());
    // A stream that is not there is reported where names are checked.
    let Some(key) = stream.map(|entry| &entry.value.key.value.0) else { return };
    let mut texts: Vec<(&str, &Span)> = Vec::new();
    if let OnDelete::Send(request) = &route.on_delete.value {
        texts.push((&request.path.value.0, &request.path.span));
    }
    if let Some(send) = &route.send {
        texts.push((&send.value.path.value.0, &send.value.path.span));
        texts.extend(literals(&send.value.headers).map(|text| (text, &send.span)));
    }
    if let Some(System::Http(http)) = system {
        texts.extend(literals(&http.headers).map(|text| (text, &route.to.0.span)));
    }
    for (text, span) in texts {
        for column in Template::key_columns(text).filter(|column| *column >= key.len()) {
            let message = format!("`{{key.{column}}}` is beyond the key of stream `{}`", route.stream.name());
            let columns = key.iter().enumerate().map(|(at, name)| format!("{{key.{at}}} is {}", name.0));
            let hint = format!("counted from 0: {}", columns.collect::<Vec<_>>().join(", "));
            report.add_with_hint(codes::NO_SUCH_COLUMN, span, message, hint);
        }
    }
}

/// Texts of headers; secrets stand for no values.
pub fn literals(headers: &Headers) -> impl Iterator<Item = &str> {
    headers.0.iter().filter_map(|(_, value)| match value {
        SecretOr::Literal(text) => Some(text.as_str()),
        SecretOr::Secret(_) => None,
    })
}
