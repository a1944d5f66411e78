//! A small client of 1C's OData that encodes addresses as 1C wants them.

use crate::servers::http_client;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

/// Two of PyPI's clients, and what the second needs.
pub const CLIENTS: &[&str] = &[
    "enterprise-1c-odata==0.1.0",
    "python-1c-odata==0.6.0",
    "aiohttp==3.14.5",
    "aiohappyeyeballs==2.7.1",
    "aiosignal==1.4.0",
    "attrs==26.1.0",
    "frozenlist==1.8.0",
    "idna==3.20",
    "multidict==7.2.1",
    "propcache==0.5.4",
    "typing_extensions==4.16.0",
    "yarl==1.25.1",
];

/// Everything else may stand in an address as it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'[').add(b']').add(b'^').add(b'#');

/// Percent-encoded UTF-8.
pub fn encode(path: &str) -> String {
    utf8_percent_encode(path, ENCODED).to_string()
}

/// An answer.
pub struct Got {
    /// The status.
    pub status: u16,
    /// The content type.
    pub kind: String,
    /// `Set-Cookie`.
    pub cookie: Option<String>,
    /// The body.
    pub text: String,
}

/// See the module's comment.
pub struct Client {
    http: reqwest::Client,
    root: String,
    node: String,
}

impl Client {
    /// Of a base at this root, whose node for the bus is this one.
    pub fn new(root: String, node: String) -> Self {
        Self { http: http_client(), root, node }
    }

    /// An answer, or why there is none.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Got> {
        self.request(reqwest::Method::GET, &encode(path), &[], None).await
    }

    /// An answer.
    pub async fn get(&self, path: &str) -> Got {
        self.try_get(path).await.expect("an answer")
    }

    /// Without encoding.
    pub async fn raw(&self, path: &str) -> Got {
        self.request(reqwest::Method::GET, path, &[], None).await.expect("an answer")
    }

    /// With these headers.
    pub async fn with(&self, headers: &[(&str, &str)], path: &str) -> Got {
        self.request(reqwest::Method::GET, &encode(path), headers, None).await.expect("an answer")
    }

    /// The status.
    pub async fn status(&self, path: &str) -> u16 {
        self.get(path).await.status
    }

    /// The body.
    pub async fn text(&self, path: &str) -> String {
        self.get(path).await.text
    }

    /// The body, which must be JSON.
    pub async fn json(&self, path: &str) -> Value {
        let text = self.text(path).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// Another method, with a body.
    pub async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Got {
        self.request(method, &encode(path), &[], body).await.expect("an answer")
    }

    /// `SelectChanges` or `NotifyChangesReceived` of a node.
    pub async fn plan(&self, what: &str, node: &str, message: u64) -> Got {
        let point = format!("{}/ExchangePlan_ШинаДанных(guid'{node}')", self.root);
        let path = format!("{what}?DataExchangePoint='{point}'&MessageNo={message}");
        self.send(reqwest::Method::POST, &path, None).await
    }

    /// The changes of the bus's node.
    pub async fn select(&self, message: u64) -> String {
        let got = self.plan("SelectChanges", &self.node, message).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.text
    }

    /// Forgets them.
    pub async fn notify(&self, message: u64) {
        assert_eq!(self.plan("NotifyChangesReceived", &self.node, message).await.status, 200);
    }

    async fn request(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> reqwest::Result<Got> {
        let mut request = self.http.request(method, format!("{}/{path}", self.root));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, kind, cookie) =
            (answer.status().as_u16(), header("content-type").unwrap_or_default(), header("set-cookie"));
        let bytes = answer.bytes().await?;
        Ok(Got { status, kind, cookie, text: String::from_utf8(bytes.to_vec()).expect("UTF-8") })
    }
}
