//! Headers of requests: templates, or secrets that never stand in the file.

use std::borrow::Cow;

use bus_options::{Map, Node, OptionValue, Report, SecretOr, codes};
use serde_json::Value;

use super::template::Template;

/// Headers of every request.
#[derive(Debug, Clone, Default)]
pub struct Headers(pub Vec<(String, SecretOr<String>)>);

impl OptionValue for Headers {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let mut clean = true;
        // Before the values are read: a mistake in one of them must not show the secret beside it.
        for (name, span, value) in node.entries() {
            let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(token) {
                let hint = "English letters, digits and '-', such as X-Api-Version";
                report.add_with_hint(codes::BAD_NAME, &span, format!("`{name}` is not a header"), hint);
                clean = false;
            }
            let template = value.value().as_str().map(Template::check);
            if let Some(Err(message)) = template.filter(|_| !looks_secret(name)) {
                value.bad_value(message, "braces stand for values of the message, such as {key} or {id}", report);
                clean = false;
            }
            if value.value().is_str() && looks_secret(name) {
                report.hide(&value.span());
                let hint = format!("name where it is kept: {name} = {{ env = \"NAME\" }}");
                let message = format!("the value of `{name}` is a secret and must not stand in the file");
                report.add_with_hint(codes::LITERAL_SECRET, &span, message, hint);
                clean = false;
            }
        }
        let map = Map::<SecretOr<String>>::read(node, report)?;
        let pairs = map.0.into_iter().map(|entry| (entry.key.value, entry.value)).collect();
        clean.then_some(Self(pairs))
    }
    fn kind() -> Cow<'static, str> {
        "table: header = text or secret".into()
    }
    fn schema() -> Value {
        Map::<SecretOr<String>>::schema()
    }
}

/// Whether a header of this name usually carries a secret.
fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name != "idempotency-key"
        && (["auth", "token", "secret", "password", "cookie", "session", "credential"].iter().any(|w| name.contains(w))
            || name.ends_with("key"))
}

/// Name of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName(pub String);

impl OptionValue for HeaderName {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("the name of a header", report)?;
        let good = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !good {
            node.bad_value(format!("`{text}` is not a header"), "such as \"Idempotency-Key\"", report);
        }
        good.then(|| Self(text.to_owned()))
    }
    fn kind() -> Cow<'static, str> {
        "name of a header".into()
    }
    fn schema() -> Value {
        Map::<SecretOr<String>>::schema()["additionalProperties"]["anyOf"][0].clone()
    }
}
