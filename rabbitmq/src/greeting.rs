//! What the broker says about itself before anybody logs in: its name and version.

use std::time::Duration;

use amq_protocol::frame::{AMQPFrame, parse_frame};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use lapin::protocol::{AMQPClass, connection};
use lapin::types::AMQPValue;
use tokio::time::timeout;

use crate::dial::{Dialer, Wire};

/// A greeting is about 500 bytes; one that does not end by here is not RabbitMQ's.
const MAX_BYTES: usize = 16 * 1024;

const LIMIT: Duration = Duration::from_secs(5);

/// For example `RabbitMQ` `3.10.8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) product: String,
    pub(crate) version: String,
}

impl Greeting {
    /// Major and minor version; `None` when they are no numbers.
    pub(crate) fn release(&self) -> Option<(u32, u32)> {
        let mut numbers = self.version.split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    }
}

/// Opens a connection of its own, reads the greeting and hangs up: lapin does not pass the server's properties on.
/// RabbitMQ logs one line about a client that left early.
pub(crate) async fn ask(dialer: &Dialer) -> Result<Greeting, String> {
    let (mut wire, _socket) = dialer.wire().await?;
    match timeout(LIMIT, read(&mut wire)).await {
        Ok(Ok(Some(greeting))) => Ok(greeting),
        Ok(Ok(None)) => Err(format!("{} does not greet like an AMQP 0-9-1 broker", dialer.address)),
        Ok(Err(error)) => Err(format!("{} closed the connection instead of a greeting: {error}", dialer.address)),
        Err(_) => Err(format!("{} sends no greeting within {} s", dialer.address, LIMIT.as_secs())),
    }
}

async fn read(wire: &mut Wire) -> std::io::Result<Option<Greeting>> {
    wire.write_all(b"AMQP\0\0\x09\x01").await?;
    wire.flush().await?;
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    while received.len() < MAX_BYTES {
        let count = wire.read(&mut chunk).await?;
        if count == 0 {
            break;
        }
        received.extend_from_slice(&chunk[..count]);
        match parse_frame(received.as_slice()) {
            Ok((_, frame)) => return Ok(greeting(frame)),
            Err(error) if error.is_incomplete() => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

fn greeting(frame: AMQPFrame) -> Option<Greeting> {
    let AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::Start(start))) = frame else {
        return None;
    };
    let text = |name: &str| match start.server_properties.inner().get(name) {
        Some(AMQPValue::LongString(text)) => Some(text.to_string()),
        _ => None,
    };
    Some(Greeting { product: text("product")?, version: text("version")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_far_as_they_are_numbers() {
        for (version, release) in
            [("3.10.8", Some((3, 10))), ("4.0.0-rc.1", Some((4, 0))), ("3.8", Some((3, 8))), ("4", None), ("tip", None)]
        {
            let greeting = Greeting { product: "RabbitMQ".to_owned(), version: version.to_owned() };
            assert_eq!(greeting.release(), release);
        }
    }
}
