//! What a scene measured, on one line that is seen even when the test passes.

use std::io::Write;

/// Name and value pairs of one scene.
pub struct Figures {
    line: String,
}

impl Figures {
    /// Begins the line of a scene.
    pub fn of(scene: &str) -> Self {
        Self { line: format!("oracle: {scene}") }
    }

    /// Adds one figure.
    pub fn add(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.line.push_str(&format!("; {name}: {value}"));
        self
    }

    /// Prints the line past the test harness, which keeps what a passing test prints to itself.
    pub fn print(&self) {
        // A closed output is no reason to fail.
        let _ = writeln!(std::io::stdout(), "\n{}", self.line);
    }
}
