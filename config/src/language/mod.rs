//! The tables of `routes.toml`, each declared in its own file: parser, schema and reference come from here.

pub mod address;
pub mod batch;
pub mod bus;
pub mod feed;
pub mod header;
pub mod map;
pub mod odata;
pub mod pointer;
pub mod profile;
pub mod route;
pub mod select;
pub mod stream;
pub mod subscription;
pub mod system;
pub mod template;
pub mod test;
pub mod watch;

use bus_core::vocabulary::{FeedName, MapName, RouteName, StreamName, SubscriptionName, SystemName};
use bus_options::{Apart, DefaultsOf, Definitions, Located, options};

use profile::ProfileName;

options! {
    /// A configuration: one main file, and the files it includes. Every table may stand in any of them, except
    /// `include`, `[bus]` and `[defaults]`, which belong to the main file.
    pub struct Root("routes.toml") {
        /// Files that belong to this one: paths and patterns relative to it, such as `routes.d/*.toml`.
        include: Apart<Vec<Located<String>>> = [];
        /// The bus itself.
        bus: Apart<Located<bus::Bus>>, optional;
        /// What holds for every table of a kind, in all files, unless the table says otherwise.
        defaults: Apart<Located<Defaults>>, optional;
        /// Capacity over the day and the week, named once.
        profiles: Apart<Definitions<ProfileName, profile::Profile>>, optional;
        /// Who the bus talks to, how to get in, how much they can take.
        systems: Apart<Definitions<SystemName, system::System>>, optional;
        /// Readers that serve several streams each.
        feeds: Apart<Definitions<FeedName, feed::Feed>>, optional;
        /// Entities, each read once.
        streams: Apart<Definitions<StreamName, stream::Stream>>, optional;
        /// Where a stream goes, and in what shape.
        routes: Apart<Definitions<RouteName, route::Route>>, optional;
        /// Outside systems that take a stream by themselves.
        subscriptions: Apart<Definitions<SubscriptionName, subscription::Subscription>>, optional;
        /// Who is told of incidents, and how.
        notify: Apart<Definitions<watch::ChannelName, watch::Notify>>, optional;
        /// Hours in which nobody is told, because work is planned.
        maintenance: Apart<Definitions<watch::MaintenanceName, watch::Maintenance>>, optional;
        /// Dictionaries from a source's values to a receiver's.
        maps: Apart<Definitions<MapName, map::Map>>, optional;
        /// Records, and what routes are to make of them.
        tests: Apart<Vec<Located<test::Test>>>, optional;
    }
}

options! {
    /// What holds for every table of a kind, in all files. An option in the table itself wins, and wins as a whole:
    /// of `retry = { attempts = 3 }` in defaults nothing is left where a route has a `retry` of its own.
    pub struct Defaults("[defaults]") {
        /// For every system.
        systems: DefaultsOf<SystemName, system::System>, optional;
        /// For every feed. A schedule says nothing to feeds that are pushed.
        feeds: DefaultsOf<FeedName, feed::Feed>, optional;
        /// For every stream. A schedule says nothing to streams that are pushed, or served by a feed.
        streams: DefaultsOf<StreamName, stream::Stream>, optional;
        /// For every route. `when_left` says nothing to routes without `when`.
        routes: DefaultsOf<RouteName, route::Route>, optional;
        /// For every subscription.
        subscriptions: DefaultsOf<SubscriptionName, subscription::Subscription>, optional;
    }
}
