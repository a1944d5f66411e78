//! Finds `:cursor` in an operator's SELECT, so that it is bound and never spliced, and what is wrong with the text before
//! any database has seen it. Pure.
//!
//! Strings, quoted names and comments are skipped, `value::type` is a cast. Nothing else of SQL is understood, except
//! what loses rows: whether there is a LIMIT outside of brackets, and whether `:cursor` follows a bare `>`.

use std::ops::Range;

/// Whose quoting rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Nested comments, `$tag$` strings, `E'\''`.
    Postgres,
    /// `[name]` and `` `name` `` are quoted names.
    Sqlite,
}

impl Dialect {
    /// By the scheme of a URL.
    pub fn of_url(url: &str) -> Option<Self> {
        match url {
            _ if url.starts_with("sqlite:") => Some(Self::Sqlite),
            _ if url.starts_with("postgres://") || url.starts_with("postgresql://") => Some(Self::Postgres),
            _ => None,
        }
    }
}

/// One SELECT, cut at each `:cursor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    pieces: Vec<String>,
    /// Where a LIMIT, OFFSET or FETCH stands outside of brackets: what is beyond it and not above it is never read.
    pub limited: Option<Range<usize>>,
    /// `> :cursor` occurs: rows that share the last value and were committed later would be missed.
    pub strict: bool,
}

/// Why a text is not one SELECT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct SelectError {
    /// What is wrong.
    pub fault: SelectFault,
    /// The bytes of the text that it is about.
    pub at: Range<usize>,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectFault {
    /// Nothing but blanks and comments.
    #[error("the query is empty")]
    Empty,
    /// It begins with this.
    #[error("the query must be one SELECT, but it begins with {0:?}")]
    NotSelect(String),
    /// More than one statement.
    #[error("the query must be one statement, but something follows the ';'")]
    Several,
    /// A string, a quoted name or a comment, by the number of its first character from 1.
    #[error("a quote or comment that begins at character {0} of the query does not end")]
    Unclosed(usize),
}

impl SelectFault {
    fn at(self, at: Range<usize>) -> SelectError {
        SelectError { fault: self, at }
    }
}

impl Select {
    /// Cuts the text at each `:cursor`.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, SelectError> {
        Lexer::new(text, dialect).run()
    }

    /// Whether `:cursor` occurs.
    pub fn takes_cursor(&self) -> bool {
        self.pieces.len() > 1
    }

    /// The statement with `parameter` in each place of `:cursor`.
    pub fn with(&self, parameter: &str) -> String {
        self.pieces.join(parameter)
    }
}

