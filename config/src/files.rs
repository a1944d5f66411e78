//! What the files of a configuration look like from outside: enough to notice that one was edited, cheap enough to look
//! every second.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::load::matching;

/// The files and a hash of what each holds. Two prints differ when a file was edited, came, or went, and are the same
/// when it was put back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Print(Vec<(PathBuf, u64)>);

/// Looks at a configuration's files. Blocking; what cannot be read looks like nothing.
pub fn print(path: &Path) -> Print {
    let mut files = vec![path.to_owned()];
    let text = fs::read_to_string(path).unwrap_or_default();
    let (document, _) = DeTable::parse_recoverable(&text);
    let includes = match document.get_ref().get("include").map(toml::Spanned::get_ref) {
        Some(DeValue::Array(includes)) => includes.iter().filter_map(|include| include.get_ref().as_str()).collect(),
        _ => Vec::new(),
    };
    let base = path.parent().unwrap_or(Path::new(""));
    files.extend(includes.into_iter().filter_map(|include| matching(base, include).ok()).flatten());
    let seen = files.into_iter().map(|file| {
        let mut hash = DefaultHasher::new();
        fs::read(&file).ok().hash(&mut hash);
        (file, hash.finish())
    });
    Print(seen.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_edit_a_new_file_and_a_lost_one_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let main = at("routes.toml");
        let nothing = print(&main);
        fs::write(&main, "include = [\"more/*.toml\"]\n").unwrap();
        let alone = print(&main);
        fs::create_dir(at("more")).unwrap();
        fs::write(at("more/заказы.toml"), "# a").unwrap();
        let two = print(&main);
        fs::write(at("new"), "# ab").unwrap();
        fs::rename(at("new"), at("more/заказы.toml")).unwrap();
        let edited = print(&main);
        let all = [&nothing, &alone, &two, &edited];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| one != other), "{one:?}");
        }
        assert_eq!(print(&main), edited);
        fs::write(at("more/заказы.toml"), "# a").unwrap();
        assert_eq!(print(&main), two, "put back");
        fs::remove_file(at("more/заказы.toml")).unwrap();
        assert_eq!(print(&main), alone);
    }
}
