//! What continuous integration runs, step by step; a later step runs although an earlier one failed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::{install, programs};

/// One selection of packages and features for building and testing: another one would compile the dependencies again.
const FAILPOINTS: &str = "entity-bus/failpoints";

#[derive(Args)]
pub struct Options {
    /// Run these steps only, in their usual order.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Step>,
    /// For the test programs, for example a part of a test's name.
    #[arg(last = true)]
    filter: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// The servers and tools that the tests start.
    Install,
    /// Every file is formatted.
    Fmt,
    /// Everything, the program with failpoints as the tests drive it.
    Build,
    /// All tests. The two steps after it are its parts, for those who work on one of them.
    Test,
    /// Tests of the crates themselves, and the examples in their documentation.
    Unit,
    /// Tests that drive the program beside real servers.
    Servers,
    /// No lint warns.
    Clippy,
    /// The documentation builds without a warning.
    Doc,
    /// Licences and known weaknesses of dependencies.
    Deny,
}

/// What happened to a step.
enum Outcome {
    Passed,
    Failed,
    /// And why.
    Skipped(&'static str),
}

/// How many single tests passed and failed, over all test programs.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Adds a `test result:` line; others count for nothing.
    fn count(&mut self, line: &str) {
        if let Some((passed, failed)) = result_line(line) {
            self.passed += passed;
            self.failed += failed;
        }
    }
}

/// Runs the steps; true when nothing failed. The last line is always `N passed, M failed`.
pub fn run(options: &Options) -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies inside the workspace")?;
    std::env::set_current_dir(root).context("cannot enter the workspace")?;
    let mut tally = Tally::default();
    let mut report = Vec::new();
    for step in Step::value_variants().iter().copied().filter(|step| options.wants(*step)) {
        println!("\n=== {}", step.name());
        let started = Instant::now();
        let outcome = step.run(options, &mut tally)?;
        let took = started.elapsed();
        println!("=== {} {} in {}", step.name(), outcome.word(), seconds(took));
        let failed = matches!(outcome, Outcome::Failed);
        report.push((step, outcome, took));
        if failed && matches!(step, Step::Install | Step::Build) {
            println!("=== the steps after {} cannot run without it", step.name());
            break;
        }
    }
    println!();
    for (step, outcome, took) in &report {
        let why = if let Outcome::Skipped(why) = outcome { why } else { "" };
        println!("{:<8} {:<8} {:>8}  {why}", step.name(), outcome.word(), seconds(*took));
    }
    let failed_steps = report.iter().filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed)).count();
    // A step that fails without a failed test (a lint, a build) must not leave a green last line.
    println!("{} passed, {} failed", tally.passed, tally.failed.max(failed_steps as u64));
    Ok(failed_steps == 0)
}

impl Options {
    fn wants(&self, step: Step) -> bool {
        if self.only.is_empty() {
            return !matches!(step, Step::Unit | Step::Servers);
        }
        // The server tests drive the program, so they are never run against a stale one.
        let drives = self.only.contains(&Step::Servers) || self.only.contains(&Step::Test);
        self.only.contains(&step) || (step == Step::Build && drives)
    }
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Install => "install",
            Step::Fmt => "fmt",
            Step::Build => "build",
            Step::Test => "test",
            Step::Unit => "unit",
            Step::Servers => "servers",
            Step::Clippy => "clippy",
            Step::Doc => "doc",
            Step::Deny => "deny",
        }
    }

    fn run(self, options: &Options, tally: &mut Tally) -> Result<Outcome> {
        let passed = match self {
            Step::Install => match install::run() {
                Ok(()) => true,
                Err(error) => {
                    eprintln!("{error:#}");
                    false
                }
            },
            Step::Fmt => succeeds(cargo(&["fmt", "--all", "--check"]))?,
            Step::Build => build()?,
            Step::Test => test(&["--workspace", "--features", FAILPOINTS], options, tally)?,
            Step::Unit => test(&["--workspace", "--exclude", "bus-tests"], options, tally)?,
            Step::Servers => test(&["-p", "bus-tests"], options, tally)?,
            Step::Clippy => succeeds(cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?,
            Step::Doc => {
                let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
                doc.env("RUSTDOCFLAGS", "-D warnings");
                succeeds(doc)?
            }
            Step::Deny => {
                if !succeeds(quiet(cargo(&["deny", "--version"])))? {
                    return Ok(Outcome::Skipped("cargo-deny is not installed (cargo install cargo-deny)"));
                }
                succeeds(cargo(&["deny", "check", "licenses", "bans", "sources"]))?
            }
        };
        Ok(if passed { Outcome::Passed } else { Outcome::Failed })
    }
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped(_) => "skipped",
        }
    }
}

/// Builds the program with failpoints and puts it where a later build without them does not overwrite it.
fn build() -> Result<bool> {
    if !succeeds(cargo(&["build", "--workspace", "--all-targets", "--features", FAILPOINTS]))? {
        return Ok(false);
    }
    let place = bus_with_failpoints();
    std::fs::create_dir_all(place.parent().context("the place has a folder")?)?;
    // Written beside and renamed: a test still running from an earlier run keeps its own file.
    let fresh = place.with_extension("fresh");
    std::fs::copy(target().join("debug/bus"), &fresh).context("cannot copy the program")?;
    std::fs::rename(&fresh, &place)?;
    Ok(true)
}

pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

fn bus_with_failpoints() -> PathBuf {
    target().join("with-failpoints/bus")
}

/// Runs the test programs of the packages and the examples in their documentation; true if all passed.
fn test(packages: &[&str], options: &Options, tally: &mut Tally) -> Result<bool> {
    let bus = bus_with_failpoints().canonicalize().ok();
    let prepare = |command: &mut Command| {
        command.args(&options.filter);
        if let Some(bus) = &bus {
            command.env("BUS_BIN", bus);
        }
    };
    let mut all_passed = true;
    programs::run(programs::built(packages)?, prepare, |ended| {
        println!("{}", ended.output);
        ended.output.lines().for_each(|line| tally.count(line));
        all_passed &= ended.passed;
        Ok(())
    })?;
    let mut examples = cargo(&["test", "--doc", "--no-fail-fast"]);
    examples.args(packages).arg("--").args(&options.filter);
    Ok(count_tests(examples, tally)? && all_passed)
}

pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    // Set for xtask itself by `cargo run`; a build below would be rebuilt because of them.
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
    command
}

fn quiet(mut command: Command) -> Command {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

pub fn succeeds(mut command: Command) -> Result<bool> {
    Ok(command.status().with_context(|| format!("cannot start {command:?}"))?.success())
}

/// Passes cargo's output on, line by line, and adds up its `test result:` lines.
fn count_tests(mut command: Command, tally: &mut Tally) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
    let output = child.stdout.take().context("the output was piped")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read the tests' output")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.count(&line);
    }
    Ok(child.wait()?.success())
}

/// Reads `test result: ok. 3 passed; 0 failed; …`.
fn result_line(line: &str) -> Option<(u64, u64)> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut parts = numbers.split("; ");
    let passed = parts.next()?.strip_suffix(" passed")?.parse().ok()?;
    let failed = parts.next()?.strip_suffix(" failed")?.parse().ok()?;
    Some((passed, failed))
}

pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_line_of_a_test_program_is_read() {
        let cases = [
            (
                "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
                Some((3, 0)),
            ),
            ("test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured", Some((12, 2))),
            ("test result: who knows", None),
            ("running 3 tests", None),
        ];
        for (line, expected) in cases {
            assert_eq!(result_line(line), expected, "{line}");
        }
    }
}
