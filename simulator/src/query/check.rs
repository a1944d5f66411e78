//! What 1C refuses in a filter before it looks at any record.

use super::functions;
use super::parse::Expr;
use super::path::kind;
use crate::refusal::Refusal;
use crate::schema::{Property, Schema, Type};

/// The properties that a name stands for, inside `any` and `all`.
struct Scope<'a> {
    schema: &'a Schema,
    properties: &'a [Property],
    line: Option<(&'a str, &'a [Property])>,
}

/// Refuses unknown fields, unknown functions and comparisons that the database refuses.
pub fn check(schema: &Schema, properties: &[Property], filter: &Expr) -> Result<(), Refusal> {
    Scope { schema, properties, line: None }.expr(filter).map(drop)
}

impl Scope<'_> {
    /// The type of a field; `None` for what is computed.
    fn expr(&self, expr: &Expr) -> Result<Option<Type>, Refusal> {
        match expr {
            Expr::Both(_, left, right) | Expr::Math(_, left, right) => {
                self.expr(left)?;
                self.expr(right)?;
                Ok(None)
            }
            Expr::Not(inner) => self.expr(inner).map(|_| None),
            Expr::Compare(operator, left, right) => {
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                [left, right].iter().flatten().try_for_each(|field| comparable(operator, field))?;
                Ok(None)
            }
            Expr::Call(name, arguments) => {
                functions::known(name, arguments.len())?;
                for argument in arguments {
                    self.expr(argument)?;
                }
                Ok(None)
            }
            Expr::Path(path) => self.path(path).map(Some),
            Expr::Literal(_) => Ok(None),
            Expr::Lambda(_, path, line, condition) => {
                let [part] = path.as_slice() else { return Err(Refusal::bad_option("$filter")) };
                let found = self.properties.iter().find(|property| property.name == *part);
                let Some(Type::Rows(lines)) = found.map(|property| &property.kind) else {
                    return Err(Refusal::no_segment(part));
                };
                let inner = Scope { schema: self.schema, properties: self.properties, line: Some((line, lines)) };
                inner.expr(condition).map(|_| None)
            }
        }
    }

    fn path(&self, path: &[String]) -> Result<Type, Refusal> {
        match (self.line, path.split_first()) {
            (Some((name, lines)), Some((first, rest))) if name == first => kind(self.schema, lines, rest),
            _ => kind(self.schema, self.properties, path),
        }
    }
}

fn comparable(operator: &str, field: &Type) -> Result<(), Refusal> {
    let ordered = !matches!(operator, "eq" | "ne");
    match field {
        Type::Guid | Type::Reference(_) if ordered => Err(Refusal::incomparable()),
        Type::Text { length: None, .. } | Type::Binary => Err(Refusal::incomparable()),
        _ => Ok(()),
    }
}
