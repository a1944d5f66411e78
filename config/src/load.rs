//! Reads the main file and the files it includes; every mistake of all of them goes into one report.

use std::fs;
use std::path::{Path, PathBuf};

use bus_options::{Apart, Definitions, FileId, Located, Node, OptionValue, Report, Sources, Span, codes};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::language::bus::Bus;
use crate::language::{Root, feed, map, profile, route, stream, subscription, system, test, watch};
use bus_core::vocabulary::{FeedName, MapName, RouteName, StreamName, SubscriptionName, SystemName};

/// More files than anyone maintains by hand: a pattern that catches them is a mistake.
const MAX_FILES: usize = 1000;

/// The tables of all files, before names are resolved.
#[derive(Default)]
pub struct Tables {
    pub bus: Option<Located<Bus>>,
    pub profiles: Definitions<profile::ProfileName, profile::Profile>,
    pub systems: Definitions<SystemName, system::System>,
    pub feeds: Definitions<FeedName, feed::Feed>,
    pub streams: Definitions<StreamName, stream::Stream>,
    pub routes: Definitions<RouteName, route::Route>,
    pub subscriptions: Definitions<SubscriptionName, subscription::Subscription>,
    pub notify: Definitions<watch::ChannelName, watch::Notify>,
    pub maintenance: Definitions<watch::MaintenanceName, watch::Maintenance>,
    pub maps: Definitions<MapName, map::Map>,
    pub tests: Vec<Located<test::Test>>,
}

/// What reading gave.
pub struct Loaded {
    pub sources: Sources,
    pub report: Report,
    pub tables: Tables,
}

/// Reads a configuration; the error says why the main file itself cannot be read.
pub fn load(path: &Path) -> Result<Loaded, std::io::Error> {
    let text = fs::read_to_string(path)?;
    let mut loaded = Loaded { sources: Sources::default(), report: Report::default(), tables: Tables::default() };
    let name = path.display().to_string();
    let file = loaded.sources.add(&name, &text);
    // Kept until all files are read: its defaults hold in them.
    let main = loaded.parse(file, &text);
    if main.is_none() {
        loaded.tables.bus = bus_alone(&text, file);
    }
    let main = main.as_ref().map(|document| Node::new(document, &text, file));
    let defaults = main.and_then(|main| main.get("defaults"));
    let includes = main.map(|main| loaded.read(main.with_defaults(defaults), true)).unwrap_or_default();
    let mut seen = vec![fs::canonicalize(path)?];
    for include in includes {
        loaded.include(path.parent().unwrap_or(Path::new("")), &include, defaults, &mut seen);
    }
    Ok(loaded)
}

impl Loaded {
    /// The tables of one file; `None` after a mistake in its syntax.
    fn parse<'a>(&mut self, file: FileId, text: &'a str) -> Option<Spanned<DeValue<'a>>> {
        let (document, mistakes) = DeTable::parse_recoverable(text);
        for mistake in &mistakes {
            let span = Span { file, range: mistake.span().unwrap_or(0..0) };
            self.report.hide(&possible_secret(text, &span));
            match unquoted_name(text, &span) {
                Some(hint) => self.report.add_with_hint(codes::SYNTAX, &span, mistake.message(), hint),
                None => self.report.add(codes::SYNTAX, &span, mistake.message()),
            }
        }
        // What follows a syntax mistake is guesswork: other mistakes of this file wait until it is mended.
        if !mistakes.is_empty() {
            return None;
        }
        Some(Spanned::new(document.span(), DeValue::Table(document.into_inner())))
    }

    /// Reads one file into the tables; returns what it includes.
    fn read(&mut self, root: Node<'_>, main: bool) -> Vec<Located<String>> {
        let Some(root) = Root::read(root, &mut self.report) else { return Vec::new() };
        let include = root.include.0.unwrap_or_default();
        let bus = root.bus.and_then(|bus| bus.0);
        if !main {
            let defaults = root.defaults.and_then(|defaults| defaults.0).map(|defaults| defaults.span);
            let includes = include.iter().map(|include| &include.span);
            for span in bus.iter().map(|bus| &bus.span).chain(&defaults).chain(includes) {
                let message = "`[bus]`, `[defaults]` and `include` belong to the main file";
                self.report.add_with_hint(codes::CONTRADICTION, span, message, "move it to the main file");
            }
        }
        let tables = &mut self.tables;
        tables.bus = tables.bus.take().or(bus);
        extend(&mut tables.profiles, root.profiles);
        extend(&mut tables.systems, root.systems);
        extend(&mut tables.feeds, root.feeds);
        extend(&mut tables.streams, root.streams);
        extend(&mut tables.routes, root.routes);
        extend(&mut tables.subscriptions, root.subscriptions);
        extend(&mut tables.notify, root.notify);
        extend(&mut tables.maintenance, root.maintenance);
        extend(&mut tables.maps, root.maps);
        tables.tests.extend(root.tests.and_then(|tests| tests.0).unwrap_or_default());
        if main { include } else { Vec::new() }
    }

    fn include(&mut self, base: &Path, include: &Located<String>, defaults: Option<Node<'_>>, seen: &mut Vec<PathBuf>) {
        let found = match matching(base, &include.value) {
            Ok(found) => found,
            Err(error) => {
                self.report.add(codes::BAD_VALUE, &include.span, format!("not a pattern: {}", error.msg));
                return;
            }
        };
        if found.is_empty() && !include.value.contains(['*', '?', '[']) {
            self.report.add(codes::UNREADABLE, &include.span, format!("there is no file `{}`", include.value));
        }
        for path in found {
            if seen.len() >= MAX_FILES {
                self.report.add(codes::BAD_VALUE, &include.span, format!("more than {MAX_FILES} files"));
                return;
            }
            match fs::read_to_string(&path).and_then(|text| Ok((text, fs::canonicalize(&path)?))) {
                Ok((_, canonical)) if seen.contains(&canonical) => {}
                Ok((text, canonical)) => {
                    seen.push(canonical);
                    let file = self.sources.add(path.display().to_string(), &text);
                    if let Some(document) = self.parse(file, &text) {
                        self.read(Node::new(&document, &text, file).with_defaults(defaults), false);
                    }
                }
                Err(error) => {
                    let message = format!("`{}` cannot be read: {error}", path.display());
                    self.report.add(codes::UNREADABLE, &include.span, message);
                }
            }
        }
    }
}

