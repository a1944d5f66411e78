//! Sources of feeds, by kind of system.

use std::time::Duration;

use anyhow::Context;
use bus_config::{Changes, Overlap, Stream, System, SystemKind};
use bus_connectors::push::{self, PushHandle};
use bus_connectors::sql::{self, SqlSource};
use bus_core::ports::source::Source;

/// A statement that takes longer is cut off; a full comparison streams its rows and is not one statement's wait.
pub const STATEMENT: Duration = Duration::from_secs(60);

/// A SELECT at a database.
pub fn sql(system: &System, stream: &Stream, query: &str, changes: &Changes) -> anyhow::Result<Box<dyn Source>> {
    let SystemKind::Sql { url, .. } = &system.kind else {
        anyhow::bail!("stream {}: {} is no database", stream.name, system.name)
    };
    let cursor = match changes {
        Changes::Cursor { column, overlap, .. } => Some(sql::CursorColumn {
            column: column.clone(),
            overlap: match overlap {
                Overlap::Time(time) if time.is_zero() => sql::Overlap::None,
                Overlap::Time(time) => sql::Overlap::Time(*time),
                Overlap::Count(count) => sql::Overlap::Number(i64::try_from(*count).unwrap_or(i64::MAX)),
            },
        }),
        Changes::Diff { .. } => None,
    };
    let options = sql::Options {
        url: super::secret_url(url, system.name.as_str())?,
        ca_pem: super::pem(system.ca.as_deref(), system.name.as_str())?,
        stream: stream.name.clone(),
        query: query.to_owned(),
        cursor,
        key: stream.key.clone(),
        label: stream.label.clone(),
        timeout: STATEMENT,
    };
    let source = SqlSource::new(options).with_context(|| format!("stream {}", stream.name))?;
    Ok(Box::new(source))
}

/// Records pushed to a path of ours.
pub fn pushed(stream: &Stream) -> (Box<dyn Source>, PushHandle) {
    let mut options = push::Options::new(stream.name.clone(), stream.key.clone());
    options.label.clone_from(&stream.label);
    let (handle, source) = push::open(options);
    (Box::new(source), handle)
}
