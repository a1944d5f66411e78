//! The configuration, resolved: what the program wires together. Every name in it exists, every value is in range.
//!
//! | file | what it is |
//! |---|---|
//! | `bus.rs` | the bus itself, and its broker |
//! | `system.rs` | who it talks to, and how much they can take |
//! | `feed.rs` | what reads or is pushed to, and how changes are found; joins |
//! | `stream.rs` | what is published |
//! | `route.rs` | what is delivered where |
//! | `carried.rs` | how: requests, batches, objects of 1C |
//! | `subscription.rs` | what outside systems take by themselves |
//! | `map.rs` | what values are looked up in |
//! | `readers.rs` | who reads which fields of a stream |
//! | `own.rs` | the names of the bus's own routes |
//! | `notify.rs` | who is told of incidents, and when nobody is |
//! | `test.rs` | what routes are to make of records |

mod bus;
mod carried;
mod feed;
mod map;
mod notify;
mod own;
mod readers;
mod route;
mod stream;
mod subscription;
mod system;
mod test;

use bus_core::vocabulary::{StreamName, SystemName};

pub use crate::language::batch::BatchBody;
pub use crate::language::bus::LogFormat;
pub use crate::language::map::GivesText as Gives;
pub use crate::language::odata::Posting;
pub use crate::language::route::{Delivery, EchoKey, Late, Method, WhenLeft};
pub use crate::language::stream::Overlap;
pub use bus::{Broker, Bus, JournalKeep};
pub use carried::{Batch, Carried, DeleteRequest, Gone, Http, OdataWrite, Results, Send};
pub use feed::{Changes, Feed, FeedSource, Join, JoinPart, Recheck};
pub use map::{Map, MapSource};
pub use notify::{Channel, PlannedMaintenance, Way};
pub use own::is_own_route;
pub use readers::FieldReader;
pub use route::{Echo, Requires, Route};
pub use stream::{OdataRead, Stream};
pub use subscription::{Subscription, Via};
pub use system::{HttpSystem, Limits, OdataSystem, System, SystemKind, Takes};
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
