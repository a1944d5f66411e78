//! Diagnostics for people (text, colour if wanted) and for programs (JSON).

use std::fmt::Write;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::Diagnostic;

/// Whether the text goes to a terminal that shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Off,
    /// ANSI escapes.
    On,
}

/// All diagnostics as text: code, place, the line with a caret, the hint.
pub fn to_text(diagnostics: &[Diagnostic], colour: Colour) -> String {
    diagnostics.iter().map(|diagnostic| one(diagnostic, colour)).collect::<Vec<_>>().join("\n")
}

/// All diagnostics as a JSON array of `{code, title, file, line, column, source, message, hint}`.
pub fn to_json(diagnostics: &[Diagnostic]) -> Value {
    diagnostics
        .iter()
        .map(|Diagnostic { code, place, message, hint }| {
            let (file, line) = (place.as_ref().map(|p| &p.file), place.as_ref().map(|p| p.line));
            let (column, source) = (place.as_ref().map(|p| p.column), place.as_ref().map(|p| &p.text));
            json!({"code": code.id, "title": code.title, "file": file, "line": line, "column": column,
                   "source": source, "message": message, "hint": hint})
        })
        .collect()
}

fn one(diagnostic: &Diagnostic, colour: Colour) -> String {
    let paint = |code: &str, text: &str| match colour {
        Colour::On => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        Colour::Off => text.to_owned(),
    };
    let (red, blue, bold) = ("1;31", "1;34", "1");
    let head = paint(red, &format!("error[{}]", diagnostic.code.id));
    let mut out = format!("{head}: {}\n", paint(bold, &diagnostic.message));
    let mut gutter = String::from(" ");
    if let Some(place) = &diagnostic.place {
        let number = place.line.to_string();
        gutter = " ".repeat(number.len() + 1);
        let (bar, arrow) = (paint(blue, "|"), paint(blue, "-->"));
        // A tab has no width of its own: one space keeps the caret under its letter.
        let line = place.text.replace('\t', " ");
        let before = UnicodeWidthStr::width(&line[..place.marked.start]);
        let marks = UnicodeWidthStr::width(&line[place.marked.clone()]).max(1);
        let caret = paint(red, &"^".repeat(marks));
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{}{arrow} {}:{}:{}\n{gutter}{bar}\n{} {bar} {line}\n{gutter}{bar} {}{caret}\n",
            &gutter[1..],
            place.file,
            place.line,
            place.column,
            paint(blue, &number),
            " ".repeat(before),
        );
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = writeln!(out, "{gutter}{} {hint}", paint(blue, "= hint:"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Report, Sources, Span, codes};

    fn diagnostics() -> Vec<Diagnostic> {
        let mut sources = Sources::default();
        let file = sources.add("routes.d/б.toml", "\n\t\"Имя\" = \"漢字\"");
        let mut report = Report::default();
        let start = sources.text(file).find("漢").unwrap_or(0);
        report.add_with_hint(codes::BAD_VALUE, &Span { file, range: start..start + 6 }, "not this", "that");
        report.into_diagnostics(&sources)
    }

    #[test]
    fn carets_stand_under_wide_letters() {
        let expected = "error[BUS-C006]: not this\n --> routes.d/б.toml:2:11\n  |\n2 |  \"Имя\" = \"漢字\"\n  |           ^^^^\n  = hint: that\n";
        assert_eq!(to_text(&diagnostics(), Colour::Off), expected);
        assert!(to_text(&diagnostics(), Colour::On).contains("\u{1b}[1;31m^^^^\u{1b}[0m"));
    }

    #[test]
    fn json_says_the_same() {
        let value = to_json(&diagnostics());
        assert_eq!(
            (&value[0]["code"], &value[0]["line"], &value[0]["column"]),
            (&"BUS-C006".into(), &2.into(), &11.into())
        );
    }
}
