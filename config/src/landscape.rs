//! The configuration, resolved: what the program wires together. Every name in it exists, every value is in range.

mod readers;
mod test;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bus_core::policy::{Calendar, Expectation, Hours, Idempotency, Profile, RetryPolicy, Schedule, TimeOfDay};
use bus_core::vocabulary::{FeedName, RouteName, Severity, StreamName, SubscriptionName, SystemName};
use bus_options::{SecretOr, SecretRef};
use chrono_tz::Tz;
use std::net::SocketAddr;
use url::Url;

pub use crate::language::batch::BatchBody;
pub use crate::language::bus::LogFormat;
pub use crate::language::map::GivesText as Gives;
pub use crate::language::odata::Posting;
pub use crate::language::route::{Delivery, EchoKey, Late, Method, WhenLeft};
pub use crate::language::stream::Overlap;
use crate::maps::{CsvFile, Handle, Table};
use crate::shape::{Compared, FieldPath, References, Shaper};
pub use readers::FieldReader;
pub use test::{Expected, ExpectedRequest, RouteTest};

/// Everything that one configuration describes. In each list, the order of the files.
#[derive(Debug, Clone, PartialEq)]
pub struct Landscape {
    /// The bus itself.
    pub bus: Bus,
    /// Who it talks to.
    pub systems: Vec<System>,
    /// What reads, or is pushed to.
    pub feeds: Vec<Feed>,
    /// What is published.
    pub streams: Vec<Stream>,
    /// What is delivered.
    pub routes: Vec<Route>,
    /// What is taken.
    pub subscriptions: Vec<Subscription>,
    /// Who is told of incidents.
    pub notify: Vec<Channel>,
    /// When nobody is.
    pub maintenance: Vec<PlannedMaintenance>,
    /// What values are looked up in.
    pub maps: Vec<Map>,
    /// What routes are to make of records.
    pub tests: Vec<RouteTest>,
}

impl Landscape {
    /// The bus's own routes and what they take: maps that are kept from streams, and parts of joined streams.
    pub fn own_routes(&self) -> impl Iterator<Item = (String, &StreamName)> {
        let maps = self.maps.iter().filter_map(|map| Some((map.full_name(), map.kept_from()?)));
        let parts = self.joins().flat_map(|join| join.parts().map(|(part, _)| (join.route_of(part), part)));
        maps.chain(parts)
    }

    /// What joined streams are put together from.
    pub fn joins(&self) -> impl Iterator<Item = &Join> {
        self.feeds.iter().filter_map(|feed| match &feed.source {
            FeedSource::Join(join) => Some(join),
            _ => None,
        })
    }

    /// The system with this name.
    pub fn system(&self, name: &SystemName) -> Option<&System> {
        self.systems.iter().find(|system| system.name == *name)
    }

    /// The stream with this name.
    pub fn stream(&self, name: &StreamName) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.name == *name)
    }

    /// Routes that take this stream.
    pub fn routes_of<'a>(&'a self, stream: &'a StreamName) -> impl Iterator<Item = &'a Route> {
        self.routes.iter().filter(move |route| route.stream == *stream)
    }

    /// Subscriptions that take this stream.
    pub fn subscriptions_of<'a>(&'a self, stream: &'a StreamName) -> impl Iterator<Item = &'a Subscription> {
        self.subscriptions.iter().filter(move |subscription| subscription.stream == *stream)
    }
}

/// The bus itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Bus {
    /// Told to systems and people.
    pub name: String,
    /// Schedules and windows are read in it.
    pub timezone: Tz,
    /// Where messages are kept.
    pub broker: Broker,
    /// The state database; relative to the working directory.
    pub state: PathBuf,
    /// Pages, API, metrics, pushed records.
    pub listen: SocketAddr,
    /// What the API asks for. Always there where others than this machine can reach `listen`.
    pub key: Option<SecretRef>,
    /// How long a message may stay unsettled in memory, before it is moved to `waiting` in the state store: below the
    /// time after which the broker closes the channel.
    pub hold: Duration,
    /// What the log looks like.
    pub log: LogFormat,
    /// How much is remembered of what happened to each message.
    pub journal: JournalKeep,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalKeep {
    /// For how long.
    pub age: Duration,
    /// How many bytes.
    pub bytes: u64,
}

