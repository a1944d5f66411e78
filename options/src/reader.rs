//! Reading a table: every key is taken once, what nobody took is unknown.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{Code, FileId, OptionValue, Report, Span, codes, nearest};

/// A table that holds what others do not say.
#[derive(Clone, Copy)]
struct Fallback<'a> {
    table: &'a DeTable<'a>,
    source: &'a str,
    file: FileId,
}

/// A TOML value with where it stands.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    value: &'a Spanned<DeValue<'a>>,
    source: &'a str,
    file: FileId,
    /// The key the value was written under, if any: mistakes about a whole table are shown there.
    key: Option<(usize, usize)>,
    /// Nobody wrote the value: mistakes are shown at the table it would stand in.
    implied: bool,
    /// `[defaults]`, where the file has one.
    defaults: Option<Fallback<'a>>,
    /// The part of it that holds for this very table.
    fallback: Option<Fallback<'a>>,
    /// The value stands in `[defaults]`.
    inherited: bool,
}

impl<'a> Node<'a> {
    /// A value of the file whose text is `source`.
    pub fn new(value: &'a Spanned<DeValue<'a>>, source: &'a str, file: FileId) -> Self {
        Self { value, source, file, key: None, implied: false, defaults: None, fallback: None, inherited: false }
    }

    /// The same value, with a table of defaults: its `routes` holds for every table under `routes`, and so on.
    pub fn with_defaults(self, defaults: Option<Node<'a>>) -> Self {
        Self { defaults: defaults.and_then(|node| node.as_fallback()), ..self }
    }

    /// The value under `key`, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        let (key, value) = self.value().as_table()?.get_key_value(key)?;
        Some(self.under(key, value))
    }

    /// Whether somebody wrote the value where it holds: not in `[defaults]`, and not left out.
    pub fn is_own(&self) -> bool {
        !self.implied && !self.inherited
    }

    /// The same table; what it does not say is taken from the part of the defaults with this name.
    pub(crate) fn inheriting(self, part: &str) -> Self {
        let part = |defaults: Fallback<'a>| -> Option<Fallback<'a>> {
            let table = defaults.table.get(part)?.get_ref().as_table()?;
            Some(Fallback { table, ..defaults })
        };
        Self { fallback: self.defaults.and_then(part), ..self }
    }

    fn as_fallback(&self) -> Option<Fallback<'a>> {
        self.value().as_table().map(|table| Fallback { table, source: self.source, file: self.file })
    }

    /// A value of the same file.
    pub fn child(&self, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { value, key: self.key.filter(|_| self.implied), fallback: None, ..*self }
    }

    fn under(&self, key: &Spanned<toml::de::DeString<'_>>, value: &'a Spanned<DeValue<'a>>) -> Self {
        let written = || Some((key.span().start, key.span().end));
        Self { value, key: if self.implied { self.key } else { written() }, fallback: None, ..*self }
    }

    /// The value itself.
    pub fn value(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    /// Where the value stands; for a table with a header, its name.
    pub fn span(&self) -> Span {
        let range = match (self.value(), self.key) {
            (DeValue::Table(_), Some((start, end))) => start..end,
            (_, Some((start, end))) if self.implied => start..end,
            _ => self.value.span(),
        };
        Span { file: self.file, range }
    }

    /// The value as it is written in the file, quotes and escapes included.
    pub fn raw(&self) -> &'a str {
        self.source.get(self.value.span()).unwrap_or("")
    }

    /// The text, if the value is one; else a mistake that says what was expected.
    pub fn text(&self, expected: &str, report: &mut Report) -> Option<&'a str> {
        let text = self.value().as_str();
        if text.is_none() {
            self.wrong_type(expected, report);
        }
        text
    }

    /// Reports that something else is expected here.
    pub fn wrong_type(&self, expected: &str, report: &mut Report) {
        let found = match self.value() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        report.add(codes::WRONG_TYPE, &self.span(), format!("expected {expected}, found {found}"));
    }

    /// Reports that the value cannot be understood.
    pub fn bad_value(&self, message: impl Into<String>, hint: impl Into<String>, report: &mut Report) {
        report.add_with_hint(codes::BAD_VALUE, &self.span(), message, hint);
    }

    /// Reports a word that is not one of the choices.
    pub fn not_a_choice(&self, word: &str, choices: &[&str], planned: &[&str], report: &mut Report) {
        if planned.contains(&word) {
            let hint = format!("for now: {}", quoted(choices));
            report.add_with_hint(codes::NOT_YET, &self.span(), format!("`{word}` is not supported yet"), hint);
            return;
        }
        let hint = match nearest(word, choices.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("one of {}", quoted(choices)),
        };
        self.bad_value(format!("`{word}` is not one of the choices"), hint, report);
    }

    /// Reads the key that tells what kind of table this is.
    pub fn tag(
        &self,
        key: &'static str,
        words: &[&'static str],
        planned: &[&str],
        report: &mut Report,
    ) -> Option<&'static str> {
        let mut reader = Reader::open(*self, "a table", report)?;
        let Some(node) = reader.take(key) else {
            let hint = format!("add `{key} = …`: one of {}", quoted(words));
            report.add_with_hint(codes::MISSING, &self.span(), format!("`{key}` is required"), hint);
            return None;
        };
        let word = node.text(&format!("one of {}", quoted(words)), report)?;
        let known = words.iter().find(|known| **known == word).copied();
        if known.is_none() {
            node.not_a_choice(word, words, planned, report);
        }
        known
    }

    /// Whether the value is a table that holds this key.
    pub fn has(&self, key: &str) -> bool {
        self.value().as_table().is_some_and(|table| table.contains_key(key))
    }

    /// Items of a table as `(key, span of the key, value)` in the order of the file.
    pub fn entries(&self) -> Vec<(&'a str, Span, Node<'a>)> {
        let Some(table) = self.value().as_table() else { return Vec::new() };
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| {
                let span = Span { file: self.file, range: key.span() };
                (key.get_ref().as_ref(), span, self.under(key, value))
            })
            .collect();
        entries.sort_by_key(|(_, span, _)| span.range.start);
        entries
    }
}

