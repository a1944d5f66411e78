//! One base of 1C: requests, the pool of sessions that all uses of one user share, and its `$metadata`.

mod away;
mod described;
mod send;

pub use send::Sent;

use away::Away;
use described::{Known, METADATA};

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bus_core::ports::source::{SourceError, SourceFault};
use bus_core::vocabulary::Secret;
use bytes::Bytes;
use reqwest::{ClientBuilder, Method};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::options::BaseOptions;
pub use super::trouble::Cause;
use super::trouble::Trouble;
use crate::certificate;
use crate::echo::Credentials;
use crate::tape::{Tape, Track};
use crate::web;

/// A server that takes longer to take a connection is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// From the begin of a request to its last byte, however it drips: what other clients of 1C allow, measured.
const WHOLE_ANSWER: Duration = Duration::from_secs(900);
/// What is read of a refusal.
const REFUSAL_BYTES: usize = 64 * 1024;

/// How to reach one base.
pub struct Base {
    http: reqwest::Client,
    root: String,
    login: Option<(String, Secret)>,
    /// What comes back of it is masked.
    credentials: Credentials,
    timeout: Duration,
    shared: Arc<Shared>,
    tape: Option<Tape>,
    /// Where `$metadata` is kept.
    cache: Option<PathBuf>,
}

/// What everybody shares who works in one base as one user.
struct Shared {
    sessions: Arc<Semaphore>,
    model: tokio::sync::Mutex<Known>,
    away: Mutex<Away>,
}

/// One of the sessions that all uses of one user share.
pub struct Session(OwnedSemaphorePermit);

/// Root and user.
type Place = (String, String);

static BASES: Mutex<Option<HashMap<Place, Weak<Shared>>>> = Mutex::new(None);

fn shared(root: &str, user: &str, sessions: usize) -> Arc<Shared> {
    let mut bases = BASES.lock().unwrap_or_else(PoisonError::into_inner);
    let bases = bases.get_or_insert_default();
    bases.retain(|_, base| base.strong_count() > 0);
    let place = (root.to_owned(), user.to_owned());
    if let Some(known) = bases.get(&place).and_then(Weak::upgrade) {
        return known;
    }
    let sessions = Arc::new(Semaphore::new(sessions.clamp(1, 100)));
    let fresh = Arc::new(Shared { sessions, model: tokio::sync::Mutex::default(), away: Mutex::default() });
    bases.insert(place, Arc::downgrade(&fresh));
    fresh
}

/// Why a request brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// Somebody answered, but not with data.
    Trouble(Trouble),
    /// Nobody answered, or the answer was cut.
    Wire {
        /// For the engine.
        error: SourceError,
        /// The request may have arrived.
        sent: bool,
    },
    /// It answered something else than was asked for.
    Broken(String),
}

impl Failed {
    /// Whether asking for fewer records at once may help.
    pub fn less_may_help(&self) -> bool {
        match self {
            Self::Trouble(trouble) => trouble.less_may_help(),
            Self::Wire { sent, .. } => *sent,
            Self::Broken(_) => true,
        }
    }

    /// As the engine takes it.
    pub fn error(self) -> SourceError {
        match self {
            Self::Trouble(trouble) => trouble.error(),
            Self::Wire { error, .. } => error,
            Self::Broken(what) => SourceError::new(SourceFault::Unavailable, what),
        }
    }
}

impl Base {
    /// Builds the client; connects to nothing.
    pub fn new(options: &BaseOptions) -> Result<Self, SourceError> {
        let wrong = |what: String| SourceError::new(SourceFault::Misconfigured, what);
        let connect_within = CONNECT_WITHIN.min(options.timeout);
        let quiet_for = |builder: ClientBuilder| builder.read_timeout(options.timeout);
        let http = web::client(options.ca_pem.as_deref(), connect_within, quiet_for).map_err(wrong)?;
        let mut url = options.url.clone();
        let decode = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = options.login.clone().or_else(|| {
            let user = decode(url.username());
            (!user.is_empty()).then(|| (user, Secret::new(decode(url.password().unwrap_or_default()))))
        });
        // Both fail only for addresses that cannot have a user.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        let root = url.as_str().trim_end_matches('/').to_owned();
        let user = login.as_ref().map(|(user, _)| user.as_str()).unwrap_or_default();
        let shared = shared(&root, user, options.sessions);
        let credentials = Credentials::new(login.as_ref(), std::iter::empty());
        let (timeout, cache) = (options.timeout, options.cache.clone());
        Ok(Self { http, root, login, credentials, timeout, shared, tape: None, cache })
    }

    /// Notes from now on what is asked and answered, but for `$metadata`, which nobody could read.
    pub fn record(&mut self, tape: Tape) {
        self.tape = Some(tape);
    }

    /// The root of the interface, without a slash at its end.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// One request; `rest` is encoded already, and empty or begins with a slash. Waits for a free session first.
    pub async fn ask(&self, method: Method, rest: &str, json: bool) -> Result<Answer, Failed> {
        let session = self.session().await?;
        self.ask_in(session, method, rest, json).await
    }