struct Lexer<'a> {
    text: &'a str,
    dialect: Dialect,
    at: usize,
    piece_start: usize,
    pieces: Vec<String>,
    depth: usize,
    /// The last word outside of brackets, and the last character that is neither space nor comment.
    word: String,
    last: char,
    first_word: Option<(String, Range<usize>)>,
    limited: Option<Range<usize>>,
    strict: bool,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str, dialect: Dialect) -> Self {
        Self {
            text,
            dialect,
            at: 0,
            piece_start: 0,
            pieces: Vec::new(),
            depth: 0,
            word: String::new(),
            last: ' ',
            first_word: None,
            limited: None,
            strict: false,
        }
    }

    fn run(mut self) -> Result<Select, SelectError> {
        let mut end = self.text.len();
        while let Some(c) = self.peek() {
            let rest = &self.text[self.at..];
            match c {
                _ if c.is_whitespace() => self.at += c.len_utf8(),
                '-' if rest.starts_with("--") => self.at += rest.find('\n').unwrap_or(rest.len()),
                '/' if rest.starts_with("/*") => self.comment()?,
                ';' => {
                    end = self.at;
                    self.at += 1;
                    self.only_blank_follows()?;
                    break;
                }
                ':' if rest.starts_with("::") => self.pass(2, ':'),
                ':' if is_cursor(rest) => self.cut(),
                '\'' | '"' => self.quoted(c, false)?,
                '`' if self.dialect == Dialect::Sqlite => self.quoted('`', false)?,
                '[' if self.dialect == Dialect::Sqlite => self.bracketed()?,
                '$' if self.dialect == Dialect::Postgres && dollar_tag(rest).is_some() => self.dollar_quoted()?,
                _ if c.is_alphanumeric() || c == '_' => self.take_word()?,
                _ => {
                    match c {
                        '(' => self.depth += 1,
                        ')' => self.depth = self.depth.saturating_sub(1),
                        _ => {}
                    }
                    if self.first_word.is_none() && c != '(' {
                        return Err(SelectFault::NotSelect(c.to_string()).at(self.at..self.at + c.len_utf8()));
                    }
                    self.pass(c.len_utf8(), c);
                }
            }
        }
        let Some((word, at)) = self.first_word else { return Err(SelectFault::Empty.at(0..self.text.len())) };
        if !matches!(word.as_str(), "select" | "with" | "values" | "table") {
            return Err(SelectFault::NotSelect(word).at(at));
        }
        self.pieces.push(self.text[self.piece_start..end].to_owned());
        Ok(Select { pieces: self.pieces, limited: self.limited, strict: self.strict })
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn pass(&mut self, bytes: usize, last: char) {
        self.at += bytes;
        self.last = last;
        self.word.clear();
    }

    fn cut(&mut self) {
        self.strict |= self.last == '>';
        self.pieces.push(self.text[self.piece_start..self.at].to_owned());
        self.pass(":cursor".len(), ':');
        self.piece_start = self.at;
    }

    fn take_word(&mut self) -> Result<(), SelectError> {
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let word = rest[..length].to_lowercase();
        let at = self.at..self.at + length;
        self.at += length;
        // Reserved, but a name behind a dot or AS. SQLite takes the other two for names, and has OFFSET behind LIMIT only.
        let named = self.last == '.' || self.word == "as";
        let limits = word == "limit" || self.dialect == Dialect::Postgres && (word == "offset" || word == "fetch");
        if self.depth == 0 && !named && limits {
            self.limited.get_or_insert(at.clone());
        }
        self.last = 'a';
        self.first_word.get_or_insert_with(|| (word.clone(), at));
        if word == "e" && self.dialect == Dialect::Postgres && self.peek() == Some('\'') {
            return self.quoted('\'', true);
        }
        self.word = if self.depth == 0 { word } else { String::new() };
        Ok(())
    }

    fn quoted(&mut self, quote: char, backslash: bool) -> Result<(), SelectError> {
        let begin = self.at;
        self.at += quote.len_utf8();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            if c == '\\' && backslash {
                self.at += self.peek().map_or(0, char::len_utf8);
            } else if c == quote {
                if self.peek() == Some(quote) {
                    self.at += quote.len_utf8();
                } else {
                    self.pass(0, quote);
                    return Ok(());
                }
            }
        }
        Err(self.unclosed(begin))
    }

    fn bracketed(&mut self) -> Result<(), SelectError> {
        let length = self.text[self.at..].find(']').ok_or_else(|| self.unclosed(self.at))?;
        self.pass(length + 1, ']');
        Ok(())
    }

    fn dollar_quoted(&mut self) -> Result<(), SelectError> {
        let rest = &self.text[self.at..];
        let tag = dollar_tag(rest).unwrap_or("$$");
        let length = rest[tag.len()..].find(tag).ok_or_else(|| self.unclosed(self.at))?;
        self.pass(length + 2 * tag.len(), '$');
        Ok(())
    }

    fn comment(&mut self) -> Result<(), SelectError> {
        let begin = self.at;
        let mut depth = 0;
        loop {
            let rest = &self.text[self.at..];
            if rest.starts_with("/*") && (depth == 0 || self.dialect == Dialect::Postgres) {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(());
                }
            } else {
                self.at += self.peek().ok_or_else(|| self.unclosed(begin))?.len_utf8();
            }
        }
    }

    fn only_blank_follows(&mut self) -> Result<(), SelectError> {
        while let Some(c) = self.peek() {
            let rest = &self.text[self.at..];
            match c {
                _ if c.is_whitespace() || c == ';' => self.at += c.len_utf8(),
                '-' if rest.starts_with("--") => self.at += rest.find('\n').unwrap_or(rest.len()),
                '/' if rest.starts_with("/*") => self.comment()?,
                _ => return Err(SelectFault::Several.at(self.at..self.text.len())),
            }
        }
        Ok(())
    }

    fn unclosed(&self, begin: usize) -> SelectError {
        SelectFault::Unclosed(self.text[..begin].chars().count() + 1).at(begin..self.text.len())
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn is_cursor(rest: &str) -> bool {
    rest.strip_prefix(":cursor").is_some_and(|after| !after.starts_with(is_name))
}

/// `$$` or `$tag$` at the beginning of `rest`; `$1` is a parameter.
fn dollar_tag(rest: &str) -> Option<&str> {
    let end = rest[1..].find('$')? + 1;
    let tag = &rest[1..end];
    let named = tag.chars().all(|c| c.is_alphanumeric() || c == '_') && !tag.starts_with(|c: char| c.is_ascii_digit());
    named.then(|| &rest[..=end])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_real_parameter_is_one() {
        use Dialect::{Postgres, Sqlite};
        for (dialect, text, expected) in [
            (Postgres, "SELECT a FROM t WHERE a >= :cursor", "SELECT a FROM t WHERE a >= $1"),
            (Postgres, "select :cursor::text, :cursor", "select $1::text, $1"),
            (Postgres, "select ':cursor', \":cursor\", a::int", "select ':cursor', \":cursor\", a::int"),
            (Postgres, "select 'it''s :cursor' where x>:cursor", "select 'it''s :cursor' where x>$1"),
            (Postgres, r"select E'\':cursor' , :cursor", r"select E'\':cursor' , $1"),
            (Postgres, "select $q$ :cursor $q$, $$:cursor$$, :cursor", "select $q$ :cursor $q$, $$:cursor$$, $1"),
            (Postgres, "select 1 -- :cursor\n, :cursor", "select 1 -- :cursor\n, $1"),
            (Postgres, "select /* a /* :cursor */ :cursor */ :cursor", "select /* a /* :cursor */ :cursor */ $1"),
            (Sqlite, "select /* /* */ :cursor", "select /* /* */ $1"),
            (Sqlite, "select [:cursor], `:cursor`, :cursor", "select [:cursor], `:cursor`, $1"),
            (Postgres, "select a[1:2], :cursors, :cursor_, :cursor", "select a[1:2], :cursors, :cursor_, $1"),
            (
                Postgres,
                "select \"Сумма\", 'Ёж' where \"Дата\" >= :cursor;  -- end\n",
                "select \"Сумма\", 'Ёж' where \"Дата\" >= $1",
            ),
        ] {
            assert_eq!(Select::parse(text, dialect).unwrap().with("$1"), expected);
        }
    }

    #[test]
    fn what_is_not_one_select_is_refused() {
        for (text, expected) in [
            ("  -- nothing\n", SelectFault::Empty.at(0..13)),
            (" delete from t", SelectFault::NotSelect("delete".into()).at(1..7)),
            ("? from t", SelectFault::NotSelect("?".into()).at(0..1)),
            ("select 1; drop table t", SelectFault::Several.at(10..22)),
            ("select 'a", SelectFault::Unclosed(8).at(7..9)),
            ("select 'ё', /* a", SelectFault::Unclosed(13).at(13..17)),
        ] {
            assert_eq!(Select::parse(text, Dialect::Postgres), Err(expected), "{text}");
        }
    }

    #[test]
    fn limits_and_strictness_are_noticed() {
        for (text, limited, strict) in [
            ("select a from t where a >= :cursor order by a", false, false),
            ("select a from t where a > :cursor ORDER  /* x */ BY a LIMIT /* x */ 500", true, true),
            ("select a from t where a >= :cursor offset\n1", true, false),
            ("select a from t where a >= :cursor fetch first 5 rows only", true, false),
            ("select a from (select a from t limit 5) q where a>= :cursor", false, false),
            ("select 'limit 5', \"limit\", t.limit, 1 AS limit, fetched from t", false, false),
            ("with q as (select 1) select * from q limit(5)", true, false),
        ] {
            let query = Select::parse(text, Dialect::Postgres).unwrap();
            assert_eq!((query.limited.is_some(), query.strict), (limited, strict), "{text}");
        }
        let limited = |text| Select::parse(text, Dialect::Sqlite).unwrap().limited.is_some();
        assert!(!limited("select offset, fetch from t where a >= :cursor"));
        assert!(limited("select a from t where a >= :cursor limit 5 offset 2"));
    }
}
