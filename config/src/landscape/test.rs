//! A record, and what a route is to make of it.

use bus_core::vocabulary::{MapName, RouteName};
use bytes::Bytes;
use serde_json::Value;

use super::Method;
use crate::maps::Entries;

/// One test of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteTest {
    /// What it shows, in words.
    pub name: String,
    /// The route.
    pub route: RouteName,
    /// The file it stands in, as the operator knows it.
    pub file: String,
    /// Its line there, from 1.
    pub line: usize,
    /// The record, as JSON.
    pub given: Bytes,
    /// It is gone at its source.
    pub deleted: bool,
    /// The receiver has an earlier version.
    pub had: bool,
    /// What the receiver called that one.
    pub receiver_id: Option<String>,
    /// What maps hold that are read elsewhere.
    pub maps: Vec<(MapName, Entries)>,
    /// What is to come of it.
    pub expected: Expected,
}

/// What a test expects.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// A request.
    Request(ExpectedRequest),
    /// Nothing.
    Skip,
    /// It waits; what for, holds this.
    Hold(String),
    /// A dead letter whose words hold this.
    Reject(String),
}

/// The request that a test expects; what is not said may be anything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExpectedRequest {
    /// The method.
    pub method: Option<Method>,
    /// Path and query behind the system's address.
    pub path: Option<String>,
    /// Headers that must be there.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Option<Value>,
}
