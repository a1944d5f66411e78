//! Every example that is shipped passes the check, and the schema that editors use: files named `routes*.toml`, and the toml
//! blocks of all pages.
//!
//! A block whose fence says `toml partial` may use names that it does not define, and define streams that nobody takes;
//! one that says `toml other` is no routes file.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use bus_options::{Colour, codes, to_text};

/// What a part of a file may lack.
const MISSING_FROM_A_PART: [&str; 2] = [codes::UNKNOWN_REFERENCE.id, codes::NOBODY_TAKES.id];

struct Block {
    line: usize,
    partial: bool,
    text: String,
}

/// The toml blocks of a page.
fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for (at, line) in page.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, Some("toml" | "toml partial")) => {
                open = Some(Block { line: at + 1, partial: fence == Some("toml partial"), text: String::new() });
            }
            // Another language: its text is skipped up to the fence that ends it, which opens nothing.
            (None, _) => {}
        }
    }
    blocks
}

/// What is wrong with a block, in words.
fn mistakes(block: &Block) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.toml");
    fs::write(&path, &block.text).unwrap();
    let mut diagnostics = bus_config::check(&path).diagnostics;
    // No block has to be a whole file.
    diagnostics.retain(|diagnostic| diagnostic.code != codes::NOTHING_TO_DO);
    diagnostics.retain(|diagnostic| !block.partial || !MISSING_FROM_A_PART.contains(&diagnostic.code.id));
    to_text(&diagnostics, Colour::Off)
}

/// Where the schema for editors finds a mistake in this text.
fn by_schema(text: &str) -> Vec<String> {
    let schema = jsonschema::validator_for(&bus_config::json_schema()).unwrap();
    let value: serde_json::Value = toml::from_str(text).unwrap();
    schema.iter_errors(&value).map(|error| error.instance_path().to_string()).collect()
}

/// Files of the repository, but not what is built or made wrong on purpose.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && !path.ends_with("config/tests/files") {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

#[test]
fn every_example_passes() {
    let (mut all, mut checked) = (Vec::new(), 0);
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap(), &mut all);
    for path in all {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("routes") && name.ends_with(".toml") {
            assert_eq!(to_text(&bus_config::check(&path).diagnostics, Colour::Off), "", "{}", path.display());
            assert_eq!(by_schema(&fs::read_to_string(&path).unwrap()), [""; 0], "{}", path.display());
            checked += 1;
        } else if name.ends_with(".md") {
            for block in blocks(&fs::read_to_string(&path).unwrap()) {
                assert_eq!(mistakes(&block), "", "{}, the block at line {}", path.display(), block.line);
                let by_schema = by_schema(&block.text);
                assert_eq!(by_schema, [""; 0], "{}, the block at line {}", path.display(), block.line);
                checked += 1;
            }
        }
    }
    assert!(checked >= 2, "routes.toml and the reference's example, but only {checked} were found");
}

#[test]
fn a_wrong_block_is_noticed_and_a_part_may_lack_names_only() {
    let page = "# A page\n```sh\nbus check\n```\n```toml partial\n[routes.r]\nstream = \"s\"\nto = \"x\"\n\
                send = { path = \"/\" }\n```\n```toml other\n[package]\n```\n```toml\n[rotes.r]\n```\n";
    let found = blocks(page);
    assert_eq!(found.iter().map(|block| (block.line, block.partial)).collect::<Vec<_>>(), [(5, true), (14, false)]);
    assert_eq!(mistakes(&found[0]), "");
    assert!(mistakes(&found[1]).contains("did you mean `routes`?"));
    let whole = Block { line: 5, partial: false, text: found[0].text.clone() };
    assert!(mistakes(&whole).contains("BUS-C011"));
}

#[test]
fn the_schema_finds_mistakes_of_structure_and_no_others() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/ten");
    let ten = |file: &str| by_schema(&fs::read_to_string(folder.join(file)).unwrap());
    // Of the ten: `concurency`. Time zones, programs, secrets and what belongs together is for `bus check`.
    assert_eq!(ten("routes.toml"), ["/systems/shop"]);
    assert_eq!(ten("routes.d/склад.toml"), [""; 0]);
    let route = "[routes.r]\nstream = \"s\"\nto = \"x\"\n";
    for (text, place) in [
        ("[rotes.r]\nto = \"x\"\n".to_owned(), ""),
        ("[routes.r]\nto = \"x\"\n".to_owned(), "/routes/r"),
        (format!("{route}when_left = \"keep\"\n"), "/routes/r/when_left"),
        (format!("{route}concurrency = \"many\"\n"), "/routes/r/concurrency"),
        (format!("{route}send = {{ path = 7 }}\n"), "/routes/r/send/path"),
        ("[systems.\"склад\"]\nkind = \"htp\"\nurl = \"http://x\"\n".to_owned(), "/systems/склад"),
    ] {
        assert_eq!(by_schema(&text), [place], "{text}");
    }
    assert_eq!(by_schema(route), [""; 0]);
}
