//! A request, taken apart.

use axum::body::Bytes;
use axum::http::Method;

use super::Faults;

/// See the module's comment.
pub(super) struct Asked<'a> {
    /// The service's root, with a slash at its end.
    pub(super) root: String,
    pub(super) method: &'a Method,
    /// Behind the root, as sent.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) accept: &'a str,
    pub(super) body: &'a Bytes,
    /// `1C_OData-DataLoadMode`.
    pub(super) load_mode: bool,
    /// `If-Match`.
    pub(super) version: Option<&'a str>,
    pub(super) faults: &'a Faults,
}
