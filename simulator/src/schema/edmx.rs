//! `$metadata` as 1C writes it: CRLF, tabs, one attribute a line.

use std::fmt::Write as _;

use super::{Entity, Property, Schema, Type};

/// The whole document.
pub fn write(schema: &Schema) -> String {
    let mut out = Out { text: String::new() };
    out.text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n");
    out.open(0, "edmx:Edmx", &[("xmlns:edmx", "http://schemas.microsoft.com/ado/2007/06/edmx"), ("Version", "1.0")]);
    let services = [
        ("xmlns:m", "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"),
        ("m:DataServiceVersion", "3.0"),
        ("m:MaxDataServiceVersion", "3.0"),
    ];
    out.open(1, "edmx:DataServices", &services);
    let namespace = [("xmlns", "http://schemas.microsoft.com/ado/2009/11/edm"), ("Namespace", "StandardODATA")];
    out.open(2, "Schema", &namespace);
    for entity in &schema.entities {
        entity_type(&mut out, schema, entity);
    }
    for entity in &schema.entities {
        complex_types(&mut out, entity);
    }
    for entity in &schema.entities {
        associations(&mut out, schema, entity);
    }
    for (name, members) in &schema.enums {
        out.open(3, "EnumType", &[("Name", name), ("UnderlyingType", "Edm.Int32")]);
        for member in *members {
            out.single(4, "Member", &[("Name", member)]);
        }
        out.close(3, "EnumType");
    }
    out.open(3, "EntityContainer", &[("Name", "EnterpriseV8"), ("m:IsDefaultEntityContainer", "true")]);
    for entity in &schema.entities {
        let kind = format!("StandardODATA.{}", entity.name);
        out.single(4, "EntitySet", &[("Name", &entity.name), ("EntityType", &kind)]);
    }
    for entity in &schema.entities {
        for function in &entity.functions {
            function_import(&mut out, entity, function);
        }
    }
    for (depth, name) in [(3, "EntityContainer"), (2, "Schema"), (1, "edmx:DataServices")] {
        out.close(depth, name);
    }
    out.text.push_str("</edmx:Edmx>");
    out.text
}

fn entity_type(out: &mut Out, schema: &Schema, entity: &Entity) {
    let open = entity.properties.iter().any(|p| is_open(schema, &p.kind));
    let mut attributes = vec![("Name", entity.name.as_str())];
    attributes.extend(open.then_some(("OpenType", "true")));
    out.open(3, "EntityType", &attributes);
    out.open(4, "Key", &[]);
    for property in entity.properties.iter().filter(|property| property.key) {
        out.single(5, "PropertyRef", &[("Name", &property.name)]);
        if property.kind == Type::Any {
            out.single(5, "PropertyRef", &[("Name", &format!("{}_Type", property.name))]);
        }
    }
    out.close(4, "Key");
    properties(out, &entity.name, &entity.properties);
    for (property, _) in links(schema, entity) {
        let relation = format!("StandardODATA.{}_{}", entity.name, property.link());
        let roles = [("FromRole", "Begin"), ("ToRole", "End")];
        let names = [("Name", property.link()), ("Relationship", relation.as_str())];
        out.single(4, "NavigationProperty", &[names, roles].concat());
    }
    out.close(3, "EntityType");
}

/// Types with attributes whose type cannot be named are open.
fn is_open(schema: &Schema, kind: &Type) -> bool {
    match kind {
        Type::Any => true,
        Type::Reference(target) => schema.entity(target).is_none(),
        Type::Rows(lines) => lines.iter().any(|line| is_open(schema, &line.kind)),
        _ => false,
    }
}

/// References to what is published.
pub(crate) fn links<'a>(schema: &'a Schema, entity: &'a Entity) -> impl Iterator<Item = (&'a Property, &'a str)> {
    entity.properties.iter().filter_map(|property| match &property.kind {
        Type::Reference(target) => schema.entity(target).map(|target| (property, target.name.as_str())),
        _ => None,
    })
}

fn properties(out: &mut Out, owner: &str, all: &[Property]) {
    for property in all {
        let nullable = if property.key { "false" } else { "true" };
        let mut one = |name: &str, kind: &str, nullable| {
            out.single(4, "Property", &[("Name", name), ("Type", kind), ("Nullable", nullable)]);
        };
        match &property.kind {
            Type::Rows(_) => {
                let kind = format!("Collection(StandardODATA.{})", row_type(owner, &property.name));
                one(&property.name, &kind, "false");
            }
            Type::Binary => one(&format!("{}_Base64Data", property.name), "Edm.Binary", nullable),
            kind => one(&property.name, edm(kind), nullable),
        }
        if matches!(property.kind, Type::Any | Type::Binary) {
            one(&format!("{}_Type", property.name), "Edm.String", nullable);
        }
    }
}

/// The name of the type of one line.
pub(crate) fn row_type(owner: &str, part: &str) -> String {
    if part == "RecordSet" { format!("{owner}_RowType") } else { format!("{owner}_{part}_RowType") }
}

fn edm(kind: &Type) -> &'static str {
    match kind {
        Type::Int16 => "Edm.Int16",
        Type::Int64 => "Edm.Int64",
        Type::Double => "Edm.Double",
        Type::Date => "Edm.DateTime",
        Type::Bool => "Edm.Boolean",
        Type::Guid | Type::Reference(_) => "Edm.Guid",
        Type::Binary => "Edm.Binary",
        Type::Text { .. } | Type::Enum(_) | Type::Any | Type::Rows(_) => "Edm.String",
    }
}

