//! Why a reload changed nothing, or not everything, in words.

use bus_core::policy::places::Refusal;
use bus_core::ports::state::StateError;
use bus_options::{Colour, Diagnostic, to_text};

/// See the module's comment.
#[derive(Debug)]
pub enum Refused {
    /// The files have mistakes.
    File(Vec<Diagnostic>),
    /// Options that hold until the process ends.
    Fixed(Vec<String>),
    /// Routes would lose messages, or their places do not fit.
    Places(Vec<Refusal>),
    /// Subscriptions would lose messages.
    Subscriptions(Vec<String>),
    /// A secret or certificate cannot be read, an address not be used.
    Parts(anyhow::Error),
    /// New queues cannot be made.
    Broker(String),
    /// The state store does not work.
    Store(StateError),
    /// It was taken over, and these could not be started.
    Idle(Vec<String>, anyhow::Error),
    /// This instance has no file.
    NoFile,
}

impl From<StateError> for Refused {
    fn from(error: StateError) -> Self {
        Refused::Store(error)
    }
}

impl Refused {
    /// One line for the log and the incident.
    pub fn summary(&self) -> String {
        match self {
            Refused::File(mistakes) => {
                let first = mistakes.first().map_or(String::new(), |first| {
                    let place = first.place.as_ref().map_or(String::new(), |p| format!("{}:{}: ", p.file, p.line));
                    format!("; the first: {place}{} {}", first.code.id, first.message)
                });
                format!("the file on disk has {}{first}", count(mistakes.len(), "mistake"))
            }
            other => other.whole().replace('\n', "; "),
        }
    }

    /// Everything that is to be known, for a terminal.
    pub fn whole(&self) -> String {
        match self {
            Refused::File(mistakes) => {
                format!("{}\n{}", to_text(mistakes, Colour::Off).trim_end(), count(mistakes.len(), "mistake"))
            }
            Refused::Fixed(options) => {
                let named = options.join(", ");
                format!("{named} cannot change while the bus runs: restart it, or put the old value back")
            }
            Refused::Places(refusals) => lines(refusals.iter().map(ToString::to_string)),
            Refused::Subscriptions(refusals) => lines(refusals.iter().cloned()),
            Refused::Parts(error) => format!("{error:#}"),
            Refused::Broker(error) => format!("the broker has not made the new queues: {error}"),
            Refused::Store(error) => error.to_string(),
            Refused::Idle(jobs, error) => format!(
                "taken over, but these do not run: {}: {error:#}; mend what it says, then reload again",
                jobs.join(", ")
            ),
            Refused::NoFile => "this bus runs on no file that could be read again".to_owned(),
        }
    }

    /// The files run all the same, as far as they could be started.
    pub fn has_taken_over(&self) -> bool {
        matches!(self, Refused::Idle(..))
    }

    /// The configuration is to be changed; otherwise the same may work later.
    pub fn is_the_files(&self) -> bool {
        !matches!(self, Refused::Broker(_) | Refused::Store(_) | Refused::Idle(..) | Refused::NoFile)
    }
}

fn lines(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join("\n")
}

/// "1 mistake", "2 mistakes".
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