    /// A free session, for a request that follows at once.
    pub async fn session(&self) -> Result<Session, Failed> {
        // Bounded by the longest answer that may hold one.
        let session = tokio::time::timeout(WHOLE_ANSWER, Arc::clone(&self.shared.sessions).acquire_owned()).await;
        match session {
            Ok(Ok(session)) => Ok(Session(session)),
            _ => Err(cut("all sessions that the bus may have in this base are in use; see `sessions`", false)),
        }
    }

    /// As [`Base::ask`], in a session that is there already.
    pub async fn ask_in(&self, session: Session, method: Method, rest: &str, json: bool) -> Result<Answer, Failed> {
        let answer = self.answer(session, method, rest, json).await;
        self.heard(answer.as_ref().err());
        answer
    }

    fn heard(&self, failed: Option<&Failed>) {
        self.shared.away.lock().unwrap_or_else(PoisonError::into_inner).heard(failed, Instant::now());
    }

    async fn answer(
        &self,
        Session(session): Session,
        method: Method,
        rest: &str,
        json: bool,
    ) -> Result<Answer, Failed> {
        let accept = if json { "application/json" } else { "application/atom+xml,application/xml" };
        let mut request = self.http.request(method.clone(), format!("{}{rest}", self.root)).timeout(WHOLE_ANSWER);
        request = request.header(reqwest::header::ACCEPT, accept);
        if method == Method::POST {
            request = request.header(reqwest::header::CONTENT_LENGTH, 0);
        }
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password.expose()));
        }
        let mut track = self.noted(&method, rest, accept);
        let response = request.send().await.map_err(|error| wire(&error, self.timeout))?;
        let status = response.status();
        if track.is_on() {
            track.answer(head(&response).as_bytes());
        }
        let mut answer = Answer { response, begun: None, timeout: self.timeout, _session: session, track };
        if !status.is_success() {
            return Err(answer.refusal(&[], &self.credentials).await);
        }
        // A sign-in page comes with 200, and errors do at times.
        let first = answer.chunk().await?.unwrap_or_default();
        let text = String::from_utf8_lossy(&first[..first.len().min(256)]);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if crate::http::is_page(text) || text.starts_with("<m:error") || text.starts_with("{\"odata.error") {
            return Err(answer.refusal(&first, &self.credentials).await);
        }
        answer.begun = Some(first);
        Ok(answer)
    }

    fn noted(&self, method: &Method, rest: &str, accept: &str) -> Track {
        let tape = self.tape.as_ref().filter(|_| rest != METADATA);
        let login = if self.login.is_some() { "\nAuthorization: ***" } else { "" };
        let track = Tape::request(tape, || format!("{method} {}{rest}\nAccept: {accept}{login}", self.root));
        track.masking(&self.credentials)
    }
}

/// An answer that has begun well. Its session is free when it is dropped.
pub struct Answer {
    response: reqwest::Response,
    begun: Option<Bytes>,
    timeout: Duration,
    _session: OwnedSemaphorePermit,
    track: Track,
}

impl Answer {
    /// The next bytes; `None` behind the last one.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failed> {
        if let Some(begun) = self.begun.take() {
            return Ok(Some(begun));
        }
        let chunk = self.response.chunk().await.map_err(|error| wire(&error, self.timeout))?;
        if let Some(chunk) = &chunk {
            self.track.answer(chunk);
        }
        Ok(chunk)
    }

    /// Why it is no data, which `begun` of it has shown. Of the rest what can be had, bounded: less is better than nothing.
    async fn refusal(&mut self, begun: &[u8], credentials: &Credentials) -> Failed {
        let mut body = begun.to_vec();
        while body.len() < REFUSAL_BYTES {
            match self.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                _ => break,
            }
        }
        body.truncate(REFUSAL_BYTES.max(begun.len()));
        let retry_after = crate::http::retry_after(self.response.headers(), chrono::Utc::now());
        Failed::Trouble(Trouble::read(self.response.status().as_u16(), retry_after, &body, credentials))
    }
}

/// Status and type; other headers may hold secrets.
fn head(response: &reqwest::Response) -> String {
    let kind = response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    format!("HTTP {}\nContent-Type: {}\n\n", response.status().as_u16(), kind.unwrap_or("-"))
}

fn cut(message: &str, sent: bool) -> Failed {
    Failed::Wire { error: SourceError::new(SourceFault::Unavailable, message), sent }
}

fn wire(error: &reqwest::Error, timeout: Duration) -> Failed {
    if let Some(reason) = certificate::refusal(error) {
        let message = format!("the certificate of 1C's web server is not accepted: {reason}");
        return Failed::Wire { error: SourceError::new(SourceFault::Misconfigured, message), sent: false };
    }
    if error.is_builder() {
        let error = SourceError::new(SourceFault::Misconfigured, "the request cannot be made: check the address");
        return Failed::Wire { error, sent: false };
    }
    if error.is_connect() {
        return cut("no connection to the web server of 1C", false);
    }
    if error.is_timeout() {
        return cut(&format!("1C said nothing for {} s", timeout.as_secs_f64()), true);
    }
    cut("the connection to 1C was cut in the middle of an answer", true)
}
