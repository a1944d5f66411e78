//! `[defaults]`: what holds for every table of a kind that does not say otherwise.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde_json::Value;

use crate::map::plural;
use crate::reader::unknown;
use crate::value::described_as;
use crate::{Declaration, EntityName, Node, OptionValue, Presence, Report, Row, codes, object_schema};

/// A table, or several kinds of one, with options that `[defaults]` may hold. [`options!`](crate::options) and
/// [`tagged!`](crate::tagged) implement it.
pub trait Shares {
    /// What the table, or each kind of it, consists of.
    fn declarations() -> Vec<Declaration>;
}

/// The defaults of all tables `[routes.NAME]`, `[streams.NAME]` and so on: the options that those declare as `shared`.
///
/// Reading checks them even where no table uses them. Tables take them by [`Node::with_defaults`].
#[derive(Debug, Clone, Copy)]
pub struct DefaultsOf<N, T>(PhantomData<(N, T)>);

impl<N: EntityName, T: Shares> DefaultsOf<N, T> {
    fn declaration() -> Declaration {
        let tables = T::declarations();
        let mut rows: Vec<Row> = Vec::new();
        for table in &tables {
            for row in table.rows.iter().filter(|row| row.shared) {
                if rows.iter().any(|known| known.key == row.key) {
                    continue;
                }
                let has = |table: &&Declaration| table.rows.iter().any(|other| other.key == row.key);
                let doc = match tables.iter().all(|table| has(&table)) {
                    true => row.doc.clone(),
                    false => format!("Only for `{}`. {}", table.title, row.doc),
                };
                rows.push(Row { presence: Presence::Optional, doc, ..row.clone() });
            }
        }
        let (kind, plural) = (N::KIND, plural::<N>());
        let doc = format!("For every {kind} that does not say it itself.");
        Declaration { title: format!("[defaults.{plural}]").into(), doc, rows }
    }
}

impl<N: EntityName, T: Shares> OptionValue for DefaultsOf<N, T> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if !node.value().is_table() {
            node.wrong_type("a table", report);
            return None;
        }
        let declaration = Self::declaration();
        let known: Vec<&str> = declaration.rows.iter().map(|row| row.key).collect();
        let own = |key: &str| T::declarations().iter().any(|table| table.rows.iter().any(|row| row.key == key));
        for (key, span, node) in node.entries() {
            if let Some(row) = declaration.rows.iter().find(|row| row.key == key) {
                // What does not fit is in the report, which is all that is asked for.
                let _ = (row.fits)(node, report);
            } else if own(key) {
                let hint = format!("write it in each [{}.NAME]", plural::<N>());
                report.add_with_hint(codes::UNKNOWN_KEY, &span, format!("`{key}` has no default"), hint);
            } else {
                let (code, message, hint) = unknown(key, &known, &[]);
                report.add_with_hint(code, &span, message, hint);
            }
        }
        Some(Self(PhantomData))
    }
    fn kind() -> Cow<'static, str> {
        format!("table `{}`", Self::declaration().title).into()
    }
    fn schema() -> Value {
        object_schema(&Self::declaration())
    }
    fn tables(out: &mut Vec<Declaration>) {
        out.push(Self::declaration());
    }
}

/// A value, and whether its table says so itself: a default that does not apply is no contradiction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own<T> {
    /// The value.
    pub value: T,
    /// Whether it is written in the table itself, not inherited and not left out.
    pub own: bool,
}

impl<T: OptionValue> OptionValue for Own<T> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        T::read(node, report).map(|value| Self { value, own: node.is_own() })
    }
    described_as!(T);
}
