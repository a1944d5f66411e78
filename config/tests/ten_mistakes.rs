//! Ten mistakes over two files, twice: all are named in one run, each at its place, with a hint.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use bus_options::{Colour, to_json, to_text};

#[test]
fn check_names_all_ten() {
    all_ten("ten");
}

#[test]
fn none_of_ten_hides_another() {
    all_ten("ten_more");
}

fn all_ten(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name);
    let checked = bus_config::check(&folder.join("routes.toml"));
    assert!(checked.landscape.is_none());
    let text = to_text(&checked.diagnostics, Colour::Off).replace(&format!("{}/", folder.display()), "");
    let golden = folder.join("expected.txt");
    if std::env::var_os("BUS_WRITE_DOCS").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(golden).unwrap());
    assert!(!text.contains("hunter2"));
    assert_eq!(to_json(&checked.diagnostics).as_array().map(Vec::len), Some(10));
}
