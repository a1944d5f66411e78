//! A bad network: a TCP proxy that delays, stalls, cuts and refuses, as told while it runs.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::ports;

/// How the network is now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// New connections are refused. Open ones go on: see [`Proxy::cut`].
    pub refuse: bool,
    /// Nothing passes either way, and connections stay open.
    pub stall: bool,
    /// Every piece that passes waits so long.
    pub latency: Duration,
    /// A connection is reset when so many bytes have passed over it, in this direction.
    pub cut: Option<(Direction, u64)>,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From who connects to who listens.
    ToServer,
    /// Back.
    ToClient,
}

/// A running proxy in front of a port of 127.0.0.1. Dropping it resets all connections.
pub struct Proxy {
    port: u16,
    control: watch::Sender<(Weather, u64)>,
    passed: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

/// A connection that was cut on purpose or by one of its ends.
struct Cut;

impl Proxy {
    /// Fair weather to start with.
    pub async fn start(server: u16) -> Result<Self> {
        let port = ports::free();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.context("the proxy's port is taken")?;
        let (control, weather) = watch::channel((Weather::default(), 0));
        let passed = Arc::new(AtomicU64::new(0));
        let accepting = tokio::spawn(accept(listener, port, server, weather, passed.clone()));
        Ok(Self { port, control, passed, accepting })
    }

    /// Where to connect, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that have passed, both ways, over all connections.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// Changes the weather for new and open connections.
    pub fn set(&self, weather: Weather) {
        self.control.send_modify(|(now, _)| *now = weather);
    }

    /// Resets every open connection.
    pub fn cut(&self) {
        self.control.send_modify(|(_, cuts)| *cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        // The connections see the channel closed and end.
    }
}

async fn accept(
    listener: TcpListener,
    port: u16,
    server: u16,
    mut control: watch::Receiver<(Weather, u64)>,
    passed: Arc<AtomicU64>,
) {
    let mut listener = Some(listener);
    loop {
        if control.borrow_and_update().0.refuse {
            listener = None;
        } else if listener.is_none() {
            // Nobody else takes a port that was given to us.
            listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.ok();
        }
        let Some(open) = &listener else {
            if control.changed().await.is_err() {
                return;
            }
            continue;
        };
        tokio::select! {
            Ok((client, _)) = open.accept() => {
                tokio::spawn(connection(client, server, control.clone(), passed.clone()));
            }
            changed = control.changed() => if changed.is_err() { return },
        }
    }
}

async fn connection(client: TcpStream, server: u16, control: watch::Receiver<(Weather, u64)>, passed: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else {
        // To the client it looks as if the server had reset the connection.
        reset(&client);
        return;
    };
    for stream in [&client, &server] {
        // Else small pieces wait for acknowledgements; a failure only costs time.
        let _ = stream.set_nodelay(true);
    }
    let (mut client, mut server) = (client, server);
    let outcome = {
        // Borrowed halves: owned ones would close their direction in an orderly way before the reset.
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let there = pump(Direction::ToServer, from_client, to_server, control.clone(), &passed);
        let back = pump(Direction::ToClient, from_server, to_client, control, &passed);
        tokio::try_join!(there, back)
    };
    if outcome.is_err() {
        reset(&client);
        reset(&server);
    }
}

/// Moves bytes one way until the sender closes or the connection is cut.
async fn pump(
    direction: Direction,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut control: watch::Receiver<(Weather, u64)>,
    passed: &AtomicU64,
) -> Result<(), Cut> {
    let cuts = control.borrow().1;
    let mut moved = 0_u64;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let size = tokio::select! {
            size = from.read(&mut buffer) => size.unwrap_or(0),
            changed = control.changed() => {
                changed.map_err(|_| Cut)?;
                if control.borrow().1 != cuts {
                    return Err(Cut);
                }
                continue;
            }
        };
        // What was read just before a stall waits as well.
        let calm = control.wait_for(|(weather, now)| !weather.stall || *now != cuts).await.map(|state| *state);
        let (weather, now) = calm.map_err(|_| Cut)?;
        if now != cuts {
            return Err(Cut);
        }
        if size == 0 {
            // A half-closed connection: the other direction goes on.
            let _ = to.shutdown().await;
            return Ok(());
        }
        if !weather.latency.is_zero() {
            tokio::time::sleep(weather.latency).await;
        }
        let limit = match weather.cut {
            Some((of, bytes)) if of == direction => Some(bytes.saturating_sub(moved)),
            _ => None,
        };
        let size = size as u64;
        let allowed = limit.unwrap_or(size).min(size);
        to.write_all(&buffer[..usize::try_from(allowed).unwrap_or(0)]).await.map_err(|_| Cut)?;
        moved += allowed;
        passed.fetch_add(allowed, Ordering::Relaxed);
        if limit.is_some_and(|limit| limit <= size) {
            return Err(Cut);
        }
    }
}

/// Makes the close that follows send RST instead of FIN. What is still in the receiver's buffer may be lost, as in life.
fn reset(stream: &TcpStream) {
    // Fails only on a socket that is closed already.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
