//! `[routes.NAME]`: one stream to one receiver.

use std::borrow::Cow;

use bus_core::policy::Schedule;
use bus_core::vocabulary::{RouteName, StreamName, SystemName};
use bus_options::{
    Declaration, Declared, Filled, Located, Millis, Node, OneOrMany, OptionValue, Own, Ref, Report, Whole, choices,
    options,
};
use serde_json::{Value, json};

use super::batch::Batch;
use super::header::{HeaderName, Headers};
use super::odata::OdataWrite;
use super::pointer::JsonPointer;
use super::system::DAY;
use super::template::Template;
use super::watch::EmptyBy;
use crate::shape::{Compared, ConditionText, FieldsText, ReferencesText, TransformText};

options! {
    /// One stream to one receiver. The name is the queue, the label of metrics and the entry in the journal.
    pub struct Route("[routes.NAME]") {
        /// The name it had before. The renamed route keeps its place: its queue, what waits, dead letters, and what each
        /// receiver has.
        was: Former, optional;
        /// What is sent.
        stream: Ref<StreamName>, required;
        /// The system it goes to.
        to: Ref<SystemName>, required;
        /// Which of the system's `capacity.operations` its requests are.
        operation: Located<Filled>, optional;
        /// Only records for which this is true; without it, all.
        when: ConditionText, optional;
        /// What happens to a record at the receiver once `when` is no longer true for it.
        when_left: Located<Own<WhenLeft>>, shared = "ignore";
        /// What happens at the receiver when the record is deleted.
        on_delete: Located<OnDelete> = "ignore";
        /// The request that carries a record, to a system with kind = "http".
        send: Located<Send>, optional;
        /// How a record is written, to a base of 1C.
        write: Located<OdataWrite>, optional;
        /// Makes the receiver's object of the record. Without it and `fields`, the record goes as it is.
        transform: TransformText, optional;
        /// The simple case: the receiver's names, each with a path in the record. Keeps every digit.
        fields: Located<FieldsText>, optional;
        /// Whether sending the same again does no harm. PUT and DELETE are taken to be so, others not; `send` and
        /// `on_delete` count together: one that is not is enough. With `{ header = … }` the receiver recognises a
        /// repeat by the key in that header.
        idempotent: Idempotent, optional;
        /// How often and how long one record is tried again.
        retry: Retry, shared = {};
        /// Every version of a record, or only the latest of those that wait, in the place of the first.
        delivery: Delivery = "every";
        /// Requests under way at the same time; never two of one key.
        concurrency: Whole<1, 256>, shared = 4;
        /// The time of day by which nothing may wait any more; otherwise it is an incident.
        empty_by: EmptyBy, optional, shared;
        /// For both ways: what another route has written to the system that this one's stream is read from does not go back.
        echo: Located<Echo>, optional;
        /// Records that the receiver must hold before a record is sent: it waits until each was delivered there.
        requires: Located<OneOrMany<Requires>>, optional;
        /// When what was collected is delivered, at this receiver's own frequency; without it, as it comes. Read in the bus's
        /// `timezone`.
        schedule: Schedule, optional;
        /// Several records in one request, to a system with kind = "http".
        batch: Located<Batch>, optional;
    } planned ["on_reject"]
}

options! {
    /// Records of another stream, or of the same one, that a record refers to.
    pub struct Requires("requires") {
        /// Their stream; a route of it must lead to the same system.
        stream: Ref<StreamName>, required;
        /// Where in the record their keys stand; `[*]` is each item of a list. What is null, empty or 1C's empty reference
        /// refers to nothing.
        keys: ReferencesText, required;
        /// How long a record waits for them at most.
        within: Millis<1, { 30 * DAY }> = "1h";
        /// What becomes of it then.
        late: Late = "dead-letter";
        /// The receiver held such records before the bus came: what the bus has never published counts as being there.
        preloaded: bool = false;
    }
}

choices! {
    /// What becomes of a record that refers to something the receiver did not get in time.
    pub enum Late {
        /// It is a dead letter.
        DeadLetter = "dead-letter",
        /// It is sent all the same.
        Send = "send",
    }
}

options! {
    /// The other way of a pair of routes, and how its writes are recognised when they are read again.
    pub struct Echo("echo") {
        /// The route of the other way.
        of: Ref<RouteName>, required;
        /// The fields that travel: paths in what that route sends, and in the record that is read here. Name all that this
        /// route sends on: what is not compared does not travel while the rest is as that route has written it.
        compare: Compared, required;
        /// How this stream's key finds what that route wrote: they are the same, or this one is the id that the receiver gave to that
        /// route.
        by: Located<EchoKey> = "key";
    }
}

choices! {
    /// By what both routes know a record.
    pub enum EchoKey {
        /// By its key.
        Key = "key",
        /// By the receiver's id.
        ReceiverId = "receiver_id",
    }
}

