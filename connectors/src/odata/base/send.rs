//! Requests that carry something, and what is known without a request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};

use super::{Answer, Base, Failed, cut, wire};
use crate::odata::model::Model;
use crate::tape::Track;

/// `ОбменДанными.Загрузка` of the objects that are written.
static LOAD_MODE: HeaderName = HeaderName::from_static("1c_odata-dataloadmode");

/// A request of a target.
pub struct Sent<'a> {
    /// The method.
    pub method: Method,
    /// Encoded already; begins with a slash.
    pub rest: &'a str,
    /// JSON.
    pub body: Option<String>,
    /// Whether the configuration's own checks are left out.
    pub load_mode: bool,
}

impl Base {
    /// What is known of the base without asking it.
    pub async fn known_model(&self) -> Option<Arc<Model>> {
        self.shared.model.lock().await.model().cloned()
    }

    /// One request and its whole answer, of at most `most` bytes, within `within` from its begin. A session is waited for
    /// as long before; without one nothing was sent.
    pub async fn send(&self, sent: Sent<'_>, within: Duration, most: usize) -> Result<Bytes, Failed> {
        let session = tokio::time::timeout(within, Arc::clone(&self.shared.sessions).acquire_owned()).await;
        let Ok(Ok(session)) = session else {
            return Err(cut("all sessions that the bus may have in this base are in use; see `sessions`", false));
        };
        let exchange = async {
            let mut request = self.http.request(sent.method.clone(), format!("{}{}", self.root, sent.rest));
            request = request.header(ACCEPT, "application/json");
            if let Some((user, password)) = &self.login {
                request = request.basic_auth(user, Some(password.expose()));
            }
            if sent.load_mode && sent.method != Method::GET {
                request = request.header(&LOAD_MODE, HeaderValue::from_static("true"));
            }
            request = match sent.body {
                Some(body) => request.header(CONTENT_TYPE, "application/json;charset=utf-8").body(body),
                None if sent.method == Method::GET => request,
                None => request.header(CONTENT_LENGTH, 0),
            };
            let response = request.send().await.map_err(|error| wire(&error, self.timeout))?;
            let status = response.status();
            let mut answer =
                Answer { response, begun: None, timeout: self.timeout, _session: session, track: Track::default() };
            if !status.is_success() {
                return Err(answer.refusal(&[], &self.credentials).await);
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > most {
                    return Err(Failed::Broken("the answer of 1C is too long".to_owned()));
                }
                body.extend_from_slice(&chunk);
            }
            // A sign-in page comes with 200, and errors do at times.
            let text = String::from_utf8_lossy(&body[..body.len().min(256)]);
            let text = text.trim_start_matches('\u{feff}').trim_start();
            if crate::http::is_page(text) || text.starts_with("<m:error") || text.starts_with("{\"odata.error") {
                return Err(answer.refusal(&body, &self.credentials).await);
            }
            Ok(Bytes::from(body))
        };
        let ended = tokio::time::timeout(within, exchange).await;
        let ended =
            ended.unwrap_or_else(|_| Err(cut(&format!("1C has not answered within {} s", within.as_secs_f64()), true)));
        self.heard(ended.as_ref().err());
        ended
    }
}
