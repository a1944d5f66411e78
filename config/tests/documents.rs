//! What is shipped is current and right: reference, schema, error pages, `routes.toml`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use bus_options::{Colour, codes, to_text};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../").canonicalize().unwrap()
}

#[test]
fn the_shipped_routes_pass() {
    let checked = bus_config::check(&repository().join("routes.toml"));
    assert_eq!(to_text(&checked.diagnostics, Colour::Off), "");
    let landscape = checked.landscape.unwrap();
    assert_eq!((landscape.routes.len(), landscape.streams.len(), landscape.feeds.len()), (5, 4, 3));
}

#[test]
fn the_reference_is_current() {
    is_current("docs/reference/routes.md", &bus_config::reference_markdown());
}

#[test]
fn the_reference_of_metrics_is_current_and_other_pages_name_no_others() {
    let reference = bus_core::engine::metrics::reference();
    is_current("docs/reference/metrics.md", &reference);
    let mut folders = vec![repository().join("docs"), repository().join("dashboards"), repository().join("deploy")];
    let mut named = 0;
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                // Crates are named in one word; the sum and the parts of a histogram are its own.
                let metric = ["_bucket", "_sum", "_count"].iter().fold(word, |name, end| name.trim_end_matches(end));
                if metric.starts_with("bus_") && metric.matches('_').count() > 1 {
                    let known = reference.contains(&format!("| `{metric}` |"));
                    assert!(known, "{}: there is no metric {word}", path.display());
                    named += 1;
                }
            }
        }
    }
    assert!(named > 30, "the reference itself, and the table of dashboards: {named}");
}

fn is_current(page: &str, current: &str) {
    let page = repository().join(page);
    if std::env::var_os("BUS_WRITE_DOCS").is_some() {
        fs::create_dir_all(page.parent().unwrap()).unwrap();
        fs::write(&page, current).unwrap();
    }
    let shipped = fs::read_to_string(&page).unwrap_or_default();
    assert!(shipped == current, "run BUS_WRITE_DOCS=1 cargo test -p bus-config, and commit {}", page.display());
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let folder = repository().join("docs/errors");
    for code in codes::ALL {
        let page = fs::read_to_string(folder.join(format!("{}.md", code.id))).unwrap_or_default();
        assert!(
            page.starts_with(&format!("# {}: {}\n", code.id, code.title)),
            "{} has no page, or another title",
            code.id
        );
        for part in ["**What happened.**", "**Why.**", "**What to do.**"] {
            assert!(page.contains(part), "{}: {part}", code.id);
        }
    }
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = codes::ALL.iter().any(|code| name == format!("{}.md", code.id));
        assert!(known || !name.starts_with("BUS-C0"), "{name} explains a code that is not there");
    }
}

#[test]
fn the_schema_knows_tables_choices_and_secrets() {
    let schema = bus_config::json_schema();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    let route = &schema["properties"]["routes"]["additionalProperties"];
    assert_eq!(route["required"], serde_json::json!(["stream", "to"]));
    assert_eq!(route["properties"]["when_left"]["enum"], serde_json::json!(["delete", "ignore"]));
    assert_eq!(route["additionalProperties"], false);
    let systems = &schema["properties"]["systems"]["additionalProperties"]["oneOf"];
    assert_eq!(systems[0]["properties"]["kind"]["const"], "sql");
    assert_eq!(schema["properties"]["bus"]["properties"]["hold"]["default"], "20s");
}
