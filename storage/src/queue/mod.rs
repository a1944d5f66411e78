//! The embedded broker: durable queues as places in one log per stream.
//!
//! A message is stored once however many queues its stream has. A queue is its floor (everything up to there is
//! acked) and, in memory, what is acked or handed out above it.

mod deliveries;
mod ledger;
mod line;
pub(crate) mod log;
mod one_step;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus_core::ports::broker::{
    Broker, BrokerError, BrokerHealth, Deliveries, Depth, Keep, NoDepth, PublishError, QueuePlan,
};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{Envelope, QueueName, StreamName};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{Notify, watch};

use crate::database::Database;
use crate::failure::{Failure, damaged};
use crate::names::{self, Kind};
use crate::number::{signed, unsigned};
use crate::schema::POSITION_BITS;
use crate::writer::Owner;
use deliveries::Consumer;
use ledger::{Ledger, Queue, Stream};
use line::Line;

/// A disk that takes longer for one flush than this is reported; the message may still become durable.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(60);

/// [`Broker`] on a [`Database`]. Cloning shares it.
///
/// Acks become durable with the next transaction of the database, not by themselves: a crash hands out again what was
/// acked since, and what was acked above an unacked message. Fences absorb both.
#[derive(Clone)]
pub struct EmbeddedBroker {
    database: Database,
    ledger: Arc<Ledger>,
}

impl EmbeddedBroker {
    /// Loads the queues. A database carries one broker: a second one is refused.
    pub async fn open(database: Database) -> Result<Self, StateError> {
        let ledger = Arc::new(Ledger::new());
        for (name, stream, queue) in database.read(load).await? {
            ledger.add(&name, stream, queue);
        }
        if !database.register(Owner::Queues, ledger.clone()) {
            return Err(StateError::Failed("the database already carries a broker".into()));
        }
        Ok(Self { database, ledger })
    }

    /// The stream, if any queue keeps its messages: one without queues has nobody to keep them for.
    fn kept(&self, stream: &StreamName) -> Option<Arc<Stream>> {
        self.ledger.stream(stream).filter(|stream| stream.lock().queues.iter().any(|queue| !queue.removed))
    }

    fn queue(&self, name: &QueueName) -> Result<(Arc<Stream>, usize), BrokerError> {
        self.ledger.queue(name).ok_or_else(|| BrokerError(format!("there is no queue {name}")))
    }
}

#[async_trait]
impl Broker for EmbeddedBroker {
    async fn declare(&self, plan: &[QueuePlan]) -> Result<(), BrokerError> {
        let (plan, ledger) = (plan.to_vec(), self.ledger.clone());
        let (planned, known) = (plan.clone(), ledger.clone());
        let work = move |connection: &Connection| {
            planned.iter().map(|queue| declare(connection, &known, queue)).collect::<Result<Vec<_>, _>>()
        };
        // In the writer's order: whatever is appended after this transaction is for the new queues too.
        let then = move |outcome: &Result<Vec<Declared>, StateError>| {
            for (plan, declared) in plan.iter().zip(outcome.iter().flatten()) {
                let stream = Stream::new(declared.stream, declared.end, declared.deleted);
                ledger.add(&plan.stream, stream, queue(declared.queue, plan.queue.clone(), plan.keep, declared.floor));
            }
        };
        self.database.write_then(0, work, then).await.map_err(|error| BrokerError(error.to_string()))?;
        Ok(())
    }

    async fn remove(&self, queue: &QueueName) -> Result<(), BrokerError> {
        let Some((stream, index)) = self.ledger.queue(queue) else { return Ok(()) };
        let id = stream.lock().queues[index].id;
        let work = move |connection: &Connection| {
            connection.execute("DELETE FROM queues WHERE id = ?1", [id])?;
            Ok(())
        };
        let (ledger, name) = (self.ledger.clone(), queue.clone());
        // In the writer's order: what it held is deleted with the next chores, unless another queue still needs it.
        let then = move |outcome: &Result<(), StateError>| {
            if outcome.is_ok() {
                ledger.remove(&name);
            }
        };
        self.database.write_then(0, work, then).await.map_err(|error| BrokerError(error.to_string()))
    }

    async fn publish(&self, stream: &StreamName, messages: &[Envelope]) -> Vec<Result<(), PublishError>> {
        let Some(stream) = self.kept(stream).filter(|_| !messages.is_empty()) else {
            return vec![Ok(()); messages.len()];
        };
        let frames: Vec<_> = messages.iter().map(Envelope::to_frame).collect();
        let weight = frames.iter().map(bytes::Bytes::len).sum();
        let (ledger, target, kept) = (self.ledger.clone(), stream.clone(), messages.to_vec());
        let work = move |connection: &Connection| {
            let durable = stream.lock().end;
            log::append(connection, stream.id, durable, &frames)
        };
        let then = move |outcome: &Result<u64, StateError>| {
            ledger.note_health(outcome.as_ref().map(|_| ()));
            if let Ok(first) = outcome {
                ledger.appended(&target, *first, kept);
            }
        };
        let written = tokio::time::timeout(PUBLISH_PATIENCE, self.database.write_then(weight, work, then)).await;
        let outcome = match written {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(PublishError(error.to_string())),
            Err(_) => Err(PublishError(format!("the disk took longer than {} s", PUBLISH_PATIENCE.as_secs()))),
        };
        vec![outcome; messages.len()]
    }