/// Where messages are kept between capture and delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Broker {
    /// Inside the bus.
    Embedded,
    /// RabbitMQ.
    Amqp {
        /// Its address; with a password only as a secret.
        url: SecretOr<Url>,
        /// Its certificate authority (PEM), where it is not a public one.
        ca: Option<PathBuf>,
    },
}

/// A system the bus talks to.
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    /// Its name.
    pub name: SystemName,
    /// Certificate authority (PEM), where it is not a public one.
    pub ca: Option<PathBuf>,
    /// What differs by kind.
    pub kind: SystemKind,
}

/// What differs by kind of system.
#[derive(Debug, Clone, PartialEq)]
pub enum SystemKind {
    /// A database that is read.
    Sql {
        /// `postgres://…` or `sqlite:…`.
        url: SecretOr<Url>,
        /// How much it may be read.
        reads: Limits,
    },
    /// A server that takes requests.
    Http(HttpSystem),
    /// A base of 1C.
    Odata(OdataSystem),
}

/// A base of 1C.
#[derive(Debug, Clone, PartialEq)]
pub struct OdataSystem {
    /// The root of its interface.
    pub url: SecretOr<Url>,
    /// User and password.
    pub login: Option<(String, SecretRef)>,
    /// Its dates are read in it.
    pub zone: Tz,
    /// How much it may be read.
    pub reads: Limits,
    /// How much it can take.
    pub takes: Takes,
    /// Requests at the same time, whatever for.
    pub sessions: usize,
    /// The longest silence of an answer.
    pub timeout: Duration,
    /// A constant with another value in every base.
    pub constant: Option<String>,
    /// Documents of which the newest must still be there.
    pub witness: Option<String>,
}

/// A server that takes requests.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSystem {
    /// Base address.
    pub url: SecretOr<Url>,
    /// Sent with every request.
    pub headers: Vec<(String, SecretOr<String>)>,
    /// User and password of HTTP basic authentication.
    pub basic: Option<(String, SecretRef)>,
    /// How much it can take.
    pub takes: Takes,
    /// How long a request may take.
    pub timeout: Duration,
}

/// How much a receiving system can take.
#[derive(Debug, Clone, PartialEq)]
pub struct Takes {
    /// Requests.
    pub capacity: Limits,
    /// Operations with a pace of their own beside it: their requests count for both.
    pub operations: Vec<(String, Profile)>,
    /// Kept free below the capacity's pace: 0.01 is 1 %.
    pub margin: f64,
    /// Whether the pace follows how the system fares.
    pub adaptive: bool,
}

/// How much at a time, and at the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Requests per time; `None` is as fast as it is answered.
    pub pace: Option<Profile>,
    /// At the same time.
    pub concurrency: usize,
}

/// One reader with one cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// Its name: the stream's, where it is read by itself.
    pub name: FeedName,
    /// The streams it serves; at least one.
    pub streams: Vec<StreamName>,
    /// The column that names a record's entity, where each of the streams has one.
    pub entity_column: Option<String>,
    /// Where records come from.
    pub source: FeedSource,
}

/// Where records come from.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedSource {
    /// They are read.
    Query {
        /// The system that is read.
        system: SystemName,
        /// What to read.
        query: String,
        /// When.
        schedule: Schedule,
        /// How changes are found.
        changes: Changes,
    },
    /// They are read from a base of 1C; each stream says what.
    Odata {
        /// The base.
        system: SystemName,
        /// When.
        schedule: Schedule,
        /// How changes are found.
        changes: Changes,
    },
    /// They are put together from other streams.
    Join(Join),
    /// They are pushed.
    Push {
        /// Path under the bus's own address.
        path: String,
        /// What the sender must present.
        key: SecretRef,
    },
}

/// What a joined stream is put together from.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// The joined stream.
    pub stream: StreamName,
    /// The stream whose records its are.
    pub main: StreamName,
    /// Its fields that hold the key.
    pub key: Vec<String>,
    /// The other parts.
    pub with: Vec<JoinPart>,
    /// When to look for changed parts.
    pub schedule: Schedule,
}

