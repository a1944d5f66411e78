//! The HTTP side.
//!
//! | file | idea |
//! |---|---|
//! | `mod.rs` | a request from its first byte to its last |
//! | `answer.rs` | answers, and refusals in the form that was asked for |
//! | `faults.rs` | what goes wrong when it is told to |
//! | `sessions.rs` | the pool of sessions, and sessions that clients keep |
//! | `asked.rs`, `dispatch.rs` | a request, and which address does what |
//! | `read.rs` | sets, objects, properties, counts |
//! | `order.rs` | the order of a list, remembered between its pages |
//! | `write.rs`, `fields.rs` | creating, changing, deleting, posting |
//! | `plan.rs` | `SelectChanges` and `NotifyChangesReceived` |
//! | `table.rs` | virtual tables |
//! | `admin.rs` | what tests and demonstrations switch |

mod admin;
mod answer;
mod asked;
mod dispatch;
mod faults;
mod fields;
mod order;
mod plan;
mod read;
mod sessions;
mod table;
mod write;

pub use admin::{Reshape, Write};
pub use faults::Faults;
pub use sessions::{Mode, Pool};

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::data::Base;
use answer::Answer;
use asked::Asked;
use order::Orders;
use sessions::Sessions;

/// Bodies beyond this are no objects of a trade base.
const LARGEST_BODY: usize = 64 << 20;
/// Requests that are remembered for those who ask what came.
const REMEMBERED: usize = 10_000;

/// One request that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// When its head came, in microseconds since 1970.
    pub at_us: u64,
    /// The method.
    pub method: String,
    /// The address behind the service's root, decoded.
    pub path: String,
    /// What was asked for behind the question mark, decoded.
    pub query: String,
    /// The status of the answer; 0 where none was given.
    pub status: u16,
    /// `1C_OData-DataLoadMode` was asked for.
    pub load_mode: bool,
}

/// What all requests share.
pub(crate) struct Shared {
    base: Mutex<Base>,
    faults: Mutex<Faults>,
    sessions: Sessions,
    seen: Mutex<VecDeque<Seen>>,
    orders: Mutex<Orders>,
    infobase: String,
    user: Option<(String, String)>,
}

/// A panic elsewhere leaves the base as it was: no write is divided.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(base: Base, options: &crate::Options) -> Arc<Self> {
        Arc::new(Self {
            base: Mutex::new(base),
            faults: Mutex::new(options.faults.clone()),
            sessions: Sessions::new(options.pool),
            seen: Mutex::new(VecDeque::new()),
            orders: Mutex::new(Orders::default()),
            infobase: options.infobase.clone(),
            user: options.user.clone(),
        })
    }

    pub(crate) fn base(&self) -> MutexGuard<'_, Base> {
        locked(&self.base)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        locked(&self.faults)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        locked(&self.seen).iter().cloned().collect()
    }

    pub(crate) fn sessions_opened(&self) -> u64 {
        self.sessions.opened()
    }

    /// `http://HOST/BASE/odata/standard.odata/`, with the host that the request named.
    fn root(&self, headers: &HeaderMap) -> String {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        format!("http://{host}/{}/odata/standard.odata/", self.infobase)
    }

    /// Basic, in UTF-8.
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let Some((user, password)) = &self.user else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = STANDARD.encode(format!("{user}:{password}"));
        given.and_then(|given| given.strip_prefix("Basic ")) == Some(token.as_str())
    }
}

/// The routes.
pub(crate) fn router(shared: Arc<Shared>) -> axum::Router {
    axum::Router::new().fallback(handle).with_state(shared)
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let body = axum::body::to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    if let Some(path) = path.strip_prefix("/_admin/") {
        return admin::handle(&shared, &head.method, path, head.uri.query().unwrap_or_default(), &body);
    }
    let prefix = format!("/{}/odata/standard.odata", shared.infobase);
    let Some(path) = path.strip_prefix(&prefix).map(|path| path.trim_start_matches('/').to_owned()) else {
        return Answer::plain(404, "").response();
    };
    let query = head.uri.query().unwrap_or_default().to_owned();
    let faults = shared.faults().for_request(&format!("{path}?{query}"));
    let (answer, sent) = one(&shared, &faults, &head.method, &path, &query, &head.headers, &body).await;
    let seen = Seen {
        at_us: u64::try_from(at.as_micros()).unwrap_or(u64::MAX),
        method: head.method.to_string(),
        path: crate::query::options::decoded(&path).unwrap_or(path),
        query: crate::query::options::decoded(&query).unwrap_or(query),
        status: if sent { answer.status } else { 0 },
        load_mode: load_mode(&head.headers),
    };
    let mut log = locked(&shared.seen);
    if log.len() == REMEMBERED {
        log.pop_front();
    }
    log.push_back(seen);
    drop(log);
    if !sent {
        // Without a word: hyper closes the connection when its service unwinds, and no hook prints it.
        std::panic::resume_unwind(Box::new("the answer is lost, as told"));
    }
    finish(answer, &faults)
}

/// The answer, and whether it is sent.
async fn one(
    shared: &Shared,
    faults: &Faults,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> (Answer, bool) {
    if let Some(answer) = faults.instead(method.as_str(), path) {
        return (answer, true);
    }
    if !shared.lets_in(headers) {
        return (Answer::unauthorised(), true);
    }
    let session = match shared.sessions.enter(headers, faults.pool_exhausted).await {
        Ok(session) => session,
        Err(status) => return (Answer::plain(status, ""), true),
    };
    if session.is_new && faults.slow_first_ms > 0 {
        tokio::time::sleep(Duration::from_millis(faults.slow_first_ms)).await;
    }
    if faults.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(faults.delay_ms)).await;
    }
    let asked = Asked {
        root: shared.root(headers),
        method,
        path,
        query,
        accept: headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default(),
        body,
        load_mode: load_mode(headers),
        version: headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()),
        faults,
    };
    let mut answer = dispatch::dispatch(shared, &asked);
    answer.cookie = session.cookie.clone();
    let writes = !matches!(*method, Method::GET | Method::HEAD);
    if writes && faults.gateway_after_write {
        return (Answer::gateway(), true);
    }
    (answer, !(writes && faults.lose_answer))
}

fn load_mode(headers: &HeaderMap) -> bool {
    headers.get("1C_OData-DataLoadMode").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// What happens to an answer on its way.
fn finish(mut answer: Answer, faults: &Faults) -> Response {
    if faults.disk_full_above.is_some_and(|most| answer.body.len() > most) {
        answer = Answer::disk_full();
    }
    let json = answer.kind.contains("json");
    if json && faults.bom {
        answer.body.insert(0, '\u{feff}');
    }
    if faults.charset_1251 {
        answer.kind = answer.kind.replace("charset=utf-8", "charset=windows-1251");
    }
    let cut = faults.cut_after;
    match cut {
        None => answer.response(),
        Some(at) => answer.cut(at),
    }
}

/// A body that ends without an end.
fn broken(bytes: Bytes) -> Body {
    let rest = std::io::Error::other("cut, as told");
    Body::from_stream(futures::stream::iter([Ok(bytes), Err(rest)]))
}
