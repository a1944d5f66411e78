//! Reading a base of 1C with the real program: which base it is, what it publishes and when that changes, what would be read.
#![allow(clippy::unwrap_used)]

mod base;
mod drift;
mod preview;
