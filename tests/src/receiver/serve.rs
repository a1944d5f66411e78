//! The receiver's process: connections, and the port by which a test controls it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::script::{Running, Script};
use super::store::{Reaction, Request, Store};
use crate::ports;

/// Headers of the transport, which say nothing about the message.
const TRANSPORT: [&str; 6] = ["host", "content-length", "accept", "transfer-encoding", "connection", "user-agent"];

type Response = hyper::Response<Full<Bytes>>;

/// `receiver LEDGER SCRIPT`: prints `listening on PORT, control on PORT` and serves until it is killed.
pub fn run() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(ledger), script) = (arguments.next(), arguments.next()) else { bail!("usage: receiver LEDGER [SCRIPT]") };
    let script: Script = script.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
    let ledger = OpenOptions::new().create(true).append(true).open(&ledger).context(ledger)?;
    let store = Arc::new(Mutex::new(Store::new(ledger, script)));
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(store))
}

async fn serve(store: Arc<Mutex<Store>>) -> Result<()> {
    let port = ports::free_for_child();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let control = TcpListener::bind((Ipv4Addr::LOCALHOST, ports::free_for_child())).await?;
    println!("listening on {port}, control on {}", control.local_addr()?.port());
    let (up, _) = watch::channel(true);
    let up = Arc::new(up);
    tokio::spawn(accept_control(control, store.clone(), up.clone()));
    let mut listener = Some(listener);
    let mut changes = up.subscribe();
    loop {
        if !*changes.borrow_and_update() {
            listener = None;
            changes.changed().await?;
            continue;
        }
        let open = match listener.take() {
            Some(open) => open,
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?,
        };
        let open = listener.insert(open);
        tokio::select! {
            accepted = open.accept() => {
                tokio::spawn(connection(accepted?.0, store.clone(), up.subscribe()));
            }
            changed = changes.changed() => changed?,
        }
    }
}

/// Serves one connection until the client closes it or the receiver goes down.
async fn connection(stream: TcpStream, store: Arc<Mutex<Store>>, mut up: watch::Receiver<bool>) {
    // Without this a small answer waits for the client's delayed acknowledgement; a failure only costs time.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = stream.into_std() else { return };
    let Ok(handle) = stream.try_clone() else { return };
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let handle = Arc::new(handle);
    let reset = {
        let handle = handle.clone();
        // Makes the close that follows send RST instead of FIN.
        move || drop(SockRef::from(&*handle).set_linger(Some(Duration::ZERO)))
    };
    let service = service_fn(|request| respond(request, &store, &reset));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // An error is what the script asked for (a reset) or the client's own end of the connection.
        _ = served => {}
        _ = up.wait_for(|up| !up) => reset(),
    }
    drop(handle);
}

async fn respond(
    request: hyper::Request<Incoming>,
    store: &Mutex<Store>,
    reset: &impl Fn(),
) -> Result<Response, anyhow::Error> {
    let at_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let (head, body) = request.into_parts();
    let request = Request {
        at_us: u64::try_from(at_us).unwrap_or(u64::MAX),
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: headers(&head.headers),
        body: body.collect().await?.to_bytes(),
    };
    let reaction = store.lock().unwrap_or_else(PoisonError::into_inner).handle(request);
    match reaction.inspect_err(|error| eprintln!("the ledger cannot be written: {error:#}"))? {
        Reaction::Answer { status, body, retry_after, delay_ms } => {
            if delay_ms > 0 {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            }
            let mut response = hyper::Response::builder().status(status).header("content-type", "application/json");
            if let Some(seconds) = retry_after {
                response = response.header("retry-after", seconds);
            }
            Ok(response.body(Full::new(body))?)
        }
        Reaction::Hang => std::future::pending().await,
        Reaction::Reset => {
            reset();
            Err(anyhow!("reset by the script"))
        }
    }
}

fn headers(headers: &hyper::HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .filter(|(name, _)| !TRANSPORT.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

async fn accept_control(listener: TcpListener, store: Arc<Mutex<Store>>, up: Arc<watch::Sender<bool>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (store, up) = (store.clone(), up.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| control(request, &store, &up));
            // The client may close as it likes.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn control(
    request: hyper::Request<Incoming>,
    store: &Mutex<Store>,
    up: &Arc<watch::Sender<bool>>,
) -> Result<Response, Infallible> {
    let (status, text) = match obey(request, store, up).await {
        Ok(()) => (200, String::new()),
        Err(error) => (400, format!("{error:#}")),
    };
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    Ok(response)
}

async fn obey(request: hyper::Request<Incoming>, store: &Mutex<Store>, up: &Arc<watch::Sender<bool>>) -> Result<()> {
    let what = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    match what.as_str() {
        "/script" => {
            let script = serde_json::from_slice(&body)?;
            store.lock().unwrap_or_else(PoisonError::into_inner).running = Running::new(script);
        }
        "/up" => drop(up.send_replace(true)),
        "/down" => {
            let length: Option<u64> = if body.is_empty() { None } else { Some(std::str::from_utf8(&body)?.parse()?) };
            up.send_replace(false);
            if let Some(length) = length {
                let up = up.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(length)).await;
                    up.send_replace(true);
                });
            }
        }
        unknown => bail!("{unknown}: only /script, /down and /up"),
    }
    Ok(())
}
