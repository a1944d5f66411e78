//! The options of an address, decoded as 1C decodes them: a plus sign is no space, it is refused.

use percent_encoding::percent_decode_str;

use super::parse::{Expr, parse};
use crate::refusal::Refusal;

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Atom and XML, where nothing else is asked for.
    Atom,
    /// JSON with the name of its metadata and links.
    Json,
    /// JSON without either.
    JsonBare,
    /// JSON with types too.
    JsonFull,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// `$filter`.
    pub filter: Option<Expr>,
    /// `$orderby`: paths, and whether each is descending.
    pub order: Vec<(Vec<String>, bool)>,
    /// `$select`; empty for everything.
    pub select: Vec<String>,
    /// `$expand`.
    pub expand: Vec<String>,
    /// `$top`.
    pub top: Option<usize>,
    /// `$skip`.
    pub skip: usize,
    /// `$inlinecount=allpages`.
    pub count: bool,
    /// How to answer.
    pub format: Format,
    /// What is not OData's own: arguments of functions, `MessageNo` …
    pub arguments: Vec<(String, String)>,
}

impl Options {
    /// Reads a query as it stands in the address; `accept` is the header.
    pub fn read(query: &str, accept: &str) -> Result<Self, Refusal> {
        let mut options = Self {
            filter: None,
            order: Vec::new(),
            select: Vec::new(),
            expand: Vec::new(),
            top: None,
            skip: 0,
            count: false,
            format: format(accept).unwrap_or(Format::Atom),
            arguments: Vec::new(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).ok_or_else(|| Refusal::bad_option("запроса"))?;
            if value.contains('+') {
                return Err(Refusal::bad_option(&name));
            }
            let value = decoded(value).ok_or_else(|| Refusal::bad_option(&name))?;
            options.set(&name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), Refusal> {
        let list = || value.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
        let number = || value.trim().parse().map_err(|_| Refusal::bad_option(name));
        match name {
            "$filter" => self.filter = Some(parse(&value)?),
            "$orderby" => self.order = order(&value)?,
            "$select" => self.select = list(),
            "$expand" => self.expand = list(),
            "$top" => self.top = Some(number()?),
            "$skip" => self.skip = number()?,
            "$inlinecount" => self.count = value == "allpages",
            "$format" => self.format = format(&value).ok_or_else(|| Refusal::bad_option(name))?,
            "allowedOnly" | "$allowedOnly" => {}
            unknown if unknown.starts_with('$') => return Err(Refusal::unknown_option(unknown)),
            _ => self.arguments.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// An argument by its name.
    pub fn argument(&self, name: &str) -> Option<&str> {
        self.arguments.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Percent-decoded UTF-8.
pub fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}

fn format(text: &str) -> Option<Format> {
    let text = text.to_ascii_lowercase();
    if text.contains("json") {
        return Some(match () {
            () if text.contains("nometadata") => Format::JsonBare,
            () if text.contains("fullmetadata") => Format::JsonFull,
            () => Format::Json,
        });
    }
    (text.contains("atom") || text.contains("xml")).then_some(Format::Atom)
}

fn order(text: &str) -> Result<Vec<(Vec<String>, bool)>, Refusal> {
    let one = |part: &str| {
        let mut words = part.split_whitespace();
        let path = words.next().ok_or_else(|| Refusal::bad_option("$orderby"))?;
        let descending = match words.next() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(Refusal::bad_option("$orderby")),
        };
        Ok((path.split('/').map(str::to_owned).collect(), descending))
    };
    text.split(',').map(one).collect()
}
