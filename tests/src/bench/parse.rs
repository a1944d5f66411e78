//! How fast answers of 1C are taken apart: our parsers, the bare ones below them, and two clients from PyPI.
//!
//! Each reads the same file in a process of its own, by turns; reading the file is part of it. A parser that finds another
//! number of records than were generated ends the benchmark.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use super::Scale;
use super::figures::{Report, median, number};
use super::usage;
use crate::onec::CLIENTS;
use crate::servers::python;

/// Name, its file, and whether it is one of the Rust program's.
const PARSERS: [(&str, &str, bool); 7] = [
    ("json", "answer.json", true),
    ("bare-json", "answer.json", true),
    ("enterprise-1c-odata", "answer.json", false),
    ("python-1c-odata-json", "answer.json", false),
    ("atom", "answer.xml", true),
    ("bare-atom", "answer.xml", true),
    ("python-1c-odata-atom", "answer.xml", false),
];

#[derive(Deserialize)]
struct Took {
    records: usize,
    seconds: f64,
}

/// Measures all of them.
pub(super) fn run(scale: Scale) -> Result<Report> {
    let (orders, rounds) = if scale.quick { (5_000, 3) } else { (50_000, 7) };
    let program =
        PathBuf::from(std::env::var_os("PARSE_BIN").context("PARSE_BIN is not set: use cargo xtask bench c")?);
    let python = python("1c-clients", CLIENTS)?;
    let folder = tempfile::tempdir()?;
    let generated = Command::new(&program).arg("generate").arg(folder.path()).arg(orders.to_string()).status()?;
    ensure!(generated.success(), "the answers could not be generated");
    let mut report = Report::default();
    report.add("load_before", number(usage::load(), 2));
    report.add("records", orders);
    let mut runs = vec![Vec::new(); PARSERS.len()];
    for _ in 0..rounds {
        for (found, (name, file, ours)) in runs.iter_mut().zip(PARSERS) {
            let mut command = Command::new(if ours { &program } else { &python });
            if ours {
                command.arg("measure");
            } else {
                command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/parse.py"));
            }
            let (took, peak) = measure(command.arg(name).arg(folder.path().join(file)))
                .with_context(|| format!("the parser {name}"))?;
            ensure!(took.records == orders, "{name} found {} records of {orders}", took.records);
            found.push((took.seconds, peak));
        }
    }
    for (found, (name, file, _)) in runs.iter().zip(PARSERS) {
        let bytes = size(&folder.path().join(file))?;
        let seconds = median(found.iter().map(|run| run.0));
        report.add(
            name,
            json!({
                "mb_per_s": number(bytes / 1e6 / seconds, 1),
                "records_per_s": number(f64::from(u32::try_from(orders)?) / seconds, 0),
                "peak_memory_mib": number(median(found.iter().map(|run| run.1)), 1),
                "answer_mb": number(bytes / 1e6, 1),
            }),
        );
    }
    Ok(report)
}

/// Runs one; it says what it took, and waits until its memory was looked at.
fn measure(command: &mut Command) -> Result<(Took, f64)> {
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
    let took: Result<Took, _> = serde_json::from_str(&line);
    let peak = took.is_ok().then(|| usage::peak_memory(process.id()));
    drop(process.stdin.take());
    let ended = process.wait()?;
    ensure!(ended.success(), "it ended with {ended}");
    Ok((took?, peak.context("no figures")??))
}

fn size(file: &Path) -> Result<f64> {
    Ok(std::fs::metadata(file)?.len() as f64)
}
