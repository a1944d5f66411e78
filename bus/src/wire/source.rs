//! Sources of feeds, by kind of system.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use bus_config::{Changes, Feed, FeedSource, Landscape, OdataSystem, Overlap, System, SystemKind};
use bus_connectors::odata::{self, OdataSource};
use bus_connectors::push::{self, PushHandle};
use bus_connectors::sql::{self, SqlSource};
use bus_connectors::{Served, Serves, Several};
use bus_core::ports::source::Source;
use bus_core::vocabulary::{StreamName, SystemName};

/// A statement that takes longer is cut off; a full comparison streams its rows and is not one statement's wait.
pub const STATEMENT: Duration = Duration::from_secs(60);

/// The reader of a feed that is not pushed to. Connects to nothing.
pub fn of(landscape: &Landscape, feed: &Feed) -> anyhow::Result<Box<dyn Source>> {
    let serves = serves(landscape, feed)?;
    let system = |name: &SystemName| landscape.system(name).with_context(|| format!("system {name} is missing"));
    match &feed.source {
        FeedSource::Query { system: name, query, changes, .. } => sql(system(name)?, feed, serves, query, changes),
        FeedSource::Odata { system: name, changes, .. } => odata(landscape, system(name)?, feed, serves, changes),
        FeedSource::Push { .. } => anyhow::bail!("feed {} is pushed to, and cannot be read", feed.name),
        FeedSource::Join(_) => anyhow::bail!("feed {} is put together from other streams", feed.name),
    }
}

/// A base of 1C.
fn odata(
    landscape: &Landscape,
    system: &System,
    feed: &Feed,
    serves: Serves,
    changes: &Changes,
) -> anyhow::Result<Box<dyn Source>> {
    let SystemKind::Odata(base) = &system.kind else {
        anyhow::bail!("feed {}: {} is no base of 1C", feed.name, system.name)
    };
    let streams = feed.streams.iter().filter_map(|name| landscape.stream(name));
    let options = odata::Options {
        base: base_of(system, base)?,
        serves,
        reads: streams.map(read).collect(),
        changes: match changes {
            Changes::Diff { .. } => odata::Changes::Diff,
            Changes::Plan { plan, node, point, quiet, .. } => odata::Changes::Plan(odata::Plan {
                plan: plan.clone(),
                node: node.clone(),
                point: point.clone(),
                spool: spool(landscape, feed),
                quiet: *quiet,
            }),
            Changes::Cursor { column, overlap, .. } => odata::Changes::Cursor {
                column: column.clone(),
                overlap: match overlap {
                    Overlap::Time(time) => *time,
                    Overlap::Count(_) => Duration::ZERO,
                },
            },
        },
    };
    let source = OdataSource::new(options).with_context(|| format!("feed {}", feed.name))?;
    Ok(Box::new(source))
}

/// Beside the state, and as precious: answers that 1C was not told of yet.
fn spool(landscape: &Landscape, feed: &Feed) -> PathBuf {
    let mut folder = landscape.bus.state.clone().into_os_string();
    folder.push(".spool");
    Path::new(&folder).join(feed.name.as_str())
}

/// How a base is reached, for reading and writing.
pub fn base_of(system: &System, base: &OdataSystem) -> anyhow::Result<odata::BaseOptions> {
    let name = system.name.as_str();
    let url = super::secret_url(&base.url, name)?;
    let login = match &base.login {
        Some((user, password)) => Some((user.clone(), super::load(password, &format!("the password of {name}"))?)),
        None => None,
    };
    Ok(odata::BaseOptions {
        url: url.expose().parse().map_err(|_| anyhow::anyhow!("the address of {name} is none"))?,
        login,
        ca_pem: super::pem(system.ca.as_deref(), name)?,
        timeout: base.timeout,
        sessions: base.sessions,
        zone: Some(base.zone),
    })
}

fn read(stream: &bus_config::Stream) -> odata::Read {
    let asked = stream.odata.clone();
    odata::Read {
        stream: stream.name.clone(),
        entity: stream.entity.clone().unwrap_or_default(),
        select: asked.select,
        expand: asked.expand,
        filter: asked.filter,
        equals: asked.equals,
        parameters: asked.parameters,
        allowed_only: asked.allowed_only,
        atom: asked.atom,
        keep: odata::Keep {
            empty_dates: asked.empty_dates,
            zero_references: asked.zero_references,
            padding: asked.padding,
        },
        plain_dates: asked.plain_dates,
        marked_is_deleted: asked.marked_is_deleted,
    }
}

/// A SELECT at a database.
fn sql(
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
        Changes::Diff { .. } | Changes::Plan { .. } => None,
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
        let served = Served {
            stream: stream.name.clone(),
            key: stream.key.clone(),
            label: stream.label.clone(),
            date: stream.date.clone(),
        };
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
