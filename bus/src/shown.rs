//! What people read on a terminal: every command prints through here, so that nothing that came from a record, a receiver or a
//! colleague steers the terminal, and all times are those of one clock, the bus's `timezone`. Output for machines (`--json`)
//! does not pass here.

use chrono_tz::Tz;

use crate::clock::localised;

/// Stands for a character that a terminal would obey.
pub const HIDDEN: char = '\u{fffd}';

/// What is shown of a character within a line.
pub fn shown(c: char) -> char {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns { HIDDEN } else { c }
}

/// One line, whatever stands in it.
pub fn line(text: &str, zone: Tz) -> String {
    localised(text, zone).chars().map(shown).collect()
}

/// Several lines of ours.
pub fn page(text: &str, zone: Tz) -> String {
    text.split('\n').map(|text| line(text, zone)).collect::<Vec<_>>().join("\n")
}

/// A text of somebody else, with its own lines and times.
pub fn foreign(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { shown(c) }).collect()
}

/// A word as an argument of a command that people copy into a shell.
pub fn argument(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@');
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_command_holds_one_word() {
        for (text, expected) in
            [("УТ-000123", "УТ-000123"), ("два слова", "'два слова'"), ("$(x)'; y", r"'$(x)'\''; y'"), ("", "''")]
        {
            assert_eq!(argument(text), expected);
        }
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let label = "УТ-1\x1b[2J\r\nzwei\u{202e}\u{9b}31m";
        let zone = chrono_tz::Europe::Moscow;
        let one = line(label, zone);
        assert!(
            one.chars().all(|c| !c.is_control() && c != '\u{202e}') && one.starts_with("УТ-1\u{fffd}[2J"),
            "{one:?}"
        );
        assert_eq!(page("a\nb \x1b since 2026-11-22T22:30:00.500Z", zone), "a\nb \u{fffd} since 2026-11-23 01:30:00");
        assert_eq!(
            foreign("{\n\t\"a\": \"\x1b\", 2026-11-22T22:30:00Z\r\n"),
            "{\n\t\"a\": \"\u{fffd}\", 2026-11-22T22:30:00Z\u{fffd}\n"
        );
    }
}
