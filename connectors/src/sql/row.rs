//! Columns to one JSON object, a key and a label.

use bus_core::ports::source::ScanPage;
use bus_core::vocabulary::{Key, Operation, Record, UnreadableRecord};

use crate::Serves;
use crate::serves::unreadable;

/// A row as a system's reader took it apart, before anybody decided whether it is a record.
pub(super) struct Row<V> {
    /// `None`: empty, so the row has no place in the order.
    pub(super) cursor: Option<V>,
    /// Lies above the place where this page began, so it counts as progress.
    pub(super) fresh: bool,
    /// What it is.
    pub(super) content: Content,
}

/// A record, or a row nobody can seal.
pub(super) enum Content {
    Record(Record),
    Unreadable(UnreadableRecord),
}

impl Content {
    /// How much it counts towards a page's bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Record(record) => record.body.len() + record.key.as_str().len(),
            Self::Unreadable(row) => row.raw.len(),
        }
    }

    /// Adds it to a page of a scan.
    pub(super) fn put(self, page: &mut ScanPage) {
        match self {
            Self::Record(record) => page.records.push(record),
            Self::Unreadable(row) => page.unreadable.push(row),
        }
    }
}

/// One column of one row.
pub(super) struct Column<'a> {
    /// As in the result of the query.
    pub(super) name: &'a str,
    /// JSON text, or why the value cannot be carried.
    pub(super) json: Result<String, Unfit>,
}

/// A value that cannot be carried.
pub(super) struct Unfit {
    /// Why, without the value.
    pub(super) reason: String,
    /// The value as text, for whoever looks at the row.
    pub(super) shown: String,
}

/// Writes the object in the order of the columns. The first column that cannot be carried is the error; the row is then
/// still returned, as the raw excerpt: such values stand in it as texts.
pub(super) fn object<'a>(columns: impl Iterator<Item = Column<'a>>) -> (Vec<u8>, Option<String>) {
    let mut text = Vec::with_capacity(256);
    let mut wrong = None;
    text.push(b'{');
    for column in columns {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(json_text(column.name).as_bytes());
        text.push(b':');
        match column.json {
            Ok(json) => text.extend_from_slice(json.as_bytes()),
            Err(Unfit { reason, shown }) => {
                text.extend_from_slice(json_text(&shown).as_bytes());
                wrong.get_or_insert_with(|| format!("column {:?}: {reason}", column.name));
            }
        }
    }
    text.push(b'}');
    (text, wrong)
}

/// A name of SQL in quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A JSON string.
pub(super) fn json_text(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// A column's text: `None` is NULL, an error says why it has no exact one.
pub(super) type Text = Result<Option<String>, String>;

/// Makes the record, or says why it is none. `text` gives a column that stands in [`super::Options::text_columns`]; `wrong` is
/// what is wrong with the row whatever its stream.
pub(super) fn content(
    serves: &Serves,
    body: Vec<u8>,
    wrong: Option<String>,
    text: impl Fn(&str) -> Text,
    label: impl Fn(&str) -> Option<String>,
) -> Content {
    let served = match serves.entity_column().map(&text).transpose() {
        Ok(entity) => serves.stream_of(entity.flatten().as_deref()),
        Err(reason) => Err(reason),
    };
    let served = match served {
        Ok(served) => served,
        Err(reason) => return Content::Unreadable(serves.untaken(body.into(), reason)),
    };
    let key = key(served.key.iter().map(|name| (name.as_str(), text(name))));
    let label = served.label.as_deref().and_then(label);
    // Of a row that cannot be read people still ask by what it is called.
    let (key, reason) = match (key, wrong) {
        (Ok(key), None) => {
            let (stream, body) = (served.stream.clone(), body.into());
            return Content::Record(Record { stream, key, operation: Operation::Upsert, label, body });
        }
        (Err(reason), None) => (None, reason),
        (key, Some(reason)) => (key.ok(), reason),
    };
    Content::Unreadable(UnreadableRecord { key, label, ..unreadable(&served.stream, body.into(), reason) })
}

fn key<'a>(columns: impl Iterator<Item = (&'a str, Text)>) -> Result<Key, String> {
    let mut texts = Vec::new();
    for (name, text) in columns {
        match text {
            Ok(Some(text)) => texts.push((name, text)),
            Ok(None) => {
                return Err(format!(
                    "key column {name:?} is NULL, so versions of this row could not be told from those of another; \
                     fill it, leave such rows out of the query, or name other key columns"
                ));
            }
            Err(reason) => return Err(format!("key column {name:?}: {reason}")),
        }
    }
    let columns: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    Key::from_columns(&columns).map_err(|error| error.to_string())
}

/// The texts a key was made of: the whole of it for one column, the elements for several.
pub(super) fn key_columns(key: &Key, count: usize) -> Option<Vec<String>> {
    if count == 1 {
        return Some(vec![key.as_str().to_owned()]);
    }
    let texts: Vec<String> = serde_json::from_str(key.as_str()).ok()?;
    (texts.len() == count).then_some(texts)
}
