//! The fast receiver: reads each body, notes that its document has come, answers 200; nothing on disk.
//!
//! `POST /orders/NUMBER` takes a document, `POST /orders/bulk` one a line, `GET /arrivals` says what has come so far.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

/// What the receiver has seen.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Arrivals {
    /// Different documents.
    pub distinct: u64,
    /// Documents, repeats included.
    pub requests: u64,
    /// From the first request to the latest one, in microseconds.
    pub span_us: u64,
}

/// Counted without locks: many connections on two cores.
struct Counters {
    started: Instant,
    /// One bit per document.
    seen: Vec<AtomicU64>,
    requests: AtomicU64,
    first_us: AtomicU64,
    last_us: AtomicU64,
}

impl Counters {
    fn new(documents: usize) -> Self {
        Self {
            started: Instant::now(),
            seen: (0..documents / 64 + 1).map(|_| AtomicU64::new(0)).collect(),
            requests: AtomicU64::new(0),
            first_us: AtomicU64::new(u64::MAX),
            last_us: AtomicU64::new(0),
        }
    }

    /// Documents of one request, one a line; false if one of them is not known.
    fn note_lines(&self, body: &[u8]) -> bool {
        let number = |line: &str| line.split_once("\"id\":")?.1.split([',', '}']).next()?.trim().parse().ok();
        std::str::from_utf8(body).is_ok_and(|text| text.lines().all(|line| number(line).is_some_and(|n| self.note(n))))
    }

    /// False if there is no such document.
    fn note(&self, number: usize) -> bool {
        let Some(word) = self.seen.get(number / 64) else { return false };
        let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        word.fetch_or(1 << (number % 64), Ordering::Relaxed);
        self.first_us.fetch_min(now, Ordering::Relaxed);
        self.last_us.fetch_max(now, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn arrivals(&self) -> Arrivals {
        let distinct = self.seen.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum();
        let span = self.last_us.load(Ordering::Relaxed).saturating_sub(self.first_us.load(Ordering::Relaxed));
        Arrivals { distinct, requests: self.requests.load(Ordering::Relaxed), span_us: span }
    }
}

/// `bench receiver COUNT`: prints `listening on PORT` and serves documents 0 to COUNT − 1 until it is killed.
pub(super) async fn serve(count: usize) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on {}", listener.local_addr()?.port());
    let counters = Arc::new(Counters::new(count));
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, counters.clone()));
    }
}

async fn connection(stream: TcpStream, counters: Arc<Counters>) {
    // A failure only costs time.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| respond(request, &counters));
    // Ends with the client's end of the connection.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(request: Request<Incoming>, counters: &Counters) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Full::default());
    if head.method == Method::GET {
        // Numbers always serialise.
        *response.body_mut() = Full::from(serde_json::to_vec(&counters.arrivals()).unwrap_or_default());
        return Ok(response);
    }
    let place = head.uri.path().rsplit('/').next().unwrap_or_default();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let known = match place {
        "bulk" => counters.note_lines(&body),
        number => number.parse().is_ok_and(|number| counters.note(number)),
    };
    if body.is_empty() || !known {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_requests_but_no_further_documents() {
        let counters = Counters::new(100);
        assert!([3, 99, 3].into_iter().all(|number| counters.note(number)));
        assert!(!counters.note(100_000));
        let arrivals = counters.arrivals();
        assert_eq!((arrivals.distinct, arrivals.requests), (2, 3));
        assert!(counters.note_lines("{\"id\":7,\"и\":1}\n{\"id\":8}\n".as_bytes()));
        assert!(!counters.note_lines(b"{\"id\":9}\n{\"nr\":8}"));
        assert_eq!(counters.arrivals().distinct, 5);
    }
}
