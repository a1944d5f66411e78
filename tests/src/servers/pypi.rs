//! Programs from PyPI: clients that nobody here wrote.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{program, target};

/// A Python with these packages (`name==version`, dependencies included), and nothing else. The first call on a machine
/// installs them from PyPI into the build directory, one process at a time, which takes half a minute.
pub fn python(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = target()?.join("pypi").join(name);
    std::fs::create_dir_all(&folder)?;
    let lock = std::fs::File::create(folder.join("lock"))?;
    lock.lock().context("cannot lock the folder of Python packages")?;
    let python = folder.join("venv/bin/python3");
    // Written last, with what is in it: an installation that was cut short, or of other versions, is done again.
    let done = folder.join("done");
    let wanted = packages.join("\n");
    if python.exists() && std::fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let run = |command: &mut Command, what: &str| -> Result<()> {
        let output = command.output().with_context(|| format!("cannot start {what}"))?;
        if !output.status.success() {
            let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            bail!("{what}: {}: {said}{wrong}", output.status);
        }
        Ok(())
    };
    let venv = folder.join("venv");
    run(Command::new(program("python3")?).args(["-m", "venv", "--clear"]).arg(&venv), "python3 -m venv")?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--only-binary",
        ":all:",
    ]);
    run(pip.arg("--no-deps").args(packages), "pip install")?;
    std::fs::write(done, wanted)?;
    Ok(python)
}