/// The name that a route had before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former(pub Located<RouteName>);

impl OptionValue for Former {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("the former name of a route", report)?;
        let value = report.name::<RouteName>(text, &node.span())?;
        Some(Self(Located { value, span: node.span() }))
    }
    fn kind() -> Cow<'static, str> {
        "former name of the route".into()
    }
    fn schema() -> Value {
        Ref::<RouteName>::schema()
    }
}

choices! {
    /// What happens to a record at the receiver once it stops matching.
    pub enum WhenLeft {
        /// It is deleted there.
        Delete = "delete",
        /// It stays as it was.
        Ignore = "ignore",
    }
}

choices! {
    /// Which versions of a record are sent.
    pub enum Delivery {
        /// All of them, in order.
        Every = "every",
        /// While one waits, a newer one takes its place.
        Latest = "latest",
    }
}

choices! {
    /// A method that carries a record.
    pub enum Method { Post = "POST", Put = "PUT", Patch = "PATCH", Delete = "DELETE" }
}

impl Method {
    /// As in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    /// Whether HTTP promises that repeating does no harm.
    pub fn is_idempotent(self) -> bool {
        matches!(self, Method::Put | Method::Delete)
    }
}

options! {
    /// The request that carries a record.
    pub struct Send("send") {
        /// The method.
        method: Method = "POST";
        /// Appended to the system's address; `{key}`, `{receiver_id}`, `{label}` and others stand for values.
        path: Located<Template>, required;
        /// Sent with these requests, beside those of the system.
        headers: Headers = {};
        /// Where in the answer (JSON pointer) the receiver's own id of the record stands; kept for later versions. With
        /// `batch`, where in the record's result.
        receiver_id: JsonPointer, optional;
    } planned ["find"]
}

options! {
    /// The request that deletes a record at the receiver.
    pub struct DeleteRequest("on_delete") {
        /// The method.
        method: Method = "DELETE";
        /// Appended to the system's address; `{key}` and `{receiver_id}` stand for values.
        path: Located<Template>, required;
    }
}

/// What happens at the receiver when a record is deleted.
#[derive(Debug, Clone)]
pub enum OnDelete {
    /// Nothing.
    Ignore,
    /// This request is sent.
    Send(DeleteRequest),
    /// In 1C: the object is marked for deletion.
    Mark,
    /// In 1C: the object is deleted for good.
    Delete,
}

impl OptionValue for OnDelete {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        match node.value().as_str() {
            None => DeleteRequest::read(node, report).map(Self::Send),
            Some("ignore") => Some(Self::Ignore),
            Some("mark") => Some(Self::Mark),
            Some("delete") => Some(Self::Delete),
            Some(other) => {
                node.not_a_choice(other, &["ignore", "mark", "delete"], &[], report);
                None
            }
        }
    }
    fn kind() -> Cow<'static, str> {
        "`\"ignore\"`, table `on_delete`; in 1C `\"mark\"` or `\"delete\"`".into()
    }
    fn schema() -> Value {
        json!({"anyOf": [{"enum": ["ignore", "mark", "delete"]}, DeleteRequest::schema()]})
    }
    fn tables(out: &mut Vec<Declaration>) {
        out.push(DeleteRequest::declaration());
    }
}

options! {
    /// The receiver recognises a repeat.
    pub struct IdempotencyHeader("idempotent = { header = … }") {
        /// The header that carries the key, such as `Idempotency-Key`.
        header: HeaderName, required;
    }
}

/// Whether sending the same again does no harm.
#[derive(Debug, Clone)]
pub enum Idempotent {
    /// The operator says so.
    Stated(bool),
    /// The receiver recognises a repeat by a header.
    Header(String),
}

impl OptionValue for Idempotent {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        match node.value().is_table() {
            true => IdempotencyHeader::read(node, report).map(|options| Self::Header(options.header.0)),
            false => bool::read(node, report).map(Self::Stated),
        }
    }
    fn kind() -> Cow<'static, str> {
        "`true`, `false` or `{ header = \"Idempotency-Key\" }`".into()
    }
    fn schema() -> Value {
        json!({"anyOf": [{"type": "boolean"}, IdempotencyHeader::schema()]})
    }
    fn tables(out: &mut Vec<Declaration>) {
        out.push(IdempotencyHeader::declaration());
    }
}

options! {
    /// How often and how long one record is tried again, when the failure is its own.
    pub struct Retry("retry") {
        /// Attempts in all.
        attempts: Whole<1, 1000> = 8;
        /// The wait after the first failure; it doubles from there.
        first: Millis<1, DAY> = "1s";
        /// The longest wait.
        max: Millis<1, DAY> = "5m";
    }
}
