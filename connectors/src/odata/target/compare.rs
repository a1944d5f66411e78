//! What 1C has kept of what was sent: `$metadata` says no lengths, so cut and ignored values are found in the answer.
//!
//! A configuration may change what is written (round a price, fill a field): only what looks like 1C's own silence is
//! refused, that is text that was cut, a value that was ignored, and digits that were dropped.

use serde_json::{Map, Value};

use crate::odata::shape::{NO_DATE, ZERO};

/// The first field of which less was kept than was sent.
pub(super) fn lost(sent: &Map<String, Value>, kept: &Map<String, Value>) -> Option<String> {
    sent.iter().find_map(|(name, sent)| {
        let kept = kept.get(name)?;
        match (sent, kept) {
            (Value::Array(sent), Value::Array(kept)) => rows(name, sent, kept),
            (sent, kept) => value(sent, kept).map(|what| format!("{name} {what}")),
        }
    })
}

/// Whether everything that was sent is there: what is asked after an answer was lost.
pub(super) fn holds(sent: &Map<String, Value>, kept: &Map<String, Value>) -> bool {
    sent.iter().all(|(name, sent)| match (sent, kept.get(name)) {
        (Value::Array(sent), Some(Value::Array(kept))) => {
            let pairs = || sent.iter().zip(kept).map(|(sent, kept)| (sent.as_object(), kept.as_object()));
            sent.len() == kept.len()
                && pairs().all(|pair| matches!(pair, (Some(sent), Some(kept)) if holds(sent, kept)))
        }
        (sent, Some(kept)) => same(sent, kept),
        (_, None) => false,
    })
}

fn rows(name: &str, sent: &[Value], kept: &[Value]) -> Option<String> {
    if sent.len() != kept.len() {
        return None;
    }
    let pairs = (1..).zip(sent.iter().zip(kept));
    let mut found = pairs.filter_map(|(line, (sent, kept))| {
        lost(sent.as_object()?, kept.as_object()?).map(|what| format!("{name}[{line}].{what}"))
    });
    found.next()
}

fn value(sent: &Value, kept: &Value) -> Option<String> {
    if same(sent, kept) || is_empty(sent) {
        return None;
    }
    if is_empty(kept) {
        return Some("was ignored by 1C".to_owned());
    }
    if let Some(((whole, digits), (kept_whole, kept_digits))) = numbers(sent, kept) {
        if kept_whole == 0 && kept_digits.is_empty() && whole != 0 {
            return Some("was ignored by 1C".to_owned());
        }
        // Rounding may carry into the digits before.
        let dropped = kept_digits.len() < digits.len();
        let near = whole == kept_whole || whole.abs_diff(kept_whole) == 1 && digits.starts_with('9');
        return (dropped && near).then(|| format!("lost digits: 1C keeps {} after the point", kept_digits.len()));
    }
    let (Value::String(sent), Value::String(kept)) = (sent, kept) else { return None };
    let kept = kept.trim_end();
    (sent.starts_with(kept) && sent.len() > kept.len())
        .then(|| format!("was cut by 1C to {} characters", kept.chars().count()))
}

/// Numbers by what they are worth, text without the padding of fixed widths.
fn same(sent: &Value, kept: &Value) -> bool {
    if let Some((sent, kept)) = numbers(sent, kept) {
        return sent == kept;
    }
    match (sent, kept) {
        (Value::String(sent), Value::String(kept)) => sent.trim_end() == kept.trim_end(),
        (sent, kept) => sent == kept || is_empty(sent) && is_empty(kept),
    }
}

type Decimal = (i128, String);

/// Both as numbers, where one of them is: 64-bit ones come as text.
fn numbers(sent: &Value, kept: &Value) -> Option<(Decimal, Decimal)> {
    if !sent.is_number() && !kept.is_number() {
        return None;
    }
    Some((decimal(sent)?, decimal(kept)?))
}

/// Whole part and digits behind the point, without zeros at the end.
fn decimal(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let (whole, digits) = text.split_once('.').unwrap_or((&text, ""));
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| Some((whole.parse().ok()?, digits.trim_end_matches('0').to_owned())))?
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => {
            let text = text.trim_end();
            text.is_empty() || text == ZERO || text == NO_DATE || text == "StandardODATA.Undefined"
        }
        Value::Number(_) => decimal(value).is_some_and(|(whole, digits)| whole == 0 && digits.is_empty()),
        Value::Array(rows) => rows.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn map(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_1c_kept_less_of_is_named() {
        for (sent, kept, expected) in [
            (r#"{"А":"длинное"}"#, r#"{"А":"длин"}"#, Some("А was cut by 1C to 4 characters")),
            (r#"{"А":"шк"}"#, r#"{"А":"шк      "}"#, None),
            (r#"{"А":5}"#, r#"{"А":"0"}"#, Some("А was ignored by 1C")),
            (r#"{"А":9007199254740993}"#, r#"{"А":"9007199254740993"}"#, None),
            (r#"{"А":3333.335}"#, r#"{"А":3333.34}"#, Some("А lost digits: 1C keeps 2 after the point")),
            (r#"{"А":1.995}"#, r#"{"А":2}"#, Some("А lost digits: 1C keeps 0 after the point")),
            (r#"{"А":10.50}"#, r#"{"А":10.5}"#, None),
            (r#"{"А":"010"}"#, r#"{"А":"010"}"#, None),
            (r#"{"А":"1.50"}"#, r#"{"А":"1.5"}"#, Some("А was cut by 1C to 3 characters")),
            (r#"{"А":true}"#, r#"{"А":false}"#, Some("А was ignored by 1C")),
            (r#"{"А":"х"}"#, r#"{"А":"другое"}"#, None),
            (r#"{"Т":[{"А":"аб"}]}"#, r#"{"Т":[{"А":"а"}]}"#, Some("Т[1].А was cut by 1C to 1 characters")),
        ] {
            assert_eq!(lost(&map(sent), &map(kept)).as_deref(), expected, "{sent} {kept}");
        }
    }

    #[test]
    fn what_is_there_is_told_from_what_is_not() {
        for (sent, kept, expected) in [
            (r#"{"А":"1","Б":2}"#, r#"{"А":"1","Б":"2","В":3}"#, true),
            (r#"{"А":"1"}"#, r#"{"Б":"1"}"#, false),
            (r#"{"А":"1"}"#, r#"{"А":"2"}"#, false),
            (r#"{"Т":[{"А":1}]}"#, r#"{"Т":[{"А":1},{"А":2}]}"#, false),
            (r#"{"Т":[]}"#, r#"{"Т":[]}"#, true),
        ] {
            assert_eq!(holds(&map(sent), &map(kept)), expected, "{sent} {kept}");
        }
    }
}
