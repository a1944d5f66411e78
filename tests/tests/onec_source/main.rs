//! A base of 1C as the source of the real program.
#![allow(clippy::unwrap_used)]

mod commands;
mod demo;
mod kills;
mod lane;
mod ledger;
mod writer;
