//! The source against a server of our own on a real socket.
#![allow(clippy::unwrap_used)]

mod any_record;
mod captures;
mod fake;
mod read;
