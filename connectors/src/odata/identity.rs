//! Which base answers, as far as OData lets one see: it has no name of a base and no log with a position.
//!
//! | sign | what it tells |
//! |---|---|
//! | the node of an exchange plan | another node by the same code; numbers that have fallen (`node.rs`) |
//! | a constant that the operator names | a copy, where copies are given another value |
//! | witnesses: the newest documents | another base, or a backup from before they were entered: they are not there |
//!
//! Documents are marked and seldom deleted, so the newest ones stay. Half of them missing at once is no cleaning up.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use bus_core::ports::permits::Permits;
use bus_core::ports::source::{SourceError, SourceFault};
use bus_core::vocabulary::Identity;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::address;
use super::base::{Base, Failed};
use super::options::Signs;
use super::rows::Rows;
use crate::{closed, private};

/// Documents that are remembered: few enough for one address.
const WITNESSES: usize = 20;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    document: String,
    references: Vec<String>,
}

/// What can be told; `None` where there is nothing to tell it by.
pub async fn identity(
    base: &Base,
    signs: &Signs,
    of_the_plan: Option<Identity>,
    permits: &Permits,
) -> Result<Option<Identity>, SourceError> {
    if signs.constant.is_none() && signs.witness.is_none() {
        return Ok(of_the_plan);
    }
    let mut all = of_the_plan.unwrap_or(Identity { base: String::new(), timeline: 0, position: None });
    if let Some(constant) = &signs.constant {
        let value = constant_value(base, constant, permits).await?;
        // The value stays where it is: only whether it is the same is of interest.
        let hash = hex::encode(&Sha256::digest(value.as_bytes())[..8]);
        let separator = if all.base.is_empty() { "" } else { "; " };
        all.base.push_str(&format!("{separator}{constant} {hash}"));
    }
    if let Some(document) = &signs.witness {
        all.timeline = witnessed(base, document, &signs.file, permits).await?;
    }
    Ok(Some(all))
}

/// Asks for the documents that were the newest ones; if they are there, the newest of now are remembered instead: 0 then,
/// and 1 if they are gone.
async fn witnessed(base: &Base, document: &str, file: &Path, permits: &Permits) -> Result<u64, SourceError> {
    let known = load(file).map_err(disk)?.filter(|known| known.document == document).unwrap_or_default();
    if !known.references.is_empty() {
        let named: Vec<String> = known.references.iter().map(|one| format!("Ref_Key eq guid'{one}'")).collect();
        let there =
            references(base, document, &format!("$filter={}", address::option(&named.join(" or "))), permits).await?;
        let gone = known.references.iter().filter(|one| !there.contains(one)).count();
        if gone * 2 >= known.references.len() {
            // Said again and again, until a person has agreed and the file is taken away.
            return Ok(1);
        }
    }
    let newest = format!("$orderby=Date%20desc&$top={WITNESSES}");
    let references = references(base, document, &newest, permits).await?;
    let now = Remembered { document: document.to_owned(), references };
    if now != known {
        keep(file, &now).map_err(disk)?;
    }
    Ok(0)
}

async fn references(base: &Base, document: &str, what: &str, permits: &Permits) -> Result<Vec<String>, SourceError> {
    let list = format!("/{}?$format=json&$select=Ref_Key&{what}", address::path(document));
    let _permit = permits.take().await.map_err(closed::unread)?;
    let answer = base.ask(Method::GET, &list, true).await.map_err(Failed::error)?;
    let (mut rows, mut found) = (Rows::new(answer), Vec::new());
    while let Some((fields, _)) = rows.next().await.map_err(Failed::error)? {
        let reference = fields.get("Ref_Key").and_then(Value::as_str).filter(|text| address::is_guid(text));
        found.extend(reference.map(str::to_lowercase));
        if found.len() >= WITNESSES {
            break;
        }
    }
    Ok(found)
}

async fn constant_value(base: &Base, constant: &str, permits: &Permits) -> Result<String, SourceError> {
    let list = format!("/{}?$format=json", address::path(constant));
    let _permit = permits.take().await.map_err(closed::unread)?;
    let answer = base.ask(Method::GET, &list, true).await.map_err(Failed::error)?;
    let row = Rows::new(answer).next().await.map_err(Failed::error)?;
    let value = row.and_then(|(fields, _)| fields.get("Value").map(|value| value.to_string().trim().to_owned()));
    match value.filter(|value| !matches!(value.as_str(), "" | "\"\"" | "null")) {
        Some(value) => Ok(value),
        None => {
            let why = format!(
                "{constant} is empty, so it tells no base from another: fill it in 1C, or take it out of `identity`"
            );
            Err(SourceError::new(SourceFault::Misconfigured, why))
        }
    }
}

fn load(file: &Path) -> io::Result<Option<Remembered>> {
    match fs::read(file) {
        // What cannot be read is remembered anew: it is a sign, and nothing depends on it.
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn keep(file: &Path, remembered: &Remembered) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    private::folder(folder)?;
    let mut part = tempfile::NamedTempFile::new_in(folder)?;
    part.write_all(&serde_json::to_vec(remembered)?)?;
    part.as_file().sync_all()?;
    part.persist(file)?;
    Ok(())
}

fn disk(error: io::Error) -> SourceError {
    SourceError::new(SourceFault::Unavailable, format!("what is remembered of the base: {error}"))
}
