//! A process under test: its own process group, its latest output kept, killed when dropped.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::eventually::eventually;
use crate::sandbox::Sandbox;

/// Lines of output kept, and bytes of each: enough to explain a failure, little enough for a soak.
const LINES: usize = 2_000;
const LINE_BYTES: u64 = 4_096;

/// How a process is asked to end before it is killed, when it is dropped.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// Not asked.
    Kill,
    /// PostgreSQL: at once, but its shared memory is given back.
    Quit,
}

/// See the module.
pub struct Process {
    name: String,
    child: Child,
    sandbox: Arc<Sandbox>,
    ending: Ending,
    log: Log,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` in a process group of its own that ends with the sandbox. Standard output and error go to
    /// [`Process::log`].
    pub fn spawn(name: &str, mut command: Command, sandbox: &Arc<Sandbox>, ending: Ending) -> Result<Self> {
        let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name}: {:?}", command.get_program()))?;
        // The command holds the writing end: with it open the log would never see the end of the output.
        drop(command);
        let signal = match ending {
            Ending::Kill => "KILL",
            Ending::Quit => "QUIT",
        };
        sandbox.adopt(child.id(), signal);
        let log = Log::default();
        let lines = log.clone();
        std::thread::Builder::new().name(format!("log of {name}")).spawn(move || lines.fill(reader))?;
        Ok(Self { name: name.to_owned(), child, sandbox: sandbox.clone(), ending, log, ended: None })
    }

    /// The process, which leads a group of the same number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its latest output.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
            if self.ended.is_some() {
                self.sandbox.release(self.child.id());
            }
        }
        self.ended
    }

    /// Sends a signal to the process alone.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // It may end at this very moment; the caller sees that from its status.
            let _ = kill_process(self.id(), signal);
        }
    }

    /// Stops it and its descendants (`SIGSTOP`): its sockets stay open and nobody answers.
    pub fn freeze(&mut self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets a frozen process and its descendants go on.
    pub fn thaw(&mut self) {
        self.signal_all(Signal::CONT);
    }

    /// `kill -9` of it and its descendants; returns when all are gone.
    pub fn kill9(&mut self) {
        if self.ended().is_some() {
            return;
        }
        // Stopped first, so that it starts no child between our look and the kill.
        self.signal(Signal::STOP);
        let family = descendants(self.child.id());
        // What ends meanwhile is no failure.
        let _ = kill_process_group(self.id(), Signal::KILL);
        for descendant in &family {
            let _ = kill_process(*descendant, Signal::KILL);
        }
        self.ended = self.child.wait().ok();
        self.sandbox.release(self.child.id());
        // A session of PostgreSQL holds the shared memory until it is gone, and no new server starts beside it.
        for _ in 0..500 {
            if !family.iter().any(|pid| is_running(*pid)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for it to end by itself; the error shows the end of its output.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        let log = self.log.clone();
        let this = Mutex::new(self);
        eventually(&format!("{name} to end"), limit, || {
            let ended = this.lock().unwrap_or_else(PoisonError::into_inner).ended();
            async move { Ok(ended) }
        })
        .await
        .with_context(|| format!("the end of its output:\n{}", log.tail(30)))
    }

    fn signal_all(&mut self, signal: Signal) {
        if self.ended().is_some() {
            return;
        }
        // As above: what ends meanwhile is no failure. Descendants are looked for one by one, because each session of
        // PostgreSQL leaves its server's group.
        let _ = kill_process_group(self.id(), signal);
        for descendant in descendants(self.child.id()) {
            let _ = kill_process(descendant, signal);
        }
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.ending, Ending::Quit) {
            self.thaw();
            self.signal(Signal::QUIT);
            for _ in 0..200 {
                if self.ended().is_some() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.kill9();
    }
}

/// Children, their children and so on.
fn descendants(root: u32) -> Vec<Pid> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // `PID (NAME) STATE PARENT …`, and a name may hold spaces and parentheses.
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut family = vec![root];
    let mut looked_at = 0;
    while looked_at < family.len() {
        let parent = family[looked_at];
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        looked_at += 1;
    }
    family[1..].iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)).collect()
}

/// False for a zombie too: where nobody reaps orphans, as in some containers, it stays for ever and holds nothing.
fn is_running(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// The latest lines that a process wrote.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    /// The first kept line that `pick` takes.
    pub fn find<T>(&self, pick: impl FnMut(&str) -> Option<T>) -> Option<T> {
        self.lines().iter().map(String::as_str).find_map(pick)
    }

    /// The last `count` lines.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.lines();
        lines.iter().skip(lines.len().saturating_sub(count)).map(|line| format!("  | {line}\n")).collect()
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, reader: PipeReader) {
        let mut reader = BufReader::new(reader);
        loop {
            let mut line = Vec::new();
            match reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let mut lines = self.lines();
                    if lines.len() == LINES {
                        lines.pop_front();
                    }
                    lines.push_back(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It only bounds a failure.
    const LIMIT: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> (Arc<Sandbox>, Process) {
        let sandbox = Arc::new(Sandbox::new("process").unwrap());
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(sandbox.path());
        let process = Process::spawn("a shell", command, &sandbox, Ending::Kill).unwrap();
        (sandbox, process)
    }

    async fn gone(pid: u32) {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        let what = format!("{pid:?} to be gone");
        let gone = || std::future::ready(Ok((!is_running(pid)).then_some(())));
        eventually(&what, LIMIT, gone).await.unwrap();
    }

    async fn printed(process: &Process) -> u32 {
        let log = process.log().clone();
        let number = || std::future::ready(Ok(log.find(|line| line.parse().ok())));
        eventually("a number in the output", LIMIT, number).await.unwrap()
    }

    #[tokio::test]
    async fn the_exit_status_and_the_output_are_kept() {
        let (_sandbox, mut process) = shell("echo привет; exit 78");
        assert_eq!(process.wait(LIMIT).await.unwrap().code(), Some(78));
        assert_eq!(process.wait(LIMIT).await.unwrap().code(), Some(78));
        // Another thread reads the output: it may be a moment behind the end.
        let greeting = || std::future::ready(Ok(process.log().find(|line| (line == "привет").then_some(()))));
        eventually("the output", LIMIT, greeting).await.unwrap();
    }

    #[tokio::test]
    async fn a_dropped_process_takes_its_children_and_its_directory_with_it() {
        let (sandbox, process) = shell("sleep 1000 & echo $!; wait");
        let (child, directory) = (printed(&process).await, sandbox.path().to_owned());
        assert!(directory.exists());
        drop((process, sandbox));
        gone(child).await;
        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn a_frozen_session_of_another_group_ends_with_the_sandbox() {
        let (sandbox, mut process) = shell("setsid sleep 1000 & echo $!; wait");
        let child = printed(&process).await;
        process.freeze();
        drop(sandbox.watcher_input_for_tests());
        gone(child).await;
        drop((process, sandbox));
    }

    #[tokio::test]
    async fn a_sandbox_whose_test_was_killed_cleans_up_by_itself() {
        let (sandbox, process) = shell("sleep 1000 & echo $!; wait");
        let (child, directory) = (printed(&process).await, sandbox.path().to_owned());
        // What the kernel does to the pipe of a killed test program, without its destructors.
        let input = sandbox.watcher_input_for_tests();
        drop(input);
        gone(child).await;
        let removed = || std::future::ready(Ok((!directory.exists()).then_some(())));
        eventually("the directory to be removed", LIMIT, removed).await.unwrap();
        drop((process, sandbox));
    }
}