/// `[bus]` of a file with a mistake in its syntax, as far as the parser got.
fn bus_alone(text: &str, file: FileId) -> Option<Located<Bus>> {
    let (document, _) = DeTable::parse_recoverable(text);
    let document = Spanned::new(document.span(), DeValue::Table(document.into_inner()));
    let table = Node::new(&document, text, file).get("bus")?;
    // Its mistakes are told when the file can be parsed.
    Bus::read(table, &mut Report::default()).map(|value| Located { value, span: Span { file, range: 0..0 } })
}

/// Where a key in other letters than English ones stands without quotes: TOML wants them, and its parser does not say so.
fn unquoted_name(text: &str, span: &Span) -> Option<String> {
    let start = text.get(..span.range.start)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next()?;
    let header = line.trim_start().starts_with('[');
    let keys = if header { line } else { line.split('=').next()? };
    // Inside quotes anything may stand: the even parts are outside.
    let mut outside =
        keys.split(['"', '\'']).step_by(2).flat_map(|part| part.split(['[', ']', '.', ',', '{', ' ', '\t']));
    let name = outside.find(|part| part.chars().any(char::is_alphabetic) && !part.is_ascii())?;
    let example =
        if header { line.trim().replacen(name, &format!("\"{name}\""), 1) } else { format!("\"{name}\" = …") };
    Some(format!("a name in other letters than English ones needs quotes: {example}"))
}

/// The files that one entry of `include` means, in order.
pub fn matching(base: &Path, include: &str) -> Result<Vec<PathBuf>, glob::PatternError> {
    // Only the pattern is one: a folder may well be called `[old]`.
    let folder = glob::Pattern::escape(&base.display().to_string());
    let pattern = Path::new(&folder).join(include);
    let paths = glob::glob(&pattern.display().to_string())?;
    let mut found: Vec<PathBuf> = paths.filter_map(Result::ok).filter(|path| path.is_file()).collect();
    found.sort();
    Ok(found)
}

/// The value in the line of a syntax mistake, where its key says that it may be a secret; else nothing.
fn possible_secret(text: &str, span: &Span) -> Span {
    let before = text.get(..span.range.start).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or("");
    let key = line.split('=').next().unwrap_or("");
    let secret = ["pass", "secret", "token", "key", "auth", "url", "broker", "header"];
    let range = match secret.iter().any(|word| line.to_lowercase().contains(word)) {
        true => start + key.len()..start + line.len(),
        false => start..start,
    };
    Span { file: span.file, range }
}

fn extend<N, V>(all: &mut Definitions<N, V>, more: Option<Apart<Definitions<N, V>>>) {
    all.0.extend(more.and_then(|more| more.0).unwrap_or_default().0);
}
