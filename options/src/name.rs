//! Names that one table defines and others use.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bus_core::vocabulary::{FeedName, MapName, NameError, RouteName, StreamName, SubscriptionName, SystemName};
use serde_json::{Value, json};

use crate::diagnostic::{Mention, Use};
use crate::{Located, Node, OptionValue, Report, Sources, Span, codes, nearest};

/// A kind of name: "stream", "system".
pub trait EntityName: Sized + Clone + fmt::Display {
    /// The word for messages.
    const KIND: &'static str;
    /// Checks and wraps.
    fn parse(text: &str) -> Result<Self, NameError>;
}

macro_rules! entity_names {
    ($($name:ident $kind:literal;)*) => {$(
        impl EntityName for $name {
            const KIND: &'static str = $kind;
            fn parse(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
    )*};
}

entity_names! {
    SystemName "system";
    FeedName "feed";
    StreamName "stream";
    RouteName "route";
    SubscriptionName "subscription";
    MapName "map";
}

/// A use of a name that another table defines; checked when all files are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ref<N>(pub Located<N>);

impl<N> Ref<N> {
    /// The name.
    pub fn name(&self) -> &N {
        &self.0.value
    }
}

impl<N: EntityName> OptionValue for Ref<N> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text(&format!("the name of a {}", N::KIND), report)?;
        let name = report.refer::<N>(text, &node.span())?;
        Some(Self(Located { value: name, span: node.span() }))
    }
    fn kind() -> Cow<'static, str> {
        format!("name of a {}", N::KIND).into()
    }
    fn schema() -> Value {
        json!({"type": "string", "minLength": 1, "maxLength": 200})
    }
}

/// A use of a name that a table of either kind defines; which one, is found when all are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefEither<A, B>(pub Located<String>, PhantomData<(A, B)>);

impl<A: EntityName, B: EntityName> OptionValue for RefEither<A, B> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text(&Self::kind(), report)?;
        report.name::<A>(text, &node.span())?;
        report.used.push(Use { kinds: vec![A::KIND, B::KIND], name: text.to_owned(), span: node.span() });
        Some(Self(Located { value: text.to_owned(), span: node.span() }, PhantomData))
    }
    fn kind() -> Cow<'static, str> {
        format!("name of a {} or a {}", A::KIND, B::KIND).into()
    }
    fn schema() -> Value {
        Ref::<A>::schema()
    }
}

impl Report {
    /// Checks a name; a bad one is a mistake.
    pub fn name<N: EntityName>(&mut self, text: &str, span: &Span) -> Option<N> {
        match N::parse(text) {
            Ok(name) => Some(name),
            Err(error) => {
                let hint = "letters of any alphabet, digits, '-', '_' and '.'; at most 200 bytes";
                self.add_with_hint(codes::BAD_NAME, span, format!("not a {} name: {error}", N::KIND), hint);
                None
            }
        }
    }

    /// A use of a name that something has to define.
    pub(crate) fn refer<N: EntityName>(&mut self, text: &str, span: &Span) -> Option<N> {
        let name = self.name::<N>(text, span)?;
        self.used.push(Use { kinds: vec![N::KIND], name: text.to_owned(), span: span.clone() });
        Some(name)
    }

    pub(crate) fn define<N: EntityName>(&mut self, name: &str, span: &Span) {
        self.defined.push(Mention { kind: N::KIND, name: name.to_owned(), span: span.clone() });
    }

    /// Reports names defined twice and names that nothing defines. Called once, after all files are read.
    pub fn check_names(&mut self, sources: &Sources) {
        let mut mistakes = Vec::new();
        for (at, mention) in self.defined.iter().enumerate() {
            let earlier = self.defined[..at].iter().find(|m| m.kind == mention.kind && m.name == mention.name);
            if let Some(earlier) = earlier {
                let place = sources.place(&earlier.span);
                let message = format!("{} `{}` is defined twice", mention.kind, mention.name);
                let hint = format!("the other one is in {}, line {}: rename one of them", place.file, place.line);
                mistakes.push((codes::DUPLICATE, mention.span.clone(), message, hint));
            }
        }
        for mention in &self.used {
            let known: Vec<&Mention> = self.defined.iter().filter(|m| mention.is_of(m)).collect();
            if known.iter().any(|m| m.name == mention.name) {
                continue;
            }
            let near = nearest(&mention.name, known.iter().map(|m| m.name.as_str()));
            let hint = match near.and_then(|near| known.iter().find(|m| m.name == near)) {
                Some(near) => {
                    let place = sources.place(&near.span);
                    let file =
                        if near.span.file == mention.span.file { String::new() } else { format!("{}, ", place.file) };
                    format!("did you mean `{}`, defined at {file}line {}?", near.name, place.line)
                }
                None => format!("define it: [{}s.{}]", mention.kinds[0], mention.name),
            };
            let message = format!("no {} is called `{}`", mention.kinds.join(" or "), mention.name);
            mistakes.push((codes::UNKNOWN_REFERENCE, mention.span.clone(), message, hint));
        }
        for (code, span, message, hint) in mistakes {
            self.add_with_hint(code, &span, message, hint);
        }
    }
}
