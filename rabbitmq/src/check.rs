//! What `bus check --connect` wants to know of the broker.

use std::time::{Duration, Instant};

use bus_core::ports::broker::BrokerError;
use lapin::BasicProperties;
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

use crate::dial::Dialer;
use crate::explain::Failure;
use crate::greeting;
use crate::session::{Purpose, Session};

/// ACCESS_REFUSED.
const ACCESS_REFUSED: u16 = 403;

/// Quorum queues with message age, and the single active consumer in order, came with 3.10.
const OLDEST: (u32, u32) = (3, 10);

/// A broker that answers, and what it lets us do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// For example `RabbitMQ 3.10.8`.
    pub version: String,
    /// One question and its answer on an open connection.
    pub latency: Duration,
    /// What the user may do in the virtual host, in words.
    pub rights: String,
    /// What is wrong and what to do, in sentences for an operator. Empty: the bus can work.
    pub problems: Vec<String>,
}

/// Logs in on a connection of its own and tries each right on a private queue that goes with it.
pub(crate) async fn run(dialer: &Dialer, limit: Duration) -> Result<CheckReport, BrokerError> {
    let greeting = greeting::ask(dialer).await.map_err(BrokerError)?;
    let line = dialer.connect("check").await.map_err(BrokerError)?;
    let session = Session::new(line, Purpose::Publish, limit);
    let tried = rights(&session, dialer).await;
    session.end().await;
    let (latency, mut problems) = tried.map_err(|failure| BrokerError(failure.to_string()))?;
    let (user, vhost) = (&dialer.address.user, &dialer.address.vhost);
    let rights = match problems.is_empty() {
        true => format!("user {user:?} may configure, write and read in the virtual host {vhost:?}"),
        false => format!("user {user:?} lacks rights in the virtual host {vhost:?}"),
    };
    let version = format!("{} {}", greeting.product, greeting.version);
    if greeting.product == "RabbitMQ" && greeting.release().is_some_and(|release| release < OLDEST) {
        problems.push(format!("{version} is too old: the bus needs RabbitMQ 3.10 or newer"));
    }
    Ok(CheckReport { version, latency, rights, problems })
}

async fn rights(session: &Session, dialer: &Dialer) -> Result<(Duration, Vec<String>), Failure> {
    let name = format!("bus.check.{:016x}", fastrand::u64(..));
    let channel = session.channel().await?;
    // Exclusive: gone with this connection, and never left behind. Expires in case the broker is asked to keep it.
    let private = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-expires".into(), AMQPValue::LongInt(60_000));
    let declare = channel.queue_declare(name.as_str().into(), private, arguments);
    if let Some(problem) = refused(session.bounded("declaring a queue", declare).await, "configure", dialer)? {
        return Ok((Duration::ZERO, vec![problem]));
    }
    let asked = Instant::now();
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let again = channel.queue_declare(name.as_str().into(), passive, FieldTable::default());
    session.bounded("declaring a queue", again).await?;
    let latency = asked.elapsed();
    let mut problems = Vec::new();
    let publishing = session.channel().await?;
    let published = async {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let publish =
            publishing.basic_publish("".into(), name.as_str().into(), options, b"{}", BasicProperties::default());
        publish.await?.await
    };
    problems.extend(refused(session.bounded("a publish", published).await, "write", dialer)?);
    let get = channel.basic_get(name.as_str().into(), BasicGetOptions { no_ack: true });
    problems.extend(refused(session.bounded("taking a message", get).await, "read", dialer)?);
    Ok((latency, problems))
}

/// A missing right as a sentence; any other failure stays one.
fn refused<T>(answer: Result<T, Failure>, right: &str, dialer: &Dialer) -> Result<Option<String>, Failure> {
    match answer {
        Ok(_) => Ok(None),
        Err(failure) if failure.code() == Some(ACCESS_REFUSED) => {
            let (user, vhost) = (&dialer.address.user, &dialer.address.vhost);
            Ok(Some(format!(
                "user {user:?} lacks the right to {right} in the virtual host {vhost:?}: rabbitmqctl set_permissions \
                 -p '{vhost}' '{user}' '.*' '.*' '.*' (configure, write, read; the queues and amq.default at least)"
            )))
        }
        Err(failure) => Err(failure),
    }
}
