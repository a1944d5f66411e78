//! What people do while messages flow. Each deed is one command, given as they give it.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Together;
use super::routes::{BOOKS, LATE, LATEST, ORDERS, PEOPLE, RUNS};
use crate::oracle::landscape::Addresses;
use crate::oracle::read;
use crate::receiver::{Answer, Rule, Script};
use crate::servers::http_client;

/// One thing that somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A route, a feed or a system is paused, and perhaps resumed at once.
    Pause,
    /// The file is changed, and read again.
    Reload,
    /// Users, or stock, are sent again.
    Resend,
    /// The route that came late is filled.
    Load,
    /// The orders are read again from an earlier position.
    Rewind,
    /// The letters of a route go back into its line.
    Replay,
    /// Both receivers misbehave anew.
    Rough,
    /// A receiver is away for a moment.
    Away,
}

impl Deed {
    /// All that a story has, in no order.
    pub const STORY: [Deed; 14] = [
        Deed::Rough,
        Deed::Pause,
        Deed::Reload,
        Deed::Resend,
        Deed::Load,
        Deed::Rewind,
        Deed::Replay,
        Deed::Away,
        Deed::Rough,
        Deed::Pause,
        Deed::Resend,
        Deed::Replay,
        Deed::Rough,
        Deed::Resend,
    ];

    fn name(self) -> &'static str {
        match self {
            Deed::Pause => "pause",
            Deed::Reload => "reload",
            Deed::Resend => "resend",
            Deed::Load => "load",
            Deed::Rewind => "rewind",
            Deed::Replay => "replay",
            Deed::Rough => "rough",
            Deed::Away => "away",
        }
    }
}

/// What can be paused.
const SUBJECTS: [(&str, &str); 9] = [
    ("route", ORDERS),
    ("route", BOOKS),
    ("route", PEOPLE),
    ("route", LATEST),
    ("route", RUNS),
    ("feed", "orders"),
    ("feed", "users"),
    ("system", "shop"),
    ("system", "books"),
];

/// Busy, silent, cutting, and refusing some records for good.
fn rough() -> Script {
    let status = |code, retry_after| Answer::Status { code, retry_after };
    let at = |path: &str, rule: Rule| Rule { path: Some(path.to_owned()), ..rule };
    let rules = vec![
        at("/orders/", Rule::times(3, status(422, None))),
        at("/users/", Rule::times(2, status(422, None))),
        at("/books/", Rule::times(2, status(422, None))),
        at("/stock/", Rule::times(3, status(422, None))),
        // Those that name keys also count for one of several records in a request.
        Rule { times: Some(2), ..Rule::keys(&["user-0-1", "user-1-2"], status(422, None)) },
        Rule { times: Some(6), ..Rule::keys(&["user-0-0", "user-1-1"], status(409, None)) },
        Rule::times(8, status(500, None)),
        Rule::times(1, status(429, Some(1))),
        Rule::times(3, Answer::Reset { applied: true }),
        Rule::times(3, Answer::Reset { applied: false }),
        Rule::times(1, Answer::Hang),
    ];
    Script { rules, repeats_by: None }
}

impl Together {
    /// Does one deed. `false`: the bus said no, or is dead; it may be tried again.
    pub(super) async fn deed(&mut self, deed: Deed) -> Result<bool> {
        let done = match deed {
            Deed::Pause => self.pause().await?,
            Deed::Reload => {
                let (late, concurrency, batch) = (true, self.rng.u64(1..6), [0, 2, 5, 20][self.rng.usize(..4)]);
                self.reload(late, concurrency, batch).await?
            }
            Deed::Resend => {
                let route = [PEOPLE, LATEST, RUNS][self.rng.usize(..3)];
                // It may go out before the command has its answer.
                self.scene.fault();
                self.says(&["resend", route, "--all"]).await?
            }
            Deed::Load => {
                self.scene.fault();
                self.file.late && self.says(&["load", "orders", "--to", LATE]).await?
            }
            Deed::Rewind => {
                let to = self.scene.source.earliest().await?;
                self.says(&["cursor", "rewind", "orders", "--to", &to]).await?
            }
            Deed::Replay => self.replay().await?,
            Deed::Rough => {
                self.scene.shop.set_script(&rough()).await?;
                self.scene.books.set_script(&rough()).await?;
                true
            }
            Deed::Away => {
                let receiver = if self.rng.bool() { &self.scene.shop } else { &self.scene.books };
                receiver.down(Some(Duration::from_millis(700))).await?;
                true
            }
        };
        if done {
            *self.done.entry(deed.name()).or_default() += 1;
        }
        Ok(done)
    }

    async fn pause(&mut self) -> Result<bool> {
        let subject = SUBJECTS[self.rng.usize(..SUBJECTS.len())];
        // The order may be durable although its answer is never seen.
        self.paused.push(subject);
        let done = self.says(&["pause", subject.0, subject.1, "--why", "the oracle"]).await?;
        if self.rng.bool() {
            tokio::time::sleep(Duration::from_millis(self.rng.u64(0..300))).await;
            self.resume().await?;
        }
        Ok(done)
    }

    /// Resumes whatever may be paused.
    pub(super) async fn resume(&mut self) -> Result<()> {
        while let Some((kind, name)) = self.paused.last().copied() {
            let (_, out, err) = self.scene.bus.says(&["resume", kind, name]).await?;
            ensure!(!err.contains("not running"), "the bus has died: {out}{err}");
            self.paused.pop();
        }
        Ok(())
    }

    /// Puts letters back: all of the routes whose receiver overwrites, and of the other only those that were refused, for
    /// what is in doubt there is sent again by nobody who wants to see nothing twice.
    async fn replay(&mut self) -> Result<bool> {
        let url = self.scene.bus.url();
        let Ok(letters) = read::get(&self.scene.bus, "/dead?limit=10000").await else { return Ok(false) };
        let letters = letters.as_array().cloned().unwrap_or_default();
        for letter in letters.iter().filter(|letter| letter["route"] != BOOKS || letter["fault"] == "rejected") {
            self.scene.fault();
            // As the command asks for each; it is refused where a newer version was settled, and unknown if somebody
            // else has put it back. A route that is just starting says neither.
            let order = http_client().post(format!("{url}/dead/{}/replay?force=false", letter["id"]));
            let Ok(answer) = order.header("x-bus-client", "the oracle").send().await else { return Ok(false) };
            let known = answer.status().is_success() || answer.status() == 404;
            if !known && !answer.text().await?.starts_with("refused") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) async fn reload(&mut self, late: bool, concurrency: u64, batch: u64) -> Result<bool> {
        (self.file.late, self.file.concurrency, self.file.batch) = (late, concurrency, batch);
        let (listen, shop, books) = (self.scene.bus.listen(), self.scene.shop.url(), self.scene.books.url());
        let addresses = Addresses { listen: &listen, database: self.scene.source.url(), shop: &shop, books: &books };
        self.scene.bus.routes(&self.file.text(&addresses))?;
        self.says(&["reload"]).await
    }

    pub(super) async fn says(&self, arguments: &[&str]) -> Result<bool> {
        let (code, out, err) = self.scene.bus.says(arguments).await?;
        if code != 0 {
            println!("bus {arguments:?}: {code}: {out}{err}");
        }
        Ok(code == 0)
    }
}
