//! Runs the test programs, two at a time: most of their time is waiting for servers, clocks and time-outs.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::steps::{cargo, seconds};

/// Programs at the same time. More would make tests wait for the processor that wait for nothing else.
const LANES: usize = 2;

/// The programs that take longest, in that order. They are started first, so that none of them is left running alone in the
/// end; the others follow in any order.
const LONGEST: [&str; 16] = [
    "oracle",
    "rabbitmq_faults",
    "onec_source",
    "protocol_interleavings",
    "incidents",
    "backfill",
    "servers",
    "protocol_await_points",
    "pace",
    "pgbench",
    "delivery_kinds",
    "reload",
    "resend",
    "both_ways",
    "onec_reads",
    "operations",
];

/// A test program as cargo built it.
pub struct Program {
    name: String,
    path: PathBuf,
    /// Where cargo would run it: the folder of its package.
    folder: PathBuf,
}

/// What a program printed and how it ended.
pub struct Ended {
    pub output: String,
    pub passed: bool,
}

/// Builds what is missing and returns the test programs of the packages.
pub fn built(packages: &[&str]) -> Result<Vec<Program>> {
    let mut command = cargo(&["test", "--no-run", "--message-format=json-render-diagnostics"]);
    command.args(packages).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let output = child.stdout.take().context("the output was piped")?;
    let mut programs = Vec::new();
    for line in BufReader::new(output).lines() {
        let message: Value = serde_json::from_str(&line.context("cannot read cargo's messages")?)?;
        programs.extend(program(&message));
    }
    anyhow::ensure!(child.wait()?.success(), "the tests do not build");
    let place = |name: &str| LONGEST.iter().position(|long| *long == name).unwrap_or(LONGEST.len());
    programs.sort_by_key(|program| (place(&program.name), program.path.clone()));
    Ok(programs)
}

fn program(message: &Value) -> Option<Program> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let path = PathBuf::from(message["executable"].as_str()?);
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    Some(Program { name: message["target"]["name"].as_str()?.to_owned(), path, folder })
}

/// Runs all of them and hands over each one's output when it has ended. `prepare` adds arguments and environment.
pub fn run(
    programs: Vec<Program>,
    prepare: impl Fn(&mut Command) + Sync,
    mut ended: impl FnMut(Ended) -> Result<()>,
) -> Result<()> {
    let left = Mutex::new(VecDeque::from(programs));
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (sender, received) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                while let Some(program) = next() {
                    let outcome = program.run(&prepare);
                    if sender.send(outcome).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        received.into_iter().try_for_each(|outcome| ended(outcome?))
    })
}

impl Program {
    fn run(&self, prepare: impl Fn(&mut Command)) -> Result<Ended> {
        let mut command = Command::new(&self.path);
        // As cargo does; the programs look for files relative to their package.
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        prepare(&mut command);
        let started = Instant::now();
        println!("--- {} has started", self.name);
        // A file and no pipe: a server that outlives its test would keep a pipe open, and its reader waiting.
        let log = self.path.with_extension("log");
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = command.status().with_context(|| format!("cannot start {}", self.path.display()))?;
        let output = std::fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let mut text = format!("--- {} in {}\n", self.name, self.folder.display());
        text.push_str(&String::from_utf8_lossy(&output));
        text.push_str(&format!("--- {} ended after {}: {status}\n", self.name, seconds(started.elapsed())));
        Ok(Ended { output: text, passed: status.success() })
    }
}
