//! Tables whose keys the operator chooses.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::{Declaration, EntityName, Located, Node, OptionValue, Report};

/// One `key = value` of a [`Map`] or one `[kind.name]` of [`Definitions`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<K, V> {
    /// The key and where it stands.
    pub key: Located<K>,
    /// What was read.
    pub value: V,
}

/// A table of free keys, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map<V>(pub Vec<Entry<String, V>>);

impl<V: OptionValue> OptionValue for Map<V> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if !node.value().is_table() {
            node.wrong_type(&Self::kind(), report);
            return None;
        }
        let read = |(key, span, node): (&str, _, Node<'_>)| {
            let value = V::read(node, report)?;
            Some(Entry { key: Located { value: key.to_owned(), span }, value })
        };
        let entries: Vec<Option<_>> = node.entries().into_iter().map(read).collect();
        entries.into_iter().collect::<Option<Vec<_>>>().map(Self)
    }
    fn kind() -> Cow<'static, str> {
        format!("table, each value: {}", V::kind()).into()
    }
    fn schema() -> Value {
        json!({"type": "object", "additionalProperties": V::schema()})
    }
    fn tables(out: &mut Vec<Declaration>) {
        V::tables(out);
    }
}

/// A table whose keys are uses of names: those of streams, for example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referring<N, V>(pub Vec<Entry<N, V>>);

impl<N: EntityName, V: OptionValue> OptionValue for Referring<N, V> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if !node.value().is_table() {
            node.wrong_type(&Self::kind(), report);
            return None;
        }
        let mut entries = Vec::new();
        for (key, span, node) in node.entries() {
            let name = report.refer::<N>(key, &span);
            let value = V::read(node, report);
            entries.push(Entry { key: Located { value: name?, span }, value: value? });
        }
        Some(Self(entries))
    }
    fn kind() -> Cow<'static, str> {
        format!("table, each key the name of a {}, each value: {}", N::KIND, V::kind()).into()
    }
    fn schema() -> Value {
        Map::<V>::schema()
    }
    fn tables(out: &mut Vec<Declaration>) {
        V::tables(out);
    }
}

/// The table that holds all of this kind: `routes`.
pub(crate) fn plural<N: EntityName>() -> String {
    format!("{}s", N::KIND)
}

/// Named tables (`[streams.orders]`): the names are defined for [`Ref`](crate::Ref)s, even where the table itself
/// has a mistake, so that one mistake is not reported again at every use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definitions<N, V>(pub Vec<Entry<N, V>>);

impl<N, V> Default for Definitions<N, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<N: EntityName, V: OptionValue> OptionValue for Definitions<N, V> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if !node.value().is_table() {
            node.wrong_type(&Self::kind(), report);
            return None;
        }
        let mut entries = Vec::new();
        for (key, span, node) in node.entries() {
            report.define::<N>(key, &span);
            let name = report.name::<N>(key, &span);
            let value = V::read(node.inheriting(&plural::<N>()), report);
            if let (Some(name), Some(value)) = (name, value) {
                entries.push(Entry { key: Located { value: name, span }, value });
            }
        }
        Some(Self(entries))
    }
    fn kind() -> Cow<'static, str> {
        format!("one table per {}", N::KIND).into()
    }
    fn schema() -> Value {
        json!({"type": "object", "additionalProperties": V::schema()})
    }
    fn tables(out: &mut Vec<Declaration>) {
        V::tables(out);
    }
}
