//! `odata = { … }` of a stream: what is asked of 1C's OData interface beside the name of the object.

use std::borrow::Cow;

use bus_options::{Filled, Located, Map, Node, OneOrMany, OptionValue, Report, choices, codes, options};

use crate::onec;

/// An object of 1C, written in either of its two forms; holds the interface's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName(pub String);

impl OptionValue for ObjectName {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = Filled::read(node, report)?;
        match onec::interface_name(&text.0) {
            Ok(name) => Some(Self(name)),
            Err(why) => {
                report.add_with_hint(codes::NO_OBJECT_OF_1C, &node.span(), why, OBJECT_HINT);
                None
            }
        }
    }
    fn kind() -> Cow<'static, str> {
        "object of 1C: `\"Document_ЗаказКлиента\"` or `\"Документ.ЗаказКлиента\"`".into()
    }
    fn schema() -> serde_json::Value {
        Filled::schema()
    }
}

/// What a name that is none should be.
pub const OBJECT_HINT: &str = "write it as the interface does (\"Document_ЗаказКлиента\"), or as 1C does (\"Документ.ЗаказКлиента\", \
                               \"РегистрНакопления.ТоварыНаСкладах.Остатки\")";

options! {
    /// What is asked of 1C beside the name of the object.
    pub struct OdataRead("odata") {
        /// Only these properties. Without it all of them, tabular parts included.
        select: OneOrMany<Filled>, optional;
        /// References whose records come along, as objects beside them.
        expand: OneOrMany<Filled>, optional;
        /// Properties and the values that they must have, as texts: `{ Posted = "true" }`. Each is compared by its kind; one
        /// of composite type as `"Catalog_Склады(41aa6331-…)"`.
        equals: Map<Filled> = {};
        /// A condition in 1C's own words, as `$filter` takes it.
        filter: Filled, optional;
        /// Parameters of a virtual table: `{ Period = "2026-01-01T00:00:00", Condition = "…" }`.
        parameters: Located<Map<Filled>>, optional;
        /// Leave out what the user may not see, where access is restricted record by record.
        allowed_only: bool = false;
        /// Which format to ask for. Records look the same.
        format: Format = "json";
        /// What is left as 1C writes it. Otherwise empty dates and references are null, and blanks at the end of strings go.
        keep: OneOrMany<Kept>, optional;
        /// Whether dates carry the offset of the base's time zone.
        dates: Dates = "offset";
        /// What a record is that is marked for deletion.
        deletion_mark: Mark = "field";
    }
}

options! {
    /// How a record is written to a base of 1C.
    pub struct OdataWrite("write") {
        /// The set, as the interface names it: `"Document_ЗаказКлиента"`. Objects, independent and dependent records, constants.
        set: ObjectName, required;
        /// The attribute that holds the key of the message: text of limited length, or a whole number. Without it the key is the
        /// object's own reference in 1C, and objects can only be changed. Registers and constants have their key in their fields.
        by: Filled, optional;
        /// Whether objects that 1C does not have yet are created.
        create: bool = true;
        /// What becomes of a document after it was written.
        post: Posting = "leave";
        /// `ОбменДанными.Загрузка`: 1C writes without the configuration's own checks and movements.
        load_mode: bool = false;
    }
}

choices! {
    /// What becomes of a document after it was written.
    pub enum Posting {
        /// It stays as it is.
        Leave = "leave",
        /// It is posted.
        Post = "post",
        /// Its posting is undone.
        Unpost = "unpost",
        /// As the record's `Posted` says.
        Follow = "follow",
    }
}

choices! {
    /// A format of answers.
    pub enum Format { Json = "json", Atom = "atom" }
}

choices! {
    /// What is left as 1C writes it.
    pub enum Kept {
        /// `0001-01-01T00:00:00`.
        EmptyDates = "empty-dates",
        /// The reference of zeros.
        ZeroReferences = "zero-references",
        /// Blanks at the end of strings.
        Padding = "padding",
    }
}

choices! {
    /// How dates are written.
    pub enum Dates {
        /// `2026-11-22T10:00:00+03:00`.
        Offset = "offset",
        /// `2026-11-22T10:00:00`.
        Plain = "plain",
    }
}

choices! {
    /// What a record is that is marked for deletion.
    pub enum Mark {
        /// A record like others, with `DeletionMark`.
        Field = "field",
        /// A deletion.
        Delete = "delete",
    }
}
