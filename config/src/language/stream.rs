//! `[streams.NAME]`: one entity, read once.

use std::borrow::Cow;
use std::time::Duration;

use bus_core::policy::Schedule;
use bus_core::vocabulary::{FeedName, StreamName, SystemName};
use bus_options::{
    Declaration, Declared, Filled, Located, Node, OneOrMany, OptionValue, Own, Percent, Ref, RefEither, Referring,
    Report, SecretRef, options,
};
use serde_json::{Value, json};

use super::address::HttpUrl;
use super::odata::{ObjectName, OdataRead};
use super::select::SelectText;
use super::watch::Expect;
use crate::shape::Masked;

options! {
    /// One entity, read once: from a system (`from`, `query`, `schedule`, `changes`), pushed to the bus (`listen`), one of
    /// those that a feed serves (`from`, `entity`), or put together from other streams (`join`, `with`).
    pub struct Stream("[streams.NAME]") {
        /// The system it is read from, or the feed that serves it.
        from: RefEither<SystemName, FeedName>, optional;
        /// Which of the feed's records are this stream's: what its `entity_column` holds for them. Of a base of 1C: the object's
        /// name in its interface, as in `"Catalog_Номенклатура"` or `"AccumulationRegister_ТоварыНаСкладах/Balance"`, or as 1C's people call it: `"Справочник.Номенклатура"`,
        /// `"РегистрНакопления.ТоварыНаСкладах.Остатки"`.
        entity: Located<Filled>, optional;
        /// What to read. With a cursor it holds `:cursor`, the position reached, and no LIMIT; the bus reads in the cursor's order,
        /// whatever the query is ordered by.
        query: SelectText, optional;
        /// What is asked of 1C beside the name of the object.
        odata: Located<OdataRead>, optional;
        /// When to read.
        schedule: Own<Schedule>, optional, shared;
        /// How changes are found.
        changes: Located<Changes>, optional;
        /// Records are pushed to the bus instead.
        listen: Located<Push>, optional;
        /// Another stream, whose records this one's are, with what `with` names added. A change of any part sends the
        /// whole.
        join: Ref<StreamName>, optional;
        /// The other parts: which streams, and which of their fields hold the key of the record they belong to.
        with: Located<Referring<StreamName, With>>, optional;
        /// The column, or columns, that a record is known by.
        key: Located<OneOrMany<Filled>>, required;
        /// The column that people search for.
        label: Filled, optional;
        /// The column of dates by which `bus backfill` reads parts of it: when a document is of, not when it was changed. Pushed
        /// records are read by when they came.
        date: Located<Filled>, optional;
        /// How often it changes at least: silence for longer is an incident.
        expect: Expect, optional;
        /// How long the bodies of its messages are kept, so that `bus where` can say what changed. Not longer than the
        /// journal.
        archive: Located<Duration>, optional, shared;
        /// Fields with personal data: their values are neither in the archive nor in what the journal keeps of answers.
        mask: Located<OneOrMany<Masked>>, optional;
    } planned ["guard", "identity"]
}

options! {
    /// A part of a joined stream: `with.prices = { on = "product_id" }`.
    pub struct With("with") {
        /// The field, or fields, of the part's records that hold the key of the record they belong to, in the order of
        /// that key.
        on: Located<OneOrMany<Filled>>, required;
        /// Several records of the part may belong to one: they are a list.
        many: bool = false;
        /// The field of the joined record in which they stand; the name of the part's stream, if nothing is said.
        field: Filled, optional;
    }
}

options! {
    /// Records are pushed to the bus by `POST`, answered after the broker has confirmed them.
    pub struct Push("listen") {
        /// The path under the bus's own address.
        path: Located<PushPath>, required;
        /// What the sender must present.
        key: SecretRef, required;
    }
}

options! {
    /// Changes are what is new since the position reached.
    pub struct CursorChanges("changes = { cursor = … }") {
        /// The column that grows with every change.
        cursor: Filled, required;
        /// How far to read back, so that what was committed late is seen: a time for a column of dates, a number for a
        /// column of numbers.
        overlap: Overlap = "0s";
        /// When to compare everything: finds deletions, and what no cursor can. One that was missed is made up at the start.
        recheck: Schedule, optional;
        /// A comparison that would delete a greater share than this waits for a person. One of several records may always go; of `"0%"` none.
        guard: Located<Own<Percent>> = "10%";
    }
}

options! {
    /// Changes are found by comparing everything with what was published last. `"diff"` for short.
    pub struct DiffChanges("changes = { diff = true }") {
        /// Says that this is a comparison.
        diff: bool, required;
        /// A comparison that would delete a greater share than this waits for a person. One of several records may always go; of `"0%"` none.
        guard: Percent = "10%";
    }
}

