//! A directory and the processes that work in it; both end with the test, however the test ends.
//!
//! A shell holds the reading end of a pipe. When the pipe closes (the sandbox is dropped, the test program exits, panics,
//! or is killed with -9) it ends the processes that are still there and removes the directory. A parent-death signal
//! would not do: it fires when the *thread* that started the server ends, and each test has its own thread.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use rustix::process::geteuid;

/// Reads `add GROUP SIGNAL` and `end GROUP`; at the end of input ends what was added and not ended.
const WATCHER: &str = r#"
groups=""
while read -r word group signal; do
    case $word in
        add) groups="$groups $group:$signal" ;;
        end) kept=""; for each in $groups; do [ "${each%:*}" = "$group" ] || kept="$kept $each"; done; groups=$kept ;;
    esac
done
for each in $groups; do kill -s "${each#*:}" -- "-${each%:*}" 2>/dev/null; done
tries=0
for each in $groups; do
    while kill -s 0 -- "-${each%:*}" 2>/dev/null && [ $tries -lt 20 ]; do sleep 0.1; tries=$((tries + 1)); done
    kill -s KILL -- "-${each%:*}" 2>/dev/null
done
# Sessions of PostgreSQL leave its group, and a stopped one does not notice that its server is gone.
for link in /proc/[0-9]*/cwd; do
    case $(readlink "$link" 2>/dev/null) in
        "$1"|"$1"/*) pid=${link#/proc/}; kill -s KILL "${pid%/cwd}" 2>/dev/null ;;
    esac
done
rm -rf -- "$1"
"#;

/// See the module.
pub struct Sandbox {
    directory: PathBuf,
    watcher: Mutex<(Child, Option<ChildStdin>)>,
}

impl Sandbox {
    /// A new, empty directory under the system's directory for temporary files.
    pub fn new(name: &str) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(&format!("bus-test-{name}-"))
            .tempdir()
            .context("cannot make a temporary directory")?
            .keep();
        let mut watcher = Command::new("sh")
            .args(["-c", WATCHER, "watcher"])
            .arg(&directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its own group: Ctrl-C in a terminal must reach the test program only.
            .process_group(0)
            .spawn()
            .context("cannot start the shell that cleans up")?;
        let input = watcher.stdin.take();
        Ok(Self { directory, watcher: Mutex::new((watcher, input)) })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Writes a file in the directory and returns its path.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// From now on the process group ends with the sandbox: first `signal` (a name, as `QUIT`), after two seconds KILL.
    pub(crate) fn adopt(&self, group: u32, signal: &str) {
        self.tell(&format!("add {group} {signal}\n"));
    }

    /// The group has ended: its number may soon be somebody else's.
    pub(crate) fn release(&self, group: u32) {
        self.tell(&format!("end {group}\n"));
    }

    /// Takes the pipe away, as the end of the test program would.
    #[cfg(test)]
    pub(crate) fn watcher_input_for_tests(&self) -> Option<ChildStdin> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner).1.take()
    }

    fn tell(&self, line: &str) {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(input) = &mut watcher.1 {
            // A watcher that is gone was killed on purpose by a person; the test still ends what it can.
            let _ = input.write_all(line.as_bytes());
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        watcher.1 = None;
        // The directory is gone when this returns; there is nothing to do about a failure.
        let _ = watcher.0.wait();
    }
}

/// Under which account a server runs: PostgreSQL refuses root, and RabbitMQ should not have it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Account {
    /// The one that runs the test.
    Ours,
    /// The test runs as root: the account that the Debian package made.
    Named(&'static str),
}

impl Account {
    pub(crate) fn for_server(name: &'static str) -> Self {
        if geteuid().is_root() { Account::Named(name) } else { Account::Ours }
    }

    /// A command that runs under this account with an environment of its own and `home` as its directory.
    pub(crate) fn command(self, program: &Path, home: &Path) -> Command {
        let mut command = match self {
            Account::Ours => Command::new(program),
            Account::Named(name) => {
                // `setpriv` replaces itself with the program: the pid is the program's own.
                let mut command = Command::new("setpriv");
                command
                    .args([&format!("--reuid={name}"), &format!("--regid={name}"), "--init-groups", "--"])
                    .arg(program);
                command
            }
        };
        command.env_clear().env("LANG", "C.UTF-8").env("HOME", home).current_dir(home);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }

    /// Gives a directory and everything in it to this account.
    pub(crate) fn own(self, directory: &Path) -> Result<()> {
        let Account::Named(name) = self else { return Ok(()) };
        let status = Command::new("chown").args(["-R", &format!("{name}:{name}")]).arg(directory).status()?;
        anyhow::ensure!(status.success(), "cannot give {} to {name}", directory.display());
        Ok(())
    }
}
