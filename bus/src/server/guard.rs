//! Who may ask: the key, and protection of a browser's user against foreign pages.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bus_core::vocabulary::Secret;

use super::App;

/// Sent by our own client. A foreign page cannot set it without a preflight, which nobody answers.
pub const CLIENT_HEADER: &str = "x-bus-client";

/// For everything that shows or changes the bus.
pub async fn admin(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let Some(key) = &app.key
        && !presents(request.headers(), key)
    {
        return refused("this address asks for the key of [bus]: header X-API-Key, or Authorization: Bearer");
    }
    if request.method() != Method::GET && !request.headers().contains_key(CLIENT_HEADER) {
        return (StatusCode::FORBIDDEN, "changes need the header X-Bus-Client (any value)\n").into_response();
    }
    next.run(request).await
}

/// Whether the request presents the key, compared in constant time.
pub fn presents(headers: &HeaderMap, key: &Secret) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    text("x-api-key").or(bearer).is_some_and(|presented| same(presented.as_bytes(), key.expose().as_bytes()))
}

/// 401 with the reason.
pub fn refused(reason: &'static str) -> Response {
    (StatusCode::UNAUTHORIZED, format!("{reason}\n")).into_response()
}

fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_opens() {
        let key = Secret::new("ключ");
        let with = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, axum::http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
            headers
        };
        let ascii = Secret::new("k1");
        assert!(presents(&with("x-api-key", "k1"), &ascii));
        assert!(presents(&with("authorization", "Bearer k1"), &ascii));
        for wrong in ["", "k", "k12", "K1"] {
            assert!(!presents(&with("x-api-key", wrong), &ascii), "{wrong}");
        }
        assert!(!presents(&HeaderMap::new(), &ascii) && !presents(&with("x-api-key", "ключ"), &key));
    }
}
