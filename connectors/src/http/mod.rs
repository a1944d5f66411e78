//! Systems that take records over HTTP.
//!
//! | file | idea |
//! |---|---|
//! | `options.rs` | what an operator may say |
//! | `template.rs` | paths and header values with places for the key, the receiver's id, … |
//! | `client.rs` | one pooled client per system, its TLS and its secrets |
//! | `target.rs` | one request per parcel |
//! | `target/together.rs` | one request for several |
//! | `batch.rs` | how they stand in its body, and what its answer says of each |
//! | `preview.rs` | the same request, looked at and not sent |
//! | `answer.rs` | a bounded answer, the receiver's id in it, error pages made short |
//! | `classify.rs` | whose fault a failure is |

mod answer;
mod batch;
mod classify;
mod client;
mod options;
mod preview;
mod target;
mod template;

pub(crate) use answer::{is_page, summary as page_text};
pub use batch::{Batch, Decides, Form, Match, Results};
pub(crate) use classify::retry_after;
pub use client::Client;
pub use options::{Header, HeaderValue, Options, Repeats, Request, Send};
pub use preview::Preview;
pub use target::HttpTarget;
pub use template::{Template, TemplateError};
