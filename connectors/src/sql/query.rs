//! Finds `:cursor` in an operator's SELECT, so that it is bound and never spliced.
//!
//! Strings, quoted names and comments are skipped, `value::type` is a cast. Nothing else of SQL is understood, except
//! what loses rows: whether there is a LIMIT outside of brackets, and whether `:cursor` follows a bare `>`.

/// Whose quoting rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Nested comments, `$tag$` strings, `E'\''`.
    Postgres,
    /// `[name]` and `` `name` `` are quoted names.
    Sqlite,
}

impl Dialect {
    /// By the scheme of a URL.
    pub(super) fn of_url(url: &str) -> Option<Self> {
        match url {
            _ if url.starts_with("sqlite:") => Some(Self::Sqlite),
            _ if url.starts_with("postgres://") || url.starts_with("postgresql://") => Some(Self::Postgres),
            _ => None,
        }
    }
}

/// One SELECT, cut at each `:cursor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pieces: Vec<String>,
    /// There is a LIMIT, OFFSET or FETCH outside of brackets: what is beyond it and not above it is never read.
    pub(super) limited: bool,
    /// `> :cursor` occurs: rows that share the last value and were committed later would be missed.
    pub(super) strict: bool,
}

/// Why a text is not one SELECT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueryError {
    #[error("the query is empty")]
    Empty,
    #[error("the query must be one SELECT, but it begins with {0:?}")]
    NotSelect(String),
    #[error("the query must be one statement, but something follows the ';'")]
    Several,
    #[error("a quote or comment that begins at character {0} of the query does not end")]
    Unclosed(usize),
}

impl Query {
    /// Cuts the text at each `:cursor`.
    pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Self, QueryError> {
        Lexer::new(text, dialect).run()
    }

    /// Whether `:cursor` occurs.
    pub(super) fn takes_cursor(&self) -> bool {
        self.pieces.len() > 1
    }

    /// The statement with `parameter` in each place of `:cursor`.
    pub(super) fn with(&self, parameter: &str) -> String {
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
    first_word: Option<String>,
    limited: bool,
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
            limited: false,
            strict: false,
        }
    }

    fn run(mut self) -> Result<Query, QueryError> {
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
                        return Err(QueryError::NotSelect(c.to_string()));
                    }
                    self.pass(c.len_utf8(), c);
                }
            }
        }
        match self.first_word.as_deref() {
            None => return Err(QueryError::Empty),
            Some("select" | "with" | "values" | "table") => {}
            Some(other) => return Err(QueryError::NotSelect(other.to_owned())),
        }
        self.pieces.push(self.text[self.piece_start..end].to_owned());
        Ok(Query { pieces: self.pieces, limited: self.limited, strict: self.strict })
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

    fn take_word(&mut self) -> Result<(), QueryError> {
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let word = rest[..length].to_lowercase();
        self.at += length;
        // Reserved, but a name behind a dot or AS. SQLite takes the other two for names, and has OFFSET behind LIMIT only.
        let named = self.last == '.' || self.word == "as";
        let limits = word == "limit" || self.dialect == Dialect::Postgres && (word == "offset" || word == "fetch");
        self.limited |= self.depth == 0 && !named && limits;
        self.last = 'a';
        self.first_word.get_or_insert_with(|| word.clone());
        if word == "e" && self.dialect == Dialect::Postgres && self.peek() == Some('\'') {
            return self.quoted('\'', true);
        }
        self.word = if self.depth == 0 { word } else { String::new() };
        Ok(())
    }

    fn quoted(&mut self, quote: char, backslash: bool) -> Result<(), QueryError> {
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

    fn bracketed(&mut self) -> Result<(), QueryError> {
        let length = self.text[self.at..].find(']').ok_or_else(|| self.unclosed(self.at))?;
        self.pass(length + 1, ']');
        Ok(())
    }

    fn dollar_quoted(&mut self) -> Result<(), QueryError> {
        let rest = &self.text[self.at..];
        let tag = dollar_tag(rest).unwrap_or("$$");
        let length = rest[tag.len()..].find(tag).ok_or_else(|| self.unclosed(self.at))?;
        self.pass(length + 2 * tag.len(), '$');
        Ok(())
    }

    fn comment(&mut self) -> Result<(), QueryError> {
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

    fn only_blank_follows(&mut self) -> Result<(), QueryError> {
        while let Some(c) = self.peek() {
            let rest = &self.text[self.at..];
            match c {
                _ if c.is_whitespace() || c == ';' => self.at += c.len_utf8(),
                '-' if rest.starts_with("--") => self.at += rest.find('\n').unwrap_or(rest.len()),
                '/' if rest.starts_with("/*") => self.comment()?,
                _ => return Err(QueryError::Several),
            }
        }
        Ok(())
    }

    fn unclosed(&self, begin: usize) -> QueryError {
        QueryError::Unclosed(self.text[..begin].chars().count() + 1)
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
            assert_eq!(Query::parse(text, dialect).unwrap().with("$1"), expected);
        }
    }

    #[test]
    fn what_is_not_one_select_is_refused() {
        for (text, expected) in [
            ("  -- nothing\n", QueryError::Empty),
            ("delete from t", QueryError::NotSelect("delete".into())),
            ("select 1; drop table t", QueryError::Several),
            ("select 'a", QueryError::Unclosed(8)),
            ("select /* a", QueryError::Unclosed(8)),
        ] {
            assert_eq!(Query::parse(text, Dialect::Postgres), Err(expected), "{text}");
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
            let query = Query::parse(text, Dialect::Postgres).unwrap();
            assert_eq!((query.limited, query.strict), (limited, strict), "{text}");
        }
        let limited = |text| Query::parse(text, Dialect::Sqlite).unwrap().limited;
        assert!(!limited("select offset, fetch from t where a >= :cursor"));
        assert!(limited("select a from t where a >= :cursor limit 5 offset 2"));
    }
}
