//! Mistakes: collected while reading with their spans, then turned into places that people can find.

use crate::{Code, Place, Sources, Span, nearest};

/// A mistake, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of mistake; its page says more.
    pub code: Code,
    /// Where; `None` when a whole file is missing.
    pub place: Option<Place>,
    /// What is wrong with this very text.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub code: Code,
    pub span: Span,
    pub message: String,
    pub hint: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Mention {
    pub kind: &'static str,
    pub name: String,
    pub span: Span,
}

/// A name that is used: a table of one of the kinds defines it.
#[derive(Debug)]
pub(crate) struct Use {
    pub kinds: Vec<&'static str>,
    pub name: String,
    pub span: Span,
}

impl Use {
    pub(crate) fn is_of(&self, definition: &Mention) -> bool {
        self.kinds.contains(&definition.kind)
    }
}

/// Collects mistakes, and which names are defined and used where, over all files of one reading.
#[derive(Debug, Default)]
pub struct Report {
    pub(crate) found: Vec<Found>,
    pub(crate) defined: Vec<Mention>,
    pub(crate) used: Vec<Use>,
    secrets: Vec<Span>,
}

impl Report {
    /// Adds a mistake.
    pub fn add(&mut self, code: Code, span: &Span, message: impl Into<String>) {
        self.push(code, span, message.into(), None);
    }

    /// Adds a mistake and what to do about it.
    pub fn add_with_hint(&mut self, code: Code, span: &Span, message: impl Into<String>, hint: impl Into<String>) {
        self.push(code, span, message.into(), Some(hint.into()));
    }

    fn push(&mut self, code: Code, span: &Span, message: String, hint: Option<String>) {
        self.found.push(Found { code, span: span.clone(), message, hint });
    }

    /// Hides what stands here from every diagnostic: it is, or holds, a secret.
    pub fn hide(&mut self, span: &Span) {
        self.secrets.push(span.clone());
    }

    /// Takes back mistakes that only follow from another one.
    pub fn retain(&mut self, keep: impl Fn(Code, &Span) -> bool) {
        self.found.retain(|found| keep(found.code, &found.span));
    }

    /// All names of this kind that are defined, whether or not their tables could be read.
    pub fn defined(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.defined.iter().filter(move |mention| mention.kind == kind).map(|mention| mention.name.as_str())
    }

    /// Whether no mistake was found so far.
    pub fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether something of this kind is used by a name, no matter whether it is defined.
    pub fn is_used(&self, kind: &str, name: &str) -> bool {
        self.used.iter().any(|used| used.kinds.contains(&kind) && used.name == name)
    }

    /// Names of this kind that are defined, but used nowhere. One that a misspelt use seems to mean is not among them:
    /// that mistake is reported at the use.
    pub fn unused(&self, kind: &str) -> Vec<(String, Span)> {
        let defined: Vec<&Mention> = self.defined.iter().filter(|mention| mention.kind == kind).collect();
        let names = || defined.iter().map(|mention| mention.name.as_str());
        let known = |used: &&Use| self.defined.iter().any(|m| used.is_of(m) && m.name == used.name);
        let undefined = self.used.iter().filter(|used| used.kinds.contains(&kind) && !known(used));
        let meant: Vec<&str> = undefined.filter_map(|used| nearest(&used.name, names())).collect();
        let unused = |name: &str| !self.is_used(kind, name) && !meant.contains(&name);
        defined.iter().filter(|m| unused(&m.name)).map(|m| (m.name.clone(), m.span.clone())).collect()
    }

    /// Turns what was found into diagnostics, in the order of files and lines.
    pub fn into_diagnostics(mut self, sources: &Sources) -> Vec<Diagnostic> {
        self.found.sort_by_key(|found| (found.span.file, found.span.range.start, found.code));
        self.found.dedup();
        let secrets = self.secrets;
        self.found
            .into_iter()
            .map(|Found { code, span, message, hint }| Diagnostic {
                code,
                place: Some(sources.place_without(&span, &secrets)),
                message,
                hint,
            })
            .collect()
    }
}
