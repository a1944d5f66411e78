//! Sources of feeds, by kind of system.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bus_config::{Changes, Feed, FeedSource, Landscape, OdataSystem, Overlap, Stream, System, SystemKind};
use bus_connectors::odata::{self, OdataSource};
use bus_connectors::push::{self, PushHandle};
use bus_connectors::sql::{self, SqlSource};
use bus_connectors::{Served, Serves, Several, Tape};
use bus_core::ports::source::Source;
use bus_core::vocabulary::{StreamName, SystemName};
use bus_options::SecretOr;
use url::Url;

use super::secrets::{load, pem, secret_url};

/// The folder beside the state for what 1C says of itself.
const METADATA: &str = ".metadata";
/// A statement that takes longer is cut off; a full comparison streams its rows and is not one statement's wait.
pub const STATEMENT: Duration = Duration::from_secs(60);

/// The reader of a feed that is not pushed to. Connects to nothing.
pub fn of(landscape: &Landscape, feed: &Feed) -> anyhow::Result<Box<dyn Source>> {
    let serves = serves(landscape, feed)?;
    match &feed.source {
        FeedSource::Query { system, query, changes, .. } => {
            Ok(Box::new(sql(named(landscape, system)?, feed, serves, query, changes, None)?))
        }
        FeedSource::Odata { system, changes, .. } => {
            let streams: Vec<&Stream> = feed.streams.iter().filter_map(|name| landscape.stream(name)).collect();
            let changes = odata_changes(landscape, feed, changes);
            let options = odata(landscape, named(landscape, system)?, feed, serves, &streams, changes)?;
            let [seen, file] = remembered(landscape, feed);
            let options = odata::Options { seen: Some(seen), signs: odata::Signs { file, ..options.signs }, ..options };
            Ok(Box::new(OdataSource::new(options).with_context(|| format!("feed {}", feed.name))?))
        }
        FeedSource::Push { .. } => anyhow::bail!("feed {} is pushed to, and cannot be read", feed.name),
        FeedSource::Join(_) => anyhow::bail!("feed {} is put together from other streams", feed.name),
    }
}

/// A reader of one stream, for a person who looks: it notes what it asks, and asks nothing that would change the system.
/// A stream of an exchange plan is read as its first load reads it, because the plan marks what it is asked for.
pub fn looked_at(landscape: &Landscape, feed: &Feed, stream: &Stream, tape: Tape) -> anyhow::Result<Box<dyn Source>> {
    match &feed.source {
        FeedSource::Query { system, query, changes, .. } => {
            let serves = serves(landscape, feed)?;
            Ok(Box::new(sql(named(landscape, system)?, feed, serves, query, changes, Some(tape))?))
        }
        FeedSource::Odata { system, changes, .. } => {
            let changes = match changes {
                Changes::Plan { .. } => odata::Changes::Diff,
                other => odata_changes(landscape, feed, other),
            };
            let serves = Serves::One(served(stream));
            let options = odata(landscape, named(landscape, system)?, feed, serves, &[stream], changes)?;
            let source = OdataSource::new(options).with_context(|| format!("feed {}", feed.name))?;
            Ok(Box::new(source.recorded(tape)))
        }
        FeedSource::Push { .. } | FeedSource::Join(_) => of(landscape, feed),
    }
}

fn named<'a>(landscape: &'a Landscape, name: &SystemName) -> anyhow::Result<&'a System> {
    landscape.system(name).with_context(|| format!("system {name} is missing"))
}

fn served(stream: &Stream) -> Served {
    Served {
        stream: stream.name.clone(),
        key: stream.key.clone(),
        label: stream.label.clone(),
        date: stream.date.clone(),
    }
}

/// A base of 1C.
fn odata(
    landscape: &Landscape,
    system: &System,
    feed: &Feed,
    serves: Serves,
    streams: &[&Stream],
    changes: odata::Changes,
) -> anyhow::Result<odata::Options> {
    let SystemKind::Odata(base) = &system.kind else {
        anyhow::bail!("feed {}: {} is no base of 1C", feed.name, system.name)
    };
    let reads = streams.iter().map(|stream| read(landscape, stream)).collect();
    // An exchange plan tells by itself which base it is of.
    let is_plan = matches!(changes, odata::Changes::Plan(_));
    let own = streams.iter().filter(|_| !is_plan).filter_map(|stream| stream.entity.clone());
    let own = own.filter(|entity| entity.starts_with("Document_") && !entity.contains('/'));
    let signs = odata::Signs {
        constant: base.constant.clone(),
        witness: base.witness.clone().or_else(|| own.clone().next()),
        file: PathBuf::new(),
    };
    Ok(odata::Options { base: base_of(landscape, system, base)?, serves, reads, changes, seen: None, signs })
}