/// Takes the options of one table.
pub struct Reader<'a, 'r> {
    node: Node<'a>,
    table: &'a DeTable<'a>,
    taken: Vec<&'static str>,
    failed: bool,
    /// Where mistakes go.
    pub report: &'r mut Report,
}

impl<'a, 'r> Reader<'a, 'r> {
    /// Opens a table; another kind of value is a mistake.
    pub fn open(node: Node<'a>, expected: &str, report: &'r mut Report) -> Option<Self> {
        match node.value() {
            DeValue::Table(table) => Some(Self { node, table, taken: Vec::new(), failed: false, report }),
            _ => {
                node.wrong_type(expected, report);
                None
            }
        }
    }

    /// Where the table (or its name) stands.
    pub fn span(&self) -> Span {
        self.node.span()
    }

    /// An option that must be there.
    pub fn required<T: OptionValue>(&mut self, key: &'static str) -> Option<T> {
        match self.take(key) {
            Some(node) => self.read(node),
            None => {
                let hint = format!("add `{key} = …`: {}", T::kind());
                self.report.add_with_hint(codes::MISSING, &self.node.span(), format!("`{key}` is required"), hint);
                self.failed = true;
                None
            }
        }
    }

    /// An option that may be absent. `None` is a mistake, `Some(None)` is absence.
    pub fn optional<T: OptionValue>(&mut self, key: &'static str) -> Option<Option<T>> {
        match self.take(key) {
            Some(node) => self.read(node).map(Some),
            None => Some(None),
        }
    }

    /// An option with a default, written as TOML. After a mistake the default stands in for the value, so that what
    /// depends on other options is still looked at.
    ///
    /// # Panics
    /// When the declared default does not fit its own type; declaring it in the reference shows that in every test.
    pub fn or_default<T: OptionValue>(&mut self, key: &'static str, default: &'static str) -> Option<T> {
        match self.take(key).map(|node| T::read(node, self.report)) {
            Some(Some(value)) => Some(value),
            Some(None) | None => {
                let value = DeValue::parse(default).expect("the default of an option is TOML");
                let mut report = Report::default();
                let at = self.node.span().range;
                let (file, key) = (self.node.file, Some((at.start, at.end)));
                let node = Node { key, implied: true, ..Node::new(&value, default, file) };
                Some(T::read(node, &mut report).expect("the default of an option fits its type"))
            }
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.taken.push(key);
        if let Some((key, value)) = self.table.get_key_value(key) {
            return Some(self.node.under(key, value));
        }
        // `[defaults]` is checked by itself, so whatever it holds may be inherited.
        let fallback = self.node.fallback?;
        let (key, value) = fallback.table.get_key_value(key)?;
        let node = Node { inherited: true, ..Node::new(value, fallback.source, fallback.file) };
        Some(node.under(key, value))
    }

    fn read<T: OptionValue>(&mut self, node: Node<'a>) -> Option<T> {
        let value = T::read(node, self.report);
        self.failed |= value.is_none();
        value
    }

    /// Reports every key that was not taken: planned ones as such, others with the nearest known one.
    /// `also` are keys that somebody else reads (the `kind` of a tagged table).
    pub fn finish(self, also: &[&str], planned: &[&str]) -> bool {
        let Self { node, taken, report, failed, .. } = self;
        let known: Vec<&str> = taken.iter().copied().chain(also.iter().copied()).collect();
        for (key, span, _) in node.entries() {
            if !known.contains(&key) {
                let (code, message, hint) = unknown(key, &known, planned);
                report.add_with_hint(code, &span, message, hint);
            }
        }
        !failed
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

/// What to say about a key that is not an option here.
pub(crate) fn unknown(key: &str, known: &[&str], planned: &[&str]) -> (Code, String, String) {
    if planned.contains(&key) {
        let hint = "it belongs to a later version of the bus: remove it for now";
        return (codes::NOT_YET, format!("`{key}` is not supported yet"), hint.to_owned());
    }
    let hint = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    };
    (codes::UNKNOWN_KEY, format!("unknown key `{key}`"), hint)
}
