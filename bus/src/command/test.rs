//! `bus test`: the tests of routes that stand in the configuration.

use std::io::IsTerminal;
use std::process::ExitCode;

use bus_config::{Landscape, RouteTest};
use bus_options::Colour;
use serde_json::json;

use super::{EX_CONFIG, EX_UNAVAILABLE};
use crate::cli;
use crate::rehearsal::{Difference, Outcome, Sign, Stage, compare};
use crate::reload::count;

/// A test that ran.
struct Ran<'a> {
    test: &'a RouteTest,
    outcome: Outcome,
    difference: Difference,
}

impl Ran<'_> {
    fn passed(&self) -> bool {
        self.difference.is_none() && !matches!(self.outcome, Outcome::Unusable(_))
    }
}

pub async fn test(args: cli::Test) -> anyhow::Result<ExitCode> {
    let checked = bus_config::check(&args.file);
    let Some(landscape) = checked.landscape else {
        if args.json {
            println!("{}", bus_options::to_json(&checked.diagnostics));
        } else {
            let colour = if std::io::stderr().is_terminal() { Colour::On } else { Colour::Off };
            eprint!("{}", bus_options::to_text(&checked.diagnostics, colour));
            eprintln!("{}: {}", args.file.display(), count(checked.diagnostics.len(), "mistake"));
        }
        return Ok(ExitCode::from(EX_CONFIG));
    };
    let ran_in = Stage::for_tests(&landscape)?;
    let chosen = chosen(&landscape, args.only.as_deref());
    if chosen.is_empty() {
        // A word that chooses nothing is a mistake of who wrote it, and must not pass for a success.
        let why = match &args.only {
            Some(text) => format!("no test's name or route holds {text:?}"),
            None => format!("{} has no tests; write one: [[tests]]", args.file.display()),
        };
        eprintln!("bus: {why}");
        return Ok(ExitCode::from(EX_UNAVAILABLE));
    }
    let ran: Vec<Ran<'_>> = chosen
        .into_iter()
        .map(|test| {
            let outcome = ran_in.run(test);
            Ran { test, difference: compare(&test.expected, &outcome), outcome }
        })
        .collect();
    let failed = ran.iter().filter(|ran| !ran.passed()).count();
    if args.json {
        println!("{}", serde_json::Value::from_iter(ran.iter().map(row)));
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        ran.iter().for_each(|ran| print!("{}", told(ran, colour)));
        println!("{} tests, {failed} failed", ran.len());
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen<'a>(landscape: &'a Landscape, only: Option<&str>) -> Vec<&'a RouteTest> {
    let wanted =
        |test: &&RouteTest| only.is_none_or(|text| test.name.contains(text) || test.route.as_str().contains(text));
    landscape.tests.iter().filter(wanted).collect()
}

fn row(ran: &Ran<'_>) -> serde_json::Value {
    let Ran { test, outcome, difference } = ran;
    json!({
        "name": test.name, "route": test.route.as_str(), "file": test.file, "line": test.line, "ok": ran.passed(),
        "outcome": outcome, "difference": if ran.passed() { None } else { Some(difference) },
    })
}

fn told(ran: &Ran<'_>, colour: bool) -> String {
    let paint =
        |code: &str, text: &str| if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() };
    let Ran { test, difference, .. } = ran;
    if ran.passed() {
        return format!("{}    {}: {}\n", paint("32", "ok"), test.route, test.name);
    }
    let mut out = format!("{}  {}: {}\n", paint("1;31", "FAIL"), test.route, test.name);
    out.push_str(&paint("2", &format!("      {}:{}; - expected, + made\n", test.file, test.line)));
    for line in difference.excerpt() {
        let Some((sign, text)) = line else {
            out.push_str("        …\n");
            continue;
        };
        let line = format!("      {} {text}", sign.as_str());
        let line = match sign {
            Sign::Both => line,
            Sign::First => paint("31", &line),
            Sign::Second => paint("32", &line),
        };
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
