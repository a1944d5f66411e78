//! Answers, and refusals in the form that was asked for.

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use crate::query::options::Format;
use crate::refusal::Refusal;
use crate::render::{atom, json};

pub(super) const JSON: &str = "application/json;charset=utf-8";
pub(super) const FEED: &str = "application/atom+xml;type=feed;charset=utf-8";
pub(super) const ENTRY: &str = "application/atom+xml;type=entry;charset=utf-8";
pub(super) const XML: &str = "application/xml;charset=utf-8";
const TEXT: &str = "text/plain;charset=utf-8";
const HTML: &str = "text/html;charset=utf-8";

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The content type.
    pub(super) kind: String,
    pub(super) body: String,
    /// Bytes instead of text.
    pub(super) bytes: Option<Bytes>,
    /// Of what was created, in raw UTF-8 as 1C sends it.
    pub(super) location: Option<String>,
    pub(super) cookie: Option<String>,
    pub(super) asks_for_user: bool,
    /// `Retry-After`, where it is not empty.
    pub(super) retry_after: String,
}

impl Answer {
    pub(super) fn new(status: u16, kind: &str, body: String) -> Self {
        let kind = kind.to_owned();
        let (bytes, location, cookie, asks_for_user, retry_after) = (None, None, None, false, String::new());
        Self { status, kind, body, bytes, location, cookie, asks_for_user, retry_after }
    }

    pub(super) fn plain(status: u16, body: &str) -> Self {
        Self::new(status, TEXT, body.to_owned())
    }

    pub(super) fn unauthorised() -> Self {
        Self { asks_for_user: true, ..Self::plain(401, "") }
    }

    pub(super) fn html(status: u16, body: &str) -> Self {
        Self::new(status, HTML, body.to_owned())
    }

    /// From the web server in front: the base did not answer.
    pub(super) fn gateway() -> Self {
        let body = "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>502 Proxy Error</title>\n\
                    </head><body>\n<h1>Proxy Error</h1>\n<p>The proxy server received an invalid\nresponse from an \
                    upstream server.<br />\n</p></body></html>\n";
        Self::html(502, body)
    }

    pub(super) fn disk_full() -> Self {
        let body = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\">\n<html><head><title>1C:Enterprise 8 application \
                    error</title></head><body><h2>1C:Enterprise 8 application error:</h2>Unrecoverable error<br><b>by \
                    reason: </b><br>The device is full &apos;/tmp/v8_s.tmp&apos;. 28(0x0000001C): No space left on \
                    device</body></html>\n";
        Self::html(500, body)
    }

    /// In JSON where JSON was asked for, unless told otherwise: the real thing does not always care.
    pub(super) fn refusal(refusal: &Refusal, format: Format, always_xml: bool) -> Self {
        if format == Format::Atom || always_xml {
            Self::new(refusal.status, XML, atom::error(refusal))
        } else {
            Self::new(refusal.status, JSON, json::error(refusal))
        }
    }

    pub(super) fn response(self) -> Response {
        let body = self.bytes.clone().map_or_else(|| Body::from(self.body.clone()), Body::from);
        self.with(body)
    }

    /// Ends after that many bytes, without an end.
    pub(super) fn cut(self, at: usize) -> Response {
        let bytes = Bytes::from(self.body.clone().into_bytes());
        let body = super::broken(bytes.slice(..at.min(bytes.len())));
        self.with(body)
    }

    fn with(self, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        let mut set = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.insert(name, value);
            }
        };
        set(CONTENT_TYPE, &self.kind);
        if let Some(location) = &self.location {
            set(LOCATION, location);
        }
        if let Some(cookie) = &self.cookie {
            set(SET_COOKIE, cookie);
        }
        if !self.retry_after.is_empty() {
            set(RETRY_AFTER, &self.retry_after);
        }
        if self.asks_for_user {
            set(WWW_AUTHENTICATE, "Basic realm=\"1C:Enterprise 8.3\"");
        }
        headers.insert("DataServiceVersion", HeaderValue::from_static("3.0"));
        response
    }
}
