//! Reading on after a mistake in the syntax, so that it does not hide the others of its file.
//!
//! | file | what it is |
//! |---|---|
//! | `statement.rs` | what a text consists of: headers, and keys with their values |
//! | `advice/` | what people write who do not know TOML, and what to write instead |
//! | `twice.rs` | keys and tables that stand there a second time |
//! | `secret.rs` | what of a line may be a secret |
//! | `damage.rs` | which mistakes may only follow from what could not be read |
//!
//! What is broken is replaced by spaces, so that all the rest keeps its place, and the text is parsed again. A table
//! that stands there a second time is parsed as a text of its own.

mod advice;
mod damage;
mod secret;
mod statement;
mod twice;

use std::ops::Range;

use bus_options::{Code, Declared, codes};
use toml::de::DeTable;

pub use damage::Damage;
use statement::{Kind, Statement};
use twice::{path, section_end};

use crate::language::Root;

/// Nobody mends more in one go; what comes after is told by the next run.
const MAX_MISTAKES: usize = 100;

/// What could be read of a text.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Texts without a mistake in their syntax, each as long as the original: the text itself, then tables that stand
    /// there twice.
    pub texts: Vec<String>,
    /// What was wrong.
    pub mistakes: Vec<Mistake>,
    /// What is lost.
    pub damage: Damage,
}

/// A mistake in the syntax.
#[derive(Debug)]
pub struct Mistake {
    /// What kind of mistake.
    pub code: Code,
    /// Where.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// What of its line may be a secret.
    pub secret: Range<usize>,
}

/// Finds every mistake in the syntax of a text, and what can be read all the same.
pub fn recover(text: &str) -> Recovered {
    let mut recovered = Recovered::default();
    let tables: Vec<&str> = Root::declaration().rows.iter().map(|row| row.key).collect();
    let mut waiting = vec![text.to_owned()];
    while let Some(mut text) = waiting.pop() {
        while let Some(error) = first_error(&text) {
            let statements = statement::all(&text, &tables);
            let broken = broken(&statements, error.0.start);
            // Tables that stand there twice are told elsewhere, but each costs a text.
            let full = recovered.mistakes.len() + recovered.texts.len() + waiting.len() >= MAX_MISTAKES;
            match broken {
                Some(broken) if full => {
                    let begin = statements[broken].range.start.min(line_around(&text, error.0.start).start);
                    recovered.lose(&mut text, &statements, broken, begin..usize::MAX);
                    break;
                }
                Some(broken) if holds(&statements[broken], error.0.start, &text) => {
                    let aside = recovered.mend(&mut text, &statements, broken, error);
                    waiting.extend(aside);
                }
                // A comment, or a line of blanks that are none.
                _ => {
                    let line = line_around(&text, error.0.start);
                    if text[line.clone()].trim_matches(' ').is_empty() {
                        break;
                    }
                    let hint = "a character that does not show stands in this line: write the line anew";
                    recovered.tell(error.0, error.1, Some(hint.to_owned()));
                    blank(&mut text, line);
                }
            }
        }
        recovered.texts.push(text);
    }
    let statements = statement::all(text, &tables);
    for mistake in &mut recovered.mistakes {
        mistake.secret = secret::in_line(text, &statements, mistake.range.start);
    }
    recovered
}

/// The first mistake that the parser sees.
fn first_error(text: &str) -> Option<(Range<usize>, String)> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let places = errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message().to_owned()));
    places.min_by_key(|(range, _)| range.start)
}

/// The statement in which the parser stumbled; an earlier one, if that never ends.
fn broken(statements: &[Statement], at: usize) -> Option<usize> {
    let stumbled = statements.iter().rposition(|statement| statement.range.start <= at).unwrap_or(0);
    let endless = statements.iter().take(stumbled + 1).position(|statement| statement.unclosed.is_some());
    endless.or((!statements.is_empty()).then_some(stumbled))
}

/// Whether the parser stumbled in this statement, or because of it.
fn holds(statement: &Statement, at: usize, text: &str) -> bool {
    statement.unclosed.is_some() || statement.range.contains(&at) || at >= text.len()
}

/// The line in which a place is, without its end.
fn line_around(text: &str, at: usize) -> Range<usize> {
    let begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    begin..text[begin..].find('\n').map_or(text.len(), |end| begin + end)
}

impl Recovered {
    /// Tells one mistake and takes what holds it out of the text; returns a text of its own for a table that stands
    /// there twice.
    fn mend(
        &mut self,
        text: &mut String,
        statements: &[Statement],
        broken: usize,
        (range, message): (Range<usize>, String),
    ) -> Option<String> {
        let statement = &statements[broken];
        let twice = message == "duplicate key";
        if let Some(open) = statement.unclosed {
            let advice::Advice { range, message, hint } = advice::unclosed(text, open);
            self.tell(range, message, Some(hint));
            self.lose(text, statements, broken, statement.range.clone());
            return None;
        }
        match (statement.kind, twice) {
            (Kind::Header, true) => self.second_table(text, statements, broken),
            (Kind::Header, false) => {
                let hint = advice::unquoted_name(&text[statement.range.clone()]);
                self.tell(range, message, hint);
                self.damage.names = true;
                let section = statement.range.start..section_end(statements, broken, &[], text);
                self.lose(text, statements, broken, section);
                None
            }
            (Kind::Value, true) => {
                self.second_key(text, statements, broken, range);
                None
            }
            (Kind::Value, false) => {
                let header = header_of(statements, broken).map_or("", |header| &text[statements[header].range.clone()]);
                let advised = advice::of(&text[statement.range.clone()], header);
                if advised.is_empty() {
                    self.tell(range, message, advice::unquoted_name(&text[statement.range.clone()]));
                }
                for advice::Advice { range, message, hint } in advised {
                    let range = statement.range.start + range.start..statement.range.start + range.end;
                    self.tell(range, message, Some(hint));
                }
                self.lose(text, statements, broken, statement.range.clone());
                None
            }
        }
    }

