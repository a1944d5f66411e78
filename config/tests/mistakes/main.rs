//! One mistake at a time: what `check` says to a small file, and where.
#![allow(clippy::unwrap_used, missing_docs)]

mod bus;
mod feeds;
mod files;
mod maps;
mod routes;
mod streams;
mod subscriptions;
mod syntax;
mod systems;
mod tests_of_routes;
mod watch;

use std::fs;

use bus_config::{Checked, check};
use bus_options::{Colour, to_text};

/// A configuration without mistakes, as sections that a case can replace.
const GOOD: &str = r#"
[systems.db]
kind = "sql"
url = { env = "DB_URL" }
[systems.shop]
kind = "http"
url = "https://shop.example/api"
[streams.orders]
from = "db"
query = "SELECT id FROM orders WHERE at >= :cursor ORDER BY at"
key = "id"
schedule = "15s"
changes = { cursor = "at", overlap = "30s", recheck = "Sun 04:00" }
[routes.out]
stream = "orders"
to = "shop"
send = { method = "PUT", path = "/orders/{key}" }
"#;

const SEND: &str = "send = { method = \"PUT\", path = \"/orders/{key}\" }";
/// For requests of several records.
const BULK: &str = "send = { path = \"/orders/bulk\"";
const URL: &str = "url = \"https://shop.example/api\"";

/// The mistakes of some files, of which the first is the main one.
fn checked(files: &[(&str, &str)]) -> (Checked, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let checked = check(&folder.path().join(files[0].0));
    let text = to_text(&checked.diagnostics, Colour::Off).replace(&format!("{}/", folder.path().display()), "");
    (checked, text)
}

/// `(replaced, by)` in the good file gives exactly one diagnostic, with this code, and these parts in its text.
fn one_mistake(replaced: &str, by: &str, code: &str, parts: &[&str]) {
    assert!(GOOD.contains(replaced), "{replaced}");
    let toml = GOOD.replacen(replaced, by, 1);
    let (checked, text) = checked(&[("routes.toml", &toml)]);
    let found: Vec<&str> = checked.diagnostics.iter().map(|diagnostic| diagnostic.code.id).collect();
    assert_eq!(found, [code], "{by}\n{text}");
    assert!(checked.landscape.is_none());
    for part in parts {
        assert!(text.contains(part), "{by}: {part}\n{text}");
    }
}

/// [`one_mistake`] for each row: what is replaced, by what, the code, and parts of the text.
fn each(cases: &[(&str, &str, &str, &[&str])]) {
    for (replaced, by, code, parts) in cases {
        one_mistake(replaced, by, code, parts);
    }
}

#[test]
fn the_good_file_is_good() {
    let (checked, text) = checked(&[("routes.toml", GOOD)]);
    assert_eq!(text, "");
    assert!(checked.landscape.is_some());
}
