//! The source against a server of our own on a real socket.
#![allow(clippy::unwrap_used)]

mod captures;
mod fake;
mod read;
