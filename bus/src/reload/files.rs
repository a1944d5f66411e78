//! Which files run, and whether the disk has others.

use std::path::{Path, PathBuf};

use bus_config::Print;
use bus_core::engine::incident::{Incidents, Kind};
use bus_core::vocabulary::Moment;
use serde::{Deserialize, Serialize};

use super::Refused;
use crate::live::Live;

/// See the module's comment.
pub struct Files {
    /// The main one; the landscape of the demonstration has none.
    pub main: Option<PathBuf>,
    incidents: Incidents,
    /// For status, which waits for no reload.
    seen: Live<Seen>,
}

/// Which files run, and since when.
#[derive(Debug, Clone)]
struct Seen {
    since: Moment,
    print: Print,
    /// The last files that were refused, and why.
    refused: Option<(Print, String)>,
}

/// Which files run, in words for status.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Words {
    pub file: String,
    pub since: String,
    pub note: Option<String>,
}

impl Files {
    pub fn new(main: Option<&Path>, incidents: Incidents) -> Self {
        let print = main.map(bus_config::print).unwrap_or_default();
        if let Some(main) = main {
            // Whatever an earlier process had refused: this file runs.
            incidents.close(Kind::ConfigRefused, &main.display().to_string());
        }
        let seen = Live::new(Seen { since: Moment::now(), print, refused: None });
        Self { main: main.map(Path::to_owned), incidents, seen }
    }

    /// Files with this print run from now on.
    pub fn taken_over(&self, main: &Path, print: Print) {
        self.seen.set(Seen { since: Moment::now(), print, refused: None });
        self.incidents.close(Kind::ConfigRefused, &main.display().to_string());
    }

    /// Files with this print were refused: those before them go on.
    pub fn refused(&self, main: &Path, print: Print, why: &Refused) {
        let (seen, subject) = (self.seen.get(), main.display().to_string());
        let message = format!("running the {subject} of {}; {}", seen.since, why.summary());
        let remedy = format!("nothing was changed; see all of it with: bus reload --file {subject}");
        self.incidents.open(Kind::ConfigRefused, &subject, &message, &remedy);
        self.seen.set(Seen { refused: Some((print, why.summary())), ..(*seen).clone() });
    }

    /// For status: which files run, since when, and whether the disk has others.
    pub fn words(&self) -> Option<Words> {
        let file = self.main.as_deref()?;
        let (seen, now) = (self.seen.get(), bus_config::print(file));
        let note = match &seen.refused {
            Some((print, why)) if *print == now => Some(format!("the file on disk was refused: {why}")),
            _ if now != seen.print => Some("the file on disk is another one: bus reload takes it over".to_owned()),
            _ => None,
        };
        Some(Words { file: file.display().to_string(), since: seen.since.to_string(), note })
    }

    /// What the files on disk look like if they are neither running nor refused.
    pub fn fresh(&self) -> Option<Print> {
        let (seen, now) = (self.seen.get(), bus_config::print(self.main.as_deref()?));
        let refused = seen.refused.as_ref().is_some_and(|(print, _)| *print == now);
        (now != seen.print && !refused).then_some(now)
    }
}
