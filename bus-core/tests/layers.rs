//! Who may use whom, as ARCHITECTURE.md says it, held against the code.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// A layer, and the words that no line of its code may hold: layers above it, and what would make it more than words and
/// decisions.
const NEVER: [(&str, &[&str]); 5] = [
    ("vocabulary", &["crate::policy", "crate::ports", "crate::engine"]),
    ("policy", &["crate::ports", "crate::engine"]),
    ("ports", &["crate::engine"]),
    ("vocabulary", IMPURE),
    ("policy", IMPURE),
];
const IMPURE: &[&str] = &[
    "async fn",
    ".await",
    "tokio::",
    "std::fs",
    "std::net",
    "std::thread",
    "fastrand",
    "Moment::now",
    "Micros::now",
    "Instant::now",
    "SystemTime::now",
];

/// Which crates of ours each crate may use.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("bus-core", &[]),
    ("simulator", &[]),
    ("xtask", &[]),
    ("options", &["bus-core"]),
    ("config", &["bus-core", "bus-options"]),
    ("storage", &["bus-core"]),
    ("rabbitmq", &["bus-core"]),
    ("connectors", &["bus-core"]),
    ("contract", &["bus-core"]),
];

/// Systems and languages that only their own crates know of; the engine knows none.
const OUTSIDE: [(&str, &[&str]); 6] = [
    ("vrl", &["config"]),
    ("lapin", &["rabbitmq"]),
    ("sqlx", &["connectors"]),
    ("rusqlite", &["storage", "connectors"]),
    ("reqwest", &["connectors"]),
    ("axum", &["simulator"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => sources(&entry, found),
            false => found.extend(Some(entry).filter(|path| path.extension().is_some_and(|end| end == "rs"))),
        }
    }
}

/// The names in `[dependencies]` of a crate.
fn dependencies(of: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(of).join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[").find(|section| section.starts_with("dependencies]")).unwrap_or_default();
    let named = section.lines().skip(1).filter_map(|line| line.split(['.', ' ', '=']).next());
    named.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn each_layer_knows_only_those_before_it_and_the_first_two_are_pure() {
    for (layer, never) in NEVER {
        let mut files = Vec::new();
        sources(&root().join("bus-core/src").join(layer), &mut files);
        assert!(files.len() > 5, "{layer} is somewhere else");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
                let found = never.iter().find(|word| line.contains(*word));
                assert_eq!(found, None, "{}:{}: {line}", file.display(), at + 1);
            }
        }
    }
}

#[test]
fn each_crate_uses_only_those_that_it_may() {
    for (of, may) in MAY_USE {
        let ours = dependencies(of).into_iter().filter(|name| name.starts_with("bus-") || name == "entity-bus");
        let others: Vec<String> = ours.filter(|name| !may.contains(&name.as_str())).collect();
        assert!(others.is_empty(), "{of} uses {others:?}");
    }
    for (of, _) in MAY_USE {
        for (what, only) in OUTSIDE.iter().filter(|(_, only)| !only.contains(&of)) {
            assert!(!dependencies(of).iter().any(|name| name == what), "{of} knows {what}; only {only:?} may");
        }
    }
    let read = dependencies("config").contains(&"vrl".to_owned());
    assert!(read, "the manifests are written in another way than they are read here");
}
