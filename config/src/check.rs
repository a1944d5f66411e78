//! `check`: from a path to a landscape, or to all its mistakes.

use std::io::ErrorKind;
use std::path::Path;

use bus_options::{Diagnostic, codes};

use crate::landscape::{Bus, Landscape};
use crate::{load, resolve};

/// What a check found.
#[derive(Debug)]
pub struct Checked {
    /// There when there is no mistake.
    pub landscape: Option<Landscape>,
    /// Where the bus keeps its state and listens: also where other parts hold mistakes, so that a running bus can be asked.
    pub bus: Option<Bus>,
    /// All mistakes of all files, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads, checks and resolves a configuration. Blocking; reaches no system and reads no secret.
pub fn check(path: &Path) -> Checked {
    let mut loaded = match load::load(path) {
        Ok(loaded) => loaded,
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            let hint = match error.kind() {
                ErrorKind::InvalidData => "save it as UTF-8; an editor may have written it as Windows-1251 or UTF-16",
                _ => "give the path of the configuration: bus check FILE",
            };
            let hint = Some(hint.to_owned());
            let diagnostic = Diagnostic { code: codes::UNREADABLE, place: None, message, hint };
            return Checked { landscape: None, bus: None, diagnostics: vec![diagnostic] };
        }
    };
    let base = path.parent().unwrap_or(Path::new(""));
    let landscape = resolve::resolve(loaded.tables, base, &loaded.sources, &mut loaded.report);
    loaded.report.check_names(&loaded.sources);
    let (damage, sources) = (&loaded.damage, &loaded.sources);
    loaded.report.retain(|code, span| damage.keeps(code, span, sources));
    let clean = loaded.report.is_clean();
    let diagnostics = loaded.report.into_diagnostics(&loaded.sources);
    let bus = landscape.as_ref().map(|landscape| landscape.bus.clone());
    Checked { landscape: landscape.filter(|_| clean), bus, diagnostics }
}
