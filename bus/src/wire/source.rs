//! Sources of feeds, by kind of system.

use std::time::Duration;

use anyhow::Context;
use bus_config::{Changes, Feed, Landscape, Overlap, System, SystemKind};
use bus_connectors::push::{self, PushHandle};
use bus_connectors::sql::{self, SqlSource};
use bus_connectors::{Served, Serves, Several};
use bus_core::ports::source::Source;
use bus_core::vocabulary::StreamName;

/// A statement that takes longer is cut off; a full comparison streams its rows and is not one statement's wait.
pub const STATEMENT: Duration = Duration::from_secs(60);

/// A SELECT at a database.
pub fn sql(
    system: &System,
    feed: &Feed,
    serves: Serves,
    query: &str,
    changes: &Changes,
) -> anyhow::Result<Box<dyn Source>> {
    let SystemKind::Sql { url, .. } = &system.kind else {
        anyhow::bail!("feed {}: {} is no database", feed.name, system.name)
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
        serves,
        query: query.to_owned(),
        cursor,
        timeout: STATEMENT,
    };
    let source = SqlSource::new(options).with_context(|| format!("feed {}", feed.name))?;
    Ok(Box::new(source))
}

/// Records pushed to a path of ours.
pub fn pushed(serves: Serves) -> (Box<dyn Source>, PushHandle) {
    let (handle, source) = push::open(push::Options::new(serves));
    (Box::new(source), handle)
}

/// The streams of a feed.
pub fn serves(landscape: &Landscape, feed: &Feed) -> anyhow::Result<Serves> {
    let streams = feed.streams.iter().filter_map(|name| landscape.stream(name));
    let mut streams = streams.map(|stream| {
        let served = Served { stream: stream.name.clone(), key: stream.key.clone(), label: stream.label.clone() };
        (stream.entity.clone().unwrap_or_default(), served)
    });
    match &feed.entity_column {
        None => streams.next().map(|(_, served)| Serves::One(served)),
        Some(column) => Some(Serves::Several(Several {
            feed: StreamName::new(feed.name.as_str())?,
            column: column.clone(),
            streams: streams.collect(),
        })),
    }
    .with_context(|| format!("feed {} serves no stream", feed.name))
}
