//! `[systems.NAME]`: who the bus talks to, how to get in, how much they can take.

use std::path::PathBuf;

use bus_options::{
    Filled, Located, Map, Millis, OneOrMany, Percent, SecretOr, SecretRef, Whole, choices, options, tagged,
};

use super::address::{HttpUrl, SqlUrl};
use super::bus::Timezone;
use super::header::Headers;
use super::odata::ObjectName;
use super::profile::Pace;

/// In milliseconds. A request that takes longer hangs, and after a crash its system is left alone for as long.
const HOUR: u64 = 3_600_000;
/// In milliseconds.
pub const DAY: u64 = 24 * HOUR;

tagged! {
    /// A system the bus talks to.
    pub enum System by "kind" {
        /// A database that is read.
        Sql(SqlSystem) = "sql",
        /// A server that takes requests.
        Http(HttpSystem) = "http",
        /// A base of 1C:Enterprise that is read and written by its OData interface.
        Odata(OdataSystem) = "1c-odata",
    } planned ["odata", "soap", "file", "telegram", "amqp"]
}

options! {
    /// A database: PostgreSQL or SQLite.
    pub struct SqlSystem("[systems.NAME] kind = \"sql\"") {
        /// Where it is. An address with a password is a secret as a whole.
        url: SecretOr<SqlUrl>, required;
        /// Certificate authority of the server (PEM), where it is not a public one.
        ca: PathBuf, optional, shared;
        /// How much it may be read.
        reads: Reads, shared = {};
    } planned ["identity", "timezone", "capacity"]
}

options! {
    /// A receiver that takes HTTP requests.
    pub struct HttpSystem("[systems.NAME] kind = \"http\"") {
        /// Base address; the path of a route is appended.
        url: SecretOr<HttpUrl>, required;
        /// Sent with every request. Keys and tokens only as `{ env = … }` or `{ file = … }`.
        headers: Headers = {};
        /// For HTTP basic authentication.
        user: Located<Filled>, optional;
        /// For HTTP basic authentication.
        password: Located<SecretRef>, optional;
        /// Certificate authority of the server (PEM), where it is not a public one.
        ca: PathBuf, optional, shared;
        /// How much it can take. Without `rate` the bus sends as fast as it is answered.
        capacity: Capacity, shared = {};
        /// How long a request may take, from connecting to the last byte of the answer.
        timeout: Millis<1, HOUR>, shared = "10s";
    } planned ["identity", "timezone", "reads"]
}

options! {
    /// A base of 1C:Enterprise, read and written by its OData interface.
    pub struct OdataSystem("[systems.NAME] kind = \"1c-odata\"") {
        /// The root of the interface: `http://HOST/BASE/odata/standard.odata`.
        url: SecretOr<HttpUrl>, required;
        /// A user of the base. It may read what is read and change what is written, and needs no more rights.
        user: Located<Filled>, optional;
        /// The user's password.
        password: Located<SecretRef>, optional;
        /// Certificate authority of the web server (PEM), where it is not a public one.
        ca: PathBuf, optional, shared;
        /// The time zone of the base: its dates carry none. Without it, that of the bus.
        timezone: Timezone, optional;
        /// How much it may be read.
        reads: Reads, shared = {};
        /// How much it can take. Each record takes a request or more: to find the object, to write it, to post it.
        capacity: Capacity, shared = {};
        /// Requests at the same time over everything the bus does in this base as this user: each holds a session, and a licence.
        sessions: Whole<1, 100> = 3;
        /// The longest silence: before the first byte of an answer, and between any two. The first answer after a pause, virtual
        /// tables and `$metadata` take 1C half a minute.
        timeout: Millis<1, HOUR>, shared = "2m";
        /// By what this base is told from another one: a constant with another value in every base, and a kind of document of which
        /// the newest must still be there, as in `["Константа.ИдентификаторБазы", "Документ.ЗаказКлиента"]`. Without it, a feed that reads
        /// documents looks for the newest of those.
        identity: Located<OneOrMany<ObjectName>>, optional;
    }
}

options! {
    /// How much a system can take.
    pub struct Capacity("capacity") {
        /// Requests per time, always or by a profile.
        rate: Pace, optional;
        /// Requests at the same time, over all routes to this system.
        concurrency: Whole<1, 1000> = 4;
        /// Kept free below `rate`, for clocks and networks that are not exact.
        margin: Percent = "1%";
        /// Whether answers that ask for less, errors and rising answer times lower the pace below `rate`; it comes back in
        /// steps, and is never above.
        adaptive: bool = true;
        /// What the system takes less of, by a name of yours: `{ upload = "250/h" }`. The requests of a route with
        /// `operation = "upload"` count for both.
        operations: Map<Pace> = {};
        /// What `rate` and `operations` count.
        unit: Unit = "request";
    }
}

choices! {
    /// What a system's capacity is counted in.
    pub enum Unit {
        /// Each request is one, whatever it carries.
        Request = "request",
    }
}

options! {
    /// How much a system may be read.
    pub struct Reads("reads") {
        /// Reads per time, always or by a profile.
        rate: Pace, optional;
        /// Reads at the same time, over all feeds of this system.
        concurrency: Whole<1, 100> = 2;
    }
}
