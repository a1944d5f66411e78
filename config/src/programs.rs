//! Programs of tables that could not be read: their mistakes are told all the same.

use bus_options::{Definitions, Node, OptionValue, Report, Span};

use crate::maps::Catalogue;
use crate::shape::{ConditionText, TransformText};

/// What of one table can be compiled by itself.
pub struct Programs {
    when: Option<ConditionText>,
    transform: Option<TransformText>,
}

impl Programs {
    /// Those of all tables under `kind` that are not among those that were read.
    pub fn left<N, V>(document: Node<'_>, kind: &str, read: &Definitions<N, V>) -> Vec<Self> {
        let tables = document.get(kind).map(|tables| tables.entries()).unwrap_or_default();
        let is_read = |span: &Span| read.0.iter().any(|entry| entry.key.span == *span);
        tables.into_iter().filter(|(_, span, _)| !is_read(span)).map(|(_, _, table)| Self::of(table)).collect()
    }

    fn of(table: Node<'_>) -> Self {
        // What is no text at all was told when the table was read.
        let told = &mut Report::default();
        let when = table.get("when").and_then(|when| ConditionText::read(when, told));
        let transform = table.get("transform").and_then(|transform| TransformText::read(transform, told));
        Self { when, transform }
    }

    /// Compiles them; their mistakes go into the report.
    pub fn compile(&self, catalogue: &Catalogue, report: &mut Report) {
        if let Some(when) = &self.when {
            when.compile(catalogue, report);
        }
        if let Some(transform) = &self.transform {
            transform.compile(catalogue, report);
        }
    }
}
