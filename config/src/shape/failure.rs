//! What a program says about a record it failed on, without quoting the record.
//!
//! The language's own message names the function and the types, which people need, and sometimes a value, which nobody may
//! see in a log. A message is passed on only if every word of it is one of those that speak of types.

/// Everything that a message about types consists of.
const KNOWN: [&str; 40] = [
    "expected",
    "got",
    "can't",
    "coerce",
    "into",
    "calculate",
    "remainder",
    "of",
    "type",
    "types",
    "multiply",
    "divide",
    "add",
    "subtract",
    "compare",
    "merge",
    "apply",
    "an",
    "to",
    "by",
    "from",
    "and",
    "or",
    "zero",
    "convert",
    "out",
    "range",
    "operation",
    "would",
    "produce",
    "string",
    "integer",
    "float",
    "boolean",
    "timestamp",
    "regex",
    "null",
    "undefined",
    "array",
    "object",
];
/// What the language begins with when a function failed.
const CALL: &str = "function call error for \"";

/// `upcase: expected string, got null`, or what can be said of it.
pub fn words(message: &str) -> String {
    let (mut function, mut rest) = (None, message);
    // A call within a call: the innermost has failed.
    while let Some((name, said)) = call(rest) {
        (function, rest) = (Some(name), said);
    }
    match (function, is_of_types(rest)) {
        (Some(function), true) => format!("{function}: {rest}"),
        (Some(function), false) => format!("{function} failed on this record"),
        (None, true) => rest.to_owned(),
        (None, false) => "an expression failed on this record".to_owned(),
    }
}

/// The name, and what is said after the place.
fn call(message: &str) -> Option<(&str, &str)> {
    let (name, rest) = message.strip_prefix(CALL)?.split_once("\" at (")?;
    let (place, said) = rest.split_once("): ")?;
    let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let placed = place.chars().all(|c| c.is_ascii_digit() || c == ':');
    (named && placed).then_some((name, said))
}

fn is_of_types(message: &str) -> bool {
    let mut words = message.split(|c: char| c.is_whitespace() || ",-<>=".contains(c)).filter(|word| !word.is_empty());
    !message.is_empty() && words.all(|word| KNOWN.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn functions_and_types_are_named_and_values_are_not() {
        for (message, expected) in [
            (
                r#"function call error for "upcase" at (5:17): expected string, got null"#,
                "upcase: expected string, got null",
            ),
            (
                r#"function call error for "string" at (0:9): function call error for "trim" at (1:2): expected string, got integer or null"#,
                "trim: expected string, got integer or null",
            ),
            (
                r#"function call error for "to_int" at (5:17): Invalid integer "79161234567": x"#,
                "to_int failed on this record",
            ),
            (
                r#"function call error for "to_int" at (5:17): expected integer, got Иванов"#,
                "to_int failed on this record",
            ),
            (
                r#"function call error for "Иванов" at (5:17): expected string, got null"#,
                "an expression failed on this record",
            ),
            ("can't add type null to integer", "can't add type null to integer"),
            ("can't divide by zero", "can't divide by zero"),
            ("секрет", "an expression failed on this record"),
            ("", "an expression failed on this record"),
        ] {
            assert_eq!(words(message), expected);
        }
    }
}