fn complex_types(out: &mut Out, entity: &Entity) {
    for (part, lines) in entity.parts() {
        let mut lines = lines.to_vec();
        // Declared, though most answers leave it out.
        if part.name != "RecordSet" {
            let owner = Property { name: "Ref_Key".into(), kind: Type::Guid, key: true };
            lines.insert(0, owner);
        }
        for line in &mut lines {
            line.key |= line.name == "LineNumber";
        }
        complex(out, &row_type(&entity.name, &part.name), &lines);
    }
    for function in &entity.functions {
        let Some(suffix) = result(function) else { continue };
        complex(out, &format!("{}_{suffix}", entity.name), &totals(entity, function));
    }
}

fn complex(out: &mut Out, name: &str, lines: &[Property]) {
    out.open(3, "ComplexType", &[("Name", name)]);
    properties(out, name, lines);
    out.close(3, "ComplexType");
}

fn result(function: &str) -> Option<&'static str> {
    match function {
        "Balance" => Some("Balance"),
        "Turnovers" => Some("Turnover"),
        "BalanceAndTurnovers" => Some("BalanceAndTurnover"),
        _ => None,
    }
}

/// The columns of a virtual table.
pub(crate) fn totals(entity: &Entity, function: &str) -> Vec<Property> {
    let (_, lines) = entity.parts().next().expect("totals belong to a register with a recorder");
    let of = |name: &str| lines.iter().find(|line| line.name == name).expect("a dimension is a column").clone();
    let mut columns: Vec<Property> = entity.dimensions.iter().map(|name| of(name)).collect();
    for resource in &entity.resources {
        for suffix in suffixes(function) {
            columns.push(Property { name: format!("{resource}{suffix}"), ..of(resource) });
        }
    }
    columns
}

/// What a virtual table says of each resource.
pub(crate) fn suffixes(function: &str) -> &'static [&'static str] {
    match function {
        "Balance" => &["Balance"],
        "Turnovers" => &["Turnover", "Receipt", "Expense"],
        _ => &["OpeningBalance", "Turnover", "Receipt", "Expense", "ClosingBalance"],
    }
}

fn associations(out: &mut Out, schema: &Schema, entity: &Entity) {
    for (property, target) in links(schema, entity) {
        out.open(3, "Association", &[("Name", &format!("{}_{}", entity.name, property.link()))]);
        let (begin, end) = (format!("StandardODATA.{}", entity.name), format!("StandardODATA.{target}"));
        out.single(4, "End", &[("Role", "Begin"), ("Type", &begin), ("Multiplicity", "*")]);
        out.single(4, "End", &[("Role", "End"), ("Type", &end), ("Multiplicity", "0..1")]);
        out.close(3, "Association");
    }
}

fn function_import(out: &mut Out, entity: &Entity, function: &str) {
    let acts = matches!(function, "Post" | "Unpost");
    let returned = match result(function) {
        Some(suffix) => format!("Collection(StandardODATA.{}_{suffix})", entity.name),
        None => format!("Collection(StandardODATA.{})", entity.name),
    };
    let mut attributes = vec![("Name", function), ("IsBindable", "true")];
    attributes.push(("IsSideEffecting", if acts { "true" } else { "false" }));
    if !acts {
        attributes.push(("ReturnType", &returned));
    }
    out.open(4, "FunctionImport", &attributes);
    let bound = format!("StandardODATA.{}", entity.name);
    out.single(5, "Parameter", &[("Name", "bindingParameter"), ("Type", &bound)]);
    let parameters: &[(&str, &str)] = match function {
        "Post" => &[("PostingModeOperational", "Edm.Boolean")],
        "Unpost" => &[],
        "SliceLast" | "SliceFirst" => &[("Condition", "Edm.String"), ("Period", "Edm.DateTime")],
        "Balance" => &[("Condition", "Edm.String"), ("Dimensions", "Edm.String"), ("Period", "Edm.DateTime")],
        _ => &[
            ("Condition", "Edm.String"),
            ("Dimensions", "Edm.String"),
            ("EndPeriod", "Edm.DateTime"),
            ("StartPeriod", "Edm.DateTime"),
        ],
    };
    for (name, kind) in parameters {
        out.single(5, "Parameter", &[("Name", name), ("Type", kind)]);
    }
    out.close(4, "FunctionImport");
}

struct Out {
    text: String,
}

impl Out {
    fn open(&mut self, depth: usize, name: &str, attributes: &[(&str, &str)]) {
        self.element(depth, name, attributes, ">");
    }

    fn single(&mut self, depth: usize, name: &str, attributes: &[(&str, &str)]) {
        self.element(depth, name, attributes, "/>");
    }

    fn element(&mut self, depth: usize, name: &str, attributes: &[(&str, &str)], end: &str) {
        let tabs = "\t".repeat(depth);
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{tabs}<{name}");
        for (at, (attribute, value)) in attributes.iter().enumerate() {
            let before = if at == 0 { " ".to_owned() } else { format!("\r\n{tabs}\t\t") };
            let _ = write!(self.text, "{before}{attribute}=\"{value}\"");
        }
        let _ = write!(self.text, "{end}\r\n");
    }

    fn close(&mut self, depth: usize, name: &str) {
        let _ = write!(self.text, "{}</{name}>\r\n", "\t".repeat(depth));
    }
}
