//! One connection, from TCP to the end of the AMQP handshake; every step bounded.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use async_compat::Compat;
use lapin::tcp::RustlsConnector;
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::Address;
use crate::explain;

/// TCP and TLS together, and the AMQP handshake, may each take this long: under the 15 s in which a stopped broker
/// must be noticed.
const STEP_LIMIT: Duration = Duration::from_secs(5);

/// A byte stream to the broker, TLS included where the address asks for it.
pub(crate) type Wire = AsyncTcpStream<Compat<TcpStream>>;

/// Opens connections to one address.
pub(crate) struct Dialer {
    pub(crate) address: Address,
    /// Present for `amqps://`.
    pub(crate) tls: Option<RustlsConnector>,
    /// For error texts: the operator named a CA file.
    pub(crate) own_authority: bool,
    /// The bus's name, for RabbitMQ's list of connections.
    pub(crate) name: String,
    /// Whole seconds, at least one.
    pub(crate) heartbeat_seconds: u16,
}

/// A connection and the means to end it at once.
pub(crate) struct Line {
    pub(crate) connection: Connection,
    pub(crate) socket: Socket,
}

/// The TCP socket under a connection. Shut down when dropped: lapin's I/O thread would otherwise wait for the closing
/// handshake of a broker that hangs for as long as it hangs, one thread and one socket per attempt.
pub(crate) struct Socket(std::net::TcpStream);

impl Socket {
    /// Ends the connection now, without a closing handshake.
    pub(crate) fn shut(&self) {
        // Fails only when the peer has closed it already, which is what we want.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shut();
    }
}

impl Dialer {
    /// TCP, and TLS where the address asks for it. The error says what to do.
    pub(crate) async fn wire(&self) -> Result<(Wire, Socket), String> {
        match timeout(STEP_LIMIT, self.transport()).await {
            Ok(Ok(wire)) => Ok(wire),
            Ok(Err(error)) => Err(explain::transport(&error, &self.address, self.own_authority)),
            Err(_) => Err(format!(
                "{} does not answer within {} s: check host, port and firewall",
                self.address,
                STEP_LIMIT.as_secs()
            )),
        }
    }

    async fn transport(&self) -> io::Result<(Wire, Socket)> {
        let stream = TcpStream::connect((self.address.host.as_str(), self.address.port)).await?;
        // Confirms and acks are small frames that somebody waits for.
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let socket = Socket(stream.try_clone()?);
        let wire = AsyncTcpStream::Plain(Compat::new(TcpStream::from_std(stream)?));
        match &self.tls {
            Some(connector) => Ok((wire.into_rustls(connector, &self.address.host).await?, socket)),
            None => Ok((wire, socket)),
        }
    }

    /// A connection ready for channels. `purpose` is shown in RabbitMQ's list of connections.
    pub(crate) async fn connect(&self, purpose: &str) -> Result<Line, String> {
        let (wire, socket) = self.wire().await?;
        let runtime = lapin::runtime::default_runtime().map_err(|error| error.to_string())?;
        let properties =
            ConnectionProperties::default().with_connection_name(format!("{} {purpose}", self.name).into());
        let wire = Mutex::new(Some(wire));
        let hand_over = async move |_, _| {
            let wire = wire.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
            // lapin asks again only when told to reconnect by itself, which we never do.
            wire.ok_or_else(|| lapin::Error::from(io::Error::from(io::ErrorKind::NotConnected)))
        };
        let uri = self.address.to_uri(self.heartbeat_seconds);
        match timeout(STEP_LIMIT, Connection::connector(uri, runtime, hand_over, properties)).await {
            Ok(Ok(connection)) => Ok(Line { connection, socket }),
            Ok(Err(error)) => Err(explain::handshake(&error, &self.address)),
            Err(_) => Err(format!(
                "{} accepts the connection but does not answer within {} s: the broker hangs, is still starting, or \
                 is not RabbitMQ",
                self.address,
                STEP_LIMIT.as_secs()
            )),
        }
    }
}
