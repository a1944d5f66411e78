//! Which numbers a program can hold without losing a digit.

use vrl::prelude::NotNan;
use vrl::value::Value;

/// The number as a program sees it: without point and exponent an integer, else a float. `None` when a digit would be
/// lost: an integer beyond 64 bits, a decimal that its nearest float does not print back.
pub fn exact(text: &str) -> Option<Value> {
    if !text.contains(['.', 'e', 'E']) {
        return text.parse().ok().map(Value::Integer);
    }
    let float: f64 = text.parse().ok()?;
    let safe = text.bytes().filter(u8::is_ascii_digit).count() <= 15 && !text.contains(['e', 'E']);
    // Every decimal of at most 15 digits survives the way to a float and back; others are compared.
    let same = safe || (float.is_finite() && canonical(text) == canonical(&format!("{float:e}")));
    if !same {
        return None;
    }
    NotNan::new(float).ok().map(Value::Float)
}

/// Digits without leading and trailing zeros, and the power of ten of the last one: equal for equal numbers.
fn canonical(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let trimmed = digits.trim_end_matches('0');
    let power = exponent.parse::<i64>().ok()? - fraction.len() as i64 + (digits.len() - trimmed.len()) as i64;
    match trimmed.trim_start_matches('0') {
        "" => Some((false, String::new(), 0)),
        digits => Some((negative, digits.to_owned(), power)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_can_hold() {
        let float = |value: f64| NotNan::new(value).ok().map(Value::Float);
        let cases = [
            ("100", Some(Value::Integer(100))),
            ("-0", Some(Value::Integer(0))),
            ("9223372036854775807", Some(Value::Integer(i64::MAX))),
            ("9223372036854775808", None),
            ("100.00", float(100.0)),
            ("100.50", float(100.5)),
            ("0.1", float(0.1)),
            ("1e3", float(1000.0)),
            ("-12345678901.23", float(-12_345_678_901.23)),
            ("12345678901234567.89", None),
            ("0.1000000000000000055511151231257827", None),
            ("1e400", None),
            ("1e-400", None),
            ("0.000", float(0.0)),
            ("1234567890123456789.0", None),
            ("9007199254740993.0", None),
            ("9007199254740992.0", float(9_007_199_254_740_992.0)),
        ];
        for (text, expected) in cases {
            assert_eq!(exact(text), expected, "{text}");
        }
    }
}
