//! `check`: from a path to a landscape, or to all its mistakes.

use std::path::Path;

use bus_options::{Diagnostic, codes};

use crate::landscape::Landscape;
use crate::{load, resolve};

/// What a check found.
#[derive(Debug)]
pub struct Checked {
    /// There when there is no mistake.
    pub landscape: Option<Landscape>,
    /// All mistakes of all files, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads, checks and resolves a configuration. Blocking; reaches no system and reads no secret.
pub fn check(path: &Path) -> Checked {
    let mut loaded = match load::load(path) {
        Ok(loaded) => loaded,
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            let hint = Some("give the path of the configuration: bus check FILE".to_owned());
            let diagnostic = Diagnostic { code: codes::UNREADABLE, place: None, message, hint };
            return Checked { landscape: None, diagnostics: vec![diagnostic] };
        }
    };
    let base = path.parent().unwrap_or(Path::new(""));
    let landscape = resolve::resolve(loaded.tables, base, &loaded.sources, &mut loaded.report);
    loaded.report.check_names(&loaded.sources);
    let clean = loaded.report.is_clean();
    let diagnostics = loaded.report.into_diagnostics(&loaded.sources);
    Checked { landscape: landscape.filter(|_| clean), diagnostics }
}