/// A part of a joined stream.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinPart {
    /// Its stream.
    pub stream: StreamName,
    /// Its fields that hold the key of the record it belongs to.
    pub on: Vec<String>,
    /// A list.
    pub many: bool,
    /// Where it stands in the joined record.
    pub field: String,
}

impl Join {
    /// Each stream that it takes, with the fields that hold the joined record's key; the main one first.
    pub fn parts(&self) -> impl Iterator<Item = (&StreamName, &[String])> {
        let others = self.with.iter().map(|part| (&part.stream, &part.on[..]));
        std::iter::once((&self.main, &self.key[..])).chain(others)
    }

    /// The name of the bus's own route that keeps a part.
    pub fn route_of(&self, part: &StreamName) -> String {
        format!("{JOINS}{}.{part}", self.stream)
    }
}

/// How changes are found.
#[derive(Debug, Clone, PartialEq)]
pub enum Changes {
    /// By a column that grows.
    Cursor {
        /// The column.
        column: String,
        /// How far to read back.
        overlap: Overlap,
        /// When to compare everything, and the share of deletions above which a person must agree.
        recheck: Option<Recheck>,
    },
    /// By comparing with what was published last.
    Diff {
        /// The share of deletions above which a person must agree, from 0.0 to 1.0.
        guard: f64,
        /// Of a base of 1C: by `DataVersion` first, and the records of which it is another.
        by_version: bool,
    },
    /// By what a base of 1C registers for a node.
    Plan {
        /// The exchange plan.
        plan: String,
        /// The node's code.
        node: String,
        /// The root of the interface as 1C writes it, where it is another than ours.
        point: Option<Url>,
        /// How long a question that was cut off may be at work in 1C.
        quiet: Duration,
        /// When to compare everything, and the share of deletions above which a person must agree.
        recheck: Option<Recheck>,
    },
}

/// A full comparison beside a cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Recheck {
    /// When.
    pub schedule: Schedule,
    /// The share of deletions above which a person must agree, from 0.0 to 1.0.
    pub guard: f64,
}

/// One entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Its name.
    pub name: StreamName,
    /// The columns a record is known by; at least one.
    pub key: Vec<String>,
    /// The column people search for.
    pub label: Option<String>,
    /// The column of dates that parts of it are read by.
    pub date: Option<String>,
    /// How often it changes at least.
    pub expect: Option<Expectation>,
    /// Which of its feed's records it takes, where the feed serves several streams.
    pub entity: Option<String>,
    /// What is asked of 1C, where it is read from there.
    pub odata: OdataRead,
    /// How long bodies are archived, if they are.
    pub archive: Option<Duration>,
    /// Fields that journal and archive never see, from the root.
    pub mask: Vec<Vec<String>>,
}

/// What is asked of 1C beside the name of the object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OdataRead {
    /// Only these properties; all where it is empty.
    pub select: Vec<String>,
    /// References whose records come along.
    pub expand: Vec<String>,
    /// Properties and the values they must have.
    pub equals: Vec<(String, String)>,
    /// A condition in 1C's own words.
    pub filter: Option<String>,
    /// Parameters of a virtual table.
    pub parameters: Vec<(String, String)>,
    /// Leave out what the user may not see.
    pub allowed_only: bool,
    /// Ask for Atom instead of JSON.
    pub atom: bool,
    /// Empty dates are not made null.
    pub empty_dates: bool,
    /// References of zeros are not made null.
    pub zero_references: bool,
    /// Blanks at the end of strings stay.
    pub padding: bool,
    /// Dates carry no offset.
    pub plain_dates: bool,
    /// A record that is marked for deletion is a deletion.
    pub marked_is_deleted: bool,
}

