//! `[systems.NAME]`: who the bus talks to, how to get in, how much they can take.

use std::borrow::Cow;
use std::path::PathBuf;

use bus_options::{
    Filled, Located, Map, Millis, Node, OneOrMany, OptionValue, Percent, Report, SecretOr, SecretRef, Whole, choices,
    codes, options, tagged,
};
use serde_json::Value;

use super::address::{HttpUrl, SqlUrl};
use super::bus::Timezone;
use super::odata::ObjectName;
use super::profile::Pace;
use super::route::Template;

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

/// Headers of every request.
#[derive(Debug, Clone, Default)]
pub struct Headers(pub Vec<(String, SecretOr<String>)>);

impl OptionValue for Headers {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let mut clean = true;
        // Before the values are read: a mistake in one of them must not show the secret beside it.
        for (name, span, value) in node.entries() {
            let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(token) {
                let hint = "English letters, digits and '-', such as X-Api-Version";
                report.add_with_hint(codes::BAD_NAME, &span, format!("`{name}` is not a header"), hint);
                clean = false;
            }
            let template = value.value().as_str().map(Template::check);
            if let Some(Err(message)) = template.filter(|_| !looks_secret(name)) {
                value.bad_value(message, "braces stand for values of the message, such as {key} or {id}", report);
                clean = false;
            }
            if value.value().is_str() && looks_secret(name) {
                report.hide(&value.span());
                let hint = format!("name where it is kept: {name} = {{ env = \"NAME\" }}");
                let message = format!("the value of `{name}` is a secret and must not stand in the file");
                report.add_with_hint(codes::LITERAL_SECRET, &span, message, hint);
                clean = false;
            }
        }
        let map = Map::<SecretOr<String>>::read(node, report)?;
        let pairs = map.0.into_iter().map(|entry| (entry.key.value, entry.value)).collect();
        clean.then_some(Self(pairs))
    }
    fn kind() -> Cow<'static, str> {
        "table: header = text or secret".into()
    }
    fn schema() -> Value {
        Map::<SecretOr<String>>::schema()
    }
}

/// Whether a header of this name usually carries a secret.
fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name != "idempotency-key"
        && (["auth", "token", "secret", "password", "cookie", "session", "credential"].iter().any(|w| name.contains(w))
            || name.ends_with("key"))
}
