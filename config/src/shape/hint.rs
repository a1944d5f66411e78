//! What to do about a mistake in a program, in our words.

use bus_options::nearest;
use vrl::compiler::Function;

/// Codes of the language that our hints know.
mod code {
    pub const FALLIBLE: [usize; 5] = [100, 103, 110, 630, 631];
    pub const UNDEFINED_FUNCTION: usize = 105;
    pub const SYNTAX: std::ops::RangeInclusive<usize> = 200..=211;
    pub const READ_ONLY: usize = 315;
    pub const UNDEFINED_VARIABLE: usize = 701;
}

/// A hint for the mistake with this code at this place of the program, if we know one.
pub fn for_mistake(
    code: usize,
    program: &str,
    start: usize,
    end: usize,
    functions: &[Box<dyn Function>],
) -> Option<String> {
    let marked = program.get(start..end).unwrap_or("").trim();
    if code::SYNTAX.contains(&code) {
        return unquoted_field(program, start)
            .map(|name| format!("a field that is not plain English letters needs quotes: .\"{name}\""));
    }
    if code == code::UNDEFINED_FUNCTION {
        let name = marked.split(['(', '!']).next().unwrap_or(marked);
        return Some(match nearest(name, functions.iter().map(|function| function.identifier())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "the reference lists the functions a transform may call".into(),
        });
    }
    if code == code::UNDEFINED_VARIABLE {
        return Some(format!("a field of the record begins with a dot: .{marked}"));
    }
    if code == code::READ_ONLY {
        return Some("`when` only asks; changes belong in `transform`".into());
    }
    if code::FALLIBLE.contains(&code) {
        return Some(fallible(marked));
    }
    None
}

fn fallible(marked: &str) -> String {
    let call = marked
        .split_once('(')
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    match call {
        Some(name) => format!("this can fail on some records: write `{name}!(…)`, and those become dead letters"),
        None => "the type is not known here: say it, as in `string!(.name)`, `int!(.count)`, `to_float!(.sum)`, \
                 or give a value for the other case with `??`"
            .into(),
    }
}

/// The name of a field written without the quotes that it needs, around or before the place of a syntax error.
fn unquoted_field(program: &str, at: usize) -> Option<&str> {
    let line_start = program.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = program[at..].find('\n').map_or(program.len(), |newline| at + newline);
    let line = &program[line_start..line_end];
    let mut quote = false;
    let mut previous = ' ';
    for (offset, c) in line.char_indices() {
        if c == '"' && previous != '\\' {
            quote = !quote;
        }
        if !quote && previous == '.' && c.is_alphabetic() {
            let rest = &line[offset..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            if !rest[..end].is_ascii() {
                return Some(&rest[..end]);
            }
        }
        previous = c;
    }
    None
}