/// One stream to one receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name.
    pub name: RouteName,
    /// The name it had before: it keeps the place of that, with everything that waits there.
    pub was: Option<RouteName>,
    /// What is sent.
    pub stream: StreamName,
    /// Where to: a system that takes requests.
    pub to: SystemName,
    /// Which of the system's operations its requests are.
    pub operation: Option<String>,
    /// Filter and transformation.
    pub shape: Arc<Shaper>,
    /// What happens to a record that the filter no longer wants.
    pub when_left: WhenLeft,
    /// Which versions of a record are sent.
    pub delivery: Delivery,
    /// How a record is carried.
    pub carried: Carried,
    /// Attempts and waits of one record.
    pub retry: RetryPolicy,
    /// Requests under way at the same time.
    pub concurrency: usize,
    /// By when nothing may wait any more.
    pub empty_by: Option<TimeOfDay>,
    /// The other way, whose writes do not go back.
    pub echo: Option<Echo>,
    /// What its receiver must hold before a record is sent.
    pub requires: Vec<Requires>,
    /// When what was collected is delivered; `None`: as it comes.
    pub schedule: Option<Schedule>,
}

/// Records that another record refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct Requires {
    /// Their stream.
    pub stream: StreamName,
    /// The routes that bring them to the same system; at least one.
    pub from: Vec<RouteName>,
    /// Where their keys stand.
    pub keys: Arc<References>,
    /// How long a record waits for them.
    pub within: Duration,
    /// What becomes of it then.
    pub late: Late,
    /// The receiver held such records before.
    pub preloaded: bool,
}

/// How a route recognises what another one has written.
#[derive(Debug, Clone, PartialEq)]
pub struct Echo {
    /// That route.
    pub of: RouteName,
    /// The fields that are compared.
    pub compare: Arc<Compared>,
    /// How its records are found.
    pub by: EchoKey,
}

/// How a route's records are carried to its system.
#[derive(Debug, Clone, PartialEq)]
pub enum Carried {
    /// By requests.
    Http(Http),
    /// Written to a base of 1C.
    Odata(OdataWrite),
}

impl Carried {
    /// Whether deletions are carried too; otherwise they are skipped.
    pub fn deletes(&self) -> bool {
        match self {
            Self::Http(http) => http.on_delete.is_some(),
            Self::Odata(write) => write.gone.is_some(),
        }
    }
}

/// The requests of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// The request that carries a record.
    pub send: Send,
    /// The request that deletes one; `None`: deletions are skipped.
    pub on_delete: Option<DeleteRequest>,
    /// Whether the same may be sent again.
    pub idempotency: Idempotency,
    /// The header by which the receiver recognises a repeat.
    pub idempotency_header: Option<String>,
    /// Several records in one request.
    pub batch: Option<Box<Batch>>,
}

/// How records are written to a base of 1C.
#[derive(Debug, Clone, PartialEq)]
pub struct OdataWrite {
    /// The set.
    pub set: String,
    /// The attribute that holds the message's key.
    pub by: Option<String>,
    /// Whether objects are created.
    pub create: bool,
    /// What becomes of a document.
    pub post: Posting,
    /// What happens to what is gone; `None`: nothing.
    pub gone: Option<Gone>,
    /// Without the configuration's own checks.
    pub load_mode: bool,
}

/// What happens in 1C to an object that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It is marked for deletion.
    Mark,
    /// It is deleted for good.
    Delete,
}

/// The request that carries a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// The method.
    pub method: Method,
    /// A path with `{…}` for values.
    pub path: String,
    /// Beside those of the system.
    pub headers: Vec<(String, SecretOr<String>)>,
    /// JSON pointer to the receiver's own id in its answer.
    pub receiver_id: Option<String>,
}

/// Several records in one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Records in it at most.
    pub max: usize,
    /// How long the first one waits for others at most.
    pub wait: Duration,
    /// Bytes of records in it at most.
    pub bytes: usize,
    /// How they stand in its body.
    pub body: BatchBody,
    /// What its answer says of each; without it, its status is that of all.
    pub results: Option<Results>,
}

