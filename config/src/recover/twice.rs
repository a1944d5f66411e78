//! Keys and tables that stand there a second time.

use std::ops::Range;

use bus_options::codes;
use toml::de::{DeTable, DeValue};

use super::statement::{Kind, Statement};
use super::{Recovered, blank, header_of, line_of};

impl Recovered {
    /// The second of two keys with one name goes; `range` is where the parser saw it.
    pub fn second_key(&mut self, text: &mut String, statements: &[Statement], broken: usize, range: Range<usize>) {
        let statement = statements[broken].range.clone();
        let line = &text[statement.clone()];
        if line.find('=').is_some_and(|equals| range.start > statement.start + equals) {
            // In a table in braces, of which nothing is left then.
            let message = format!("the key `{}` stands here twice", text[range.clone()].trim());
            self.add(codes::DUPLICATE, range, message, Some("keep one of them".to_owned()));
            self.lose(text, statements, broken, statement);
            return;
        }
        let key = line.split('=').next().unwrap_or("").trim();
        let begin = statement.start + (line.len() - line.trim_start().len());
        let first = header_of(statements, broken).map_or(0, |header| header + 1);
        let same =
            |other: &&Statement| text[other.range.clone()].split('=').next().is_some_and(|other| other.trim() == key);
        let hint = match statements[first..broken].iter().find(same) {
            Some(first) => format!("it stands in line {} too: keep one of them", line_of(text, &first.range)),
            None => "keep one of them".to_owned(),
        };
        let message = format!("the key `{key}` stands here twice");
        self.add(codes::DUPLICATE, begin..begin + key.len(), message, Some(hint));
        blank(text, statement);
    }

    /// The second of two tables with one name goes into a text of its own, with the tables below it.
    pub fn second_table(&mut self, text: &mut String, statements: &[Statement], broken: usize) -> Option<String> {
        let header = statements[broken].range.clone();
        let path = path(&text[header.clone()]);
        let section = header.start..section_end(statements, broken, &path, text);
        let own = !matches!(path.first().map(String::as_str), Some("bus" | "defaults" | "tests"));
        // Named tables are told where names are checked, whichever files they stand in.
        if path.len() != 2 || !own {
            let same =
                |other: &&Statement| other.kind == Kind::Header && self::path(&text[other.range.clone()]) == path;
            let first = statements[..broken].iter().find(same).map(|first| line_of(text, &first.range));
            let first = first.map_or(String::new(), |line| format!("it stands in line {line} too: "));
            let line = text[header.clone()].trim();
            let begin = header.start + (text[header.clone()].len() - text[header.clone()].trim_start().len());
            let message = format!("the table `{}` stands here twice", path.join("."));
            self.add(codes::DUPLICATE, begin..begin + line.len(), message, Some(format!("{first}put both together")));
        }
        // A table below one that is named has no sense alone.
        let aside = (path.len() <= 2).then(|| {
            let mut aside = text.clone();
            blank(&mut aside, 0..section.start);
            blank(&mut aside, section.end..text.len());
            aside
        });
        blank(text, section);
        aside
    }
}

/// Where the table of a statement ends: at the next header that is not below `path`.
pub fn section_end(statements: &[Statement], at: usize, path: &[String], text: &str) -> usize {
    let below = |header: &Statement| !path.is_empty() && self::path(&text[header.range.clone()]).starts_with(path);
    let ends = |other: &&Statement| other.kind == Kind::Header && !below(other);
    statements[at + 1..].iter().find(ends).map_or(text.len(), |next| next.range.start)
}

/// The names in a header; what looks like them, if it cannot be read.
pub fn path(header: &str) -> Vec<String> {
    let Ok(document) = DeTable::parse(header) else {
        return header.trim().trim_matches(['[', ']']).split('.').map(|name| name.trim().to_owned()).collect();
    };
    let mut path = Vec::new();
    let mut table = document.get_ref();
    while let Some((key, value)) = table.iter().next() {
        path.push(key.get_ref().to_string());
        table = match value.get_ref() {
            DeValue::Table(table) => table,
            DeValue::Array(items) => match items.iter().next().and_then(|item| item.get_ref().as_table()) {
                Some(table) => table,
                None => break,
            },
            _ => break,
        };
    }
    path
}
