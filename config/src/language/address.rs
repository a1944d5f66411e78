//! Addresses as options: literal ones must not carry a password.

use std::borrow::Cow;
use std::net::SocketAddr;

use bus_options::{Node, OptionValue, Report, codes};
use serde_json::{Value, json};
use url::Url;

/// Reads an address with one of these schemes; a password in it is a mistake.
pub fn read(node: Node<'_>, schemes: &[&str], planned: &[&str], report: &mut Report) -> Option<Url> {
    let text = node.text("an address", report)?;
    let parsed = Url::parse(text);
    let hidden = |(name, _): (Cow<'_, str>, _)| ["password", "passwd", "sslpassword"].contains(&&*name.to_lowercase());
    let has_password = parsed.as_ref().map(|url| url.password().is_some() || url.query_pairs().any(hidden)).ok();
    // What cannot be read may hold one all the same.
    if has_password.unwrap_or_else(|| text.contains('@')) {
        report.hide(&node.span());
    }
    let url = match parsed {
        Ok(url) => url,
        Err(error) => {
            node.bad_value(format!("not an address: {error}"), format!("it begins with {}", list(schemes)), report);
            return None;
        }
    };
    if planned.contains(&url.scheme()) {
        let hint = format!("for now: {}", list(schemes));
        report.add_with_hint(codes::NOT_YET, &node.span(), format!("`{}` is not supported yet", url.scheme()), hint);
        return None;
    }
    if !schemes.contains(&url.scheme()) {
        node.bad_value(
            format!("`{}:` is not expected here", url.scheme()),
            format!("it begins with {}", list(schemes)),
            report,
        );
        return None;
    }
    if has_password == Some(true) {
        let hint = "keep the whole address elsewhere: url = { env = \"NAME\" } or { file = \"PATH\" }";
        report.add_with_hint(codes::LITERAL_SECRET, &node.span(), "a password must not stand in the file", hint);
        return None;
    }
    Some(url)
}

fn list(schemes: &[&str]) -> String {
    schemes.iter().map(|scheme| format!("\"{scheme}:\"")).collect::<Vec<_>>().join(", ")
}

/// Where the bus itself can be reached: an IP address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

impl OptionValue for ListenAddress {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("an address with a port", report)?;
        let address = text.parse();
        if address.is_err() {
            let hint = "an IP address and a port: \"127.0.0.1:8080\", \"0.0.0.0:8080\", \"[::1]:8080\"";
            node.bad_value(format!("`{text}` is not an address to listen on"), hint, report);
        }
        address.ok().map(Self)
    }
    fn kind() -> Cow<'static, str> {
        "IP address and port".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": ":[0-9]+$"})
    }
}

/// An address of an SQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlUrl(pub Url);

impl OptionValue for SqlUrl {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let planned = ["mssql", "sqlserver", "mysql", "mariadb"];
        read(node, &["postgres", "postgresql", "sqlite"], &planned, report).map(Self)
    }
    fn kind() -> Cow<'static, str> {
        "address: `postgres://…` or `sqlite:…`, without a password".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^(postgres|postgresql|sqlite):"})
    }
}

/// An address of an HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(pub Url);

impl OptionValue for HttpUrl {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        read(node, &["http", "https"], &[], report).map(Self)
    }
    fn kind() -> Cow<'static, str> {
        "address: `https://…` or `http://…`, without a password".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^https?://"})
    }
}
