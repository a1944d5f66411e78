//! Whole numbers with a range, and percentages.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::{Node, OptionValue, Report};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> OptionValue for Whole<MIN, MAX> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let Some(integer) = node.value().as_integer() else {
            node.wrong_type(&Self::kind(), report);
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| (MIN..=MAX).contains(n));
        if number.is_none() {
            node.bad_value(format!("{integer} is out of range"), format!("give a {}", Self::kind()), report);
        }
        number.map(Self)
    }
    fn kind() -> Cow<'static, str> {
        format!("whole number from {MIN} to {MAX}").into()
    }
    fn schema() -> Value {
        json!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// A share of a whole, written `"10%"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(f64);

impl Percent {
    /// A tenth.
    pub fn ten() -> Self {
        Self(0.1)
    }

    /// From 0.0 to 1.0.
    pub fn share(self) -> f64 {
        self.0
    }
}

impl OptionValue for Percent {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("a percentage such as \"10%\"", report)?;
        let number: Option<f64> = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
        let share = number.map(|number| number / 100.0).filter(|share| (0.0..=1.0).contains(share));
        if share.is_none() {
            node.bad_value(format!("`{text}` is not a percentage"), "for example \"10%\", from 0% to 100%", report);
        }
        share.map(Self)
    }
    fn kind() -> Cow<'static, str> {
        "percentage such as `\"10%\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?\\s*%$"})
    }
}