    fn add(&mut self, code: Code, range: Range<usize>, message: String, hint: Option<String>) {
        self.mistakes.push(Mistake { code, range, message, hint, secret: 0..0 });
    }

    fn tell(&mut self, range: Range<usize>, message: String, hint: Option<String>) {
        self.add(codes::SYNTAX, range, message, hint);
    }

    /// Takes a part out of the text, and remembers what may be missed for it.
    fn lose(&mut self, text: &mut String, statements: &[Statement], broken: usize, range: Range<usize>) {
        let range = range.start..range.end.min(text.len());
        let header = match statements[broken].kind {
            Kind::Header => Some(broken),
            Kind::Value => header_of(statements, broken),
        };
        let begin = header.map_or(0, |header| statements[header].range.start);
        let path = header.map(|header| path(&text[statements[header].range.clone()])).unwrap_or_default();
        let end = section_end(statements, broken, &[], text);
        self.damage.lose(&path, begin..end.max(range.end), &text[range.clone()]);
        blank(text, range);
    }
}

/// The header above a statement.
fn header_of(statements: &[Statement], at: usize) -> Option<usize> {
    statements[..at].iter().rposition(|statement| statement.kind == Kind::Header)
}

fn line_of(text: &str, range: &Range<usize>) -> usize {
    text[..range.start].matches('\n').count() + 1
}

/// Spaces instead of everything but line ends: what follows keeps its place.
fn blank(text: &mut String, range: Range<usize>) {
    let spaces: String = text[range.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    text.replace_range(range, &spaces);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `recover` tells, each as the first line of its place; every text it leaves is TOML and has its length.
    fn told(text: &str) -> (Vec<String>, Vec<String>) {
        let recovered = recover(text);
        for left in &recovered.texts {
            assert_eq!((left.len(), first_error(left)), (text.len(), None), "{left}");
        }
        let place = |mistake: &Mistake| format!("{}: {}", line_of(text, &mistake.range), mistake.message);
        let words = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        (recovered.mistakes.iter().map(place).collect(), recovered.texts.iter().map(words).collect())
    }

    #[test]
    fn only_what_is_broken_is_left_out() {
        let (told, left) = told("[routes.a]\nx = 1\ny = b c\nz = 2\n\n[routes.\"я\"]\nw = '''\n[x]\n'''\n");
        assert_eq!(told, ["3: a text without quotes"]);
        assert_eq!(left, ["[routes.a] x = 1 z = 2 [routes.\"я\"] w = ''' [x] '''"]);
    }

    #[test]
    fn each_mistake_is_told_once() {
        let (told, left) =
            told("a = [1,\n[routes.b]\nc = '''\nd = 1\n[routes.e]\nf = 1\nf = 2\ng = «x»\n[routes.h\ni = 1\n");
        let expected = [
            "1: the list that begins here does not end",
            "3: the text that begins here does not end",
            "7: the key `f` stands here twice",
            "8: `«` is no quote here",
        ];
        assert_eq!(told[..4], expected);
        assert!(told.len() == 5 && told[4].starts_with("9: "), "{told:?}");
        assert_eq!(left, ["[routes.b] [routes.e] f = 1"]);
    }

    #[test]
    fn a_second_table_is_read_by_itself() {
        let twice =
            "[routes.a]\nx = 1\n[routes.a.send]\ny = 2\n[routes.a]\nx = 3\nx = 4\n[routes.a.send]\ny = 5\n[bus]\n";
        let (told, left) = told(&format!("{twice}[bus]\nname = \"b\"\n"));
        // Where names are checked, the table is told.
        assert_eq!(told, ["11: the table `bus` stands here twice", "7: the key `x` stands here twice"]);
        assert_eq!(
            left,
            [
                "[routes.a] x = 1 [routes.a.send] y = 2 [bus]",
                "[bus] name = \"b\"",
                "[routes.a] x = 3 [routes.a.send] y = 5"
            ]
        );
    }

    #[test]
    fn a_text_that_is_no_toml_at_all_ends_too() {
        let nonsense = "это не TOML\n".repeat(300);
        let recovered = recover(&nonsense);
        assert_eq!(recovered.mistakes.len(), MAX_MISTAKES);
        assert_eq!(first_error(&recovered.texts[0]), None);
        assert!(!recover("\u{0}\u{1}[[[").mistakes.is_empty());
    }
}