options! {
    /// Changes of a base of 1C are found by comparing `DataVersion`, and only records of which it is another are read whole. `"data_version"` for
    /// short.
    pub struct VersionChanges("changes = { data_version = true }") {
        /// Says that versions are compared.
        data_version: bool, required;
        /// A comparison that would delete a greater share than this waits for a person. One of several records may always go; of `"0%"` none.
        guard: Percent = "10%";
    }
}

options! {
    /// Changes are what a base of 1C registers for a node of its exchange plan.
    pub struct PlanChanges("changes = { exchange_plan = … }") {
        /// The plan's name in the interface.
        exchange_plan: ObjectName, required;
        /// The code of the node that stands for the bus. Nobody else may read it.
        node: Filled, required;
        /// The root of the interface as 1C itself writes it, where a proxy stands between and `url` is another.
        point: HttpUrl, optional;
        /// How long a question for changes that was cut off may still be at work in 1C, unless 1C shows that it has ended: nothing
        /// else is asked for meanwhile. Longer than 1C ever takes for one.
        quiet: Duration = "15m";
        /// When to compare everything: finds what was not registered. One that was missed is made up at the start.
        recheck: Schedule, optional;
        /// A comparison that would delete a greater share than this waits for a person. One of several records may always go; of `"0%"` none.
        guard: Percent = "10%";
    }
}

/// How changes are found.
#[derive(Debug, Clone)]
pub enum Changes {
    /// By a column that grows.
    Cursor(CursorChanges),
    /// By comparing.
    Diff(DiffChanges),
    /// By comparing versions.
    Version(VersionChanges),
    /// By an exchange plan.
    Plan(PlanChanges),
}

impl OptionValue for Changes {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if let Some(word) = node.value().as_str() {
            if word == "diff" {
                let guard = Percent::ten();
                return Some(Self::Diff(DiffChanges { diff: true, guard }));
            }
            if word == "data_version" {
                return Some(Self::Version(VersionChanges { data_version: true, guard: Percent::ten() }));
            }
            node.not_a_choice(word, &["diff", "data_version"], &[], report);
            return None;
        }
        if !node.value().is_table() {
            node.wrong_type(&Self::kind(), report);
            return None;
        }
        if node.has("exchange_plan") || node.has("node") {
            return PlanChanges::read(node, report).map(Self::Plan);
        }
        if node.has("data_version") {
            let changes = VersionChanges::read(node, report)?;
            if !changes.data_version {
                node.bad_value("`data_version = false` says nothing", "write changes = \"data_version\"", report);
                return None;
            }
            return Some(Self::Version(changes));
        }
        if !node.has("diff") {
            return CursorChanges::read(node, report).map(Self::Cursor);
        }
        let changes = DiffChanges::read(node, report)?;
        if !changes.diff {
            node.bad_value("`diff = false` says nothing", "write changes = \"diff\", or name a cursor", report);
            return None;
        }
        Some(Self::Diff(changes))
    }
    fn kind() -> Cow<'static, str> {
        "`\"diff\"`, `\"data_version\"`, table `changes = { cursor = … }`, table `changes = { exchange_plan = … }` or table `changes = { diff = true }`".into()
    }
    fn schema() -> Value {
        json!({"anyOf": [{"const": "diff"}, {"const": "data_version"}, VersionChanges::schema(), CursorChanges::schema(), DiffChanges::schema(), PlanChanges::schema()]})
    }
    fn tables(out: &mut Vec<Declaration>) {
        out.push(CursorChanges::declaration());
        out.push(DiffChanges::declaration());
        out.push(VersionChanges::declaration());
        out.push(PlanChanges::declaration());
    }
}

/// How far to read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// A cursor of dates.
    Time(Duration),
    /// A cursor of numbers.
    Count(u64),
}

impl OptionValue for Overlap {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if node.value().is_integer() {
            return bus_options::Whole::<0, { i64::MAX as u64 }>::read(node, report).map(|n| Self::Count(n.get()));
        }
        Duration::read(node, report).map(Self::Time)
    }
    fn kind() -> Cow<'static, str> {
        "duration such as `\"30s\"`, or whole number".into()
    }
    fn schema() -> Value {
        json!({"anyOf": [Duration::schema(), {"type": "integer", "minimum": 0}]})
    }
}

/// A path under the bus's own address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushPath(pub String);

impl OptionValue for PushPath {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("a path", report)?;
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let good = |part: &str| !part.is_empty() && part != ".." && part.chars().all(plain);
        let parts = text.strip_prefix("/in/").map(|rest| rest.split('/').all(good));
        if parts != Some(true) {
            let hint = "it begins with /in/, as in \"/in/users\": letters, digits, '-', '_' and '.'";
            node.bad_value(format!("`{text}` is not a path for pushed records"), hint, report);
            return None;
        }
        Some(Self(text.to_owned()))
    }
    fn kind() -> Cow<'static, str> {
        "path such as `\"/in/users\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^/in/."})
    }
}
