//! Mistakes in a program, in our words: what is wrong, and what to do about it.

use bus_options::nearest;
use vrl::compiler::Function;
use vrl::diagnostic::Diagnostic;

/// Codes of the language that we have words for.
mod code {
    pub const FALLIBLE: [usize; 5] = [100, 103, 110, 630, 631];
    pub const NOT_BOOLEAN: usize = 102;
    pub const REFUSED_CALL: usize = 610;
    pub const UNDEFINED_FUNCTION: usize = 105;
    pub const CLOSURE_INPUT: usize = 121;
    pub const SYNTAX: std::ops::RangeInclusive<usize> = 200..=211;
    pub const READ_ONLY: usize = 315;
    pub const CANNOT_FAIL: usize = 651;
    pub const UNDEFINED_VARIABLE: usize = 701;
}

/// What to say about a mistake.
pub struct Advice {
    pub message: String,
    pub hint: Option<String>,
}

/// Whether it is about the form of the program: what follows the first of these is guesswork.
pub fn is_syntax(mistake: &Diagnostic) -> bool {
    code::SYNTAX.contains(&mistake.code)
}

/// Whether it is about a call that its own function refused.
pub fn is_refused_call(mistake: &Diagnostic) -> bool {
    mistake.code == code::REFUSED_CALL
}

/// What to say about a mistake at this place of the program.
pub fn advise(
    mistake: &Diagnostic,
    program: &str,
    start: usize,
    end: usize,
    functions: &[Box<dyn Function>],
) -> Advice {
    let marked = program.get(start..end).unwrap_or("").trim();
    let say = |message: String, hint: String| Advice { message, hint: Some(hint) };
    match mistake.code {
        code if code::SYNTAX.contains(&code) => syntax(mistake, program, start),
        code if code::FALLIBLE.contains(&code) => {
            say("this can fail on some records, and nothing says what happens then".into(), fallible(marked))
        }
        code::UNDEFINED_FUNCTION => {
            let name = marked.split(['(', '!']).next().unwrap_or(marked);
            let hint = match nearest(name, functions.iter().map(|function| function.identifier())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "docs/reference/routes.md lists the functions that a program may call".into(),
            };
            say(format!("there is no function `{name}`"), hint)
        }
        code::UNDEFINED_VARIABLE => say(
            format!("there is no variable `{marked}`"),
            format!("a field of the record begins with a dot: .{marked}"),
        ),
        code::READ_ONLY => {
            say("`when` must not change the record".into(), "compare with `==`; changes belong in `transform`".into())
        }
        code::NOT_BOOLEAN => say(
            "a condition must be true or false, and this may be anything".into(),
            format!("compare it with something, as in `{marked} == true`"),
        ),
        code::CANNOT_FAIL => say("this cannot fail".into(), "remove `??` and what follows it".into()),
        code::CLOSURE_INPUT => say(
            "this function goes through a list or an object, and the value may be something else".into(),
            "say what it is, as in `map_values(array!(.lines)) -> |line| { … }`".into(),
        ),
        _ => Advice { message: in_full(mistake), hint: None },
    }
}

/// The language's own words: the subject, and what its label adds.
fn in_full(mistake: &Diagnostic) -> String {
    let label = mistake.labels.iter().find(|label| label.primary).or_else(|| mistake.labels.first());
    match label.map(|label| label.message.as_str()).filter(|text| !text.is_empty() && *text != mistake.message) {
        Some(detail) => format!("{}: {detail}", mistake.message),
        None => mistake.message.clone(),
    }
}

fn syntax(mistake: &Diagnostic, program: &str, start: usize) -> Advice {
    if let Some(name) = unquoted_field(program, start) {
        let message = format!("`.{name}` cannot be read as a field");
        let hint = format!("a field that is not plain English letters needs quotes: .\"{name}\"");
        return Advice { message, hint: Some(hint) };
    }
    let message = match mistake.code {
        204 => "the program ends too early".to_owned(),
        203 => "this is not expected here".to_owned(),
        _ => in_full(mistake),
    };
    Advice { message, hint: None }
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
