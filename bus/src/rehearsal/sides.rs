//! Two texts side by side, or one under the other where there is no room. Within any width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Difference, Sign};

/// Below this two columns cannot be read.
const TWO: usize = 72;
/// Between the columns.
const GAP: &str = " │ ";

/// A line of both texts, or of one.
type Row<'a> = (Sign, Option<&'a str>, Option<&'a str>);

/// The difference as lines, indented by two.
pub fn side_by_side(difference: &Difference, width: usize, colour: bool) -> Vec<String> {
    if width < TWO {
        return under_each_other(difference, width, colour);
    }
    let column = (width - 2 - GAP.width()) / 2;
    let mut lines = Vec::new();
    for row in rows(difference) {
        let Some((sign, left, right)) = row else {
            lines.push("  …".to_owned());
            continue;
        };
        let (left, right) = (cut(left.unwrap_or(""), column), cut(right.unwrap_or(""), column));
        for at in 0..left.len().max(right.len()) {
            let (left, right) = (part(&left, at), part(&right, at));
            let padding = " ".repeat(column - left.width());
            let (first, second) = match sign {
                Sign::Both => (left.to_owned(), right.to_owned()),
                _ => (paint("31", left, colour), paint("32", right, colour)),
            };
            lines.push(format!("  {first}{padding}{GAP}{second}").trim_end().to_owned());
        }
    }
    lines
}

fn part(parts: &[String], at: usize) -> &str {
    parts.get(at).map_or("", String::as_str)
}

fn paint(code: &str, text: &str, colour: bool) -> String {
    if colour && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn under_each_other(difference: &Difference, width: usize, colour: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for line in difference.excerpt() {
        let Some((sign, text)) = line else {
            lines.push("  …".to_owned());
            continue;
        };
        let code = match sign {
            Sign::Both => "",
            Sign::First => "31",
            Sign::Second => "32",
        };
        // Below a few columns the terminal wraps by itself.
        for part in cut(text, width.saturating_sub(4).max(8)) {
            let line = format!("{} {part}", sign.as_str());
            lines.push(format!("  {}", paint(code, line.trim_end(), colour && !code.is_empty())));
        }
    }
    lines
}

/// Lines that both have beside each other, and what one has instead of what the other has. `None`: lines left out.
fn rows(difference: &Difference) -> Vec<Option<Row<'_>>> {
    let mut rows: Vec<Option<Row<'_>>> = Vec::new();
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for line in difference.excerpt() {
        match line {
            Some((Sign::First, text)) => firsts.push(text.as_str()),
            Some((Sign::Second, text)) => seconds.push(text.as_str()),
            Some((Sign::Both, text)) => {
                drain(&mut rows, &mut firsts, &mut seconds);
                rows.push(Some((Sign::Both, Some(text), Some(text))));
            }
            None => {
                drain(&mut rows, &mut firsts, &mut seconds);
                rows.push(None);
            }
        }
    }
    drain(&mut rows, &mut firsts, &mut seconds);
    rows
}

fn drain<'a>(rows: &mut Vec<Option<Row<'a>>>, firsts: &mut Vec<&'a str>, seconds: &mut Vec<&'a str>) {
    for at in 0..firsts.len().max(seconds.len()) {
        rows.push(Some((Sign::First, firsts.get(at).copied(), seconds.get(at).copied())));
    }
    firsts.clear();
    seconds.clear();
}

/// Into pieces no wider than this.
fn cut(text: &str, width: usize) -> Vec<String> {
    let (mut pieces, mut piece, mut taken) = (Vec::new(), String::new(), 0);
    for letter in text.chars() {
        let needs = letter.width().unwrap_or(0);
        if taken + needs > width && !piece.is_empty() {
            pieces.push(std::mem::take(&mut piece));
            taken = 0;
        }
        piece.push(letter);
        taken += needs;
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let long = "漢字かな交じり".repeat(20);
        let difference =
            Difference::of(&lines(&format!("одно\nстарое {long}\nи")), &lines(&format!("одно\nновое {long}\nи")));
        for width in [20, 40, 71, 72, 80, 81, 200] {
            for line in side_by_side(&difference, width, false) {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn what_stands_for_what_stands_beside_it() {
        let difference =
            Difference::of(&lines("PUT /1\n{\n  \"a\": 1\n}"), &lines("PUT /1\n{\n  \"a\": 2,\n  \"b\": 3\n}"));
        let shown = side_by_side(&difference, 72, false);
        let pad = |text: &str| format!("  {text}{}", " ".repeat(33 - text.width()));
        let expected = [
            format!("{} │ PUT /1", pad("PUT /1")),
            format!("{} │ {{", pad("{")),
            format!("{} │   \"a\": 2,", pad("  \"a\": 1")),
            format!("{} │   \"b\": 3", pad("")),
            format!("{} │ }}", pad("}")),
        ];
        assert_eq!(shown, expected);
        let narrow = side_by_side(&difference, 40, false);
        assert!(
            narrow.contains(&"  -   \"a\": 1".to_owned()) && narrow.contains(&"  +   \"b\": 3".to_owned()),
            "{narrow:?}"
        );
        assert!(side_by_side(&difference, 72, true)[2].contains("\u{1b}[31m  \"a\": 1\u{1b}[0m"));
    }
}
