//! Reads the main file and the files it includes; every mistake of all of them goes into one report.

use std::fs;
use std::path::{Path, PathBuf};

use bus_options::{Apart, Definitions, EntityName, FileId, Located, Node, OptionValue, Report, Sources, Span, codes};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::language::bus::Bus;
use crate::language::{Root, feed, map, profile, route, stream, subscription, system, test, watch};
use crate::programs::Programs;
use crate::recover::{Damage, recover};
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
    /// Programs of routes and subscriptions that are not here, for a mistake in them.
    pub programs: Vec<Programs>,
}

/// What reading gave.
pub struct Loaded {
    pub sources: Sources,
    pub report: Report,
    pub tables: Tables,
    /// What could not be read.
    pub damage: Damage,
}

/// Reads a configuration; the error says why the main file itself cannot be read.
pub fn load(path: &Path) -> Result<Loaded, std::io::Error> {
    let text = fs::read_to_string(path)?;
    let (sources, report) = (Sources::default(), Report::default());
    let mut loaded = Loaded { sources, report, tables: Tables::default(), damage: Damage::default() };
    let name = path.display().to_string();
    let file = loaded.sources.add(&name, &text);
    // Kept until all files are read: its defaults hold in them.
    let texts = loaded.parse(file, &text);
    let documents: Vec<_> = texts.iter().map(|text| (document(text), text)).collect();
    let main = documents.first().map(|(document, text)| Node::new(document, text, file));
    let defaults = main.and_then(|main| main.get("defaults"));
    let mut includes = Vec::new();
    for (document, text) in &documents {
        includes.extend(loaded.read(Node::new(document, text, file).with_defaults(defaults), true));
    }
    let mut seen = vec![fs::canonicalize(path)?];
    for include in includes {
        loaded.include(path.parent().unwrap_or(Path::new("")), &include, defaults, &mut seen);
    }
    // Whoever has mistyped something has other worries.
    if loaded.report.is_clean() && loaded.report.defined(StreamName::KIND).next().is_none() {
        let message = "no stream is defined: the bus would have nothing to do";
        let hint = "define [systems.NAME], [streams.NAME] and [routes.NAME], here or in files that `include` names";
        loaded.report.add_with_hint(codes::NOTHING_TO_DO, &Span { file, range: 0..0 }, message, hint);
    }
    Ok(loaded)
}

impl Loaded {
    /// The text of one file without the mistakes in its syntax; tables that stand there twice have texts of their own.
    fn parse(&mut self, file: FileId, text: &str) -> Vec<String> {
        let recovered = recover(text);
        for mistake in recovered.mistakes {
            let span = Span { file, range: mistake.range };
            self.report.hide(&Span { file, range: mistake.secret });
            match mistake.hint {
                Some(hint) => self.report.add_with_hint(mistake.code, &span, mistake.message, hint),
                None => self.report.add(mistake.code, &span, mistake.message),
            }
        }
        self.damage.add(file, recovered.damage);
        recovered.texts
    }

    /// Reads one file into the tables; returns what it includes.
    fn read(&mut self, document: Node<'_>, main: bool) -> Vec<Located<String>> {
        let Some(root) = Root::read(document, &mut self.report) else { return Vec::new() };
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
        let routes = Programs::left(document, "routes", &tables.routes);
        let subscriptions = Programs::left(document, "subscriptions", &tables.subscriptions);
        tables.programs.extend(routes.into_iter().chain(subscriptions));
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
                    for text in self.parse(file, &text) {
                        self.read(Node::new(&document(&text), &text, file).with_defaults(defaults), false);
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

/// A text that `recover` has left without mistakes.
fn document(text: &str) -> Spanned<DeValue<'_>> {
    let (document, _) = DeTable::parse_recoverable(text);
    Spanned::new(document.span(), DeValue::Table(document.into_inner()))
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

/// Adds named tables. The second of a name is told where names are checked, and nothing else is made of it.
fn extend<N: PartialEq, V>(all: &mut Definitions<N, V>, more: Option<Apart<Definitions<N, V>>>) {
    for entry in more.and_then(|more| more.0).unwrap_or_default().0 {
        if all.0.iter().all(|known| known.key.value != entry.key.value) {
            all.0.push(entry);
        }
    }
}
