//! The filter, applied to one record.

use std::cmp::Ordering;

use super::functions;
use super::parse::Expr;
use super::path;
use crate::data::Base;
use crate::schema::{Property, Type};
use crate::value::{Row, Value, from_millionths, millionths};

/// Whether the filter holds for this record. It has been checked before.
pub fn holds(base: &Base, properties: &[Property], row: &Row, filter: &Expr) -> bool {
    let scope = Scope { base, properties, row, line: None };
    scope.expr(filter) == Value::Bool(true)
}

#[derive(Clone, Copy)]
struct Scope<'a> {
    base: &'a Base,
    properties: &'a [Property],
    row: &'a Row,
    line: Option<(&'a str, &'a [Property], &'a Row)>,
}

impl Scope<'_> {
    fn expr(&self, expr: &Expr) -> Value {
        match expr {
            Expr::Both(operator, left, right) => {
                let left = self.expr(left) == Value::Bool(true);
                let decided = (*operator == "or") == left;
                Value::Bool(if decided { left } else { self.expr(right) == Value::Bool(true) })
            }
            Expr::Not(inner) => Value::Bool(self.expr(inner) != Value::Bool(true)),
            Expr::Compare(operator, left, right) => Value::Bool(compare(operator, &self.expr(left), &self.expr(right))),
            Expr::Math(operator, left, right) => math(operator, &self.expr(left), &self.expr(right)),
            Expr::Call(name, arguments) => {
                let values: Vec<Value> = arguments.iter().map(|argument| self.expr(argument)).collect();
                functions::call(name, &values)
            }
            Expr::Path(path) => match (self.line, path.split_first()) {
                (Some((name, lines, row)), Some((first, rest))) if name == first => {
                    path::value(self.base, lines, row, rest)
                }
                _ => path::value(self.base, self.properties, self.row, path),
            },
            Expr::Literal(value) => value.clone(),
            Expr::Lambda(all, part, name, condition) => self.lambda(*all, part, name, condition),
        }
    }

    fn lambda(&self, all: bool, part: &[String], name: &str, condition: &Expr) -> Value {
        let found = self.properties.iter().zip(self.row).find(|(property, _)| Some(&property.name) == part.first());
        let Some((Property { kind: Type::Rows(lines), .. }, value)) = found else { return Value::Null };
        let mut each = value.rows().iter().map(|row| {
            let scope = Scope { line: Some((name, lines.as_slice(), row)), ..*self };
            scope.expr(condition) == Value::Bool(true)
        });
        Value::Bool(if all { each.all(|yes| yes) } else { each.any(|yes| yes) })
    }
}

fn compare(operator: &str, left: &Value, right: &Value) -> bool {
    let Some(order) = order(left, right) else { return operator == "ne" };
    match operator {
        "eq" => order.is_eq(),
        "ne" => order.is_ne(),
        "gt" => order.is_gt(),
        "ge" => order.is_ge(),
        "lt" => order.is_lt(),
        _ => order.is_le(),
    }
}

/// `None` for values that are not of one type. A value of several types beside a bare reference is such a pair: 1C
/// answers with nothing, and no error.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => Some(millionths(a)?.cmp(&millionths(b)?)),
        (Value::Text(a), Value::Text(b)) => Some(a.trim_end().cmp(b.trim_end())),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::Guid(a), Value::Guid(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Any { text: a, kind: x }, Value::Any { text: b, kind: y }) if x == y => Some(a.cmp(b)),
        (Value::Any { text, kind }, other) => primitive(text, kind).and_then(|value| order(&value, other)),
        (other, Value::Any { text, kind }) => primitive(text, kind).and_then(|value| order(other, &value)),
        _ => None,
    }
}

fn primitive(text: &str, kind: &str) -> Option<Value> {
    match kind {
        "Edm.String" => Some(Value::Text(text.to_owned())),
        "Edm.Double" => Some(Value::Number(text.to_owned())),
        "Edm.DateTime" => Some(Value::Date(text.to_owned())),
        _ => None,
    }
}

fn math(operator: &str, left: &Value, right: &Value) -> Value {
    let (Some(left), Some(right)) = (millionths(left.as_text()), millionths(right.as_text())) else {
        return Value::Null;
    };
    let result = match operator {
        "add" => left.checked_add(right),
        "sub" => left.checked_sub(right),
        "mul" => left.checked_mul(right).map(|product| product / 1_000_000),
        _ => left.checked_mul(1_000_000).and_then(|left| left.checked_div(right)),
    };
    result.map_or(Value::Null, |value| Value::Number(from_millionths(value)))
}
