//! One live connection: its channels, its flow, and questions with a time limit.

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Connection};
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::dial::{Line, Socket};
use crate::explain::Failure;
use crate::greeting::Greeting;

/// More idle channels than streams that publish at once; the rest are closed after use.
const MAX_IDLE: usize = 64;

/// How long the closing handshake may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a connection is for. The two never share a connection: a broker that blocks a publisher stops reading from
/// its whole connection, acknowledgements included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Publishing, with confirms.
    Publish,
    /// Consuming, declaring, asking.
    Consume,
}

impl Purpose {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Purpose::Publish => "publish",
            Purpose::Consume => "consume",
        }
    }
}

/// Whether the broker takes what we send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flow {
    Open,
    /// Memory or disk alarm, with the broker's reason.
    Blocked(String),
}

/// A connection from the end of its handshake to its loss. A lost one never comes back: whoever needs the broker asks
/// the link for the next session.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    /// Asked once per session: the broker may have been upgraded in between.
    pub(crate) greeting: OnceCell<Greeting>,
    purpose: Purpose,
    limit: Duration,
    flow: watch::Sender<Flow>,
    idle: Mutex<Vec<Channel>>,
    socket: Socket,
}

impl Session {
    pub(crate) fn new(line: Line, purpose: Purpose, limit: Duration) -> Self {
        Self {
            connection: line.connection,
            greeting: OnceCell::new(),
            purpose,
            limit,
            flow: watch::Sender::new(Flow::Open),
            idle: Mutex::new(Vec::new()),
            socket: line.socket,
        }
    }

    /// Says goodbye if the broker listens, then ends the connection in any case. Who still holds the session gets
    /// errors from it.
    pub(crate) async fn end(&self) {
        // A blocked flow must not hold back the time limits of those who wait.
        self.set_flow(Flow::Open);
        // The result does not matter: the socket is shut right after.
        let _ = timeout(GOODBYE, self.connection.close(200, "bye".into())).await;
        self.socket.shut();
    }

    /// Told by the link, from the broker's `connection.blocked` and `connection.unblocked`.
    pub(crate) fn set_flow(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    /// The answer to one question, or silence after the limit. While the broker blocks publishers the clock stands
    /// still; when it lets go, the limit starts anew, because a backlog goes first. Ends early when the connection
    /// does.
    pub(crate) async fn bounded<T>(
        &self,
        what: &'static str,
        question: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Failure> {
        tokio::pin!(question);
        let mut flow = self.flow.subscribe();
        loop {
            let blocked = matches!(*flow.borrow_and_update(), Flow::Blocked(_));
            let deadline = Instant::now() + self.limit;
            tokio::select! {
                biased;
                answer = &mut question => return Ok(answer?),
                _ = flow.changed() => {}
                () = sleep_until(deadline), if !blocked => {
                    return Err(Failure::Silence { what, limit: self.limit });
                }
            }
        }
    }

    /// A channel nobody else uses: an idle one or a new one. Give it back with [`Session::give_back`] when its last
    /// answer has come; dropping it instead closes it, with whatever was under way on it.
    pub(crate) async fn channel(&self) -> Result<Channel, Failure> {
        while let Some(channel) = self.lock_idle().pop() {
            if channel.status().connected() {
                return Ok(channel);
            }
        }
        let channel = self.open().await?;
        if self.purpose == Purpose::Publish {
            let confirms = channel.confirm_select(ConfirmSelectOptions::default());
            self.bounded("asking for confirms", confirms).await?;
        }
        Ok(channel)
    }

    /// A new channel. Silence ends the connection, so that the link makes another one: RabbitMQ 3.10 has been seen to read
    /// nothing any more from a publisher whose quorum queue was deleted under it, and to go on sending heartbeats.
    pub(crate) async fn open(&self) -> Result<Channel, Failure> {
        let opened = self.bounded("opening a channel", self.connection.create_channel()).await;
        if matches!(opened, Err(Failure::Silence { .. })) {
            self.socket.shut();
        }
        opened
    }

    /// Keeps a channel on which nothing is under way for the next user.
    pub(crate) fn give_back(&self, channel: Channel) {
        let mut idle = self.lock_idle();
        if idle.len() < MAX_IDLE && channel.status().connected() {
            idle.push(channel);
        }
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Channel>> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