fn odata_changes(landscape: &Landscape, feed: &Feed, changes: &Changes) -> odata::Changes {
    match changes {
        Changes::Diff { by_version: true, .. } => odata::Changes::Versions,
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
    }
}

/// Beside the state, and as precious: answers that 1C was not told of yet.
fn spool(landscape: &Landscape, feed: &Feed) -> PathBuf {
    beside(landscape, ".spool").join(feed.name.as_str())
}

/// What a feed of 1C knows of its objects, and of the base; taken away, what comes next is right.
pub fn remembered(landscape: &Landscape, feed: &Feed) -> [PathBuf; 2] {
    ["seen", "witness"].map(|what| beside(landscape, METADATA).join(format!("{}.{what}.json", feed.name)))
}

fn beside(landscape: &Landscape, what: &str) -> PathBuf {
    let mut folder = landscape.bus.state.clone().into_os_string();
    folder.push(what);
    folder.into()
}

/// How a base is reached, for reading and writing.
pub fn base_of(landscape: &Landscape, system: &System, base: &OdataSystem) -> anyhow::Result<odata::BaseOptions> {
    let name = system.name.as_str();
    let url = secret_url(&base.url, name)?;
    let login = match &base.login {
        Some((user, password)) => Some((user.clone(), load(password, &format!("the password of {name}"))?)),
        None => None,
    };
    Ok(odata::BaseOptions {
        url: url.expose().parse().map_err(|_| anyhow::anyhow!("the address of {name} is none"))?,
        login,
        ca_pem: pem(system.ca.as_deref(), name)?,
        timeout: base.timeout,
        sessions: base.sessions,
        zone: Some(base.zone),
        cache: Some(beside(landscape, METADATA).join(format!("{name}.xml"))),
    })
}

fn read(landscape: &Landscape, stream: &Stream) -> odata::Read {
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
        readers: readers(landscape, stream),
    }
}

/// Who takes a stream, and which fields of it.
pub fn readers(landscape: &Landscape, stream: &Stream) -> Vec<odata::Reader> {
    let readers = landscape.readers_of(stream).into_iter();
    readers.map(|reader| odata::Reader { by: reader.by, paths: reader.fields }).collect()
}

/// Where a database is.
pub fn address(system: &System, url: &SecretOr<Url>) -> anyhow::Result<sql::Address> {
    let name = system.name.as_str();
    let (url, ca_pem) = (secret_url(url, name)?, pem(system.ca.as_deref(), name)?);
    Ok(sql::Address { url, ca_pem, timeout: STATEMENT })
}

/// A SELECT at a database.
fn sql(
    system: &System,
    feed: &Feed,
    serves: Serves,
    query: &str,
    changes: &Changes,
    tape: Option<Tape>,
) -> anyhow::Result<SqlSource> {
    let SystemKind::Sql { url, .. } = &system.kind else {
        anyhow::bail!("feed {}: {} is no database", feed.name, system.name)
    };
    let sql::Address { url, ca_pem, timeout } = address(system, url)?;
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
    let options = sql::Options { url, ca_pem, serves, query: query.to_owned(), cursor, timeout, tape };
    SqlSource::new(options).with_context(|| format!("feed {}", feed.name))
}

/// Records pushed to a path of ours.
pub fn pushed(serves: Serves) -> (Box<dyn Source>, PushHandle) {
    let (handle, source) = push::open(push::Options::new(serves));
    (Box::new(source), handle)
}

/// The streams of a feed.
pub fn serves(landscape: &Landscape, feed: &Feed) -> anyhow::Result<Serves> {
    let streams = feed.streams.iter().filter_map(|name| landscape.stream(name));
    let mut streams = streams.map(|stream| (stream.entity.clone().unwrap_or_default(), served(stream)));
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
