//! Whether what became of a record is what its test expects. Both are written as lines, so what is shown is what was compared.

use bus_config::{Expected, ExpectedRequest};

use super::outcome::{Request, in_order_of, pretty, readable};
use super::{Difference, Outcome};

/// No difference: the test passes.
pub fn compare(expected: &Expected, outcome: &Outcome) -> Difference {
    let (wanted, found) = match (expected, outcome) {
        (Expected::Request(expected), Outcome::Request(request)) => requests(expected, request),
        (Expected::Request(expected), _) => (alone(expected), outcome.lines()),
        (Expected::Skip, Outcome::Skip(_)) => (outcome.lines(), outcome.lines()),
        (Expected::Skip, _) => (vec!["nothing is sent".to_owned()], outcome.lines()),
        (Expected::Hold(part), Outcome::Hold(what)) if what.contains(part) => (outcome.lines(), outcome.lines()),
        (Expected::Hold(part), _) => (vec![format!("it waits for … {part} …")], outcome.lines()),
        (Expected::Reject(part), Outcome::Reject(why)) if why.contains(part) => (outcome.lines(), outcome.lines()),
        (Expected::Reject(part), _) => (vec![format!("a dead letter: … {part} …")], outcome.lines()),
    };
    Difference::of(&wanted, &found)
}

/// What the test does not name is taken from the request, or left out of both.
fn requests(expected: &ExpectedRequest, request: &Request) -> (Vec<String>, Vec<String>) {
    let method = expected.method.map_or(request.method.as_str(), |method| method.as_str());
    let path = expected.path.as_deref().map_or_else(|| request.path.clone(), readable);
    let mut wanted = vec![format!("{method} {path}")];
    let mut found = vec![format!("{} {}", request.method, request.path)];
    for (name, value) in &expected.headers {
        wanted.push(format!("{name}: {value}"));
        found.extend(request.header(name).map(|value| format!("{name}: {value}")));
    }
    if let Some(body) = &expected.body {
        wanted.extend(pretty(body));
        found.extend(request.body.iter().flat_map(|found| pretty(&in_order_of(body, found))));
    }
    (wanted, found)
}

/// The expected request where there is none to compare it with.
fn alone(expected: &ExpectedRequest) -> Vec<String> {
    let what = [expected.method.map(|method| method.as_str().to_owned()), expected.path.clone()];
    let what = what.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let mut lines = vec![if what.is_empty() { "a request".to_owned() } else { what }];
    lines.extend(expected.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.extend(expected.body.iter().flat_map(pretty));
    lines
}

#[cfg(test)]
mod tests {
    use bus_config::Method;
    use serde_json::json;

    use super::*;

    fn request() -> Outcome {
        Outcome::Request(Request {
            method: "PUT".to_owned(),
            path: "/orders/УТ-1".to_owned(),
            headers: [("x-api-key".to_owned(), "***".to_owned())].into(),
            body: serde_json::from_str(r#"{"b": 1.50, "a": "я"}"#).ok(),
        })
    }

    fn signs(expected: Expected, outcome: &Outcome) -> String {
        compare(&expected, outcome).0.iter().map(|(sign, line)| format!("{}{line}\n", sign.as_str())).collect()
    }

    #[test]
    fn what_is_named_has_to_be_so_and_the_rest_may_be_anything() {
        let good = ExpectedRequest {
            method: Some(Method::Put),
            path: Some("/orders/%D0%A3%D0%A2-1".to_owned()),
            headers: vec![("X-API-Key".to_owned(), "***".to_owned())],
            body: serde_json::from_str(r#"{"a": "я", "b": 1.50}"#).ok(),
        };
        for expected in [ExpectedRequest::default(), good.clone()] {
            assert!(compare(&Expected::Request(expected), &request()).is_none());
        }
        let wrong = ExpectedRequest { body: Some(json!({"a": "я", "b": 1.5})), ..good.clone() };
        assert!(signs(Expected::Request(wrong), &request()).contains("-  \"b\": 1.5\n+  \"b\": 1.50\n"));
        let wrong = ExpectedRequest { headers: vec![("X-Other".to_owned(), "1".to_owned())], ..good.clone() };
        assert!(signs(Expected::Request(wrong), &request()).contains("-X-Other: 1\n"));
        let wrong = ExpectedRequest { body: Some(json!({"a": "я"})), ..good };
        assert!(
            signs(Expected::Request(wrong), &request()).contains("+  \"b\": 1.50"),
            "a field too many is a difference"
        );
    }

    #[test]
    fn other_outcomes_are_told_by_their_words() {
        let hold = Outcome::Hold("map `sku` to know \"1\"".to_owned());
        assert!(compare(&Expected::Hold("`sku`".to_owned()), &hold).is_none());
        assert!(!compare(&Expected::Hold("`colour`".to_owned()), &hold).is_none());
        assert!(!compare(&Expected::Skip, &hold).is_none());
        let reject = Outcome::Reject("no number".to_owned());
        assert!(compare(&Expected::Reject("number".to_owned()), &reject).is_none());
        assert!(!compare(&Expected::Reject("date".to_owned()), &reject).is_none());
        assert_eq!(signs(Expected::Skip, &reject), "-nothing is sent\n+a dead letter: no number\n");
    }
}
