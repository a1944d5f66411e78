//! Entities are written down shortly: the standard attributes come by themselves.

use super::{Entity, Origin, Property, Type};

/// An entity that is being written down, or the lines of one of its parts.
pub(super) struct Build {
    name: String,
    properties: Vec<Property>,
    /// Standard attributes that come behind the others.
    last: Vec<Property>,
    dimensions: Vec<&'static str>,
    resources: Vec<&'static str>,
    functions: Vec<&'static str>,
}

pub(super) fn property(name: &str, kind: Type) -> Property {
    Property { name: name.to_owned(), kind, key: false }
}

pub(super) fn key(name: &str, kind: Type) -> Property {
    Property { key: true, ..property(name, kind) }
}

pub(super) fn text(length: usize) -> Type {
    Type::Text { length: Some(length), fixed: false }
}

/// A catalog, with folders where it is a hierarchy.
pub(super) fn catalog(name: &str, folders: bool) -> Build {
    let full = format!("Catalog_{name}");
    let mut build = Build::new(full.clone());
    build.standard();
    build.properties.extend([property("Code", text(11)), property("Description", text(100))]);
    if folders {
        // Parents of one catalog: the only attribute whose target is the entity itself.
        let target: &'static str = Box::leak(full.into_boxed_str());
        build.properties.push(property("Parent_Key", Type::Reference(target)));
        build.properties.push(property("IsFolder", Type::Bool));
    }
    build.last = vec![property("Predefined", Type::Bool), property("PredefinedDataName", text(256))];
    build
}

/// A document.
pub(super) fn document(name: &str) -> Build {
    let mut build = Build::new(format!("Document_{name}"));
    build.standard();
    let own = [property("Number", text(11)), property("Date", Type::Date), property("Posted", Type::Bool)];
    build.properties.extend(own);
    build.functions = vec!["Post", "Unpost"];
    build
}

/// An exchange plan.
pub(super) fn plan(name: &str) -> Build {
    let mut build = Build::new(format!("ExchangePlan_{name}"));
    build.standard();
    build.properties.extend([property("Code", text(9)), property("Description", text(100))]);
    build.last = vec![
        property("SentNo", Type::Int64),
        property("ReceivedNo", Type::Int64),
        property("ExchangeDate", Type::Date),
        property("ThisNode", Type::Bool),
    ];
    build
}

/// A constant.
pub(super) fn constant(name: &str, kind: Type) -> Entity {
    let mut build = Build::new(format!("Constant_{name}"));
    build.properties = vec![key("SurrogateKey", Type::Int16), property("Value", kind)];
    build.done()
}

/// An information register without a recorder; its key comes from the properties marked so.
pub(super) fn register(name: &str, periodic: bool) -> Build {
    let mut build = Build::new(format!("InformationRegister_{name}"));
    if periodic {
        build.properties.push(key("Period", Type::Date));
        build.functions = vec!["SliceLast", "SliceFirst"];
    }
    build
}

/// The recorder of a register: one document, or several.
pub(super) enum Recorder {
    One(&'static str),
    Several,
}

/// A register with a recorder: `columns` follow period and line number in each record.
pub(super) fn recorded(name: &str, recorder: &Recorder, signed: bool, columns: Build) -> Build {
    let owner = match recorder {
        Recorder::One(document) => key("Recorder_Key", Type::Reference(document)),
        Recorder::Several => key("Recorder", Type::Any),
    };
    let mut lines = vec![owner.clone()];
    lines.extend([property("Period", Type::Date), property("LineNumber", Type::Int64), property("Active", Type::Bool)]);
    if signed {
        lines.push(property("RecordType", Type::Enum("AccumulationRecordType")));
    }
    lines.extend(columns.properties);
    let mut build = Build::new(name.to_owned());
    build.properties = vec![owner, property("RecordSet", Type::Rows(lines))];
    build
}

/// The columns of a part or a record.
pub(super) fn columns() -> Build {
    Build::new(String::new())
}

impl Build {
    fn new(name: String) -> Self {
        let empty = Vec::new;
        let properties = Vec::new();
        Self { name, properties, last: Vec::new(), dimensions: empty(), resources: empty(), functions: empty() }
    }

    fn standard(&mut self) {
        self.properties =
            vec![key("Ref_Key", Type::Guid), property("DataVersion", text(12)), property("DeletionMark", Type::Bool)];
    }

    pub(super) fn with(mut self, name: &str, kind: Type) -> Self {
        self.properties.push(property(name, kind));
        self
    }

    pub(super) fn dimension(mut self, name: &str, kind: Type) -> Self {
        self.properties.push(key(name, kind));
        self
    }

    pub(super) fn part(mut self, name: &str, columns: Self) -> Self {
        let mut lines = vec![property("LineNumber", Type::Int64)];
        lines.extend(columns.properties);
        self.last.push(property(name, Type::Rows(lines)));
        self
    }

    /// Virtual tables over dimensions and resources.
    pub(super) fn totals(mut self, dimensions: &[&'static str], resources: &[&'static str]) -> Self {
        self.dimensions = dimensions.to_vec();
        self.resources = resources.to_vec();
        self.functions = vec!["Balance", "Turnovers", "BalanceAndTurnovers"];
        self
    }

    pub(super) fn done(mut self) -> Entity {
        self.properties.append(&mut self.last);
        Entity {
            name: self.name,
            properties: self.properties,
            origin: Origin::Own,
            dimensions: self.dimensions,
            resources: self.resources,
            functions: self.functions,
        }
    }
}