/// Where in an answer the results are, as JSON pointers.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// Their list; empty: the whole answer.
    pub items: String,
    /// Within a result, whose it is; `None`: they are in the order of the records.
    pub key: Option<String>,
    /// Within a record as it was sent, what `key` is compared with; `None`: its key.
    pub sent: Option<String>,
    /// Within a result, what was wrong. In its place:
    pub error: Option<String>,
    /// Within a result, its status; empty: the result.
    pub status: String,
    /// Statuses that mean a success, in small letters.
    pub ok: Vec<String>,
}

/// The request that deletes a record.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteRequest {
    /// The method.
    pub method: Method,
    /// A path with `{…}` for values.
    pub path: String,
}

/// An outside system that takes a stream by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// Its name.
    pub name: SubscriptionName,
    /// What it takes.
    pub stream: StreamName,
    /// How.
    pub via: Via,
    /// Kept for it at most so long.
    pub keep_for: Duration,
    /// Kept for it at most so many bytes.
    pub keep_bytes: u64,
    /// Filter and transformation.
    pub shape: Arc<Shaper>,
}

/// How a subscriber takes a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Via {
    /// From its own queue at RabbitMQ.
    Amqp,
    /// By asking over HTTP.
    Http {
        /// What it must present.
        key: SecretRef,
    },
}

/// Who is told of incidents, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub way: Way,
    /// Incidents that open within this time of each other are one message.
    pub wait: Duration,
    /// What stays open is told again after this time.
    pub repeat: Duration,
    /// What is told at all.
    pub level: Severity,
    /// Warnings wait in these hours.
    pub quiet: Option<Hours>,
    /// Whether the end of an incident is told.
    pub resolved: bool,
}

/// How a channel is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// A request.
    Webhook {
        /// Where to.
        url: SecretOr<Url>,
        /// Sent with it.
        headers: Vec<(String, SecretOr<String>)>,
    },
    /// A message of a bot.
    Telegram {
        /// Of the Bot API.
        url: Url,
        /// The bot's token.
        token: SecretRef,
        /// The chat.
        chat: String,
    },
    /// A mail.
    Email {
        /// The mail server.
        server: Url,
        /// Its certificate authority (PEM).
        ca: Option<PathBuf>,
        /// Who sends.
        from: String,
        /// Who reads.
        to: Vec<String>,
        /// User and password.
        login: Option<(String, SecretRef)>,
    },
}

/// Hours of planned work.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedMaintenance {
    /// Its name.
    pub name: String,
    /// Only these systems; `None` is everything.
    pub systems: Option<Vec<SystemName>>,
    /// When.
    pub calendar: Calendar,
}

/// A dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Its name, and what programs hold of it. Inline values and files are bound to it; the others bind who wires them.
    pub handle: Handle,
    /// Where its values come from.
    pub source: MapSource,
}

/// What the names of the bus's own routes begin with that keep maps from streams.
const MAPS: &str = "map.";
/// The same of those that keep the parts of joined streams.
const JOINS: &str = "join.";

/// Whether this is one of the bus's own routes; no other has such a name.
pub fn is_own_route(name: &str) -> bool {
    name.starts_with(MAPS) || name.starts_with(JOINS)
}

impl Map {
    /// The name under which status, metrics and incidents know it; its route's, where a stream keeps it.
    pub fn full_name(&self) -> String {
        format!("{MAPS}{}", self.handle.name)
    }

    /// The stream that it is kept from, if it is.
    pub fn kept_from(&self) -> Option<&StreamName> {
        match &self.source {
            MapSource::Stream { stream, .. } => Some(stream),
            _ => None,
        }
    }
}

/// Where the values of a map come from.
#[derive(Debug, Clone, PartialEq)]
pub enum MapSource {
    /// The configuration itself.
    Inline(Arc<Table>),
    /// A file, read already.
    Csv(Arc<CsvFile>),
    /// A database.
    Query {
        /// The system that is read.
        system: SystemName,
        /// What to read.
        query: String,
        /// When.
        schedule: Schedule,
    },
    /// A stream.
    Stream {
        /// Which.
        stream: StreamName,
        /// Where in a record the value stands.
        value: FieldPath,
    },
    /// The receiver's ids that a route has learnt.
    Route {
        /// Which.
        route: RouteName,
        /// From what to what.
        gives: Gives,
    },
}
