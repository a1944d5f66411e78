//! A connection that comes back: one task per purpose, backoff with jitter, no limit on attempts.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use bus_core::ports::broker::BrokerHealth;
use futures::{FutureExt, StreamExt};
use lapin::Event;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::dial::Dialer;
use crate::explain::Failure;
use crate::health::Board;
use crate::session::{Flow, Purpose, Session};

/// The first wait after a loss: most losses are a broker that closed one connection and takes the next.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait, so that recovery takes less than 5 s once the broker is back.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// How long a caller waits for a connection before it hears why there is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// The owner of one connection. Dropping it says goodbye to the broker and ends the connection within 1 s.
pub(crate) struct Link {
    state: watch::Receiver<Attempt>,
    /// Never sent: the task notices that it is dropped.
    _stop: oneshot::Sender<()>,
}

impl Link {
    /// Starts connecting; needs a Tokio runtime.
    pub(crate) fn start(dialer: Arc<Dialer>, purpose: Purpose, limit: Duration, board: Arc<Board>) -> Self {
        let (sender, state) = watch::channel(Attempt { number: 0, outcome: Err("not connected yet".to_owned()) });
        let (stop, stopped) = oneshot::channel();
        let keeper = Keeper { dialer, purpose, limit, board, state: sender };
        let told = (Arc::clone(&keeper.board), purpose);
        let work = async move {
            tokio::select! {
                () = keeper.run() => {}
                _ = stopped => keeper.stop().await,
            }
        };
        tokio::spawn(watched(work, told));
        Self { state, _stop: stop }
    }

    /// Returns when the first attempt to connect has succeeded or failed.
    pub(crate) async fn tried(&self) {
        // An error means that the task has ended, which it does only together with the link.
        let _ = self.state.clone().wait_for(|attempt| attempt.number > 0).await;
    }

    /// The live session, waiting for one up to 5 s. The error is the last reason why there is none.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, String> {
        let mut state = self.state.clone();
        if let Ok(Ok(live)) = timeout(PATIENCE, state.wait_for(|attempt| attempt.outcome.is_ok())).await {
            return live.outcome.clone();
        }
        self.state.borrow().outcome.clone()
    }
}

/// A panic is a bug of ours, and nobody connects any more: told like a broker that cannot be reached, not found out weeks later.
async fn watched(work: impl Future<Output = ()>, (board, purpose): (Arc<Board>, Purpose)) {
    if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
        let reason = "the job that keeps the connection has crashed: nothing is lost; restart the bus, and report this with \
                      the log";
        board.report(purpose, BrokerHealth::Disconnected(reason.to_owned()));
        resume_unwind(panic);
    }
}

/// What came of the last attempt to connect.
struct Attempt {
    /// From 1; 0 before the first has ended.
    number: u64,
    /// A session, or why there is none.
    outcome: Result<Arc<Session>, String>,
}

struct Keeper {
    dialer: Arc<Dialer>,
    purpose: Purpose,
    limit: Duration,
    board: Arc<Board>,
    state: watch::Sender<Attempt>,
}

impl Keeper {
    /// Never returns by itself. Cancel-safe: [`Keeper::stop`] ends what it leaves open.
    async fn run(&self) {
        let mut wait = FIRST_WAIT;
        let mut told = false;
        loop {
            let reason = match self.dialer.connect(self.purpose.as_str()).await {
                Ok(line) => {
                    if told {
                        tracing::info!(purpose = self.purpose.as_str(), "connected to the broker again");
                    }
                    (wait, told) = (FIRST_WAIT, false);
                    let session = Arc::new(Session::new(line, self.purpose, self.limit));
                    let reason = self.live(&session).await;
                    self.down(&reason);
                    session.end().await;
                    reason
                }
                Err(reason) => {
                    self.down(&reason);
                    reason
                }
            };
            if !told {
                // Once per outage: the attempts that follow say nothing new.
                tracing::warn!(purpose = self.purpose.as_str(), reason, "no connection to the broker, trying on");
                told = true;
            }
            tokio::time::sleep(jittered(wait, fastrand::f64())).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Offers the session until its connection is lost; returns why it was.
    async fn live(&self, session: &Arc<Session>) -> String {
        // Before the session is offered, so that no event of its use is missed.
        let mut events = Box::pin(session.connection.events_listener());
        self.board.report(self.purpose, BrokerHealth::Connected);
        self.offer(Ok(session.clone()));
        loop {
            // Lost between the handshake and the listener: no event will come.
            if !session.connection.status().connected() {
                return "the connection was lost".to_owned();
            }
            match events.next().await {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(reason, "the broker takes no messages for now (memory or disk alarm), waiting");
                    session.set_flow(Flow::Blocked(reason.clone()));
                    self.board.report(self.purpose, BrokerHealth::Blocked(reason));
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!("the broker takes messages again");
                    session.set_flow(Flow::Open);
                    self.board.report(self.purpose, BrokerHealth::Connected);
                }
                // Channels report their errors here too; only the connection's end ends the session.
                Some(Event::Error(error)) if !session.connection.status().connected() => {
                    return Failure::from(error).to_string();
                }
                Some(_) => {}
                None => return "the connection was lost".to_owned(),
            }
        }
    }

    fn down(&self, reason: &str) {
        self.board.report(self.purpose, BrokerHealth::Disconnected(reason.to_owned()));
        self.offer(Err(reason.to_owned()));
    }

    fn offer(&self, outcome: Result<Arc<Session>, String>) {
        self.state.send_modify(|attempt| *attempt = Attempt { number: attempt.number + 1, outcome });
    }

    async fn stop(&self) {
        let last = self.state.borrow().outcome.clone();
        self.down("this bus has closed its connection");
        if let Ok(session) = last {
            session.end().await;
        }
    }
}

/// Between half the wait and the whole, so that many buses do not return in step. `random` is in `0..1`.
fn jittered(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_that_crashes_is_told() {
        let board = Arc::new(Board::new());
        board.report(Purpose::Consume, BrokerHealth::Connected);
        board.report(Purpose::Publish, BrokerHealth::Connected);
        let crashing = async { panic!("a planned crash") };
        assert!(tokio::spawn(watched(crashing, (Arc::clone(&board), Purpose::Publish))).await.is_err());
        let health = board.subscribe().borrow().clone();
        assert!(matches!(&health, BrokerHealth::Disconnected(why) if why.contains("restart the bus")), "{health:?}");
    }

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let wait = Duration::from_secs(4);
        assert_eq!(jittered(wait, 0.0), Duration::from_secs(2));
        assert!(jittered(wait, 0.999) < wait);
    }
}