    async fn consume(&self, queue: &QueueName, prefetch: u16) -> Result<Box<dyn Deliveries>, BrokerError> {
        let (stream, index) = self.queue(queue)?;
        let consumer = Consumer::start(self.database.clone(), self.ledger.clone(), stream, index, prefetch)?;
        Ok(Box::new(consumer))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, NoDepth> {
        let (stream, index) = self.ledger.queue(queue).ok_or_else(|| NoDepth::Absent(queue.clone()))?;
        let state = stream.lock();
        Ok(Depth { messages: state.queues[index].line.depth(state.end) })
    }

    fn health(&self) -> watch::Receiver<BrokerHealth> {
        self.ledger.health()
    }
}

/// A queue as it is after its declaration.
struct Declared {
    queue: i64,
    stream: i64,
    floor: u64,
    end: u64,
    deleted: u64,
}

fn queue(id: i64, name: QueueName, keep: Option<Keep>, floor: u64) -> Queue {
    let (line, wake) = (Line::new(floor), Arc::new(Notify::new()));
    Queue { id, name, keep, line, stored: floor, generation: 0, taken: false, removed: false, wake }
}

/// Makes the queue, at the end of its stream's log (no history), or takes over its new bounds.
fn declare(connection: &Connection, ledger: &Ledger, plan: &QueuePlan) -> Result<Declared, Failure> {
    let stream = names::intern(connection, Kind::Stream, plan.stream.as_str())?;
    let queue = names::intern(connection, Kind::Queue, plan.queue.as_str())?;
    let known = ledger.stream(&plan.stream).map_or(0, |stream| stream.lock().end);
    let end = log::end(connection, stream, known)?;
    let found: Option<(i64, i64)> = connection
        .query_row("SELECT stream, floor FROM queues WHERE id = ?1", [queue], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let floor = match found {
        Some((other, _)) if other != stream => {
            let problem = format!("queue {} belongs to another stream, choose another name", plan.queue);
            return Err(StateError::Failed(problem).into());
        }
        Some((_, floor)) => unsigned(floor),
        None => end,
    };
    let age = plan.keep.map(|keep| i64::try_from(keep.age.as_millis()).unwrap_or(i64::MAX));
    let bytes = plan.keep.map(|keep| signed(keep.bytes));
    connection.execute(
        "INSERT INTO queues (id, stream, floor, keep_age, keep_bytes) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET keep_age = excluded.keep_age, keep_bytes = excluded.keep_bytes",
        (queue, stream, signed(floor), age, bytes),
    )?;
    // A stream that is new in memory may have rows that its removed queues had left.
    let deleted = log::first(connection, stream)?.map_or(end, |first| first - 1).min(floor);
    Ok(Declared { queue, stream, floor, end, deleted })
}

/// Queues with their streams, as the last process left them.
fn load(connection: &Connection) -> Result<Vec<(StreamName, Stream, Queue)>, Failure> {
    let mut select = connection.prepare(
        "SELECT q.id, n.name, q.stream, s.name, q.floor, q.keep_age, q.keep_bytes,
                (SELECT max(floor) FROM queues WHERE stream = q.stream),
                (SELECT min(at) FROM log WHERE at >= q.stream << ?1 AND at < (q.stream + 1) << ?1)
         FROM queues q JOIN names n ON n.id = q.id JOIN names s ON s.id = q.stream ORDER BY q.id",
    )?;
    let mut rows = select.query([POSITION_BITS])?;
    let mut queues = Vec::new();
    while let Some(row) = rows.next()? {
        let name = QueueName::new(&row.get::<_, String>(1)?).map_err(damaged)?;
        let stream_name = StreamName::new(&row.get::<_, String>(3)?).map_err(damaged)?;
        let (id, stream, floor): (i64, i64, i64) = (row.get(0)?, row.get(2)?, row.get(4)?);
        let keep = match (row.get::<_, Option<i64>>(5)?, row.get::<_, Option<i64>>(6)?) {
            (Some(age), Some(bytes)) => {
                Some(Keep { age: Duration::from_millis(unsigned(age)), bytes: unsigned(bytes) })
            }
            _ => None,
        };
        let end = log::end(connection, stream, unsigned(row.get(7)?))?;
        let deleted = row.get::<_, Option<i64>>(8)?.map_or(end, |first| log::position(first) - 1);
        queues.push((stream_name, Stream::new(stream, end, deleted), queue(id, name, keep, unsigned(floor))));
    }
    Ok(queues)
}
